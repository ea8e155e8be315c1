/* Error codes, and the text of errors. */
#include "unit.h"
#include "base/error.h"
#include "base/util.h"

#include <alchemist/types.h>
#include <errno.h>
#include <string.h>

START_TEST(codes_have_names_and_texts)
{
    ck_assert_str_eq(alch_strerror(ALCH_OK), "success");
    ck_assert_str_eq(alch_strerror(ALCH_EBUSY), "object in use");
    ck_assert_str_eq(alch_errname(ALCH_EBUSY), "ALCH_EBUSY");
    ck_assert_str_eq(alch_errname(ALCH_EPORT), "ALCH_EPORT");
    ck_assert_str_eq(alch_strerror(-1), "unknown error");
    ck_assert_str_eq(alch_strerror(1000), "unknown error");
    ck_assert_str_eq(alch_errname(-1), "ALCH_E?");
    ck_assert_str_eq(alch_errname(1000), "ALCH_E?");
}
END_TEST

START_TEST(codes_are_exit_codes_and_keep_their_values)
{
    int k;

    for (k = 0; k <= ALCH_EDAMAGED; k++)
        ck_assert_str_ne(alch_errname(k), "ALCH_E?");
    ck_assert_str_eq(alch_errname(ALCH_EDAMAGED + 1), "ALCH_E?");
    ck_assert_int_eq(ALCH_EINVAL, 1);
    ck_assert_int_eq(ALCH_EAGAIN, 23);
    ck_assert_int_eq(ALCH_EPORT, 27);
    ck_assert_int_eq(ALCH_EDAMAGED, 28);
}
END_TEST

START_TEST(a_null_error_is_allowed)
{
    unit_code(alchi_error_set(NULL, ALCH_EBUSY, "%d", 1), ALCH_EBUSY);
    unit_code(alchi_error_rank(NULL, ALCH_EBUSY, 2, "%d", 1), ALCH_EBUSY);
    unit_code(alchi_error_errno(NULL, ENOENT, "%d", 1), ALCH_ESYSTEM);
}
END_TEST

START_TEST(set_writes_code_rank_and_text)
{
    alch_error_t err;

    errno = 77;
    unit_code(alchi_error_set(&err, ALCH_ERANGE, "row %d of %s", 7, "A"), ALCH_ERANGE);
    ck_assert_int_eq(errno, 77);
    ck_assert_int_eq(err.code, ALCH_ERANGE);
    ck_assert_int_eq(err.rank, -1);
    ck_assert_str_eq(err.text, "row 7 of A");
    unit_code(alchi_error_rank(&err, ALCH_EFUNCTION, 3, "no"), ALCH_EFUNCTION);
    ck_assert_int_eq(err.rank, 3);
    unit_code(alchi_error_errno(&err, ENOENT, "open %s", "x"), ALCH_ESYSTEM);
    ck_assert_str_eq(err.text, "open x: No such file or directory");
    ck_assert_int_eq(err.rank, -1);
}
END_TEST

START_TEST(text_may_quote_itself)
{
    alch_error_t err;

    alchi_error_set(&err, ALCH_ERANGE, "inner");
    alchi_error_set(&err, err.code, "outer: %s", err.text);
    ck_assert_str_eq(err.text, "outer: inner");
}
END_TEST

START_TEST(long_and_broken_text_stays_valid)
{
    char text[2 * ALCH_ERROR_TEXT_MAX];
    alch_error_t err;
    size_t k;

    for (k = 0; k + 2 < sizeof(text); k += 2)
        memcpy(text + k, "\xc3\xa4", 2);
    text[k] = '\0';
    alchi_error_set(&err, ALCH_EINVAL, ".%s", text);
    ck_assert_uint_eq(strlen(err.text), ALCH_ERROR_TEXT_MAX - 1);
    ck_assert(alchi_utf8_valid(err.text, strlen(err.text)));
    alchi_error_set(&err, ALCH_EINVAL, "%s", text);
    ck_assert(alchi_utf8_valid(err.text, strlen(err.text)));
    alchi_error_errno(&err, ENOENT, "%s", text);
    ck_assert(alchi_utf8_valid(err.text, strlen(err.text)));
    alchi_error_set(&err, ALCH_EINVAL, "file a\xff\xc3.so");
    ck_assert_str_eq(err.text, "file a??.so");
}
END_TEST

START_TEST(types_have_names_and_sizes)
{
    ck_assert_uint_eq(alch_dtype_size(ALCH_FLOAT64), 8);
    ck_assert_uint_eq(alch_dtype_size(ALCH_FLOAT32), 4);
    ck_assert_uint_eq(alch_dtype_size(ALCH_COMPLEX128), 16);
    ck_assert_uint_eq(alch_dtype_size(ALCH_COMPLEX64), 8);
    ck_assert_uint_eq(alch_dtype_size(ALCH_INT64), 8);
    ck_assert_uint_eq(alch_dtype_size(ALCH_INT32), 4);
    ck_assert_uint_eq(alch_dtype_size((alch_dtype_t)0), 0);
    ck_assert_uint_eq(alch_dtype_size((alch_dtype_t)7), 0);
    ck_assert_uint_eq(alch_dtype_size((alch_dtype_t)-1), 0);
    ck_assert_str_eq(alch_dtype_name(ALCH_COMPLEX64), "complex64");
    ck_assert_ptr_null(alch_dtype_name((alch_dtype_t)0));
    ck_assert_ptr_null(alch_dtype_name((alch_dtype_t)7));
    ck_assert_str_eq(alch_version(), ALCH_VERSION);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("error");

    tcase_add_test(tcase, codes_have_names_and_texts);
    tcase_add_test(tcase, codes_are_exit_codes_and_keep_their_values);
    tcase_add_test(tcase, a_null_error_is_allowed);
    tcase_add_test(tcase, set_writes_code_rank_and_text);
    tcase_add_test(tcase, text_may_quote_itself);
    tcase_add_test(tcase, long_and_broken_text_stays_valid);
    tcase_add_test(tcase, types_have_names_and_sizes);
    suite_add_tcase(suite, tcase);
}
