/**
 * @file net/auth.h
 * Mutual authentication: HMAC-SHA256 challenge and response over a shared key.
 *
 *     initiator -> HELLO {versions, role, nonce, session, group, rank}
 *     responder -> CHALLENGE {version, nonce, proof of the responder}
 *     initiator -> PROOF {proof of the initiator}
 *     responder -> WELCOME {...} or ERROR
 *
 * A proof is HMAC(key, side || roles || versions || session || group || rank ||
 * both nonces), so that neither a replay, a reflection nor a proof for another
 * place is accepted. Which key counts depends on the role:
 *
 *     CLIENT, AGENT   the driver's token
 *     EXECUTOR        the session's key (alchi_session_key)
 *     RANK            the rank's control key, made by the driver
 *     DATA            the rank's data key (alchi_data_key)
 *
 * Keys are 32 bytes; none is ever sent as a client knows it (alchi_key_wrap()). The state machines
 * do no I/O: they turn messages into messages.
 */
#ifndef ALCHI_NET_AUTH_H
#define ALCHI_NET_AUTH_H

#include "net/channel.h"

#define ALCHI_KEY_SIZE 32

/* Versions of the protocol that this side speaks. */
#define ALCHI_PROTOCOL_MIN 1
#define ALCHI_PROTOCOL_MAX 1

typedef enum {
    ALCHI_ROLE_CLIENT = 1,
    ALCHI_ROLE_EXECUTOR = 2,
    ALCHI_ROLE_AGENT = 3,
    ALCHI_ROLE_RANK = 4,
    ALCHI_ROLE_DATA = 5
} alchi_role_t;

/** What an initiator asks for; bound into the proofs. */
typedef struct {
    alchi_role_t role;
    uint64_t session, group;
    int rank;
} alchi_claim_t;

/** The session's key from the driver's token and both nonces of the CLIENT handshake: both ends compute it. */
void alchi_session_key(const uint8_t token[ALCHI_KEY_SIZE], const uint8_t nonce_initiator[32],
                       const uint8_t nonce_responder[32], uint8_t key[ALCHI_KEY_SIZE]);

/** The key of data connections to one rank, from the session's key. */
void alchi_data_key(const uint8_t session_key[ALCHI_KEY_SIZE], uint64_t session, uint64_t group, int rank,
                    uint8_t key[ALCHI_KEY_SIZE]);

/** Hide a rank's data key on its way to a rank of another group of the session, or uncover it there: the same function.
 *  @param control_key  of the rank that shall have it
 *  @param group, rank  whose data key it is */
void alchi_key_wrap(const uint8_t control_key[ALCHI_KEY_SIZE], uint64_t group, int rank,
                    const uint8_t key[ALCHI_KEY_SIZE], uint8_t wrapped[ALCHI_KEY_SIZE]);

/* ---- responder (driver, rank) ---- */

typedef struct {
    int state;
    alchi_claim_t claim; /* valid after the first message */
    uint8_t key[ALCHI_KEY_SIZE];
    uint8_t nonce_initiator[32], nonce_responder[32];
    uint32_t version, version_min, version_max;
    char name[64], host[64]; /* of the initiator, printable, for the log */
    int pid;
    alch_error_t refusal; /* why no key was found for the claim; code ALCH_OK: one was */
} alchi_responder_t;

void alchi_responder_init(alchi_responder_t *responder);

/**
 * Finds the key for a claim; ALCH_OK, or a code and text that is logged. What the peer
 * is told is "authentication failed" whatever the reason, after the same exchange.
 */
typedef int (*alchi_key_f)(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *err);

/**
 * Feed one received frame; replies are queued on the channel.
 *
 * @param[out] done_p  true when the peer has proved itself. The caller then sends WELCOME (reply to frame->id)
 *                     and lifts the channel's limits
 * @return ALCH_OK; ALCH_EAUTH, ALCH_EVERSION, ALCH_EPROTO: an ERROR was queued, close after flushing
 */
int alchi_responder_feed(alchi_responder_t *responder, alchi_channel_t *channel, const alchi_frame_t *frame,
                         const ProtobufCMessage *message, alchi_key_f find_key, void *context, bool *done_p,
                         alch_error_t *err);

/* ---- initiator (client, agent, rank) ---- */

typedef struct {
    uint64_t session; /* granted */
    char server_version[32];
    char host[256];
    uint8_t nonce_initiator[32], nonce_responder[32];
} alchi_granted_t;

/**
 * Run the initiator's side over a fresh channel, waiting by the deadline; lifts the channel's
 * limits to ALCHI_META_MAX and `payload_max` at the end.
 *
 * @param name  of this program, for the peer's log
 * @return ALCH_OK, ALCH_EAUTH (either side's proof), ALCH_EVERSION, ALCH_ECONNECT, ALCH_ETIMEDOUT, ALCH_EPROTO
 */
int alchi_authenticate(alchi_channel_t *channel, const alchi_claim_t *claim, const uint8_t key[ALCHI_KEY_SIZE],
                       const char *name, uint32_t payload_max, alchi_deadline_t deadline, alchi_granted_t *granted_p,
                       alch_error_t *err);

#endif
