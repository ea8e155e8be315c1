/**
 * @file net/address.h
 * Addresses and sockets: parse and format addresses, connect with a deadline, bind, listen, accept.
 *
 * All sockets that these functions open are non-blocking and close-on-exec, with TCP_NODELAY and keepalive. Streams
 * (net/stream.h) write to them without raising SIGPIPE.
 */
#ifndef ALCHI_NET_ADDRESS_H
#define ALCHI_NET_ADDRESS_H

#include "base/clock.h"
#include <alchemist/error.h>
#include <stddef.h>
#include <stdbool.h>

typedef struct {
    char host[256];
    int port;
} alchi_address_t;

/** Parse "host", "host:port", "[v6]", "[v6]:port" or ":port" (localhost). Without a port the result has `default_port`.
 *  *address_p is written on success only. @return ALCH_OK or ALCH_EINVAL */
int alchi_address_parse(const char *text, int default_port, alchi_address_t *address_p, alch_error_t *err);

/** Write "host:port", with brackets around an IPv6 host. Returns text. */
char *alchi_address_format(const alchi_address_t *address, char *text, size_t size);

/** Whether the host is this host's loopback (localhost, 127.x, ::1) or means every interface (alchi_address_is_any()).
 *  Does no look-up. */
bool alchi_address_is_loopback(const char *host);

/** Whether the host means every interface ("", "*", 0.0.0.0, ::). Does no look-up. */
bool alchi_address_is_any(const char *host);

/** Connect: try every resolved address until the deadline. The caller owns the socket *fd_p.
 *  @return ALCH_OK, ALCH_ECONNECT, ALCH_ETIMEDOUT, ALCH_ENOMEM */
int alchi_connect(const alchi_address_t *address, alchi_deadline_t deadline, int *fd_p, alch_error_t *err);

/**
 * Bind a socket. It does not listen yet, but no other socket can have its port.
 *
 * @param[in,out] address  host "" or "*": every interface; port 0: any free port. The port is set to the bound one
 * @param[out]    fd_p     the socket, which the caller owns
 *
 * @return ALCH_OK
 * @return ALCH_EPORT    the port is in use; the text names the process if it can be seen
 * @return ALCH_EINVAL   the host cannot be resolved or is not an address of this host, or the port is out of range
 * @return ALCH_ENOMEM, ALCH_ESYSTEM
 */
int alchi_bind(alchi_address_t *address, int *fd_p, alch_error_t *err);

/** Listen on a bound socket. @return ALCH_OK; ALCH_EPORT: another socket listens on the port; ALCH_ESYSTEM */
int alchi_listen(int fd, int backlog, alch_error_t *err);

/** Stop listening but keep the port; connections that are not accepted yet are reset. The same socket may listen again.
 *  A socket that does not listen is not shut down. */
void alchi_unlisten(int fd);

/**
 * Accept a connection, if one waits, and prepare its socket. The caller owns the socket.
 *
 * @return ALCH_OK
 * @return ALCH_EAGAIN   no connection waits, or one failed before it was accepted
 * @return ALCH_ESYSTEM  out of descriptors or memory; the connection still waits, so pause before the next try. Or
 *                       listen_fd is not a listening socket
 */
int alchi_accept(int listen_fd, int *fd_p, alch_error_t *err);

/** Write the numeric address of a connected socket's peer, without the port; "?" if it is unknown, "" for a unix
 *  socket. */
void alchi_peer_host(int fd, char *host, size_t size);

/** Write "host:port" of a connected socket's peer for messages; "a unix socket" for a unix socket, "an unknown
 * address" if it is unknown. Returns text. */
char *alchi_peer_text(int fd, char *text, size_t size);

/** Prepare a socket that another process or library opened, as described at the top. The connection fails when the
 *  host of its peer has been silent for 60 s. */
void alchi_socket_prepare(int fd);

/** The port that a socket is bound to; 0: none. */
int alchi_socket_port(int fd);

/** Set up a connected socket for bulk data: if the peer is on the same host, set the size of the send buffer. */
void alchi_socket_bulk(int fd);

/** Make the connection fail when the peer's host has answered neither data nor probes for `timeout_ms`. */
void alchi_socket_keepalive(int fd, int timeout_ms);

#endif
