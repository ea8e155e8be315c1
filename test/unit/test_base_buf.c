/* The byte queue. */
#include "unit.h"
#include "base/buf.h"

#include <alchemist/error.h>
#include <stdlib.h>
#include <string.h>

START_TEST(a_new_buffer_is_empty)
{
    alchi_buf_t buf;

    alchi_buf_init(&buf);
    ck_assert_uint_eq(alchi_buf_size(&buf), 0);
    unit_code(alchi_buf_append(&buf, NULL, 0), ALCH_OK);
    alchi_buf_consume(&buf, 0);
    ck_assert_uint_eq(alchi_buf_size(&buf), 0);
    alchi_buf_fini(&buf);
    alchi_buf_fini(&buf);
    alchi_buf_fini(NULL);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    alchi_buf_t buf;

    alchi_buf_init(&buf);
    ck_assert_ptr_null(alchi_buf_reserve(&buf, SIZE_MAX));
    ck_assert_ptr_null(alchi_buf_reserve(&buf, SIZE_MAX / 2));
    unit_code(alchi_buf_append(&buf, "abc", 3), ALCH_OK);
    ck_assert_ptr_null(alchi_buf_reserve(&buf, SIZE_MAX - 1));
    ck_assert_mem_eq(alchi_buf_bytes(&buf), "abc", 3);
    ck_assert_uint_eq(alchi_buf_size(&buf), 3);
    alchi_buf_fini(&buf);
}
END_TEST

START_TEST(committed_bytes_are_held)
{
    alchi_buf_t buf;
    uint8_t *room;

    alchi_buf_init(&buf);
    room = alchi_buf_reserve(&buf, 0);
    ck_assert_ptr_nonnull(room);
    room = alchi_buf_reserve(&buf, 100000);
    ck_assert_ptr_nonnull(room);
    memset(room, 7, 100000);
    alchi_buf_commit(&buf, 50);
    ck_assert_uint_eq(alchi_buf_size(&buf), 50);
    ck_assert_int_eq(alchi_buf_bytes(&buf)[49], 7);
    alchi_buf_fini(&buf);
}
END_TEST

/* Bytes are appended and consumed in portions of random sizes, and compared with a plain array. */
START_TEST(bytes_leave_in_the_order_they_came)
{
    enum { TOTAL = 300000 };
    uint8_t *sent = malloc(TOTAL);
    size_t in = 0, out = 0, k;
    alchi_buf_t buf;

    ck_assert_ptr_nonnull(sent);
    srand(1);
    for (k = 0; k < TOTAL; k++)
        sent[k] = (uint8_t)rand();
    alchi_buf_init(&buf);
    while (out < TOTAL) {
        size_t add = (size_t)rand() % 5000, take = (size_t)rand() % 5000;

        add = add < TOTAL - in ? add : TOTAL - in;
        unit_code(alchi_buf_append(&buf, sent + in, add), ALCH_OK);
        in += add;
        ck_assert_uint_eq(alchi_buf_size(&buf), in - out);
        take = take < in - out ? take : in - out;
        ck_assert(!take || !memcmp(alchi_buf_bytes(&buf), sent + out, take));
        alchi_buf_consume(&buf, take);
        out += take;
    }
    ck_assert_uint_eq(alchi_buf_size(&buf), 0);
    alchi_buf_fini(&buf);
    free(sent);
}
END_TEST

START_TEST(consumed_space_is_reused)
{
    alchi_buf_t buf;
    char block[1000] = {0};
    int k;

    alchi_buf_init(&buf);
    for (k = 0; k < 10000; k++) {
        unit_code(alchi_buf_append(&buf, block, sizeof(block)), ALCH_OK);
        if (k)
            alchi_buf_consume(&buf, sizeof(block));
    }
    ck_assert_uint_le(buf.capacity, 16384);
    alchi_buf_fini(&buf);
}
END_TEST

START_TEST(an_empty_large_buffer_frees_its_memory)
{
    alchi_buf_t buf;

    alchi_buf_init(&buf);
    ck_assert_ptr_nonnull(alchi_buf_reserve(&buf, 2 << 20));
    alchi_buf_commit(&buf, 2 << 20);
    alchi_buf_consume(&buf, (2 << 20) - 1);
    ck_assert_uint_ge(buf.capacity, 2 << 20);
    alchi_buf_consume(&buf, 1);
    ck_assert_uint_eq(buf.capacity, 0);
    unit_code(alchi_buf_append(&buf, "abc", 3), ALCH_OK);
    alchi_buf_consume(&buf, 3);
    ck_assert_uint_gt(buf.capacity, 0);
    alchi_buf_fini(&buf);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("buf");

    tcase_add_test(tcase, a_new_buffer_is_empty);
    tcase_add_test(tcase, impossible_sizes_are_refused);
    tcase_add_test(tcase, committed_bytes_are_held);
    tcase_add_test(tcase, bytes_leave_in_the_order_they_came);
    tcase_add_test(tcase, consumed_space_is_reused);
    tcase_add_test(tcase, an_empty_large_buffer_frees_its_memory);
    suite_add_tcase(suite, tcase);
}
