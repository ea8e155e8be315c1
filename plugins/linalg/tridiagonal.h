/**
 * @file tridiagonal.h
 * Hermitian matrices by way of tridiagonal form: A = Q T Q^H, and the eigenvalues and vectors of T.
 *
 * All functions are collective over the group. T is real, also that of a complex matrix.
 */
#ifndef LINALG_TRIDIAGONAL_H
#define LINALG_TRIDIAGONAL_H

#include "linalg.h"

typedef struct {
    linalg_matrix_t *A; /**< n x n; below its diagonal the reflectors that Q is made of */
    double *d, *e;      /**< [n] diagonal of T and what is below it, the same on all ranks */
    void *tau, *work;
    int lwork;
} linalg_tridiagonal_t;

/** Memory of linalg_tridiagonal_reduce(), linalg_tridiagonal_eigenvalues() and linalg_tridiagonal_back_transform() with
 * up to `columns`. */
void linalg_tridiagonal_expect(linalg_t *la, int64_t n, int64_t columns);
/** Reduce A, of which the lower triangle counts, in place (PxSYTRD). n > 0 */
int linalg_tridiagonal_reduce(linalg_t *la, linalg_matrix_t *A, int64_t columns, linalg_tridiagonal_t *tri);
/** Z := Q Z, Z of n rows (PxORMTR). */
int linalg_tridiagonal_back_transform(linalg_t *la, const linalg_tridiagonal_t *tri, linalg_matrix_t *Z);

/** All eigenvalues, rising, on all ranks: d becomes them. Root-free QL (LAPACK DSTERF) on rank 0. */
int linalg_tridiagonal_eigenvalues(linalg_t *la, linalg_tridiagonal_t *tri);

/** Memory of linalg_tridiagonal_eig_subset(). */
void linalg_tridiagonal_eig_subset_expect(linalg_t *la, int64_t n, int64_t count);
/**
 * Eigenvalues first .. first + count - 1 of T and their vectors, on rank 0: bisection and inverse iteration with
 * reorthogonalization (LAPACK DSTEVX). Takes n count^2 operations where values are close.
 * @param[out] w_p  [count] on all ranks
 * @param[out] Z    a new n x count matrix
 * @return ALCH_OK; ALCH_ENUMERIC no convergence, or vectors that are not orthogonal
 */
int linalg_tridiagonal_eig_subset(linalg_t *la, const linalg_tridiagonal_t *tri, int64_t first, int64_t count,
                                  double **w_p, linalg_matrix_t *Z);

/** Memory of linalg_tridiagonal_eig_all() and, if not all columns are `kept`, of linalg_tridiagonal_select_columns().
 */
void linalg_tridiagonal_eig_all_expect(linalg_t *la, int64_t n, int64_t kept);
/**
 * All eigenvalues of T and their vectors by divide and conquer on all ranks (PxSTEDC; Tisseur, Dongarra 1999).
 * @param[out] w_p  [n] on all ranks
 * @param[out] V    a new n x n matrix, of reals also if the call is complex
 */
int linalg_tridiagonal_eig_all(linalg_t *la, const linalg_tridiagonal_t *tri, double **w_p, linalg_matrix_t *V);
/** Z := columns first .. first + count - 1 of V, in the type of the call; V is freed, or becomes Z. */
int linalg_tridiagonal_select_columns(linalg_t *la, linalg_matrix_t *V, int64_t first, int64_t count,
                                      linalg_matrix_t *Z);

#endif
