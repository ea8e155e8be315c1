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

/** The first byte that is held. NULL: the buffer has no memory, and is empty. */
static inline uint8_t *
alchi_buf_bytes(const alchi_buf_t *buf)
{
    return buf->data ? buf->data + buf->start : NULL;
}

/** Return room for `size` bytes at the end. Write there, then call alchi_buf_commit(). Pointers into the buffer become
 * invalid. NULL: out of memory. */
uint8_t *alchi_buf_reserve(alchi_buf_t *buf, size_t size);
/** Append the first `size` bytes of the room that alchi_buf_reserve() returned. */
void alchi_buf_commit(alchi_buf_t *buf, size_t size);
/** @return ALCH_OK, ALCH_ENOMEM */
int alchi_buf_append(alchi_buf_t *buf, const void *bytes, size_t size);
/** Remove `size` bytes at the front. A large buffer frees its memory when it becomes empty. */
void alchi_buf_consume(alchi_buf_t *buf, size_t size);

#endif
