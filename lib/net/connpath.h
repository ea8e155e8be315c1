/**
 * @file net/connpath.h
 * Where connection files are and what they are called.
 */
#ifndef ALCHI_NET_CONNPATH_H
#define ALCHI_NET_CONNPATH_H

#include "net/address.h"

#define ALCHI_CONNPATH_MAX 4096

/** The directories in which a connection file may be, the first being the one to write to. Returns how many (at
 *  most 2). */
int alchi_connpath_dirs(char dirs[2][ALCHI_CONNPATH_MAX]);

/** Whether a directory is ours alone. @return ALCH_OK, ALCH_ENOENT, ALCH_EPERM, ALCH_ESYSTEM */
int alchi_connpath_check(const char *dir, alch_error_t *err);

/** DIR/alchemist-HOST-PORT.json, with one name for all spellings of this host's loopback.
 *  @return ALCH_OK, ALCH_ELIMIT (too long) */
int alchi_connpath_name(const char *dir, const alchi_address_t *address, char *path, size_t size, alch_error_t *err);

#endif
