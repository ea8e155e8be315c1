/**
 * @file driver_fake.h
 * A driver whose links record what it sends. Nothing is connected: the test acts as agent, ranks and clients.
 *
 * Each test creates a fake_driver_t and destroys it. Functions that take a link act as the peer at its other end: a
 * client, an executor, a rank or the agent.
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
#include <stdlib.h>
#include <string.h>

#define SENT_MAX 64   /* messages that a link records until forget_sent() */
#define RANKS_MAX 4   /* of one group */
#define AGENT_SLOTS 4 /* slots 1 to 4, with data ports from 5001 */

/* A message that the driver sent. */
typedef struct {
    unsigned type;
    uint64_t id;
    void *message; /* NULL: empty */
} sent_t;

typedef struct {
    alchi_drv_link_t link;
    alchi_drv_t *driver; /* at the other end */
    sent_t sent[SENT_MAX];
    int count;
    bool closed; /* by the driver */
} fake_link_t;

/* A driver with one agent, and the clients of two sessions. The configuration allows two clients. */
typedef struct {
    alchi_drv_config_t config;
    uint8_t token[ALCHI_KEY_SIZE];
    alchi_drv_t *driver;
    fake_link_t agent;
    fake_link_t client, other;        /* each has a session */
    fake_link_t extra;                /* not connected: for a third client or an executor */
    fake_link_t ranks[RANKS_MAX];     /* of the group of `client` */
    fake_link_t new_ranks[RANKS_MAX]; /* of its second group during a move */
    uint64_t group;                   /* id of the group of `client`; 0: start_ready_group() was not called */
    int size;                         /* of this group */
} fake_driver_t;

/* ---- what the driver sent ---- */

static inline void
record_sent(alchi_drv_link_t *link, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    fake_link_t *fake = ALCHI_CONTAINER(link, fake_link_t, link);

    (void)flags;
    ck_assert_int_lt(fake->count, SENT_MAX);
    fake->sent[fake->count++] = (sent_t){type, id, message ? alchi_message_copy(message) : NULL};
}

static inline void
record_close(alchi_drv_link_t *link)
{
    ALCHI_CONTAINER(link, fake_link_t, link)->closed = true;
}

static inline void
forget_sent(fake_link_t *link)
{
    while (link->count)
        alchi_message_free(link->sent[--link->count].message);
}

/* The last message of a type, or NULL. */
static inline const sent_t *
find_sent(const fake_link_t *link, unsigned type)
{
    for (int i = link->count - 1; i >= 0; i--) {
        if (link->sent[i].type == type)
            return &link->sent[i];
    }
    return NULL;
}

/* A message of this type was sent. @return the last one */
static inline const sent_t *
expect_sent(const fake_link_t *link, unsigned type)
{
    const sent_t *sent = find_sent(link, type);

    ck_assert_msg(sent != NULL, "no %s was sent", alchi_message_name(type));
    return sent;
}

static inline void
expect_not_sent(const fake_link_t *link, unsigned type)
{
    ck_assert_msg(!find_sent(link, type), "%s was sent", alchi_message_name(type));
}

/* The last message of a type, which is not empty. */
static inline const void *
sent_message(const fake_link_t *link, unsigned type)
{
    const sent_t *sent = expect_sent(link, type);

    ck_assert_msg(sent->message != NULL, "an empty %s was sent", alchi_message_name(type));
    return sent->message;
}

/* The last error that was sent answers request `id`, has this code, and its text has this part. Id 0: it answers no
 * request, but says why the connection is closed. */
static inline void
expect_error(const fake_link_t *link, uint64_t id, int code, const char *part)
{
    const Alchw__Error *error = sent_message(link, ALCHI_ERROR);

    ck_assert_msg(find_sent(link, ALCHI_ERROR)->id == id, "request %llu did not fail", (unsigned long long)id);
    ck_assert_msg((int)error->code == code, "%s: %s", alch_errname((int)error->code), error->text);
    ck_assert_msg(strstr(error->text, part) != NULL, "'%s' lacks '%s'", error->text, part);
}

static inline const Alchw__Group *
sent_group(const fake_link_t *link)
{
    return sent_message(link, ALCHI_GROUP);
}

static inline const Alchw__WorkerList *
sent_workers(const fake_link_t *link)
{
    return sent_message(link, ALCHI_WORKER_LIST);
}

static inline const Alchw__Matrix *
sent_matrix(const fake_link_t *link)
{
    return sent_message(link, ALCHI_MATRIX);
}

static inline const Alchw__Task *
sent_task(const fake_link_t *link)
{
    return sent_message(link, ALCHI_TASK);
}

static inline const Alchw__Spawn *
sent_spawn(const fake_driver_t *fake)
{
    return sent_message(&fake->agent, ALCHI_SPAWN);
}

static inline const Alchw__WorkerTask *
sent_worker_task(const fake_link_t *rank)
{
    return sent_message(rank, ALCHI_WORKER_TASK);
}

/* The agent was told to end this group. */
static inline void
expect_group_killed(const fake_driver_t *fake, uint64_t group)
{
    bool killed = false;

    for (int i = 0; i < fake->agent.count; i++)
        killed = killed || (fake->agent.sent[i].type == ALCHI_KILL_GROUP &&
                            ((const Alchw__KillGroup *)fake->agent.sent[i].message)->group == group);
    ck_assert_msg(killed, "group %llu was not killed", (unsigned long long)group);
}

/* ---- connections and messages to the driver ---- */

static inline void
send_frame(fake_link_t *link, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    alchi_frame_t frame = {.type = (uint16_t)type, .flags = (uint8_t)flags, .id = id};
    alch_error_t error;

    unit_code(alchi_drv_on_message(link->driver, &link->link, &frame, message, &error), ALCH_OK);
}

/* @param id  of the request; 0: the message is no request */
static inline void
send_message(fake_link_t *link, unsigned type, uint64_t id, const void *message)
{
    send_frame(link, type, 0, id, message);
}

/* Initialize the link of a new connection. */
static inline void
init_link(fake_driver_t *fake, fake_link_t *link)
{
    static const alchi_drv_link_ops_t ops = {record_sent, record_close};

    link->driver = fake->driver;
    link->link = (alchi_drv_link_t){.ops = &ops};
}

/* Connect a peer that has authenticated as what it claims to be. @return as alchi_drv_admit() */
static inline int
connect_peer(fake_driver_t *fake, fake_link_t *link, alchi_claim_t claim, alch_error_t *err)
{
    alchi_responder_t responder = {.claim = claim, .name = "unit"};

    init_link(fake, link);
    return alchi_drv_admit(fake->driver, &link->link, &responder, 1, err);
}

static inline void
connect_client(fake_driver_t *fake, fake_link_t *link)
{
    alch_error_t error;

    unit_code(connect_peer(fake, link, (alchi_claim_t){ALCHI_ROLE_CLIENT, 0, 0, -1}, &error), ALCH_OK);
}

static inline void
disconnect(fake_link_t *link)
{
    alchi_drv_on_closed(link->driver, &link->link);
}

static inline void
connect_agent(fake_driver_t *fake)
{
    Alchw__AgentHello hello = ALCHW__AGENT_HELLO__INIT;
    Alchw__AgentSlot slots[AGENT_SLOTS], *list[AGENT_SLOTS];

    for (int i = 0; i < AGENT_SLOTS; i++) {
        alchw__agent_slot__init(&slots[i]);
        slots[i].port = 5001 + (unsigned)i;
        list[i] = &slots[i];
    }
    hello.host = hello.node = (char *)"here";
    hello.n_slots = AGENT_SLOTS;
    hello.slots = list;
    hello.memory = 4000;
    hello.cores = 2;
    init_link(fake, &fake->agent);
    fake->agent.link.role = ALCHI_ROLE_AGENT;
    fake->agent.link.is_own_agent = true;
    send_message(&fake->agent, ALCHI_AGENT_HELLO, 0, &hello);
}

static inline fake_driver_t *
create_fake_driver(void)
{
    fake_driver_t *fake = calloc(1, sizeof(*fake));

    ck_assert_ptr_nonnull(fake);
    alchi_log_init("test", ALCHI_LOG_ERROR);
    fake->config = (alchi_drv_config_t){.start_timeout_ms = 30000,
                                        .fail_grace_ms = 5000,
                                        .client_timeout_ms = 60000,
                                        .io_timeout_ms = 30000,
                                        .connections = 2,
                                        .message_limit = 1 << 20,
                                        .data_threads = 1,
                                        .log_level = "error"};
    memset(fake->token, 7, sizeof(fake->token));
    fake->driver = alchi_drv_create(&fake->config, fake->token);
    ck_assert_ptr_nonnull(fake->driver);
    connect_agent(fake);
    connect_client(fake, &fake->client);
    connect_client(fake, &fake->other);
    return fake;
}

static inline void
destroy_fake_driver(fake_driver_t *fake)
{
    alchi_drv_destroy(fake->driver);
    forget_sent(&fake->agent);
    forget_sent(&fake->client);
    forget_sent(&fake->other);
    forget_sent(&fake->extra);
    for (int i = 0; i < RANKS_MAX; i++) {
        forget_sent(&fake->ranks[i]);
        forget_sent(&fake->new_ranks[i]);
    }
    free(fake);
}

/* Run the timers as if this time had passed. */
static inline void
run_timers(fake_driver_t *fake, int64_t ms)
{
    alchi_drv_timers_run(&fake->driver->timers, alchi_deadline_in_ms(ms));
}

/* ---- requests of a client ---- */

static inline void
request_workers(fake_link_t *client, uint64_t id, uint32_t count, uint32_t wait_ms)
{
    Alchw__RequestWorkers message = ALCHW__REQUEST_WORKERS__INIT;

    message.count = count;
    message.wait_ms = wait_ms;
    send_message(client, ALCHI_REQUEST_WORKERS, id, &message);
}

/* Give workers back. @param count  0: all of them */
static inline void
yield_workers(fake_link_t *client, uint64_t id, const uint32_t *slots, size_t count)
{
    Alchw__YieldWorkers message = ALCHW__YIELD_WORKERS__INIT;

    message.n_slots = count;
    message.slots = (uint32_t *)slots;
    send_message(client, ALCHI_YIELD_WORKERS, id, &message);
}

static inline void
request_matrix(fake_link_t *client, uint64_t id, int64_t rows, int64_t cols, uint32_t dtype)
{
    Alchw__CreateMatrix message = ALCHW__CREATE_MATRIX__INIT;

    message.rows = rows;
    message.cols = cols;
    message.dtype = dtype;
    send_message(client, ALCHI_CREATE_MATRIX, id, &message);
}

static inline void
get_matrix(fake_link_t *client, uint64_t id, uint64_t matrix)
{
    Alchw__MatrixId message = ALCHW__MATRIX_ID__INIT;

    message.has_id = true;
    message.id = matrix;
    send_message(client, ALCHI_GET_MATRIX, id, &message);
}

static inline void
free_matrix(fake_link_t *client, uint64_t id, uint64_t matrix)
{
    Alchw__MatrixId message = ALCHW__MATRIX_ID__INIT;

    message.has_id = true;
    message.id = matrix;
    send_message(client, ALCHI_FREE_MATRIX, id, &message);
}

static inline void
get_group(fake_link_t *client, uint64_t id)
{
    send_message(client, ALCHI_GET_GROUP, id, NULL);
}

/* Call Lib.run, which load_library() has loaded. */
static inline void
submit_task(fake_link_t *client, uint64_t id, uint64_t matrix, uint32_t wait_ms)
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
    send_message(client, ALCHI_SUBMIT_TASK, id, &call);
    alchi_message_free(argument);
}

/* ---- messages of the agent ---- */

static inline void
report_group_ended(fake_driver_t *fake, uint64_t group)
{
    Alchw__GroupEnded ended = ALCHW__GROUP_ENDED__INIT;

    ended.group = group;
    send_message(&fake->agent, ALCHI_GROUP_ENDED, 0, &ended);
}

static inline void
report_rank_killed(fake_driver_t *fake, uint64_t group, unsigned rank)
{
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;

    exit.group = group;
    exit.rank = rank;
    exit.signal = SIGKILL;
    send_message(&fake->agent, ALCHI_RANK_EXIT, 0, &exit);
}

/* ---- messages of the ranks ---- */

/* A rank of a group of `client` connects, and reports that it is ready. */
static inline void
join_rank(fake_driver_t *fake, fake_link_t *link, uint64_t group, int rank)
{
    alchi_claim_t claim = {ALCHI_ROLE_RANK, fake->client.link.session->id, group, rank};
    Alchw__WorkerJoin join = ALCHW__WORKER_JOIN__INIT;
    alch_error_t error;

    unit_code(connect_peer(fake, link, claim, &error), ALCH_OK);
    join.stage = ALCHW__JOIN_STAGE__JOIN_READY;
    send_message(link, ALCHI_WORKER_JOIN, 0, &join);
}

/* Ranks 0 to count - 1 join. */
static inline void
join_ranks(fake_driver_t *fake, fake_link_t *links, uint64_t group, int count)
{
    for (int i = 0; i < count; i++)
        join_rank(fake, &links[i], group, i);
}

/* A rank answers the last command of a type. */
static inline void
answer_command(fake_link_t *rank, unsigned command, unsigned type, const void *message)
{
    send_frame(rank, type, ALCHI_FRAME_REPLY, expect_sent(rank, command)->id, message);
}

static inline void
confirm_command(fake_link_t *rank, unsigned command)
{
    answer_command(rank, command, ALCHI_EMPTY, NULL);
}

static inline void
fail_command(fake_link_t *rank, unsigned command, int code, const char *text)
{
    Alchw__Error error = ALCHW__ERROR__INIT;

    error.code = (uint32_t)code;
    error.text = (char *)text;
    answer_command(rank, command, ALCHI_ERROR, &error);
}

/* All ranks of the group of `client` confirm the last command of a type. */
static inline void
confirm_on_all(fake_driver_t *fake, unsigned command)
{
    for (int i = 0; i < fake->size; i++)
        confirm_command(&fake->ranks[i], command);
}

/* A rank returns from its last task, with a matrix of 2 x 2 as result, after 0.5 s. */
static inline void
finish_task(fake_link_t *rank, uint64_t result)
{
    Alchw__WorkerTaskDone done = ALCHW__WORKER_TASK_DONE__INIT;
    Alchw__Matrix matrix = ALCHW__MATRIX__INIT, *list = &matrix;

    matrix.has_id = matrix.has_rows = matrix.has_cols = matrix.has_dtype = done.has_seconds = 1;
    matrix.id = result;
    matrix.rows = matrix.cols = 2;
    matrix.dtype = ALCH_FLOAT64;
    done.n_matrices = 1;
    done.matrices = &list;
    done.seconds = 0.5;
    answer_command(rank, ALCHI_WORKER_TASK, ALCHI_WORKER_TASK_DONE, &done);
}

/* ---- common beginnings ---- */

static inline void
forget_sent_to_ranks(fake_driver_t *fake)
{
    for (int i = 0; i < RANKS_MAX; i++)
        forget_sent(&fake->ranks[i]);
}

/* Start a group of `client`, and wait until it is ready. */
static inline void
start_ready_group(fake_driver_t *fake, int size)
{
    request_workers(&fake->client, 10, (uint32_t)size, 1000);
    fake->group = sent_spawn(fake)->group;
    fake->size = size;
    join_ranks(fake, fake->ranks, fake->group, size);
    ck_assert(sent_group(&fake->client)->ready);
    forget_sent_to_ranks(fake);
}

/* Create a matrix on the group of `client`. @return its id */
static inline uint64_t
create_matrix(fake_driver_t *fake, int64_t rows, int64_t cols)
{
    request_matrix(&fake->client, 20, rows, cols, ALCH_FLOAT64);
    confirm_on_all(fake, ALCHI_WORKER_RESERVE);
    return sent_matrix(&fake->client)->id;
}

/* Load library Lib, with function run, on the group of `client`. */
static inline void
load_library(fake_driver_t *fake)
{
    Alchw__LoadLibrary load = ALCHW__LOAD_LIBRARY__INIT;
    Alchw__Library library = ALCHW__LIBRARY__INIT;
    Alchw__Function *function;
    alch_error_t error;

    load.name = (char *)"Lib";
    load.wait_ms = 1000;
    send_message(&fake->client, ALCHI_LOAD_LIBRARY, 30, &load);
    unit_code(alchi_function_parse("run", "A:matrix, k:int64=10 -> B:matrix, n:int64", "runs", "", &function, &error),
              ALCH_OK);
    library.name = (char *)"Lib";
    library.version = (char *)"1";
    library.n_functions = 1;
    library.functions = &function;
    for (int i = 0; i < fake->size; i++)
        answer_command(&fake->ranks[i], ALCHI_WORKER_LOAD, ALCHI_LIBRARY, &library);
    alchi_message_free(function);
    ck_assert(!((const Alchw__Library *)sent_message(&fake->client, ALCHI_LIBRARY))->loading);
}

/* Start a group of two, load the library, and create a matrix of 10 x 3 that no task has read. @return its id */
static inline uint64_t
create_unchecked_matrix(fake_driver_t *fake)
{
    start_ready_group(fake, 2);
    load_library(fake);
    return create_matrix(fake, 10, 3);
}

/* As create_unchecked_matrix(). Then the first task reads the matrix and ends, so that the matrix is known to be
 * complete. @return the id of the matrix */
static inline uint64_t
create_complete_matrix(fake_driver_t *fake)
{
    uint64_t matrix = create_unchecked_matrix(fake), result;

    submit_task(&fake->client, 39, matrix, 1000);
    confirm_on_all(fake, ALCHI_WORKER_CHECK);
    result = sent_worker_task(&fake->ranks[0])->first_result_id;
    finish_task(&fake->ranks[0], result);
    finish_task(&fake->ranks[1], result);
    forget_sent_to_ranks(fake);
    return matrix;
}

/* One test case with these tests. */
static inline void
add_tests(Suite *suite, const char *name, const TTest *const *tests, size_t count)
{
    TCase *tcase = tcase_create(name);

    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
}

#endif
