#include "unit.h"
#include "store/mem.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

    ck_assert_ptr_null(alchi_store_mem_alloc(0));
    ck_assert_ptr_null(alchi_store_mem_alloc(SIZE_MAX));
    alchi_store_mem_free(NULL, 0);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        char *memory = alchi_store_mem_alloc(sizes[k]);

        ck_assert_uint_eq((uintptr_t)memory % 64, 0);
        ck_assert(all_zero(memory, sizes[k]));
        alchi_store_mem_free(memory, sizes[k]);
    }
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 0);
}
END_TEST

START_TEST(what_is_kept_serves_again)
{
    char *first, *second;

    alchi_store_mem_set_keep(64 * MIB);
    first = alchi_store_mem_alloc(8 * MIB);
    memset(first, 7, 8 * MIB);
    alchi_store_mem_free(first, 8 * MIB);
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 8 * MIB);
    second = alchi_store_mem_alloc(8 * MIB - 5000); /* a little smaller */
    ck_assert_ptr_eq(second, first);
    ck_assert(all_zero(second, 8 * MIB - 5000));
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 0);
    alchi_store_mem_free(second, 8 * MIB - 5000);
    ck_assert_uint_gt(alchi_store_mem_trim(SIZE_MAX), 0);
    second = alchi_store_mem_alloc_dirty(MIB); /* far too small for it */
    ck_assert_ptr_ne(second, first);
    alchi_store_mem_free(second, MIB);
    ck_assert_uint_eq(alchi_store_mem_trim(0), 0);
    alchi_store_mem_set_keep(0);
}
END_TEST

START_TEST(the_limit_holds)
{
    char *blocks[100];

    alchi_store_mem_set_keep(10 * MIB);
    for (int k = 0; k < 4; k++)
        blocks[k] = alchi_store_mem_alloc(4 * MIB);
    for (int k = 0; k < 4; k++)
        alchi_store_mem_free(blocks[k], 4 * MIB);
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 8 * MIB);
    blocks[0] = alchi_store_mem_alloc(11 * MIB);
    alchi_store_mem_free(blocks[0], 11 * MIB); /* more than may be kept */
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 8 * MIB);
    alchi_store_mem_set_keep(5 * MIB);
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 4 * MIB);
    alchi_store_mem_set_keep(1000 * MIB);
    for (int k = 0; k < 100; k++)
        blocks[k] = alchi_store_mem_alloc(MIB);
    for (int k = 0; k < 100; k++)
        alchi_store_mem_free(blocks[k], MIB);
    ck_assert_uint_le(alchi_store_mem_trim(SIZE_MAX), 70 * MIB); /* so many blocks, not more */
    ck_assert_uint_eq(alchi_store_mem_trim(0), 0);
    alchi_store_mem_set_keep(0);
}
END_TEST

/* Whether the kernel touches pages on request at all (since Linux 5.14). */
static bool
can_touch(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can = madvise(page, 4096, 23) == 0; /* MADV_POPULATE_WRITE */

    munmap(page, 4096);
    return can;
}

static bool
is_resident(void *memory, size_t bytes)
{
    static unsigned char pages[64 * MIB / 4096];

    ck_assert_int_eq(mincore(memory, bytes, pages), 0);
    for (size_t k = 0; k < bytes / 4096; k++)
        if (!(pages[k] & 1))
            return false;
    return true;
}

START_TEST(fresh_pages_are_touched)
{
    char *memory = alchi_store_mem_alloc_dirty(64 * MIB);

    if (!can_touch()) {
        printf("skipped: this kernel does not touch pages on request\n");
    } else {
        for (int k = 0; k < 1000 && !is_resident(memory, 64 * MIB); k++)
            usleep(10000);
        ck_assert(is_resident(memory, 64 * MIB));
    }
    ck_assert(all_zero(memory, 64 * MIB));
    alchi_store_mem_free(memory, 64 * MIB);
}
END_TEST

/* While they are being touched, or before, with neighbours that stay. */
START_TEST(touched_blocks_can_go_any_time)
{
    char *blocks[100], *stays = alchi_store_mem_alloc_dirty(32 * MIB);

    stays[0] = stays[32 * MIB - 1] = 7;
    for (int round = 0; round < 20; round++) {
        for (int k = 0; k < 100; k++)
            blocks[k] = alchi_store_mem_alloc_dirty((size_t)(4 + k % 5) * MIB);
        if (round % 2)
            usleep(2000);
        for (int k = 99; k >= 0; k--)
            alchi_store_mem_free(blocks[k], (size_t)(4 + k % 5) * MIB);
    }
    ck_assert_int_eq(stays[0] + stays[32 * MIB - 1], 14);
    alchi_store_mem_free(stays, 32 * MIB);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("mem");

    tcase_add_test(tcase, zeroed_and_aligned);
    tcase_add_test(tcase, what_is_kept_serves_again);
    tcase_add_test(tcase, the_limit_holds);
    tcase_add_test(tcase, fresh_pages_are_touched);
    tcase_add_test(tcase, touched_blocks_can_go_any_time);
    suite_add_tcase(suite, tcase);
}
