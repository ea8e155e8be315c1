/* A growable byte queue. */
#include "base/buf.h"

#include <alchemist/error.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 4096
#define LARGE_CAPACITY (256u << 10)

void
alchi_buf_init(alchi_buf_t *buf)
{
    *buf = (alchi_buf_t){0};
}

void
alchi_buf_fini(alchi_buf_t *buf)
{
    if (!buf)
        return;
    free(buf->data);
    alchi_buf_init(buf);
}

/* Move the held bytes to the front, if that makes enough room. Move only if at least as many bytes were consumed as are
 * held: otherwise many small consumptions of a full buffer would take quadratic time. */
static int
move_to_front(alchi_buf_t *buf, size_t size)
{
    size_t held = alchi_buf_size(buf);

    if (buf->start < held || buf->capacity - held < size)
        return 0;
    memmove(buf->data, buf->data + buf->start, held);
    buf->start = 0;
    buf->end = held;
    return 1;
}

static int
grow(alchi_buf_t *buf, size_t size)
{
    size_t held = alchi_buf_size(buf), capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;
    uint8_t *data;

    if (size > SIZE_MAX / 4 || held > SIZE_MAX / 4)
        return 0;
    while (capacity < held + size)
        capacity *= 2;
    data = malloc(capacity);
    if (!data)
        return 0;
    if (held)
        memcpy(data, buf->data + buf->start, held);
    free(buf->data);
    *buf = (alchi_buf_t){.data = data, .end = held, .capacity = capacity};
    return 1;
}

uint8_t *
alchi_buf_reserve(alchi_buf_t *buf, size_t size)
{
    if (buf->data && buf->capacity - buf->end >= size)
        return buf->data + buf->end;
    if ((!buf->data || !move_to_front(buf, size)) && !grow(buf, size))
        return NULL;
    return buf->data + buf->end;
}

void
alchi_buf_commit(alchi_buf_t *buf, size_t size)
{
    buf->end += size;
}

int
alchi_buf_append(alchi_buf_t *buf, const void *bytes, size_t size)
{
    uint8_t *room;

    if (!size)
        return ALCH_OK;
    room = alchi_buf_reserve(buf, size);
    if (!room)
        return ALCH_ENOMEM;
    memcpy(room, bytes, size);
    alchi_buf_commit(buf, size);
    return ALCH_OK;
}

void
alchi_buf_consume(alchi_buf_t *buf, size_t size)
{
    buf->start += size;
    if (buf->start < buf->end)
        return;
    if (buf->capacity > LARGE_CAPACITY) {
        alchi_buf_fini(buf);
        return;
    }
    buf->start = buf->end = 0;
}
