/**
 * @file panel.h
 * How every kind of kernels walks a panel. The including file says before: INLINE, and block_4(), block_8() and
 * block_16(), which move SIDE x SIDE entries (a cache line each way) whose columns are consecutive on the strided side.
 *
 * All that is inlined gets `size` and `pack` as constants, so that each kernel is a loop of its own.
 */
#ifndef ALCHI_PANEL_H
#define ALCHI_PANEL_H

#include "pack/kernel.h"
#include <string.h>

#define LINE 64
#define SIDE(size) (LINE / (size))
#define SIDE_MAX 16

/* Memory is asked for so many bytes before it is needed: a page or two, less than the first cache. */
#define AHEAD (8 << 10)

INLINE void
move_entry(char *strided, char *packed, int size, bool pack)
{
    if (pack)
        memcpy(packed, strided, (size_t)size);
    else
        memcpy(strided, packed, (size_t)size);
}

INLINE void
block(char *const *rows, char *packed, int64_t ld, int size, bool pack)
{
    if (size == 4)
        block_4(rows, packed, ld, pack);
    else if (size == 8)
        block_8(rows, packed, ld, pack);
    else
        block_16(rows, packed, ld, pack);
}

/* One column of a strip: a whole line of the packed side. */
INLINE void
column(char *const *rows, int64_t offset, char *packed, int64_t m, int size, bool pack)
{
#pragma GCC unroll 16
    for (int64_t i = 0; i < m; i++)
        move_entry(rows[i] + offset, packed + i * size, size, pack);
}

INLINE void
ask_ahead(char *const *rows, int64_t first, int64_t last, int side, bool pack)
{
    for (int64_t at = first; at <= last; at += LINE)
        for (int i = 0; i < side; i++)
            prefetch(rows[i] + at, !pack);
}

/* SIDE rows of a panel. `ahead` are the rows that come some strips later. */
INLINE void
strip(const alchi_panel_t *panel, char *const *rows, char *const *ahead, char *packed, int size, bool pack)
{
    const int side = SIDE(size);
    const int64_t *cols = panel->cols;
    int64_t j = 0, ld = panel->ld;

    for (; j + side <= panel->n; j += side) {
        int64_t first = cols[j], last = cols[j + side - 1];
        char *to = packed + j * ld;

        if (last - first == LINE - size) {
            char *at[SIDE_MAX];

            for (int i = 0; i < side; i++)
                at[i] = rows[i] + first;
            if (ahead)
                ask_ahead(ahead, first, first, side, pack);
            block(at, to, ld, size, pack);
            continue;
        }
        if (ahead && last - first < 8 * LINE)
            ask_ahead(ahead, first, last, side, pack);
        for (int k = 0; k < side; k++)
            column(rows, cols[j + k], to + k * ld, side, size, pack);
    }
    for (; j < panel->n; j++)
        column(rows, cols[j], packed + j * ld, side, size, pack);
}

INLINE void
across(const alchi_panel_t *panel, int size, bool pack)
{
    const int side = SIDE(size);
    int64_t distance = side, i = 0;
    char *rows[SIDE_MAX], *ahead[SIDE_MAX];

    while (distance * panel->n * size < AHEAD)
        distance += side;
    for (; i + side <= panel->m; i += side) {
        bool more = i + distance + side <= panel->m;

        for (int k = 0; k < side; k++) {
            rows[k] = panel->strided + panel->rows[i + k];
            ahead[k] = more ? panel->strided + panel->rows[i + distance + k] : NULL;
        }
        strip(panel, rows, more ? ahead : NULL, panel->packed + i * size, size, pack);
    }
    if (i == panel->m)
        return;
    for (int64_t k = i; k < panel->m; k++)
        rows[k - i] = panel->strided + panel->rows[k];
    for (int64_t j = 0; j < panel->n; j++)
        column(rows, panel->cols[j], panel->packed + i * size + j * panel->ld, panel->m - i, size, pack);
}

INLINE void
down(const alchi_panel_t *panel, int size, bool pack)
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
#pragma GCC unroll 16
            for (int k = 0; k < side; k++)
                move_entry(strided + rows[i + k], packed + (i + k) * size, size, pack);
        }
        for (; i < panel->m; i++)
            move_entry(strided + rows[i], packed + i * size, size, pack);
    }
}

#define DEFINE_KERNELS(size)                                        \
    TARGET static void pack_across_##size(const alchi_panel_t *p)   \
    {                                                               \
        across(p, size, true);                                      \
    }                                                               \
    TARGET static void unpack_across_##size(const alchi_panel_t *p) \
    {                                                               \
        across(p, size, false);                                     \
    }                                                               \
    TARGET static void pack_down_##size(const alchi_panel_t *p)     \
    {                                                               \
        down(p, size, true);                                        \
    }                                                               \
    TARGET static void unpack_down_##size(const alchi_panel_t *p)   \
    {                                                               \
        down(p, size, false);                                       \
    }

DEFINE_KERNELS(4)
DEFINE_KERNELS(8)
DEFINE_KERNELS(16)

#define KERNELS_OF(what) \
    {                    \
        what##_4, what##_8, what##_16}

#define KERNELS(name) \
    {name, KERNELS_OF(pack_across), KERNELS_OF(unpack_across), KERNELS_OF(pack_down), KERNELS_OF(unpack_down)}

#endif
