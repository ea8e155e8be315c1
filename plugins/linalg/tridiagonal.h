/**
 * @file tridiagonal.h
 * Reduction of a Hermitian matrix to tridiagonal form, A = Q T Q^H, and the eigenvalues and eigenvectors of T.
 *
 * T is real, also if A is complex.
 *
 * @collective  all functions over the group. "memory" stands for ALCH_ELIMIT or ALCH_ENOMEM, as in linalg.h
 */
#ifndef LINALG_TRIDIAGONAL_H
#define LINALG_TRIDIAGONAL_H

#include "linalg.h"

typedef struct {
    linalg_matrix_t *A; /**< n x n; below its diagonal the Householder reflectors of Q */
    double *d, *e;      /**< [n] diagonal and subdiagonal of T, the same on all ranks */
    void *tau, *work;
    int lwork;
} linalg_tridiagonal_t;

/** Announce the memory of linalg_tridiagonal_reduce(), of linalg_tridiagonal_eigenvalues(), and of
 *  linalg_tridiagonal_back_transform() on a matrix of at most `columns` columns. */
void linalg_tridiagonal_expect(linalg_t *la, int64_t n, int64_t columns);
/** Reduce A in place (PxSYTRD). Only the lower triangle of A is read. n > 0
 *  @return ALCH_OK; ALCH_ECANCELED; memory */
int linalg_tridiagonal_reduce(linalg_t *la, linalg_matrix_t *A, int64_t columns, linalg_tridiagonal_t *tri);
/** Z := Q Z, Z of n rows (PxORMTR). @return ALCH_OK; ALCH_ECANCELED */
int linalg_tridiagonal_back_transform(linalg_t *la, const linalg_tridiagonal_t *tri, linalg_matrix_t *Z);

/** Overwrite d with all eigenvalues, in ascending order, on all ranks. Method: root-free QL (LAPACK DSTERF) on rank 0.
 *  @return ALCH_OK; ALCH_ENUMERIC no convergence; ALCH_ECANCELED */
int linalg_tridiagonal_eigenvalues(linalg_t *la, linalg_tridiagonal_t *tri);

/** Announce the memory of linalg_tridiagonal_eig_subset(). */
void linalg_tridiagonal_eig_subset_expect(linalg_t *la, int64_t n, int64_t count);
/**
 * Compute eigenvalues first .. first + count - 1 of T and their vectors on rank 0.
 *
 * Method: bisection, and inverse iteration with reorthogonalization (LAPACK DSTEVX). It takes n count^2 operations
 * where eigenvalues are close.
 * @param[out] w_p  [count] on all ranks
 * @param[out] Z    a new n x count matrix
 * @return ALCH_OK; ALCH_ENUMERIC no convergence, or vectors that are not orthogonal; ALCH_ECANCELED; memory
 */
int linalg_tridiagonal_eig_subset(linalg_t *la, const linalg_tridiagonal_t *tri, int64_t first, int64_t count,
                                  double **w_p, linalg_matrix_t *Z);

/** Announce the memory of linalg_tridiagonal_eig_all() and of linalg_tridiagonal_select_columns(), which keeps `kept`
 *  columns. */
void linalg_tridiagonal_eig_all_expect(linalg_t *la, int64_t n, int64_t kept);
/**
 * Compute all eigenvalues of T and their vectors by divide and conquer on all ranks (PxSTEDC; Tisseur, Dongarra 1999).
 * @param[out] w_p  [n] on all ranks
 * @param[out] V    a new n x n matrix of reals, also if the call is complex
 * @return ALCH_OK; ALCH_ENUMERIC no convergence; ALCH_ECANCELED; memory
 */
int linalg_tridiagonal_eig_all(linalg_t *la, const linalg_tridiagonal_t *tri, double **w_p, linalg_matrix_t *V);
/** Make Z of the columns first .. first + count - 1 of V, in the type of the call. V is freed or becomes Z.
 *  @return ALCH_OK; memory */
int linalg_tridiagonal_select_columns(linalg_t *la, linalg_matrix_t *V, int64_t first, int64_t count,
                                      linalg_matrix_t *Z);

#endif
