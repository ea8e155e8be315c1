/**
 * @file net/connfile.h
 * The connection file: how local clients find a driver and its token.
 *
 * JSON {"address", "port", "token", "pid", "version"}, mode 0600, written atomically (a temporary
 * file renamed), named alchemist-HOST-PORT.json in $XDG_RUNTIME_DIR/alchemist or ~/.alchemist.
 * Its writer holds a lock (flock) on NAME.lock beside it while it lives, so that a
 * stale file is recognised whatever became of the pid.
 */
#ifndef ALCHI_NET_CONNFILE_H
#define ALCHI_NET_CONNFILE_H

#include "net/address.h"
#include "net/auth.h"

typedef struct {
    alchi_address_t address; /* where a client on this host connects */
    uint8_t token[ALCHI_KEY_SIZE];
    int pid;
    char path[4096];
} alchi_connfile_t;

/** The standard directory, created 0700 if `create`.
 *  @return ALCH_OK, ALCH_ENOENT (no HOME), ALCH_ESYSTEM, ALCH_EPERM (not ours, or open to others) */
int alchi_connfile_dir(bool create, char *path, size_t size, alch_error_t *err);

/** Write the file (path "": by name in the standard directory; pid 0: this process; both are filled in)
 *  and take its lock. An address that stands for every interface is written as loopback.
 *  @param[out] lock_fd_p  keep open while serving
 *  @return ALCH_OK; ALCH_EBUSY: a live daemon holds it */
int alchi_connfile_write(alchi_connfile_t *file, int *lock_fd_p, alch_error_t *err);

/** Remove the file and release the lock. */
void alchi_connfile_remove(const alchi_connfile_t *file, int lock_fd);

/** Read one file. Refuses files of other users or readable by others.
 *  @return ALCH_OK; ALCH_ENOENT; ALCH_EPERM; ALCH_EPROTO: malformed; ALCH_ESTATE: stale, its daemon is gone */
int alchi_connfile_read(const char *path, alchi_connfile_t *file_p, alch_error_t *err);

/** Find a file in the standard places: that of host and port (host any spelling of loopback), or with
 *  address NULL the newest live one. ALCHEMIST_CONNECTION overrides with a path.
 *  @return as alchi_connfile_read(); ALCH_ENOENT says where was looked */
int alchi_connfile_find(const alchi_address_t *address, alchi_connfile_t *file_p, alch_error_t *err);

#endif
