/* The parts of the truncated SVD. In all of them "short" is the smaller side of A and "long" the other one: A is seen
 * as a tall matrix, transposed when it is wide. */
#ifndef TESTLIB_SVD_H
#define TESTLIB_SVD_H

#include <alchemist/plugin.h>

/* What all parts need to know of a call; the same on all ranks but for this rank's piece of A.
 *
 * Each entry of A is in one piece: the ranks of a grid column split its rows, and the copies of a replicated layout
 * split the rows of each other. A piece has `long_count` x `short_count` entries. */
typedef struct {
    alch_call_t *call;
    const alch_dmatrix_t *A;
    alch_block_t block;
    bool wide;
    int64_t short_size, long_size, k;
    double largest; /* |entry| of A */
    double scale;   /* a power of two: the largest |entry| of scale * A lies in [1/2, 1) */

    int64_t row, rows, cols; /* first local row, local rows and columns of the piece */
    int64_t short_count, long_count;
    int64_t *short_index, *long_index; /* global indices, increasing */
    MPI_Comm across;                   /* the ranks that have the same long indices; MPI_COMM_NULL: none, no piece */
    int across_rank;

    int64_t chunk;                              /* long indices that are worked on at once */
    double *short_part, *short_sum, *long_part; /* [short_count], [short_count], [long_count] */
    double *converted;                          /* a chunk in float64, if A is not; else NULL */
} svd_t;

/* The result in this rank's hands: values descending, columns of the vectors in that order. */
typedef struct {
    double *values;        /* [k] */
    double *short_vectors; /* [short_size x k], the same on all ranks */
    double *long_vectors;  /* [long_count x k], its piece */
} factors_t;

/* A piece of a matrix that is to be handed over: entry (i, j) belongs at (rows[i], cols[j]). */
typedef struct {
    const double *data;
    int64_t m, n, lld;
    const int64_t *rows, *cols; /* rows increasing */
} piece_t;

/* piece.c: who works on what */
int svd_open(svd_t *svd);
void svd_close(svd_t *svd);
/* A chunk of the piece as float64: long indices start..start+count-1; *lld_p is its leading dimension. */
const double *svd_chunk(svd_t *svd, int64_t start, int64_t count, int64_t *lld_p);

/* product.c */
/* x := (scale A)^T (scale A) x for a short vector, given on all ranks, the result on rank 0. Collective. */
void svd_normal_product(svd_t *svd, double *x, double *scratch);
/* Y := (scale A) X for k short vectors on all ranks: each rank gets its piece, [long_count x k]. `part` has room for
 * short_count x k. Collective. */
void svd_product(svd_t *svd, const double *X, double *part, double *Y);

/* lanczos.c: the k dominant right singular vectors, [short_size x k] on all ranks. *dense_p: there are too small or
 * too many values for this method. Collective. */
int svd_lanczos(svd_t *svd, double *vectors, bool *dense_p);

/* refine.c: values and both sides' vectors from a basis of the short side. Collective. */
int svd_refine(svd_t *svd, factors_t *factors, bool *dense_p);

/* dense.c: all values by ScaLAPACK, results set. Collective. */
int svd_dense(svd_t *svd);

/* deliver.c: a result matrix from pieces, each entry from one rank; columns are reversed: ascending. Collective. */
int svd_deliver(svd_t *svd, const char *name, int64_t m, int64_t n, const piece_t *piece);
/* S from the descending values, known on all ranks. Collective. */
int svd_deliver_values(svd_t *svd, const double *values);

#endif
