/**
 * @file pluginhost/exchange.h
 * Move all entries of a matrix into another one of the same group: any two layouts, transposed or not, of the same type
 * or not. Main thread only.
 *
 * The source is walked in tiles, the same on every rank. What a rank owes another one of a tile is the product of a
 * list of its local rows with a list of its local columns; both sides derive the lists from the layouts, so that
 * nothing but entries travels. A rank that stands in the source is served by its own copy of it, others by the copies
 * in turn; every copy of the target is filled.
 *
 * Extra memory, whatever the matrices and the number of workers: on each worker two buffers of at most
 * ALCHI_HOST_EXCHANGE_BYTES, which still stay in a processor's cache, and lists of at most ALCHI_HOST_EXCHANGE_SIDE
 * rows and columns of a tile (1.3 MiB).
 */
#ifndef ALCHI_PLUGINHOST_EXCHANGE_H
#define ALCHI_PLUGINHOST_EXCHANGE_H

#include "store/store.h"
#include <mpi.h>
#include <stdatomic.h>

#define ALCHI_HOST_EXCHANGE_BYTES (INT64_C(2) << 20)
#define ALCHI_HOST_EXCHANGE_SIDE INT64_C(65536)

typedef struct {
    bool transpose, conjugate;
    bool unsafe;                                      /* as alchi_dtype_check_conversion(), which holds */
    const atomic_bool *cancel;                        /* NULL: none */
    void (*progress)(void *context, double fraction); /* on rank 0, after every round; NULL: none */
    void *context;
    int64_t tile_bytes; /* 0: ALCHI_HOST_EXCHANGE_BYTES; smaller for tests */
} alchi_host_exchange_t;

/**
 * @collective  yes: all ranks return the same code
 * @param from, to  of fitting shapes; on failure what `to` holds is undefined
 * @param how       NULL: as it is
 * @return ALCH_OK; ALCH_ELIMIT, ALCH_ENOMEM: no room for the buffers; ALCH_ECANCELED;
 *         ALCH_ERANGE: a value that the new type cannot hold, with its place; ALCH_EINTERNAL
 */
int alchi_host_exchange(MPI_Comm comm, alchi_store_t *store, const alchi_store_part_t *from, alchi_store_part_t *to,
                        const alchi_host_exchange_t *how, alch_error_t *err);

/** What alchi_host_exchange() takes on each worker besides the matrices, for an m x n source on so many ranks, a target
 *  without copies, and entries of which the wider ones have `entry` bytes. If every rank holds the same entries of
 * both, it takes nothing. */
int64_t alchi_host_exchange_bytes(int ranks, int64_t m, int64_t n, size_t entry);

#endif
