/** @file base/util.h  Small things that libc lacks. */
#ifndef ALCHI_BASE_UTIL_H
#define ALCHI_BASE_UTIL_H

#include <alchemist/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALCHI_COUNT(array) (sizeof(array) / sizeof(*(array)))
#define ALCHI_CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/** `count` bytes as 2 * count lower-case digits and a NUL. */
void alchi_hex_encode(const uint8_t *bytes, size_t count, char *text);
/** false unless text is exactly 2 * count hexadecimal digits. */
bool alchi_hex_decode(const char *text, uint8_t *bytes, size_t count);

/** Fill with random bytes of the kernel; ALCH_OK or ALCH_ESYSTEM. */
int alchi_random(void *bytes, size_t count);

/** Whether the bytes are valid UTF-8 without NUL. */
bool alchi_utf8_valid(const char *text, size_t size);
/** Replace every byte that is not part of valid UTF-8 by '?': for text from files, programs and systems that
 *  is about to be sent, since receivers refuse messages with invalid strings. */
void alchi_utf8_clean(char *text);

/** Whole text as a decimal integer within lo..hi; false and untouched otherwise. */
bool alchi_parse_int64(const char *text, int64_t lo, int64_t hi, int64_t *x_p);

/** "376.3 MB": decimal units, as the manual uses them. text has at least 32 bytes; returns text. */
char *alchi_format_bytes(int64_t bytes, char *text, size_t size);

/** "7 (60000 x 784, float64)": how errors name a matrix. Returns text. */
char *alchi_format_matrix(uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype, char *text, size_t size);

/** strdup of a printf; NULL: out of memory. */
char *alchi_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline int64_t
alchi_min_int64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t
alchi_max_int64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/** a * b, false on overflow of int64 or negative factors. */
bool alchi_mul_int64(int64_t a, int64_t b, int64_t *product_p);

#endif
