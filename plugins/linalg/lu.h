/** @file lu.h  The LU factorization of a square parameter `a`, which several operations begin with. */
#ifndef LINALG_LU_H
#define LINALG_LU_H

#include "linalg.h"

typedef struct {
    linalg_matrix_t A; /**< a copy of a, then its factors */
    int64_t n;
    int *pivots;
} linalg_lu_t;

/** Check the shape and expect the memory. */
int linalg_lu_expect(linalg_t *la, int64_t *n_p, linalg_lu_t *lu);
/** After linalg_check_memory(). *info_p > 0: that pivot is exactly zero. */
int linalg_lu_factor(linalg_t *la, linalg_lu_t *lu, int *info_p);

#endif
