/*
 * Measures how fast entries are packed for the workers and unpacked from them, against memcpy of the same bytes.
 *
 * Each row of the table is measured in pairs. First the whole matrix is packed or unpacked as in a transfer: chunk by
 * chunk through two buffers for each worker, the workers in turn. Then memcpy copies as many bytes between the same
 * memory and the same buffers. The buffers stay in the caches, as they do in a transfer. The matrix is larger than the
 * last cache, so that it comes from memory each time ("cold"), except for the cases named "warm". Prints `name value
 * unit` rows: medians over the pairs, and the median of the ratio with its quartiles.
 */
#include "bench_raw.h"

#include "client/chunk.h"
#include "pack/pack.h"

#define PAIRS 15
#define WORKERS_MAX 4
#define BUFFERS 2
#define MESSAGE_BYTES ((size_t)4 << 20)
#define CHUNK_BYTES ((size_t)512 << 10)
#define COLD_BYTES (INT64_C(96) << 20)
#define WARM_BYTES (INT64_C(4) << 20)
#define AIM_BLOCKS 0.70  /* of memcpy's rate, for float64 in C order */
#define AIM_ENTRIES 0.50 /* for layouts whose blocks have one entry */

typedef struct {
    const char *name;
    size_t size;
    int64_t cols;
    int workers;
    enum { C_ORDER, FORTRAN, REVERSED } order;
    bool unpack, warm;
    alch_layout_t layout;
} case_t;

#define BLOCKS(b)                     \
    {                                 \
        ALCH_BLOCK_CYCLIC, b, b, 0, 0 \
    }
#define MC_MR                  \
    {                          \
        ALCH_MC_MR, 0, 0, 0, 0 \
    }
#define VC_STAR                  \
    {                            \
        ALCH_VC_STAR, 0, 0, 0, 0 \
    }
#define STAR_VC                  \
    {                            \
        ALCH_STAR_VC, 0, 0, 0, 0 \
    }

static const case_t cases[] = {
    {"c_8_default", 8, 784, 3, C_ORDER, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_8_default_wide", 8, 4096, 3, C_ORDER, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_8_default_warm", 8, 784, 3, C_ORDER, false, true, ALCH_LAYOUT_DEFAULT},
    {"c_8_default_4", 8, 1000, 4, C_ORDER, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_8_mc_mr", 8, 784, 3, C_ORDER, false, false, MC_MR},
    {"c_8_mc_mr_4", 8, 1000, 4, C_ORDER, false, false, MC_MR},
    {"c_8_mc_mr_warm", 8, 784, 3, C_ORDER, false, true, MC_MR},
    {"c_8_vc_star", 8, 784, 3, C_ORDER, false, false, VC_STAR},
    {"c_8_star_vc", 8, 784, 3, C_ORDER, false, false, STAR_VC},
    {"c_8_star_vc_wide", 8, 100000, 3, C_ORDER, false, false, STAR_VC},
    {"c_8_block2", 8, 784, 3, C_ORDER, false, false, BLOCKS(2)},
    {"c_8_block7", 8, 784, 3, C_ORDER, false, false, BLOCKS(7)},
    {"c_8_reversed", 8, 784, 3, REVERSED, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_4_default", 4, 784, 3, C_ORDER, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_4_mc_mr", 4, 784, 3, C_ORDER, false, false, MC_MR},
    {"c_16_default", 16, 784, 3, C_ORDER, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_16_mc_mr", 16, 784, 3, C_ORDER, false, false, MC_MR},
    {"f_8_default", 8, 784, 3, FORTRAN, false, false, ALCH_LAYOUT_DEFAULT},
    {"f_8_mc_mr_4", 8, 1000, 4, FORTRAN, false, false, MC_MR},
    {"f_8_vc_star", 8, 784, 3, FORTRAN, false, false, VC_STAR},
    {"f_8_block7", 8, 784, 4, FORTRAN, false, false, BLOCKS(7)},
    {"c_8_default_unpack", 8, 784, 3, C_ORDER, true, false, ALCH_LAYOUT_DEFAULT},
    {"c_8_default_wide_unpack", 8, 4096, 3, C_ORDER, true, false, ALCH_LAYOUT_DEFAULT},
    {"c_8_default_warm_unpack", 8, 784, 3, C_ORDER, true, true, ALCH_LAYOUT_DEFAULT},
    {"c_8_mc_mr_unpack", 8, 784, 3, C_ORDER, true, false, MC_MR},
    {"c_8_mc_mr_4_unpack", 8, 1000, 4, C_ORDER, true, false, MC_MR},
    {"c_8_mc_mr_warm_unpack", 8, 784, 3, C_ORDER, true, true, MC_MR},
    {"c_8_vc_star_unpack", 8, 784, 3, C_ORDER, true, false, VC_STAR},
    {"c_8_star_vc_unpack", 8, 784, 3, C_ORDER, true, false, STAR_VC},
    {"c_8_block7_unpack", 8, 784, 3, C_ORDER, true, false, BLOCKS(7)},
    {"c_4_default_unpack", 4, 784, 3, C_ORDER, true, false, ALCH_LAYOUT_DEFAULT},
    {"c_16_default_unpack", 16, 784, 3, C_ORDER, true, false, ALCH_LAYOUT_DEFAULT},
    {"f_8_vc_star_unpack", 8, 784, 3, FORTRAN, true, false, VC_STAR},
};

typedef struct {
    const case_t *test;
    alchi_layout_t layout;
    alchi_cli_memory_t memory;
    uint8_t *matrix, *buffers;
    int64_t bytes;
} bench_t;

/* The state of one worker's connection. */
typedef struct {
    alchi_cli_splitter_t cutter;
    alchi_piece_t message;
    size_t done, bytes;
    int turn;
    bool ended;
} lane_t;

/* Move the next chunk of a worker's part. */
static void
move_chunk(const bench_t *bench, lane_t *lane, uint8_t *buffers)
{
    const alchi_cli_memory_t *memory = &bench->memory;
    uint8_t *buffer = buffers + (size_t)lane->turn * CHUNK_BYTES;
    alchi_pack_t shape = {.size = memory->entry};

    if (lane->done == lane->bytes) {
        lane->ended = !alchi_cli_splitter_next(&lane->cutter, &lane->message);
        if (lane->ended)
            return;
        lane->bytes = alchi_cli_piece_bytes(&lane->message, memory->entry);
        lane->done = 0;
    }
    lane->done += alchi_cli_chunk_at(&lane->message, memory->entry, lane->done, CHUNK_BYTES, INT64_MAX, &shape.local);
    lane->turn = (lane->turn + 1) % BUFFERS;
    shape.rows = lane->message.rows;
    shape.cols = lane->message.cols;
    shape.row_stride = memory->row_stride;
    shape.col_stride = memory->col_stride;
    if (bench->test->unpack)
        alchi_unpack(&shape, buffer, shape.local.m, memory->data);
    else
        alchi_pack(&shape, memory->data, buffer, shape.local.m);
}

static void
move_matrix(const bench_t *bench)
{
    const alchi_layout_t *layout = &bench->layout;
    alch_rect_t whole = {0, 0, layout->m, layout->n};
    lane_t lanes[WORKERS_MAX] = {0};
    alchi_plan_t plan;
    int open = layout->workers;

    alchi_plan_init(&plan, layout, &whole, ALCHI_PLAN_ALL, INT64_MAX);
    for (int rank = 0; rank < layout->workers; rank++)
        alchi_cli_splitter_init(&lanes[rank].cutter, &plan, rank, &bench->memory, MESSAGE_BYTES);
    while (open > 0) {
        open = 0;
        for (int rank = 0; rank < layout->workers; rank++) {
            if (!lanes[rank].ended)
                move_chunk(bench, &lanes[rank], bench->buffers + (size_t)rank * BUFFERS * CHUNK_BYTES);
            open += !lanes[rank].ended;
        }
    }
}

static void
copy_matrix(const bench_t *bench)
{
    int buffer = 0;

    for (int64_t at = 0; at < bench->bytes; at += (int64_t)CHUNK_BYTES) {
        uint8_t *there = bench->matrix + at, *here = bench->buffers + (size_t)buffer * CHUNK_BYTES;
        size_t left = (size_t)(bench->bytes - at), count = left < CHUNK_BYTES ? left : CHUNK_BYTES;

        if (bench->test->unpack)
            memcpy(there, here, count);
        else
            memcpy(here, there, count);
        __asm__ volatile("" : : "r"(here), "r"(there) : "memory");
        buffer = (buffer + 1) % (BUFFERS * bench->layout.workers);
    }
}

/* CPU time of this thread: wall time would also count the other programs of the machine. */
static double
cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double
time_moves(const bench_t *bench, int64_t rounds, void (*move)(const bench_t *))
{
    double start = cpu_seconds();

    for (int64_t k = 0; k < rounds; k++)
        move(bench);
    return cpu_seconds() - start;
}

static double
aim_of(const case_t *test)
{
    if (test->order != C_ORDER || test->size != sizeof(double))
        return 0;
    return test->layout.dist == ALCH_BLOCK_CYCLIC ? AIM_BLOCKS : AIM_ENTRIES;
}

static void
measure_case(const bench_t *bench)
{
    int64_t rounds = bench->test->warm ? COLD_BYTES / WARM_BYTES : 1;
    bench_pairs_t result = bench_pairs_create(PAIRS);
    char name[64];

    move_matrix(bench);
    for (int k = 0; k < PAIRS; k++) {
        double ours = time_moves(bench, rounds, move_matrix);

        bench_add_pair(&result, ours, time_moves(bench, rounds, copy_matrix));
    }
    snprintf(name, sizeof(name), "pack_%s", bench->test->name);
    bench_print_aim(&result, name, "memcpy", (double)(bench->bytes * rounds) * 1e-9, "GB/s", true, aim_of(bench->test));
}

static int
run_case(const case_t *test, uint8_t *matrix, uint8_t *buffers)
{
    int64_t rows = (test->warm ? WARM_BYTES : COLD_BYTES) / (test->cols * (int64_t)test->size);
    bench_t bench = {.test = test, .matrix = matrix, .buffers = buffers};

    if (alchi_layout_init(&bench.layout, rows, test->cols, test->workers, &test->layout, NULL))
        return EXIT_FAILURE;
    bench.bytes = rows * test->cols * (int64_t)test->size;
    bench.memory = (alchi_cli_memory_t){matrix, {0, 0, rows, test->cols}, test->cols, 1, test->size};
    if (test->order == FORTRAN) {
        bench.memory.row_stride = 1;
        bench.memory.col_stride = rows;
    } else if (test->order == REVERSED) {
        bench.memory.data += bench.bytes - (int64_t)test->size;
        bench.memory.row_stride = -test->cols;
        bench.memory.col_stride = -1;
    }
    measure_case(&bench);
    alchi_layout_fini(&bench.layout);
    return EXIT_SUCCESS;
}

/* @param argv  names of cases; without any all cases run */
int
main(int argc, char **argv)
{
    size_t buffers_bytes = WORKERS_MAX * BUFFERS * CHUNK_BYTES;
    uint8_t *matrix = aligned_alloc(64, (size_t)COLD_BYTES), *buffers = aligned_alloc(64, buffers_bytes);
    int status = matrix && buffers ? EXIT_SUCCESS : EXIT_FAILURE;

    if (status == EXIT_SUCCESS) {
        memset(matrix, 1, (size_t)COLD_BYTES);
        memset(buffers, 1, buffers_bytes);
    }
    for (size_t k = 0; status == EXIT_SUCCESS && k < sizeof cases / sizeof *cases; k++) {
        bool wanted = argc < 2;

        for (int a = 1; a < argc; a++)
            wanted = wanted || strcmp(argv[a], cases[k].name) == 0;
        if (wanted)
            status = run_case(&cases[k], matrix, buffers);
    }
    free(matrix);
    free(buffers);
    return status;
}
