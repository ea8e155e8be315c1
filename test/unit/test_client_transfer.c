/* Transfers to data servers in this process, and to peers that misbehave. The driver is a few lines (client_peer.h). */
#include "client_peer.h"
#include "base/log.h"
#include "client/transfer.h"
#include "net/address.h"
#include "dataserver/dataserver.h"

#include <poll.h>
#include <stdio.h>

#define WORKERS_MAX 5
#define GROUP 3

/* Workers, and what the driver says of them. */
typedef struct {
    int count;
    alchi_store_t *stores[WORKERS_MAX];
    alchi_data_server_t *servers[WORKERS_MAX];
    int listen_fds[WORKERS_MAX], ports[WORKERS_MAX];
    Alchw__Matrix matrix;
    Alchw__Layout layout;
    const char *lost; /* the group's end, as GET_MATRIX tells it */
    int asked;
    peer_t peer;
    alch_session_t *session;
    alch_matrix_t *handle;
} world_t;

static alch_error_t err;
static int worker_idle_ms; /* 0: default */

static bool
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

static bool
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

static void
start_worker(world_t *world, int rank)
{
    alchi_address_t address = {"127.0.0.1", 0};
    alchi_data_config_t config = {
        .session = 5, .group = GROUP, .rank = rank, .threads = 1, .idle_timeout_ms = worker_idle_ms};
    uint8_t session_key[ALCHI_KEY_SIZE];

    memset(session_key, 1, sizeof(session_key));
    alchi_derive_data_key(session_key, 5, GROUP, rank, config.key);
    config.store = world->stores[rank] = alchi_store_create(rank, world->count, 0);
    unit_code(alchi_bind(&address, &config.listen_fd, &err), ALCH_OK);
    world->listen_fds[rank] = config.listen_fd;
    unit_code(alchi_data_server_start(&config, &world->servers[rank], &world->ports[rank], &err), ALCH_OK);
}

static void
stop_worker(world_t *world, int rank)
{
    alchi_data_server_stop(world->servers[rank]);
    close(world->listen_fds[rank]);
    world->servers[rank] = NULL;
    world->listen_fds[rank] = 0;
}

static void
world_start(world_t *world, int workers)
{
    alchi_log_init("test", ALCHI_LOG_ERROR);
    *world = (world_t){.count = workers};
    for (int rank = 0; rank < workers; rank++)
        start_worker(world, rank);
    peer_start(&world->peer, answer_driver, world);
    world->session = peer_session(&world->peer);
    world->session->options.message_bytes = 64 << 10;
    world->session->options.transfer_timeout_ms = 5000;
}

static void
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

static void
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

static void *
filled(size_t size)
{
    uint8_t *bytes = malloc(size + 1);

    ck_assert_ptr_nonnull(bytes);
    for (size_t k = 0; k < size; k++)
        bytes[k] = (uint8_t)((k * 2654435761u) >> 9);
    return bytes;
}

/* Write all, read all and a part, in every order of memory. */
static void
round_trip(world_t *world, int64_t m, int64_t n, size_t entry)
{
    const alch_rect_t part = {m / 3, n / 4, m - m / 3, n / 2};
    const int64_t strides[3][2] = {{1, m}, {n, 1}, {2 * n + 1, 2}};
    size_t size = (size_t)(2 * m * n + m) * entry + 16;
    uint8_t *out = filled(size), *in = malloc(size);
    int wrong = 0;

    for (int a = 0; a < 3; a++) {
        unit_code(alch_matrix_write(world->handle, NULL, out, strides[a][0], strides[a][1], &err), ALCH_OK);
        for (int b = 0; b < 3; b++) {
            const alch_rect_t rect = b == 2 ? part : (alch_rect_t){0, 0, m, n};
            memset(in, 0, size);
            unit_code(alch_matrix_read(world->handle, &rect, in, strides[b][0], strides[b][1], &err), ALCH_OK);
            for (int64_t j = 0; j < rect.n; j++)
                for (int64_t i = 0; i < rect.m; i++)
                    wrong += memcmp(in + (size_t)(i * strides[b][0] + j * strides[b][1]) * entry,
                                    out + (size_t)((i + rect.i) * strides[a][0] + (j + rect.j) * strides[a][1]) * entry,
                                    entry) != 0;
            ck_assert_int_eq(wrong, 0);
        }
    }
    free(in);
    free(out);
}

static const struct {
    int64_t m, n;
    alch_dtype_t dtype;
} shapes[] = {{200, 130, ALCH_FLOAT64},
              {1, 1, ALCH_INT32},
              {9000, 3, ALCH_COMPLEX128},
              {3, 9000, ALCH_FLOAT32},
              {2, 2, ALCH_COMPLEX64}};

START_TEST(round_trips)
{
    world_t world;

    world_start(&world, _i == 0 ? 1 : _i == 1 ? 3 : 4);
    for (size_t k = 0; k < 5; k++) {
        for (int dist = 0; dist <= ALCH_CIRC_CIRC; dist++) {
            const alch_layout_t spec = {(alch_dist_t)dist, 0, 0, 0, 0};
            world_matrix(&world, shapes[k].m, shapes[k].n, shapes[k].dtype, &spec);
            if (k && dist % 3)
                continue;
            round_trip(&world, shapes[k].m, shapes[k].n, alch_dtype_size(shapes[k].dtype));
        }
    }
    world_stop(&world);
}
END_TEST

START_TEST(one_memory_for_all_entries)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    double seven = 7, *in = calloc(40 * 30, sizeof(*in));
    int wrong = 0;
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 40, 30, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world.handle, NULL, &seven, 0, 0, &err), ALCH_OK);
    unit_code(alch_matrix_read(world.handle, NULL, in + 40 * 30 - 1, -1, -40, &err), ALCH_OK);
    for (int k = 0; k < 40 * 30; k++)
        wrong += in[k] != 7;
    ck_assert_int_eq(wrong, 0);
    free(in);
    world_stop(&world);
}
END_TEST

START_TEST(bad_requests)
{
    const alch_layout_t spec = ALCH_LAYOUT_DEFAULT;
    const alch_rect_t outside[] = {{0, 0, 11, 20}, {-1, 0, 1, 1}, {0, 20, 1, 1}, {10, 20, INT64_MAX, 1}, {0, 0, -1, 1}};
    const alch_rect_t empty[] = {{0, 0, 0, 20}, {10, 20, 0, 0}, {3, 3, 4, 0}};
    alch_transfer_t *transfer = NULL;
    double data[200] = {0};
    world_t world;
    int64_t done = -1, total = -1;

    world_start(&world, 2);
    world_matrix(&world, 10, 20, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write_start(NULL, NULL, data, 1, 10, &transfer, &err), ALCH_EINVAL);
    unit_code(alch_matrix_write_start(world.handle, NULL, NULL, 1, 10, &transfer, &err), ALCH_EINVAL);
    unit_code(alch_matrix_write_start(world.handle, NULL, data, 1, 10, NULL, &err), ALCH_EINVAL);
    unit_code(alch_transfer_wait(NULL, 0, &err), ALCH_EINVAL);
    alch_transfer_destroy(NULL);
    for (int k = 0; k < 5; k++)
        unit_code(alch_matrix_read(world.handle, &outside[k], data, 1, 10, &err), ALCH_ERANGE);
    ck_assert_ptr_nonnull(strstr(err.text, "10 x 20"));
    for (int k = 0; k < 3; k++) {
        unit_code(alch_matrix_write_start(world.handle, &empty[k], NULL, 1, 10, &transfer, &err), ALCH_OK);
        unit_code(alch_transfer_wait(transfer, 0, &err), ALCH_OK);
        alch_transfer_progress(transfer, &done, &total);
        ck_assert(done == 0 && total == 0);
        alch_transfer_destroy(transfer);
    }
    world_stop(&world);
}
END_TEST

START_TEST(unwritten_entries_are_refused)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    const alch_rect_t half = {0, 0, 300, 100}, none = {310, 100, 20, 5};
    double *data = calloc(600 * 300, sizeof(*data));
    world_t world;

    world_start(&world, 3);
    world_matrix(&world, 600, 300, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world.handle, &half, data, 1, 600, &err), ALCH_OK);
    unit_code(alch_matrix_read(world.handle, NULL, data, 1, 600, &err), ALCH_EINCOMPLETE);
    unit_code(alch_matrix_read(world.handle, &none, data, 1, 600, &err), ALCH_EINCOMPLETE);
    unit_code(alch_matrix_read(world.handle, &half, data, 1, 600, &err), ALCH_OK);
    free(data);
    world_stop(&world);
}
END_TEST

START_TEST(a_busy_matrix_is_not_written)
{
    const alch_layout_t spec = ALCH_LAYOUT_DEFAULT;
    double *data = calloc(300 * 300, sizeof(*data));
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 300, 300, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 300, &err), ALCH_OK);
    unit_code(alchi_store_lock(world.stores[1], 9, "svd", &(uint64_t){1}, 1, &err), ALCH_OK);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 300, &err), ALCH_EBUSY);
    ck_assert_ptr_nonnull(strstr(err.text, "svd"));
    ck_assert_int_eq(err.rank, 1);
    unit_code(alch_matrix_read(world.handle, NULL, data, 1, 300, &err), ALCH_OK);
    alchi_store_unlock(world.stores[1], 9);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 300, &err), ALCH_OK);
    free(data);
    world_stop(&world);
}
END_TEST

START_TEST(timings_and_progress)
{
    const alch_layout_t spec = {ALCH_STAR_STAR, 0, 0, 0, 0};
    double *data = calloc(300 * 300, sizeof(*data));
    alch_timing_t timings[3];
    alch_transfer_t *transfer;
    int64_t done, total;
    world_t world;

    world_start(&world, 3);
    world_matrix(&world, 300, 300, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write_start(world.handle, NULL, data, 300, 1, &transfer, &err), ALCH_OK);
    unit_code(alch_transfer_wait(transfer, -1, &err), ALCH_OK);
    alch_transfer_cancel(transfer);
    unit_code(alch_transfer_wait(transfer, 0, &err), ALCH_OK);
    alch_transfer_progress(transfer, &done, &total);
    ck_assert(done == 3 * 300 * 300 * 8 && total == done);
    ck_assert_uint_eq(alch_transfer_timings(transfer, NULL, 0), 3);
    ck_assert_uint_eq(alch_transfer_timings(transfer, timings, 3), 3);
    for (int k = 0; k < 3; k++) {
        ck_assert(timings[k].worker == k && timings[k].slot == k + 1 && timings[k].bytes == 300 * 300 * 8);
        ck_assert_int_ge(timings[k].messages, 300 * 300 * 8 / (64 << 10));
        ck_assert(timings[k].serialize > 0 && timings[k].send > 0 && timings[k].receive > 0);
    }
    alch_transfer_destroy(transfer);
    free(data);
    world_stop(&world);
}
END_TEST

START_TEST(connections_are_used_again)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    double data[100] = {0};
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 100, 1, ALCH_FLOAT64, &spec);
    for (int k = 0; k < 10; k++)
        unit_code(alch_matrix_write(world.handle, NULL, data, 1, 100, &err), ALCH_OK);
    ck_assert_int_eq(alchi_data_server_connections(world.servers[0]), 1);
    ck_assert_int_eq(alchi_data_server_connections(world.servers[1]), 1);
    world_stop(&world);
}
END_TEST

static void
expect_connections(const world_t *world, int first, int second)
{
    for (int t = 0; t < 2000 && (alchi_data_server_connections(world->servers[0]) != first ||
                                 alchi_data_server_connections(world->servers[1]) != second);
         t++)
        usleep(1000);
    ck_assert_int_eq(alchi_data_server_connections(world->servers[0]), first);
    ck_assert_int_eq(alchi_data_server_connections(world->servers[1]), second);
}

/* Handles of one session share them as long as there is one; those of another session have their own. */
START_TEST(connections_are_shared)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    double data[100] = {0};
    alch_session_t *sessions[3];
    alch_matrix_t *handles[3];
    peer_t peers[3];
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 100, 1, ALCH_FLOAT64, &spec);
    for (int k = 0; k < 3; k++) {
        peer_start(&peers[k], answer_driver, &world);
        sessions[k] = peer_session(&peers[k]);
        unit_code(alch_matrix_open(sessions[k], world.matrix.id, &handles[k], &err), ALCH_OK);
    }
    sessions[2]->key[0] ^= 1;
    for (int k = 0; k < 6; k++)
        unit_code(alch_matrix_write(k % 3 == 2 ? world.handle : handles[k % 3], NULL, data, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 1, 1);
    unit_code(alch_matrix_write(handles[2], NULL, data, 1, 100, &err), ALCH_EAUTH);
    for (int k = 0; k < 3; k++) {
        alch_matrix_destroy(handles[k]);
        alch_session_destroy(sessions[k]);
        peer_join(&peers[k]);
    }
    expect_connections(&world, 1, 1);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 1, 1);
    alchi_cli_pool_close_idle(world.session->pool);
    expect_connections(&world, 0, 0);
    world_stop(&world);
}
END_TEST

START_TEST(idle_connections_are_closed)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    const alch_rect_t corner = {0, 0, 1, 1};
    double data[100] = {0};
    world_t world;

    worker_idle_ms = 300;
    world_start(&world, 2);
    world_matrix(&world, 100, 1, ALCH_FLOAT64, &spec);
    world.session->options.idle_timeout_ms = 30;
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 1, 1);
    usleep(60000);
    unit_code(alch_matrix_write(world.handle, &corner, data, 1, 1, &err), ALCH_OK);
    expect_connections(&world, 1, 0);
    world.session->options.idle_timeout_ms = 0;
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 0, 0);
    /* The worker is the first to lose its patience, and the client does not mind. */
    world.session->options.idle_timeout_ms = 60000;
    for (int k = 0; k < 2; k++) {
        unit_code(alch_matrix_write(world.handle, NULL, data, 1, 100, &err), ALCH_OK);
        expect_connections(&world, 0, 0);
    }
    worker_idle_ms = 0;
    world_stop(&world);
}
END_TEST

/* Asked first whether it lives, and trusted again. */
START_TEST(a_connection_that_was_idle_for_a_while)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    double data[100] = {0};
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 100, 1, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 100, &err), ALCH_OK);
    usleep(1050000);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 100, &err), ALCH_OK);
    unit_code(alch_matrix_read(world.handle, NULL, data, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 1, 1);
    world_stop(&world);
}
END_TEST

/* The driver hears of a worker's death a little later than the client: its reason is what counts. */
START_TEST(a_dead_worker_is_explained)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    double *data = calloc(300 * 300, sizeof(*data));
    world_t world;

    world_start(&world, 3);
    world_matrix(&world, 300, 300, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 300, &err), ALCH_OK);
    world.lost = "worker group 3 is gone: rank 1 (worker 2) was killed by signal 9 (Killed)";
    stop_worker(&world, 1);
    if (_i)
        alchi_cli_pool_close_idle(world.session->pool);
    unit_code(alch_matrix_read(world.handle, NULL, data, 1, 300, &err), ALCH_EGROUP);
    ck_assert_str_eq(err.text, world.lost);
    free(data);
    world_stop(&world);
}
END_TEST

/* ---- peers that only listen ---- */

/* A worker of which this test holds the listening socket. */
static int
listen_only(world_t *world, int rank)
{
    alchi_address_t address = {"127.0.0.1", 0};
    int fd;

    stop_worker(world, rank);
    unit_code(alchi_bind(&address, &fd, &err), ALCH_OK);
    ck_assert_int_eq(listen(fd, 5), 0);
    world->ports[rank] = address.port;
    alchi_cli_pool_set_group(world->session, NULL, NULL);
    return fd;
}

/* Answers HELLO with a proof of a key it does not have. */
static void *
pose(void *context)
{
    struct pollfd waiting = {.fd = *(int *)context, .events = POLLIN};
    int fd = poll(&waiting, 1, 10000) > 0 ? accept(waiting.fd, NULL, NULL) : -1;
    Alchw__Challenge challenge = ALCHW__CHALLENGE__INIT;
    ProtobufCMessage *message = NULL;
    uint8_t bytes[32] = {3};
    alchi_channel_t *channel;
    alchi_frame_t frame;

    if (fd < 0)
        return NULL;
    channel = peer_channel(fd);
    if (alchi_channel_receive_by(channel, alchi_deadline_in_ms(5000), &frame, &message) == ALCH_OK) {
        challenge.has_version = challenge.has_nonce = challenge.has_proof = true;
        challenge.version = 1;
        challenge.nonce = challenge.proof = (ProtobufCBinaryData){32, bytes};
        alchi_channel_send(channel, ALCHI_CHALLENGE, ALCHI_FRAME_REPLY, frame.id, &challenge);
        alchi_message_free(message);
        message = NULL;
        if (alchi_channel_receive_by(channel, alchi_deadline_in_ms(5000), &frame, &message) == ALCH_OK)
            alchi_message_free(message);
    }
    alchi_channel_destroy(channel);
    return NULL;
}

START_TEST(a_stranger_is_named)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    alch_transfer_t *transfer;
    double data[100] = {0};
    pthread_t thread;
    world_t world;
    char where[64];
    int fd;

    world_start(&world, 2);
    world_matrix(&world, 100, 1, ALCH_FLOAT64, &spec);
    fd = listen_only(&world, 1);
    pthread_create(&thread, NULL, pose, &fd);
    unit_code(alch_matrix_write_start(world.handle, NULL, data, 1, 100, &transfer, &err), ALCH_EAUTH);
    snprintf(where, sizeof(where), "worker 2 at 127.0.0.1:%d", world.ports[1]);
    ck_assert_msg(strstr(err.text, where) != NULL, "%s", err.text);
    ck_assert_int_eq(err.rank, 1);
    pthread_join(thread, NULL);
    close(fd);
    world_stop(&world);
}
END_TEST

/* A worker that proves itself and then neither reads nor answers. */
typedef struct {
    int fd;
    bool stop; /* atomic */
} mute_t;

static int
mute_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *error)
{
    uint8_t session_key[ALCHI_KEY_SIZE];

    (void)context;
    (void)error;
    memset(session_key, 1, sizeof(session_key));
    alchi_derive_data_key(session_key, claim->session, claim->group, claim->rank, key);
    return ALCH_OK;
}

static void *
mute(void *context)
{
    mute_t *state = context;
    struct pollfd waiting = {.fd = state->fd, .events = POLLIN};
    int fd = poll(&waiting, 1, 10000) > 0 ? accept(state->fd, NULL, NULL) : -1;
    Alchw__Welcome welcome = ALCHW__WELCOME__INIT;
    alchi_responder_t responder;
    alchi_channel_t *channel;
    ProtobufCMessage *message;
    alchi_frame_t frame;
    bool done = false;

    if (fd < 0)
        return NULL;
    channel = peer_channel(fd);
    alchi_responder_init(&responder);
    while (!done) {
        message = NULL;
        if (alchi_channel_receive_by(channel, alchi_deadline_in_ms(5000), &frame, &message) != ALCH_OK)
            break;
        alchi_responder_feed(&responder, channel, &frame, message, mute_key, NULL, &done, NULL);
        alchi_message_free(message);
    }
    alchi_channel_send(channel, ALCHI_WELCOME, ALCHI_FRAME_REPLY, frame.id, &welcome);
    for (int k = 0; k < 500 && !__atomic_load_n(&state->stop, __ATOMIC_ACQUIRE); k++)
        poll(NULL, 0, 10);
    alchi_channel_destroy(channel);
    return NULL;
}

/* 0: writing; 1: reading; 2: writing, canceled */
START_TEST(a_silent_worker_is_named)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    double *data = calloc(1000 * 2000, sizeof(*data));
    alch_transfer_t *transfer;
    mute_t state = {0};
    pthread_t thread;
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 1000, 2000, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 1000, &err), ALCH_OK);
    world.session->options.transfer_timeout_ms = _i == 2 ? 60000 : 300;
    state.fd = listen_only(&world, 1);
    pthread_create(&thread, NULL, mute, &state);
    if (_i == 1)
        unit_code(alch_matrix_read_start(world.handle, NULL, data, 1, 1000, &transfer, &err), ALCH_OK);
    else
        unit_code(alch_matrix_write_start(world.handle, NULL, data, 1, 1000, &transfer, &err), ALCH_OK);
    unit_code(alch_transfer_wait(transfer, 50, &err), ALCH_EAGAIN);
    if (_i == 2)
        alch_transfer_cancel(transfer);
    unit_code(alch_transfer_wait(transfer, 5000, &err), _i == 2 ? ALCH_ECANCELED : ALCH_ETIMEDOUT);
    if (_i < 2)
        ck_assert_msg(strstr(err.text, "worker 2 at 127.0.0.1") && strstr(err.text, "0.3 s"), "%s", err.text);
    alch_transfer_destroy(transfer);
    __atomic_store_n(&state.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    close(state.fd);
    free(data);
    world_stop(&world);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("transfer");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, round_trips, 0, 3);
    tcase_add_test(tcase, one_memory_for_all_entries);
    tcase_add_test(tcase, bad_requests);
    tcase_add_test(tcase, unwritten_entries_are_refused);
    tcase_add_test(tcase, a_busy_matrix_is_not_written);
    tcase_add_test(tcase, timings_and_progress);
    tcase_add_test(tcase, connections_are_used_again);
    tcase_add_test(tcase, connections_are_shared);
    tcase_add_test(tcase, idle_connections_are_closed);
    tcase_add_test(tcase, a_connection_that_was_idle_for_a_while);
    tcase_add_loop_test(tcase, a_dead_worker_is_explained, 0, 2);
    tcase_add_test(tcase, a_stranger_is_named);
    tcase_add_loop_test(tcase, a_silent_worker_is_named, 0, 3);
    suite_add_tcase(suite, tcase);
}
