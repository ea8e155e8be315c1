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
 * both nonces), so the other side accepts neither a replay, nor a reflection,
 * nor a proof for another session, group or rank. The role decides which key
 * both sides use:
 *
 *     CLIENT, AGENT   the driver's token
 *     EXECUTOR        the session's key (alchi_derive_session_key)
 *     RANK            the rank's control key, which the driver generates
 *     DATA            the rank's data key (alchi_derive_data_key)
 *
 * Keys are 32 bytes. A client never sends a key. alchi_key_wrap() encrypts the data keys that the ranks of a session's
 * new group need to read matrices from the ranks of its old group.
 *
 * The responder never waits: the caller feeds it frames, and it queues its replies on the channel. The initiator waits
 * for the replies.
 */
#ifndef ALCHI_NET_AUTH_H
#define ALCHI_NET_AUTH_H

#include "net/channel.h"

#define ALCHI_KEY_SIZE 32

/** Versions of the protocol that this side speaks. */
#define ALCHI_PROTOCOL_MIN 1
#define ALCHI_PROTOCOL_MAX 1

typedef enum {
    ALCHI_ROLE_CLIENT = 1,
    ALCHI_ROLE_EXECUTOR = 2,
    ALCHI_ROLE_AGENT = 3,
    ALCHI_ROLE_RANK = 4,
    ALCHI_ROLE_DATA = 5
} alchi_role_t;

/** The role and the place that an initiator claims. The proofs cover the claim. */
typedef struct {
    alchi_role_t role;
    uint64_t session, group; /* 0 if the role does not use it */
    int rank;                /* -1 if the role does not use it */
} alchi_claim_t;

/** Compute the session's key from the driver's token and both nonces of the CLIENT handshake. The client and the driver
 *  compute it independently. */
void alchi_derive_session_key(const uint8_t token[ALCHI_KEY_SIZE], const uint8_t nonce_initiator[32],
                              const uint8_t nonce_responder[32], uint8_t key[ALCHI_KEY_SIZE]);

/** Compute the key of data connections to one rank from the session's key. */
void alchi_derive_data_key(const uint8_t session_key[ALCHI_KEY_SIZE], uint64_t session, uint64_t group, int rank,
                           uint8_t key[ALCHI_KEY_SIZE]);

/** Encrypt the data key of one rank, so that the driver can send it to a rank of another group of the same session.
 *  That rank calls the same function to decrypt it.
 *  @param control_key  of the rank that receives the data key
 *  @param group, rank  the rank that the data key belongs to
 *  @param key, wrapped the data key and its encrypted form, or the encrypted form and the data key */
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
    int pid;                 /* of the initiator, as HELLO states it */
    alch_error_t refusal;    /* why find_key found no key for the claim; code ALCH_OK: it found a key */
} alchi_responder_t;

void alchi_responder_init(alchi_responder_t *responder);

/**
 * Find the key for a claim.
 *
 * @return ALCH_OK, or a code and a text for the log. The peer sees the same exchange and the same text, "authentication
 *         failed", whether the claim or the key is wrong.
 */
typedef int (*alchi_key_f)(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *err);

/**
 * Process one received frame; replies are queued on the channel.
 *
 * @param[out] done_p  true when the peer has proved that it knows the key. The caller then sends WELCOME (as reply to
 *                     frame->id) and raises the channel's limits
 * @return ALCH_OK
 * @return ALCH_EAUTH     the proof is wrong, or no key was found for the claim
 * @return ALCH_EVERSION  the peer speaks no version that this side speaks
 * @return ALCH_EPROTO    the frame is not the expected one, or this side cannot answer it
 *
 * After an error the caller flushes the channel, because an ERROR for the peer may be queued, and closes it.
 */
int alchi_responder_feed(alchi_responder_t *responder, alchi_channel_t *channel, const alchi_frame_t *frame,
                         const ProtobufCMessage *message, alchi_key_f find_key, void *context, bool *done_p,
                         alch_error_t *err);

/* ---- initiator (client, agent, rank) ---- */

typedef struct {
    uint64_t session; /* id of the session that the responder granted */
    char server_version[32];
    char host[256];
    uint8_t nonce_initiator[32], nonce_responder[32]; /* for alchi_derive_session_key() */
} alchi_granted_t;

/**
 * Run the initiator's side over a new channel, waiting until the deadline. At the end the channel's limits are
 * ALCHI_META_MAX and `payload_max`.
 *
 * @param[in]  name       of this program, for the peer's log
 * @param[out] granted_p  the content of WELCOME and the nonces, written on success only
 *
 * @return ALCH_OK
 * @return ALCH_EAUTH     one side's proof is wrong
 * @return ALCH_EVERSION  the sides have no version in common
 * @return ALCH_ECONNECT  the peer closed the connection, or the connection failed
 * @return ALCH_ETIMEDOUT the peer did not answer by the deadline
 * @return ALCH_EPROTO    the peer does not speak this protocol, or it answered with a wrong frame
 * @return ALCH_ENOMEM, ALCH_ESYSTEM  out of memory or random bytes
 * @return the code with which the peer refused the connection
 */
int alchi_authenticate(alchi_channel_t *channel, const alchi_claim_t *claim, const uint8_t key[ALCHI_KEY_SIZE],
                       const char *name, uint32_t payload_max, alchi_deadline_t deadline, alchi_granted_t *granted_p,
                       alch_error_t *err);

#endif
