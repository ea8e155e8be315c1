/**
 * @file address.h
 * Addresses and sockets: parse, connect with a deadline, listen.
 *
 * All sockets made here are non-blocking, close-on-exec, with TCP_NODELAY and
 * keepalive; nothing raises SIGPIPE.
 */
#ifndef ALCHI_ADDRESS_H
#define ALCHI_ADDRESS_H

#include "base/clock.h"
#include <alchemist/error.h>
#include <stddef.h>
#include <stdbool.h>

typedef struct {
    char host[256];
    int port;
} alchi_address_t;

/** "host", "host:port", "[v6]", "[v6]:port", ":port". Missing port: default_port. @return ALCH_OK or ALCH_EINVAL */
int alchi_address_parse(const char *text, int default_port, alchi_address_t *address_p, alch_error_t *err);

/** "host:port", with brackets for v6. Returns text. */
char *alchi_address_format(const alchi_address_t *address, char *text, size_t size);

/** Whether the host is this machine's loopback or "any" (0.0.0.0, ::, localhost, 127.x). No look-up. */
bool alchi_address_is_loopback(const char *host);

/** Connect, trying every resolved address until the deadline. @return ALCH_OK, ALCH_ECONNECT, ALCH_ETIMEDOUT */
int alchi_connect(const alchi_address_t *address, alchi_deadline_t deadline, int *fd_p, alch_error_t *err);

/** Bind (port 0: any) with SO_REUSEADDR; not listening yet. address->port is set to the port.
 *  @return ALCH_OK, ALCH_EPORT naming the process that has it if it can be seen, ALCH_EINVAL, ALCH_ESYSTEM */
int alchi_bind(alchi_address_t *address, int *fd_p, alch_error_t *err);

/** The numeric address of the peer of a connected socket (without port). */
void alchi_peer_host(int fd, char *host, size_t size);

/** Prepare an accepted or inherited socket as above. */
void alchi_socket_prepare(int fd);

#endif
