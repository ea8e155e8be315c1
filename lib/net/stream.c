/* Streams: the calls of net/stream.h, and the operations of a stream over a TCP or unix socket. */
#include "net/stream_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool
would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* Turn the result of a receiving system call into that of alchi_stream_read(). */
static ssize_t
receive_result(ssize_t n)
{
    if (n > 0)
        return n;
    if (n < 0)
        return would_block() ? 0 : -1;
    errno = 0;
    return -1;
}

static ssize_t
socket_read(alchi_stream_t *stream, void *bytes, size_t size)
{
    ssize_t n;

    do
        n = recv(stream->fd, bytes, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return receive_result(n);
}

static ssize_t
socket_readv(alchi_stream_t *stream, const struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    ssize_t n;

    do
        n = recvmsg(stream->fd, &message, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return receive_result(n);
}

static ssize_t
socket_writev(alchi_stream_t *stream, const struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    ssize_t n;

    do
        n = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return would_block() ? 0 : -1;
    return n;
}

static short
socket_poll_events(alchi_stream_t *stream, short wanted)
{
    (void)stream;
    return wanted;
}

/* A stream is idle if a read would block. It is not idle if the read finds bytes or the end of the stream, or fails. */
static bool
socket_idle(alchi_stream_t *stream)
{
    char byte;

    return recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && would_block();
}

static void
socket_close(alchi_stream_t *stream)
{
    close(stream->fd);
}

static const alchi_stream_ops_t socket_ops = {.read = socket_read,
                                              .readv = socket_readv,
                                              .writev = socket_writev,
                                              .poll_events = socket_poll_events,
                                              .idle = socket_idle,
                                              .close = socket_close};

alchi_stream_t *
alchi_stream_create(int fd)
{
    alchi_stream_t *stream = malloc(sizeof(*stream));

    if (!stream) {
        close(fd);
        return NULL;
    }
    *stream = (alchi_stream_t){.ops = &socket_ops, .fd = fd};
    return stream;
}

void
alchi_stream_destroy(alchi_stream_t *stream)
{
    int saved = errno;

    if (stream) {
        stream->ops->close(stream);
        free(stream);
    }
    errno = saved;
}

int
alchi_stream_fd(const alchi_stream_t *stream)
{
    return stream->fd;
}

/* A read of 0 bytes returns 0 here: recv() would return 0 too, which otherwise means the end of the stream. */
ssize_t
alchi_stream_read(alchi_stream_t *stream, void *bytes, size_t size)
{
    return size ? stream->ops->read(stream, bytes, size) : 0;
}

ssize_t
alchi_stream_readv(alchi_stream_t *stream, const struct iovec *iov, int count)
{
    if (count > 1 && stream->ops->readv)
        return stream->ops->readv(stream, iov, count);
    return count > 0 ? alchi_stream_read(stream, iov[0].iov_base, iov[0].iov_len) : 0;
}

ssize_t
alchi_stream_writev(alchi_stream_t *stream, const struct iovec *iov, int count)
{
    return count > 0 ? stream->ops->writev(stream, iov, count) : 0;
}

size_t
alchi_stream_reserve_max(const alchi_stream_t *stream)
{
    return stream->ops->reserve_max ? stream->ops->reserve_max(stream) : 0;
}

void *
alchi_stream_reserve(alchi_stream_t *stream, size_t size)
{
    if (stream->ops->reserve)
        return stream->ops->reserve(stream, size);
    errno = EOPNOTSUPP;
    return NULL;
}

void
alchi_stream_commit(alchi_stream_t *stream, size_t size)
{
    stream->ops->commit(stream, size);
}

const void *
alchi_stream_peek(alchi_stream_t *stream, size_t *size_p)
{
    return stream->ops->peek ? stream->ops->peek(stream, size_p) : NULL;
}

void
alchi_stream_consume(alchi_stream_t *stream, size_t size)
{
    stream->ops->consume(stream, size);
}

short
alchi_stream_poll_events(alchi_stream_t *stream, short wanted)
{
    return stream->ops->poll_events(stream, wanted);
}

bool
alchi_stream_idle(alchi_stream_t *stream)
{
    return stream->ops->idle(stream);
}

int
alchi_stream_wait(alchi_stream_t *stream, short events, alchi_deadline_t deadline)
{
    for (;;) {
        struct pollfd entry = {.fd = stream->fd, .events = alchi_stream_poll_events(stream, events)};
        int left_ms = alchi_deadline_left_ms(deadline);
        int n = poll(&entry, 1, left_ms);

        /* A failed descriptor counts as ready: the next read or write reports the error. */
        if (n > 0 || (n < 0 && errno != EINTR && errno != ENOMEM))
            return ALCH_OK;
        if (left_ms == 0)
            return ALCH_ETIMEDOUT;
    }
}
