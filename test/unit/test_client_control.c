/* Many threads share one connection: every reply reaches its request in whatever order it arrives, and every wait
 * ends. */
#include "client_peer.h"

#include <poll.h>
#include <stdio.h>

/* Send a text, and copy the peer's reply. */
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

/* ---- replies in another order ---- */

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
} requester_t;

static void *
request_often(void *context)
{
    requester_t *requester = context;
    char text[32], reply[64];

    requester->good = true;
    for (int k = 0; k < 200 && requester->good; k++) {
        snprintf(text, sizeof(text), "%d/%d", requester->number, k);
        requester->good =
            echo(requester->control, text, 5000, reply, sizeof(reply), NULL) == ALCH_OK && strcmp(text, reply) == 0;
    }
    return NULL;
}

START_TEST(replies_in_any_order_reach_their_requests)
{
    backwards_t state = {.hold = 4};
    pthread_t threads[4];
    requester_t requesters[4];
    alchi_cli_control_t *control;
    peer_t peer;

    peer_start(&peer, answer_backwards, &state);
    control = peer_control(&peer);
    for (int k = 0; k < 4; k++) {
        requesters[k] = (requester_t){control, k, false};
        pthread_create(&threads[k], NULL, request_often, &requesters[k]);
    }
    for (int k = 0; k < 4; k++) {
        pthread_join(threads[k], NULL);
        ck_assert(requesters[k].good);
    }
    alchi_cli_control_destroy(control);
    peer_join(&peer);
}
END_TEST

/* ---- failures ---- */

/* A control connection to a peer that does what the text of a request says. */
typedef struct {
    peer_t peer;
    alchi_cli_control_t *control;
    int received; /* atomic: requests */
    alch_error_t err;
    char reply[64];
} fixture_t;

static bool
answer_as_asked(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    fixture_t *fixture = peer->context;
    const char *text = ((const Alchw__TestString *)message)->text;

    __atomic_add_fetch(&fixture->received, 1, __ATOMIC_RELEASE);
    if (strcmp(text, "silent") == 0)
        return true;
    if (strcmp(text, "error") == 0)
        return peer_refuse(peer, frame, ALCH_EBUSY, "matrix 3 is in use");
    if (strcmp(text, "other type") == 0)
        return peer_reply(peer, frame, ALCHI_EMPTY, NULL);
    if (strcmp(text, "unknown id") == 0) {
        alchi_frame_t unknown = *frame;
        unknown.id += 1000;
        peer_reply(peer, &unknown, ALCHI_TEST_STRING, message);
    }
    if (strcmp(text, "leave") == 0) {
        alch_error_t final = {.code = ALCH_ESTATE, .rank = -1, .text = "the daemon is being stopped"};
        alchi_channel_send_error(peer->channel, 0, &final);
        return false;
    }
    return peer_reply(peer, frame, ALCHI_TEST_STRING, message);
}

static void
fixture_start(fixture_t *fixture)
{
    *fixture = (fixture_t){0};
    peer_start(&fixture->peer, answer_as_asked, fixture);
    fixture->control = peer_control(&fixture->peer);
}

static void
fixture_stop(fixture_t *fixture)
{
    alchi_cli_control_destroy(fixture->control);
    peer_join(&fixture->peer);
}

static int
request_text(fixture_t *fixture, const char *text, int timeout_ms)
{
    return echo(fixture->control, text, timeout_ms, fixture->reply, sizeof(fixture->reply), &fixture->err);
}

START_TEST(error_reply_fails_the_request)
{
    fixture_t fixture;

    fixture_start(&fixture);
    unit_code(request_text(&fixture, "error", 5000), ALCH_EBUSY);
    ck_assert_str_eq(fixture.err.text, "matrix 3 is in use");
    ck_assert_int_eq(fixture.err.rank, 1);
    fixture_stop(&fixture);
}
END_TEST

START_TEST(reply_of_another_type_is_a_protocol_error)
{
    fixture_t fixture;

    fixture_start(&fixture);
    unit_code(request_text(&fixture, "other type", 5000), ALCH_EPROTO);
    fixture_stop(&fixture);
}
END_TEST

START_TEST(request_without_a_reply_times_out)
{
    fixture_t fixture;
    int64_t started;

    fixture_start(&fixture);
    started = alchi_now_ns();
    unit_code(request_text(&fixture, "silent", 100), ALCH_ETIMEDOUT);
    ck_assert_int_ge(alchi_now_ns() - started, 90000000);
    ck_assert_ptr_nonnull(strstr(fixture.err.text, "TEST_STRING"));
    fixture_stop(&fixture);
}
END_TEST

START_TEST(connection_works_after_failed_requests)
{
    fixture_t fixture;

    fixture_start(&fixture);
    unit_code(request_text(&fixture, "error", 5000), ALCH_EBUSY);
    unit_code(request_text(&fixture, "other type", 5000), ALCH_EPROTO);
    unit_code(request_text(&fixture, "silent", 100), ALCH_ETIMEDOUT);
    unit_code(request_text(&fixture, "hello", 5000), ALCH_OK);
    ck_assert_str_eq(fixture.reply, "hello");
    fixture_stop(&fixture);
}
END_TEST

START_TEST(reply_with_an_unknown_id_is_ignored)
{
    fixture_t fixture;

    fixture_start(&fixture);
    unit_code(request_text(&fixture, "unknown id", 5000), ALCH_OK);
    ck_assert_str_eq(fixture.reply, "unknown id");
    fixture_stop(&fixture);
}
END_TEST

/* ---- the end of the connection ---- */

START_TEST(final_message_explains_all_later_failures)
{
    fixture_t fixture;

    fixture_start(&fixture);
    for (int k = 0; k < 2; k++) {
        unit_code(request_text(&fixture, "leave", 5000), ALCH_ECONNECT);
        ck_assert_ptr_nonnull(strstr(fixture.err.text, "the daemon is being stopped"));
        ck_assert_ptr_nonnull(strstr(fixture.err.text, "driver:1"));
    }
    fixture_stop(&fixture);
}
END_TEST

START_TEST(final_message_that_arrived_while_idle_is_read)
{
    alch_error_t err = {0}, final = {.code = ALCH_ESTATE, .rank = -1, .text = "the daemon is being stopped"};
    alchi_channel_t *channel;
    alchi_cli_control_t *control;
    char reply[64];
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    channel = peer_channel(fds[0]);
    control = alchi_cli_control_create(peer_channel(fds[1]), "driver:1");
    alchi_channel_send_error(channel, 0, &final);
    alchi_channel_destroy(channel);
    unit_code(echo(control, "x", 5000, reply, sizeof(reply), &err), ALCH_ECONNECT);
    ck_assert_ptr_nonnull(strstr(err.text, "the daemon is being stopped"));
    alchi_cli_control_destroy(control);
}
END_TEST

static void *
request_silent(void *context)
{
    alch_error_t *err = calloc(1, sizeof(*err));
    char reply[64];

    echo(context, "silent", 10000, reply, sizeof(reply), err);
    return err;
}

static bool
three_requests_received(void *context)
{
    return __atomic_load_n(&((fixture_t *)context)->received, __ATOMIC_ACQUIRE) == 3;
}

START_TEST(shutdown_fails_all_waiting_requests)
{
    pthread_t threads[3];
    fixture_t fixture;
    void *err;

    fixture_start(&fixture);
    for (int k = 0; k < 3; k++)
        pthread_create(&threads[k], NULL, request_silent, fixture.control);
    unit_wait_for(three_requests_received, &fixture, 5000);
    alchi_cli_control_shutdown(fixture.control, "the session is closed");
    for (int k = 0; k < 3; k++) {
        pthread_join(threads[k], &err);
        unit_code(((alch_error_t *)err)->code, ALCH_ECONNECT);
        ck_assert_str_eq(((alch_error_t *)err)->text, "the session is closed");
        free(err);
    }
    fixture_stop(&fixture);
}
END_TEST

/* ---- leaders ---- */

/* Never answers "silent", and answers everything else late. */
static bool
answer_late(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    if (strcmp(((const Alchw__TestString *)message)->text, "silent") == 0)
        return true;
    poll(NULL, 0, 300); /* longer than request_silent_shortly() waits */
    return peer_reply(peer, frame, ALCHI_TEST_STRING, message);
}

static void *
request_silent_shortly(void *context)
{
    char reply[64];

    return echo(context, "silent", 150, reply, sizeof(reply), NULL) == ALCH_ETIMEDOUT ? context : NULL;
}

/* The thread that waits first is the leader. When its request times out, the other thread must read for itself. */
START_TEST(waiting_thread_replaces_a_leader_that_timed_out)
{
    alchi_cli_control_t *control;
    pthread_t thread;
    char reply[64];
    peer_t peer;
    void *result;

    peer_start(&peer, answer_late, NULL);
    control = peer_control(&peer);
    pthread_create(&thread, NULL, request_silent_shortly, control);
    poll(NULL, 0, 50); /* enough for the thread to become the leader; the test cannot see when it does */
    unit_code(echo(control, "late", 10000, reply, sizeof(reply), NULL), ALCH_OK);
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

    tcase_add_test(tcase, replies_in_any_order_reach_their_requests);
    tcase_add_test(tcase, error_reply_fails_the_request);
    tcase_add_test(tcase, reply_of_another_type_is_a_protocol_error);
    tcase_add_test(tcase, request_without_a_reply_times_out);
    tcase_add_test(tcase, connection_works_after_failed_requests);
    tcase_add_test(tcase, reply_with_an_unknown_id_is_ignored);
    tcase_add_test(tcase, final_message_explains_all_later_failures);
    tcase_add_test(tcase, final_message_that_arrived_while_idle_is_read);
    tcase_add_test(tcase, shutdown_fails_all_waiting_requests);
    tcase_add_test(tcase, waiting_thread_replaces_a_leader_that_timed_out);
    suite_add_tcase(suite, tcase);
}
