/* The product of two index sets as a stream of bytes: see product.h. */
#include "pack/product.h"

#include <string.h>

void
alchi_product_init(alchi_product_t *product, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                   alchi_product_side_t side, void *data, int64_t ld, size_t entry)
{
    /* The position is at the end of a column before the first, so ensure_segment() begins the first column. */
    *product = (alchi_product_t){
        .rows = *rows, .cols = *cols, .side = side, .data = data, .ld = ld, .entry = entry, .col_index = -1};
    product->row.index = rows->end;
    product->col.index = cols->begin;
}

/* Go to the next column. @return false if there is none */
static bool
next_column(alchi_product_t *product)
{
    alchi_strided_run_t *col = &product->col;
    int64_t segment, place, j;

    if (++product->col_index >= col->count * col->length) {
        if (!alchi_intersect_next(&product->cols, col->count ? alchi_strided_run_end(col) : col->index, col))
            return false;
        product->col_index = 0;
    }
    segment = product->col_index / col->length;
    place = product->col_index % col->length;
    j = (product->side == ALCHI_PRODUCT_SIDE_A ? col->a + segment * col->a_step : col->b + segment * col->b_step) +
        place;
    product->column = product->data + (size_t)j * (size_t)product->ld * product->entry;
    return true;
}

/* If the current run of rows is used up, go to the next run, if necessary in the next column.
 * @return false at the end of the stream */
static bool
ensure_segment(alchi_product_t *product)
{
    alchi_strided_run_t *row = &product->row;

    if (product->row_segment < row->count)
        return true;
    product->row_segment = 0;
    if (alchi_intersect_next(&product->rows, row->count ? alchi_strided_run_end(row) : row->index, row))
        return true;
    row->count = 0;
    row->index = product->rows.end;
    return next_column(product) && alchi_intersect_next(&product->rows, product->rows.begin, row);
}

/* @return bytes from the current segment to the next one in the storage */
static size_t
segment_distance(const alchi_product_t *product)
{
    return (size_t)(product->side == ALCHI_PRODUCT_SIDE_A ? product->row.a_step : product->row.b_step) * product->entry;
}

/* @return where the next byte of the stream is in the storage */
static uint8_t *
current_address(const alchi_product_t *product)
{
    int64_t first = product->side == ALCHI_PRODUCT_SIDE_A ? product->row.a : product->row.b;

    return product->column + (size_t)first * product->entry + (size_t)product->row_segment * segment_distance(product) +
           product->inside;
}

uint8_t *
alchi_product_next_bytes(alchi_product_t *product, size_t max, size_t *bytes_p)
{
    uint8_t *at;
    size_t segment_bytes;

    if (!ensure_segment(product))
        return NULL;
    at = current_address(product);
    segment_bytes = (size_t)product->row.length * product->entry;
    *bytes_p = segment_bytes - product->inside < max ? segment_bytes - product->inside : max;
    product->inside += *bytes_p;
    if (product->inside == segment_bytes) {
        product->inside = 0;
        product->row_segment++;
    }
    return at;
}

/* ---- whole segments at equal distances ---- */

/* `size` is a constant in each call, so the compiler replaces memcpy by a load and a store. */
static inline void
copy_entries(uint8_t *to, size_t to_step, const uint8_t *from, size_t from_step, int64_t count, size_t size)
{
    for (int64_t k = 0; k < count; k++, to += to_step, from += from_step)
        memcpy(to, from, size);
}

static void
copy_segments(uint8_t *to, size_t to_step, const uint8_t *from, size_t from_step, int64_t count, size_t segment_bytes)
{
    if (segment_bytes == 4)
        copy_entries(to, to_step, from, from_step, count, 4);
    else if (segment_bytes == 8)
        copy_entries(to, to_step, from, from_step, count, 8);
    else if (segment_bytes == 16)
        copy_entries(to, to_step, from, from_step, count, 16);
    else
        for (int64_t k = 0; k < count; k++, to += to_step, from += from_step)
            memcpy(to, from, segment_bytes);
}

/* @return how many whole segments of the current run come next and fit into `size` bytes */
static int64_t
whole_segments(const alchi_product_t *product, size_t size)
{
    int64_t fit = (int64_t)(size / ((size_t)product->row.length * product->entry)), left;

    left = product->row.count - product->row_segment;
    return product->inside > 0 ? 0 : fit < left ? fit : left;
}

void
alchi_product_put(alchi_product_t *product, const uint8_t *bytes, size_t size)
{
    while (size > 0 && ensure_segment(product)) {
        size_t segment_bytes = (size_t)product->row.length * product->entry, run = segment_bytes;
        int64_t segments = whole_segments(product, size);

        if (segments > 0) {
            copy_segments(current_address(product), segment_distance(product), bytes, segment_bytes, segments,
                          segment_bytes);
            product->row_segment += segments;
            run = (size_t)segments * segment_bytes;
        } else {
            uint8_t *to = alchi_product_next_bytes(product, size, &run);

            memcpy(to, bytes, run);
        }
        bytes += run;
        size -= run;
    }
}

void
alchi_product_get(alchi_product_t *product, uint8_t *bytes, size_t size)
{
    while (size > 0 && ensure_segment(product)) {
        size_t segment_bytes = (size_t)product->row.length * product->entry, run = segment_bytes;
        int64_t segments = whole_segments(product, size);

        if (segments > 0) {
            copy_segments(bytes, segment_bytes, current_address(product), segment_distance(product), segments,
                          segment_bytes);
            product->row_segment += segments;
            run = (size_t)segments * segment_bytes;
        } else {
            const uint8_t *from = alchi_product_next_bytes(product, size, &run);

            memcpy(bytes, from, run);
        }
        bytes += run;
        size -= run;
    }
}
