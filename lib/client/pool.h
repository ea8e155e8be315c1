/**
 * @file client/pool.h
 * The session's worker group as the client knows it, and the data connections to its ranks.
 *
 * All session handles of a process with the same session id and key share their connections, whether they were opened
 * or attached. One transfer at a time uses a connection. Then the pool keeps it for the next transfer, until it has
 * been idle for `idle_timeout_ms`. Connections that have been idle for longer are closed when any connection of the
 * process is acquired or released.
 *
 * The list of a session's connections only grows while the session has handles, and each node publishes its descriptor
 * atomically. A forked child can therefore close the descriptors at any moment without a lock.
 *
 * All functions but alchi_cli_pool_destroy() are MT-Safe.
 */
#ifndef ALCHI_CLIENT_POOL_H
#define ALCHI_CLIENT_POOL_H

#include "net/address.h"
#include "net/auth.h"
#include <alchemist/session.h>

#include <pthread.h>

/** The pool of one session handle. It holds the cached group and refers to the shared connections. */
typedef struct {
    pthread_mutex_t mutex;                       /* guards `group` */
    struct alchi_cli_group *group;               /* NULL: not known */
    struct alchi_cli_shared_links *shared_links; /* atomic: the shared connections; NULL until the handle needs one */
} alchi_cli_pool_t;

/** A worker: where its rank listens. */
typedef struct {
    int slot; /* from 1 */
    alchi_address_t address;
} alchi_cli_worker_t;

/** A worker group, immutable and reference-counted. */
typedef struct alchi_cli_group {
    uint64_t id;
    int references; /* atomic */
    int count;
    alchi_cli_worker_t peers[]; /* by rank */
} alchi_cli_group_t;

/** Number of buffers of a connection: the client fills one while the kernel sends the other. */
#define ALCHI_CLI_LINK_BUFFERS 2

/** An authenticated data connection to one rank. While the connection is busy, its user owns the members from `channel`
 *  on. */
typedef struct alchi_cli_link {
    struct alchi_cli_link *next; /* constant once the node is in the list */
    int descriptor;              /* atomic; -1: closed */
    bool busy;                   /* the pool guards this and the members below */
    uint64_t group;
    int rank;
    bool shared_memory;        /* opened for a handle whose options allow shared memory */
    int64_t released, expires; /* when it was last released; when to close it if it stays idle */
    alchi_channel_t *channel;
    uint64_t last_id; /* of the frames sent */
    uint8_t *buffers[ALCHI_CLI_LINK_BUFFERS];
    size_t buffer_size;
} alchi_cli_link_t;

/** @return NULL: out of memory */
alchi_cli_pool_t *alchi_cli_pool_create(void);
/** Call when the handle uses no connection. The last handle of a session closes the connections. NULL is allowed. */
void alchi_cli_pool_destroy(alchi_cli_pool_t *pool);
/** In a forked child: close the descriptors without a lock, and free nothing. */
void alchi_cli_pool_abandon(const alchi_cli_pool_t *pool);
/** Close the idle connections, unless other handles share them. */
void alchi_cli_pool_close_idle(alchi_cli_pool_t *pool);
/** Close the idle connections to all groups but this one. */
void alchi_cli_pool_keep_only(alchi_cli_pool_t *pool, uint64_t group);

/** The cached group, or the driver's answer if no group is cached.
 *  @param[in]  refresh  ask the driver even if a group is cached
 *  @param[out] group_p  to be released with alchi_cli_group_release()
 *  @return ALCH_OK; ALCH_ESTATE: the session has no workers; ALCH_EPROTO; ALCH_ENOMEM; as
 *          alchi_cli_session_request() */
int alchi_cli_pool_get_group(alch_session_t *session, bool refresh, alchi_cli_group_t **group_p, alch_error_t *err);
/** Give back a group from alchi_cli_pool_get_group(). NULL is allowed. */
void alchi_cli_group_release(alchi_cli_group_t *group);
/** Cache the group that the driver described, and close the idle connections to other groups.
 *  @param[in] message  borrowed; NULL: drop the cached group and close all idle connections
 *  @return ALCH_OK, ALCH_EPROTO, ALCH_ENOMEM */
int alchi_cli_pool_set_group(alch_session_t *session, const Alchw__Group *message, alch_error_t *err);

/** The host at which this client reaches a worker: the driver's host if the message has no address. Borrowed. */
const char *alchi_cli_pool_worker_host(const alch_session_t *session, const Alchw__Worker *worker);

/** Take an idle connection to a rank, or open a new one.
 *  @param[in]  buffer_size  bytes of each buffer
 *  @param[out] link_p       to be released with alchi_cli_link_release()
 *  @return ALCH_OK; ALCH_EAUTH: the rank could not authenticate, the text names worker and address; ALCH_ECONNECT;
 *          ALCH_ETIMEDOUT; ALCH_ENOMEM; ALCH_EPROTO */
int alchi_cli_link_acquire(alch_session_t *session, const alchi_cli_group_t *group, int rank, size_t buffer_size,
                           alchi_deadline_t deadline, alchi_cli_link_t **link_p, alch_error_t *err);
/** Give a connection back. It is closed if it is not reusable, if its group is not the cached one, if the options allow
 *  no idle connections, or if enough connections to the rank are idle. */
void alchi_cli_link_release(alch_session_t *session, alchi_cli_link_t *link, bool reusable);

#endif
