/* The driver: creating matrices, on all ranks or on none. */
#include "driver_fake.h"

START_TEST(matrix_without_workers_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    request_matrix(&fake->client, 19, 5, 5, ALCH_FLOAT64);
    expect_error(&fake->client, 19, ALCH_ESTATE, "no workers");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(matrix_with_a_negative_size_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    request_matrix(&fake->client, 20, -1, 5, ALCH_FLOAT64);
    expect_error(&fake->client, 20, ALCH_EINVAL, "-1 x 5");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(matrix_that_is_too_large_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    request_matrix(&fake->client, 21, INT64_MAX, 5, ALCH_FLOAT64);
    expect_error(&fake->client, 21, ALCH_EINVAL, "exceeds the maximum");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(matrix_of_an_unknown_entry_type_is_refused)
{
    fake_driver_t *fake = create_fake_driver();

    start_ready_group(fake, 2);
    request_matrix(&fake->client, 22, 5, 5, 77);
    expect_error(&fake->client, 22, ALCH_EINVAL, "entry type 77");
    destroy_fake_driver(fake);
}
END_TEST

/* Create a matrix for which rank 0 has room and rank 1 has not. @return its id */
static uint64_t
request_matrix_without_room(fake_driver_t *fake)
{
    const Alchw__WorkerReserve *reserve;

    start_ready_group(fake, 2);
    request_matrix(&fake->client, 23, 5, 5, ALCH_FLOAT64);
    reserve = sent_message(&fake->ranks[0], ALCHI_WORKER_RESERVE);
    confirm_command(&fake->ranks[0], ALCHI_WORKER_RESERVE);
    fail_command(&fake->ranks[1], ALCHI_WORKER_RESERVE, ALCH_ELIMIT, "too large (--memory-limit)");
    return reserve->matrix->id;
}

START_TEST(matrix_that_a_rank_has_no_room_for_is_refused_with_its_text)
{
    fake_driver_t *fake = create_fake_driver();

    request_matrix_without_room(fake);
    expect_error(&fake->client, 23, ALCH_ELIMIT, "too large");
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(ranks_that_had_room_for_a_refused_matrix_free_it)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = request_matrix_without_room(fake);

    ck_assert_uint_eq(((const Alchw__WorkerFree *)sent_message(&fake->ranks[0], ALCHI_WORKER_FREE))->id, matrix);
    expect_not_sent(&fake->ranks[1], ALCHI_WORKER_FREE);
    destroy_fake_driver(fake);
}
END_TEST

START_TEST(refused_matrix_does_not_exist)
{
    fake_driver_t *fake = create_fake_driver();
    uint64_t matrix = request_matrix_without_room(fake);

    get_matrix(&fake->client, 24, matrix);
    expect_error(&fake->client, 24, ALCH_ENOENT, "no matrix");
    destroy_fake_driver(fake);
}
END_TEST

void
unit_suite(Suite *suite)
{
    const TTest *const tests[] = {matrix_without_workers_is_refused,
                                  matrix_with_a_negative_size_is_refused,
                                  matrix_that_is_too_large_is_refused,
                                  matrix_of_an_unknown_entry_type_is_refused,
                                  matrix_that_a_rank_has_no_room_for_is_refused_with_its_text,
                                  ranks_that_had_room_for_a_refused_matrix_free_it,
                                  refused_matrix_does_not_exist};

    add_tests(suite, "matrix", tests, ALCHI_COUNT(tests));
}
