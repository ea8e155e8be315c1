/*
 * Measures transfers through shared memory against two limits: our own transfers over TCP, and a plain copy through the
 * same rings.
 *
 *     bench_shm [MB [PAIRS]]     finds the daemon as every client does (ALCHEMIST_CONNECTION)
 *
 * It uses one worker and two workers, and matrices in C order, which the client packs, and in Fortran order, which it
 * does not pack. Each figure is measured in interleaved pairs with both limits. Source and target are memory that was
 * used before.
 */
#include "bench_session.h"

#include "net/shm.h"

#define WAIT_MS 60000
/* A figure is good enough if it reaches one of these two aims. */
#define AIM_TCP 2.0   /* times the rate of our own TCP transfers */
#define AIM_COPY 0.70 /* of the rate of a copy through the rings */

static int pairs = 15;

/* ---- a plain copy through rings ---- */

typedef struct {
    alchi_stream_t *stream;
    uint8_t *memory;
    size_t bytes;
    bool sending;
    pid_t pid;
} copy_t;

/* Send or receive all bytes. @return false: the other side has closed, or nothing came in time */
static bool
copy_bytes(alchi_stream_t *stream, uint8_t *at, size_t bytes, bool sending)
{
    while (bytes > 0) {
        struct iovec piece = {at, bytes < ((size_t)1 << 20) ? bytes : (size_t)1 << 20};
        ssize_t n = sending ? alchi_stream_writev(stream, &piece, 1) : alchi_stream_read(stream, at, piece.iov_len);

        if (n < 0 || (n == 0 && alchi_stream_wait(stream, sending ? POLLOUT : POLLIN, alchi_deadline_in_ms(WAIT_MS))))
            return false;
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

static void
run_copy_process(alchi_stream_t *stream, size_t bytes)
{
    uint8_t *memory = malloc(bytes), order;

    memset(memory, 1, bytes);
    while (copy_bytes(stream, &order, 1, false) && copy_bytes(stream, memory, bytes, order == 'f'))
        if (order == 's' && !copy_bytes(stream, &order, 1, true))
            break;
    _exit(0);
}

static copy_t
start_copy(uint8_t *memory, size_t bytes)
{
    copy_t copy = {.memory = memory, .bytes = bytes};
    alchi_rings_t *rings;
    int fd[2], rings_fd;

    bench_check(alchi_rings_create(ALCHI_SHM_RING, &rings, &rings_fd, &bench_err), "rings");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
        exit(1);
    copy.pid = fork();
    if (copy.pid == 0) {
        close(fd[0]);
        bench_check(alchi_rings_map(rings_fd, ALCHI_SHM_RING, &rings, &bench_err), "map");
        copy.stream = alchi_stream_create(fd[1]);
        bench_check(alchi_stream_use_rings(copy.stream, rings), "share");
        run_copy_process(copy.stream, bytes);
    }
    close(fd[1]);
    close(rings_fd);
    copy.stream = alchi_stream_create(fd[0]);
    bench_check(alchi_stream_use_rings(copy.stream, rings), "share");
    return copy;
}

static void *
run_copy(void *context)
{
    copy_t *copy = context;
    uint8_t order = copy->sending ? 's' : 'f';

    if (!copy_bytes(copy->stream, &order, 1, true) ||
        !copy_bytes(copy->stream, copy->memory, copy->bytes, copy->sending) ||
        (copy->sending && !copy_bytes(copy->stream, &order, 1, false)))
        exit(1);
    return NULL;
}

static double
time_copy(copy_t *copies, int count, bool sending)
{
    double started = bench_now();
    pthread_t threads[2];

    for (int k = 0; k < count; k++) {
        copies[k].sending = sending;
        pthread_create(&threads[k], NULL, run_copy, &copies[k]);
    }
    for (int k = 0; k < count; k++)
        pthread_join(threads[k], NULL);
    return bench_now() - started;
}

/* ---- transfers ---- */

typedef struct {
    alch_session_t *session;
    alch_matrix_t *matrix;
} side_t;

static side_t
open_shm_side(int workers, const bench_buffers_t *buffers)
{
    alch_session_options_t options;
    alch_layout_t layout;
    side_t side;

    alch_session_options_init(&options);
    options.shared_memory = 1;
    bench_check(alch_session_open(&options, &side.session, &bench_err), "connect");
    bench_check(alch_session_request_workers(side.session, workers, 30000, &bench_err), "request workers");
    bench_check(alch_layout_parse("block_cyclic", &layout, &bench_err), "layout");
    bench_check(alch_matrix_create(side.session, buffers->rows, BENCH_COLS, ALCH_FLOAT64, &layout, NULL, &side.matrix,
                                   &bench_err),
                "create");
    return side;
}

/* A second handle of the session, which transfers the same matrix over TCP. */
static side_t
open_tcp_side(const side_t *shm)
{
    alch_session_options_t options;
    alch_matrix_info_t info;
    char key[65];
    side_t side;

    alch_session_options_init(&options);
    options.shared_memory = 0;
    alch_session_key(shm->session, key);
    bench_check(alch_session_attach(&options, alch_session_id(shm->session), key, &side.session, &bench_err), "attach");
    bench_check(alch_matrix_info(shm->matrix, &info, &bench_err), "matrix");
    bench_check(alch_matrix_open(side.session, info.id, &side.matrix, &bench_err), "matrix");
    return side;
}

static void
close_side(side_t *side)
{
    alch_matrix_destroy(side->matrix);
    bench_check(alch_session_close(side->session, &bench_err), "close");
    alch_session_destroy(side->session);
}

static double
time_transfer(const side_t *side, const bench_buffers_t *buffers, bool fortran, bool sending)
{
    int64_t row_stride = fortran ? 1 : BENCH_COLS, col_stride = fortran ? buffers->rows : 1;
    double started = bench_now();

    if (sending)
        bench_check(alch_matrix_write(side->matrix, NULL, buffers->out, row_stride, col_stride, &bench_err), "send");
    else
        bench_check(alch_matrix_read(side->matrix, NULL, buffers->in, row_stride, col_stride, &bench_err), "fetch");
    return bench_now() - started;
}

static void
print_figure(bench_pairs_t *pairs_p, bool fortran, bool sending, int workers, const char *limit, double aim,
             size_t bytes)
{
    char name[64];

    snprintf(name, sizeof name, "shm_%s_%s_order_%d_worker%s_%s", sending ? "send" : "fetch", fortran ? "F" : "C",
             workers, workers > 1 ? "s" : "", limit);
    bench_print_aim(pairs_p, name, limit, (double)bytes * 1e-6, "MB/s", true, aim);
}

static void
bench_order_of(int workers, const side_t *shm, const side_t *tcp, copy_t *copies, const bench_buffers_t *buffers,
               bool fortran)
{
    bench_pairs_t against_tcp[2], against_copy[2];

    for (int k = 0; k < 2; k++) {
        against_tcp[k] = bench_pairs_create(pairs);
        against_copy[k] = bench_pairs_create(pairs);
    }
    for (int pair = -1; pair < pairs; pair++) {
        for (int k = 0; k < 2; k++) {
            double ours = time_transfer(shm, buffers, fortran, k == 0),
                   own_tcp = time_transfer(tcp, buffers, fortran, k == 0), copied = time_copy(copies, workers, k == 0);

            if (pair >= 0) {
                bench_add_pair(&against_tcp[k], ours, own_tcp);
                bench_add_pair(&against_copy[k], ours, copied);
            }
        }
    }
    time_transfer(shm, buffers, fortran, false);
    bench_verify(buffers, fortran ? "Fortran order" : "C order");
    for (int k = 0; k < 2; k++) {
        print_figure(&against_tcp[k], fortran, k == 0, workers, "own_tcp", AIM_TCP, buffers->bytes);
        print_figure(&against_copy[k], fortran, k == 0, workers, "ring_copy", AIM_COPY, buffers->bytes);
    }
}

static void
bench_workers(int workers, const bench_buffers_t *buffers)
{
    size_t share = buffers->bytes / (size_t)workers;
    copy_t copies[2];
    side_t shm, tcp;

    for (int k = 0; k < workers; k++)
        copies[k] = start_copy((uint8_t *)buffers->in + (size_t)k * share, share);
    shm = open_shm_side(workers, buffers);
    tcp = open_tcp_side(&shm);
    for (int k = 0; k < 2; k++)
        bench_order_of(workers, &shm, &tcp, copies, buffers, k == 1);
    close_side(&tcp);
    close_side(&shm);
    for (int k = 0; k < workers; k++) {
        alchi_stream_destroy(copies[k].stream);
        waitpid(copies[k].pid, NULL, 0);
    }
}

int
main(int argc, char **argv)
{
    int megabytes = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000;
    bench_buffers_t buffers;

    pairs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 15;
    if (megabytes < 1 || pairs < 1) {
        fprintf(stderr, "usage: bench_shm [MB [PAIRS]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    buffers = bench_buffers_open(megabytes);
    printf("ring %zu KiB, of each direction and connection\n", ALCHI_SHM_RING >> 10);
    for (int workers = 1; workers <= 2; workers++)
        bench_workers(workers, &buffers);
    bench_buffers_close(&buffers);
    return 0;
}
