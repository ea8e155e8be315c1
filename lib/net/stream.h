/**
 * @file net/stream.h
 * A byte stream over a descriptor: a TCP or unix socket, or shared memory between processes of one host (net/shm.h).
 *
 * A table of operations (net/stream_ops.h) implements each kind of stream; TLS would be one more kind. No function
 * but alchi_stream_wait() blocks: reads and writes move as many bytes as is possible now.
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

/** Create a stream over a socket, which the stream owns from now on.
 *  @return NULL: out of memory; the socket is closed then */
alchi_stream_t *alchi_stream_create(int fd);
/** Close and free. NULL is allowed; errno is kept. */
void alchi_stream_destroy(alchi_stream_t *stream);
/** The descriptor, borrowed. */
int alchi_stream_fd(const alchi_stream_t *stream);

/**
 * Read up to `size` bytes.
 * @return bytes moved (> 0), 0: would block, -1: ended or failed (errno; 0 at an orderly end)
 */
ssize_t alchi_stream_read(alchi_stream_t *stream, void *bytes, size_t size);
/** Read into several pieces of memory. Some kinds of stream fill only the first. @return as alchi_stream_read() */
ssize_t alchi_stream_readv(alchi_stream_t *stream, const struct iovec *iov, int count);
/** Write several pieces of memory, as many bytes as fit. @return bytes moved (> 0), 0: would block, -1: failed (errno)
 */
ssize_t alchi_stream_writev(alchi_stream_t *stream, const struct iovec *iov, int count);

/* ---- memory of the stream: the caller writes or reads the bytes in place, without a copy ---- */

/** Bytes that can be reserved at once after a wait for POLLOUT; 0: the stream has no such memory (a socket). */
size_t alchi_stream_reserve_max(const alchi_stream_t *stream);
/** Reserve memory where the caller writes the next `size` bytes to send.
 *  @return NULL with errno: EAGAIN: no room now; EOPNOTSUPP: the stream has no such memory; else the stream failed */
void *alchi_stream_reserve(alchi_stream_t *stream, size_t size);
/** Send the first `size` bytes of the reserved memory. The caller must not have sent anything since the reservation. */
void alchi_stream_commit(alchi_stream_t *stream, size_t size);
/** The bytes that have arrived, in memory of the stream.
 *  @return *size_p > 0 bytes; NULL: nothing has arrived, the stream ended or it has no such memory;
 *          alchi_stream_read() tells the cases apart */
const void *alchi_stream_peek(alchi_stream_t *stream, size_t *size_p);
/** Free the first `size` bytes that alchi_stream_peek() returned: the peer may overwrite them. */
void alchi_stream_consume(alchi_stream_t *stream, size_t size);

/**
 * The events for which to poll the descriptor, if the caller waits for one of `wanted` (POLLIN, POLLOUT; 0: only the
 * end of the stream).
 *
 * Call this before every poll: over shared memory the call announces to the peer that this side waits, and the result
 * differs from `wanted`.
 */
short alchi_stream_poll_events(alchi_stream_t *stream, short wanted);

/** Whether the connection is open and every byte that the peer sent was read. */
bool alchi_stream_idle(alchi_stream_t *stream);

/** Wait until one of `events` (POLLIN, POLLOUT) is possible; may return early. @return ALCH_OK, ALCH_ETIMEDOUT */
int alchi_stream_wait(alchi_stream_t *stream, short events, alchi_deadline_t deadline);

#endif
