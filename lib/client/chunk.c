/* Shapes of messages and chunks. */
#include "client/chunk.h"
#include "base/util.h"

/* Messages from memory whose rows are denser than its columns are few rows of many columns: their chunks then use whole
 * cache lines and few pages at a time. But the columns must be long enough for the worker to take them one by one, and
 * the message large enough to be worth an acknowledgement. */
#define COLUMN_BYTES (((int64_t)4 << 10) + 64)
#define MESSAGE_BYTES ((int64_t)1 << 20)
#define LINE_BYTES 64

static int64_t
within(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static int64_t
magnitude(int64_t x)
{
    return x < 0 ? -x : x;
}

/* Choose the size of messages for the piece that comes next. */
static void
shape(alchi_cli_splitter_t *cutter)
{
    const alch_rect_t *whole = &cutter->piece.local;
    const alchi_cli_memory_t *memory = cutter->memory;
    int64_t entry = (int64_t)memory->entry, rows;

    cutter->i = cutter->j = 0;
    cutter->across = magnitude(memory->col_stride) < magnitude(memory->row_stride) && whole->n > 1;
    if (cutter->across) {
        rows = MESSAGE_BYTES / entry / whole->n;
        rows = rows < COLUMN_BYTES / entry ? COLUMN_BYTES / entry : rows;
        cutter->m = within(rows, 1, alchi_min_int64(whole->m, cutter->entries));
        cutter->n = within(cutter->entries / cutter->m, 1, whole->n);
    } else {
        cutter->m = alchi_min_int64(whole->m, cutter->entries);
        cutter->n = within(cutter->entries / cutter->m, 1, whole->n);
    }
}

void
alchi_cli_splitter_init(alchi_cli_splitter_t *cutter, const alchi_plan_t *plan, int rank,
                        const alchi_cli_memory_t *memory, size_t bytes)
{
    *cutter = (alchi_cli_splitter_t){.memory = memory, .entries = (int64_t)(bytes / memory->entry)};
    alchi_cursor_init(&cutter->cursor, plan, rank);
}

/* Move on to the next message of the piece; at its end there is none. */
static void
advance(alchi_cli_splitter_t *cutter)
{
    const alch_rect_t *whole = &cutter->piece.local;

    if (cutter->across) {
        cutter->j += cutter->n;
        if (cutter->j >= whole->n) {
            cutter->j = 0;
            cutter->i += cutter->m;
        }
    } else {
        cutter->i += cutter->m;
        if (cutter->i >= whole->m) {
            cutter->i = 0;
            cutter->j += cutter->n;
        }
    }
}

static bool
next_piece(alchi_cli_splitter_t *cutter)
{
    if (!cutter->only)
        return alchi_cursor_next(&cutter->cursor, &cutter->piece);
    if (cutter->only_left == 0)
        return false;
    cutter->only_left--;
    cutter->piece = cutter->cursor.piece;
    cutter->piece.local = *cutter->only++;
    return true;
}

bool
alchi_cli_splitter_next(alchi_cli_splitter_t *cutter, alchi_piece_t *message_p)
{
    const alch_rect_t *whole = &cutter->piece.local;

    while (cutter->i >= whole->m || cutter->j >= whole->n) {
        if (!next_piece(cutter))
            return false;
        if (whole->m > 0 && whole->n > 0)
            shape(cutter);
    }
    *message_p = cutter->piece;
    message_p->local.i += cutter->i;
    message_p->local.j += cutter->j;
    message_p->local.m = alchi_min_int64(cutter->m, whole->m - cutter->i);
    message_p->local.n = alchi_min_int64(cutter->n, whole->n - cutter->j);
    advance(cutter);
    return true;
}

/* Whether consecutive local indices are consecutive global ones. */
static bool
consecutive(const alchi_axis_t *axis, int64_t first, int64_t count)
{
    return count <= 1 || axis->block == axis->period || first % axis->block + count <= axis->block;
}

alchi_cli_direct_t
alchi_cli_piece_direct(const alchi_cli_memory_t *memory, const alchi_piece_t *piece, size_t column_min)
{
    const alch_rect_t *local = &piece->local;

    if (local->m > 1 && (memory->row_stride != 1 || !consecutive(&piece->rows, local->i, local->m)))
        return ALCHI_CLI_DIRECT_NO;
    if (local->n == 1)
        return ALCHI_CLI_DIRECT_WHOLE;
    if (memory->col_stride == local->m && consecutive(&piece->cols, local->j, local->n))
        return ALCHI_CLI_DIRECT_WHOLE;
    return (size_t)local->m * memory->entry >= column_min ? ALCHI_CLI_DIRECT_COLUMNS : ALCHI_CLI_DIRECT_NO;
}

bool
alchi_cli_piece_interleaved(const alchi_cli_memory_t *memory, const alchi_piece_t *piece)
{
    bool by_rows = magnitude(memory->row_stride) < magnitude(memory->col_stride);
    const alchi_axis_t *axis = by_rows ? &piece->rows : &piece->cols;
    int64_t stride = magnitude(by_rows ? memory->row_stride : memory->col_stride);

    return axis->block < axis->period && axis->block * stride * (int64_t)memory->entry < LINE_BYTES;
}

size_t
alchi_cli_chunk_at(const alchi_piece_t *piece, size_t entry, size_t offset, size_t limit, int64_t columns_max,
                   alch_rect_t *local_p)
{
    const alch_rect_t *whole = &piece->local;
    int64_t first = (int64_t)(offset / entry), fits = (int64_t)(limit / entry);
    int64_t i = first % whole->m, j = first / whole->m;

    *local_p = (alch_rect_t){whole->i + i, whole->j + j, whole->m - i, 1};
    if (i > 0 || whole->m > fits)
        local_p->m = alchi_min_int64(local_p->m, fits);
    else
        local_p->n = alchi_min_int64(alchi_min_int64(fits / whole->m, columns_max), whole->n - j);
    return (size_t)local_p->m * (size_t)local_p->n * entry;
}

uint8_t *
alchi_cli_memory_at(const alchi_cli_memory_t *memory, const alchi_piece_t *piece, int64_t local_i, int64_t local_j)
{
    int64_t i = alchi_axis_global(&piece->rows, local_i) - memory->rect.i;
    int64_t j = alchi_axis_global(&piece->cols, local_j) - memory->rect.j;

    return memory->data + (i * memory->row_stride + j * memory->col_stride) * (int64_t)memory->entry;
}
