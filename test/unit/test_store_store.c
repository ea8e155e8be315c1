/* A rank's matrices: reserve, name, free, references, locks, the memory limit, written entries. */
#include "unit.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static alch_error_t err;
static const alch_layout_t column_blocks = {ALCH_BLOCK_CYCLIC, 4, 2, 1, 2};

static alchi_store_t *
store_of(int rank, int size, int64_t limit)
{
    alchi_store_t *store = alchi_store_create(rank, size, limit);

    ck_assert_ptr_nonnull(store);
    alchi_store_set_slot(store, rank + 1);
    err.text[0] = '\0';
    return store;
}

START_TEST(invalid_arguments_are_refused)
{
    alchi_store_t *store = store_of(0, 1, 0);
    alchi_store_part_t *part = NULL;

    unit_code(alchi_store_reserve(store, 0, 2, 2, ALCH_FLOAT64, NULL, "", NULL, &err), ALCH_EINVAL);
    unit_code(alchi_store_reserve(store, 1, -1, 2, ALCH_FLOAT64, NULL, "", NULL, &err), ALCH_EINVAL);
    unit_code(alchi_store_reserve(store, 1, 2, 2, (alch_dtype_t)77, NULL, "", NULL, &err), ALCH_EINVAL);
    ck_assert_int_ne(alchi_store_reserve(store, 1, INT64_MAX, INT64_MAX, ALCH_FLOAT64, NULL, "", NULL, &err), ALCH_OK);
    unit_code(alchi_store_acquire(store, 9, &part, &err), ALCH_ENOENT);
    unit_contains(err.text, "worker 1 (rank 0) has no matrix 9");
    ck_assert_ptr_null(part);
    unit_code(alchi_store_free(store, 9, &err), ALCH_ENOENT);
    unit_code(alchi_store_check(store, 9, &err), ALCH_ENOENT);
    ck_assert_int_eq(alchi_store_used(store), 0);
    alchi_store_release(store, NULL);
    alchi_store_destroy(store);
    alchi_store_destroy(NULL);
}
END_TEST

START_TEST(a_reserved_part_is_zeroed_and_found_by_its_id)
{
    alchi_store_t *store = store_of(0, 1, 0);
    alchi_store_part_t *part;

    unit_code(alchi_store_reserve(store, 7, 300, 200, ALCH_FLOAT64, NULL, "A", NULL, &err), ALCH_OK);
    unit_code(alchi_store_reserve(store, 7, 1, 1, ALCH_FLOAT64, NULL, "B", NULL, &err), ALCH_EINVAL);
    unit_contains(err.text, "matrix 7 already exists");
    unit_code(alchi_store_acquire(store, 7, &part, &err), ALCH_OK);
    ck_assert_int_eq(part->local_m, 300);
    ck_assert_int_eq(part->local_n, 200);
    ck_assert_int_eq(part->lld, 300);
    ck_assert_uint_eq(part->entry, 8);
    ck_assert_int_eq(part->replica, 0);
    ck_assert_str_eq(part->name, "A");
    ck_assert_uint_eq((uintptr_t)part->data % 64, 0);
    for (int k = 0; k < 300 * 200; k++)
        ck_assert(((double *)part->data)[k] == 0);
    ck_assert_int_eq(alchi_store_used(store), 300 * 200 * 8);
    alchi_store_release(store, part);
    unit_code(alchi_store_free(store, 7, &err), ALCH_OK);
    ck_assert_int_eq(alchi_store_used(store), 0);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(a_rank_without_entries_has_an_empty_part)
{
    alchi_store_t *store = store_of(2, 3, 0);
    alchi_store_part_t *part;

    unit_code(alchi_store_reserve(store, 1, 10, 10, ALCH_INT32, &column_blocks, "", NULL, &err), ALCH_OK);
    unit_code(alchi_store_acquire(store, 1, &part, &err), ALCH_OK);
    ck_assert_int_eq(part->replica, -1);
    ck_assert_int_eq(part->row, -1);
    ck_assert_int_eq(part->local_m * part->local_n, 0);
    ck_assert_int_eq(part->lld, 1);
    ck_assert_ptr_null(part->data);
    unit_code(alchi_store_check(store, 1, &err), ALCH_OK);
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(the_limit_is_checked_before_allocation)
{
    alchi_store_t *store = store_of(1, 2, 1000000);

    unit_code(alchi_store_reserve(store, 1, 100, 100, ALCH_FLOAT64, &column_blocks, "", NULL, &err), ALCH_OK);
    ck_assert_int_eq(alchi_store_used(store), 100 * 50 * 8);
    unit_code(alchi_store_reserve(store, 2, 60000, 784, ALCH_FLOAT64, &column_blocks, "", NULL, &err), ALCH_ELIMIT);
    ck_assert_str_eq(err.text, "matrix 2 (60000 x 784, float64): needs 188.2 MB on worker 2 (rank 1), 960.0 kB of "
                               "1.0 MB are free (--memory-limit)");
    ck_assert_int_eq(err.rank, 1);
    unit_code(alchi_store_reserve(store, 3, 3000000, 3000000, ALCH_FLOAT64, &column_blocks, "", NULL, &err),
              ALCH_ELIMIT);
    ck_assert_int_eq(alchi_store_used(store), 100 * 50 * 8);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(accounted_memory_counts_against_the_limit)
{
    alchi_store_t *store = store_of(1, 2, 1000000);

    unit_code(alchi_store_reserve(store, 1, 100, 100, ALCH_FLOAT64, &column_blocks, "", NULL, &err), ALCH_OK);
    unit_code(alchi_store_account(store, 960000, "workspace", &err), ALCH_OK);
    unit_code(alchi_store_account(store, 1, "workspace", &err), ALCH_ELIMIT);
    unit_contains(err.text, "workspace: needs 1 B on worker 2");
    unit_code(alchi_store_account(store, -960000, "workspace", &err), ALCH_OK);
    unit_code(alchi_store_free(store, 1, &err), ALCH_OK);
    ck_assert_int_eq(alchi_store_used(store), 0);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(a_work_matrix_is_found_once_it_has_an_id)
{
    alchi_store_t *store = store_of(0, 1, 0);
    alchi_store_part_t *work, *other, *found;

    unit_code(alchi_store_reserve(store, 0, 5, 5, ALCH_FLOAT32, NULL, "", &work, &err), ALCH_OK);
    unit_code(alchi_store_reserve(store, 0, 5, 5, ALCH_FLOAT32, NULL, "", &other, &err), ALCH_OK);
    unit_code(alchi_store_set_id(store, work, 0, &err), ALCH_EINVAL);
    unit_code(alchi_store_set_id(store, work, 12, &err), ALCH_OK);
    unit_code(alchi_store_set_id(store, work, 13, &err), ALCH_EINVAL);
    unit_code(alchi_store_set_id(store, other, 12, &err), ALCH_EINVAL);
    alchi_store_release(store, other);
    ck_assert_int_eq(alchi_store_used(store), 100);
    alchi_store_release(store, work);
    unit_code(alchi_store_acquire(store, 12, &found, &err), ALCH_OK);
    ck_assert_ptr_eq(found, work);
    alchi_store_release(store, found);
    unit_code(alchi_store_free(store, 12, &err), ALCH_OK);
    ck_assert_int_eq(alchi_store_used(store), 0);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(a_freed_part_lives_until_the_last_reference_is_released)
{
    alchi_store_t *store = store_of(0, 1, 0);
    alchi_store_part_t *part, *again;
    alch_rect_t one = {0, 0, 1, 1};

    unit_code(alchi_store_reserve(store, 3, 4, 4, ALCH_FLOAT64, NULL, "", &part, &err), ALCH_OK);
    unit_code(alchi_store_free(store, 3, &err), ALCH_OK);
    unit_code(alchi_store_acquire(store, 3, &again, &err), ALCH_ENOENT);
    unit_code(alchi_store_free(store, 3, &err), ALCH_ENOENT);
    unit_code(alchi_store_may_write(store, part, &err), ALCH_ENOENT);
    unit_code(alchi_store_mark_written(store, part, &one, &err), ALCH_ENOENT);
    ((double *)part->data)[15] = 1;
    ck_assert_int_eq(alchi_store_used(store), 128);
    alchi_store_release(store, part);
    ck_assert_int_eq(alchi_store_used(store), 0);
    alchi_store_destroy(store);
}
END_TEST

static alchi_store_part_t *
reserve_two(alchi_store_t *store)
{
    alchi_store_part_t *part;

    unit_code(alchi_store_reserve(store, 1, 4, 4, ALCH_FLOAT64, NULL, "", &part, &err), ALCH_OK);
    unit_code(alchi_store_reserve(store, 2, 4, 4, ALCH_FLOAT64, NULL, "", NULL, &err), ALCH_OK);
    return part;
}

START_TEST(a_locked_matrix_refuses_write_and_free)
{
    alchi_store_t *store = store_of(0, 1, 0);
    const uint64_t both[] = {1, 2};
    alchi_store_part_t *part = reserve_two(store);

    unit_code(alchi_store_lock(store, 9, "svd", both, 2, &err), ALCH_OK);
    unit_code(alchi_store_may_write(store, part, &err), ALCH_EBUSY);
    ck_assert_str_eq(err.text, "matrix 1 (4 x 4, float64) is read by task 9 (svd)");
    unit_code(alchi_store_free(store, 2, &err), ALCH_EBUSY);
    alchi_store_unlock(store, 9);
    unit_code(alchi_store_may_write(store, part, &err), ALCH_OK);
    unit_code(alchi_store_free(store, 2, &err), ALCH_OK);
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

/* A task may name a matrix twice, and an unlock by a task that holds no lock changes nothing. */
START_TEST(a_matrix_is_locked_until_every_task_unlocks)
{
    alchi_store_t *store = store_of(0, 1, 0);
    const uint64_t both[] = {1, 2}, twice[] = {1, 1};
    alchi_store_part_t *part = reserve_two(store);

    unit_code(alchi_store_lock(store, 9, "svd", both, 2, &err), ALCH_OK);
    unit_code(alchi_store_lock(store, 10, "qr", twice, 2, &err), ALCH_OK);
    unit_code(alchi_store_may_write(store, part, &err), ALCH_EBUSY);
    alchi_store_unlock(store, 10);
    unit_code(alchi_store_may_write(store, part, &err), ALCH_EBUSY);
    unit_contains(err.text, "task 9 (svd)");
    alchi_store_unlock(store, 55);
    unit_code(alchi_store_may_write(store, part, &err), ALCH_EBUSY);
    alchi_store_unlock(store, 9);
    unit_code(alchi_store_may_write(store, part, &err), ALCH_OK);
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(a_lock_with_an_unknown_matrix_locks_none)
{
    alchi_store_t *store = store_of(0, 1, 0);
    const uint64_t unknown[] = {1, 77};
    alchi_store_part_t *part = reserve_two(store);

    unit_code(alchi_store_lock(store, 8, "f", unknown, 2, &err), ALCH_ENOENT);
    unit_contains(err.text, "has no matrix 77");
    unit_code(alchi_store_may_write(store, part, &err), ALCH_OK);
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(a_lock_without_matrices_is_allowed)
{
    alchi_store_t *store = store_of(0, 1, 0);

    unit_code(alchi_store_lock(store, 11, "none", NULL, 0, &err), ALCH_OK);
    alchi_store_unlock(store, 11);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(an_incomplete_part_names_the_first_missing_entries)
{
    alchi_store_t *store = store_of(1, 2, 0);
    alch_rect_t upper = {0, 0, 50, 10}, lower = {50, 0, 50, 10}, third = {50, 2, 1, 1};
    alchi_store_part_t *part;

    unit_code(alchi_store_reserve(store, 3, 100, 20, ALCH_FLOAT64, &column_blocks, "", &part, &err), ALCH_OK);
    ck_assert_int_eq(part->local_n, 10);
    unit_code(alchi_store_check(store, 3, &err), ALCH_EINCOMPLETE);
    ck_assert_str_eq(err.text, "matrix 3 (100 x 20, float64): 1000 of 1000 entries on worker 2 (rank 1) are not "
                               "written, first rows 0..99 of column 2");
    unit_code(alchi_store_mark_written(store, part, &upper, &err), ALCH_OK);
    unit_code(alchi_store_check(store, 3, &err), ALCH_EINCOMPLETE);
    unit_contains(err.text, "500 of 1000 entries");
    unit_contains(err.text, "first rows 50..99 of column 2");
    unit_code(alchi_store_check_written(store, part, &upper, &err), ALCH_OK);
    unit_code(alchi_store_check_written(store, part, &third, &err), ALCH_EINCOMPLETE);
    unit_contains(err.text, "first row 50 of column 6"); /* local column 2 is the third block's first */
    unit_code(alchi_store_mark_written(store, part, &lower, &err), ALCH_OK);
    unit_code(alchi_store_check(store, 3, &err), ALCH_OK);
    unit_code(alchi_store_check_written(store, part, &third, &err), ALCH_OK);
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(missing_rows_are_named_up_to_the_end_of_a_block)
{
    const alch_layout_t row_blocks = {ALCH_BLOCK_CYCLIC, 4, 4, 2, 1};
    alchi_store_t *store = store_of(1, 2, 0);
    alch_rect_t first = {0, 0, 1, 1};
    alchi_store_part_t *part;

    unit_code(alchi_store_reserve(store, 3, 16, 1, ALCH_FLOAT64, &row_blocks, "", &part, &err), ALCH_OK);
    unit_code(alchi_store_mark_written(store, part, &first, &err), ALCH_OK);
    unit_code(alchi_store_check(store, 3, &err), ALCH_EINCOMPLETE);
    unit_contains(err.text, "7 of 8 entries");
    unit_contains(err.text, "first rows 5..7 of column 0");
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

/* Use the store as several threads do. @return NULL, or the store if a call failed */
static void *
use_store(void *store)
{
    static _Atomic uint64_t next = 100;

    for (int k = 0; k < 300; k++) {
        uint64_t id = next++, seen = 100 + (uint64_t)k;
        alchi_store_part_t *part;
        alch_rect_t all = {0, 0, 8, 8};

        if (alchi_store_reserve(store, id, 8, 8, ALCH_FLOAT64, NULL, "", NULL, NULL) ||
            alchi_store_acquire(store, id, &part, NULL) || alchi_store_mark_written(store, part, &all, NULL) ||
            alchi_store_lock(store, id, "t", &id, 1, NULL) || alchi_store_free(store, id, NULL) != ALCH_EBUSY)
            return store;
        alchi_store_unlock(store, id);
        if (alchi_store_check(store, id, NULL) || alchi_store_free(store, id, NULL))
            return store;
        alchi_store_release(store, part);
        if (alchi_store_acquire(store, seen, &part, NULL) == ALCH_OK)
            alchi_store_release(store, part);
    }
    return NULL;
}

START_TEST(threads_share_a_store)
{
    alchi_store_t *store = store_of(0, 1, 1 << 20);
    pthread_t threads[4];

    for (int k = 0; k < 4; k++)
        ck_assert_int_eq(pthread_create(&threads[k], NULL, use_store, store), 0);
    for (int k = 0; k < 4; k++) {
        void *failed;

        pthread_join(threads[k], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(alchi_store_used(store), 0);
    alchi_store_destroy(store);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("store");

    tcase_add_test(tcase, invalid_arguments_are_refused);
    tcase_add_test(tcase, a_reserved_part_is_zeroed_and_found_by_its_id);
    tcase_add_test(tcase, a_rank_without_entries_has_an_empty_part);
    tcase_add_test(tcase, the_limit_is_checked_before_allocation);
    tcase_add_test(tcase, accounted_memory_counts_against_the_limit);
    tcase_add_test(tcase, a_work_matrix_is_found_once_it_has_an_id);
    tcase_add_test(tcase, a_freed_part_lives_until_the_last_reference_is_released);
    tcase_add_test(tcase, a_locked_matrix_refuses_write_and_free);
    tcase_add_test(tcase, a_matrix_is_locked_until_every_task_unlocks);
    tcase_add_test(tcase, a_lock_with_an_unknown_matrix_locks_none);
    tcase_add_test(tcase, a_lock_without_matrices_is_allowed);
    tcase_add_test(tcase, an_incomplete_part_names_the_first_missing_entries);
    tcase_add_test(tcase, missing_rows_are_named_up_to_the_end_of_a_block);
    tcase_add_test(tcase, threads_share_a_store);
    suite_add_tcase(suite, tcase);
}
