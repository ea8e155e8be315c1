/* Transfers to data servers in this process, and to peers that misbehave. The driver is a fake (client_peer.h). */
#include "client_world.h"

#include <poll.h>
#include <stdio.h>

/* Memory with pseudo-random bytes. Owned by the caller. */
static void *
filled(size_t size)
{
    uint8_t *bytes = malloc(size + 1);

    ck_assert_ptr_nonnull(bytes);
    for (size_t k = 0; k < size; k++)
        bytes[k] = (uint8_t)((k * 2654435761u) >> 9);
    return bytes;
}

/* Write all entries, then read all and a part of them, from and to memory in every order. */
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

/* In every layout, by 1, 3 and 4 workers. */
START_TEST(written_entries_are_read_back)
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

START_TEST(strides_may_be_zero_or_negative)
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

START_TEST(null_arguments_are_refused)
{
    const alch_layout_t spec = ALCH_LAYOUT_DEFAULT;
    alch_transfer_t *transfer = NULL;
    double data[200] = {0};
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 10, 20, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write_start(NULL, NULL, data, 1, 10, &transfer, &err), ALCH_EINVAL);
    unit_code(alch_matrix_write_start(world.handle, NULL, NULL, 1, 10, &transfer, &err), ALCH_EINVAL);
    unit_code(alch_matrix_write_start(world.handle, NULL, data, 1, 10, NULL, &err), ALCH_EINVAL);
    unit_code(alch_transfer_wait(NULL, 0, &err), ALCH_EINVAL);
    alch_transfer_destroy(NULL);
    world_stop(&world);
}
END_TEST

START_TEST(rectangles_outside_the_matrix_are_refused)
{
    const alch_layout_t spec = ALCH_LAYOUT_DEFAULT;
    const alch_rect_t outside[] = {{0, 0, 11, 20}, {-1, 0, 1, 1}, {0, 20, 1, 1}, {10, 20, INT64_MAX, 1}, {0, 0, -1, 1}};
    double data[200] = {0};
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 10, 20, ALCH_FLOAT64, &spec);
    for (int k = 0; k < 5; k++) {
        unit_code(alch_matrix_read(world.handle, &outside[k], data, 1, 10, &err), ALCH_ERANGE);
        ck_assert_ptr_nonnull(strstr(err.text, "10 x 20"));
    }
    world_stop(&world);
}
END_TEST

START_TEST(empty_transfers_end_at_once)
{
    const alch_layout_t spec = ALCH_LAYOUT_DEFAULT;
    const alch_rect_t empty[] = {{0, 0, 0, 20}, {10, 20, 0, 0}, {3, 3, 4, 0}};
    alch_transfer_t *transfer;
    int64_t done = -1, total = -1;
    world_t world;

    world_start(&world, 2);
    world_matrix(&world, 10, 20, ALCH_FLOAT64, &spec);
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

START_TEST(unwritten_entries_cannot_be_read)
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

START_TEST(matrix_that_a_task_uses_can_only_be_read)
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

/* Write a 300 x 300 matrix to 3 workers that hold all of it each, and wait for the end. */
static alch_transfer_t *
write_replicas(world_t *world, const double *data)
{
    const alch_layout_t spec = {ALCH_STAR_STAR, 0, 0, 0, 0};
    alch_transfer_t *transfer;

    world_start(world, 3);
    world_matrix(world, 300, 300, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write_start(world->handle, NULL, data, 300, 1, &transfer, &err), ALCH_OK);
    unit_code(alch_transfer_wait(transfer, -1, &err), ALCH_OK);
    return transfer;
}

START_TEST(progress_counts_the_bytes_of_all_replicas)
{
    double *data = calloc(300 * 300, sizeof(*data));
    alch_transfer_t *transfer;
    int64_t done, total;
    world_t world;

    transfer = write_replicas(&world, data);
    alch_transfer_progress(transfer, &done, &total);
    ck_assert(done == 3 * 300 * 300 * 8 && total == done);
    alch_transfer_destroy(transfer);
    free(data);
    world_stop(&world);
}
END_TEST

START_TEST(cancel_after_the_end_has_no_effect)
{
    double *data = calloc(300 * 300, sizeof(*data));
    alch_transfer_t *transfer;
    world_t world;

    transfer = write_replicas(&world, data);
    alch_transfer_cancel(transfer);
    unit_code(alch_transfer_wait(transfer, 0, &err), ALCH_OK);
    alch_transfer_destroy(transfer);
    free(data);
    world_stop(&world);
}
END_TEST

START_TEST(timings_are_given_for_each_worker)
{
    double *data = calloc(300 * 300, sizeof(*data));
    alch_timing_t timings[3];
    alch_transfer_t *transfer;
    world_t world;

    transfer = write_replicas(&world, data);
    ck_assert_uint_eq(alch_transfer_timings(transfer, NULL, 0), 3);
    ck_assert_uint_eq(alch_transfer_timings(transfer, timings, 3), 3);
    for (int k = 0; k < 3; k++) {
        ck_assert(timings[k].worker == k && timings[k].slot == k + 1 && timings[k].bytes == 300 * 300 * 8);
        /* A message has at most message_bytes bytes, so there cannot be fewer messages. */
        ck_assert_int_ge(timings[k].messages, 300 * 300 * 8 / (64 << 10));
        ck_assert(timings[k].serialize > 0 && timings[k].send > 0 && timings[k].receive > 0);
    }
    alch_transfer_destroy(transfer);
    free(data);
    world_stop(&world);
}
END_TEST

/* ---- workers that fail ---- */

/* The driver learns of the end of a worker later than the client, which waits for the driver's reason. _i = 0: the
 * client has idle connections to the worker; 1: it has none. */
START_TEST(driver_explains_the_end_of_a_worker)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    double *data = calloc(300 * 300, sizeof(*data));
    world_t world;

    world_start(&world, 3);
    world_matrix(&world, 300, 300, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world.handle, NULL, data, 1, 300, &err), ALCH_OK);
    world.lost = "worker group 3 was lost: rank 1 (worker 2) was killed by signal 9 (Killed)";
    stop_worker(&world, 1);
    if (_i)
        alchi_cli_pool_close_idle(world.session->pool);
    unit_code(alch_matrix_read(world.handle, NULL, data, 1, 300, &err), ALCH_EGROUP);
    ck_assert_str_eq(err.text, world.lost);
    free(data);
    world_stop(&world);
}
END_TEST

/* Replace a worker by a listening socket, on which a thread of the test can pose as the worker. */
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

/* Answer HELLO with a proof of a key that this thread does not have. */
static void *
fail_to_authenticate(void *context)
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

START_TEST(unauthenticated_worker_is_named)
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
    pthread_create(&thread, NULL, fail_to_authenticate, &fd);
    unit_code(alch_matrix_write_start(world.handle, NULL, data, 1, 100, &transfer, &err), ALCH_EAUTH);
    snprintf(where, sizeof(where), "worker 2 at 127.0.0.1:%d", world.ports[1]);
    ck_assert_msg(strstr(err.text, where) != NULL, "%s", err.text);
    ck_assert_int_eq(err.rank, 1);
    pthread_join(thread, NULL);
    close(fd);
    world_stop(&world);
}
END_TEST

/* A worker that authenticates, and then neither reads nor answers. */
typedef struct {
    int fd;      /* listens */
    int stop[2]; /* a pipe; when stop[1] is closed, the worker closes its connection */
    pthread_t thread;
} silent_t;

static int
silent_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *error)
{
    uint8_t session_key[ALCHI_KEY_SIZE];

    (void)context;
    (void)error;
    memset(session_key, 1, sizeof(session_key));
    alchi_derive_data_key(session_key, claim->session, claim->group, claim->rank, key);
    return ALCH_OK;
}

static void *
serve_silently(void *context)
{
    silent_t *state = context;
    struct pollfd waiting = {.fd = state->fd, .events = POLLIN}, stopped = {.fd = state->stop[0], .events = POLLIN};
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
        alchi_responder_feed(&responder, channel, &frame, message, silent_key, NULL, &done, NULL);
        alchi_message_free(message);
    }
    alchi_channel_send(channel, ALCHI_WELCOME, ALCHI_FRAME_REPLY, frame.id, &welcome);
    poll(&stopped, 1, 30000);
    alchi_channel_destroy(channel);
    return NULL;
}

/* Write a 1000 x 2000 matrix to 2 workers, then replace the second worker by a silent one. */
static void
world_start_with_a_silent_worker(world_t *world, silent_t *silent, double *data)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};

    world_start(world, 2);
    world_matrix(world, 1000, 2000, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world->handle, NULL, data, 1, 1000, &err), ALCH_OK);
    *silent = (silent_t){.fd = listen_only(world, 1)};
    ck_assert_int_eq(pipe(silent->stop), 0);
    pthread_create(&silent->thread, NULL, serve_silently, silent);
}

static void
world_stop_with_a_silent_worker(world_t *world, silent_t *silent)
{
    close(silent->stop[1]);
    pthread_join(silent->thread, NULL);
    close(silent->stop[0]);
    close(silent->fd);
    world_stop(world);
}

/* _i = 0: the client writes; 1: it reads. */
START_TEST(silent_worker_is_named)
{
    double *data = calloc(1000 * 2000, sizeof(*data));
    alch_transfer_t *transfer;
    silent_t silent;
    world_t world;

    world_start_with_a_silent_worker(&world, &silent, data);
    world.session->options.transfer_timeout_ms = 300;
    if (_i == 1)
        unit_code(alch_matrix_read_start(world.handle, NULL, data, 1, 1000, &transfer, &err), ALCH_OK);
    else
        unit_code(alch_matrix_write_start(world.handle, NULL, data, 1, 1000, &transfer, &err), ALCH_OK);
    unit_code(alch_transfer_wait(transfer, 50, &err), ALCH_EAGAIN);
    unit_code(alch_transfer_wait(transfer, 5000, &err), ALCH_ETIMEDOUT);
    ck_assert_msg(strstr(err.text, "worker 2 at 127.0.0.1") && strstr(err.text, "0.3 s"), "%s", err.text);
    alch_transfer_destroy(transfer);
    world_stop_with_a_silent_worker(&world, &silent);
    free(data);
}
END_TEST

/* The transfer ends long before transfer_timeout_ms, which is a minute. */
START_TEST(cancel_ends_a_transfer_to_a_silent_worker)
{
    double *data = calloc(1000 * 2000, sizeof(*data));
    alch_transfer_t *transfer;
    silent_t silent;
    world_t world;

    world_start_with_a_silent_worker(&world, &silent, data);
    world.session->options.transfer_timeout_ms = 60000;
    unit_code(alch_matrix_write_start(world.handle, NULL, data, 1, 1000, &transfer, &err), ALCH_OK);
    unit_code(alch_transfer_wait(transfer, 50, &err), ALCH_EAGAIN);
    alch_transfer_cancel(transfer);
    unit_code(alch_transfer_wait(transfer, 5000, &err), ALCH_ECANCELED);
    alch_transfer_destroy(transfer);
    world_stop_with_a_silent_worker(&world, &silent);
    free(data);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("transfer");

    tcase_add_loop_test(tcase, written_entries_are_read_back, 0, 3);
    tcase_add_test(tcase, strides_may_be_zero_or_negative);
    tcase_add_test(tcase, null_arguments_are_refused);
    tcase_add_test(tcase, rectangles_outside_the_matrix_are_refused);
    tcase_add_test(tcase, empty_transfers_end_at_once);
    tcase_add_test(tcase, unwritten_entries_cannot_be_read);
    tcase_add_test(tcase, matrix_that_a_task_uses_can_only_be_read);
    tcase_add_test(tcase, progress_counts_the_bytes_of_all_replicas);
    tcase_add_test(tcase, cancel_after_the_end_has_no_effect);
    tcase_add_test(tcase, timings_are_given_for_each_worker);
    tcase_add_loop_test(tcase, driver_explains_the_end_of_a_worker, 0, 2);
    tcase_add_test(tcase, unauthenticated_worker_is_named);
    tcase_add_loop_test(tcase, silent_worker_is_named, 0, 2);
    tcase_add_test(tcase, cancel_ends_a_transfer_to_a_silent_worker);
    suite_add_tcase(suite, tcase);
}
