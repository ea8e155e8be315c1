/* Services for matrices: create, free, describe, and copy into another layout or type. */
#include "base/error.h"
#include "base/types.h"
#include "base/util.h"
#include "pluginhost/call.h"
#include "pluginhost/exchange.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

alch_dmatrix_t *
alchi_host_matrix_attach(alchi_host_call_t *call, alchi_store_part_t *part, bool is_argument)
{
    alch_dmatrix_t *matrix = calloc(1, sizeof(*matrix));

    if (!matrix)
        return NULL;
    matrix->part = part;
    matrix->is_argument = is_argument;
    DL_APPEND(call->matrices, matrix);
    return matrix;
}

static int
create_matrix(alch_call_t *base, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout, bool zeroed,
              alch_dmatrix_t **matrix_p)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    alchi_store_t *store = call->plugins->env.store;
    alch_error_t error = {ALCH_OK, -1, ""};
    alch_dmatrix_t *matrix = NULL;
    alchi_store_part_t *part = NULL;
    int code = zeroed ? alchi_store_reserve(store, 0, m, n, dtype, layout, "", &part, &error)
                      : alchi_store_reserve_unset(store, m, n, dtype, layout, &part, &error);

    if (!code && !(matrix = alchi_host_matrix_attach(call, part, false))) {
        alchi_store_release(store, part);
        code = alchi_error_set(&error, ALCH_ENOMEM, "the rank is out of memory for a work matrix");
    }
    code = alchi_host_agree(call->plugins->comm, code, &error);
    if (code) {
        alchi_host_matrix_free(base, matrix);
        call->error = error;
        return code;
    }
    *matrix_p = matrix;
    return ALCH_OK;
}

int
alchi_host_matrix_create(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
                         alch_dmatrix_t **matrix_p)
{
    return create_matrix(call, m, n, dtype, layout, true, matrix_p);
}

int
alchi_host_matrix_create_unset(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
                               alch_dmatrix_t **matrix_p)
{
    return create_matrix(call, m, n, dtype, layout, false, matrix_p);
}

void
alchi_host_matrix_free(alch_call_t *base, alch_dmatrix_t *matrix)
{
    alchi_host_call_t *call = alchi_host_call_of(base);

    if (!matrix)
        return;
    if (matrix->is_argument || matrix->is_result) {
        alchi_host_call_note_misuse(call, "matrix_free() was called for %s",
                                    matrix->is_argument ? "an argument" : "a result");
        return;
    }
    DL_DELETE(call->matrices, matrix);
    alchi_store_release(call->plugins->env.store, matrix->part);
    free(matrix);
}

void
alchi_host_matrix_block(const alch_dmatrix_t *matrix, alch_block_t *block_p)
{
    const alchi_store_part_t *part = matrix ? matrix->part : NULL;

    memset(block_p, 0, sizeof(*block_p));
    block_p->replica = block_p->myrow = block_p->mycol = -1;
    block_p->lld = 1;
    if (!part)
        return;
    *block_p = (alch_block_t){.m = part->layout.m,
                              .n = part->layout.n,
                              .dtype = part->dtype,
                              .layout = part->layout.spec,
                              .replicas = part->layout.replicas,
                              .replica = part->replica,
                              .myrow = part->row,
                              .mycol = part->col,
                              .local_m = part->local_m,
                              .local_n = part->local_n,
                              .lld = part->lld > 1 ? part->lld : 1,
                              .data = part->data};
    /* The spec of a named distribution lacks the grid and the block sizes. */
    block_p->layout.mb = part->layout.mb;
    block_p->layout.nb = part->layout.nb;
    block_p->layout.nprow = part->layout.nprow;
    block_p->layout.npcol = part->layout.npcol;
}

int64_t
alchi_host_matrix_global_row(const alch_dmatrix_t *matrix, int64_t i)
{
    return alchi_axis_global(&matrix->part->rows, i);
}

int64_t
alchi_host_matrix_global_col(const alch_dmatrix_t *matrix, int64_t j)
{
    return alchi_axis_global(&matrix->part->cols, j);
}

int
alchi_host_matrix_descriptor(alch_call_t *base, const alch_dmatrix_t *matrix, int desc[9])
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    alch_error_t error = {ALCH_OK, -1, ""};
    int64_t lld = matrix->part->lld > 1 ? matrix->part->lld : 1;
    int code = alchi_blacs_descriptor(call->plugins->blacs, &matrix->part->layout, lld, desc, &error);

    if (code)
        call->error = error;
    return code;
}

/* Create a work matrix with the entries of another matrix. */
static int
derive_matrix(alch_call_t *base, const alch_dmatrix_t *matrix, alch_dtype_t dtype, const alch_layout_t *layout,
              const alchi_host_exchange_t *options, alch_dmatrix_t **matrix_p)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    const alchi_store_part_t *from = matrix->part;
    int64_t m = options->transpose ? from->layout.n : from->layout.m,
            n = options->transpose ? from->layout.m : from->layout.n;
    alch_error_t error = {ALCH_OK, -1, ""};
    alch_dmatrix_t *copy;
    int code = alchi_dtype_check_conversion(from->dtype, dtype, options->unsafe, &call->error);

    if (!code)
        code = create_matrix(base, m, n, dtype, layout, false, &copy);
    if (code)
        return code;
    code = alchi_host_exchange(call->plugins->comm, call->plugins->env.store, from, copy->part, options, &error);
    if (code) {
        alchi_host_matrix_free(base, copy);
        call->error = error;
        return code;
    }
    *matrix_p = copy;
    return ALCH_OK;
}

int
alchi_host_matrix_relayout(alch_call_t *call, const alch_dmatrix_t *matrix, const alch_layout_t *layout,
                           alch_dmatrix_t **matrix_p)
{
    static const alchi_host_exchange_t options = {0};

    return derive_matrix(call, matrix, matrix->part->dtype, layout, &options, matrix_p);
}

int
alchi_host_matrix_transpose(alch_call_t *call, const alch_dmatrix_t *matrix, bool conjugate,
                            const alch_layout_t *layout, alch_dmatrix_t **matrix_p)
{
    const alchi_host_exchange_t options = {.transpose = true, .conjugate = conjugate};

    return derive_matrix(call, matrix, matrix->part->dtype, layout, &options, matrix_p);
}

int
alchi_host_matrix_convert(alch_call_t *call, const alch_dmatrix_t *matrix, alch_dtype_t dtype,
                          const alch_layout_t *layout, alch_dmatrix_t **matrix_p)
{
    static const alchi_host_exchange_t options = {0};

    return derive_matrix(call, matrix, dtype, layout, &options, matrix_p);
}

int64_t
alchi_host_matrix_exchange_bytes(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype)
{
    return alchi_host_exchange_bytes(call->size, m, n, alch_dtype_size(dtype));
}

void
alchi_host_matrix_name(alch_call_t *call, alch_dmatrix_t *matrix, const char *name)
{
    alchi_store_part_t *part = matrix->part;

    if (matrix->is_argument || matrix->is_result) {
        alchi_host_call_note_misuse(alchi_host_call_of(call), "matrix_name() was called for %s",
                                    matrix->is_argument ? "an argument" : "a result");
        return;
    }
    snprintf(part->name, sizeof(part->name), "%s", name);
    alchi_utf8_clean(part->name);
}

int
alchi_host_layout_parse(alch_call_t *call, const char *text, alch_layout_t *layout_p)
{
    alch_error_t *error = &alchi_host_call_of(call)->error;
    int code = alch_layout_parse(text, layout_p, error);

    if (code)
        error->rank = call->rank;
    return code;
}
