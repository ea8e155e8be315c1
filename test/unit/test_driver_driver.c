/* The driver as a whole: sessions, workers, agents. */
#include "driver_fake.h"
#include <math.h>

START_TEST(keys_by_role)
{
    alchi_claim_t claim = {ALCHI_ROLE_CLIENT, 0, 0, -1};
    uint8_t key[ALCHI_KEY_SIZE];
    alch_error_t error;

    unit_code(alchi_drv_find_key(driver, &claim, key, &error), ALCH_OK);
    ck_assert_mem_eq(key, token, ALCHI_KEY_SIZE);
    claim = (alchi_claim_t){ALCHI_ROLE_EXECUTOR, client.link.session->id, 0, -1};
    unit_code(alchi_drv_find_key(driver, &claim, key, &error), ALCH_OK);
    ck_assert_mem_eq(key, client.link.session->key, ALCHI_KEY_SIZE);
    claim.session = 99;
    unit_code(alchi_drv_find_key(driver, &claim, key, &error), ALCH_ENOENT);
    claim = (alchi_claim_t){ALCHI_ROLE_RANK, 1, 1, 0};
    unit_code(alchi_drv_find_key(driver, &claim, key, &error), ALCH_ENOENT);
    claim.role = ALCHI_ROLE_DATA;
    unit_code(alchi_drv_find_key(driver, &claim, key, &error), ALCH_EAUTH);
}
END_TEST

START_TEST(too_many_connections)
{
    alchi_responder_t responder = {.claim = {.role = ALCHI_ROLE_CLIENT}};
    fake_t third = {.link = {.ops = &fake_ops}};
    alch_error_t error;

    unit_code(alchi_drv_admit(driver, &third.link, &responder, 1, &error), ALCH_ELIMIT);
    ck_assert_ptr_nonnull(strstr(error.text, "--connections"));
    fake_clear(&third);
    alchi_drv_on_closed(driver, &other.link);
    unit_code(alchi_drv_admit(driver, &third.link, &responder, 1, &error), ALCH_OK);
    alchi_drv_on_closed(driver, &third.link);
    fake_clear(&third);
}
END_TEST

START_TEST(foreign_messages_break_the_connection)
{
    alchi_frame_t frame = {.type = ALCHI_RANK_EXIT, .id = 1};
    alch_error_t error;

    unit_code(alchi_drv_on_message(driver, &client.link, &frame, NULL, &error), ALCH_EPROTO);
    frame = (alchi_frame_t){.type = ALCHI_PING, .id = 0};
    unit_code(alchi_drv_on_message(driver, &client.link, &frame, NULL, &error), ALCH_EPROTO);
    frame = (alchi_frame_t){.type = ALCHI_PING, .id = 1, .flags = ALCHI_FRAME_REPLY};
    unit_code(alchi_drv_on_message(driver, &client.link, &frame, NULL, &error), ALCH_EPROTO);
    frame.flags = 0;
    unit_code(alchi_drv_on_message(driver, &client.link, &frame, NULL, &error), ALCH_OK);
    ck_assert_ptr_nonnull(fake_last(&client, ALCHI_EMPTY));
}
END_TEST

START_TEST(workers_start)
{
    const Alchw__Spawn *spawn;
    const Alchw__Group *group;

    request_workers(&client, 2, 0, 10);
    expect_failure(&client, 2, ALCH_EINVAL, "at least 1");
    request_workers(&client, 3, 5, 10);
    expect_failure(&client, 3, ALCH_ENOSLOTS, "5 workers were requested, 4 of 4 slots are free (--workers)");
    request_workers(&client, 4, 3, 0);
    group = fake_message(&client, ALCHI_GROUP);
    ck_assert(!group->ready);
    ck_assert_uint_eq(group->n_workers, 3);
    spawn = fake_message(&agent, ALCHI_SPAWN);
    ck_assert_uint_eq(spawn->size, 3);
    ck_assert_str_eq(spawn->process_mapping, "(vector,(0,1,3))");
    ck_assert_str_eq(spawn->environment[0], "UCX_TLS=self,sm");
    ck_assert_uint_eq(spawn->ranks[2]->config->control_key.len, ALCHI_KEY_SIZE);
    ck_assert_int_eq(spawn->ranks[2]->config->memory_limit, 900);
    request_workers(&other, 5, 2, 10);
    expect_failure(&other, 5, ALCH_ENOSLOTS, "2 workers were requested, 1 of 4 slots is free (--workers)");
    request_workers(&client, 6, 3, 1000);
    ck_assert_int_eq(client.link.request_count, 1);
    for (int i = 0; i < 3; i++)
        join_rank(i, client.link.session->id, spawn->group);
    ck_assert_int_eq(client.link.request_count, 0);
    group = fake_message(&client, ALCHI_GROUP);
    ck_assert(group->ready);
    ck_assert_uint_eq(group->workers[1]->port, 5002);
    ck_assert_uint_eq(group->workers[1]->state, ALCH_WORKER_ACTIVE);
    ck_assert_str_eq(group->workers[1]->address, "");
}
END_TEST

START_TEST(start_failure_is_told_once)
{
    uint64_t group;

    request_workers(&client, 2, 2, 0);
    group = ((const Alchw__Spawn *)fake_message(&agent, ALCHI_SPAWN))->group;
    rank_killed(group, 1);
    ck_assert_ptr_nonnull(fake_last(&agent, ALCHI_KILL_GROUP));
    request_workers(&client, 3, 2, 0);
    expect_failure(&client, 3, ALCH_EGROUP, "did not start: worker 2 (rank 1) was killed by signal 9");
    /* Its slots are not idle yet: the next group waits for them. */
    request_workers(&client, 4, 4, 1000);
    ck_assert_int_eq(client.link.request_count, 1);
    fake_clear(&agent);
    group_ended(group);
    ck_assert_uint_eq(((const Alchw__Spawn *)fake_message(&agent, ALCHI_SPAWN))->size, 4);
}
END_TEST

START_TEST(wait_runs_out)
{
    request_workers(&client, 2, 1, 50);
    ck_assert_ptr_null(fake_last(&client, ALCHI_GROUP));
    alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(60));
    ck_assert(!((const Alchw__Group *)fake_message(&client, ALCHI_GROUP))->ready);
}
END_TEST

START_TEST(a_dead_rank_ends_its_group_only)
{
    uint64_t group = start_group(&client, 2), matrix = create_matrix(&client, 4, 4);
    Alchw__MatrixId ask = ALCHW__MATRIX_ID__INIT;

    request_workers(&other, 5, 1, 1000);
    load_library(&client);
    submit(&client, 40, matrix, 1000);
    answer_all(ALCHI_WORKER_CHECK, ALCHI_EMPTY, NULL);
    rank_killed(group, 1);
    ck_assert_int_eq(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->error->code, ALCH_EGROUP);
    ck_assert_ptr_nonnull(strstr(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->error->text,
                                 "worker 2 (rank 1) was killed by signal 9 (Killed)"));
    ck_assert_int_eq(other.link.request_count, 1);
    ask.id = matrix;
    fake_say(driver, &client, ALCHI_GET_MATRIX, 0, 41, &ask);
    expect_failure(&client, 41, ALCH_EGROUP, "was killed by signal 9");
    submit(&client, 42, matrix, 0);
    expect_failure(&client, 42, ALCH_EGROUP, "was killed by signal 9");
    fake_say(driver, &client, ALCHI_GET_GROUP, 0, 43, NULL);
    expect_failure(&client, 43, ALCH_EGROUP, "was killed by signal 9");
    fake_say(driver, &client, ALCHI_FREE_MATRIX, 0, 44, &ask);
    ck_assert_ptr_nonnull(fake_last(&client, ALCHI_EMPTY));
    group_ended(group);
    /* New workers for the same session; its library comes back by itself. */
    fake_clear(&agent);
    fake_clear(&client);
    start_group(&client, 2);
}
END_TEST

START_TEST(resize_and_yield)
{
    uint64_t group = start_group(&client, 3), matrix;
    Alchw__YieldWorkers yield = ALCHW__YIELD_WORKERS__INIT;
    Alchw__MatrixId ask = ALCHW__MATRIX_ID__INIT;
    uint32_t slots[] = {1, 9};

    matrix = create_matrix(&client, 5, 6);
    request_workers(&client, 11, 2, 10);
    expect_failure(&client, 11, ALCH_EBUSY, "matrix 1 (5 x 6, float64)");
    yield.n_slots = 2;
    yield.slots = slots;
    fake_say(driver, &client, ALCHI_YIELD_WORKERS, 0, 12, &yield);
    expect_failure(&client, 12, ALCH_ENOENT, "worker 9 is not assigned");
    yield.n_slots = 1;
    fake_say(driver, &client, ALCHI_YIELD_WORKERS, 0, 13, &yield);
    expect_failure(&client, 13, ALCH_EBUSY, "matrix 1");
    ask.id = matrix;
    fake_say(driver, &client, ALCHI_FREE_MATRIX, 0, 14, &ask);
    answer_all(ALCHI_WORKER_FREE, ALCHI_EMPTY, NULL);
    fake_clear(&agent);
    fake_say(driver, &client, ALCHI_YIELD_WORKERS, 0, 15, &yield);
    ck_assert_ptr_nonnull(fake_last(&rank[0], ALCHI_WORKER_QUIT));
    ck_assert_ptr_null(fake_last(&agent, ALCHI_SPAWN));
    group_ended(group);
    /* Slots 2 and 3 stay, as asked. */
    ck_assert_uint_eq(((const Alchw__Spawn *)fake_message(&agent, ALCHI_SPAWN))->ranks[0]->local_slot, 1);
    group = ((const Alchw__Spawn *)fake_message(&agent, ALCHI_SPAWN))->group;
    join_rank(0, client.link.session->id, group);
    join_rank(1, client.link.session->id, group);
    ck_assert_uint_eq(((const Alchw__WorkerList *)fake_message(&client, ALCHI_WORKER_LIST))->n_workers, 2);
    fake_clear(&client);
    yield.n_slots = 0;
    fake_say(driver, &client, ALCHI_YIELD_WORKERS, 0, 16, &yield);
    ck_assert_int_eq(client.count, 0);
    group_ended(group);
    ck_assert_uint_eq(((const Alchw__WorkerList *)fake_message(&client, ALCHI_WORKER_LIST))->n_workers, 0);
    ck_assert_int_eq(alchi_drv_slots_count(&driver->slots, ALCH_WORKER_IDLE), 4);
    submit(&client, 17, 1, 0);
    expect_failure(&client, 17, ALCH_ESTATE, "has no workers");
}
END_TEST

START_TEST(a_client_that_leaves_frees_all)
{
    uint64_t matrix = ready_matrix();
    alchi_responder_t responder = {.claim = {ALCHI_ROLE_EXECUTOR, client.link.session->id, 0, -1}};
    fake_t executor = {.link = {.ops = &fake_ops}};
    alch_error_t error;
    uint64_t group = client.link.session->group->id;

    alchi_drv_on_closed(driver, &other.link);
    unit_code(alchi_drv_admit(driver, &executor.link, &responder, 1, &error), ALCH_OK);
    request_workers(&executor, 2, 1, 0);
    expect_failure(&executor, 2, ALCH_EPERM, "attached");
    submit(&executor, 3, matrix, 10000);
    alchi_drv_on_closed(driver, &client.link);
    ck_assert(executor.closed);
    expect_failure(&executor, 0, ALCH_ECONNECT, "its client disconnected");
    ck_assert_ptr_nonnull(fake_last(&agent, ALCHI_KILL_GROUP));
    ck_assert_uint_eq(HASH_COUNT(driver->sessions), 0);
    group_ended(group);
    ck_assert_int_eq(alchi_drv_slots_count(&driver->slots, ALCH_WORKER_IDLE), 4);
    ck_assert_int_eq(driver->clients, 0);
    fake_clear(&executor);
}
END_TEST

START_TEST(close_waits_for_the_workers)
{
    uint64_t group = start_group(&client, 2);

    fake_say(driver, &client, ALCHI_CLOSE_SESSION, 0, 70, NULL);
    ck_assert_ptr_nonnull(fake_last(&rank[0], ALCHI_WORKER_QUIT));
    ck_assert_ptr_null(fake_last(&client, ALCHI_EMPTY));
    group_ended(group);
    ck_assert_uint_eq(fake_last(&client, ALCHI_EMPTY)->id, 70);
    alchi_drv_on_closed(driver, &client.link);
    ck_assert_uint_eq(HASH_COUNT(driver->sessions), 1);
}
END_TEST

START_TEST(pmi_pairs_come_back)
{
    Alchw__PmiBarrier barrier = ALCHW__PMI_BARRIER__INIT;
    Alchw__PmiPair pair = ALCHW__PMI_PAIR__INIT, *list = &pair;
    const Alchw__PmiBarrierOut *out;

    request_workers(&client, 2, 2, 0);
    barrier.group = ((const Alchw__Spawn *)fake_message(&agent, ALCHI_SPAWN))->group;
    pair.key = (char *)"P0";
    pair.value = (char *)"address";
    barrier.n_pairs = 1;
    barrier.pairs = &list;
    fake_say(driver, &agent, ALCHI_PMI_BARRIER, 0, 0, &barrier);
    out = fake_message(&agent, ALCHI_PMI_BARRIER_OUT);
    ck_assert_uint_eq(out->n_pairs, 1);
    ck_assert_str_eq(out->pairs[0]->value, "address");
    barrier.n_pairs = 0;
    fake_say(driver, &agent, ALCHI_PMI_BARRIER, 0, 0, &barrier);
    ck_assert_uint_eq(((const Alchw__PmiBarrierOut *)fake_message(&agent, ALCHI_PMI_BARRIER_OUT))->n_pairs, 0);
}
END_TEST

START_TEST(an_agent_that_leaves_takes_its_slots)
{
    start_group(&client, 2);
    alchi_drv_on_closed(driver, &agent.link);
    ck_assert_int_eq(alchi_drv_slots_total(&driver->slots), 0);
    fake_say(driver, &client, ALCHI_GET_GROUP, 0, 60, NULL);
    expect_failure(&client, 60, ALCH_EGROUP, "the connection to the agent on here ended");
    ck_assert_ptr_null(driver->groups);
    say_hello();
    ck_assert_int_eq(alchi_drv_slots_total(&driver->slots), 4);
}
END_TEST

START_TEST(stopping_ends_sessions_and_groups)
{
    uint64_t group = start_group(&client, 2);

    ck_assert(!alchi_drv_is_idle(driver));
    alchi_drv_stop(driver, "the driver is stopping (SIGTERM)");
    expect_failure(&client, 0, ALCH_ECONNECT, "the driver is stopping");
    ck_assert(client.closed && other.closed);
    ck_assert(!alchi_drv_is_idle(driver));
    group_ended(group);
    ck_assert(alchi_drv_is_idle(driver));
}
END_TEST

START_TEST(strings_and_lists)
{
    Alchw__TestString test = ALCHW__TEST_STRING__INIT;
    Alchw__ListWorkers list = ALCHW__LIST_WORKERS__INIT;
    static char text[65538];

    test.text = (char *)"Grüße";
    fake_say(driver, &client, ALCHI_TEST_STRING, 0, 2, &test);
    ck_assert_str_eq(((const Alchw__TestString *)fake_message(&client, ALCHI_TEST_STRING))->text, "Grüße");
    memset(text, 'x', sizeof(text) - 1);
    test.text = text;
    fake_say(driver, &client, ALCHI_TEST_STRING, 0, 3, &test);
    expect_failure(&client, 3, ALCH_ELIMIT, "65536");
    start_group(&client, 3);
    list.filter = ALCH_WORKERS_ALL;
    fake_say(driver, &other, ALCHI_LIST_WORKERS, 0, 4, &list);
    ck_assert_uint_eq(((const Alchw__WorkerList *)fake_message(&other, ALCHI_WORKER_LIST))->n_workers, 4);
    ck_assert_int_eq(((const Alchw__WorkerList *)fake_message(&other, ALCHI_WORKER_LIST))->workers[0]->rank, -1);
    list.filter = ALCH_WORKERS_INACTIVE;
    fake_say(driver, &other, ALCHI_LIST_WORKERS, 0, 5, &list);
    ck_assert_uint_eq(((const Alchw__WorkerList *)fake_message(&other, ALCHI_WORKER_LIST))->n_workers, 1);
    list.filter = ALCH_WORKERS_ASSIGNED;
    fake_say(driver, &other, ALCHI_LIST_WORKERS, 0, 6, &list);
    ck_assert_uint_eq(((const Alchw__WorkerList *)fake_message(&other, ALCHI_WORKER_LIST))->n_workers, 0);
    fake_say(driver, &client, ALCHI_LIST_WORKERS, 0, 7, &list);
    ck_assert_uint_eq(((const Alchw__WorkerList *)fake_message(&client, ALCHI_WORKER_LIST))->n_workers, 3);
    list.filter = 9;
    fake_say(driver, &client, ALCHI_LIST_WORKERS, 0, 8, &list);
    expect_failure(&client, 8, ALCH_EINVAL, "list of workers 9");
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const tests[] = {keys_by_role,
                                  too_many_connections,
                                  foreign_messages_break_the_connection,
                                  workers_start,
                                  start_failure_is_told_once,
                                  wait_runs_out,
                                  a_dead_rank_ends_its_group_only,
                                  resize_and_yield,
                                  a_client_that_leaves_frees_all,
                                  close_waits_for_the_workers,
                                  pmi_pairs_come_back,
                                  an_agent_that_leaves_takes_its_slots,
                                  stopping_ends_sessions_and_groups,
                                  strings_and_lists};

    add_tests(suite, "core", tests, ALCHI_COUNT(tests));
}
