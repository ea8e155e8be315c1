/* QR factorization: Householder on the grid, or TSQR for tall and skinny matrices. */
#include "spectral.h"

#include <inttypes.h>
#include <string.h>

static const char qr_doc[] =
    "The QR factorization a = Q R, Q with orthonormal columns, R upper triangular.\n\n"
    "Method: Householder reflections (PxGEQRF, PxORGQR, PxUNGQR). A tall and skinny matrix (at most 512 columns, and "
    "on "
    "each worker 4 times as many rows as columns) by TSQR: each worker factors its rows, then all factor the stack of "
    "the triangles (Demmel, Grigori, Hoemmen, Langou 2012); a note says so. Both are stable for every matrix, "
    "singular "
    "ones included: |Q^H Q - 1| and |a - Q R| / |a| are a few eps.\n"
    "Memory: a copy of a, which becomes Q, R, and for TSQR the rows once more and 2 n^2 entries times the workers.\n"
    "Cancel: between the stages.\n\n"
    "a: m x n\n"
    "mode: reduced: Q of m x min(m, n) and R of min(m, n) x n; r: R alone\n"
    "Q: missing with mode r\n"
    "R: upper triangular or trapezoidal; its diagonal may be negative\n";

/* Of more columns the triangles of all ranks cost more than they save. */
#define TSQR_COLUMNS 512
#define TSQR_RATIO 4
/* Entries that are multiplied at once on the way to Q. */
#define CHUNK_ENTRIES (INT64_C(1) << 18)

static bool
is_skinny(const linalg_t *la, const alch_block_t *a)
{
    return a->n > 0 && a->n <= TSQR_COLUMNS && la->call->size > 1 && a->m / la->call->size >= TSQR_RATIO * a->n;
}

/* Rows in one piece on each rank. */
static alch_layout_t
row_layout(const linalg_t *la, const alch_block_t *a)
{
    return (alch_layout_t){ALCH_BLOCK_CYCLIC, (a->m + la->call->size - 1) / la->call->size, a->n, la->call->size, 1};
}

/* ---- TSQR ---- */

typedef struct {
    linalg_t *la;
    alch_dmatrix_t *rows; /* a, then Q, by rows */
    alch_block_t block;
    int64_t n, own;     /* columns; rows of this rank's triangle */
    void *R;            /* n x n, the same on all ranks */
    void *each, *stack; /* triangles as they come; on top of one another, then Q of that */
    void *work, *chunk;
} tsqr_t;

static void
expect_tsqr(linalg_t *la, const alch_block_t *a)
{
    int64_t size = la->call->size, n = a->n, rows = (a->m + size - 1) / size;

    linalg_expect_bytes(
        la, (rows * n + 2 * size * n * n + n * n + linalg_local_qr_entries(rows + size * n, n) + CHUNK_ENTRIES + n) *
                (int64_t)la->k->entry);
    linalg_expect_exchange(la, a->m, n);
    linalg_expect_matrix(la, a->m, n);
    linalg_expect_matrix(la, n, n);
}

static int
take_rows(tsqr_t *t, const alch_block_t *a)
{
    linalg_t *la = t->la;
    alch_layout_t layout = row_layout(la, a);
    const alch_dmatrix_t *given = la->host->arg_matrix(la->call, "a");
    int64_t entry = (int64_t)la->k->entry, size = la->call->size, n = a->n;
    int code;

    if (a->dtype == la->dtype)
        code = la->host->matrix_relayout(la->call, given, &layout, &t->rows);
    else
        code = la->host->matrix_convert(la->call, given, la->dtype, &layout, &t->rows);
    if (code)
        return code;
    la->host->matrix_block(t->rows, &t->block);
    t->n = n;
    t->own = t->block.local_m < n ? t->block.local_m : n;
    if ((code = linalg_alloc(la, n * n * entry, &t->R)) || (code = linalg_alloc(la, size * n * n * entry, &t->each)) ||
        (code = linalg_alloc(la, size * n * n * entry, &t->stack)) ||
        (code = linalg_alloc(la, (CHUNK_ENTRIES + n) * entry, &t->chunk)))
        return code;
    return linalg_alloc(la, linalg_local_qr_entries(t->block.local_m + size * n, n) * entry, &t->work);
}

/* Q and R; the rows become Q. */
static void
factor_rows(tsqr_t *t, bool vectors)
{
    const linalg_kernels_t *k = t->la->k;
    int64_t n = t->n, size = t->la->call->size, rows = t->block.local_m;
    int64_t most = CHUNK_ENTRIES / n > 0 ? CHUNK_ENTRIES / n : 1;
    int numbers = (int)(n * n) * linalg_mpi_parts(k);

    if (t->own > 0)
        linalg_local_qr(k, rows, n, t->block.data, t->block.lld, t->R, n, t->work);
    MPI_Allgather(t->R, numbers, linalg_mpi_type(k), t->each, numbers, linalg_mpi_type(k), t->la->call->comm);
    for (int64_t r = 0; r < size; r++)
        linalg_local_copy(k, n, n, linalg_at(k, t->each, 1, r * n * n, 0), n, linalg_at(k, t->stack, 1, r * n, 0),
                          size * n);
    linalg_local_qr(k, size * n, n, t->stack, size * n, t->R, n, t->work);
    for (int64_t start = 0; vectors && start < rows; start += most) {
        int64_t count = rows - start < most ? rows - start : most;
        void *at = linalg_at(k, t->block.data, 1, start, 0);

        linalg_local_gemm(k, false, false, count, n, t->own, 1, at, t->block.lld,
                          linalg_at(k, t->stack, 1, t->la->call->rank * n, 0), size * n, 0, t->chunk, count);
        linalg_local_copy(k, count, n, t->chunk, count, at, t->block.lld);
    }
}

static int
return_small(tsqr_t *t)
{
    const linalg_kernels_t *k = t->la->k;
    linalg_matrix_t R;
    int64_t at;
    int code = linalg_create(t->la, t->n, t->n, &R);

    for (int64_t j = 0; !code && j < t->n; j++)
        for (int64_t i = 0; i <= j; i++)
            if (linalg_entry_here(t->la, &R, i, j, &at))
                memcpy(linalg_at(k, R.data, 1, at, 0), linalg_at(k, t->R, t->n, i, j), k->entry);
    return code ? code : linalg_return(t->la, "R", &R);
}

static int
tsqr(linalg_t *la, const alch_block_t *a, bool vectors)
{
    tsqr_t t = {.la = la};
    alch_dmatrix_t *Q;
    int code;

    expect_tsqr(la, a);
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "factorization of each worker's rows")) ||
        (code = take_rows(&t, a)))
        return code;
    if ((code = linalg_finite(la, "a", &(linalg_matrix_t){.source = t.rows, .block = t.block, .data = t.block.data})))
        return code;
    factor_rows(&t, vectors);
    linalg_note(la, "TSQR: each of %d workers factored %" PRId64 " rows", la->call->size,
                (a->m + la->call->size - 1) / la->call->size);
    if (vectors) {
        if ((code = la->host->matrix_relayout(la->call, t.rows, &la->layout, &Q)) ||
            (code = la->host->ret_matrix(la->call, "Q", Q)))
            return code;
    }
    return return_small(&t);
}

/* ---- Householder ---- */

static int
return_columns(linalg_t *la, linalg_matrix_t *A, int k)
{
    static const int one = 1;
    linalg_matrix_t Q;
    int code;

    if (k == A->n)
        return linalg_return(la, "Q", A);
    if ((code = linalg_create(la, A->m, k, &Q)))
        return code;
    if (la->here)
        la->k->lacpy("A", &A->m, &k, A->data, &one, &one, A->desc, Q.data, &one, &one, Q.desc);
    linalg_free(la, A);
    return linalg_return(la, "Q", &Q);
}

static int
householder(linalg_t *la, const alch_block_t *a, bool vectors)
{
    int64_t k = a->m < a->n ? a->m : a->n;
    linalg_matrix_t A, R;
    linalg_qr_t qr;
    int code;

    linalg_expect(la, "a", LINALG_COPY);
    linalg_qr_expect(la, a->m, a->n, k);
    linalg_expect_matrix(la, k, a->n);
    if (vectors && k < a->n)
        linalg_expect_matrix(la, a->m, k);
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "factorization")) ||
        (code = linalg_operand(la, "a", LINALG_COPY | LINALG_FINITE, &A)))
        return code;
    if (k == 0)
        code = linalg_create(la, k, a->n, &R);
    else if (!(code = linalg_qr_factor(la, &A, k, &qr)))
        code = linalg_qr_upper(la, &qr, &R);
    if (!code && vectors && k > 0 && !(code = linalg_stage(la, 0.5, "forming Q")))
        code = linalg_qr_form(la, &qr);
    if (!code && vectors)
        code = return_columns(la, &A, (int)k);
    return code ? code : linalg_return(la, "R", &R);
}

static int
qr(linalg_t *la)
{
    const char *mode = la->host->arg_string(la->call, "mode");
    bool vectors = !strcmp(mode, "reduced");
    alch_block_t a;

    if (!vectors && strcmp(mode, "r"))
        return linalg_fail(la, strcmp(mode, "complete") && strcmp(mode, "raw") ? ALCH_EINVAL : ALCH_EUNSUPPORTED,
                           "mode is '%s': reduced or r is offered", mode);
    linalg_shape(la, "a", &a);
    return is_skinny(la, &a) ? tsqr(la, &a, vectors) : householder(la, &a, vectors);
}

static int
linalg_qr_operation(alch_call_t *call)
{
    linalg_t la;
    int code = linalg_begin(&la, call, "a", NULL);

    if (!code)
        code = qr(&la);
    return linalg_end(&la, code);
}

static const alch_operation_t operations[] = {
    {"qr", "QR factorization.", "a:matrix, mode:string=\"reduced\" -> Q:matrix, R:matrix", qr_doc, 0,
     linalg_qr_operation},
};

LINALG_AREA(linalg_qr_area, operations);
