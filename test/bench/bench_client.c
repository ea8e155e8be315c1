/*
 * The client beside its limits: an empty task beside a TCP round trip, transfers beside raw sockets.
 *
 *     bench_client [MB [PAIRS]]     the daemon is found as any client finds it (ALCHEMIST_CONNECTION)
 *
 * Each figure is measured in interleaved pairs with its limit: the same bytes over as many TCP streams, into
 * and out of memory that was used before, between this process and forked ones. Prints `name value unit` rows: medians
 * over the pairs, and the ratio's median with its spread.
 */
#include "bench_raw.h"

#include <alchemist/alchemist.h>

#define WORKERS 3
#define TRIPS 500
#define COLS 1000

static alch_error_t err;
static int pairs = 15;

static void
check(int code, const char *what)
{
    if (code == ALCH_OK)
        return;
    fprintf(stderr, "bench_client: %s: %s: %s\n", what, alch_errname(code), err.text);
    exit(code);
}

static alch_session_t *
connect_session(int workers)
{
    alch_session_options_t options;
    alch_session_t *session;

    alch_session_options_init(&options);
    options.shared_memory = 0; /* beside sockets; bench_shm has the other way */
    check(alch_session_open(&options, &session, &err), "connect");
    check(alch_session_request_workers(session, workers, 30000, &err), "request workers");
    return session;
}

/* ---- an empty task ---- */

static double
time_tasks(alch_session_t *session, const char *library, const char *function)
{
    double started = bench_now();

    for (int k = 0; k < TRIPS; k++) {
        alch_task_t *task;
        check(alch_task_submit(session, library, function, NULL, 10000, &task, &err), "submit");
        check(alch_task_wait(task, 10000, &err), "wait");
        alch_task_destroy(task);
    }
    return (bench_now() - started) / TRIPS;
}

/* faults has an operation that does nothing; a greeting is nearly that. */
static const char *
load_cheapest(alch_session_t *session, const char **function_p)
{
    alch_library_t *library;
    const char *name = "faults";

    *function_p = "nothing";
    if (alch_library_load(session, "faults", NULL, 30000, &library, &err) != ALCH_OK) {
        *function_p = "hello";
        check(alch_library_load(session, name = "hello", NULL, 30000, &library, &err), "load hello");
    }
    alch_library_destroy(library);
    return name;
}

static void
bench_tasks(int workers)
{
    alch_session_t *session = connect_session(workers);
    bench_raw_t raw = bench_raw_open(1, 0);
    bench_pairs_t result = bench_pairs(pairs);
    const char *function, *library = load_cheapest(session, &function);
    char name[64];

    for (int k = -1; k < pairs; k++) {
        double ours = time_tasks(session, library, function), limit = bench_raw_echo(&raw, TRIPS);
        if (k >= 0)
            bench_pair(&result, ours, limit);
    }
    snprintf(name, sizeof(name), "task_%s_%d_workers", function, workers);
    bench_print(&result, name, "tcp_round_trip", 1e6, "us", false);
    bench_raw_close(&raw);
    check(alch_session_close(session, &err), "close");
    alch_session_destroy(session);
}

static void
bench_connect(void)
{
    bench_pairs_t result = bench_pairs(pairs);

    for (int k = 0; k < pairs; k++) {
        double started = bench_now(), ready;
        alch_session_t *session = connect_session(WORKERS);
        ready = bench_now();
        check(alch_session_close(session, &err), "close");
        alch_session_destroy(session);
        bench_pair(&result, ready - started, bench_now() - ready);
    }
    bench_print(&result, "connect_and_request_3_workers", "close", 1e3, "ms", false);
}

/* ---- transfers ---- */

typedef struct {
    double *out, *in;
    int64_t rows;
    size_t bytes;
} buffers_t;

static double
time_write(alch_matrix_t *matrix, const buffers_t *buffers)
{
    double started = bench_now();

    check(alch_matrix_write(matrix, NULL, buffers->out, COLS, 1, &err), "send");
    return bench_now() - started;
}

static double
time_read(alch_matrix_t *matrix, const buffers_t *buffers)
{
    double started = bench_now();

    check(alch_matrix_read(matrix, NULL, buffers->in, COLS, 1, &err), "fetch");
    return bench_now() - started;
}

static void
bench_layout(alch_session_t *session, const buffers_t *buffers, const char *text)
{
    bench_raw_t raw = bench_raw_open(WORKERS, buffers->bytes);
    bench_pairs_t send = bench_pairs(pairs), fetch = bench_pairs(pairs);
    alch_layout_t layout;
    alch_matrix_t *matrix;
    char name[64];

    check(alch_layout_parse(text, &layout, &err), "layout");
    check(alch_matrix_create(session, buffers->rows, COLS, ALCH_FLOAT64, &layout, NULL, &matrix, &err), "create");
    for (int k = -1; k < pairs; k++) { /* the first one warms the memory of all sides */
        double ours = time_write(matrix, buffers), limit = bench_raw_send(&raw, buffers->out);
        if (k >= 0)
            bench_pair(&send, ours, limit);
        ours = time_read(matrix, buffers);
        limit = bench_raw_fetch(&raw, buffers->in);
        if (k >= 0)
            bench_pair(&fetch, ours, limit);
    }
    check(alch_matrix_read(matrix, NULL, buffers->in, COLS, 1, &err), "fetch");
    if (memcmp(buffers->in, buffers->out, buffers->bytes) != 0) {
        fprintf(stderr, "bench_client: %s: what was fetched is not what was sent\n", text);
        exit(1);
    }
    snprintf(name, sizeof(name), "send_%s", text);
    bench_print(&send, name, "raw_socket", (double)buffers->bytes * 1e-6, "MB/s", true);
    snprintf(name, sizeof(name), "fetch_%s", text);
    bench_print(&fetch, name, "raw_socket", (double)buffers->bytes * 1e-6, "MB/s", true);
    check(alch_matrix_free(matrix, &err), "free");
    alch_matrix_destroy(matrix);
    bench_raw_close(&raw);
}

static void
bench_transfers(int megabytes)
{
    static const char *const layouts[] = {"VC_STAR", "MC_MR", "block_cyclic"};
    buffers_t buffers = {.rows = (int64_t)megabytes * 1000000 / (8 * COLS)};
    alch_session_t *session;

    buffers.bytes = (size_t)buffers.rows * COLS * 8;
    buffers.out = malloc(buffers.bytes);
    buffers.in = malloc(buffers.bytes);
    if (!buffers.out || !buffers.in) {
        fprintf(stderr, "bench_client: no memory for 2 x %d MB\n", megabytes);
        exit(1);
    }
    for (int64_t k = 0; k < buffers.rows * COLS; k++)
        buffers.out[k] = (double)k;
    memset(buffers.in, 0, buffers.bytes);
    session = connect_session(WORKERS);
    printf("transfer_size %.0f MB\n", (double)buffers.bytes * 1e-6);
    for (size_t k = 0; k < sizeof(layouts) / sizeof(*layouts); k++)
        bench_layout(session, &buffers, layouts[k]);
    check(alch_session_close(session, &err), "close");
    alch_session_destroy(session);
    free(buffers.in);
    free(buffers.out);
}

int
main(int argc, char **argv)
{
    int megabytes = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000;

    pairs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 15;
    if (megabytes < 1 || pairs < 1) {
        fprintf(stderr, "usage: bench_client [MB [PAIRS]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_tasks(2);
    bench_tasks(3);
    bench_connect();
    bench_transfers(megabytes);
    return 0;
}
