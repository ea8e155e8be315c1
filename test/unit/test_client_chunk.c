/* Messages and chunks cover every entry of a rank's part once and keep their limits. A message is direct only where the
 * user's memory is in storage order. */
#include "client/chunk.h"
#include "unit.h"

#include <stdlib.h>

static const alch_layout_t layouts[] = {
    ALCH_LAYOUT_DEFAULT,          {ALCH_VC_STAR, 0, 0, 0, 0},   {ALCH_STAR_VC, 0, 0, 0, 0},
    {ALCH_MC_MR, 0, 0, 0, 0},     {ALCH_STAR_STAR, 0, 0, 0, 0}, {ALCH_BLOCK_CYCLIC, 3, 5, 2, 1},
    {ALCH_CIRC_CIRC, 0, 0, 0, 0},
};

/* Check that the messages of all ranks move each entry of the rectangle once for each replica. */
static void
check_cover(const alch_layout_t *spec, int p, alch_rect_t rect, int64_t row_stride, int64_t col_stride, size_t bytes)
{
    alchi_cli_memory_t memory = {NULL, rect, row_stride, col_stride, 8};
    alchi_layout_t layout;
    alchi_plan_t plan;
    alchi_cli_splitter_t splitter;
    alchi_piece_t message;
    int64_t wrong = 0;
    uint8_t *seen = calloc((size_t)(rect.m * rect.n) + 1, 1);

    unit_code(alchi_layout_init(&layout, 60, 90, p, spec, NULL), ALCH_OK);
    alchi_plan_init(&plan, &layout, &rect, ALCHI_PLAN_ALL, INT64_MAX);
    for (int rank = 0; rank < p; rank++) {
        alchi_cli_splitter_init(&splitter, &plan, rank, &memory, bytes);
        while (alchi_cli_splitter_next(&splitter, &message)) {
            wrong += alchi_cli_piece_bytes(&message, 8) > bytes || message.local.m < 1 || message.local.n < 1;
            for (int64_t j = message.local.j; j < message.local.j + message.local.n; j++)
                for (int64_t i = message.local.i; i < message.local.i + message.local.m; i++)
                    seen[(alchi_axis_global(&message.rows, i) - rect.i) +
                         (alchi_axis_global(&message.cols, j) - rect.j) * rect.m]++;
        }
        ck_assert(!alchi_cli_splitter_next(&splitter, &message));
    }
    for (int64_t k = 0; k < rect.m * rect.n; k++)
        wrong += seen[k] != layout.replicas;
    ck_assert_int_eq(wrong, 0);
    alchi_layout_fini(&layout);
    free(seen);
}

START_TEST(messages_cover_every_entry_once)
{
    const size_t sizes[] = {8, 64, 1000, 1 << 20};
    const alch_rect_t rects[] = {{0, 0, 60, 90}, {7, 11, 31, 44}, {59, 0, 1, 90}, {0, 89, 60, 1}, {5, 5, 0, 3}};

    for (int p = 2; p <= 6; p++)
        for (int k = 0; k < 4; k++)
            for (int r = 0; r < 5; r++) {
                check_cover(&layouts[_i], p, rects[r], 1, 60, sizes[k]);
                check_cover(&layouts[_i], p, rects[r], 90, 1, sizes[k]);
                check_cover(&layouts[_i], p, rects[r], -90, -1, sizes[k]);
            }
}
END_TEST

START_TEST(chunks_cover_a_message_in_order)
{
    const alchi_piece_t piece = {0, {4, 9, 1 + _i * 7, 1 + (_i * 5) % 13}, {1, 1, 0}, {1, 1, 0}};
    const size_t limits[] = {8, 24, 100, 1000, 100000}, total = alchi_cli_piece_bytes(&piece, 8);

    for (int k = 0; k < 5; k++) {
        int64_t next = 0; /* position in column-major order */
        size_t offset = 0, bytes;
        alch_rect_t local;

        for (; offset < total; offset += bytes) {
            bytes = alchi_cli_chunk_at(&piece, 8, offset, limits[k], 3, &local);
            ck_assert(bytes > 0 && bytes <= limits[k] && local.n <= 3);
            ck_assert_uint_eq(bytes, (size_t)(local.m * local.n) * 8);
            ck_assert_int_eq((local.j - 9) * piece.local.m + local.i - 4, next);
            ck_assert(local.n == 1 || local.m == piece.local.m);
            next += local.m * local.n;
        }
        ck_assert_uint_eq(offset, total);
    }
}
END_TEST

static alchi_cli_direct_t
direct(alch_layout_t spec, int64_t row_stride, int64_t col_stride, size_t column_min)
{
    alchi_cli_memory_t memory = {NULL, {0, 0, 60, 90}, row_stride, col_stride, 8};
    alchi_cli_direct_t result;
    alchi_layout_t layout;
    alchi_plan_t plan;
    alchi_cli_splitter_t splitter;
    alchi_piece_t message;

    unit_code(alchi_layout_init(&layout, 60, 90, 2, &spec, NULL), ALCH_OK);
    alchi_plan_init(&plan, &layout, &memory.rect, ALCHI_PLAN_ALL, INT64_MAX);
    alchi_cli_splitter_init(&splitter, &plan, 0, &memory, 1 << 20);
    ck_assert(alchi_cli_splitter_next(&splitter, &message));
    result = alchi_cli_piece_direct(&memory, &message, column_min);
    alchi_layout_fini(&layout);
    return result;
}

START_TEST(memory_in_storage_order_is_direct)
{
    const alch_layout_t cols = {ALCH_STAR_VC, 0, 0, 0, 0}, rows = {ALCH_VC_STAR, 0, 0, 0, 0};
    const alch_layout_t one = {ALCH_CIRC_CIRC, 0, 0, 0, 0}, bands = {ALCH_BLOCK_CYCLIC, 30, 90, 2, 1};

    ck_assert_int_eq(direct(one, 1, 60, 8), ALCHI_CLI_DIRECT_WHOLE);
    ck_assert_int_eq(direct(one, 1, 61, 8), ALCHI_CLI_DIRECT_COLUMNS);
    ck_assert_int_eq(direct(one, 1, 61, 481), ALCHI_CLI_DIRECT_NO);
    ck_assert_int_eq(direct(one, 90, 1, 8), ALCHI_CLI_DIRECT_NO);
    ck_assert_int_eq(direct(one, -1, 60, 8), ALCHI_CLI_DIRECT_NO);
    ck_assert_int_eq(direct(cols, 1, 60, 8), ALCHI_CLI_DIRECT_COLUMNS);
    ck_assert_int_eq(direct(rows, 1, 60, 8), ALCHI_CLI_DIRECT_NO);
    ck_assert_int_eq(direct(bands, 1, 60, 8), ALCHI_CLI_DIRECT_COLUMNS);
}
END_TEST

/* The first message to the first of 3 ranks of a 1000000 x 125 matrix in VC_STAR. */
static alch_rect_t
first_message(int64_t row_stride, int64_t col_stride)
{
    alchi_cli_memory_t memory = {NULL, {0, 0, 1000000, 125}, row_stride, col_stride, 8};
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};
    alchi_layout_t layout;
    alchi_plan_t plan;
    alchi_cli_splitter_t splitter;
    alchi_piece_t message;

    unit_code(alchi_layout_init(&layout, 1000000, 125, 3, &spec, NULL), ALCH_OK);
    alchi_plan_init(&plan, &layout, &memory.rect, ALCHI_PLAN_ALL, INT64_MAX);
    alchi_cli_splitter_init(&splitter, &plan, 0, &memory, 4 << 20);
    ck_assert(alchi_cli_splitter_next(&splitter, &message));
    alchi_layout_fini(&layout);
    return message.local;
}

START_TEST(row_major_memory_makes_wide_messages)
{
    alch_rect_t local = first_message(125, 1);

    ck_assert_int_eq(local.n, 125);
    ck_assert_int_ge(local.m, 512);
}
END_TEST

START_TEST(column_major_memory_makes_tall_messages)
{
    alch_rect_t local = first_message(1, 1000000);

    ck_assert_int_eq(local.m, 333334);
    ck_assert_int_eq(local.n, 1);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("chunk");

    tcase_add_loop_test(tcase, messages_cover_every_entry_once, 0, 7);
    tcase_add_loop_test(tcase, chunks_cover_a_message_in_order, 0, 10);
    tcase_add_test(tcase, memory_in_storage_order_is_direct);
    tcase_add_test(tcase, row_major_memory_makes_wide_messages);
    tcase_add_test(tcase, column_major_memory_makes_tall_messages);
    suite_add_tcase(suite, tcase);
}
