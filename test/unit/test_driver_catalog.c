/* The catalog: the matrices of a session as the driver knows them. */
#include "unit.h"
#include "driver/catalog.h"

/* Group 5 has two workers. */
#define GROUP 5

static int
add_matrix(alchi_drv_catalog_t *catalog, uint64_t id, int64_t rows, int64_t cols, uint32_t dtype, const char *name,
           alchi_drv_matrix_t **matrix_p, alch_error_t *err)
{
    Alchw__Matrix description = ALCHW__MATRIX__INIT;

    description.rows = rows;
    description.cols = cols;
    description.dtype = dtype;
    description.name = (char *)name;
    return alchi_drv_catalog_add(catalog, id, GROUP, 2, &description, matrix_p, err);
}

/* Add a matrix of 3 x 4 that all ranks have. */
static alchi_drv_matrix_t *
add_live_matrix(alchi_drv_catalog_t *catalog, uint64_t id)
{
    alchi_drv_matrix_t *matrix;

    unit_code(add_matrix(catalog, id, 3, 4, ALCH_FLOAT64, "A", &matrix, NULL), ALCH_OK);
    matrix->state = ALCHI_DRV_MATRIX_LIVE;
    return matrix;
}

START_TEST(invalid_descriptions_are_refused)
{
    static const char name_64[] = "0123456789012345678901234567890123456789012345678901234567890123";
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *matrix = NULL;
    alch_error_t error;

    unit_code(add_matrix(&catalog, 1, -1, 2, ALCH_FLOAT64, NULL, &matrix, &error), ALCH_EINVAL);
    unit_code(add_matrix(&catalog, 1, 2, 2, 0, NULL, &matrix, &error), ALCH_EINVAL);
    unit_code(add_matrix(&catalog, 1, 2, 2, UINT32_MAX, NULL, &matrix, &error), ALCH_EINVAL);
    unit_code(add_matrix(&catalog, 1, 2, 2, ALCH_FLOAT64, name_64, &matrix, &error), ALCH_EINVAL);
    unit_code(add_matrix(&catalog, 1, INT64_MAX / 4, 3, ALCH_FLOAT64, NULL, &matrix, &error), ALCH_ERANGE);
    ck_assert_ptr_null(matrix);
    ck_assert_ptr_null(catalog.matrices);
}
END_TEST

START_TEST(longest_name_and_largest_size_are_accepted)
{
    static const char name_63[] = "123456789012345678901234567890123456789012345678901234567890123";
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *matrix;
    alch_error_t error;

    unit_code(add_matrix(&catalog, 1, INT64_MAX / 16, 1, ALCH_FLOAT64, name_63, &matrix, &error), ALCH_OK);
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(only_live_matrices_are_found)
{
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *matrix, *found;
    alch_error_t error;

    unit_code(add_matrix(&catalog, 7, 3, 4, ALCH_INT32, NULL, &matrix, &error), ALCH_OK);
    unit_code(alchi_drv_catalog_find(&catalog, 7, &found, &error), ALCH_ENOENT);
    matrix->state = ALCHI_DRV_MATRIX_LIVE;
    unit_code(alchi_drv_catalog_find(&catalog, 7, &found, &error), ALCH_OK);
    ck_assert_ptr_eq(found, matrix);
    matrix->state = ALCHI_DRV_MATRIX_FREEING;
    unit_code(alchi_drv_catalog_find(&catalog, 7, &found, &error), ALCH_ENOENT);
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(error_names_the_unknown_matrix)
{
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *found;
    alch_error_t error;

    add_live_matrix(&catalog, 7);
    unit_code(alchi_drv_catalog_find(&catalog, 8, &found, &error), ALCH_ENOENT);
    ck_assert_str_eq(error.text, "this session has no matrix 8");
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(only_a_matrix_without_entries_is_complete_from_the_start)
{
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *matrix;

    unit_code(add_matrix(&catalog, 1, 0, 9, ALCH_FLOAT32, NULL, &matrix, NULL), ALCH_OK);
    ck_assert(matrix->complete);
    ck_assert(!add_live_matrix(&catalog, 2)->complete);
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(locked_matrix_names_its_reader)
{
    const uint64_t id = 1;
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *matrix = add_live_matrix(&catalog, id);
    alchi_drv_matrix_description_t described;
    alch_error_t error;

    alchi_drv_catalog_lock(&catalog, &id, 1, "task 7 (L.f)");
    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_EBUSY);
    ck_assert_str_eq(error.text, "matrix 1 (3 x 4, float64) is read by task 7 (L.f)");
    alchi_drv_catalog_describe(matrix, &described);
    ck_assert_str_eq(described.message.busy, "read by task 7 (L.f)");
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(matrix_is_unlocked_when_all_of_its_locks_are_released)
{
    const uint64_t ids[] = {1, 1, 99}; /* there is no matrix 99 */
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *matrix = add_live_matrix(&catalog, 1);
    alchi_drv_matrix_description_t described;
    alch_error_t error;

    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_OK);
    alchi_drv_catalog_lock(&catalog, ids, 3, "task 7 (L.f)");
    alchi_drv_catalog_unlock(&catalog, ids, 1);
    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_EBUSY);
    alchi_drv_catalog_unlock(&catalog, ids, 1);
    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_OK);
    alchi_drv_catalog_describe(matrix, &described);
    ck_assert_str_eq(described.message.busy, "");
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(unlocking_an_unlocked_matrix_has_no_effect)
{
    const uint64_t id = 1;
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *matrix = add_live_matrix(&catalog, id);
    alch_error_t error;

    alchi_drv_catalog_lock(&catalog, &id, 1, "task 7 (L.f)");
    alchi_drv_catalog_unlock(&catalog, &id, 1);
    alchi_drv_catalog_unlock(&catalog, &id, 1);
    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_OK);
    alchi_drv_catalog_lock(&catalog, &id, 1, "task 8 (L.f)");
    unit_code(alchi_drv_catalog_check_unlocked(matrix, &error), ALCH_EBUSY);
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(lost_matrix_is_found_with_the_reason)
{
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *found;
    alch_error_t error;

    add_live_matrix(&catalog, 1);
    alchi_drv_catalog_mark_lost(&catalog, GROUP, "the group has ended");
    unit_code(alchi_drv_catalog_find(&catalog, 1, &found, &error), ALCH_EGROUP);
    ck_assert_str_eq(error.text, "matrix 1 is lost: the group has ended");
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(matrix_of_another_group_is_not_lost)
{
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *found;
    alch_error_t error;
    char text[256];

    add_live_matrix(&catalog, 1);
    add_live_matrix(&catalog, 2)->group = GROUP + 1;
    alchi_drv_catalog_mark_lost(&catalog, GROUP, "the group has ended");
    unit_code(alchi_drv_catalog_find(&catalog, 2, &found, &error), ALCH_OK);
    ck_assert_int_eq(alchi_drv_catalog_names(&catalog, text, sizeof(text)), 1);
    ck_assert_str_eq(text, "matrix 2 (3 x 4, float64)");
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(matrix_that_is_being_created_is_removed_with_its_group)
{
    alchi_drv_catalog_t catalog = {NULL};
    alchi_drv_matrix_t *matrix, *live = add_live_matrix(&catalog, 1);

    unit_code(add_matrix(&catalog, 3, 1, 1, ALCH_FLOAT64, NULL, &matrix, NULL), ALCH_OK);
    alchi_drv_catalog_mark_lost(&catalog, GROUP, "the group has ended");
    ck_assert_ptr_null(alchi_drv_catalog_get(&catalog, 3));
    ck_assert_ptr_eq(alchi_drv_catalog_get(&catalog, 1), live);
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

START_TEST(list_of_names_that_does_not_fit_ends_with_dots)
{
    alchi_drv_catalog_t catalog = {NULL};
    char text[80];

    for (uint64_t id = 1; id <= 20; id++)
        add_live_matrix(&catalog, id);
    ck_assert_int_eq(alchi_drv_catalog_names(&catalog, text, sizeof(text)), 20);
    ck_assert_str_eq(text, "matrix 1 (3 x 4, float64), matrix 2 (3 x 4, float64), ...");
    alchi_drv_catalog_fini(&catalog);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("catalog");

    tcase_add_test(tcase, invalid_descriptions_are_refused);
    tcase_add_test(tcase, longest_name_and_largest_size_are_accepted);
    tcase_add_test(tcase, only_live_matrices_are_found);
    tcase_add_test(tcase, error_names_the_unknown_matrix);
    tcase_add_test(tcase, only_a_matrix_without_entries_is_complete_from_the_start);
    tcase_add_test(tcase, locked_matrix_names_its_reader);
    tcase_add_test(tcase, matrix_is_unlocked_when_all_of_its_locks_are_released);
    tcase_add_test(tcase, unlocking_an_unlocked_matrix_has_no_effect);
    tcase_add_test(tcase, lost_matrix_is_found_with_the_reason);
    tcase_add_test(tcase, matrix_of_another_group_is_not_lost);
    tcase_add_test(tcase, matrix_that_is_being_created_is_removed_with_its_group);
    tcase_add_test(tcase, list_of_names_that_does_not_fit_ends_with_dots);
    suite_add_tcase(suite, tcase);
}
