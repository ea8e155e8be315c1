/* The sizes of messages and chunks. */
#include "client/chunk.h"
#include "base/util.h"

/* If the user's memory is stored by rows, a message is a few rows of many columns: its chunks then use whole cache
 * lines and few pages at a time. Two limits keep the number of rows from being too small. Columns have at least
 * COLUMN_BYTES bytes, so that the rank can receive them one by one. That is 4 KiB and one cache line, because packed
 * columns 4096 bytes apart would share one set of the first-level cache (test/bench/MEASUREMENTS.md). A message has at
 * least about MESSAGE_BYTES bytes, so that it is worth an acknowledgement. */
#define COLUMN_BYTES (((int64_t)4 << 10) + LINE_BYTES)
#define MESSAGE_BYTES ((int64_t)1 << 20)
/* Bytes of a cache line. */
#define LINE_BYTES 64

static int64_t
clamp(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static int64_t
magnitude(int64_t x)
{
    return x < 0 ? -x : x;
}

/* Choose the size of messages for a new piece. */
static void
choose_message_size(alchi_cli_splitter_t *splitter)
{
    const alch_rect_t *whole = &splitter->piece.local;
    const alchi_cli_memory_t *memory = splitter->memory;
    int64_t entry = (int64_t)memory->entry, rows;

    splitter->i = splitter->j = 0;
    splitter->across = magnitude(memory->col_stride) < magnitude(memory->row_stride) && whole->n > 1;
    if (splitter->across) {
        rows = MESSAGE_BYTES / entry / whole->n;
        rows = rows < COLUMN_BYTES / entry ? COLUMN_BYTES / entry : rows;
        splitter->m = clamp(rows, 1, alchi_min_int64(whole->m, splitter->entries_max));
        splitter->n = clamp(splitter->entries_max / splitter->m, 1, whole->n);
    } else {
        splitter->m = alchi_min_int64(whole->m, splitter->entries_max);
        splitter->n = clamp(splitter->entries_max / splitter->m, 1, whole->n);
    }
}

void
alchi_cli_splitter_init(alchi_cli_splitter_t *splitter, const alchi_plan_t *plan, int rank,
                        const alchi_cli_memory_t *memory, size_t bytes)
{
    *splitter = (alchi_cli_splitter_t){.memory = memory, .entries_max = (int64_t)(bytes / memory->entry)};
    alchi_cursor_init(&splitter->cursor, plan, rank);
}

/* Move to the next message of the piece. At the end of the piece, i or j is outside it. */
static void
advance_to_next_message(alchi_cli_splitter_t *splitter)
{
    const alch_rect_t *whole = &splitter->piece.local;

    if (splitter->across) {
        splitter->j += splitter->n;
        if (splitter->j >= whole->n) {
            splitter->j = 0;
            splitter->i += splitter->m;
        }
    } else {
        splitter->i += splitter->m;
        if (splitter->i >= whole->m) {
            splitter->i = 0;
            splitter->j += splitter->n;
        }
    }
}

static bool
next_piece(alchi_cli_splitter_t *splitter)
{
    if (!splitter->subset)
        return alchi_cursor_next(&splitter->cursor, &splitter->piece);
    if (splitter->subset_left == 0)
        return false;
    splitter->subset_left--;
    splitter->piece = splitter->cursor.piece;
    splitter->piece.local = *splitter->subset++;
    return true;
}

bool
alchi_cli_splitter_next(alchi_cli_splitter_t *splitter, alchi_piece_t *message_p)
{
    const alch_rect_t *whole = &splitter->piece.local;

    while (splitter->i >= whole->m || splitter->j >= whole->n) {
        if (!next_piece(splitter))
            return false;
        if (whole->m > 0 && whole->n > 0)
            choose_message_size(splitter);
    }
    *message_p = splitter->piece;
    message_p->local.i += splitter->i;
    message_p->local.j += splitter->j;
    message_p->local.m = alchi_min_int64(splitter->m, whole->m - splitter->i);
    message_p->local.n = alchi_min_int64(splitter->n, whole->n - splitter->j);
    advance_to_next_message(splitter);
    return true;
}

/* Whether these consecutive local indices are consecutive global indices too. */
static bool
is_consecutive(const alchi_axis_t *axis, int64_t first, int64_t count)
{
    return count <= 1 || axis->block == axis->period || first % axis->block + count <= axis->block;
}

alchi_cli_direct_t
alchi_cli_piece_direct(const alchi_cli_memory_t *memory, const alchi_piece_t *piece, size_t column_min)
{
    const alch_rect_t *local = &piece->local;

    if (local->m > 1 && (memory->row_stride != 1 || !is_consecutive(&piece->rows, local->i, local->m)))
        return ALCHI_CLI_DIRECT_NO;
    if (local->n == 1)
        return ALCHI_CLI_DIRECT_WHOLE;
    if (memory->col_stride == local->m && is_consecutive(&piece->cols, local->j, local->n))
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
