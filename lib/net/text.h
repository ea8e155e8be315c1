/**
 * @file net/text.h
 * Texts of unknown origin, made fit to be sent and printed.
 */
#ifndef ALCHI_NET_TEXT_H
#define ALCHI_NET_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Copy a text (NULL: none), cut to `size` between characters: bytes that are not UTF-8 become '?', control
 * characters too, but for line ends and tabs with `lines`.
 *
 * A peer refuses a message with a string that is not UTF-8, and closes.
 *
 * @return to
 */
char *alchi_text_clean(const char *from, char *to, size_t size, bool lines);

#endif
