/**
 * @file net/stream_ops.h
 * What a kind of stream does: for those who add one. Every call moves what is possible now and never waits.
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
    /* of a kind with memory of its own; else NULL */
    size_t (*reserve_max)(const alchi_stream_t *stream);
    void *(*reserve)(alchi_stream_t *stream, size_t size);
    void (*commit)(alchi_stream_t *stream, size_t size);
    const void *(*peek)(alchi_stream_t *stream, size_t *size_p);
    void (*consume)(alchi_stream_t *stream, size_t size);
} alchi_stream_ops_t;

struct alchi_stream {
    const alchi_stream_ops_t *ops;
    int fd;
    void *state; /* of the kind */
};

/** Replace what a stream does; its descriptor stays. */
static inline void
alchi_stream_become(alchi_stream_t *stream, const alchi_stream_ops_t *ops, void *state)
{
    stream->ops = ops;
    stream->state = state;
}

#endif
