/* Growth of a rank's matrices, and which of their entries are unwritten afterwards. */
#include "unit.h"
#include "layout_model.h"
#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static alch_error_t err;

static alchi_store_t *
store_of(int rank, int size, int64_t limit)
{
    alchi_store_t *store = alchi_store_create(rank, size, limit);

    ck_assert_ptr_nonnull(store);
    alchi_store_set_slot(store, rank + 1);
    return store;
}

static void
reserve(alchi_store_t *store, int64_t m, int64_t n, const alch_layout_t *layout)
{
    unit_code(alchi_store_reserve(store, 7, m, n, ALCH_FLOAT64, layout, "", NULL, &err), ALCH_OK);
}

/* Set every entry from local row `first` on to a function of its global place, and mark it as written. */
static void
fill(alchi_store_t *store, int64_t first)
{
    alchi_store_part_t *part;

    unit_code(alchi_store_acquire(store, 7, &part, &err), ALCH_OK);
    for (int64_t j = 0; j < part->local_n; j++)
        for (int64_t i = first; i < part->local_m; i++)
            ((double *)part->data)[i + j * part->lld] =
                (double)(alchi_axis_global(&part->rows, i) * 1000 + alchi_axis_global(&part->cols, j));
    unit_code(
        alchi_store_mark_written(store, part, &(alch_rect_t){first, 0, part->local_m - first, part->local_n}, &err),
        ALCH_OK);
    alchi_store_release(store, part);
}

/* Check the shape and every entry. @return local rows */
static int64_t
verify(alchi_store_t *store, int64_t rows)
{
    alchi_store_part_t *part;
    int64_t local_m;

    unit_code(alchi_store_acquire(store, 7, &part, &err), ALCH_OK);
    ck_assert_int_eq(part->layout.m, rows);
    ck_assert_int_ge(part->lld, part->local_m);
    for (int64_t j = 0; j < part->local_n; j++)
        for (int64_t i = 0; i < part->local_m; i++)
            ck_assert_double_eq(((double *)part->data)[i + j * part->lld],
                                (double)(alchi_axis_global(&part->rows, i) * 1000 + alchi_axis_global(&part->cols, j)));
    local_m = part->local_m;
    alchi_store_release(store, part);
    return local_m;
}

START_TEST(impossible_growth_leaves_the_matrix_unchanged)
{
    alchi_store_t *store = store_of(0, 1, 0);

    unit_code(alchi_store_grow(store, 7, 3, &err), ALCH_ENOENT);
    unit_contains(err.text, "worker 1 (rank 0) has no matrix 7");
    reserve(store, 4, 2, NULL);
    unit_code(alchi_store_grow(store, 7, -1, &err), ALCH_EINVAL);
    unit_code(alchi_store_grow(store, 7, INT64_MAX, &err), ALCH_EINVAL);
    fill(store, 0);
    ck_assert_int_eq(verify(store, 4), 4);
    ck_assert_int_eq(alchi_store_used(store), 64);
    alchi_store_destroy(store);
}
END_TEST

/* On every rank of every layout: old entries keep their places and stay written, new ones are unwritten. */
START_TEST(growth_keeps_written_entries_in_every_layout)
{
    static const int64_t sizes[] = {0, 1, 3, 10, 10, 11, 64, 200, 1000};

    for (int dist = ALCH_BLOCK_CYCLIC; dist <= ALCH_CIRC_CIRC; dist++)
        for (int size = 1; size <= 6; size++)
            for (int rank = 0; rank < size; rank++) {
                alch_layout_t layout = {(alch_dist_t)dist, 4, 3, 0, 0};
                alchi_store_t *store = store_of(rank, size, 0);
                int64_t before = 0;

                reserve(store, 0, 7, &layout);
                for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
                    int64_t n, m;
                    alchi_store_part_t *part;

                    unit_code(alchi_store_grow(store, 7, sizes[k], &err), ALCH_OK);
                    unit_code(alchi_store_acquire(store, 7, &part, &err), ALCH_OK);
                    m = part->local_m;
                    n = part->local_n;
                    alchi_store_release(store, part);
                    unit_code(alchi_store_check(store, 7, &err), m > before && n > 0 ? ALCH_EINCOMPLETE : ALCH_OK);
                    if (m > before && n > 0) {
                        char count[64];

                        snprintf(count, sizeof(count), "%lld of %lld entries", (long long)((m - before) * n),
                                 (long long)(m * n));
                        unit_contains(err.text, count);
                    }
                    fill(store, before);
                    unit_code(alchi_store_check(store, 7, &err), ALCH_OK);
                    before = verify(store, sizes[k]);
                }
                unit_code(alchi_store_free(store, 7, &err), ALCH_OK);
                ck_assert_int_eq(alchi_store_used(store), 0);
                alchi_store_destroy(store);
            }
}
END_TEST

/* A thousand growths by one row move the columns only a few times. */
START_TEST(small_growths_rarely_move_the_columns)
{
    alchi_store_t *store = store_of(0, 1, 0);
    const void *at = NULL;
    int moves = 0;

    reserve(store, 0, 3, NULL);
    for (int64_t rows = 1; rows <= 1000; rows++) {
        alchi_store_part_t *part;

        unit_code(alchi_store_grow(store, 7, rows, &err), ALCH_OK);
        fill(store, rows - 1);
        unit_code(alchi_store_acquire(store, 7, &part, &err), ALCH_OK);
        moves += part->data != at;
        at = part->data;
        alchi_store_release(store, part);
    }
    ck_assert_int_eq(verify(store, 1000), 1000);
    ck_assert_int_lt(moves, 25);
    alchi_store_destroy(store);
}
END_TEST

/* During a move the old and the new memory exist together, and the limit must allow both. Spare room is given up before
 * the growth fails. */
START_TEST(growth_counts_old_and_new_memory_against_the_limit)
{
    alchi_store_t *store = store_of(0, 1, 2250 * 8);

    reserve(store, 1000, 1, NULL);
    fill(store, 0);
    unit_code(alchi_store_grow(store, 7, 1251, &err), ALCH_ELIMIT);
    unit_contains(err.text,
                  "matrix 7 (1251 x 1, float64): needs 10.0 kB on worker 1 (rank 0), 10.0 kB of 18.0 kB are free");
    ck_assert_int_eq(verify(store, 1000), 1000);
    unit_code(alchi_store_check(store, 7, &err), ALCH_OK);
    ck_assert_int_eq(alchi_store_used(store), 8000);
    unit_code(alchi_store_grow(store, 7, 1250, &err), ALCH_OK);
    ck_assert_int_eq(alchi_store_used(store), 10000);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(fewer_rows_undo_a_growth)
{
    alchi_store_t *store = store_of(0, 1, 0);
    alchi_store_part_t *part;

    reserve(store, 100, 2, NULL);
    fill(store, 0);
    unit_code(alchi_store_grow(store, 7, 150, &err), ALCH_OK);
    /* A reference does not prevent the undoing. */
    unit_code(alchi_store_acquire(store, 7, &part, &err), ALCH_OK);
    unit_code(alchi_store_grow(store, 7, 100, &err), ALCH_OK);
    alchi_store_release(store, part);
    unit_code(alchi_store_check(store, 7, &err), ALCH_OK);
    ck_assert_int_eq(verify(store, 100), 100);
    unit_code(alchi_store_grow(store, 7, 120, &err), ALCH_OK);
    unit_code(alchi_store_check(store, 7, &err), ALCH_EINCOMPLETE);
    unit_contains(err.text, "40 of 240 entries");
    unit_contains(err.text, "first rows 100..119 of column 0");
    alchi_store_destroy(store);
}
END_TEST

static void *
release_later(void *argument)
{
    void **pair = argument;

    usleep(50000); /* the growth waits for the transfer in this time */
    alchi_store_release(pair[0], pair[1]);
    return NULL;
}

START_TEST(growth_is_refused_while_a_task_reads)
{
    static const uint64_t ids[] = {7};
    alchi_store_t *store = store_of(0, 1, 0);

    reserve(store, 10, 2, NULL);
    unit_code(alchi_store_lock(store, 3, "Lib.run", ids, 1, &err), ALCH_OK);
    unit_code(alchi_store_grow(store, 7, 11, &err), ALCH_EBUSY);
    unit_contains(err.text, "is read by task 3 (Lib.run)");
    alchi_store_unlock(store, 3);
    unit_code(alchi_store_grow(store, 7, 11, &err), ALCH_OK);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(growth_waits_for_a_transfer_but_not_forever)
{
    alchi_store_t *store = store_of(0, 1, 0);
    alchi_store_part_t *part;
    pthread_t thread;
    void *pair[2];

    reserve(store, 10, 2, NULL);
    unit_code(alchi_store_acquire(store, 7, &part, &err), ALCH_OK);
    unit_code(alchi_store_grow(store, 7, 11, &err), ALCH_EBUSY);
    unit_contains(err.text, "matrix 7 (10 x 2, float64) is used by a transfer on worker 1 (rank 0)");
    pair[0] = store;
    pair[1] = part;
    ck_assert_int_eq(pthread_create(&thread, NULL, release_later, pair), 0);
    unit_code(alchi_store_grow(store, 7, 11, &err), ALCH_OK);
    pthread_join(thread, NULL);
    alchi_store_destroy(store);
}
END_TEST

/* Transfers use a matrix while it grows: each sees the shape before or after a growth. */
static void *
use_matrix(void *argument)
{
    alchi_store_t *store = argument;
    alch_error_t error;

    for (int k = 0; k < 2000; k++) {
        alchi_store_part_t *part;

        ck_assert_int_eq(alchi_store_acquire(store, 7, &part, &error), ALCH_OK);
        ((volatile double *)part->data)[k % part->local_m] = 1;
        alchi_store_release(store, part);
    }
    return NULL;
}

START_TEST(threads_may_use_a_growing_matrix)
{
    alchi_store_t *store = store_of(0, 1, 0);
    pthread_t workers[2];
    int64_t rows = 1;

    reserve(store, 1, 1, NULL);
    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(pthread_create(&workers[k], NULL, use_matrix, store), 0);
    for (int k = 0; k < 50; k++)
        rows += alchi_store_grow(store, 7, rows + 10, &err) == ALCH_OK ? 10 : 0;
    for (int k = 0; k < 2; k++)
        pthread_join(workers[k], NULL);
    ck_assert_int_gt(rows, 1);
    alchi_store_destroy(store);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *grow = tcase_create("grow");

    tcase_add_test(grow, impossible_growth_leaves_the_matrix_unchanged);
    tcase_add_test(grow, growth_keeps_written_entries_in_every_layout);
    tcase_add_test(grow, small_growths_rarely_move_the_columns);
    tcase_add_test(grow, growth_counts_old_and_new_memory_against_the_limit);
    tcase_add_test(grow, fewer_rows_undo_a_growth);
    tcase_add_test(grow, growth_is_refused_while_a_task_reads);
    tcase_add_test(grow, growth_waits_for_a_transfer_but_not_forever);
    tcase_add_test(grow, threads_may_use_a_growing_matrix);
    suite_add_tcase(suite, grow);
}
