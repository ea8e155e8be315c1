/** @file bench_raw.h  The limit that transfers are compared with: plain sockets to forked processes. Also the
 * statistics of pairs of measurements, and the memory that benchmarks move. */
#ifndef ALCHI_BENCH_RAW_H
#define ALCHI_BENCH_RAW_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline double
bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- pairs ---- */

/** Pairs of times: of our code, and of the limit that it is compared with. */
typedef struct {
    int count;
    double *ours, *limit; /* seconds */
} bench_pairs_t;

static inline bench_pairs_t
bench_pairs_create(int pairs)
{
    return (bench_pairs_t){0, calloc((size_t)pairs, sizeof(double)), calloc((size_t)pairs, sizeof(double))};
}

static inline void
bench_add_pair(bench_pairs_t *pairs, double ours, double limit)
{
    pairs->ours[pairs->count] = ours;
    pairs->limit[pairs->count++] = limit;
}

static inline int
bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static inline double
bench_quantile(double *values, int count, double q)
{
    qsort(values, (size_t)count, sizeof(*values), bench_compare);
    return values[(int)(q * (count - 1) + 0.5)];
}

/** Print the medians, and the median of the ratio with its quartiles, and free the pairs.
 *  @param limit  the name of the limit in the printed rows
 *  @param rate   the figure is scale / seconds, else seconds * scale; the ratio is that of the figures
 *  @param aim    of the ratio; 0: none. A rate meets it if the upper quartile is at least the aim, a time if the lower
 *                quartile is at most the aim. */
static inline void
bench_print_aim(bench_pairs_t *pairs, const char *name, const char *limit, double scale, const char *unit, bool rate,
                double aim)
{
    double *ratios = calloc((size_t)pairs->count, sizeof(double)), ours, best, low, high;

    for (int k = 0; k < pairs->count; k++)
        ratios[k] = rate ? pairs->limit[k] / pairs->ours[k] : pairs->ours[k] / pairs->limit[k];
    ours = bench_quantile(pairs->ours, pairs->count, 0.5);
    best = bench_quantile(pairs->limit, pairs->count, 0.5);
    low = bench_quantile(ratios, pairs->count, 0.25);
    high = bench_quantile(ratios, pairs->count, 0.75);
    printf("%s %.4g %s\n", name, rate ? scale / ours : ours * scale, unit);
    printf("%s_limit_%s %.4g %s\n", name, limit, rate ? scale / best : best * scale, unit);
    printf("%s_ratio %.3f x (quartiles %.3f..%.3f of %d pairs", name, bench_quantile(ratios, pairs->count, 0.5), low,
           high, pairs->count);
    if (aim > 0)
        printf("; aim %s %g: %s", rate ? "at least" : "at most", aim,
               (rate ? high >= aim : low <= aim) ? "met" : "missed");
    printf(")\n");
    free(ratios);
    free(pairs->ours);
    free(pairs->limit);
}

static inline void
bench_print(bench_pairs_t *pairs, const char *name, const char *limit, double scale, const char *unit, bool rate)
{
    bench_print_aim(pairs, name, limit, scale, unit, rate, 0);
}

/* ---- memory ---- */

/** Map memory with huge pages if the system has them, which the workers and NumPy ask for too. The system adds a page
 *  when it is first touched, so memory that was just mapped is fresh. Forked processes do not inherit it: shared pages
 *  would have to be copied later. */
static inline void *
bench_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        fprintf(stderr, "%zu bytes cannot be mapped\n", bytes);
        exit(1);
    }
    madvise(memory, bytes, MADV_HUGEPAGE);
    madvise(memory, bytes, MADV_DONTFORK);
    return memory;
}

/** Map memory whose pages are present already. */
static inline void *
bench_map_warm(size_t bytes)
{
    return memset(bench_map(bytes), 1, bytes);
}

/* ---- raw sockets ---- */

#define BENCH_STREAMS_MAX 8
/* Bytes of one send() or recv(): the fastest size between 128 KiB and all at once, on the machine of the measurements.
 * The benchmark does not set the size of socket buffers: the kernel makes them larger than a program may ask for. */
#define BENCH_CALL ((size_t)4 << 20)

/** Streams to forked processes, one process for each stream, like one worker for each connection. A process obeys these
 *  bytes:
 *    'e'  echo the byte
 *    's'  receive into warm memory
 *    'S'  receive into memory that was just mapped
 *    'f'  send from warm memory
 *    'd'  unmap the memory of the last 'S'
 *  The parent sends 'd' right before each timed transfer, and not earlier: a virtual machine may return memory that is
 *  free for a while to its host, and getting it back takes long. The matrices of the client are freed at the same
 * point.
 */
typedef struct {
    int streams;
    size_t bytes; /* of all streams together */
    int fds[BENCH_STREAMS_MAX];
    pid_t pids[BENCH_STREAMS_MAX];
} bench_raw_t;

/** Send or receive all bytes; ends the process if the other side has closed. */
static inline void
bench_raw_copy(int fd, void *memory, size_t bytes, bool sending)
{
    char *at = memory;

    while (bytes > 0) {
        size_t size = bytes < BENCH_CALL ? bytes : BENCH_CALL;
        ssize_t n = sending ? send(fd, at, size, MSG_NOSIGNAL) : recv(fd, at, size, 0);

        if (n <= 0)
            _exit(1);
        at += n;
        bytes -= (size_t)n;
    }
}

/** The forked process of one stream. */
static inline void
bench_raw_serve(int fd, size_t bytes)
{
    char *warm = bench_map_warm(bytes + 1), *fresh = NULL, order;

    while (recv(fd, &order, 1, 0) == 1) {
        if (order == 's')
            bench_raw_copy(fd, warm, bytes, false);
        if (order == 'S')
            bench_raw_copy(fd, fresh = bench_map(bytes), bytes, false);
        if (order == 'd' && fresh) {
            munmap(fresh, bytes);
            fresh = NULL;
        }
        if (order == 'f')
            bench_raw_copy(fd, warm, bytes, true);
        else
            bench_raw_copy(fd, &order, 1, true);
    }
    _exit(0);
}

/** Bytes of stream k. */
static inline size_t
bench_raw_bytes(const bench_raw_t *raw, int k)
{
    return raw->bytes / (size_t)raw->streams + (k == 0 ? raw->bytes % (size_t)raw->streams : 0);
}

static inline bench_raw_t
bench_raw_open(int streams, size_t bytes)
{
    bench_raw_t raw = {.streams = streams, .bytes = bytes};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM, 0), theirs, on = 1;

    if (bind(listening, (struct sockaddr *)&address, size) != 0 || listen(listening, streams) != 0 ||
        getsockname(listening, (struct sockaddr *)&address, &size) != 0)
        exit(1);
    for (int k = 0; k < streams; k++) {
        raw.fds[k] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(raw.fds[k], (struct sockaddr *)&address, size) != 0 || (theirs = accept(listening, NULL, NULL)) < 0)
            exit(1);
        setsockopt(raw.fds[k], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(theirs, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if ((raw.pids[k] = fork()) == 0) {
            for (int other = 0; other <= k; other++)
                close(raw.fds[other]);
            bench_raw_serve(theirs, bench_raw_bytes(&raw, k));
        }
        close(theirs);
    }
    close(listening);
    return raw;
}

static inline void
bench_raw_close(bench_raw_t *raw)
{
    for (int k = 0; k < raw->streams; k++)
        close(raw->fds[k]);
    for (int k = 0; k < raw->streams; k++)
        waitpid(raw->pids[k], NULL, 0);
}

/** Measure the round trip of one byte. @return seconds */
static inline double
bench_raw_echo(bench_raw_t *raw, int trips)
{
    double started = bench_now();
    char byte = 'e';

    for (int k = 0; k < trips; k++) {
        bench_raw_copy(raw->fds[0], &byte, 1, true);
        bench_raw_copy(raw->fds[0], &byte, 1, false);
    }
    return (bench_now() - started) / trips;
}

typedef struct {
    int fd;
    char *memory;
    size_t bytes;
    char order;
} bench_stream_t;

static inline void *
bench_raw_run_stream(void *context)
{
    bench_stream_t *stream = context;
    bool sending = stream->order != 'f';

    bench_raw_copy(stream->fd, &stream->order, 1, true);
    bench_raw_copy(stream->fd, stream->memory, stream->bytes, sending);
    if (sending)
        bench_raw_copy(stream->fd, &stream->order, 1, false);
    return NULL;
}

/** Move all bytes, with a thread for each stream. @return seconds */
static inline double
bench_raw_move(bench_raw_t *raw, void *memory, char order)
{
    bench_stream_t streams[BENCH_STREAMS_MAX];
    pthread_t threads[BENCH_STREAMS_MAX];
    char *at = memory, drop = 'd';
    double started;

    for (int k = 0; k < raw->streams; k++) {
        bench_raw_copy(raw->fds[k], &drop, 1, true);
        bench_raw_copy(raw->fds[k], &drop, 1, false);
    }
    started = bench_now();
    for (int k = 0; k < raw->streams; k++) {
        streams[k] = (bench_stream_t){raw->fds[k], at, bench_raw_bytes(raw, k), order};
        at += streams[k].bytes;
        pthread_create(&threads[k], NULL, bench_raw_run_stream, &streams[k]);
    }
    for (int k = 0; k < raw->streams; k++)
        pthread_join(threads[k], NULL);
    return bench_now() - started;
}

/** @param fresh  the other side receives into memory that was just mapped */
static inline double
bench_raw_send(bench_raw_t *raw, void *memory, bool fresh)
{
    return bench_raw_move(raw, memory, fresh ? 'S' : 's');
}

static inline double
bench_raw_fetch(bench_raw_t *raw, void *memory)
{
    return bench_raw_move(raw, memory, 'f');
}

#endif
