/* Local pieces of parallel programs: checks, axes, overlap with the ranks, and the functions that start transfers. */
#include "client/local_piece.h"
#include "client/transfer.h"
#include "base/error.h"
#include "base/util.h"
#include "wire/layout_message.h"

/* ---- the piece ---- */

static int64_t
saturating_product(int64_t x, int64_t y)
{
    int64_t z;

    return __builtin_mul_overflow(x, y, &z) ? INT64_MAX : z;
}

/* The axis of one dimension. If the place's first block begins beyond the extent, the place holds no entries. A block
 * that is larger than the extent is replaced by one of extent + 1, which holds the same entries. */
static alchi_axis_t
to_axis(int64_t extent, int64_t block, int source, int procs, int proc, int64_t start)
{
    int64_t size = block <= extent ? block : extent + 1;
    int64_t first = saturating_product(size, ((int64_t)proc - source + procs) % procs);

    return (alchi_axis_t){size, saturating_product(size, procs), first > extent ? start + extent : start + first};
}

/* How many rows or columns the place holds. */
static int64_t
count_local(int64_t extent, int64_t block, int source, int procs, int proc)
{
    return alchi_count(extent, block <= extent ? block : extent + 1, (int)(((int64_t)proc - source + procs) % procs),
                       procs);
}

static int
check_dimension(const char *name, int64_t block, int source, int procs, int proc, alch_error_t *err)
{
    if (block < 1)
        return alchi_error_set(err, ALCH_EINVAL, "the local piece's block size for %s is %lld, must be at least 1",
                               name, (long long)block);
    if (procs < 1 || source < 0 || source >= procs || proc < -1 || proc >= procs)
        return alchi_error_set(err, ALCH_EINVAL,
                               "the local piece's place %d or source place %d for %s is outside a grid of %d places",
                               proc, source, name, procs);
    return ALCH_OK;
}

static int
check_piece(const alch_local_t *piece, const alch_matrix_info_t *facts, alch_error_t *err)
{
    alch_rect_t rect = {piece->i0, piece->j0, piece->m, piece->n};
    int code = check_dimension("rows", piece->mb, piece->rsrc, piece->nprow, piece->myrow, err);

    if (code == ALCH_OK)
        code = check_dimension("columns", piece->nb, piece->csrc, piece->npcol, piece->mycol, err);
    if (code != ALCH_OK)
        return code;
    if (!alchi_rect_within(&rect, facts->rows, facts->cols))
        return alchi_error_set(
            err, ALCH_ERANGE,
            "the local piece's matrix of %lld x %lld entries at (%lld, %lld) leaves matrix %llu (%lld x %lld)",
            (long long)rect.m, (long long)rect.n, (long long)rect.i, (long long)rect.j, (unsigned long long)facts->id,
            (long long)facts->rows, (long long)facts->cols);
    return ALCH_OK;
}

/* @return ALCH_OK; ALCH_EINVAL, ALCH_ERANGE: the text names the member that is wrong */
static int
init_local_piece(alchi_cli_local_piece_t *local_piece, const alch_local_t *piece, const alch_matrix_info_t *facts,
                 alch_error_t *err)
{
    int code = check_piece(piece, facts, err);
    int64_t rows;

    if (code != ALCH_OK)
        return code;
    if (piece->myrow < 0 || piece->mycol < 0) {
        *local_piece = (alchi_cli_local_piece_t){{1, 1, 0}, {1, 1, 0}, {piece->i0, piece->j0, 0, 0}, 0};
        return ALCH_OK;
    }
    rows = count_local(piece->m, piece->mb, piece->rsrc, piece->nprow, piece->myrow);
    if (piece->lld < 1 || piece->lld < rows)
        return alchi_error_set(err, ALCH_EINVAL, "the local piece's leading dimension is %lld, must be at least %lld",
                               (long long)piece->lld, (long long)alchi_max_int64(rows, 1));
    local_piece->rows = to_axis(piece->m, piece->mb, piece->rsrc, piece->nprow, piece->myrow, piece->i0);
    local_piece->cols = to_axis(piece->n, piece->nb, piece->csrc, piece->npcol, piece->mycol, piece->j0);
    local_piece->rect = (alch_rect_t){piece->i0, piece->j0, piece->m, piece->n};
    local_piece->replica = (int64_t)piece->myrow + piece->mycol;
    return ALCH_OK;
}

void
alchi_cli_local_piece_axes(const alchi_cli_local_piece_t *local_piece, Alchw__Axes *axes_p)
{
    const alchi_axis_t *rows = &local_piece->rows, *cols = &local_piece->cols;

    alchi_wire_axes_out((int64_t[]){rows->block, rows->period, rows->first},
                        (int64_t[]){cols->block, cols->period, cols->first}, axes_p);
}

/* ---- its overlap with one rank ---- */

static void
intersect_with_place(const alchi_cli_local_piece_t *local_piece, const alchi_layout_t *layout, int row, int col,
                     alchi_intersect_t *rows_p, alchi_intersect_t *cols_p)
{
    alchi_axis_t rows, cols;

    alchi_layout_axes(layout, row, col, &rows, &cols);
    alchi_intersect_init(rows_p, &local_piece->rows, &rows, local_piece->rect.i,
                         local_piece->rect.i + local_piece->rect.m);
    alchi_intersect_init(cols_p, &local_piece->cols, &cols, local_piece->rect.j,
                         local_piece->rect.j + local_piece->rect.n);
}

int64_t
alchi_cli_local_piece_entries(const alchi_cli_local_piece_t *local_piece, const alchi_layout_t *layout, int rank,
                              bool writing)
{
    alchi_intersect_t rows, cols;
    int replica, row, col;

    if (!alchi_layout_place(layout, rank, &replica, &row, &col))
        return 0;
    if (!writing && replica != local_piece->replica % layout->replicas)
        return 0;
    intersect_with_place(local_piece, layout, row, col, &rows, &cols);
    return alchi_intersect_count(&rows) * alchi_intersect_count(&cols);
}

void
alchi_cli_local_piece_splitter_init(alchi_overlap_splitter_t *splitter, const alchi_cli_local_piece_t *local_piece,
                                    const alchi_layout_t *layout, int rank, int64_t limit)
{
    int replica, row = 0, col = 0;
    alchi_intersect_t rows, cols;

    alchi_layout_place(layout, rank, &replica, &row, &col);
    intersect_with_place(local_piece, layout, row, col, &rows, &cols);
    alchi_overlap_splitter_init(splitter, &rows, &cols, limit);
}

/* ---- transfers ---- */

static int
start_local(alch_matrix_t *matrix, bool writing, const alch_local_t *piece, const void *local,
            alch_transfer_t **transfer_p, alch_error_t *err)
{
    alchi_cli_memory_t memory = {.data = (uint8_t *)local, .row_stride = 1};
    alchi_cli_local_piece_t local_piece;
    int code;

    if (!matrix || !piece || !transfer_p)
        return alchi_error_set(err, ALCH_EINVAL, "matrix, piece or transfer_p is NULL");
    if ((code = alchi_cli_session_check(matrix->session, err)) != ALCH_OK)
        return code;
    if ((code = init_local_piece(&local_piece, piece, &matrix->facts, err)) != ALCH_OK)
        return code;
    if (!local && local_piece.rect.m && local_piece.rect.n &&
        local_piece.rows.first < local_piece.rect.i + local_piece.rect.m &&
        local_piece.cols.first < local_piece.rect.j + local_piece.rect.n)
        return alchi_error_set(err, ALCH_EINVAL, "local is NULL");
    memory.rect = local_piece.rect;
    memory.col_stride = piece->lld;
    memory.entry = matrix->entry;
    return alchi_cli_transfer_start(matrix, writing, &memory, false, &local_piece, transfer_p, err);
}

int
alch_matrix_write_local_start(alch_matrix_t *matrix, const alch_local_t *piece, const void *local,
                              alch_transfer_t **transfer_p, alch_error_t *err)
{
    return start_local(matrix, true, piece, local, transfer_p, err);
}

int
alch_matrix_read_local_start(alch_matrix_t *matrix, const alch_local_t *piece, void *local,
                             alch_transfer_t **transfer_p, alch_error_t *err)
{
    return start_local(matrix, false, piece, local, transfer_p, err);
}
