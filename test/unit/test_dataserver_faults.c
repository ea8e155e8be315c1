/* Peers of the data server that break the protocol, stall, or come in crowds. */
#include "dataserver_rank.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

static int log_fd = -1, real_fd = -1;

/* Standard error goes into a pipe, to count what is logged. */
static void
log_capture(void)
{
    int fds[2];

    ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    real_fd = dup(2);
    ck_assert_int_ge(dup2(fds[1], 2), 0);
    close(fds[1]);
    log_fd = fds[0];
    alchi_log_init("test", ALCHI_LOG_WARNING);
}

static int
log_lines(char *text, size_t size)
{
    ssize_t n = read(log_fd, text, size - 1);
    int lines = 0;

    text[n > 0 ? n : 0] = '\0';
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    return lines;
}

static void
log_release(void)
{
    dup2(real_fd, 2);
    close(real_fd);
    close(log_fd);
}

/* Whether the server closes within WAIT_MS; what it sends before is dropped. */
static bool
is_closed(alchi_channel_t *channel)
{
    int fd = alchi_channel_fd(channel);
    char bytes[4096];

    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        ssize_t n;

        if (poll(&p, 1, WAIT_MS) <= 0)
            return false;
        n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            return true;
    }
}

static void
send_raw(alchi_channel_t *channel, const void *bytes, size_t size)
{
    ck_assert_int_eq(send(alchi_channel_fd(channel), bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* It still serves others. */
static void
ck_serves(server_t *server)
{
    alchi_channel_t *channel = client_open(server);

    unit_code(alchi_channel_send(channel, ALCHI_PING, 0, 1, NULL), ALCH_OK);
    unit_code(receive_answer(channel, 1, ALCHI_EMPTY), ALCH_OK);
    alchi_channel_destroy(channel);
}

static void
encode(uint8_t header[ALCHI_FRAME_HEADER], unsigned type, uint32_t meta, uint32_t payload)
{
    alchi_frame_t frame = {
        .version = ALCHI_WIRE_VERSION, .type = (uint16_t)type, .id = 1, .meta = meta, .payload = payload};

    alchi_frame_encode(&frame, header);
}

static size_t
make_garbage(int kind, uint8_t *bytes, size_t size)
{
    memset(bytes, 0xa5, size);
    switch (kind) {
    case 0:
        memcpy(bytes, "GET / HTTP/1.1\r\n\r\n", 18);
        return 18;
    case 1:
        return 1000;
    case 2: /* a message that is too large before the proof */
        encode(bytes, ALCHI_HELLO, 5000, 0);
        return ALCHI_FRAME_HEADER;
    case 3: /* payload before the proof */
        encode(bytes, ALCHI_HELLO, 0, 1000);
        return ALCHI_FRAME_HEADER;
    case 4: /* a HELLO that is none */
        encode(bytes, ALCHI_HELLO, 100, 0);
        return ALCHI_FRAME_HEADER + 100;
    case 5: /* a request before the proof */
        encode(bytes, ALCHI_PING, 0, 0);
        return ALCHI_FRAME_HEADER;
    default: /* an unknown type */
        encode(bytes, 999, 0, 0);
        return ALCHI_FRAME_HEADER;
    }
}

START_TEST(garbage_from_strangers)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1});
    alchi_channel_t *channel = client_raw(&server);
    uint8_t bytes[1000];
    char text[4096];

    log_capture();
    send_raw(channel, bytes, make_garbage(_i, bytes, sizeof bytes));
    ck_assert(is_closed(channel));
    ck_assert_msg(log_lines(text, sizeof text) == 1, "logged: %s", text);
    ck_assert_msg(strstr(text, "data connection from 127.0.0.1 closed"), "logged: %s", text);
    ck_serves(&server);
    ck_assert_msg(log_lines(text, sizeof text) == 0, "logged: %s", text);
    log_release();
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

static void
break_protocol(int kind, alchi_channel_t *channel)
{
    uint8_t bytes[2 * ALCHI_FRAME_HEADER + 1000] = {0};
    alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION, .type = ALCHI_DATA_READ, .id = 1, .payload = 8};

    switch (kind) {
    case 0:
        send_raw(channel, bytes, sizeof bytes);
        return;
    case 1: /* a request of another connection */
        alchi_channel_send(channel, ALCHI_LIST_WORKERS, 0, 1, NULL);
        return;
    case 2: /* no request id */
        alchi_channel_send(channel, ALCHI_PING, 0, 0, NULL);
        return;
    case 3: /* a reply that nobody waits for */
        alchi_channel_send(channel, ALCHI_DATA_ACK, ALCHI_FRAME_REPLY, 1, NULL);
        return;
    case 4: /* a read with payload */
        send_frame(channel, &frame, NULL, bytes);
        return;
    case 5: /* the second frame without the check of the first */
        frame.type = ALCHI_DATA_WRITE;
        frame.flags = ALCHI_FRAME_MORE | ALCHI_FRAME_CHECK;
        send_frame(channel, &frame, NULL, bytes);
        frame.flags = 0;
        send_frame(channel, &frame, NULL, bytes);
        return;
    case 8: /* and with one that the first did not have */
        frame.type = ALCHI_DATA_WRITE;
        frame.flags = ALCHI_FRAME_MORE;
        send_frame(channel, &frame, NULL, bytes);
        frame.flags = ALCHI_FRAME_CHECK;
        send_frame(channel, &frame, NULL, bytes);
        return;
    case 9: /* a check of no payload */
        frame.type = ALCHI_DATA_READ;
        frame.flags = ALCHI_FRAME_CHECK;
        frame.payload = 0;
        alchi_frame_encode(&frame, bytes);
        send_raw(channel, bytes, ALCHI_FRAME_HEADER);
        return;
    case 6: /* another request within a payload */
        frame.type = ALCHI_DATA_WRITE;
        frame.flags = ALCHI_FRAME_MORE;
        send_frame(channel, &frame, NULL, bytes);
        send_read(channel, 2, 4, (alch_rect_t){0, 0, 1, 1});
        return;
    case 7: /* another write within a payload */
        frame.type = ALCHI_DATA_WRITE;
        frame.flags = ALCHI_FRAME_MORE;
        send_frame(channel, &frame, NULL, bytes);
        frame.id = 2;
        send_frame(channel, &frame, NULL, bytes);
        return;
    default: /* payload beyond the limit */
        encode(bytes, ALCHI_DATA_WRITE, 0, ALCHI_PAYLOAD_MAX + 1);
        send_raw(channel, bytes, ALCHI_FRAME_HEADER);
        return;
    }
}

START_TEST(protocol_broken_after_the_proof)
{
    server_t server = server_start((alchi_data_config_t){.threads = 2});
    alchi_store_part_t *part = server_matrix(&server, 4, 10, 10, ALCH_FLOAT64);
    alchi_channel_t *channel = client_open(&server);
    char text[4096];

    log_capture();
    break_protocol(_i, channel);
    ck_assert(is_closed(channel));
    ck_assert_msg(log_lines(text, sizeof text) == 1, "logged: %s", text);
    ck_assert_msg(strstr(text, "data connection from 127.0.0.1 closed"), "logged: %s", text);
    ck_serves(&server);
    log_release();
    ck_assert_int_eq(alchi_region_count(part->region), 0);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

START_TEST(who_breaks_the_protocol_is_told)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1});
    alchi_channel_t *channel = client_open(&server);

    unit_code(alchi_channel_send(channel, ALCHI_LIST_WORKERS, 0, 1, NULL), ALCH_OK);
    unit_code(receive_answer(channel, 0, ALCHI_EMPTY), ALCH_EPROTO);
    ck_assert_msg(strstr(err.text, "LIST_WORKERS"), "%s", err.text);
    unit_code(receive_answer(channel, 0, ALCHI_EMPTY), ALCH_ECONNECT);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

START_TEST(silence_before_the_proof)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1, .handshake_timeout_ms = 50});
    alchi_channel_t *channel = client_raw(&server), *half = client_raw(&server);

    send_raw(half, "ALC", 3);
    ck_assert(is_closed(channel));
    ck_assert(is_closed(half));
    ck_serves(&server);
    alchi_channel_destroy(channel);
    alchi_channel_destroy(half);
    server_stop(&server);
}
END_TEST

/* Idle is allowed as long as one likes, a pause in the middle of something is not. */
START_TEST(stalls)
{
    server_t server = server_start((alchi_data_config_t){.threads = 2, .io_timeout_ms = 100});
    alchi_store_part_t *part = server_matrix(&server, 4, 1000, 4000, ALCH_FLOAT64);
    alch_rect_t all = {0, 0, 1000, 4000};
    alchi_channel_t *idle = client_open(&server), *writing = client_open(&server), *between = client_open(&server),
                    *reading = client_open(&server), *half = client_open(&server);
    uint8_t header[ALCHI_FRAME_HEADER];
    size_t size = 32000000;
    void *bytes = calloc(1, size);

    unit_code(write_rect(reading, 1, 4, all, bytes, size), ALCH_OK);
    /* Half a frame's payload; a frame with MORE and no next one; half a header; blocks that nobody reads. */
    encode(header, ALCHI_DATA_WRITE, 0, 1000);
    send_raw(writing, header, sizeof header);
    send_raw(writing, bytes, 500);
    header[5] = ALCHI_FRAME_MORE;
    send_raw(between, header, sizeof header);
    send_raw(between, bytes, 1000);
    send_raw(half, header, 20);
    for (uint64_t k = 0; k < 8; k++)
        unit_code(send_read(reading, 2 + k, 4, all), ALCH_OK);
    ck_assert(is_closed(writing));
    ck_assert(is_closed(between));
    ck_assert(is_closed(half));
    for (int t = 0; t < 5000 && alchi_data_server_connections(server.data) > 1; t++)
        usleep(1000);
    ck_assert_int_eq(alchi_data_server_connections(server.data), 1);
    ck_assert_int_eq(part->references, 2);
    unit_code(alchi_channel_send(idle, ALCHI_PING, 0, 1, NULL), ALCH_OK);
    unit_code(receive_answer(idle, 1, ALCHI_EMPTY), ALCH_OK);
    free(bytes);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(idle);
    alchi_channel_destroy(writing);
    alchi_channel_destroy(between);
    alchi_channel_destroy(half);
    alchi_channel_destroy(reading);
    server_stop(&server);
}
END_TEST

/* How long until the worker has dropped all but `left` connections; the other side goes on meanwhile. */
static int
drip(const server_t *server, alchi_channel_t *channel, bool sending, int left)
{
    char byte = 0;
    int steps = 0;

    for (; steps < 300 && alchi_data_server_connections(server->data) > left; steps++) {
        if (sending)
            send(alchi_channel_fd(channel), &byte, 1, MSG_NOSIGNAL);
        else
            (void)!recv(alchi_channel_fd(channel), &byte, 1, MSG_DONTWAIT);
        usleep(10000);
    }
    return steps * 10;
}

/* A byte now and then does not keep a place; who is slow but gets on keeps it. */
START_TEST(drips)
{
    server_t server = server_start((alchi_data_config_t){.threads = 2, .io_timeout_ms = 200});
    alchi_store_part_t *part = server_matrix(&server, 4, 1000, 4000, ALCH_FLOAT64);
    alch_rect_t all = {0, 0, 1000, 4000}, column = {0, 0, 1000, 1};
    alchi_channel_t *writing = client_open(&server), *reading = client_open(&server), *slow = client_open(&server);
    uint8_t header[ALCHI_FRAME_HEADER];
    uint8_t *bytes = calloc(1, 32000000);

    unit_code(write_rect(reading, 1, 4, all, bytes, 32000000), ALCH_OK);
    encode(header, ALCHI_DATA_WRITE, 0, 1000);
    send_raw(writing, header, sizeof header);
    ck_assert_int_lt(drip(&server, writing, true, 2), 2000);
    unit_code(send_read(reading, 2, 4, all), ALCH_OK);
    ck_assert_int_lt(drip(&server, reading, false, 1), 2000);
    /* Five messages in 500 ms, none of which ends where a piece of the stream does. */
    for (uint64_t k = 0; k < 5; k++) {
        unit_code(send_write(slow, 10 + k, 4, column, bytes, 8000, 8000), ALCH_OK);
        unit_code(alchi_channel_send(slow, ALCHI_PING, 0, 20 + k, NULL), ALCH_OK);
        send_raw(slow, "ALC", k == 4 ? 0 : 3);
        usleep(k == 4 ? 0 : 100000);
        if (k < 4) { /* the rest of a PING whose magic was sent */
            encode(header, ALCHI_PING, 0, 0);
            send_raw(slow, header + 3, sizeof header - 3);
        }
    }
    ck_assert_int_eq(alchi_data_server_connections(server.data), 1);
    unit_code(receive_answer(slow, 10, ALCHI_DATA_ACK), ALCH_OK);
    free(bytes);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(writing);
    alchi_channel_destroy(reading);
    alchi_channel_destroy(slow);
    server_stop(&server);
}
END_TEST

START_TEST(idle_for_long)
{
    server_t server = server_start((alchi_data_config_t){.threads = 2, .idle_timeout_ms = 150});
    alchi_channel_t *idle = client_open(&server), *busy = client_open(&server);

    for (uint64_t k = 0; k < 12; k++) {
        unit_code(alchi_channel_send(busy, ALCHI_PING, 0, 1 + k, NULL), ALCH_OK);
        unit_code(receive_answer(busy, 1 + k, ALCHI_EMPTY), ALCH_OK);
        usleep(30000);
    }
    ck_assert(is_closed(idle));
    unit_code(alchi_channel_send(busy, ALCHI_PING, 0, 99, NULL), ALCH_OK);
    unit_code(receive_answer(busy, 99, ALCHI_EMPTY), ALCH_OK);
    ck_assert(is_closed(busy));
    for (int t = 0; t < 1000 && alchi_data_server_connections(server.data) > 0; t++)
        usleep(1000);
    ck_assert_int_eq(alchi_data_server_connections(server.data), 0);
    alchi_channel_destroy(idle);
    alchi_channel_destroy(busy);
    server_stop(&server);
}
END_TEST

/* More slow readers of scattered columns than there are buffers for them: the others do without. */
START_TEST(more_readers_than_buffers)
{
    enum { READERS = 40, M = 3000, N = 600 };
    server_t server = server_start((alchi_data_config_t){.threads = 1});
    alchi_store_part_t *part = server_matrix(&server, 4, M, N, ALCH_FLOAT64);
    alch_rect_t all = {0, 0, M, N}, rect = {5, 0, 100, N};
    alchi_channel_t *readers[READERS];
    double *bytes = malloc(sizeof(double) * M * N), *in = malloc(sizeof(double) * 100 * N);

    for (int64_t k = 0; k < M * N; k++)
        bytes[k] = (double)k;
    for (int k = 0; k < READERS; k++)
        readers[k] = client_open(&server);
    unit_code(write_rect(readers[0], 1, 4, all, bytes, sizeof(double) * M * N), ALCH_OK);
    for (int k = 0; k < READERS; k++)
        for (uint64_t id = 2; id < 20; id++)
            unit_code(send_read(readers[k], id, 4, rect), ALCH_OK);
    for (int k = READERS - 1; k >= 0; k--) {
        for (uint64_t id = 2; id < 20; id++)
            unit_code(receive_block(readers[k], id, in, sizeof(double) * 100 * N), ALCH_OK);
        for (int64_t j = 0; j < N; j++)
            ck_assert(memcmp(in + j * 100, bytes + j * M + 5, 800) == 0);
        alchi_channel_destroy(readers[k]);
    }
    free(bytes);
    free(in);
    alchi_store_release(server.store, part);
    server_stop(&server);
}
END_TEST

/* A peer that asks and never reads cannot make the worker keep more than a bounded number of requests. */
START_TEST(requests_without_reading)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1, .io_timeout_ms = 300});
    alchi_store_part_t *part = server_matrix(&server, 4, 100000, 10, ALCH_FLOAT64);
    alchi_channel_t *channel = client_open(&server);
    void *bytes = calloc(1, 8000000);
    int most = 0;

    unit_code(write_rect(channel, 1, 4, (alch_rect_t){0, 0, 100000, 10}, bytes, 8000000), ALCH_OK);
    for (uint64_t k = 0; k < 2000; k++)
        if (send_read(channel, 2 + k, 4, (alch_rect_t){0, 0, 100000, 10}))
            break;
    for (int t = 0; t < 5000 && alchi_data_server_connections(server.data) > 0; t++) {
        int references = ((volatile alchi_store_part_t *)part)->references;

        most = references > most ? references : most;
        usleep(1000);
    }
    ck_assert_int_eq(alchi_data_server_connections(server.data), 0);
    ck_assert_int_le(most, 2 + 24);
    ck_assert_int_ge(most, 2 + 22);
    free(bytes);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

START_TEST(crowds)
{
    const alchi_claim_t claim = {ALCHI_ROLE_DATA, SESSION, GROUP, RANK};
    server_t server = server_start((alchi_data_config_t){.threads = 2, .connection_limit = 5});
    alchi_channel_t *strangers[272], *clients[6];

    for (int k = 0; k < 272; k++)
        strangers[k] = client_raw(&server);
    ck_assert(is_closed(strangers[0]));
    ck_assert(is_closed(strangers[15]));
    for (int k = 0; k < 5; k++)
        clients[k] = client_open(&server);
    /* It may know why: it has proved itself. Twice, and what it sends early does not drown the answer. */
    for (int k = 0; k < 2; k++) {
        clients[5] = client_raw(&server);
        unit_code(client_prove(clients[5], &claim, 7), ALCH_ELIMIT);
        ck_assert_msg(strstr(err.text, "5 data connections are open already") && strstr(err.text, "--connections"),
                      "%s", err.text);
        ck_assert(is_closed(clients[5]));
        alchi_channel_destroy(clients[5]);
    }
    for (int k = 0; k < 5; k++) {
        unit_code(alchi_channel_send(clients[k], ALCHI_PING, 0, 1, NULL), ALCH_OK);
        unit_code(receive_answer(clients[k], 1, ALCHI_EMPTY), ALCH_OK);
        alchi_channel_destroy(clients[k]);
    }
    for (int t = 0; t < 5000 && alchi_data_server_connections(server.data) > 0; t++)
        usleep(1000);
    ck_serves(&server);
    for (int k = 0; k < 272; k++)
        alchi_channel_destroy(strangers[k]);
    server_stop(&server);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("faults");

    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, garbage_from_strangers, 0, 7);
    tcase_add_loop_test(tcase, protocol_broken_after_the_proof, 0, 11);
    tcase_add_test(tcase, who_breaks_the_protocol_is_told);
    tcase_add_test(tcase, silence_before_the_proof);
    tcase_add_test(tcase, stalls);
    tcase_add_test(tcase, drips);
    tcase_add_test(tcase, idle_for_long);
    tcase_add_test(tcase, more_readers_than_buffers);
    tcase_add_test(tcase, requests_without_reading);
    tcase_add_test(tcase, crowds);
    suite_add_tcase(suite, tcase);
}
