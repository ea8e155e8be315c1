/* The table of ScaLAPACK routines and constants for each type of entries. */
#include "scalapack.h"

#include <float.h>

static const double zero_d[2] = {0, 0}, one_d[2] = {1, 0}, minus_d[2] = {-1, 0};
static const float zero_s[2] = {0, 0}, one_s[2] = {1, 0}, minus_s[2] = {-1, 0};

#define ROUTINES(t, rank_k)                                                                                 \
    .gemm = p##t##gemm_, .herk = rank_k, .trsm = p##t##trsm_, .geadd = p##t##geadd_, .lacpy = p##t##lacpy_, \
    .getrf = p##t##getrf_, .getrs = p##t##getrs_, .getri = p##t##getri_, .potrf = p##t##potrf_, .potrs = p##t##potrs_

static const linalg_kernels_t kernels[] = {
    {ALCH_FLOAT64, ALCH_FLOAT64, 'd', false, 8, 8, DBL_EPSILON, zero_d, one_d, minus_d, "T", ROUTINES(d, pdsyrk_)},
    {ALCH_FLOAT32, ALCH_FLOAT32, 's', false, 4, 4, FLT_EPSILON, zero_s, one_s, minus_s, "T", ROUTINES(s, pssyrk_)},
    {ALCH_COMPLEX128, ALCH_FLOAT64, 'z', true, 16, 8, DBL_EPSILON, zero_d, one_d, minus_d, "C", ROUTINES(z, pzherk_)},
    {ALCH_COMPLEX64, ALCH_FLOAT32, 'c', true, 8, 4, FLT_EPSILON, zero_s, one_s, minus_s, "C", ROUTINES(c, pcherk_)},
};

const linalg_kernels_t *
linalg_kernels(alch_dtype_t dtype)
{
    for (size_t k = 0; k < sizeof(kernels) / sizeof(*kernels); k++)
        if (kernels[k].dtype == dtype)
            return &kernels[k];
    return NULL;
}
