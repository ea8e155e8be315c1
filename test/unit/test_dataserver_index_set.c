/* Index sets: the overlap of a message's axes with a part. */
#include "dataserver/index_set.h"
#include "unit.h"

#include <stdint.h>
#include <string.h>

static alch_error_t err;

/* Rank 1 of 2 holds every second block of 4 of 64 rows, and all 10 columns. */
static alchi_store_part_t *
make_part(alchi_store_t *store)
{
    alch_layout_t layout = {ALCH_BLOCK_CYCLIC, 4, 10, 2, 1};
    alchi_store_part_t *part = NULL;

    unit_code(alchi_store_reserve(store, 1, 64, 10, ALCH_FLOAT64, &layout, "", &part, &err), ALCH_OK);
    ck_assert_int_eq(part->local_m, 32);
    return part;
}

static Alchw__Axes
axes_of(int64_t row_block, int64_t row_period, int64_t row_first, int64_t col_block, int64_t col_period,
        int64_t col_first)
{
    Alchw__Axes axes = ALCHW__AXES__INIT;

    axes.row_block = row_block;
    axes.row_period = row_period;
    axes.row_first = row_first;
    axes.col_block = col_block;
    axes.col_period = col_period;
    axes.col_first = col_first;
    return axes;
}

START_TEST(invalid_axes_are_refused)
{
    static const int64_t bad[][3] = {{0, 1, 0}, {-4, 4, 0}, {4, 3, 0},
                                     {1, 0, 0}, {1, 1, -1}, {INT64_MIN, INT64_MIN, 0}};
    alchi_store_t *store = alchi_store_create(1, 2, 0);
    alchi_store_part_t *part = make_part(store);
    alch_rect_t rect = {0, 0, 32, 10};
    alchi_data_index_set_t set;

    for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
        Alchw__Axes rows = axes_of(bad[k][0], bad[k][1], bad[k][2], 1, 1, 0);
        Alchw__Axes cols = axes_of(1, 1, 0, bad[k][0], bad[k][1], bad[k][2]);

        unit_code(alchi_data_index_set_init(&set, part, &rows, &rect, &err), ALCH_EPROTO);
        unit_code(alchi_data_index_set_init(&set, part, &cols, &rect, &err), ALCH_EPROTO);
    }
    ck_assert_int_eq(rect.m * rect.n, 320);
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

START_TEST(axes_of_maximum_size_are_accepted)
{
    alchi_store_t *store = alchi_store_create(1, 2, 0);
    alchi_store_part_t *part = make_part(store);
    Alchw__Axes axes = axes_of(INT64_MAX, INT64_MAX, 0, 1, INT64_MAX, 3), none = axes_of(1, 1, INT64_MAX, 1, 1, 0);
    alch_rect_t rect = {0, 0, 32, 10};
    alchi_data_index_set_t set;

    unit_code(alchi_data_index_set_init(&set, part, &axes, &rect, &err), ALCH_OK);
    ck_assert(!set.periodic);
    ck_assert_mem_eq(&rect, (&(alch_rect_t){0, 3, 32, 1}), sizeof(rect));
    unit_code(alchi_data_index_set_init(&set, part, &none, &rect, &err), ALCH_OK);
    ck_assert(!set.periodic && set.row_count == 0 && rect.m == 0);
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

/* A set that one place has written is covered for that place only; errors name the first missing entries. */
START_TEST(a_written_set_is_covered_and_nothing_else)
{
    alchi_store_t *store = alchi_store_create(1, 2, 0);
    alchi_store_part_t *part = make_part(store);
    Alchw__Axes even = axes_of(1, 2, 0, 3, 9, 0), all = axes_of(1, 1, 0, 1, 1, 0);
    alch_rect_t rect = {0, 0, 32, 10}, whole = rect;
    alchi_data_index_set_t set, other;

    unit_code(alchi_data_index_set_init(&set, part, &even, &rect, &err), ALCH_OK);
    ck_assert(set.periodic && set.row_count == 16 && set.col_count == 4);
    unit_code(alchi_store_check_set_written(store, part, &set.rows, &set.cols, &err), ALCH_EINCOMPLETE);
    ck_assert_ptr_nonnull(strstr(err.text, "row 4 of column 0"));
    unit_code(alchi_store_mark_set_written(store, part, &set.rows, &set.cols, &err), ALCH_OK);
    unit_code(alchi_store_check_set_written(store, part, &set.rows, &set.cols, &err), ALCH_OK);
    unit_code(alchi_data_index_set_init(&other, part, &all, &whole, &err), ALCH_OK);
    ck_assert(!other.periodic);
    unit_code(alchi_store_check_written(store, part, &whole, &err), ALCH_EINCOMPLETE);
    ck_assert_ptr_nonnull(strstr(err.text, "row 5 of column 0"));
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("index set");

    tcase_add_test(tcase, invalid_axes_are_refused);
    tcase_add_test(tcase, axes_of_maximum_size_are_accepted);
    tcase_add_test(tcase, a_written_set_is_covered_and_nothing_else);
    suite_add_tcase(suite, tcase);
}
