/* Memory for local parts: zeroing, kept blocks, prefaulting. */
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

START_TEST(memory_is_zeroed_and_aligned)
{
    static const size_t sizes[] = {1, 63, 100000, 300000, 5000000};

    ck_assert_ptr_null(alchi_store_mem_alloc(0));
    ck_assert_ptr_null(alchi_store_mem_alloc(SIZE_MAX));
    alchi_store_mem_free(NULL, 0);
    for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
        char *memory = alchi_store_mem_alloc(sizes[k]);

        ck_assert_uint_eq((uintptr_t)memory % 64, 0);
        ck_assert(all_zero(memory, sizes[k]));
        alchi_store_mem_free(memory, sizes[k]);
    }
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 0);
}
END_TEST

START_TEST(a_kept_block_serves_a_similar_request)
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
    ck_assert_uint_eq(alchi_store_mem_trim(0), 0);
    alchi_store_mem_set_keep(0);
}
END_TEST

START_TEST(a_kept_block_does_not_serve_a_much_smaller_request)
{
    char *first, *second;

    alchi_store_mem_set_keep(64 * MIB);
    first = alchi_store_mem_alloc(8 * MIB);
    alchi_store_mem_free(first, 8 * MIB);
    second = alchi_store_mem_alloc_unset(MIB);
    ck_assert_ptr_ne(second, first);
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 8 * MIB);
    alchi_store_mem_free(second, MIB);
    ck_assert_uint_eq(alchi_store_mem_trim(0), 0);
    alchi_store_mem_set_keep(0);
}
END_TEST

START_TEST(kept_blocks_stay_below_the_limit)
{
    char *blocks[100];

    alchi_store_mem_set_keep(10 * MIB);
    for (int k = 0; k < 4; k++)
        blocks[k] = alchi_store_mem_alloc(4 * MIB);
    for (int k = 0; k < 4; k++)
        alchi_store_mem_free(blocks[k], 4 * MIB);
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 8 * MIB);
    blocks[0] = alchi_store_mem_alloc(11 * MIB);
    alchi_store_mem_free(blocks[0], 11 * MIB); /* more than the limit */
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 8 * MIB);
    alchi_store_mem_set_keep(5 * MIB);
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 4 * MIB);
    alchi_store_mem_set_keep(0);
    ck_assert_uint_eq(alchi_store_mem_trim(SIZE_MAX), 0);
}
END_TEST

START_TEST(the_number_of_kept_blocks_is_bounded)
{
    char *blocks[100];

    alchi_store_mem_set_keep(1000 * MIB);
    for (int k = 0; k < 100; k++)
        blocks[k] = alchi_store_mem_alloc(MIB);
    for (int k = 0; k < 100; k++)
        alchi_store_mem_free(blocks[k], MIB);
    ck_assert_uint_le(alchi_store_mem_trim(SIZE_MAX), 70 * MIB);
    ck_assert_uint_eq(alchi_store_mem_trim(0), 0);
    alchi_store_mem_set_keep(0);
}
END_TEST

/* Whether the kernel prefaults pages on request (since Linux 5.14). */
static bool
can_prefault(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can = madvise(page, 4096, 23) == 0; /* MADV_POPULATE_WRITE */

    munmap(page, 4096);
    return can;
}

#define RESIDENT (64 * MIB)

static bool
is_resident(void *memory)
{
    static unsigned char pages[RESIDENT / 4096];

    ck_assert_int_eq(mincore(memory, RESIDENT, pages), 0);
    for (size_t k = 0; k < RESIDENT / 4096; k++)
        if (!(pages[k] & 1))
            return false;
    return true;
}

START_TEST(new_pages_are_prefaulted)
{
    char *memory = alchi_store_mem_alloc_unset(RESIDENT);

    if (can_prefault())
        unit_wait_for(is_resident, memory, 10000);
    else
        printf("skipped: this kernel does not prefault pages on request\n");
    ck_assert(all_zero(memory, RESIDENT));
    alchi_store_mem_free(memory, RESIDENT);
}
END_TEST

/* Blocks are freed before the thread prefaults them, or while it does; a block that stays is not harmed. */
START_TEST(blocks_can_be_freed_while_they_are_prefaulted)
{
    char *blocks[100], *stays = alchi_store_mem_alloc_unset(32 * MIB);

    stays[0] = stays[32 * MIB - 1] = 7;
    for (int round = 0; round < 20; round++) {
        for (int k = 0; k < 100; k++)
            blocks[k] = alchi_store_mem_alloc_unset((size_t)(4 + k % 5) * MIB);
        if (round % 2)
            usleep(2000); /* the thread has begun to prefault */
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

    tcase_add_test(tcase, memory_is_zeroed_and_aligned);
    tcase_add_test(tcase, a_kept_block_serves_a_similar_request);
    tcase_add_test(tcase, a_kept_block_does_not_serve_a_much_smaller_request);
    tcase_add_test(tcase, kept_blocks_stay_below_the_limit);
    tcase_add_test(tcase, the_number_of_kept_blocks_is_bounded);
    tcase_add_test(tcase, new_pages_are_prefaulted);
    tcase_add_test(tcase, blocks_can_be_freed_while_they_are_prefaulted);
    suite_add_tcase(suite, tcase);
}
