/* Bitmaps are compared with arrays of one flag for each bit. */
#include "layout/bitmap.h"
#include "unit.h"

#define BITS 200
#define WORDS 4

static int64_t
naive_find(const bool *bits, int64_t first, int64_t end, bool value)
{
    for (int64_t k = first; k < end; k++)
        if (bits[k] == value)
            return k;
    return end;
}

START_TEST(set_bits_are_counted_once_and_found)
{
    for (int64_t first = 0; first < BITS; first++)
        for (int64_t count = 0; first + count <= BITS; count++) {
            uint64_t words[WORDS] = {0};

            ck_assert_int_eq(alchi_bits_set(words, first, count), count);
            ck_assert_int_eq(alchi_bits_set(words, first, count), 0);
            ck_assert_int_eq(alchi_bits_find(words, 0, BITS, true), count ? first : BITS);
            ck_assert_int_eq(alchi_bits_find(words, first, BITS, false), first + count);
        }
}
END_TEST

START_TEST(find_agrees_with_a_search_bit_by_bit)
{
    uint64_t words[WORDS] = {0};
    bool bits[BITS] = {false};
    static const int runs[][2] = {{3, 1}, {60, 8}, {70, 1}, {100, 50}, {128, 64}};

    for (size_t k = 0; k < sizeof(runs) / sizeof(*runs); k++) {
        int64_t clear = 0;

        for (int l = runs[k][0]; l < runs[k][0] + runs[k][1]; l++) {
            clear += !bits[l];
            bits[l] = true;
        }
        ck_assert_int_eq(alchi_bits_set(words, runs[k][0], runs[k][1]), clear);
    }
    for (int64_t first = 0; first <= BITS; first++)
        for (int64_t end = first; end <= BITS; end++) {
            ck_assert_int_eq(alchi_bits_find(words, first, end, true), naive_find(bits, first, end, true));
            ck_assert_int_eq(alchi_bits_find(words, first, end, false), naive_find(bits, first, end, false));
        }
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *bits = tcase_create("bits");

    tcase_add_test(bits, set_bits_are_counted_once_and_found);
    tcase_add_test(bits, find_agrees_with_a_search_bit_by_bit);
    suite_add_tcase(suite, bits);
}
