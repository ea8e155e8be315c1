/**
 * @file pluginhost/exchange.h
 * Copy all entries of a matrix into another matrix of the same group: from any layout to any other one, transposed or
 * not, of the same type or of another one.
 *
 * All ranks walk over the source in the same tiles. The entries of a tile that one rank sends to another one are the
 * product of a list of its local rows and a list of its local columns. Both ranks compute the lists from the two
 * layouts, so only entries are sent.
 *
 * If the source has several copies, a rank that belongs to a copy gets its entries from the ranks of that copy. The
 * ranks outside of the source take the copies in turn. Every copy of the target is filled.
 *
 * Each worker needs memory in addition to the two matrices: two buffers of at most ALCHI_HOST_EXCHANGE_BYTES, or of one
 * entry for each copy of the target if that is more; lists of at most ALCHI_HOST_EXCHANGE_SIDE rows and columns of a
 * tile (1.3 MiB); and a few numbers for each rank.
 *
 * @threads  main thread only
 */
#ifndef ALCHI_PLUGINHOST_EXCHANGE_H
#define ALCHI_PLUGINHOST_EXCHANGE_H

#include "store/store.h"
#include <mpi.h>
#include <stdatomic.h>

#define ALCHI_HOST_EXCHANGE_BYTES (INT64_C(2) << 20) /* small enough to stay in a processor's cache */
#define ALCHI_HOST_EXCHANGE_SIDE INT64_C(65536)

/** How to copy. Zeros: without transposition or conjugation, without a cancel or reports. */
typedef struct {
    bool transpose, conjugate;
    bool unsafe;                                      /* as for alchi_dtype_check_conversion(), which has succeeded */
    const atomic_bool *cancel;                        /* borrowed; NULL: cannot be canceled */
    void (*progress)(void *context, double fraction); /* called on rank 0 after every tile; NULL: no reports */
    void *context;
    int64_t tile_bytes; /* 0: ALCHI_HOST_EXCHANGE_BYTES; tests use less, to get many tiles */
} alchi_host_exchange_t;

/**
 * Copy the entries of `from` into `to`.
 *
 * @collective  yes: all ranks return the same code
 *
 * @param from, to  this rank's parts, with references of the caller. The shape of `to` is that of `from`, transposed if
 *                  options->transpose is set. After a failure the entries of `to` are undefined
 * @param options   borrowed; NULL: zeros
 *
 * @return ALCH_OK
 * @return ALCH_ELIMIT     the buffers exceed --memory-limit
 * @return ALCH_ENOMEM
 * @return ALCH_ECANCELED
 * @return ALCH_ERANGE     the new type cannot hold a value; the text has its row and column
 * @return ALCH_EINTERNAL  MPI failed
 */
int alchi_host_exchange(MPI_Comm comm, alchi_store_t *store, const alchi_store_part_t *from, alchi_store_part_t *to,
                        const alchi_host_exchange_t *options, alch_error_t *err);

/**
 * Get the bytes that alchi_host_exchange() accounts for on each worker, if the target has one copy. It needs no buffers
 * if every rank holds the same entries of both matrices.
 *
 * @param m, n   of the source
 * @param entry  bytes of one entry, of the wider of the two types
 */
int64_t alchi_host_exchange_bytes(int ranks, int64_t m, int64_t n, size_t entry);

#endif
