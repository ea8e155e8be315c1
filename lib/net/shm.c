/* A stream through two rings. What one side publishes is seen by the other without a system call; a byte is sent over
 * the socket only to a side that announced that it is about to sleep. */
#include "net/shm.h"

#include "base/error.h"
#include "net/stream_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Copied before it is published: the peer copies out what came before at the same time. */
#define STEP ((size_t)64 << 10)
/* A writer sleeps until that part of the ring is free. */
#define ROOM(size) ((size) / 4)
#define BELLS_MAX 16

typedef struct {
    alchi_rings_t *rings;
    bool ended;  /* the peer closed: what is in the ring can still be read */
    bool broken; /* its counts are impossible */
} shared_t;

static shared_t *
shared_of(const alchi_stream_t *stream)
{
    return stream->state;
}

/* Wake the peer if it waits. What was published before is seen by whoever sees no byte. */
static void
ring_bell(alchi_stream_t *stream, _Atomic uint32_t *waits)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(waits, memory_order_relaxed) || !atomic_exchange(waits, 0))
        return;
    if (send(stream->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINTR)
        shared_of(stream)->ended = true;
}

/* Take the bytes that woke us; see the end. */
static void
hear_bells(alchi_stream_t *stream)
{
    char bytes[64];

    for (int k = 0; k < BELLS_MAX; k++) {
        ssize_t n = recv(stream->fd, bytes, sizeof bytes, MSG_DONTWAIT);

        if (n == (ssize_t)sizeof bytes || (n < 0 && errno == EINTR))
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            shared_of(stream)->ended = true;
        return;
    }
}

static ssize_t
broken(shared_t *shared)
{
    shared->broken = true;
    errno = EPROTO;
    return -1;
}

/* ---- reading ---- */

static void
copy_out(alchi_stream_t *stream, uint8_t *bytes, size_t size)
{
    alchi_rings_t *rings = shared_of(stream)->rings;
    alchi_ring_t *in = &rings->in;

    while (size > 0) {
        size_t place = in->at & (rings->size - 1), step = rings->size - place;

        if (step > STEP)
            step = STEP;
        if (step > size)
            step = size;
        memcpy(bytes, in->bytes + place, step);
        in->at += step;
        atomic_store_explicit(&in->shared->read, in->at, memory_order_release);
        bytes += step;
        size -= step;
        if (size == 0 || alchi_ring_filled(in, rings->size) <= rings->size - ROOM(rings->size))
            ring_bell(stream, &in->shared->writer_waits);
    }
}

static ssize_t
shm_read(alchi_stream_t *stream, void *bytes, size_t size)
{
    shared_t *shared = shared_of(stream);
    size_t filled = alchi_ring_filled(&shared->rings->in, shared->rings->size);

    if (shared->broken)
        return broken(shared);
    /* What came before the end is there when the end is seen. */
    if (filled == 0) {
        hear_bells(stream);
        filled = alchi_ring_filled(&shared->rings->in, shared->rings->size);
    }
    if (filled == SIZE_MAX)
        return broken(shared);
    if (filled == 0) {
        errno = 0;
        return shared->ended ? -1 : 0;
    }
    if (size > filled)
        size = filled;
    copy_out(stream, bytes, size);
    return (ssize_t)size;
}

/* ---- writing ---- */

static void
publish(alchi_stream_t *stream)
{
    alchi_ring_t *out = &shared_of(stream)->rings->out;

    atomic_store_explicit(&out->shared->written, out->at, memory_order_release);
    ring_bell(stream, &out->shared->reader_waits);
}

/* Copy one piece as far as there is room. @return bytes; *step_p: what was copied and not published */
static size_t
copy_in(alchi_stream_t *stream, const struct iovec *piece, size_t *room_p, size_t *step_p)
{
    alchi_rings_t *rings = shared_of(stream)->rings;
    alchi_ring_t *out = &rings->out;
    size_t done = 0;

    while (done<piece->iov_len && * room_p> 0) {
        size_t place = out->at & (rings->size - 1), n = rings->size - place;

        if (n > STEP - *step_p)
            n = STEP - *step_p;
        if (n > piece->iov_len - done)
            n = piece->iov_len - done;
        if (n > *room_p)
            n = *room_p;
        memcpy(out->bytes + place, (const uint8_t *)piece->iov_base + done, n);
        out->at += n;
        done += n;
        *room_p -= n;
        *step_p += n;
        if (*step_p == STEP) {
            publish(stream);
            *step_p = 0;
        }
    }
    return done;
}

static ssize_t
shm_writev(alchi_stream_t *stream, const struct iovec *iov, int count)
{
    shared_t *shared = shared_of(stream);
    size_t room = alchi_ring_room(&shared->rings->out, shared->rings->size), done = 0, step = 0;

    if (room == SIZE_MAX || shared->broken)
        return broken(shared);
    if (shared->ended) {
        errno = EPIPE;
        return -1;
    }
    for (int k = 0; k < count; k++) {
        size_t n = copy_in(stream, &iov[k], &room, &step);

        done += n;
        if (n < iov[k].iov_len)
            break;
    }
    if (step > 0)
        publish(stream);
    return (ssize_t)done;
}

/* ---- waiting ---- */

/* Take the bytes that woke us before; then say that we wait; then look once more: either we see what the peer did, or
 * it sees that we wait. In this order: a byte taken after we said so might be the answer to it, for less room than we
 * wait for, and no other would come. What is possible already is answered by an event that is always there. */
static short
shm_poll_events(alchi_stream_t *stream, short wanted)
{
    shared_t *shared = shared_of(stream);
    alchi_rings_t *rings = shared->rings;
    bool ready;

    hear_bells(stream);
    if (wanted & POLLIN)
        atomic_store(&rings->in.shared->reader_waits, 1);
    if (wanted & POLLOUT)
        atomic_store(&rings->out.shared->writer_waits, 1);
    atomic_thread_fence(memory_order_seq_cst);
    ready = shared->ended || shared->broken || (wanted & POLLIN && alchi_ring_filled(&rings->in, rings->size) > 0) ||
            (wanted & POLLOUT && alchi_ring_room(&rings->out, rings->size) >= ROOM(rings->size));
    if (!wanted)
        return 0;
    return ready ? POLLIN | POLLOUT : POLLIN;
}

static bool
shm_idle(alchi_stream_t *stream)
{
    shared_t *shared = shared_of(stream);

    hear_bells(stream);
    return !shared->ended && !shared->broken && alchi_ring_filled(&shared->rings->in, shared->rings->size) == 0;
}

static void
shm_close(alchi_stream_t *stream)
{
    shared_t *shared = shared_of(stream);

    close(stream->fd);
    alchi_rings_destroy(shared->rings);
    free(shared);
}

static const alchi_stream_ops_t shm_ops = {shm_read, shm_writev, shm_poll_events, shm_idle, shm_close};

int
alchi_stream_share(alchi_stream_t *stream, alchi_rings_t *rings)
{
    shared_t *shared = calloc(1, sizeof *shared);

    if (!shared) {
        alchi_rings_destroy(rings);
        return ALCH_ENOMEM;
    }
    shared->rings = rings;
    alchi_stream_become(stream, &shm_ops, shared);
    return ALCH_OK;
}

bool
alchi_stream_shared(const alchi_stream_t *stream)
{
    return stream->ops == &shm_ops;
}
