/**
 * @file pack/product.h
 * Copy the rows of one periodic set in the columns of another between storage and a packed stream of bytes.
 *
 * The stream has the columns in rising order, in each the rows in rising order. It may be cut anywhere, also within
 * an entry. The storage is that of one of the two sides of the sets (layout/intersect.h), column-major: local entry
 * (i, j) is at data + (i + j * ld) * entry. Bounds are the caller's. Pure memory, MT-Safe.
 */
#ifndef ALCHI_PACK_PRODUCT_H
#define ALCHI_PACK_PRODUCT_H

#include "layout/intersect.h"
#include <stddef.h>

typedef enum { ALCHI_PRODUCT_SIDE_A, ALCHI_PRODUCT_SIDE_B } alchi_product_side_t;

typedef struct {
    alchi_intersect_t rows, cols;
    alchi_product_side_t side;
    uint8_t *data;
    int64_t ld;
    size_t entry;
    /* the position */
    alchi_strided_run_t row, col;
    int64_t row_segment; /* of row */
    int64_t col_index;   /* in col, over all its teeth; the column under way */
    size_t inside;       /* bytes of the tooth that are done */
    uint8_t *column;
} alchi_product_t;

void alchi_product_init(alchi_product_t *product, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                        alchi_product_side_t side, void *data, int64_t ld, size_t entry);

/** Copy the next `size` bytes of the stream into the storage, or out of it. What goes beyond the end is left alone. */
void alchi_product_put(alchi_product_t *product, const uint8_t *bytes, size_t size);
void alchi_product_get(alchi_product_t *product, uint8_t *bytes, size_t size);

/** The next contiguous bytes of the storage, `max` (>= 1) at most, and move on. NULL: there are none */
uint8_t *alchi_product_next_bytes(alchi_product_t *product, size_t max, size_t *bytes_p);

#endif
