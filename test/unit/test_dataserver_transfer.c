/* The data server: what a client writes is what it reads, and what it may not do. */
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

START_TEST(strangers_are_refused)
{
    const alchi_claim_t claims[] = {{ALCHI_ROLE_DATA, SESSION + 1, GROUP, RANK},
                                    {ALCHI_ROLE_DATA, SESSION, GROUP + 1, RANK},
                                    {ALCHI_ROLE_DATA, SESSION, GROUP, RANK + 1},
                                    {ALCHI_ROLE_RANK, SESSION, GROUP, RANK},
                                    {ALCHI_ROLE_DATA, SESSION, GROUP, RANK}};
    server_t server = server_start((alchi_data_config_t){.threads = 2});

    for (int k = 0; k < 5; k++) {
        alchi_channel_t *channel = client_raw(&server);

        unit_code(client_prove(channel, &claims[k], k == 4 ? 8 : 7), ALCH_EAUTH);
        alchi_channel_destroy(channel);
    }
    ck_assert_int_eq(alchi_data_server_connections(server.data), 0);
    alchi_channel_destroy(client_open(&server));
    server_stop(&server);
}
END_TEST

/* {m, n of the part; rectangle}: whole columns, long, middling and short pieces of columns, one entry, nothing. */
static const struct {
    int64_t m, n;
    alch_rect_t rect;
} shapes[] = {
    {1000, 400, {0, 0, 1000, 400}}, {1000, 400, {0, 17, 1000, 380}}, {9000, 30, {5, 3, 8990, 26}},
    {3000, 50, {100, 0, 2000, 50}}, {500, 700, {3, 5, 490, 690}},    {50, 20000, {7, 9, 3, 19000}},
    {2, 90000, {1, 0, 1, 90000}},   {400, 400, {399, 399, 1, 1}},    {40, 40, {40, 40, 0, 0}},
    {40, 40, {3, 3, 0, 5}},         {0, 10, {0, 0, 0, 10}},
};

START_TEST(round_trip)
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
        ck_assert_int_eq(alchi_region_count(part->region), rect.m * rect.n);
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

START_TEST(refused_writes_leave_the_connection)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1, .message_limit = 2000000});
    alchi_channel_t *channel = client_open(&server);
    alchi_store_part_t *part = server_matrix(&server, 4, 500, 600, ALCH_FLOAT64);
    alch_rect_t columns = {0, 0, 500, 400}, low = {400, 0, 101, 4}, negative = {-1, 0, 2, 2};
    uint64_t id = 4;
    void *bytes = filled(2400000, 1);

    unit_code(write_rect(channel, 1, 77, columns, bytes, 1600000), ALCH_ENOENT);
    unit_code(write_rect(channel, 2, 4, low, bytes, 101 * 4 * 8), ALCH_ERANGE);
    unit_code(write_rect(channel, 3, 4, negative, bytes, 32), ALCH_ERANGE);
    unit_code(write_rect(channel, 4, 4, (alch_rect_t){0, 0, INT64_MAX, INT64_MAX}, bytes, 32), ALCH_ERANGE);
    unit_code(write_rect(channel, 5, 4, (alch_rect_t){0, 0, 500, 600}, bytes, 2400000), ALCH_ELIMIT);
    ck_assert_str_eq(err.text, "matrix 4 (1000 x 600, float64): a message of 2.4 MB exceeds the limit of 2.0 MB "
                               "(--message-limit)");
    ck_assert_int_eq(err.rank, RANK);
    unit_code(write_rect(channel, 6, 4, columns, bytes, 1600000 - 8), ALCH_EPROTO);
    unit_code(write_rect(channel, 7, 4, columns, bytes, 1600000 + 8), ALCH_EPROTO);
    unit_code(alchi_store_lock(server.store, 9, "svd", &id, 1, &err), ALCH_OK);
    unit_code(write_rect(channel, 8, 4, columns, bytes, 1600000), ALCH_EBUSY);
    ck_assert_str_eq(err.text, "matrix 4 (1000 x 600, float64) is read by task 9 (svd)");
    ck_assert_int_eq(alchi_region_count(part->region), 0);
    alchi_store_unlock(server.store, 9);
    unit_code(write_rect(channel, 9, 4, columns, bytes, 1600000), ALCH_OK);
    ck_assert(memcmp(part->data, bytes, 1600000) == 0);
    free(bytes);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

/* A task, or a free, may come between two frames of a write. */
START_TEST(taken_in_the_middle_of_a_write)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1});
    alchi_channel_t *channel = client_open(&server);
    alchi_store_part_t *part = server_matrix(&server, 4, 1000, 2, ALCH_FLOAT64);
    alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION, .type = ALCHI_DATA_WRITE, .id = 1, .payload = 8000};
    Alchw__Rect where = ALCHW__RECT__INIT;
    Alchw__DataWrite write = ALCHW__DATA_WRITE__INIT;
    void *bytes = filled(8000, 1);
    uint64_t id = 4;

    where.has_m = where.has_n = write.has_matrix = true;
    where.m = 1000, where.n = 2, write.matrix = 4, write.rect = &where;
    for (int k = 0; k < 2; k++) {
        frame.flags = ALCHI_FRAME_MORE;
        unit_code(send_frame(channel, &frame, &write, bytes), ALCH_OK);
        /* Wait for its arrival: a reference is held. */
        for (int t = 0; t < 5000 && ((volatile uint8_t *)part->data)[7999] != ((uint8_t *)bytes)[7999]; t++)
            usleep(1000);
        if (k == 0)
            unit_code(alchi_store_lock(server.store, 9, "svd", &id, 1, &err), ALCH_OK);
        else
            unit_code(alchi_store_free(server.store, 4, &err), ALCH_OK);
        frame.flags = 0;
        unit_code(send_frame(channel, &frame, NULL, bytes), ALCH_OK);
        unit_code(receive_answer(channel, 1, ALCHI_DATA_ACK), k == 0 ? ALCH_EBUSY : ALCH_ENOENT);
        alchi_store_unlock(server.store, 9);
        memset(part->data, 0xee, 16000);
    }
    ck_assert_int_eq(alchi_region_count(part->region), 0);
    ck_assert_int_eq(part->references, 1);
    alchi_store_release(server.store, part);
    ck_assert_int_eq(alchi_store_used(server.store), 0);
    free(bytes);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

START_TEST(unwritten_entries_are_not_read)
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
    unit_code(read_rect(channel, 5, 5, all, bytes, 800), ALCH_ENOENT);
    unit_code(read_rect(channel, 6, 4, (alch_rect_t){0, 0, 11, 1}, bytes, 88), ALCH_ERANGE);
    unit_code(alchi_channel_send(channel, ALCHI_DATA_READ, 0, 7, NULL), ALCH_OK);
    unit_code(receive_answer(channel, 7, ALCHI_DATA_ACK), ALCH_EPROTO);
    unit_code(alchi_channel_send(channel, ALCHI_PING, 0, 8, NULL), ALCH_OK);
    unit_code(receive_answer(channel, 8, ALCHI_EMPTY), ALCH_OK);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

/* More requests than the worker keeps: it stops reading until answers have left. */
START_TEST(many_requests_in_flight)
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

/* Writes its columns in tiles of odd sizes, reads them back, and rewrites one. */
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

START_TEST(many_clients_at_once)
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
    for (int t = 0; t < 5000 && alchi_data_server_connections(server.data) > 0; t++)
        usleep(1000);
    ck_assert_int_eq(alchi_data_server_connections(server.data), 0);
    ck_assert_int_eq(part->references, 2);
    alchi_store_release(server.store, part);
    server_stop(&server);
}
END_TEST

/* Stopping the server gives all memory back, whatever is under way. */
START_TEST(stop_in_the_middle)
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
    TCase *tcase = tcase_create("data");

    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, strangers_are_refused);
    tcase_add_loop_test(tcase, round_trip, 0, (int)(sizeof shapes / sizeof *shapes));
    tcase_add_test(tcase, refused_writes_leave_the_connection);
    tcase_add_test(tcase, taken_in_the_middle_of_a_write);
    tcase_add_test(tcase, unwritten_entries_are_not_read);
    tcase_add_test(tcase, many_requests_in_flight);
    tcase_add_test(tcase, many_clients_at_once);
    tcase_add_test(tcase, stop_in_the_middle);
    suite_add_tcase(suite, tcase);
}
