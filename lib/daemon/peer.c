/* Connections on the driver's loop. */
#include "daemon/peer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "net/address.h"
#include "wire/message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

typedef enum { HANDSHAKE, OPEN, CLOSING, CLOSED } peer_state_t;

struct alchi_dmn_peer {
    alchi_drv_link_t link;
    alchi_dmn_peers_t *peers;
    alchi_channel_t *channel;
    uv_poll_t poll;
    int events;
    peer_state_t state;
    bool admitted; /* the driver knows the link: alchi_drv_on_closed() must be called */
    bool shut;     /* nothing more is sent */
    alchi_responder_t responder;
    alchi_drv_timer_t timer;
    int64_t accepted_ns;
    alchi_dmn_peer_t *prev, *next;
    alchi_dmn_peer_t *closed_next;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void
mark_closed(alchi_dmn_peer_t *peer)
{
    if (peer->state == CLOSED)
        return;
    if (peer->state == HANDSHAKE)
        peer->peers->unauthenticated--;
    peer->state = CLOSED;
    alchi_drv_timer_stop(&peer->timer);
    uv_poll_stop(&peer->poll);
    LL_PREPEND2(peer->peers->closed, peer, closed_next);
}

static void
on_timeout(alchi_drv_timer_t *timer)
{
    alchi_dmn_peer_t *peer = ALCHI_CONTAINER(timer, alchi_dmn_peer_t, timer);

    if (peer->state == HANDSHAKE)
        alchi_log(ALCHI_LOG_WARNING, "closed the connection from %s: it did not authenticate within %d s",
                  peer->link.host, ALCHI_DMN_HANDSHAKE_MS / 1000);
    mark_closed(peer);
}

static void
update_events(alchi_dmn_peer_t *peer)
{
    int events = UV_READABLE | (alchi_channel_wants_write(peer->channel) ? UV_WRITABLE : 0);

    if (peer->state == CLOSED)
        return;
    if (peer->state == CLOSING && !(events & UV_WRITABLE) && !peer->shut) {
        /* The peer closes its end after it has read the final message. */
        peer->shut = true;
        shutdown(alchi_channel_fd(peer->channel), SHUT_WR);
    }
    if (events == peer->events)
        return;
    peer->events = events;
    uv_poll_start(&peer->poll, events, on_poll);
}

static void
peer_send(alchi_drv_link_t *link, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    alchi_dmn_peer_t *peer = ALCHI_CONTAINER(link, alchi_dmn_peer_t, link);
    alch_error_t error;
    int code;

    if (peer->state == CLOSED || peer->state == CLOSING)
        return;
    code = alchi_channel_send(peer->channel, type, flags, id, message);
    if (code == ALCH_ERANGE && (flags & ALCHI_FRAME_REPLY)) {
        alchi_error_set(&error, ALCH_ELIMIT, "the reply %s is larger than the limit of a message (%u bytes)",
                        alchi_message_name(type), ALCHI_META_MAX);
        code = alchi_channel_send_error(peer->channel, id, &error);
    }
    if (code) {
        alchi_log(ALCHI_LOG_DEBUG, "sending %s to '%s' from %s failed: %s", alchi_message_name(type), link->name,
                  link->host, alch_strerror(code));
        mark_closed(peer);
    } else {
        update_events(peer);
    }
}

static void
peer_close(alchi_drv_link_t *link)
{
    alchi_dmn_peer_t *peer = ALCHI_CONTAINER(link, alchi_dmn_peer_t, link);

    if (peer->state == CLOSED || peer->state == CLOSING)
        return;
    if (peer->state == HANDSHAKE)
        peer->peers->unauthenticated--;
    peer->state = CLOSING;
    peer->admitted = false;
    alchi_drv_timer_start(&peer->peers->driver->timers, &peer->timer, ALCHI_DMN_FINAL_MESSAGE_MS, on_timeout);
    update_events(peer);
}

static const alchi_drv_link_ops_t peer_ops = {peer_send, peer_close};

/* ---- receiving ---- */

static void
refuse_peer(alchi_dmn_peer_t *peer, const char *why)
{
    alchi_log(ALCHI_LOG_WARNING, "closed the connection from %s: %s", peer->link.host, why);
    peer_close(&peer->link);
}

static void
continue_handshake(alchi_dmn_peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    alchi_drv_t *driver = peer->peers->driver;
    alch_error_t error;
    bool done = false;

    if (alchi_responder_feed(&peer->responder, peer->channel, frame, message, alchi_drv_find_key, driver, &done,
                             &error)) {
        refuse_peer(peer, error.text);
        return;
    }
    if (!done) {
        update_events(peer);
        return;
    }
    alchi_channel_set_limits(peer->channel, ALCHI_META_MAX, 0);
    if (alchi_drv_admit(driver, &peer->link, &peer->responder, frame->id, &error)) {
        refuse_peer(peer, error.text);
        return;
    }
    peer->admitted = true;
    explicit_bzero(&peer->responder, sizeof(peer->responder));
    if (peer->state != HANDSHAKE)
        return;
    alchi_drv_timer_stop(&peer->timer);
    peer->peers->unauthenticated--;
    peer->state = OPEN;
}

static void
handle_message(alchi_dmn_peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    alch_error_t error;

    if (peer->state == HANDSHAKE) {
        continue_handshake(peer, frame, message);
    } else if (peer->state == OPEN && alchi_drv_on_message(peer->peers->driver, &peer->link, frame, message, &error)) {
        alchi_log(ALCHI_LOG_WARNING, "closed the connection of '%s' from %s: %s", peer->link.name, peer->link.host,
                  error.text);
        alchi_drv_link_fail(&peer->link, 0, &error);
        mark_closed(peer);
    }
}

static void
handle_receive_failure(alchi_dmn_peer_t *peer, int code)
{
    const char *fault = alchi_channel_fault(peer->channel);

    if (peer->state == HANDSHAKE && code == ALCH_ECONNECT)
        alchi_log(ALCHI_LOG_INFO, "the connection from %s ended before it authenticated", peer->link.host);
    else if (code != ALCH_ECONNECT && peer->state != CLOSING)
        alchi_log(ALCHI_LOG_WARNING, "closed the connection from %s: %s", peer->link.host,
                  *fault ? fault : alch_strerror(code));
    mark_closed(peer);
}

static void
receive_all(alchi_dmn_peer_t *peer)
{
    ProtobufCMessage *message;
    alchi_frame_t frame;
    int code;

    while (peer->state != CLOSED) {
        message = NULL;
        code = alchi_channel_receive(peer->channel, &frame, &message);
        if (code == ALCH_EAGAIN)
            return;
        if (code) {
            handle_receive_failure(peer, code);
            return;
        }
        if (peer->state != CLOSING)
            handle_message(peer, &frame, message);
        alchi_message_free(message);
    }
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    alchi_dmn_peer_t *peer = poll->data;
    int code = ALCH_OK;

    if (events & UV_WRITABLE)
        code = alchi_channel_flush(peer->channel);
    if (code && code != ALCH_EAGAIN) {
        mark_closed(peer);
        return;
    }
    /* If the socket has an error, reading returns it. */
    if ((events & UV_READABLE) || status < 0)
        receive_all(peer);
    update_events(peer);
}

/* ---- creating and closing ---- */

static alchi_dmn_peer_t *
peer_create(alchi_dmn_peers_t *peers, int fd)
{
    alchi_channel_t *channel = alchi_channel_create(alchi_stream_create(fd));
    alchi_dmn_peer_t *peer = channel ? calloc(1, sizeof(*peer)) : NULL;

    if (!peer) {
        alchi_channel_destroy(channel);
        return NULL;
    }
    peer->link.ops = &peer_ops;
    peer->peers = peers;
    peer->channel = channel;
    peer->accepted_ns = alchi_now_ns();
    if (uv_poll_init(peers->loop, &peer->poll, fd)) {
        alchi_channel_destroy(channel);
        free(peer);
        return NULL;
    }
    peer->poll.data = peer;
    DL_APPEND(peers->all, peer);
    return peer;
}

/* Real clients authenticate within milliseconds: make room by closing the connection that has waited longest. */
static void
close_oldest_unauthenticated(alchi_dmn_peers_t *peers)
{
    alchi_dmn_peer_t *peer;

    DL_FOREACH(peers->all, peer)
    {
        if (peer->state != HANDSHAKE)
            continue;
        if (peers->unauthenticated < ALCHI_DMN_UNAUTHENTICATED_HARD_MAX &&
            alchi_now_ns() - peer->accepted_ns < (int64_t)ALCHI_DMN_UNAUTHENTICATED_MS * 1000000)
            return;
        alchi_log(ALCHI_LOG_WARNING,
                  "closed the connection from %s: it had not authenticated, and %d connections are waiting to do so",
                  peer->link.host, peers->unauthenticated);
        mark_closed(peer);
        return;
    }
}

void
alchi_dmn_peer_accept(alchi_dmn_peers_t *peers, int fd)
{
    const alchi_drv_config_t *config = peers->driver->config;
    alchi_dmn_peer_t *peer;
    char host[64];

    alchi_socket_keepalive(fd, (int)config->client_timeout_ms);
    alchi_peer_host(fd, host, sizeof(host));
    if (peers->unauthenticated >= ALCHI_DMN_UNAUTHENTICATED_MAX)
        close_oldest_unauthenticated(peers);
    if (!(peer = peer_create(peers, fd))) {
        alchi_log(ALCHI_LOG_ERROR, "closed the connection from %s: the driver is out of memory", host);
        return;
    }
    snprintf(peer->link.host, sizeof(peer->link.host), "%s", host);
    peers->unauthenticated++;
    alchi_responder_init(&peer->responder);
    alchi_drv_timer_start(&peers->driver->timers, &peer->timer, ALCHI_DMN_HANDSHAKE_MS, on_timeout);
    update_events(peer);
    receive_all(peer);
}

int
alchi_dmn_peer_add_own_agent(alchi_dmn_peers_t *peers, int fd, alch_error_t *err)
{
    alchi_dmn_peer_t *peer = peer_create(peers, fd);

    if (!peer)
        return alchi_error_set(err, ALCH_ENOMEM,
                               "the driver is out of memory for the connection to the agent of this host");
    peer->state = OPEN;
    peer->admitted = true;
    peer->link.role = ALCHI_ROLE_AGENT;
    peer->link.is_own_agent = true;
    snprintf(peer->link.name, sizeof(peer->link.name), "own agent");
    snprintf(peer->link.host, sizeof(peer->link.host), "here");
    alchi_channel_set_limits(peer->channel, ALCHI_META_MAX, 0);
    update_events(peer);
    return ALCH_OK;
}

static void
free_peer(uv_handle_t *handle)
{
    alchi_dmn_peer_t *peer = handle->data;

    alchi_channel_destroy(peer->channel);
    explicit_bzero(&peer->responder, sizeof(peer->responder));
    free(peer);
}

void
alchi_dmn_peers_free_closed(alchi_dmn_peers_t *peers)
{
    alchi_dmn_peer_t *peer;

    while ((peer = peers->closed)) {
        LL_DELETE2(peers->closed, peer, closed_next);
        DL_DELETE(peers->all, peer);
        /* The call may close more peers and add them to the list. */
        if (peer->admitted)
            alchi_drv_on_closed(peers->driver, &peer->link);
        uv_close((uv_handle_t *)&peer->poll, free_peer);
    }
}

void
alchi_dmn_peers_fini(alchi_dmn_peers_t *peers)
{
    alchi_dmn_peer_t *peer;

    DL_FOREACH(peers->all, peer)
    mark_closed(peer);
    alchi_dmn_peers_free_closed(peers);
}
