#include "unit.h"
#include "driver/catalog.h"

static alchi_drv_catalog_t catalog;

static void
teardown(void)
{
    alchi_drv_catalog_fini(&catalog);
}

static int
add(uint64_t id, int64_t rows, int64_t cols, uint32_t dtype, const char *name, alchi_drv_matrix_t **matrix_p,
    alch_error_t *err)
{
    Alchw__Matrix description = ALCHW__MATRIX__INIT;

    description.rows = rows;
    description.cols = cols;
    description.dtype = dtype;
    description.name = (char *)name;
    return alchi_drv_catalog_add(&catalog, id, 5, 2, &description, matrix_p, err);
}

static alchi_drv_matrix_t *
live(uint64_t id)
{
    alchi_drv_matrix_t *matrix;

    unit_code(add(id, 3, 4, ALCH_FLOAT64, "A", &matrix, NULL), ALCH_OK);
    matrix->state = ALCHI_DRV_MATRIX_LIVE;
    return matrix;
}

START_TEST(bad_descriptions)
{
    static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123";
    alchi_drv_matrix_t *matrix = NULL;
    alch_error_t error;

    unit_code(add(1, -1, 2, ALCH_FLOAT64, NULL, &matrix, &error), ALCH_EINVAL);
    unit_code(add(1, 2, 2, 0, NULL, &matrix, &error), ALCH_EINVAL);
    unit_code(add(1, 2, 2, UINT32_MAX, NULL, &matrix, &error), ALCH_EINVAL);
    unit_code(add(1, 2, 2, ALCH_FLOAT64, long_name, &matrix, &error), ALCH_EINVAL);
    unit_code(add(1, INT64_MAX / 4, 3, ALCH_FLOAT64, NULL, &matrix, &error), ALCH_ERANGE);
    ck_assert_ptr_null(matrix);
    ck_assert_ptr_null(catalog.matrices);
    unit_code(add(1, INT64_MAX / 16, 1, ALCH_FLOAT64, long_name + 1, &matrix, &error), ALCH_OK);
}
END_TEST

START_TEST(found_when_live_only)
{
    alchi_drv_matrix_t *matrix, *found;
    alch_error_t error;

    unit_code(add(7, 3, 4, ALCH_INT32, NULL, &matrix, &error), ALCH_OK);
    unit_code(alchi_drv_catalog_find(&catalog, 7, &found, &error), ALCH_ENOENT);
    matrix->state = ALCHI_DRV_MATRIX_LIVE;
    unit_code(alchi_drv_catalog_find(&catalog, 7, &found, &error), ALCH_OK);
    ck_assert_ptr_eq(found, matrix);
    matrix->state = ALCHI_DRV_MATRIX_FREEING;
    unit_code(alchi_drv_catalog_find(&catalog, 7, &found, &error), ALCH_ENOENT);
    unit_code(alchi_drv_catalog_find(&catalog, 8, &found, &error), ALCH_ENOENT);
    ck_assert_str_eq(error.text, "this session has no matrix 8");
}
END_TEST

START_TEST(without_entries_nothing_is_missing)
{
    alchi_drv_matrix_t *matrix;

    unit_code(add(1, 0, 9, ALCH_FLOAT32, NULL, &matrix, NULL), ALCH_OK);
    ck_assert(matrix->complete);
    ck_assert(!live(2)->complete);
}
END_TEST

START_TEST(readers_keep_it)
{
    uint64_t ids[] = {1, 1, 99};
    alchi_drv_matrix_t *matrix = live(1);
    alchi_drv_matrix_description_t described;
    alch_error_t error;

    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_OK);
    alchi_drv_catalog_lock(&catalog, ids, 3, "task 7 (L.f)");
    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_EBUSY);
    ck_assert_str_eq(error.text, "matrix 1 (3 x 4, float64) is read by task 7 (L.f)");
    alchi_drv_catalog_describe(matrix, &described);
    ck_assert_str_eq(described.message.busy, "read by task 7 (L.f)");
    alchi_drv_catalog_unlock(&catalog, ids, 1);
    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_EBUSY);
    alchi_drv_catalog_unlock(&catalog, ids, 1);
    alchi_drv_catalog_unlock(&catalog, ids, 1);
    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_OK);
    alchi_drv_catalog_describe(matrix, &described);
    ck_assert_str_eq(described.message.busy, "");
}
END_TEST

START_TEST(lost_ones_say_why)
{
    alchi_drv_matrix_t *half, *found;
    alch_error_t error;
    char text[256];

    live(1);
    live(2)->group = 6;
    unit_code(add(3, 1, 1, ALCH_FLOAT64, NULL, &half, NULL), ALCH_OK);
    alchi_drv_catalog_mark_lost(&catalog, 5, "the group was lost");
    unit_code(alchi_drv_catalog_find(&catalog, 1, &found, &error), ALCH_EGROUP);
    ck_assert_str_eq(error.text, "matrix 1 is lost: the group was lost");
    unit_code(alchi_drv_catalog_find(&catalog, 2, &found, &error), ALCH_OK);
    ck_assert_ptr_null(alchi_drv_catalog_get(&catalog, 3));
    ck_assert_int_eq(alchi_drv_catalog_names(&catalog, text, sizeof(text)), 1);
    ck_assert_str_eq(text, "matrix 2 (3 x 4, float64)");
}
END_TEST

START_TEST(names_are_cut)
{
    char text[80];

    for (uint64_t id = 1; id <= 20; id++)
        live(id);
    ck_assert_int_eq(alchi_drv_catalog_names(&catalog, text, sizeof(text)), 20);
    ck_assert_str_eq(text, "matrix 1 (3 x 4, float64), matrix 2 (3 x 4, float64), ...");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("catalog");

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, bad_descriptions);
    tcase_add_test(tcase, found_when_live_only);
    tcase_add_test(tcase, without_entries_nothing_is_missing);
    tcase_add_test(tcase, readers_keep_it);
    tcase_add_test(tcase, lost_ones_say_why);
    tcase_add_test(tcase, names_are_cut);
    suite_add_tcase(suite, tcase);
}
