/* Periodic rows in periodic columns: see cross.h. */
#include "pack/product.h"

#include <string.h>

void
alchi_product_init(alchi_product_t *cross, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                   alchi_product_side_t side, void *data, int64_t ld, size_t entry)
{
    /* No row is left in a column before the first. */
    *cross = (alchi_product_t){
        .rows = *rows, .cols = *cols, .side = side, .data = data, .ld = ld, .entry = entry, .col_index = -1};
    cross->row.index = rows->end;
    cross->col.index = cols->begin;
}

static bool
next_column(alchi_product_t *cross)
{
    alchi_strided_run_t *col = &cross->col;
    int64_t tooth, place, j;

    if (++cross->col_index >= col->count * col->length) {
        if (!alchi_intersect_next(&cross->cols, col->count ? alchi_strided_run_end(col) : col->index, col))
            return false;
        cross->col_index = 0;
    }
    tooth = cross->col_index / col->length;
    place = cross->col_index % col->length;
    j = (cross->side == ALCHI_PRODUCT_SIDE_A ? col->a + tooth * col->a_step : col->b + tooth * col->b_step) + place;
    cross->column = cross->data + (size_t)j * (size_t)cross->ld * cross->entry;
    return true;
}

/* Have a tooth under way. @return false: the end */
static bool
ready(alchi_product_t *cross)
{
    alchi_strided_run_t *row = &cross->row;

    if (cross->row_tooth < row->count)
        return true;
    cross->row_tooth = 0;
    if (alchi_intersect_next(&cross->rows, row->count ? alchi_strided_run_end(row) : row->index, row))
        return true;
    row->count = 0;
    row->index = cross->rows.end;
    return next_column(cross) && alchi_intersect_next(&cross->rows, cross->rows.begin, row);
}

/* Bytes from the tooth under way to the next. */
static size_t
distance(const alchi_product_t *cross)
{
    return (size_t)(cross->side == ALCHI_PRODUCT_SIDE_A ? cross->row.a_step : cross->row.b_step) * cross->entry;
}

static uint8_t *
here(const alchi_product_t *cross)
{
    int64_t first = cross->side == ALCHI_PRODUCT_SIDE_A ? cross->row.a : cross->row.b;

    return cross->column + (size_t)first * cross->entry + (size_t)cross->row_tooth * distance(cross) + cross->inside;
}

uint8_t *
alchi_product_next_bytes(alchi_product_t *cross, size_t max, size_t *bytes_p)
{
    uint8_t *at;
    size_t tooth;

    if (!ready(cross))
        return NULL;
    at = here(cross);
    tooth = (size_t)cross->row.length * cross->entry;
    *bytes_p = tooth - cross->inside < max ? tooth - cross->inside : max;
    cross->inside += *bytes_p;
    if (cross->inside == tooth) {
        cross->inside = 0;
        cross->row_tooth++;
    }
    return at;
}

/* ---- whole teeth at equal distances ---- */

/* Entries one by one: the size is known to the compiler. */
static inline void
entries_apart(uint8_t *to, size_t to_step, const uint8_t *from, size_t from_step, int64_t count, size_t size)
{
    for (int64_t k = 0; k < count; k++, to += to_step, from += from_step)
        memcpy(to, from, size);
}

static void
copy_teeth(uint8_t *to, size_t to_step, const uint8_t *from, size_t from_step, int64_t count, size_t tooth)
{
    if (tooth == 4)
        entries_apart(to, to_step, from, from_step, count, 4);
    else if (tooth == 8)
        entries_apart(to, to_step, from, from_step, count, 8);
    else if (tooth == 16)
        entries_apart(to, to_step, from, from_step, count, 16);
    else
        for (int64_t k = 0; k < count; k++, to += to_step, from += from_step)
            memcpy(to, from, tooth);
}

/* How many whole teeth come next that fit into `size` bytes; 0: none. */
static int64_t
whole_teeth(const alchi_product_t *cross, size_t size)
{
    int64_t fit = (int64_t)(size / ((size_t)cross->row.length * cross->entry)), left;

    left = cross->row.count - cross->row_tooth;
    return cross->inside > 0 ? 0 : fit < left ? fit : left;
}

void
alchi_product_put(alchi_product_t *cross, const uint8_t *bytes, size_t size)
{
    while (size > 0 && ready(cross)) {
        size_t tooth = (size_t)cross->row.length * cross->entry, run = tooth;
        int64_t teeth = whole_teeth(cross, size);

        if (teeth > 0) {
            copy_teeth(here(cross), distance(cross), bytes, tooth, teeth, tooth);
            cross->row_tooth += teeth;
            run = (size_t)teeth * tooth;
        } else {
            uint8_t *to = alchi_product_next_bytes(cross, size, &run);

            memcpy(to, bytes, run);
        }
        bytes += run;
        size -= run;
    }
}

void
alchi_product_get(alchi_product_t *cross, uint8_t *bytes, size_t size)
{
    while (size > 0 && ready(cross)) {
        size_t tooth = (size_t)cross->row.length * cross->entry, run = tooth;
        int64_t teeth = whole_teeth(cross, size);

        if (teeth > 0) {
            copy_teeth(bytes, tooth, here(cross), distance(cross), teeth, tooth);
            cross->row_tooth += teeth;
            run = (size_t)teeth * tooth;
        } else {
            const uint8_t *from = alchi_product_next_bytes(cross, size, &run);

            memcpy(bytes, from, run);
        }
        bytes += run;
        size -= run;
    }
}
