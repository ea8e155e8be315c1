/** @file base/error.h  Writing error detail. */
#ifndef ALCHI_BASE_ERROR_H
#define ALCHI_BASE_ERROR_H

#include <alchemist/error.h>

/** Set code, rank -1 and text (printf); returns `code`. err may be NULL. */
int alchi_error_set(alch_error_t *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** As alchi_error_set(), with the rank that decided it. */
int alchi_error_rank(alch_error_t *err, int code, int rank, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** As alchi_error_set() with ALCH_ESYSTEM, adding ": " and the text of the errno value `number`. */
int alchi_error_errno(alch_error_t *err, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
