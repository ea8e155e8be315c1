/* One call of an operation: its type and layout, memory, errors, notes and warnings. */
#include "linalg.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
linalg_fail(linalg_t *la, int code, const char *format, ...)
{
    char text[ALCH_ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return la->host->fail(la->call, code, "linalg.%s: %s", la->call->function, text);
}

int
linalg_agree(linalg_t *la, int code)
{
    return la->host->agree(la->call, code, NULL);
}

int
linalg_check_info(linalg_t *la, const char *routine, int *info_p)
{
    MPI_Bcast(info_p, 1, MPI_INT, 0, la->call->comm);
    if (*info_p < 0)
        return linalg_fail(la, ALCH_EINTERNAL, "P%c%s reports that its argument %d has an illegal value",
                           la->k->letter - 'a' + 'A', routine, -*info_p >= 100 ? -*info_p / 100 : -*info_p);
    return ALCH_OK;
}

int
linalg_begin_stage(linalg_t *la, double fraction, const char *what)
{
    la->host->progress(la->call, fraction, "%s", what);
    if (la->host->cancelled(la->call))
        return linalg_fail(la, ALCH_ECANCELED, "the task was canceled before this stage: %s", what);
    return ALCH_OK;
}

static void
send_note(linalg_t *la, alch_note_kind_t kind, const char *format, va_list args)
{
    char text[ALCH_ERROR_TEXT_MAX];

    vsnprintf(text, sizeof(text), format, args);
    la->host->note(la->call, kind, "linalg.%s: %s", la->call->function, text);
}

void
linalg_note(linalg_t *la, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    send_note(la, ALCH_NOTE, format, args);
    va_end(args);
}

void
linalg_warn(linalg_t *la, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    send_note(la, ALCH_WARNING, format, args);
    va_end(args);
}

/* ---- type and layout ---- */

/* The type in which NumPy computes with operands of these two types. */
static alch_dtype_t
promote_dtype(alch_dtype_t dtype, alch_dtype_t next)
{
    const linalg_kernels_t *a = linalg_kernels(dtype), *b = linalg_kernels(next);
    size_t real_bytes;

    if (!b)
        b = linalg_kernels(ALCH_FLOAT64);
    real_bytes = a->real_bytes > b->real_bytes ? a->real_bytes : b->real_bytes;
    if (a->is_complex || b->is_complex)
        return real_bytes == 8 ? ALCH_COMPLEX128 : ALCH_COMPLEX64;
    return real_bytes == 8 ? ALCH_FLOAT64 : ALCH_FLOAT32;
}

static bool
is_usable_in_place(const alch_block_t *block)
{
    const alch_layout_t *layout = &block->layout;

    return layout->dist == ALCH_BLOCK_CYCLIC && block->replicas == 1 && layout->mb == layout->nb &&
           layout->mb >= LINALG_BLOCK_MIN && layout->mb <= LINALG_BLOCK_MAX;
}

/* ScaLAPACK counts the rows and columns of a matrix and the entries on one rank in 32 bits. */
static int
check_index_limits(linalg_t *la, const char *what, int64_t m, int64_t n)
{
    int64_t entries = linalg_matrix_bytes(la, m, n, 1);

    if (m <= INT32_MAX - LINALG_BLOCK_MAX && n <= INT32_MAX - LINALG_BLOCK_MAX && entries <= INT32_MAX)
        return ALCH_OK;
    if (entries == INT64_MAX)
        return linalg_fail(la, ALCH_ELIMIT,
                           "%s is %" PRId64 " x %" PRId64 ": the number of its entries on one worker exceeds 64 bits",
                           what, m, n);
    return linalg_fail(la, ALCH_ELIMIT,
                       "%s is %" PRId64 " x %" PRId64 " with %" PRId64 " entries on one worker, but ScaLAPACK's 32-bit "
                       "indices allow at most %d rows, columns, or entries on a worker",
                       what, m, n, entries, INT32_MAX);
}

/* Create and free an empty matrix in the layout of the call: the host resolves the layout and opens the BLACS context
 * of its grid, which all matrices of the call share. */
static int
open_grid(linalg_t *la)
{
    alch_dmatrix_t *empty;
    alch_block_t block;
    int desc[9], code = la->host->matrix_create(la->call, 0, 0, la->dtype, &la->layout, &empty);

    if (code)
        return code;
    if ((code = la->host->matrix_descriptor(la->call, empty, desc)))
        return code;
    la->host->matrix_block(empty, &block);
    la->host->matrix_free(la->call, empty);
    la->layout = block.layout;
    la->context = desc[1];
    la->nprow = block.layout.nprow;
    la->npcol = block.layout.npcol;
    la->myrow = block.myrow;
    la->mycol = block.mycol;
    la->in_grid = desc[1] >= 0;
    return ALCH_OK;
}

static int
init_call(linalg_t *la, alch_call_t *call, alch_dtype_t dtype, va_list names)
{
    static const alch_layout_t default_layout = {ALCH_BLOCK_CYCLIC, ALCH_DEFAULT_BLOCK, ALCH_DEFAULT_BLOCK, 0, 0};
    double largest = -1;
    const char *name;

    memset(la, 0, sizeof(*la));
    la->call = call;
    la->host = call->host;
    la->layout = default_layout;
    while ((name = va_arg(names, const char *))) {
        alch_block_t block;
        double entries;

        linalg_operand_block(la, name, &block);
        entries = (double)block.m * (double)block.n;
        if (!linalg_is_given(la, name))
            continue;
        dtype = dtype ? promote_dtype(dtype, block.dtype) : linalg_kernels(block.dtype) ? block.dtype : ALCH_FLOAT64;
        if (is_usable_in_place(&block) && entries > largest) {
            largest = entries;
            la->layout = block.layout;
        }
    }
    la->dtype = dtype ? dtype : ALCH_FLOAT64;
    la->k = linalg_kernels(la->dtype);
    return open_grid(la);
}

static int
run_body(alch_call_t *call, alch_dtype_t min_dtype, linalg_body_f *body, va_list names)
{
    linalg_t la;
    int code = init_call(&la, call, min_dtype, names);

    if (!code)
        code = body(&la);
    while (la.buffer_count > 0)
        free(la.buffers[--la.buffer_count]);
    return code;
}

int
linalg_run(alch_call_t *call, linalg_body_f *body, ...)
{
    va_list names;
    int code;

    va_start(names, body);
    code = run_body(call, 0, body, names);
    va_end(names);
    return code;
}

int
linalg_run_as(alch_call_t *call, alch_dtype_t min_dtype, linalg_body_f *body, ...)
{
    va_list names;
    int code;

    va_start(names, body);
    code = run_body(call, min_dtype, body, names);
    va_end(names);
    return code;
}

/* ---- memory ---- */

int64_t
linalg_numroc(int64_t end, int64_t nb, int proc, int procs)
{
    int64_t blocks = end / nb, mine = blocks / procs * nb, rest = blocks % procs;

    if (proc < rest)
        return mine + nb;
    return proc == rest ? mine + end % nb : mine;
}

int64_t
linalg_matrix_bytes(const linalg_t *la, int64_t m, int64_t n, size_t entry_bytes)
{
    int64_t rows = linalg_numroc(m, la->layout.mb, 0, la->layout.nprow ? la->layout.nprow : 1);
    int64_t cols = linalg_numroc(n, la->layout.nb, 0, la->layout.npcol ? la->layout.npcol : 1), bytes;

    return __builtin_mul_overflow(rows, cols, &bytes) || __builtin_mul_overflow(bytes, (int64_t)entry_bytes, &bytes)
               ? INT64_MAX
               : bytes;
}

void
linalg_expect_bytes(linalg_t *la, int64_t bytes)
{
    if (__builtin_add_overflow(la->expected_bytes, bytes, &la->expected_bytes))
        la->expected_bytes = INT64_MAX;
}

void
linalg_expect_matrix_as(linalg_t *la, int64_t m, int64_t n, size_t entry_bytes)
{
    linalg_expect_bytes(la, linalg_matrix_bytes(la, m, n, entry_bytes));
    if (la->limit_code == ALCH_OK)
        la->limit_code = check_index_limits(la, "the result", m, n);
}

void
linalg_expect_matrix(linalg_t *la, int64_t m, int64_t n)
{
    linalg_expect_matrix_as(la, m, n, la->k->entry_bytes);
}

void
linalg_expect_exchange(linalg_t *la, int64_t m, int64_t n)
{
    linalg_expect_bytes(la, la->host->matrix_exchange_bytes(la->call, m, n, la->dtype));
}

void
linalg_expect_operand(linalg_t *la, const char *name, unsigned flags)
{
    alch_block_t block;
    int64_t bytes;

    if (!linalg_is_given(la, name))
        return;
    linalg_operand_block(la, name, &block);
    if (!(flags & LINALG_ANY) && la->limit_code == ALCH_OK)
        la->limit_code = check_index_limits(la, name, block.m, block.n);
    if (!linalg_is_copied(la, name, flags))
        return;
    bytes = linalg_matrix_bytes(la, block.m, block.n, la->k->entry_bytes);
    linalg_expect_bytes(la, bytes);
    if (linalg_is_copied(la, name, flags & ~LINALG_COPY))
        linalg_expect_exchange(la, block.m, block.n);
}

int
linalg_check_memory(linalg_t *la)
{
    int code = la->limit_code;

    if (!code)
        code = la->host->workspace(la->call, la->buffer_bytes + la->expected_bytes);
    if (!code)
        code = la->host->workspace(la->call, la->buffer_bytes);
    return linalg_agree(la, code);
}

int
linalg_alloc(linalg_t *la, int64_t bytes, void *pointer_p)
{
    void *memory = NULL;
    int code = ALCH_OK;

    if (la->buffer_count == LINALG_BUFFERS_MAX)
        code = linalg_fail(la, ALCH_EINTERNAL, "the call uses more than %d buffers", LINALG_BUFFERS_MAX);
    if (!code)
        code = la->host->workspace(la->call, la->buffer_bytes + bytes);
    if (!code && !(memory = calloc((size_t)bytes + 1, 1)))
        code = linalg_fail(la, ALCH_ENOMEM, "the system has no memory for a workspace of %" PRId64 " bytes", bytes);
    if (memory) {
        la->buffers[la->buffer_count++] = memory;
        la->buffer_bytes += bytes;
    }
    if (!(code = linalg_agree(la, code)))
        *(void **)pointer_p = memory;
    return code;
}
