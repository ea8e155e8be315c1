/* The operation qr: Householder reflections on the grid, or TSQR for tall and skinny matrices. */
#include "spectral.h"

#include <complex.h>
#include <inttypes.h>
#include <string.h>

static const char qr_doc[] =
    "Computes the QR factorization a = Q R, Q with orthonormal columns, R upper triangular.\n\n"
    "Method: Householder reflections (PxGEQRF, PxORGQR, PxUNGQR). For modes reduced and r of a tall and skinny matrix\n"
    "(at most 512 columns, and on each worker at least 16 times as many rows as columns, 8 times for r) TSQR: each\n"
    "worker factors its rows, then all workers factor the stack of the triangles. A note says when TSQR was used.\n"
    "Both methods are stable for every matrix, also a singular one: the entries of Q^H Q - I, and those of Q R - a\n"
    "relative to |a|, are a few eps.\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997), section 3.3.2; TSQR: Demmel, Grigori, Hoemmen, Langou,\n"
    "Communication-optimal parallel and sequential QR and LU factorizations (2012).\n"
    "Memory: a copy of a, R, a workspace of a few columns of blocks, and Q; the copy becomes Q if both have the same\n"
    "size. Mode raw uses twice the memory of a, and the buffers of a change of layout. TSQR uses a copy of a by rows, "
    "Q,\n"
    "R, the buffers of a change of layout, 2 n^2 entries for each worker, and 2^16 entries more.\n"
    "Cancel: between the stages.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); an unknown mode (InvalidError); not\n"
    "enough memory, or a matrix is beyond 32-bit indices (LimitError).\n\n"
    "a: m x n; below, k is the smaller of the two\n"
    "mode: as in NumPy; reduced: Q and R; complete: a square Q, and R with rows of zeros; r: R only; raw: h and tau\n"
    "Q: m x k, with complete m x m; not returned with r and raw\n"
    "R: k x n, with complete m x n; upper triangular or trapezoidal, its diagonal may be negative; not returned with "
    "raw\n"
    "h: raw: n x m, the transpose of the output of xGEQRF: R, and below it the Householder reflectors\n"
    "tau: raw: k x 1, the scalar factors of the reflectors\n";

/* TSQR is used up to this number of columns, and from this ratio of each worker's rows to the columns on. There it was
 * faster than PxGEQRF on 2 workers of one host (test/bench/MEASUREMENTS.md). */
#define TSQR_COLUMNS 512
#define TSQR_RATIO 16  /* with Q */
#define TSQR_RATIO_R 8 /* R alone */
/* Q is formed in chunks of rows with at most this number of entries, which bounds the buffer. */
#define CHUNK_ENTRIES (INT64_C(1) << 16)

static bool
use_tsqr(const linalg_t *la, const alch_block_t *a, bool vectors)
{
    return a->n > 0 && a->n <= TSQR_COLUMNS && la->call->size > 1 &&
           a->m / la->call->size >= (vectors ? TSQR_RATIO : TSQR_RATIO_R) * a->n;
}

/* The layout in which each rank has one contiguous range of whole rows. */
static alch_layout_t
row_layout(const linalg_t *la, const alch_block_t *a)
{
    return (alch_layout_t){ALCH_BLOCK_CYCLIC, (a->m + la->call->size - 1) / la->call->size, a->n, la->call->size, 1};
}

/* ---- TSQR ---- */

typedef struct {
    linalg_t *la;
    alch_dmatrix_t *rows; /* a, then Q, in row_layout() */
    alch_block_t block;
    int64_t n, r_rows;      /* columns of a; rows of this rank's triangle */
    void *R;                /* n x n, the same on all ranks */
    void *gathered, *stack; /* the triangles as MPI_Allgather delivers them; the stack of the triangles, then its Q */
    void *work, *chunk;
} tsqr_t;

static int64_t
qr_work_bytes(const linalg_t *la, int64_t rows, int64_t n)
{
    return linalg_local_qr_work_entries(rows + la->call->size * n, n) * (int64_t)la->k->entry_bytes;
}

/* Announce the memory of tsqr(). With Q the peak is at the end, when R exists and the rows are relaid out. Without Q
 * the first relayout may need more than all later steps, so the larger of the two counts. */
static void
expect_tsqr(linalg_t *la, const alch_block_t *a, bool vectors)
{
    int64_t size = la->call->size, n = a->n, rows = (a->m + size - 1) / size, entry = (int64_t)la->k->entry_bytes;
    int64_t exchange = la->host->matrix_exchange_bytes(la->call, a->m, n, la->dtype);
    int64_t factor = (2 * size * n * n + n * n) * entry + qr_work_bytes(la, rows, n) +
                     linalg_matrix_bytes(la, n, n, la->k->entry_bytes);

    linalg_expect_bytes(la, rows * n * entry);
    if (vectors) {
        linalg_expect_matrix(la, a->m, n);
        linalg_expect_bytes(la, (CHUNK_ENTRIES + n) * entry + factor + exchange);
    } else {
        linalg_expect_bytes(la, factor > exchange ? factor : exchange);
    }
}

static int
load_rows(tsqr_t *t, const alch_block_t *a, bool vectors)
{
    linalg_t *la = t->la;
    alch_layout_t layout = row_layout(la, a);
    const alch_dmatrix_t *given = la->host->arg_matrix(la->call, "a");
    int64_t entry = (int64_t)la->k->entry_bytes, size = la->call->size, n = a->n;
    int code;

    if (a->dtype == la->dtype)
        code = la->host->matrix_relayout(la->call, given, &layout, &t->rows);
    else
        code = la->host->matrix_convert(la->call, given, la->dtype, &layout, &t->rows);
    if (code)
        return code;
    la->host->matrix_block(t->rows, &t->block);
    t->n = n;
    t->r_rows = t->block.local_m < n ? t->block.local_m : n;
    if ((code = linalg_alloc(la, n * n * entry, &t->R)) ||
        (code = linalg_alloc(la, size * n * n * entry, &t->gathered)) ||
        (code = linalg_alloc(la, size * n * n * entry, &t->stack)) ||
        (code = linalg_alloc(la, vectors ? (CHUNK_ENTRIES + n) * entry : 0, &t->chunk)))
        return code;
    return linalg_alloc(la, qr_work_bytes(la, t->block.local_m, n), &t->work);
}

/* Compute R and, if `vectors`, overwrite the rows with Q. */
static void
factor_rows(tsqr_t *t, bool vectors)
{
    const linalg_kernels_t *k = t->la->k;
    int64_t n = t->n, size = t->la->call->size, rows = t->block.local_m;
    int64_t chunk_rows = CHUNK_ENTRIES / n > 0 ? CHUNK_ENTRIES / n : 1;
    int numbers = (int)(n * n) * linalg_reals_per_entry(k);
    void (*qr)(const linalg_kernels_t *, int64_t, int64_t, void *, int64_t, void *, int64_t, void *) =
        vectors ? linalg_local_qr : linalg_local_r_factor;

    if (t->r_rows > 0)
        qr(k, rows, n, t->block.data, t->block.lld, t->R, n, t->work);
    MPI_Allgather(t->R, numbers, linalg_mpi_type(k), t->gathered, numbers, linalg_mpi_type(k), t->la->call->comm);
    for (int64_t r = 0; r < size; r++)
        linalg_local_lacpy(k, n, n, linalg_address(k, t->gathered, 1, r * n * n, 0), n,
                           linalg_address(k, t->stack, 1, r * n, 0), size * n);
    qr(k, size * n, n, t->stack, size * n, t->R, n, t->work);
    for (int64_t start = 0; vectors && start < rows; start += chunk_rows) {
        int64_t count = rows - start < chunk_rows ? rows - start : chunk_rows;
        void *at = linalg_address(k, t->block.data, 1, start, 0);

        linalg_local_gemm(k, false, false, count, n, t->r_rows, 1, at, t->block.lld,
                          linalg_address(k, t->stack, 1, t->la->call->rank * n, 0), size * n, 0, t->chunk, count);
        linalg_local_lacpy(k, count, n, t->chunk, count, at, t->block.lld);
    }
}

static int
return_r_of_tsqr(tsqr_t *t)
{
    const linalg_kernels_t *k = t->la->k;
    linalg_matrix_t R;
    int64_t at;
    int code = linalg_create(t->la, t->n, t->n, &R);

    for (int64_t j = 0; !code && j < t->n; j++)
        for (int64_t i = 0; i <= j; i++)
            if (linalg_owns_entry(t->la, &R, i, j, &at))
                memcpy(linalg_address(k, R.data, 1, at, 0), linalg_address(k, t->R, t->n, i, j), k->entry_bytes);
    return code ? code : linalg_return_matrix(t->la, "R", &R);
}

static int
tsqr(linalg_t *la, const alch_block_t *a, bool vectors)
{
    tsqr_t t = {.la = la};
    alch_dmatrix_t *Q;
    int code;

    expect_tsqr(la, a, vectors);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, 0, "factorization of each worker's rows")) ||
        (code = load_rows(&t, a, vectors)))
        return code;
    if ((code = linalg_check_finite(la, "a",
                                    &(linalg_matrix_t){.source = t.rows, .block = t.block, .data = t.block.data})))
        return code;
    factor_rows(&t, vectors);
    linalg_note(la, "TSQR: each of %d workers factored at most %" PRId64 " rows", la->call->size,
                (a->m + la->call->size - 1) / la->call->size);
    if ((code = return_r_of_tsqr(&t)) || !vectors)
        return code;
    code = la->host->matrix_relayout(la->call, t.rows, &la->layout, &Q);
    return code ? code : la->host->ret_matrix(la->call, "Q", Q);
}

/* ---- Householder ---- */

typedef enum { REDUCED, COMPLETE, R_ALONE, RAW, MODES } qr_mode_t;

static void
expect_householder(linalg_t *la, qr_mode_t mode, int64_t m, int64_t n)
{
    int64_t k = m < n ? m : n, columns = mode == COMPLETE ? m : k;

    linalg_expect_operand(la, "a", LINALG_COPY);
    linalg_qr_expect(la, m, n, columns);
    if (mode == RAW) {
        linalg_expect_matrix(la, n, m);
        linalg_expect_exchange(la, m, n);
        linalg_expect_bytes(la, k * (int64_t)sizeof(double _Complex));
        linalg_expect_matrix(la, k, 1);
        return;
    }
    linalg_expect_matrix(la, columns, n);
    if (mode != R_ALONE && columns != n)
        linalg_expect_matrix(la, m, columns);
}

/* Return the first `columns` columns of Q. They overwrite the reflectors if their number is the same. */
static int
return_q(linalg_t *la, linalg_qr_t *qr, int columns)
{
    static const int one = 1;
    linalg_matrix_t *A = qr->A, Q = *A;
    int code = linalg_begin_stage(la, 0.5, "forming Q");

    if (!code && columns != A->n && !(code = linalg_create(la, A->m, columns, &Q))) {
        if (la->in_grid && qr->k)
            la->k->lacpy("A", &A->m, &qr->k, A->data, &one, &one, A->desc, Q.data, &one, &one, Q.desc);
        linalg_free(la, A);
    }
    if (!code)
        code = linalg_qr_generate_q(la, qr, &Q);
    return code ? code : linalg_return_matrix(la, "Q", &Q);
}

/* Return tau. Each column of the grid has the scalar factors of its own columns of a. */
static int
return_tau(linalg_t *la, const linalg_qr_t *qr)
{
    const alch_block_t *block = &qr->A->block;
    double _Complex *factors;
    linalg_matrix_t tau;
    int64_t k = qr->k;
    int code;

    if ((code = linalg_alloc(la, k * (int64_t)sizeof(*factors), &factors)) || (code = linalg_create(la, k, 1, &tau)))
        return code;
    for (int64_t j = 0; la->in_grid && la->myrow == 0 && j < block->local_n; j++)
        if (linalg_global_col(block, j) < k)
            factors[linalg_global_col(block, j)] = linalg_get_entry(la->dtype, qr->tau, j);
    MPI_Allreduce(MPI_IN_PLACE, factors, (int)k, MPI_C_DOUBLE_COMPLEX, MPI_SUM, la->call->comm);
    for (int64_t i = 0; tau.data && i < tau.block.local_m; i++)
        linalg_set_entry(la->dtype, tau.data, i, factors[linalg_global_row(&tau.block, i)]);
    return linalg_return_matrix(la, "tau", &tau);
}

static int
return_raw(linalg_t *la, const linalg_qr_t *qr)
{
    alch_dmatrix_t *h;
    int code = la->host->matrix_transpose(la->call, qr->A->source, false, &la->layout, &h);

    if (!code)
        code = la->host->ret_matrix(la->call, "h", h);
    return code ? code : return_tau(la, qr);
}

static int
householder(linalg_t *la, const alch_block_t *a, qr_mode_t mode)
{
    int64_t columns = mode == COMPLETE || a->m < a->n ? a->m : a->n;
    linalg_matrix_t A, R;
    linalg_qr_t qr;
    int code;

    expect_householder(la, mode, a->m, a->n);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, 0, "factorization")) ||
        (code = linalg_get_operand(la, "a", LINALG_COPY | LINALG_FINITE, &A)) ||
        (code = linalg_qr_factor(la, &A, columns, &qr)))
        return code;
    if (mode == RAW)
        return return_raw(la, &qr);
    if ((code = linalg_qr_copy_r(la, &qr, columns, &R)) || (code = linalg_return_matrix(la, "R", &R)) ||
        mode == R_ALONE)
        return code;
    return return_q(la, &qr, (int)columns);
}

static int
qr(linalg_t *la)
{
    static const char *const names[] = {"reduced", "complete", "r", "raw"};
    const char *text = la->host->arg_string(la->call, "mode");
    qr_mode_t mode = 0;
    alch_block_t a;

    while (mode < MODES && strcmp(text, names[mode]))
        mode++;
    if (mode == MODES)
        return linalg_fail(la, ALCH_EINVAL, "mode is '%s', but must be reduced, complete, r or raw", text);
    linalg_operand_block(la, "a", &a);
    if ((mode == REDUCED || mode == R_ALONE) && use_tsqr(la, &a, mode == REDUCED))
        return tsqr(la, &a, mode == REDUCED);
    return householder(la, &a, mode);
}

static int
run_qr(alch_call_t *call)
{
    return linalg_run(call, qr, "a", NULL);
}

static const alch_operation_t operations[] = {
    {"qr", "The QR factorization of a matrix.",
     "a:matrix, mode:string=\"reduced\" -> Q:matrix, R:matrix, h:matrix, tau:vector", qr_doc, 0, run_qr},
};

LINALG_OPERATIONS(linalg_qr_operations, operations);
