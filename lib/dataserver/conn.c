/* The life of a data connection: handshake, turns, deadlines, and an orderly end. */
#include "dataserver/conn.h"

#include "base/error.h"
#include "base/log.h"
#include "net/address.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

#define TURN_BYTES ((size_t)1 << 20) /* maximum in each direction before the next connection has its turn */
/* A peer counts as stalled if within io_timeout_ms it moves less than this and completes no message. Otherwise a peer
 * that sends a byte now and then could keep its connection forever. */
#define PROGRESS_BYTES ((size_t)256 << 10)
#define CLOSING_MS 1000 /* how long the peer may take to read the last message and close */

/* A peer cannot make a connection use more memory than these structs, the buffers of its channel (two small messages),
 * and the lists of rectangles in its DATA_REGIONS replies. */
_Static_assert(sizeof(alchi_data_conn_t) + ALCHI_DATA_CONN_REPLIES * sizeof(alchi_data_reply_t) <= ((size_t)48 << 10),
               "the structs of a connection exceed their limit");

alchi_data_conn_t *
alchi_data_conn_create(const alchi_data_config_t *config, int fd)
{
    alchi_channel_t *channel = alchi_channel_create(alchi_stream_create(fd));
    alchi_data_conn_t *conn = channel ? calloc(1, sizeof(*conn)) : NULL;

    if (conn)
        conn->responder = calloc(1, sizeof(*conn->responder));
    if (!conn || !conn->responder) {
        free(conn);
        alchi_channel_destroy(channel);
        return NULL;
    }
    conn->config = config;
    conn->channel = channel;
    alchi_peer_host(fd, conn->peer, sizeof(conn->peer));
    if (!conn->peer[0])
        snprintf(conn->peer, sizeof(conn->peer), "this host");
    alchi_responder_init(conn->responder);
    conn->accepted_ns = alchi_now_ns();
    conn->deadline = alchi_deadline_in_ms(config->handshake_timeout_ms);
    return conn;
}

static void
destroy_responder(alchi_data_conn_t *conn)
{
    if (conn->responder)
        explicit_bzero(conn->responder, sizeof(*conn->responder));
    free(conn->responder);
    conn->responder = NULL;
}

alchi_data_reply_t *
alchi_data_reply_create(alchi_data_conn_t *conn, uint64_t id, unsigned type)
{
    alchi_data_reply_t *reply = conn->spare;

    if (reply)
        LL_DELETE(conn->spare, reply);
    else
        reply = malloc(sizeof(*reply));
    if (reply)
        *reply = (alchi_data_reply_t){.id = id, .type = type, .error.rank = -1};
    else
        alchi_log(ALCHI_LOG_ERROR, "data connection from %s closed: out of memory", conn->peer);
    return reply;
}

void
alchi_data_reply_release(alchi_data_conn_t *conn, alchi_data_reply_t *reply)
{
    if (!reply)
        return;
    alchi_store_release(conn->config->store, reply->part);
    alchi_message_free(reply->regions);
    LL_PREPEND(conn->spare, reply);
}

void
alchi_data_conn_destroy(alchi_data_conn_t *conn)
{
    alchi_data_reply_t *reply, *next;

    if (!conn)
        return;
    DL_FOREACH_SAFE(conn->small, reply, next)
    {
        alchi_data_reply_release(conn, reply);
    }
    DL_FOREACH_SAFE(conn->blocks, reply, next)
    {
        alchi_data_reply_release(conn, reply);
    }
    alchi_data_reply_release(conn, conn->in.reply);
    LL_FOREACH_SAFE(conn->spare, reply, next)
    {
        free(reply);
    }
    alchi_store_release(conn->config->store, conn->in.part);
    destroy_responder(conn);
    alchi_data_conn_stop_shm(conn);
    alchi_channel_destroy(conn->channel);
    alchi_data_stage_release(conn->stages, conn->stage);
    free(conn);
}

static void
start_closing(alchi_data_conn_t *conn)
{
    conn->state = ALCHI_DATA_CONN_CLOSING;
    conn->deadline = alchi_deadline_in_ms(CLOSING_MS);
}

int
alchi_data_conn_refuse(alchi_data_conn_t *conn, int code, const char *format, ...)
{
    alch_error_t err = {code, conn->config->rank, ""};
    va_list args;

    va_start(args, format);
    vsnprintf(err.text, sizeof(err.text), format, args);
    va_end(args);
    alchi_log(ALCHI_LOG_WARNING, "data connection from %s closed: %s", conn->peer, err.text);
    /* A peer that is not authenticated gets no answer, and a payload frame that is being sent cannot be interrupted. */
    if (conn->state != ALCHI_DATA_CONN_OPEN || conn->out.active)
        return code;
    alchi_channel_send_error(conn->channel, 0, &err);
    start_closing(conn);
    return ALCH_OK;
}

void
alchi_data_conn_log_timeout(const alchi_data_conn_t *conn)
{
    if (conn->state == ALCHI_DATA_CONN_HANDSHAKE)
        alchi_log(ALCHI_LOG_WARNING, "data connection from %s closed: it did not authenticate within %d ms", conn->peer,
                  conn->config->handshake_timeout_ms);
    else if (conn->state == ALCHI_DATA_CONN_OPEN && conn->idle)
        alchi_log(ALCHI_LOG_DEBUG, "data connection from %s closed: it was idle for %d s", conn->peer,
                  conn->config->idle_timeout_ms / 1000);
    else if (conn->state == ALCHI_DATA_CONN_OPEN)
        alchi_log(ALCHI_LOG_WARNING, "data connection from %s closed: it stalled for %d ms in the middle of %s",
                  conn->peer, conn->config->io_timeout_ms,
                  conn->in.active                    ? "a write"
                  : alchi_data_conn_has_output(conn) ? "an answer"
                                                     : "a request");
}

static int
find_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *err)
{
    const alchi_data_config_t *config = context;

    if (claim->role != ALCHI_ROLE_DATA || claim->session != config->session || claim->group != config->group ||
        claim->rank != config->rank)
        return alchi_error_set(err, ALCH_EAUTH, "role %d asked for session %llu, group %llu, rank %d", (int)claim->role,
                               (unsigned long long)claim->session, (unsigned long long)claim->group, claim->rank);
    memcpy(key, config->key, ALCHI_KEY_SIZE);
    return ALCH_OK;
}

static void
become_idle(alchi_data_conn_t *conn)
{
    conn->idle = true;
    conn->deadline = alchi_deadline_in_ms(conn->config->idle_timeout_ms);
}

/* Refuse a connection above the limit. The peer is authenticated, so it gets the reason. */
static void
refuse_over_limit(alchi_data_conn_t *conn, uint64_t id)
{
    alch_error_t err = {ALCH_OK, -1, ""};

    alchi_error_rank(&err, ALCH_ELIMIT, conn->config->rank,
                     "%d data connections are open already, which is the limit of a worker (--connections)",
                     conn->config->connection_limit);
    alchi_log(ALCHI_LOG_WARNING, "data connection from %s refused: %s", conn->peer, err.text);
    alchi_channel_send_error(conn->channel, id, &err);
    start_closing(conn);
}

static int
send_welcome(alchi_data_conn_t *conn, uint64_t id)
{
    Alchw__Welcome message = ALCHW__WELCOME__INIT;

    message.has_session = true;
    message.session = conn->config->session;
    message.server_version = (char *)alch_version();
    destroy_responder(conn);
    conn->state = ALCHI_DATA_CONN_OPEN;
    become_idle(conn);
    /* Requests on this connection are small; bulk data is payload. */
    alchi_channel_set_limits(conn->channel, ALCHI_META_MAX_UNAUTHENTICATED, ALCHI_PAYLOAD_MAX);
    return alchi_channel_send(conn->channel, ALCHI_WELCOME, ALCHI_FRAME_REPLY, id, &message);
}

static int
run_handshake(alchi_data_conn_t *conn)
{
    while (conn->state == ALCHI_DATA_CONN_HANDSHAKE) {
        alch_error_t err = {ALCH_OK, -1, ""};
        ProtobufCMessage *message = NULL;
        alchi_frame_t frame;
        bool done = false;
        int code = alchi_channel_receive(conn->channel, &frame, &message);

        if (code == ALCH_EAGAIN)
            return alchi_channel_flush(conn->channel) == ALCH_ECONNECT ? ALCH_ECONNECT : ALCH_OK;
        if (code == ALCH_ECONNECT)
            return code;
        if (code)
            return alchi_data_conn_refuse(conn, code, "%s", alchi_channel_fault(conn->channel));
        code = alchi_responder_feed(conn->responder, conn->channel, &frame, message, find_key, (void *)conn->config,
                                    &done, &err);
        alchi_message_free(message);
        if (code) {
            alchi_log(ALCHI_LOG_WARNING, "data connection from %s closed: %s", conn->peer, err.text);
            start_closing(conn);
        } else if (done && conn->over_limit) {
            refuse_over_limit(conn, frame.id);
        } else if (done && send_welcome(conn, frame.id)) {
            return ALCH_ECONNECT;
        }
    }
    return ALCH_OK;
}

/* Set the deadline after a turn. While a request is in flight, the deadline is io_timeout_ms. It starts again whenever
 * a message is completed or PROGRESS_BYTES have been moved. */
static void
set_deadline(alchi_data_conn_t *conn, size_t moved)
{
    conn->moved += moved;
    if (!conn->in.active && !alchi_data_conn_has_output(conn) && !alchi_channel_buffered(conn->channel)) {
        if (!conn->idle || moved > 0)
            become_idle(conn);
        return;
    }
    if (!conn->idle && conn->moved < PROGRESS_BYTES && conn->progress == conn->progress_seen)
        return;
    conn->idle = false;
    conn->moved = 0;
    conn->progress_seen = conn->progress;
    conn->deadline = alchi_deadline_in_ms(conn->config->io_timeout_ms);
}

static int
serve_requests(alchi_data_conn_t *conn)
{
    size_t received = 0, sent = 0;
    int code = alchi_data_conn_receive(conn, TURN_BYTES, &received);
    bool paused = alchi_data_conn_paused(conn);

    if (!code && conn->state == ALCHI_DATA_CONN_OPEN)
        code = alchi_data_conn_send(conn, TURN_BYTES, &sent);
    if (code || conn->state != ALCHI_DATA_CONN_OPEN)
        return code;
    /* For frames that the channel has already read from the socket, epoll reports no event. */
    conn->has_more_work = received >= TURN_BYTES || sent >= TURN_BYTES || (paused && !alchi_data_conn_paused(conn));
    set_deadline(conn, received + sent);
    return ALCH_OK;
}

/* Send what is queued, then read until the peer closes. If the socket were closed while it has unread bytes, the kernel
 * would send a reset, and the peer could lose the last message. */
static int
close_after_output(alchi_data_conn_t *conn)
{
    size_t dropped = 0;
    ssize_t n;
    int code = alchi_channel_flush(conn->channel);

    if (code)
        return code == ALCH_EAGAIN ? ALCH_OK : code;
    if (!conn->write_closed)
        shutdown(alchi_channel_fd(conn->channel), SHUT_WR);
    conn->write_closed = true;
    while (dropped < TURN_BYTES) {
        n = alchi_stream_read(alchi_channel_stream(conn->channel), conn->scratch, ALCHI_DATA_CONN_SCRATCH);
        if (n <= 0)
            return n < 0 ? ALCH_ECONNECT : ALCH_OK;
        dropped += (size_t)n;
    }
    conn->has_more_work = true;
    return ALCH_OK;
}

int
alchi_data_conn_step(alchi_data_conn_t *conn)
{
    int code = ALCH_OK;

    conn->has_more_work = false;
    if (conn->state == ALCHI_DATA_CONN_HANDSHAKE)
        code = run_handshake(conn);
    if (!code && conn->state == ALCHI_DATA_CONN_OPEN)
        code = serve_requests(conn);
    if (!code && conn->state == ALCHI_DATA_CONN_CLOSING)
        code = close_after_output(conn);
    return code;
}

unsigned
alchi_data_conn_events(const alchi_data_conn_t *conn)
{
    bool output = alchi_channel_wants_write(conn->channel) || conn->out.active;
    unsigned events = 0;

    if (conn->state == ALCHI_DATA_CONN_CLOSING || !alchi_data_conn_paused(conn))
        events |= EPOLLIN;
    if (output && (conn->blocked || conn->state != ALCHI_DATA_CONN_OPEN))
        events |= EPOLLOUT;
    return (unsigned)alchi_stream_poll_events(alchi_channel_stream(conn->channel), (short)events);
}
