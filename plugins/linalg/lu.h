/** @file lu.h  LU factorization of the square parameter `a`, with which several operations begin. */
#ifndef LINALG_LU_H
#define LINALG_LU_H

#include "linalg.h"

typedef struct {
    linalg_matrix_t A; /**< a copy of a, which linalg_lu_factor() overwrites with the factors */
    int64_t n;
    int *pivots;
} linalg_lu_t;

/** Check that `a` is square, and announce the memory of the factorization. @return ALCH_OK; ALCH_EINVAL */
int linalg_lu_expect(linalg_t *la, int64_t *n_p, linalg_lu_t *lu);
/** Copy and factor `a`; to be called after linalg_check_memory().
 *  @param[out] info_p  > 0: that pivot, counted from 1, is exactly zero
 *  @return ALCH_OK; ALCH_ENUMERIC an entry is not finite; ALCH_ECANCELED; ALCH_ELIMIT, ALCH_ENOMEM */
int linalg_lu_factor(linalg_t *la, linalg_lu_t *lu, int *info_p);

#endif
