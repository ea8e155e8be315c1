/** @file base/error.h  Fill in the details of an error. MT-Safe on different structs. */
#ifndef ALCHI_BASE_ERROR_H
#define ALCHI_BASE_ERROR_H

#include <alchemist/error.h>

/** Set the code, the rank -1 (no rank) and the text. @param err  NULL: nothing is set. @return code */
int alchi_error_set(alch_error_t *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** As alchi_error_set(), with the rank at which the error occurred. */
int alchi_error_rank(alch_error_t *err, int code, int rank, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** Set ALCH_ESYSTEM, and append ": " and the text of the errno value `number`. @return ALCH_ESYSTEM */
int alchi_error_errno(alch_error_t *err, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
