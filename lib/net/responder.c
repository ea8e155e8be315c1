/* The responder's side of the handshake (net/auth.h). */
#include "net/auth.h"

#include "base/error.h"
#include "base/util.h"
#include "net/proof.h"
#include "net/text.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum { EXPECT_HELLO, EXPECT_PROOF, PROVEN, REFUSED };

void
alchi_responder_init(alchi_responder_t *responder)
{
    memset(responder, 0, sizeof(*responder));
    responder->state = EXPECT_HELLO;
}

/* Queue an ERROR and accept no more frames. `text` is for the peer and may say less than the caller's error, which is
 * for the log. */
static int
refuse_peer(alchi_responder_t *responder, alchi_channel_t *channel, const alchi_frame_t *frame, int code,
            const char *text)
{
    alch_error_t error;

    alchi_error_set(&error, code, "%s", text);
    alchi_channel_send_error(channel, frame->id, &error);
    OPENSSL_cleanse(responder->key, sizeof(responder->key));
    responder->state = REFUSED;
    return code;
}

static bool
hello_valid(const Alchw__Hello *hello)
{
    return hello->role >= ALCHI_ROLE_CLIENT && hello->role <= ALCHI_ROLE_DATA && hello->nonce.len == ALCHI_NONCE_SIZE &&
           hello->version_min <= hello->version_max;
}

static void
copy_hello(alchi_responder_t *responder, const Alchw__Hello *hello)
{
    responder->claim = (alchi_claim_t){
        .role = (alchi_role_t)hello->role, .session = hello->session, .group = hello->group, .rank = hello->rank};
    responder->version_min = hello->version_min;
    responder->version_max = hello->version_max;
    responder->version = hello->version_max < ALCHI_PROTOCOL_MAX ? hello->version_max : ALCHI_PROTOCOL_MAX;
    memcpy(responder->nonce_initiator, hello->nonce.data, ALCHI_NONCE_SIZE);
    alchi_text_clean(hello->name, responder->name, sizeof(responder->name), false);
    alchi_text_clean(hello->host, responder->host, sizeof(responder->host), false);
    responder->pid = hello->pid;
}

static alchi_transcript_t
make_transcript(const alchi_responder_t *responder)
{
    return (alchi_transcript_t){.claim = responder->claim,
                                .version = responder->version,
                                .version_min = responder->version_min,
                                .version_max = responder->version_max,
                                .nonce_initiator = responder->nonce_initiator,
                                .nonce_responder = responder->nonce_responder};
}

/* Prove that this side knows the key. If there is no key for the claim, continue with a random one, so that the peer
 * cannot tell a wrong claim from a wrong key. */
static int
send_challenge(alchi_responder_t *responder, alchi_channel_t *channel, const alchi_frame_t *frame, alchi_key_f find_key,
               void *context)
{
    Alchw__Challenge message = ALCHW__CHALLENGE__INIT;
    uint8_t proof[ALCHI_PROOF_SIZE];
    alchi_transcript_t transcript;
    int code;

    code = alchi_random(responder->key, sizeof(responder->key));
    if (code == ALCH_OK)
        code = alchi_random(responder->nonce_responder, sizeof(responder->nonce_responder));
    if (code != ALCH_OK)
        return code;
    code = find_key(context, &responder->claim, responder->key, &responder->refusal);
    if (code != ALCH_OK)
        alchi_random(responder->key, sizeof(responder->key));
    responder->refusal.code = code;
    transcript = make_transcript(responder);
    code = alchi_proof_make(ALCHI_SIDE_RESPONDER, responder->key, &transcript, proof);
    if (code != ALCH_OK)
        return code;
    message.has_version = message.has_nonce = message.has_proof = 1;
    message.version = responder->version;
    message.nonce = (ProtobufCBinaryData){ALCHI_NONCE_SIZE, responder->nonce_responder};
    message.proof = (ProtobufCBinaryData){ALCHI_PROOF_SIZE, proof};
    return alchi_channel_send(channel, ALCHI_CHALLENGE, ALCHI_FRAME_REPLY, frame->id, &message);
}

static int
feed_hello(alchi_responder_t *responder, alchi_channel_t *channel, const alchi_frame_t *frame,
           const ProtobufCMessage *message, alchi_key_f find_key, void *context, alch_error_t *err)
{
    const Alchw__Hello *hello = (const Alchw__Hello *)message;
    char text[128];
    int code;

    if (frame->type != ALCHI_HELLO || !message || !hello_valid(hello)) {
        alchi_error_set(err, ALCH_EPROTO, "the peer sent a %s frame, which is not a valid HELLO",
                        alchi_message_name(frame->type));
        return refuse_peer(responder, channel, frame, ALCH_EPROTO, "a valid HELLO was expected");
    }
    copy_hello(responder, hello);
    if (hello->version_max < ALCHI_PROTOCOL_MIN || hello->version_min > ALCHI_PROTOCOL_MAX) {
        snprintf(text, sizeof(text), "the peer speaks protocol versions %u to %u, but this side speaks %d to %d",
                 hello->version_min, hello->version_max, ALCHI_PROTOCOL_MIN, ALCHI_PROTOCOL_MAX);
        alchi_error_set(err, ALCH_EVERSION, "%s", text);
        return refuse_peer(responder, channel, frame, ALCH_EVERSION, text);
    }
    code = send_challenge(responder, channel, frame, find_key, context);
    if (code != ALCH_OK) {
        responder->state = REFUSED;
        return alchi_error_set(err, ALCH_EPROTO, "cannot answer the peer's HELLO: %s", alch_strerror(code));
    }
    responder->state = EXPECT_PROOF;
    return ALCH_OK;
}

static int
feed_proof(alchi_responder_t *responder, alchi_channel_t *channel, const alchi_frame_t *frame,
           const ProtobufCMessage *message, bool *done_p, alch_error_t *err)
{
    const Alchw__Proof *proof = (const Alchw__Proof *)message;
    alchi_transcript_t transcript = make_transcript(responder);
    bool proven;

    if (frame->type != ALCHI_PROOF || !message) {
        alchi_error_set(err, ALCH_EPROTO, "a PROOF was expected, but the peer sent a %s frame",
                        alchi_message_name(frame->type));
        return refuse_peer(responder, channel, frame, ALCH_EPROTO, "a PROOF was expected");
    }
    proven = alchi_proof_check(ALCHI_SIDE_INITIATOR, responder->key, &transcript, proof->proof.data, proof->proof.len);
    if (proven && responder->refusal.code == ALCH_OK) {
        responder->state = PROVEN;
        *done_p = true;
        return ALCH_OK;
    }
    if (responder->refusal.code != ALCH_OK)
        alchi_error_set(err, ALCH_EAUTH, "authentication failed: %s", responder->refusal.text);
    else
        alchi_error_set(err, ALCH_EAUTH, "authentication failed: the peer has a wrong key");
    return refuse_peer(responder, channel, frame, ALCH_EAUTH, "authentication failed");
}

int
alchi_responder_feed(alchi_responder_t *responder, alchi_channel_t *channel, const alchi_frame_t *frame,
                     const ProtobufCMessage *message, alchi_key_f find_key, void *context, bool *done_p,
                     alch_error_t *err)
{
    *done_p = false;
    if (frame->payload > 0 || frame->flags != 0) {
        alchi_error_set(err, ALCH_EPROTO, "a %s frame has payload or flags during the handshake",
                        alchi_message_name(frame->type));
        return refuse_peer(responder, channel, frame, ALCH_EPROTO,
                           "frames before authentication must not have payload or flags");
    }
    if (responder->state == EXPECT_HELLO)
        return feed_hello(responder, channel, frame, message, find_key, context, err);
    if (responder->state == EXPECT_PROOF)
        return feed_proof(responder, channel, frame, message, done_p, err);
    return alchi_error_set(err, ALCH_EPROTO, "the peer sent a %s frame after the end of the handshake",
                           alchi_message_name(frame->type));
}
