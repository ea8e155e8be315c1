/**
 * @file net/text.h
 * Clean texts of unknown origin, so that they can be sent and printed.
 */
#ifndef ALCHI_NET_TEXT_H
#define ALCHI_NET_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Copy a text. Bytes that are not valid UTF-8 and control characters become '?'.
 *
 * A peer refuses a message with a string that is not UTF-8 and closes the connection.
 *
 * @param[in]  from   NULL: an empty text
 * @param[out] to     the copy; a text that does not fit is cut between two characters
 * @param[in]  size   of `to`, in bytes
 * @param[in]  lines  whether to keep line ends and tabs
 *
 * @return to
 */
char *alchi_text_clean(const char *from, char *to, size_t size, bool lines);

#endif
