/**
 * @file worker/migrate.h
 * Read this rank's part of a matrix from the ranks of another group, when a session's matrices move to this group.
 *
 * This rank is a client of the other ranks: it connects to the data port of each rank that has some of its part, one
 * after the other. It asks for the overlap of the two parts in messages, whose entries it stores in its part as they
 * arrive. No function calls MPI.
 *
 * The extra memory does not depend on the matrix: ALCHI_RANK_MIGRATE_BYTES. For a matrix that is not complete, also one
 * bit for each entry and 8 bytes for each row of a message.
 *
 * @threads  main thread only
 */
#ifndef ALCHI_WORKER_MIGRATE_H
#define ALCHI_WORKER_MIGRATE_H

#include "store/store.h"
#include "wire/message.h"
#include <stdatomic.h>

#define ALCHI_RANK_MIGRATE_BYTES ((size_t)256 << 10)

typedef struct {
    alchi_store_t *store;       /* all borrowed */
    const char *driver_address; /* workers without an address are on the driver's host */
    const uint8_t *control_key; /* unwraps the data keys of the other ranks */
    uint64_t session;
    const char *name; /* of this worker, for the logs of the other ranks */
    int rank;
    int64_t message_limit; /* bytes of one message; 0: no limit */
    int io_timeout_ms;     /* how long one worker may make no progress */
} alchi_rank_migrate_env_t;

typedef struct {
    const atomic_bool *cancel;                        /* NULL: cannot be canceled */
    void (*progress)(void *context, double fraction); /* called after every message; NULL: no reports */
    void *context;
} alchi_rank_migrate_watch_t;

/**
 * Read the part.
 *
 * @param watch  for a cancel and for reports of progress, borrowed
 *
 * @return ALCH_OK         every written entry of the old group is here, and counts as written
 * @return ALCH_ETIMEDOUT, ALCH_ECONNECT, ALCH_EAUTH, ALCH_EPROTO, or an error of the other rank: the text names
 *                         its worker
 * @return ALCH_ECANCELED
 * @return ALCH_ENOENT     the matrix is not reserved here
 * @return ALCH_EINVAL, ALCH_ENOMEM
 */
int alchi_rank_migrate(const alchi_rank_migrate_env_t *env, const Alchw__WorkerFetch *request,
                       const alchi_rank_migrate_watch_t *watch, alch_error_t *err);

#endif
