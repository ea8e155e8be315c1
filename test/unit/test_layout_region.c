/* Regions are compared with an array of one flag for each entry. */
#include "layout/region.h"
#include "layout_model.h"
#include <string.h>

#define SIDE_MAX 48

typedef struct {
    int64_t m, n;
    bool held[SIDE_MAX][SIDE_MAX]; /* [column][row] */
} flags_t;

static int64_t
flags_add(flags_t *flags, const alch_rect_t *rect)
{
    int64_t added = 0;

    for (int64_t j = rect->j; j < rect->j + rect->n; j++)
        for (int64_t i = rect->i; i < rect->i + rect->m; i++) {
            added += !flags->held[j][i];
            flags->held[j][i] = true;
        }
    return added;
}

static int64_t
flags_count(const flags_t *flags, const alch_rect_t *rect)
{
    int64_t count = 0;

    for (int64_t j = rect->j; j < rect->j + rect->n; j++)
        for (int64_t i = rect->i; i < rect->i + rect->m; i++)
            count += flags->held[j][i];
    return count;
}

static bool
flags_first(const flags_t *flags, const alch_rect_t *within, int64_t *i_p, int64_t *j_p)
{
    for (*j_p = within->j; *j_p < within->j + within->n; ++*j_p)
        for (*i_p = within->i; *i_p < within->i + within->m; ++*i_p)
            if (!flags->held[*j_p][*i_p])
                return true;
    return false;
}

/* Compare what the region and the flags say about one rectangle. */
static void
compare_within(const alchi_region_t *region, const flags_t *flags, const alch_rect_t *within)
{
    int64_t held = flags_count(flags, within), i, j;
    alch_rect_t missing = {-1, -1, -1, -1};

    ck_assert(alchi_region_covers(region, within) == (held == within->m * within->n));
    if (!flags_first(flags, within, &i, &j)) {
        ck_assert(!alchi_region_missing(region, within, &missing));
        ck_assert_int_eq(missing.i, -1);
        return;
    }
    ck_assert(alchi_region_missing(region, within, &missing));
    ck_assert_int_eq(missing.i, i);
    ck_assert_int_eq(missing.j, j);
    ck_assert(missing.m > 0 && missing.n > 0);
    ck_assert(missing.i + missing.m <= within->i + within->m && missing.j + missing.n <= within->j + within->n);
    ck_assert_int_eq(flags_count(flags, &missing), 0);
    if (missing.i + missing.m < within->i + within->m)
        ck_assert(flags->held[j][missing.i + missing.m]);
}

static void
compare(const alchi_region_t *region, const flags_t *flags, uint64_t *random)
{
    alch_rect_t whole = {0, 0, flags->m, flags->n};
    int64_t held = flags_count(flags, &whole);

    ck_assert_int_eq(alchi_region_count(region), held);
    ck_assert(alchi_region_complete(region) == (held == flags->m * flags->n));
    compare_within(region, flags, &whole);
    for (int k = 0; k < 4; k++) {
        alch_rect_t within = model_rect(random, flags->m, flags->n);

        compare_within(region, flags, &within);
    }
}

START_TEST(part_without_entries_is_complete)
{
    static const int64_t shapes[][2] = {{0, 0}, {0, 5}, {5, 0}};

    for (size_t k = 0; k < sizeof(shapes) / sizeof(*shapes); k++) {
        alchi_region_t *region = alchi_region_create(shapes[k][0], shapes[k][1]);
        alch_rect_t whole = {0, 0, shapes[k][0], shapes[k][1]}, missing;

        ck_assert(alchi_region_complete(region));
        ck_assert(alchi_region_covers(region, &whole));
        ck_assert(!alchi_region_missing(region, &whole, &missing));
        unit_code(alchi_region_add(region, &whole), ALCH_OK);
        alchi_region_fill(region);
        ck_assert_int_eq(alchi_region_count(region), 0);
        alchi_region_destroy(region);
    }
    alchi_region_destroy(NULL);
}
END_TEST

START_TEST(missing_rectangle_covers_the_gap)
{
    alchi_region_t *region = alchi_region_create(100, 20);
    alch_rect_t whole = {0, 0, 100, 20}, upper = {0, 0, 50, 20}, more = {50, 0, 30, 4}, missing;

    ck_assert(alchi_region_missing(region, &whole, &missing));
    ck_assert_mem_eq(&missing, &whole, sizeof(whole));
    unit_code(alchi_region_add(region, &upper), ALCH_OK);
    ck_assert(alchi_region_missing(region, &whole, &missing));
    ck_assert_mem_eq(&missing, (&(alch_rect_t){50, 0, 50, 20}), sizeof(missing));
    unit_code(alchi_region_add(region, &more), ALCH_OK);
    ck_assert(alchi_region_missing(region, &whole, &missing));
    ck_assert_mem_eq(&missing, (&(alch_rect_t){80, 0, 20, 20}), sizeof(missing));
    ck_assert_int_eq(alchi_region_count(region), 1120);
    alchi_region_fill(region);
    ck_assert(alchi_region_complete(region));
    ck_assert_int_eq(alchi_region_count(region), 2000);
    ck_assert(!alchi_region_missing(region, &whole, &missing));
    alchi_region_destroy(region);
}
END_TEST

/* List all missing entries, in lists of bounded length, until no rectangle is left to examine. */
static void
compare_list(const alchi_region_t *region, const flags_t *flags, uint64_t *random)
{
    alch_rect_t missing[8], rest[17], todo[2 * SIDE_MAX * SIDE_MAX];
    flags_t seen = {.m = flags->m, .n = flags->n};
    alch_rect_t within = model_rect(random, flags->m, flags->n);
    size_t left = 1, rest_count, max = (size_t)model_pick(random, 1, 8);

    todo[0] = within;
    while (left > 0) {
        size_t found = alchi_region_list_missing(region, &todo[--left], missing, max, rest, &rest_count);

        ck_assert_uint_le(found, max);
        ck_assert(rest_count == 0 || found == max);
        ck_assert_uint_le(rest_count, 2 * max + 1);
        for (size_t k = 0; k < found; k++) {
            ck_assert_int_eq(flags_count(flags, &missing[k]), 0);
            ck_assert_int_eq(flags_add(&seen, &missing[k]), missing[k].m * missing[k].n);
        }
        for (size_t k = 0; k < rest_count; k++)
            todo[left++] = rest[k];
    }
    ck_assert_int_eq(flags_count(&seen, &within) + flags_count(flags, &within), within.m * within.n);
}

/* A resized region keeps the entries of the rows that remain. */
static void
compare_resized(const alchi_region_t *region, const flags_t *flags, uint64_t *random)
{
    int64_t m = model_pick(random, 0, SIDE_MAX);
    alchi_region_t *resized = alchi_region_resized(region, m);
    flags_t expected = {.m = m, .n = flags->n};

    ck_assert_ptr_nonnull(resized);
    for (int64_t j = 0; j < flags->n; j++)
        for (int64_t i = 0; i < m && i < flags->m; i++)
            expected.held[j][i] = flags->held[j][i];
    compare(resized, &expected, random);
    alchi_region_destroy(resized);
}

/* A local part may have more entries than a bitmap in memory could have bits. */
START_TEST(huge_parts_need_no_bitmap)
{
    int64_t side = INT64_C(1) << 28;
    alchi_region_t *region = alchi_region_create(side, side);
    alch_rect_t missing, last = {0, side - 1, side, 1};

    for (int64_t j = 0; j < 1000; j++) {
        alch_rect_t columns = {0, j * (side / 1000), side, side / 1000};

        unit_code(alchi_region_add(region, &columns), ALCH_OK);
    }
    ck_assert(!alchi_region_complete(region));
    ck_assert(alchi_region_missing(region, &(alch_rect_t){0, 0, side, side}, &missing));
    ck_assert_int_eq(missing.j, side / 1000 * 1000);
    ck_assert(!alchi_region_covers(region, &last));
    unit_code(alchi_region_add(region, &missing), ALCH_OK);
    ck_assert(alchi_region_complete(region));
    alchi_region_destroy(region);
}
END_TEST

/* Add rectangles of random sizes at random places until the region is complete. */
static void
fill_at_random(int64_t m, int64_t n, int64_t largest, uint64_t *random)
{
    alchi_region_t *region = alchi_region_create(m, n);
    flags_t flags = {.m = m, .n = n};

    compare(region, &flags, random);
    for (int k = 0; k < 3000 && !alchi_region_complete(region); k++) {
        alch_rect_t rect = {model_pick(random, 0, m - 1), model_pick(random, 0, n - 1), 0, 0};

        rect.m = model_pick(random, 0, m - rect.i < largest ? m - rect.i : largest);
        rect.n = model_pick(random, 0, n - rect.j < largest ? n - rect.j : largest);
        flags_add(&flags, &rect);
        unit_code(alchi_region_add(region, &rect), ALCH_OK);
        if (k < 40 || k % 32 == 0 || alchi_region_complete(region))
            compare(region, &flags, random);
        if (k % 16 == 0) {
            compare_list(region, &flags, random);
            compare_resized(region, &flags, random);
        }
    }
    alchi_region_destroy(region);
}

START_TEST(random_rectangles_agree_with_the_flags)
{
    static const int64_t shapes[][2] = {{1, 1}, {1, 48}, {48, 1}, {3, 5}, {13, 11}, {48, 48}, {47, 33}};
    static const int64_t sizes[] = {1, 3, 10, 48};
    uint64_t random = 42;

    for (size_t shape = 0; shape < sizeof(shapes) / sizeof(*shapes); shape++)
        for (size_t size = 0; size < sizeof(sizes) / sizeof(*sizes); size++)
            for (int k = 0; k < 3; k++)
                fill_at_random(shapes[shape][0], shapes[shape][1], sizes[size], &random);
}
END_TEST

/* No region is more fragmented than a chessboard. The other color then completes it. */
START_TEST(chessboard_is_held_exactly)
{
    alchi_region_t *region = alchi_region_create(SIDE_MAX, SIDE_MAX);
    flags_t flags = {.m = SIDE_MAX, .n = SIDE_MAX};
    uint64_t random = 7;

    for (int colour = 0; colour < 2; colour++)
        for (int64_t i = 0; i < SIDE_MAX; i++)
            for (int64_t j = (i + colour) % 2; j < SIDE_MAX; j += 2) {
                alch_rect_t rect = {i, j, 1, 1};

                ck_assert(!alchi_region_complete(region));
                flags_add(&flags, &rect);
                unit_code(alchi_region_add(region, &rect), ALCH_OK);
                if (j < 2)
                    compare(region, &flags, &random);
            }
    ck_assert(alchi_region_complete(region));
    compare(region, &flags, &random);
    alchi_region_destroy(region);
}
END_TEST

/* @return a random set of one dimension, within the first `size` storage indices of side b */
static alchi_intersect_t
random_set(uint64_t *random, int64_t size)
{
    int64_t procs = model_pick(random, 1, 3), others = model_pick(random, 1, 3);
    int64_t block = model_pick(random, 1, 9), other = model_pick(random, 1, 9);
    alchi_axis_t b = {block, block * procs, block * model_pick(random, 0, procs - 1)};
    alchi_axis_t a = {other, other * others, other * model_pick(random, 0, others - 1)};
    int64_t first = model_pick(random, 0, size - 1), last = model_pick(random, first, size - 1);
    alchi_intersect_t set;

    alchi_intersect_init(&set, &a, &b, alchi_axis_global(&b, first), alchi_axis_global(&b, last) + 1);
    return set;
}

/* List which storage indices a set holds. */
static void
list_set(const alchi_intersect_t *set, bool *held)
{
    alchi_strided_run_t run;

    memset(held, 0, SIDE_MAX * sizeof(*held));
    for (int64_t at = set->begin; alchi_intersect_next(set, at, &run); at = alchi_strided_run_end(&run))
        for (int64_t k = 0; k < run.count * run.length; k++)
            held[run.b + k / run.length * run.b_step + k % run.length] = true;
}

/* Check alchi_region_mask(): a bit for each entry of the product, in storage order. */
static void
check_mask(const alchi_region_t *region, const flags_t *flags, const alchi_intersect_t *rows,
           const alchi_intersect_t *cols)
{
    uint64_t mask[SIDE_MAX * SIDE_MAX / 64 + 1] = {0};
    bool is_row[SIDE_MAX], is_col[SIDE_MAX];
    int64_t held = alchi_region_mask(region, rows, cols, mask), at = 0;
    uint64_t wrong = 0;

    list_set(rows, is_row);
    list_set(cols, is_col);
    for (int64_t j = 0; j < flags->n; j++)
        for (int64_t i = 0; i < flags->m; i++) {
            if (!is_row[i] || !is_col[j])
                continue;
            wrong += (mask[at / 64] >> (at % 64) & 1) != flags->held[j][i];
            held -= flags->held[j][i];
            at++;
        }
    ck_assert_int_eq(held, 0);
    for (; at < (int64_t)sizeof(mask) * 8; at++)
        wrong += mask[at / 64] >> (at % 64) & 1;
    ck_assert_int_eq(wrong, 0);
}

/* Take a random product, add it to the region and to the flags if `add`, and compare what both say about it. */
static void
check_product(alchi_region_t *region, flags_t *flags, uint64_t *random, bool add)
{
    alchi_intersect_t rows = random_set(random, flags->m), cols = random_set(random, flags->n);
    bool is_row[SIDE_MAX], is_col[SIDE_MAX], covered = true;
    alch_rect_t missing = {0, 0, 0, 0};

    list_set(&rows, is_row);
    list_set(&cols, is_col);
    if (add)
        unit_code(alchi_region_add_set(region, &rows, &cols), ALCH_OK);
    for (int64_t j = 0; j < flags->n; j++)
        for (int64_t i = 0; i < flags->m; i++) {
            if (add && is_row[i] && is_col[j])
                flags->held[j][i] = true;
            covered = covered && (flags->held[j][i] || !is_row[i] || !is_col[j]);
        }
    ck_assert(alchi_region_covers_set(region, &rows, &cols) == covered);
    ck_assert(alchi_region_missing_set(region, &rows, &cols, &missing) != covered);
    if (!covered)
        ck_assert(is_row[missing.i] && is_col[missing.j] && !flags->held[missing.j][missing.i]);
    check_mask(region, flags, &rows, &cols);
}

START_TEST(products_of_sets_agree_with_the_flags)
{
    uint64_t random = 7;

    for (int round = 0; round < 60; round++) {
        flags_t flags = {.m = model_pick(&random, 1, SIDE_MAX), .n = model_pick(&random, 1, SIDE_MAX)};
        alchi_region_t *region = alchi_region_create(flags.m, flags.n);

        for (int k = 0; k < 40; k++) {
            alch_rect_t rect = model_rect(&random, flags.m / 3, flags.n / 3);

            check_product(region, &flags, &random, round % 3 > 0 && k % 5 == 0);
            unit_code(alchi_region_add(region, &rect), ALCH_OK);
            flags_add(&flags, &rect);
            check_product(region, &flags, &random, false);
            compare(region, &flags, &random);
        }
        alchi_region_destroy(region);
    }
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *region = tcase_create("region");

    tcase_add_test(region, part_without_entries_is_complete);
    tcase_add_test(region, missing_rectangle_covers_the_gap);
    tcase_add_test(region, huge_parts_need_no_bitmap);
    tcase_add_test(region, random_rectangles_agree_with_the_flags);
    tcase_add_test(region, chessboard_is_held_exactly);
    tcase_add_test(region, products_of_sets_agree_with_the_flags);
    suite_add_tcase(suite, region);
}
