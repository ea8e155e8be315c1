/* The data connections of the process. The pool opens them when they are needed, shares them between all session
 * handles with the same id and key, and keeps them for a while for the next transfer. */
#include "client/client.h"
#include "base/error.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

/* If this many connections of the process to one rank are busy, the next transfer waits up to SHARED_WAIT_MS for one of
 * them before it opens another one. */
#define SHARED_PER_RANK 16
#define SHARED_WAIT_MS 250
/* Maximum number of idle connections to one rank that the pool keeps. */
#define IDLE_PER_RANK 4
/* Before a connection is used that was idle for longer than PROBE_AFTER_MS, the rank must answer a PING within
 * PROBE_MS. */
#define PROBE_AFTER_MS 1000
#define PROBE_MS 5000

/* The connections that all handles of one session share. */
typedef struct alchi_cli_shared_links {
    uint64_t session;
    uint8_t key[ALCHI_KEY_SIZE]; /* differs between sessions of different drivers with the same id */
    int handles;                 /* number of session handles that use them */
    alchi_cli_link_t *links;     /* atomic head */
    struct alchi_cli_shared_links *prev, *next;
} shared_links_t;

/* The shared links of all sessions of this process. A forked child creates a new registry, because a thread of
 * the parent may have held the mutex. */
typedef struct registry {
    pid_t pid;
    pthread_mutex_t mutex; /* guards all sets and links; not held while a thread waits for a peer */
    pthread_cond_t released;
    shared_links_t *sets;
    struct registry *parent; /* of the process that forked this one; never used, never freed */
} registry_t;

static registry_t *registry; /* atomic */

static registry_t *
make_registry(registry_t *parent)
{
    registry_t *mine = calloc(1, sizeof(*mine));

    if (!mine)
        return NULL;
    mine->pid = getpid();
    mine->parent = parent;
    pthread_mutex_init(&mine->mutex, NULL);
    pthread_cond_init(&mine->released, NULL);
    return mine;
}

/* This process's registry. NULL: out of memory */
static registry_t *
get_registry(void)
{
    registry_t *current = __atomic_load_n(&registry, __ATOMIC_ACQUIRE), *mine;

    if (current && current->pid == getpid())
        return current;
    if (!(mine = make_registry(current)))
        return NULL;
    if (__atomic_compare_exchange_n(&registry, &current, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return mine;
    free(mine); /* another thread was faster */
    return current;
}

alchi_cli_pool_t *
alchi_cli_pool_create(void)
{
    alchi_cli_pool_t *pool = get_registry() ? calloc(1, sizeof(*pool)) : NULL;

    if (pool)
        pthread_mutex_init(&pool->mutex, NULL);
    return pool;
}

/* ---- the shared links of a session; call these functions with the mutex of the registry locked ---- */

static void
close_link(alchi_cli_link_t *link)
{
    __atomic_store_n(&link->descriptor, -1, __ATOMIC_RELEASE);
    alchi_channel_destroy(link->channel);
    link->channel = NULL;
    for (int k = 0; k < ALCHI_CLI_LINK_BUFFERS; k++) {
        free(link->buffers[k]);
        link->buffers[k] = NULL;
    }
    link->buffer_size = 0;
}

/* Close the idle connections to all groups but `keep`. 0: to all groups */
static void
close_idle(shared_links_t *set, uint64_t keep)
{
    for (alchi_cli_link_t *link = set->links; link; link = link->next) {
        if (!link->busy && link->channel && link->group != keep)
            close_link(link);
    }
}

/* Close the connections of all sessions that have been idle for too long. */
static void
close_expired(const registry_t *shared)
{
    int64_t now = alchi_now_ns();

    for (shared_links_t *set = shared->sets; set; set = set->next) {
        for (alchi_cli_link_t *link = set->links; link; link = link->next) {
            if (!link->busy && link->channel && link->expires <= now)
                close_link(link);
        }
    }
}

static shared_links_t *
find_shared_links(const registry_t *shared, const alch_session_t *session)
{
    shared_links_t *set;

    DL_FOREACH(shared->sets, set)
    {
        if (set->session == session->id && memcmp(set->key, session->key, sizeof(set->key)) == 0)
            return set;
    }
    return NULL;
}

static shared_links_t *
join_shared_links(registry_t *shared, const alch_session_t *session)
{
    shared_links_t *set = session->pool->shared_links;

    if (set)
        return set;
    if (!(set = find_shared_links(shared, session))) {
        if (!(set = calloc(1, sizeof(*set))))
            return NULL;
        set->session = session->id;
        memcpy(set->key, session->key, sizeof(set->key));
        DL_APPEND(shared->sets, set);
    }
    set->handles++;
    __atomic_store_n(&session->pool->shared_links, set, __ATOMIC_RELEASE);
    return set;
}

static void
leave_shared_links(registry_t *shared, shared_links_t *set)
{
    alchi_cli_link_t *link, *next;

    if (!set || --set->handles > 0)
        return;
    DL_DELETE(shared->sets, set);
    for (link = set->links; link; link = next) {
        next = link->next;
        if (link->channel)
            close_link(link);
        free(link);
    }
    explicit_bzero(set->key, sizeof(set->key));
    free(set);
}

/* ---- all connections of a session handle ---- */

void
alchi_cli_pool_keep_only(alchi_cli_pool_t *pool, uint64_t group)
{
    registry_t *shared = get_registry();

    pthread_mutex_lock(&shared->mutex);
    if (pool->shared_links)
        close_idle(pool->shared_links, group);
    pthread_mutex_unlock(&shared->mutex);
}

void
alchi_cli_pool_close_idle(alchi_cli_pool_t *pool)
{
    registry_t *shared = get_registry();

    pthread_mutex_lock(&shared->mutex);
    if (pool->shared_links && pool->shared_links->handles == 1)
        close_idle(pool->shared_links, 0);
    pthread_mutex_unlock(&shared->mutex);
}

void
alchi_cli_pool_destroy(alchi_cli_pool_t *pool)
{
    registry_t *shared;

    if (!pool)
        return;
    shared = get_registry();
    pthread_mutex_lock(&shared->mutex);
    leave_shared_links(shared, pool->shared_links);
    pthread_mutex_unlock(&shared->mutex);
    alchi_cli_group_release(pool->group);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

/* Several handles in the child may share the connections, so each descriptor is closed only once. */
void
alchi_cli_pool_abandon(const alchi_cli_pool_t *pool)
{
    const shared_links_t *set = __atomic_load_n(&pool->shared_links, __ATOMIC_ACQUIRE);
    alchi_cli_link_t *link = set ? __atomic_load_n(&set->links, __ATOMIC_ACQUIRE) : NULL;

    for (; link; link = link->next) {
        int descriptor = __atomic_exchange_n(&link->descriptor, -1, __ATOMIC_ACQ_REL);
        if (descriptor >= 0)
            close(descriptor);
    }
}

/* ---- one connection ---- */

/* Find an idle connection to the rank, and close those that have ended. Call with the mutex held. NULL: no connection
 * is idle */
static alchi_cli_link_t *
find_idle(const shared_links_t *set, const alch_session_t *session, uint64_t group, int rank)
{
    bool shared_memory = session->options.shared_memory;

    for (alchi_cli_link_t *link = set->links; link; link = link->next) {
        if (link->busy || !link->channel || link->group != group || link->rank != rank ||
            link->shared_memory != shared_memory)
            continue;
        /* Nothing can arrive on an idle connection except its end. */
        if (alchi_stream_idle(alchi_channel_stream(link->channel)))
            return link;
        close_link(link);
    }
    return NULL;
}

/* Count the busy or the idle connections to a rank. Call with the mutex held. */
static int
count_links(const shared_links_t *set, uint64_t group, int rank, bool busy)
{
    int links = 0;

    for (const alchi_cli_link_t *link = set->links; link; link = link->next)
        links += link->busy == busy && (busy || link->channel) && link->group == group && link->rank == rank;
    return links;
}

/* Find or create a node for a new connection. Call with the mutex held. NULL: out of memory */
static alchi_cli_link_t *
find_free_link(shared_links_t *set)
{
    alchi_cli_link_t *link = set->links;

    while (link && (link->busy || link->channel))
        link = link->next;
    if (link || !(link = calloc(1, sizeof(*link))))
        return link;
    link->descriptor = -1;
    link->next = set->links;
    __atomic_store_n(&set->links, link, __ATOMIC_RELEASE);
    return link;
}

/* Find an idle connection. If too many are busy, wait up to SHARED_WAIT_MS for one of them. Call with the mutex held;
 * it is released during the wait. NULL: open a new one */
static alchi_cli_link_t *
wait_for_idle_link(registry_t *shared, const alch_session_t *session, uint64_t group, int rank,
                   alchi_deadline_t deadline)
{
    const shared_links_t *set = session->pool->shared_links;
    alchi_deadline_t soon = alchi_deadline_in_ms(SHARED_WAIT_MS);
    alchi_cli_link_t *link;

    if (soon > deadline)
        soon = deadline;
    while (!(link = find_idle(set, session, group, rank)) && count_links(set, group, rank, true) >= SHARED_PER_RANK &&
           alchi_deadline_left_ms(soon) > 0)
        alchi_cond_wait(&shared->released, &shared->mutex, soon);
    return link;
}

/* Mark an idle connection, or a node without a connection, as busy. NULL: out of memory */
static alchi_cli_link_t *
reserve_link(const alch_session_t *session, uint64_t group, int rank, alchi_deadline_t deadline)
{
    registry_t *shared = get_registry();
    alchi_cli_link_t *link = NULL;
    shared_links_t *set;

    pthread_mutex_lock(&shared->mutex);
    close_expired(shared);
    set = join_shared_links(shared, session);
    if (set && !(link = wait_for_idle_link(shared, session, group, rank, deadline)))
        link = find_free_link(set);
    if (link) {
        link->busy = true;
        link->group = group;
        link->rank = rank;
        link->shared_memory = session->options.shared_memory;
    }
    pthread_mutex_unlock(&shared->mutex);
    return link;
}

/* Whether the rank answers a PING. The rank, or a device in the network, may have closed the connection unnoticed. If
 * the connection is open, the PING keeps the rank from closing it as idle now. */
static bool
answers_ping(alchi_cli_link_t *link, alchi_deadline_t deadline)
{
    alchi_deadline_t limit = alchi_deadline_in_ms(PROBE_MS);
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    bool good;

    if (limit > deadline)
        limit = deadline;
    good = alchi_channel_send(link->channel, ALCHI_PING, 0, ++link->last_id, NULL) == ALCH_OK &&
           alchi_channel_flush_by(link->channel, limit) == ALCH_OK &&
           alchi_channel_receive_by(link->channel, limit, &frame, &message) == ALCH_OK && frame.type == ALCHI_EMPTY &&
           frame.id == link->last_id;
    alchi_message_free(message);
    return good;
}

/* Close a connection that was idle for longer than PROBE_AFTER_MS and does not answer. */
static void
probe_link(alchi_cli_link_t *link, alchi_deadline_t deadline)
{
    if (!link->channel || alchi_now_ns() - link->released < (int64_t)PROBE_AFTER_MS * 1000000)
        return;
    if (!answers_ping(link, deadline))
        close_link(link);
}

static int
resize_buffers(alchi_cli_link_t *link, size_t size)
{
    for (int k = 0; k < ALCHI_CLI_LINK_BUFFERS && link->buffer_size != size; k++) {
        free(link->buffers[k]);
        link->buffers[k] = NULL;
    }
    for (int k = 0; k < ALCHI_CLI_LINK_BUFFERS && !link->buffers[k]; k++) {
        if (posix_memalign((void **)&link->buffers[k], 4096, size) != 0) {
            link->buffers[k] = NULL;
            link->buffer_size = 0;
            return ALCH_ENOMEM;
        }
    }
    link->buffer_size = size;
    return ALCH_OK;
}

static int
open_link(alch_session_t *session, alchi_cli_link_t *link, const alchi_cli_group_t *group, int rank,
          alchi_deadline_t deadline, alch_error_t *err)
{
    alchi_claim_t claim = {ALCHI_ROLE_DATA, session->id, group->id, rank};
    const alchi_cli_worker_t *peer = &group->peers[rank];
    uint8_t key[ALCHI_KEY_SIZE];
    char address[300];
    alch_error_t detail = {0};
    int code;

    alchi_derive_data_key(session->key, session->id, group->id, rank, key);
    link->channel = alchi_cli_dial_shm(session, &claim, key, deadline);
    code = link->channel ? ALCH_OK
                         : alchi_cli_session_dial(&peer->address, &claim, key, session->name, ALCHI_PAYLOAD_MAX,
                                                  deadline, &link->channel, NULL, &detail);
    alchi_address_format(&peer->address, address, sizeof(address));
    if (code == ALCH_EAUTH)
        return alchi_error_rank(err, code, rank, "worker %d at %s could not prove that it belongs to this session: %s",
                                peer->slot, address, detail.text);
    if (code != ALCH_OK)
        return alchi_error_rank(err, code, rank, "worker %d at %s: %s", peer->slot, address, detail.text);
    link->last_id = 0;
    __atomic_store_n(&link->descriptor, alchi_channel_fd(link->channel), __ATOMIC_RELEASE);
    return ALCH_OK;
}

int
alchi_cli_link_acquire(alch_session_t *session, const alchi_cli_group_t *group, int rank, size_t buffer_size,
                       alchi_deadline_t deadline, alchi_cli_link_t **link_p, alch_error_t *err)
{
    alchi_cli_link_t *link = reserve_link(session, group->id, rank, deadline);
    int code = ALCH_OK;

    if (!link)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a connection to worker %d",
                               group->peers[rank].slot);
    probe_link(link, deadline);
    if (!link->channel)
        code = open_link(session, link, group, rank, deadline, err);
    if (code == ALCH_OK && resize_buffers(link, buffer_size) != ALCH_OK)
        code = alchi_error_set(err, ALCH_ENOMEM, "out of memory for the %zu-byte buffers of a connection", buffer_size);
    if (code != ALCH_OK) {
        alchi_cli_link_release(session, link, false);
        return code;
    }
    *link_p = link;
    return ALCH_OK;
}

static bool
is_current(alchi_cli_pool_t *pool, uint64_t group)
{
    bool current;

    pthread_mutex_lock(&pool->mutex);
    current = pool->group && pool->group->id == group;
    pthread_mutex_unlock(&pool->mutex);
    return current;
}

void
alchi_cli_link_release(alch_session_t *session, alchi_cli_link_t *link, bool reusable)
{
    registry_t *shared = get_registry();
    bool wanted = reusable && session->options.idle_timeout_ms > 0 && is_current(session->pool, link->group);

    pthread_mutex_lock(&shared->mutex);
    if (!wanted || count_links(session->pool->shared_links, link->group, link->rank, false) >= IDLE_PER_RANK)
        close_link(link);
    link->released = alchi_now_ns();
    link->expires = alchi_deadline_in_ms(session->options.idle_timeout_ms);
    link->busy = false;
    close_expired(shared);
    pthread_cond_signal(&shared->released);
    pthread_mutex_unlock(&shared->mutex);
}
