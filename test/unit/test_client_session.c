/* Opening: what is asked for, with which secret, and how it fails. A forked child may not use a session. */
#include "client_peer.h"
#include "base/util.h"
#include "net/connfile.h"

#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>

static const char token[] = "0101010101010101010101010101010101010101010101010101010101010101";
static alch_error_t err;

/* A listening socket that accepts nobody unless a thread does. */
static int
listening(char *text, size_t size)
{
    alchi_address_t address = {"127.0.0.1", 0};
    int fd;

    unit_code(alchi_bind(&address, &fd, &err), ALCH_OK);
    ck_assert_int_eq(listen(fd, 5), 0);
    alchi_address_format(&address, text, size);
    return fd;
}

START_TEST(options_are_checked)
{
    alch_session_options_t options;
    alch_session_t *session = NULL;

    alch_session_options_init(&options);
    options.address = "127.0.0.1:1";
    options.token = token;
    unit_code(alch_session_open(&options, NULL, &err), ALCH_EINVAL);
    options.token = "0101";
    unit_code(alch_session_open(&options, &session, &err), ALCH_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "token"));
    options.token = token;
    options.address = "host:99999999";
    unit_code(alch_session_open(&options, &session, &err), ALCH_EINVAL);
    options.address = "127.0.0.1:1";
    options.message_bytes = 1;
    unit_code(alch_session_open(&options, &session, &err), ALCH_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "message_bytes is 1"));
    options.message_bytes = 1 << 20;
    options.messages_in_flight = 65;
    unit_code(alch_session_open(&options, &session, &err), ALCH_EINVAL);
    options.messages_in_flight = 1;
    options.connect_timeout_ms = 0;
    unit_code(alch_session_open(&options, &session, &err), ALCH_EINVAL);
    options.struct_size = 0;
    unit_code(alch_session_open(&options, &session, &err), ALCH_EINVAL);
    unit_code(alch_session_attach(NULL, 0, token, &session, &err), ALCH_EINVAL);
    unit_code(alch_session_attach(NULL, 7, "short", &session, &err), ALCH_EINVAL);
    unit_code(alch_session_attach(NULL, 7, NULL, &session, &err), ALCH_EINVAL);
    unit_code(alch_session_attach(NULL, 7, token, NULL, &err), ALCH_EINVAL);
    ck_assert_ptr_null(session);
    alch_session_destroy(NULL);
}
END_TEST

START_TEST(null_sessions)
{
    alch_worker_t *workers;
    char *text, **names;
    alch_library_t *library;
    alch_matrix_info_t *infos;
    alch_matrix_t *matrix;
    alch_task_t *task;
    size_t count;

    unit_code(alch_session_close(NULL, &err), ALCH_EINVAL);
    unit_code(alch_session_list_workers(NULL, ALCH_WORKERS_ALL, &workers, &count, &err), ALCH_EINVAL);
    unit_code(alch_session_request_workers(NULL, 1, 0, &err), ALCH_EINVAL);
    unit_code(alch_session_yield_workers(NULL, NULL, 0, &err), ALCH_EINVAL);
    unit_code(alch_session_test_string(NULL, "x", &text, &err), ALCH_EINVAL);
    unit_code(alch_matrix_create(NULL, 1, 1, ALCH_FLOAT64, NULL, NULL, &matrix, &err), ALCH_EINVAL);
    unit_code(alch_matrix_list(NULL, &infos, &count, &err), ALCH_EINVAL);
    unit_code(alch_library_load(NULL, "x", NULL, 0, &library, &err), ALCH_EINVAL);
    unit_code(alch_library_list(NULL, false, &names, &count, &err), ALCH_EINVAL);
    unit_code(alch_task_submit(NULL, "x", "y", NULL, 0, &task, &err), ALCH_EINVAL);
    unit_code(alch_task_wait(NULL, 0, NULL), ALCH_EINVAL);
    unit_code(alch_task_matrix(NULL, "x", 0, &matrix, NULL), ALCH_EINVAL);
    alch_matrix_destroy(NULL);
    alch_library_destroy(NULL);
    alch_task_destroy(NULL);
    alch_names_free(NULL);
    alch_workers_free(NULL);
}
END_TEST

START_TEST(nobody_there)
{
    alch_session_options_t options;
    alch_session_t *session;
    char address[300];
    int64_t started;
    int fd = listening(address, sizeof(address));

    alch_session_options_init(&options);
    options.address = address;
    options.token = token;
    options.connect_timeout_ms = 200;
    started = alchi_now_ns();
    unit_code(alch_session_open(&options, &session, &err), ALCH_ETIMEDOUT);
    ck_assert_int_lt(alchi_now_ns() - started, 2000000000);
    close(fd);
    unit_code(alch_session_open(&options, &session, &err), ALCH_ECONNECT);
    ck_assert_ptr_nonnull(strstr(err.text, address));
}
END_TEST

START_TEST(no_connection_file)
{
    alch_session_options_t options;
    alch_session_t *session;

    setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
    setenv("HOME", "/nonexistent", 1);
    unsetenv("ALCHEMIST_CONNECTION");
    unit_code(alch_session_open(NULL, &session, &err), ALCH_ECONNECT);
    ck_assert_int_eq(err.code, ALCH_ECONNECT);
    setenv("ALCHEMIST_CONNECTION", "/nonexistent/file.json", 1);
    unit_code(alch_session_open(NULL, &session, &err), ALCH_ECONNECT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/file.json"));
    alch_session_options_init(&options);
    options.connection_file = "/nonexistent/other.json";
    unit_code(alch_session_open(&options, &session, &err), ALCH_ECONNECT);
    ck_assert_ptr_nonnull(strstr(err.text, "other.json"));
}
END_TEST

/* ---- a driver that goes through the handshake ---- */

typedef struct {
    int fd;
    alchi_claim_t claim;
    uint8_t key[ALCHI_KEY_SIZE]; /* which the driver holds */
    char name[64];
    alchi_responder_t responder;
} door_t;

static int
door_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *error)
{
    door_t *door = context;

    (void)error;
    door->claim = *claim;
    memcpy(key, door->key, ALCHI_KEY_SIZE);
    return ALCH_OK;
}

static void *
open_door(void *context)
{
    door_t *door = context;
    Alchw__Welcome welcome = ALCHW__WELCOME__INIT;
    struct pollfd waiting = {.fd = door->fd, .events = POLLIN};
    alchi_channel_t *channel;
    ProtobufCMessage *message;
    alchi_frame_t frame;
    bool done = false;
    int fd = poll(&waiting, 1, 10000) > 0 ? accept(door->fd, NULL, NULL) : -1;
    int code = ALCH_OK;

    if (fd < 0)
        return NULL;
    channel = peer_channel(fd);
    alchi_responder_init(&door->responder);
    while (!done && code == ALCH_OK) {
        message = NULL;
        code = alchi_channel_receive_by(channel, alchi_deadline_in_ms(5000), &frame, &message);
        if (code == ALCH_OK)
            code = alchi_responder_feed(&door->responder, channel, &frame, message, door_key, door, &done, NULL);
        alchi_message_free(message);
    }
    snprintf(door->name, sizeof(door->name), "%s", door->responder.name);
    welcome.has_session = true;
    welcome.session = 77;
    welcome.server_version = "9.8.7";
    if (done)
        alchi_channel_send(channel, ALCHI_WELCOME, ALCHI_FRAME_REPLY, frame.id, &welcome);
    alchi_channel_flush_by(channel, alchi_deadline_in_ms(1000));
    message = NULL;
    if (done && alchi_channel_receive_by(channel, alchi_deadline_in_ms(5000), &frame, &message) == ALCH_OK)
        alchi_channel_send(channel, ALCHI_EMPTY, ALCHI_FRAME_REPLY, frame.id, NULL);
    alchi_message_free(message);
    alchi_channel_destroy(channel);
    return NULL;
}

/* 0: open; 1: open with a wrong token; 2: attach; 3: attach with a wrong key */
START_TEST(handshake)
{
    bool attach = _i >= 2, wrong = _i % 2;
    char address[300], key[65], expected[65];
    uint8_t bytes[ALCHI_KEY_SIZE];
    alch_session_options_t options;
    alch_session_t *session = NULL;
    door_t door = {0};
    pthread_t thread;
    int code;

    memset(door.key, wrong ? 2 : 1, sizeof(door.key));
    door.fd = listening(address, sizeof(address));
    pthread_create(&thread, NULL, open_door, &door);
    alch_session_options_init(&options);
    options.address = address;
    options.token = token;
    options.name = "a test";
    code =
        attach ? alch_session_attach(&options, 77, token, &session, &err) : alch_session_open(&options, &session, &err);
    unit_code(code, wrong ? ALCH_EAUTH : ALCH_OK);
    if (!wrong) {
        ck_assert_uint_eq(alch_session_id(session), 77);
        ck_assert_str_eq(alch_session_address(session), address);
        ck_assert_str_eq(alch_session_server_version(session), "9.8.7");
        alch_session_key(session, key);
        unit_code(alch_session_close(session, &err), ALCH_OK);
        unit_code(alch_session_close(session, &err), ALCH_OK);
        unit_code(alch_session_request_workers(session, 1, 0, &err), ALCH_ECONNECT);
        ck_assert_str_eq(err.text, "the session is closed");
        alch_session_destroy(session);
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(door.claim.role, attach ? ALCHI_ROLE_EXECUTOR : ALCHI_ROLE_CLIENT);
    if (!wrong) {
        alchi_derive_session_key(door.key, door.responder.nonce_initiator, door.responder.nonce_responder, bytes);
        alchi_hex_encode(bytes, sizeof(bytes), expected);
        ck_assert_str_eq(key, attach ? token : expected);
        ck_assert_str_eq(door.name, "a test");
    }
    close(door.fd);
}
END_TEST

/* ---- processes that fork ---- */

static bool
answer_string(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    return peer_reply(peer, frame, ALCHI_TEST_STRING, message);
}

static int
use_in_child(alch_session_t *session)
{
    alch_worker_t *workers;
    alch_matrix_t *matrix;
    alch_library_t *library;
    alch_task_t *task;
    int wrong = 0;
    size_t count;
    char *text;

    wrong += alch_session_test_string(session, "x", &text, NULL) != ALCH_EFORKED;
    wrong += alch_session_list_workers(session, ALCH_WORKERS_ALL, &workers, &count, NULL) != ALCH_EFORKED;
    wrong += alch_session_request_workers(session, 1, 0, NULL) != ALCH_EFORKED;
    wrong += alch_session_yield_workers(session, NULL, 0, NULL) != ALCH_EFORKED;
    wrong += alch_matrix_create(session, 1, 1, ALCH_FLOAT64, NULL, NULL, &matrix, NULL) != ALCH_EFORKED;
    wrong += alch_library_load(session, "x", NULL, 0, &library, NULL) != ALCH_EFORKED;
    wrong += alch_task_submit(session, "x", "y", NULL, 0, &task, NULL) != ALCH_EFORKED;
    wrong += alch_session_close(session, NULL) != ALCH_EFORKED;
    alch_session_destroy(session);
    return wrong;
}

START_TEST(a_child_cannot_use_it)
{
    alch_session_t *session;
    char *text;
    peer_t peer;
    int status;
    pid_t pid;

    peer_start(&peer, answer_string, NULL);
    session = peer_session(&peer);
    if ((pid = fork()) == 0)
        _exit(use_in_child(session));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    unit_code(alch_session_test_string(session, "still there", &text, &err), ALCH_OK);
    ck_assert_str_eq(text, "still there");
    free(text);
    alch_session_destroy(session);
    peer_join(&peer);
}
END_TEST

/* ---- waiting in slices ---- */

/* Says "not yet" until it was asked often enough; waits as long as it is told. */
static bool
answer_slowly(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    const Alchw__RequestWorkers *request = (const Alchw__RequestWorkers *)message;
    Alchw__Group group = ALCHW__GROUP__INIT;
    int *left = peer->context;

    if (frame->type != ALCHI_REQUEST_WORKERS)
        return peer_refuse(peer, frame, ALCH_EPROTO, "not expected by this test");
    if (*left > 0)
        poll(NULL, 0, (int)request->wait_ms);
    group.has_id = group.has_ready = true;
    group.id = 1;
    group.ready = (*left)-- <= 0;
    return peer_reply(peer, frame, ALCHI_GROUP, &group);
}

START_TEST(workers_are_waited_for)
{
    alch_session_t *session;
    int left = 2;
    peer_t peer;

    peer_start(&peer, answer_slowly, &left);
    session = peer_session(&peer);
    unit_code(alch_session_request_workers(session, 0, 0, &err), ALCH_EINVAL);
    unit_code(alch_session_request_workers(session, 2, 0, &err), ALCH_EAGAIN);
    unit_code(alch_session_request_workers(session, 2, 50, &err), ALCH_EAGAIN);
    unit_code(alch_session_request_workers(session, 2, 50, &err), ALCH_OK);
    unit_code(alch_session_yield_workers(session, (int[]){0}, 1, &err), ALCH_ENOENT);
    unit_code(alch_session_yield_workers(session, (int[]){1}, 0, &err), ALCH_OK);
    alch_session_destroy(session);
    peer_join(&peer);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("session");

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, options_are_checked);
    tcase_add_test(tcase, null_sessions);
    tcase_add_test(tcase, nobody_there);
    tcase_add_test(tcase, no_connection_file);
    tcase_add_loop_test(tcase, handshake, 0, 4);
    tcase_add_test(tcase, a_child_cannot_use_it);
    tcase_add_test(tcase, workers_are_waited_for);
    suite_add_tcase(suite, tcase);
}
