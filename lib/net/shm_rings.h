/**
 * @file net/shm_rings.h
 * Two rings of bytes, one for each direction, in memory that two processes share.
 *
 * A sealed memfd: its peer cannot shrink it, so that touching it never faults. Everything in it may be changed by the
 * peer at any moment: each side keeps its own counts to itself, and reads the peer's once before it checks them.
 *
 * Each ring is mapped twice, one after the other: whatever lies in it, or is free in it, is one run of memory.
 */
#ifndef ALCHI_NET_SHM_RINGS_H
#define ALCHI_NET_SHM_RINGS_H

#include <alchemist/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALCHI_RING_MIN ((size_t)4 << 10)
#define ALCHI_RING_MAX ((size_t)16 << 20)

/** What both sides see of a ring; each count on a cache line of its own. */
typedef struct {
    _Alignas(64) _Atomic uint64_t written; /* bytes ever, by the writer */
    _Alignas(64) _Atomic uint64_t read;    /* bytes ever, by the reader */
    _Alignas(64) _Atomic uint32_t reader_waits;
    _Alignas(64) _Atomic uint32_t writer_waits;
} alchi_ring_shared_t;

/** This side's end of one ring. */
typedef struct {
    alchi_ring_shared_t *shared;
    uint8_t *bytes; /* the ring, and the ring again */
    uint64_t at;    /* own count: what was written or read */
} alchi_ring_t;

typedef struct {
    void *memory;
    size_t mapped, size; /* of all; of one ring, a power of two */
    alchi_ring_t out, in;
} alchi_rings_t;

/** Make rings of `size` bytes; the caller's descriptor *fd_p is for the peer.
 *  @return ALCH_OK, ALCH_EINVAL (size), ALCH_ENOMEM, ALCH_ESYSTEM: no space, no such memory */
int alchi_rings_create(size_t size, alchi_rings_t **rings_p, int *fd_p, alch_error_t *err);

/** Map the peer's. The descriptor stays the caller's.
 *  @return ALCH_OK, ALCH_EPROTO: it could be shrunk, or is not what was announced; ALCH_ENOMEM */
int alchi_rings_map(int fd, size_t size, alchi_rings_t **rings_p, alch_error_t *err);

/** Unmap and free. NULL is allowed; errno is kept. */
void alchi_rings_destroy(alchi_rings_t *rings);

/** Bytes that can be written or read now; SIZE_MAX: the peer's count is impossible. */
static inline size_t
alchi_ring_room(const alchi_ring_t *out, size_t size)
{
    uint64_t used = out->at - atomic_load_explicit(&out->shared->read, memory_order_acquire);

    return used <= size ? size - (size_t)used : SIZE_MAX;
}

static inline size_t
alchi_ring_filled(const alchi_ring_t *in, size_t size)
{
    uint64_t filled = atomic_load_explicit(&in->shared->written, memory_order_acquire) - in->at;

    return filled <= size ? (size_t)filled : SIZE_MAX;
}

/** Where the next byte of this side's end is. */
static inline uint8_t *
alchi_ring_here(const alchi_ring_t *ring, size_t size)
{
    return ring->bytes + (ring->at & (size - 1));
}

#endif
