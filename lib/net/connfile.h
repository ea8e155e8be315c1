/**
 * @file net/connfile.h
 * The connection file, by which clients of the same user find a driver and its token.
 *
 * The file is JSON {"address", "port", "token", "pid", "version"} with mode 0600. It is called
 * alchemist-HOST-PORT.json and is in $XDG_RUNTIME_DIR/alchemist or ~/.alchemist. The daemon writes it atomically: it
 * renames a temporary file. As long as the daemon runs, it holds a lock (flock) on FILE.lock, where FILE is the path
 * of the connection file. So a reader recognizes a stale file even if another process has the pid now.
 */
#ifndef ALCHI_NET_CONNFILE_H
#define ALCHI_NET_CONNFILE_H

#include "net/address.h"
#include "net/auth.h"

typedef struct {
    alchi_address_t address; /* where a client on this host connects */
    uint8_t token[ALCHI_KEY_SIZE];
    int pid;         /* of the daemon */
    char path[4096]; /* of this file */
} alchi_connfile_t;

/** Write the path of the standard directory. If `create` is set and the directory does not exist, create it with mode
 *  0700.
 *  @return ALCH_OK; ALCH_ENOENT: neither XDG_RUNTIME_DIR nor HOME names a directory; ALCH_ESYSTEM; ALCH_EPERM: the
 *          directory belongs to another user, or others have access to it */
int alchi_connfile_dir(bool create, char *path, size_t size, alch_error_t *err);

/**
 * Write the file and take its lock. An address that means every interface is written as loopback.
 *
 * @param[in,out] file       path "" means the standard name and directory, pid 0 the pid of this process; the function
 *                           sets both to the values that it used
 * @param[out]    lock_fd_p  owned by the caller: pass it to alchi_connfile_remove(); closing it releases the lock
 *
 * @return ALCH_OK
 * @return ALCH_EBUSY  a running daemon holds the lock
 * @return ALCH_EPERM  the directory or the lock belongs to another user
 * @return ALCH_ENOENT, ALCH_ELIMIT, ALCH_ENOMEM, ALCH_ESYSTEM
 */
int alchi_connfile_write(alchi_connfile_t *file, int *lock_fd_p, alch_error_t *err);

/** Remove the file, release the lock and close lock_fd. With lock_fd < 0 the function does nothing. */
void alchi_connfile_remove(const alchi_connfile_t *file, int lock_fd);

/** Read one file. *file_p is written on success only.
 *  @return ALCH_OK
 *  @return ALCH_ENOENT  there is no such file
 *  @return ALCH_EPERM   the file belongs to another user, or others have access to it
 *  @return ALCH_EPROTO  it is not a connection file
 *  @return ALCH_ESTATE  it is stale: its daemon has ended
 *  @return ALCH_ESYSTEM it cannot be read */
int alchi_connfile_read(const char *path, alchi_connfile_t *file_p, alch_error_t *err);

/** Find and read a file in the standard directories: the file for the address's host and port, or with address NULL the
 *  newest file whose daemon runs. All names of loopback mean localhost. If there is no usable file for the name of this
 *  host, the function looks for that of localhost. If the environment variable ALCHEMIST_CONNECTION is set, it is the
 *  path of the file to read.
 *  @return as alchi_connfile_read(); the text of ALCH_ENOENT names the directories */
int alchi_connfile_find(const alchi_address_t *address, alchi_connfile_t *file_p, alch_error_t *err);

#endif
