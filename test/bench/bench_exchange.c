/*
 * Measures how fast the workers change the layout of a matrix, transpose, copy and convert it, against memcpy of the
 * same bytes on as many ranks at once and, where it applies, against PDGEMR2D of the same entries on the same ranks.
 *
 *     mpiexec.mpich -n RANKS bench_exchange OUT [MEGABYTES [PAIRS]]
 *
 * Prints `name value unit` rows: medians over the pairs of the rate at which all ranks together read the source, in
 * warm memory. A task also needs fresh memory for its result, unless the workers keep memory (--keep-memory).
 */
#include "../mpi/harness.h"
#include "bench_raw.h"
#include "base/clock.h"
#include "scalapack/blacs.h"
#include "pluginhost/exchange.h"

#define PAIRS_MAX 99

void pdgemr2d_(const int *m, const int *n, const double *a, const int *ia, const int *ja, const int *desca, double *b,
               const int *ib, const int *jb, const int *descb, const int *context);

typedef struct {
    const char *name;
    alch_layout_t from, to;
    alch_dtype_t to_type;
    bool transpose;
} case_t;

#define DEFAULT                       \
    {                                 \
        ALCH_BLOCK_CYCLIC, 0, 0, 0, 0 \
    }
#define NAMED(dist)      \
    {                    \
        dist, 0, 0, 0, 0 \
    }

static const case_t cases[] = {
    {"copy", DEFAULT, DEFAULT, ALCH_FLOAT64, false},
    {"convert", DEFAULT, DEFAULT, ALCH_FLOAT32, false},
    {"transpose", DEFAULT, DEFAULT, ALCH_FLOAT64, true},
    {"transpose_mc_mr", NAMED(ALCH_MC_MR), NAMED(ALCH_MC_MR), ALCH_FLOAT64, true},
    {"default_vc_star", DEFAULT, NAMED(ALCH_VC_STAR), ALCH_FLOAT64, false},
    {"vc_star_default", NAMED(ALCH_VC_STAR), DEFAULT, ALCH_FLOAT64, false},
    {"vc_star_star_vc", NAMED(ALCH_VC_STAR), NAMED(ALCH_STAR_VC), ALCH_FLOAT64, false},
    {"default_mc_mr_float32", DEFAULT, NAMED(ALCH_MC_MR), ALCH_FLOAT32, false},
};

typedef struct {
    const case_t *test;
    alchi_store_part_t *from, *to;
    int descs[2][ALCHI_BLACS_DESC_LENGTH], context;
} bench_t;

static double
sum_of_indices(int64_t i, int64_t j, const void *context)
{
    (void)context;
    return (double)(i + j);
}

static void
run_exchange(const bench_t *bench)
{
    const alchi_host_exchange_t how = {.transpose = bench->test->transpose};

    CHECK_CODE(alchi_host_exchange(MPI_COMM_WORLD, h.store, bench->from, bench->to, &how, &h.error), ALCH_OK);
}

static void
run_memcpy(const bench_t *bench)
{
    size_t bytes = (size_t)bench->from->lld * (size_t)bench->from->local_n * bench->from->entry;
    size_t target_bytes = (size_t)bench->to->lld * (size_t)bench->to->local_n * bench->to->entry;

    for (size_t left = bytes; left > 0;) {
        size_t count = left < target_bytes ? left : target_bytes;

        memcpy(bench->to->data, (char *)bench->from->data + (bytes - left), count);
        left -= count;
    }
}

static void
run_pdgemr2d(const bench_t *bench)
{
    static const int first = 1;
    int m = (int)bench->from->layout.m, n = (int)bench->from->layout.n;

    pdgemr2d_(&m, &n, bench->from->data, &first, &first, bench->descs[0], bench->to->data, &first, &first,
              bench->descs[1], &bench->context);
}

/* GB of the source per second. */
static double
measure_rate(const bench_t *bench, void (*move)(const bench_t *))
{
    double bytes = (double)bench->from->layout.m * (double)bench->from->layout.n * (double)bench->from->entry;
    int64_t start;

    MPI_Barrier(MPI_COMM_WORLD);
    start = alchi_now_ns();
    move(bench);
    MPI_Barrier(MPI_COMM_WORLD);
    return bytes / (double)(alchi_now_ns() - start);
}

static double
median(double *values, int count)
{
    return bench_quantile(values, count, 0.5);
}

static void
measure_case(const bench_t *bench, int pairs)
{
    double exchange_rates[PAIRS_MAX], memcpy_rates[PAIRS_MAX], pdgemr2d_rates[PAIRS_MAX], ratios[2][PAIRS_MAX];
    bool has_pdgemr2d = !bench->test->transpose && bench->from->dtype == bench->to->dtype;
    const char *name = bench->test->name;

    run_exchange(bench);
    run_memcpy(bench);
    for (int k = 0; k < pairs; k++) {
        exchange_rates[k] = measure_rate(bench, run_exchange);
        memcpy_rates[k] = measure_rate(bench, run_memcpy);
        pdgemr2d_rates[k] = has_pdgemr2d ? measure_rate(bench, run_pdgemr2d) : 1;
        ratios[0][k] = exchange_rates[k] / memcpy_rates[k];
        ratios[1][k] = exchange_rates[k] / pdgemr2d_rates[k];
    }
    if (h.rank != 0)
        return;
    printf("exchange_%s_%d %.2f GB/s\n", name, h.size, median(exchange_rates, pairs));
    printf("exchange_%s_%d_memcpy %.2f GB/s\n", name, h.size, median(memcpy_rates, pairs));
    printf("exchange_%s_%d_ratio %.2f memcpy\n", name, h.size, median(ratios[0], pairs));
    if (!has_pdgemr2d)
        return;
    printf("exchange_%s_%d_pdgemr2d %.2f GB/s\n", name, h.size, median(pdgemr2d_rates, pairs));
    printf("exchange_%s_%d_to_pdgemr2d %.2f pdgemr2d\n", name, h.size, median(ratios[1], pairs));
}

static void
run_case(const case_t *test, alchi_blacs_t *blacs, int64_t megabytes, int pairs)
{
    int64_t n = 1000, m = megabytes * 1000000 / 8 / n;
    uint64_t ids[2] = {
        make_matrix(m, n, ALCH_FLOAT64, &test->from, sum_of_indices, NULL),
        make_matrix(test->transpose ? n : m, test->transpose ? m : n, test->to_type, &test->to, sum_of_indices, NULL)};
    bench_t bench = {.test = test};

    CHECK_CODE(alchi_store_acquire(h.store, ids[0], &bench.from, &h.error), ALCH_OK);
    CHECK_CODE(alchi_store_acquire(h.store, ids[1], &bench.to, &h.error), ALCH_OK);
    CHECK_CODE(alchi_blacs_descriptor(blacs, &bench.from->layout, bench.from->lld, bench.descs[0], &h.error), ALCH_OK);
    CHECK_CODE(alchi_blacs_descriptor(blacs, &bench.to->layout, bench.to->lld, bench.descs[1], &h.error), ALCH_OK);
    bench.context = bench.descs[0][ALCHI_BLACS_DESC_CTXT]; /* PDGEMR2D needs a context of all ranks */
    measure_case(&bench, pairs);
    alchi_store_release(h.store, bench.from);
    alchi_store_release(h.store, bench.to);
    free_matrix(ids[0]);
    free_matrix(ids[1]);
}

int
main(int argc, char **argv)
{
    int64_t megabytes = argc > 2 ? strtol(argv[2], NULL, 10) : 400;
    int64_t pairs = argc > 3 ? strtol(argv[3], NULL, 10) : 15;
    alchi_blacs_t *blacs;

    harness_init(&argc, &argv, 0);
    blacs = alchi_blacs_create(MPI_COMM_WORLD);
    if (megabytes < 1 || pairs < 1 || pairs > PAIRS_MAX)
        h.failures++;
    for (size_t k = 0; k < sizeof cases / sizeof *cases && !h.failures; k++)
        run_case(&cases[k], blacs, megabytes, (int)pairs);
    alchi_blacs_destroy(blacs);
    return harness_fini();
}
