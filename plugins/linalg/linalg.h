/**
 * @file linalg.h
 * Services that all files of the library share: operation tables, calls, memory, matrices, results and errors.
 *
 * An operation is written as
 *
 *     static int
 *     run_solve(alch_call_t *call)
 *     {
 *         return linalg_run(call, solve, "a", "b", NULL);
 *     }
 *
 * where solve() does its work in this order:
 *
 *   1. It checks the shapes and the options.
 *   2. It announces the memory that it will use (linalg_expect_...), and linalg_check_memory() asks whether every rank
 *      has that much. Before this call a function allocates nothing that does not fit on the stack.
 *   3. It gets the operands (linalg_get_operand) and creates the results (linalg_create...).
 *   4. It calls ScaLAPACK on the ranks that are in the grid (`if (la->in_grid)`) and checks its INFO
 *      (linalg_check_info).
 *   5. It returns the results (linalg_return_...).
 *
 * @collective  every function that takes a linalg_t, unless its description says otherwise. Every rank of the group,
 *              also one outside the grid, calls the same functions in the same order, and all ranks return the same
 * code
 * @threads     only the thread that runs the operation may call these functions
 *
 * Functions that allocate return ALCH_ELIMIT (the memory limit) or ALCH_ENOMEM (the system has no memory). Below this
 * is written "memory".
 */
#ifndef LINALG_H
#define LINALG_H

#include "scalapack.h"

#include <alchemist/plugin.h>
#include <complex.h>

#ifndef CMPLX /* glibc defines it for GCC only */
#define CMPLX(re, im) __builtin_complex((double)(re), (double)(im))
#endif

/* ---- operations ---- */

/** The operation table of one file. linalg.c joins all tables. The documentation of an operation is next to its
 *  function. */
typedef struct {
    const alch_operation_t *operations;
    size_t count;
} linalg_operations_t;

#define LINALG_OPERATIONS(name, table) const linalg_operations_t name = {table, sizeof(table) / sizeof(*(table))}

extern const linalg_operations_t linalg_product_operations, linalg_sum_operations, linalg_norm_operations,
    linalg_lu_operations, linalg_cholesky_operations, linalg_inverse_operations, linalg_expm_operations,
    linalg_unsupported_operations;

/* ---- one call ---- */

/** Block sizes that a call uses in place. With smaller blocks messages dominate the run time; with larger ones a
 *  single column of the grid does all the work. A matrix with other blocks is copied into blocks of
 *  ALCH_DEFAULT_BLOCK. */
#define LINALG_BLOCK_MIN 32
#define LINALG_BLOCK_MAX 128
/** Buffers that one call may get from linalg_alloc(). */
#define LINALG_BUFFERS_MAX 64

/** One call of an operation on this rank. */
typedef struct {
    alch_call_t *call;
    const alch_host_t *host;
    const linalg_kernels_t *k; /**< routines and constants of `dtype` */
    alch_dtype_t dtype;        /**< type of the computation: the common type of the operands, by NumPy's rules */
    alch_layout_t layout; /**< of every matrix that ScaLAPACK uses: block-cyclic, mb = nb, nprow x npcol resolved */
    int context;          /**< BLACS context */
    int nprow, npcol;
    int myrow, mycol;       /**< -1 outside the grid */
    bool in_grid;           /**< this rank is in the grid. Rank 0 always is, at (0, 0) */
    int64_t expected_bytes; /**< bytes announced by linalg_expect_...(), on the rank with the largest local piece */
    int limit_code;         /**< ALCH_OK, or the code of an announced matrix that is beyond 32-bit indices */
    int64_t buffer_bytes;
    int buffer_count;
    void *buffers[LINALG_BUFFERS_MAX];
} linalg_t;

/** Compute an operation after linalg_run() has chosen type and layout. @return a code, the same on all ranks */
typedef int linalg_body_f(linalg_t *la);

/**
 * Run one call: choose the type and the layout, call `body`, and free the call's buffers.
 *
 * The type is the one in which NumPy would compute. Integers count as float64, and a note says so. Of two types the
 * wider one is taken, and complex if one of them is complex.
 *
 * The layout is that of the largest of the named matrices that ScaLAPACK can use in place: unreplicated, block-cyclic,
 * with square blocks of LINALG_BLOCK_MIN to LINALG_BLOCK_MAX. If there is none, the layout has blocks of
 * ALCH_DEFAULT_BLOCK on the squarest grid of all workers.
 *
 * @param ...  the names of matrix parameters, then NULL. Optional parameters that the client did not give are skipped.
 *             Without any matrix the type is float64
 * @return     the code of `body`, or of creating the grid
 */
int linalg_run(alch_call_t *call, linalg_body_f *body, ...) __attribute__((sentinel));
/** As linalg_run(), in a type that is at least as wide as min_dtype and complex if min_dtype is complex. */
int linalg_run_as(alch_call_t *call, alch_dtype_t min_dtype, linalg_body_f *body, ...) __attribute__((sentinel));

/** Set this rank's error text to "linalg.FUNCTION: ...". Not collective.
 *  @return code. Either all ranks return the same code, or the caller passes it to linalg_agree() */
int linalg_fail(linalg_t *la, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** Return the code and set the text of the first failing rank on all ranks. */
int linalg_agree(linalg_t *la, int code);
/** Broadcast rank 0's INFO to all ranks, also to those outside the grid, and turn a negative value into an error.
 *  @return ALCH_OK with *info_p >= 0; ALCH_EINTERNAL */
int linalg_check_info(linalg_t *la, const char *routine, int *info_p);
/** Report the stage that begins now, and stop if the client has canceled the task.
 *  @param fraction  0..1, or -1 if it is not known
 *  @return ALCH_OK; ALCH_ECANCELED on all ranks */
int linalg_begin_stage(linalg_t *la, double fraction, const char *what);
/** Send a note or a warning with the result: Python shows it in task.notes or as an AlchemistWarning. The client gets
 *  the text of rank 0. Not collective. */
void linalg_note(linalg_t *la, const char *format, ...) __attribute__((format(printf, 2, 3)));
void linalg_warn(linalg_t *la, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** NumPy's name of a type; "" for an unknown one. */
const char *linalg_dtype_name(alch_dtype_t dtype);

/* ---- memory ---- */

/** Announce memory that the call will use: a matrix in la->layout and of its type, a matrix with entries of
 *  `entry_bytes`, or bytes on the rank that needs most. A matrix beyond 32-bit indices is recorded, and
 *  linalg_check_memory() returns its error. Not collective. */
void linalg_expect_matrix(linalg_t *la, int64_t m, int64_t n);
void linalg_expect_matrix_as(linalg_t *la, int64_t m, int64_t n, size_t entry_bytes);
void linalg_expect_bytes(linalg_t *la, int64_t bytes);
/** Announce the buffers that a relayout or transposition of an m x n matrix uses in addition to the two matrices. Not
 *  collective. */
void linalg_expect_exchange(linalg_t *la, int64_t m, int64_t n);
/** Announce what linalg_get_operand() will allocate for this parameter: nothing if it can use the matrix in place.
 *  Call it for every operand: unless LINALG_ANY is given, it also checks the matrix against 32-bit indices. Not
 *  collective. */
void linalg_expect_operand(linalg_t *la, const char *name, unsigned flags);
/** Check that every rank can allocate the announced memory. Allocates nothing.
 *  @return ALCH_OK; ALCH_ELIMIT with the numbers */
int linalg_check_memory(linalg_t *la);

/** Allocate zeroed memory that lasts until the end of the call. Ranks may ask for different sizes; 0 bytes give a valid
 *  pointer too. @return ALCH_OK; memory; ALCH_EINTERNAL more than LINALG_BUFFERS_MAX buffers */
int linalg_alloc(linalg_t *la, int64_t bytes, void *pointer_p);

/* ---- matrices ---- */

/** A matrix with its ScaLAPACK descriptor. */
typedef struct {
    alch_dmatrix_t *matrix;       /**< a copy or a result. NULL: the argument itself is used */
    const alch_dmatrix_t *source; /**< the matrix that `block` describes */
    alch_block_t block;
    int desc[9]; /**< not set for a matrix in another layout than the call's (LINALG_ANY) */
    int m, n;
    void *data; /**< = block.data */
} linalg_matrix_t;

#define LINALG_COPY 1u   /**< make a private copy, which may be overwritten and returned */
#define LINALG_FINITE 2u /**< refuse NaN and Inf: ALCH_ENUMERIC names the first such entry in row order */
#define LINALG_ANY 4u    /**< accept any layout, also a replicated one: use only entries whose block.replica is 0 */

/** Get shape, type and layout of a parameter as the client gave it. All fields are zero if the client did not give it.
 *  Not collective, as the next three. */
void linalg_operand_block(linalg_t *la, const char *name, alch_block_t *block_p);
/** Whether the client gave an optional matrix ("C:matrix=none"). */
bool linalg_is_given(linalg_t *la, const char *name);
bool linalg_same_layout(const alch_layout_t *a, const alch_layout_t *b);
/** Whether linalg_get_operand() will copy the matrix. */
bool linalg_is_copied(linalg_t *la, const char *name, unsigned flags);

/**
 * Get a matrix parameter. The matrix is used in place if it has the type and the layout of the call. Otherwise it is
 * copied into them, and a note says so.
 * @return ALCH_OK; ALCH_ENUMERIC (LINALG_FINITE); memory
 */
int linalg_get_operand(linalg_t *la, const char *name, unsigned flags, linalg_matrix_t *M);
/** Refuse NaN and Inf in a matrix: "linalg.solve: a: entry (3, 5) is NaN or infinite".
 *  @return ALCH_OK; ALCH_ENUMERIC */
int linalg_check_finite(linalg_t *la, const char *name, const linalg_matrix_t *M);

/** Create an m x n matrix of zeros in the layout and the type of the call. @return ALCH_OK; memory; ALCH_EINVAL */
int linalg_create(linalg_t *la, int64_t m, int64_t n, linalg_matrix_t *M);
/** As linalg_create(), with undefined entries: the caller writes all of them. */
int linalg_create_unset(linalg_t *la, int64_t m, int64_t n, linalg_matrix_t *M);
/** As linalg_create(), in another type, for example that of real results. */
int linalg_create_as(linalg_t *la, int64_t m, int64_t n, alch_dtype_t dtype, linalg_matrix_t *M);
/** Create T = M^H in the layout and the type of the call. M has them too. */
int linalg_create_adjoint(linalg_t *la, const linalg_matrix_t *M, linalg_matrix_t *T);
/** Free a copy or a created matrix before the end of the call. Does nothing to an argument of the client. Not
 *  collective. */
void linalg_free(linalg_t *la, linalg_matrix_t *M);
/** Fill in the descriptor of an m x n matrix in la->layout that need not exist, for workspace queries. Not
 *  collective. */
void linalg_descriptor(const linalg_t *la, int64_t m, int64_t n, int desc[9]);

/** Return a copy or a created matrix to the client. */
int linalg_return_matrix(linalg_t *la, const char *name, linalg_matrix_t *M);
/** Return real values, which are the same on all ranks, as a count x 1 matrix of type la->k->real. */
int linalg_return_reals(linalg_t *la, const char *name, const double *values, int64_t count);

/* ---- arguments and factorizations that several operations use ---- */

/** Refuse a matrix that is not square: "linalg.inv: a is 3 x 5, but must be square". @return ALCH_OK; ALCH_EINVAL */
int linalg_check_square(linalg_t *la, const char *name, int64_t *n_p);
/** A complex number in the type of the call, as ScaLAPACK takes its scalars. None of the next three functions is
 *  collective. */
typedef union {
    double d[2];
    float s[2];
} linalg_scalar_t;

linalg_scalar_t linalg_scalar(const linalg_t *la, double _Complex x);
/** Get a parameter of type complex128. */
double _Complex linalg_complex_argument(linalg_t *la, const char *name);
/** The smallest type that holds the scalar parameters: complex64 if one of them has an imaginary part, else float32.
 * For linalg_run_as(). @param beta  may be NULL */
alch_dtype_t linalg_scalars_dtype(alch_call_t *call, const char *alpha, const char *beta);
/** Return a scalar: a real one, unless the type of the call is complex. */
int linalg_return_scalar(linalg_t *la, const char *name, double _Complex x);

/** Bytes of the pivot array of PxGETRF on the rank with the most rows. Not collective. */
int64_t linalg_pivot_bytes(const linalg_t *la, int64_t m);
/** Factor A = P L U in place (PxGETRF). @param[out] info_p  > 0: that pivot, counted from 1, is exactly zero */
int linalg_getrf(linalg_t *la, linalg_matrix_t *A, int *pivots, int *info_p);
/** The 1-norm of a matrix in any layout: the largest column sum of absolute values, NaN if an entry is NaN. Of A only
 *  `block` is used. @return ALCH_OK; memory */
int linalg_norm1(linalg_t *la, const linalg_matrix_t *A, double *norm_p);
/** Return ALCH_ENUMERIC with NumPy's message for a zero pivot and its column. */
int linalg_fail_singular(linalg_t *la, const char *name, int info);

/* ---- entries of the local piece; none of these functions is collective ---- */

/** How many of the first `end` rows (columns) in blocks of nb over `procs` processes are on process `proc`: NUMROC. */
int64_t linalg_numroc(int64_t end, int64_t nb, int proc, int procs);
/** Index of entry (i, j) in this rank's data, in entries; -1 if another rank has it. Any layout. */
int64_t linalg_local_index(const alch_block_t *block, int64_t i, int64_t j);
/** Global row (column) of a local one. */
int64_t linalg_global_row(const alch_block_t *block, int64_t i);
int64_t linalg_global_col(const alch_block_t *block, int64_t j);
/** Bytes of the largest local piece of an m x n matrix in la->layout; INT64_MAX if the number overflows. */
int64_t linalg_matrix_bytes(const linalg_t *la, int64_t m, int64_t n, size_t entry_bytes);

/** Read or write a local entry of any type as a complex number; `at` counts entries. The conversion for each entry is
 *  slow: use these functions for diagonals and vectors, not for whole matrices. linalg_set_entry() ignores integer
 *  types. */
double _Complex linalg_get_entry(alch_dtype_t dtype, const void *data, int64_t at);
void linalg_set_entry(alch_dtype_t dtype, void *data, int64_t at, double _Complex x);

/**
 * Copy the local piece of a matrix into one of the same type and layout, and look for NaN and Inf in the same pass.
 * @param uplo  'A' all entries; 'L' or 'U' that triangle with the diagonal: the other triangle becomes zero and is not
 *              checked
 * @param to    NULL: check only
 * @return global position (i * n + j) of the first local entry that is not finite; -1: there is none
 */
int64_t linalg_copy_piece(char uplo, const linalg_matrix_t *from, const linalg_matrix_t *to);
/** M := alpha M. */
void linalg_scale_piece(double _Complex alpha, const linalg_matrix_t *M);
/** y := alpha x + beta y, for pieces of one layout and type. */
void linalg_add_piece(double _Complex alpha, const linalg_matrix_t *x, double _Complex beta, const linalg_matrix_t *y);
/** Collective: turn the positions that linalg_copy_piece() found on each rank into one error on all ranks.
 *  @return ALCH_OK; ALCH_ENUMERIC naming the first entry that is not finite */
int linalg_agree_all_finite(linalg_t *la, const char *name, const linalg_matrix_t *M, int64_t position);

#endif
