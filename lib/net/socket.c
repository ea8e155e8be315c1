/* Sockets: options, connecting, binding and listening, names of peers. */
#include "net/address.h"

#include "base/error.h"
#include "net/portowner.h"
#include "net/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SILENCE_MS 60000 /* a connection fails when the peer's host has been silent for this time (net/address.h) */
/* Attempts to bind a free port: another process may take the port between its choice and the second bind. */
#define BIND_TRIES 16

static void
set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

void
alchi_socket_keepalive(int fd, int timeout_ms)
{
    int idle_s = timeout_ms / 4000, interval_s = timeout_ms / 12000;

    /* With 60 s the first probe follows after 15 s of silence, the next ones at intervals of 5 s. */
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s > 1 ? idle_s : 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s > 1 ? interval_s : 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
}

void
alchi_socket_prepare(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0 || address.ss_family == AF_UNIX)
        return;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    alchi_socket_keepalive(fd, SILENCE_MS);
}

static int
create_socket(const alchi_sockaddr_t *address)
{
    int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        alchi_socket_prepare(fd);
    return fd;
}

/* Close a descriptor and keep errno. */
static void
close_keeping_errno(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
}

/* Get the addresses of both ends of a connection. The bytes after each address are zero, so the two can be compared.
 * false: the ends are unknown or of different families. */
static bool
get_both_ends(int fd, struct sockaddr_storage *here, struct sockaddr_storage *there)
{
    socklen_t here_size = sizeof(*here), there_size = sizeof(*there);

    memset(here, 0, sizeof(*here));
    memset(there, 0, sizeof(*there));
    return getsockname(fd, (struct sockaddr *)here, &here_size) == 0 &&
           getpeername(fd, (struct sockaddr *)there, &there_size) == 0 && here->ss_family == there->ss_family;
}

/* ---- bulk ---- */

/* Bytes of the send buffer between two processes of one host. With a larger buffer, the bytes have left the processor's
 * caches before the peer reads them. */
#define BULK_SEND_BYTES (1 << 20)

static size_t
host_bytes(const struct sockaddr_storage *address, const void **bytes_p)
{
    if (address->ss_family == AF_INET6) {
        *bytes_p = &((const struct sockaddr_in6 *)address)->sin6_addr;
        return sizeof(struct in6_addr);
    }
    *bytes_p = &((const struct sockaddr_in *)address)->sin_addr;
    return sizeof(struct in_addr);
}

static bool
is_same_host(int fd)
{
    struct sockaddr_storage here, there;
    const void *a, *b;
    size_t size;

    if (!get_both_ends(fd, &here, &there) || (here.ss_family != AF_INET && here.ss_family != AF_INET6))
        return false;
    size = host_bytes(&here, &a);
    host_bytes(&there, &b);
    return memcmp(a, b, size) == 0;
}

void
alchi_socket_bulk(int fd)
{
    if (is_same_host(fd))
        set_option(fd, SOL_SOCKET, SO_SNDBUF, BULK_SEND_BYTES);
}

/* ---- connecting ---- */

/* If nothing listens on a port of the ephemeral range, the kernel may choose the same port as the source: the socket is
 * then connected to itself. */
static bool
is_self_connected(int fd)
{
    struct sockaddr_storage here, there;

    return get_both_ends(fd, &here, &there) && memcmp(&here, &there, sizeof(here)) == 0;
}

/* Wait until the socket is connected. Returns 0 or an errno value; ETIMEDOUT: the deadline has passed. */
static int
wait_until_connected(int fd, alchi_deadline_t deadline)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    int number = 0;
    socklen_t size = sizeof(number);

    for (;;) {
        int left_ms = alchi_deadline_left_ms(deadline);
        int n = poll(&entry, 1, left_ms);

        if (n > 0)
            break;
        if (n < 0 && errno != EINTR)
            return errno;
        if (left_ms == 0)
            return ETIMEDOUT;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
        return errno;
    if (number == 0 && is_self_connected(fd))
        return ECONNREFUSED;
    return number;
}

static int
connect_one(const alchi_sockaddr_t *address, alchi_deadline_t deadline, int *fd_p)
{
    int fd = create_socket(address), number = 0;

    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)&address->address, address->size) != 0)
        number = errno;
    if (number == 0 || number == EINPROGRESS || number == EINTR)
        number = wait_until_connected(fd, deadline);
    if (number != 0) {
        close(fd);
        return number;
    }
    *fd_p = fd;
    return 0;
}

/* The deadline for one of `addresses` addresses that are left: an equal part of the time, so that an address that does
 * not answer leaves time for the others. Without a deadline each address but the last one gets 10 s. */
static alchi_deadline_t
deadline_of_one(alchi_deadline_t deadline, int addresses)
{
    int64_t now;

    if (addresses == 1)
        return deadline;
    if (deadline == ALCHI_NEVER)
        return alchi_deadline_in_ms(10000);
    now = alchi_now_ns();
    return deadline > now ? now + (deadline - now) / addresses : deadline;
}

int
alchi_connect(const alchi_address_t *address, alchi_deadline_t deadline, int *fd_p, alch_error_t *err)
{
    alchi_sockaddr_t list[ALCHI_RESOLVE_MAX];
    int64_t start = alchi_now_ns();
    int count = 0, code, first = 0;
    char text[300];

    code = alchi_resolve(address->host, address->port, deadline, list, &count, err);
    if (code != ALCH_OK)
        return code;
    alchi_address_format(address, text, sizeof(text));
    for (int i = 0; i < count; i++) {
        int number = connect_one(&list[i], deadline_of_one(deadline, count - i), fd_p);

        if (number == 0)
            return ALCH_OK;
        if (first == 0 || first == EAFNOSUPPORT || first == EADDRNOTAVAIL)
            first = number;
        if (alchi_deadline_left_ms(deadline) == 0)
            break;
    }
    if (first == ETIMEDOUT)
        return alchi_error_set(err, ALCH_ETIMEDOUT, "%s did not answer within %.1f s", text,
                               (double)(alchi_now_ns() - start) / 1e9);
    return alchi_error_set(err, ALCH_ECONNECT, "cannot connect to %s: %s", text, strerror(first));
}

/* ---- listening ---- */

/* The port in a socket address; 0: the address has no port. */
static int
get_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return address->ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)address)->sin_port) : 0;
}

int
alchi_socket_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &size) == 0 ? get_port(&address) : 0;
}

/* Returns a bound socket, or -1 with errno. */
static int
bind_socket(const alchi_sockaddr_t *address, bool reuse)
{
    int fd = create_socket(address);

    if (fd < 0)
        return -1;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
    if (bind(fd, (const struct sockaddr *)&address->address, address->size) != 0) {
        close_keeping_errno(fd);
        return -1;
    }
    return fd;
}

/*
 * Bind a given port.
 *
 * SO_REUSEADDR allows binding a port that only old connections still use. But it also allows two sockets to have the
 * same port while neither listens, for example the port of an idle worker slot. Therefore a socket has the option only
 * while it listens. Its connections inherit the option, which allows the next daemon to bind the port. If a port
 * cannot be bound without the option, it is refused, unless old connections can be the reason.
 */
static int
bind_given_port(const alchi_sockaddr_t *address)
{
    int fd = bind_socket(address, false);

    if (fd >= 0 || errno != EADDRINUSE || !alchi_port_has_connections((const struct sockaddr *)&address->address))
        return fd;
    fd = bind_socket(address, true);
    if (fd >= 0)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, false);
    return fd;
}

/* Bind a free port: let the system choose one, then bind it a second time by its number. Only a port that was bound by
 * its number stays with the socket when the socket stops listening. */
static int
bind_free_port(alchi_sockaddr_t *address)
{
    for (int i = 0; i < BIND_TRIES; i++) {
        int fd, port;

        alchi_sockaddr_set_port(address, 0);
        fd = bind_socket(address, false);
        if (fd < 0)
            return -1;
        port = alchi_socket_port(fd);
        close(fd);
        alchi_sockaddr_set_port(address, port);
        fd = bind_given_port(address);
        if (fd >= 0 || errno != EADDRINUSE)
            return fd;
    }
    errno = EADDRINUSE;
    return -1;
}

static int
report_bind_error(const alchi_address_t *address, const alchi_sockaddr_t *numeric, int number, alch_error_t *err)
{
    const char *host = address->host[0] ? address->host : "0.0.0.0";
    char owner[128], text[300];

    if (number == EADDRINUSE && address->port != 0)
        return alchi_error_set(err, ALCH_EPORT, "port %d on %s is in use by %s", address->port, host,
                               alchi_port_owner((const struct sockaddr *)&numeric->address, owner, sizeof(owner)));
    if (number == EADDRNOTAVAIL || number == EAFNOSUPPORT)
        return alchi_error_set(err, ALCH_EINVAL, "%s is not an address of this host", host);
    return alchi_error_errno(err, number, "cannot bind %s", alchi_address_format(address, text, sizeof(text)));
}

int
alchi_bind(alchi_address_t *address, int *fd_p, alch_error_t *err)
{
    alchi_sockaddr_t list[ALCHI_RESOLVE_MAX];
    int count = 0, code, fd;

    if (address->port < 0 || address->port > 65535)
        return alchi_error_set(err, ALCH_EINVAL, "port %d is not between 0 and 65535", address->port);
    code = alchi_resolve(address->host, address->port, alchi_deadline_in_ms(10000), list, &count, err);
    if (code == ALCH_ENOMEM)
        return code;
    if (code != ALCH_OK)
        return alchi_error_set(err, ALCH_EINVAL, "cannot bind %s: the host cannot be resolved", address->host);
    fd = address->port ? bind_given_port(&list[0]) : bind_free_port(&list[0]);
    if (fd < 0)
        return report_bind_error(address, &list[0], errno, err);
    address->port = alchi_socket_port(fd);
    *fd_p = fd;
    return ALCH_OK;
}

int
alchi_listen(int fd, int backlog, alch_error_t *err)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char owner[128];
    int number;

    set_option(fd, SOL_SOCKET, SO_REUSEADDR, true); /* see bind_given_port() */
    if (listen(fd, backlog) == 0)
        return ALCH_OK;
    number = errno;
    if (number != EADDRINUSE || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return alchi_error_errno(err, number, "cannot listen on port %d", alchi_socket_port(fd));
    return alchi_error_set(err, ALCH_EPORT, "port %d is in use by %s", alchi_socket_port(fd),
                           alchi_port_owner((struct sockaddr *)&address, owner, sizeof(owner)));
}

void
alchi_unlisten(int fd)
{
    int listening = 0;
    socklen_t size = sizeof(listening);

    /* On a socket that does not listen, shutdown() would last: connections accepted later would be shut down too. */
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening)
        shutdown(fd, SHUT_RDWR);
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, false);
}

int
alchi_accept(int listen_fd, int *fd_p, alch_error_t *err)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        alchi_socket_prepare(fd);
        *fd_p = fd;
        return ALCH_OK;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
        return alchi_error_errno(err, errno, "cannot accept a connection");
    default: /* no connection waits, or one failed before it was accepted */
        return ALCH_EAGAIN;
    }
}

/* ---- peers ---- */

/* On a socket that serves both families an IPv4 peer has a mapped IPv6 address: turn it into the IPv4 address. */
static void
unmap_ipv4(struct sockaddr_storage *address, socklen_t *size)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    if (address->ss_family != AF_INET6)
        return;
    memcpy(&v6, address, sizeof(v6));
    if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    v4.sin_port = v6.sin6_port;
    memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
    memcpy(address, &v4, sizeof(v4));
    *size = sizeof(v4);
}

/* Returns the address family of the peer, or -1. */
static int
get_peer(int fd, alchi_address_t *address_p)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char port[16];

    if (getpeername(fd, (struct sockaddr *)&address, &size) != 0)
        return -1;
    if (address.ss_family == AF_UNIX)
        return AF_UNIX;
    unmap_ipv4(&address, &size);
    if (getnameinfo((struct sockaddr *)&address, size, address_p->host, sizeof(address_p->host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -1;
    address_p->port = get_port(&address);
    return address.ss_family;
}

void
alchi_peer_host(int fd, char *host, size_t size)
{
    alchi_address_t address;
    int family = get_peer(fd, &address);

    if (family == AF_UNIX)
        address.host[0] = '\0';
    snprintf(host, size, "%s", family < 0 ? "?" : address.host);
}

char *
alchi_peer_text(int fd, char *text, size_t size)
{
    alchi_address_t address;
    int family = get_peer(fd, &address);

    if (family < 0 || family == AF_UNIX)
        snprintf(text, size, "%s", family < 0 ? "an unknown address" : "a unix socket");
    else
        alchi_address_format(&address, text, size);
    return text;
}
