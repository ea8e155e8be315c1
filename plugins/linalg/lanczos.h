/**
 * @file lanczos.h
 * The largest singular values of an operator and their vectors, by a restarted block Lanczos method.
 *
 * @collective  all functions over the group. "memory" stands for ALCH_ELIMIT or ALCH_ENOMEM, as in linalg.h
 */
#ifndef LINALG_LANCZOS_H
#define LINALG_LANCZOS_H

#include "operator.h"

/** Options and results. */
typedef struct {
    int64_t k;      /**< how many singular values are wanted */
    double tol;     /**< largest residual |A^H u - s v| allowed, relative to the largest value; 0: 16 eps */
    int64_t limit;  /**< largest number of block steps; 0: 300 + 20 k */
    double *values; /**< [k] result: singular values of A itself, in descending order */
    void *U, *V;    /**< result: slices of k left and k right singular vectors; they live until the end of the call */
    int64_t steps, restarts;
    double residual; /**< largest |A^H u - s v| / values[0], as the recurrence estimates it */
} linalg_lanczos_t;

/** Read the options tol and maxiter, which belong to the parameter `count` ("k").
 *  @param given  the client gave `count`
 *  @return ALCH_OK; ALCH_ERANGE; ALCH_EINVAL the client gave tol or maxiter without `count` */
int linalg_lanczos_read_options(linalg_t *la, const char *count, bool given, linalg_lanczos_t *lanczos);
/** Choose the number of vectors in a block and in the basis for k values of an m x n matrix.
 *  @return true if the matrix is large enough for the method; otherwise the caller computes a dense decomposition */
bool linalg_lanczos_choose_sizes(int64_t m, int64_t n, int64_t k, int64_t *width_p, int64_t *depth_p);
/** Announce the memory of the method and of its operator. */
void linalg_lanczos_expect(linalg_t *la, int64_t m, int64_t n, int64_t k);
/**
 * Compute lanczos->k singular triplets.
 *
 * Method: thick-restarted block Golub-Kahan bidiagonalization with full reorthogonalization (Golub, Luk, Overton 1981;
 * Baglama, Reichel 2006). A is used in products and never squared, so values are accurate to a few eps times the
 * largest one.
 *
 * @param op  opened with the width and depth of linalg_lanczos_choose_sizes()
 * @return ALCH_OK; ALCH_ENUMERIC no convergence: the text has the number of accurate values and the residual;
 *         ALCH_ECANCELED; memory
 */
int linalg_lanczos_solve(linalg_operator_t *op, linalg_lanczos_t *lanczos);
/** Send the client a note with the numbers of steps and restarts and the largest residual. */
void linalg_lanczos_note(linalg_operator_t *op, const linalg_lanczos_t *lanczos);

#endif
