/**
 * @file net/resolve.h
 * Names to socket addresses, with a deadline.
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

/**
 * Numeric hosts and "localhost" need no look-up. Other names are looked up in a thread of their own, because
 * getaddrinfo() knows no deadline; it is left behind if it takes too long.
 *
 * @param[out] list     in the order in which to try them
 * @param[out] count_p  at least 1
 * @return ALCH_OK, ALCH_ECONNECT (unknown host), ALCH_ETIMEDOUT, ALCH_ENOMEM
 */
int alchi_resolve(const char *host, int port, alchi_deadline_t deadline, alchi_sockaddr_t list[ALCHI_RESOLVE_MAX],
                  int *count_p, alch_error_t *err);

#endif
