/* The driver: a session's matrices go to a second group, which takes the first one's place, or nothing has happened. */
#include "driver_fake.h"

static fake_t new_rank[RANKS];

static void
move_setup(void)
{
    memset(new_rank, 0, sizeof(new_rank));
    setup();
}

static void
move_teardown(void)
{
    teardown();
    for (int i = 0; i < RANKS; i++)
        fake_clear(&new_rank[i]);
}

static void
ask_to_move(uint64_t id, uint32_t count, uint32_t wait_ms)
{
    Alchw__RequestWorkers message = ALCHW__REQUEST_WORKERS__INIT;

    message.count = count;
    message.wait_ms = wait_ms;
    message.has_move = message.move = true;
    fake_say(driver, &client, ALCHI_REQUEST_WORKERS, 0, id, &message);
}

/* A group of two with a matrix of 10 x 3. */
static uint64_t
with_matrix(uint64_t *group_p)
{
    uint64_t matrix;

    *group_p = start_group(&client, 2);
    matrix = create_matrix(&client, 10, 3);
    fake_clear(&client);
    fake_clear(&agent);
    fake_clear(&rank[0]);
    fake_clear(&rank[1]);
    return matrix;
}

static uint64_t
second_group(void)
{
    return ((const Alchw__Spawn *)fake_message(&agent, ALCHI_SPAWN))->group;
}

static void
join_new(uint64_t group, int count)
{
    Alchw__WorkerJoin join = ALCHW__WORKER_JOIN__INIT;
    alch_error_t error;

    join.stage = ALCHW__JOIN_STAGE__JOIN_READY;
    for (int i = 0; i < count; i++) {
        alchi_responder_t responder = {.claim = {ALCHI_ROLE_RANK, client.link.session->id, group, i}};

        new_rank[i].link = (alchi_drv_link_t){.ops = &fake_ops};
        unit_code(alchi_drv_admit(driver, &new_rank[i].link, &responder, 1, &error), ALCH_OK);
        fake_say(driver, &new_rank[i], ALCHI_WORKER_JOIN, 0, 0, &join);
    }
}

static void
new_answers(int count, unsigned command, unsigned type, const void *message)
{
    for (int i = 0; i < count; i++) {
        const fake_sent_t *sent = fake_last(&new_rank[i], command);

        ck_assert_msg(sent != NULL, "new rank %d got no %s", i, alchi_message_name(command));
        fake_say(driver, &new_rank[i], type, ALCHI_FRAME_REPLY, sent->id, message);
    }
}

static void
run_timers(void)
{
    alchi_drv_timers_run(&driver->timers, alchi_now_ns() + 1);
}

static void
told_to_end(uint64_t group)
{
    bool told = false;

    for (int i = 0; i < agent.count; i++)
        told = told || (agent.sent[i].type == ALCHI_KILL_GROUP &&
                        ((const Alchw__KillGroup *)agent.sent[i].message)->group == group);
    ck_assert(told);
}

static const Alchw__Group *
group_now(void)
{
    fake_clear(&client);
    fake_say(driver, &client, ALCHI_GET_GROUP, 0, 70, NULL);
    return fake_message(&client, ALCHI_GROUP);
}

/* As far as where the new ranks have the matrix's memory. */
static uint64_t
until_reserved(int count)
{
    uint64_t group = second_group();

    join_new(group, count);
    answer_all(ALCHI_WORKER_HOLD, ALCHI_EMPTY, NULL);
    new_answers(count, ALCHI_WORKER_RESERVE, ALCHI_EMPTY, NULL);
    return group;
}

START_TEST(moved)
{
    uint64_t old, new, matrix = with_matrix(&old);
    Alchw__MatrixId ask = ALCHW__MATRIX_ID__INIT;
    Alchw__WorkerProgress progress = ALCHW__WORKER_PROGRESS__INIT;
    const Alchw__WorkerFetch *fetch;
    const Alchw__Matrix *described;
    const Alchw__Group *group;
    uint8_t key[ALCHI_KEY_SIZE];
    alch_error_t error;

    ask_to_move(40, 1, 1000);
    ck_assert_ptr_null(fake_last(&client, ALCHI_GROUP));
    new = until_reserved(1);
    ck_assert_uint_eq(((const Alchw__WorkerReserve *)fake_message(&new_rank[0], ALCHI_WORKER_RESERVE))->matrix->id,
                      matrix);
    /* It is not known to be complete. */
    answer(0, ALCHI_WORKER_CHECK, ALCHI_EMPTY, NULL);
    answer_error(1, ALCHI_WORKER_CHECK, ALCH_EINCOMPLETE, "half");
    fetch = fake_message(&new_rank[0], ALCHI_WORKER_FETCH);
    ck_assert(!fetch->complete);
    ck_assert_uint_eq(fetch->matrix->workers, 2);
    ck_assert_uint_eq(fetch->matrix->group, old);
    ck_assert_uint_eq(fetch->n_sources, 2);
    ck_assert_uint_eq(fetch->sources[1]->port, 5002);
    alchi_derive_data_key(client.link.session->key, client.link.session->id, old, 1, key);
    ck_assert_mem_ne(fetch->sources[1]->key.data, key, ALCHI_KEY_SIZE);
    alchi_key_wrap(driver->groups->next->ranks[0].control_key, old, 1, fetch->sources[1]->key.data,
                   fetch->sources[1]->key.data);
    ck_assert_mem_eq(fetch->sources[1]->key.data, key, ALCHI_KEY_SIZE);
    /* Half of it is there; tasks and changes have to wait, looks have not. */
    progress.has_fraction = progress.has_task = true;
    progress.fraction = 0.5;
    fake_say(driver, &new_rank[0], ALCHI_WORKER_PROGRESS, 0, 0, &progress);
    group = group_now();
    ck_assert(group->ready && group->moving && group->id == old);
    ck_assert_int_eq(group->total, 240);
    ck_assert_int_eq(group->moved, 120);
    ask.id = matrix;
    fake_say(driver, &client, ALCHI_FREE_MATRIX, 0, 41, &ask);
    expect_failure(&client, 41, ALCH_EBUSY, "move to 1 workers");
    fake_say(driver, &client, ALCHI_CREATE_MATRIX, 0, 42, NULL);
    expect_failure(&client, 42, ALCH_EBUSY, "are being moved");
    fake_clear(&client);
    new_answers(1, ALCHI_WORKER_FETCH, ALCHI_EMPTY, NULL);
    /* Nobody is told before the old workers are gone. */
    ck_assert_ptr_null(fake_last(&client, ALCHI_GROUP));
    ck_assert_ptr_nonnull(fake_last(&rank[0], ALCHI_WORKER_QUIT));
    ask_to_move(45, 1, 0);
    group = fake_message(&client, ALCHI_GROUP);
    ck_assert(!group->ready && group->moving);
    fake_clear(&client);
    group_ended(old);
    group = fake_message(&client, ALCHI_GROUP);
    ck_assert(group->ready && !group->moving && group->id == new);
    ck_assert_uint_eq(group->n_workers, 1);
    fake_clear(&client);
    fake_say(driver, &client, ALCHI_GET_MATRIX, 0, 43, &ask);
    described = fake_message(&client, ALCHI_MATRIX);
    ck_assert_uint_eq(described->group, new);
    ck_assert_uint_eq(described->workers, 1);
    ck_assert_str_eq(described->busy, "");
    unit_code(alchi_drv_session_ready(client.link.session, &(alchi_drv_group_t *){NULL}, &error), ALCH_OK);
}
END_TEST

START_TEST(refused)
{
    uint64_t old;

    with_matrix(&old);
    ask_to_move(40, 3, 0);
    expect_failure(&client, 40, ALCH_ENOSLOTS,
                   "in addition to the 2 that hold the matrices: 3 workers were requested, 2 of 4 slots");
    ask_to_move(41, 0, 0);
    expect_failure(&client, 41, ALCH_EINVAL, "at least 1");
    fake_clear(&client);
    ask_to_move(42, 2, 0);
    ck_assert_uint_eq(((const Alchw__Group *)fake_message(&client, ALCHI_GROUP))->id, old);
    ck_assert_ptr_null(fake_last(&agent, ALCHI_SPAWN));
}
END_TEST

START_TEST(busy_with_a_task)
{
    uint64_t matrix = ready_matrix();

    submit(&client, 40, matrix, 0);
    ask_to_move(41, 1, 0);
    expect_failure(&client, 41, ALCH_EBUSY, "a task");
}
END_TEST

/* What can fail, and that the old group is as before. */
START_TEST(fails)
{
    static const char *const reasons[] = {"no room",  "no way to worker 1", "signal 9",
                                          "signal 9", "--start-timeout",    "canceled"};
    static const int codes[] = {ALCH_ELIMIT, ALCH_ETIMEDOUT, ALCH_EGROUP, ALCH_EGROUP, ALCH_EGROUP, ALCH_ECANCELED};
    uint64_t old, new;

    with_matrix(&old);
    ask_to_move(40, 2, 1000);
    ck_assert_ptr_null(fake_last(&agent, ALCHI_SPAWN)); /* two are two: nothing to do */
    fake_clear(&client);
    ask_to_move(41, 1, 60000);
    new = second_group();
    if (_i == 4) {
        alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(config.start_timeout_ms + 1));
    } else if (_i == 2) {
        rank_killed(new, 0);
    } else {
        join_new(new, 1);
        answer_all(ALCHI_WORKER_HOLD, ALCHI_EMPTY, NULL);
    }
    if (_i == 0) {
        const fake_sent_t *sent = fake_last(&new_rank[0], ALCHI_WORKER_RESERVE);
        Alchw__Error error = ALCHW__ERROR__INIT;

        error.code = ALCH_ELIMIT;
        error.text = (char *)"no room";
        fake_say(driver, &new_rank[0], ALCHI_ERROR, ALCHI_FRAME_REPLY, sent->id, &error);
    } else if (_i == 1) {
        Alchw__Error error = ALCHW__ERROR__INIT;

        new_answers(1, ALCHI_WORKER_RESERVE, ALCHI_EMPTY, NULL);
        answer_all(ALCHI_WORKER_CHECK, ALCHI_EMPTY, NULL);
        ck_assert(((const Alchw__WorkerFetch *)fake_message(&new_rank[0], ALCHI_WORKER_FETCH))->complete);
        error.code = ALCH_ETIMEDOUT;
        error.text = (char *)"no way to worker 1";
        new_answers(1, ALCHI_WORKER_FETCH, ALCHI_ERROR, &error);
    } else if (_i == 3) {
        new_answers(1, ALCHI_WORKER_RESERVE, ALCHI_EMPTY, NULL);
        rank_killed(new, 0);
    } else if (_i == 5) {
        request_workers(&client, 42, 2, 0);
    }
    run_timers();
    expect_failure(&client, 41, codes[_i], reasons[_i]);
    told_to_end(new);
    ck_assert(_i == 2 || _i == 4 || fake_last(&rank[1], ALCHI_WORKER_UNHOLD));
    ck_assert(group_now()->id == old && group_now()->ready && !group_now()->moving);
    group_ended(new);
    create_matrix(&client, 3, 3);
}
END_TEST

START_TEST(old_group_lost)
{
    uint64_t old, new, matrix = with_matrix(&old);
    Alchw__MatrixId ask = ALCHW__MATRIX_ID__INIT;

    ask_to_move(40, 1, 1000);
    new = until_reserved(1);
    rank_killed(old, 1);
    expect_failure(&client, 40, ALCH_EGROUP, "signal 9");
    ck_assert_ptr_null(client.link.session->move);
    ask.id = matrix;
    fake_say(driver, &client, ALCHI_GET_MATRIX, 0, 41, &ask);
    expect_failure(&client, 41, ALCH_EGROUP, "signal 9");
    told_to_end(new);
    group_ended(old);
    group_ended(new);
    fake_clear(&agent);
    request_workers(&client, 42, 2, 0);
    ck_assert_ptr_nonnull(fake_last(&agent, ALCHI_SPAWN));
}
END_TEST

/* A failure is told to who asks next. */
START_TEST(nobody_waits)
{
    uint64_t old;

    with_matrix(&old);
    ask_to_move(40, 1, 0);
    ck_assert(!((const Alchw__Group *)fake_message(&client, ALCHI_GROUP))->ready);
    ck_assert(((const Alchw__Group *)fake_message(&client, ALCHI_GROUP))->moving);
    request_workers(&client, 41, 3, 0);
    expect_failure(&client, 41, ALCH_EBUSY, "are being moved to 1 workers; a request for 2 workers cancels the move");
    rank_killed(second_group(), 0);
    ask_to_move(42, 1, 0);
    expect_failure(&client, 42, ALCH_EGROUP, "signal 9");
    fake_clear(&client);
    group_ended(second_group());
    ask_to_move(43, 1, 0);
    ck_assert(((const Alchw__Group *)fake_message(&client, ALCHI_GROUP))->moving);
}
END_TEST

/* The session ends, closes or gives its workers back meanwhile: neither group stays. */
START_TEST(ended_meanwhile)
{
    uint64_t old, new, session;
    Alchw__YieldWorkers yield = ALCHW__YIELD_WORKERS__INIT;

    with_matrix(&old);
    session = client.link.session->id;
    ask_to_move(40, 1, 1000);
    new = until_reserved(1);
    fake_clear(&agent);
    if (_i == 0)
        alchi_drv_on_closed(driver, &client.link);
    else
        fake_say(driver, &client, _i == 1 ? ALCHI_CLOSE_SESSION : ALCHI_YIELD_WORKERS, 0, 41, _i == 1 ? NULL : &yield);
    ck_assert_ptr_nonnull(fake_last(&rank[0], ALCHI_WORKER_QUIT));
    ck_assert_int_eq(((const Alchw__KillGroup *)agent.sent[0].message)->group, new);
    group_ended(new);
    group_ended(old);
    ck_assert_ptr_null(driver->groups);
    ck_assert_int_eq(alchi_drv_slots_count(&driver->slots, ALCH_WORKER_IDLE), 4);
    ck_assert_uint_gt(session, 0);
}
END_TEST

/* Slots that are being given back are waited for. */
START_TEST(waits_for_slots)
{
    uint64_t old, others;

    with_matrix(&old);
    fake_clear(&agent);
    for (int i = 0; i < 2; i++)
        fake_clear(&new_rank[i]);
    request_workers(&other, 30, 2, 0);
    others = second_group();
    fake_clear(&agent);
    ask_to_move(40, 1, 1000);
    expect_failure(&client, 40, ALCH_ENOSLOTS, "1 worker was requested, 0 of 4 slots are free");
    alchi_drv_on_closed(driver, &other.link);
    ask_to_move(41, 1, 1000);
    ck_assert_ptr_null(fake_last(&agent, ALCHI_SPAWN));
    group_ended(others);
    ck_assert_uint_gt(second_group(), others);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *move = tcase_create("move");

    tcase_add_checked_fixture(move, move_setup, move_teardown);
    tcase_add_test(move, moved);
    tcase_add_test(move, refused);
    tcase_add_test(move, busy_with_a_task);
    tcase_add_loop_test(move, fails, 0, 6);
    tcase_add_test(move, old_group_lost);
    tcase_add_test(move, nobody_waits);
    tcase_add_loop_test(move, ended_meanwhile, 0, 3);
    tcase_add_test(move, waits_for_slots);
    suite_add_tcase(suite, move);
}
