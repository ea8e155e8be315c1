/**
 * @file linalg.h
 * What the files of the library share: operations in areas, operands as ScaLAPACK wants them, results, memory, errors.
 *
 * An operation is written as
 *
 *     int
 *     run_solve(alch_call_t *call)
 *     {
 *         return linalg_run(call, solve, "a", "b", NULL);
 *     }
 *
 * where solve() checks shapes, says what it will need (linalg_expect_operand...), asks whether that is there
 * (linalg_check_memory), takes operands (linalg_get_operand), creates results (linalg_create), calls ScaLAPACK on the
 * ranks that are in the grid
 * (`if (la->here)`), shares its INFO (linalg_check_info), and hands results over (linalg_return_matrix...).
 *
 * All of it is collective: every rank calls the same functions in the same order, also ranks outside the grid, and all
 * return the same code. Nothing may be allocated before linalg_check_memory() but what fits on a stack.
 */
#ifndef LINALG_H
#define LINALG_H

#include "scalapack.h"

#include <alchemist/plugin.h>
#include <complex.h>

#ifndef CMPLX /* glibc has it for GCC alone */
#define CMPLX(re, im) __builtin_complex((double)(re), (double)(im))
#endif

/* ---- operations ---- */

/** The operations of one file; linalg.c puts them together. Documentation stands beside the function. */
typedef struct {
    const alch_operation_t *operations;
    size_t count;
} linalg_operations_t;

#define LINALG_OPERATIONS(name, table) const linalg_operations_t name = {table, sizeof(table) / sizeof(*(table))}

extern const linalg_operations_t linalg_product_operations, linalg_sum_operations, linalg_norm_operations,
    linalg_lu_operations, linalg_cholesky_operations, linalg_inverse_operations, linalg_expm_operations,
    linalg_unsupported_operations;

/* ---- one call ---- */

/** Blocks that are used as they are: square, and neither so small that messages rule nor so large that one column of
 *  the grid does all the work. What has others is relaid out into blocks of ALCH_DEFAULT_BLOCK. */
#define LINALG_BLOCK_MIN 32
#define LINALG_BLOCK_MAX 128
#define LINALG_BUFFERS_MAX 64

typedef struct {
    alch_call_t *call;
    const alch_host_t *host;
    const linalg_kernels_t *k; /**< of the type that it computes in */
    alch_dtype_t dtype;        /**< that type: of all operands in common, as NumPy would have it */
    alch_layout_t layout;      /**< of all that ScaLAPACK sees: block-cyclic, mb = nb, nprow x npcol resolved */
    int context;               /**< BLACS */
    int nprow, npcol;
    int myrow, mycol;       /**< -1 outside the grid */
    bool in_grid;           /**< this rank is in the grid; rank 0 always is, at place (0, 0) */
    int64_t expected_bytes; /**< bytes on the fullest rank, of what was expected so far */
    int limit_code;         /**< a code: something expected is beyond 32-bit indices */
    int64_t buffer_bytes;
    int buffer_count;
    void *buffers[LINALG_BUFFERS_MAX];
} linalg_t;

/** What an operation does, once type and layout are chosen. @return a code, on all ranks the same */
typedef int linalg_body_f(linalg_t *la);

/**
 * Make a call: choose type and layout, run `body`, free buffers.
 *
 * The type is what NumPy would compute in: integers count as float64 (a note says so), mixed ones are widened, complex
 * wins. The layout is that of the largest matrix among those named that ScaLAPACK can use as it is (unreplicated,
 * block-cyclic, square blocks of LINALG_BLOCK_MIN to LINALG_BLOCK_MAX), else blocks of ALCH_DEFAULT_BLOCK on the
 * squarest grid of all workers.
 *
 * @param ...  names of matrix parameters, then NULL; optional ones that were not given are passed over. May be none:
 *             then float64
 */
int linalg_run(alch_call_t *call, linalg_body_f *body, ...) __attribute__((sentinel));
/** As linalg_run(), computing in at least this type, for results that are complex or wider whatever goes in. */
int linalg_run_as(alch_call_t *call, alch_dtype_t min_dtype, linalg_body_f *body, ...) __attribute__((sentinel));

/** Set this rank's error text, "linalg.solve: ...". @return code, which all ranks must have alike, or agree on then */
int linalg_fail(linalg_t *la, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** The first failing rank's code and text, on all ranks. @collective yes */
int linalg_agree(linalg_t *la, int code);
/** Rank 0's INFO on all ranks, also those outside the grid; negative values are errors (ALCH_EINTERNAL).
 *  @return ALCH_OK with *info_p >= 0 */
int linalg_check_info(linalg_t *la, const char *routine, int *info_p);
/** Say what is done now, and stop if the client wants that. fraction: 0..1 or -1.
 *  @return ALCH_OK, or ALCH_ECANCELED on all ranks alike */
int linalg_begin_stage(linalg_t *la, double fraction, const char *what);
/** A remark that travels with the result: to Python's task.notes, or as a warning. Rank 0's counts. */
void linalg_note(linalg_t *la, const char *format, ...) __attribute__((format(printf, 2, 3)));
void linalg_warn(linalg_t *la, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** NumPy's name of a type. */
const char *linalg_dtype_name(alch_dtype_t dtype);

/* ---- memory ---- */

/** Add to what will be needed: a matrix in la->layout, of its type or with entries of
 *  so many bytes; or plain bytes on the fullest rank.
 *  Too large for 32-bit indices: noted, and linalg_check_memory() says so. */
void linalg_expect_matrix(linalg_t *la, int64_t m, int64_t n);
void linalg_expect_matrix_as(linalg_t *la, int64_t m, int64_t n, size_t entry);
void linalg_expect_bytes(linalg_t *la, int64_t bytes);
/** What a relayout or transposition of an m x n matrix takes besides the two matrices. */
void linalg_expect_exchange(linalg_t *la, int64_t m, int64_t n);
/** What linalg_get_operand() will allocate for this parameter: nothing if it can be used in place. Every operand is to
 * be expected: without LINALG_ANY its size is held against 32-bit indices as well. */
void linalg_expect_operand(linalg_t *la, const char *name, unsigned flags);
/** Whether all that is there on every rank, before anything is allocated.
 *  @return ALCH_OK; ALCH_ELIMIT with the numbers */
int linalg_check_memory(linalg_t *la);

/** Memory for the rest of the call, zeroed; may differ between ranks, 0 bytes give a pointer all the same.
 *  Freed at the end of the call. @return ALCH_OK, ALCH_ELIMIT, ALCH_ENOMEM */
int linalg_alloc(linalg_t *la, int64_t bytes, void *pointer_p);

/* ---- matrices ---- */

/** A matrix with what ScaLAPACK needs of it. */
typedef struct {
    alch_dmatrix_t *matrix;       /**< of a copy or result; NULL: the argument itself is used */
    const alch_dmatrix_t *source; /**< what `block` describes */
    alch_block_t block;
    int desc[9]; /**< not with LINALG_ANY */
    int m, n;
    void *data; /**< = block.data */
} linalg_matrix_t;

#define LINALG_COPY 1u   /**< a private copy that may be overwritten and returned, whatever the layout was */
#define LINALG_FINITE 2u /**< refuse NaN and Inf: ALCH_ENUMERIC with the place of the first one, by rows */
#define LINALG_ANY 4u    /**< any layout is good, also a replicated one: count entries where block.replica is 0 */

/** Shape, type and layout of a parameter as it was given; all zero if it was not. */
void linalg_operand_block(linalg_t *la, const char *name, alch_block_t *block_p);
/** Whether an optional matrix ("C:matrix=none") was given. */
bool linalg_is_given(linalg_t *la, const char *name);
bool linalg_same_layout(const alch_layout_t *a, const alch_layout_t *b);
/** Whether linalg_get_operand() will copy it. */
bool linalg_is_copied(linalg_t *la, const char *name, unsigned flags);

/**
 * Take a matrix parameter: in place if it has the type and layout of the call, else copied into them, of which a note
 * tells.
 * @return ALCH_OK; ALCH_ENUMERIC (LINALG_FINITE); ALCH_ELIMIT, ALCH_ENOMEM
 */
int linalg_get_operand(linalg_t *la, const char *name, unsigned flags, linalg_matrix_t *M);
/** Refuse NaN and Inf in a matrix: "linalg.solve: a: entry (3, 5) is NaN or infinite". */
int linalg_check_finite(linalg_t *la, const char *name, const linalg_matrix_t *M);

/** A new matrix of zeros in the layout and type of the call. */
int linalg_create(linalg_t *la, int64_t m, int64_t n, linalg_matrix_t *M);
/** As linalg_create(), for what is about to be written as a whole. */
int linalg_create_unset(linalg_t *la, int64_t m, int64_t n, linalg_matrix_t *M);
/** As linalg_create() in another type, that of real results for example. */
int linalg_create_as(linalg_t *la, int64_t m, int64_t n, alch_dtype_t dtype, linalg_matrix_t *M);
/** A new matrix M^H in the layout and type of the call, in which M is. */
int linalg_create_adjoint(linalg_t *la, const linalg_matrix_t *M, linalg_matrix_t *T);
/** Free a copy or created matrix early; what is an argument is only forgotten. */
void linalg_free(linalg_t *la, linalg_matrix_t *M);
/** The descriptor of an m x n matrix in la->layout before there is one, for workspace queries. */
void linalg_descriptor(const linalg_t *la, int64_t m, int64_t n, int desc[9]);

/** Hand over a copy or created matrix. */
int linalg_return_matrix(linalg_t *la, const char *name, linalg_matrix_t *M);
/** Hand over real values, the same on all ranks, as a count x 1 matrix of type la->k->real. */
int linalg_return_reals(linalg_t *la, const char *name, const double *values, int64_t count);

/* ---- what operations have in common ---- */

/** Refuse what is not square: "linalg.inv: a is 3 x 5: a square matrix is expected". */
int linalg_check_square(linalg_t *la, const char *name, int64_t *n_p);
/** A complex number in the type of the call, for the scalars of ScaLAPACK. */
typedef union {
    double d[2];
    float s[2];
} linalg_scalar_t;

linalg_scalar_t linalg_scalar(const linalg_t *la, double _Complex x);
/** A parameter of type complex128. */
double _Complex linalg_complex_argument(linalg_t *la, const char *name);
/** Complex if one of the parameters of type complex128 has an imaginary part, else the least type: for
 *  linalg_run_as(). */
alch_dtype_t linalg_scalars_dtype(alch_call_t *call, const char *alpha, const char *beta);
/** Hand over a scalar, as a real one unless the type of the call is complex. */
int linalg_return_scalar(linalg_t *la, const char *name, double _Complex x);

/** Room for pivots of PxGETRF on this rank, in bytes. */
int64_t linalg_pivot_bytes(const linalg_t *la, int64_t m);
/** LU factorization in place. *info_p > 0: that pivot is exactly zero. */
int linalg_getrf(linalg_t *la, linalg_matrix_t *A, int *pivots, int *info_p);
/** max over columns of the sum of absolute values, of a matrix in any layout; NaN if there is one. Of M only the block
 *  counts. */
int linalg_norm1(linalg_t *la, const linalg_matrix_t *A, double *norm_p);
/** NumPy's message for a zero pivot, with its place. */
int linalg_fail_singular(linalg_t *la, const char *name, int info);

/* ---- entries of this rank's part ---- */

/** How many of the first `end` rows (columns) in blocks of nb over `procs` are on place `proc`: NUMROC. */
int64_t linalg_numroc(int64_t end, int64_t nb, int proc, int procs);
/** Where entry (i, j) lies in this rank's data, counted in entries; -1: not here. Any layout. */
int64_t linalg_local_index(const alch_block_t *block, int64_t i, int64_t j);
/** Global row (column) of a local one. */
int64_t linalg_global_row(const alch_block_t *block, int64_t i);
int64_t linalg_global_col(const alch_block_t *block, int64_t j);
/** Bytes of an m x n matrix in la->layout on the fullest rank; INT64_MAX if that is too many to count. */
int64_t linalg_matrix_bytes(const linalg_t *la, int64_t m, int64_t n, size_t entry);

/** A local entry as a complex number, whatever its type; `at` counts entries. For diagonals and vectors, not for passes
 *  over a matrix. */
double _Complex linalg_get_entry(alch_dtype_t dtype, const void *data, int64_t at);
void linalg_set_entry(alch_dtype_t dtype, void *data, int64_t at, double _Complex x);

/**
 * Copy this rank's part of a matrix into one of the same type and layout, and look for NaN and Inf on the way.
 * @param part  'A' all; 'L', 'U' the triangle with the diagonal: the other one becomes zero and is not looked at
 * @return global place (i * n + j) of the first entry here that is not finite; -1: none
 */
int64_t linalg_copy_piece(char part, const linalg_matrix_t *from, const linalg_matrix_t *to);
/** data := alpha data, for this rank's part. */
void linalg_scale_piece(double _Complex alpha, const linalg_matrix_t *M);
/** y := alpha x + beta y, for parts of one layout and type. */
void linalg_add_piece(double _Complex alpha, const linalg_matrix_t *x, double _Complex beta, const linalg_matrix_t *y);
/** From what linalg_copy_piece() found on each rank to an error on all. */
int linalg_agree_all_finite(linalg_t *la, const char *name, const linalg_matrix_t *M, int64_t place);

#endif
