/* The session's worker group, as the driver described it last. */
#include "client/client.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

/* A larger group in a reply is refused before memory is allocated for it. */
#define GROUP_MAX (1 << 20)

void
alchi_cli_group_release(alchi_cli_group_t *group)
{
    if (group && __atomic_sub_fetch(&group->references, 1, __ATOMIC_ACQ_REL) == 0)
        free(group);
}

const char *
alchi_cli_pool_worker_host(const alch_session_t *session, const Alchw__Worker *worker)
{
    return worker->address && worker->address[0] ? worker->address : session->host;
}

static alchi_cli_group_t *
make_group(const alch_session_t *session, const Alchw__Group *message)
{
    alchi_cli_group_t *group = calloc(1, sizeof(*group) + message->n_workers * sizeof(group->peers[0]));

    if (!group)
        return NULL;
    group->id = message->id;
    group->references = 1;
    group->count = (int)message->n_workers;
    for (int rank = 0; rank < group->count; rank++) {
        const Alchw__Worker *worker = message->workers[rank];
        alchi_cli_worker_t *peer = &group->peers[rank];
        peer->slot = (int)worker->slot;
        peer->address.port = (int)worker->port;
        snprintf(peer->address.host, sizeof(peer->address.host), "%s", alchi_cli_pool_worker_host(session, worker));
    }
    return group;
}

int
alchi_cli_pool_set_group(alch_session_t *session, const Alchw__Group *message, alch_error_t *err)
{
    alchi_cli_pool_t *pool = session->pool;
    alchi_cli_group_t *group = NULL, *previous;
    uint64_t id;

    if (message && message->n_workers > GROUP_MAX)
        return alchi_error_set(err, ALCH_EPROTO,
                               "the driver described a group of %zu workers, which is more than the limit of %d",
                               message->n_workers, GROUP_MAX);
    if (message && message->id && message->ready && !(group = make_group(session, message)))
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a group of %zu workers", message->n_workers);
    pthread_mutex_lock(&pool->mutex);
    previous = pool->group;
    pool->group = group;
    id = group ? group->id : 0;
    pthread_mutex_unlock(&pool->mutex);
    if (!id || !previous || previous->id != id)
        alchi_cli_pool_keep_only(pool, id);
    alchi_cli_group_release(previous);
    return ALCH_OK;
}

/* The cached group, with a reference for the caller. NULL: no group is cached */
static alchi_cli_group_t *
get_cached_group(alchi_cli_pool_t *pool)
{
    alchi_cli_group_t *group;

    pthread_mutex_lock(&pool->mutex);
    group = pool->group;
    if (group)
        __atomic_add_fetch(&group->references, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&pool->mutex);
    return group;
}

int
alchi_cli_pool_get_group(alch_session_t *session, bool refresh, alchi_cli_group_t **group_p, alch_error_t *err)
{
    alchi_cli_group_t *group = refresh ? NULL : get_cached_group(session->pool);
    Alchw__Group *message;
    int code;

    if (!group) {
        code = alchi_cli_session_request(session, ALCHI_GET_GROUP, NULL, ALCHI_GROUP, 0, &message, err);
        if (code != ALCH_OK)
            return code;
        code = alchi_cli_pool_set_group(session, message, err);
        alchi_message_free(message);
        if (code != ALCH_OK)
            return code;
        group = get_cached_group(session->pool);
    }
    if (!group)
        return alchi_error_set(err, ALCH_ESTATE, "the session has no workers");
    *group_p = group;
    return ALCH_OK;
}
