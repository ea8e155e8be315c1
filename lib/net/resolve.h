/**
 * @file net/resolve.h
 * Resolve host names to socket addresses, with a deadline.
 */
#ifndef ALCHI_NET_RESOLVE_H
#define ALCHI_NET_RESOLVE_H

#include "net/address.h"

#include <sys/socket.h>

#define ALCHI_RESOLVE_MAX 16

typedef struct {
    struct sockaddr_storage address;
    socklen_t size;
} alchi_sockaddr_t;

/** Set the port of an IPv4 or IPv6 address. */
void alchi_sockaddr_set_port(alchi_sockaddr_t *address, int port);

/**
 * Resolve a host name. "", "*", numeric hosts and "localhost" need no look-up. For other names a separate thread calls
 * getaddrinfo(), which has no deadline. After the deadline the caller no longer waits, and the thread ends when
 * getaddrinfo() returns.
 *
 * @param[out] list     the addresses with `port`, in the order in which to try them
 * @param[out] count_p  how many addresses; at least 1, at most ALCHI_RESOLVE_MAX
 * @return ALCH_OK, ALCH_ECONNECT (unknown host), ALCH_ETIMEDOUT, ALCH_ENOMEM
 */
int alchi_resolve(const char *host, int port, alchi_deadline_t deadline, alchi_sockaddr_t list[ALCHI_RESOLVE_MAX],
                  int *count_p, alch_error_t *err);

#endif
