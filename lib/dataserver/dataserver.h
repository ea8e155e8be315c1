/**
 * @file dataserver/dataserver.h
 * The data server of a rank: clients write and read rectangles of its matrices.
 *
 * A fixed pool of data threads serves the connections, each thread with its own epoll descriptor. The first thread also
 * accepts connections and runs the handshakes, then assigns each authenticated connection to the thread with the
 * fewest connections. A peer that breaks the protocol is disconnected with one log line. The memory of each connection
 * is bounded. Nothing here calls MPI.
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
    int threads;              /* at most 64; 0: 2 */
    int connection_limit;     /* maximum number of authenticated connections; 0: 256 */
    int64_t message_limit;    /* bytes of one message's rectangle or set; 0: no limit */
    int io_timeout_ms;        /* for a peer that stalls within a message; 0: 60 s */
    int idle_timeout_ms;      /* for a peer without a request in flight, which can connect again; 0: 10 min */
    int handshake_timeout_ms; /* until the peer is authenticated; 0: 10 s */
    bool shared_memory;       /* listen also for clients on the same host */
} alchi_data_config_t;

/**
 * Listen and start the threads.
 *
 * @param[in]  config    copied; store and listen_fd must outlive the server
 * @param[out] server_p  to be ended with alchi_data_server_stop()
 * @param[out] port_p    the TCP port
 *
 * @return ALCH_OK, ALCH_ESYSTEM, ALCH_ENOMEM
 */
int alchi_data_server_start(const alchi_data_config_t *config, alchi_data_server_t **server_p, int *port_p,
                            alch_error_t *err);

/** Close all connections and end the threads. NULL is allowed. */
void alchi_data_server_stop(alchi_data_server_t *server);

/** @return the number of authenticated connections. When it has fallen, the closed connections have released their
 *  references to matrices. MT-Safe. */
int alchi_data_server_connections(alchi_data_server_t *server);

#endif
