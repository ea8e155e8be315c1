/* procs: 1 2 3 5 7 */
/* The exchange between workers: all pairs of layouts, transposes, types. PxGEMR2D says what is right where it can, the
 * entries' own values everywhere. */
#include "harness.h"
#include "scalapack/blacs.h"
#include "base/types.h"
#include "pluginhost/exchange.h"

#define LAYOUTS 18

void pdgemr2d_(const int *m, const int *n, const double *a, const int *ia, const int *ja, const int *desca, double *b,
               const int *ib, const int *jb, const int *descb, const int *context);

static alchi_blacs_t *blacs;

/* The 15 distributions, and blocks that fit nowhere. */
static alch_layout_t
layout_at(int k)
{
    if (k < 15)
        return (alch_layout_t){(alch_dist_t)k, k == 0 ? 3 : 0, k == 0 ? 2 : 0, 0, 0};
    if (k == 15)
        return (alch_layout_t){ALCH_BLOCK_CYCLIC, 5, 1, h.size, 1};
    if (k == 16)
        return (alch_layout_t){ALCH_BLOCK_CYCLIC, 64, 4, 1, h.size};
    return (alch_layout_t){ALCH_BLOCK_CYCLIC, 2, 7, 1, 1};
}

static double
ramp(int64_t i, int64_t j, const void *context)
{
    (void)context;
    return (double)(1 + i + 1000 * j);
}

static double
zero(int64_t i, int64_t j, const void *context)
{
    (void)i, (void)j, (void)context;
    return 0;
}

static alchi_store_part_t *
part_of(uint64_t id)
{
    alchi_store_part_t *part = NULL;

    CHECK_CODE(alchi_store_acquire(h.store, id, &part, &h.error), ALCH_OK);
    return part;
}

static void
drop(alchi_store_part_t *part, uint64_t id)
{
    alchi_store_release(h.store, part);
    free_matrix(id);
}

/* Entry (i, j) and its imaginary part as doubles. */
static void
get_entry(const alchi_store_part_t *part, int64_t i, int64_t j, double x[2])
{
    int64_t at = i + j * part->lld;

    x[0] = x[1] = 0;
    switch (part->dtype) {
    case ALCH_FLOAT64:
        x[0] = ((double *)part->data)[at];
        return;
    case ALCH_FLOAT32:
        x[0] = ((float *)part->data)[at];
        return;
    case ALCH_INT64:
        x[0] = (double)((int64_t *)part->data)[at];
        return;
    case ALCH_INT32:
        x[0] = ((int32_t *)part->data)[at];
        return;
    case ALCH_COMPLEX64:
        x[0] = ((float *)part->data)[2 * at];
        x[1] = ((float *)part->data)[2 * at + 1];
        return;
    case ALCH_COMPLEX128:
        x[0] = ((double *)part->data)[2 * at];
        x[1] = ((double *)part->data)[2 * at + 1];
        return;
    }
}

static bool
is_complex(alch_dtype_t dtype)
{
    return dtype == ALCH_COMPLEX64 || dtype == ALCH_COMPLEX128;
}

/* Every entry of every copy is the one of the ramp. */
static void
check_entries(const alchi_store_part_t *from, const alchi_store_part_t *to, const alchi_host_exchange_t *how,
              const char *what)
{
    int64_t wrong = 0;

    for (int64_t j = 0; j < to->local_n; j++) {
        for (int64_t i = 0; i < to->local_m; i++) {
            int64_t row = alchi_axis_global(&to->rows, i), col = alchi_axis_global(&to->cols, j);
            double want = how->transpose ? ramp(col, row, NULL) : ramp(row, col, NULL), x[2];
            double imaginary = is_complex(from->dtype) ? (how->conjugate ? want : -want) : 0;

            get_entry(to, i, j, x);
            wrong += x[0] != want || x[1] != imaginary;
        }
    }
    CHECK(wrong == 0, "%s: %lld entries differ", what, (long long)wrong);
}

static void
run_case(int64_t m, int64_t n, int a, int b, alch_dtype_t from_type, alch_dtype_t to_type,
         const alchi_host_exchange_t *how)
{
    alch_layout_t source = layout_at(a), target = layout_at(b);
    uint64_t ids[2] = {make_matrix(m, n, from_type, &source, ramp, NULL),
                       make_matrix(how->transpose ? n : m, how->transpose ? m : n, to_type, &target, zero, NULL)};
    alchi_store_part_t *from = part_of(ids[0]), *to = part_of(ids[1]);
    int64_t used = alchi_store_used(h.store);
    char what[160];

    snprintf(what, sizeof(what), "%lld x %lld, %s, layout %d to %s, layout %d%s", (long long)m, (long long)n,
             alch_dtype_name(from_type), a, alch_dtype_name(to_type), b, how->transpose ? ", transposed" : "");
    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, from, to, how, &h.error), ALCH_OK);
    check_entries(from, to, how, what);
    CHECK(alchi_store_used(h.store) == used, "the buffers are accounted for");
    drop(from, ids[0]);
    drop(to, ids[1]);
}

static void
test_all_pairs(void)
{
    static const int64_t shapes[][2] = {{0, 5}, {1, 1}, {17, 31}, {64, 1}};
    static const alch_dtype_t types[] = {ALCH_FLOAT64, ALCH_FLOAT32, ALCH_COMPLEX128};
    int turn = 0;

    for (int a = 0; a < LAYOUTS; a++) {
        for (int b = 0; b < LAYOUTS; b++) {
            for (int s = 0; s < 4; s++, turn++) {
                /* Tiles of a few entries, so that there are many; and one for all. */
                const alchi_host_exchange_t how = {.transpose = turn % 2, .tile_bytes = turn % 3 ? 600 : 0};

                run_case(shapes[s][0], shapes[s][1], a, b, types[turn % 3], types[turn % 3], &how);
            }
        }
    }
}

/* Larger than the blocks of the copy loops, with a leading dimension and tiles that divide nothing. */
static void
test_larger(void)
{
    static const int pairs[][2] = {{0, 1}, {1, 12}, {12, 10}, {9, 0}, {14, 9}, {16, 15}, {3, 16}};

    for (size_t k = 0; k < ALCHI_COUNT(pairs); k++) {
        const alchi_host_exchange_t plain = {.tile_bytes = 10000}, turned = {.transpose = true, .tile_bytes = 10000};

        run_case(211, 307, pairs[k][0], pairs[k][1], ALCH_FLOAT64, ALCH_FLOAT64, &plain);
        run_case(211, 307, pairs[k][0], pairs[k][1], ALCH_FLOAT32, ALCH_FLOAT32, &turned);
    }
}

static void
test_types(void)
{
    for (int from = ALCH_FLOAT64; from <= ALCH_INT32; from++) {
        for (int to = ALCH_FLOAT64; to <= ALCH_INT32; to++) {
            const alchi_host_exchange_t how = {.transpose = (from + to) % 2, .conjugate = true, .tile_bytes = 700};
            const alchi_host_exchange_t whole = {.conjugate = true};

            if (alchi_dtype_check_conversion((alch_dtype_t)from, (alch_dtype_t)to, true, &h.error))
                continue;
            run_case(19, 23, 0, 12, (alch_dtype_t)from, (alch_dtype_t)to, &how);
            run_case(300, 5, 1, 1, (alch_dtype_t)from, (alch_dtype_t)to, &whole);
        }
    }
}

/* As test_all_pairs(), held against ScaLAPACK. */
static void
check_pair(int m, int n, alch_layout_t source, alch_layout_t target)
{
    static const int one = 1;
    alch_layout_t line = {ALCH_BLOCK_CYCLIC, 1, 1, 1, h.size};
    uint64_t ids[3] = {make_matrix(m, n, ALCH_FLOAT64, &source, ramp, NULL),
                       make_matrix(m, n, ALCH_FLOAT64, &target, zero, NULL),
                       make_matrix(m, n, ALCH_FLOAT64, &target, zero, NULL)};
    alchi_store_part_t *parts[3];
    alchi_layout_t all;
    int descs[3][ALCHI_BLACS_DESC_LENGTH], context = -1, wrong = 0;

    CHECK_CODE(alchi_layout_init(&all, 1, 1, h.size, &line, &h.error), ALCH_OK);
    for (int k = 0; k < 3; k++) {
        parts[k] = part_of(ids[k]);
        CHECK_CODE(alchi_blacs_descriptor(blacs, &parts[k]->layout, parts[k]->lld, descs[k], &h.error), ALCH_OK);
    }
    CHECK_CODE(alchi_blacs_context(blacs, &all, &context, &h.error), ALCH_OK);
    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, parts[0], parts[1], NULL, &h.error), ALCH_OK);
    pdgemr2d_(&m, &n, parts[0]->data, &one, &one, descs[0], parts[2]->data, &one, &one, descs[2], &context);
    for (int64_t j = 0; j < parts[1]->local_n; j++)
        for (int64_t i = 0; i < parts[1]->local_m; i++)
            wrong +=
                ((double *)parts[1]->data)[i + j * parts[1]->lld] != ((double *)parts[2]->data)[i + j * parts[2]->lld];
    CHECK(wrong == 0, "%d of %d x %d entries differ from PDGEMR2D's", wrong, m, n);
    for (int k = 0; k < 3; k++)
        drop(parts[k], ids[k]);
    alchi_layout_fini(&all);
}

static bool
is_single(alch_layout_t spec)
{
    alchi_layout_t layout;
    bool single;

    CHECK_CODE(alchi_layout_init(&layout, 1, 1, h.size, &spec, &h.error), ALCH_OK);
    single = layout.replicas == 1;
    alchi_layout_fini(&layout);
    return single;
}

static void
test_oracle(void)
{
    for (int a = 0; a < LAYOUTS; a++)
        for (int b = 0; b < LAYOUTS; b++)
            if (is_single(layout_at(a)) && is_single(layout_at(b)))
                check_pair(29, 23, layout_at(a), layout_at(b));
}

/* One entry in the middle that does not fit: all ranks hear of it, with its place. */
static double
spike(int64_t i, int64_t j, const void *context)
{
    return i == 11 && j == 7 ? *(const double *)context : 1;
}

static void
check_misfit(alch_dtype_t from_type, alch_dtype_t to_type, double value, int code)
{
    const alchi_host_exchange_t how = {.tile_bytes = 1000, .unsafe = true};
    alch_layout_t source = layout_at(0), target = layout_at(12);
    uint64_t ids[2] = {make_matrix(20, 20, from_type, &source, spike, &value),
                       make_matrix(20, 20, to_type, &target, zero, NULL)};
    alchi_store_part_t *from = part_of(ids[0]), *to = part_of(ids[1]);

    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, from, to, &how, &h.error), code);
    if (code) {
        CHECK_TEXT("row 11, column 7");
        CHECK_TEXT(alch_dtype_name(to_type));
    }
    drop(from, ids[0]);
    drop(to, ids[1]);
}

static void
test_misfits(void)
{
    check_misfit(ALCH_FLOAT64, ALCH_FLOAT32, 1e300, ALCH_ERANGE);
    check_misfit(ALCH_FLOAT64, ALCH_FLOAT32, INFINITY, ALCH_OK);
    check_misfit(ALCH_FLOAT64, ALCH_FLOAT32, NAN, ALCH_OK);
    check_misfit(ALCH_FLOAT64, ALCH_INT32, 2147483648.0, ALCH_ERANGE);
    check_misfit(ALCH_FLOAT64, ALCH_INT32, -2147483648.5, ALCH_OK);
    check_misfit(ALCH_FLOAT64, ALCH_INT64, 0x1p63, ALCH_ERANGE);
    check_misfit(ALCH_FLOAT32, ALCH_INT64, NAN, ALCH_ERANGE);
    check_misfit(ALCH_INT64, ALCH_INT32, -2147483649.0, ALCH_ERANGE);
    check_misfit(ALCH_INT64, ALCH_INT32, -2147483648.0, ALCH_OK);
    check_misfit(ALCH_COMPLEX128, ALCH_COMPLEX64, -1e39, ALCH_ERANGE);
}

static int reports;

static void
count_progress(void *context, double fraction)
{
    double *last = context;

    CHECK(fraction > *last && fraction <= 1, "progress %g after %g", fraction, *last);
    *last = fraction;
    reports++;
}

static void
test_cancel_and_progress(void)
{
    alch_layout_t source = layout_at(0), target = layout_at(12);
    uint64_t ids[2] = {make_matrix(100, 100, ALCH_FLOAT64, &source, ramp, NULL),
                       make_matrix(100, 100, ALCH_FLOAT64, &target, zero, NULL)};
    alchi_store_part_t *from = part_of(ids[0]), *to = part_of(ids[1]);
    atomic_bool cancel = false;
    double last = 0;
    alchi_host_exchange_t how = {.cancel = &cancel, .progress = count_progress, .context = &last, .tile_bytes = 1000};

    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, from, to, &how, &h.error), ALCH_OK);
    CHECK(h.rank != 0 || (reports > 50 && last == 1), "%d reports, the last of %g", reports, last);
    /* One rank alone has heard of it. */
    atomic_store(&cancel, h.rank == h.size - 1);
    last = 0;
    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, from, to, &how, &h.error), ALCH_ECANCELED);
    CHECK_TEXT("canceled after 4 of ");
    drop(from, ids[0]);
    drop(to, ids[1]);
}

static void
test_refused(void)
{
    CHECK_CODE(alchi_dtype_check_conversion(ALCH_FLOAT64, ALCH_INT32, false, &h.error), ALCH_ETYPE);
    CHECK_TEXT("float64 cannot be converted to int32 without");
    CHECK_CODE(alchi_dtype_check_conversion(ALCH_COMPLEX64, ALCH_FLOAT64, true, &h.error), ALCH_ETYPE);
    CHECK_TEXT("imaginary");
    CHECK_CODE(alchi_dtype_check_conversion(ALCH_FLOAT64, (alch_dtype_t)9, true, &h.error), ALCH_EINVAL);
    CHECK_CODE(alchi_dtype_check_conversion(ALCH_INT64, ALCH_COMPLEX64, false, &h.error), ALCH_OK);
}

int
main(int argc, char **argv)
{
    harness_init(&argc, &argv, 0);
    blacs = alchi_blacs_create(MPI_COMM_WORLD);
    test_refused();
    test_all_pairs();
    test_larger();
    test_types();
    test_oracle();
    test_misfits();
    test_cancel_and_progress();
    alchi_blacs_destroy(blacs);
    return harness_fini();
}
