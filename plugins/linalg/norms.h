/** @file norms.h  Names of matrix norms, and sums of absolute values, for the operations norm and cond. */
#ifndef LINALG_NORMS_H
#define LINALG_NORMS_H

#include "linalg.h"

typedef enum {
    LINALG_NORM_FRO,
    LINALG_NORM_MAX,
    LINALG_NORM_COLUMNS,  /* 1, -1 */
    LINALG_NORM_ROWS,     /* inf, -inf */
    LINALG_NORM_SPECTRAL, /* 2, -2 */
    LINALG_NORM_NUCLEAR,
    LINALG_NORM_UNKNOWN
} linalg_norm_t;

/** Parse "fro", "max", "nuc", 1, -1, 2, -2, inf, -inf. Not collective.
 *  @param[out] smallest_p  the number is negative: the smallest sum or value is wanted instead of the largest */
linalg_norm_t linalg_norm_parse(const char *text, bool *smallest_p);

/** Rows or columns whose sums are computed in one reduction. That bounds the buffer to half a MiB of doubles. */
#define LINALG_SUM_CHUNK (1 << 16)

/** The largest, or smallest, sum of absolute values of a row or column; NaN if an entry is NaN. Any layout.
 *  @collective yes @return ALCH_OK; ALCH_ELIMIT, ALCH_ENOMEM */
int linalg_extreme_abs_sum(linalg_t *la, const alch_block_t *a, bool rows, bool smallest, double *norm_p);

#endif
