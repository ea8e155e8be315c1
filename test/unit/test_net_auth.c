/* The handshake: both sides prove that they know the key, and no attacker and no other server can
 * authenticate. */
#include "net_pair.h"

#include "base/error.h"
#include "net/auth.h"

#include <pthread.h>
#include <string.h>

static const alchi_claim_t claims[] = {
    {.role = ALCHI_ROLE_CLIENT, .rank = -1},
    {.role = ALCHI_ROLE_EXECUTOR, .session = 7, .rank = -1},
    {.role = ALCHI_ROLE_AGENT, .rank = -1},
    {.role = ALCHI_ROLE_RANK, .session = 7, .group = 9, .rank = 2},
    {.role = ALCHI_ROLE_DATA, .session = 7, .group = 9, .rank = 2},
};

static uint8_t key[ALCHI_KEY_SIZE] = "the key of these tests, 32 bytes";

/* An initiator, which runs in a separate thread. */
typedef struct {
    alchi_channel_t *channel;
    alchi_claim_t claim;
    uint8_t key[ALCHI_KEY_SIZE];
    const char *name;
    int timeout_ms, code;
    alchi_granted_t granted;
    alch_error_t err;
    pthread_t thread;
} initiator_t;

static void *
run_initiator(void *argument)
{
    initiator_t *initiator = argument;

    initiator->code =
        alchi_authenticate(initiator->channel, &initiator->claim, initiator->key, initiator->name, ALCHI_PAYLOAD_MAX,
                           alchi_deadline_in_ms(initiator->timeout_ms), &initiator->granted, &initiator->err);
    return NULL;
}

/* Connect it over TCP; returns the responder's channel. */
static alchi_channel_t *
open_initiator(initiator_t *initiator, const alchi_claim_t *claim)
{
    int fd[2];

    pair_tcp(fd);
    *initiator =
        (initiator_t){.channel = pair_channel(fd[0]), .claim = *claim, .name = "test", .timeout_ms = PAIR_WAIT_MS};
    memcpy(initiator->key, key, sizeof(key));
    return pair_channel(fd[1]);
}

static void
start_initiator(initiator_t *initiator)
{
    ck_assert_int_eq(pthread_create(&initiator->thread, NULL, run_initiator, initiator), 0);
}

static int
find_key(void *context, const alchi_claim_t *claim, uint8_t out[ALCHI_KEY_SIZE], alch_error_t *err)
{
    const alchi_claim_t *known = context;

    if (known && (claim->role != known->role || claim->session != known->session || claim->group != known->group ||
                  claim->rank != known->rank))
        return alchi_error_set(err, ALCH_ENOENT, "no such session");
    memcpy(out, key, sizeof(key));
    return ALCH_OK;
}

/* Answer until the handshake has succeeded or failed. */
static int
run_responder(alchi_responder_t *responder, alchi_channel_t *channel, const alchi_claim_t *known, alch_error_t *err)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(PAIR_WAIT_MS);
    Alchw__Welcome welcome = ALCHW__WELCOME__INIT;
    ProtobufCMessage *message;
    alchi_frame_t frame;
    bool done = false;
    int code = ALCH_OK;

    alchi_responder_init(responder);
    while (code == ALCH_OK && !done) {
        code = alchi_channel_receive_by(channel, deadline, &frame, &message);
        if (code != ALCH_OK)
            return code;
        code = alchi_responder_feed(responder, channel, &frame, message, find_key, (void *)known, &done, err);
        alchi_message_free(message);
    }
    if (code != ALCH_OK)
        return code;
    welcome.has_session = 1;
    welcome.session = 11;
    welcome.server_version = "9.9";
    welcome.host = "here";
    return alchi_channel_send(channel, ALCHI_WELCOME, ALCHI_FRAME_REPLY, frame.id, &welcome);
}

START_TEST(both_sides_prove_and_derive_one_key)
{
    initiator_t initiator;
    alchi_responder_t responder;
    alchi_channel_t *channel = open_initiator(&initiator, &claims[_i]);
    uint8_t here[ALCHI_KEY_SIZE], there[ALCHI_KEY_SIZE];

    initiator.name = "na\x01me";
    start_initiator(&initiator);
    unit_code(run_responder(&responder, channel, &claims[_i], NULL), ALCH_OK);
    pthread_join(initiator.thread, NULL);
    ck_assert_msg(initiator.code == ALCH_OK, "%s", initiator.err.text);
    ck_assert_uint_eq(initiator.granted.session, 11);
    ck_assert_str_eq(initiator.granted.server_version, "9.9");
    ck_assert_str_eq(initiator.granted.host, "here");
    ck_assert_str_eq(responder.name, "na?me");
    ck_assert_int_eq(responder.pid, getpid());
    ck_assert_int_eq(responder.claim.role, claims[_i].role);
    ck_assert_int_eq(responder.claim.rank, claims[_i].rank);
    alchi_derive_session_key(key, initiator.granted.nonce_initiator, initiator.granted.nonce_responder, here);
    alchi_derive_session_key(key, responder.nonce_initiator, responder.nonce_responder, there);
    ck_assert_mem_eq(here, there, sizeof(here));
    ck_assert_mem_eq(responder.key, key, sizeof(key));
}
END_TEST

START_TEST(limits_are_raised)
{
    static uint8_t bytes[5000];
    alchi_frame_t frame = {.type = ALCHI_DATA_WRITE, .id = 1, .payload = sizeof(bytes)};
    struct iovec iov = {bytes, sizeof(bytes)};
    initiator_t initiator;
    alchi_responder_t responder;
    alchi_channel_t *channel = open_initiator(&initiator, &claims[0]);
    ProtobufCMessage *message;
    size_t sent = 0;

    start_initiator(&initiator);
    unit_code(run_responder(&responder, channel, NULL, NULL), ALCH_OK);
    pthread_join(initiator.thread, NULL);
    unit_code(alchi_channel_send_payload(channel, &frame, NULL, &iov, 1, &sent), ALCH_OK);
    unit_code(alchi_channel_receive_by(initiator.channel, alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message),
              ALCH_OK);
    ck_assert_uint_eq(frame.payload, sizeof(bytes));
}
END_TEST

/* The initiator notices a responder with another key before it sends a proof. */
START_TEST(responder_with_wrong_key_gets_no_proof)
{
    initiator_t initiator;
    alchi_responder_t responder;
    alchi_channel_t *channel = open_initiator(&initiator, &claims[_i]);
    alchi_frame_t frame;
    ProtobufCMessage *message;
    bool done = true;

    initiator.key[31] ^= 1;
    start_initiator(&initiator);
    alchi_responder_init(&responder);
    unit_code(alchi_channel_receive_by(channel, alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message), ALCH_OK);
    unit_code(alchi_responder_feed(&responder, channel, &frame, message, find_key, NULL, &done, NULL), ALCH_OK);
    alchi_message_free(message);
    ck_assert(!done);
    pthread_join(initiator.thread, NULL);
    unit_code(initiator.code, ALCH_EAUTH);
    ck_assert_msg(strstr(initiator.err.text, "could not prove that it knows the key"), "%s", initiator.err.text);
    ck_assert_ptr_nonnull(strstr(initiator.err.text, "127.0.0.1:"));
    pair_destroy(initiator.channel);
    unit_code(alchi_channel_receive_by(channel, alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message), ALCH_ECONNECT);
}
END_TEST

/* ---- an initiator whose messages the test makes ---- */

typedef struct {
    alchi_channel_t *channel, *server;
    alchi_responder_t responder;
    uint8_t nonce[32];
    const alchi_claim_t *known;
    alch_error_t err;
} manual_t;

static void
manual_open(manual_t *manual, const alchi_claim_t *known)
{
    int fd[2];

    pair_unix(fd);
    *manual = (manual_t){.channel = pair_channel(fd[0]), .server = pair_channel(fd[1]), .known = known};
    alchi_responder_init(&manual->responder);
}

/* Send a frame, let the responder answer, return its code and the answer. */
static int
manual_exchange(manual_t *manual, unsigned type, unsigned flags, const void *message, ProtobufCMessage **answer_p,
                unsigned *type_p)
{
    ProtobufCMessage *received;
    alchi_frame_t frame;
    bool done;
    int code;

    unit_code(alchi_channel_send(manual->channel, type, flags, 5, message), ALCH_OK);
    unit_code(alchi_channel_receive(manual->server, &frame, &received), ALCH_OK);
    code = alchi_responder_feed(&manual->responder, manual->server, &frame, received, find_key, (void *)manual->known,
                                &done, &manual->err);
    alchi_message_free(received);
    if (done || alchi_channel_receive(manual->channel, &frame, answer_p) != ALCH_OK)
        return code;
    pair_keep(*answer_p);
    ck_assert_uint_eq(frame.id, 5);
    ck_assert_uint_eq(frame.flags, ALCHI_FRAME_REPLY);
    *type_p = frame.type;
    return code;
}

static int
manual_hello(manual_t *manual, const alchi_claim_t *claim, uint32_t version_min, uint32_t version_max,
             ProtobufCMessage **answer_p, unsigned *type_p)
{
    Alchw__Hello hello = ALCHW__HELLO__INIT;

    memset(manual->nonce, 3, sizeof(manual->nonce));
    hello.has_version_min = hello.has_version_max = hello.has_role = hello.has_nonce = 1;
    hello.has_session = hello.has_group = hello.has_rank = 1;
    hello.version_min = version_min;
    hello.version_max = version_max;
    hello.role = claim->role;
    hello.nonce = (ProtobufCBinaryData){sizeof(manual->nonce), manual->nonce};
    hello.session = claim->session;
    hello.group = claim->group;
    hello.rank = claim->rank;
    return manual_exchange(manual, ALCHI_HELLO, 0, &hello, answer_p, type_p);
}

static int
manual_proof(manual_t *manual, const void *bytes, size_t size, ProtobufCMessage **answer_p, unsigned *type_p)
{
    Alchw__Proof proof = ALCHW__PROOF__INIT;

    proof.has_proof = 1;
    proof.proof = (ProtobufCBinaryData){size, (uint8_t *)bytes};
    return manual_exchange(manual, ALCHI_PROOF, 0, &proof, answer_p, type_p);
}

static void
check_refused(manual_t *manual, int code, const char *log, const ProtobufCMessage *answer, unsigned type)
{
    unit_code(code, ALCH_EAUTH);
    ck_assert_uint_eq(type, ALCHI_ERROR);
    ck_assert_uint_eq(((const Alchw__Error *)answer)->code, ALCH_EAUTH);
    ck_assert_str_eq(((const Alchw__Error *)answer)->text, "authentication failed");
    ck_assert_msg(strstr(manual->err.text, log), "%s", manual->err.text);
}

/* Whether the claim or the key is wrong, the peer sees the same exchange: a challenge, then one text. */
START_TEST(wrong_claim_looks_like_wrong_key)
{
    alchi_claim_t unknown = claims[3];
    ProtobufCMessage *challenge = NULL, *answer = NULL;
    uint8_t guess[32] = {1};
    unsigned type = 0;
    manual_t manual;
    int code;

    unknown.session += (unsigned)_i;
    manual_open(&manual, &claims[3]);
    unit_code(manual_hello(&manual, &unknown, 1, 1, &challenge, &type), ALCH_OK);
    ck_assert_uint_eq(type, ALCHI_CHALLENGE);
    ck_assert_uint_eq(((Alchw__Challenge *)challenge)->nonce.len, 32);
    ck_assert_uint_eq(((Alchw__Challenge *)challenge)->proof.len, 32);
    code = manual_proof(&manual, guess, sizeof(guess), &answer, &type);
    check_refused(&manual, code, _i ? "no such session" : "wrong key", answer, type);
    /* the responder accepts nothing more */
    ck_assert_int_ne(manual_proof(&manual, guess, sizeof(guess), &answer, &type), ALCH_OK);
}
END_TEST

/* The responder does not accept its own proof as that of the initiator. */
START_TEST(reflected_proof_is_refused)
{
    ProtobufCMessage *challenge = NULL, *answer = NULL;
    const Alchw__Challenge *received;
    unsigned type = 0;
    manual_t manual;
    int code;

    manual_open(&manual, NULL);
    unit_code(manual_hello(&manual, &claims[_i], 1, 1, &challenge, &type), ALCH_OK);
    received = (Alchw__Challenge *)challenge;
    code = manual_proof(&manual, received->proof.data, received->proof.len, &answer, &type);
    check_refused(&manual, code, "wrong key", answer, type);
}
END_TEST

/* A proof of another size is refused, and not read past its end. */
START_TEST(proof_of_wrong_size_is_refused)
{
    static const size_t sizes[] = {0, 1, 31, 33, 1000};
    ProtobufCMessage *challenge = NULL, *answer = NULL;
    uint8_t bytes[1000] = {0};
    unsigned type = 0;
    manual_t manual;
    int code;

    manual_open(&manual, NULL);
    unit_code(manual_hello(&manual, &claims[0], 1, 1, &challenge, &type), ALCH_OK);
    code = manual_proof(&manual, bytes, sizes[_i], &answer, &type);
    check_refused(&manual, code, "wrong key", answer, type);
}
END_TEST

START_TEST(versions_without_overlap_are_refused)
{
    ProtobufCMessage *answer = NULL;
    unsigned type = 0;
    manual_t manual;

    manual_open(&manual, NULL);
    unit_code(manual_hello(&manual, &claims[0], 7, 9, &answer, &type), ALCH_EVERSION);
    ck_assert_uint_eq(((Alchw__Error *)answer)->code, ALCH_EVERSION);
    ck_assert_str_eq(((Alchw__Error *)answer)->text,
                     "the peer speaks protocol versions 7 to 9, but this side speaks 1 to 1");
    manual_open(&manual, NULL);
    unit_code(manual_hello(&manual, &claims[0], 0, 0, &answer, &type), ALCH_EVERSION);
}
END_TEST

START_TEST(highest_common_version_is_chosen)
{
    ProtobufCMessage *answer = NULL;
    unsigned type = 0;
    manual_t manual;

    manual_open(&manual, NULL);
    unit_code(manual_hello(&manual, &claims[0], 1, 9, &answer, &type), ALCH_OK);
    ck_assert_uint_eq(((Alchw__Challenge *)answer)->version, ALCHI_PROTOCOL_MAX);
}
END_TEST

START_TEST(malformed_hello_is_refused)
{
    static uint8_t nonce[33];
    Alchw__Hello hello = ALCHW__HELLO__INIT;
    ProtobufCMessage *answer = NULL;
    unsigned type = 0;
    manual_t manual;

    hello.has_version_min = hello.has_version_max = hello.has_role = hello.has_nonce = 1;
    hello.version_min = _i == 3 ? 2 : 1;
    hello.version_max = 1;
    hello.role = _i == 1 ? 0 : _i == 2 ? 6 : 1;
    hello.nonce = (ProtobufCBinaryData){_i == 0 ? 31 : _i == 4 ? 33 : 32, nonce};
    manual_open(&manual, NULL);
    unit_code(manual_exchange(&manual, ALCHI_HELLO, _i == 5 ? ALCHI_FRAME_REPLY : 0, &hello, &answer, &type),
              ALCH_EPROTO);
    ck_assert_uint_eq(((Alchw__Error *)answer)->code, ALCH_EPROTO);
}
END_TEST

START_TEST(frames_out_of_order_are_refused)
{
    ProtobufCMessage *answer = NULL;
    unsigned type = 0;
    manual_t manual;

    manual_open(&manual, NULL);
    unit_code(manual_proof(&manual, "", 0, &answer, &type), ALCH_EPROTO);
    manual_open(&manual, NULL);
    unit_code(manual_exchange(&manual, ALCHI_CREATE_MATRIX, 0, NULL, &answer, &type), ALCH_EPROTO);
    ck_assert_msg(strstr(manual.err.text, "CREATE_MATRIX"), "%s", manual.err.text);
    manual_open(&manual, NULL);
    unit_code(manual_hello(&manual, &claims[0], 1, 1, &answer, &type), ALCH_OK);
    unit_code(manual_hello(&manual, &claims[0], 1, 1, &answer, &type), ALCH_EPROTO);
}
END_TEST

/* ---- an attacker between two honest ends ---- */

static void
forward_frame(alchi_channel_t *from, alchi_channel_t *to, ProtobufCMessage **message_p)
{
    alchi_frame_t frame;

    unit_code(alchi_channel_receive_by(from, alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, message_p), ALCH_OK);
    pair_keep(*message_p);
    if (to)
        unit_code(alchi_channel_send(to, frame.type, frame.flags, frame.id, *message_p), ALCH_OK);
}

static int
feed_responder(manual_t *server)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    bool done = false;
    int code;

    unit_code(alchi_channel_receive_by(server->server, alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message), ALCH_OK);
    code =
        alchi_responder_feed(&server->responder, server->server, &frame, message, find_key, NULL, &done, &server->err);
    alchi_message_free(message);
    return code == ALCH_OK && frame.type == ALCHI_PROOF ? (done ? ALCH_OK : ALCH_EINTERNAL) : code;
}

/* A recorded HELLO and PROOF do not authenticate a second connection. */
START_TEST(replayed_proof_is_refused)
{
    initiator_t initiator;
    alchi_channel_t *middle = open_initiator(&initiator, &claims[0]);
    ProtobufCMessage *hello, *proof, *ignored;
    manual_t first, second;

    manual_open(&first, NULL);
    manual_open(&second, NULL);
    start_initiator(&initiator);
    forward_frame(middle, first.channel, &hello);
    unit_code(feed_responder(&first), ALCH_OK);
    forward_frame(first.channel, middle, &ignored);
    forward_frame(middle, first.channel, &proof);
    unit_code(feed_responder(&first), ALCH_OK);
    unit_code(alchi_channel_send(second.channel, ALCHI_HELLO, 0, 1, hello), ALCH_OK);
    unit_code(feed_responder(&second), ALCH_OK);
    unit_code(alchi_channel_send(second.channel, ALCHI_PROOF, 0, 2, proof), ALCH_OK);
    unit_code(feed_responder(&second), ALCH_EAUTH);
    pair_destroy(middle);
    pthread_join(initiator.thread, NULL);
    unit_code(initiator.code, ALCH_ECONNECT);
}
END_TEST

/* If an attacker changes one field on the way, the initiator notices before it sends a proof. */
START_TEST(change_on_the_way_is_noticed)
{
    initiator_t initiator;
    alchi_channel_t *middle = open_initiator(&initiator, &claims[4]);
    ProtobufCMessage *message, *challenge;
    Alchw__Hello *hello;
    alchi_frame_t frame;
    manual_t server;

    manual_open(&server, NULL);
    start_initiator(&initiator);
    forward_frame(middle, NULL, &message);
    hello = (Alchw__Hello *)message;
    hello->session += _i == 0;
    hello->group += _i == 1;
    hello->rank += _i == 2;
    hello->role = _i == 3 ? ALCHI_ROLE_RANK : hello->role;
    hello->version_max += _i == 4;
    hello->nonce.data[31] ^= _i == 5;
    unit_code(alchi_channel_send(server.channel, ALCHI_HELLO, 0, 1, message), ALCH_OK);
    unit_code(feed_responder(&server), ALCH_OK);
    forward_frame(server.channel, NULL, &challenge);
    ((Alchw__Challenge *)challenge)->nonce.data[0] ^= _i == 6;
    unit_code(alchi_channel_send(middle, ALCHI_CHALLENGE, ALCHI_FRAME_REPLY, 1, challenge), ALCH_OK);
    pthread_join(initiator.thread, NULL);
    unit_code(initiator.code, ALCH_EAUTH);
    unit_code(alchi_channel_receive(middle, &frame, &message), ALCH_EAGAIN);
}
END_TEST

/* ---- servers that do not complete the handshake ---- */

START_TEST(silent_server_times_out)
{
    initiator_t initiator;
    int64_t begin = alchi_now_ns();

    open_initiator(&initiator, &claims[0]);
    initiator.timeout_ms = 60;
    run_initiator(&initiator);
    unit_code(initiator.code, ALCH_ETIMEDOUT);
    ck_assert_int_ge(alchi_now_ns() - begin, 59000000);
    ck_assert_int_lt(alchi_now_ns() - begin, PAIR_WAIT_MS * INT64_C(1000000));
    ck_assert_msg(strstr(initiator.err.text, "did not answer in time"), "%s", initiator.err.text);
}
END_TEST

START_TEST(server_of_another_protocol_is_reported)
{
    static const char *const greetings[] = {"HTTP/1.1 400 Bad Request\r\n", "SSH-2.0-OpenSSH\r\n", "ALCH\x07"};
    static const int codes[] = {ALCH_EPROTO, ALCH_EPROTO, ALCH_EVERSION};
    initiator_t initiator;
    alchi_channel_t *channel = open_initiator(&initiator, &claims[0]);
    const char *text = greetings[_i];

    ck_assert_int_gt(send(alchi_channel_fd(channel), text, strlen(text), 0), 0);
    run_initiator(&initiator);
    unit_code(initiator.code, codes[_i]);
    ck_assert_ptr_nonnull(strstr(initiator.err.text, "127.0.0.1:"));
}
END_TEST

START_TEST(closed_connection_is_reported)
{
    initiator_t initiator;
    alchi_channel_t *channel = open_initiator(&initiator, &claims[0]);

    pair_destroy(channel);
    run_initiator(&initiator);
    unit_code(initiator.code, ALCH_ECONNECT);
}
END_TEST

/* The initiator reports the error that the server sends before it closes. */
START_TEST(refusal_of_the_server_is_reported)
{
    alch_error_t error = {.code = ALCH_ELIMIT, .rank = -1, .text = "100 connections are open, the limit is 100"};
    initiator_t initiator;
    alchi_channel_t *channel = open_initiator(&initiator, &claims[0]);

    unit_code(alchi_channel_send_error(channel, 0, &error), ALCH_OK);
    shutdown(alchi_channel_fd(channel), SHUT_WR);
    run_initiator(&initiator);
    unit_code(initiator.code, ALCH_ELIMIT);
    ck_assert_ptr_nonnull(strstr(initiator.err.text, error.text));
}
END_TEST

START_TEST(welcome_without_challenge_is_refused)
{
    Alchw__Welcome welcome = ALCHW__WELCOME__INIT;
    initiator_t initiator;
    alchi_channel_t *channel = open_initiator(&initiator, &claims[0]);

    unit_code(alchi_channel_send(channel, ALCHI_WELCOME, ALCHI_FRAME_REPLY, 1, &welcome), ALCH_OK);
    run_initiator(&initiator);
    unit_code(initiator.code, ALCH_EPROTO);
}
END_TEST

/* ---- keys ---- */

START_TEST(derived_keys_differ)
{
    uint8_t a[32] = {1}, b[32] = {2}, out[8][ALCHI_KEY_SIZE];

    alchi_derive_session_key(key, a, b, out[0]);
    alchi_derive_session_key(key, b, a, out[1]);
    alchi_derive_session_key(a, a, b, out[2]);
    alchi_derive_data_key(key, 1, 2, 3, out[3]);
    alchi_derive_data_key(key, 2, 1, 3, out[4]);
    alchi_derive_data_key(key, 1, 2, 4, out[5]);
    alchi_derive_data_key(a, 1, 2, 3, out[6]);
    alchi_derive_data_key(key, 1, 2, -1, out[7]);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < i; j++)
            ck_assert_mem_ne(out[i], out[j], ALCHI_KEY_SIZE);
    alchi_derive_data_key(key, 1, 2, 3, out[0]);
    ck_assert_mem_eq(out[0], out[3], ALCHI_KEY_SIZE);
}
END_TEST

START_TEST(wrapped_key_is_hidden_and_recovered)
{
    uint8_t other[ALCHI_KEY_SIZE] = {9}, secret[ALCHI_KEY_SIZE] = {1, 2, 3}, out[4][ALCHI_KEY_SIZE],
            back[ALCHI_KEY_SIZE];

    alchi_key_wrap(key, 3, 1, secret, out[0]);
    alchi_key_wrap(key, 3, 2, secret, out[1]);
    alchi_key_wrap(key, 4, 1, secret, out[2]);
    alchi_key_wrap(other, 3, 1, secret, out[3]);
    for (int i = 0; i < 4; i++) {
        ck_assert_mem_ne(out[i], secret, ALCHI_KEY_SIZE);
        for (int j = 0; j < i; j++)
            ck_assert_mem_ne(out[i], out[j], ALCHI_KEY_SIZE);
    }
    alchi_key_wrap(key, 3, 1, out[0], back);
    ck_assert_mem_eq(back, secret, ALCHI_KEY_SIZE);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *wrong = tcase_create("wrong"), *right = tcase_create("right");

    tcase_add_checked_fixture(wrong, NULL, pair_teardown);
    tcase_add_loop_test(wrong, responder_with_wrong_key_gets_no_proof, 0, 5);
    tcase_add_loop_test(wrong, wrong_claim_looks_like_wrong_key, 0, 2);
    tcase_add_loop_test(wrong, reflected_proof_is_refused, 0, 5);
    tcase_add_loop_test(wrong, proof_of_wrong_size_is_refused, 0, 5);
    tcase_add_test(wrong, versions_without_overlap_are_refused);
    tcase_add_loop_test(wrong, malformed_hello_is_refused, 0, 6);
    tcase_add_test(wrong, frames_out_of_order_are_refused);
    tcase_add_test(wrong, replayed_proof_is_refused);
    tcase_add_loop_test(wrong, change_on_the_way_is_noticed, 0, 7);
    tcase_add_test(wrong, silent_server_times_out);
    tcase_add_loop_test(wrong, server_of_another_protocol_is_reported, 0, 3);
    tcase_add_test(wrong, closed_connection_is_reported);
    tcase_add_test(wrong, refusal_of_the_server_is_reported);
    tcase_add_test(wrong, welcome_without_challenge_is_refused);
    suite_add_tcase(suite, wrong);
    tcase_add_checked_fixture(right, NULL, pair_teardown);
    tcase_add_loop_test(right, both_sides_prove_and_derive_one_key, 0, 5);
    tcase_add_test(right, limits_are_raised);
    tcase_add_test(right, highest_common_version_is_chosen);
    tcase_add_test(right, derived_keys_differ);
    tcase_add_test(right, wrapped_key_is_hidden_and_recovered);
    suite_add_tcase(suite, right);
}
