/* procs: 1 2 3 5 7 */
/* The exchange between ranks: all pairs of layouts, transposes and types. Entries are checked against their values and,
 * for layouts that ScaLAPACK supports, against PDGEMR2D. */
#include "harness.h"
#include "scalapack/blacs.h"
#include "base/types.h"
#include "pluginhost/exchange.h"

#define LAYOUTS 18

void pdgemr2d_(const int *m, const int *n, const double *a, const int *ia, const int *ja, const int *desca, double *b,
               const int *ib, const int *jb, const int *descb, const int *context);

static alchi_blacs_t *blacs;

/* The 15 distributions, then block sizes that divide none of the shapes. */
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

/* Real and imaginary part of a local entry. */
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

/* Check that every entry of every copy has its value. */
static void
check_entries(const alchi_store_part_t *from, const alchi_store_part_t *to, const alchi_host_exchange_t *options,
              const char *what)
{
    int64_t wrong = 0;

    for (int64_t j = 0; j < to->local_n; j++) {
        for (int64_t i = 0; i < to->local_m; i++) {
            int64_t row = alchi_axis_global(&to->rows, i), col = alchi_axis_global(&to->cols, j);
            double want = options->transpose ? ramp(col, row, NULL) : ramp(row, col, NULL), x[2];
            double imaginary = is_complex(from->dtype) ? (options->conjugate ? want : -want) : 0;

            get_entry(to, i, j, x);
            wrong += x[0] != want || x[1] != imaginary;
        }
    }
    CHECK(wrong == 0, "%s: %lld entries differ", what, (long long)wrong);
}

static void
run_case(int64_t m, int64_t n, int a, int b, alch_dtype_t from_type, alch_dtype_t to_type,
         const alchi_host_exchange_t *options)
{
    alch_layout_t source = layout_at(a), target = layout_at(b);
    uint64_t ids[2] = {
        make_matrix(m, n, from_type, &source, ramp, NULL),
        make_matrix(options->transpose ? n : m, options->transpose ? m : n, to_type, &target, zero, NULL)};
    alchi_store_part_t *from = acquire_part(ids[0]), *to = acquire_part(ids[1]);
    int64_t used = alchi_store_used(h.store);
    char what[160];

    snprintf(what, sizeof(what), "%lld x %lld, %s, layout %d to %s, layout %d%s", (long long)m, (long long)n,
             alch_dtype_name(from_type), a, alch_dtype_name(to_type), b, options->transpose ? ", transposed" : "");
    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, from, to, options, &h.error), ALCH_OK);
    check_entries(from, to, options, what);
    CHECK(alchi_store_used(h.store) == used, "the buffers are still accounted for");
    drop_part(from, ids[0]);
    drop_part(to, ids[1]);
}

static void
every_pair_of_layouts_moves_every_entry(void)
{
    static const int64_t shapes[][2] = {{0, 5}, {1, 1}, {17, 31}, {64, 1}};
    static const alch_dtype_t types[] = {ALCH_FLOAT64, ALCH_FLOAT32, ALCH_COMPLEX128};
    int round = 0;

    for (int a = 0; a < LAYOUTS; a++) {
        for (int b = 0; b < LAYOUTS; b++) {
            for (int s = 0; s < 4; s++, round++) {
                /* Many tiles of a few entries, or one tile for the matrix. */
                const alchi_host_exchange_t options = {.transpose = round % 2, .tile_bytes = round % 3 ? 600 : 0};

                run_case(shapes[s][0], shapes[s][1], a, b, types[round % 3], types[round % 3], &options);
            }
        }
    }
}

/* The matrices are larger than the blocks of the copy loops. The tiles divide neither the matrices nor their blocks. */
static void
large_matrices_arrive_complete(void)
{
    static const int pairs[][2] = {{0, 1}, {1, 12}, {12, 10}, {9, 0}, {14, 9}, {16, 15}, {3, 16}};

    for (size_t k = 0; k < ALCHI_COUNT(pairs); k++) {
        const alchi_host_exchange_t plain = {.tile_bytes = 10000},
                                    transposed = {.transpose = true, .tile_bytes = 10000};

        run_case(211, 307, pairs[k][0], pairs[k][1], ALCH_FLOAT64, ALCH_FLOAT64, &plain);
        run_case(211, 307, pairs[k][0], pairs[k][1], ALCH_FLOAT32, ALCH_FLOAT32, &transposed);
    }
}

static void
every_conversion_keeps_the_values(void)
{
    for (int from = ALCH_FLOAT64; from <= ALCH_INT32; from++) {
        for (int to = ALCH_FLOAT64; to <= ALCH_INT32; to++) {
            const alchi_host_exchange_t options = {.transpose = (from + to) % 2, .conjugate = true, .tile_bytes = 700};
            const alchi_host_exchange_t whole = {.conjugate = true};

            if (alchi_dtype_check_conversion((alch_dtype_t)from, (alch_dtype_t)to, true, &h.error))
                continue;
            run_case(19, 23, 0, 12, (alch_dtype_t)from, (alch_dtype_t)to, &options);
            run_case(300, 5, 1, 1, (alch_dtype_t)from, (alch_dtype_t)to, &whole);
        }
    }
}

/* Compare one exchange with PDGEMR2D. */
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
        parts[k] = acquire_part(ids[k]);
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
        drop_part(parts[k], ids[k]);
    alchi_layout_fini(&all);
}

static bool
has_one_copy(alch_layout_t spec)
{
    alchi_layout_t layout;
    bool single;

    CHECK_CODE(alchi_layout_init(&layout, 1, 1, h.size, &spec, &h.error), ALCH_OK);
    single = layout.replicas == 1;
    alchi_layout_fini(&layout);
    return single;
}

static void
results_equal_those_of_pdgemr2d(void)
{
    for (int a = 0; a < LAYOUTS; a++)
        for (int b = 0; b < LAYOUTS; b++)
            if (has_one_copy(layout_at(a)) && has_one_copy(layout_at(b)))
                check_pair(29, 23, layout_at(a), layout_at(b));
}

/* 1, except for one entry in the middle. */
static double
spike(int64_t i, int64_t j, const void *context)
{
    return i == 11 && j == 7 ? *(const double *)context : 1;
}

/* Convert a matrix with one special value. If it does not fit, all ranks get the error, with its place. */
static void
convert_value(alch_dtype_t from_type, alch_dtype_t to_type, double value, int code)
{
    const alchi_host_exchange_t options = {.tile_bytes = 1000, .unsafe = true};
    alch_layout_t source = layout_at(0), target = layout_at(12);
    uint64_t ids[2] = {make_matrix(20, 20, from_type, &source, spike, &value),
                       make_matrix(20, 20, to_type, &target, zero, NULL)};
    alchi_store_part_t *from = acquire_part(ids[0]), *to = acquire_part(ids[1]);

    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, from, to, &options, &h.error), code);
    if (code) {
        CHECK_TEXT("row 11, column 7");
        CHECK_TEXT(alch_dtype_name(to_type));
    }
    drop_part(from, ids[0]);
    drop_part(to, ids[1]);
}

static void
values_beyond_the_new_type_are_refused_with_their_place(void)
{
    convert_value(ALCH_FLOAT64, ALCH_FLOAT32, 1e300, ALCH_ERANGE);
    convert_value(ALCH_FLOAT64, ALCH_INT32, 2147483648.0, ALCH_ERANGE);
    convert_value(ALCH_FLOAT64, ALCH_INT64, 0x1p63, ALCH_ERANGE);
    convert_value(ALCH_FLOAT32, ALCH_INT64, NAN, ALCH_ERANGE);
    convert_value(ALCH_INT64, ALCH_INT32, -2147483649.0, ALCH_ERANGE);
    convert_value(ALCH_COMPLEX128, ALCH_COMPLEX64, -1e39, ALCH_ERANGE);
}

static void
values_at_the_limits_of_the_new_type_fit(void)
{
    convert_value(ALCH_FLOAT64, ALCH_FLOAT32, INFINITY, ALCH_OK);
    convert_value(ALCH_FLOAT64, ALCH_FLOAT32, NAN, ALCH_OK);
    convert_value(ALCH_FLOAT64, ALCH_INT32, -2147483648.5, ALCH_OK);
    convert_value(ALCH_INT64, ALCH_INT32, -2147483648.0, ALCH_OK);
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

/* Copy a 100 x 100 matrix between two layouts in many tiles. */
static void
copy_in_many_tiles(const atomic_bool *cancel, int code)
{
    alch_layout_t source = layout_at(0), target = layout_at(12);
    uint64_t ids[2] = {make_matrix(100, 100, ALCH_FLOAT64, &source, ramp, NULL),
                       make_matrix(100, 100, ALCH_FLOAT64, &target, zero, NULL)};
    alchi_store_part_t *from = acquire_part(ids[0]), *to = acquire_part(ids[1]);
    double last = 0;
    alchi_host_exchange_t options = {
        .cancel = cancel, .progress = count_progress, .context = &last, .tile_bytes = 1000};

    reports = 0;
    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, from, to, &options, &h.error), code);
    if (code)
        CHECK_TEXT("canceled after 4 of "); /* the ranks check for a cancel after every 4 tiles */
    CHECK(h.rank != 0 || code || (reports > 50 && last == 1), "%d reports, the last of %g", reports, last);
    drop_part(from, ids[0]);
    drop_part(to, ids[1]);
}

static void
progress_rises_to_one(void)
{
    copy_in_many_tiles(NULL, ALCH_OK);
}

static void
a_cancel_that_one_rank_has_seen_stops_all_ranks(void)
{
    atomic_bool cancel = h.rank == h.size - 1;

    copy_in_many_tiles(&cancel, ALCH_ECANCELED);
}

static void
conversions_that_lose_information_are_refused(void)
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
    conversions_that_lose_information_are_refused();
    every_pair_of_layouts_moves_every_entry();
    large_matrices_arrive_complete();
    every_conversion_keeps_the_values();
    results_equal_those_of_pdgemr2d();
    values_beyond_the_new_type_are_refused_with_their_place();
    values_at_the_limits_of_the_new_type_fit();
    progress_rises_to_one();
    a_cancel_that_one_rank_has_seen_stops_all_ranks();
    alchi_blacs_destroy(blacs);
    return harness_fini();
}
