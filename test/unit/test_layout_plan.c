/* The planner: pieces cover a rectangle exactly once, stay within their limit, and are spread over replicas. */
#include "layout/plan.h"
#include "layout_model.h"
#include <string.h>

/* How often the pieces cover each entry of each replica, by global index. */
static unsigned char seen[MODEL_WORKERS_MAX][MODEL_MAX * MODEL_MAX];

static void
note_piece(const alchi_layout_t *layout, const alchi_piece_t *piece)
{
    int64_t m, n;
    int replica, row, col;

    alchi_layout_local(layout, piece->rank, &m, &n);
    if (!alchi_layout_place(layout, piece->rank, &replica, &row, &col) || !alchi_rect_within(&piece->local, m, n) ||
        piece->local.m == 0 || piece->local.n == 0)
        ck_abort_msg("a piece of rank %d is empty or not within its local part", piece->rank);
    for (int64_t j = piece->local.j; j < piece->local.j + piece->local.n; j++)
        for (int64_t i = piece->local.i; i < piece->local.i + piece->local.m; i++) {
            int64_t gi = alchi_axis_global(&piece->rows, i), gj = alchi_axis_global(&piece->cols, j);

            if (gi < 0 || gi >= layout->m || gj < 0 || gj >= layout->n ||
                model_owner(layout, replica, gi, gj) != piece->rank)
                ck_abort_msg("rank %d does not hold entry (%d, %d)", piece->rank, (int)gi, (int)gj);
            seen[replica][gi + gj * layout->m]++;
        }
}

/* Run the cursors of all ranks, one after the other. `moved` gets the number of entries that each rank moves. */
static void
run_plan(const alchi_plan_t *plan, int64_t moved[MODEL_WORKERS_MAX])
{
    memset(seen, 0, sizeof(seen));
    for (int rank = 0; rank < plan->layout->workers; rank++) {
        alchi_cursor_t cursor;
        alchi_piece_t piece;
        int64_t whole = 0;

        moved[rank] = 0;
        alchi_cursor_init(&cursor, plan, rank);
        while (alchi_cursor_next(&cursor, &piece)) {
            int64_t entries = piece.local.m * piece.local.n;

            if (piece.rank != rank || entries > plan->entries || (piece.local.n > 1 && piece.local.m != cursor.whole.m))
                ck_abort_msg("rank %d has a wrong piece of %d x %d", rank, (int)piece.local.m, (int)piece.local.n);
            note_piece(plan->layout, &piece);
            moved[rank] += entries;
            whole = cursor.whole.m * cursor.whole.n;
        }
        ck_assert(!alchi_cursor_next(&cursor, &piece));
        ck_assert_int_eq(moved[rank], whole);
        ck_assert_int_eq(moved[rank], alchi_plan_entries(plan, rank));
    }
}

static void
check_cover(const alchi_layout_t *layout, const alch_rect_t *rect, bool all)
{
    for (int64_t j = 0; j < layout->n; j++)
        for (int64_t i = 0; i < layout->m; i++) {
            bool within = i >= rect->i && i < rect->i + rect->m && j >= rect->j && j < rect->j + rect->n;
            int times = 0;

            for (int replica = 0; replica < layout->replicas; replica++) {
                int count = seen[replica][i + j * layout->m];

                if (all && count != within)
                    ck_abort_msg("entry (%d, %d) is covered %d times in replica %d", (int)i, (int)j, count, replica);
                times += count;
            }
            if (!all && times != within)
                ck_abort_msg("entry (%d, %d) is covered %d times", (int)i, (int)j, times);
        }
}

/* The loads of the replicas of a place differ by at most one column, or by one row if there are fewer columns than
 * replicas. */
static void
check_spread(const alchi_layout_t *layout, const alch_rect_t *rect, const int64_t moved[MODEL_WORKERS_MAX])
{
    for (int place = 0; place < layout->nprow * layout->npcol; place++) {
        int64_t min = INT64_MAX, max = 0;
        alch_rect_t whole;

        alchi_layout_local_rect(layout, place % layout->nprow, place / layout->nprow, rect, &whole);
        for (int replica = 0; replica < layout->replicas; replica++) {
            int64_t entries = moved[layout->ranks[replica * layout->nprow * layout->npcol + place]];

            min = entries < min ? entries : min;
            max = entries > max ? entries : max;
        }
        ck_assert_int_le(max - min, whole.n >= layout->replicas ? whole.m : whole.n);
    }
}

static const int64_t limits[] = {1, 2, 3, 7, 64, 100, INT64_MAX};

static void
check_plan(const alchi_layout_t *layout, uint64_t *random)
{
    int64_t moved[MODEL_WORKERS_MAX];
    alch_rect_t rect = model_rect(random, layout->m, layout->n);
    int64_t entries = limits[model_pick(random, 0, sizeof(limits) / sizeof(*limits) - 1)];
    alchi_plan_t plan;

    alchi_plan_init(&plan, layout, &rect, ALCHI_PLAN_ALL, entries);
    run_plan(&plan, moved);
    check_cover(layout, &rect, true);
    alchi_plan_init(&plan, layout, &rect, ALCHI_PLAN_ONE, entries);
    run_plan(&plan, moved);
    check_cover(layout, &rect, false);
    check_spread(layout, &rect, moved);
}

START_TEST(pieces_cover_the_rectangle_exactly_once)
{
    model_each(check_plan);
}
END_TEST

/* The pieces of a rectangle of a matrix on one worker, with at most `entries` entries each. */
static void
check_pieces(const alch_rect_t *rect, alchi_plan_mode_t mode, int64_t entries, const alch_rect_t *expected, int count)
{
    alchi_layout_t layout;
    alchi_cursor_t cursor;
    alchi_piece_t piece;
    alchi_plan_t plan;

    unit_code(alchi_layout_init(&layout, 10, 10, 1, NULL, NULL), ALCH_OK);
    alchi_plan_init(&plan, &layout, rect, mode, entries);
    alchi_cursor_init(&cursor, &plan, 0);
    for (int k = 0; k < count; k++) {
        ck_assert(alchi_cursor_next(&cursor, &piece));
        ck_assert_mem_eq(&piece.local, &expected[k], sizeof(piece.local));
    }
    ck_assert(!alchi_cursor_next(&cursor, &piece));
    alchi_layout_fini(&layout);
}

START_TEST(pieces_are_whole_columns)
{
    static const alch_rect_t rect = {2, 1, 3, 5}, expected[] = {{2, 1, 3, 2}, {2, 3, 3, 2}, {2, 5, 3, 1}};

    check_pieces(&rect, ALCHI_PLAN_ALL, 8, expected, 3);
}
END_TEST

START_TEST(columns_beyond_the_limit_are_split)
{
    static const alch_rect_t rect = {2, 1, 3, 2}, expected[] = {{2, 1, 2, 1}, {4, 1, 1, 1}, {2, 2, 2, 1}, {4, 2, 1, 1}};

    check_pieces(&rect, ALCHI_PLAN_ONE, 2, expected, 4);
}
END_TEST

/* A client that reads single entries of a replicated matrix uses all workers equally. */
START_TEST(reads_of_single_entries_are_spread_over_replicas)
{
    alch_layout_t spec = {ALCH_STAR_STAR, 0, 0, 0, 0};
    alchi_layout_t layout;
    int64_t total[5] = {0};

    unit_code(alchi_layout_init(&layout, 100, 1, 5, &spec, NULL), ALCH_OK);
    for (int64_t i = 0; i < 100; i++) {
        alch_rect_t rect = {i, 0, 1, 1};
        alchi_plan_t plan;

        alchi_plan_init(&plan, &layout, &rect, ALCHI_PLAN_ONE, 10);
        for (int rank = 0; rank < 5; rank++)
            total[rank] += alchi_plan_entries(&plan, rank);
    }
    for (int rank = 0; rank < 5; rank++)
        ck_assert_int_eq(total[rank], 20);
    alchi_layout_fini(&layout);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *plan = tcase_create("plan");

    tcase_add_test(plan, pieces_are_whole_columns);
    tcase_add_test(plan, columns_beyond_the_limit_are_split);
    tcase_add_test(plan, reads_of_single_entries_are_spread_over_replicas);
    tcase_add_test(plan, pieces_cover_the_rectangle_exactly_once);
    suite_add_tcase(suite, plan);
}
