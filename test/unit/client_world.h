/** @file client_world.h  The world of a client in tests of transfers: a fake driver, data servers in this process, and
 * a session. */
#ifndef ALCHI_CLIENT_WORLD_H
#define ALCHI_CLIENT_WORLD_H

#include "client_peer.h"
#include "base/log.h"
#include "client/transfer.h"
#include "net/address.h"
#include "dataserver/dataserver.h"

#define WORKERS_MAX 5
#define GROUP 3

/** A fake driver, data servers as the ranks of one group, a session, and a handle of one matrix. */
typedef struct {
    int count;
    int idle_timeout_ms; /* of the data servers; 0: their default */
    alchi_store_t *stores[WORKERS_MAX];
    alchi_data_server_t *servers[WORKERS_MAX];
    int listen_fds[WORKERS_MAX], ports[WORKERS_MAX];
    Alchw__Matrix matrix; /* as the driver describes it */
    Alchw__Layout layout;
    const char *lost; /* NULL, or why the group ended: the text of the third and later answers to GET_MATRIX */
    int asked;        /* GET_MATRIX requests since `lost` was set */
    peer_t peer;
    alch_session_t *session;
    alch_matrix_t *handle;
} world_t;

static alch_error_t err;

static inline bool
answer_group(peer_t *peer, const alchi_frame_t *frame, const world_t *world)
{
    Alchw__Worker workers[WORKERS_MAX], *pointers[WORKERS_MAX];
    Alchw__Group group = ALCHW__GROUP__INIT;

    group.has_id = group.has_ready = true;
    group.id = GROUP;
    group.ready = true;
    group.n_workers = (size_t)world->count;
    group.workers = pointers;
    for (int k = 0; k < world->count; k++) {
        alchw__worker__init(pointers[k] = &workers[k]);
        workers[k].has_slot = workers[k].has_port = true;
        workers[k].slot = (uint32_t)k + 1;
        workers[k].port = (uint32_t)world->ports[k];
    }
    return peer_reply(peer, frame, ALCHI_GROUP, &group);
}

static inline bool
answer_driver(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    world_t *world = peer->context;

    (void)message;
    if (frame->type == ALCHI_GET_GROUP)
        return answer_group(peer, frame, world);
    if (frame->type == ALCHI_GET_MATRIX && world->lost && ++world->asked > 2)
        return peer_refuse(peer, frame, ALCH_EGROUP, world->lost);
    if (frame->type == ALCHI_GET_MATRIX)
        return peer_reply(peer, frame, ALCHI_MATRIX, &world->matrix);
    return peer_refuse(peer, frame, ALCH_EPROTO, "not expected by this test");
}

static inline void
start_worker(world_t *world, int rank)
{
    alchi_address_t address = {"127.0.0.1", 0};
    alchi_data_config_t config = {
        .session = 5, .group = GROUP, .rank = rank, .threads = 1, .idle_timeout_ms = world->idle_timeout_ms};
    uint8_t session_key[ALCHI_KEY_SIZE];

    memset(session_key, 1, sizeof(session_key));
    alchi_derive_data_key(session_key, 5, GROUP, rank, config.key);
    config.store = world->stores[rank] = alchi_store_create(rank, world->count, 0);
    unit_code(alchi_bind(&address, &config.listen_fd, &err), ALCH_OK);
    world->listen_fds[rank] = config.listen_fd;
    unit_code(alchi_data_server_start(&config, &world->servers[rank], &world->ports[rank], &err), ALCH_OK);
}

static inline void
stop_worker(world_t *world, int rank)
{
    alchi_data_server_stop(world->servers[rank]);
    close(world->listen_fds[rank]);
    world->servers[rank] = NULL;
    world->listen_fds[rank] = 0;
}

/** Start workers and a session. @param idle_timeout_ms  of the data servers; 0: their default */
static inline void
world_start_with_timeout(world_t *world, int workers, int idle_timeout_ms)
{
    alchi_log_init("test", ALCHI_LOG_ERROR);
    *world = (world_t){.count = workers, .idle_timeout_ms = idle_timeout_ms};
    for (int rank = 0; rank < workers; rank++)
        start_worker(world, rank);
    peer_start(&world->peer, answer_driver, world);
    world->session = peer_session(&world->peer);
    world->session->options.message_bytes = 64 << 10;
    world->session->options.transfer_timeout_ms = 5000;
}

static inline void
world_start(world_t *world, int workers)
{
    world_start_with_timeout(world, workers, 0);
}

/** Replace the matrix by a new one, and reserve it on all ranks. */
static inline void
world_matrix(world_t *world, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *spec)
{
    alch_matrix_destroy(world->handle);
    alchw__matrix__init(&world->matrix);
    alchw__layout__init(&world->layout);
    world->matrix.has_id = world->matrix.has_rows = world->matrix.has_cols = true;
    world->matrix.has_dtype = world->matrix.has_workers = true;
    world->matrix.id++;
    world->matrix.rows = m;
    world->matrix.cols = n;
    world->matrix.dtype = dtype;
    world->matrix.workers = (uint32_t)world->count;
    world->layout.has_dist = world->layout.has_mb = world->layout.has_nb = true;
    world->layout.has_nprow = world->layout.has_npcol = true;
    world->layout.dist = spec->dist;
    world->layout.mb = spec->mb;
    world->layout.nb = spec->nb;
    world->layout.nprow = (uint32_t)spec->nprow;
    world->layout.npcol = (uint32_t)spec->npcol;
    world->matrix.layout = &world->layout;
    for (int rank = 0; rank < world->count; rank++) {
        if (!world->stores[rank])
            continue;
        alchi_store_free(world->stores[rank], world->matrix.id, NULL);
        unit_code(alchi_store_reserve(world->stores[rank], world->matrix.id, m, n, dtype, spec, "", NULL, &err),
                  ALCH_OK);
    }
    unit_code(alch_matrix_open(world->session, world->matrix.id, &world->handle, &err), ALCH_OK);
}

static inline void
world_stop(world_t *world)
{
    alch_matrix_destroy(world->handle);
    alch_session_destroy(world->session);
    peer_join(&world->peer);
    for (int rank = 0; rank < world->count; rank++) {
        alchi_data_server_stop(world->servers[rank]);
        if (world->listen_fds[rank])
            close(world->listen_fds[rank]);
        alchi_store_destroy(world->stores[rank]);
    }
}

#endif
