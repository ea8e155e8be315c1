/** @file daemon/token.h  The token file: 64 hexadecimal digits that clients and agents must know. */
#ifndef ALCHI_DAEMON_TOKEN_H
#define ALCHI_DAEMON_TOKEN_H

#include "net/auth.h"

/**
 * Read the token.
 *
 * @return ALCH_OK
 * @return ALCH_ENOENT   there is no such file
 * @return ALCH_EPERM    the file belongs to another user, or other users can read it
 * @return ALCH_EINVAL   the file does not hold 64 hexadecimal digits
 * @return ALCH_ESYSTEM  the file cannot be read
 */
int alchi_dmn_token_read(const char *path, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err);
/**
 * Read the token. If there is no such file, create one (mode 0600) with a random token.
 *
 * @return as alchi_dmn_token_read(), but not ALCH_ENOENT
 * @return ALCH_ESYSTEM  also when the file cannot be written, or the system has no random numbers
 */
int alchi_dmn_token_read_or_create(const char *path, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err);

#endif
