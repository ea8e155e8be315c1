/**
 * @file daemon/peer.h
 * Connections on the loop: a channel, its poll handle and the handshake; once authenticated, a link of the driver.
 */
#ifndef ALCHI_DAEMON_PEER_H
#define ALCHI_DAEMON_PEER_H

#include "driver/driver.h"
#include "net/channel.h"
#include <uv.h>

/* Connections that have not authenticated yet. Executors come in crowds: up to the second number of them the oldest
 * goes only if it has had ALCHI_DMN_UNAUTHENTICATED_MS. */
#define ALCHI_DMN_UNAUTHENTICATED_MAX 64
#define ALCHI_DMN_UNAUTHENTICATED_HARD_MAX 1024
#define ALCHI_DMN_UNAUTHENTICATED_MS 5000
#define ALCHI_DMN_HANDSHAKE_MS 10000
#define ALCHI_DMN_FINAL_MESSAGE_MS 1000 /* to take the last word before a close */

typedef struct alchi_dmn_peer alchi_dmn_peer_t;

typedef struct {
    uv_loop_t *loop;
    alchi_drv_t *driver;
    alchi_dmn_peer_t *all;
    alchi_dmn_peer_t *dead; /* to be let go by alchi_dmn_peers_free_closed() */
    int strangers;
} alchi_dmn_peers_t;

/** A connection that was accepted; takes fd over. */
void alchi_dmn_peer_accept(alchi_dmn_peers_t *peers, int fd);
/** The driver's own agent over a socketpair: authenticated by descent. Takes fd over. @return ALCH_OK, ALCH_ENOMEM,
 * ALCH_ESYSTEM */
int alchi_dmn_peer_add_own_agent(alchi_dmn_peers_t *peers, int fd, alch_error_t *err);
/** Let broken ones go: before each wait of the loop, so that nothing is freed under anyone's feet. */
void alchi_dmn_peers_free_closed(alchi_dmn_peers_t *peers);
/** Close all without a word. */
void alchi_dmn_peers_fini(alchi_dmn_peers_t *peers);

#endif
