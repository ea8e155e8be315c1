/* Peers of the data server that break the protocol, stall, or are too many. */
#include "dataserver_rank.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

static int log_fd = -1, real_fd = -1;

/* Send standard error into a pipe, to count the log lines. */
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

/* Whether the server closes the connection within WAIT_MS. Bytes that it sends before are dropped. */
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
        n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            return true;
    }
}

static void
send_raw(alchi_channel_t *channel, const void *bytes, size_t size)
{
    ck_assert_int_eq(send(alchi_channel_fd(channel), bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Check that the server still serves another client. */
static void
check_server_serves(server_t *server)
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
    case 2: /* a message that is too large before authentication */
        encode(bytes, ALCHI_HELLO, 5000, 0);
        return ALCHI_FRAME_HEADER;
    case 3: /* payload before authentication */
        encode(bytes, ALCHI_HELLO, 0, 1000);
        return ALCHI_FRAME_HEADER;
    case 4: /* a HELLO whose message does not decode */
        encode(bytes, ALCHI_HELLO, 100, 0);
        return ALCHI_FRAME_HEADER + 100;
    case 5: /* a request before authentication */
        encode(bytes, ALCHI_PING, 0, 0);
        return ALCHI_FRAME_HEADER;
    default: /* an unknown type */
        encode(bytes, 999, 0, 0);
        return ALCHI_FRAME_HEADER;
    }
}

START_TEST(garbage_before_authentication_closes_the_connection)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1});
    alchi_channel_t *channel = client_raw(&server);
    uint8_t bytes[1000];
    char text[4096];

    log_capture();
    send_raw(channel, bytes, make_garbage(_i, bytes, sizeof(bytes)));
    ck_assert(is_closed(channel));
    ck_assert_msg(log_lines(text, sizeof(text)) == 1, "logged: %s", text);
    ck_assert_msg(strstr(text, "data connection from 127.0.0.1 closed"), "logged: %s", text);
    check_server_serves(&server);
    ck_assert_msg(log_lines(text, sizeof(text)) == 0, "logged: %s", text);
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
        send_raw(channel, bytes, sizeof(bytes));
        return;
    case 1: /* a request that only the driver serves */
        alchi_channel_send(channel, ALCHI_LIST_WORKERS, 0, 1, NULL);
        return;
    case 2: /* no request id */
        alchi_channel_send(channel, ALCHI_PING, 0, 0, NULL);
        return;
    case 3: /* a reply to no request */
        alchi_channel_send(channel, ALCHI_DATA_ACK, ALCHI_FRAME_REPLY, 1, NULL);
        return;
    case 4: /* a read with payload */
        send_frame(channel, &frame, NULL, bytes);
        return;
    case 5: /* the first frame has a checksum, the second has none */
        frame.type = ALCHI_DATA_WRITE;
        frame.flags = ALCHI_FRAME_MORE | ALCHI_FRAME_CHECK;
        send_frame(channel, &frame, NULL, bytes);
        frame.flags = 0;
        send_frame(channel, &frame, NULL, bytes);
        return;
    case 8: /* the second frame has a checksum, the first has none */
        frame.type = ALCHI_DATA_WRITE;
        frame.flags = ALCHI_FRAME_MORE;
        send_frame(channel, &frame, NULL, bytes);
        frame.flags = ALCHI_FRAME_CHECK;
        send_frame(channel, &frame, NULL, bytes);
        return;
    case 9: /* a checksum without payload */
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

START_TEST(a_broken_protocol_closes_only_this_connection)
{
    server_t server = server_start((alchi_data_config_t){.threads = 2});
    alchi_store_part_t *part = server_matrix(&server, 4, 10, 10, ALCH_FLOAT64);
    alchi_channel_t *channel = client_open(&server);
    char text[4096];

    log_capture();
    break_protocol(_i, channel);
    ck_assert(is_closed(channel));
    ck_assert_msg(log_lines(text, sizeof(text)) == 1, "logged: %s", text);
    ck_assert_msg(strstr(text, "data connection from 127.0.0.1 closed"), "logged: %s", text);
    check_server_serves(&server);
    log_release();
    ck_assert_int_eq(count_written(part), 0);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

START_TEST(a_peer_that_breaks_the_protocol_gets_the_reason)
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

START_TEST(a_peer_that_does_not_authenticate_is_closed)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1, .handshake_timeout_ms = 50});
    alchi_channel_t *channel = client_raw(&server), *half = client_raw(&server);

    send_raw(half, "ALC", 3);
    ck_assert(is_closed(channel));
    ck_assert(is_closed(half));
    check_server_serves(&server);
    alchi_channel_destroy(channel);
    alchi_channel_destroy(half);
    server_stop(&server);
}
END_TEST

/* A server with matrix 4, completely written, whose blocks are larger than the buffers of a socket. */
typedef struct {
    server_t server;
    alchi_store_part_t *part;
    alchi_channel_t *client;
} slow_peer_t;

enum { ROWS = 1000, COLUMNS = 4000 };
static const alch_rect_t whole = {0, 0, ROWS, COLUMNS};

static slow_peer_t
slow_peer_start(int io_timeout_ms)
{
    slow_peer_t peer = {server_start((alchi_data_config_t){.threads = 2, .io_timeout_ms = io_timeout_ms}), NULL, NULL};

    peer.part = server_matrix(&peer.server, 4, ROWS, COLUMNS, ALCH_FLOAT64);
    alchi_store_part_mark_written(peer.part);
    peer.client = client_open(&peer.server);
    server_wait_for_connections(&peer.server, 1);
    return peer;
}

static void
slow_peer_stop(slow_peer_t *peer)
{
    ck_assert_int_eq(peer->part->references, 2); /* one for the id, one of this test */
    alchi_store_release(peer->server.store, peer->part);
    alchi_channel_destroy(peer->client);
    server_stop(&peer->server);
}

static void
stall(int kind, alchi_channel_t *channel)
{
    uint8_t header[ALCHI_FRAME_HEADER];
    uint8_t bytes[1000] = {0};

    encode(header, ALCHI_DATA_WRITE, 0, sizeof(bytes));
    switch (kind) {
    case 0: /* half a header */
        send_raw(channel, header, 20);
        return;
    case 1: /* half a frame's payload */
        send_raw(channel, header, sizeof(header));
        send_raw(channel, bytes, 500);
        return;
    case 2: /* a frame with MORE, and no next one */
        header[5] = ALCHI_FRAME_MORE;
        send_raw(channel, header, sizeof(header));
        send_raw(channel, bytes, sizeof(bytes));
        return;
    default: /* blocks that are not read */
        for (uint64_t k = 0; k < 8; k++)
            unit_code(send_read(channel, 2 + k, 4, whole), ALCH_OK);
        return;
    }
}

START_TEST(a_peer_that_stalls_within_a_message_is_closed)
{
    slow_peer_t peer = slow_peer_start(100);
    alchi_channel_t *idle = client_open(&peer.server);

    server_wait_for_connections(&peer.server, 2);
    stall(_i, peer.client);
    server_wait_for_connections(&peer.server, 1);
    /* A connection that is idle between messages has another time limit. */
    unit_code(alchi_channel_send(idle, ALCHI_PING, 0, 1, NULL), ALCH_OK);
    unit_code(receive_answer(idle, 1, ALCHI_EMPTY), ALCH_OK);
    alchi_channel_destroy(idle);
    server_wait_for_connections(&peer.server, 0);
    slow_peer_stop(&peer);
}
END_TEST

/* Move one byte per poll. @return true: the server has closed the connection */
static bool
send_byte_until_closed(void *context)
{
    slow_peer_t *peer = context;
    char byte = 0;

    send(alchi_channel_fd(peer->client), &byte, 1, MSG_NOSIGNAL);
    return alchi_data_server_connections(peer->server.data) == 0;
}

static bool
receive_byte_until_closed(void *context)
{
    slow_peer_t *peer = context;
    char byte;

    (void)!recv(alchi_channel_fd(peer->client), &byte, 1, MSG_DONTWAIT);
    return alchi_data_server_connections(peer->server.data) == 0;
}

START_TEST(a_peer_that_sends_single_bytes_is_closed)
{
    slow_peer_t peer = slow_peer_start(200);
    uint8_t header[ALCHI_FRAME_HEADER];

    encode(header, ALCHI_DATA_WRITE, 0, 100000);
    send_raw(peer.client, header, sizeof(header));
    unit_wait_for(send_byte_until_closed, &peer, WAIT_MS);
    slow_peer_stop(&peer);
}
END_TEST

START_TEST(a_peer_that_receives_single_bytes_is_closed)
{
    slow_peer_t peer = slow_peer_start(200);

    unit_code(send_read(peer.client, 2, 4, whole), ALCH_OK);
    unit_wait_for(receive_byte_until_closed, &peer, WAIT_MS);
    slow_peer_stop(&peer);
}
END_TEST

/* Five messages take longer than the timeout, but each of them ends within it, though the stream always pauses within a
 * header. */
START_TEST(a_slow_peer_that_completes_messages_stays)
{
    slow_peer_t peer = slow_peer_start(1000);
    alch_rect_t column = {0, 0, ROWS, 1};
    uint8_t header[ALCHI_FRAME_HEADER];
    uint8_t bytes[8 * ROWS] = {0};

    encode(header, ALCHI_PING, 0, 0);
    for (uint64_t k = 0; k < 5; k++) {
        unit_code(send_write(peer.client, 10 + k, 4, column, bytes, sizeof(bytes), sizeof(bytes)), ALCH_OK);
        send_raw(peer.client, header, 3);
        usleep(250000);
        send_raw(peer.client, header + 3, sizeof(header) - 3);
    }
    ck_assert_int_eq(alchi_data_server_connections(peer.server.data), 1);
    unit_code(receive_answer(peer.client, 10, ALCHI_DATA_ACK), ALCH_OK);
    alchi_channel_destroy(peer.client);
    peer.client = NULL;
    server_wait_for_connections(&peer.server, 0);
    slow_peer_stop(&peer);
}
END_TEST

START_TEST(idle_connections_are_closed_and_busy_ones_stay)
{
    server_t server = server_start((alchi_data_config_t){.threads = 2, .idle_timeout_ms = 600});
    alchi_channel_t *idle = client_open(&server), *busy = client_open(&server);

    for (uint64_t k = 0; k < 12; k++) {
        unit_code(alchi_channel_send(busy, ALCHI_PING, 0, 1 + k, NULL), ALCH_OK);
        unit_code(receive_answer(busy, 1 + k, ALCHI_EMPTY), ALCH_OK);
        usleep(75000);
    }
    ck_assert(is_closed(idle));
    unit_code(alchi_channel_send(busy, ALCHI_PING, 0, 99, NULL), ALCH_OK);
    unit_code(receive_answer(busy, 99, ALCHI_EMPTY), ALCH_OK);
    ck_assert(is_closed(busy));
    server_wait_for_connections(&server, 0);
    alchi_channel_destroy(idle);
    alchi_channel_destroy(busy);
    server_stop(&server);
}
END_TEST

/* There are more slow readers of short columns than stages: connections without a stage send the columns in place. */
START_TEST(readers_beyond_the_stages_get_their_blocks)
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

typedef struct {
    server_t *server;
    alchi_store_part_t *part;
    int max_references;
} request_watch_t;

/* Note how many requests the server holds. @return true: it has closed the connection */
static bool
watch_requests(void *context)
{
    request_watch_t *watch = context;
    int references = ((volatile alchi_store_part_t *)watch->part)->references;

    if (references > watch->max_references)
        watch->max_references = references;
    return alchi_data_server_connections(watch->server->data) == 0;
}

/* Each request that the server has read holds a reference. The bound is ALCHI_DATA_CONN_REPLIES (conn.h). */
START_TEST(requests_of_a_peer_that_never_reads_are_bounded)
{
    server_t server = server_start((alchi_data_config_t){.threads = 1, .io_timeout_ms = 300});
    alchi_store_part_t *part = server_matrix(&server, 4, 100000, 10, ALCH_FLOAT64);
    alchi_channel_t *channel = client_open(&server);
    request_watch_t watch = {&server, part, 0};

    alchi_store_part_mark_written(part);
    server_wait_for_connections(&server, 1);
    for (uint64_t k = 0; k < 2000 && !watch_requests(&watch); k++)
        if (send_read(channel, 2 + k, 4, (alch_rect_t){0, 0, 100000, 10}))
            break;
    unit_wait_for(watch_requests, &watch, WAIT_MS);
    ck_assert_int_le(watch.max_references, 2 + 24);
    ck_assert_int_ge(watch.max_references, 2 + 22);
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}
END_TEST

/* 272 peers that never authenticate; 256 of them may wait, and the oldest make room for clients. */
START_TEST(unauthenticated_peers_make_room_for_clients)
{
    server_t server = server_start((alchi_data_config_t){.threads = 2});
    alchi_channel_t *silent[272];

    for (int k = 0; k < 272; k++)
        silent[k] = client_raw(&server);
    ck_assert(is_closed(silent[0]));
    ck_assert(is_closed(silent[15]));
    check_server_serves(&server);
    for (int k = 0; k < 272; k++)
        alchi_channel_destroy(silent[k]);
    server_stop(&server);
}
END_TEST

/* The refused client is authenticated, so the server tells it the reason. */
START_TEST(a_connection_above_the_limit_gets_the_reason)
{
    const alchi_claim_t claim = {ALCHI_ROLE_DATA, SESSION, GROUP, RANK};
    server_t server = server_start((alchi_data_config_t){.threads = 2, .connection_limit = 5});
    alchi_channel_t *clients[5], *refused;

    for (int k = 0; k < 5; k++)
        clients[k] = client_open(&server);
    for (int k = 0; k < 2; k++) {
        refused = client_raw(&server);
        unit_code(client_authenticate(refused, &claim, 7), ALCH_ELIMIT);
        ck_assert_msg(strstr(err.text, "5 data connections are open already") && strstr(err.text, "--connections"),
                      "%s", err.text);
        ck_assert(is_closed(refused));
        alchi_channel_destroy(refused);
    }
    for (int k = 0; k < 5; k++) {
        unit_code(alchi_channel_send(clients[k], ALCHI_PING, 0, 1, NULL), ALCH_OK);
        unit_code(receive_answer(clients[k], 1, ALCHI_EMPTY), ALCH_OK);
        alchi_channel_destroy(clients[k]);
    }
    server_wait_for_connections(&server, 0);
    check_server_serves(&server);
    server_stop(&server);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("faults");

    tcase_add_loop_test(tcase, garbage_before_authentication_closes_the_connection, 0, 7);
    tcase_add_loop_test(tcase, a_broken_protocol_closes_only_this_connection, 0, 11);
    tcase_add_test(tcase, a_peer_that_breaks_the_protocol_gets_the_reason);
    tcase_add_test(tcase, a_peer_that_does_not_authenticate_is_closed);
    tcase_add_loop_test(tcase, a_peer_that_stalls_within_a_message_is_closed, 0, 4);
    tcase_add_test(tcase, a_peer_that_sends_single_bytes_is_closed);
    tcase_add_test(tcase, a_peer_that_receives_single_bytes_is_closed);
    tcase_add_test(tcase, a_slow_peer_that_completes_messages_stays);
    tcase_add_test(tcase, idle_connections_are_closed_and_busy_ones_stay);
    tcase_add_test(tcase, readers_beyond_the_stages_get_their_blocks);
    tcase_add_test(tcase, requests_of_a_peer_that_never_reads_are_bounded);
    tcase_add_test(tcase, unauthenticated_peers_make_room_for_clients);
    tcase_add_test(tcase, a_connection_above_the_limit_gets_the_reason);
    suite_add_tcase(suite, tcase);
}
