/* The control thread of a rank and its queue of jobs, driven over a socket pair. */
#include "base/log.h"
#include "unit.h"
#include "worker/control_thread.h"

#include <alchemist/library.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 10000

static alch_error_t err;

typedef struct {
    alchi_store_t *store;
    alchi_rank_queue_t *queue;
    alchi_rank_control_t *control;
    alchi_channel_t *driver, *rank;
} rank_t;

/* The control thread never ends but with the process, so that no test frees what it uses; nor is it lost to those who
 * look for leaks ("used": the compiler may not drop what nobody reads). */
static rank_t kept __attribute__((used));

static rank_t
rank_start(void)
{
    alchi_rank_control_env_t env = {.rank = 1, .size = 2};
    rank_t rank;
    int fds[2];

    alchi_log_init("test", ALCHI_LOG_ERROR);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    rank.driver = alchi_channel_create(alchi_stream_create(fds[0]));
    rank.rank = alchi_channel_create(alchi_stream_create(fds[1]));
    alchi_channel_set_limits(rank.driver, ALCHI_META_MAX, 0);
    alchi_channel_set_limits(rank.rank, ALCHI_META_MAX, 0);
    rank.store = alchi_store_create(1, 2, 1000000);
    rank.queue = alchi_rank_queue_create(rank.store);
    env.channel = rank.rank;
    env.store = rank.store;
    env.queue = rank.queue;
    unit_code(alchi_rank_control_start(&env, &rank.control, &err), ALCH_OK);
    kept = rank;
    return rank;
}

static void
ask(rank_t *rank, unsigned type, uint64_t id, const void *message)
{
    unit_code(alchi_channel_send(rank->driver, type, 0, id, message), ALCH_OK);
    unit_code(alchi_channel_flush_by(rank->driver, alchi_deadline_in_ms(WAIT_MS)), ALCH_OK);
}

static int
answered(rank_t *rank, uint64_t id, unsigned type, ProtobufCMessage **message_p)
{
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int rc = alchi_channel_receive_by(rank->driver, alchi_deadline_in_ms(WAIT_MS), &frame, &message);

    if (rc)
        return rc;
    rc = frame.id == id && frame.type == type ? ALCH_OK : ALCH_EPROTO;
    if (frame.type == ALCHI_ERROR && frame.id == id) {
        const Alchw__Error *error = (Alchw__Error *)message;

        rc = (int)error->code;
        err.rank = error->rank;
        snprintf(err.text, sizeof err.text, "%s", error->text);
    }
    if (rc == ALCH_OK && message_p)
        *message_p = message;
    else
        alchi_message_free(message);
    return rc;
}

static int
reserve(rank_t *rank, uint64_t id, int64_t m, int64_t n, uint32_t workers)
{
    Alchw__WorkerReserve reserve = ALCHW__WORKER_RESERVE__INIT;
    Alchw__Matrix matrix = ALCHW__MATRIX__INIT;
    Alchw__Layout layout = ALCHW__LAYOUT__INIT;

    layout.has_mb = layout.has_nb = layout.has_nprow = layout.has_npcol = true;
    layout.mb = layout.nb = 4;
    layout.nprow = 1;
    layout.npcol = 2;
    matrix.has_id = matrix.has_rows = matrix.has_cols = matrix.has_dtype = matrix.has_workers = true;
    matrix.id = id;
    matrix.rows = m;
    matrix.cols = n;
    matrix.dtype = ALCH_FLOAT64;
    matrix.workers = workers;
    matrix.layout = &layout;
    matrix.name = "A";
    reserve.matrix = &matrix;
    ask(rank, ALCHI_WORKER_RESERVE, 1, &reserve);
    return answered(rank, 1, ALCHI_EMPTY, NULL);
}

static int
free_matrix(rank_t *rank, uint64_t id)
{
    Alchw__WorkerFree message = ALCHW__WORKER_FREE__INIT;

    message.has_id = true;
    message.id = id;
    ask(rank, ALCHI_WORKER_FREE, 2, &message);
    return answered(rank, 2, ALCHI_EMPTY, NULL);
}

static void
send_task(rank_t *rank, uint64_t request, uint64_t task, uint64_t matrix, bool start)
{
    Alchw__WorkerTask message = ALCHW__WORKER_TASK__INIT;
    Alchw__NamedValue argument = ALCHW__NAMED_VALUE__INIT, *arguments[1] = {&argument};
    Alchw__Value value = ALCHW__VALUE__INIT;

    value.has_type = true;
    value.type = ALCH_TYPE_MATRIX;
    value.n_u = 1;
    value.u = &matrix;
    argument.name = "A";
    argument.value = &value;
    message.has_task = message.has_start = true;
    message.task = task;
    message.start = start;
    message.library = "L";
    message.function = "f";
    message.n_arguments = matrix ? 1 : 0;
    message.arguments = arguments;
    ask(rank, ALCHI_WORKER_TASK, request, &message);
}

static void
order(rank_t *rank, unsigned type, uint64_t task)
{
    Alchw__WorkerStart message = ALCHW__WORKER_START__INIT; /* all orders have this one field */

    message.has_task = true;
    message.task = task;
    ask(rank, type, 0, &message);
}

/* What was sent before has been handled when this returns. */
static void
settle(rank_t *rank)
{
    ask(rank, ALCHI_PING, 99, NULL);
    unit_code(answered(rank, 99, ALCHI_EMPTY, NULL), ALCH_OK);
}

START_TEST(matrices)
{
    Alchw__WorkerCheck check = ALCHW__WORKER_CHECK__INIT;
    alch_rect_t all = {0, 0, 10, 4};
    rank_t rank = rank_start();
    uint64_t ids[] = {5};
    alchi_store_part_t *part;

    unit_code(reserve(&rank, 5, 10, 8, 3), ALCH_EPROTO);
    unit_code(reserve(&rank, 5, -1, 8, 2), ALCH_EINVAL);
    unit_code(reserve(&rank, 5, 10000, 1000, 2), ALCH_ELIMIT);
    ck_assert_int_eq(err.rank, 1);
    unit_code(reserve(&rank, 5, 10, 8, 2), ALCH_OK);
    unit_code(reserve(&rank, 5, 10, 8, 2), ALCH_EINVAL);
    ask(&rank, ALCHI_WORKER_RESERVE, 1, NULL);
    unit_code(answered(&rank, 1, ALCHI_EMPTY, NULL), ALCH_EPROTO);
    check.n_ids = 1;
    check.ids = ids;
    ask(&rank, ALCHI_WORKER_CHECK, 3, &check);
    unit_code(answered(&rank, 3, ALCHI_EMPTY, NULL), ALCH_EINCOMPLETE);
    unit_code(alchi_store_acquire(rank.store, 5, &part, &err), ALCH_OK);
    unit_code(alchi_store_mark_written(rank.store, part, &all, &err), ALCH_OK);
    ask(&rank, ALCHI_WORKER_CHECK, 3, &check);
    unit_code(answered(&rank, 3, ALCHI_EMPTY, NULL), ALCH_OK);
    ask(&rank, ALCHI_WORKER_CHECK, 4, NULL);
    unit_code(answered(&rank, 4, ALCHI_EMPTY, NULL), ALCH_OK);
    alchi_store_release(rank.store, part);
    unit_code(free_matrix(&rank, 5), ALCH_OK);
    unit_code(free_matrix(&rank, 5), ALCH_ENOENT);
    ck_assert_int_eq(alchi_store_used(rank.store), 0);
    ask(&rank, ALCHI_LIST_WORKERS, 8, NULL);
    unit_code(answered(&rank, 8, ALCHI_EMPTY, NULL), ALCH_EPROTO);
}
END_TEST

START_TEST(tasks_run_as_they_are_started)
{
    Alchw__WorkerLoad load = ALCHW__WORKER_LOAD__INIT;
    rank_t rank = rank_start();
    alchi_rank_job_t *job;

    unit_code(reserve(&rank, 5, 10, 8, 2), ALCH_OK);
    send_task(&rank, 10, 1, 5, false);
    send_task(&rank, 11, 2, 5, false);
    send_task(&rank, 12, 3, 0, false);
    load.name = "L";
    ask(&rank, ALCHI_WORKER_LOAD, 13, &load);
    order(&rank, ALCHI_WORKER_START, 2);
    order(&rank, ALCHI_WORKER_START, 77);
    send_task(&rank, 14, 4, 0, true);
    unit_code(free_matrix(&rank, 5), ALCH_EBUSY);
    order(&rank, ALCHI_WORKER_DROP, 1);
    order(&rank, ALCHI_WORKER_DROP, 1);
    order(&rank, ALCHI_WORKER_CANCEL, 2);
    order(&rank, ALCHI_WORKER_CANCEL, 77);
    settle(&rank);
    job = alchi_rank_queue_next(rank.queue);
    ck_assert_uint_eq(job->request, 13);
    ck_assert_str_eq(job->load->name, "L");
    alchi_rank_queue_done(rank.queue, job);
    job = alchi_rank_queue_next(rank.queue);
    ck_assert_uint_eq(job->request, 11);
    ck_assert_uint_eq(job->task->task, 2);
    ck_assert(atomic_load(&job->cancel));
    unit_code(free_matrix(&rank, 5), ALCH_EBUSY);
    alchi_rank_queue_done(rank.queue, job);
    unit_code(free_matrix(&rank, 5), ALCH_OK);
    job = alchi_rank_queue_next(rank.queue);
    ck_assert_uint_eq(job->request, 14);
    ck_assert(!atomic_load(&job->cancel));
    order(&rank, ALCHI_WORKER_CANCEL, 4);
    settle(&rank);
    ck_assert(atomic_load(&job->cancel));
    alchi_rank_queue_done(rank.queue, job);
    order(&rank, ALCHI_WORKER_START, 3);
    job = alchi_rank_queue_next(rank.queue);
    ck_assert_uint_eq(job->request, 12);
    alchi_rank_queue_done(rank.queue, job);
}
END_TEST

START_TEST(tasks_that_cannot_be_queued)
{
    rank_t rank = rank_start();

    send_task(&rank, 10, 1, 5, false);
    unit_code(answered(&rank, 10, ALCHI_EMPTY, NULL), ALCH_ENOENT);
    ck_assert_int_eq(err.rank, 1);
    send_task(&rank, 11, 0, 0, true);
    unit_code(answered(&rank, 11, ALCHI_EMPTY, NULL), ALCH_EINVAL);
    ask(&rank, ALCHI_WORKER_TASK, 12, NULL);
    unit_code(answered(&rank, 12, ALCHI_EMPTY, NULL), ALCH_EINVAL);
}
END_TEST

/* The channel is used by two threads: what one leaves unsent the other sends. */
START_TEST(answers_from_two_threads)
{
    enum { MESSAGES = 400 };
    rank_t rank = rank_start();
    char *text = malloc(20001);
    Alchw__TestString message = ALCHW__TEST_STRING__INIT;
    int strings = 0, pongs = 0;

    memset(text, 'x', 20000);
    text[20000] = '\0';
    message.text = text;
    for (uint64_t k = 0; k < MESSAGES; k++) {
        unit_code(alchi_rank_control_send(rank.control, ALCHI_TEST_STRING, 1000, &message), ALCH_OK);
        unit_code(alchi_channel_send(rank.driver, ALCHI_PING, 0, 1 + k, NULL), ALCH_OK);
    }
    for (int k = 0; k < 2 * MESSAGES; k++) {
        ProtobufCMessage *got = NULL;
        alchi_frame_t frame;

        /* The driver's own pings may have been too many for the socket. */
        ck_assert_int_ne(alchi_channel_flush(rank.driver), ALCH_ECONNECT);
        unit_code(alchi_channel_receive_by(rank.driver, alchi_deadline_in_ms(WAIT_MS), &frame, &got), ALCH_OK);
        alchi_message_free(got);
        strings += frame.type == ALCHI_TEST_STRING;
        pongs += frame.type == ALCHI_EMPTY;
    }
    ck_assert_int_eq(strings, MESSAGES);
    ck_assert_int_eq(pongs, MESSAGES);
    free(text);
}
END_TEST

START_TEST(too_large_to_tell)
{
    rank_t rank = rank_start();
    Alchw__TestString message = ALCHW__TEST_STRING__INIT;

    message.text = calloc(1, ALCHI_META_MAX + 10);
    memset(message.text, 'x', ALCHI_META_MAX + 1);
    unit_code(alchi_rank_control_send(rank.control, ALCHI_TEST_STRING, 7, &message), ALCH_ERANGE);
    settle(&rank);
    free(message.text);
}
END_TEST

START_TEST(progress_is_throttled)
{
    rank_t rank = rank_start();
    ProtobufCMessage *message = NULL;
    const Alchw__WorkerProgress *progress;

    for (int k = 0; k < 1000; k++)
        alchi_rank_control_progress(rank.control, 6, 0.001 * k, "iterating");
    alchi_rank_control_progress(rank.control, 7, -1, NULL);
    unit_code(answered(&rank, 0, ALCHI_WORKER_PROGRESS, &message), ALCH_OK);
    progress = (Alchw__WorkerProgress *)message;
    ck_assert_uint_eq(progress->task, 6);
    ck_assert(progress->fraction == 0);
    ck_assert_str_eq(progress->text, "iterating");
    alchi_message_free(message);
    do {
        unit_code(answered(&rank, 0, ALCHI_WORKER_PROGRESS, &message), ALCH_OK);
        progress = (Alchw__WorkerProgress *)message;
        ck_assert(progress->task == 7 || progress->fraction > 0.1);
        if (progress->task == 7)
            break;
        alchi_message_free(message);
    } while (true);
    ck_assert(progress->fraction == -1);
    alchi_message_free(message);
    /* The last word comes, though nothing follows. */
    for (int k = 0; k < 100; k++)
        alchi_rank_control_progress(rank.control, 7, 0.25, k < 99 ? "soon" : "now for a long time");
    do {
        unit_code(answered(&rank, 0, ALCHI_WORKER_PROGRESS, &message), ALCH_OK);
        progress = (Alchw__WorkerProgress *)message;
        if (!strcmp(progress->text, "now for a long time"))
            break;
        alchi_message_free(message);
    } while (true);
    alchi_message_free(message);
    settle(&rank);
}
END_TEST

/* How a rank ends: 0 when told to quit, whatever its main thread does; at once when the driver is gone; by the
 * signal, unless an order to quit comes with it. */
static void
rank_in_child(int kind)
{
    rank_t rank = rank_start();
    alchi_rank_job_t *job;

    if (kind == 0) {
        ask(&rank, ALCHI_WORKER_QUIT, 0, NULL);
        job = alchi_rank_queue_next(rank.queue);
        _exit(job ? 99 : 42);
    } else if (kind == 1) {
        send_task(&rank, 1, 1, 0, true);
        job = alchi_rank_queue_next(rank.queue);
        ask(&rank, ALCHI_WORKER_QUIT, 0, NULL);
        for (int t = 0; t < 500 && !atomic_load(&job->cancel); t++)
            usleep(1000);
        if (!atomic_load(&job->cancel))
            _exit(98);
    } else if (kind == 2) {
        alchi_channel_destroy(rank.driver);
    } else if (kind == 4) {
        kill(getpid(), SIGTERM);
    } else if (kind == 5) {
        kill(getpid(), SIGTERM);
        usleep(20000);
        ask(&rank, ALCHI_WORKER_QUIT, 0, NULL);
        job = alchi_rank_queue_next(rank.queue);
        _exit(job ? 99 : 42);
    } else {
        alchi_channel_send(rank.driver, ALCHI_PING, 0, 1, NULL);
        if (write(alchi_channel_fd(rank.driver), "garbagegarbagegarbagegarbage1234", 32) != 32)
            _exit(97);
    }
    usleep(5000000);
    _exit(96);
}

START_TEST(ends)
{
    const int codes[] = {42, 0, ALCH_ECONNECT, ALCH_EPROTO, 0, 42};
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(95);
        rank_in_child(_i);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (_i == 4) {
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), SIGTERM);
        return;
    }
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), codes[_i]);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("control");

    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, matrices);
    tcase_add_test(tcase, tasks_run_as_they_are_started);
    tcase_add_test(tcase, tasks_that_cannot_be_queued);
    tcase_add_test(tcase, answers_from_two_threads);
    tcase_add_test(tcase, too_large_to_tell);
    tcase_add_test(tcase, progress_is_throttled);
    tcase_add_loop_test(tcase, ends, 0, 6);
    suite_add_tcase(suite, tcase);
}
