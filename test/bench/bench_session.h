/** @file bench_session.h  Common parts of the benchmarks of sessions: errors, which end the program, and the matrices.
 */
#ifndef ALCHI_BENCH_SESSION_H
#define ALCHI_BENCH_SESSION_H

#include "bench_raw.h"

#include <alchemist/alchemist.h>
#include <errno.h>

#define BENCH_COLS 1000

static alch_error_t bench_err;

/** End the program with the error's text if a call failed. @param what  the call */
static inline void
bench_check(int code, const char *what)
{
    if (code == ALCH_OK)
        return;
    fprintf(stderr, "%s: %s: %s: %s\n", program_invocation_short_name, what, alch_errname(code), bench_err.text);
    exit(code);
}

/** A matrix of float64 with BENCH_COLS columns: `out` is sent, `in` is fetched. */
typedef struct {
    double *out, *in;
    int64_t rows;
    size_t bytes; /* of each */
    bool fresh;   /* all targets are mapped again for each repetition: `in`, and those of workers and raw sockets */
} bench_buffers_t;

static inline bench_buffers_t
bench_buffers_open(int megabytes)
{
    bench_buffers_t buffers = {.rows = (int64_t)megabytes * 1000000 / (8 * BENCH_COLS)};

    buffers.bytes = (size_t)buffers.rows * BENCH_COLS * 8;
    buffers.out = bench_map(buffers.bytes);
    buffers.in = bench_map_warm(buffers.bytes);
    for (int64_t k = 0; k < buffers.rows * BENCH_COLS; k++)
        buffers.out[k] = (double)k;
    return buffers;
}

static inline void
bench_buffers_close(bench_buffers_t *buffers)
{
    munmap(buffers->in, buffers->bytes);
    munmap(buffers->out, buffers->bytes);
}

/** End the program if the entries that were fetched differ from those that were sent. */
static inline void
bench_verify(const bench_buffers_t *buffers, const char *what)
{
    if (memcmp(buffers->in, buffers->out, buffers->bytes) == 0)
        return;
    fprintf(stderr, "%s: %s: the fetched entries differ from the sent ones\n", program_invocation_short_name, what);
    exit(1);
}

#endif
