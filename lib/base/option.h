/**
 * @file base/option.h
 * Command-line options from a table: parsing, --help, the manual's table and
 * the names of environment variables all come from the same rows.
 *
 * `--workers N`, `--workers=N` and ALCHEMIST_WORKERS=N are the same; the command
 * line wins over the environment.
 */
#ifndef ALCHI_BASE_OPTION_H
#define ALCHI_BASE_OPTION_H

#include <alchemist/error.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    ALCHI_OPTION_FLAG,  /* bool */
    ALCHI_OPTION_INT,   /* int64_t within lo..hi */
    ALCHI_OPTION_BYTES, /* int64_t; suffixes K, M, G, T (powers of 1024) */
    ALCHI_OPTION_TEXT,  /* const char *, borrowed from argv or the environment */
    ALCHI_OPTION_LIST   /* alchi_text_list_t: may be repeated; environment: separated by ':' */
} alchi_option_type_t;

typedef struct {
    char **items;
    size_t count;
} alchi_text_list_t;

typedef struct {
    const char *name; /* "workers" */
    alchi_option_type_t type;
    const char *value;        /* "N", shown in the help; NULL for flags */
    const char *default_text; /* "24960"; NULL: none (0, NULL, empty list) */
    const char *unit;         /* "ms", or NULL */
    const char *text;         /* one sentence for the help and the manual */
    size_t offset;            /* of the member in the options struct */
    int64_t lo, hi;           /* for numbers */
} alchi_option_t;

/**
 * Set defaults, read the environment (prefix "ALCHEMIST_"), then argv[1..].
 *
 * @param[out] options  the struct the offsets point into; list members are owned by it
 * @return ALCH_OK; ALCH_EINVAL naming option, value and what is allowed
 */
int alchi_options_parse(const alchi_option_t *table, size_t count, int argc, char **argv, void *options,
                        alch_error_t *err);
void alchi_options_fini(const alchi_option_t *table, size_t count, void *options);

/** Print the help text of the rows to standard output. */
void alchi_options_help(const alchi_option_t *table, size_t count, const char *usage);

/** Print the rows as a table for the manual (mdoc/man source) to standard output. */
void alchi_options_man(const alchi_option_t *table, size_t count);

#endif
