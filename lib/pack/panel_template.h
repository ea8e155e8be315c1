/**
 * @file pack/panel_template.h
 * How all implementations of the kernels walk over a panel (pack/kernel.h). avx2.c and portable.c include this file.
 *
 * A cache line has 64 bytes: SIDE entries. The kernels that move "across" are for a strided side on which the entries
 * of a row are close to each other, for example C order. They move a panel strip by strip, and a strip group by group:
 *
 *    strided side: stored row by row                            packed side: stored column by column
 *
 *               group 0         group 1        group 2             column:  0    1    2    3    4    5    ...
 *               (dense)         (scattered)    (dense)
 *            +-------------+ + - - - - - - - + +------               +----+----+----+----+----+----+
 *    rows[0] | a0 b0 c0 d0 |   e0         f0   | g0 h0     \         | a0 | b0 | c0 | d0 | e0 | f0 |
 *    rows[1] | a1 b1 c1 d1 |   e1         f1   | g1 h1      | strip  | a1 | b1 | c1 | d1 | e1 | f1 |  one cache line
 *    rows[2] | a2 b2 c2 d2 |   e2         f2   | g2 h2      |   0    | a2 | b2 | c2 | d2 | e2 | f2 |  in each column
 *    rows[3] | a3 b3 c3 d3 |   e3         f3   | g3 h3     /         | a3 | b3 | c3 | d3 | e3 | f3 |
 *            +-------------+ + - - - - - - - + +------               +----+----+----+----+----+----+
 *    rows[4] | a4 b4 c4 d4 |   e4         f4   | g4 h4       strip 1 | a4 | b4 | c4 | d4 | e4 | f4 |
 *    ...       cache line                                              ... column j starts at packed + j * ld
 *
 * (Entries have 16 bytes here, so SIDE is 4.)
 *
 * - A strip is SIDE rows of the panel. In each column of the packed side it is one cache line.
 * - A group of columns is moved together. A dense group has SIDE columns whose entries are consecutive on the strided
 *   side: each of its rows is as long as a cache line, but may begin anywhere in one. Its part of a strip is a block:
 *   SIDE x SIDE entries, which are transposed in registers. The columns of a scattered group, at most
 *   SIDE, may be anywhere.
 * - Rows that do not fill a strip are moved entry by entry.
 *
 * The kernels that move "down" are for a strided side on which the entries of a column are close to each other, for
 * example Fortran order. They move a panel column by column, in pieces of SIDE entries.
 *
 * A file that includes this one first defines
 * - INLINE and TARGET, which mark inlined functions and kernels;
 * - prefetch(), which fetches the cache line of an address;
 * - move_block_4(), _8() and _16(), which move a block of a dense group of entries of this many bytes;
 * - move_four_4(), _8() and _16(), which move four entries that may be anywhere on the strided side and are consecutive
 *   on the packed side.
 *
 * All inlined functions get `size` (bytes of an entry) and `pack` (the direction) as constants, so the compiler
 * generates a separate loop for each kernel.
 */
#ifndef ALCHI_PACK_PANEL_TEMPLATE_H
#define ALCHI_PACK_PANEL_TEMPLATE_H

#include "pack/kernel.h"
#include <string.h>

#define LINE 64 /* bytes of a cache line */
#define SIDE(size) (LINE / (size))
#define SIDE_MAX 16

/* The strided side is prefetched this many bytes (of the panel's entries) before it is moved. */
#define AHEAD (8 << 10)

/* A row of a panel that spans at least this many bytes is a stream: the processor prefetches it by itself. */
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

/* Move one column of the last strip, which has only `m` rows. */
INLINE void
move_column(char *const *rows, int64_t offset, char *packed, int64_t m, int size, bool pack)
{
#pragma GCC unroll 16
    for (int64_t i = 0; i < m; i++)
        move_entry(rows[i] + offset, packed + i * size, size, pack);
}

/* A group of columns. */
typedef struct {
    int64_t first, count;   /* columns of the panel */
    int64_t line, line_end; /* indices of its cache lines in column_groups_t.lines */
    bool dense;
} column_group_t;

/* The groups of a panel: the same for all of its strips. */
typedef struct {
    column_group_t groups[ALCHI_PANEL_COLS];
    int64_t lines[ALCHI_PANEL_COLS + 1]; /* for each cache line that a row has on the strided side, an offset in it */
    int count;
    bool sparse; /* most bytes of these lines belong to other workers: see find_groups() */
} column_groups_t;

/* @return whether a dense group starts at column j */
INLINE bool
dense_at(const alchi_panel_t *panel, int64_t j, int size)
{
    int64_t last = j + SIDE(size) - 1;

    return last < panel->n && panel->cols[last] - panel->cols[j] == LINE - size;
}

/* Note the cache lines of columns j..end-1. A row may begin anywhere in a cache line. Therefore consecutive entries may
 * end one line later than their length suggests, and the last of them gets a line too if it is in the second half of
 * the line that was noted before it.
 * @return the number of lines that have been noted so far */
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

/* Divide the columns of a panel into groups.
 *
 * The panel is sparse if its rows are streams and their cache lines have more than 2.5 times as many bytes as the panel
 * needs. The other bytes belong to other workers, which are served while the lines are still in the cache. Such panels
 * are not prefetched: it did not help (test/bench/MEASUREMENTS.md, Packing). */
INLINE void
find_groups(const alchi_panel_t *panel, column_groups_t *groups, int size)
{
    int64_t j = 0, line = 0;

    for (groups->count = 0; j < panel->n; groups->count++) {
        column_group_t *group = &groups->groups[groups->count];
        int64_t end = j + SIDE(size);

        group->dense = dense_at(panel, j, size);
        if (!group->dense) {
            int64_t max = end < panel->n ? end : panel->n;

            for (end = j + 1; end < max && !dense_at(panel, end, size);)
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

/* Move a scattered group of a strip: eight rows at a time, so that their addresses stay in registers. Entries of 16
 * bytes have strips of only four rows. */
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

/* Move a strip. `ahead` are the rows of a later strip, which are prefetched; NULL: there is none, or the panel is
 * sparse. */
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

/* Move a panel strip by strip: see the figure. */
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

/* Move a panel column by column. */
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
