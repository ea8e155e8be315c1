/** @file base/util.h  Small functions that libc does not have. */
#ifndef ALCHI_BASE_UTIL_H
#define ALCHI_BASE_UTIL_H

#include <alchemist/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALCHI_COUNT(array) (sizeof(array) / sizeof(*(array)))
#define ALCHI_CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/** Write `count` bytes as 2 * count lower-case hexadecimal digits and a NUL. */
void alchi_hex_encode(const uint8_t *bytes, size_t count, char *text);
/** Decode 2 * count hexadecimal digits. false: the text is not that, and `bytes` is unchanged. */
bool alchi_hex_decode(const char *text, uint8_t *bytes, size_t count);

/** Get `count` random bytes from the kernel. @return ALCH_OK, ALCH_ESYSTEM */
int alchi_random(void *bytes, size_t count);

/** Whether the bytes are valid UTF-8 without NUL. */
bool alchi_utf8_valid(const char *text, size_t size);
/** Replace every byte that is not part of valid UTF-8 by '?'. Call this before sending text from files, programs or the
 * system, because receivers refuse messages with invalid strings. */
void alchi_utf8_clean(char *text);

/** Read the whole text as a decimal integer within min..max. false: the text is not such an integer, and *x_p is
 * unchanged. */
bool alchi_parse_int64(const char *text, int64_t min, int64_t max, int64_t *x_p);

/** Format a number of bytes in decimal units: "376.3 MB". `text` has at least 32 bytes. @return text */
char *alchi_format_bytes(int64_t bytes, char *text, size_t size);

/** Describe a matrix as error texts do: "7 (60000 x 784, float64)". @return text */
char *alchi_format_matrix(uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype, char *text, size_t size);

/** Format into new memory, which the caller frees. NULL: out of memory. */
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

/** Multiply. false: a factor is negative, or the product is more than INT64_MAX. */
bool alchi_mul_int64(int64_t a, int64_t b, int64_t *product_p);

#endif
