/* One connection for many threads: every reply finds its request, whatever the order, and every wait ends. */
#include "client_peer.h"

#include <poll.h>
#include <stdio.h>

static int
echo(alchi_cli_control_t *control, const char *text, int timeout_ms, char *reply, size_t size, alch_error_t *err)
{
    Alchw__TestString request = ALCHW__TEST_STRING__INIT, *answer;
    int code;

    request.text = (char *)text;
    code = alchi_cli_control_request(control, ALCHI_TEST_STRING, &request, ALCHI_TEST_STRING,
                                     alchi_deadline_in_ms(timeout_ms), &answer, err);
    if (code == ALCH_OK) {
        snprintf(reply, size, "%s", answer->text);
        alchi_message_free(answer);
    }
    return code;
}

/* Collects `hold` requests and answers them in reverse order. */
typedef struct {
    int hold, count;
    alchi_frame_t frames[8];
    char texts[8][32];
} backwards_t;

static bool
answer_backwards(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    backwards_t *state = peer->context;
    Alchw__TestString reply = ALCHW__TEST_STRING__INIT;

    state->frames[state->count] = *frame;
    snprintf(state->texts[state->count++], 32, "%s", ((const Alchw__TestString *)message)->text);
    if (state->count < state->hold)
        return true;
    while (state->count > 0) {
        reply.text = state->texts[--state->count];
        if (!peer_reply(peer, &state->frames[state->count], ALCHI_TEST_STRING, &reply))
            return false;
    }
    return true;
}

typedef struct {
    alchi_cli_control_t *control;
    int number;
    bool good;
} asker_t;

static void *
ask_often(void *context)
{
    asker_t *asker = context;
    char text[32], reply[64];

    asker->good = true;
    for (int k = 0; k < 200 && asker->good; k++) {
        snprintf(text, sizeof(text), "%d/%d", asker->number, k);
        asker->good =
            echo(asker->control, text, 5000, reply, sizeof(reply), NULL) == ALCH_OK && strcmp(text, reply) == 0;
    }
    return NULL;
}

START_TEST(replies_find_their_requests)
{
    backwards_t state = {.hold = 4};
    pthread_t threads[4];
    asker_t askers[4];
    alchi_cli_control_t *control;
    peer_t peer;

    peer_start(&peer, answer_backwards, &state);
    control = peer_control(&peer);
    for (int k = 0; k < 4; k++) {
        askers[k] = (asker_t){control, k, false};
        pthread_create(&threads[k], NULL, ask_often, &askers[k]);
    }
    for (int k = 0; k < 4; k++) {
        pthread_join(threads[k], NULL);
        ck_assert(askers[k].good);
    }
    alchi_cli_control_destroy(control);
    peer_join(&peer);
}
END_TEST

static bool
answer_some(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    const char *text = ((const Alchw__TestString *)message)->text;

    if (strcmp(text, "silent") == 0)
        return true;
    if (strcmp(text, "error") == 0)
        return peer_refuse(peer, frame, ALCH_EBUSY, "matrix 3 is in use");
    if (strcmp(text, "other") == 0)
        return peer_reply(peer, frame, ALCHI_EMPTY, NULL);
    if (strcmp(text, "stranger") == 0) {
        alchi_frame_t stranger = *frame;
        stranger.id += 1000;
        peer_reply(peer, &stranger, ALCHI_TEST_STRING, message);
    }
    if (strcmp(text, "leave") == 0) {
        alch_error_t bye = {.code = ALCH_ESTATE, .rank = -1, .text = "the daemon is being stopped"};
        alchi_channel_send_error(peer->channel, 0, &bye);
        return false;
    }
    return peer_reply(peer, frame, ALCHI_TEST_STRING, message);
}

START_TEST(errors_and_deadlines)
{
    alch_error_t err = {0};
    alchi_cli_control_t *control;
    char reply[64];
    peer_t peer;
    int64_t started;

    peer_start(&peer, answer_some, NULL);
    control = peer_control(&peer);
    unit_code(echo(control, "error", 5000, reply, sizeof(reply), &err), ALCH_EBUSY);
    ck_assert_str_eq(err.text, "matrix 3 is in use");
    ck_assert_int_eq(err.rank, 1);
    unit_code(echo(control, "other", 5000, reply, sizeof(reply), &err), ALCH_EPROTO);
    started = alchi_now_ns();
    unit_code(echo(control, "silent", 100, reply, sizeof(reply), &err), ALCH_ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(err.text, "TEST_STRING"));
    ck_assert_int_ge(alchi_now_ns() - started, 90000000);
    unit_code(echo(control, "stranger", 5000, reply, sizeof(reply), &err), ALCH_OK);
    ck_assert_str_eq(reply, "stranger");
    alchi_cli_control_destroy(control);
    peer_join(&peer);
}
END_TEST

START_TEST(last_words_are_kept)
{
    alch_error_t err = {0};
    alchi_cli_control_t *control;
    char reply[64];
    peer_t peer;

    peer_start(&peer, answer_some, NULL);
    control = peer_control(&peer);
    for (int k = 0; k < 2; k++) {
        unit_code(echo(control, "leave", 5000, reply, sizeof(reply), &err), ALCH_ECONNECT);
        ck_assert_ptr_nonnull(strstr(err.text, "the daemon is being stopped"));
        ck_assert_ptr_nonnull(strstr(err.text, "driver:1"));
    }
    alchi_cli_control_destroy(control);
    peer_join(&peer);
}
END_TEST

START_TEST(last_words_while_idle)
{
    alch_error_t err = {0}, bye = {.code = ALCH_ESTATE, .rank = -1, .text = "bye"};
    alchi_channel_t *channel;
    alchi_cli_control_t *control;
    char reply[64];
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    channel = peer_channel(fds[0]);
    control = alchi_cli_control_create(peer_channel(fds[1]), "driver:1");
    alchi_channel_send_error(channel, 0, &bye);
    alchi_channel_destroy(channel);
    unit_code(echo(control, "x", 5000, reply, sizeof(reply), &err), ALCH_ECONNECT);
    ck_assert_ptr_nonnull(strstr(err.text, "bye"));
    alchi_cli_control_destroy(control);
}
END_TEST

static void *
ask_silent(void *context)
{
    alch_error_t *err = calloc(1, sizeof(*err));
    char reply[64];

    echo(context, "silent", 10000, reply, sizeof(reply), err);
    return err;
}

START_TEST(end_wakes_all)
{
    pthread_t threads[3];
    alchi_cli_control_t *control;
    peer_t peer;
    void *err;

    peer_start(&peer, answer_some, NULL);
    control = peer_control(&peer);
    for (int k = 0; k < 3; k++)
        pthread_create(&threads[k], NULL, ask_silent, control);
    poll(NULL, 0, 50);
    alchi_cli_control_shutdown(control, "the session is closed");
    for (int k = 0; k < 3; k++) {
        pthread_join(threads[k], &err);
        unit_code(((alch_error_t *)err)->code, ALCH_ECONNECT);
        ck_assert_str_eq(((alch_error_t *)err)->text, "the session is closed");
        free(err);
    }
    alchi_cli_control_destroy(control);
    peer_join(&peer);
}
END_TEST

/* Answers "silent" never and everything else late. */
static bool
answer_late(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    if (strcmp(((const Alchw__TestString *)message)->text, "silent") == 0)
        return true;
    poll(NULL, 0, 300);
    return peer_reply(peer, frame, ALCHI_TEST_STRING, message);
}

static void *
ask_shortly(void *context)
{
    char reply[64];

    return echo(context, "silent", 150, reply, sizeof(reply), NULL) == ALCH_ETIMEDOUT ? context : NULL;
}

/* The first to wait leads; when its time is over the other one must read for itself. */
START_TEST(the_lead_is_handed_over)
{
    alchi_cli_control_t *control;
    pthread_t thread;
    char reply[64];
    peer_t peer;
    void *result;

    peer_start(&peer, answer_late, NULL);
    control = peer_control(&peer);
    pthread_create(&thread, NULL, ask_shortly, control);
    poll(NULL, 0, 50);
    unit_code(echo(control, "late", 2000, reply, sizeof(reply), NULL), ALCH_OK);
    pthread_join(thread, &result);
    ck_assert_ptr_eq(result, control);
    alchi_cli_control_destroy(control);
    peer_join(&peer);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("control");

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, replies_find_their_requests);
    tcase_add_test(tcase, errors_and_deadlines);
    tcase_add_test(tcase, last_words_are_kept);
    tcase_add_test(tcase, last_words_while_idle);
    tcase_add_test(tcase, end_wakes_all);
    tcase_add_test(tcase, the_lead_is_handed_over);
    suite_add_tcase(suite, tcase);
}
