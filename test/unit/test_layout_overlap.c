/* The messages of an overlap are compared with a membership test of every entry. */
#include "layout/overlap.h"
#include "layout_model.h"
#include <string.h>

#define SIDE 60

typedef struct {
    bool seen[SIDE][SIDE];
} seen_t;

static alchi_axis_t
random_axis(uint64_t *random)
{
    int64_t block = model_pick(random, 1, 7), procs = model_pick(random, 1, 4);

    return (alchi_axis_t){block, block * procs, block * model_pick(random, 0, procs - 1)};
}

/* List the indices of a set. @return how many there are */
static int64_t
list_indices(const alchi_intersect_t *set, int64_t *indices)
{
    int64_t count = 0;

    for (int64_t index = set->begin; index < set->end; index++)
        if (model_holds(&set->a, index) && model_holds(&set->b, index))
            indices[count++] = index;
    return count;
}

static void
check_message(seen_t *seen, const alchi_overlap_t *overlap, int64_t limit)
{
    int64_t rows[SIDE], cols[SIDE], m = list_indices(&overlap->rows, rows), n = list_indices(&overlap->cols, cols);
    const alch_rect_t *local = &overlap->local;
    int twice = 0;

    ck_assert_int_eq(overlap->entries, m * n);
    ck_assert(overlap->entries >= 1 && overlap->entries <= limit);
    ck_assert_int_eq(local->i, alchi_axis_local(&overlap->rows.b, rows[0]));
    ck_assert_int_eq(local->i + local->m - 1, alchi_axis_local(&overlap->rows.b, rows[m - 1]));
    ck_assert_int_eq(local->j, alchi_axis_local(&overlap->cols.b, cols[0]));
    ck_assert_int_eq(local->j + local->n - 1, alchi_axis_local(&overlap->cols.b, cols[n - 1]));
    for (int64_t k = 0; k < m * n; k++) {
        bool *entry = &seen->seen[cols[k / m]][rows[k % m]];

        twice += *entry;
        *entry = true;
    }
    ck_assert_int_eq(twice, 0);
}

START_TEST(messages_hold_every_entry_once)
{
    uint64_t random = 11 + (uint64_t)_i;

    for (int round = 0; round < 200; round++) {
        int64_t m = model_pick(&random, 0, SIDE), n = model_pick(&random, 0, SIDE);
        int64_t limit = model_pick(&random, 1, round % 2 ? 9 : SIDE * SIDE);
        alchi_axis_t axes[4] = {random_axis(&random), random_axis(&random), random_axis(&random), random_axis(&random)};
        alchi_overlap_splitter_t splitter;
        alchi_intersect_t rows, cols;
        alchi_overlap_t overlap;
        seen_t seen;
        int wrong = 0;

        memset(&seen, 0, sizeof(seen));
        alchi_intersect_init(&rows, &axes[0], &axes[1], 0, m);
        alchi_intersect_init(&cols, &axes[2], &axes[3], 0, n);
        alchi_overlap_splitter_init(&splitter, &rows, &cols, limit);
        while (alchi_overlap_splitter_next(&splitter, &overlap))
            check_message(&seen, &overlap, limit);
        ck_assert(!alchi_overlap_splitter_next(&splitter, &overlap));
        for (int64_t j = 0; j < SIDE; j++)
            for (int64_t i = 0; i < SIDE; i++)
                wrong += seen.seen[j][i] != (i < m && j < n && model_holds(&axes[0], i) && model_holds(&axes[1], i) &&
                                             model_holds(&axes[2], j) && model_holds(&axes[3], j));
        ck_assert_int_eq(wrong, 0);
    }
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *overlap = tcase_create("overlap");

    tcase_add_loop_test(overlap, messages_hold_every_entry_once, 0, 4);
    suite_add_tcase(suite, overlap);
}
