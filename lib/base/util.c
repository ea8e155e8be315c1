/* Small functions that libc does not have. */
#include "base/util.h"

#include <alchemist/error.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void
alchi_hex_encode(const uint8_t *bytes, size_t count, char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t k;

    for (k = 0; k < count; k++) {
        text[2 * k] = digits[bytes[k] >> 4];
        text[2 * k + 1] = digits[bytes[k] & 15];
    }
    text[2 * count] = '\0';
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool
alchi_hex_decode(const char *text, uint8_t *bytes, size_t count)
{
    size_t k;

    if (strnlen(text, 2 * count + 1) != 2 * count)
        return false;
    for (k = 0; k < 2 * count; k++)
        if (hex_digit(text[k]) < 0)
            return false;
    for (k = 0; k < count; k++)
        bytes[k] = (uint8_t)(hex_digit(text[2 * k]) << 4 | hex_digit(text[2 * k + 1]));
    return true;
}

int
alchi_random(void *bytes, size_t count)
{
    size_t done = 0;

    while (done < count) {
        ssize_t n = getrandom((char *)bytes + done, count - done, 0);

        if (n < 0 && errno != EINTR)
            return ALCH_ESYSTEM;
        if (n > 0)
            done += (size_t)n;
    }
    return ALCH_OK;
}

/* Number of bytes of the UTF-8 character at `s`. 0: NUL, a surrogate, an overlong form, or not UTF-8. */
static size_t
utf8_char(const uint8_t *s, size_t size)
{
    size_t length, k;
    uint32_t c;

    if (s[0] < 0x80)
        return s[0] ? 1 : 0;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        length = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        length = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (length > size)
        return 0;
    c = s[0] & (0x7fu >> length);
    for (k = 1; k < length; k++) {
        if ((s[k] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[k] & 0x3fu);
    }
    if ((length == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) || (length == 4 && (c < 0x10000 || c > 0x10ffff)))
        return 0;
    return length;
}

bool
alchi_utf8_valid(const char *text, size_t size)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t n;

    for (; size; s += n, size -= n)
        if (!(n = utf8_char(s, size)))
            return false;
    return true;
}

void
alchi_utf8_clean(char *text)
{
    size_t size = strlen(text), n;

    for (; size; text += n, size -= n) {
        n = utf8_char((const uint8_t *)text, size);
        if (!n) {
            *text = '?';
            n = 1;
        }
    }
}

bool
alchi_parse_int64(const char *text, int64_t min, int64_t max, int64_t *x_p)
{
    const char *digits = text + (*text == '-');
    int64_t x = 0;

    if (!*digits)
        return false;
    for (; *digits; digits++) {
        if (*digits < '0' || *digits > '9')
            return false;
        /* Compute the negative of the number, since -INT64_MIN is not an int64. */
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_sub_overflow(x, *digits - '0', &x))
            return false;
    }
    if (*text != '-') {
        if (x == INT64_MIN)
            return false;
        x = -x;
    }
    if (x < min || x > max)
        return false;
    *x_p = x;
    return true;
}

char *
alchi_format_bytes(int64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double x = (double)bytes, sign = bytes < 0 ? -1 : 1;
    size_t unit = 0;

    x *= sign;
    /* 999.95 kB is 1.0 MB, because rounding would print it as 1000.0 kB. */
    while (unit + 1 < ALCHI_COUNT(units) && x >= (unit ? 999.95 : 1000)) {
        x /= 1000;
        unit++;
    }
    snprintf(text, size, "%.*f %s", unit ? 1 : 0, sign * x, units[unit]);
    return text;
}

char *
alchi_format_matrix(uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype, char *text, size_t size)
{
    const char *name = alch_dtype_name(dtype);

    snprintf(text, size, "%llu (%lld x %lld, %s)", (unsigned long long)id, (long long)m, (long long)n,
             name ? name : "?");
    return text;
}

char *
alchi_asprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? NULL : text;
}

bool
alchi_mul_int64(int64_t a, int64_t b, int64_t *product_p)
{
    int64_t product;

    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product))
        return false;
    *product_p = product;
    return true;
}
