/* Intersections of block-cyclic sets are compared with a membership test of every index. */
#include "layout/intersect.h"
#include "layout_model.h"
#include <string.h>

#define END_MAX 700

static alchi_axis_t
axis_of(int64_t block, int procs, int proc, int64_t shift)
{
    return (alchi_axis_t){block, block * procs, shift + block * proc};
}

/* Count in `seen` how often the runs hold each index, and check where they say that it is stored on both sides.
 * @return the number of runs */
static int
mark_runs(const alchi_intersect_t *set, const alchi_axis_t *a, const alchi_axis_t *b, unsigned char *seen)
{
    alchi_strided_run_t run;
    int runs = 0;

    memset(seen, 0, END_MAX);
    for (int64_t at = set->begin; alchi_intersect_next(set, at, &run); at = alchi_strided_run_end(&run), runs++) {
        ck_assert_int_ge(run.index, at);
        for (int64_t k = 0; k < run.count; k++)
            for (int64_t l = 0; l < run.length; l++) {
                int64_t index = run.index + k * run.step + l;
                bool fits = index < set->end && alchi_axis_global(a, run.a + k * run.a_step + l) == index &&
                            alchi_axis_global(b, run.b + k * run.b_step + l) == index;

                if (!fits || seen[index]++)
                    ck_abort_msg("index %d of segment %d is wrong or repeated", (int)index, (int)k);
            }
    }
    return runs;
}

static void
check_intersection(const alchi_axis_t *a, const alchi_axis_t *b, int64_t begin, int64_t end)
{
    unsigned char seen[END_MAX];
    alchi_intersect_t set;
    int64_t count = 0;

    alchi_intersect_init(&set, a, b, begin, end);
    mark_runs(&set, a, b, seen);
    for (int64_t index = 0; index < end; index++) {
        bool shared = index >= begin && model_holds(a, index) && model_holds(b, index);

        if (seen[index] != shared)
            ck_abort_msg("index %d of [%d, %d) was seen %d times; blocks %d/%d+%d, %d/%d+%d", (int)index, (int)begin,
                         (int)end, seen[index], (int)a->block, (int)a->period, (int)a->first, (int)b->block,
                         (int)b->period, (int)b->first);
        count += shared;
    }
    ck_assert_int_eq(alchi_intersect_count(&set), count);
}

START_TEST(runs_hold_every_shared_index_once)
{
    static const int64_t blocks[] = {1, 2, 3, 5, 8, 32, 64, 100};
    static const int procs[] = {1, 2, 3, 4, 7};

    srand(20261122);
    for (int k = 0; k < 20000; k++) {
        int p = procs[rand() % 5], q = procs[rand() % 5];
        alchi_axis_t a = axis_of(blocks[rand() % 8], p, rand() % p, rand() % 3 ? 0 : rand() % 40);
        alchi_axis_t b = axis_of(blocks[rand() % 8], q, rand() % q, 0);
        int64_t end = rand() % END_MAX;

        check_intersection(&a, &b, rand() % 2 || end == 0 ? 0 : rand() % end, end);
    }
}
END_TEST

START_TEST(parts_of_two_grids_make_the_whole)
{
    int64_t sum = 0;

    for (int p = 0; p < 3; p++)
        for (int q = 0; q < 4; q++) {
            alchi_axis_t a = axis_of(48, 3, p, 0), b = axis_of(64, 4, q, 0);
            alchi_intersect_t set;

            alchi_intersect_init(&set, &a, &b, 0, 123457);
            sum += alchi_intersect_count(&set);
        }
    ck_assert_int_eq(sum, 123457);
}
END_TEST

/* Regular sets have few runs. In particular, blocks of one entry do not make one run for each index. */
START_TEST(regular_sets_have_few_runs)
{
    static const struct {
        int64_t a_block;
        int a_procs;
        int64_t b_block;
        int b_procs;
        int max;
    } cases[] = {
        {64, 2, 64, 2, 2}, {64, 2, 64, 3, 2}, {1, 2, 1, 3, 1},  {1, 4, 1, 4, 1},   {1, 2, 64, 2, 4},
        {64, 2, 1, 2, 4},  {1, 1, 64, 3, 4},  {64, 1, 1, 3, 1}, {32, 2, 64, 2, 2}, {8, 2, 64, 4, 6},
    };
    unsigned char seen[END_MAX];

    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
        alchi_axis_t a = axis_of(cases[k].a_block, cases[k].a_procs, 0, 0);
        alchi_axis_t b = axis_of(cases[k].b_block, cases[k].b_procs, 0, 0);
        alchi_intersect_t set;
        int runs;

        alchi_intersect_init(&set, &a, &b, 0, 500);
        runs = mark_runs(&set, &a, &b, seen);
        if (runs > cases[k].max)
            ck_abort_msg("case %d has %d runs", (int)k, runs);
    }
}
END_TEST

/* alchi_intersect_take() in a loop takes every index once, and the bounds of each part are exact. */
START_TEST(parts_taken_one_by_one_make_the_whole)
{
    for (int64_t max = 1; max < 90; max += 7)
        for (int k = 0; k < 60; k++) {
            int p = 1 + k % 4, q = 1 + k % 3;
            alchi_axis_t a = axis_of(1 + k % 9, p, k % p, 0), b = axis_of(1 + k % 37, q, k % q, 0);
            alchi_intersect_t set, rest;
            int64_t total = 0, taken;

            alchi_intersect_init(&set, &a, &b, 0, 500);
            for (rest = set; (taken = alchi_intersect_take(&rest, max)) > 0;) {
                ck_assert_int_le(taken, max);
                ck_assert(model_holds(&a, rest.begin) && model_holds(&b, rest.begin));
                ck_assert(model_holds(&a, rest.end - 1) && model_holds(&b, rest.end - 1));
                ck_assert_int_eq(alchi_intersect_count(&rest), taken);
                total += taken;
                rest.begin = rest.end;
                rest.end = set.end;
            }
            ck_assert_int_eq(rest.begin, rest.end);
            ck_assert_int_eq(total, alchi_intersect_count(&set));
        }
}
END_TEST

/* Nothing overflows if periods and bounds have the maximum size. */
START_TEST(huge_indices_do_not_overflow)
{
    const int64_t end = INT64_C(1) << 60;
    alchi_axis_t a = {INT64_MAX / 4, INT64_MAX, 0}, b = {1, 1, INT64_MAX - 1}, c = {INT64_MAX, INT64_MAX, 5};
    alchi_axis_t d = {end / 1000, end / 10, 7};
    alchi_intersect_t set;
    alchi_strided_run_t run;

    alchi_intersect_init(&set, &a, &b, 0, end);
    ck_assert(!alchi_intersect_next(&set, 0, &run));
    alchi_intersect_init(&set, &a, &c, 0, end);
    ck_assert_int_eq(alchi_intersect_count(&set), end - 5);
    alchi_intersect_init(&set, &d, &c, 0, end);
    ck_assert_int_eq(alchi_intersect_count(&set), 10 * (end / 1000));
}
END_TEST

START_TEST(swapped_set_has_the_same_runs)
{
    const alchi_axis_t a = {3, 6, 3}, b = {2, 4, 0};
    alchi_intersect_t set, other;
    alchi_strided_run_t one, two;

    alchi_intersect_init(&set, &a, &b, 0, 50);
    other = alchi_intersect_swapped(&set);
    ck_assert_int_eq(alchi_intersect_count(&other), alchi_intersect_count(&set));
    for (int64_t at = 0; alchi_intersect_next(&set, at, &one); at = alchi_strided_run_end(&one)) {
        ck_assert(alchi_intersect_next(&other, at, &two));
        ck_assert_int_eq(one.a, two.b);
        ck_assert_int_eq(one.b, two.a);
        ck_assert_int_eq(alchi_strided_run_end(&one), alchi_strided_run_end(&two));
    }
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("intersect");

    tcase_add_test(tcase, runs_hold_every_shared_index_once);
    tcase_add_test(tcase, parts_of_two_grids_make_the_whole);
    tcase_add_test(tcase, regular_sets_have_few_runs);
    tcase_add_test(tcase, parts_taken_one_by_one_make_the_whole);
    tcase_add_test(tcase, huge_indices_do_not_overflow);
    tcase_add_test(tcase, swapped_set_has_the_same_runs);
    suite_add_tcase(suite, tcase);
}
