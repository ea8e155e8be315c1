/* Named distributions are compared with Elemental itself and with the example of the paper. */
#include "layout/layout.h"
#include "layout/named.h"
#include "layout_model.h"
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "test/golden/elemental-owners.csv"
#define LINE_MAX_BYTES 4096

START_TEST(every_distribution_has_its_name)
{
    ck_assert_str_eq(alch_dist_name(ALCH_BLOCK_CYCLIC), "BLOCK_CYCLIC");
    ck_assert_str_eq(alch_dist_name(ALCH_MC_MR), "MC_MR");
    ck_assert_str_eq(alch_dist_name(ALCH_VR_STAR), "VR_STAR");
    ck_assert_str_eq(alch_dist_name(ALCH_CIRC_CIRC), "CIRC_CIRC");
    ck_assert_ptr_null(alch_dist_name((alch_dist_t)ALCHI_DIST_COUNT));
    ck_assert_ptr_null(alch_dist_name((alch_dist_t)-1));
}
END_TEST

static unsigned long
owners(const alchi_layout_t *layout, int64_t i, int64_t j)
{
    unsigned long mask = 0;

    for (int replica = 0; replica < layout->replicas; replica++)
        mask |= 1ul << model_owner(layout, replica, i, j);
    return mask;
}

static void
check_masks(const alchi_layout_t *layout, const char *name, const char *masks)
{
    for (int64_t i = 0; i < layout->m; i++)
        for (int64_t j = 0; j < layout->n; j++) {
            char *end;
            unsigned long mask = strtoul(masks, &end, 16);

            ck_assert_ptr_ne(end, masks);
            masks = end;
            ck_assert_msg(owners(layout, i, j) == mask, "%s on %d workers, entry (%d, %d): %lx, Elemental has %lx",
                          name, layout->workers, (int)i, (int)j, owners(layout, i, j), mask);
        }
    ck_assert_int_eq(strspn(masks, " \r\n"), strlen(masks));
}

static void
check_line(const char *line)
{
    alch_layout_t spec;
    alchi_layout_t layout;
    char name[16];
    int p, r, c, m, n, at;

    ck_assert_int_eq(sscanf(line, "%d,%d,%d,%15[A-Z_],%d,%d,%n", &p, &r, &c, name, &m, &n, &at), 6);
    ck_assert_int_eq(p, r * c);
    unit_code(alch_layout_parse(name, &spec, NULL), ALCH_OK);
    ck_assert_str_eq(alch_dist_name(spec.dist), name);
    unit_code(alchi_layout_init_grid(&layout, m, n, r, c, &spec, NULL), ALCH_OK);
    check_masks(&layout, name, line + at);
    alchi_layout_fini(&layout);
}

START_TEST(owners_agree_with_elemental)
{
    char line[LINE_MAX_BYTES];
    FILE *file = fopen(GOLDEN, "r");
    int count = 0;

    ck_assert_msg(file != NULL, "cannot read " GOLDEN ": run the tests in the top folder");
    while (fgets(line, sizeof(line), file)) {
        ck_assert_ptr_nonnull(strchr(line, '\n'));
        if (line[0] == '#')
            continue;
        check_line(line);
        count++;
    }
    fclose(file);
    ck_assert_int_eq(count, 33 * 14);
}
END_TEST

/* The example of the paper is a 7 x 7 matrix on 6 workers. The paper counts workers from 1. */
static void
check_paper(alch_dist_t dist, int64_t row_step, int64_t row_period, int64_t col_step, int64_t col_period)
{
    alch_layout_t spec = {dist, 0, 0, 0, 0};
    alchi_layout_t layout;

    unit_code(alchi_layout_init(&layout, 7, 7, 6, &spec, NULL), ALCH_OK);
    ck_assert_int_eq(layout.replicas, 1);
    for (int64_t i = 0; i < 7; i++)
        for (int64_t j = 0; j < 7; j++)
            ck_assert_int_eq(model_owner(&layout, 0, i, j) + 1,
                             1 + i % row_period * row_step + j % col_period * col_step);
    alchi_layout_fini(&layout);
}

START_TEST(owners_agree_with_the_example_of_the_paper)
{
    check_paper(ALCH_MC_MR, 1, 2, 2, 3);
    check_paper(ALCH_MR_MC, 2, 3, 1, 2);
    check_paper(ALCH_VC_STAR, 1, 6, 0, 1);
    check_paper(ALCH_STAR_VC, 0, 1, 1, 6);
    check_paper(ALCH_CIRC_CIRC, 0, 1, 0, 1);
}
END_TEST

START_TEST(vr_and_md_order_workers_as_elemental)
{
    static const int vr[] = {0, 2, 4, 1, 3, 5}, md[] = {0, 3, 4, 1, 2, 5};
    alch_layout_t by_vr = {ALCH_VR_STAR, 0, 0, 0, 0}, by_md = {ALCH_STAR_MD, 0, 0, 0, 0};
    alchi_layout_t layout;

    unit_code(alchi_layout_init(&layout, 6, 6, 6, &by_vr, NULL), ALCH_OK);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(model_owner(&layout, 0, i, 5), vr[i]);
    alchi_layout_fini(&layout);
    unit_code(alchi_layout_init(&layout, 6, 6, 6, &by_md, NULL), ALCH_OK);
    for (int j = 0; j < 6; j++)
        ck_assert_int_eq(model_owner(&layout, 0, 5, j), md[j]);
    alchi_layout_fini(&layout);
}
END_TEST

/* MD: workers that are not on the diagonal of the 2 x 4 grid hold nothing. CIRC: only worker 0 holds entries. */
START_TEST(workers_without_a_place_hold_nothing)
{
    alch_layout_t md = {ALCH_MD_STAR, 0, 0, 0, 0}, circ = {ALCH_CIRC_CIRC, 0, 0, 0, 0};
    alchi_layout_t layout;
    int64_t m, n;

    unit_code(alchi_layout_init(&layout, 100, 10, 8, &md, NULL), ALCH_OK);
    for (int rank = 0; rank < 8; rank++) {
        alchi_layout_local(&layout, rank, &m, &n);
        ck_assert_int_eq(m * n, rank == 0 || rank == 3 || rank == 4 || rank == 7 ? 250 : 0);
    }
    alchi_layout_fini(&layout);
    unit_code(alchi_layout_init(&layout, 100, 10, 8, &circ, NULL), ALCH_OK);
    for (int rank = 0; rank < 8; rank++) {
        alchi_layout_local(&layout, rank, &m, &n);
        ck_assert_int_eq(m * n, rank == 0 ? 1000 : 0);
    }
    alchi_layout_fini(&layout);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *names = tcase_create("names"), *owner = tcase_create("owners");

    tcase_add_test(names, every_distribution_has_its_name);
    suite_add_tcase(suite, names);
    tcase_add_test(owner, owners_agree_with_elemental);
    tcase_add_test(owner, owners_agree_with_the_example_of_the_paper);
    tcase_add_test(owner, vr_and_md_order_workers_as_elemental);
    tcase_add_test(owner, workers_without_a_place_hold_nothing);
    suite_add_tcase(suite, owner);
}
