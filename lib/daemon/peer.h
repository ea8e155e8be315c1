/**
 * @file daemon/peer.h
 * Connections on the driver's loop: a channel, its poll handle and the handshake. After the handshake the connection is
 * a link of the driver. Not MT-Safe: everything happens in the thread of the loop.
 */
#ifndef ALCHI_DAEMON_PEER_H
#define ALCHI_DAEMON_PEER_H

#include "driver/driver.h"
#include "net/channel.h"
#include <uv.h>

/*
 * Connections that have not authenticated yet. Executors of one job connect all at once, so more than
 * ALCHI_DMN_UNAUTHENTICATED_MAX are allowed for a moment: a new connection then closes the oldest one only if that one
 * has existed for ALCHI_DMN_UNAUTHENTICATED_MS. At the hard maximum it closes the oldest one in any case.
 */
#define ALCHI_DMN_UNAUTHENTICATED_MAX 64
#define ALCHI_DMN_UNAUTHENTICATED_HARD_MAX 1024
#define ALCHI_DMN_UNAUTHENTICATED_MS 5000
/* from the start of a connection until it must have authenticated */
#define ALCHI_DMN_HANDSHAKE_MS 10000
/* time for a peer to read the final message before the connection is closed */
#define ALCHI_DMN_FINAL_MESSAGE_MS 1000

typedef struct alchi_dmn_peer alchi_dmn_peer_t;

typedef struct {
    uv_loop_t *loop;
    alchi_drv_t *driver;
    alchi_dmn_peer_t *all;
    alchi_dmn_peer_t *closed; /* alchi_dmn_peers_free_closed() frees them */
    int unauthenticated;
} alchi_dmn_peers_t;

/** Add a connection that was accepted. fd belongs to the peer afterwards, also on failure. */
void alchi_dmn_peer_accept(alchi_dmn_peers_t *peers, int fd);
/**
 * Add the agent of the driver's own host. It is at the other end of a socket pair that this process created, so it
 * needs no authentication. fd belongs to the peer afterwards, also on failure.
 *
 * @return ALCH_OK, ALCH_ENOMEM
 */
int alchi_dmn_peer_add_own_agent(alchi_dmn_peers_t *peers, int fd, alch_error_t *err);
/** Free closed peers. Called before each wait of the loop, so that no peer is freed while a callback uses it. */
void alchi_dmn_peers_free_closed(alchi_dmn_peers_t *peers);
/** Close all connections without a final message. */
void alchi_dmn_peers_fini(alchi_dmn_peers_t *peers);

#endif
