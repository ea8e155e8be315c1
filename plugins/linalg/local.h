/**
 * @file local.h
 * Matrix products and factorizations within one rank, for each type of entries: thin wrappers of CBLAS and LAPACK.
 *
 * Matrices are column-major. The functions do not check sizes: these are local pieces of matrices that are within
 * 32-bit indices. None of the functions is collective.
 */
#ifndef LINALG_LOCAL_H
#define LINALG_LOCAL_H

#include "scalapack.h"

#include <mpi.h>
#include <stdint.h>

/** C := alpha op(A) op(B) + beta C with op(A) of m x k, op(B) of k x n; op(X) is X or, if `adjoint_x`, its
 *  adjoint. */
void linalg_local_gemm(const linalg_kernels_t *kernels, bool adjoint_a, bool adjoint_b, int64_t m, int64_t n, int64_t k,
                       double alpha, const void *a, int64_t lda, const void *b, int64_t ldb, double beta, void *c,
                       int64_t ldc);

/** Factor a tall or wide A = Q R. Q (m x min(m, n)) overwrites A; R is min(m, n) x n with leading dimension ldr.
 *  @param work  linalg_local_qr_work_entries() entries */
void linalg_local_qr(const linalg_kernels_t *kernels, int64_t m, int64_t n, void *a, int64_t lda, void *r, int64_t ldr,
                     void *work);
/** Compute R only. A is overwritten. */
void linalg_local_r_factor(const linalg_kernels_t *kernels, int64_t m, int64_t n, void *a, int64_t lda, void *r,
                           int64_t ldr, void *work);
int64_t linalg_local_qr_work_entries(int64_t m, int64_t n);

/** Decompose a square A = U diag(s) Vh of order n by divide and conquer (xGESDD). A is overwritten; A, U and Vh have
 *  leading dimension ld. Allocates linalg_local_svd_bytes() while it runs. @return ALCH_OK, ALCH_ENOMEM, ALCH_ENUMERIC
 */
int linalg_local_svd(const linalg_kernels_t *kernels, int64_t n, void *a, int64_t ld, double *s, void *u, void *vh);
int64_t linalg_local_svd_bytes(const linalg_kernels_t *kernels, int64_t n);

/** B := A, for n columns of `count` entries. */
void linalg_local_lacpy(const linalg_kernels_t *kernels, int64_t count, int64_t n, const void *a, int64_t lda, void *b,
                        int64_t ldb);

/** Address of entry (i, j). */
static inline void *
linalg_address(const linalg_kernels_t *kernels, const void *a, int64_t lda, int64_t i, int64_t j)
{
    return (char *)(uintptr_t)a + (size_t)(i + j * lda) * kernels->entry_bytes;
}

/** The MPI type of a real or imaginary part. A message of entries has linalg_reals_per_entry() of them for each
 *  entry. */
static inline MPI_Datatype
linalg_mpi_type(const linalg_kernels_t *kernels)
{
    return kernels->real_bytes == 8 ? MPI_DOUBLE : MPI_FLOAT;
}

static inline int
linalg_reals_per_entry(const linalg_kernels_t *kernels)
{
    return kernels->is_complex ? 2 : 1;
}

#endif
