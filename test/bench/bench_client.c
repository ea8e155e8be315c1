/*
 * Measures the client against its limits: an empty task against a TCP round trip, transfers against raw sockets.
 *
 *     bench_client [MB [PAIRS [warm|fresh [LAYOUT...]]]]    finds the daemon as every client does
 *
 * Each figure is measured in interleaved pairs with its limit: the same bytes over as many TCP streams in the same
 * direction, between this process and forked ones. warm (the default): source and target are memory that was used
 * before. fresh: the target is memory that was mapped for this repetition alone, for the raw socket too; the daemon
 * must run with --keep-memory 0. Prints `name value unit` rows: medians over the pairs, and the median of the ratio
 * with its quartiles.
 */
#include "bench_session.h"

#define WORKERS 3
#define TRIPS 500
#define AIM_WARM 0.75 /* of the raw socket's rate */
#define AIM_FRESH 0.85
#define AIM_SLOWEST_LAYOUT 1.5 /* times as long as the fastest layout */

static int pairs = 15;

static alch_session_t *
connect_session(int workers)
{
    alch_session_options_t options;
    alch_session_t *session;

    alch_session_options_init(&options);
    options.shared_memory = 0; /* the limit is that of sockets; bench_shm measures shared memory */
    bench_check(alch_session_open(&options, &session, &bench_err), "connect");
    bench_check(alch_session_request_workers(session, workers, 30000, &bench_err), "request workers");
    return session;
}

/* ---- an empty task ---- */

static double
time_tasks(alch_session_t *session, const char *library, const char *function)
{
    double started = bench_now();

    for (int k = 0; k < TRIPS; k++) {
        alch_task_t *task;
        bench_check(alch_task_submit(session, library, function, NULL, 10000, &task, &bench_err), "submit");
        bench_check(alch_task_wait(task, 10000, &bench_err), "wait");
        alch_task_destroy(task);
    }
    return (bench_now() - started) / TRIPS;
}

/* The library faults has an operation that does nothing. Without it, hello is the cheapest one. */
static const char *
load_cheapest(alch_session_t *session, const char **function_p)
{
    alch_library_t *library;
    const char *name = "faults";

    *function_p = "nothing";
    if (alch_library_load(session, "faults", NULL, 30000, &library, &bench_err) != ALCH_OK) {
        *function_p = "hello";
        bench_check(alch_library_load(session, name = "hello", NULL, 30000, &library, &bench_err), "load hello");
    }
    alch_library_destroy(library);
    return name;
}

static void
bench_tasks(int workers)
{
    alch_session_t *session = connect_session(workers);
    bench_raw_t raw = bench_raw_open(1, 0);
    bench_pairs_t result = bench_pairs_create(pairs);
    const char *function, *library = load_cheapest(session, &function);
    char name[64];

    for (int k = -1; k < pairs; k++) {
        double ours = time_tasks(session, library, function), limit = bench_raw_echo(&raw, TRIPS);
        if (k >= 0)
            bench_add_pair(&result, ours, limit);
    }
    snprintf(name, sizeof(name), "task_%s_%d_workers", function, workers);
    bench_print(&result, name, "tcp_round_trip", 1e6, "us", false);
    bench_raw_close(&raw);
    bench_check(alch_session_close(session, &bench_err), "close");
    alch_session_destroy(session);
}

static void
bench_connect(void)
{
    bench_pairs_t result = bench_pairs_create(pairs);

    for (int k = 0; k < pairs; k++) {
        double started = bench_now(), ready;
        alch_session_t *session = connect_session(WORKERS);
        ready = bench_now();
        bench_check(alch_session_close(session, &bench_err), "close");
        alch_session_destroy(session);
        bench_add_pair(&result, ready - started, bench_now() - ready);
    }
    bench_print(&result, "connect_and_request_3_workers", "close", 1e3, "ms", false);
}

/* ---- transfers ---- */

static alch_matrix_t *
create_matrix(alch_session_t *session, const bench_buffers_t *buffers, const char *text)
{
    alch_layout_t layout;
    alch_matrix_t *matrix;

    bench_check(alch_layout_parse(strcmp(text, "default") ? text : "block_cyclic", &layout, &bench_err), "layout");
    bench_check(
        alch_matrix_create(session, buffers->rows, BENCH_COLS, ALCH_FLOAT64, &layout, NULL, &matrix, &bench_err),
        "create_matrix");
    return matrix;
}

static void
delete_matrix(alch_matrix_t *matrix)
{
    bench_check(alch_matrix_free(matrix, &bench_err), "free");
    alch_matrix_destroy(matrix);
}

static double
time_write(alch_matrix_t *matrix, const bench_buffers_t *buffers)
{
    double started = bench_now();

    bench_check(alch_matrix_write(matrix, NULL, buffers->out, BENCH_COLS, 1, &bench_err), "send");
    return bench_now() - started;
}

static double
time_read(alch_matrix_t *matrix, const bench_buffers_t *buffers)
{
    double started = bench_now();

    bench_check(alch_matrix_read(matrix, NULL, buffers->in, BENCH_COLS, 1, &bench_err), "fetch");
    return bench_now() - started;
}

static void
remap_if_fresh(bench_buffers_t *buffers)
{
    if (buffers->fresh) {
        munmap(buffers->in, buffers->bytes);
        buffers->in = bench_map(buffers->bytes);
    }
}

/* For fresh memory the time includes the creation of the matrix, because its pages can be prefaulted from then on. */
static double
time_send(alch_session_t *session, alch_matrix_t **matrix_p, const bench_buffers_t *buffers, const char *text)
{
    double started;

    if (!buffers->fresh)
        return time_write(*matrix_p, buffers);
    delete_matrix(*matrix_p);
    started = bench_now();
    *matrix_p = create_matrix(session, buffers, text);
    time_write(*matrix_p, buffers);
    return bench_now() - started;
}

static double
time_fetch(alch_matrix_t *matrix, bench_buffers_t *buffers)
{
    remap_if_fresh(buffers);
    return time_read(matrix, buffers);
}

static double
time_raw_fetch(bench_raw_t *raw, bench_buffers_t *buffers)
{
    remap_if_fresh(buffers);
    return bench_raw_fetch(raw, buffers->in);
}

static void
print_transfer(bench_pairs_t *result, const bench_buffers_t *buffers, const char *verb, const char *text)
{
    char name[64];

    snprintf(name, sizeof(name), "%s_%s%s", verb, text, buffers->fresh ? "_fresh" : "");
    bench_print_aim(result, name, "raw_socket", (double)buffers->bytes * 1e-6, "MB/s", true,
                    buffers->fresh ? AIM_FRESH : AIM_WARM);
}

/* The raw socket and the client come first in turn. */
static void
bench_layout(alch_session_t *session, bench_buffers_t *buffers, const char *text)
{
    bench_raw_t raw = bench_raw_open(WORKERS, buffers->bytes);
    bench_pairs_t send = bench_pairs_create(pairs), fetch = bench_pairs_create(pairs);
    alch_matrix_t *matrix = create_matrix(session, buffers, text);
    double ours, limit = 0;

    time_write(matrix, buffers);
    for (int k = -1; k < pairs; k++) { /* pair -1 warms the memory of all processes */
        bool raw_first = k & 1;
        if (raw_first)
            limit = bench_raw_send(&raw, buffers->out, buffers->fresh);
        ours = time_send(session, &matrix, buffers, text);
        if (!raw_first)
            limit = bench_raw_send(&raw, buffers->out, buffers->fresh);
        if (k >= 0)
            bench_add_pair(&send, ours, limit);
        if (raw_first)
            limit = time_raw_fetch(&raw, buffers);
        ours = time_fetch(matrix, buffers);
        if (!raw_first)
            limit = time_raw_fetch(&raw, buffers);
        if (k >= 0)
            bench_add_pair(&fetch, ours, limit);
    }
    time_read(matrix, buffers);
    bench_verify(buffers, text);
    print_transfer(&send, buffers, "send", text);
    print_transfer(&fetch, buffers, "fetch", text);
    delete_matrix(matrix);
    bench_raw_close(&raw);
}

/* The layout that takes longest to pack against the one that takes least. */
static void
bench_slowest_layout(alch_session_t *session, const bench_buffers_t *buffers)
{
    bench_pairs_t send = bench_pairs_create(pairs), fetch = bench_pairs_create(pairs);
    alch_matrix_t *slowest = create_matrix(session, buffers, "STAR_VC"),
                  *fastest = create_matrix(session, buffers, "VC_STAR");
    double ours;

    for (int k = -1; k < pairs; k++) {
        ours = time_write(slowest, buffers);
        if (k >= 0)
            bench_add_pair(&send, ours, time_write(fastest, buffers));
        else
            time_write(fastest, buffers);
        ours = time_read(slowest, buffers);
        if (k >= 0)
            bench_add_pair(&fetch, ours, time_read(fastest, buffers));
    }
    bench_print_aim(&send, "send_time_STAR_VC", "VC_STAR", 1e3, "ms", false, AIM_SLOWEST_LAYOUT);
    bench_print_aim(&fetch, "fetch_time_STAR_VC", "VC_STAR", 1e3, "ms", false, AIM_SLOWEST_LAYOUT);
    delete_matrix(fastest);
    delete_matrix(slowest);
}

static void
bench_transfers(int megabytes, bool fresh, char **layouts)
{
    static char *all[] = {"VC_STAR", "MC_MR", "default", "STAR_VC", NULL};
    bench_buffers_t buffers = bench_buffers_open(megabytes);
    alch_session_t *session = connect_session(WORKERS);

    buffers.fresh = fresh;
    printf("transfer_size %.0f MB\n", (double)buffers.bytes * 1e-6);
    for (char **layout = *layouts ? layouts : all; *layout; layout++)
        bench_layout(session, &buffers, *layout);
    if (!fresh && !*layouts)
        bench_slowest_layout(session, &buffers);
    bench_check(alch_session_close(session, &bench_err), "close");
    alch_session_destroy(session);
    bench_buffers_close(&buffers);
}

int
main(int argc, char **argv)
{
    int megabytes = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000;
    bool fresh = argc > 3 && !strcmp(argv[3], "fresh");

    pairs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 15;
    if (megabytes < 1 || pairs < 1 || (argc > 3 && !fresh && strcmp(argv[3], "warm"))) {
        fprintf(stderr, "usage: bench_client [MB [PAIRS [warm|fresh [LAYOUT...]]]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!fresh && argc < 5) {
        bench_tasks(2);
        bench_tasks(3);
        bench_connect();
    }
    bench_transfers(megabytes, fresh, argv + (argc > 4 ? 4 : argc));
    return 0;
}
