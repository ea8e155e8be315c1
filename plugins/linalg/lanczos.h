/**
 * @file leading.h
 * The largest singular values of an operator with their vectors, by a restarted Lanczos method.
 */
#ifndef LINALG_LANCZOS_H
#define LINALG_LANCZOS_H

#include "operator.h"

/** What is wanted, and what came of it. */
typedef struct {
    int64_t k;      /**< how many */
    double tol;     /**< largest |A^H u - s v| allowed, relative to the largest value; 0: working precision */
    int64_t limit;  /**< block steps; 0: 300 + 20 k */
    double *values; /**< [k], falling, of A itself */
    void *U, *V;    /**< slices of k left and right vectors */
    int64_t steps, restarts;
    double residual; /**< largest |A^H u - s v| / values[0], as the recurrence gives it */
} linalg_lanczos_t;

/** Take tol and maxiter, which go with the parameter `count` ("k"); given: whether that was.
 *  @return ALCH_OK; ALCH_ERANGE; ALCH_EINVAL one of them without it */
int linalg_lanczos_read_options(linalg_t *la, const char *count, bool given, linalg_lanczos_t *lanczos);
/** Vectors in a block and in a basis for k values of an m x n matrix. @return whether there is room for the method:
 *  else a dense decomposition is the better way */
bool linalg_lanczos_choose_sizes(int64_t m, int64_t n, int64_t k, int64_t *width_p, int64_t *depth_p);
/** Expect its memory besides that of the operator. */
void linalg_lanczos_expect(linalg_t *la, int64_t m, int64_t n, int64_t k);
/**
 * Thick-restarted block Golub-Kahan bidiagonalization with full reorthogonalization (Golub, Luk, Overton 1981; Baglama,
 * Reichel 2006). A is only multiplied with, never squared: values are accurate to a few eps times the largest one. The
 * vectors belong to the operator's call.
 * @param op  opened with the width and depth of linalg_lanczos_choose_sizes()
 * @return ALCH_OK; ALCH_ENUMERIC not converged, with count and residual; ALCH_ECANCELED; memory
 */
int linalg_lanczos_solve(linalg_operator_t *op, linalg_lanczos_t *lanczos);
/** Tell the client how it went. */
void linalg_lanczos_note(linalg_operator_t *op, const linalg_lanczos_t *lanczos);

#endif
