/**
 * @file worker/migrate.h
 * Read a matrix's part from the workers of another group: how a session's matrices come along when it gets a new one.
 *
 * This rank is a client of theirs: it connects to the data port of each that has some of its part, one after the
 * other, and asks for what they have in common in messages, which arrive straight in place. Main thread only; no MPI.
 *
 * Extra memory, whatever the matrix: ALCHI_RANK_MIGRATE_BYTES, and for a matrix that is not complete what says so of a
 * message.
 */
#ifndef ALCHI_WORKER_MIGRATE_H
#define ALCHI_WORKER_MIGRATE_H

#include "wire/message.h"
#include "store/store.h"
#include <stdatomic.h>

#define ALCHI_RANK_MIGRATE_BYTES ((size_t)256 << 10)

typedef struct {
    alchi_store_t *store;       /* all borrowed */
    const char *driver_address; /* the host of workers that have none of their own */
    const uint8_t *control_key; /* uncovers their data keys */
    uint64_t session;
    const char *name; /* of this worker, for their logs */
    int rank;
    int64_t message_limit; /* bytes of one rectangle; 0: none */
    int io_timeout_ms;     /* without any progress of one worker */
} alchi_rank_migrate_env_t;

typedef struct {
    const atomic_bool *cancel;
    void (*progress)(void *context, double fraction); /* after every message */
    void *context;
} alchi_rank_migrate_watch_t;

/**
 * @return ALCH_OK: what is written there is here and counts as written
 * @return ALCH_ETIMEDOUT, ALCH_ECONNECT, ALCH_EAUTH, ALCH_EPROTO  naming the worker that was read from, and what it
 *         says itself; ALCH_ECANCELED, ALCH_ENOENT (not reserved here), ALCH_EINVAL, ALCH_ENOMEM
 */
int alchi_rank_migrate(const alchi_rank_migrate_env_t *env, const Alchw__WorkerFetch *ask,
                       const alchi_rank_migrate_watch_t *watch, alch_error_t *err);

#endif
