/** @file client_peer.h  A fake driver at the other end of a socketpair, which runs in a thread, and a session that uses
 * it. */
#ifndef ALCHI_CLIENT_PEER_H
#define ALCHI_CLIENT_PEER_H

#include "client/client.h"
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct peer peer_t;

/** Answer one request on peer->channel. @return false: close the connection */
typedef bool answer_f(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message);

struct peer {
    alchi_channel_t *channel;
    answer_f *answer;
    void *context;
    pthread_t thread;
    int end; /* the client's descriptor, until a channel owns it */
};

/** A channel on a connected socket, without authentication. Owned by the caller. */
static inline alchi_channel_t *
peer_channel(int fd)
{
    alchi_stream_t *stream;
    alchi_channel_t *channel;

    alchi_socket_prepare(fd);
    stream = alchi_stream_create(fd);
    channel = alchi_channel_create(stream);
    ck_assert_ptr_nonnull(channel);
    alchi_channel_set_limits(channel, ALCHI_META_MAX, 0);
    return channel;
}

/** The fake driver's thread. It ends when the client closes the connection, or after 20 s without a request. */
static inline void *
peer_serve(void *context)
{
    peer_t *peer = context;
    alchi_frame_t frame;
    ProtobufCMessage *message;
    bool more = true;

    while (more) {
        message = NULL;
        if (alchi_channel_receive_by(peer->channel, alchi_deadline_in_ms(20000), &frame, &message) != ALCH_OK)
            break;
        more = peer->answer(peer, &frame, message);
        alchi_message_free(message);
    }
    alchi_channel_destroy(peer->channel);
    return NULL;
}

/** Start the fake driver. @param context  for `answer`, as peer->context */
static inline void
peer_start(peer_t *peer, answer_f *answer, void *context)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *peer = (peer_t){.channel = peer_channel(fds[0]), .answer = answer, .context = context, .end = fds[1]};
    ck_assert_int_eq(pthread_create(&peer->thread, NULL, peer_serve, peer), 0);
}

/** Wait for the fake driver's thread. It ends when the client's end of the connection is closed. */
static inline void
peer_join(peer_t *peer)
{
    pthread_join(peer->thread, NULL);
}

/** The client's end as a control connection; for error texts the driver is at "driver:1". Owned by the caller. */
static inline alchi_cli_control_t *
peer_control(peer_t *peer)
{
    return alchi_cli_control_create(peer_channel(peer->end), "driver:1");
}

/** A session as alch_session_open() makes it, with id 5 and key 1, 1, 1, ... Owned by the caller. */
static inline alch_session_t *
peer_session(peer_t *peer)
{
    alch_session_t *session = calloc(1, sizeof(*session));

    ck_assert_ptr_nonnull(session);
    session->pid = getpid();
    session->id = 5;
    memset(session->key, 1, sizeof(session->key));
    strncpy(session->host, "127.0.0.1", sizeof(session->host) - 1);
    alch_session_options_init(&session->options);
    session->options.request_timeout_ms = 5000;
    session->control = peer_control(peer);
    session->pool = alchi_cli_pool_create();
    ck_assert_ptr_nonnull(session->control);
    ck_assert_ptr_nonnull(session->pool);
    return session;
}

static inline bool
peer_reply(peer_t *peer, const alchi_frame_t *frame, unsigned type, const void *message)
{
    return alchi_channel_send(peer->channel, type, ALCHI_FRAME_REPLY, frame->id, message) == ALCH_OK &&
           alchi_channel_flush_by(peer->channel, alchi_deadline_in_ms(5000)) == ALCH_OK;
}

static inline bool
peer_refuse(peer_t *peer, const alchi_frame_t *frame, int code, const char *text)
{
    alch_error_t error = {.code = code, .rank = 1};

    strncpy(error.text, text, sizeof(error.text) - 1);
    return alchi_channel_send_error(peer->channel, frame->id, &error) == ALCH_OK;
}

#endif
