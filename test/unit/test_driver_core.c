/* The driver as a whole, without a socket: two clients, one agent with four slots, and ranks that answer as told. */
#include "driver_fake.h"
#include "base/log.h"
#include "wire/value.h"
#include <signal.h>
#include <math.h>

#define RANKS 4

static alchi_options_t options = {.workers = 4,
                                  .start_timeout_ms = 30000,
                                  .fail_grace_ms = 5000,
                                  .client_timeout_ms = 60000,
                                  .io_timeout_ms = 30000,
                                  .connections = 2,
                                  .message_limit = 1 << 20,
                                  .data_threads = 1,
                                  .log_level = "error"};
static const uint8_t token[ALCHI_KEY_SIZE] = {1, 2, 3};
static alchi_driver_t *driver;
static fake_t agent, client, other, rank[RANKS];
static int ranks;

static void
open_client(fake_t *fake)
{
    alchi_responder_t responder = {.claim = {.role = ALCHI_ROLE_CLIENT}, .name = "unit"};
    alch_error_t error;

    fake->link.ops = &fake_ops;
    unit_code(alchi_driver_admit(driver, &fake->link, &responder, 1, &error), ALCH_OK);
}

static void
say_hello(void)
{
    Alchw__AgentHello hello = ALCHW__AGENT_HELLO__INIT;
    Alchw__AgentSlot slot[4], *list[4];
    int i;

    for (i = 0; i < 4; i++) {
        alchw__agent_slot__init(&slot[i]);
        slot[i].port = 5001 + (unsigned)i;
        list[i] = &slot[i];
    }
    hello.host = hello.node = (char *)"here";
    hello.n_slots = 4;
    hello.slots = list;
    hello.memory = 4000;
    hello.cores = 2;
    agent.link = (alchi_link_t){.ops = &fake_ops, .role = ALCHI_ROLE_AGENT, .local = true};
    fake_say(driver, &agent, ALCHI_AGENT_HELLO, 0, 0, &hello);
}

static void
setup(void)
{
    alchi_log_init("test", ALCHI_LOG_ERROR);
    driver = alchi_driver_create(&options, token);
    ck_assert_ptr_nonnull(driver);
    memset(&client, 0, sizeof(client));
    memset(&other, 0, sizeof(other));
    memset(rank, 0, sizeof(rank));
    memset(&agent, 0, sizeof(agent));
    say_hello();
    open_client(&client);
    open_client(&other);
}

static void
teardown(void)
{
    int i;

    alchi_driver_destroy(driver);
    fake_clear(&client);
    fake_clear(&other);
    fake_clear(&agent);
    for (i = 0; i < RANKS; i++)
        fake_clear(&rank[i]);
}

/* ---- what the parts say ---- */

static void
request_workers(fake_t *fake, uint64_t id, uint32_t count, uint32_t wait_ms)
{
    Alchw__RequestWorkers message = ALCHW__REQUEST_WORKERS__INIT;

    message.count = count;
    message.wait_ms = wait_ms;
    fake_say(driver, fake, ALCHI_REQUEST_WORKERS, 0, id, &message);
}

static void
join_rank(int index, uint64_t session, uint64_t group)
{
    alchi_responder_t responder = {.claim = {ALCHI_ROLE_RANK, session, group, index}};
    Alchw__WorkerJoin join = ALCHW__WORKER_JOIN__INIT;
    alch_error_t error;

    rank[index].link = (alchi_link_t){.ops = &fake_ops};
    unit_code(alchi_driver_admit(driver, &rank[index].link, &responder, 1, &error), ALCH_OK);
    join.stage = ALCHW__JOIN_STAGE__JOIN_READY;
    fake_say(driver, &rank[index], ALCHI_WORKER_JOIN, 0, 0, &join);
}

static uint64_t
start_group(fake_t *fake, int size)
{
    uint64_t group;
    int i;

    request_workers(fake, 10, (uint32_t)size, 1000);
    group = ((const Alchw__Spawn *)fake_message(&agent, ALCHI_SPAWN))->group;
    for (i = 0; i < size; i++)
        join_rank(i, fake->link.session->id, group);
    ranks = size;
    ck_assert(((const Alchw__Group *)fake_message(fake, ALCHI_GROUP))->ready);
    for (i = 0; i < size; i++)
        fake_clear(&rank[i]);
    return group;
}

static void
group_ended(uint64_t group)
{
    Alchw__GroupEnded ended = ALCHW__GROUP_ENDED__INIT;

    ended.group = group;
    fake_say(driver, &agent, ALCHI_GROUP_ENDED, 0, 0, &ended);
}

static void
rank_killed(uint64_t group, unsigned index)
{
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;

    exit.group = group;
    exit.rank = index;
    exit.signal = SIGKILL;
    fake_say(driver, &agent, ALCHI_RANK_EXIT, 0, 0, &exit);
}

/* A rank answers the last command of a type. */
static void
answer(int index, unsigned command, unsigned type, const void *message)
{
    const fake_sent_t *sent = fake_last(&rank[index], command);

    ck_assert_msg(sent != NULL, "rank %d got no %s", index, alchi_message_name(command));
    fake_say(driver, &rank[index], type, ALCHI_FRAME_REPLY, sent->id, message);
}

static void
answer_error(int index, unsigned command, int code, const char *text)
{
    Alchw__Error error = ALCHW__ERROR__INIT;

    error.code = (uint32_t)code;
    error.text = (char *)text;
    answer(index, command, ALCHI_ERROR, &error);
}

static void
answer_all(unsigned command, unsigned type, const void *message)
{
    int i;

    for (i = 0; i < ranks; i++)
        answer(i, command, type, message);
}

static const Alchw__Error *
failure(const fake_t *fake, uint64_t id)
{
    const fake_sent_t *sent = fake_last(fake, ALCHI_ERROR);

    ck_assert_msg(sent && sent->id == id, "request %llu did not fail", (unsigned long long)id);
    return sent->message;
}

static void
expect_failure(const fake_t *fake, uint64_t id, int code, const char *part)
{
    const Alchw__Error *error = failure(fake, id);

    ck_assert_msg((int)error->code == code, "%s: %s", alch_errname((int)error->code), error->text);
    ck_assert_msg(strstr(error->text, part) != NULL, "'%s' lacks '%s'", error->text, part);
}

static uint64_t
create_matrix(fake_t *fake, int64_t rows, int64_t cols)
{
    Alchw__CreateMatrix create = ALCHW__CREATE_MATRIX__INIT;

    create.rows = rows;
    create.cols = cols;
    create.dtype = ALCH_FLOAT64;
    fake_say(driver, fake, ALCHI_CREATE_MATRIX, 0, 20, &create);
    answer_all(ALCHI_WORKER_RESERVE, ALCHI_EMPTY, NULL);
    return ((const Alchw__Matrix *)fake_message(fake, ALCHI_MATRIX))->id;
}

static void
load_library(fake_t *fake)
{
    Alchw__LoadLibrary load = ALCHW__LOAD_LIBRARY__INIT;
    Alchw__Library library = ALCHW__LIBRARY__INIT;
    Alchw__Function *function;
    alch_error_t error;

    load.name = (char *)"Lib";
    load.wait_ms = 1000;
    fake_say(driver, fake, ALCHI_LOAD_LIBRARY, 0, 30, &load);
    unit_code(alchi_function_parse("run", "A:matrix, k:int64=10 -> B:matrix, n:int64", "runs", "", &function, &error),
              ALCH_OK);
    library.name = (char *)"Lib";
    library.version = (char *)"1";
    library.n_functions = 1;
    library.functions = &function;
    answer_all(ALCHI_WORKER_LOAD, ALCHI_LIBRARY, &library);
    alchi_message_free(function);
    ck_assert(!((const Alchw__Library *)fake_message(fake, ALCHI_LIBRARY))->loading);
}

static void
submit(fake_t *fake, uint64_t id, uint64_t matrix, uint32_t wait_ms)
{
    Alchw__SubmitTask call = ALCHW__SUBMIT_TASK__INIT;
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_MATRIX, false);
    Alchw__NamedValue *argument;

    alchi_value_add_u(value, matrix);
    argument = alchi_named_create("A", value);
    call.library = (char *)"Lib";
    call.function = (char *)"run";
    call.n_arguments = 1;
    call.arguments = &argument;
    call.wait_ms = wait_ms;
    fake_say(driver, fake, ALCHI_SUBMIT_TASK, 0, id, &call);
    alchi_message_free(argument);
}

/* All ranks return with matrix `result`. */
static void
finish_task(int first, int count, uint64_t result)
{
    Alchw__WorkerTaskDone done = ALCHW__WORKER_TASK_DONE__INIT;
    Alchw__Matrix matrix = ALCHW__MATRIX__INIT, *list = &matrix;
    int i;

    matrix.has_id = matrix.has_rows = matrix.has_cols = matrix.has_dtype = done.has_seconds = 1;
    matrix.id = result;
    matrix.rows = matrix.cols = 2;
    matrix.dtype = ALCH_FLOAT64;
    done.n_matrices = 1;
    done.matrices = &list;
    done.seconds = 0.5;
    for (i = first; i < first + count; i++)
        answer(i, ALCHI_WORKER_TASK, ALCHI_WORKER_TASK_DONE, &done);
}

static uint64_t
ready_matrix(void)
{
    uint64_t matrix;

    start_group(&client, 2);
    load_library(&client);
    matrix = create_matrix(&client, 10, 3);
    submit(&client, 39, matrix, 1000);
    answer_all(ALCHI_WORKER_CHECK, ALCHI_EMPTY, NULL);
    finish_task(0, 2, ((const Alchw__WorkerTask *)fake_message(&rank[0], ALCHI_WORKER_TASK))->first_result_id);
    fake_clear(&rank[0]);
    fake_clear(&rank[1]);
    return matrix;
}

/* ---- tests ---- */

START_TEST(keys_by_role)
{
    alchi_claim_t claim = {ALCHI_ROLE_CLIENT, 0, 0, -1};
    uint8_t key[ALCHI_KEY_SIZE];
    alch_error_t error;

    unit_code(alchi_driver_key(driver, &claim, key, &error), ALCH_OK);
    ck_assert_mem_eq(key, token, ALCHI_KEY_SIZE);
    claim = (alchi_claim_t){ALCHI_ROLE_EXECUTOR, client.link.session->id, 0, -1};
    unit_code(alchi_driver_key(driver, &claim, key, &error), ALCH_OK);
    ck_assert_mem_eq(key, client.link.session->key, ALCHI_KEY_SIZE);
    claim.session = 99;
    unit_code(alchi_driver_key(driver, &claim, key, &error), ALCH_ENOENT);
    claim = (alchi_claim_t){ALCHI_ROLE_RANK, 1, 1, 0};
    unit_code(alchi_driver_key(driver, &claim, key, &error), ALCH_ENOENT);
    claim.role = ALCHI_ROLE_DATA;
    unit_code(alchi_driver_key(driver, &claim, key, &error), ALCH_EAUTH);
}
END_TEST

START_TEST(too_many_connections)
{
    alchi_responder_t responder = {.claim = {.role = ALCHI_ROLE_CLIENT}};
    fake_t third = {.link = {.ops = &fake_ops}};
    alch_error_t error;

    unit_code(alchi_driver_admit(driver, &third.link, &responder, 1, &error), ALCH_ELIMIT);
    ck_assert_ptr_nonnull(strstr(error.text, "--connections"));
    fake_clear(&third);
    alchi_driver_closed(driver, &other.link);
    unit_code(alchi_driver_admit(driver, &third.link, &responder, 1, &error), ALCH_OK);
    alchi_driver_closed(driver, &third.link);
    fake_clear(&third);
}
END_TEST

START_TEST(foreign_messages_break_the_connection)
{
    alchi_frame_t frame = {.type = ALCHI_RANK_EXIT, .id = 1};
    alch_error_t error;

    unit_code(alchi_driver_message(driver, &client.link, &frame, NULL, &error), ALCH_EPROTO);
    frame = (alchi_frame_t){.type = ALCHI_PING, .id = 0};
    unit_code(alchi_driver_message(driver, &client.link, &frame, NULL, &error), ALCH_EPROTO);
    frame = (alchi_frame_t){.type = ALCHI_PING, .id = 1, .flags = ALCHI_FRAME_REPLY};
    unit_code(alchi_driver_message(driver, &client.link, &frame, NULL, &error), ALCH_EPROTO);
    frame.flags = 0;
    unit_code(alchi_driver_message(driver, &client.link, &frame, NULL, &error), ALCH_OK);
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
    expect_failure(&client, 3, ALCH_ENOSLOTS, "5 workers requested, 4 of 4 slots are free (--workers)");
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
    expect_failure(&other, 5, ALCH_ENOSLOTS, "2 workers requested, 1 of 4 slots is free (--workers)");
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
    expect_failure(&client, 3, ALCH_EGROUP, "did not start: rank 1 (worker 2) was killed by signal 9");
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
    alchi_timers_run(&driver->timers, alchi_deadline_in_ms(60));
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
                                 "rank 1 (worker 2) was killed by signal 9 (Killed)"));
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
    ck_assert_int_eq(alchi_slots_count(&driver->slots, ALCH_WORKER_IDLE), 4);
    submit(&client, 17, 1, 0);
    expect_failure(&client, 17, ALCH_ESTATE, "has no workers");
}
END_TEST

START_TEST(create_is_undone_when_a_rank_refuses)
{
    Alchw__CreateMatrix create = ALCHW__CREATE_MATRIX__INIT;
    Alchw__MatrixId ask = ALCHW__MATRIX_ID__INIT;

    create.rows = 5;
    create.cols = 5;
    create.dtype = ALCH_FLOAT64;
    fake_say(driver, &client, ALCHI_CREATE_MATRIX, 0, 19, &create);
    expect_failure(&client, 19, ALCH_ESTATE, "no workers");
    start_group(&client, 2);
    create.rows = -1;
    fake_say(driver, &client, ALCHI_CREATE_MATRIX, 0, 20, &create);
    expect_failure(&client, 20, ALCH_EINVAL, "-1 x 5");
    create.rows = INT64_MAX;
    fake_say(driver, &client, ALCHI_CREATE_MATRIX, 0, 21, &create);
    expect_failure(&client, 21, ALCH_EINVAL, "too large");
    create.rows = 5;
    create.dtype = 77;
    fake_say(driver, &client, ALCHI_CREATE_MATRIX, 0, 22, &create);
    expect_failure(&client, 22, ALCH_EINVAL, "entry type 77");
    create.dtype = ALCH_FLOAT64;
    fake_say(driver, &client, ALCHI_CREATE_MATRIX, 0, 23, &create);
    ask.id = ((const Alchw__WorkerReserve *)fake_message(&rank[0], ALCHI_WORKER_RESERVE))->matrix->id;
    answer(0, ALCHI_WORKER_RESERVE, ALCHI_EMPTY, NULL);
    answer_error(1, ALCHI_WORKER_RESERVE, ALCH_ELIMIT, "too large (--memory-limit)");
    expect_failure(&client, 23, ALCH_ELIMIT, "too large");
    ck_assert_uint_eq(((const Alchw__WorkerFree *)fake_message(&rank[0], ALCHI_WORKER_FREE))->id, ask.id);
    ck_assert_ptr_null(fake_last(&rank[1], ALCHI_WORKER_FREE));
    fake_say(driver, &client, ALCHI_GET_MATRIX, 0, 24, &ask);
    expect_failure(&client, 24, ALCH_ENOENT, "no matrix");
}
END_TEST

START_TEST(a_silent_rank_ends_the_group)
{
    Alchw__CreateMatrix create = ALCHW__CREATE_MATRIX__INIT;

    start_group(&client, 2);
    create.rows = create.cols = 2;
    create.dtype = ALCH_FLOAT64;
    fake_say(driver, &client, ALCHI_CREATE_MATRIX, 0, 20, &create);
    answer(0, ALCHI_WORKER_RESERVE, ALCHI_EMPTY, NULL);
    alchi_timers_run(&driver->timers, alchi_deadline_in_ms(61000));
    expect_failure(&client, 20, ALCH_EGROUP, "rank 1 (worker 2) did not answer for 60.0 s (--client-timeout)");
}
END_TEST

START_TEST(task_done)
{
    uint64_t matrix, made;
    const Alchw__Task *task;
    const Alchw__WorkerTask *sent;
    Alchw__MatrixId ask = ALCHW__MATRIX_ID__INIT;

    start_group(&client, 2);
    submit(&client, 40, 1, 1000);
    expect_failure(&client, 40, ALCH_ENOENT, "library 'Lib' is not loaded");
    load_library(&client);
    submit(&client, 41, 1234, 1000);
    expect_failure(&client, 41, ALCH_ENOENT, "Lib.run: parameter 'A': this session has no matrix 1234");
    matrix = create_matrix(&client, 10, 3);
    submit(&client, 42, matrix, 1000);
    ck_assert_ptr_null(fake_last(&rank[0], ALCHI_WORKER_TASK));
    ck_assert_uint_eq(((const Alchw__WorkerCheck *)fake_message(&rank[0], ALCHI_WORKER_CHECK))->ids[0], matrix);
    answer_error(0, ALCHI_WORKER_CHECK, ALCH_EINCOMPLETE, "rows 3..4 are missing");
    answer(1, ALCHI_WORKER_CHECK, ALCHI_EMPTY, NULL);
    expect_failure(&client, 42, ALCH_EINCOMPLETE, "rows 3..4 are missing");
    submit(&client, 43, matrix, 1000);
    answer_all(ALCHI_WORKER_CHECK, ALCHI_EMPTY, NULL);
    sent = fake_message(&rank[1], ALCHI_WORKER_TASK);
    ck_assert(sent->start);
    ck_assert_uint_eq(sent->n_arguments, 2);
    ck_assert_int_eq(sent->arguments[1]->value->i[0], 10);
    made = sent->first_result_id;
    ask.id = matrix;
    fake_say(driver, &client, ALCHI_FREE_MATRIX, 0, 44, &ask);
    expect_failure(&client, 44, ALCH_EBUSY, "is read by task 2 (Lib.run)");
    finish_task(0, 1, made);
    ck_assert_ptr_null(fake_last(&client, ALCHI_TASK));
    finish_task(1, 1, made);
    task = fake_message(&client, ALCHI_TASK);
    ck_assert_int_eq(task->state, ALCH_TASK_DONE);
    ck_assert_double_eq(task->seconds, 0.5);
    ask.id = made;
    fake_say(driver, &client, ALCHI_GET_MATRIX, 0, 45, &ask);
    ck_assert_int_eq(((const Alchw__Matrix *)fake_message(&client, ALCHI_MATRIX))->rows, 2);
    /* Complete stays complete: no second check, and no way to its ranks but the task itself. */
    fake_clear(&rank[0]);
    submit(&client, 46, made, 0);
    ck_assert_int_eq(rank[0].count, 1);
    ck_assert_int_eq(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->state, ALCH_TASK_RUNNING);
}
END_TEST

START_TEST(tasks_run_one_after_the_other)
{
    uint64_t matrix = ready_matrix();
    Alchw__WaitTask wait = ALCHW__WAIT_TASK__INIT;
    Alchw__CancelTask cancel = ALCHW__CANCEL_TASK__INIT;
    uint64_t first, second, third;

    submit(&client, 50, matrix, 0);
    first = ((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->id;
    submit(&client, 51, matrix, 0);
    second = ((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->id;
    ck_assert_int_eq(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->state, ALCH_TASK_QUEUED);
    ck_assert(!((const Alchw__WorkerTask *)fake_message(&rank[0], ALCHI_WORKER_TASK))->start);
    submit(&client, 52, matrix, 0);
    third = ((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->id;
    cancel.id = second;
    fake_say(driver, &client, ALCHI_CANCEL_TASK, 0, 53, &cancel);
    ck_assert_int_eq(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->state, ALCH_TASK_CANCELED);
    ck_assert_uint_eq(((const Alchw__WorkerDrop *)fake_message(&rank[1], ALCHI_WORKER_DROP))->task, second);
    ck_assert_ptr_null(fake_last(&rank[0], ALCHI_WORKER_START));
    wait.id = first;
    wait.wait_ms = 1000;
    fake_say(driver, &client, ALCHI_WAIT_TASK, 0, 54, &wait);
    for (int i = 0; i < 2; i++) {
        Alchw__WorkerTaskDone done = ALCHW__WORKER_TASK_DONE__INIT;

        fake_say(driver, &rank[i], ALCHI_WORKER_TASK_DONE, ALCHI_FRAME_REPLY, rank[i].sent[0].id, &done);
    }
    ck_assert_uint_eq(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->id, first);
    ck_assert_uint_eq(((const Alchw__WorkerStart *)fake_message(&rank[0], ALCHI_WORKER_START))->task, third);
    wait.id = 999;
    fake_say(driver, &client, ALCHI_WAIT_TASK, 0, 55, &wait);
    expect_failure(&client, 55, ALCH_ENOENT, "no task 999");
}
END_TEST

START_TEST(all_ranks_fail)
{
    uint64_t matrix = ready_matrix();
    const Alchw__Task *task;

    submit(&client, 50, matrix, 1000);
    answer_error(1, ALCHI_WORKER_TASK, ALCH_ENUMERIC, "NaN in the input");
    answer_error(0, ALCHI_WORKER_TASK, ALCH_ENUMERIC, "another rank failed");
    task = fake_message(&client, ALCHI_TASK);
    ck_assert_int_eq(task->state, ALCH_TASK_FAILED);
    ck_assert_int_eq(task->error->rank, 1);
    ck_assert_str_eq(task->error->text, "NaN in the input");
    fake_clear(&rank[0]);
    submit(&client, 51, matrix, 1000);
    ck_assert_ptr_nonnull(fake_last(&rank[0], ALCHI_WORKER_TASK));
}
END_TEST

START_TEST(results_of_a_failed_task_are_freed)
{
    uint64_t matrix = ready_matrix(), made;

    submit(&client, 50, matrix, 1000);
    made = ((const Alchw__WorkerTask *)fake_message(&rank[0], ALCHI_WORKER_TASK))->first_result_id;
    finish_task(0, 1, made);
    answer_error(1, ALCHI_WORKER_TASK, ALCH_EFUNCTION, "failed");
    ck_assert_uint_eq(((const Alchw__WorkerFree *)fake_message(&rank[0], ALCHI_WORKER_FREE))->id, made);
    ck_assert_ptr_null(fake_last(&rank[1], ALCHI_WORKER_FREE));
    ck_assert_int_eq(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->state, ALCH_TASK_FAILED);
}
END_TEST

START_TEST(one_rank_fails_and_the_other_hangs)
{
    uint64_t matrix = ready_matrix();
    const Alchw__Task *task;

    submit(&client, 50, matrix, 20000);
    answer_error(1, ALCHI_WORKER_TASK, ALCH_EFUNCTION, "only here");
    alchi_timers_run(&driver->timers, alchi_deadline_in_ms(4000));
    ck_assert_ptr_null(fake_last(&agent, ALCHI_KILL_GROUP));
    alchi_timers_run(&driver->timers, alchi_deadline_in_ms(5100));
    task = fake_message(&client, ALCHI_TASK);
    ck_assert_int_eq(task->state, ALCH_TASK_FAILED);
    ck_assert_int_eq(task->error->rank, 1);
    ck_assert_str_eq(task->error->text, "only here");
    ck_assert_ptr_nonnull(fake_last(&agent, ALCHI_KILL_GROUP));
    fake_say(driver, &client, ALCHI_GET_GROUP, 0, 60, NULL);
    expect_failure(&client, 60, ALCH_EGROUP, "(--fail-grace): only here");
}
END_TEST

START_TEST(cancel_running)
{
    uint64_t matrix = ready_matrix();
    Alchw__CancelTask cancel = ALCHW__CANCEL_TASK__INIT;
    const Alchw__Task *task;

    submit(&client, 50, matrix, 0);
    cancel.id = ((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->id;
    fake_say(driver, &client, ALCHI_CANCEL_TASK, 0, 51, &cancel);
    task = fake_message(&client, ALCHI_TASK);
    ck_assert_int_eq(task->state, ALCH_TASK_CANCELLING);
    ck_assert_ptr_nonnull(fake_last(&rank[1], ALCHI_WORKER_CANCEL));
    cancel.hard = 1;
    fake_say(driver, &client, ALCHI_CANCEL_TASK, 0, 52, &cancel);
    task = fake_message(&client, ALCHI_TASK);
    ck_assert_int_eq(task->state, ALCH_TASK_CANCELED);
    ck_assert_ptr_nonnull(fake_last(&agent, ALCHI_KILL_GROUP));
}
END_TEST

START_TEST(progress_is_remembered)
{
    uint64_t matrix = ready_matrix();
    Alchw__WorkerProgress progress = ALCHW__WORKER_PROGRESS__INIT;
    Alchw__WaitTask wait = ALCHW__WAIT_TASK__INIT;

    submit(&client, 50, matrix, 0);
    wait.id = progress.task = ((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->id;
    progress.fraction = 0.25;
    progress.text = (char *)"iteration 3";
    fake_say(driver, &rank[0], ALCHI_WORKER_PROGRESS, 0, 0, &progress);
    fake_say(driver, &client, ALCHI_WAIT_TASK, 0, 51, &wait);
    ck_assert_double_eq(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->fraction, 0.25);
    ck_assert_str_eq(((const Alchw__Task *)fake_message(&client, ALCHI_TASK))->text, "iteration 3");
}
END_TEST

START_TEST(a_client_that_leaves_frees_all)
{
    uint64_t matrix = ready_matrix();
    alchi_responder_t responder = {.claim = {ALCHI_ROLE_EXECUTOR, client.link.session->id, 0, -1}};
    fake_t executor = {.link = {.ops = &fake_ops}};
    alch_error_t error;
    uint64_t group = client.link.session->group->id;

    alchi_driver_closed(driver, &other.link);
    unit_code(alchi_driver_admit(driver, &executor.link, &responder, 1, &error), ALCH_OK);
    request_workers(&executor, 2, 1, 0);
    expect_failure(&executor, 2, ALCH_EPERM, "attached");
    submit(&executor, 3, matrix, 10000);
    alchi_driver_closed(driver, &client.link);
    ck_assert(executor.closed);
    expect_failure(&executor, 0, ALCH_ECONNECT, "its client is gone");
    ck_assert_ptr_nonnull(fake_last(&agent, ALCHI_KILL_GROUP));
    ck_assert_uint_eq(HASH_COUNT(driver->sessions), 0);
    group_ended(group);
    ck_assert_int_eq(alchi_slots_count(&driver->slots, ALCH_WORKER_IDLE), 4);
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
    alchi_driver_closed(driver, &client.link);
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
    alchi_driver_closed(driver, &agent.link);
    ck_assert_int_eq(alchi_slots_total(&driver->slots), 0);
    fake_say(driver, &client, ALCHI_GET_GROUP, 0, 60, NULL);
    expect_failure(&client, 60, ALCH_EGROUP, "the connection to the agent on here ended");
    ck_assert_ptr_null(driver->groups);
    say_hello();
    ck_assert_int_eq(alchi_slots_total(&driver->slots), 4);
}
END_TEST

START_TEST(stopping_ends_sessions_and_groups)
{
    uint64_t group = start_group(&client, 2);

    ck_assert(!alchi_driver_idle(driver));
    alchi_driver_stop(driver, "the driver is stopping (SIGTERM)");
    expect_failure(&client, 0, ALCH_ECONNECT, "the driver is stopping");
    ck_assert(client.closed && other.closed);
    ck_assert(!alchi_driver_idle(driver));
    group_ended(group);
    ck_assert(alchi_driver_idle(driver));
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
                                  create_is_undone_when_a_rank_refuses,
                                  a_silent_rank_ends_the_group,
                                  task_done,
                                  tasks_run_one_after_the_other,
                                  all_ranks_fail,
                                  results_of_a_failed_task_are_freed,
                                  one_rank_fails_and_the_other_hangs,
                                  cancel_running,
                                  progress_is_remembered,
                                  a_client_that_leaves_frees_all,
                                  close_waits_for_the_workers,
                                  pmi_pairs_come_back,
                                  an_agent_that_leaves_takes_its_slots,
                                  stopping_ends_sessions_and_groups,
                                  strings_and_lists};
    TCase *tcase = tcase_create("core");
    size_t i;

    tcase_add_checked_fixture(tcase, setup, teardown);
    for (i = 0; i < ALCHI_COUNT(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
}
