/** @file bench_raw.h  The limit that transfers are held against: plain sockets to forked processes; and the statistics.
 */
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

typedef struct {
    int count;
    double *ours, *limit; /* seconds */
} bench_pairs_t;

static inline bench_pairs_t
bench_pairs(int pairs)
{
    return (bench_pairs_t){0, calloc((size_t)pairs, sizeof(double)), calloc((size_t)pairs, sizeof(double))};
}

static inline void
bench_pair(bench_pairs_t *pairs, double ours, double limit)
{
    pairs->ours[pairs->count] = ours;
    pairs->limit[pairs->count++] = limit;
}

static inline int
bench_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static inline double
bench_quantile(double *values, int count, double q)
{
    qsort(values, (size_t)count, sizeof(*values), bench_order);
    return values[(int)(q * (count - 1) + 0.5)];
}

/** Medians, and the ratio with its quartiles. `rate`: the figure is scale / seconds, else seconds * scale; the ratio is
 *  that of the figures. Frees the pairs. */
static inline void
bench_print(bench_pairs_t *pairs, const char *name, const char *limit, double scale, const char *unit, bool rate)
{
    double *ratios = calloc((size_t)pairs->count, sizeof(double)), ours, best;

    for (int k = 0; k < pairs->count; k++)
        ratios[k] = rate ? pairs->limit[k] / pairs->ours[k] : pairs->ours[k] / pairs->limit[k];
    ours = bench_quantile(pairs->ours, pairs->count, 0.5);
    best = bench_quantile(pairs->limit, pairs->count, 0.5);
    printf("%s %.4g %s\n", name, rate ? scale / ours : ours * scale, unit);
    printf("%s_beside_%s %.4g %s\n", name, limit, rate ? scale / best : best * scale, unit);
    printf("%s_ratio %.3f x (quartiles %.3f..%.3f of %d pairs)\n", name, bench_quantile(ratios, pairs->count, 0.5),
           bench_quantile(ratios, pairs->count, 0.25), bench_quantile(ratios, pairs->count, 0.75), pairs->count);
    free(ratios);
    free(pairs->ours);
    free(pairs->limit);
}

/* ---- raw sockets ---- */

#define BENCH_STREAMS_MAX 8

/* One forked process per stream; it obeys bytes: 'e' echo, 's' take `bytes`, 'f' give `bytes`. */
typedef struct {
    int streams;
    size_t bytes; /* in all */
    int fds[BENCH_STREAMS_MAX];
    pid_t pids[BENCH_STREAMS_MAX];
} bench_raw_t;

static inline void
bench_move(int fd, void *memory, size_t bytes, bool sending)
{
    char *at = memory;

    while (bytes > 0) {
        ssize_t n = sending ? send(fd, at, bytes, MSG_NOSIGNAL) : recv(fd, at, bytes, 0);
        if (n <= 0)
            _exit(1);
        at += n;
        bytes -= (size_t)n;
    }
}

static inline void
bench_serve(int fd, size_t bytes)
{
    char *memory = malloc(bytes + 1), order;

    memset(memory, 1, bytes + 1);
    while (recv(fd, &order, 1, 0) == 1) {
        if (order == 's')
            bench_move(fd, memory, bytes, false);
        if (order == 'f')
            bench_move(fd, memory, bytes, true);
        else
            bench_move(fd, &order, 1, true);
    }
    _exit(0);
}

static inline size_t
bench_share(const bench_raw_t *raw, int k)
{
    return raw->bytes / (size_t)raw->streams + (k == 0 ? raw->bytes % (size_t)raw->streams : 0);
}

static inline bench_raw_t
bench_raw_open(int streams, size_t bytes)
{
    bench_raw_t raw = {.streams = streams, .bytes = bytes};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (bind(listening, (struct sockaddr *)&address, size) != 0 || listen(listening, streams) != 0 ||
        getsockname(listening, (struct sockaddr *)&address, &size) != 0)
        exit(1);
    for (int k = 0; k < streams; k++) {
        if ((raw.pids[k] = fork()) == 0) {
            int fd = accept(listening, NULL, NULL);
            for (int other = 0; other < k; other++)
                close(raw.fds[other]);
            close(listening);
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            bench_serve(fd, bench_share(&raw, k));
        }
        raw.fds[k] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(raw.fds[k], (struct sockaddr *)&address, size) != 0)
            exit(1);
        setsockopt(raw.fds[k], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
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

/** Seconds of one round trip of one byte. */
static inline double
bench_raw_echo(bench_raw_t *raw, int trips)
{
    double started = bench_now();
    char byte = 'e';

    for (int k = 0; k < trips; k++) {
        bench_move(raw->fds[0], &byte, 1, true);
        bench_move(raw->fds[0], &byte, 1, false);
    }
    return (bench_now() - started) / trips;
}

typedef struct {
    int fd;
    char *memory;
    size_t bytes;
    bool sending;
} bench_stream_t;

static inline void *
bench_stream(void *context)
{
    bench_stream_t *stream = context;
    char order = stream->sending ? 's' : 'f';

    bench_move(stream->fd, &order, 1, true);
    bench_move(stream->fd, stream->memory, stream->bytes, stream->sending);
    if (stream->sending)
        bench_move(stream->fd, &order, 1, false);
    return NULL;
}

static inline double
bench_raw_move(bench_raw_t *raw, void *memory, bool sending)
{
    bench_stream_t streams[BENCH_STREAMS_MAX];
    pthread_t threads[BENCH_STREAMS_MAX];
    double started = bench_now();
    char *at = memory;

    for (int k = 0; k < raw->streams; k++) {
        streams[k] = (bench_stream_t){raw->fds[k], at, bench_share(raw, k), sending};
        at += streams[k].bytes;
        pthread_create(&threads[k], NULL, bench_stream, &streams[k]);
    }
    for (int k = 0; k < raw->streams; k++)
        pthread_join(threads[k], NULL);
    return bench_now() - started;
}

static inline double
bench_raw_send(bench_raw_t *raw, void *memory)
{
    return bench_raw_move(raw, memory, true);
}

static inline double
bench_raw_fetch(bench_raw_t *raw, void *memory)
{
    return bench_raw_move(raw, memory, false);
}

#endif
