/**
 * @file dataserver/span.h
 * The bytes of a rectangle of a local part, in storage order: one run if it consists of whole
 * columns, else a run per column. Pure memory.
 */
#ifndef ALCHI_DATASERVER_SPAN_H
#define ALCHI_DATASERVER_SPAN_H

#include "dataserver/index_set.h"
#include <sys/uio.h>

typedef struct {
    uint8_t *base;
    size_t run;             /* contiguous bytes */
    size_t stride;          /* from run to run */
    size_t bytes;           /* in all */
    size_t at;              /* position, 0..bytes */
    alchi_product_t *cross; /* what lies in gaps is copied by this; NULL: nothing does */
} alchi_data_span_t;

/** @param rect within the part */
void alchi_data_span_init(alchi_data_span_t *span, const alchi_store_part_t *part, const alch_rect_t *rect);

/** The same for a periodic set: its runs are never received in place. `cross` is used as long as the span is. */
void alchi_data_span_init_set(alchi_data_span_t *span, const alchi_store_part_t *part,
                              const alchi_data_index_set_t *set, alchi_product_t *cross);

static inline size_t
alchi_data_span_left(const alchi_data_span_t *span)
{
    return span->bytes - span->at;
}

/** Copy from `bytes` into the rectangle, or out of it, and move on; `size` at most what is left. */
void alchi_data_span_put(alchi_data_span_t *span, const uint8_t *bytes, size_t size);
void alchi_data_span_get(alchi_data_span_t *span, uint8_t *bytes, size_t size);

/** Describe the next bytes, `count` runs and `size` bytes at most, and move on. @return runs; *bytes_p their sum */
int alchi_data_span_gather(alchi_data_span_t *span, struct iovec *iov, int count, size_t size, size_t *bytes_p);

#endif
