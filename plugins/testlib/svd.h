/** @file testlib/svd.h  The parts of the truncated SVD. In all of them "short" is the smaller side of A and "long" the
 *  other one: they treat A as a tall matrix, transposed if it is wide. */
#ifndef PLUGIN_TESTLIB_SVD_H
#define PLUGIN_TESTLIB_SVD_H

#include <alchemist/plugin.h>

/** One call. The members are the same on all ranks, except those that describe this rank's piece of A.
 *
 *  Each entry of A is in exactly one piece. A rank's piece is its block of A; in a replicated layout the replicas of a
 *  block divide its rows. A piece has `long_count` x `short_count` entries. */
typedef struct {
    alch_call_t *call;
    const alch_dmatrix_t *A;
    alch_block_t block;
    bool wide;
    int64_t short_size, long_size, k;
    double largest; /* the largest |entry| of A */
    double scale;   /* a power of two: the largest |entry| of scale * A is in [1/2, 1) */

    int64_t row, rows, cols; /* first local row, local rows and columns of the piece */
    int64_t short_count, long_count;
    int64_t *short_index, *long_index; /* global indices, increasing */
    MPI_Comm reduce_comm; /* the ranks that have the same long indices; MPI_COMM_NULL: this rank has no piece */
    int reduce_rank;      /* this rank in reduce_comm */

    int64_t chunk;                              /* number of long indices of a chunk */
    double *short_part, *short_sum, *long_part; /* [short_count], [short_count], [long_count] */
    double *converted;                          /* a chunk in float64 if A is float32, else NULL */
} svd_t;

/** The factors that this rank holds: values descending, columns of the vectors in that order. */
typedef struct {
    double *values;        /* [k] */
    double *short_vectors; /* [short_size x k], the same on all ranks */
    double *long_vectors;  /* [long_count x k], of this rank's long indices */
} factors_t;

/** A piece of a result: entry (i, j) belongs at (rows[i], cols[j]) of the matrix. */
typedef struct {
    const double *data;
    int64_t m, n, lld;
    const int64_t *rows, *cols; /* rows increasing */
} piece_t;

/* ---- piece.c ---- */

/** Choose this rank's piece and allocate the vectors. The caller calls svd_fini() after a failure too.
 *  @collective yes */
int svd_init(svd_t *svd);
void svd_fini(svd_t *svd);
/** A chunk of the piece as float64, with the long indices start..start+count-1. Valid until the next call.
 *  @param[out] lld_p  its leading dimension */
const double *svd_chunk(svd_t *svd, int64_t start, int64_t count, int64_t *lld_p);

/* ---- product.c ---- */

/** x := (scale A)^T (scale A) x for a short vector. The operand is on all ranks, the result on rank 0 only.
 *  @collective yes
 *  @param scratch  short_size entries */
void svd_normal_product(svd_t *svd, double *x, double *scratch);
/** Y := (scale A) X for k short vectors, which are on all ranks. Each rank gets the entries of its long indices.
 *  @collective yes
 *  @param part    [short_count x k], scratch
 *  @param[out] Y  [long_count x k] */
void svd_product(svd_t *svd, const double *X, double *part, double *Y);

/* ---- lanczos.c ---- */

/** Compute the k dominant short singular vectors, [short_size x k], on all ranks.
 *  @collective yes
 *  @param[out] dense_p  the values are too small or too many for this method; the vectors are undefined */
int svd_lanczos(svd_t *svd, double *vectors, bool *dense_p);

/* ---- refine.c ---- */

/** Compute the values and the vectors of both sides from the basis in factors->short_vectors.
 *  @collective yes
 *  @param[out] dense_p  as of svd_lanczos() */
int svd_refine(svd_t *svd, factors_t *factors, bool *dense_p);

/* ---- dense.c ---- */

/** Compute all values with ScaLAPACK, and return the k largest and their vectors as results. @collective yes */
int svd_dense(svd_t *svd);

/* ---- results.c ---- */

/** Return a matrix as a result. Its entries are in the pieces of all ranks, each entry on one rank. The columns are
 *  reversed, because results are in ascending order. @collective yes */
int svd_return_matrix(svd_t *svd, const char *name, int64_t m, int64_t n, const piece_t *piece);
/** Return the result S, in ascending order, from the descending values, which are on all ranks. @collective yes */
int svd_return_values(svd_t *svd, const double *values);

#endif
