/**
 * @file base/option.h
 * Command-line options from a table: parsing, --help, the manual's table and the names of environment variables all
 * come from the same rows.
 *
 * `--workers N`, `--workers=N` and ALCHEMIST_WORKERS=N have the same effect. The command line overrides the
 * environment.
 */
#ifndef ALCHI_BASE_OPTION_H
#define ALCHI_BASE_OPTION_H

#include <alchemist/error.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    ALCHI_OPTION_FLAG,  /* bool */
    ALCHI_OPTION_INT,   /* int64_t within min..max */
    ALCHI_OPTION_BYTES, /* int64_t; suffixes K, M, G, T (powers of 1024) */
    ALCHI_OPTION_TEXT,  /* const char *, borrowed from argv or the environment */
    ALCHI_OPTION_LIST   /* alchi_text_list_t: the option may be repeated; in the environment, ':' separates the items */
} alchi_option_type_t;

typedef struct {
    char **items;
    size_t count;
} alchi_text_list_t;

typedef struct {
    const char *name; /* "workers" */
    alchi_option_type_t type;
    const char *value;        /* "N", shown in the help; NULL for flags */
    const char *default_text; /* "24960"; NULL: no default (0, NULL, an empty list) */
    const char *unit;         /* "ms", or NULL */
    const char *text;         /* one sentence for the help and the manual */
    size_t offset;            /* of the member in the options struct, bytes */
    int64_t min, max;         /* limits of a number, inclusive */
} alchi_option_t;

/**
 * Set the defaults, read argv[1..], then read the environment (prefix "ALCHEMIST_") for the options that argv does not
 * give. An invalid variable is therefore not an error if argv gives the option.
 *
 * @param[out] options  the struct that holds the members at the rows' offsets; free its lists with
 *                      alchi_options_fini(). On failure its lists are freed
 *
 * @return ALCH_OK; ALCH_EINVAL: the text names the option, the value and the allowed values; ALCH_ENOMEM
 */
int alchi_options_parse(const alchi_option_t *table, size_t count, int argc, char **argv, void *options,
                        alch_error_t *err);
/** Free the lists in the options. */
void alchi_options_fini(const alchi_option_t *table, size_t count, void *options);

/** Print the help text of the rows to standard output. */
void alchi_options_help(const alchi_option_t *table, size_t count, const char *usage);

/** Print the rows for the manual, as source of the man macros, to standard output. */
void alchi_options_man(const alchi_option_t *table, size_t count);

#endif
