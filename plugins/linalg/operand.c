/* Matrices of a call: parameters used in place or copied into the layout of the call, and results. */
#include "linalg.h"

#include <complex.h>
#include <inttypes.h>
#include <string.h>

const char *
linalg_dtype_name(alch_dtype_t dtype)
{
    static const char *const names[] = {"", "float64", "float32", "complex128", "complex64", "int64", "int32"};

    return (size_t)dtype < sizeof(names) / sizeof(*names) ? names[dtype] : "";
}

bool
linalg_is_given(linalg_t *la, const char *name)
{
    return la->host->arg_matrix(la->call, name) != NULL;
}

void
linalg_operand_block(linalg_t *la, const char *name, alch_block_t *block_p)
{
    la->host->matrix_block(la->host->arg_matrix(la->call, name), block_p);
}

bool
linalg_same_layout(const alch_layout_t *a, const alch_layout_t *b)
{
    return a->dist == b->dist && a->mb == b->mb && a->nb == b->nb && a->nprow == b->nprow && a->npcol == b->npcol;
}

bool
linalg_is_copied(linalg_t *la, const char *name, unsigned flags)
{
    alch_block_t block;

    linalg_operand_block(la, name, &block);
    return (flags & LINALG_COPY) || block.dtype != la->dtype ||
           (!(flags & LINALG_ANY) && !linalg_same_layout(&block.layout, &la->layout));
}

/* Set all members of M but `matrix` from the matrix `source`. */
static void
init_from_source(linalg_t *la, const alch_dmatrix_t *source, unsigned flags, linalg_matrix_t *M)
{
    M->source = source;
    la->host->matrix_block(source, &M->block);
    M->data = M->block.data;
    M->m = (int)M->block.m;
    M->n = (int)M->block.n;
    if (!(flags & LINALG_ANY) || linalg_same_layout(&M->block.layout, &la->layout)) {
        linalg_descriptor(la, M->block.m, M->block.n, M->desc);
        M->desc[8] = (int)M->block.lld;
    }
}

/* Copy a parameter whose type or layout the call cannot use, and send a note. */
static int
relayout_operand(linalg_t *la, const char *name, unsigned flags, const alch_dmatrix_t *given, alch_dmatrix_t **copy_p)
{
    const alch_layout_t *layout = &la->layout;
    char from[64], to[64];
    alch_block_t block;

    la->host->matrix_block(given, &block);
    if ((flags & LINALG_ANY) && !(flags & LINALG_COPY))
        layout = &block.layout;
    if (!linalg_same_layout(layout, &block.layout))
        linalg_note(la, "%s was relaid out from %s to %s", name,
                    la->host->layout_format(&block.layout, from, sizeof(from)),
                    la->host->layout_format(layout, to, sizeof(to)));
    if (block.dtype == la->dtype)
        return la->host->matrix_relayout(la->call, given, layout, copy_p);
    linalg_note(la, "%s was converted from %s to %s", name, linalg_dtype_name(block.dtype),
                linalg_dtype_name(la->dtype));
    return la->host->matrix_convert(la->call, given, la->dtype, layout, copy_p);
}

/* Copy a parameter in the same type and layout. The same pass looks for entries that are not finite. */
static int
copy_operand(linalg_t *la, const char *name, unsigned flags, const alch_dmatrix_t *given, linalg_matrix_t *M)
{
    linalg_matrix_t from = {.matrix = NULL};
    int64_t position;
    int code;

    init_from_source(la, given, 0, &from);
    if ((code = linalg_create_unset(la, from.block.m, from.block.n, M)))
        return code;
    position = linalg_copy_piece('A', &from, M);
    return flags & LINALG_FINITE ? linalg_agree_all_finite(la, name, &from, position) : ALCH_OK;
}

int
linalg_get_operand(linalg_t *la, const char *name, unsigned flags, linalg_matrix_t *M)
{
    const alch_dmatrix_t *given = la->host->arg_matrix(la->call, name);
    int code;

    memset(M, 0, sizeof(*M));
    if ((flags & LINALG_COPY) && !linalg_is_copied(la, name, flags & ~(LINALG_COPY | LINALG_ANY)))
        return copy_operand(la, name, flags, given, M);
    if (linalg_is_copied(la, name, flags)) {
        if ((code = relayout_operand(la, name, flags, given, &M->matrix)))
            return code;
        given = M->matrix;
    }
    init_from_source(la, given, flags, M);
    return flags & LINALG_FINITE ? linalg_check_finite(la, name, M) : ALCH_OK;
}

int
linalg_agree_all_finite(linalg_t *la, const char *name, const linalg_matrix_t *M, int64_t position)
{
    int64_t mine = position < 0 ? INT64_MAX : position, first;
    int code = ALCH_OK;

    MPI_Allreduce(&mine, &first, 1, MPI_INT64_T, MPI_MIN, la->call->comm);
    if (first == INT64_MAX)
        return ALCH_OK;
    /* The rank that has the entry writes the text. Other ranks may hold a replica of it: their text is the same. */
    if (mine == first)
        code = linalg_fail(la, ALCH_ENUMERIC, "%s: entry (%" PRId64 ", %" PRId64 ") is NaN or infinite", name,
                           first / M->block.n, first % M->block.n);
    return linalg_agree(la, code);
}

int
linalg_check_finite(linalg_t *la, const char *name, const linalg_matrix_t *M)
{
    return linalg_agree_all_finite(la, name, M, linalg_copy_piece('A', M, NULL));
}

/* ---- results ---- */

void
linalg_descriptor(const linalg_t *la, int64_t m, int64_t n, int desc[9])
{
    int64_t rows = la->in_grid ? linalg_numroc(m, la->layout.mb, la->myrow, la->nprow) : 0;

    desc[0] = 1;
    desc[1] = la->context;
    desc[2] = (int)m;
    desc[3] = (int)n;
    desc[4] = (int)la->layout.mb;
    desc[5] = (int)la->layout.nb;
    desc[6] = desc[7] = 0;
    desc[8] = rows > 1 ? (int)rows : 1;
}

int
linalg_create_as(linalg_t *la, int64_t m, int64_t n, alch_dtype_t dtype, linalg_matrix_t *M)
{
    int code;

    memset(M, 0, sizeof(*M));
    code = la->host->matrix_create(la->call, m, n, dtype, &la->layout, &M->matrix);
    if (!code)
        init_from_source(la, M->matrix, 0, M);
    return code;
}

int
linalg_create_unset(linalg_t *la, int64_t m, int64_t n, linalg_matrix_t *M)
{
    int code;

    memset(M, 0, sizeof(*M));
    code = la->host->matrix_create_unset(la->call, m, n, la->dtype, &la->layout, &M->matrix);
    if (!code)
        init_from_source(la, M->matrix, 0, M);
    return code;
}

int
linalg_create(linalg_t *la, int64_t m, int64_t n, linalg_matrix_t *M)
{
    return linalg_create_as(la, m, n, la->dtype, M);
}

int
linalg_create_adjoint(linalg_t *la, const linalg_matrix_t *M, linalg_matrix_t *T)
{
    int code;

    memset(T, 0, sizeof(*T));
    code = la->host->matrix_transpose(la->call, M->source, true, &la->layout, &T->matrix);
    if (!code)
        init_from_source(la, T->matrix, 0, T);
    return code;
}

void
linalg_free(linalg_t *la, linalg_matrix_t *M)
{
    la->host->matrix_free(la->call, M->matrix);
    memset(M, 0, sizeof(*M));
}

int
linalg_return_matrix(linalg_t *la, const char *name, linalg_matrix_t *M)
{
    return la->host->ret_matrix(la->call, name, M->matrix);
}

int
linalg_return_reals(linalg_t *la, const char *name, const double *values, int64_t count)
{
    linalg_matrix_t M;
    int code = linalg_create_as(la, count, 1, la->k->real, &M);

    if (code)
        return code;
    for (int64_t i = 0; M.data && i < M.block.local_m; i++)
        linalg_set_entry(la->k->real, M.data, i, values[la->host->global_row(M.matrix, i)]);
    return linalg_return_matrix(la, name, &M);
}
