/**
 * @file pack/kernel.h
 * Copy kernels: they move the entries of one panel between the strided side and the packed side.
 *
 * A panel is a set of rows and columns of a local rectangle, small enough that two lists of offsets on the stack
 * describe it. Its entry (i, j) is at strided + rows[i] + cols[j] on the strided side and at
 * packed + i * size + j * ld on the packed side. All offsets are in bytes, and ld may be negative. Neither side needs
 * to be aligned. A panel has at least one row and one column. A caller need not know which offsets are consecutive: the
 * kernels find that out. panel_template.h has a figure.
 *
 * @threads  MT-Safe on different memory
 */
#ifndef ALCHI_PACK_KERNEL_H
#define ALCHI_PACK_KERNEL_H

#include "pack/pack.h"

/** Maxima of a panel. Both lists of offsets together take 5 KiB of the stack. */
#define ALCHI_PANEL_ROWS 512
#define ALCHI_PANEL_COLS 128

typedef struct {
    char *strided;
    const int64_t *rows, *cols; /* [m], [n]: offsets on the strided side, bytes */
    char *packed;
    int64_t ld; /* from a column to the next on the packed side, bytes */
    int64_t m, n;
} alchi_panel_t;

typedef void alchi_kernel_f(const alchi_panel_t *panel);

/** One implementation of all kernels. Each array has a kernel for entries of 4, 8 and 16 bytes, in this order. */
typedef struct {
    const char *name;
    /** For a strided side on which the entries of a row are closer to each other than those of a column. */
    alchi_kernel_f *pack_across[3], *unpack_across[3];
    /** For a strided side on which the entries of a column are closer to each other than those of a row. */
    alchi_kernel_f *pack_down[3], *unpack_down[3];
} alchi_kernels_t;

/** Kernels in plain C. All implementations move the same bytes to the same places. */
const alchi_kernels_t *alchi_kernels_portable(void);
/** Kernels that use AVX2. @return NULL if this processor does not have AVX2 */
const alchi_kernels_t *alchi_kernels_avx2(void);

/** alchi_pack() (if `pack`) or alchi_unpack() with given kernels. */
void alchi_pack_move(const alchi_kernels_t *use, const alchi_pack_t *shape, char *strided, char *packed, int64_t ld,
                     bool pack);

#endif
