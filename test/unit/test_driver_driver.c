/* The driver: which peers it admits, which messages it accepts, and how sessions and the driver itself end. */
#include "driver_fake.h"

/* ---- keys ---- */

START_TEST(client_proves_the_token)
{
    fake_driver_t *fake = create_fake_driver();
    alchi_claim_t claim = {ALCHI_ROLE_CLIENT, 0, 0, -1};
    uint8_t key[ALCHI_KEY_SIZE];
    alch_error_t error;

    unit_code(alchi_drv_find_key(fake->driver, &claim, key, &error), ALCH_OK);
    ck_assert_mem_eq(key, fake->token, ALCHI_KEY_SIZE);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(executor_proves_the_key_of_its_session)
{
    fake_driver_t *fake = create_fake_driver();
    alchi_drv_session_t *session = fake->client.link.session;
    alchi_claim_t claim = {ALCHI_ROLE_EXECUTOR, session->id, 0, -1};
    uint8_t key[ALCHI_KEY_SIZE];
    alch_error_t error;

    unit_code(alchi_drv_find_key(fake->driver, &claim, key, &error), ALCH_OK);
    ck_assert_mem_eq(key, session->key, ALCHI_KEY_SIZE);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(unexpected_peers_have_no_key)
{
    static const struct {
        alchi_claim_t claim;
        int code;
    } cases[] = {
        {{ALCHI_ROLE_EXECUTOR, 99, 0, -1}, ALCH_ENOENT}, /* there is no such session */
        {{ALCHI_ROLE_RANK, 1, 1, 0}, ALCH_ENOENT},       /* no group is starting */
        {{ALCHI_ROLE_DATA, 1, 1, 0}, ALCH_EAUTH},        /* data connections go to ranks */
    };
    fake_driver_t *fake = create_fake_driver();
    uint8_t key[ALCHI_KEY_SIZE];
    alch_error_t error;

    for (size_t i = 0; i < ALCHI_COUNT(cases); i++)
        unit_code(alchi_drv_find_key(fake->driver, &cases[i].claim, key, &error), cases[i].code);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- connections ---- */

START_TEST(client_above_the_limit_is_refused)
{
    fake_driver_t *fake = create_fake_driver();
    alch_error_t error;

    unit_code(connect_peer(fake, &fake->extra, (alchi_claim_t){ALCHI_ROLE_CLIENT, 0, 0, -1}, &error), ALCH_ELIMIT);
    ck_assert_ptr_nonnull(strstr(error.text, "--connections"));
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(closed_connection_makes_room_for_another_client)
{
    fake_driver_t *fake = create_fake_driver();
    alch_error_t error;

    unit_code(connect_peer(fake, &fake->extra, (alchi_claim_t){ALCHI_ROLE_CLIENT, 0, 0, -1}, &error), ALCH_ELIMIT);
    disconnect(&fake->other);
    connect_client(fake, &fake->extra);
    disconnect(&fake->extra);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- messages ---- */

START_TEST(messages_against_the_protocol_are_refused)
{
    static const alchi_frame_t frames[] = {
        {.type = ALCHI_RANK_EXIT, .id = 1},                        /* only agents send it */
        {.type = ALCHI_PING, .id = 0},                             /* a request has an id */
        {.type = ALCHI_PING, .id = 1, .flags = ALCHI_FRAME_REPLY}, /* the driver sends no requests to clients */
    };
    fake_driver_t *fake = create_fake_driver();
    alch_error_t error;

    for (size_t i = 0; i < ALCHI_COUNT(frames); i++)
        unit_code(alchi_drv_on_message(fake->driver, &fake->client.link, &frames[i], NULL, &error), ALCH_EPROTO);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(ping_is_answered)
{
    fake_driver_t *fake = create_fake_driver();

    send_message(&fake->client, ALCHI_PING, 1, NULL);
    ck_assert_uint_eq(expect_sent(&fake->client, ALCHI_EMPTY)->id, 1);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(test_string_is_returned)
{
    fake_driver_t *fake = create_fake_driver();
    Alchw__TestString test = ALCHW__TEST_STRING__INIT;

    test.text = (char *)"Grüße";
    send_message(&fake->client, ALCHI_TEST_STRING, 2, &test);
    ck_assert_str_eq(((const Alchw__TestString *)sent_message(&fake->client, ALCHI_TEST_STRING))->text, "Grüße");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(test_string_above_the_limit_is_refused)
{
    fake_driver_t *fake = create_fake_driver();
    Alchw__TestString test = ALCHW__TEST_STRING__INIT;
    char text[65538] = "";

    memset(text, 'x', sizeof(text) - 1);
    test.text = text;
    send_message(&fake->client, ALCHI_TEST_STRING, 3, &test);
    expect_error(&fake->client, 3, ALCH_ELIMIT, "65536");
    destroy_fake_driver(fake);
}
END_TEST

/* ---- the end of a session ---- */

START_TEST(close_is_answered_when_the_workers_have_ended)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    send_message(&fake->client, ALCHI_CLOSE_SESSION, 70, NULL);
    expect_sent(&fake->ranks[0], ALCHI_WORKER_QUIT);
    expect_not_sent(&fake->client, ALCHI_EMPTY);
    report_group_ended(fake, fake->group);
    ck_assert_uint_eq(expect_sent(&fake->client, ALCHI_EMPTY)->id, 70);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(closed_session_ends_with_its_connection)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    send_message(&fake->client, ALCHI_CLOSE_SESSION, 70, NULL);
    report_group_ended(fake, fake->group);
    ck_assert_uint_eq(HASH_COUNT(fake->driver->sessions), 2);
    disconnect(&fake->client);
    ck_assert_uint_eq(HASH_COUNT(fake->driver->sessions), 1);
    destroy_fake_driver(fake);
}
END_TEST

/* Attach `extra` to the session of `client`. The client `other` leaves before, because of the limit of two clients. */
static void
attach_executor(fake_driver_t *fake)
{
    alchi_claim_t claim = {ALCHI_ROLE_EXECUTOR, fake->client.link.session->id, 0, -1};
    alch_error_t error;

    disconnect(&fake->other);
    unit_code(connect_peer(fake, &fake->extra, claim, &error), ALCH_OK);
}

/* The client leaves while a task runs that an executor has submitted. */
static void
disconnect_client_with_running_task(fake_driver_t *fake)
{
    uint64_t matrix = create_complete_matrix(fake);

    attach_executor(fake);
    submit_task(&fake->extra, 3, matrix, 10000);
    disconnect(&fake->client);
}

START_TEST(executor_cannot_request_workers)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    attach_executor(fake);
    request_workers(&fake->extra, 2, 1, 0);
    expect_error(&fake->extra, 2, ALCH_EPERM, "attached");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(executor_is_closed_when_the_client_disconnects)
{
    fake_driver_t *fake = create_fake_driver();

    disconnect_client_with_running_task(fake);
    ck_assert(fake->extra.closed);
    expect_error(&fake->extra, 0, ALCH_ECONNECT, "its client disconnected");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(group_with_a_running_task_is_killed_when_the_client_disconnects)
{
    fake_driver_t *fake = create_fake_driver();

    disconnect_client_with_running_task(fake);
    expect_group_killed(fake, fake->group);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(slots_and_connections_are_free_after_the_client_disconnected)
{
    fake_driver_t *fake = create_fake_driver();

    disconnect_client_with_running_task(fake);
    ck_assert_uint_eq(HASH_COUNT(fake->driver->sessions), 0);
    report_group_ended(fake, fake->group);
    ck_assert_int_eq(alchi_drv_slots_count(&fake->driver->slots, ALCH_WORKER_IDLE), AGENT_SLOTS);
    ck_assert_int_eq(fake->driver->clients, 0);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- stopping ---- */

START_TEST(stopping_closes_all_sessions_with_the_reason)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    alchi_drv_stop(fake->driver, "the driver is stopping (SIGTERM)");
    expect_error(&fake->client, 0, ALCH_ECONNECT, "the driver is stopping");
    ck_assert(fake->client.closed && fake->other.closed);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(driver_is_idle_when_it_was_stopped_and_the_groups_have_ended)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    ck_assert(!alchi_drv_is_idle(fake->driver));
    alchi_drv_stop(fake->driver, "the driver is stopping (SIGTERM)");
    ck_assert(!alchi_drv_is_idle(fake->driver));
    report_group_ended(fake, fake->group);
    ck_assert(alchi_drv_is_idle(fake->driver));
    destroy_fake_driver(fake);
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const tests[] = {client_proves_the_token,
                                  executor_proves_the_key_of_its_session,
                                  unexpected_peers_have_no_key,
                                  client_above_the_limit_is_refused,
                                  closed_connection_makes_room_for_another_client,
                                  messages_against_the_protocol_are_refused,
                                  ping_is_answered,
                                  test_string_is_returned,
                                  test_string_above_the_limit_is_refused,
                                  close_is_answered_when_the_workers_have_ended,
                                  closed_session_ends_with_its_connection,
                                  executor_cannot_request_workers,
                                  executor_is_closed_when_the_client_disconnects,
                                  group_with_a_running_task_is_killed_when_the_client_disconnects,
                                  slots_and_connections_are_free_after_the_client_disconnected,
                                  stopping_closes_all_sessions_with_the_reason,
                                  driver_is_idle_when_it_was_stopped_and_the_groups_have_ended};

    add_tests(suite, "driver", tests, ALCHI_COUNT(tests));
}
