/**
 * @file pack/kernel.h
 * Copy kernels: what moves the entries once the layout has been resolved into panels.
 *
 * A panel is some rows and columns of the local rectangle, small enough for two lists of offsets on the stack. Entry
 * (i, j) lies at strided + rows[i] + cols[j] and at packed + i * size + j * ld, all in bytes; ld may be negative.
 * Bases need not be aligned; m and n are at least 1. Offsets that happen to be consecutive are found here, group by
 * group: a caller need not know.
 */
#ifndef ALCHI_PACK_KERNEL_H
#define ALCHI_PACK_KERNEL_H

#include "pack/pack.h"

/** At most so many rows and columns in a panel. */
#define ALCHI_PANEL_ROWS 512
#define ALCHI_PANEL_COLS 128

typedef struct {
    char *strided;
    const int64_t *rows, *cols;
    char *packed;
    int64_t ld;
    int64_t m, n;
} alchi_panel_t;

typedef void alchi_kernel_f(const alchi_panel_t *panel);

/** Each for entries of 4, 8 and 16 bytes. */
typedef struct {
    const char *name;
    /** Strided side: entries of a row are the closer ones. */
    alchi_kernel_f *pack_across[3], *unpack_across[3];
    /** Entries of a column are. */
    alchi_kernel_f *pack_down[3], *unpack_down[3];
} alchi_kernels_t;

/** All kinds move the same bytes to the same places. */
const alchi_kernels_t *alchi_kernels_portable(void);
/** @return NULL: this processor does not have them */
const alchi_kernels_t *alchi_kernels_avx2(void);

/** alchi_pack() and alchi_unpack() with given kernels. */
void alchi_pack_move(const alchi_kernels_t *use, const alchi_pack_t *shape, char *strided, char *packed, int64_t ld,
                     bool pack);

#endif
