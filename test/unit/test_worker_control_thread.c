/* The control thread of a rank and its queue of jobs. The test is the driver, over a socket pair. */
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

/* The control thread runs until the process ends, so no test frees what it uses. This variable keeps all of it
 * reachable for a leak checker. The attribute keeps the compiler from removing the variable, which nothing reads. */
static rank_t kept __attribute__((used));

static rank_t
start_rank(void)
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
send_message(rank_t *rank, unsigned type, uint64_t id, const void *message)
{
    unit_code(alchi_channel_send(rank->driver, type, 0, id, message), ALCH_OK);
    unit_code(alchi_channel_flush_by(rank->driver, alchi_deadline_in_ms(WAIT_MS)), ALCH_OK);
}

/* Receive one message. @return ALCH_OK: it is of this type and for this id, and in *message_p unless that is NULL; the
 * code of an error that answers `id`; ALCH_EPROTO: any other message */
static int
receive_answer(rank_t *rank, uint64_t id, unsigned type, ProtobufCMessage **message_p)
{
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int code = alchi_channel_receive_by(rank->driver, alchi_deadline_in_ms(WAIT_MS), &frame, &message);

    if (code)
        return code;
    code = frame.id == id && frame.type == type ? ALCH_OK : ALCH_EPROTO;
    if (frame.type == ALCHI_ERROR && frame.id == id) {
        const Alchw__Error *error = (Alchw__Error *)message;

        code = (int)error->code;
        err.rank = error->rank;
        snprintf(err.text, sizeof(err.text), "%s", error->text);
    }
    if (code == ALCH_OK && message_p)
        *message_p = message;
    else
        alchi_message_free(message);
    return code;
}

static int
reserve_matrix(rank_t *rank, uint64_t id, int64_t m, int64_t n, uint32_t workers)
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
    send_message(rank, ALCHI_WORKER_RESERVE, 1, &reserve);
    return receive_answer(rank, 1, ALCHI_EMPTY, NULL);
}

static int
free_matrix(rank_t *rank, uint64_t id)
{
    Alchw__WorkerFree message = ALCHW__WORKER_FREE__INIT;

    message.has_id = true;
    message.id = id;
    send_message(rank, ALCHI_WORKER_FREE, 2, &message);
    return receive_answer(rank, 2, ALCHI_EMPTY, NULL);
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
    send_message(rank, ALCHI_WORKER_TASK, request, &message);
}

static void
send_order(rank_t *rank, unsigned type, uint64_t task)
{
    Alchw__WorkerStart message = ALCHW__WORKER_START__INIT; /* START, DROP and CANCEL have this one field */

    message.has_task = true;
    message.task = task;
    send_message(rank, type, 0, &message);
}

/* Wait until the control thread has handled all messages that were sent before. */
static void
wait_until_handled(rank_t *rank)
{
    send_message(rank, ALCHI_PING, 99, NULL);
    unit_code(receive_answer(rank, 99, ALCHI_EMPTY, NULL), ALCH_OK);
}

START_TEST(a_reserve_for_another_group_or_shape_is_refused)
{
    rank_t rank = start_rank();

    unit_code(reserve_matrix(&rank, 5, 10, 8, 3), ALCH_EPROTO);
    unit_code(reserve_matrix(&rank, 5, -1, 8, 2), ALCH_EINVAL);
    send_message(&rank, ALCHI_WORKER_RESERVE, 1, NULL);
    unit_code(receive_answer(&rank, 1, ALCHI_EMPTY, NULL), ALCH_EPROTO);
}
END_TEST

START_TEST(a_reserve_beyond_the_memory_limit_names_the_rank)
{
    rank_t rank = start_rank();

    unit_code(reserve_matrix(&rank, 5, 10000, 1000, 2), ALCH_ELIMIT);
    ck_assert_int_eq(err.rank, 1);
}
END_TEST

START_TEST(an_id_is_reserved_and_freed_once)
{
    rank_t rank = start_rank();

    unit_code(reserve_matrix(&rank, 5, 10, 8, 2), ALCH_OK);
    unit_code(reserve_matrix(&rank, 5, 10, 8, 2), ALCH_EINVAL);
    unit_code(free_matrix(&rank, 5), ALCH_OK);
    unit_code(free_matrix(&rank, 5), ALCH_ENOENT);
    ck_assert_int_eq(alchi_store_used(rank.store), 0);
}
END_TEST

START_TEST(a_check_says_whether_matrices_are_complete)
{
    Alchw__WorkerCheck check = ALCHW__WORKER_CHECK__INIT;
    alch_rect_t all = {0, 0, 10, 4};
    rank_t rank = start_rank();
    uint64_t ids[] = {5};
    alchi_store_part_t *part;

    unit_code(reserve_matrix(&rank, 5, 10, 8, 2), ALCH_OK);
    check.n_ids = 1;
    check.ids = ids;
    send_message(&rank, ALCHI_WORKER_CHECK, 3, &check);
    unit_code(receive_answer(&rank, 3, ALCHI_EMPTY, NULL), ALCH_EINCOMPLETE);
    unit_code(alchi_store_acquire(rank.store, 5, &part, &err), ALCH_OK);
    unit_code(alchi_store_mark_written(rank.store, part, &all, &err), ALCH_OK);
    alchi_store_release(rank.store, part);
    send_message(&rank, ALCHI_WORKER_CHECK, 3, &check);
    unit_code(receive_answer(&rank, 3, ALCHI_EMPTY, NULL), ALCH_OK);
}
END_TEST

START_TEST(a_check_of_no_matrices_succeeds)
{
    rank_t rank = start_rank();

    send_message(&rank, ALCHI_WORKER_CHECK, 4, NULL);
    unit_code(receive_answer(&rank, 4, ALCHI_EMPTY, NULL), ALCH_OK);
}
END_TEST

START_TEST(a_message_that_is_not_for_ranks_is_refused)
{
    rank_t rank = start_rank();

    send_message(&rank, ALCHI_LIST_WORKERS, 8, NULL);
    unit_code(receive_answer(&rank, 8, ALCHI_EMPTY, NULL), ALCH_EPROTO);
}
END_TEST

/* The next job must answer this request. */
static alchi_rank_job_t *
take_job(rank_t *rank, uint64_t request)
{
    alchi_rank_job_t *job = alchi_rank_queue_next(rank->queue);

    ck_assert_uint_eq(job->request, request);
    return job;
}

static void
run_job(rank_t *rank, uint64_t request)
{
    alchi_rank_queue_done(rank->queue, take_job(rank, request));
}

START_TEST(jobs_run_in_the_order_in_which_they_became_runnable)
{
    Alchw__WorkerLoad load = ALCHW__WORKER_LOAD__INIT;
    rank_t rank = start_rank();

    send_task(&rank, 11, 2, 0, false);
    send_task(&rank, 12, 3, 0, false);
    load.name = "L";
    send_message(&rank, ALCHI_WORKER_LOAD, 13, &load);
    send_order(&rank, ALCHI_WORKER_START, 2);
    send_order(&rank, ALCHI_WORKER_START, 77); /* an unknown task changes nothing */
    send_task(&rank, 14, 4, 0, true);
    send_order(&rank, ALCHI_WORKER_START, 3);
    wait_until_handled(&rank);
    run_job(&rank, 13);
    run_job(&rank, 11);
    run_job(&rank, 14);
    run_job(&rank, 12);
}
END_TEST

START_TEST(a_job_has_the_message_of_its_command)
{
    Alchw__WorkerLoad load = ALCHW__WORKER_LOAD__INIT;
    rank_t rank = start_rank();
    alchi_rank_job_t *job;

    load.name = "L";
    send_message(&rank, ALCHI_WORKER_LOAD, 13, &load);
    send_task(&rank, 11, 2, 0, true);
    job = take_job(&rank, 13);
    ck_assert_str_eq(job->load->name, "L");
    alchi_rank_queue_done(rank.queue, job);
    job = take_job(&rank, 11);
    ck_assert_uint_eq(job->task->task, 2);
    alchi_rank_queue_done(rank.queue, job);
}
END_TEST

START_TEST(a_dropped_task_does_not_run)
{
    rank_t rank = start_rank();

    send_task(&rank, 10, 1, 0, false);
    send_order(&rank, ALCHI_WORKER_DROP, 1);
    send_order(&rank, ALCHI_WORKER_DROP, 1); /* the second drop finds no task */
    send_order(&rank, ALCHI_WORKER_START, 1);
    send_task(&rank, 11, 2, 0, true);
    wait_until_handled(&rank);
    run_job(&rank, 11);
    ck_assert(!alchi_rank_queue_pending(rank.queue));
}
END_TEST

START_TEST(a_matrix_is_busy_until_the_last_task_that_reads_it_ends)
{
    rank_t rank = start_rank();
    alchi_rank_job_t *job;

    unit_code(reserve_matrix(&rank, 5, 10, 8, 2), ALCH_OK);
    send_task(&rank, 10, 1, 5, false);
    send_task(&rank, 11, 2, 5, true);
    unit_code(free_matrix(&rank, 5), ALCH_EBUSY);
    send_order(&rank, ALCHI_WORKER_DROP, 1);
    unit_code(free_matrix(&rank, 5), ALCH_EBUSY);
    job = take_job(&rank, 11);
    unit_code(free_matrix(&rank, 5), ALCH_EBUSY);
    alchi_rank_queue_done(rank.queue, job);
    unit_code(free_matrix(&rank, 5), ALCH_OK);
}
END_TEST

START_TEST(a_cancel_reaches_a_task_before_and_while_it_runs)
{
    rank_t rank = start_rank();
    alchi_rank_job_t *job;

    send_task(&rank, 11, 2, 0, true);
    send_task(&rank, 14, 4, 0, true);
    send_order(&rank, ALCHI_WORKER_CANCEL, 2);
    send_order(&rank, ALCHI_WORKER_CANCEL, 77); /* an unknown task changes nothing */
    wait_until_handled(&rank);
    job = take_job(&rank, 11);
    ck_assert(atomic_load(&job->cancel));
    alchi_rank_queue_done(rank.queue, job);
    job = take_job(&rank, 14);
    ck_assert(!atomic_load(&job->cancel));
    send_order(&rank, ALCHI_WORKER_CANCEL, 4);
    wait_until_handled(&rank);
    ck_assert(atomic_load(&job->cancel));
    alchi_rank_queue_done(rank.queue, job);
}
END_TEST

START_TEST(a_task_that_reads_an_unknown_matrix_is_refused)
{
    rank_t rank = start_rank();

    send_task(&rank, 10, 1, 5, false);
    unit_code(receive_answer(&rank, 10, ALCHI_EMPTY, NULL), ALCH_ENOENT);
    ck_assert_int_eq(err.rank, 1);
}
END_TEST

START_TEST(a_task_without_a_number_is_refused)
{
    rank_t rank = start_rank();

    send_task(&rank, 11, 0, 0, true);
    unit_code(receive_answer(&rank, 11, ALCHI_EMPTY, NULL), ALCH_EINVAL);
    send_message(&rank, ALCHI_WORKER_TASK, 12, NULL);
    unit_code(receive_answer(&rank, 12, ALCHI_EMPTY, NULL), ALCH_EINVAL);
}
END_TEST

/* Two threads of the rank use the channel: what the main thread leaves unsent, the control thread sends. */
START_TEST(messages_of_both_threads_arrive_complete)
{
    enum { MESSAGES = 400 };
    rank_t rank = start_rank();
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

        /* Send the pings that did not fit into the socket. */
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

START_TEST(a_message_beyond_the_limit_is_not_sent)
{
    rank_t rank = start_rank();
    Alchw__TestString message = ALCHW__TEST_STRING__INIT;

    message.text = calloc(1, ALCHI_META_MAX + 10);
    memset(message.text, 'x', ALCHI_META_MAX + 1);
    unit_code(alchi_rank_control_send(rank.control, ALCHI_TEST_STRING, 7, &message), ALCH_ERANGE);
    wait_until_handled(&rank);
    free(message.text);
}
END_TEST

/* Receive the next report of progress. The caller frees it. */
static Alchw__WorkerProgress *
receive_progress(rank_t *rank)
{
    ProtobufCMessage *message = NULL;

    unit_code(receive_answer(rank, 0, ALCHI_WORKER_PROGRESS, &message), ALCH_OK);
    return (Alchw__WorkerProgress *)message;
}

START_TEST(the_first_report_of_progress_is_sent_at_once)
{
    rank_t rank = start_rank();
    Alchw__WorkerProgress *progress;

    for (int k = 0; k < 1000; k++)
        alchi_rank_control_progress(rank.control, 6, 0.001 * k, "iterating");
    progress = receive_progress(&rank);
    ck_assert_uint_eq(progress->task, 6);
    ck_assert(progress->fraction == 0);
    ck_assert_str_eq(progress->text, "iterating");
    alchi_message_free(progress);
}
END_TEST

/* 1000 reports take far less time than 50 ms, so hardly any of them may be sent before the one of another task. */
START_TEST(reports_that_come_too_fast_are_not_sent)
{
    rank_t rank = start_rank();
    Alchw__WorkerProgress *progress;
    bool other_task = false;

    for (int k = 0; k < 1000; k++)
        alchi_rank_control_progress(rank.control, 6, 0.001 * k, "iterating");
    alchi_rank_control_progress(rank.control, 7, -1, NULL);
    alchi_message_free(receive_progress(&rank));
    while (!other_task) {
        progress = receive_progress(&rank);
        other_task = progress->task == 7;
        ck_assert(other_task ? progress->fraction == -1 : progress->fraction > 0.1);
        alchi_message_free(progress);
    }
}
END_TEST

START_TEST(the_last_report_of_progress_is_sent_when_its_time_has_come)
{
    rank_t rank = start_rank();
    Alchw__WorkerProgress *progress;
    bool last = false;

    for (int k = 0; k < 100; k++)
        alchi_rank_control_progress(rank.control, 7, 0.25, k < 99 ? "soon" : "now for a long time");
    while (!last) {
        progress = receive_progress(&rank);
        last = strcmp(progress->text, "now for a long time") == 0;
        alchi_message_free(progress);
    }
    wait_until_handled(&rank);
}
END_TEST

/* Exit codes of a child in which the rank does not do what the test expects. */
enum { NO_LOG = 95, STILL_RUNS, NOT_WRITTEN, STILL_HAS_A_JOB };
/* Exit code of a child whose main thread has ended in order. */
enum { ENDED_IN_ORDER = 42 };

/* Run a rank in a child process. If `main_thread` returns, the control thread must end the process.
 * @return the status of waitpid() */
static int
run_in_child(void (*main_thread)(rank_t *rank))
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        rank_t rank;

        if (!freopen("/dev/null", "w", stderr))
            _exit(NO_LOG);
        rank = start_rank();
        main_thread(&rank);
        sleep(30); /* the control thread ends the process long before */
        _exit(STILL_RUNS);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void
check_exit(int status, int code)
{
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), code);
}

static void
quit_without_a_job(rank_t *rank)
{
    send_message(rank, ALCHI_WORKER_QUIT, 0, NULL);
    _exit(alchi_rank_queue_next(rank->queue) ? STILL_HAS_A_JOB : ENDED_IN_ORDER);
}

START_TEST(quit_lets_the_main_thread_end_in_order)
{
    check_exit(run_in_child(quit_without_a_job), ENDED_IN_ORDER);
}
END_TEST

static bool
is_canceled(void *job)
{
    return atomic_load(&((alchi_rank_job_t *)job)->cancel);
}

static void
quit_during_a_job(rank_t *rank)
{
    alchi_rank_job_t *job;

    send_task(rank, 1, 1, 0, true);
    job = alchi_rank_queue_next(rank->queue);
    send_message(rank, ALCHI_WORKER_QUIT, 0, NULL);
    unit_wait_for(is_canceled, job, WAIT_MS);
}

START_TEST(quit_cancels_the_job_and_ends_a_rank_that_does_not_return)
{
    check_exit(run_in_child(quit_during_a_job), EXIT_SUCCESS);
}
END_TEST

static void
lose_the_driver(rank_t *rank)
{
    alchi_channel_destroy(rank->driver);
}

START_TEST(a_rank_ends_without_its_driver)
{
    check_exit(run_in_child(lose_the_driver), ALCH_ECONNECT);
}
END_TEST

static void
send_garbage(rank_t *rank)
{
    alchi_channel_send(rank->driver, ALCHI_PING, 0, 1, NULL);
    if (write(alchi_channel_fd(rank->driver), "garbagegarbagegarbagegarbage1234", 32) != 32)
        _exit(NOT_WRITTEN);
}

START_TEST(a_rank_ends_if_the_driver_breaks_the_protocol)
{
    check_exit(run_in_child(send_garbage), ALCH_EPROTO);
}
END_TEST

static void
get_sigterm(rank_t *rank)
{
    (void)rank;
    kill(getpid(), SIGTERM);
}

START_TEST(sigterm_alone_ends_the_rank_by_the_signal)
{
    int status = run_in_child(get_sigterm);

    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGTERM);
}
END_TEST

/* WORKER_QUIT comes a little later than SIGTERM, but within the time that the control thread waits for it. */
static void
get_sigterm_before_quit(rank_t *rank)
{
    kill(getpid(), SIGTERM);
    usleep(20000);
    quit_without_a_job(rank);
}

START_TEST(quit_soon_after_sigterm_lets_the_main_thread_end_in_order)
{
    check_exit(run_in_child(get_sigterm_before_quit), ENDED_IN_ORDER);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("control");

    tcase_add_test(tcase, a_reserve_for_another_group_or_shape_is_refused);
    tcase_add_test(tcase, a_reserve_beyond_the_memory_limit_names_the_rank);
    tcase_add_test(tcase, an_id_is_reserved_and_freed_once);
    tcase_add_test(tcase, a_check_says_whether_matrices_are_complete);
    tcase_add_test(tcase, a_check_of_no_matrices_succeeds);
    tcase_add_test(tcase, a_message_that_is_not_for_ranks_is_refused);
    tcase_add_test(tcase, jobs_run_in_the_order_in_which_they_became_runnable);
    tcase_add_test(tcase, a_job_has_the_message_of_its_command);
    tcase_add_test(tcase, a_dropped_task_does_not_run);
    tcase_add_test(tcase, a_matrix_is_busy_until_the_last_task_that_reads_it_ends);
    tcase_add_test(tcase, a_cancel_reaches_a_task_before_and_while_it_runs);
    tcase_add_test(tcase, a_task_that_reads_an_unknown_matrix_is_refused);
    tcase_add_test(tcase, a_task_without_a_number_is_refused);
    tcase_add_test(tcase, messages_of_both_threads_arrive_complete);
    tcase_add_test(tcase, a_message_beyond_the_limit_is_not_sent);
    tcase_add_test(tcase, the_first_report_of_progress_is_sent_at_once);
    tcase_add_test(tcase, reports_that_come_too_fast_are_not_sent);
    tcase_add_test(tcase, the_last_report_of_progress_is_sent_when_its_time_has_come);
    tcase_add_test(tcase, quit_lets_the_main_thread_end_in_order);
    tcase_add_test(tcase, quit_cancels_the_job_and_ends_a_rank_that_does_not_return);
    tcase_add_test(tcase, a_rank_ends_without_its_driver);
    tcase_add_test(tcase, a_rank_ends_if_the_driver_breaks_the_protocol);
    tcase_add_test(tcase, sigterm_alone_ends_the_rank_by_the_signal);
    tcase_add_test(tcase, quit_soon_after_sigterm_lets_the_main_thread_end_in_order);
    suite_add_tcase(suite, tcase);
}
