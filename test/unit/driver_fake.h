/** @file driver_fake.h  Recorded links for tests of the driver: what was sent can be looked at, nothing is connected.
 */
#ifndef ALCHI_DRIVER_FAKE_H
#define ALCHI_DRIVER_FAKE_H

#include "unit.h"
#include "base/log.h"
#include "base/util.h"
#include "driver/config.h"
#include "driver/driver.h"
#include "driver/link.h"
#include "wire/value.h"
#include <signal.h>
#include <string.h>

#define FAKE_SENT_MAX 64

typedef struct {
    unsigned type, flags;
    uint64_t id;
    void *message;
} fake_sent_t;

typedef struct {
    alchi_drv_link_t link;
    fake_sent_t sent[FAKE_SENT_MAX];
    int count;
    bool closed;
} fake_t;

static void
fake_send(alchi_drv_link_t *link, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    fake_t *fake = (fake_t *)link;

    ck_assert_int_lt(fake->count, FAKE_SENT_MAX);
    fake->sent[fake->count++] = (fake_sent_t){type, flags, id, message ? alchi_message_copy(message) : NULL};
}

static void
fake_close(alchi_drv_link_t *link)
{
    ((fake_t *)link)->closed = true;
}

static const alchi_drv_link_ops_t fake_ops = {fake_send, fake_close};

/* Forget what was sent so far. */
static inline void
fake_clear(fake_t *fake)
{
    while (fake->count)
        alchi_message_free(fake->sent[--fake->count].message);
}

/* The last message of a type, or NULL. */
static inline const fake_sent_t *
fake_last(const fake_t *fake, unsigned type)
{
    int i;

    for (i = fake->count - 1; i >= 0; i--) {
        if (fake->sent[i].type == type)
            return &fake->sent[i];
    }
    return NULL;
}

static inline const void *
fake_message(const fake_t *fake, unsigned type)
{
    const fake_sent_t *sent = fake_last(fake, type);

    ck_assert_msg(sent && sent->message, "no %s was sent", alchi_message_name(type));
    return sent->message;
}

static inline void
fake_say(alchi_drv_t *driver, fake_t *fake, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    alchi_frame_t frame = {.type = (uint16_t)type, .flags = (uint8_t)flags, .id = id};
    alch_error_t error;

    unit_code(alchi_drv_on_message(driver, &fake->link, &frame, message, &error), ALCH_OK);
}

#define RANKS 4

static alchi_drv_config_t config = {.start_timeout_ms = 30000,
                                    .fail_grace_ms = 5000,
                                    .client_timeout_ms = 60000,
                                    .io_timeout_ms = 30000,
                                    .connections = 2,
                                    .message_limit = 1 << 20,
                                    .data_threads = 1,
                                    .log_level = "error"};
static const uint8_t token[ALCHI_KEY_SIZE] = {1, 2, 3};
static alchi_drv_t *driver;
static fake_t agent, client, other, rank[RANKS];
static int ranks;

static inline void
open_client(fake_t *fake)
{
    alchi_responder_t responder = {.claim = {.role = ALCHI_ROLE_CLIENT}, .name = "unit"};
    alch_error_t error;

    fake->link.ops = &fake_ops;
    unit_code(alchi_drv_admit(driver, &fake->link, &responder, 1, &error), ALCH_OK);
}

static inline void
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
    agent.link = (alchi_drv_link_t){.ops = &fake_ops, .role = ALCHI_ROLE_AGENT, .is_own_agent = true};
    fake_say(driver, &agent, ALCHI_AGENT_HELLO, 0, 0, &hello);
}

static inline void
setup(void)
{
    alchi_log_init("test", ALCHI_LOG_ERROR);
    driver = alchi_drv_create(&config, token);
    ck_assert_ptr_nonnull(driver);
    memset(&client, 0, sizeof(client));
    memset(&other, 0, sizeof(other));
    memset(rank, 0, sizeof(rank));
    memset(&agent, 0, sizeof(agent));
    say_hello();
    open_client(&client);
    open_client(&other);
}

static inline void
teardown(void)
{
    int i;

    alchi_drv_destroy(driver);
    fake_clear(&client);
    fake_clear(&other);
    fake_clear(&agent);
    for (i = 0; i < RANKS; i++)
        fake_clear(&rank[i]);
}

/* ---- what the parts say ---- */

static inline void
request_workers(fake_t *fake, uint64_t id, uint32_t count, uint32_t wait_ms)
{
    Alchw__RequestWorkers message = ALCHW__REQUEST_WORKERS__INIT;

    message.count = count;
    message.wait_ms = wait_ms;
    fake_say(driver, fake, ALCHI_REQUEST_WORKERS, 0, id, &message);
}

static inline void
join_rank(int index, uint64_t session, uint64_t group)
{
    alchi_responder_t responder = {.claim = {ALCHI_ROLE_RANK, session, group, index}};
    Alchw__WorkerJoin join = ALCHW__WORKER_JOIN__INIT;
    alch_error_t error;

    rank[index].link = (alchi_drv_link_t){.ops = &fake_ops};
    unit_code(alchi_drv_admit(driver, &rank[index].link, &responder, 1, &error), ALCH_OK);
    join.stage = ALCHW__JOIN_STAGE__JOIN_READY;
    fake_say(driver, &rank[index], ALCHI_WORKER_JOIN, 0, 0, &join);
}

static inline uint64_t
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

static inline void
group_ended(uint64_t group)
{
    Alchw__GroupEnded ended = ALCHW__GROUP_ENDED__INIT;

    ended.group = group;
    fake_say(driver, &agent, ALCHI_GROUP_ENDED, 0, 0, &ended);
}

static inline void
rank_killed(uint64_t group, unsigned index)
{
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;

    exit.group = group;
    exit.rank = index;
    exit.signal = SIGKILL;
    fake_say(driver, &agent, ALCHI_RANK_EXIT, 0, 0, &exit);
}

/* A rank answers the last command of a type. */
static inline void
answer(int index, unsigned command, unsigned type, const void *message)
{
    const fake_sent_t *sent = fake_last(&rank[index], command);

    ck_assert_msg(sent != NULL, "rank %d got no %s", index, alchi_message_name(command));
    fake_say(driver, &rank[index], type, ALCHI_FRAME_REPLY, sent->id, message);
}

static inline void
answer_error(int index, unsigned command, int code, const char *text)
{
    Alchw__Error error = ALCHW__ERROR__INIT;

    error.code = (uint32_t)code;
    error.text = (char *)text;
    answer(index, command, ALCHI_ERROR, &error);
}

static inline void
answer_all(unsigned command, unsigned type, const void *message)
{
    int i;

    for (i = 0; i < ranks; i++)
        answer(i, command, type, message);
}

static inline const Alchw__Error *
failure(const fake_t *fake, uint64_t id)
{
    const fake_sent_t *sent = fake_last(fake, ALCHI_ERROR);

    ck_assert_msg(sent && sent->id == id, "request %llu did not fail", (unsigned long long)id);
    return sent->message;
}

static inline void
expect_failure(const fake_t *fake, uint64_t id, int code, const char *part)
{
    const Alchw__Error *error = failure(fake, id);

    ck_assert_msg((int)error->code == code, "%s: %s", alch_errname((int)error->code), error->text);
    ck_assert_msg(strstr(error->text, part) != NULL, "'%s' lacks '%s'", error->text, part);
}

static inline uint64_t
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

static inline void
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

static inline void
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
static inline void
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

static inline uint64_t
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

static inline void
add_tests(Suite *suite, const char *name, const TTest *const *tests, size_t count)
{
    TCase *tcase = tcase_create(name);
    size_t i;

    tcase_add_checked_fixture(tcase, setup, teardown);
    for (i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
}

#endif
