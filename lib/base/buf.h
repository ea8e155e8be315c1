/** @file base/buf.h  A growable byte queue: append at the end, consume at the front. */
#ifndef ALCHI_BASE_BUF_H
#define ALCHI_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *data;
    size_t start, end, capacity; /* bytes data[start..end) are held */
} alchi_buf_t;

void alchi_buf_init(alchi_buf_t *buf);
void alchi_buf_fini(alchi_buf_t *buf);

static inline size_t
alchi_buf_size(const alchi_buf_t *buf)
{
    return buf->end - buf->start;
}

/** NULL if it never held anything. */
static inline uint8_t *
alchi_buf_bytes(const alchi_buf_t *buf)
{
    return buf->data ? buf->data + buf->start : NULL;
}

/** Room for `size` more bytes at the end; NULL: out of memory. Follow with alchi_buf_commit(). */
uint8_t *alchi_buf_reserve(alchi_buf_t *buf, size_t size);
void alchi_buf_commit(alchi_buf_t *buf, size_t size);
/** ALCH_OK or ALCH_ENOMEM. */
int alchi_buf_append(alchi_buf_t *buf, const void *bytes, size_t size);
/** Drop `size` bytes at the front; gives memory back when it falls empty and is large. */
void alchi_buf_consume(alchi_buf_t *buf, size_t size);

#endif
