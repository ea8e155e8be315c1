/* Small functions of base. */
#include "unit.h"
#include "base/util.h"

#include <alchemist/error.h>
#include <stdlib.h>
#include <string.h>

START_TEST(hex_round_trips)
{
    uint8_t bytes[4] = {0x00, 0x9f, 0xff, 0x10}, back[4] = {1, 2, 3, 4};
    char text[9];

    alchi_hex_encode(bytes, 4, text);
    ck_assert_str_eq(text, "009fff10");
    ck_assert(alchi_hex_decode("009FfF10", back, 4));
    ck_assert_mem_eq(bytes, back, 4);
    memset(back, 7, 4);
    ck_assert(!alchi_hex_decode("", back, 4));
    ck_assert(!alchi_hex_decode("009fff1", back, 4));
    ck_assert(!alchi_hex_decode("009fff101", back, 4));
    ck_assert(!alchi_hex_decode("009fff1g", back, 4));
    ck_assert(!alchi_hex_decode("0x9fff10", back, 4));
    ck_assert(!alchi_hex_decode(" 09fff10", back, 4));
    ck_assert_int_eq(back[0], 7);
    ck_assert(alchi_hex_decode("", back, 0));
}
END_TEST

START_TEST(random_bytes_differ)
{
    uint8_t a[1000] = {0}, b[1000] = {0};

    unit_code(alchi_random(a, sizeof(a)), ALCH_OK);
    unit_code(alchi_random(b, sizeof(b)), ALCH_OK);
    ck_assert_mem_ne(a, b, sizeof(a));
    ck_assert_mem_ne(a + 900, b + 900, 100);
    unit_code(alchi_random(NULL, 0), ALCH_OK);
}
END_TEST

static const struct {
    const char *text;
    size_t size;
    bool valid;
} utf8[] = {
    {"", 0, true},
    {"abc", 3, true},
    {"a\0c", 3, false},
    {"\xc3\xa4", 2, true},
    {"\xc3", 1, false},
    {"\xc3\xa4", 1, false},
    {"\xa4", 1, false},
    {"\xc3\x28", 2, false},
    {"\xc0\x80", 2, false},         /* overlong NUL */
    {"\xc1\xbf", 2, false},         /* overlong */
    {"\xe0\x80\xaf", 3, false},     /* overlong */
    {"\xe0\xa0\x80", 3, true},      /* U+0800 */
    {"\xe2\x82\xac", 3, true},      /* euro */
    {"\xed\x9f\xbf", 3, true},      /* U+D7FF */
    {"\xed\xa0\x80", 3, false},     /* surrogate */
    {"\xed\xbf\xbf", 3, false},     /* surrogate */
    {"\xee\x80\x80", 3, true},      /* U+E000 */
    {"\xf0\x9f\x98\x80", 4, true},  /* U+1F600 */
    {"\xf0\x8f\xbf\xbf", 4, false}, /* overlong */
    {"\xf4\x8f\xbf\xbf", 4, true},  /* U+10FFFF */
    {"\xf4\x90\x80\x80", 4, false}, /* beyond */
    {"\xf5\x80\x80\x80", 4, false},
    {"\xff", 1, false},
    {"ok\xe2\x82", 4, false},
};

START_TEST(only_valid_utf8_is_accepted)
{
    ck_assert_msg(alchi_utf8_valid(utf8[_i].text, utf8[_i].size) == utf8[_i].valid, "case %d", _i);
}
END_TEST

START_TEST(invalid_bytes_become_question_marks)
{
    char text[] = "a\xff\xc3\xa4\xe2\x82z", untouched[] = "\xe2\x82\xac";

    alchi_utf8_clean(text);
    ck_assert_str_eq(text, "a?\xc3\xa4??z");
    alchi_utf8_clean(untouched);
    ck_assert_str_eq(untouched, "\xe2\x82\xac");
}
END_TEST

START_TEST(integers_outside_the_range_are_refused)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x10",
                                      "1e3",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999",
                                      "--1",
                                      "1-",
                                      "abc"};
    int64_t x = 42;
    size_t k;

    for (k = 0; k < ALCHI_COUNT(bad); k++)
        ck_assert_msg(!alchi_parse_int64(bad[k], INT64_MIN, INT64_MAX, &x), "'%s'", bad[k]);
    ck_assert(!alchi_parse_int64("11", 1, 10, &x));
    ck_assert(!alchi_parse_int64("0", 1, 10, &x));
    ck_assert_int_eq(x, 42);
    ck_assert(alchi_parse_int64("10", 1, 10, &x) && x == 10);
    ck_assert(alchi_parse_int64("-7", -7, 10, &x) && x == -7);
    ck_assert(alchi_parse_int64("007", 0, 10, &x) && x == 7);
    ck_assert(alchi_parse_int64("9223372036854775807", INT64_MIN, INT64_MAX, &x) && x == INT64_MAX);
    ck_assert(alchi_parse_int64("-9223372036854775808", INT64_MIN, INT64_MAX, &x) && x == INT64_MIN);
}
END_TEST

START_TEST(byte_counts_have_decimal_units)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"},           {999, "999 B"},     {1000, "1.0 kB"},        {376320000, "376.3 MB"},
                 {999949, "999.9 kB"}, {999950, "1.0 MB"}, {256000000, "256.0 MB"}, {-1500, "-1.5 kB"},
                 {INT64_MAX, "9.2 EB"}};
    char text[32];
    size_t k;

    for (k = 0; k < ALCHI_COUNT(cases); k++)
        ck_assert_str_eq(alchi_format_bytes(cases[k].bytes, text, sizeof(text)), cases[k].text);
}
END_TEST

START_TEST(a_matrix_is_described)
{
    char text[100], small[8];

    ck_assert_str_eq(alchi_format_matrix(7, 60000, 784, ALCH_FLOAT64, text, sizeof(text)), "7 (60000 x 784, float64)");
    ck_assert_str_eq(alchi_format_matrix(UINT64_MAX, 0, 1, (alch_dtype_t)99, text, sizeof(text)),
                     "18446744073709551615 (0 x 1, ?)");
    ck_assert_uint_eq(strlen(alchi_format_matrix(7, 60000, 784, ALCH_FLOAT64, small, sizeof(small))), 7);
}
END_TEST

START_TEST(formatted_text_is_allocated)
{
    char *text = alchi_asprintf("%s-%d", "a", 7);

    ck_assert_str_eq(text, "a-7");
    free(text);
}
END_TEST

START_TEST(overflowing_products_are_refused)
{
    int64_t x = 5;

    ck_assert(!alchi_mul_int64(-1, 3, &x));
    ck_assert(!alchi_mul_int64(3, -1, &x));
    ck_assert(!alchi_mul_int64(INT64_MAX, 2, &x));
    ck_assert(!alchi_mul_int64(INT64_C(1) << 32, INT64_C(1) << 31, &x));
    ck_assert_int_eq(x, 5);
    ck_assert(alchi_mul_int64(0, INT64_MAX, &x) && x == 0);
    ck_assert(alchi_mul_int64(INT64_MAX, 1, &x) && x == INT64_MAX);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("util");

    tcase_add_test(tcase, hex_round_trips);
    tcase_add_test(tcase, random_bytes_differ);
    tcase_add_loop_test(tcase, only_valid_utf8_is_accepted, 0, (int)ALCHI_COUNT(utf8));
    tcase_add_test(tcase, invalid_bytes_become_question_marks);
    tcase_add_test(tcase, integers_outside_the_range_are_refused);
    tcase_add_test(tcase, byte_counts_have_decimal_units);
    tcase_add_test(tcase, a_matrix_is_described);
    tcase_add_test(tcase, formatted_text_is_allocated);
    tcase_add_test(tcase, overflowing_products_are_refused);
    suite_add_tcase(suite, tcase);
}
