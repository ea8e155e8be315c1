/** @file norms.h  Norms by their names, and sums of absolute values, as norm and cond have them. */
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

/** Read "fro", "max", "nuc", 1, -1, 2, -2, inf, -inf. @param[out] smallest_p  a negative number */
linalg_norm_t linalg_norm_parse(const char *text, bool *smallest_p);

/** Sums of so many rows or columns are added up at a time: that many doubles are allocated. */
#define LINALG_SUM_CHUNK (1 << 16)

/** The largest, or smallest, sum of absolute values of a row or column; NaN if there is one. Any layout. */
int linalg_extreme_abs_sum(linalg_t *la, const alch_block_t *a, bool rows, bool smallest, double *norm_p);

#endif
