#include "unit.h"
#include "worker/mem.h"

#include <string.h>

#define MIB ((size_t)1 << 20)

static bool
all_zero(const char *memory, size_t bytes)
{
    for (size_t k = 0; k < bytes; k++)
        if (memory[k])
            return false;
    return true;
}

START_TEST(zeroed_and_aligned)
{
    static const size_t sizes[] = {1, 63, 100000, 300000, 5000000};

    ck_assert_ptr_null(alchi_mem_alloc(0));
    ck_assert_ptr_null(alchi_mem_alloc(SIZE_MAX));
    alchi_mem_free(NULL, 0);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        char *memory = alchi_mem_alloc(sizes[k]);

        ck_assert_uint_eq((uintptr_t)memory % 64, 0);
        ck_assert(all_zero(memory, sizes[k]));
        alchi_mem_free(memory, sizes[k]);
    }
    ck_assert_uint_eq(alchi_mem_trim(SIZE_MAX), 0);
}
END_TEST

START_TEST(what_is_kept_serves_again)
{
    char *first, *second;

    alchi_mem_set_keep(64 * MIB);
    first = alchi_mem_alloc(8 * MIB);
    memset(first, 7, 8 * MIB);
    alchi_mem_free(first, 8 * MIB);
    ck_assert_uint_eq(alchi_mem_trim(SIZE_MAX), 8 * MIB);
    second = alchi_mem_alloc(8 * MIB - 5000); /* a little smaller */
    ck_assert_ptr_eq(second, first);
    ck_assert(all_zero(second, 8 * MIB - 5000));
    ck_assert_uint_eq(alchi_mem_trim(SIZE_MAX), 0);
    alchi_mem_free(second, 8 * MIB - 5000);
    ck_assert_uint_gt(alchi_mem_trim(SIZE_MAX), 0);
    second = alchi_mem_alloc_dirty(MIB); /* far too small for it */
    ck_assert_ptr_ne(second, first);
    alchi_mem_free(second, MIB);
    ck_assert_uint_eq(alchi_mem_trim(0), 0);
    alchi_mem_set_keep(0);
}
END_TEST

START_TEST(the_limit_holds)
{
    char *blocks[100];

    alchi_mem_set_keep(10 * MIB);
    for (int k = 0; k < 4; k++)
        blocks[k] = alchi_mem_alloc(4 * MIB);
    for (int k = 0; k < 4; k++)
        alchi_mem_free(blocks[k], 4 * MIB);
    ck_assert_uint_eq(alchi_mem_trim(SIZE_MAX), 8 * MIB);
    blocks[0] = alchi_mem_alloc(11 * MIB);
    alchi_mem_free(blocks[0], 11 * MIB); /* more than may be kept */
    ck_assert_uint_eq(alchi_mem_trim(SIZE_MAX), 8 * MIB);
    alchi_mem_set_keep(5 * MIB);
    ck_assert_uint_eq(alchi_mem_trim(SIZE_MAX), 4 * MIB);
    alchi_mem_set_keep(1000 * MIB);
    for (int k = 0; k < 100; k++)
        blocks[k] = alchi_mem_alloc(MIB);
    for (int k = 0; k < 100; k++)
        alchi_mem_free(blocks[k], MIB);
    ck_assert_uint_le(alchi_mem_trim(SIZE_MAX), 70 * MIB); /* so many blocks, not more */
    ck_assert_uint_eq(alchi_mem_trim(0), 0);
    alchi_mem_set_keep(0);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("mem");

    tcase_add_test(tcase, zeroed_and_aligned);
    tcase_add_test(tcase, what_is_kept_serves_again);
    tcase_add_test(tcase, the_limit_holds);
    suite_add_tcase(suite, tcase);
}
