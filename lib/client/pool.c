/* Data connections are opened when they are needed and kept for the next transfer. */
#include "client/client.h"
#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_PER_RANK 2
#define GROUP_MAX (1 << 20)

struct alchi_pool {
    pthread_mutex_t mutex;
    alchi_link_t *links; /* atomic head */
    alchi_crew_t *group;
};

alchi_pool_t *
alchi_pool_create(void)
{
    alchi_pool_t *pool = calloc(1, sizeof(*pool));

    if (pool)
        pthread_mutex_init(&pool->mutex, NULL);
    return pool;
}

/* ---- connections ---- */

static void
close_link(alchi_link_t *link)
{
    __atomic_store_n(&link->descriptor, -1, __ATOMIC_RELEASE);
    alchi_channel_destroy(link->channel);
    link->channel = NULL;
    for (int k = 0; k < ALCHI_LINK_BUFFERS; k++) {
        free(link->buffers[k]);
        link->buffers[k] = NULL;
    }
    link->buffer_size = 0;
}

/* With the mutex held: close the idle ones that are not of `keep`. */
static void
close_idle(alchi_pool_t *pool, uint64_t keep)
{
    for (alchi_link_t *link = pool->links; link; link = link->next) {
        if (!link->busy && link->channel && link->group != keep)
            close_link(link);
    }
}

void
alchi_pool_close_idle(alchi_pool_t *pool)
{
    pthread_mutex_lock(&pool->mutex);
    close_idle(pool, 0);
    pthread_mutex_unlock(&pool->mutex);
}

void
alchi_pool_destroy(alchi_pool_t *pool)
{
    alchi_link_t *link, *next;

    if (!pool)
        return;
    for (link = pool->links; link; link = next) {
        next = link->next;
        if (link->channel)
            close_link(link);
        free(link);
    }
    alchi_crew_release(pool->group);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

void
alchi_pool_abandon(const alchi_pool_t *pool)
{
    const alchi_link_t *link = __atomic_load_n(&pool->links, __ATOMIC_ACQUIRE);

    for (; link; link = link->next) {
        int descriptor = __atomic_load_n(&link->descriptor, __ATOMIC_ACQUIRE);
        if (descriptor >= 0)
            close(descriptor);
    }
}

/* An idle connection has nothing to read; if it has, that is its end. */
static bool
alive(const alchi_link_t *link)
{
    char byte;

    return recv(link->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* With the mutex held: an idle connection to the rank, else a node without one. NULL: there is none. */
static alchi_link_t *
find_link(alchi_pool_t *pool, uint64_t group, int rank)
{
    alchi_link_t *spare = NULL;

    for (alchi_link_t *link = pool->links; link; link = link->next) {
        if (link->busy)
            continue;
        if (link->channel && link->group == group && link->rank == rank) {
            if (alive(link))
                return link;
            close_link(link);
        }
        if (!link->channel)
            spare = link;
    }
    return spare;
}

static alchi_link_t *
take_link(alchi_pool_t *pool, uint64_t group, int rank)
{
    alchi_link_t *link;

    pthread_mutex_lock(&pool->mutex);
    link = find_link(pool, group, rank);
    if (!link && (link = calloc(1, sizeof(*link)))) {
        link->descriptor = -1;
        link->next = pool->links;
        __atomic_store_n(&pool->links, link, __ATOMIC_RELEASE);
    }
    if (link)
        link->busy = true;
    pthread_mutex_unlock(&pool->mutex);
    return link;
}

static int
make_buffers(alchi_link_t *link, size_t size)
{
    for (int k = 0; k < ALCHI_LINK_BUFFERS && link->buffer_size != size; k++) {
        free(link->buffers[k]);
        link->buffers[k] = NULL;
    }
    for (int k = 0; k < ALCHI_LINK_BUFFERS && !link->buffers[k]; k++) {
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
open_link(alch_session_t *session, alchi_link_t *link, const alchi_crew_t *group, int rank, alchi_deadline_t deadline,
          alch_error_t *err)
{
    alchi_claim_t claim = {ALCHI_ROLE_DATA, session->id, group->id, rank};
    const alchi_peer_t *peer = &group->peers[rank];
    uint8_t key[ALCHI_KEY_SIZE];
    char address[300];
    alch_error_t detail = {0};
    int code;

    alchi_data_key(session->key, session->id, group->id, rank, key);
    code = alchi_session_dial(&peer->address, &claim, key, session->name, ALCHI_PAYLOAD_MAX, deadline, &link->channel,
                              NULL, &detail);
    alchi_address_format(&peer->address, address, sizeof(address));
    if (code == ALCH_EAUTH)
        return alchi_error_rank(err, code, rank, "worker %d at %s could not prove that it belongs to this session: %s",
                                peer->slot, address, detail.text);
    if (code != ALCH_OK)
        return alchi_error_rank(err, code, rank, "worker %d at %s: %s", peer->slot, address, detail.text);
    link->group = group->id;
    link->rank = rank;
    link->last_id = 0;
    __atomic_store_n(&link->descriptor, alchi_channel_fd(link->channel), __ATOMIC_RELEASE);
    return ALCH_OK;
}

int
alchi_link_acquire(alch_session_t *session, const alchi_crew_t *group, int rank, size_t buffer_size,
                   alchi_deadline_t deadline, alchi_link_t **link_p, alch_error_t *err)
{
    alchi_link_t *link = take_link(session->pool, group->id, rank);
    int code = link ? ALCH_OK : ALCH_ENOMEM;

    if (link && !link->channel)
        code = open_link(session, link, group, rank, deadline, err);
    else if (!link)
        alchi_error_set(err, code, "out of memory for a connection to worker %d", group->peers[rank].slot);
    if (code == ALCH_OK && make_buffers(link, buffer_size) != ALCH_OK)
        code = alchi_error_set(err, ALCH_ENOMEM, "out of memory for buffers of %zu bytes", buffer_size);
    if (code != ALCH_OK) {
        if (link)
            alchi_link_release(session->pool, link, false);
        return code;
    }
    *link_p = link;
    return ALCH_OK;
}

/* With the mutex held. */
static int
count_idle(const alchi_pool_t *pool, uint64_t group, int rank)
{
    int count = 0;

    for (const alchi_link_t *link = pool->links; link; link = link->next)
        count += !link->busy && link->channel && link->group == group && link->rank == rank;
    return count;
}

void
alchi_link_release(alchi_pool_t *pool, alchi_link_t *link, bool reusable)
{
    pthread_mutex_lock(&pool->mutex);
    reusable = reusable && pool->group && pool->group->id == link->group &&
               count_idle(pool, link->group, link->rank) < IDLE_PER_RANK;
    if (!reusable)
        close_link(link);
    link->busy = false;
    pthread_mutex_unlock(&pool->mutex);
}

/* ---- the group ---- */

void
alchi_crew_release(alchi_crew_t *group)
{
    if (group && __atomic_sub_fetch(&group->references, 1, __ATOMIC_ACQ_REL) == 0)
        free(group);
}

const char *
alchi_pool_host(const alch_session_t *session, const Alchw__Worker *worker)
{
    return worker->address && worker->address[0] ? worker->address : session->host;
}

static alchi_crew_t *
make_group(const alch_session_t *session, const Alchw__Group *message)
{
    alchi_crew_t *group = calloc(1, sizeof(*group) + message->n_workers * sizeof(group->peers[0]));

    if (!group)
        return NULL;
    group->id = message->id;
    group->references = 1;
    group->count = (int)message->n_workers;
    for (int rank = 0; rank < group->count; rank++) {
        const Alchw__Worker *worker = message->workers[rank];
        alchi_peer_t *peer = &group->peers[rank];
        peer->slot = (int)worker->slot;
        peer->address.port = (int)worker->port;
        snprintf(peer->address.host, sizeof(peer->address.host), "%s", alchi_pool_host(session, worker));
    }
    return group;
}

int
alchi_pool_learn(alch_session_t *session, const Alchw__Group *message, alch_error_t *err)
{
    alchi_pool_t *pool = session->pool;
    alchi_crew_t *group = NULL;

    if (message && message->n_workers > GROUP_MAX)
        return alchi_error_set(err, ALCH_EPROTO, "a worker group of %zu", message->n_workers);
    if (message && message->id && message->ready && !(group = make_group(session, message)))
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a group of %zu workers", message->n_workers);
    pthread_mutex_lock(&pool->mutex);
    if (!group || !pool->group || group->id != pool->group->id)
        close_idle(pool, group ? group->id : 0);
    alchi_crew_release(pool->group);
    pool->group = group;
    pthread_mutex_unlock(&pool->mutex);
    return ALCH_OK;
}

static alchi_crew_t *
known_group(alchi_pool_t *pool)
{
    alchi_crew_t *group;

    pthread_mutex_lock(&pool->mutex);
    group = pool->group;
    if (group)
        __atomic_add_fetch(&group->references, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&pool->mutex);
    return group;
}

int
alchi_pool_group(alch_session_t *session, bool fresh, alchi_crew_t **group_p, alch_error_t *err)
{
    alchi_crew_t *group = fresh ? NULL : known_group(session->pool);
    Alchw__Group *message;
    int code;

    if (!group) {
        code = alchi_session_request(session, ALCHI_GET_GROUP, NULL, ALCHI_GROUP, 0, &message, err);
        if (code != ALCH_OK)
            return code;
        code = alchi_pool_learn(session, message, err);
        alchi_message_free(message);
        if (code != ALCH_OK)
            return code;
        group = known_group(session->pool);
    }
    if (!group)
        return alchi_error_set(err, ALCH_ESTATE, "the session has no workers");
    *group_p = group;
    return ALCH_OK;
}
