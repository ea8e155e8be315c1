/**
 * @file dataserver_rank.h
 * The data server of a rank in this process, and clients that talk to it over real sockets.
 *
 * Functions named server_* act on the server, client_* open a connection. The others use one connection; those that
 * return a code leave the text of an ERROR answer in `err`.
 */
#ifndef ALCHI_TEST_DATASERVER_RANK_H
#define ALCHI_TEST_DATASERVER_RANK_H

#include "base/log.h"
#include "net/address.h"
#include "unit.h"
#include "dataserver/dataserver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSION 5
#define GROUP 3
#define RANK 1
#define WAIT_MS 10000

typedef struct {
    alchi_store_t *store;
    alchi_data_server_t *data;
    alchi_data_config_t config;
    int port;
} server_t;

static _Thread_local alch_error_t err;

/* Start a server. Zeros in the configuration are defaults; the descriptor, the key and the place are filled in here. */
static inline server_t
server_start(alchi_data_config_t config)
{
    alchi_address_t address = {"127.0.0.1", 0};
    server_t server = {.config = config};

    alchi_log_init("test", ALCHI_LOG_ERROR);
    server.store = alchi_store_create(RANK, 2, 0);
    unit_code(alchi_bind(&address, &server.config.listen_fd, &err), ALCH_OK);
    server.config.store = server.store;
    server.config.session = SESSION;
    server.config.group = GROUP;
    server.config.rank = RANK;
    memset(server.config.key, 7, sizeof(server.config.key));
    unit_code(alchi_data_server_start(&server.config, &server.data, &server.port, &err), ALCH_OK);
    ck_assert_int_eq(server.port, address.port);
    return server;
}

static inline void
server_stop(server_t *server)
{
    alchi_data_server_stop(server->data);
    close(server->config.listen_fd);
    alchi_store_destroy(server->store);
}

/* Reserve matrix `id` of 2 m x n entries in two blocks of rows: this rank, which is rank 1, has the lower m x n. */
static inline alchi_store_part_t *
server_matrix(server_t *server, uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype)
{
    alch_layout_t layout = {ALCH_BLOCK_CYCLIC, m > 0 ? m : 1, n > 0 ? n : 1, 2, 1};
    alchi_store_part_t *part = NULL;

    unit_code(alchi_store_reserve(server->store, id, 2 * m, n, dtype, &layout, "", &part, &err), ALCH_OK);
    ck_assert_int_eq(part->local_m, m);
    ck_assert_int_eq(part->local_n, n);
    return part;
}

/* The number of entries of a part that are written. */
static inline int64_t
count_written(alchi_store_part_t *part)
{
    alch_rect_t whole = {0, 0, part->local_m, part->local_n}, missing[64], rest[129];
    int64_t written = part->local_m * part->local_n;
    size_t rest_count, count = alchi_store_part_list_missing(part, &whole, missing, 64, rest, &rest_count);

    ck_assert_uint_eq(rest_count, 0);
    for (size_t k = 0; k < count; k++)
        written -= missing[k].m * missing[k].n;
    return written;
}

typedef struct {
    server_t *server;
    int count;
} awaited_connections_t;

static inline bool
has_connections(void *context)
{
    const awaited_connections_t *awaited = context;

    return alchi_data_server_connections(awaited->server->data) == awaited->count;
}

/* Wait until the server counts exactly `count` authenticated connections. It counts a new one a moment after the client
 * has received its WELCOME. */
static inline void
server_wait_for_connections(server_t *server, int count)
{
    unit_wait_for(has_connections, &(awaited_connections_t){server, count}, WAIT_MS);
}

/* Connect without authenticating. */
static inline alchi_channel_t *
client_raw(const server_t *server)
{
    alchi_address_t address = {"127.0.0.1", server->port};
    alchi_channel_t *channel;
    int fd;

    unit_code(alchi_connect(&address, alchi_deadline_in_ms(WAIT_MS), &fd, &err), ALCH_OK);
    channel = alchi_channel_create(alchi_stream_create(fd));
    ck_assert_ptr_nonnull(channel);
    return channel;
}

/* Authenticate with a key whose bytes are all `key_byte`. */
static inline int
client_authenticate(alchi_channel_t *channel, const alchi_claim_t *claim, uint8_t key_byte)
{
    uint8_t key[ALCHI_KEY_SIZE];
    alchi_granted_t granted;

    memset(key, key_byte, sizeof(key));
    return alchi_authenticate(channel, claim, key, "test", ALCHI_PAYLOAD_MAX, alchi_deadline_in_ms(WAIT_MS), &granted,
                              &err);
}

static inline alchi_channel_t *
client_open(const server_t *server)
{
    const alchi_claim_t claim = {ALCHI_ROLE_DATA, SESSION, GROUP, RANK};
    alchi_channel_t *channel = client_raw(server);
    int code = client_authenticate(channel, &claim, 7);

    ck_assert_msg(code == ALCH_OK, "%s: %s", alch_errname(code), err.text);
    return channel;
}

/* Send one frame. @return the code of alchi_channel_send_payload(), or ALCH_ETIMEDOUT after WAIT_MS */
static inline int
send_frame(alchi_channel_t *channel, const alchi_frame_t *frame, const void *message, const void *bytes)
{
    struct iovec iov = {(void *)bytes, frame->payload};
    size_t sent = 0;
    int code;

    while ((code = alchi_channel_send_payload(channel, frame, message, &iov, frame->payload ? 1 : 0, &sent)) ==
           ALCH_EAGAIN) {
        if (alchi_stream_wait(alchi_channel_stream(channel), POLLOUT, alchi_deadline_in_ms(WAIT_MS)))
            return ALCH_ETIMEDOUT;
    }
    return code;
}

/* Send a write message of `size` bytes in frames of at most `chunk`. */
static inline int
send_write(alchi_channel_t *channel, uint64_t id, uint64_t matrix, alch_rect_t rect, const void *bytes, size_t size,
           size_t chunk)
{
    Alchw__Rect where = ALCHW__RECT__INIT;
    Alchw__DataWrite write = ALCHW__DATA_WRITE__INIT;
    size_t at = 0;
    int code;

    where.has_i = where.has_j = where.has_m = where.has_n = true;
    where.i = rect.i, where.j = rect.j, where.m = rect.m, where.n = rect.n;
    write.has_matrix = true;
    write.matrix = matrix;
    write.rect = &where;
    do {
        size_t part = size - at < chunk ? size - at : chunk;
        alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION,
                               .type = ALCHI_DATA_WRITE,
                               .flags = at + part < size ? ALCHI_FRAME_MORE : 0,
                               .id = id,
                               .payload = (uint32_t)part};

        code = send_frame(channel, &frame, at == 0 ? &write : NULL, (const uint8_t *)bytes + at);
        at += part;
    } while (code == ALCH_OK && at < size);
    return code;
}

static inline int
send_read(alchi_channel_t *channel, uint64_t id, uint64_t matrix, alch_rect_t rect)
{
    Alchw__Rect where = ALCHW__RECT__INIT;
    Alchw__DataRead read = ALCHW__DATA_READ__INIT;

    where.has_i = where.has_j = where.has_m = where.has_n = true;
    where.i = rect.i, where.j = rect.j, where.m = rect.m, where.n = rect.n;
    read.has_matrix = true;
    read.matrix = matrix;
    read.rect = &where;
    return alchi_channel_send(channel, ALCHI_DATA_READ, 0, id, &read);
}

/* Receive a block of exactly `size` bytes. @return ALCH_OK, or the code of an ERROR answer */
static inline int
receive_block(alchi_channel_t *channel, uint64_t id, void *bytes, size_t size)
{
    size_t at = 0;
    bool more = true;

    while (more) {
        ProtobufCMessage *message = NULL;
        alchi_frame_t frame;
        int code = alchi_channel_receive_by(channel, alchi_deadline_in_ms(WAIT_MS), &frame, &message);

        if (code)
            return code;
        if (frame.type == ALCHI_ERROR) {
            const Alchw__Error *error = (Alchw__Error *)message;

            code = (int)error->code;
            err.code = code;
            err.rank = error->rank;
            snprintf(err.text, sizeof(err.text), "%s", error->text);
            alchi_message_free(message);
            return frame.id == id ? code : ALCH_EPROTO;
        }
        alchi_message_free(message);
        if (frame.type != ALCHI_DATA_BLOCK || frame.id != id || !(frame.flags & ALCHI_FRAME_REPLY) ||
            frame.payload > size - at)
            return ALCH_EPROTO;
        more = frame.flags & ALCHI_FRAME_MORE;
        for (size_t left = frame.payload; left > 0;) {
            ssize_t n = alchi_channel_read_payload(channel, (uint8_t *)bytes + at, left);

            if (n < 0)
                return ALCH_ECONNECT;
            if (n == 0 && alchi_stream_wait(alchi_channel_stream(channel), POLLIN, alchi_deadline_in_ms(WAIT_MS)))
                return ALCH_ETIMEDOUT;
            at += (size_t)n;
            left -= (size_t)n;
        }
    }
    return at == size ? ALCH_OK : ALCH_EPROTO;
}

/* Receive an answer without payload. @return ALCH_OK if it has the expected type, or the code of an ERROR answer */
static inline int
receive_answer(alchi_channel_t *channel, uint64_t id, unsigned type)
{
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int code = alchi_channel_receive_by(channel, alchi_deadline_in_ms(WAIT_MS), &frame, &message);

    if (code)
        return code;
    code = frame.id == id && frame.type == type && frame.payload == 0 ? ALCH_OK : ALCH_EPROTO;
    if (frame.type == ALCHI_ERROR && frame.id == id) {
        const Alchw__Error *error = (Alchw__Error *)message;

        code = (int)error->code;
        err.rank = error->rank;
        snprintf(err.text, sizeof(err.text), "%s", error->text);
    }
    alchi_message_free(message);
    return code;
}

static inline int
write_rect(alchi_channel_t *channel, uint64_t id, uint64_t matrix, alch_rect_t rect, const void *bytes, size_t size)
{
    int code = send_write(channel, id, matrix, rect, bytes, size, ALCHI_PAYLOAD_MAX);

    return code ? code : receive_answer(channel, id, ALCHI_DATA_ACK);
}

static inline int
read_rect(alchi_channel_t *channel, uint64_t id, uint64_t matrix, alch_rect_t rect, void *bytes, size_t size)
{
    int code = send_read(channel, id, matrix, rect);

    return code ? code : receive_block(channel, id, bytes, size);
}

#endif
