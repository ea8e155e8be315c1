/* Kernels in plain C, for processors that have no better ones. */
#define TARGET
#define INLINE static inline __attribute__((always_inline))

#include "pack/kernel.h"
#include <string.h>

/* Into the second cache: more of these may be under way than of those into the first. */
INLINE void
prefetch(const char *at)
{
    __builtin_prefetch(at, 0, 2);
}

/* In quarters, whose entries fit into the registers. */
INLINE void
plain_block(char *const *rows, char *packed, int64_t ld, int size, bool pack)
{
    const int side = 64 / size;

    for (int j = 0; j < side; j += 4)
        for (int i = 0; i < side; i += 4)
#pragma GCC unroll 4
            for (int l = 0; l < 4; l++)
#pragma GCC unroll 4
                for (int k = 0; k < 4; k++) {
                    int r = pack ? k : l, c = pack ? l : k;
                    char *there = rows[i + r] + (j + c) * size, *here = packed + (j + c) * ld + (i + r) * size;

                    if (pack)
                        memcpy(here, there, (size_t)size);
                    else
                        memcpy(there, here, (size_t)size);
                }
}

INLINE void
block_4(char *const *rows, char *packed, int64_t ld, bool pack)
{
    plain_block(rows, packed, ld, 4, pack);
}

INLINE void
block_8(char *const *rows, char *packed, int64_t ld, bool pack)
{
    plain_block(rows, packed, ld, 8, pack);
}

INLINE void
block_16(char *const *rows, char *packed, int64_t ld, bool pack)
{
    plain_block(rows, packed, ld, 16, pack);
}

/* Four entries anywhere, and side by side. */
INLINE void
plain_four(char *a, char *b, char *c, char *d, char *packed, int size, bool pack)
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
four_4(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    plain_four(a, b, c, d, packed, 4, pack);
}

INLINE void
four_8(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    plain_four(a, b, c, d, packed, 8, pack);
}

INLINE void
four_16(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    plain_four(a, b, c, d, packed, 16, pack);
}

#include "pack/panel_template.h"

const alchi_kernels_t *
alchi_kernels_portable(void)
{
    static const alchi_kernels_t kernels = KERNELS("portable");

    return &kernels;
}
