/** @file net_pair.h  Connected sockets, streams and channels for tests. */
#ifndef NET_PAIR_H
#define NET_PAIR_H

#include "net/address.h"
#include "net/channel.h"
#include "net/shm.h"
#include "unit.h"

#include <sys/socket.h>
#include <unistd.h>

#define PAIR_WAIT_MS 10000 /* for an event that must come: a loaded machine may delay it by seconds */

/* A listening socket on a free port of loopback. */
static inline int
pair_listen(alchi_address_t *address)
{
    int fd = -1;

    *address = (alchi_address_t){.host = "127.0.0.1"};
    unit_code(alchi_bind(address, &fd, NULL), ALCH_OK);
    unit_code(alchi_listen(fd, 16, NULL), ALCH_OK);
    return fd;
}

/* Wait for a connection and accept it. */
static inline int
pair_accept(int listen_fd)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(PAIR_WAIT_MS);
    struct pollfd entry = {.fd = listen_fd, .events = POLLIN};
    int fd = -1;

    while (alchi_accept(listen_fd, &fd, NULL) == ALCH_EAGAIN && alchi_deadline_left_ms(deadline) > 0)
        poll(&entry, 1, alchi_deadline_left_ms(deadline));
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Two ends of a TCP connection. */
static inline void
pair_tcp(int fd[2])
{
    alchi_address_t address;
    int listen_fd = pair_listen(&address);

    unit_code(alchi_connect(&address, alchi_deadline_in_ms(PAIR_WAIT_MS), &fd[0], NULL), ALCH_OK);
    fd[1] = pair_accept(listen_fd);
    close(listen_fd);
}

/* Two ends of a unix socket pair. */
static inline void
pair_unix(int fd[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

#define PAIR_RING ((size_t)128 << 10)

/* Switch two streams over a socket pair to shared memory. */
static inline void
pair_share(alchi_stream_t *maker, alchi_stream_t *peer, size_t size)
{
    alchi_rings_t *rings;
    alch_error_t err = {0};
    int fd;

    unit_code(alchi_rings_create(size, &rings, &fd, &err), ALCH_OK);
    unit_code(alchi_stream_use_rings(maker, rings), ALCH_OK);
    unit_code(alchi_rings_map(fd, size, &rings, &err), ALCH_OK);
    unit_code(alchi_stream_use_rings(peer, rings), ALCH_OK);
    close(fd);
}

static inline ssize_t
pair_send(alchi_stream_t *stream, const void *bytes, size_t size)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, size};

    return alchi_stream_writev(stream, &iov, 1);
}

/* pair_teardown() frees the objects that a test made and did not free, so every leak that is reported is the
 * library's. */
static alchi_channel_t *pair_channels[64];
static ProtobufCMessage *pair_messages[64];
static alchi_stream_t *pair_streams[64];
static int pair_channel_count, pair_message_count, pair_stream_count;

static inline alchi_channel_t *
pair_channel(int fd)
{
    alchi_channel_t *channel = alchi_channel_create(alchi_stream_create(fd));

    ck_assert_ptr_nonnull(channel);
    ck_assert_int_lt(pair_channel_count, 64);
    pair_channels[pair_channel_count++] = channel;
    return channel;
}

static inline alchi_stream_t *
pair_stream(int fd)
{
    alchi_stream_t *stream = alchi_stream_create(fd);

    ck_assert_ptr_nonnull(stream);
    ck_assert_int_lt(pair_stream_count, 64);
    pair_streams[pair_stream_count++] = stream;
    return stream;
}

static inline void
pair_close(alchi_stream_t *stream)
{
    for (int i = 0; i < pair_stream_count; i++)
        if (pair_streams[i] == stream)
            pair_streams[i] = pair_streams[--pair_stream_count];
    alchi_stream_destroy(stream);
}

static inline void
pair_destroy(alchi_channel_t *channel)
{
    for (int i = 0; i < pair_channel_count; i++)
        if (pair_channels[i] == channel)
            pair_channels[i] = pair_channels[--pair_channel_count];
    alchi_channel_destroy(channel);
}

/* Have a received message freed at the end of the test. */
static inline void
pair_keep(ProtobufCMessage *message)
{
    if (!message)
        return;
    ck_assert_int_lt(pair_message_count, 64);
    pair_messages[pair_message_count++] = message;
}

static inline void
pair_teardown(void)
{
    while (pair_channel_count > 0)
        alchi_channel_destroy(pair_channels[--pair_channel_count]);
    while (pair_stream_count > 0)
        alchi_stream_destroy(pair_streams[--pair_stream_count]);
    while (pair_message_count > 0)
        alchi_message_free(pair_messages[--pair_message_count]);
}

#endif
