/* The driver: a session's matrices move to a second group, which replaces the first one. If the move fails, the session
 * keeps the first group and its matrices. */
#include "driver_fake.h"
#include "driver/move.h"

/* A session with a matrix of 10 x 3 on a group of two, which moves to a group of one. */
typedef struct {
    fake_driver_t *fake;
    uint64_t matrix;
    uint64_t old_group, new_group; /* ids */
} move_t;

#define MOVE_ID 40 /* of the request that starts the move */

static void
request_move(fake_driver_t *fake, uint64_t id, uint32_t count, uint32_t wait_ms)
{
    Alchw__RequestWorkers message = ALCHW__REQUEST_WORKERS__INIT;

    message.count = count;
    message.wait_ms = wait_ms;
    message.has_move = message.move = true;
    send_message(&fake->client, ALCHI_REQUEST_WORKERS, id, &message);
}

/* The group that the driver reports to the client. */
static const Alchw__Group *
reported_group(fake_driver_t *fake)
{
    forget_sent(&fake->client);
    get_group(&fake->client, 70);
    return sent_group(&fake->client);
}

/* ---- the steps of a move ---- */

/* The driver and the session. The move is not requested yet. The test destroys move.fake. */
static move_t
create_session_to_move(void)
{
    move_t move = {.fake = create_fake_driver()};

    start_ready_group(move.fake, 2);
    move.old_group = move.fake->group;
    move.matrix = create_matrix(move.fake, 10, 3);
    forget_sent(&move.fake->client);
    forget_sent(&move.fake->agent);
    forget_sent_to_ranks(move.fake);
    return move;
}

/* The client requests the move. The second group is starting. */
static move_t
start_move(uint32_t wait_ms)
{
    move_t move = create_session_to_move();

    request_move(move.fake, MOVE_ID, 1, wait_ms);
    move.new_group = sent_spawn(move.fake)->group;
    return move;
}

/* The second group has started, and the old ranks refuse writes. */
static move_t
advance_until_held(void)
{
    move_t move = start_move(60000);

    join_rank(move.fake, &move.fake->new_ranks[0], move.new_group, 0);
    confirm_on_all(move.fake, ALCHI_WORKER_HOLD);
    return move;
}

/* The new rank has memory for the matrix. */
static move_t
advance_until_reserved(void)
{
    move_t move = advance_until_held();

    confirm_command(&move.fake->new_ranks[0], ALCHI_WORKER_RESERVE);
    return move;
}

/* The new rank fetches the matrix, which is complete. */
static move_t
advance_until_fetching(void)
{
    move_t move = advance_until_reserved();

    confirm_on_all(move.fake, ALCHI_WORKER_CHECK);
    expect_sent(&move.fake->new_ranks[0], ALCHI_WORKER_FETCH);
    return move;
}

/* The new rank has fetched the matrix. The old ranks have not ended. */
static move_t
advance_until_fetched(void)
{
    move_t move = advance_until_fetching();

    confirm_command(&move.fake->new_ranks[0], ALCHI_WORKER_FETCH);
    return move;
}

static const Alchw__WorkerFetch *
sent_fetch(const move_t *move)
{
    return sent_message(&move->fake->new_ranks[0], ALCHI_WORKER_FETCH);
}

START_TEST(old_ranks_hold_the_matrices_before_the_new_ranks_reserve_them)
{
    move_t move = start_move(1000);
    fake_driver_t *fake = move.fake;
    const Alchw__WorkerReserve *reserve;

    join_rank(fake, &fake->new_ranks[0], move.new_group, 0);
    expect_not_sent(&fake->new_ranks[0], ALCHI_WORKER_RESERVE);
    confirm_on_all(fake, ALCHI_WORKER_HOLD);
    reserve = sent_message(&fake->new_ranks[0], ALCHI_WORKER_RESERVE);
    ck_assert_uint_eq(reserve->matrix->id, move.matrix);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(complete_matrix_is_fetched_as_complete)
{
    move_t move = advance_until_reserved();

    confirm_on_all(move.fake, ALCHI_WORKER_CHECK);
    ck_assert(sent_fetch(&move)->complete);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(incomplete_matrix_is_fetched_as_incomplete)
{
    move_t move = advance_until_reserved();

    confirm_command(&move.fake->ranks[0], ALCHI_WORKER_CHECK);
    fail_command(&move.fake->ranks[1], ALCHI_WORKER_CHECK, ALCH_EINCOMPLETE, "half");
    ck_assert(!sent_fetch(&move)->complete);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(fetch_names_the_old_ranks_as_sources)
{
    move_t move = advance_until_fetching();
    const Alchw__WorkerFetch *fetch = sent_fetch(&move);

    ck_assert_uint_eq(fetch->matrix->workers, 2);
    ck_assert_uint_eq(fetch->matrix->group, move.old_group);
    ck_assert_uint_eq(fetch->n_sources, 2);
    ck_assert_uint_eq(fetch->sources[1]->port, 5002);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(keys_of_the_sources_are_wrapped_for_the_new_rank)
{
    move_t move = advance_until_fetching();
    const alchi_drv_session_t *session = move.fake->client.link.session;
    const uint8_t *sent = sent_fetch(&move)->sources[1]->key.data;
    uint8_t key[ALCHI_KEY_SIZE], unwrapped[ALCHI_KEY_SIZE];

    alchi_derive_data_key(session->key, session->id, move.old_group, 1, key);
    ck_assert_mem_ne(sent, key, ALCHI_KEY_SIZE);
    alchi_key_wrap(session->move->to->ranks[0].control_key, move.old_group, 1, sent, unwrapped);
    ck_assert_mem_eq(unwrapped, key, ALCHI_KEY_SIZE);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(group_describes_the_progress_of_its_move)
{
    move_t move = advance_until_fetching();
    Alchw__WorkerProgress progress = ALCHW__WORKER_PROGRESS__INIT;
    const Alchw__Group *group;

    progress.has_fraction = progress.has_task = true;
    progress.fraction = 0.5;
    send_message(&move.fake->new_ranks[0], ALCHI_WORKER_PROGRESS, 0, &progress);
    group = reported_group(move.fake);
    ck_assert(group->ready && group->moving && group->id == move.old_group);
    ck_assert_int_eq(group->total, 240); /* 10 x 3 entries of 8 bytes */
    ck_assert_int_eq(group->moved, 120);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(matrices_can_neither_be_freed_nor_created_during_a_move)
{
    move_t move = advance_until_fetching();

    free_matrix(&move.fake->client, 41, move.matrix);
    expect_error(&move.fake->client, 41, ALCH_EBUSY, "move to 1 worker)");
    request_matrix(&move.fake->client, 42, 3, 3, ALCH_FLOAT64);
    expect_error(&move.fake->client, 42, ALCH_EBUSY, "are being moved");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_is_answered_after_the_old_ranks_have_ended)
{
    move_t move = advance_until_fetched();
    const Alchw__Group *group;

    expect_sent(&move.fake->ranks[0], ALCHI_WORKER_QUIT);
    expect_not_sent(&move.fake->client, ALCHI_GROUP);
    report_group_ended(move.fake, move.old_group);
    ck_assert_uint_eq(expect_sent(&move.fake->client, ALCHI_GROUP)->id, MOVE_ID);
    group = sent_group(&move.fake->client);
    ck_assert(group->ready && !group->moving && group->id == move.new_group);
    ck_assert_uint_eq(group->n_workers, 1);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(group_is_moving_until_the_old_ranks_have_ended)
{
    move_t move = advance_until_fetched();

    request_move(move.fake, 45, 1, 0);
    ck_assert(!sent_group(&move.fake->client)->ready);
    ck_assert(sent_group(&move.fake->client)->moving);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(moved_matrix_belongs_to_the_new_group)
{
    move_t move = advance_until_fetched();
    const Alchw__Matrix *matrix;

    report_group_ended(move.fake, move.old_group);
    get_matrix(&move.fake->client, 43, move.matrix);
    matrix = sent_matrix(&move.fake->client);
    ck_assert_uint_eq(matrix->group, move.new_group);
    ck_assert_uint_eq(matrix->workers, 1);
    ck_assert_str_eq(matrix->busy, "");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(session_is_ready_after_a_move)
{
    move_t move = advance_until_fetched();
    alchi_drv_group_t *group;
    alch_error_t error;

    report_group_ended(move.fake, move.old_group);
    unit_code(alchi_drv_session_ready(move.fake->client.link.session, &group, &error), ALCH_OK);
    ck_assert_uint_eq(group->id, move.new_group);
    destroy_fake_driver(move.fake);
}
END_TEST

/* ---- requests that start no move ---- */

START_TEST(move_to_more_workers_than_free_slots_is_refused)
{
    move_t move = create_session_to_move();

    request_move(move.fake, 40, 3, 0);
    expect_error(&move.fake->client, 40, ALCH_ENOSLOTS,
                 "in addition to the 2 that hold the matrices: 3 workers were requested, 2 of 4 slots");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_to_no_workers_is_refused)
{
    move_t move = create_session_to_move();

    request_move(move.fake, 41, 0, 0);
    expect_error(&move.fake->client, 41, ALCH_EINVAL, "at least 1");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_to_the_present_number_of_workers_keeps_the_group)
{
    move_t move = create_session_to_move();

    request_move(move.fake, 42, 2, 1000);
    ck_assert_uint_eq(sent_group(&move.fake->client)->id, move.old_group);
    expect_not_sent(&move.fake->agent, ALCHI_SPAWN);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_is_refused_while_a_task_runs)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    submit_task(&fake->client, 40, matrix, 0);
    request_move(fake, 41, 1, 0);
    expect_error(&fake->client, 41, ALCH_EBUSY, "a task");
    destroy_fake_driver(fake);
}
END_TEST

/* ---- slots for the second group ---- */

/* The session `other` has the slots that are not the old group's. @return the id of its group */
static uint64_t
start_group_of_other_session(const move_t *move)
{
    uint64_t group;

    request_workers(&move->fake->other, 30, 2, 0);
    group = sent_spawn(move->fake)->group;
    forget_sent(&move->fake->agent);
    return group;
}

START_TEST(move_is_refused_while_another_session_has_the_slots)
{
    move_t move = create_session_to_move();

    start_group_of_other_session(&move);
    request_move(move.fake, 40, 1, 1000);
    expect_error(&move.fake->client, 40, ALCH_ENOSLOTS, "1 worker was requested, 0 of 4 slots are free");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_waits_for_slots_that_are_being_released)
{
    move_t move = create_session_to_move();
    uint64_t group = start_group_of_other_session(&move);

    disconnect(&move.fake->other);
    request_move(move.fake, 41, 1, 1000);
    expect_not_sent(&move.fake->agent, ALCHI_SPAWN);
    report_group_ended(move.fake, group);
    ck_assert_uint_gt(sent_spawn(move.fake)->group, group);
    destroy_fake_driver(move.fake);
}
END_TEST

/* ---- moves that fail ---- */

/* The move has failed with this error: the second group is killed, and the session uses the old group as before. */
static void
expect_failed_move(const move_t *move, int code, const char *text)
{
    const Alchw__Group *group;

    run_timers(move->fake, 1);
    expect_error(&move->fake->client, MOVE_ID, code, text);
    expect_group_killed(move->fake, move->new_group);
    group = reported_group(move->fake);
    ck_assert(group->id == move->old_group && group->ready && !group->moving);
    report_group_ended(move->fake, move->new_group);
    create_matrix(move->fake, 3, 3);
}

START_TEST(move_fails_if_a_new_rank_has_no_room)
{
    move_t move = advance_until_held();

    fail_command(&move.fake->new_ranks[0], ALCHI_WORKER_RESERVE, ALCH_ELIMIT, "no room");
    expect_failed_move(&move, ALCH_ELIMIT, "no room");
    expect_sent(&move.fake->ranks[1], ALCHI_WORKER_UNHOLD);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_fails_if_a_new_rank_cannot_reach_an_old_one)
{
    move_t move = advance_until_fetching();

    fail_command(&move.fake->new_ranks[0], ALCHI_WORKER_FETCH, ALCH_ETIMEDOUT, "no way to worker 1");
    expect_failed_move(&move, ALCH_ETIMEDOUT, "no way to worker 1");
    expect_sent(&move.fake->ranks[1], ALCHI_WORKER_UNHOLD);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_fails_if_a_new_rank_dies_during_the_start)
{
    move_t move = start_move(60000);

    report_rank_killed(move.fake, move.new_group, 0);
    expect_failed_move(&move, ALCH_EGROUP, "signal 9");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_fails_if_a_new_rank_dies_when_it_has_joined)
{
    move_t move = advance_until_reserved();

    report_rank_killed(move.fake, move.new_group, 0);
    expect_failed_move(&move, ALCH_EGROUP, "signal 9");
    expect_sent(&move.fake->ranks[1], ALCHI_WORKER_UNHOLD);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_fails_if_the_new_ranks_start_too_slowly)
{
    move_t move = start_move(60000);

    run_timers(move.fake, move.fake->config.start_timeout_ms + 1);
    expect_failed_move(&move, ALCH_EGROUP, "--start-timeout");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(request_for_the_present_number_of_workers_cancels_the_move)
{
    move_t move = advance_until_held();

    request_workers(&move.fake->client, 42, 2, 0);
    expect_failed_move(&move, ALCH_ECANCELED, "canceled");
    expect_sent(&move.fake->ranks[1], ALCHI_WORKER_UNHOLD);
    destroy_fake_driver(move.fake);
}
END_TEST

/* ---- moves for which no request waits ---- */

START_TEST(move_without_a_wait_is_described_as_moving)
{
    move_t move = start_move(0);

    ck_assert(!sent_group(&move.fake->client)->ready);
    ck_assert(sent_group(&move.fake->client)->moving);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(request_for_a_third_number_of_workers_is_refused_during_a_move)
{
    move_t move = start_move(0);

    request_workers(&move.fake->client, 41, 3, 0);
    expect_error(&move.fake->client, 41, ALCH_EBUSY,
                 "are being moved to 1 worker; a request for 2 workers cancels the move");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(failed_move_is_reported_to_the_next_request)
{
    move_t move = start_move(0);

    report_rank_killed(move.fake, move.new_group, 0);
    request_move(move.fake, 42, 1, 0);
    expect_error(&move.fake->client, 42, ALCH_EGROUP, "signal 9");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(move_can_be_requested_again_after_its_failure_was_reported)
{
    move_t move = start_move(0);

    report_rank_killed(move.fake, move.new_group, 0);
    request_move(move.fake, 42, 1, 0);
    forget_sent(&move.fake->client);
    report_group_ended(move.fake, move.new_group);
    request_move(move.fake, 43, 1, 0);
    ck_assert(sent_group(&move.fake->client)->moving);
    destroy_fake_driver(move.fake);
}
END_TEST

/* ---- the old group is lost ---- */

START_TEST(move_fails_if_the_old_group_is_lost)
{
    move_t move = advance_until_reserved();

    report_rank_killed(move.fake, move.old_group, 1);
    expect_error(&move.fake->client, MOVE_ID, ALCH_EGROUP, "signal 9");
    ck_assert_ptr_null(move.fake->client.link.session->move);
    expect_group_killed(move.fake, move.new_group);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(matrices_are_lost_with_the_old_group)
{
    move_t move = advance_until_reserved();

    report_rank_killed(move.fake, move.old_group, 1);
    get_matrix(&move.fake->client, 41, move.matrix);
    expect_error(&move.fake->client, 41, ALCH_EGROUP, "signal 9");
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(workers_can_be_requested_after_both_groups_have_ended)
{
    move_t move = advance_until_reserved();

    report_rank_killed(move.fake, move.old_group, 1);
    report_group_ended(move.fake, move.old_group);
    report_group_ended(move.fake, move.new_group);
    forget_sent(&move.fake->agent);
    request_workers(&move.fake->client, 42, 2, 0);
    expect_sent(&move.fake->agent, ALCHI_SPAWN);
    destroy_fake_driver(move.fake);
}
END_TEST

/* ---- the client no longer needs the workers ---- */

/* The old ranks are asked to quit, the new ranks are killed, and all slots are idle afterwards. */
static void
expect_end_of_both_groups(const move_t *move)
{
    alchi_drv_t *driver = move->fake->driver;

    expect_sent(&move->fake->ranks[0], ALCHI_WORKER_QUIT);
    expect_group_killed(move->fake, move->new_group);
    report_group_ended(move->fake, move->new_group);
    report_group_ended(move->fake, move->old_group);
    ck_assert_ptr_null(driver->groups);
    ck_assert_int_eq(alchi_drv_slots_count(&driver->slots, ALCH_WORKER_IDLE), AGENT_SLOTS);
}

START_TEST(both_groups_end_if_the_client_disconnects_during_a_move)
{
    move_t move = advance_until_reserved();

    disconnect(&move.fake->client);
    expect_end_of_both_groups(&move);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(both_groups_end_if_the_session_is_closed_during_a_move)
{
    move_t move = advance_until_reserved();

    send_message(&move.fake->client, ALCHI_CLOSE_SESSION, 41, NULL);
    expect_end_of_both_groups(&move);
    destroy_fake_driver(move.fake);
}
END_TEST

START_TEST(both_groups_end_if_all_workers_are_yielded_during_a_move)
{
    move_t move = advance_until_reserved();

    yield_workers(&move.fake->client, 41, NULL, 0);
    expect_end_of_both_groups(&move);
    destroy_fake_driver(move.fake);
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const steps[] = {old_ranks_hold_the_matrices_before_the_new_ranks_reserve_them,
                                  complete_matrix_is_fetched_as_complete,
                                  incomplete_matrix_is_fetched_as_incomplete,
                                  fetch_names_the_old_ranks_as_sources,
                                  keys_of_the_sources_are_wrapped_for_the_new_rank,
                                  group_describes_the_progress_of_its_move,
                                  matrices_can_neither_be_freed_nor_created_during_a_move,
                                  move_is_answered_after_the_old_ranks_have_ended,
                                  group_is_moving_until_the_old_ranks_have_ended,
                                  moved_matrix_belongs_to_the_new_group,
                                  session_is_ready_after_a_move};
    const TTest *const requests[] = {move_to_more_workers_than_free_slots_is_refused,
                                     move_to_no_workers_is_refused,
                                     move_to_the_present_number_of_workers_keeps_the_group,
                                     move_is_refused_while_a_task_runs,
                                     move_is_refused_while_another_session_has_the_slots,
                                     move_waits_for_slots_that_are_being_released,
                                     move_without_a_wait_is_described_as_moving,
                                     request_for_a_third_number_of_workers_is_refused_during_a_move};
    const TTest *const failures[] = {
        move_fails_if_a_new_rank_has_no_room,           move_fails_if_a_new_rank_cannot_reach_an_old_one,
        move_fails_if_a_new_rank_dies_during_the_start, move_fails_if_a_new_rank_dies_when_it_has_joined,
        move_fails_if_the_new_ranks_start_too_slowly,   request_for_the_present_number_of_workers_cancels_the_move,
        failed_move_is_reported_to_the_next_request,    move_can_be_requested_again_after_its_failure_was_reported};
    const TTest *const ends[] = {move_fails_if_the_old_group_is_lost,
                                 matrices_are_lost_with_the_old_group,
                                 workers_can_be_requested_after_both_groups_have_ended,
                                 both_groups_end_if_the_client_disconnects_during_a_move,
                                 both_groups_end_if_the_session_is_closed_during_a_move,
                                 both_groups_end_if_all_workers_are_yielded_during_a_move};

    add_tests(suite, "steps", steps, ALCHI_COUNT(steps));
    add_tests(suite, "requests", requests, ALCHI_COUNT(requests));
    add_tests(suite, "failures", failures, ALCHI_COUNT(failures));
    add_tests(suite, "ends", ends, ALCHI_COUNT(ends));
}
