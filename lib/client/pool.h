/**
 * @file client/pool.h
 * The worker group as the client knows it, and the data connections to its ranks.
 *
 * All sessions of a process with the same id and key share their connections, whether they were opened or attached:
 * one is used by one transfer at a time, then kept for the next until it was idle for `idle_timeout_ms`; what has
 * passed its time is closed when any connection of the process is taken or given back. The list of a session's
 * connections only grows while it has handles and each node publishes its descriptor atomically, so that a forked
 * child can close them at any moment without a lock.
 *
 * All functions but alchi_cli_pool_destroy() are MT-Safe.
 */
#ifndef ALCHI_CLIENT_POOL_H
#define ALCHI_CLIENT_POOL_H

#include "net/address.h"
#include "net/auth.h"
#include <alchemist/session.h>

#include <pthread.h>

/** What one handle has of them. */
typedef struct {
    pthread_mutex_t mutex; /* guards `group` */
    struct alchi_cli_group *group;
    struct alchi_cli_hub *hub; /* the connections it shares; atomic; NULL until it needs one */
} alchi_cli_pool_t;

typedef struct {
    int slot;
    alchi_address_t address;
} alchi_cli_worker_t;

/** A group, immutable and counted. */
typedef struct alchi_cli_group {
    uint64_t id;
    int references; /* atomic */
    int count;
    alchi_cli_worker_t peers[]; /* by rank */
} alchi_cli_group_t;

/** Two buffers per connection: one is filled while the other is sent. */
#define ALCHI_CLI_LINK_BUFFERS 2

/** An authenticated data connection to one rank. While it is busy its user owns `channel` and what follows. */
typedef struct alchi_cli_link {
    struct alchi_cli_link *next; /* constant once it is listed */
    int descriptor;              /* atomic; -1: closed */
    bool busy;                   /* this and below guarded by the pool */
    uint64_t group;
    int rank;
    bool shared_memory;        /* made by a handle that wants shared memory where that is possible */
    int64_t released, expires; /* when it was given back last, when it is closed if it stays idle */
    alchi_channel_t *channel;
    uint64_t last_id;
    uint8_t *buffers[ALCHI_CLI_LINK_BUFFERS];
    size_t buffer_size;
} alchi_cli_link_t;

alchi_cli_pool_t *alchi_cli_pool_create(void);
/** The handle may use no connection. The last one of a session closes them. NULL is allowed. */
void alchi_cli_pool_destroy(alchi_cli_pool_t *pool);
/** In a forked child: close descriptors and touch nothing else. */
void alchi_cli_pool_abandon(const alchi_cli_pool_t *pool);
/** Close idle connections unless other handles share them. */
void alchi_cli_pool_close_idle(alchi_cli_pool_t *pool);
/** Close idle connections to other groups. */
void alchi_cli_pool_keep_only(alchi_cli_pool_t *pool, uint64_t group);

/** The group as last heard of; asks the driver if unknown or `refresh`. Release it.
 *  @return ALCH_OK, ALCH_ESTATE (no group), ALCH_EGROUP, and what requests return */
int alchi_cli_pool_get_group(alch_session_t *session, bool refresh, alchi_cli_group_t **group_p, alch_error_t *err);
void alchi_cli_group_release(alchi_cli_group_t *group);
/** Remember what the driver said; NULL: forget. Connections to another group are closed when idle. */
int alchi_cli_pool_set_group(alch_session_t *session, const Alchw__Group *message, alch_error_t *err);

/** Where this client reaches a worker: the driver's own host if the driver did not say. */
const char *alchi_cli_pool_worker_host(const alch_session_t *session, const Alchw__Worker *worker);

/** An idle connection to a rank, or a new one. `buffer_size` bytes are in each buffer.
 *  @return ALCH_OK; ALCH_EAUTH naming worker and address; ALCH_ECONNECT, ALCH_ETIMEDOUT, ALCH_ENOMEM, ALCH_EPROTO */
int alchi_cli_link_acquire(alch_session_t *session, const alchi_cli_group_t *group, int rank, size_t buffer_size,
                           alchi_deadline_t deadline, alchi_cli_link_t **link_p, alch_error_t *err);
/** `reusable` false: it is closed. */
void alchi_cli_link_release(alch_session_t *session, alchi_cli_link_t *link, bool reusable);

#endif
