/**
 * @file net/stream.h
 * A byte stream over a descriptor: TCP or a unix socket; the place where TLS and
 * the same-host path plug in (a table of operations). Non-blocking.
 */
#ifndef ALCHI_NET_STREAM_H
#define ALCHI_NET_STREAM_H

#include "base/clock.h"
#include <alchemist/error.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct alchi_stream alchi_stream_t;

/** Takes the descriptor over. NULL: out of memory (the descriptor is closed). */
alchi_stream_t *alchi_stream_create(int fd);
/** Close and free. NULL is allowed; errno is kept. */
void alchi_stream_destroy(alchi_stream_t *stream);
int alchi_stream_fd(const alchi_stream_t *stream);

/**
 * Read or write what is possible now.
 * @return bytes moved (> 0), 0: would block, -1: ended or failed (errno; 0 at an orderly end)
 */
ssize_t alchi_stream_read(alchi_stream_t *stream, void *bytes, size_t size);
/** Into several pieces of memory; a kind of stream that cannot fills the first only. */
ssize_t alchi_stream_readv(alchi_stream_t *stream, const struct iovec *iov, int count);
ssize_t alchi_stream_writev(alchi_stream_t *stream, const struct iovec *iov, int count);

/* ---- memory of the stream's own: what is made or used there is not copied ---- */

/** Bytes that can be reserved at once when POLLOUT was waited for; 0: it has no such memory (a socket). */
size_t alchi_stream_reserve_max(const alchi_stream_t *stream);
/** Where the next `size` bytes to be sent can be made. @return NULL: errno says why; EAGAIN: no room now */
void *alchi_stream_reserve(alchi_stream_t *stream, size_t size);
/** Send what was made there; `size` at most what was reserved. Nothing else may be sent in between. */
void alchi_stream_commit(alchi_stream_t *stream, size_t size);
/** The bytes that have come, where they are. @return NULL: none, or the end: alchi_stream_read() says which */
const void *alchi_stream_peek(alchi_stream_t *stream, size_t *size_p);
/** They were used: the peer may write there again. */
void alchi_stream_consume(alchi_stream_t *stream, size_t size);

/**
 * What to poll the descriptor for so that it wakes when one of `wanted` (POLLIN, POLLOUT; 0: only the end) is possible.
 * Ask anew before every wait: over shared memory this asks the peer to ring, and the answer is not what was wanted.
 */
short alchi_stream_poll_events(alchi_stream_t *stream, short wanted);

/** Whether the peer is there and has sent nothing that was not read. */
bool alchi_stream_idle(alchi_stream_t *stream);

/** Wait until readable/writable (POLLIN, POLLOUT); may return early. @return ALCH_OK, ALCH_ETIMEDOUT */
int alchi_stream_wait(alchi_stream_t *stream, short events, alchi_deadline_t deadline);

#endif
