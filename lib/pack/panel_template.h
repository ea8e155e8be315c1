/**
 * @file pack/panel_template.h
 * How every kind of kernels walks a panel. The including file says before: INLINE, and block_4(), block_8() and
 * block_16(), which move SIDE x SIDE entries (a cache line each way) whose columns are consecutive on the strided side.
 *
 * All that is inlined gets `size` and `pack` as constants, so that each kernel is a loop of its own.
 */
#ifndef ALCHI_PACK_PANEL_TEMPLATE_H
#define ALCHI_PACK_PANEL_TEMPLATE_H

#include "pack/kernel.h"
#include <string.h>

#define LINE 64
#define SIDE(size) (LINE / (size))
#define SIDE_MAX 16

/* Memory is asked for so many bytes before it is needed. */
#define AHEAD (8 << 10)

/* Rows of so many bytes are streams that the processor finds by itself. */
#define STREAM (1 << 10)

INLINE void
move_entry(char *strided, char *packed, int size, bool pack)
{
    if (pack)
        memcpy(packed, strided, (size_t)size);
    else
        memcpy(strided, packed, (size_t)size);
}

INLINE void
move_four(char *a, char *b, char *c, char *d, char *packed, int size, bool pack)
{
    if (size == 4)
        move_four_4(a, b, c, d, packed, pack);
    else if (size == 8)
        move_four_8(a, b, c, d, packed, pack);
    else
        move_four_16(a, b, c, d, packed, pack);
}

INLINE void
move_block(char *const *rows, char *packed, int64_t ld, int size, bool pack)
{
    if (size == 4)
        move_block_4(rows, packed, ld, pack);
    else if (size == 8)
        move_block_8(rows, packed, ld, pack);
    else
        move_block_16(rows, packed, ld, pack);
}

/* One column of a strip: a whole line of the packed side. */
INLINE void
move_column(char *const *rows, int64_t offset, char *packed, int64_t m, int size, bool pack)
{
#pragma GCC unroll 16
    for (int64_t i = 0; i < m; i++)
        move_entry(rows[i] + offset, packed + i * size, size, pack);
}

/* Columns that are moved together: SIDE of them that are consecutive, or at most as many that are not. */
typedef struct {
    int64_t first, count;
    int64_t line, line_end; /* of the lines that they lie in */
    bool dense;
} column_group_t;

/* What all strips of a panel have in common. */
typedef struct {
    column_group_t groups[ALCHI_PANEL_COLS];
    int64_t lines[ALCHI_PANEL_COLS + 1]; /* offsets at which a new line is met */
    int count;
    bool sparse; /* most of each line belongs to others, who are served while it is in the cache */
} column_groups_t;

INLINE bool
dense_at(const alchi_panel_t *panel, int64_t j, int size)
{
    int64_t last = j + SIDE(size) - 1;

    return last < panel->n && panel->cols[last] - panel->cols[j] == LINE - size;
}

/* Lines begin anywhere: the last entry of a run may lie in one more than the run is long. */
INLINE int64_t
note_lines(column_groups_t *groups, int64_t line, const alchi_panel_t *panel, int64_t j, int64_t end, int size)
{
    const int64_t *cols = panel->cols;

    for (; j < end; j++) {
        bool first = line == 0 || cols[j] - groups->lines[line - 1] >= LINE;
        bool last = j + 1 == panel->n || cols[j + 1] - cols[j] != size;

        if (first || (last && cols[j] - cols[j - 1] == size && cols[j] - groups->lines[line - 1] >= LINE / 2))
            groups->lines[line++] = cols[j];
    }
    return line;
}

INLINE void
find_groups(const alchi_panel_t *panel, column_groups_t *groups, int size)
{
    int64_t j = 0, line = 0;

    for (groups->count = 0; j < panel->n; groups->count++) {
        column_group_t *group = &groups->groups[groups->count];
        int64_t end = j + SIDE(size);

        group->dense = dense_at(panel, j, size);
        if (!group->dense) {
            int64_t most = end < panel->n ? end : panel->n;

            for (end = j + 1; end < most && !dense_at(panel, end, size);)
                end++;
        }
        group->first = j;
        group->count = end - j;
        group->line = line;
        line = group->line_end = note_lines(groups, line, panel, j, end, size);
        j = end;
    }
    groups->sparse = panel->cols[panel->n - 1] - panel->cols[0] >= STREAM && 2 * LINE * line > 5 * panel->n * size;
}

/* Columns of a strip, some rows of each at a time, so that their addresses stay in registers. */
INLINE void
move_scattered(char *const *rows, const int64_t *cols, int64_t count, char *packed, int64_t ld, int size, bool pack)
{
    for (int i = 0; i < SIDE(size); i += 8) {
        char *a = rows[i], *b = rows[i + 1], *c = rows[i + 2], *d = rows[i + 3], *to = packed + i * size;
        char *e = a, *f = a, *g = a, *h = a;

        if (size <= 8) {
            e = rows[i + 4];
            f = rows[i + 5];
            g = rows[i + 6];
            h = rows[i + 7];
        }
        for (int64_t k = 0; k < count; k++, to += ld) {
            int64_t at = cols[k];

            move_four(a + at, b + at, c + at, d + at, to, size, pack);
            if (size <= 8)
                move_four(e + at, f + at, g + at, h + at, to + 4 * size, size, pack);
        }
    }
}

/* SIDE rows of a panel. `ahead` are the rows that come some strips later. */
INLINE void
move_strip(const alchi_panel_t *panel, const column_groups_t *groups, char *const *rows, char *const *ahead,
           char *packed, int size, bool pack)
{
    const int side = SIDE(size);
    int64_t ld = panel->ld;

    for (int g = 0; g < groups->count; g++) {
        const column_group_t *group = &groups->groups[g];
        char *to = packed + group->first * ld;

        for (int64_t line = group->line; ahead && line < group->line_end; line++)
            for (int i = 0; i < side; i++)
                prefetch(ahead[i] + groups->lines[line]);
        if (group->dense) {
            char *at[SIDE_MAX];

            for (int i = 0; i < side; i++)
                at[i] = rows[i] + panel->cols[group->first];
            move_block(at, to, ld, size, pack);
        } else {
            move_scattered(rows, panel->cols + group->first, group->count, to, ld, size, pack);
        }
    }
}

INLINE void
move_across(const alchi_panel_t *panel, int size, bool pack)
{
    const int side = SIDE(size);
    int64_t distance = side, i = 0;
    char *rows[SIDE_MAX], *ahead[SIDE_MAX];
    column_groups_t groups;

    find_groups(panel, &groups, size);
    while (distance * panel->n * size < AHEAD)
        distance += side;
    for (; i + side <= panel->m; i += side) {
        bool more = !groups.sparse && i + distance + side <= panel->m;

        for (int k = 0; k < side; k++) {
            rows[k] = panel->strided + panel->rows[i + k];
            ahead[k] = more ? panel->strided + panel->rows[i + distance + k] : NULL;
        }
        move_strip(panel, &groups, rows, more ? ahead : NULL, panel->packed + i * size, size, pack);
    }
    if (i == panel->m)
        return;
    for (int64_t k = i; k < panel->m; k++)
        rows[k - i] = panel->strided + panel->rows[k];
    for (int64_t j = 0; j < panel->n; j++)
        move_column(rows, panel->cols[j], panel->packed + i * size + j * panel->ld, panel->m - i, size, pack);
}

INLINE void
move_down(const alchi_panel_t *panel, int size, bool pack)
{
    const int side = SIDE(size);
    const int64_t *rows = panel->rows;

    for (int64_t j = 0; j < panel->n; j++) {
        char *strided = panel->strided + panel->cols[j], *packed = panel->packed + j * panel->ld;
        int64_t i = 0;

        for (; i + side <= panel->m; i += side) {
            if (rows[i + side - 1] - rows[i] == LINE - size) {
                move_entry(strided + rows[i], packed + i * size, LINE, pack);
                continue;
            }
#pragma GCC unroll 4
            for (int64_t k = i; k < i + side; k += 4)
                move_four(strided + rows[k], strided + rows[k + 1], strided + rows[k + 2], strided + rows[k + 3],
                          packed + k * size, size, pack);
        }
        for (; i < panel->m; i++)
            move_entry(strided + rows[i], packed + i * size, size, pack);
    }
}

#define DEFINE_KERNELS(size)                                        \
    TARGET static void pack_across_##size(const alchi_panel_t *p)   \
    {                                                               \
        move_across(p, size, true);                                 \
    }                                                               \
    TARGET static void unpack_across_##size(const alchi_panel_t *p) \
    {                                                               \
        move_across(p, size, false);                                \
    }                                                               \
    TARGET static void pack_down_##size(const alchi_panel_t *p)     \
    {                                                               \
        move_down(p, size, true);                                   \
    }                                                               \
    TARGET static void unpack_down_##size(const alchi_panel_t *p)   \
    {                                                               \
        move_down(p, size, false);                                  \
    }

DEFINE_KERNELS(4)
DEFINE_KERNELS(8)
DEFINE_KERNELS(16)

#define KERNELS_OF(what)              \
    {                                 \
        what##_4, what##_8, what##_16 \
    }

#define KERNELS(name)                                                                                            \
    {                                                                                                            \
        name, KERNELS_OF(pack_across), KERNELS_OF(unpack_across), KERNELS_OF(pack_down), KERNELS_OF(unpack_down) \
    }

#endif
