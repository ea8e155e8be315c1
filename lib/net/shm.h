/**
 * @file net/shm.h
 * Shared memory between a client process and a rank on the same host: a stream over a unix socket whose bytes go
 * through two rings.
 *
 * The responder (the rank) creates two rings in a sealed memfd and passes the descriptor over the socket, after the
 * usual handshake. From then on the socket carries no data. A byte on it wakes a peer that has announced that it
 * sleeps. When one process ends, the other sees the end of the socket. The memory has no name, so none is left behind
 * when either process is killed.
 *
 * The address at which the rank listens is derived from its data key, which both sides know, so it is not advertised.
 * The client tries the abstract namespace first (it works within one network namespace), then a socket file in
 * $XDG_RUNTIME_DIR/alchemist or ~/.alchemist (for containers that share the folder).
 */
#ifndef ALCHI_NET_SHM_H
#define ALCHI_NET_SHM_H

#include "net/auth.h"
#include "net/shm_rings.h"
#include "net/stream.h"

/** Bytes of one direction's ring. It is small enough to stay in the cache of a core. Rings of 2 MiB were not faster. */
#define ALCHI_SHM_RING ((size_t)1 << 20)

/** Make a socket stream send and receive through rings, which the stream owns from now on. On failure the rings are
 *  freed.
 *  @threads  one thread at a time uses such a stream, for both directions
 *  @return ALCH_OK, ALCH_ENOMEM */
int alchi_stream_use_rings(alchi_stream_t *stream, alchi_rings_t *rings);

/* ---- agreeing on shared memory, over an authenticated connection on which no other request is in flight ---- */

/** The rank's side: answer request `id` (DATA_SHARE) with rings, and switch the stream to them.
 *  @return ALCH_OK
 *  @return ALCH_ECONNECT  the answer could not be sent, or the stream could not be switched: close the connection
 *  @return ALCH_ENOMEM, ALCH_ESYSTEM  there is no memory for the rings; nothing was sent */
int alchi_shm_grant(alchi_channel_t *channel, uint64_t id, alch_error_t *err);
/** The client's side: send DATA_SHARE as request `id`, wait for the rings until the deadline, and switch to them.
 *  @return ALCH_OK; after any other code the connection cannot be used any more */
int alchi_shm_request(alchi_channel_t *channel, uint64_t id, alchi_deadline_t deadline, alch_error_t *err);

/* ---- where a rank listens ---- */

/** Bytes of the path of a unix socket, as in sun_path of struct sockaddr_un. */
#define ALCHI_SHM_PATH_MAX 108

typedef struct {
    int fd[2];                     /* listening sockets at the abstract name and at the file; -1: not open */
    char path[ALCHI_SHM_PATH_MAX]; /* of the file; "": there is none */
} alchi_shm_listener_t;

/** Listen for clients that know the data key. A socket that cannot be opened is left out (fd -1). If neither can be
 *  opened, clients use TCP. */
void alchi_shm_listener_open(alchi_shm_listener_t *listener, const uint8_t key[ALCHI_KEY_SIZE],
                             const alchi_claim_t *claim);
/** Close the sockets and remove the file. A second call does nothing. */
void alchi_shm_listener_close(alchi_shm_listener_t *listener);
/** Connect to a rank on the same host. @return the socket, which the caller owns; -1: no socket of the rank answers */
int alchi_shm_connect(const uint8_t key[ALCHI_KEY_SIZE], const alchi_claim_t *claim);
/** Remove the socket files that killed ranks left behind. @return how many files it removed */
int alchi_shm_sweep_sockets(void);

#endif
