/* Kernels in plain C, for processors that do not have AVX2. */
#define TARGET
#define INLINE static inline __attribute__((always_inline))

#include "pack/kernel.h"
#include <string.h>

/* Prefetch into the second-level cache. The processor can have more such prefetches under way than prefetches into the
 * first-level cache, which did not help (test/bench/MEASUREMENTS.md, Packing). */
INLINE void
prefetch(const char *at)
{
    __builtin_prefetch(at, 0, 2);
}

/* Move a block in tiles of 4 x 4 entries, which fit into the registers. */
INLINE void
move_block_plain(char *const *rows, char *packed, int64_t ld, int size, bool pack)
{
    const int side = 64 / size;

    for (int j = 0; j < side; j += 4)
        for (int i = 0; i < side; i += 4)
#pragma GCC unroll 4
            for (int l = 0; l < 4; l++)
#pragma GCC unroll 4
                for (int k = 0; k < 4; k++) {
                    int r = pack ? k : l, c = pack ? l : k;
                    char *strided_at = rows[i + r] + (j + c) * size,
                         *packed_at = packed + (j + c) * ld + (i + r) * size;

                    if (pack)
                        memcpy(packed_at, strided_at, (size_t)size);
                    else
                        memcpy(strided_at, packed_at, (size_t)size);
                }
}

INLINE void
move_block_4(char *const *rows, char *packed, int64_t ld, bool pack)
{
    move_block_plain(rows, packed, ld, 4, pack);
}

INLINE void
move_block_8(char *const *rows, char *packed, int64_t ld, bool pack)
{
    move_block_plain(rows, packed, ld, 8, pack);
}

INLINE void
move_block_16(char *const *rows, char *packed, int64_t ld, bool pack)
{
    move_block_plain(rows, packed, ld, 16, pack);
}

/* Four entries at a, b, c and d on the strided side are consecutive on the packed side. */
INLINE void
move_four_plain(char *a, char *b, char *c, char *d, char *packed, int size, bool pack)
{
    char *const strided[4] = {a, b, c, d};

#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        if (pack)
            memcpy(packed + k * size, strided[k], (size_t)size);
        else
            memcpy(strided[k], packed + k * size, (size_t)size);
    }
}

INLINE void
move_four_4(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    move_four_plain(a, b, c, d, packed, 4, pack);
}

INLINE void
move_four_8(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    move_four_plain(a, b, c, d, packed, 8, pack);
}

INLINE void
move_four_16(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    move_four_plain(a, b, c, d, packed, 16, pack);
}

#include "pack/panel_template.h"

const alchi_kernels_t *
alchi_kernels_portable(void)
{
    static const alchi_kernels_t kernels = KERNELS("portable");

    return &kernels;
}
