/* The driver: more rows for a matrix, on all ranks or on none. */
#include "driver_fake.h"

static void
grow_matrix(fake_link_t *client, uint64_t id, uint64_t matrix, int64_t rows)
{
    Alchw__GrowMatrix message = ALCHW__GROW_MATRIX__INIT;

    message.has_id = message.has_rows = true;
    message.id = matrix;
    message.rows = rows;
    send_message(client, ALCHI_GROW_MATRIX, id, &message);
}

/* The number of rows in the last WORKER_GROW that a rank got. */
static int64_t
sent_rows(const fake_link_t *rank)
{
    return ((const Alchw__WorkerGrow *)sent_message(rank, ALCHI_WORKER_GROW))->rows;
}

/* The number of rows that the driver reports to the client. */
static int64_t
reported_rows(fake_driver_t *fake, uint64_t matrix)
{
    forget_sent(&fake->client);
    get_matrix(&fake->client, 90, matrix);
    return sent_matrix(&fake->client)->rows;
}

/* Start a group of two, and create a matrix of 10 x 3. @return its id */
static uint64_t
create_matrix_of_10_rows(fake_driver_t *fake)
{
    start_ready_group(fake, 2);
    return create_matrix(fake, 10, 3);
}

/* As create_matrix_of_10_rows(). Then the client asks for 5 more rows, and no rank has answered. */
static uint64_t
start_growth_to_15_rows(fake_driver_t *fake)
{
    uint64_t matrix = create_matrix_of_10_rows(fake);

    forget_sent(&fake->client);
    grow_matrix(&fake->client, 44, matrix, 5);
    return matrix;
}

/* ---- requests ---- */

START_TEST(growth_of_an_unknown_matrix_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    grow_matrix(&fake->client, 40, 1234, 1);
    expect_error(&fake->client, 40, ALCH_ENOENT, "no matrix 1234");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(growth_by_an_impossible_number_of_rows_is_refused)
{
    static const struct {
        int64_t rows;
        const char *text;
    } cases[] = {
        {-1, "cannot be given -1 more rows"}, {INT64_MAX, "more rows"}, {INT64_MAX / 16, "exceeds the maximum"}};
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_matrix_of_10_rows(fake);

    for (size_t i = 0; i < ALCHI_COUNT(cases); i++) {
        grow_matrix(&fake->client, 41 + i, matrix, cases[i].rows);
        expect_error(&fake->client, 41 + i, ALCH_EINVAL, cases[i].text);
    }
    expect_not_sent(&fake->ranks[0], ALCHI_WORKER_GROW);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(growth_by_no_rows_is_answered_at_once)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_matrix_of_10_rows(fake);

    forget_sent(&fake->client);
    grow_matrix(&fake->client, 47, matrix, 0);
    ck_assert_int_eq(sent_matrix(&fake->client)->rows, 10);
    expect_not_sent(&fake->ranks[0], ALCHI_WORKER_GROW);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- growing ---- */

START_TEST(all_ranks_get_the_new_number_of_rows)
{
    fake_driver_t *fake = create_fake_driver();

    start_growth_to_15_rows(fake);
    ck_assert_int_eq(sent_rows(&fake->ranks[0]), 15);
    ck_assert_int_eq(sent_rows(&fake->ranks[1]), 15);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(growing_matrix_is_described_with_its_old_rows)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = start_growth_to_15_rows(fake);

    ck_assert_int_eq(reported_rows(fake, matrix), 10);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(growing_matrix_can_neither_grow_nor_be_freed)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = start_growth_to_15_rows(fake);

    grow_matrix(&fake->client, 45, matrix, 1);
    expect_error(&fake->client, 45, ALCH_EBUSY, "is being given more rows");
    free_matrix(&fake->client, 46, matrix);
    expect_error(&fake->client, 46, ALCH_EBUSY, "is being given more rows");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(growth_is_answered_when_all_ranks_have_grown)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = start_growth_to_15_rows(fake);

    confirm_command(&fake->ranks[0], ALCHI_WORKER_GROW);
    expect_not_sent(&fake->client, ALCHI_MATRIX);
    confirm_command(&fake->ranks[1], ALCHI_WORKER_GROW);
    ck_assert_int_eq(sent_matrix(&fake->client)->rows, 15);
    ck_assert_int_eq(reported_rows(fake, matrix), 15);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- a rank without room ---- */

/* As start_growth_to_15_rows(). Then rank 0 grows, and rank 1 refuses. */
static uint64_t
refuse_growth_on_rank_1(fake_driver_t *fake)
{
    uint64_t matrix = start_growth_to_15_rows(fake);

    confirm_command(&fake->ranks[0], ALCHI_WORKER_GROW);
    fail_command(&fake->ranks[1], ALCHI_WORKER_GROW, ALCH_ELIMIT, "needs 1 MB");
    return matrix;
}

START_TEST(growth_is_undone_on_the_ranks_where_it_succeeded)
{
    fake_driver_t *fake = create_fake_driver();

    refuse_growth_on_rank_1(fake);
    ck_assert_int_eq(sent_rows(&fake->ranks[0]), 10);
    ck_assert_int_eq(sent_rows(&fake->ranks[1]), 15); /* which is the request that it refused */
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(refused_growth_is_reported_after_it_was_undone)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = refuse_growth_on_rank_1(fake);

    expect_not_sent(&fake->client, ALCHI_ERROR);
    confirm_command(&fake->ranks[0], ALCHI_WORKER_GROW);
    expect_error(&fake->client, 44, ALCH_ELIMIT, "needs 1 MB");
    ck_assert_int_eq(reported_rows(fake, matrix), 10);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(matrix_can_grow_after_a_refused_growth)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = refuse_growth_on_rank_1(fake);

    confirm_command(&fake->ranks[0], ALCHI_WORKER_GROW);
    grow_matrix(&fake->client, 41, matrix, 1);
    confirm_on_all(fake, ALCHI_WORKER_GROW);
    ck_assert_int_eq(reported_rows(fake, matrix), 11);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- tasks ---- */

START_TEST(matrix_that_a_task_reads_cannot_grow)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    submit_task(&fake->client, 50, matrix, 0);
    grow_matrix(&fake->client, 51, matrix, 1);
    expect_error(&fake->client, 51, ALCH_EBUSY, "is read by task");
    expect_not_sent(&fake->ranks[0], ALCHI_WORKER_GROW);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(matrix_can_grow_after_the_task_that_read_it)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake), result;

    submit_task(&fake->client, 50, matrix, 0);
    result = sent_worker_task(&fake->ranks[0])->first_result_id;
    finish_task(&fake->ranks[0], result);
    finish_task(&fake->ranks[1], result);
    grow_matrix(&fake->client, 52, matrix, 1);
    confirm_on_all(fake, ALCHI_WORKER_GROW);
    ck_assert_int_eq(reported_rows(fake, matrix), 11);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(growing_matrix_cannot_be_read_by_a_task)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    grow_matrix(&fake->client, 52, matrix, 1);
    submit_task(&fake->client, 53, matrix, 0);
    expect_error(&fake->client, 53, ALCH_EBUSY, "is being given more rows");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(grown_matrix_is_checked_again_by_the_next_task)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = create_complete_matrix(fake);

    grow_matrix(&fake->client, 52, matrix, 1);
    confirm_on_all(fake, ALCHI_WORKER_GROW);
    submit_task(&fake->client, 54, matrix, 0);
    ck_assert_uint_eq(((const Alchw__WorkerCheck *)sent_message(&fake->ranks[0], ALCHI_WORKER_CHECK))->ids[0], matrix);
    destroy_fake_driver(fake);
}
END_TEST

/* ---- a lost group ---- */

START_TEST(growth_fails_when_the_group_is_lost)
{
    fake_driver_t *fake = create_fake_driver();

    start_growth_to_15_rows(fake);
    report_rank_killed(fake, fake->group, 1);
    expect_error(&fake->client, 44, ALCH_EGROUP, "signal 9");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(growing_matrix_is_lost_with_its_group)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = start_growth_to_15_rows(fake);

    report_rank_killed(fake, fake->group, 1);
    grow_matrix(&fake->client, 41, matrix, 5);
    expect_error(&fake->client, 41, ALCH_EGROUP, "is lost");
    destroy_fake_driver(fake);
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const tests[] = {growth_of_an_unknown_matrix_is_refused,
                                  growth_by_an_impossible_number_of_rows_is_refused,
                                  growth_by_no_rows_is_answered_at_once,
                                  all_ranks_get_the_new_number_of_rows,
                                  growing_matrix_is_described_with_its_old_rows,
                                  growing_matrix_can_neither_grow_nor_be_freed,
                                  growth_is_answered_when_all_ranks_have_grown,
                                  growth_is_undone_on_the_ranks_where_it_succeeded,
                                  refused_growth_is_reported_after_it_was_undone,
                                  matrix_can_grow_after_a_refused_growth,
                                  matrix_that_a_task_reads_cannot_grow,
                                  matrix_can_grow_after_the_task_that_read_it,
                                  growing_matrix_cannot_be_read_by_a_task,
                                  grown_matrix_is_checked_again_by_the_next_task,
                                  growth_fails_when_the_group_is_lost,
                                  growing_matrix_is_lost_with_its_group};

    add_tests(suite, "grow", tests, ALCHI_COUNT(tests));
}
