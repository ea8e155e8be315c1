/**
 * @file operator.h
 * A matrix as a linear operator on blocks of vectors, for iterative methods that use A only in products.
 *
 * A "right" vector has n entries, as a row of A; a "left" vector has m entries, as a column of A. Every rank holds a
 * slice of each vector. For left vectors, the ranks of one grid row share the rows of A that this grid row owns in
 * equal slices; for right vectors, the ranks of one grid column share its columns. The slices of all ranks are disjoint
 * and together are the whole vector. A block of b vectors is a column-major array of (slice rows) x b.
 *
 * Inner products are sums over all ranks. Small matrices that are made of them therefore have the same bits on every
 * rank.
 *
 * @collective  all functions over the group, also on ranks outside the grid: their slices are empty
 *
 * "memory" stands for ALCH_ELIMIT or ALCH_ENOMEM, as in linalg.h.
 */
#ifndef LINALG_OPERATOR_H
#define LINALG_OPERATOR_H

#include "linalg.h"
#include "local.h"

/** The distribution of left or right vectors. */
typedef struct {
    int64_t count; /**< local rows (left) or columns (right) of A, which `parts` ranks share */
    int64_t first; /**< index of the slice's first row among them */
    int64_t rows;  /**< rows of the slice */
    int parts;     /**< ranks that share them; this rank has slice number `part` */
    int part;
    MPI_Comm comm; /**< the ranks that share them; MPI_COMM_NULL: this rank has them alone */
    int *counts;   /**< [parts] scratch: message lengths, in reals */
    int *displs;   /**< [parts] scratch: displacements, in reals */
} linalg_side_t;

typedef struct {
    linalg_t *la;
    const linalg_matrix_t *A;
    linalg_side_t left, right;
    int64_t width;  /**< the largest number of vectors in a block */
    int64_t depth;  /**< the largest number of vectors in a basis */
    double scale;   /**< a power of two: the largest entry of scale * A is in [1/2, 1). All products use scale * A */
    double largest; /**< largest magnitude of a real or imaginary part in A */
    void *packed;   /**< [packed_entries] scratch: the slices of several ranks, or some rows of a basis */
    int64_t packed_entries;
    void *full;           /**< [left.count + right.count, width] scratch: whole local vectors, where ranks share them */
    void *ortho_work;     /**< scratch of linalg_orthonormalize() */
    double *ortho_values; /**< [width] scratch of linalg_orthonormalize() */
    uint64_t replaced;    /**< how many vectors linalg_orthonormalize() has replaced so far */
    void *mean;           /**< right slice of scale * conj(mean of each column) if A is centered, else NULL */
    void *ones;           /**< left slice of ones; only if A is centered */
    void *sums;           /**< [width] scratch; only if A is centered */
} linalg_operator_t;

/** Announce the memory of an operator on an m x n matrix, with blocks of at most `width` and bases of at most `depth`
 *  vectors. */
void linalg_operator_expect(linalg_t *la, int64_t m, int64_t n, int64_t width, int64_t depth);
/**
 * Make an operator of A. The caller calls linalg_operator_close() also after an error.
 * @param name  the parameter, for error texts
 * @param A     a matrix in the layout of the call; borrowed until linalg_operator_close()
 * @return ALCH_OK; ALCH_ENUMERIC an entry is not finite; ALCH_ELIMIT a message would exceed MPI's counts; memory
 */
int linalg_operator_open(linalg_operator_t *op, linalg_t *la, const char *name, const linalg_matrix_t *A, int64_t width,
                         int64_t depth);
void linalg_operator_close(linalg_operator_t *op);
/** Change the operator to that of A minus the mean of each column. @return ALCH_OK; memory */
int linalg_operator_center(linalg_operator_t *op);
/** The scaled conjugated means of this rank's local columns of A. */
const void *linalg_operator_means(linalg_operator_t *op);
/** Sum |entry|^2 of scale * A, or of the centered scale * A. If A is centered, rounding leaves a small
 *  mean in the centered columns; the same pass adds it to the means. @return ALCH_OK; memory */
int linalg_operator_sum_of_squares(linalg_operator_t *op, double *sum_p);

/** left := scale A right, or right := scale A^H left, for b <= width vectors. */
void linalg_operator_apply(linalg_operator_t *op, const void *right, int64_t b, void *left);
void linalg_operator_apply_adjoint(linalg_operator_t *op, const void *left, int64_t b, void *right);

/** C (a x b, leading dimension ldc) := X^H Y, summed over all ranks. C is the same on all of them. */
void linalg_inner_products(linalg_operator_t *op, const linalg_side_t *side, const void *X, int64_t a, const void *Y,
                           int64_t b, void *C, int64_t ldc);
/** Fill b vectors with normally distributed entries, which depend on the seed and not on the layout. */
void linalg_random_vectors(linalg_operator_t *op, const linalg_side_t *side, int64_t b, uint64_t seed, void *X);
/**
 * Split the b vectors Z into Z = V C + Q R. Q is orthonormal and orthogonal to the p orthonormal vectors V, and
 * replaces Z. Directions of Z below 8 eps * norm are dropped: random vectors take their places in Q, and R has zeros
 * there. The vectors must be long enough for that: p + b <= their length.
 * @param[out] C  p x b, leading dimension ld, the same on all ranks; may be NULL
 * @param[out] R  b x b, leading dimension ld, the same on all ranks; may be NULL
 * @return ALCH_OK; ALCH_ENUMERIC, ALCH_ENOMEM of the small decomposition on rank 0
 */
int linalg_orthonormalize(linalg_operator_t *op, const linalg_side_t *side, const void *V, int64_t p, void *Z,
                          int64_t b, double norm, void *C, void *R, int64_t ld);
/** Overwrite the first `keep` of the p vectors X with X W, W of p x keep with leading dimension ldw; or, if `adjoint`,
 *  with X W^H, W of keep x p. Works on some rows at a time, as many as fit into the scratch memory.
 *  @return ALCH_OK */
int linalg_rotate_vectors(linalg_operator_t *op, const linalg_side_t *side, void *X, int64_t p, int64_t keep,
                          const void *W, int64_t ldw, bool adjoint);

/** Create a matrix (k x n, in the layout of the call) that is the adjoint of k right vectors.
 *  @return ALCH_OK; memory */
int linalg_gather_right_vectors(linalg_operator_t *op, const void *X, int64_t k, linalg_matrix_t *M);
/** Return k left vectors as a matrix (m x k), or the adjoint of k right vectors (k x n), in the layout of the call.
 *  @return ALCH_OK; memory */
int linalg_return_left_vectors(linalg_operator_t *op, const char *name, const void *X, int64_t k);
int linalg_return_right_vectors(linalg_operator_t *op, const char *name, const void *X, int64_t k);

#endif
