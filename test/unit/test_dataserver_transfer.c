/* The data server: a client reads what it wrote, and invalid requests are refused. */
#include "dataserver_rank.h"

#include <pthread.h>

static void
fill(void *bytes, size_t size, unsigned seed)
{
    uint8_t *b = bytes;

    for (size_t k = 0; k < size; k++)
        b[k] = (uint8_t)((k * 2654435761u + seed * 40503u) >> 7);
}

static void *
filled(size_t size, unsigned seed)
{
    void *bytes = malloc(size + 1);

    ck_assert_ptr_nonnull(bytes);
    fill(bytes, size, seed);
    return bytes;
}

START_TEST(a_wrong_claim_or_key_is_refused)
{
    const alchi_claim_t claims[] = {{ALCHI_ROLE_DATA, SESSION + 1, GROUP, RANK},
                                    {ALCHI_ROLE_DATA, SESSION, GROUP + 1, RANK},
                                    {ALCHI_ROLE_DATA, SESSION, GROUP, RANK + 1},
                                    {ALCHI_ROLE_RANK, SESSION, GROUP, RANK},
                                    {ALCHI_ROLE_DATA, SESSION, GROUP, RANK}};
    server_t server = server_start((alchi_data_config_t){.threads = 2});

    for (int k = 0; k < 5; k++) {
        alchi_channel_t *channel = client_raw(&server);

        unit_code(client_authenticate(channel, &claims[k], k == 4 ? 8 : 7), ALCH_EAUTH);
        alchi_channel_destroy(channel);
    }
    ck_assert_int_eq(alchi_data_server_connections(server.data), 0);
    alchi_channel_destroy(client_open(&server));
    server_stop(&server);
}
END_TEST

/* Whole columns, long, medium and short pieces of columns, one entry, no entries. */
static const struct {
    int64_t m, n; /* of the part */
    alch_rect_t rect;
} shapes[] = {
    {1000, 400, {0, 0, 1000, 400}}, {1000, 400, {0, 17, 1000, 380}}, {9000, 30, {5, 3, 8990, 26}},
    {3000, 50, {100, 0, 2000, 50}}, {500, 700, {3, 5, 490, 690}},    {50, 20000, {7, 9, 3, 19000}},
    {2, 90000, {1, 0, 1, 90000}},   {400, 400, {399, 399, 1, 1}},    {40, 40, {40, 40, 0, 0}},
    {40, 40, {3, 3, 0, 5}},         {0, 10, {0, 0, 0, 10}},
};

START_TEST(a_client_reads_what_it_wrote)
{
    const alch_dtype_t dtypes[] = {ALCH_FLOAT64, ALCH_INT32, ALCH_COMPLEX128};
    alch_rect_t rect = shapes[_i].rect;
    server_t server = server_start((alchi_data_config_t){.threads = 1});
    alchi_channel_t *channel = client_open(&server);

    for (unsigned k = 0; k < 3; k++) {
        alchi_store_part_t *part = server_matrix(&server, 1 + k, shapes[_i].m, shapes[_i].n, dtypes[k]);
        size_t entry = part->entry, column = (size_t)rect.m * entry, size = column * (size_t)rect.n;
        uint8_t *out = filled(size, k), *in = calloc(1, size + 1), *data = part->data;

        unit_code(send_write(channel, 1, 1 + k, rect, out, size, k == 1 ? 100003 : ALCHI_PAYLOAD_MAX), ALCH_OK);
        unit_code(receive_answer(channel, 1, ALCHI_DATA_ACK), ALCH_OK);
        for (int64_t j = 0; j < rect.n && column > 0; j++)
            ck_assert(memcmp(data + (size_t)((rect.j + j) * part->lld + rect.i) * entry, out + (size_t)j * column,
                             column) == 0);
        ck_assert_int_eq(count_written(part), rect.m * rect.n);
        unit_code(read_rect(channel, 2, 1 + k, rect, in, size), ALCH_OK);
        ck_assert(memcmp(in, out, size) == 0);
        free(out);
        free(in);
        alchi_store_release(server.store, part);
    }
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

/* A server with matrix 4, of which this rank has 500 x 600 entries, and a client. */
static server_t rank;
static alchi_channel_t *client;
static alchi_store_part_t *target;
static uint8_t *payload;
static const alch_rect_t columns = {0, 0, 500, 400};

#define COLUMNS_BYTES ((size_t)1600000)
#define PAYLOAD_BYTES ((size_t)2400000)

static void
setup(void)
{
    rank = server_start((alchi_data_config_t){.threads = 1, .message_limit = 2000000});
    client = client_open(&rank);
    target = server_matrix(&rank, 4, 500, 600, ALCH_FLOAT64);
    payload = filled(PAYLOAD_BYTES, 1);
}

/* Whatever a test has done before, nothing is written, and the connection serves valid writes. */
static void
teardown(void)
{
    ck_assert_int_eq(count_written(target), 0);
    unit_code(write_rect(client, 99, 4, columns, payload, COLUMNS_BYTES), ALCH_OK);
    ck_assert(memcmp(target->data, payload, COLUMNS_BYTES) == 0);
    free(payload);
    alchi_store_release(rank.store, target);
    alchi_channel_destroy(client);
    server_stop(&rank);
}

START_TEST(a_write_to_an_unknown_matrix_is_refused)
{
    unit_code(write_rect(client, 1, 77, columns, payload, COLUMNS_BYTES), ALCH_ENOENT);
    ck_assert_str_eq(err.text, "worker rank 1 has no matrix 77");
}
END_TEST

START_TEST(a_write_outside_the_part_is_refused)
{
    unit_code(write_rect(client, 1, 4, (alch_rect_t){400, 0, 101, 4}, payload, 101 * 4 * 8), ALCH_ERANGE);
    unit_code(write_rect(client, 2, 4, (alch_rect_t){-1, 0, 2, 2}, payload, 32), ALCH_ERANGE);
    unit_code(write_rect(client, 3, 4, (alch_rect_t){0, 0, INT64_MAX, INT64_MAX}, payload, 32), ALCH_ERANGE);
}
END_TEST

START_TEST(a_write_above_the_message_limit_is_refused)
{
    unit_code(write_rect(client, 1, 4, (alch_rect_t){0, 0, 500, 600}, payload, PAYLOAD_BYTES), ALCH_ELIMIT);
    ck_assert_str_eq(err.text, "matrix 4 (1000 x 600, float64): a message of 2.4 MB exceeds the limit of 2.0 MB "
                               "(--message-limit)");
    ck_assert_int_eq(err.rank, RANK);
}
END_TEST

START_TEST(a_write_with_too_few_or_too_many_bytes_is_refused)
{
    unit_code(write_rect(client, 1, 4, columns, payload, COLUMNS_BYTES - 8), ALCH_EPROTO);
    unit_code(write_rect(client, 2, 4, columns, payload, COLUMNS_BYTES + 8), ALCH_EPROTO);
}
END_TEST

START_TEST(a_write_is_refused_while_a_task_reads)
{
    const uint64_t id = 4;

    unit_code(alchi_store_lock(rank.store, 9, "svd", &id, 1, &err), ALCH_OK);
    unit_code(write_rect(client, 1, 4, columns, payload, COLUMNS_BYTES), ALCH_EBUSY);
    ck_assert_str_eq(err.text, "matrix 4 (1000 x 600, float64) is read by task 9 (svd)");
    alchi_store_unlock(rank.store, 9);
}
END_TEST

static bool
has_arrived(void *context)
{
    const alchi_store_part_t *part = context;

    return ((volatile uint8_t *)part->data)[7999] == 1;
}

/* A task locks the matrix, or it is freed, between the two frames of a write. */
START_TEST(a_lock_or_free_within_a_write_refuses_it)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1});
    alchi_channel_t *channel = client_open(&server);
    alchi_store_part_t *part = server_matrix(&server, 4, 1000, 2, ALCH_FLOAT64);
    alchi_frame_t frame = {
        .version = ALCHI_WIRE_VERSION, .type = ALCHI_DATA_WRITE, .flags = ALCHI_FRAME_MORE, .id = 1, .payload = 8000};
    Alchw__Rect where = ALCHW__RECT__INIT;
    Alchw__DataWrite write = ALCHW__DATA_WRITE__INIT;
    const uint64_t id = 4;
    uint8_t bytes[8000];
    bool lock = _i == 0;

    memset(bytes, 1, sizeof(bytes));
    where.has_m = where.has_n = write.has_matrix = true;
    where.m = 1000, where.n = 2, write.matrix = 4, write.rect = &where;
    unit_code(send_frame(channel, &frame, &write, bytes), ALCH_OK);
    unit_wait_for(has_arrived, part, WAIT_MS);
    if (lock)
        unit_code(alchi_store_lock(server.store, 9, "svd", &id, 1, &err), ALCH_OK);
    else
        unit_code(alchi_store_free(server.store, 4, &err), ALCH_OK);
    frame.flags = 0;
    unit_code(send_frame(channel, &frame, NULL, bytes), ALCH_OK);
    unit_code(receive_answer(channel, 1, ALCHI_DATA_ACK), lock ? ALCH_EBUSY : ALCH_ENOENT);
    ck_assert_int_eq(count_written(part), 0);
    alchi_store_unlock(server.store, 9);
    /* One reference of this test, and one for the id if it exists. The write has released its own. */
    ck_assert_int_eq(part->references, lock ? 2 : 1);
    alchi_store_release(server.store, part);
    if (!lock)
        ck_assert_int_eq(alchi_store_used(server.store), 0);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

START_TEST(a_read_of_unwritten_entries_names_them)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1});
    alchi_channel_t *channel = client_open(&server);
    alchi_store_part_t *part = server_matrix(&server, 4, 10, 10, ALCH_FLOAT64);
    alch_rect_t left = {0, 0, 10, 5}, all = {0, 0, 10, 10};
    double bytes[100] = {1};

    unit_code(read_rect(channel, 1, 4, left, bytes, 400), ALCH_EINCOMPLETE);
    ck_assert_msg(strstr(err.text, "rows 10..19 of column 0"), "%s", err.text);
    unit_code(write_rect(channel, 2, 4, left, bytes, 400), ALCH_OK);
    unit_code(read_rect(channel, 3, 4, left, bytes, 400), ALCH_OK);
    unit_code(read_rect(channel, 4, 4, all, bytes, 800), ALCH_EINCOMPLETE);
    ck_assert_msg(strstr(err.text, "rows 10..19 of column 5"), "%s", err.text);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

START_TEST(invalid_reads_leave_the_connection_usable)
{
    double bytes[100];

    unit_code(read_rect(client, 1, 5, (alch_rect_t){0, 0, 10, 10}, bytes, 800), ALCH_ENOENT);
    unit_code(read_rect(client, 2, 4, (alch_rect_t){0, 0, 501, 1}, bytes, 88), ALCH_ERANGE);
    unit_code(alchi_channel_send(client, ALCHI_DATA_READ, 0, 3, NULL), ALCH_OK);
    unit_code(receive_answer(client, 3, ALCHI_DATA_ACK), ALCH_EPROTO);
    unit_code(alchi_channel_send(client, ALCHI_PING, 0, 4, NULL), ALCH_OK);
    unit_code(receive_answer(client, 4, ALCHI_EMPTY), ALCH_OK);
}
END_TEST

/* The server has a limit of replies: it stops reading requests until some were sent. */
START_TEST(requests_beyond_the_reply_limit_are_all_answered)
{
    enum { REQUESTS = 300, COLUMN = 20000 };
    server_t server = server_start((alchi_data_config_t){.threads = 2});
    alchi_channel_t *channel = client_open(&server);
    alchi_store_part_t *part = server_matrix(&server, 4, COLUMN, 10, ALCH_FLOAT64);
    alch_rect_t all = {0, 0, COLUMN, 10};
    size_t column = COLUMN * 8;
    uint8_t *bytes = filled(10 * column, 3), *in = malloc(column);

    unit_code(write_rect(channel, 1, 4, all, bytes, 10 * column), ALCH_OK);
    for (uint64_t k = 0; k < REQUESTS; k++)
        unit_code(send_read(channel, 100 + k, 4, (alch_rect_t){0, (int64_t)(k % 10), COLUMN, 1}), ALCH_OK);
    for (uint64_t k = 0; k < REQUESTS; k++) {
        unit_code(receive_block(channel, 100 + k, in, column), ALCH_OK);
        ck_assert(memcmp(in, bytes + k % 10 * column, column) == 0);
    }
    free(in);
    free(bytes);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

typedef struct {
    const server_t *server;
    alchi_store_part_t *part;
    int64_t first;
    int failed;
} writer_t;

enum { STRIP = 40, STRIPS = 8, HEIGHT = 700 };

/* Write the columns of this strip in tiles of odd sizes, read each tile back, and write it again. */
static void *
write_strip(void *argument)
{
    writer_t *writer = argument;
    alchi_channel_t *channel = client_open(writer->server);
    double *tile = malloc(sizeof(double) * HEIGHT * STRIP), *back = malloc(sizeof(double) * HEIGHT * STRIP);
    uint64_t id = 1;

    for (int64_t i = 0, m; i < HEIGHT; i += m) {
        alch_rect_t rect = {i, writer->first, 0, STRIP};

        m = HEIGHT - i < 137 ? HEIGHT - i : 137;
        rect.m = m;
        for (int64_t j = 0; j < STRIP; j++)
            for (int64_t r = 0; r < m; r++)
                tile[j * m + r] = (double)((writer->first + j) * 10000 + i + r);
        if (write_rect(channel, id++, 4, rect, tile, (size_t)(m * STRIP) * 8) ||
            read_rect(channel, id++, 4, rect, back, (size_t)(m * STRIP) * 8) ||
            memcmp(tile, back, (size_t)(m * STRIP) * 8) != 0 ||
            write_rect(channel, id++, 4, rect, tile, (size_t)(m * STRIP) * 8))
            writer->failed++;
    }
    free(tile);
    free(back);
    alchi_channel_destroy(channel);
    return NULL;
}

START_TEST(clients_write_disjoint_strips_at_once)
{
    server_t server = server_start((alchi_data_config_t){.threads = 3});
    alchi_store_part_t *part = server_matrix(&server, 4, HEIGHT, STRIP * STRIPS, ALCH_FLOAT64);
    writer_t writers[STRIPS];
    pthread_t threads[STRIPS];

    for (int k = 0; k < STRIPS; k++) {
        writers[k] = (writer_t){&server, part, (int64_t)k * STRIP, 0};
        ck_assert_int_eq(pthread_create(&threads[k], NULL, write_strip, &writers[k]), 0);
    }
    for (int k = 0; k < STRIPS; k++) {
        pthread_join(threads[k], NULL);
        ck_assert_int_eq(writers[k].failed, 0);
    }
    unit_code(alchi_store_check(server.store, 4, &err), ALCH_OK);
    for (int64_t j = 0; j < STRIP * STRIPS; j++)
        for (int64_t i = 0; i < HEIGHT; i++)
            ck_assert(((double *)part->data)[j * HEIGHT + i] == (double)(j * 10000 + i));
    server_wait_for_connections(&server, 0);
    ck_assert_int_eq(part->references, 2); /* one for the id, one of this test */
    alchi_store_release(server.store, part);
    server_stop(&server);
}
END_TEST

/* A write waits for its next frame, blocks wait to be read, and one peer is not authenticated. */
START_TEST(stopping_the_server_frees_all_memory)
{
    server_t server = server_start((alchi_data_config_t){.threads = 2});
    alchi_channel_t *writing = client_open(&server), *reading = client_open(&server), *silent = client_raw(&server);
    alchi_store_part_t *part = server_matrix(&server, 4, 1000, 2000, ALCH_FLOAT64);
    alch_rect_t all = {0, 0, 1000, 2000};
    void *bytes = filled(16000000, 1);

    unit_code(write_rect(reading, 1, 4, all, bytes, 16000000), ALCH_OK);
    for (uint64_t k = 0; k < 10; k++)
        unit_code(send_read(reading, 2 + k, 4, all), ALCH_OK);
    /* The last frame is held back. */
    for (uint64_t k = 0; k < 2; k++)
        unit_code(send_write(writing, 1 + k, 4, all, bytes, 3000000, 1000000), ALCH_OK);
    alchi_store_release(server.store, part);
    unit_code(alchi_store_free(server.store, 4, &err), ALCH_OK);
    alchi_data_server_stop(server.data);
    server.data = NULL;
    ck_assert_int_eq(alchi_store_used(server.store), 0);
    free(bytes);
    alchi_channel_destroy(writing);
    alchi_channel_destroy(reading);
    alchi_channel_destroy(silent);
    server_stop(&server);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("transfer"), *refusals = tcase_create("refusals");

    tcase_add_test(tcase, a_wrong_claim_or_key_is_refused);
    tcase_add_loop_test(tcase, a_client_reads_what_it_wrote, 0, (int)(sizeof(shapes) / sizeof(*shapes)));
    tcase_add_loop_test(tcase, a_lock_or_free_within_a_write_refuses_it, 0, 2);
    tcase_add_test(tcase, a_read_of_unwritten_entries_names_them);
    tcase_add_test(tcase, requests_beyond_the_reply_limit_are_all_answered);
    tcase_add_test(tcase, clients_write_disjoint_strips_at_once);
    tcase_add_test(tcase, stopping_the_server_frees_all_memory);
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(refusals, setup, teardown);
    tcase_add_test(refusals, a_write_to_an_unknown_matrix_is_refused);
    tcase_add_test(refusals, a_write_outside_the_part_is_refused);
    tcase_add_test(refusals, a_write_above_the_message_limit_is_refused);
    tcase_add_test(refusals, a_write_with_too_few_or_too_many_bytes_is_refused);
    tcase_add_test(refusals, a_write_is_refused_while_a_task_reads);
    tcase_add_test(refusals, invalid_reads_leave_the_connection_usable);
    suite_add_tcase(suite, refusals);
}
