/**
 * @file net/connpath.h
 * The directories and names of connection files.
 */
#ifndef ALCHI_NET_CONNPATH_H
#define ALCHI_NET_CONNPATH_H

#include "net/address.h"

#define ALCHI_CONNPATH_MAX 4096

/** List the directories that may hold a connection file; a daemon writes to the first. Returns how many (at most 2). */
int alchi_connpath_dirs(char dirs[2][ALCHI_CONNPATH_MAX]);

/** Check that a directory belongs to this user and that no other user has access to it.
 *  @return ALCH_OK; ALCH_ENOENT; ALCH_EPERM: another user owns it or has access to it; ALCH_ESYSTEM: it is not a
 *          directory, or stat() failed */
int alchi_connpath_check(const char *dir, alch_error_t *err);

/** Write DIR/alchemist-HOST-PORT.json. All names of this host's loopback give the same path.
 *  @return ALCH_OK, ALCH_ELIMIT (the path is too long) */
int alchi_connpath_name(const char *dir, const alchi_address_t *address, char *path, size_t size, alch_error_t *err);

#endif
