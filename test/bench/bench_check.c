/*
 * Measures what checksums of payloads cost: the checksum alone, and transfers with a CRC32C of each payload frame
 * against transfers without.
 *
 *     bench_check [MB [PAIRS]]     finds the daemon as every client does (ALCHEMIST_CONNECTION)
 *
 * Two handles of one session share workers, matrix and memory; one of them has the option `checksum`. The pairs are
 * interleaved, and the two measurements of a pair come first in turn. Prints `name value unit` rows: medians over the
 * pairs, and the median of the ratio with its quartiles.
 */
#include "bench_session.h"

#include "base/crc32c.h"

#define WORKERS 3
#define IN_CACHE ((size_t)256 << 10)
#define ROUNDS 200
#define AIM 0.95 /* of the rate without checksums; below it they are not on by default */

/* One side of a pair: without checksums or with them. */
typedef struct {
    alch_session_t *session;
    alch_matrix_t *matrix;
} side_t;

static int pairs = 15;

/* ---- the checksum alone ---- */

static void
bench_checksums(void)
{
    uint8_t *from = malloc(IN_CACHE), *to = malloc(IN_CACHE);
    volatile uint32_t sum = 0;

    memset(from, 7, IN_CACHE);
    for (size_t w = 0; alchi_crc32c_impl(w); w++) {
        const alchi_crc32c_impl_t *way = alchi_crc32c_impl(w);
        bench_pairs_t result = bench_pairs_create(pairs);
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
                bench_add_pair(&result, between - started, bench_now() - between);
        }
        snprintf(name, sizeof(name), "crc32c_%s_in_cache", way->name);
        bench_print(&result, name, "memcpy", (double)(IN_CACHE * ROUNDS) * 1e-9, "GB/s", true);
    }
    free(to);
    free(from);
}

/* ---- transfers ---- */

static double
time_transfer(const side_t *side, const bench_buffers_t *buffers, bool writing)
{
    double started = bench_now();

    if (writing)
        bench_check(alch_matrix_write(side->matrix, NULL, buffers->out, BENCH_COLS, 1, &bench_err), "send");
    else
        bench_check(alch_matrix_read(side->matrix, NULL, buffers->in, BENCH_COLS, 1, &bench_err), "fetch");
    return bench_now() - started;
}

static void
bench_direction(const side_t sides[2], const bench_buffers_t *buffers, bool writing, const char *path,
                const char *layout)
{
    bench_pairs_t result = bench_pairs_create(pairs);
    char name[64];

    for (int k = -1; k < pairs; k++) { /* pair -1 warms the memory of both sides */
        double seconds[2];

        for (int turn = 0; turn < 2; turn++)
            seconds[(k + 1 + turn) % 2] = time_transfer(&sides[(k + 1 + turn) % 2], buffers, writing);
        if (k >= 0)
            bench_add_pair(&result, seconds[1], seconds[0]);
    }
    snprintf(name, sizeof(name), "checked_%s_%s_%s", writing ? "send" : "fetch", path, layout);
    bench_print_aim(&result, name, "unchecked", (double)buffers->bytes * 1e-6, "MB/s", true, AIM);
}

static void
bench_layout(side_t sides[2], const bench_buffers_t *buffers, const char *path, const char *text)
{
    alch_layout_t layout;

    bench_check(alch_layout_parse(text, &layout, &bench_err), "layout");
    bench_check(alch_matrix_create(sides[0].session, buffers->rows, BENCH_COLS, ALCH_FLOAT64, &layout, NULL,
                                   &sides[0].matrix, &bench_err),
                "create");
    bench_check(alch_matrix_open(sides[1].session, alch_matrix_id(sides[0].matrix), &sides[1].matrix, &bench_err),
                "open");
    bench_direction(sides, buffers, true, path, text);
    bench_direction(sides, buffers, false, path, text);
    bench_verify(buffers, text);
    bench_check(alch_matrix_free(sides[0].matrix, &bench_err), "free");
    alch_matrix_destroy(sides[1].matrix);
    alch_matrix_destroy(sides[0].matrix);
}

static void
bench_path(const bench_buffers_t *buffers, const char *path, bool shared_memory)
{
    static const char *const layouts[] = {"VC_STAR", "MC_MR", "block_cyclic"};
    alch_session_options_t options;
    side_t sides[2];
    char key[65];

    alch_session_options_init(&options);
    options.shared_memory = shared_memory;
    options.checksum = 0;
    bench_check(alch_session_open(&options, &sides[0].session, &bench_err), "connect");
    bench_check(alch_session_request_workers(sides[0].session, WORKERS, 30000, &bench_err), "request workers");
    alch_session_key(sides[0].session, key);
    options.checksum = 1;
    bench_check(alch_session_attach(&options, alch_session_id(sides[0].session), key, &sides[1].session, &bench_err),
                "attach");
    for (size_t k = 0; k < sizeof(layouts) / sizeof(*layouts); k++)
        bench_layout(sides, buffers, path, layouts[k]);
    alch_session_destroy(sides[1].session);
    bench_check(alch_session_close(sides[0].session, &bench_err), "close");
    alch_session_destroy(sides[0].session);
}

int
main(int argc, char **argv)
{
    int megabytes = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000;
    bench_buffers_t buffers;

    pairs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 15;
    if (megabytes < 1 || pairs < 1) {
        fprintf(stderr, "usage: bench_check [MB [PAIRS]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_checksums();
    buffers = bench_buffers_open(megabytes);
    bench_path(&buffers, "tcp", false);
    bench_path(&buffers, "shm", true);
    bench_buffers_close(&buffers);
    return 0;
}
