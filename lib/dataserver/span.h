/**
 * @file dataserver/span.h
 * A position in the bytes of a rectangle of a local part, or of a periodic set, in storage order. A rectangle of whole
 * columns is one contiguous run of bytes; any other rectangle is one run per column.
 *
 * The functions only move bytes in memory.
 *
 * @threads  MT-Safe on different spans
 */
#ifndef ALCHI_DATASERVER_SPAN_H
#define ALCHI_DATASERVER_SPAN_H

#include "dataserver/index_set.h"
#include <sys/uio.h>

typedef struct {
    uint8_t *base;
    size_t run;               /* contiguous bytes; of a periodic set: one entry */
    size_t stride;            /* bytes from run to run */
    size_t bytes;             /* in total */
    size_t at;                /* position, 0..bytes */
    alchi_product_t *product; /* copies the entries of a periodic set; NULL for a rectangle; borrowed */
} alchi_data_span_t;

/** Start at the first byte of a rectangle. @param rect  within the part (local indices) */
void alchi_data_span_init(alchi_data_span_t *span, const alchi_store_part_t *part, const alch_rect_t *rect);

/** Start at the first byte of a periodic set. `run` is one entry, so the payload is never received in place.
 *  @param product  initialized here; must live as long as the span */
void alchi_data_span_init_set(alchi_data_span_t *span, const alchi_store_part_t *part,
                              const alchi_data_index_set_t *set, alchi_product_t *product);

static inline size_t
alchi_data_span_left(const alchi_data_span_t *span)
{
    return span->bytes - span->at;
}

/** Copy `size` bytes into the rectangle, or out of it, and advance the position. `size` is at most
 * alchi_data_span_left(). */
void alchi_data_span_put(alchi_data_span_t *span, const uint8_t *bytes, size_t size);
void alchi_data_span_get(alchi_data_span_t *span, uint8_t *bytes, size_t size);

/** Describe the next bytes, at most `count` runs and `size` bytes, and advance the position.
 *  @return the number of runs; *bytes_p is the number of their bytes */
int alchi_data_span_gather(alchi_data_span_t *span, struct iovec *iov, int count, size_t size, size_t *bytes_p);

#endif
