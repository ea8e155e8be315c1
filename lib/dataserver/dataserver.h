/**
 * @file dataserver/dataserver.h
 * The data server of a rank: clients write and read rectangles of its matrices.
 *
 * A fixed pool of threads, each with its own epoll; no MPI. The first one accepts and
 * runs the handshakes, and hands authenticated connections round. A peer that breaks the
 * protocol is closed with one log line; memory per connection is bounded.
 */
#ifndef ALCHI_DATASERVER_DATASERVER_H
#define ALCHI_DATASERVER_DATASERVER_H

#include "net/auth.h"
#include "store/store.h"

typedef struct alchi_data_server alchi_data_server_t;

typedef struct {
    alchi_store_t *store; /* borrowed */
    int listen_fd;        /* bound, not listening; borrowed */
    uint64_t session, group;
    int rank;
    uint8_t key[ALCHI_KEY_SIZE];
    int threads;              /* 0: 2 */
    int connection_limit;     /* authenticated ones; 0: 256 */
    int64_t message_limit;    /* bytes of one rectangle; 0: none */
    int io_timeout_ms;        /* a peer that stalls in mid-message; 0: 60 s */
    int idle_timeout_ms;      /* between messages; clients connect again; 0: 10 min */
    int handshake_timeout_ms; /* 0: 10 s */
    bool shared_memory;       /* listen for clients of the same host too */
} alchi_data_config_t;

/** Listen and start the threads. @param[out] port_p the port. @return ALCH_OK, ALCH_ESYSTEM, ALCH_ENOMEM */
int alchi_data_server_start(const alchi_data_config_t *config, alchi_data_server_t **data_p, int *port_p,
                            alch_error_t *err);

/** Close all connections and end the threads. NULL is allowed. */
void alchi_data_server_stop(alchi_data_server_t *data);

/** Authenticated connections now. MT-Safe. */
int alchi_data_server_connections(alchi_data_server_t *data);

#endif
