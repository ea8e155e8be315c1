/* Kernels in plain C, for processors that have no better ones. */
#define TARGET
#define INLINE static inline __attribute__((always_inline))

#include "pack/kernel.h"
#include <string.h>

INLINE void
prefetch(const char *at, bool write)
{
    if (write)
        __builtin_prefetch(at, 1);
    else
        __builtin_prefetch(at, 0);
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

#include "pack/panel.h"

const alchi_kernels_t *
alchi_kernels_portable(void)
{
    static const alchi_kernels_t kernels = KERNELS("portable");

    return &kernels;
}
