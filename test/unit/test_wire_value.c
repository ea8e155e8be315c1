/* Typed values: checks, conversions, literals. */
#include "unit.h"
#include "wire/value.h"
#include "base/util.h"

#include <math.h>
#include <string.h>

static alch_error_t err;
static Alchw__Value *result;

START_TEST(types_have_names)
{
    ck_assert_str_eq(alch_type_name(ALCH_TYPE_BOOL), "bool");
    ck_assert_str_eq(alch_type_name(ALCH_TYPE_UINT16), "uint16");
    ck_assert_str_eq(alch_type_name(ALCH_TYPE_MATRIX), "matrix");
    ck_assert_ptr_null(alch_type_name((alch_type_t)0));
    ck_assert_ptr_null(alch_type_name((alch_type_t)16));
    ck_assert_ptr_null(alch_type_name((alch_type_t)-1));
}
END_TEST

/* ---- values of peers ---- */

static Alchw__Value *
scalar_i(alch_type_t type, int64_t x)
{
    Alchw__Value *value = alchi_value_create(type, false);

    unit_code(alchi_value_add_i(value, x), ALCH_OK);
    return value;
}

static Alchw__Value *
scalar_u(alch_type_t type, uint64_t x)
{
    Alchw__Value *value = alchi_value_create(type, false);

    unit_code(alchi_value_add_u(value, x), ALCH_OK);
    return value;
}

static Alchw__Value *
scalar_d(alch_type_t type, double x)
{
    Alchw__Value *value = alchi_value_create(type, false);

    unit_code(alchi_value_add_d(value, x), ALCH_OK);
    return value;
}

static Alchw__Value *
scalar_s(const char *x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_STRING, false);

    unit_code(alchi_value_add_s(value, x), ALCH_OK);
    return value;
}

static Alchw__Value *
complex_of(alch_type_t type, double re, double im)
{
    Alchw__Value *value = scalar_d(type, re);

    unit_code(alchi_value_add_d(value, im), ALCH_OK);
    return value;
}

static void
assert_bad(Alchw__Value *value, const char *text)
{
    unit_code(alchi_value_check(value, &err), ALCH_EPROTO);
    ck_assert_str_eq(err.text, text);
    alchi_message_free(value);
}

static void
assert_good(Alchw__Value *value, size_t count)
{
    unit_code(alchi_value_check(value, &err), ALCH_OK);
    ck_assert_uint_eq(alchi_value_count(value), count);
    alchi_message_free(value);
}

START_TEST(inconsistent_values_are_refused)
{
    Alchw__Value *value;

    assert_bad(scalar_i((alch_type_t)0, 1), "a value has the unknown type 0");
    assert_bad(scalar_i((alch_type_t)99, 1), "a value has the unknown type 99");
    assert_bad(alchi_value_create(ALCH_TYPE_INT8, false), "a value of type int8 has 0 entries");
    value = scalar_i(ALCH_TYPE_INT8, 1);
    alchi_value_add_i(value, 2);
    assert_bad(value, "a value of type int8 has 2 entries");
    assert_bad(scalar_u(ALCH_TYPE_INT8, 1), "a value of type int8 has entries of another type");
    value = scalar_s("x");
    alchi_value_add_d(value, 2);
    assert_bad(value, "a value of type string has entries of another type");
    assert_bad(scalar_d(ALCH_TYPE_COMPLEX64, 1), "a value of type complex64 has entries of another type");
    assert_bad(scalar_i(ALCH_TYPE_BOOL, 2), "a value of type bool is outside the range of its type");
    assert_bad(scalar_i(ALCH_TYPE_BOOL, -1), "a value of type bool is outside the range of its type");
    assert_bad(scalar_i(ALCH_TYPE_INT8, -129), "a value of type int8 is outside the range of its type");
    assert_bad(scalar_i(ALCH_TYPE_INT16, 32768), "a value of type int16 is outside the range of its type");
    assert_bad(scalar_u(ALCH_TYPE_UINT8, 256), "a value of type uint8 is outside the range of its type");
    assert_bad(scalar_s("a\xff"), "a value of type string is not valid UTF-8");
}
END_TEST

START_TEST(consistent_values_are_accepted)
{
    assert_good(scalar_i(ALCH_TYPE_BOOL, 1), 1);
    assert_good(scalar_i(ALCH_TYPE_INT8, -128), 1);
    assert_good(scalar_i(ALCH_TYPE_INT64, INT64_MIN), 1);
    assert_good(scalar_u(ALCH_TYPE_UINT64, UINT64_MAX), 1);
    assert_good(scalar_u(ALCH_TYPE_MATRIX, 7), 1);
    assert_good(scalar_d(ALCH_TYPE_FLOAT32, NAN), 1);
    assert_good(complex_of(ALCH_TYPE_COMPLEX128, 1, 2), 1);
    assert_good(scalar_s(""), 1);
    assert_good(alchi_value_create(ALCH_TYPE_STRING, true), 0);
}
END_TEST

START_TEST(copies_are_equal)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_STRING, true), *copy;
    Alchw__NamedValue *named;

    alchi_value_add_s(value, "a");
    alchi_value_add_s(value, "");
    copy = alchi_value_copy(value);
    ck_assert_uint_eq(copy->type, ALCH_TYPE_STRING);
    ck_assert(copy->list);
    ck_assert_uint_eq(alchi_value_count(copy), 2);
    ck_assert_str_eq(copy->s[0], "a");
    ck_assert_ptr_ne(copy->s[0], value->s[0]);
    alchi_message_free(value);
    unit_code(alchi_value_add_s(copy, "after unpacking"), ALCH_OK);
    named = alchi_named_create("x", copy);
    ck_assert_str_eq(named->name, "x");
    ck_assert_ptr_eq(named->value, copy);
    alchi_message_free(named);
    ck_assert_ptr_null(alchi_named_create("x", NULL));
}
END_TEST

/* ---- conversion ---- */

static int
convert(Alchw__Value *value, alch_type_t type)
{
    int code = alchi_value_convert(value, type, value->list, "f: parameter 'k'", &result, &err);

    alchi_message_free(value);
    return code;
}

static void
assert_refused(Alchw__Value *value, alch_type_t type, const char *text)
{
    unit_code(convert(value, type), ALCH_ETYPE);
    ck_assert_str_eq(err.text, text);
}

START_TEST(lossy_conversions_are_refused)
{
    assert_refused(scalar_i(ALCH_TYPE_INT64, 300), ALCH_TYPE_INT8, "f: parameter 'k': 300 does not fit int8");
    assert_refused(scalar_i(ALCH_TYPE_INT64, -129), ALCH_TYPE_INT8, "f: parameter 'k': -129 does not fit int8");
    assert_refused(scalar_i(ALCH_TYPE_INT64, -1), ALCH_TYPE_UINT64, "f: parameter 'k': -1 does not fit uint64");
    assert_refused(scalar_i(ALCH_TYPE_INT64, 256), ALCH_TYPE_UINT8, "f: parameter 'k': 256 does not fit uint8");
    assert_refused(scalar_u(ALCH_TYPE_UINT64, UINT64_C(1) << 63), ALCH_TYPE_INT64,
                   "f: parameter 'k': 9223372036854775808 does not fit int64");
    assert_refused(scalar_i(ALCH_TYPE_INT64, INT64_MIN), ALCH_TYPE_INT32,
                   "f: parameter 'k': -9223372036854775808 does not fit int32");
    assert_refused(scalar_i(ALCH_TYPE_INT64, (INT64_C(1) << 53) + 1), ALCH_TYPE_FLOAT64,
                   "f: parameter 'k': 9007199254740993 does not fit float64");
    assert_refused(scalar_i(ALCH_TYPE_INT64, (1 << 24) + 1), ALCH_TYPE_COMPLEX64,
                   "f: parameter 'k': 16777217 does not fit complex64");
    assert_refused(scalar_d(ALCH_TYPE_FLOAT64, 1e300), ALCH_TYPE_FLOAT32,
                   "f: parameter 'k': 1e+300 does not fit float32");
}
END_TEST

START_TEST(kinds_are_not_mixed)
{
    assert_refused(scalar_s("3"), ALCH_TYPE_INT64, "f: parameter 'k' must be int64, not string");
    assert_refused(scalar_d(ALCH_TYPE_FLOAT64, 3), ALCH_TYPE_INT64, "f: parameter 'k' must be int64, not float64");
    assert_refused(scalar_i(ALCH_TYPE_BOOL, 1), ALCH_TYPE_INT64, "f: parameter 'k' must be int64, not bool");
    assert_refused(scalar_i(ALCH_TYPE_INT64, 1), ALCH_TYPE_BOOL, "f: parameter 'k' must be bool, not int64");
    assert_refused(scalar_i(ALCH_TYPE_INT64, 1), ALCH_TYPE_STRING, "f: parameter 'k' must be string, not int64");
    assert_refused(scalar_u(ALCH_TYPE_UINT64, 1), ALCH_TYPE_MATRIX, "f: parameter 'k' must be matrix, not uint64");
    assert_refused(scalar_u(ALCH_TYPE_MATRIX, 1), ALCH_TYPE_UINT64, "f: parameter 'k' must be uint64, not matrix");
    assert_refused(complex_of(ALCH_TYPE_COMPLEX64, 1, 0), ALCH_TYPE_FLOAT64,
                   "f: parameter 'k' must be float64, not complex64");
    assert_refused(scalar_i(ALCH_TYPE_INT64, 1), (alch_type_t)77, "f: parameter 'k' must be type 77, not int64");
}
END_TEST

START_TEST(lists_and_scalars_are_not_mixed)
{
    Alchw__Value *value = scalar_i(ALCH_TYPE_INT64, 1), *list = alchi_value_create(ALCH_TYPE_INT64, true);

    unit_code(alchi_value_convert(value, ALCH_TYPE_INT8, true, "x", &result, &err), ALCH_ETYPE);
    ck_assert_str_eq(err.text, "x must be int8[], not int64");
    alchi_value_add_i(list, 1);
    unit_code(alchi_value_convert(list, ALCH_TYPE_INT8, false, "x", &result, &err), ALCH_ETYPE);
    ck_assert_str_eq(err.text, "x must be int8, not int64[]");
    alchi_message_free(value);
    alchi_message_free(list);
}
END_TEST

static void
assert_i(int64_t x)
{
    ck_assert_uint_eq(result->n_i, 1);
    ck_assert_int_eq(result->i[0], x);
    unit_code(alchi_value_check(result, &err), ALCH_OK);
    alchi_message_free(result);
}

static void
assert_u(uint64_t x)
{
    ck_assert_uint_eq(result->n_u, 1);
    ck_assert_uint_eq(result->u[0], x);
    unit_code(alchi_value_check(result, &err), ALCH_OK);
    alchi_message_free(result);
}

static void
assert_d(double re)
{
    ck_assert_uint_ge(result->n_d, 1);
    ck_assert_double_eq(result->d[0], re);
    unit_code(alchi_value_check(result, &err), ALCH_OK);
    alchi_message_free(result);
}

START_TEST(values_within_range_are_converted)
{
    unit_code(convert(scalar_i(ALCH_TYPE_INT64, -128), ALCH_TYPE_INT8), ALCH_OK);
    ck_assert_uint_eq(result->type, ALCH_TYPE_INT8);
    assert_i(-128);
    unit_code(convert(scalar_i(ALCH_TYPE_INT64, INT64_MIN), ALCH_TYPE_INT64), ALCH_OK);
    assert_i(INT64_MIN);
    unit_code(convert(scalar_u(ALCH_TYPE_UINT64, INT64_MAX), ALCH_TYPE_INT64), ALCH_OK);
    assert_i(INT64_MAX);
    unit_code(convert(scalar_i(ALCH_TYPE_INT64, 255), ALCH_TYPE_UINT8), ALCH_OK);
    assert_u(255);
    unit_code(convert(scalar_u(ALCH_TYPE_UINT64, UINT64_MAX), ALCH_TYPE_UINT64), ALCH_OK);
    assert_u(UINT64_MAX);
    unit_code(convert(scalar_u(ALCH_TYPE_MATRIX, 9), ALCH_TYPE_MATRIX), ALCH_OK);
    assert_u(9);
    unit_code(convert(scalar_i(ALCH_TYPE_INT64, -(INT64_C(1) << 53)), ALCH_TYPE_FLOAT64), ALCH_OK);
    assert_d(-9007199254740992.0);
    unit_code(convert(scalar_i(ALCH_TYPE_INT64, INT64_MIN), ALCH_TYPE_FLOAT32), ALCH_OK);
    assert_d(-9223372036854775808.0);
    unit_code(convert(scalar_d(ALCH_TYPE_FLOAT64, 0.1), ALCH_TYPE_FLOAT32), ALCH_OK);
    assert_d((double)0.1f);
    unit_code(convert(scalar_d(ALCH_TYPE_FLOAT64, -INFINITY), ALCH_TYPE_FLOAT32), ALCH_OK);
    assert_d(-INFINITY);
    unit_code(convert(scalar_i(ALCH_TYPE_INT8, -3), ALCH_TYPE_COMPLEX64), ALCH_OK);
    ck_assert_uint_eq(result->n_d, 2);
    ck_assert_double_eq(result->d[1], 0);
    assert_d(-3);
    unit_code(convert(complex_of(ALCH_TYPE_COMPLEX128, 0.1, 0.2), ALCH_TYPE_COMPLEX64), ALCH_OK);
    ck_assert_double_eq(result->d[1], (double)0.2f);
    assert_d((double)0.1f);
    unit_code(convert(scalar_i(ALCH_TYPE_BOOL, 1), ALCH_TYPE_BOOL), ALCH_OK);
    assert_i(1);
    unit_code(convert(scalar_s("\xc3\xa4"), ALCH_TYPE_STRING), ALCH_OK);
    ck_assert_str_eq(result->s[0], "\xc3\xa4");
    alchi_message_free(result);
}
END_TEST

START_TEST(lists_are_converted)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_INT64, true);
    int64_t k;

    for (k = 0; k < 1000; k++)
        unit_code(alchi_value_add_i(value, k - 500), ALCH_OK);
    unit_code(convert(value, ALCH_TYPE_COMPLEX128), ALCH_OK);
    ck_assert_uint_eq(alchi_value_count(result), 1000);
    ck_assert_double_eq(result->d[2 * 999], 499);
    alchi_message_free(result);
    unit_code(convert(alchi_value_create(ALCH_TYPE_FLOAT64, true), ALCH_TYPE_STRING), ALCH_OK);
    ck_assert_uint_eq(result->type, ALCH_TYPE_STRING);
    ck_assert_uint_eq(alchi_value_count(result), 0);
    alchi_message_free(result);
}
END_TEST

/* ---- literals ---- */

static int
parse(const char *text, alch_type_t type, bool list)
{
    return alchi_value_parse(text, type, list, &result, &err);
}

static const struct {
    const char *text;
    alch_type_t type;
    bool list;
    const char *why;
} bad_literals[] = {
    {"", ALCH_TYPE_INT64, false, "'' is not of type int64"},
    {"x", ALCH_TYPE_INT64, false, "'x' is not of type int64"},
    {"1.5", ALCH_TYPE_INT64, false, "'1.5' is not of type int64"},
    {"10 11", ALCH_TYPE_INT64, false, "'10 11' is not of type int64"},
    {"9223372036854775808", ALCH_TYPE_INT64, false, "'9223372036854775808' is not of type int64"},
    {"300", ALCH_TYPE_INT8, false, "default: 300 does not fit int8"},
    {"-1", ALCH_TYPE_UINT8, false, "'-1' is not of type uint8"},
    {"True", ALCH_TYPE_BOOL, false, "'True' is not of type bool"},
    {"truely", ALCH_TYPE_BOOL, false, "'truely' is not of type bool"},
    {"1", ALCH_TYPE_BOOL, false, "'1' is not of type bool"},
    {"0x10", ALCH_TYPE_FLOAT64, false, "'0x10' is not of type float64"},
    {"1,5", ALCH_TYPE_FLOAT64, false, "'1,5' is not of type float64"},
    {"1+2", ALCH_TYPE_COMPLEX128, false, "'1+2' is not of type complex128"},
    {"text", ALCH_TYPE_STRING, false, "'text' is not of type string"},
    {"\"text", ALCH_TYPE_STRING, false, "'\"text' is not of type string"},
    {"\"a\\", ALCH_TYPE_STRING, false, "'\"a\\' is not of type string"},
    {"\"a\\q\"", ALCH_TYPE_STRING, false, "'\"a\\q\"' is not of type string"},
    {"1", ALCH_TYPE_INT64, true, "'1' is not of type int64[]"},
    {"[1", ALCH_TYPE_INT64, true, "'[1' is not of type int64[]"},
    {"[1,]", ALCH_TYPE_INT64, true, "'[1,]' is not of type int64[]"},
    {"[1 2]", ALCH_TYPE_INT64, true, "'[1 2]' is not of type int64[]"},
    {"[1]]", ALCH_TYPE_INT64, true, "'[1]]' is not of type int64[]"},
    {"1", ALCH_TYPE_MATRIX, false, "'1' is not of type matrix"},
    {"[]", ALCH_TYPE_MATRIX, true, "a default of type matrix[] cannot be written as text"},
    {"1", (alch_type_t)0, false, "a default of type type 0 cannot be written as text"},
};

START_TEST(none_is_the_only_literal_of_a_matrix)
{
    unit_code(parse("none", ALCH_TYPE_MATRIX, false), ALCH_OK);
    ck_assert_uint_eq(result->n_u, 1);
    ck_assert_uint_eq(result->u[0], 0);
    alchi_message_free(result);
}
END_TEST

START_TEST(invalid_literals_are_refused)
{
    unit_code(parse(bad_literals[_i].text, bad_literals[_i].type, bad_literals[_i].list), ALCH_ETYPE);
    ck_assert_str_eq(err.text, bad_literals[_i].why);
}
END_TEST

START_TEST(literals_are_read)
{
    unit_code(parse(" 10 ", ALCH_TYPE_INT32, false), ALCH_OK);
    assert_i(10);
    unit_code(parse("-9223372036854775808", ALCH_TYPE_INT64, false), ALCH_OK);
    assert_i(INT64_MIN);
    unit_code(parse("18446744073709551615", ALCH_TYPE_UINT64, false), ALCH_OK);
    assert_u(UINT64_MAX);
    unit_code(parse("true", ALCH_TYPE_BOOL, false), ALCH_OK);
    assert_i(1);
    unit_code(parse("false", ALCH_TYPE_BOOL, false), ALCH_OK);
    assert_i(0);
    unit_code(parse("-1.5e3", ALCH_TYPE_FLOAT64, false), ALCH_OK);
    assert_d(-1500);
    unit_code(parse(".25", ALCH_TYPE_FLOAT32, false), ALCH_OK);
    assert_d(0.25);
    unit_code(parse("-inf", ALCH_TYPE_FLOAT64, false), ALCH_OK);
    assert_d(-INFINITY);
    unit_code(parse("\"a \\\"b\\\\\\n\"", ALCH_TYPE_STRING, false), ALCH_OK);
    ck_assert_str_eq(result->s[0], "a \"b\\\n");
    alchi_message_free(result);
}
END_TEST

START_TEST(complex_and_list_literals_are_read)
{
    static const struct {
        const char *text;
        double re, im;
    } cases[] = {{"1+2j", 1, 2}, {"1-2.5e1j", 1, -25}, {"2j", 0, 2}, {"-1", -1, 0}, {"-1e1-1j", -10, -1}};
    size_t k;

    for (k = 0; k < ALCHI_COUNT(cases); k++) {
        unit_code(parse(cases[k].text, ALCH_TYPE_COMPLEX128, false), ALCH_OK);
        ck_assert_double_eq(result->d[0], cases[k].re);
        ck_assert_double_eq(result->d[1], cases[k].im);
        alchi_message_free(result);
    }
    unit_code(parse("[1, 2,-3]", ALCH_TYPE_INT16, true), ALCH_OK);
    ck_assert_uint_eq(result->n_i, 3);
    ck_assert_int_eq(result->i[2], -3);
    alchi_message_free(result);
    unit_code(parse("[ ]", ALCH_TYPE_STRING, true), ALCH_OK);
    ck_assert_uint_eq(alchi_value_count(result), 0);
    ck_assert(result->list);
    alchi_message_free(result);
    unit_code(parse("[\"a]\", \"b,\"]", ALCH_TYPE_STRING, true), ALCH_OK);
    ck_assert_str_eq(result->s[1], "b,");
    alchi_message_free(result);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("value");

    tcase_add_test(tcase, types_have_names);
    tcase_add_test(tcase, inconsistent_values_are_refused);
    tcase_add_test(tcase, consistent_values_are_accepted);
    tcase_add_test(tcase, copies_are_equal);
    tcase_add_test(tcase, lossy_conversions_are_refused);
    tcase_add_test(tcase, kinds_are_not_mixed);
    tcase_add_test(tcase, lists_and_scalars_are_not_mixed);
    tcase_add_test(tcase, values_within_range_are_converted);
    tcase_add_test(tcase, lists_are_converted);
    tcase_add_loop_test(tcase, invalid_literals_are_refused, 0, (int)ALCHI_COUNT(bad_literals));
    tcase_add_test(tcase, none_is_the_only_literal_of_a_matrix);
    tcase_add_test(tcase, literals_are_read);
    tcase_add_test(tcase, complex_and_list_literals_are_read);
    suite_add_tcase(suite, tcase);
}
