/* Error codes and the text of errors. */
#include "base/error.h"
#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *text;
} codes[] = {
#define CODE_ROW(name, value, text) [value] = {#name, text},
    ALCH_ERROR_LIST(CODE_ROW)
#undef CODE_ROW
};

const char *
alch_strerror(int code)
{
    if (code < 0 || (size_t)code >= ALCHI_COUNT(codes) || !codes[code].text)
        return "unknown error";
    return codes[code].text;
}

const char *
alch_errname(int code)
{
    if (code < 0 || (size_t)code >= ALCHI_COUNT(codes) || !codes[code].name)
        return "ALCH_E?";
    return codes[code].name;
}

/* The arguments may contain err->text itself, so format into another buffer. Messages carry the text, so it must be
 * UTF-8. */
static void
set_error(alch_error_t *err, int code, int rank, const char *suffix, const char *format, va_list args)
{
    char text[ALCH_ERROR_TEXT_MAX];
    int saved = errno;
    size_t length;

    if (!err)
        return;
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    length = strlen(text);
    if (suffix)
        snprintf(text + length, sizeof(text) - length, ": %s", suffix);
    alchi_utf8_clean(text);
    err->code = code;
    err->rank = rank;
    memcpy(err->text, text, sizeof(text));
    errno = saved;
}

int
alchi_error_set(alch_error_t *err, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_error(err, code, -1, NULL, format, args);
    va_end(args);
    return code;
}

int
alchi_error_rank(alch_error_t *err, int code, int rank, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_error(err, code, rank, NULL, format, args);
    va_end(args);
    return code;
}

int
alchi_error_errno(alch_error_t *err, int number, const char *format, ...)
{
    char buffer[128];
    va_list args;

    va_start(args, format);
    set_error(err, ALCH_ESYSTEM, -1, strerror_r(number, buffer, sizeof(buffer)), format, args);
    va_end(args);
    return ALCH_ESYSTEM;
}
