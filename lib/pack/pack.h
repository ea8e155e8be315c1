/**
 * @file pack/pack.h
 * Copy between a strided buffer and a local rectangle in storage order.
 *
 * Both kernels walk a rectangle `local` of a rank's part whose axes map local to
 * global indices (layout/layout.h). The packed side is column-major with leading dimension
 * `ld` (entries). The strided side holds the global rectangle that starts at (i0, j0):
 * global entry (i, j) lies at base + (i - i0) * row_stride + (j - j0) * col_stride,
 * strides in entries of `size` bytes (4, 8 or 16), any sign. Bounds are the caller's.
 * Pure memory, MT-Safe.
 */
#ifndef ALCHI_PACK_PACK_H
#define ALCHI_PACK_PACK_H

#include "layout/layout.h"

typedef struct {
    alchi_axis_t rows, cols;
    alch_rect_t local;
    int64_t i0, j0;
    int64_t row_stride, col_stride;
    size_t size;
} alchi_pack_t;

void alchi_pack(const alchi_pack_t *shape, const void *strided, void *packed, int64_t ld);
void alchi_unpack(const alchi_pack_t *shape, const void *packed, int64_t ld, void *strided);

/** The product of two lists: entry (i, j) lies at strided + rows[i] + cols[j] (bytes) and, column by column without
 * gaps, in `packed`. */
typedef struct {
    char *strided;
    const int64_t *rows, *cols;
    int64_t m, n;
    char *packed;
    size_t size;
    bool across; /* entries of a row are the closer ones */
} alchi_pack_lists_t;

void alchi_pack_lists(const alchi_pack_lists_t *product);
void alchi_unpack_lists(const alchi_pack_lists_t *product);

#endif
