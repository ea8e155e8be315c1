/* The driver: tasks, from a client's call until all ranks have returned; and ranks that do not answer. */
#include "driver_fake.h"
#include <alchemist/task.h>

static void
wait_for_task(fake_link_t *client, uint64_t id, uint64_t task, uint32_t wait_ms)
{
    Alchw__WaitTask message = ALCHW__WAIT_TASK__INIT;

    message.id = task;
    message.wait_ms = wait_ms;
    send_message(client, ALCHI_WAIT_TASK, id, &message);
}

static void
cancel_task(fake_link_t *client, uint64_t id, uint64_t task, bool hard)
{
    Alchw__CancelTask message = ALCHW__CANCEL_TASK__INIT;

    message.id = task;
    message.hard = hard;
    send_message(client, ALCHI_CANCEL_TASK, id, &message);
}

/* Submit a task without a wait. @return the id of the task */
static uint64_t
submit_without_wait(fake_driver_t *fake, uint64_t id, uint64_t matrix)
{
    submit_task(&fake->client, id, matrix, 0);
    ck_assert_uint_eq(find_sent(&fake->client, ALCHI_TASK)->id, id);
    return sent_task(&fake->client)->id;
}

/* A rank returns from this task, without results. */
static void
return_from_task(fake_link_t *rank, uint64_t task)
{
    Alchw__WorkerTaskDone done = ALCHW__WORKER_TASK_DONE__INIT;

    for (int i = 0; i < rank->count; i++) {
        if (rank->sent[i].type == ALCHI_WORKER_TASK &&
            ((const Alchw__WorkerTask *)rank->sent[i].message)->task == task) {
            send_frame(rank, ALCHI_WORKER_TASK_DONE, ALCHI_FRAME_REPLY, rank->sent[i].id, &done);
            return;
        }
    }
    ck_abort_msg("the rank did not get task %llu", (unsigned long long)task);
}

/* ---- submitting ---- */

START_TEST(task_of_a_library_that_is_not_loaded_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    submit_task(&fake->client, 40, 1, 1000);
    expect_error(&fake->client, 40, ALCH_ENOENT, "library 'Lib' is not loaded");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(task_that_reads_an_unknown_matrix_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    load_library(fake);
    submit_task(&fake->client, 41, 1234, 1000);
    expect_error(&fake->client, 41, ALCH_ENOENT, "Lib.run: parameter 'A': this session has no matrix 1234");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(task_is_sent_after_its_matrix_was_checked)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_unchecked_matrix(fake);

    submit_task(&fake->client, 42, matrix, 1000);
    expect_not_sent(&fake->ranks[0], ALCHI_WORKER_TASK);
    ck_assert_uint_eq(((const Alchw__WorkerCheck *)sent_message(&fake->ranks[0], ALCHI_WORKER_CHECK))->ids[0], matrix);
    confirm_on_all(fake, ALCHI_WORKER_CHECK);
    expect_sent(&fake->ranks[0], ALCHI_WORKER_TASK);
    destroy_fake_driver(fake);
}
END_TEST

/* Submit a task whose matrix is incomplete on rank 0. */
static void
submit_task_with_incomplete_matrix(fake_driver_t *fake, uint64_t id, uint64_t matrix)
{
    submit_task(&fake->client, id, matrix, 1000);
    fail_command(&fake->ranks[0], ALCHI_WORKER_CHECK, ALCH_EINCOMPLETE, "rows 3..4 are missing");
    confirm_command(&fake->ranks[1], ALCHI_WORKER_CHECK);
}

START_TEST(task_that_reads_an_incomplete_matrix_is_refused)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_unchecked_matrix(fake);

    submit_task_with_incomplete_matrix(fake, 42, matrix);
    expect_error(&fake->client, 42, ALCH_EINCOMPLETE, "rows 3..4 are missing");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(incomplete_matrix_is_checked_again_by_the_next_task)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_unchecked_matrix(fake);

    submit_task_with_incomplete_matrix(fake, 42, matrix);
    forget_sent_to_ranks(fake);
    submit_task(&fake->client, 43, matrix, 1000);
    confirm_on_all(fake, ALCHI_WORKER_CHECK);
    expect_sent(&fake->ranks[1], ALCHI_WORKER_TASK);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(complete_matrix_is_not_checked_again)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    submit_task(&fake->client, 46, matrix, 0);
    expect_not_sent(&fake->ranks[0], ALCHI_WORKER_CHECK);
    expect_sent(&fake->ranks[0], ALCHI_WORKER_TASK);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(only_task_of_a_group_starts_at_once)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    submit_task(&fake->client, 43, matrix, 0);
    ck_assert(sent_worker_task(&fake->ranks[1])->start);
    ck_assert_int_eq(sent_task(&fake->client)->state, ALCH_TASK_RUNNING);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(arguments_that_were_left_out_have_their_defaults)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);
    const Alchw__WorkerTask *task;

    submit_task(&fake->client, 43, matrix, 1000);
    task = sent_worker_task(&fake->ranks[1]);
    ck_assert_uint_eq(task->n_arguments, 2);
    ck_assert_int_eq(task->arguments[1]->value->i[0], 10);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(matrix_that_a_task_reads_cannot_be_freed)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    submit_task(&fake->client, 43, matrix, 1000);
    free_matrix(&fake->client, 44, matrix);
    expect_error(&fake->client, 44, ALCH_EBUSY, "is read by task 2 (Lib.run)");
    destroy_fake_driver(fake);
}
END_TEST

/* ---- results ---- */

/* Run a task on a complete matrix until all ranks have returned. @return the id of its result */
static uint64_t
run_task(fake_driver_t *fake)
{
    uint64_t matrix = create_complete_matrix(fake), result;

    submit_task(&fake->client, 43, matrix, 1000);
    result = sent_worker_task(&fake->ranks[0])->first_result_id;
    finish_task(&fake->ranks[0], result);
    finish_task(&fake->ranks[1], result);
    forget_sent_to_ranks(fake);
    return result;
}

START_TEST(task_is_answered_when_all_ranks_have_returned)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake), result;

    submit_task(&fake->client, 43, matrix, 1000);
    result = sent_worker_task(&fake->ranks[0])->first_result_id;
    forget_sent(&fake->client);
    finish_task(&fake->ranks[0], result);
    expect_not_sent(&fake->client, ALCHI_TASK);
    finish_task(&fake->ranks[1], result);
    ck_assert_int_eq(sent_task(&fake->client)->state, ALCH_TASK_DONE);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(finished_task_describes_its_results)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t result = run_task(fake);
    const Alchw__Task *task = sent_task(&fake->client);

    ck_assert_double_eq(task->seconds, 0.5);
    ck_assert_uint_eq(task->n_matrices, 1);
    ck_assert_uint_eq(task->matrices[0]->id, result);
    ck_assert_int_eq(task->matrices[0]->rows, 2);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(result_is_a_matrix_of_the_session)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t result = run_task(fake);

    get_matrix(&fake->client, 45, result);
    ck_assert_int_eq(sent_matrix(&fake->client)->rows, 2);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(result_is_complete_without_a_check)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t result = run_task(fake);

    submit_task(&fake->client, 46, result, 0);
    expect_not_sent(&fake->ranks[0], ALCHI_WORKER_CHECK);
    expect_sent(&fake->ranks[0], ALCHI_WORKER_TASK);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(wait_describes_the_reported_progress)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);
    Alchw__WorkerProgress progress = ALCHW__WORKER_PROGRESS__INIT;

    progress.task = submit_without_wait(fake, 50, matrix);
    progress.fraction = 0.25;
    progress.text = (char *)"iteration 3";
    send_message(&fake->ranks[0], ALCHI_WORKER_PROGRESS, 0, &progress);
    wait_for_task(&fake->client, 51, progress.task, 0);
    ck_assert_double_eq(sent_task(&fake->client)->fraction, 0.25);
    ck_assert_str_eq(sent_task(&fake->client)->text, "iteration 3");
    destroy_fake_driver(fake);
}
END_TEST

/* ---- several tasks ---- */

START_TEST(task_behind_another_one_is_sent_but_not_started)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    submit_without_wait(fake, 50, matrix);
    submit_without_wait(fake, 51, matrix);
    ck_assert_int_eq(sent_task(&fake->client)->state, ALCH_TASK_QUEUED);
    ck_assert(!sent_worker_task(&fake->ranks[0])->start);
    expect_not_sent(&fake->ranks[0], ALCHI_WORKER_START);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(canceled_task_is_dropped_from_the_queue)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake), second;

    submit_without_wait(fake, 50, matrix);
    second = submit_without_wait(fake, 51, matrix);
    cancel_task(&fake->client, 53, second, false);
    ck_assert_int_eq(sent_task(&fake->client)->state, ALCH_TASK_CANCELED);
    ck_assert_uint_eq(((const Alchw__WorkerDrop *)sent_message(&fake->ranks[1], ALCHI_WORKER_DROP))->task, second);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(next_task_that_was_not_canceled_starts_when_all_ranks_have_returned)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake), first, second, third;

    first = submit_without_wait(fake, 50, matrix);
    second = submit_without_wait(fake, 51, matrix);
    third = submit_without_wait(fake, 52, matrix);
    cancel_task(&fake->client, 53, second, false);
    return_from_task(&fake->ranks[0], first);
    expect_not_sent(&fake->ranks[0], ALCHI_WORKER_START);
    return_from_task(&fake->ranks[1], first);
    ck_assert_uint_eq(((const Alchw__WorkerStart *)sent_message(&fake->ranks[0], ALCHI_WORKER_START))->task, third);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(wait_is_answered_when_its_task_ends)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake), task;

    task = submit_without_wait(fake, 50, matrix);
    submit_without_wait(fake, 51, matrix);
    forget_sent(&fake->client);
    wait_for_task(&fake->client, 54, task, 1000);
    expect_not_sent(&fake->client, ALCHI_TASK);
    return_from_task(&fake->ranks[0], task);
    return_from_task(&fake->ranks[1], task);
    ck_assert_uint_eq(expect_sent(&fake->client, ALCHI_TASK)->id, 54);
    ck_assert_uint_eq(sent_task(&fake->client)->id, task);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(task_cannot_be_waited_for_before_it_is_accepted)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_unchecked_matrix(fake);

    submit_task(&fake->client, 50, matrix, 1000); /* waits for the check */
    wait_for_task(&fake->client, 55, 1, 1000);
    expect_error(&fake->client, 55, ALCH_ENOENT, "no task 1");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(wait_for_an_unknown_task_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    create_complete_matrix(fake); /* by a task */
    wait_for_task(&fake->client, 55, 999, 1000);
    expect_error(&fake->client, 55, ALCH_ENOENT, "no task 999");
    destroy_fake_driver(fake);
}
END_TEST

/* ---- canceling ---- */

START_TEST(running_task_is_canceled_by_asking_the_ranks)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake), task;

    task = submit_without_wait(fake, 50, matrix);
    cancel_task(&fake->client, 51, task, false);
    ck_assert_int_eq(sent_task(&fake->client)->state, ALCH_TASK_CANCELLING);
    expect_sent(&fake->ranks[1], ALCHI_WORKER_CANCEL);
    expect_not_sent(&fake->agent, ALCHI_KILL_GROUP);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(hard_cancel_of_a_running_task_kills_the_group)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake), task;

    task = submit_without_wait(fake, 50, matrix);
    cancel_task(&fake->client, 51, task, false);
    cancel_task(&fake->client, 52, task, true);
    ck_assert_int_eq(sent_task(&fake->client)->state, ALCH_TASK_CANCELED);
    expect_group_killed(fake, fake->group);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- tasks that fail ---- */

/* Rank 1 fails first, then rank 0. @return the id of the matrix that the task read */
static uint64_t
fail_task_on_all_ranks(fake_driver_t *fake)
{
    uint64_t matrix = create_complete_matrix(fake);

    submit_task(&fake->client, 50, matrix, 1000);
    fail_command(&fake->ranks[1], ALCHI_WORKER_TASK, ALCH_ENUMERIC, "NaN in the input");
    fail_command(&fake->ranks[0], ALCHI_WORKER_TASK, ALCH_ENUMERIC, "another rank failed");
    return matrix;
}

START_TEST(failed_task_reports_the_rank_that_failed_first)
{
    fake_driver_t *fake = create_fake_driver();
    const Alchw__Task *task;

    fail_task_on_all_ranks(fake);
    task = sent_task(&fake->client);
    ck_assert_int_eq(task->state, ALCH_TASK_FAILED);
    ck_assert_int_eq(task->error->rank, 1);
    ck_assert_str_eq(task->error->text, "NaN in the input");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(group_runs_tasks_after_one_has_failed_on_all_ranks)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = fail_task_on_all_ranks(fake);

    forget_sent_to_ranks(fake);
    submit_task(&fake->client, 51, matrix, 1000);
    expect_sent(&fake->ranks[0], ALCHI_WORKER_TASK);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(task_that_returns_a_matrix_with_a_foreign_id_fails)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    submit_task(&fake->client, 50, matrix, 1000);
    finish_task(&fake->ranks[0], 99);
    finish_task(&fake->ranks[1], 99);
    ck_assert_int_eq(sent_task(&fake->client)->state, ALCH_TASK_FAILED);
    ck_assert_int_eq(sent_task(&fake->client)->error->code, ALCH_EPROTO);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(results_of_a_failed_task_are_freed_where_they_exist)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake), result;

    submit_task(&fake->client, 50, matrix, 1000);
    result = sent_worker_task(&fake->ranks[0])->first_result_id;
    finish_task(&fake->ranks[0], result);
    fail_command(&fake->ranks[1], ALCHI_WORKER_TASK, ALCH_EFUNCTION, "failed");
    ck_assert_int_eq(sent_task(&fake->client)->state, ALCH_TASK_FAILED);
    ck_assert_uint_eq(((const Alchw__WorkerFree *)sent_message(&fake->ranks[0], ALCHI_WORKER_FREE))->id, result);
    expect_not_sent(&fake->ranks[1], ALCHI_WORKER_FREE);
    destroy_fake_driver(fake);
}
END_TEST

/* Rank 1 fails, and rank 0 does not return. */
static void
fail_task_on_one_rank(fake_driver_t *fake)
{
    uint64_t matrix = create_complete_matrix(fake);

    submit_task(&fake->client, 50, matrix, 20000);
    fail_command(&fake->ranks[1], ALCHI_WORKER_TASK, ALCH_EFUNCTION, "only here");
}

START_TEST(group_is_killed_if_a_rank_does_not_return_in_the_grace_time)
{
    fake_driver_t *fake = create_fake_driver();

    fail_task_on_one_rank(fake);
    run_timers(fake, fake->config.fail_grace_ms - 1000);
    expect_not_sent(&fake->agent, ALCHI_KILL_GROUP);
    run_timers(fake, fake->config.fail_grace_ms + 100);
    expect_group_killed(fake, fake->group);
    get_group(&fake->client, 60);
    expect_error(&fake->client, 60, ALCH_EGROUP, "(--fail-grace): only here");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(task_of_a_killed_group_reports_the_rank_that_failed)
{
    fake_driver_t *fake = create_fake_driver();
    const Alchw__Task *task;

    fail_task_on_one_rank(fake);
    run_timers(fake, fake->config.fail_grace_ms + 100);
    task = sent_task(&fake->client);
    ck_assert_int_eq(task->state, ALCH_TASK_FAILED);
    ck_assert_int_eq(task->error->rank, 1);
    ck_assert_str_eq(task->error->text, "only here");
    destroy_fake_driver(fake);
}
END_TEST

/* ---- ranks that do not answer ---- */

START_TEST(rank_that_does_not_answer_a_command_ends_the_group)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    request_matrix(&fake->client, 20, 2, 2, ALCH_FLOAT64);
    confirm_command(&fake->ranks[0], ALCHI_WORKER_RESERVE);
    run_timers(fake, fake->config.client_timeout_ms + 1000);
    expect_error(&fake->client, 20, ALCH_EGROUP, "worker 2 (rank 1) did not answer for 60.0 s (--client-timeout)");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(idle_ranks_are_pinged_after_a_quarter_of_the_timeout)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    run_timers(fake, fake->config.client_timeout_ms / 4 - 1000);
    expect_not_sent(&fake->ranks[0], ALCHI_PING);
    run_timers(fake, fake->config.client_timeout_ms / 4 + 1000);
    confirm_on_all(fake, ALCHI_PING);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(rank_that_does_not_answer_a_ping_ends_the_group)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    run_timers(fake, fake->config.client_timeout_ms / 4 + 1000);
    confirm_on_all(fake, ALCHI_PING);
    forget_sent_to_ranks(fake);
    run_timers(fake, fake->config.client_timeout_ms / 4 + 1000);
    confirm_command(&fake->ranks[0], ALCHI_PING);
    run_timers(fake, fake->config.client_timeout_ms + 1000);
    get_group(&fake->client, 60);
    expect_error(&fake->client, 60, ALCH_EGROUP, "worker 2 (rank 1) did not answer for 60.0 s (--client-timeout)");
    destroy_fake_driver(fake);
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const submissions[] = {task_of_a_library_that_is_not_loaded_is_refused,
                                        task_that_reads_an_unknown_matrix_is_refused,
                                        task_is_sent_after_its_matrix_was_checked,
                                        task_that_reads_an_incomplete_matrix_is_refused,
                                        incomplete_matrix_is_checked_again_by_the_next_task,
                                        complete_matrix_is_not_checked_again,
                                        only_task_of_a_group_starts_at_once,
                                        arguments_that_were_left_out_have_their_defaults,
                                        matrix_that_a_task_reads_cannot_be_freed};
    const TTest *const results[] = {task_is_answered_when_all_ranks_have_returned, finished_task_describes_its_results,
                                    result_is_a_matrix_of_the_session, result_is_complete_without_a_check,
                                    wait_describes_the_reported_progress};
    const TTest *const queues[] = {task_behind_another_one_is_sent_but_not_started,
                                   canceled_task_is_dropped_from_the_queue,
                                   next_task_that_was_not_canceled_starts_when_all_ranks_have_returned,
                                   wait_is_answered_when_its_task_ends,
                                   task_cannot_be_waited_for_before_it_is_accepted,
                                   wait_for_an_unknown_task_is_refused,
                                   running_task_is_canceled_by_asking_the_ranks,
                                   hard_cancel_of_a_running_task_kills_the_group};
    const TTest *const failures[] = {failed_task_reports_the_rank_that_failed_first,
                                     group_runs_tasks_after_one_has_failed_on_all_ranks,
                                     task_that_returns_a_matrix_with_a_foreign_id_fails,
                                     results_of_a_failed_task_are_freed_where_they_exist,
                                     group_is_killed_if_a_rank_does_not_return_in_the_grace_time,
                                     task_of_a_killed_group_reports_the_rank_that_failed,
                                     rank_that_does_not_answer_a_command_ends_the_group,
                                     idle_ranks_are_pinged_after_a_quarter_of_the_timeout,
                                     rank_that_does_not_answer_a_ping_ends_the_group};

    add_tests(suite, "submit", submissions, ALCHI_COUNT(submissions));
    add_tests(suite, "result", results, ALCHI_COUNT(results));
    add_tests(suite, "queue", queues, ALCHI_COUNT(queues));
    add_tests(suite, "failure", failures, ALCHI_COUNT(failures));
}
