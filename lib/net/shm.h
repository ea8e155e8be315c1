/**
 * @file net/shm.h
 * The same-host path: a stream over a unix socket whose bytes go through shared memory.
 *
 * The responder (a rank) makes two rings in a sealed memfd and passes it over the socket after the usual handshake.
 * From then on the socket carries no data: a byte on it says "look again" to a peer that said that it waits, and its
 * end is the peer's end, so that nothing is left behind when either side is killed.
 *
 * Where it listens follows from the rank's data key, which both sides know: nothing has to be advertised. First the
 * abstract namespace (same network namespace), then a socket file in $XDG_RUNTIME_DIR/alchemist or /tmp/alchemist-UID
 * (containers that share the folder).
 */
#ifndef ALCHI_NET_SHM_H
#define ALCHI_NET_SHM_H

#include "net/auth.h"
#include "net/shm_rings.h"
#include "net/stream.h"

/** Bytes of one direction's ring: small enough to stay in a core's cache; 2 MiB were no faster, rather slower. */
#define ALCHI_SHM_RING ((size_t)1 << 20)

/** Go on through rings, which are taken over. One thread uses such a stream at a time, for both directions. */
int alchi_stream_share(alchi_stream_t *stream, alchi_rings_t *rings);

/* ---- agreeing on it, over an authenticated connection on which nothing is under way ---- */

/** The rank's side: answer DATA_SHARE and switch. @return ALCH_OK; ALCH_ECONNECT: close; else nothing was sent */
int alchi_shm_grant(alchi_channel_t *channel, uint64_t id, alch_error_t *err);
/** The client's side: ask and switch. @return ALCH_OK; else the connection is of no more use */
int alchi_shm_ask(alchi_channel_t *channel, uint64_t id, alchi_deadline_t deadline, alch_error_t *err);

/* ---- where a rank listens ---- */

#define ALCHI_SHM_PATH_MAX 108

typedef struct {
    int fd[2]; /* abstract, file; -1: not there */
    char path[ALCHI_SHM_PATH_MAX];
} alchi_shm_listener_t;

/** Listen for clients that know the data key; what cannot be had is left out. */
void alchi_shm_listener_open(alchi_shm_listener_t *local, const uint8_t key[ALCHI_KEY_SIZE],
                             const alchi_claim_t *claim);
void alchi_shm_listener_close(alchi_shm_listener_t *local);
/** Connect to a rank on the same host. @return the descriptor; -1: there is none */
int alchi_shm_connect(const uint8_t key[ALCHI_KEY_SIZE], const alchi_claim_t *claim);
/** Remove socket files of ranks that are gone. Returns how many. */
int alchi_shm_sweep_sockets(void);

#endif
