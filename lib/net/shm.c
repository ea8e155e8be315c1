/* A stream through two rings. A side needs no system call to see the counts that the other side publishes. It sends a
 * wake-up byte over the socket only if the other side has announced that it is about to sleep.
 *
 * In each ring the writer owns the count `written` and the reader owns the count `read`. The owner stores its count
 * with release after it copied the bytes in or out; the other side loads it with acquire before it touches the bytes. A
 * side that goes to sleep sets its flag, `reader_waits` or `writer_waits`; the side that wakes it clears the flag. No
 * wake-up is lost:
 *
 *     the sleeper (shm_poll_events):  takes old wake-up bytes; sets its flag; fence; checks the counts; polls
 *     the mover (wake_peer):          has stored its count; fence; if the flag is set, clears it and sends a byte
 *
 * Both fences are sequentially consistent, so either the mover sees the flag or the sleeper sees the count. A byte that
 * is sent after the flag was set stays in the socket until the sleeper has polled: the sleeper takes no bytes between
 * setting its flag and its poll. A sleeping reader waits for any byte. A sleeping writer waits for ROOM free bytes, and
 * is not woken for less: a reader that goes to sleep has emptied the ring, so the writer gets its room. A flag that is
 * left set after a sleep that ended for another reason costs one unneeded byte. */
#include "net/shm.h"

#include "net/stream_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A side publishes its count after this many bytes, so that the peer copies one part out while this side copies the
 * next part in. */
#define STEP ((size_t)64 << 10)
/* Free bytes of a ring of `size` bytes for which a writer sleeps. */
#define ROOM(size) ((size) / 4)
/* Maximum number of reads in one call of take_wake_ups(), each of up to 64 wake-up bytes. The limit keeps a peer that
 * floods the socket from holding up this side. */
#define WAKE_READS_MAX 16

typedef struct {
    alchi_rings_t *rings;
    bool ended;  /* the peer closed the socket; the bytes in the ring can still be read */
    bool broken; /* the peer stored an impossible count */
} shared_t;

static shared_t *
get_shared(const alchi_stream_t *stream)
{
    return stream->state;
}

/* Wake the peer if its flag is set. The fence ensures that a peer whose flag is not seen here sees the count that was
 * stored before this call. */
static void
wake_peer(alchi_stream_t *stream, _Atomic uint32_t *waits)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(waits, memory_order_relaxed) || !atomic_exchange(waits, 0))
        return;
    if (send(stream->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINTR)
        get_shared(stream)->ended = true;
}

/* Take the wake-up bytes from the socket, and note whether the peer closed it. */
static void
take_wake_ups(alchi_stream_t *stream)
{
    char bytes[64];

    for (int k = 0; k < WAKE_READS_MAX; k++) {
        ssize_t n = recv(stream->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n == (ssize_t)sizeof(bytes) || (n < 0 && errno == EINTR))
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            get_shared(stream)->ended = true;
        return;
    }
}

static ssize_t
fail_broken(shared_t *shared)
{
    shared->broken = true;
    errno = EPROTO;
    return -1;
}

/* ---- reading ---- */

/* Free `size` bytes that were read, so that the peer can write there. A sleeping writer waits for ROOM free bytes, so
 * do not wake it for less. */
static void
shm_consume(alchi_stream_t *stream, size_t size)
{
    alchi_rings_t *rings = get_shared(stream)->rings;
    alchi_ring_t *in = &rings->in;

    in->count += size;
    atomic_store_explicit(&in->shared->read, in->count, memory_order_release);
    if (alchi_ring_filled(in, rings->size) <= rings->size - ROOM(rings->size))
        wake_peer(stream, &in->shared->writer_waits);
}

/* Bytes that can be read now. SIZE_MAX: the peer has stored an impossible count. */
static size_t
readable_bytes(alchi_stream_t *stream)
{
    shared_t *shared = get_shared(stream);
    size_t filled = alchi_ring_filled(&shared->rings->in, shared->rings->size);

    if (shared->broken)
        return SIZE_MAX;
    if (filled > 0)
        return filled;
    /* Check the ring again: bytes that the peer published before it closed are visible once its end is seen. */
    take_wake_ups(stream);
    return alchi_ring_filled(&shared->rings->in, shared->rings->size);
}

static ssize_t
shm_read(alchi_stream_t *stream, void *bytes, size_t size)
{
    shared_t *shared = get_shared(stream);
    size_t filled = readable_bytes(stream), done = 0;

    if (filled == SIZE_MAX)
        return fail_broken(shared);
    if (filled == 0) {
        errno = 0;
        return shared->ended ? -1 : 0;
    }
    if (size > filled)
        size = filled;
    while (done < size) {
        size_t step = size - done < STEP ? size - done : STEP;

        memcpy((uint8_t *)bytes + done, alchi_ring_position(&shared->rings->in, shared->rings->size), step);
        done += step;
        shm_consume(stream, step);
    }
    return (ssize_t)size;
}

static const void *
shm_peek(alchi_stream_t *stream, size_t *size_p)
{
    const shared_t *shared = get_shared(stream);
    const alchi_rings_t *rings = shared->rings;
    size_t filled = alchi_ring_filled(&rings->in, rings->size);

    /* If the ring is empty, the caller reads next, and the read takes the wake-up bytes. */
    if (filled == 0 || filled == SIZE_MAX || shared->broken)
        return NULL;
    *size_p = filled;
    return alchi_ring_position(&rings->in, rings->size);
}

/* ---- writing ---- */

static void
publish_written(alchi_stream_t *stream)
{
    alchi_ring_t *out = &get_shared(stream)->rings->out;

    atomic_store_explicit(&out->shared->written, out->count, memory_order_release);
    wake_peer(stream, &out->shared->reader_waits);
}

/* Copy one piece of memory into the ring, as far as there is room. Returns the bytes copied; *step_p counts the bytes
 * that are copied but not yet published. */
static size_t
copy_piece(alchi_stream_t *stream, const struct iovec *piece, size_t *room_p, size_t *step_p)
{
    alchi_rings_t *rings = get_shared(stream)->rings;
    alchi_ring_t *out = &rings->out;
    size_t done = 0;

    while (*room_p > 0 && done < piece->iov_len) {
        size_t n = STEP - *step_p;

        if (n > piece->iov_len - done)
            n = piece->iov_len - done;
        if (n > *room_p)
            n = *room_p;
        memcpy(alchi_ring_position(out, rings->size), (const uint8_t *)piece->iov_base + done, n);
        out->count += n;
        done += n;
        *room_p -= n;
        *step_p += n;
        if (*step_p == STEP) {
            publish_written(stream);
            *step_p = 0;
        }
    }
    return done;
}

/* Bytes that can be written now. -1: the stream ended or is broken (errno). */
static ssize_t
writable_bytes(alchi_stream_t *stream)
{
    shared_t *shared = get_shared(stream);
    size_t room = alchi_ring_room(&shared->rings->out, shared->rings->size);

    if (room == SIZE_MAX || shared->broken)
        return fail_broken(shared);
    if (!shared->ended)
        return (ssize_t)room;
    errno = EPIPE;
    return -1;
}

static ssize_t
shm_writev(alchi_stream_t *stream, const struct iovec *iov, int count)
{
    ssize_t free_now = writable_bytes(stream);
    size_t room = (size_t)free_now, done = 0, step = 0;

    if (free_now < 0)
        return -1;
    for (int k = 0; k < count; k++) {
        size_t n = copy_piece(stream, &iov[k], &room, &step);

        done += n;
        if (n < iov[k].iov_len)
            break;
    }
    if (step > 0)
        publish_written(stream);
    return (ssize_t)done;
}

static size_t
shm_reserve_max(const alchi_stream_t *stream)
{
    return ROOM(get_shared(stream)->rings->size);
}

static void *
shm_reserve(alchi_stream_t *stream, size_t size)
{
    const alchi_rings_t *rings = get_shared(stream)->rings;
    ssize_t room = writable_bytes(stream);

    if (room < 0)
        return NULL;
    errno = EAGAIN;
    return size <= (size_t)room ? alchi_ring_position(&rings->out, rings->size) : NULL;
}

static void
shm_commit(alchi_stream_t *stream, size_t size)
{
    get_shared(stream)->rings->out.count += size;
    publish_written(stream);
}

/* ---- waiting ---- */

/* Take old wake-up bytes, then set the flags, then check the counts once more: either this side sees the peer's new
 * count, or the peer sees the flag. The old bytes must be taken first: a byte that is taken after a flag was set may be
 * the answer to that flag. The peer may have sent it for less than ROOM, because it compared with an older `written`,
 * and it sends no other byte, because it cleared the flag. If an event is possible already, poll for POLLOUT too, which
 * the socket always has, so that the poll returns at once. */
static short
shm_poll_events(alchi_stream_t *stream, short wanted)
{
    shared_t *shared = get_shared(stream);
    alchi_rings_t *rings = shared->rings;
    bool ready;

    take_wake_ups(stream);
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
    shared_t *shared = get_shared(stream);

    take_wake_ups(stream);
    take_wake_ups(stream); /* the first call may have stopped at a late wake-up byte, before the end of the socket */
    return !shared->ended && !shared->broken && alchi_ring_filled(&shared->rings->in, shared->rings->size) == 0;
}

static void
shm_close(alchi_stream_t *stream)
{
    shared_t *shared = get_shared(stream);

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
                                           .consume = shm_consume};

int
alchi_stream_use_rings(alchi_stream_t *stream, alchi_rings_t *rings)
{
    shared_t *shared = calloc(1, sizeof(*shared));

    if (!shared) {
        alchi_rings_destroy(rings);
        return ALCH_ENOMEM;
    }
    shared->rings = rings;
    alchi_stream_set_ops(stream, &shm_ops, shared);
    return ALCH_OK;
}
