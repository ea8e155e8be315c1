/**
 * @file net/stream_ops.h
 * The operations of a kind of stream, for code that adds a kind. No operation waits: each moves as many bytes as is
 * possible now. net/stream.h states what each one returns.
 */
#ifndef ALCHI_NET_STREAM_OPS_H
#define ALCHI_NET_STREAM_OPS_H

#include "net/stream.h"

typedef struct {
    ssize_t (*read)(alchi_stream_t *stream, void *bytes, size_t size);
    ssize_t (*writev)(alchi_stream_t *stream, const struct iovec *iov, int count);
    short (*poll_events)(alchi_stream_t *stream, short wanted);
    bool (*idle)(alchi_stream_t *stream);
    void (*close)(alchi_stream_t *stream);
    ssize_t (*readv)(alchi_stream_t *stream, const struct iovec *iov, int count); /* NULL: the first piece only */
    /* only for a stream whose memory the caller writes and reads in place; else NULL */
    size_t (*reserve_max)(const alchi_stream_t *stream);
    void *(*reserve)(alchi_stream_t *stream, size_t size);
    void (*commit)(alchi_stream_t *stream, size_t size);
    const void *(*peek)(alchi_stream_t *stream, size_t *size_p);
    void (*consume)(alchi_stream_t *stream, size_t size);
} alchi_stream_ops_t;

struct alchi_stream {
    const alchi_stream_ops_t *ops;
    int fd;
    void *state; /* private to the kind of stream */
};

/** Change the kind of a stream that is still a plain socket. Its descriptor stays; `state` belongs to the new kind. */
static inline void
alchi_stream_set_ops(alchi_stream_t *stream, const alchi_stream_ops_t *ops, void *state)
{
    stream->ops = ops;
    stream->state = state;
}

#endif
