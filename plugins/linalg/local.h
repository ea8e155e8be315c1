/**
 * @file local.h
 * Products and factorizations within one rank, for each type of entries: thin covers of CBLAS and LAPACK.
 *
 * Matrices are column-major. Sizes are checked by the callers: they are parts of what linalg_run() let pass.
 */
#ifndef LINALG_LOCAL_H
#define LINALG_LOCAL_H

#include "scalapack.h"

#include <mpi.h>
#include <stdint.h>

/** C := alpha op(A) op(B) + beta C with op(A) of m x k, op(B) of k x n; op is the adjoint where asked for. */
void linalg_local_gemm(const linalg_kernels_t *kernels, bool adjoint_a, bool adjoint_b, int64_t m, int64_t n, int64_t k,
                       double alpha, const void *a, int64_t lda, const void *b, int64_t ldb, double beta, void *c,
                       int64_t ldc);

/** A = Q R of a tall or wide A: Q (m x min(m, n)) takes the place of A, R is min(m, n) x n with leading dimension ldr.
 *  @param work  linalg_local_qr_work_entries() entries */
void linalg_local_qr(const linalg_kernels_t *kernels, int64_t m, int64_t n, void *a, int64_t lda, void *r, int64_t ldr,
                     void *work);
/** R alone; A is destroyed. */
void linalg_local_r_factor(const linalg_kernels_t *kernels, int64_t m, int64_t n, void *a, int64_t lda, void *r,
                           int64_t ldr, void *work);
int64_t linalg_local_qr_work_entries(int64_t m, int64_t n);

/** A = U diag(s) Vh of a square A of order n (destroyed), all with leading dimension ld, by divide and conquer.
 *  Allocates about 8 n^2 entries. @return ALCH_OK, ALCH_ENOMEM, ALCH_ENUMERIC */
int linalg_local_svd(const linalg_kernels_t *kernels, int64_t n, void *a, int64_t ld, double *s, void *u, void *vh);
int64_t linalg_local_svd_bytes(const linalg_kernels_t *kernels, int64_t n);

/** B := A, columns of `count` entries. */
void linalg_local_lacpy(const linalg_kernels_t *kernels, int64_t count, int64_t n, const void *a, int64_t lda, void *b,
                        int64_t ldb);

/** Address of entry (i, j). */
static inline void *
linalg_address(const linalg_kernels_t *kernels, const void *a, int64_t lda, int64_t i, int64_t j)
{
    return (char *)(uintptr_t)a + (size_t)(i + j * lda) * kernels->entry_bytes;
}

/** What MPI counts in messages of entries: linalg_reals_per_entry() of them for each entry. */
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
