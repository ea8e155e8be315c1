/**
 * @file alchemist/types.h
 * Types that all parts share: entry types, rectangles, the version.
 */
#ifndef ALCHEMIST_TYPES_H
#define ALCHEMIST_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Entry types of matrices. Complex entries are pairs (real, imaginary), as in
 * C and Fortran. The values travel over the wire and never change.
 */
typedef enum {
    ALCH_FLOAT64 = 1,
    ALCH_FLOAT32 = 2,
    ALCH_COMPLEX128 = 3, /**< two float64 */
    ALCH_COMPLEX64 = 4,  /**< two float32 */
    ALCH_INT64 = 5,
    ALCH_INT32 = 6
} alch_dtype_t;

/**
 * The size of one entry.
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      16, 8 or 4 bytes; 0 for an unknown type
 */
size_t alch_dtype_size(alch_dtype_t dtype);

/**
 * NumPy's name of an entry type, for example "float64".
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      a static string; NULL for an unknown type
 */
const char *alch_dtype_name(alch_dtype_t dtype);

/**
 * A rectangle of entries of a matrix. Rows and columns are counted from 0 and
 * are those of the whole matrix, whatever its layout.
 */
typedef struct {
    int64_t i, j; /**< first row, first column */
    int64_t m, n; /**< number of rows, number of columns; 0 is allowed */
} alch_rect_t;

/**
 * The version of the library that is loaded, for example "0.1.0".
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      a static string, never NULL
 */
const char *alch_version(void);

#ifdef __cplusplus
}
#endif
#endif
