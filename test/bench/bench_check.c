/*
 * What checks of payload cost: the sum alone, and transfers with a CRC32C of each payload frame beside the same
 * without.
 *
 *     bench_check [MB [PAIRS]]     the daemon is found as any client finds it (ALCHEMIST_CONNECTION)
 *
 * Two handles of one session share workers, matrix, connections and memory; one of them has the option on. Interleaved
 * pairs, the first of a pair by turns. Prints `name value unit` rows: medians over the pairs, and the ratio's median
 * with its spread.
 */
#include "bench_raw.h"
#include "base/crc32c.h"

#include <alchemist/alchemist.h>

#define WORKERS 3
#define COLS 1000
#define IN_CACHE ((size_t)256 << 10)
#define ROUNDS 200

typedef struct {
    alch_session_t *session;
    alch_matrix_t *matrix;
} side_t;

typedef struct {
    double *out, *in;
    int64_t rows;
    size_t bytes;
} buffers_t;

static alch_error_t err;
static int pairs = 15;

static void
check(int code, const char *what)
{
    if (code == ALCH_OK)
        return;
    fprintf(stderr, "bench_check: %s: %s: %s\n", what, alch_errname(code), err.text);
    exit(code);
}

/* ---- the sum alone ---- */

static void
bench_sums(void)
{
    uint8_t *from = malloc(IN_CACHE), *to = malloc(IN_CACHE);
    volatile uint32_t sum = 0;

    memset(from, 7, IN_CACHE);
    for (size_t w = 0; alchi_crc32c_way(w); w++) {
        const alchi_crc32c_way_t *way = alchi_crc32c_way(w);
        bench_pairs_t result = bench_pairs(pairs);
        char name[64];

        for (int k = -1; k < pairs; k++) {
            double started = bench_now(), between;

            for (int round = 0; round < ROUNDS; round++)
                sum ^= way->update(sum, from, IN_CACHE);
            between = bench_now();
            for (int round = 0; round < ROUNDS; round++) {
                from[round] = (uint8_t)k;
                memcpy(to, from, IN_CACHE);
                sum ^= to[round];
            }
            if (k >= 0)
                bench_pair(&result, between - started, bench_now() - between);
        }
        snprintf(name, sizeof(name), "crc32c_%s_in_cache", way->name);
        bench_print(&result, name, "memcpy", (double)(IN_CACHE * ROUNDS) * 1e-9, "GB/s", true);
    }
    free(to);
    free(from);
}

/* ---- transfers ---- */

static double
time_one(const side_t *side, const buffers_t *buffers, bool writing)
{
    double started = bench_now();

    if (writing)
        check(alch_matrix_write(side->matrix, NULL, buffers->out, COLS, 1, &err), "send");
    else
        check(alch_matrix_read(side->matrix, NULL, buffers->in, COLS, 1, &err), "fetch");
    return bench_now() - started;
}

static void
bench_direction(const side_t sides[2], const buffers_t *buffers, bool writing, const char *path, const char *layout)
{
    bench_pairs_t result = bench_pairs(pairs);
    char name[64];

    for (int k = -1; k < pairs; k++) { /* the first one warms the memory of all sides */
        double seconds[2];

        for (int turn = 0; turn < 2; turn++)
            seconds[(k + 1 + turn) % 2] = time_one(&sides[(k + 1 + turn) % 2], buffers, writing);
        if (k >= 0)
            bench_pair(&result, seconds[1], seconds[0]);
    }
    snprintf(name, sizeof(name), "checked_%s_%s_%s", writing ? "send" : "fetch", path, layout);
    bench_print(&result, name, "unchecked", (double)buffers->bytes * 1e-6, "MB/s", true);
}

static void
bench_layout(side_t sides[2], const buffers_t *buffers, const char *path, const char *text)
{
    alch_layout_t layout;

    check(alch_layout_parse(text, &layout, &err), "layout");
    check(
        alch_matrix_create(sides[0].session, buffers->rows, COLS, ALCH_FLOAT64, &layout, NULL, &sides[0].matrix, &err),
        "create");
    check(alch_matrix_open(sides[1].session, alch_matrix_id(sides[0].matrix), &sides[1].matrix, &err), "open");
    bench_direction(sides, buffers, true, path, text);
    bench_direction(sides, buffers, false, path, text);
    if (memcmp(buffers->in, buffers->out, buffers->bytes) != 0) {
        fprintf(stderr, "bench_check: %s: what was fetched is not what was sent\n", text);
        exit(1);
    }
    check(alch_matrix_free(sides[0].matrix, &err), "free");
    alch_matrix_destroy(sides[1].matrix);
    alch_matrix_destroy(sides[0].matrix);
}

static void
bench_path(const buffers_t *buffers, const char *path, bool shared_memory)
{
    static const char *const layouts[] = {"VC_STAR", "MC_MR", "block_cyclic"};
    alch_session_options_t options;
    side_t sides[2];
    char key[65];

    alch_session_options_init(&options);
    options.shared_memory = shared_memory;
    options.checksum = 0;
    check(alch_session_open(&options, &sides[0].session, &err), "connect");
    check(alch_session_request_workers(sides[0].session, WORKERS, 30000, &err), "request workers");
    alch_session_key(sides[0].session, key);
    options.checksum = 1;
    check(alch_session_attach(&options, alch_session_id(sides[0].session), key, &sides[1].session, &err), "attach");
    for (size_t k = 0; k < sizeof(layouts) / sizeof(*layouts); k++)
        bench_layout(sides, buffers, path, layouts[k]);
    alch_session_destroy(sides[1].session);
    check(alch_session_close(sides[0].session, &err), "close");
    alch_session_destroy(sides[0].session);
}

int
main(int argc, char **argv)
{
    int megabytes = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000;
    buffers_t buffers = {.rows = (int64_t)megabytes * 1000000 / (8 * COLS)};

    pairs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 15;
    if (megabytes < 1 || pairs < 1) {
        fprintf(stderr, "usage: bench_check [MB [PAIRS]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_sums();
    buffers.bytes = (size_t)buffers.rows * COLS * 8;
    buffers.out = malloc(buffers.bytes);
    buffers.in = malloc(buffers.bytes);
    if (!buffers.out || !buffers.in) {
        fprintf(stderr, "bench_check: no memory for 2 x %d MB\n", megabytes);
        return 1;
    }
    for (int64_t k = 0; k < buffers.rows * COLS; k++)
        buffers.out[k] = (double)k;
    memset(buffers.in, 0, buffers.bytes);
    bench_path(&buffers, "tcp", false);
    bench_path(&buffers, "shm", true);
    free(buffers.in);
    free(buffers.out);
    return 0;
}
