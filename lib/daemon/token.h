/** @file daemon/token.h  The driver's token: from a file, made anew, or as the connection file says. */
#ifndef ALCHI_DAEMON_TOKEN_H
#define ALCHI_DAEMON_TOKEN_H

#include "net/auth.h"

/** Read 64 hexadecimal digits. @return ALCH_OK; ALCH_ENOENT; ALCH_EPERM: not ours, or readable by others; ALCH_EINVAL;
 * ALCH_ESYSTEM */
int alchi_dmn_token_read(const char *path, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err);
/** Read the file, or make it (0600) with a random token. */
int alchi_dmn_token_read_or_make(const char *path, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err);

#endif
