/**
 * @file pack/product.h
 * Copy the product of an index set of rows and one of columns between storage and a packed stream of bytes.
 *
 * Both sets are intersections (layout/intersect.h). The stream has the columns in rising order, and within each
 * column the rows in rising order. Callers may split it anywhere, even within an entry. The storage is that of side a
 * or side b of the sets and is column-major: local entry (i, j) is at data + (i + j * ld) * entry. The caller makes
 * sure that the product is within its storage.
 *
 * @threads  MT-Safe on different products
 */
#ifndef ALCHI_PACK_PRODUCT_H
#define ALCHI_PACK_PRODUCT_H

#include "layout/intersect.h"
#include <stddef.h>

typedef enum { ALCHI_PRODUCT_SIDE_A, ALCHI_PRODUCT_SIDE_B } alchi_product_side_t;

/** A product, and a position in its stream. */
typedef struct {
    alchi_intersect_t rows, cols;
    alchi_product_side_t side;
    uint8_t *data;
    int64_t ld;
    size_t entry; /* bytes of an entry */
    /* the position */
    alchi_strided_run_t row, col; /* the current run of rows, and of columns */
    int64_t row_segment;          /* the current segment of `row` */
    int64_t col_index;            /* the current column: its number in `col`, counted over all segments */
    size_t inside;                /* bytes of the current segment that have been copied */
    uint8_t *column;              /* where the current column is in the storage */
} alchi_product_t;

/** Start at the beginning of the stream. @param[in] rows, cols  copied @param data  borrowed as long as the product is
 *  used */
void alchi_product_init(alchi_product_t *product, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                        alchi_product_side_t side, void *data, int64_t ld, size_t entry);

/** Copy the next `size` bytes of the stream into the storage. Bytes beyond the end of the stream are ignored. */
void alchi_product_put(alchi_product_t *product, const uint8_t *bytes, size_t size);
/** Copy the next `size` bytes of the stream out of the storage. If the stream ends earlier, the rest of `bytes` is
 *  unchanged. */
void alchi_product_get(alchi_product_t *product, uint8_t *bytes, size_t size);

/** Get the next bytes of the stream that are contiguous in the storage, at most `max` (>= 1), and advance past them.
 *  @return where they are in the storage; NULL at the end of the stream */
uint8_t *alchi_product_next_bytes(alchi_product_t *product, size_t max, size_t *bytes_p);

#endif
