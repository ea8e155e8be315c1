/* A stream through two rings. What one side publishes is seen by the other without a system call; a byte is sent over
 * the socket only to a side that announced that it is about to sleep.
 *
 * Of each ring the writer owns `written`, the reader `read`: stored with release after the bytes were copied in or out,
 * loaded with acquire before they are touched. `reader_waits` and `writer_waits` are set by who goes to sleep and
 * cleared by who wakes it. No wake-up is lost, because
 *
 *     who sleeps:  takes old bytes; sets its flag; fence; looks; polls        (shm_poll_events)
 *     who moves:   stores its count; fence; clears the flag, if set: a byte   (release, publish: ring_bell)
 *
 * and with both fences sequentially consistent at least one side sees the other. A byte that is sent after the flag was
 * set stays in the socket until the sleeper has polled: nothing takes bytes between its announcement and its poll. A
 * reader waits for any byte; a writer for ROOM, and less than that is nothing to wake it for: a reader that sleeps has
 * emptied the ring. A flag that is left over from a sleep that ended otherwise costs one needless byte. */
#include "net/shm.h"

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
        ssize_t n = recv(stream->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n == (ssize_t)sizeof(bytes) || (n < 0 && errno == EINTR))
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

/* What was read is free for the peer. It waits for ROOM, so less is no news for it: who sleeps for less data than that
 * has read all there is. */
static void
release(alchi_stream_t *stream, size_t size)
{
    alchi_rings_t *rings = shared_of(stream)->rings;
    alchi_ring_t *in = &rings->in;

    in->at += size;
    atomic_store_explicit(&in->shared->read, in->at, memory_order_release);
    if (alchi_ring_filled(in, rings->size) <= rings->size - ROOM(rings->size))
        ring_bell(stream, &in->shared->writer_waits);
}

/* Bytes that can be read now. SIZE_MAX: it is broken. */
static size_t
readable(alchi_stream_t *stream)
{
    shared_t *shared = shared_of(stream);
    size_t filled = alchi_ring_filled(&shared->rings->in, shared->rings->size);

    if (shared->broken)
        return SIZE_MAX;
    if (filled > 0)
        return filled;
    /* What came before the end is there when the end is seen. */
    hear_bells(stream);
    return alchi_ring_filled(&shared->rings->in, shared->rings->size);
}

static ssize_t
shm_read(alchi_stream_t *stream, void *bytes, size_t size)
{
    shared_t *shared = shared_of(stream);
    size_t filled = readable(stream), done = 0;

    if (filled == SIZE_MAX)
        return broken(shared);
    if (filled == 0) {
        errno = 0;
        return shared->ended ? -1 : 0;
    }
    if (size > filled)
        size = filled;
    while (done < size) {
        size_t step = size - done < STEP ? size - done : STEP;

        memcpy((uint8_t *)bytes + done, alchi_ring_here(&shared->rings->in, shared->rings->size), step);
        done += step;
        release(stream, step);
    }
    return (ssize_t)size;
}

static const void *
shm_peek(alchi_stream_t *stream, size_t *size_p)
{
    const shared_t *shared = shared_of(stream);
    const alchi_rings_t *rings = shared->rings;
    size_t filled = alchi_ring_filled(&rings->in, rings->size);

    /* Bells are left to the read that follows when there is nothing. */
    if (filled == 0 || filled == SIZE_MAX || shared->broken)
        return NULL;
    *size_p = filled;
    return alchi_ring_here(&rings->in, rings->size);
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
        size_t n = STEP - *step_p;

        if (n > piece->iov_len - done)
            n = piece->iov_len - done;
        if (n > *room_p)
            n = *room_p;
        memcpy(alchi_ring_here(out, rings->size), (const uint8_t *)piece->iov_base + done, n);
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

/* Bytes that can be written now. -1: errno says why none ever can. */
static ssize_t
writable(alchi_stream_t *stream)
{
    shared_t *shared = shared_of(stream);
    size_t room = alchi_ring_room(&shared->rings->out, shared->rings->size);

    if (room == SIZE_MAX || shared->broken)
        return broken(shared);
    if (!shared->ended)
        return (ssize_t)room;
    errno = EPIPE;
    return -1;
}

static ssize_t
shm_writev(alchi_stream_t *stream, const struct iovec *iov, int count)
{
    ssize_t free_now = writable(stream);
    size_t room = (size_t)free_now, done = 0, step = 0;

    if (free_now < 0)
        return -1;
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

static size_t
shm_reserve_max(const alchi_stream_t *stream)
{
    return ROOM(shared_of(stream)->rings->size);
}

static void *
shm_reserve(alchi_stream_t *stream, size_t size)
{
    const alchi_rings_t *rings = shared_of(stream)->rings;
    ssize_t room = writable(stream);

    if (room < 0)
        return NULL;
    errno = EAGAIN;
    return size <= (size_t)room ? alchi_ring_here(&rings->out, rings->size) : NULL;
}

static void
shm_commit(alchi_stream_t *stream, size_t size)
{
    shared_of(stream)->rings->out.at += size;
    publish(stream);
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
    hear_bells(stream); /* the first look may have ended at a late bell, behind which there is the end */
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

static const alchi_stream_ops_t shm_ops = {.read = shm_read,
                                           .writev = shm_writev,
                                           .poll_events = shm_poll_events,
                                           .idle = shm_idle,
                                           .close = shm_close,
                                           .reserve_max = shm_reserve_max,
                                           .reserve = shm_reserve,
                                           .commit = shm_commit,
                                           .peek = shm_peek,
                                           .consume = release};

int
alchi_stream_share(alchi_stream_t *stream, alchi_rings_t *rings)
{
    shared_t *shared = calloc(1, sizeof(*shared));

    if (!shared) {
        alchi_rings_destroy(rings);
        return ALCH_ENOMEM;
    }
    shared->rings = rings;
    alchi_stream_become(stream, &shm_ops, shared);
    return ALCH_OK;
}
