/*
 * Portable kernels: lines that are contiguous on both sides are copied; lines that are dense on both sides are walked
 * as they lie; all else is transposed in tiles.
 */
#include "pack/kernel.h"
#include <string.h>

/* Of a line of the source a pass over a tile uses an entry or a few: the lines of a tile are still in the cache when
 * the next pass comes. Within it, blocks of constant size are unrolled, so that they go through registers. */
#define TILE 64
#define BLOCK 4

#define INLINE static inline __attribute__((always_inline))

INLINE int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

INLINE int64_t
magnitude(int64_t x)
{
    return x < 0 ? -x : x;
}

/* The `in` x `out` entries from (i, o) on. This and what follows is inlined into the kernels with constant size and,
 * where they are 1, constant strides, so that copying an entry is one load and one store and the compiler sees which
 * are contiguous. Entries may have any alignment and type. */
INLINE void
move_block(const alchi_run_t *run, int64_t size, int64_t to_in, int64_t from_out, int64_t i, int64_t o, int64_t in,
           int64_t out)
{
    char *restrict to = run->to + (i * to_in + o * run->to_out) * size;
    const char *restrict from = run->from + (i * run->from_in + o * from_out) * size;
    int64_t to_out = run->to_out, from_in = run->from_in;

#pragma GCC unroll 4
    for (int64_t l = 0; l < out; l++)
#pragma GCC unroll 4
        for (int64_t k = 0; k < in; k++)
            memcpy(to + (k * to_in + l * to_out) * size, from + (k * from_in + l * from_out) * size, (size_t)size);
}

INLINE void
move_tile(const alchi_run_t *run, int64_t size, int64_t to_in, int64_t from_out, int64_t first, int64_t o)
{
    int64_t i_end = least(first + TILE, run->in), o_end = least(o + TILE, run->out);

    for (; o + BLOCK <= o_end; o += BLOCK) {
        int64_t i = first;

        for (; i + BLOCK <= i_end; i += BLOCK)
            move_block(run, size, to_in, from_out, i, o, BLOCK, BLOCK);
        if (i < i_end)
            move_block(run, size, to_in, from_out, i, o, i_end - i, BLOCK);
    }
    if (o < o_end)
        move_block(run, size, to_in, from_out, first, o, i_end - first, o_end - o);
}

INLINE void
move_tiles(const alchi_run_t *run, int64_t size, int64_t to_in, int64_t from_out)
{
    for (int64_t o = 0; o < run->out; o += TILE)
        for (int64_t i = 0; i < run->in; i += TILE)
            move_tile(run, size, to_in, from_out, i, o);
}

INLINE void
move_lines(const alchi_run_t *run, int64_t size)
{
    int64_t to_in = run->to_in, from_in = run->from_in;

    for (int64_t o = 0; o < run->out; o++) {
        char *restrict to = run->to + o * run->to_out * size;
        const char *restrict from = run->from + o * run->from_out * size;

        for (int64_t i = 0; i < run->in; i++)
            memcpy(to + i * to_in * size, from + i * from_in * size, (size_t)size);
    }
}

INLINE void
copy_lines(const alchi_run_t *run, int64_t size)
{
    size_t bytes = (size_t)(run->in * size);

    if (run->to_out == run->in && run->from_out == run->in) {
        memcpy(run->to, run->from, bytes * (size_t)run->out);
        return;
    }
    for (int64_t o = 0; o < run->out; o++)
        memcpy(run->to + o * run->to_out * size, run->from + o * run->from_out * size, bytes);
}

#define DEFINE_KERNELS(size)                              \
    static void copy_##size(const alchi_run_t *run)       \
    {                                                     \
        copy_lines(run, size);                            \
    }                                                     \
    static void lines_##size(const alchi_run_t *run)      \
    {                                                     \
        move_lines(run, size);                            \
    }                                                     \
    static void transpose_##size(const alchi_run_t *run)  \
    {                                                     \
        move_tiles(run, size, 1, 1);                      \
    }                                                     \
    static void any_##size(const alchi_run_t *run)        \
    {                                                     \
        move_tiles(run, size, run->to_in, run->from_out); \
    }

DEFINE_KERNELS(4)
DEFINE_KERNELS(8)
DEFINE_KERNELS(16)

enum { COPY, LINES, TRANSPOSE, ANY, KINDS };

static int
kind_of(const alchi_run_t *run)
{
    if (run->to_in == 1 && run->from_in == 1)
        return COPY;
    if (run->to_in == 1 && run->from_out == 1)
        return TRANSPOSE;
    return magnitude(run->from_in) <= magnitude(run->from_out) || run->out == 1 ? LINES : ANY;
}

alchi_kernel_f *
alchi_kernel(size_t size, const alchi_run_t *run)
{
    static alchi_kernel_f *const table[3][KINDS] = {
        {copy_4, lines_4, transpose_4, any_4},
        {copy_8, lines_8, transpose_8, any_8},
        {copy_16, lines_16, transpose_16, any_16},
    };

    return table[size == 4 ? 0 : size == 8 ? 1 : 2][kind_of(run)];
}
