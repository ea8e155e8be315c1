/* Grids, places, local parts and axes are compared with the brute-force model. */
#include "layout_model.h"
#include <limits.h>
#include <string.h>

static void
check_refused(int64_t m, int64_t n, int p, alch_layout_t spec, const char *text)
{
    alchi_layout_t layout = {.workers = -7};
    alch_error_t err;

    unit_code(alchi_layout_init(&layout, m, n, p, &spec, &err), ALCH_EINVAL);
    unit_contains(err.text, text);
    ck_assert_int_eq(layout.workers, -7);
    unit_code(alchi_layout_init(&layout, m, n, p, &spec, NULL), ALCH_EINVAL);
}

START_TEST(invalid_layouts_are_refused_with_value_and_limit)
{
    alch_layout_t standard = ALCH_LAYOUT_DEFAULT;

    check_refused(-1, 3, 2, standard, "matrix size -1 x 3 is negative");
    check_refused(3, -1, 2, standard, "3 x -1");
    check_refused(INT64_MAX, 2, 2, standard,
                  "9223372036854775807 x 2 exceeds the maximum of 576460752303423487 entries");
    check_refused(3, 3, 0, standard, "0 workers");
    check_refused(3, 3, -4, standard, "-4 workers");
    check_refused(3, 3, 2, (alch_layout_t){(alch_dist_t)15, 0, 0, 0, 0}, "15");
    check_refused(3, 3, 2, (alch_layout_t){(alch_dist_t)-1, 0, 0, 0, 0}, "-1");
    check_refused(3, 3, 2, (alch_layout_t){ALCH_BLOCK_CYCLIC, -2, 0, 0, 0}, "mb = -2");
    check_refused(3, 3, 2, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, -3, 0, 0}, "nb = -3");
    check_refused(3, 3, 2, (alch_layout_t){ALCH_BLOCK_CYCLIC, INT64_MAX, 0, 2, 1}, "9223372036854775807");
    check_refused(3, 3, 2, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, INT64_MAX, 1, 2}, "9223372036854775807");
    check_refused(3, 3, 2, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, -1, 0}, "-1");
    check_refused(3, 3, 6, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, 3, 4},
                  "grid 3 x 4 needs 12 workers, the group has 6");
    check_refused(3, 3, 6, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, 7, 0}, "needs 7 workers, the group has 6");
    check_refused(3, 3, 6, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, 0, 8}, "needs 8 workers, the group has 6");
    check_refused(3, 3, 6, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, INT_MAX, INT_MAX}, "workers, the group has 6");
}
END_TEST

START_TEST(invalid_worker_grids_are_refused)
{
    alchi_layout_t layout;

    unit_code(alchi_layout_init_grid(&layout, 1, 1, 0, 3, NULL, NULL), ALCH_EINVAL);
    unit_code(alchi_layout_init_grid(&layout, 1, 1, 3, -1, NULL, NULL), ALCH_EINVAL);
    unit_code(alchi_layout_init_grid(&layout, 1, 1, INT_MAX, 2, NULL, NULL), ALCH_EINVAL);
}
END_TEST

START_TEST(grid_is_the_nearest_to_a_square)
{
    static const int expected[][3] = {{1, 1, 1},   {2, 1, 2},  {3, 1, 3},  {4, 2, 2},  {5, 1, 5},   {6, 2, 3},
                                      {7, 1, 7},   {8, 2, 4},  {9, 3, 3},  {10, 2, 5}, {11, 1, 11}, {12, 3, 4},
                                      {13, 1, 13}, {36, 6, 6}, {72, 8, 9}, {97, 1, 97}};

    for (size_t k = 0; k < sizeof(expected) / sizeof(*expected); k++) {
        int r, c;

        alchi_grid(expected[k][0], &r, &c);
        ck_assert_int_eq(r, expected[k][1]);
        ck_assert_int_eq(c, expected[k][2]);
    }
}
END_TEST

static void
check_resolved(int p, alch_layout_t spec, int64_t mb, int64_t nb, int nprow, int npcol, int replicas)
{
    alchi_layout_t layout;

    unit_code(alchi_layout_init(&layout, 10, 10, p, &spec, NULL), ALCH_OK);
    ck_assert_int_eq(layout.spec.dist, spec.dist);
    ck_assert_int_eq(layout.spec.mb, mb);
    ck_assert_int_eq(layout.spec.nb, nb);
    ck_assert_int_eq(layout.spec.nprow, nprow);
    ck_assert_int_eq(layout.spec.npcol, npcol);
    ck_assert_int_eq(layout.mb, mb);
    ck_assert_int_eq(layout.nb, nb);
    ck_assert_int_eq(layout.nprow, nprow);
    ck_assert_int_eq(layout.npcol, npcol);
    ck_assert_int_eq(layout.replicas, replicas);
    ck_assert_int_eq(layout.workers, p);
    alchi_layout_fini(&layout);
    alchi_layout_fini(&layout);
}

START_TEST(zeros_of_a_spec_become_defaults)
{
    check_resolved(6, (alch_layout_t)ALCH_LAYOUT_DEFAULT, 32, 32, 2, 3, 1);
    check_resolved(7, (alch_layout_t)ALCH_LAYOUT_DEFAULT, 32, 32, 1, 7, 1);
    check_resolved(6, (alch_layout_t){ALCH_BLOCK_CYCLIC, 5, 0, 0, 0}, 5, 32, 2, 3, 1);
    check_resolved(6, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 9, 3, 0}, 32, 9, 3, 2, 1);
    check_resolved(7, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, 0, 2}, 32, 32, 3, 2, 1);
    check_resolved(7, (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, 2, 2}, 32, 32, 2, 2, 1);
    check_resolved(6, (alch_layout_t){ALCH_MC_MR, 64, 9, 77, -1}, 1, 1, 2, 3, 1);
    check_resolved(6, (alch_layout_t){ALCH_MR_MC, 0, 0, 0, 0}, 1, 1, 3, 2, 1);
    check_resolved(6, (alch_layout_t){ALCH_MC_STAR, 0, 0, 0, 0}, 1, 1, 2, 1, 3);
    check_resolved(6, (alch_layout_t){ALCH_STAR_MR, 0, 0, 0, 0}, 1, 1, 1, 3, 2);
    check_resolved(6, (alch_layout_t){ALCH_STAR_STAR, 0, 0, 0, 0}, 1, 1, 1, 1, 6);
    check_resolved(6, (alch_layout_t){ALCH_MD_STAR, 0, 0, 0, 0}, 1, 1, 6, 1, 1);
    check_resolved(8, (alch_layout_t){ALCH_MD_STAR, 0, 0, 0, 0}, 1, 1, 4, 1, 1);
    check_resolved(9, (alch_layout_t){ALCH_STAR_MD, 0, 0, 0, 0}, 1, 1, 1, 3, 1);
    check_resolved(6, (alch_layout_t){ALCH_STAR_VR, 0, 0, 0, 0}, 1, 1, 1, 6, 1);
    check_resolved(6, (alch_layout_t){ALCH_CIRC_CIRC, 0, 0, 0, 0}, 1, 1, 1, 1, 1);
}
END_TEST

START_TEST(default_layout_has_blocks_of_32_columns)
{
    alchi_layout_t layout;
    int64_t m, n;

    unit_code(alchi_layout_init(&layout, 60000, 784, 3, NULL, NULL), ALCH_OK);
    ck_assert_int_eq(layout.spec.dist, ALCH_BLOCK_CYCLIC);
    alchi_layout_local(&layout, 2, &m, &n);
    ck_assert_int_eq(m, 60000);
    ck_assert_int_eq(n, 256);
    alchi_layout_local(&layout, 0, &m, &n);
    ck_assert_int_eq(n, 272);
    alchi_layout_fini(&layout);
}
END_TEST

/* Another process, which receives a resolved layout, must get the same layout when it resolves it again. */
static void
check_stable(const alchi_layout_t *layout, uint64_t *random)
{
    alchi_layout_t again;

    (void)random;
    unit_code(alchi_layout_init(&again, layout->m, layout->n, layout->workers, &layout->spec, NULL), ALCH_OK);
    ck_assert_int_eq(again.nprow, layout->nprow);
    ck_assert_int_eq(again.npcol, layout->npcol);
    ck_assert_int_eq(again.replicas, layout->replicas);
    ck_assert_mem_eq(again.places, layout->places, (size_t)layout->workers * sizeof(*layout->places));
    alchi_layout_fini(&again);
}

START_TEST(resolved_layout_resolves_to_itself)
{
    model_each(check_stable);
}
END_TEST

/* The tables `ranks` and `places` are inverse, and every place of every replica has one rank. */
static void
check_tables(const alchi_layout_t *layout, uint64_t *random)
{
    int places = layout->replicas * layout->nprow * layout->npcol, held = 0;
    int replica, row, col;

    (void)random;
    ck_assert_int_le(places, layout->workers);
    for (int rank = 0; rank < layout->workers; rank++) {
        if (!alchi_layout_place(layout, rank, &replica, &row, &col)) {
            ck_assert_int_eq(layout->places[rank], -1);
            continue;
        }
        ck_assert(replica >= 0 && replica < layout->replicas && row >= 0 && row < layout->nprow && col >= 0 &&
                  col < layout->npcol);
        ck_assert_int_eq(layout->ranks[(replica * layout->npcol + col) * layout->nprow + row], rank);
        held++;
    }
    ck_assert_int_eq(held, places);
    ck_assert(!alchi_layout_place(layout, -1, &replica, &row, &col));
    ck_assert(!alchi_layout_place(layout, layout->workers, &replica, &row, &col));
}

START_TEST(ranks_and_places_are_inverse)
{
    model_each(check_tables);
}
END_TEST

static void
check_owner(const alchi_layout_t *layout, uint64_t *random)
{
    model_axis_t rows, cols;

    (void)random;
    model_deal(&rows, layout->m, layout->mb, layout->nprow);
    model_deal(&cols, layout->n, layout->nb, layout->npcol);
    for (int replica = 0; replica < layout->replicas; replica++)
        for (int64_t i = 0; i < layout->m; i++)
            for (int64_t j = 0; j < layout->n; j++) {
                int got = -1, row = -1, col = -1;
                bool placed = alchi_layout_place(layout, model_owner(layout, replica, i, j), &got, &row, &col);

                if (!placed || got != replica || row != rows.place[i] || col != cols.place[j])
                    ck_abort_msg("entry (%d, %d) of replica %d: place %d, %d in replica %d", (int)i, (int)j, replica,
                                 row, col, got);
            }
}

START_TEST(entries_are_at_the_places_of_the_model)
{
    model_each(check_owner);
}
END_TEST

/* The model's local range of indices first..first+count-1 at `place`: its first local index and its length. */
static void
model_range(const model_axis_t *axis, int64_t first, int64_t count, int place, int64_t *local_p, int64_t *length_p)
{
    *local_p = *length_p = 0;
    for (int64_t i = 0; i < first; i++)
        *local_p += axis->place[i] == place;
    for (int64_t i = first; i < first + count; i++)
        *length_p += axis->place[i] == place;
}

static void
check_rank(const alchi_layout_t *layout, int rank, const model_axis_t *rows, const model_axis_t *cols,
           const alch_rect_t *rect)
{
    int replica, row, col;
    alchi_axis_t row_axis, col_axis;
    alch_rect_t local, expected, whole;
    int64_t m, n;

    alchi_layout_local(layout, rank, &m, &n);
    if (!alchi_layout_place(layout, rank, &replica, &row, &col)) {
        ck_assert_int_eq(m, 0);
        ck_assert_int_eq(n, 0);
        return;
    }
    model_range(rows, 0, layout->m, row, &whole.i, &whole.m);
    model_range(cols, 0, layout->n, col, &whole.j, &whole.n);
    ck_assert_int_eq(m, whole.m);
    ck_assert_int_eq(n, whole.n);
    model_range(rows, rect->i, rect->m, row, &expected.i, &expected.m);
    model_range(cols, rect->j, rect->n, col, &expected.j, &expected.n);
    alchi_layout_local_rect(layout, row, col, rect, &local);
    ck_assert_mem_eq(&local, &expected, sizeof(local));
    alchi_layout_axes(layout, row, col, &row_axis, &col_axis);
    for (int64_t i = 0; i < layout->m; i++)
        if (rows->place[i] == row && alchi_axis_global(&row_axis, rows->local[i]) != i)
            ck_abort_msg("local row %d of rank %d does not map to row %d", (int)rows->local[i], rank, (int)i);
    for (int64_t j = 0; j < layout->n; j++)
        if (cols->place[j] == col && alchi_axis_global(&col_axis, cols->local[j]) != j)
            ck_abort_msg("local column %d of rank %d does not map to column %d", (int)cols->local[j], rank, (int)j);
}

static void
check_share(const alchi_layout_t *layout, uint64_t *random)
{
    model_axis_t rows, cols;

    model_deal(&rows, layout->m, layout->mb, layout->nprow);
    model_deal(&cols, layout->n, layout->nb, layout->npcol);
    for (int k = 0; k < 3; k++) {
        alch_rect_t rect = model_rect(random, layout->m, layout->n);

        for (int rank = 0; rank < layout->workers; rank++)
            check_rank(layout, rank, &rows, &cols, &rect);
    }
}

START_TEST(local_parts_agree_with_the_model)
{
    model_each(check_share);
}
END_TEST

START_TEST(count_agrees_with_the_model)
{
    for (int procs = 1; procs <= 13; procs++)
        for (int64_t block = 1; block <= 9; block++) {
            model_axis_t axis;
            int64_t counts[13] = {0};

            model_deal(&axis, MODEL_MAX, block, procs);
            for (int64_t end = 0; end < MODEL_MAX; end++) {
                for (int proc = 0; proc < procs; proc++)
                    if (alchi_count(end, block, proc, procs) != counts[proc])
                        ck_abort_msg("%d indices in blocks of %d, place %d of %d", (int)end, (int)block, proc, procs);
                counts[axis.place[end]]++;
            }
        }
}
END_TEST

START_TEST(count_does_not_overflow)
{
    ck_assert_int_eq(alchi_count(INT64_MAX, 1, 0, 1), INT64_MAX);
    ck_assert_int_eq(alchi_count(INT64_MAX - 1, 64, 0, 2) + alchi_count(INT64_MAX - 1, 64, 1, 2), INT64_MAX - 1);
    ck_assert_int_eq(alchi_count(INT64_MAX, INT64_C(1000000000000), 2, 4), INT64_C(2305843) * 1000000000000);
}
END_TEST

START_TEST(rect_within_survives_edges_and_huge_values)
{
    static const struct {
        alch_rect_t rect;
        bool within;
    } cases[] = {
        {{0, 0, 5, 7}, true},          {{5, 7, 0, 0}, true},          {{4, 6, 1, 1}, true},
        {{0, 0, 6, 7}, false},         {{0, 0, 5, 8}, false},         {{1, 0, 5, 7}, false},
        {{6, 0, 0, 0}, false},         {{0, 8, 0, 0}, false},         {{-1, 0, 1, 1}, false},
        {{0, -1, 1, 1}, false},        {{0, 0, -1, 1}, false},        {{0, 0, 1, -1}, false},
        {{1, 0, INT64_MAX, 1}, false}, {{0, INT64_MAX, 1, 1}, false}, {{0, 3, 1, INT64_MAX}, false},
    };

    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++)
        ck_assert_msg(alchi_rect_within(&cases[k].rect, 5, 7) == cases[k].within, "case %zu", k);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *arguments = tcase_create("arguments"), *model = tcase_create("model");

    tcase_add_test(arguments, invalid_layouts_are_refused_with_value_and_limit);
    tcase_add_test(arguments, invalid_worker_grids_are_refused);
    tcase_add_test(arguments, grid_is_the_nearest_to_a_square);
    tcase_add_test(arguments, zeros_of_a_spec_become_defaults);
    tcase_add_test(arguments, default_layout_has_blocks_of_32_columns);
    tcase_add_test(arguments, rect_within_survives_edges_and_huge_values);
    suite_add_tcase(suite, arguments);
    tcase_add_test(model, count_agrees_with_the_model);
    tcase_add_test(model, count_does_not_overflow);
    tcase_add_test(model, resolved_layout_resolves_to_itself);
    tcase_add_test(model, ranks_and_places_are_inverse);
    tcase_add_test(model, entries_are_at_the_places_of_the_model);
    tcase_add_test(model, local_parts_agree_with_the_model);
    suite_add_tcase(suite, model);
}
