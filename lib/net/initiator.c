/* The initiator's side of the handshake (net/auth.h). */
#include "net/auth.h"

#include "base/error.h"
#include "base/util.h"
#include "net/address.h"
#include "net/proof.h"
#include "net/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HELLO_ID = 1, PROOF_ID = 2 };

typedef struct {
    alchi_channel_t *channel;
    alchi_deadline_t deadline;
    alchi_transcript_t transcript;
    uint8_t nonce_initiator[ALCHI_NONCE_SIZE], nonce_responder[ALCHI_NONCE_SIZE];
    char peer[300];
    alch_error_t *err;
} handshake_t;

static int
report_refusal(handshake_t *handshake, const Alchw__Error *error)
{
    int code = alchi_message_code(error);
    const char *text = error->text && error->text[0] ? error->text : alch_strerror(code);

    return alchi_error_set(handshake->err, code, "the server at %s refused the connection: %s", handshake->peer, text);
}

static int
report_lost(handshake_t *handshake, int code)
{
    const char *peer = handshake->peer, *fault = alchi_channel_fault(handshake->channel);

    switch (code) {
    case ALCH_ETIMEDOUT:
        return alchi_error_set(handshake->err, code, "the server at %s did not answer in time", peer);
    case ALCH_ECONNECT:
        return alchi_error_set(handshake->err, code, "the server at %s closed the connection during the handshake%s%s",
                               peer, errno ? ": " : "", errno ? strerror(errno) : "");
    case ALCH_EVERSION:
        return alchi_error_set(handshake->err, code, "the server at %s speaks another version of the protocol: %s",
                               peer, fault);
    case ALCH_EPROTO:
    case ALCH_ELIMIT:
        return alchi_error_set(handshake->err, ALCH_EPROTO, "the server at %s does not speak this protocol: %s", peer,
                               fault);
    default:
        return alchi_error_set(handshake->err, code, "the handshake with %s failed: %s", peer, alch_strerror(code));
    }
}

/* Send one message and wait for its reply. If the connection is closed, receive nevertheless: the peer may have sent an
 * ERROR before it closed the connection. */
static int
exchange_messages(handshake_t *handshake, unsigned type, uint64_t id, const void *message, unsigned reply_type,
                  ProtobufCMessage **reply_p)
{
    ProtobufCMessage *reply = NULL;
    alchi_frame_t frame;
    int code;

    code = alchi_channel_send(handshake->channel, type, 0, id, message);
    if (code == ALCH_OK)
        code = alchi_channel_flush_by(handshake->channel, handshake->deadline);
    if (code != ALCH_OK && code != ALCH_ECONNECT)
        return report_lost(handshake, code);
    code = alchi_channel_receive_by(handshake->channel, handshake->deadline, &frame, &reply);
    if (code != ALCH_OK)
        return report_lost(handshake, code);
    if (frame.type == ALCHI_ERROR && (frame.id == id || frame.id == 0)) {
        code = report_refusal(handshake, (const Alchw__Error *)reply);
    } else if (frame.type != reply_type || frame.id != id || !(frame.flags & ALCHI_FRAME_REPLY)) {
        code = alchi_error_set(handshake->err, ALCH_EPROTO,
                               "the server at %s answered with a %s frame instead of a %s frame", handshake->peer,
                               alchi_message_name(frame.type), alchi_message_name(reply_type));
    } else {
        *reply_p = reply;
        return ALCH_OK;
    }
    alchi_message_free(reply);
    return code;
}

static int
send_hello(handshake_t *handshake, const char *name, ProtobufCMessage **challenge_p)
{
    const alchi_claim_t *claim = &handshake->transcript.claim;
    Alchw__Hello hello = ALCHW__HELLO__INIT;
    char clean_name[64], raw_host[256] = "", host[64];

    gethostname(raw_host, sizeof(raw_host) - 1);
    alchi_text_clean(raw_host, host, sizeof(host), false);
    alchi_text_clean(name, clean_name, sizeof(clean_name), false);
    hello.has_version_min = hello.has_version_max = hello.has_role = hello.has_nonce = 1;
    hello.has_session = hello.has_group = hello.has_rank = hello.has_pid = 1;
    hello.version_min = handshake->transcript.version_min;
    hello.version_max = handshake->transcript.version_max;
    hello.role = claim->role;
    hello.nonce = (ProtobufCBinaryData){ALCHI_NONCE_SIZE, handshake->nonce_initiator};
    hello.session = claim->session;
    hello.group = claim->group;
    hello.rank = claim->rank;
    hello.name = clean_name;
    hello.host = host;
    hello.pid = (int32_t)getpid();
    return exchange_messages(handshake, ALCHI_HELLO, HELLO_ID, &hello, ALCHI_CHALLENGE, challenge_p);
}

/* The responder proves first, so a process that listens at its address without the key gets no proof from this side. */
static int
check_challenge(handshake_t *handshake, const Alchw__Challenge *challenge, const uint8_t key[ALCHI_KEY_SIZE])
{
    alchi_transcript_t *transcript = &handshake->transcript;

    if (challenge->version < transcript->version_min || challenge->version > transcript->version_max)
        return alchi_error_set(handshake->err, ALCH_EVERSION,
                               "the server at %s chose protocol version %u, but this side speaks %u to %u",
                               handshake->peer, challenge->version, transcript->version_min, transcript->version_max);
    if (challenge->nonce.len == ALCHI_NONCE_SIZE) {
        memcpy(handshake->nonce_responder, challenge->nonce.data, ALCHI_NONCE_SIZE);
        transcript->version = challenge->version;
        if (alchi_proof_check(ALCHI_SIDE_RESPONDER, key, transcript, challenge->proof.data, challenge->proof.len))
            return ALCH_OK;
    }
    return alchi_error_set(handshake->err, ALCH_EAUTH, "the server at %s could not prove that it knows the key",
                           handshake->peer);
}

static int
send_proof(handshake_t *handshake, const uint8_t key[ALCHI_KEY_SIZE], ProtobufCMessage **welcome_p)
{
    Alchw__Proof message = ALCHW__PROOF__INIT;
    uint8_t proof[ALCHI_PROOF_SIZE];

    if (alchi_proof_make(ALCHI_SIDE_INITIATOR, key, &handshake->transcript, proof) != ALCH_OK)
        return alchi_error_set(handshake->err, ALCH_ENOMEM, "out of memory for the proof of the handshake");
    message.has_proof = 1;
    message.proof = (ProtobufCBinaryData){ALCHI_PROOF_SIZE, proof};
    return exchange_messages(handshake, ALCHI_PROOF, PROOF_ID, &message, ALCHI_WELCOME, welcome_p);
}

static void
copy_welcome(const handshake_t *handshake, const Alchw__Welcome *welcome, alchi_granted_t *granted_p)
{
    alchi_granted_t granted = {.session = welcome->session};

    snprintf(granted.server_version, sizeof(granted.server_version), "%s",
             welcome->server_version ? welcome->server_version : "");
    snprintf(granted.host, sizeof(granted.host), "%s", welcome->host ? welcome->host : "");
    memcpy(granted.nonce_initiator, handshake->nonce_initiator, ALCHI_NONCE_SIZE);
    memcpy(granted.nonce_responder, handshake->nonce_responder, ALCHI_NONCE_SIZE);
    *granted_p = granted;
}

int
alchi_authenticate(alchi_channel_t *channel, const alchi_claim_t *claim, const uint8_t key[ALCHI_KEY_SIZE],
                   const char *name, uint32_t payload_max, alchi_deadline_t deadline, alchi_granted_t *granted_p,
                   alch_error_t *err)
{
    handshake_t handshake = {.channel = channel, .deadline = deadline, .err = err};
    ProtobufCMessage *challenge = NULL, *welcome = NULL;
    int code;

    handshake.transcript = (alchi_transcript_t){.claim = *claim,
                                                .version_min = ALCHI_PROTOCOL_MIN,
                                                .version_max = ALCHI_PROTOCOL_MAX,
                                                .nonce_initiator = handshake.nonce_initiator,
                                                .nonce_responder = handshake.nonce_responder};
    alchi_peer_text(alchi_channel_fd(channel), handshake.peer, sizeof(handshake.peer));
    if (alchi_random(handshake.nonce_initiator, ALCHI_NONCE_SIZE) != ALCH_OK)
        return alchi_error_set(err, ALCH_ESYSTEM, "the system gave no random bytes for the handshake");
    code = send_hello(&handshake, name, &challenge);
    if (code != ALCH_OK)
        return code;
    code = check_challenge(&handshake, (const Alchw__Challenge *)challenge, key);
    alchi_message_free(challenge);
    if (code != ALCH_OK)
        return code;
    code = send_proof(&handshake, key, &welcome);
    if (code != ALCH_OK)
        return code;
    copy_welcome(&handshake, (const Alchw__Welcome *)welcome, granted_p);
    alchi_message_free(welcome);
    alchi_channel_set_limits(channel, ALCHI_META_MAX, payload_max);
    return ALCH_OK;
}
