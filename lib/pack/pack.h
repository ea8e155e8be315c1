/**
 * @file pack/pack.h
 * Copy entries between a strided buffer (the strided side) and a local rectangle in storage order (the packed side).
 *
 * alchi_pack() and alchi_unpack() copy a rectangle `local` of a rank's part, whose axes map local to global indices
 * (layout/layout.h).
 * The packed side is column-major with leading dimension `ld` (entries). The strided side holds the global rectangle
 * that starts at (i0, j0): global entry (i, j) is at base + (i - i0) * row_stride + (j - j0) * col_stride. Strides are
 * in entries of `size` bytes (4, 8 or 16) and may be negative or 0. The caller makes sure that all entries are within
 * its memory. Neither side needs to be aligned.
 *
 * @threads  MT-Safe on different memory
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

/** Copy from the strided side to the packed side. @param ld  entries, >= shape->local.m */
void alchi_pack(const alchi_pack_t *shape, const void *strided, void *packed, int64_t ld);
/** Copy from the packed side to the strided side. @param ld  as above */
void alchi_unpack(const alchi_pack_t *shape, const void *packed, int64_t ld, void *strided);

/** The product of a list of rows and a list of columns. Entry (i, j) is at strided + rows[i] + cols[j] on the strided
 *  side. The packed side is column-major without gaps. */
typedef struct {
    char *strided;
    const int64_t *rows, *cols; /* [m], [n]: offsets, bytes */
    int64_t m, n;
    char *packed;
    size_t size; /* bytes of an entry: 4, 8 or 16 */
    bool across; /* on the strided side, entries of a row are closer to each other than those of a column */
} alchi_pack_lists_t;

/** Copy from the strided side to the packed side. */
void alchi_pack_lists(const alchi_pack_lists_t *product);
/** Copy from the packed side to the strided side. */
void alchi_unpack_lists(const alchi_pack_lists_t *product);

#endif
