/* Sessions: options, address and secret, the handshake, forked children, and waiting for workers. */
#include "client_peer.h"
#include "base/util.h"
#include "net/connfile.h"

#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>

static const char token[] = "0101010101010101010101010101010101010101010101010101010101010101";
static alch_error_t err;

/* Listen on a free port, whose address is written to `text`. Only a thread of the test accepts connections. */
static int
listen_on_free_port(char *text, size_t size)
{
    alchi_address_t address = {"127.0.0.1", 0};
    int fd;

    unit_code(alchi_bind(&address, &fd, &err), ALCH_OK);
    ck_assert_int_eq(listen(fd, 5), 0);
    alchi_address_format(&address, text, size);
    return fd;
}

/* Valid options for a port where no driver listens. */
static alch_session_options_t
valid_options(void)
{
    alch_session_options_t options;

    alch_session_options_init(&options);
    options.address = "127.0.0.1:1";
    options.token = token;
    return options;
}

static void
expect_refused_options(const alch_session_options_t *options, const char *text)
{
    alch_session_t *session = NULL;

    unit_code(alch_session_open(options, &session, &err), ALCH_EINVAL);
    unit_contains(err.text, text);
    ck_assert_ptr_null(session);
}

START_TEST(options_out_of_range_are_refused)
{
    alch_session_options_t options = valid_options();

    options.message_bytes = 1;
    expect_refused_options(&options, "message_bytes is 1, must be 65536 to");
    options = valid_options();
    options.messages_in_flight = 65;
    expect_refused_options(&options, "messages_in_flight is 65, must be 1 to 64");
    options = valid_options();
    options.connect_timeout_ms = 0;
    expect_refused_options(&options, "connect_timeout_ms is 0");
}
END_TEST

START_TEST(options_without_a_size_are_refused)
{
    alch_session_options_t options = valid_options();

    options.struct_size = 0;
    expect_refused_options(&options, "struct_size");
}
END_TEST

START_TEST(malformed_address_and_token_are_refused)
{
    alch_session_options_t options = valid_options();

    options.token = "0101";
    expect_refused_options(&options, "token");
    options = valid_options();
    options.address = "host:99999999";
    expect_refused_options(&options, "99999999");
}
END_TEST

START_TEST(open_and_attach_check_their_arguments)
{
    alch_session_options_t options = valid_options();
    alch_session_t *session = NULL;

    unit_code(alch_session_open(&options, NULL, &err), ALCH_EINVAL);
    unit_code(alch_session_attach(NULL, 0, token, &session, &err), ALCH_EINVAL);
    unit_code(alch_session_attach(NULL, 7, "short", &session, &err), ALCH_EINVAL);
    unit_code(alch_session_attach(NULL, 7, NULL, &session, &err), ALCH_EINVAL);
    unit_code(alch_session_attach(NULL, 7, token, NULL, &err), ALCH_EINVAL);
    ck_assert_ptr_null(session);
}
END_TEST

START_TEST(null_handles_are_refused)
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
}
END_TEST

/* A failure of this test is a crash or a report of a sanitizer. */
START_TEST(null_can_be_destroyed)
{
    alch_session_destroy(NULL);
    alch_matrix_destroy(NULL);
    alch_library_destroy(NULL);
    alch_task_destroy(NULL);
    alch_names_free(NULL);
    alch_workers_free(NULL);
}
END_TEST

/* ---- no driver ---- */

START_TEST(driver_that_does_not_answer_times_out)
{
    alch_session_options_t options = valid_options();
    alch_session_t *session;
    char address[300];
    int64_t started;
    int fd = listen_on_free_port(address, sizeof(address));

    options.address = address;
    options.connect_timeout_ms = 200;
    started = alchi_now_ns();
    unit_code(alch_session_open(&options, &session, &err), ALCH_ETIMEDOUT);
    ck_assert_int_lt(alchi_now_ns() - started, 8000000000);
    close(fd);
}
END_TEST

START_TEST(closed_port_is_named)
{
    alch_session_options_t options = valid_options();
    alch_session_t *session;
    char address[300];

    close(listen_on_free_port(address, sizeof(address)));
    options.address = address;
    unit_code(alch_session_open(&options, &session, &err), ALCH_ECONNECT);
    ck_assert_ptr_nonnull(strstr(err.text, address));
}
END_TEST

START_TEST(no_connection_file_is_a_failure_to_connect)
{
    alch_session_t *session;

    setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
    setenv("HOME", "/nonexistent", 1);
    unsetenv("ALCHEMIST_CONNECTION");
    unit_code(alch_session_open(NULL, &session, &err), ALCH_ECONNECT);
    ck_assert_int_eq(err.code, ALCH_ECONNECT);
}
END_TEST

START_TEST(missing_connection_file_is_named)
{
    alch_session_options_t options;
    alch_session_t *session;

    setenv("ALCHEMIST_CONNECTION", "/nonexistent/file.json", 1);
    unit_code(alch_session_open(NULL, &session, &err), ALCH_ECONNECT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/file.json"));
    alch_session_options_init(&options);
    options.connection_file = "/nonexistent/other.json";
    unit_code(alch_session_open(&options, &session, &err), ALCH_ECONNECT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/other.json"));
}
END_TEST

/* ---- the handshake ---- */

/* A driver that accepts one connection, does the handshake, and answers one request. */
typedef struct {
    int fd;
    char address[300];
    pthread_t thread;
    uint8_t key[ALCHI_KEY_SIZE]; /* that the driver knows */
    alchi_claim_t claim;         /* of the client */
    alchi_responder_t responder;
} driver_t;

static int
driver_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *error)
{
    driver_t *driver = context;

    (void)error;
    driver->claim = *claim;
    memcpy(key, driver->key, ALCHI_KEY_SIZE);
    return ALCH_OK;
}

static void *
driver_serve(void *context)
{
    driver_t *driver = context;
    Alchw__Welcome welcome = ALCHW__WELCOME__INIT;
    struct pollfd waiting = {.fd = driver->fd, .events = POLLIN};
    alchi_channel_t *channel;
    ProtobufCMessage *message;
    alchi_frame_t frame;
    bool done = false;
    int fd = poll(&waiting, 1, 10000) > 0 ? accept(driver->fd, NULL, NULL) : -1;
    int code = ALCH_OK;

    if (fd < 0)
        return NULL;
    channel = peer_channel(fd);
    alchi_responder_init(&driver->responder);
    while (!done && code == ALCH_OK) {
        message = NULL;
        code = alchi_channel_receive_by(channel, alchi_deadline_in_ms(5000), &frame, &message);
        if (code == ALCH_OK)
            code = alchi_responder_feed(&driver->responder, channel, &frame, message, driver_key, driver, &done, NULL);
        alchi_message_free(message);
    }
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

/* Start a driver whose key consists of bytes of this value; the clients' token has bytes of 1. Returns the options for
 * it. */
static alch_session_options_t
driver_start(driver_t *driver, int key_byte)
{
    alch_session_options_t options = valid_options();

    *driver = (driver_t){0};
    memset(driver->key, key_byte, sizeof(driver->key));
    driver->fd = listen_on_free_port(driver->address, sizeof(driver->address));
    pthread_create(&driver->thread, NULL, driver_serve, driver);
    options.address = driver->address;
    options.name = "a test";
    return options;
}

/* Wait for the driver's thread, which ends when the client has closed its connection. */
static void
driver_stop(driver_t *driver)
{
    pthread_join(driver->thread, NULL);
    close(driver->fd);
}

START_TEST(open_authenticates_with_the_token)
{
    alch_session_t *session;
    driver_t driver;
    alch_session_options_t options = driver_start(&driver, 1);

    unit_code(alch_session_open(&options, &session, &err), ALCH_OK);
    ck_assert_uint_eq(alch_session_id(session), 77);
    ck_assert_str_eq(alch_session_address(session), driver.address);
    ck_assert_str_eq(alch_session_server_version(session), "9.8.7");
    alch_session_destroy(session);
    driver_stop(&driver);
    ck_assert_int_eq(driver.claim.role, ALCHI_ROLE_CLIENT);
    ck_assert_str_eq(driver.responder.name, "a test");
}
END_TEST

START_TEST(open_derives_the_session_key_as_the_driver_does)
{
    char key[65], expected[65];
    uint8_t bytes[ALCHI_KEY_SIZE];
    alch_session_t *session;
    driver_t driver;
    alch_session_options_t options = driver_start(&driver, 1);

    unit_code(alch_session_open(&options, &session, &err), ALCH_OK);
    alch_session_key(session, key);
    alch_session_destroy(session);
    driver_stop(&driver);
    alchi_derive_session_key(driver.key, driver.responder.nonce_initiator, driver.responder.nonce_responder, bytes);
    alchi_hex_encode(bytes, sizeof(bytes), expected);
    ck_assert_str_eq(key, expected);
}
END_TEST

START_TEST(attach_authenticates_with_the_session_key)
{
    char key[65];
    alch_session_t *session;
    driver_t driver;
    alch_session_options_t options = driver_start(&driver, 1);

    unit_code(alch_session_attach(&options, 77, token, &session, &err), ALCH_OK);
    ck_assert_uint_eq(alch_session_id(session), 77);
    alch_session_key(session, key);
    ck_assert_str_eq(key, token);
    alch_session_destroy(session);
    driver_stop(&driver);
    ck_assert_int_eq(driver.claim.role, ALCHI_ROLE_EXECUTOR);
}
END_TEST

START_TEST(open_with_a_wrong_token_is_refused)
{
    alch_session_t *session;
    driver_t driver;
    alch_session_options_t options = driver_start(&driver, 2);

    unit_code(alch_session_open(&options, &session, &err), ALCH_EAUTH);
    driver_stop(&driver);
}
END_TEST

START_TEST(attach_with_a_wrong_key_is_refused)
{
    alch_session_t *session;
    driver_t driver;
    alch_session_options_t options = driver_start(&driver, 2);

    unit_code(alch_session_attach(&options, 77, token, &session, &err), ALCH_EAUTH);
    driver_stop(&driver);
}
END_TEST

START_TEST(closed_session_refuses_requests)
{
    alch_session_t *session;
    driver_t driver;
    alch_session_options_t options = driver_start(&driver, 1);

    unit_code(alch_session_open(&options, &session, &err), ALCH_OK);
    unit_code(alch_session_close(session, &err), ALCH_OK);
    unit_code(alch_session_close(session, &err), ALCH_OK);
    unit_code(alch_session_request_workers(session, 1, 0, &err), ALCH_ECONNECT);
    ck_assert_str_eq(err.text, "the session is closed");
    alch_session_destroy(session);
    driver_stop(&driver);
}
END_TEST

/* ---- forked children ---- */

static bool
answer_string(peer_t *peer, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    return peer_reply(peer, frame, ALCHI_TEST_STRING, message);
}

/* Count the calls that do not fail with ALCH_EFORKED in a child. Destroys the child's copy of the session. */
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

/* Fork a child that uses and destroys its copy of the session. Returns use_in_child()'s result. */
static int
fork_and_use(alch_session_t *session)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(use_in_child(session));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(forked_child_cannot_use_the_session)
{
    alch_session_t *session;
    peer_t peer;

    peer_start(&peer, answer_string, NULL);
    session = peer_session(&peer);
    ck_assert_int_eq(fork_and_use(session), 0);
    alch_session_destroy(session);
    peer_join(&peer);
}
END_TEST

START_TEST(parent_can_use_the_session_after_a_child_destroyed_its_copy)
{
    alch_session_t *session;
    char *text;
    peer_t peer;

    peer_start(&peer, answer_string, NULL);
    session = peer_session(&peer);
    fork_and_use(session);
    unit_code(alch_session_test_string(session, "still there", &text, &err), ALCH_OK);
    ck_assert_str_eq(text, "still there");
    free(text);
    alch_session_destroy(session);
    peer_join(&peer);
}
END_TEST

/* ---- waiting for workers ---- */

/* Answers the first *context requests for workers after their wait time with a group that is not ready, then with one
 * that is ready. */
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

START_TEST(request_can_be_repeated_until_the_group_is_ready)
{
    alch_session_t *session;
    int left = 2;
    peer_t peer;

    peer_start(&peer, answer_slowly, &left);
    session = peer_session(&peer);
    unit_code(alch_session_request_workers(session, 2, 0, &err), ALCH_EAGAIN);
    unit_code(alch_session_request_workers(session, 2, 50, &err), ALCH_EAGAIN);
    unit_code(alch_session_request_workers(session, 2, 50, &err), ALCH_OK);
    alch_session_destroy(session);
    peer_join(&peer);
}
END_TEST

START_TEST(impossible_worker_counts_and_ids_are_refused)
{
    alch_session_t *session;
    int left = 0;
    peer_t peer;

    peer_start(&peer, answer_slowly, &left);
    session = peer_session(&peer);
    unit_code(alch_session_request_workers(session, 0, 0, &err), ALCH_EINVAL);
    unit_code(alch_session_yield_workers(session, (int[]){0}, 1, &err), ALCH_ENOENT);
    alch_session_destroy(session);
    peer_join(&peer);
}
END_TEST

/* The driver would refuse the request. */
START_TEST(yielding_no_workers_sends_no_request)
{
    alch_session_t *session;
    int left = 0;
    peer_t peer;

    peer_start(&peer, answer_slowly, &left);
    session = peer_session(&peer);
    unit_code(alch_session_yield_workers(session, (int[]){1}, 0, &err), ALCH_OK);
    alch_session_destroy(session);
    peer_join(&peer);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("session");

    tcase_add_test(tcase, options_out_of_range_are_refused);
    tcase_add_test(tcase, options_without_a_size_are_refused);
    tcase_add_test(tcase, malformed_address_and_token_are_refused);
    tcase_add_test(tcase, open_and_attach_check_their_arguments);
    tcase_add_test(tcase, null_handles_are_refused);
    tcase_add_test(tcase, null_can_be_destroyed);
    tcase_add_test(tcase, driver_that_does_not_answer_times_out);
    tcase_add_test(tcase, closed_port_is_named);
    tcase_add_test(tcase, no_connection_file_is_a_failure_to_connect);
    tcase_add_test(tcase, missing_connection_file_is_named);
    tcase_add_test(tcase, open_authenticates_with_the_token);
    tcase_add_test(tcase, open_derives_the_session_key_as_the_driver_does);
    tcase_add_test(tcase, attach_authenticates_with_the_session_key);
    tcase_add_test(tcase, open_with_a_wrong_token_is_refused);
    tcase_add_test(tcase, attach_with_a_wrong_key_is_refused);
    tcase_add_test(tcase, closed_session_refuses_requests);
    tcase_add_test(tcase, forked_child_cannot_use_the_session);
    tcase_add_test(tcase, parent_can_use_the_session_after_a_child_destroyed_its_copy);
    tcase_add_test(tcase, request_can_be_repeated_until_the_group_is_ready);
    tcase_add_test(tcase, impossible_worker_counts_and_ids_are_refused);
    tcase_add_test(tcase, yielding_no_workers_sends_no_request);
    suite_add_tcase(suite, tcase);
}
