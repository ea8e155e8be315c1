/* Sets of values return what was set, and only as the type that was set. */
#include "unit.h"
#include <alchemist/alchemist.h>
#include <stdio.h>

START_TEST(invalid_arguments_are_refused)
{
    alch_values_t *values = alch_values_create();
    const char *strings[] = {"good", "\xff"};
    int64_t x = 7;

    unit_code(alch_values_set_int(NULL, "a", 1), ALCH_EINVAL);
    unit_code(alch_values_set_int(values, NULL, 1), ALCH_EINVAL);
    unit_code(alch_values_set_int(values, "", 1), ALCH_EINVAL);
    unit_code(alch_values_set_int(values, "\xc3\x28", 1), ALCH_EINVAL);
    unit_code(alch_values_set_ints(values, "a", NULL, 2), ALCH_EINVAL);
    unit_code(alch_values_set_string(values, "a", NULL), ALCH_EINVAL);
    unit_code(alch_values_set_string(values, "a", "\xff"), ALCH_EINVAL);
    unit_code(alch_values_set_strings(values, "a", strings, 2), ALCH_EINVAL);
    ck_assert_uint_eq(alch_values_count(values), 0);
    ck_assert_uint_eq(alch_values_count(NULL), 0);
    ck_assert_ptr_null(alch_values_name(values, 0));
    unit_code(alch_values_get_int(values, "a", 0, &x), ALCH_ENOENT);
    unit_code(alch_values_get_int(NULL, "a", 0, &x), ALCH_ENOENT);
    unit_code(alch_values_describe(values, "a", NULL, NULL, NULL), ALCH_ENOENT);
    ck_assert_int_eq(x, 7);
    alch_values_destroy(values);
    alch_values_destroy(NULL);
}
END_TEST

START_TEST(scalars_are_returned_as_set)
{
    alch_values_t *values = alch_values_create();
    bool b = false;
    int64_t i = 0;
    uint64_t u = 0, id = 0;
    double d = 0, re = 0, im = 0;
    const char *s = NULL;

    unit_code(alch_values_set_bool(values, "b", true), ALCH_OK);
    unit_code(alch_values_set_int(values, "i", INT64_MIN), ALCH_OK);
    unit_code(alch_values_set_uint(values, "u", UINT64_MAX), ALCH_OK);
    unit_code(alch_values_set_real(values, "d", -0.1), ALCH_OK);
    unit_code(alch_values_set_complex(values, "c", 1.5, -2.5), ALCH_OK);
    unit_code(alch_values_set_string(values, "s", "größer"), ALCH_OK);
    unit_code(alch_values_set_matrix(values, "A", 42), ALCH_OK);
    ck_assert_uint_eq(alch_values_count(values), 7);
    ck_assert_str_eq(alch_values_name(values, 6), "A");
    unit_code(alch_values_get_bool(values, "b", 0, &b), ALCH_OK);
    unit_code(alch_values_get_int(values, "i", 0, &i), ALCH_OK);
    unit_code(alch_values_get_uint(values, "u", 0, &u), ALCH_OK);
    unit_code(alch_values_get_real(values, "d", 0, &d), ALCH_OK);
    unit_code(alch_values_get_complex(values, "c", 0, &re, &im), ALCH_OK);
    unit_code(alch_values_get_string(values, "s", 0, &s), ALCH_OK);
    unit_code(alch_values_get_matrix(values, "A", 0, &id), ALCH_OK);
    ck_assert(b && i == INT64_MIN && u == UINT64_MAX && d == -0.1 && re == 1.5 && im == -2.5 && id == 42);
    ck_assert_str_eq(s, "größer");
    alch_values_destroy(values);
}
END_TEST

START_TEST(lists_are_returned_as_set)
{
    alch_values_t *values = alch_values_create();
    const int64_t ints[] = {-1, 0, 1};
    const double pairs[] = {1, 2, 3, 4};
    const char *strings[] = {"", "zwei"};
    const bool bools[] = {false, true};
    double re, im;
    const char *s;
    int64_t i;
    bool b;

    unit_code(alch_values_set_ints(values, "i", ints, 3), ALCH_OK);
    unit_code(alch_values_set_complexes(values, "c", pairs, 2), ALCH_OK);
    unit_code(alch_values_set_strings(values, "s", strings, 2), ALCH_OK);
    unit_code(alch_values_set_bools(values, "b", bools, 2), ALCH_OK);
    unit_code(alch_values_get_int(values, "i", 2, &i), ALCH_OK);
    unit_code(alch_values_get_complex(values, "c", 1, &re, &im), ALCH_OK);
    unit_code(alch_values_get_string(values, "s", 1, &s), ALCH_OK);
    unit_code(alch_values_get_bool(values, "b", 1, &b), ALCH_OK);
    ck_assert(i == 1 && re == 3 && im == 4 && b);
    ck_assert_str_eq(s, "zwei");
    alch_values_destroy(values);
}
END_TEST

START_TEST(entries_beyond_the_end_are_refused)
{
    alch_values_t *values = alch_values_create();
    const int64_t ints[] = {-1, 0, 1};
    const double pairs[] = {1, 2, 3, 4};
    double re, im;
    int64_t i;

    unit_code(alch_values_set_ints(values, "i", ints, 3), ALCH_OK);
    unit_code(alch_values_set_complexes(values, "c", pairs, 2), ALCH_OK);
    unit_code(alch_values_get_int(values, "i", 3, &i), ALCH_ENOENT);
    unit_code(alch_values_get_complex(values, "c", 2, &re, &im), ALCH_ENOENT);
    alch_values_destroy(values);
}
END_TEST

START_TEST(describe_gives_type_and_count)
{
    alch_values_t *values = alch_values_create();
    const double pairs[] = {1, 2, 3, 4};
    alch_type_t type;
    size_t count;
    bool list;

    unit_code(alch_values_set_complexes(values, "c", pairs, 2), ALCH_OK);
    unit_code(alch_values_set_reals(values, "none", NULL, 0), ALCH_OK);
    unit_code(alch_values_describe(values, "c", &type, &list, &count), ALCH_OK);
    ck_assert(type == ALCH_TYPE_COMPLEX128 && list && count == 2);
    unit_code(alch_values_describe(values, "none", &type, &list, &count), ALCH_OK);
    ck_assert(type == ALCH_TYPE_FLOAT64 && list && count == 0);
    alch_values_destroy(values);
}
END_TEST

START_TEST(wrong_type_is_refused)
{
    alch_values_t *values = alch_values_create();
    int64_t i = 3;
    uint64_t u = 3;
    double d = 3;

    unit_code(alch_values_set_matrix(values, "A", 1), ALCH_OK);
    unit_code(alch_values_set_real(values, "d", 1), ALCH_OK);
    unit_code(alch_values_get_uint(values, "A", 0, &u), ALCH_ETYPE);
    unit_code(alch_values_get_int(values, "d", 0, &i), ALCH_ETYPE);
    unit_code(alch_values_get_matrix(values, "d", 0, &u), ALCH_ETYPE);
    unit_code(alch_values_get_real(values, "A", 0, &d), ALCH_ETYPE);
    unit_code(alch_values_get_real(values, "d", 0, NULL), ALCH_EINVAL);
    ck_assert(i == 3 && u == 3 && d == 3);
    alch_values_destroy(values);
}
END_TEST

START_TEST(setting_a_name_again_replaces_its_value)
{
    alch_values_t *values = alch_values_create();
    char name[16];
    int64_t i;

    for (int k = 0; k < 40; k++) {
        snprintf(name, sizeof(name), "v%d", k);
        unit_code(alch_values_set_int(values, name, k), ALCH_OK);
    }
    unit_code(alch_values_set_string(values, "v7", "now a text"), ALCH_OK);
    unit_code(alch_values_set_int(values, "v7", 70), ALCH_OK);
    ck_assert_uint_eq(alch_values_count(values), 40);
    ck_assert_str_eq(alch_values_name(values, 7), "v7");
    unit_code(alch_values_get_int(values, "v7", 0, &i), ALCH_OK);
    ck_assert_int_eq(i, 70);
    alch_values_destroy(values);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("values");

    tcase_add_test(tcase, invalid_arguments_are_refused);
    tcase_add_test(tcase, scalars_are_returned_as_set);
    tcase_add_test(tcase, lists_are_returned_as_set);
    tcase_add_test(tcase, entries_beyond_the_end_are_refused);
    tcase_add_test(tcase, describe_gives_type_and_count);
    tcase_add_test(tcase, wrong_type_is_refused);
    tcase_add_test(tcase, setting_a_name_again_replaces_its_value);
    suite_add_tcase(suite, tcase);
}
