/**
 * @file operator.h
 * A matrix as a map between blocks of vectors, for methods that need products alone.
 *
 * Vectors of A's columns' length (n entries) are "right" vectors, those of m entries "left" ones. Every rank holds a
 * slice of each: of the rows that its grid row has of A, an equal share, so that the slices of all ranks are disjoint
 * and together the whole; in columns likewise. A block of b vectors is a column-major slice x b array. Inner products
 * are sums over all ranks, so that small matrices come out with equal bits on every rank.
 *
 * All functions are collective over the group, ranks outside the grid included: their slices are empty.
 */
#ifndef LINALG_OPERATOR_H
#define LINALG_OPERATOR_H

#include "linalg.h"
#include "local.h"

/** One side of A. */
typedef struct {
    int64_t count; /**< rows (columns) of A on this rank */
    int64_t first; /**< the slice begins here */
    int64_t rows;  /**< its length */
    int parts;     /**< ranks that share them; this one is number `part` */
    int part;
    MPI_Comm comm; /**< of those; MPI_COMM_NULL: it is alone */
    int *counts;   /**< [parts] scratch: numbers of a message to each */
    int *displs;   /**< [parts] scratch */
} linalg_side_t;

typedef struct {
    linalg_t *la;
    const linalg_matrix_t *A;
    linalg_side_t left, right;
    int64_t width;  /**< the most vectors at once */
    int64_t depth;  /**< the most vectors in a basis */
    double scale;   /**< a power of two: the largest entry of scale * A lies in [1/2, 1). Products are with scale * A */
    double largest; /**< magnitude of A's entries (of real and imaginary parts) */
    void *packed;   /**< [packed_entries] scratch: slices of several ranks, or rows of a basis */
    int64_t packed_entries;
    void *full;           /**< [left.count + right.count, width] scratch, where sides are shared */
    void *ortho_work;     /**< scratch of linalg_orthonormalize() */
    double *ortho_values; /**< [width] more of it */
    uint64_t replaced;    /**< vectors that it replaced so far */
    void *mean;           /**< right slice of scale * conj(mean of each column), if centered; else NULL */
    void *ones;           /**< then: left slice of ones */
    void *sums;           /**< then: [width] scratch */
} linalg_operator_t;

/** Expect the memory of an operator on an m x n matrix, with blocks of at most `width` and bases of `depth` vectors. */
void linalg_operator_expect(linalg_t *la, int64_t m, int64_t n, int64_t width, int64_t depth);
/**
 * @param A  in the layout of the call
 * @return ALCH_OK; ALCH_ENUMERIC entries that are not finite; ALCH_ELIMIT blocks beyond MPI's counts; memory.
 *         linalg_operator_close() is to follow in any case
 */
int linalg_operator_open(linalg_operator_t *op, linalg_t *la, const char *name, const linalg_matrix_t *A, int64_t width,
                         int64_t depth);
void linalg_operator_close(linalg_operator_t *op);
/** From now on the operator is that of A with the mean of each column taken away. @return memory */
int linalg_operator_center(linalg_operator_t *op);
/** The scaled conjugated means of the columns that this rank has of A. */
const void *linalg_operator_means(linalg_operator_t *op);
/** The sum of |entries|^2 of scale * A. If it is centered, without the means, which are made more accurate by what the
 *  pass finds to be left of them. @return memory */
int linalg_operator_sum_of_squares(linalg_operator_t *op, double *energy_p);

/** left := scale A right, or right := scale A^H left; b <= width vectors. */
void linalg_operator_apply(linalg_operator_t *op, const void *right, int64_t b, void *left);
void linalg_operator_apply_adjoint(linalg_operator_t *op, const void *left, int64_t b, void *right);

/** C (a x b, ld ldc) := X^H Y over all ranks. C is the same everywhere. */
void linalg_inner_products(linalg_operator_t *op, const linalg_side_t *side, const void *X, int64_t a, const void *Y,
                           int64_t b, void *C, int64_t ldc);
/** Normally distributed entries that depend on the seed alone, not on the layout. */
void linalg_random_vectors(linalg_operator_t *op, const linalg_side_t *side, int64_t b, uint64_t seed, void *X);
/**
 * Split Z (b vectors) as Z = V C + Q R, Q orthonormal and orthogonal to the p orthonormal vectors V; Q replaces Z.
 * Parts of Z below eps * norm are dropped: their places are taken by random vectors, with zeros in R. There must be
 * room for them: p + b <= length.
 * @param C  p x b and R (b x b), both with leading dimension ld, the same everywhere; C may be NULL
 */
int linalg_orthonormalize(linalg_operator_t *op, const linalg_side_t *side, const void *V, int64_t p, void *Z,
                          int64_t b, double norm, void *C, void *R, int64_t ld);
/** X (p vectors, first `keep` of them replaced) := X W, W of p x keep with leading dimension ldw; or X W^H with W of
 *  keep x p. Some rows at a time. */
int linalg_rotate_vectors(linalg_operator_t *op, const linalg_side_t *side, void *X, int64_t p, int64_t keep,
                          const void *W, int64_t ldw, bool adjoint);

/** The adjoint of k right vectors as a matrix (k x n) in the layout of the call. */
int linalg_gather_right_vectors(linalg_operator_t *op, const void *X, int64_t k, linalg_matrix_t *M);
/** Make a result of k left vectors (m x k) or of the adjoint of k right vectors (k x n), in the layout of the call. */
int linalg_return_left_vectors(linalg_operator_t *op, const char *name, const void *X, int64_t k);
int linalg_return_right_vectors(linalg_operator_t *op, const char *name, const void *X, int64_t k);

#endif
