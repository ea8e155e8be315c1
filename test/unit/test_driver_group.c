/* The driver: worker groups of sessions. How they start, are lost, resized and given back; lists of workers; agents. */
#include "driver_fake.h"

/* ---- starting ---- */

START_TEST(request_for_no_workers_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    request_workers(&fake->client, 2, 0, 10);
    expect_error(&fake->client, 2, ALCH_EINVAL, "at least 1");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(request_for_more_workers_than_slots_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    request_workers(&fake->client, 3, 5, 10);
    expect_error(&fake->client, 3, ALCH_ENOSLOTS, "5 workers were requested, 4 of 4 slots are free (--workers)");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(slots_of_another_session_are_not_free)
{
    fake_driver_t *fake = create_fake_driver();

    request_workers(&fake->client, 4, 3, 0);
    request_workers(&fake->other, 5, 2, 10);
    expect_error(&fake->other, 5, ALCH_ENOSLOTS, "2 workers were requested, 1 of 4 slots is free (--workers)");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(request_without_a_wait_describes_the_starting_group)
{
    fake_driver_t *fake = create_fake_driver();

    request_workers(&fake->client, 4, 3, 0);
    ck_assert(!sent_group(&fake->client)->ready);
    ck_assert_uint_eq(sent_group(&fake->client)->n_workers, 3);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(spawn_describes_the_group)
{
    fake_driver_t *fake = create_fake_driver();
    const Alchw__Spawn *spawn;

    request_workers(&fake->client, 4, 3, 0);
    spawn = sent_spawn(fake);
    ck_assert_uint_eq(spawn->size, 3);
    ck_assert_str_eq(spawn->process_mapping, "(vector,(0,1,3))");
    ck_assert_str_eq(spawn->environment[0], "UCX_TLS=self,sm");
    ck_assert_uint_eq(spawn->ranks[2]->config->control_key.len, ALCHI_KEY_SIZE);
    /* 90 % of the agent's 4000 bytes, for each of 4 slots. */
    ck_assert_int_eq(spawn->ranks[2]->config->memory_limit, 900);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(request_waits_until_all_ranks_are_ready)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t group;

    request_workers(&fake->client, 4, 3, 0);
    group = sent_spawn(fake)->group;
    forget_sent(&fake->client);
    request_workers(&fake->client, 6, 3, 1000);
    join_ranks(fake, fake->ranks, group, 2);
    expect_not_sent(&fake->client, ALCHI_GROUP);
    ck_assert_int_eq(fake->client.link.request_count, 1);
    join_rank(fake, &fake->ranks[2], group, 2);
    ck_assert(sent_group(&fake->client)->ready);
    ck_assert_int_eq(fake->client.link.request_count, 0);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(ready_group_describes_its_workers)
{
    fake_driver_t *fake = create_fake_driver();
    const Alchw__Group *group;

    start_ready_group(fake, 3);
    group = sent_group(&fake->client);
    ck_assert_uint_eq(group->workers[1]->port, 5002);
    ck_assert_uint_eq(group->workers[1]->state, ALCH_WORKER_ACTIVE);
    ck_assert_str_eq(group->workers[1]->address, "");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(wait_that_runs_out_describes_the_starting_group)
{
    fake_driver_t *fake = create_fake_driver();

    request_workers(&fake->client, 2, 1, 50);
    expect_not_sent(&fake->client, ALCHI_GROUP);
    run_timers(fake, 60);
    ck_assert(!sent_group(&fake->client)->ready);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- a start that fails ---- */

/* Request workers without a wait. A rank dies before the group is ready. @return the id of the group */
static uint64_t
fail_start(fake_driver_t *fake)
{
    uint64_t group;

    request_workers(&fake->client, 2, 2, 0);
    group = sent_spawn(fake)->group;
    report_rank_killed(fake, group, 1);
    return group;
}

START_TEST(group_is_killed_when_a_rank_dies_during_the_start)
{
    fake_driver_t *fake = create_fake_driver();

    expect_group_killed(fake, fail_start(fake));
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(failed_start_is_reported_to_one_request)
{
    fake_driver_t *fake = create_fake_driver();

    fail_start(fake);
    request_workers(&fake->client, 3, 2, 0);
    expect_error(&fake->client, 3, ALCH_EGROUP, "did not start: worker 2 (rank 1) was killed by signal 9");
    forget_sent(&fake->client);
    request_workers(&fake->client, 4, 4, 1000);
    expect_not_sent(&fake->client, ALCHI_ERROR);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(next_group_waits_for_the_slots_of_a_failed_one)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t group = fail_start(fake);

    request_workers(&fake->client, 3, 2, 0);
    forget_sent(&fake->agent);
    request_workers(&fake->client, 4, 4, 1000);
    expect_not_sent(&fake->agent, ALCHI_SPAWN);
    ck_assert_int_eq(fake->client.link.request_count, 1);
    report_group_ended(fake, group);
    ck_assert_uint_eq(sent_spawn(fake)->size, 4);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- a group that is lost ---- */

/* A rank dies while a task runs. @return the id of the matrix that the task reads */
static uint64_t
lose_group_with_running_task(fake_driver_t *fake)
{
    uint64_t matrix = create_unchecked_matrix(fake);

    submit_task(&fake->client, 40, matrix, 1000);
    confirm_on_all(fake, ALCHI_WORKER_CHECK);
    report_rank_killed(fake, fake->group, 1);
    return matrix;
}

START_TEST(task_of_a_lost_group_fails_with_the_reason)
{
    fake_driver_t *fake = create_fake_driver();
    const Alchw__Task *task;

    lose_group_with_running_task(fake);
    task = sent_task(&fake->client);
    ck_assert_int_eq(task->error->code, ALCH_EGROUP);
    ck_assert_ptr_nonnull(strstr(task->error->text, "worker 2 (rank 1) was killed by signal 9 (Killed)"));
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(requests_to_a_lost_group_fail_with_the_reason)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = lose_group_with_running_task(fake);

    get_matrix(&fake->client, 41, matrix);
    expect_error(&fake->client, 41, ALCH_EGROUP, "was killed by signal 9");
    submit_task(&fake->client, 42, matrix, 0);
    expect_error(&fake->client, 42, ALCH_EGROUP, "was killed by signal 9");
    get_group(&fake->client, 43);
    expect_error(&fake->client, 43, ALCH_EGROUP, "was killed by signal 9");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(lost_matrix_can_be_freed)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = lose_group_with_running_task(fake);

    free_matrix(&fake->client, 44, matrix);
    ck_assert_uint_eq(expect_sent(&fake->client, ALCHI_EMPTY)->id, 44);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(loss_of_a_group_does_not_disturb_another_session)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    request_workers(&fake->other, 5, 1, 1000);
    report_rank_killed(fake, fake->group, 1);
    expect_not_sent(&fake->other, ALCHI_ERROR);
    ck_assert_int_eq(fake->other.link.request_count, 1);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(new_group_after_a_loss_loads_the_libraries_again)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t group;

    lose_group_with_running_task(fake);
    report_group_ended(fake, fake->group);
    forget_sent_to_ranks(fake);
    forget_sent(&fake->agent);
    forget_sent(&fake->client);
    request_workers(&fake->client, 50, 2, 1000);
    group = sent_spawn(fake)->group;
    join_ranks(fake, fake->ranks, group, 2);
    ck_assert(sent_group(&fake->client)->ready);
    expect_sent(&fake->ranks[0], ALCHI_WORKER_LOAD);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- resizing, and giving workers back ---- */

static const uint32_t first_slot[] = {1};

START_TEST(resize_that_would_lose_a_matrix_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 3);
    create_matrix(fake, 5, 6);
    request_workers(&fake->client, 11, 2, 10);
    expect_error(&fake->client, 11, ALCH_EBUSY, "matrix 1 (5 x 6, float64)");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(yield_of_a_worker_that_is_not_assigned_is_refused)
{
    static const uint32_t slots[] = {1, 9};
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 3);
    yield_workers(&fake->client, 12, slots, 2);
    expect_error(&fake->client, 12, ALCH_ENOENT, "worker 9 is not assigned");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(yield_of_some_workers_that_would_lose_a_matrix_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 3);
    create_matrix(fake, 5, 6);
    yield_workers(&fake->client, 13, first_slot, 1);
    expect_error(&fake->client, 13, ALCH_EBUSY, "matrix 1");
    destroy_fake_driver(fake);
}
END_TEST

/* Give slot 1 of a group of three back, after its only matrix was freed. */
static void
yield_first_slot(fake_driver_t *fake)
{
    uint64_t matrix;

    start_ready_group(fake, 3);
    matrix = create_matrix(fake, 5, 6);
    free_matrix(&fake->client, 14, matrix);
    confirm_on_all(fake, ALCHI_WORKER_FREE);
    forget_sent(&fake->agent);
    yield_workers(&fake->client, 15, first_slot, 1);
}

START_TEST(yield_of_some_workers_ends_the_group_before_it_starts_another)
{
    fake_driver_t *fake = create_fake_driver();

    yield_first_slot(fake);
    expect_sent(&fake->ranks[0], ALCHI_WORKER_QUIT);
    expect_not_sent(&fake->agent, ALCHI_SPAWN);
    report_group_ended(fake, fake->group);
    expect_sent(&fake->agent, ALCHI_SPAWN);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(yield_of_some_workers_keeps_the_other_slots)
{
    fake_driver_t *fake = create_fake_driver();

    yield_first_slot(fake);
    report_group_ended(fake, fake->group);
    ck_assert_uint_eq(sent_spawn(fake)->ranks[0]->local_slot, 1); /* which is slot 2 */
    forget_sent_to_ranks(fake);
    join_ranks(fake, fake->ranks, sent_spawn(fake)->group, 2);
    ck_assert_uint_eq(sent_workers(&fake->client)->n_workers, 2);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(yield_of_all_workers_is_answered_when_they_have_ended)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 3);
    forget_sent(&fake->client);
    yield_workers(&fake->client, 16, NULL, 0);
    expect_not_sent(&fake->client, ALCHI_WORKER_LIST);
    expect_not_sent(&fake->client, ALCHI_ERROR);
    report_group_ended(fake, fake->group);
    ck_assert_uint_eq(sent_workers(&fake->client)->n_workers, 0);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(yielded_slots_are_idle)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 3);
    yield_workers(&fake->client, 16, NULL, 0);
    report_group_ended(fake, fake->group);
    ck_assert_int_eq(alchi_drv_slots_count(&fake->driver->slots, ALCH_WORKER_IDLE), AGENT_SLOTS);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(task_after_a_yield_of_all_workers_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 3);
    yield_workers(&fake->client, 16, NULL, 0);
    report_group_ended(fake, fake->group);
    submit_task(&fake->client, 17, 1, 0);
    expect_error(&fake->client, 17, ALCH_ESTATE, "has no workers");
    destroy_fake_driver(fake);
}
END_TEST

/* ---- lists of workers ---- */

/* @return the list that the driver sends, which the link owns */
static const Alchw__WorkerList *
list_workers(fake_link_t *client, uint32_t filter)
{
    Alchw__ListWorkers list = ALCHW__LIST_WORKERS__INIT;

    list.filter = filter;
    send_message(client, ALCHI_LIST_WORKERS, 4, &list);
    return sent_workers(client);
}

START_TEST(list_of_all_workers_hides_the_ranks_of_another_session)
{
    fake_driver_t *fake = create_fake_driver();
    const Alchw__WorkerList *list;

    start_ready_group(fake, 3);
    list = list_workers(&fake->other, ALCH_WORKERS_ALL);
    ck_assert_uint_eq(list->n_workers, 4);
    ck_assert_int_eq(list->workers[0]->rank, -1);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(list_of_inactive_workers_has_the_idle_slots)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 3);
    ck_assert_uint_eq(list_workers(&fake->other, ALCH_WORKERS_INACTIVE)->n_workers, 1);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(list_of_assigned_workers_has_those_of_the_session)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 3);
    ck_assert_uint_eq(list_workers(&fake->client, ALCH_WORKERS_ASSIGNED)->n_workers, 3);
    ck_assert_uint_eq(list_workers(&fake->other, ALCH_WORKERS_ASSIGNED)->n_workers, 0);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(list_that_does_not_exist_is_refused)
{
    fake_driver_t *fake = create_fake_driver();
    Alchw__ListWorkers list = ALCHW__LIST_WORKERS__INIT;

    list.filter = 9;
    send_message(&fake->client, ALCHI_LIST_WORKERS, 8, &list);
    expect_error(&fake->client, 8, ALCH_EINVAL, "list of workers 9");
    destroy_fake_driver(fake);
}
END_TEST

/* ---- agents ---- */

START_TEST(slots_of_a_lost_agent_are_removed)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    disconnect(&fake->agent);
    ck_assert_int_eq(alchi_drv_slots_total(&fake->driver->slots), 0);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(group_is_lost_with_its_agent)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    disconnect(&fake->agent);
    get_group(&fake->client, 60);
    expect_error(&fake->client, 60, ALCH_EGROUP, "the connection to the agent on here ended");
    ck_assert_ptr_null(fake->driver->groups);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(agent_that_connects_again_brings_its_slots)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    disconnect(&fake->agent);
    connect_agent(fake);
    ck_assert_int_eq(alchi_drv_slots_total(&fake->driver->slots), AGENT_SLOTS);
    destroy_fake_driver(fake);
}
END_TEST

/* The agent's ranks enter a PMI barrier, after they have put this pair. @param key  NULL: none */
static const Alchw__PmiBarrierOut *
enter_barrier(fake_driver_t *fake, const char *key, const char *value)
{
    Alchw__PmiBarrier barrier = ALCHW__PMI_BARRIER__INIT;
    Alchw__PmiPair pair = ALCHW__PMI_PAIR__INIT, *list = &pair;

    barrier.group = sent_spawn(fake)->group;
    pair.key = (char *)key;
    pair.value = (char *)value;
    barrier.n_pairs = key != NULL;
    barrier.pairs = &list;
    send_message(&fake->agent, ALCHI_PMI_BARRIER, 0, &barrier);
    return sent_message(&fake->agent, ALCHI_PMI_BARRIER_OUT);
}

START_TEST(pmi_barrier_returns_the_pairs_that_ranks_put)
{
    fake_driver_t *fake = create_fake_driver();
    const Alchw__PmiBarrierOut *out;

    request_workers(&fake->client, 2, 2, 0);
    out = enter_barrier(fake, "P0", "address");
    ck_assert_uint_eq(out->n_pairs, 1);
    ck_assert_str_eq(out->pairs[0]->value, "address");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(pmi_pairs_are_returned_by_one_barrier_only)
{
    fake_driver_t *fake = create_fake_driver();

    request_workers(&fake->client, 2, 2, 0);
    enter_barrier(fake, "P0", "address");
    ck_assert_uint_eq(enter_barrier(fake, NULL, NULL)->n_pairs, 0);
    destroy_fake_driver(fake);
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const starts[] = {request_for_no_workers_is_refused,
                                   request_for_more_workers_than_slots_is_refused,
                                   slots_of_another_session_are_not_free,
                                   request_without_a_wait_describes_the_starting_group,
                                   spawn_describes_the_group,
                                   request_waits_until_all_ranks_are_ready,
                                   ready_group_describes_its_workers,
                                   wait_that_runs_out_describes_the_starting_group,
                                   group_is_killed_when_a_rank_dies_during_the_start,
                                   failed_start_is_reported_to_one_request,
                                   next_group_waits_for_the_slots_of_a_failed_one};
    const TTest *const losses[] = {task_of_a_lost_group_fails_with_the_reason,
                                   requests_to_a_lost_group_fail_with_the_reason,
                                   lost_matrix_can_be_freed,
                                   loss_of_a_group_does_not_disturb_another_session,
                                   new_group_after_a_loss_loads_the_libraries_again,
                                   slots_of_a_lost_agent_are_removed,
                                   group_is_lost_with_its_agent,
                                   agent_that_connects_again_brings_its_slots};
    const TTest *const changes[] = {resize_that_would_lose_a_matrix_is_refused,
                                    yield_of_a_worker_that_is_not_assigned_is_refused,
                                    yield_of_some_workers_that_would_lose_a_matrix_is_refused,
                                    yield_of_some_workers_ends_the_group_before_it_starts_another,
                                    yield_of_some_workers_keeps_the_other_slots,
                                    yield_of_all_workers_is_answered_when_they_have_ended,
                                    yielded_slots_are_idle,
                                    task_after_a_yield_of_all_workers_is_refused};
    const TTest *const reports[] = {
        list_of_all_workers_hides_the_ranks_of_another_session, list_of_inactive_workers_has_the_idle_slots,
        list_of_assigned_workers_has_those_of_the_session,      list_that_does_not_exist_is_refused,
        pmi_barrier_returns_the_pairs_that_ranks_put,           pmi_pairs_are_returned_by_one_barrier_only};

    add_tests(suite, "start", starts, ALCHI_COUNT(starts));
    add_tests(suite, "loss", losses, ALCHI_COUNT(losses));
    add_tests(suite, "change", changes, ALCHI_COUNT(changes));
    add_tests(suite, "report", reports, ALCHI_COUNT(reports));
}
