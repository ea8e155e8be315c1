/**
 * @file net/shm_rings.h
 * Two rings of bytes, one for each direction, in memory that two processes share.
 *
 * The memory is a sealed memfd. The peer cannot shrink it, so access to it never faults. The peer can change everything
 * in it at any moment. Therefore each side keeps a private copy of its own counts, and reads a count of the peer only
 * once before it checks it.
 *
 * Each ring is mapped twice, one mapping directly behind the other, so the filled bytes and the free bytes are each
 * contiguous in memory.
 */
#ifndef ALCHI_NET_SHM_RINGS_H
#define ALCHI_NET_SHM_RINGS_H

#include <alchemist/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Limits of a ring's size in bytes. The size must be a power of two. */
#define ALCHI_RING_MIN ((size_t)4 << 10)
#define ALCHI_RING_MAX ((size_t)16 << 20)

/** The part of a ring's state that both sides access; each member has its own cache line. net/shm.c explains the order
 *  of accesses. */
typedef struct {
    _Alignas(64) _Atomic uint64_t written; /* bytes written since the start; only the writer stores it */
    _Alignas(64) _Atomic uint64_t read;    /* bytes read since the start; only the reader stores it */
    _Alignas(64) _Atomic uint32_t reader_waits;
    _Alignas(64) _Atomic uint32_t writer_waits;
} alchi_ring_shared_t;

/** This side's end of one ring. */
typedef struct {
    alchi_ring_shared_t *shared;
    uint8_t *bytes; /* the first of the two mappings */
    uint64_t count; /* private copy of this side's count: bytes written or read since the start */
} alchi_ring_t;

typedef struct {
    void *memory;
    size_t mapped; /* bytes of the whole mapping */
    size_t size;   /* bytes of one ring, a power of two */
    alchi_ring_t out, in;
} alchi_rings_t;

/** Create rings of `size` bytes each. *fd_p, which the caller owns, is the descriptor to pass to the peer.
 *  @return ALCH_OK; ALCH_EINVAL: the size is not accepted; ALCH_ENOMEM; ALCH_ESYSTEM: the system has no memfd, or
 *          not enough memory */
int alchi_rings_create(size_t size, alchi_rings_t **rings_p, int *fd_p, alch_error_t *err);

/** Map rings that the peer created. The caller keeps the descriptor.
 *  @return ALCH_OK; ALCH_EPROTO: the size is not accepted, the peer could shrink the memory, or the memory does not
 *          have that size or is not ordinary memory; ALCH_ENOMEM; ALCH_ESYSTEM: the memory cannot be mapped */
int alchi_rings_map(int fd, size_t size, alchi_rings_t **rings_p, alch_error_t *err);

/** Unmap and free. NULL is allowed; errno is kept. */
void alchi_rings_destroy(alchi_rings_t *rings);

/** Bytes that can be written now; SIZE_MAX: the peer's count is impossible. */
static inline size_t
alchi_ring_room(const alchi_ring_t *out, size_t size)
{
    uint64_t used = out->count - atomic_load_explicit(&out->shared->read, memory_order_acquire);

    return used <= size ? size - (size_t)used : SIZE_MAX;
}

/** Bytes that can be read now; SIZE_MAX: the peer's count is impossible. */
static inline size_t
alchi_ring_filled(const alchi_ring_t *in, size_t size)
{
    uint64_t filled = atomic_load_explicit(&in->shared->written, memory_order_acquire) - in->count;

    return filled <= size ? (size_t)filled : SIZE_MAX;
}

/** The address of the next byte that this side writes or reads. */
static inline uint8_t *
alchi_ring_position(const alchi_ring_t *ring, size_t size)
{
    return ring->bytes + (ring->count & (size - 1));
}

#endif
