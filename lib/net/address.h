/**
 * @file net/address.h
 * Addresses and sockets: parse, connect with a deadline, listen.
 *
 * All sockets made here are non-blocking, close-on-exec, with TCP_NODELAY and
 * keepalive; nothing raises SIGPIPE.
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

/** "host", "host:port", "[v6]", "[v6]:port", ":port" (localhost). Missing port: default_port.
 *  @return ALCH_OK or ALCH_EINVAL */
int alchi_address_parse(const char *text, int default_port, alchi_address_t *address_p, alch_error_t *err);

/** "host:port", with brackets for v6. Returns text. */
char *alchi_address_format(const alchi_address_t *address, char *text, size_t size);

/** Whether the host is this machine's loopback or "any" (0.0.0.0, ::, localhost, 127.x). No look-up. */
bool alchi_address_is_loopback(const char *host);

/** Whether the host stands for every interface (0.0.0.0, ::). No look-up. */
bool alchi_address_is_any(const char *host);

/** Connect, trying every resolved address until the deadline. @return ALCH_OK, ALCH_ECONNECT, ALCH_ETIMEDOUT */
int alchi_connect(const alchi_address_t *address, alchi_deadline_t deadline, int *fd_p, alch_error_t *err);

/** Bind (host "" or "*": every interface; port 0: any); not listening yet. Nobody else can have the port.
 *  address->port is set to the port.
 *  @return ALCH_OK, ALCH_EPORT naming the process that has it if it can be seen, ALCH_EINVAL, ALCH_ESYSTEM */
int alchi_bind(alchi_address_t *address, int *fd_p, alch_error_t *err);

/** Listen on a bound socket. @return ALCH_OK, ALCH_EPORT (another socket listens there), ALCH_ESYSTEM */
int alchi_listen(int fd, int backlog, alch_error_t *err);

/** Stop listening but keep the port; waiting connections are reset. The same socket may listen again.
 *  A socket that does not listen is left alone. */
void alchi_unlisten(int fd);

/**
 * Accept a connection, if there is one, and prepare its socket.
 *
 * @return ALCH_OK; ALCH_EAGAIN: none
 * @return ALCH_ESYSTEM  out of descriptors or memory: the connection still waits, so pause before trying again
 */
int alchi_accept(int listen_fd, int *fd_p, alch_error_t *err);

/** The numeric address of the peer of a connected socket (without port); "?" if it cannot be known, "" for a unix
 *  socket. */
void alchi_peer_host(int fd, char *host, size_t size);

/** "host:port" of the peer for messages, "a local socket" for a unix socket. Returns text. */
char *alchi_peer_text(int fd, char *text, size_t size);

/** Prepare an inherited socket as above: a silent peer is given up after 60 s. */
void alchi_socket_prepare(int fd);

/** The port that a socket is bound to; 0: none. */
int alchi_socket_port(int fd);

/** Prepare a connected socket for bulk data. */
void alchi_socket_bulk(int fd);

/** Give up a peer that has been silent, its host not even answering probes, for `timeout_ms`. */
void alchi_socket_keepalive(int fd, int timeout_ms);

#endif
