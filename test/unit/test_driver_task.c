/* The driver as a whole: matrices and tasks. */
#include "driver_fake.h"
#include <alchemist/task.h>
#include <math.h>

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
    ck_assert_uint_eq(task->n_matrices, 1);
    ck_assert_uint_eq(task->matrices[0]->id, made);
    ck_assert_int_eq(task->matrices[0]->rows, 2);
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
    alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(4000));
    ck_assert_ptr_null(fake_last(&agent, ALCHI_KILL_GROUP));
    alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(5100));
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
    expect_failure(&client, 21, ALCH_EINVAL, "exceeds the maximum");
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
    alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(61000));
    expect_failure(&client, 20, ALCH_EGROUP, "worker 2 (rank 1) did not answer for 60.0 s (--client-timeout)");
}
END_TEST

START_TEST(ranks_are_asked_whether_they_live)
{
    start_group(&client, 2);
    alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(14000));
    ck_assert_ptr_null(fake_last(&rank[0], ALCHI_PING));
    alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(16000));
    answer_all(ALCHI_PING, ALCHI_EMPTY, NULL);
    fake_clear(&rank[1]);
    alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(16000));
    answer(0, ALCHI_PING, ALCHI_EMPTY, NULL);
    alchi_drv_timers_run(&driver->timers, alchi_deadline_in_ms(61000));
    fake_say(driver, &client, ALCHI_GET_GROUP, 0, 60, NULL);
    expect_failure(&client, 60, ALCH_EGROUP, "worker 2 (rank 1) did not answer for 60.0 s (--client-timeout)");
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const tests[] = {task_done,
                                  tasks_run_one_after_the_other,
                                  all_ranks_fail,
                                  results_of_a_failed_task_are_freed,
                                  one_rank_fails_and_the_other_hangs,
                                  cancel_running,
                                  progress_is_remembered,
                                  create_is_undone_when_a_rank_refuses,
                                  a_silent_rank_ends_the_group,
                                  ranks_are_asked_whether_they_live};

    add_tests(suite, "task", tests, ALCHI_COUNT(tests));
}
