/**
 * @file pool.h
 * The worker group as the client knows it, and the data connections to its ranks.
 *
 * Idle connections are kept and used again. The list of all connections only grows while the session lives and each
 * node publishes its descriptor atomically, so that a forked child can close them at any moment without a lock.
 */
#ifndef ALCHI_POOL_H
#define ALCHI_POOL_H

#include "net/address.h"
#include "net/auth.h"
#include <alchemist/session.h>

typedef struct alchi_pool alchi_pool_t;

typedef struct {
    int slot;
    alchi_address_t address;
} alchi_peer_t;

/** A group, immutable and counted. */
typedef struct {
    uint64_t id;
    int references; /* atomic */
    int count;
    alchi_peer_t peers[]; /* by rank */
} alchi_crew_t;

/** Two buffers per connection: one is filled while the other is sent. */
#define ALCHI_LINK_BUFFERS 2

/** An authenticated data connection to one rank. Its user owns everything but `next`, `descriptor`, `busy`. */
typedef struct alchi_link {
    struct alchi_link *next; /* constant once it is listed */
    int descriptor;          /* atomic; -1: closed */
    bool busy;               /* guarded by the pool */
    uint64_t group;
    int rank;
    alchi_channel_t *channel;
    uint64_t last_id;
    uint8_t *buffers[ALCHI_LINK_BUFFERS];
    size_t buffer_size;
} alchi_link_t;

alchi_pool_t *alchi_pool_create(void);
/** No connection may be in use. NULL is allowed. */
void alchi_pool_destroy(alchi_pool_t *pool);
/** In a forked child: close descriptors and touch nothing else. */
void alchi_pool_abandon(const alchi_pool_t *pool);
/** Close idle connections. */
void alchi_pool_close_idle(alchi_pool_t *pool);

/** The group as last heard of; asks the driver if unknown or `fresh`. Release it.
 *  @return ALCH_OK, ALCH_ESTATE (no group), ALCH_EGROUP, and what requests return */
int alchi_pool_group(alch_session_t *session, bool fresh, alchi_crew_t **group_p, alch_error_t *err);
void alchi_crew_release(alchi_crew_t *group);
/** Remember what the driver said; NULL: forget. Connections to another group are closed when idle. */
int alchi_pool_learn(alch_session_t *session, const Alchw__Group *message, alch_error_t *err);

/** Where this client reaches a worker: the driver's own host if the driver did not say. */
const char *alchi_pool_host(const alch_session_t *session, const Alchw__Worker *worker);

/** An idle connection to a rank, or a new one. `buffer_size` bytes are in each buffer.
 *  @return ALCH_OK; ALCH_EAUTH naming worker and address; ALCH_ECONNECT, ALCH_ETIMEDOUT, ALCH_ENOMEM, ALCH_EPROTO */
int alchi_link_acquire(alch_session_t *session, const alchi_crew_t *group, int rank, size_t buffer_size,
                       alchi_deadline_t deadline, alchi_link_t **link_p, alch_error_t *err);
/** `reusable` false: it is closed. */
void alchi_link_release(alchi_pool_t *pool, alchi_link_t *link, bool reusable);

#endif
