/* Walk through the bytes of a rectangle, or of a periodic set, in storage order. */
#include "dataserver/span.h"

#include <string.h>

void
alchi_data_span_init(alchi_data_span_t *span, const alchi_store_part_t *part, const alch_rect_t *rect)
{
    size_t m = (size_t)rect->m, n = (size_t)rect->n, lld = (size_t)part->lld;

    *span = (alchi_data_span_t){.bytes = m * n * part->entry};
    if (span->bytes == 0)
        return;
    span->base = (uint8_t *)part->data + ((size_t)rect->j * lld + (size_t)rect->i) * part->entry;
    span->run = m * part->entry;
    span->stride = lld * part->entry;
    if (span->run == span->stride)
        span->run = span->stride = span->bytes;
}

void
alchi_data_span_init_set(alchi_data_span_t *span, const alchi_store_part_t *part, const alchi_data_index_set_t *set,
                         alchi_product_t *product)
{
    *span = (alchi_data_span_t){.base = part->data,
                                .run = part->entry,
                                .stride = part->entry,
                                .bytes = (size_t)set->row_count * (size_t)set->col_count * part->entry,
                                .product = product};
    alchi_product_init(product, &set->rows, &set->cols, ALCHI_PRODUCT_SIDE_B, part->data, part->lld, part->entry);
}

/* @return the contiguous bytes from the position on. Not for periodic sets. */
static uint8_t *
find_contiguous(const alchi_data_span_t *span, size_t *bytes_p)
{
    size_t column, offset;

    if (span->at == span->bytes) {
        *bytes_p = 0;
        return span->base;
    }
    column = span->at / span->run;
    offset = span->at % span->run;
    *bytes_p = span->run - offset;
    return span->base + column * span->stride + offset;
}

void
alchi_data_span_put(alchi_data_span_t *span, const uint8_t *bytes, size_t size)
{
    if (span->product) {
        alchi_product_put(span->product, bytes, size);
        span->at += size;
        return;
    }
    while (size > 0) {
        size_t run;
        uint8_t *here = find_contiguous(span, &run);

        if (run > size)
            run = size;
        memcpy(here, bytes, run);
        bytes += run;
        size -= run;
        span->at += run;
    }
}

void
alchi_data_span_get(alchi_data_span_t *span, uint8_t *bytes, size_t size)
{
    if (span->product) {
        alchi_product_get(span->product, bytes, size);
        span->at += size;
        return;
    }
    while (size > 0) {
        size_t run;
        const uint8_t *here = find_contiguous(span, &run);

        if (run > size)
            run = size;
        memcpy(bytes, here, run);
        bytes += run;
        size -= run;
        span->at += run;
    }
}

int
alchi_data_span_gather(alchi_data_span_t *span, struct iovec *iov, int count, size_t size, size_t *bytes_p)
{
    size_t sum = 0;
    int used = 0;

    while (used < count && sum < size && span->at < span->bytes) {
        size_t run;
        uint8_t *here =
            span->product ? alchi_product_next_bytes(span->product, size - sum, &run) : find_contiguous(span, &run);

        if (run > size - sum)
            run = size - sum;
        iov[used++] = (struct iovec){here, run};
        sum += run;
        span->at += run;
    }
    *bytes_p = sum;
    return used;
}
