/* Portable kernels: copies of contiguous runs, transposes in tiles, and any strides in tiles. */
#include "pack/kernel.h"
#include <string.h>

/* A tile is TILE_OUT lines of the target, TILE_IN entries each: small enough that the lines of the source, of which
 * a pass uses an entry or a few, are still in the first-level cache for the next pass. */
#define TILE_IN 32
#define TILE_OUT 16

#define INLINE static inline __attribute__((always_inline))

INLINE int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Inlined into the kernels below with constant size and, where they are 1, constant strides, so that a copy of an
 * entry is one load and one store and contiguous ones are seen as such. Entries may have any alignment and type. */
INLINE void
move_tile(const alchi_run_t *run, int64_t size, int64_t to_in, int64_t from_in, int64_t from_out, int64_t i, int64_t o)
{
    int64_t to_out = run->to_out, in = least(TILE_IN, run->in - i), out = least(TILE_OUT, run->out - o);
    char *restrict to = run->to + (i * to_in + o * to_out) * size;
    const char *restrict from = run->from + (i * from_in + o * from_out) * size;

    for (o = 0; o < out; o++)
        for (i = 0; i < in; i++)
            memcpy(to + (i * to_in + o * to_out) * size, from + (i * from_in + o * from_out) * size, (size_t)size);
}

INLINE void
move_tiles(const alchi_run_t *run, int64_t size, int64_t to_in, int64_t from_in, int64_t from_out)
{
    for (int64_t o = 0; o < run->out; o += TILE_OUT)
        for (int64_t i = 0; i < run->in; i += TILE_IN)
            move_tile(run, size, to_in, from_in, from_out, i, o);
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

#define DEFINE_KERNELS(size)                                            \
    static void copy_##size(const alchi_run_t *run)                     \
    {                                                                   \
        copy_lines(run, size);                                          \
    }                                                                   \
    static void transpose_##size(const alchi_run_t *run)                \
    {                                                                   \
        move_tiles(run, size, 1, run->from_in, 1);                      \
    }                                                                   \
    static void any_##size(const alchi_run_t *run)                      \
    {                                                                   \
        move_tiles(run, size, run->to_in, run->from_in, run->from_out); \
    }

DEFINE_KERNELS(4)
DEFINE_KERNELS(8)
DEFINE_KERNELS(16)

alchi_kernel_f *
alchi_kernel(size_t size, const alchi_run_t *run)
{
    static alchi_kernel_f *const table[3][3] = {
        {copy_4, transpose_4, any_4},
        {copy_8, transpose_8, any_8},
        {copy_16, transpose_16, any_16},
    };
    bool copy = run->to_in == 1 && run->from_in == 1;
    bool transpose = run->to_in == 1 && run->from_out == 1;

    return table[size == 4 ? 0 : size == 8 ? 1 : 2][copy ? 0 : transpose ? 1 : 2];
}
