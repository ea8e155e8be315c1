/* The driver: more rows for a matrix, on all ranks or on none. */
#include "driver_fake.h"

static void
ask_for_rows(fake_t *fake, uint64_t id, uint64_t matrix, int64_t rows)
{
    Alchw__GrowMatrix grow = ALCHW__GROW_MATRIX__INIT;

    grow.has_id = grow.has_rows = true;
    grow.id = matrix;
    grow.rows = rows;
    fake_say(driver, fake, ALCHI_GROW_MATRIX, 0, id, &grow);
}

static int64_t
rows_told(int index)
{
    return ((const Alchw__WorkerGrow *)fake_message(&rank[index], ALCHI_WORKER_GROW))->rows;
}

static int64_t
rows_known(uint64_t matrix)
{
    Alchw__MatrixId ask = ALCHW__MATRIX_ID__INIT;

    ask.has_id = true;
    ask.id = matrix;
    fake_clear(&client);
    fake_say(driver, &client, ALCHI_GET_MATRIX, 0, 90, &ask);
    return ((const Alchw__Matrix *)fake_message(&client, ALCHI_MATRIX))->rows;
}

START_TEST(grown)
{
    uint64_t matrix;
    Alchw__MatrixId ask = ALCHW__MATRIX_ID__INIT;

    start_group(&client, 2);
    ask_for_rows(&client, 40, 1234, 1);
    expect_failure(&client, 40, ALCH_ENOENT, "no matrix 1234");
    matrix = create_matrix(&client, 10, 3);
    ask_for_rows(&client, 41, matrix, -1);
    expect_failure(&client, 41, ALCH_EINVAL, "cannot be given -1 more rows");
    ask_for_rows(&client, 42, matrix, INT64_MAX);
    expect_failure(&client, 42, ALCH_EINVAL, "more rows");
    ask_for_rows(&client, 43, matrix, INT64_MAX / 16);
    expect_failure(&client, 43, ALCH_EINVAL, "exceeds the maximum");
    ck_assert_ptr_null(fake_last(&rank[0], ALCHI_WORKER_GROW));
    fake_clear(&client);
    ask_for_rows(&client, 44, matrix, 5);
    ck_assert_int_eq(rows_told(0), 15);
    ck_assert_int_eq(rows_told(1), 15);
    /* Meanwhile it is what it was, and nobody else changes it. */
    ck_assert_int_eq(rows_known(matrix), 10);
    ask_for_rows(&client, 45, matrix, 1);
    expect_failure(&client, 45, ALCH_EBUSY, "is being given more rows");
    ask.id = matrix;
    fake_say(driver, &client, ALCHI_FREE_MATRIX, 0, 46, &ask);
    expect_failure(&client, 46, ALCH_EBUSY, "is being given more rows");
    fake_clear(&client);
    answer_all(ALCHI_WORKER_GROW, ALCHI_EMPTY, NULL);
    ck_assert_int_eq(((const Alchw__Matrix *)fake_message(&client, ALCHI_MATRIX))->rows, 15);
    fake_clear(&client);
    ask_for_rows(&client, 47, matrix, 0);
    ck_assert_int_eq(((const Alchw__Matrix *)fake_message(&client, ALCHI_MATRIX))->rows, 15);
}
END_TEST

START_TEST(undone_where_it_succeeded)
{
    uint64_t matrix;

    start_group(&client, 2);
    matrix = create_matrix(&client, 10, 3);
    ask_for_rows(&client, 40, matrix, 5);
    answer(0, ALCHI_WORKER_GROW, ALCHI_EMPTY, NULL);
    fake_clear(&rank[1]);
    fake_clear(&client);
    fake_say(driver, &rank[1], ALCHI_ERROR, ALCHI_FRAME_REPLY, fake_last(&rank[0], ALCHI_WORKER_GROW)->id,
             &(Alchw__Error){.base = PROTOBUF_C_MESSAGE_INIT(&alchw__error__descriptor),
                             .code = ALCH_ELIMIT,
                             .rank = -1,
                             .text = (char *)"needs 1 MB"});
    ck_assert_ptr_null(fake_last(&client, ALCHI_ERROR));
    ck_assert_int_eq(rows_told(0), 10);
    ck_assert_ptr_null(fake_last(&rank[1], ALCHI_WORKER_GROW));
    answer(0, ALCHI_WORKER_GROW, ALCHI_EMPTY, NULL);
    expect_failure(&client, 40, ALCH_ELIMIT, "needs 1 MB");
    ck_assert_int_eq(rows_known(matrix), 10);
    ask_for_rows(&client, 41, matrix, 1);
    answer_all(ALCHI_WORKER_GROW, ALCHI_EMPTY, NULL);
    ck_assert_int_eq(rows_known(matrix), 11);
}
END_TEST

/* Complete no longer: a task asks again; and not while a task reads it. */
START_TEST(grown_and_tasks)
{
    uint64_t matrix = ready_matrix();

    submit(&client, 50, matrix, 0);
    ask_for_rows(&client, 51, matrix, 1);
    expect_failure(&client, 51, ALCH_EBUSY, "is read by task");
    ck_assert_ptr_null(fake_last(&rank[0], ALCHI_WORKER_GROW));
    finish_task(0, 1, 99);
    finish_task(1, 1, 99);
    ask_for_rows(&client, 52, matrix, 1);
    submit(&client, 53, matrix, 0);
    expect_failure(&client, 53, ALCH_EBUSY, "is being given more rows");
    answer_all(ALCHI_WORKER_GROW, ALCHI_EMPTY, NULL);
    fake_clear(&rank[0]);
    submit(&client, 54, matrix, 0);
    ck_assert_uint_eq(((const Alchw__WorkerCheck *)fake_message(&rank[0], ALCHI_WORKER_CHECK))->ids[0], matrix);
}
END_TEST

START_TEST(lost_while_growing)
{
    uint64_t group = start_group(&client, 2), matrix = create_matrix(&client, 10, 3);

    ask_for_rows(&client, 40, matrix, 5);
    fake_clear(&client);
    rank_killed(group, 1);
    expect_failure(&client, 40, ALCH_EGROUP, "signal 9");
    ask_for_rows(&client, 41, matrix, 5);
    expect_failure(&client, 41, ALCH_EGROUP, "is lost");
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const tests[] = {grown, undone_where_it_succeeded, grown_and_tasks, lost_while_growing};

    add_tests(suite, "grow", tests, ALCHI_COUNT(tests));
}
