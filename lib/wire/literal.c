/* Read the default values in signatures. */
#include "wire/kind.h"
#include "base/error.h"
#include "base/util.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A literal that is being read. It is read as the widest type of its kind, then converted to the parameter's type. */
typedef struct {
    const char *at;
    alchi_kind_t kind;
    Alchw__Value *value;
} literal_t;

static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void
make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Use the C locale: the host program may have set a locale with a decimal comma. */
static double
parse_double(const char *text, char **end_p)
{
    pthread_once(&c_locale_once, make_c_locale);
    return c_locale ? strtod_l(text, end_p, c_locale) : strtod(text, end_p);
}

static void
skip_space(literal_t *in)
{
    while (*in->at == ' ' || *in->at == '\t')
        in->at++;
}

static bool
take_word(literal_t *in, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(in->at, word, length) || isalnum((unsigned char)in->at[length]) || in->at[length] == '_')
        return false;
    in->at += length;
    return true;
}

static int
read_bool(literal_t *in)
{
    if (take_word(in, "true"))
        return alchi_value_add_i(in->value, 1);
    if (take_word(in, "false"))
        return alchi_value_add_i(in->value, 0);
    return ALCH_ETYPE;
}

static bool
starts_number(const char *text)
{
    return isdigit((unsigned char)*text) || ((*text == '-' || *text == '+') && isdigit((unsigned char)text[1]));
}

static int
read_int(literal_t *in)
{
    char *end;
    long long x;

    if (!starts_number(in->at))
        return ALCH_ETYPE;
    errno = 0;
    x = strtoll(in->at, &end, 10);
    if (errno)
        return ALCH_ETYPE;
    in->at = end;
    return alchi_value_add_i(in->value, x);
}

static int
read_uint(literal_t *in)
{
    unsigned long long x;
    char *end;

    if (!isdigit((unsigned char)*in->at))
        return ALCH_ETYPE;
    errno = 0;
    x = strtoull(in->at, &end, 10);
    if (errno)
        return ALCH_ETYPE;
    in->at = end;
    return alchi_value_add_u(in->value, x);
}

/* strtod() also accepts white space, hexadecimal numbers and "infinity(...)": refuse these. */
static bool
read_number(literal_t *in, double *x_p)
{
    const char *digits = in->at + (*in->at == '-' || *in->at == '+');
    char *end;

    if (!isdigit((unsigned char)*digits) && *digits != '.' && strncmp(digits, "inf", 3) && strncmp(digits, "nan", 3))
        return false;
    if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
        return false;
    *x_p = parse_double(in->at, &end);
    if (end == in->at)
        return false;
    in->at = end;
    return true;
}

static int
read_real(literal_t *in)
{
    double x;

    return read_number(in, &x) ? alchi_value_add_d(in->value, x) : ALCH_ETYPE;
}

/* 1, 2j, 1+2j */
static int
read_complex(literal_t *in)
{
    double re, im = 0;
    int code;

    if (!read_number(in, &re))
        return ALCH_ETYPE;
    if (*in->at == 'j') {
        in->at++;
        im = re;
        re = 0;
    } else if (*in->at == '+' || *in->at == '-') {
        if (!read_number(in, &im) || *in->at != 'j')
            return ALCH_ETYPE;
        in->at++;
    }
    code = alchi_value_add_d(in->value, re);
    return code ? code : alchi_value_add_d(in->value, im);
}

/* "text" with \" \\ \n \t */
static int
read_string(literal_t *in)
{
    char *text = malloc(strlen(in->at) + 1), *out = text;
    int code = ALCH_ETYPE;

    if (!text)
        return ALCH_ENOMEM;
    if (*in->at++ != '"')
        goto free_text;
    for (; *in->at && *in->at != '"'; in->at++) {
        if (*in->at != '\\') {
            *out++ = *in->at;
            continue;
        }
        in->at++;
        if (!*in->at || !strchr("\"\\nt", *in->at))
            goto free_text;
        *out++ = *in->at == 'n' ? '\n' : *in->at == 't' ? '\t' : *in->at;
    }
    *out = '\0';
    if (*in->at == '"' && alchi_utf8_valid(text, strlen(text))) {
        in->at++;
        code = alchi_value_add_s(in->value, text);
    }
free_text:
    free(text);
    return code;
}

/* `none`, the default of an optional matrix, is the id 0. */
static int
read_none(literal_t *in)
{
    return take_word(in, "none") ? alchi_value_add_u(in->value, 0) : ALCH_ETYPE;
}

static const struct {
    alch_type_t widest;
    int (*read)(literal_t *in);
} readers[] = {
    [ALCHI_KIND_BOOL] = {ALCH_TYPE_BOOL, read_bool},
    [ALCHI_KIND_INT] = {ALCH_TYPE_INT64, read_int},
    [ALCHI_KIND_UINT] = {ALCH_TYPE_UINT64, read_uint},
    [ALCHI_KIND_REAL] = {ALCH_TYPE_FLOAT64, read_real},
    [ALCHI_KIND_COMPLEX] = {ALCH_TYPE_COMPLEX128, read_complex},
    [ALCHI_KIND_STRING] = {ALCH_TYPE_STRING, read_string},
    [ALCHI_KIND_MATRIX] = {ALCH_TYPE_MATRIX, read_none},
};

static int
read_list(literal_t *in)
{
    int code;

    if (*in->at++ != '[')
        return ALCH_ETYPE;
    skip_space(in);
    if (*in->at == ']') {
        in->at++;
        return ALCH_OK;
    }
    for (;;) {
        skip_space(in);
        if ((code = readers[in->kind].read(in)))
            return code;
        skip_space(in);
        if (*in->at == ']') {
            in->at++;
            return ALCH_OK;
        }
        if (*in->at++ != ',')
            return ALCH_ETYPE;
    }
}

int
alchi_value_parse(const char *text, alch_type_t type, bool list, Alchw__Value **value_p, alch_error_t *err)
{
    alchi_kind_t kind = alchi_kind((unsigned)type)->kind;
    literal_t in = {text, kind, NULL};
    char name[32];
    int code;

    alchi_type_text((unsigned)type, list, name);
    if (kind == ALCHI_KIND_NONE || (kind == ALCHI_KIND_MATRIX && list))
        return alchi_error_set(err, ALCH_ETYPE, "a default of type %s cannot be written as text", name);
    in.value = alchi_value_create(readers[kind].widest, list);
    if (!in.value)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for '%s'", text);
    skip_space(&in);
    code = list ? read_list(&in) : readers[kind].read(&in);
    if (!code) {
        skip_space(&in);
        code = *in.at ? ALCH_ETYPE : ALCH_OK;
    }
    if (code)
        alchi_error_set(err, code, code == ALCH_ENOMEM ? "out of memory for '%s'" : "'%s' is not of type %s", text,
                        name);
    else
        code = alchi_value_convert(in.value, type, list, "default", value_p, err);
    alchi_message_free(in.value);
    return code;
}
