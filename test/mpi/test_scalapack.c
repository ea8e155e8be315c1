/* procs: 1 2 3 5 7 */
/* BLACS contexts and descriptors, ScaLAPACK on matrices of the store, and the exchange compared with PDGEMR2D. */
#include "harness.h"
#include "scalapack/blacs.h"
#include "pluginhost/exchange.h"

void pdgemr2d_(const int *m, const int *n, const double *a, const int *ia, const int *ja, const int *desca, double *b,
               const int *ib, const int *jb, const int *descb, const int *context);
void pdgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const double *alpha,
             const double *a, const int *ia, const int *ja, const int *desca, const double *b, const int *ib,
             const int *jb, const int *descb, const double *beta, double *c, const int *ic, const int *jc,
             const int *descc);
void Cblacs_gridinfo(int context, int *nprow, int *npcol, int *row, int *col);

static alchi_blacs_t *blacs;

static alchi_layout_t
layout_of(int64_t m, int64_t n, alch_layout_t spec)
{
    alchi_layout_t layout;

    CHECK_CODE(alchi_layout_init(&layout, m, n, h.size, &spec, &h.error), ALCH_OK);
    return layout;
}

/* Check that this rank has the same place in the BLACS grid as in the layout. */
static void
check_context(const alchi_layout_t *layout)
{
    int context = 4711, nprow, npcol, row, col, replica, my_row, my_col;

    CHECK_CODE(alchi_blacs_context(blacs, layout, &context, &h.error), ALCH_OK);
    if (!alchi_layout_place(layout, h.rank, &replica, &my_row, &my_col)) {
        CHECK(context == -1, "context %d outside the grid", context);
        return;
    }
    Cblacs_gridinfo(context, &nprow, &npcol, &row, &col);
    CHECK(nprow == layout->nprow && npcol == layout->npcol && row == my_row && col == my_col,
          "place (%d, %d) of %d x %d instead of (%d, %d) of %d x %d", row, col, nprow, npcol, my_row, my_col,
          layout->nprow, layout->npcol);
}

static void
layouts_on_one_map_of_ranks_share_a_context(void)
{
    alchi_layout_t a = layout_of(10, 10, (alch_layout_t){ALCH_BLOCK_CYCLIC, 2, 2, h.size, 1});
    alchi_layout_t b = layout_of(99, 7, (alch_layout_t){ALCH_BLOCK_CYCLIC, 8, 8, h.size, 1});
    int one = 0, two = 1;

    CHECK_CODE(alchi_blacs_context(blacs, &a, &one, &h.error), ALCH_OK);
    CHECK_CODE(alchi_blacs_context(blacs, &b, &two, &h.error), ALCH_OK);
    CHECK(one == two && alchi_blacs_count(blacs) == 1, "contexts %d and %d, %zu in all", one, two,
          alchi_blacs_count(blacs));
    alchi_layout_fini(&a);
    alchi_layout_fini(&b);
}

static void
the_grid_of_a_context_is_that_of_the_layout(void)
{
    for (int dist = 0; dist <= ALCH_CIRC_CIRC; dist++) {
        alchi_layout_t layout = layout_of(10, 10, (alch_layout_t){(alch_dist_t)dist, 0, 0, 0, 0});

        if (layout.replicas == 1)
            check_context(&layout);
        alchi_layout_fini(&layout);
    }
}

static void
trimming_leaves_the_wanted_number_of_contexts(void)
{
    alchi_blacs_trim(blacs, 1);
    CHECK(alchi_blacs_count(blacs) == 1, "%zu are left", alchi_blacs_count(blacs));
}

/* BLACS has room for about 440 contexts. With more than 2 ranks making one is slow, so there are few rounds. */
static void
trimmed_contexts_can_be_made_again_without_end(void)
{
    alchi_layout_t a = layout_of(10, 10, (alch_layout_t){ALCH_BLOCK_CYCLIC, 2, 2, 1, h.size});
    alchi_layout_t b = layout_of(10, 10, (alch_layout_t){ALCH_BLOCK_CYCLIC, 2, 2, h.size, 1});

    for (int round = 0; round < (h.size <= 2 ? 500 : 4); round++) {
        check_context(round % 2 ? &a : &b);
        alchi_blacs_trim(blacs, 0);
    }
    alchi_layout_fini(&a);
    alchi_layout_fini(&b);
}

static void
a_descriptor_describes_the_layout(void)
{
    alchi_layout_t layout = layout_of(100, 50, (alch_layout_t){ALCH_BLOCK_CYCLIC, 8, 4, 1, h.size});
    int desc[ALCHI_BLACS_DESC_LENGTH];

    CHECK_CODE(alchi_blacs_descriptor(blacs, &layout, 100, desc, &h.error), ALCH_OK);
    CHECK(desc[ALCHI_BLACS_DESC_DTYPE] == 1 && desc[ALCHI_BLACS_DESC_M] == 100 && desc[ALCHI_BLACS_DESC_N] == 50 &&
              desc[ALCHI_BLACS_DESC_MB] == 8 && desc[ALCHI_BLACS_DESC_NB] == 4 && desc[ALCHI_BLACS_DESC_RSRC] == 0 &&
              desc[ALCHI_BLACS_DESC_CSRC] == 0 && desc[ALCHI_BLACS_DESC_LLD] == 100,
          "the fields");
    alchi_layout_fini(&layout);
}

static void
layouts_beyond_32_bit_indices_have_no_descriptor(void)
{
    alchi_layout_t layout = layout_of(INT64_C(3000000000), 1, (alch_layout_t){ALCH_BLOCK_CYCLIC, 64, 64, h.size, 1});
    int desc[ALCHI_BLACS_DESC_LENGTH];

    CHECK_CODE(alchi_blacs_descriptor(blacs, &layout, 1, desc, &h.error), ALCH_ELIMIT);
    CHECK_TEXT("3000000000");
    CHECK_TEXT("2147483647");
    alchi_layout_fini(&layout);
    layout = layout_of(60000, 50000, (alch_layout_t){ALCH_CIRC_CIRC, 0, 0, 0, 0});
    CHECK_CODE(alchi_blacs_descriptor(blacs, &layout, 60000, desc, &h.error), ALCH_ELIMIT);
    CHECK_TEXT("3000000000");
    alchi_layout_fini(&layout);
}

static void
a_replicated_layout_has_no_descriptor(void)
{
    alchi_layout_t layout = layout_of(10, 10, (alch_layout_t){ALCH_STAR_STAR, 0, 0, 0, 0});
    int desc[ALCHI_BLACS_DESC_LENGTH];

    CHECK_CODE(alchi_blacs_descriptor(blacs, &layout, 10, desc, &h.error), h.size > 1 ? ALCH_EUNSUPPORTED : ALCH_OK);
    if (h.size > 1)
        CHECK_TEXT("STAR_STAR");
    alchi_layout_fini(&layout);
}

static double
ramp(int64_t i, int64_t j, const void *context)
{
    (void)context;
    return (double)(i * 1000 + j);
}

static double
zero(int64_t i, int64_t j, const void *context)
{
    (void)i;
    (void)j;
    (void)context;
    return 0;
}

/* The exchange and PDGEMR2D copy a matrix from one layout into another one. Both copies have the entries of the matrix.
 */
static void
relayout_equals_that_of_pdgemr2d(int m, int n, alch_layout_t from, alch_layout_t to)
{
    static const int one = 1;
    uint64_t ids[3] = {make_matrix(m, n, ALCH_FLOAT64, &from, ramp, NULL),
                       make_matrix(m, n, ALCH_FLOAT64, &to, zero, NULL),
                       make_matrix(m, n, ALCH_FLOAT64, &to, zero, NULL)};
    alchi_layout_t all = layout_of(1, 1, (alch_layout_t){ALCH_BLOCK_CYCLIC, 1, 1, 1, h.size});
    alchi_store_part_t *parts[3];
    int descs[3][ALCHI_BLACS_DESC_LENGTH], context = -1, wrong = 0;

    for (int k = 0; k < 3; k++) {
        parts[k] = acquire_part(ids[k]);
        CHECK_CODE(
            alchi_blacs_descriptor(blacs, &parts[k]->layout, parts[k]->lld > 1 ? parts[k]->lld : 1, descs[k], &h.error),
            ALCH_OK);
    }
    CHECK_CODE(alchi_blacs_context(blacs, &all, &context, &h.error), ALCH_OK);
    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, parts[0], parts[1], NULL, &h.error), ALCH_OK);
    pdgemr2d_(&m, &n, parts[0]->data, &one, &one, descs[0], parts[2]->data, &one, &one, descs[2], &context);
    for (int64_t j = 0; j < parts[1]->local_n; j++)
        for (int64_t i = 0; i < parts[1]->local_m; i++)
            wrong += ((double *)parts[1]->data)[i + j * parts[1]->lld] !=
                         ((double *)parts[2]->data)[i + j * parts[2]->lld] ||
                     ((double *)parts[1]->data)[i + j * parts[1]->lld] !=
                         ramp(alchi_axis_global(&parts[1]->rows, i), alchi_axis_global(&parts[1]->cols, j), NULL);
    CHECK(wrong == 0, "%d of %d x %d entries differ", wrong, m, n);
    for (int k = 0; k < 3; k++)
        drop_part(parts[k], ids[k]);
    alchi_layout_fini(&all);
}

static void
pdgemm_works_on_matrices_of_the_store(void)
{
    static const int n = 50, one = 1;
    const double unit = 1, none = 0;
    alch_layout_t spec = {ALCH_BLOCK_CYCLIC, 8, 8, 0, 0};
    uint64_t a = make_matrix(n, n, ALCH_FLOAT64, &spec, ramp, NULL),
             c = make_matrix(n, n, ALCH_FLOAT64, &spec, zero, NULL);
    alchi_store_part_t *A = acquire_part(a), *C = acquire_part(c);
    int desc[ALCHI_BLACS_DESC_LENGTH], wrong = 0;
    int64_t rows, cols;
    double *all;

    CHECK_CODE(alchi_blacs_descriptor(blacs, &A->layout, A->lld > 1 ? A->lld : 1, desc, &h.error), ALCH_OK);
    if (desc[ALCHI_BLACS_DESC_CTXT] >= 0)
        pdgemm_("N", "T", &n, &n, &n, &unit, A->data, &one, &one, desc, A->data, &one, &one, desc, &none, C->data, &one,
                &one, desc);
    alchi_store_release(h.store, A);
    alchi_store_release(h.store, C);
    all = gather(c, &rows, &cols);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0;

            for (int k = 0; k < n; k++)
                sum += ramp(i, k, NULL) * ramp(j, k, NULL);
            wrong += fabs(all[i + j * n] - sum) > 1e-12 * fabs(sum);
        }
    }
    CHECK(wrong == 0, "%d entries of A A^T are wrong", wrong);
    free(all);
    free_matrix(a);
    free_matrix(c);
}

int
main(int argc, char **argv)
{
    harness_init(&argc, &argv, 0);
    blacs = alchi_blacs_create(MPI_COMM_WORLD);
    layouts_on_one_map_of_ranks_share_a_context();
    the_grid_of_a_context_is_that_of_the_layout();
    trimming_leaves_the_wanted_number_of_contexts();
    trimmed_contexts_can_be_made_again_without_end();
    a_descriptor_describes_the_layout();
    layouts_beyond_32_bit_indices_have_no_descriptor();
    a_replicated_layout_has_no_descriptor();
    relayout_equals_that_of_pdgemr2d(41, 67, (alch_layout_t){ALCH_BLOCK_CYCLIC, 3, 5, h.size, 1},
                                     (alch_layout_t){ALCH_BLOCK_CYCLIC, 7, 2, 1, h.size});
    relayout_equals_that_of_pdgemr2d(3, 200, (alch_layout_t){ALCH_CIRC_CIRC, 0, 0, 0, 0},
                                     (alch_layout_t){ALCH_MC_MR, 0, 0, 0, 0});
    relayout_equals_that_of_pdgemr2d(90, 4, (alch_layout_t){ALCH_MC_MR, 0, 0, 0, 0},
                                     (alch_layout_t){ALCH_VR_STAR, 0, 0, 0, 0});
    pdgemm_works_on_matrices_of_the_store();
    alchi_blacs_destroy(blacs);
    return harness_fini();
}
