/**
 * @file types.h
 * Types shared by all parts: entries, rectangles, the version.
 */
#ifndef ALCHEMIST_TYPES_H
#define ALCHEMIST_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Entry types of matrices. The values travel over the wire. */
typedef enum {
    ALCH_FLOAT64 = 1,
    ALCH_FLOAT32 = 2,
    ALCH_COMPLEX128 = 3,
    ALCH_COMPLEX64 = 4,
    ALCH_INT64 = 5,
    ALCH_INT32 = 6
} alch_dtype_t;

/** Bytes of one entry (16, 8 or 4); 0 for an unknown type. @threads MT-Safe */
size_t alch_dtype_size(alch_dtype_t dtype);

/** NumPy's name of an entry type, "float64" for example; NULL if unknown. @threads MT-Safe */
const char *alch_dtype_name(alch_dtype_t dtype);

/** A rectangle of entries: first row and column (from 0), rows, columns. */
typedef struct {
    int64_t i, j;
    int64_t m, n;
} alch_rect_t;

/** The version of the library that is loaded, "0.1.0" for example. @threads MT-Safe */
const char *alch_version(void);

#ifdef __cplusplus
}
#endif
#endif
