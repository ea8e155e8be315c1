/* Command-line options from a table: parsing. */
#include "base/option.h"
#include "base/error.h"
#include "base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "ALCHEMIST_"
#define NAME_BYTES 96
#define MEMBER(options, row, type) ((type *)((char *)(options) + (row)->offset))

/* The option to set, the struct that stores its value, and the source of the value for error texts: "--workers",
 * "ALCHEMIST_WORKERS". */
typedef struct {
    const alchi_option_t *row;
    void *options;
    const char *source;
    alch_error_t *err;
} target_t;

static const char *
environment_name(const alchi_option_t *row, char name[NAME_BYTES])
{
    char *c;

    snprintf(name, NAME_BYTES, PREFIX "%s", row->name);
    for (c = name; *c; c++)
        *c = *c == '-' ? '_' : (*c >= 'a' && *c <= 'z') ? (char)(*c - 'a' + 'A') : *c;
    return name;
}

/* --help and --version are not read from the environment: in container images ALCHEMIST_VERSION often has another
 * meaning. */
static bool
in_environment(const alchi_option_t *row)
{
    return strcmp(row->name, "help") && strcmp(row->name, "version");
}

static int
set_flag(const target_t *to, const char *text)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"1", true},  {"true", true},   {"yes", true}, {"on", true},
                 {"0", false}, {"false", false}, {"no", false}, {"off", false}};
    size_t k;

    for (k = 0; k < ALCHI_COUNT(words); k++) {
        if (!strcmp(text, words[k].text)) {
            *MEMBER(to->options, to->row, bool) = words[k].value;
            return ALCH_OK;
        }
    }
    return alchi_error_set(to->err, ALCH_EINVAL, "%s: '%s' is not one of 1, true, yes, on, 0, false, no, off",
                           to->source, text);
}

static int
set_int(const target_t *to, const char *text)
{
    if (alchi_parse_int64(text, to->row->min, to->row->max, MEMBER(to->options, to->row, int64_t)))
        return ALCH_OK;
    return alchi_error_set(to->err, ALCH_EINVAL, "%s: '%s' is not a number between %lld and %lld", to->source, text,
                           (long long)to->row->min, (long long)to->row->max);
}

/* A number of bytes, such as "512M". The suffix is optional. */
static bool
parse_bytes(const char *text, int64_t *bytes_p)
{
    static const char suffixes[] = "KMGT";
    size_t length = strlen(text);
    const char *suffix = length ? memchr(suffixes, text[length - 1], 4) : NULL;
    char digits[32];
    int64_t x;

    if (length >= sizeof(digits))
        return false;
    memcpy(digits, text, length + 1);
    if (suffix)
        digits[length - 1] = '\0';
    if (!alchi_parse_int64(digits, INT64_MIN, INT64_MAX, &x))
        return false;
    if (suffix && __builtin_mul_overflow(x, INT64_C(1024) << (10 * (suffix - suffixes)), &x))
        return false;
    *bytes_p = x;
    return true;
}

/* The shortest form that is exact: 268435456 as "256M". */
static char *
format_exact(int64_t bytes, char *text, size_t size)
{
    const char *suffix = "KMGT";
    int k = -1;

    while (k < 3 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        k++;
    }
    snprintf(text, size, "%lld%.*s", (long long)bytes, k < 0 ? 0 : 1, k < 0 ? "" : suffix + k);
    return text;
}

static int
set_bytes(const target_t *to, const char *text)
{
    char lo[32], hi[32];
    int64_t x;

    if (parse_bytes(text, &x) && x >= to->row->min && x <= to->row->max) {
        *MEMBER(to->options, to->row, int64_t) = x;
        return ALCH_OK;
    }
    return alchi_error_set(
        to->err, ALCH_EINVAL,
        "%s: '%s' is not a number of bytes between %s and %s (suffixes K, M, G, T are powers of 1024)", to->source,
        text, format_exact(to->row->min, lo, sizeof(lo)), format_exact(to->row->max, hi, sizeof(hi)));
}

static int
list_add(const target_t *to, const char *text, size_t length)
{
    alchi_text_list_t *list = MEMBER(to->options, to->row, alchi_text_list_t);
    char **items = realloc(list->items, (list->count + 1) * sizeof(*items)), *copy;

    if (!items)
        return alchi_error_set(to->err, ALCH_ENOMEM, "out of memory for %s", to->source);
    list->items = items;
    copy = strndup(text, length);
    if (!copy)
        return alchi_error_set(to->err, ALCH_ENOMEM, "out of memory for %s", to->source);
    items[list->count++] = copy;
    return ALCH_OK;
}

static void
list_clear(alchi_text_list_t *list)
{
    size_t k;

    for (k = 0; k < list->count; k++)
        free(list->items[k]);
    free(list->items);
    *list = (alchi_text_list_t){0};
}

/* "a:b", as in PATH. Empty parts are ignored. */
static int
list_split(const target_t *to, const char *text)
{
    size_t length;
    int code;

    list_clear(MEMBER(to->options, to->row, alchi_text_list_t));
    for (; *text; text += length + (text[length] == ':')) {
        length = strcspn(text, ":");
        if (length && (code = list_add(to, text, length)))
            return code;
    }
    return ALCH_OK;
}

static int
set_scalar(const target_t *to, const char *text)
{
    switch (to->row->type) {
    case ALCHI_OPTION_FLAG:
        return set_flag(to, text);
    case ALCHI_OPTION_INT:
        return set_int(to, text);
    case ALCHI_OPTION_BYTES:
        return set_bytes(to, text);
    default:
        *MEMBER(to->options, to->row, const char *) = text;
        return ALCH_OK;
    }
}

static int
set_default(const target_t *to)
{
    const char *text = to->row->default_text;

    switch (to->row->type) {
    case ALCHI_OPTION_FLAG:
        *MEMBER(to->options, to->row, bool) = false;
        break;
    case ALCHI_OPTION_INT:
    case ALCHI_OPTION_BYTES:
        *MEMBER(to->options, to->row, int64_t) = 0;
        break;
    case ALCHI_OPTION_TEXT:
        *MEMBER(to->options, to->row, const char *) = NULL;
        break;
    case ALCHI_OPTION_LIST:
        *MEMBER(to->options, to->row, alchi_text_list_t) = (alchi_text_list_t){0};
        return text ? list_split(to, text) : ALCH_OK;
    }
    return text ? set_scalar(to, text) : ALCH_OK;
}

/* If a service is named "alchemist", Kubernetes sets ALCHEMIST_PORT=tcp://ADDRESS:PORT in containers. Ignore that. */
static bool
is_service_address(const alchi_option_t *row, const char *text)
{
    return row->type == ALCHI_OPTION_INT && strncmp(text, "tcp://", 6) == 0;
}

/* An empty variable counts as unset. */
static int
set_from_environment(const target_t *to)
{
    const char *text = in_environment(to->row) ? getenv(to->source) : NULL;

    if (!text || !*text || is_service_address(to->row, text))
        return ALCH_OK;
    return to->row->type == ALCHI_OPTION_LIST ? list_split(to, text) : set_scalar(to, text);
}

/* @param seen  whether the option has already occurred on the command line */
static int
set_from_argument(const target_t *to, const char *text, bool seen)
{
    if (to->row->type == ALCHI_OPTION_FLAG) {
        if (text)
            return alchi_error_set(to->err, ALCH_EINVAL, "%s takes no value, but got '%s'", to->source, text);
        *MEMBER(to->options, to->row, bool) = true;
        return ALCH_OK;
    }
    if (!text)
        return alchi_error_set(to->err, ALCH_EINVAL, "%s needs a value (%s)", to->source, to->row->value);
    if (to->row->type != ALCHI_OPTION_LIST)
        return set_scalar(to, text);
    if (!seen)
        list_clear(MEMBER(to->options, to->row, alchi_text_list_t));
    return list_add(to, text, strlen(text));
}

static const alchi_option_t *
find_option(const alchi_option_t *table, size_t count, const char *name, size_t length)
{
    size_t k;

    for (k = 0; k < count; k++)
        if (strlen(table[k].name) == length && !memcmp(table[k].name, name, length))
            return &table[k];
    return NULL;
}

static int
read_arguments(const alchi_option_t *table, size_t count, int argc, char **argv, void *options, bool *seen,
               alch_error_t *err)
{
    int k;

    for (k = 1; k < argc; k++) {
        const char *argument = argv[k], *text;
        size_t length = strcspn(argument, "=");
        char source[NAME_BYTES];
        target_t to = {.options = options, .source = source, .err = err};
        int code;

        if (strncmp(argument, "--", 2))
            return alchi_error_set(err, ALCH_EINVAL, "'%s' is not an option (see --help)", argument);
        to.row = find_option(table, count, argument + 2, length - 2);
        if (!to.row)
            return alchi_error_set(err, ALCH_EINVAL, "%.*s is not an option (see --help)", (int)length, argument);
        snprintf(source, sizeof(source), "--%s", to.row->name);
        text = argument[length] ? argument + length + 1 : NULL;
        if (!text && to.row->type != ALCHI_OPTION_FLAG && k + 1 < argc)
            text = argv[++k];
        code = set_from_argument(&to, text, seen[to.row - table]);
        if (code)
            return code;
        seen[to.row - table] = true;
    }
    return ALCH_OK;
}

/* An option on the command line is not read from the environment, so that it overrides even an invalid variable. */
static int
read_all_sources(const alchi_option_t *table, size_t count, int argc, char **argv, void *options, bool *seen,
                 alch_error_t *err)
{
    char source[NAME_BYTES];
    size_t k;
    int code;

    for (k = 0; k < count; k++) {
        target_t to = {&table[k], options, source, err};

        snprintf(source, sizeof(source), "default of --%s", table[k].name);
        if ((code = set_default(&to)))
            return code;
    }
    if ((code = read_arguments(table, count, argc, argv, options, seen, err)))
        return code;
    for (k = 0; k < count; k++) {
        target_t to = {&table[k], options, environment_name(&table[k], source), err};

        if (!seen[k] && (code = set_from_environment(&to)))
            return code;
    }
    return ALCH_OK;
}

int
alchi_options_parse(const alchi_option_t *table, size_t count, int argc, char **argv, void *options, alch_error_t *err)
{
    bool *seen = calloc(count ? count : 1, sizeof(*seen));
    size_t k;
    int code;

    if (!seen)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the options");
    /* Initialize all lists first, since a failure frees all of them. */
    for (k = 0; k < count; k++)
        if (table[k].type == ALCHI_OPTION_LIST)
            *MEMBER(options, &table[k], alchi_text_list_t) = (alchi_text_list_t){0};
    code = read_all_sources(table, count, argc, argv, options, seen, err);
    if (code)
        alchi_options_fini(table, count, options);
    free(seen);
    return code;
}

void
alchi_options_fini(const alchi_option_t *table, size_t count, void *options)
{
    size_t k;

    for (k = 0; k < count; k++)
        if (table[k].type == ALCHI_OPTION_LIST)
            list_clear(MEMBER(options, &table[k], alchi_text_list_t));
}
