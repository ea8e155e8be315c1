/* Transfers: start, wait, progress, cancel. */
#include "client/transfer.h"
#include "client/transfer_thread.h"
#include "base/error.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A connection that fails usually fails at once. The function that starts a transfer waits this long for the
 * connections, so that it can report such a failure itself. */
#define START_PATIENCE_MS 200
/* A transfer with fewer bytes for each thread is not worth another thread. */
#define BYTES_PER_THREAD ((int64_t)1 << 20)
/* A transfer may use this many threads even on fewer cores: a thread that sleeps in the kernel leaves its core to one
 * that can move bytes. With 3 workers on 2 cores this was 10 to 25 % faster (test/bench/MEASUREMENTS.md). */
#define THREADS_MIN 8

/* The meaning of the option `checksum` = -1: off, because checksums cost more than 5 % on one host
 * (test/bench/MEASUREMENTS.md, man/alchemist-transfer.7). */
#define CHECKSUM_DEFAULT false

/* ---- state that threads share ---- */

void
alchi_cli_transfer_fail(alch_transfer_t *transfer, const alch_error_t *error)
{
    pthread_mutex_lock(&transfer->mutex);
    if (transfer->error.code == ALCH_OK)
        transfer->error = *error;
    pthread_cond_broadcast(&transfer->changed);
    pthread_mutex_unlock(&transfer->mutex);
    __atomic_store_n(&transfer->stop, true, __ATOMIC_RELEASE);
}

bool
alchi_cli_transfer_stopping(const alch_transfer_t *transfer)
{
    return __atomic_load_n(&transfer->stop, __ATOMIC_ACQUIRE);
}

/* ---- creating a transfer ---- */

static void
free_transfer(alch_transfer_t *transfer)
{
    for (int k = 0; k < transfer->lane_count; k++)
        free(transfer->lanes[k].inflight);
    free(transfer->lanes);
    free(transfer->threads);
    alchi_cli_gaps_free(transfer->gaps, transfer->workers);
    pthread_cond_destroy(&transfer->changed);
    pthread_mutex_destroy(&transfer->mutex);
    free(transfer);
}

static int
check_request(const alch_matrix_t *matrix, const alch_rect_t *rect, const void *data, alch_transfer_t **transfer_p,
              alch_error_t *err)
{
    const alch_matrix_info_t *facts = &matrix->facts;

    if (!alchi_rect_within(rect, facts->rows, facts->cols))
        return alchi_error_set(err, ALCH_ERANGE,
                               "the rectangle of %lld x %lld entries at (%lld, %lld) leaves matrix %llu (%lld x %lld)",
                               (long long)rect->m, (long long)rect->n, (long long)rect->i, (long long)rect->j,
                               (unsigned long long)facts->id, (long long)facts->rows, (long long)facts->cols);
    if (!transfer_p || (!data && rect->m && rect->n))
        return alchi_error_set(err, ALCH_EINVAL, "data or transfer_p is NULL");
    return ALCH_OK;
}

static int
add_lane(alch_transfer_t *transfer, int rank, int64_t entries)
{
    const alch_session_options_t *options = &transfer->session->options;
    alchi_cli_lane_t *lane = &transfer->lanes[transfer->lane_count];

    lane->inflight = calloc((size_t)options->messages_in_flight, sizeof(*lane->inflight));
    if (!lane->inflight)
        return ALCH_ENOMEM;
    transfer->lane_count++;
    transfer->total += entries * (int64_t)transfer->memory.entry;
    lane->transfer = transfer;
    lane->rank = lane->timing.worker = rank;
    if (transfer->local_piece)
        alchi_cli_local_piece_splitter_init(&lane->overlap_splitter, transfer->local_piece, &transfer->matrix->layout,
                                            rank, options->message_bytes / (int64_t)transfer->memory.entry);
    else
        alchi_cli_splitter_init(&lane->splitter, &transfer->plan, rank, &transfer->memory,
                                (size_t)options->message_bytes);
    if (transfer->gaps) {
        lane->splitter.subset = transfer->gaps[rank].rects;
        lane->splitter.subset_left = transfer->gaps[rank].count;
    }
    return ALCH_OK;
}

/* How many entries the transfer moves to or from a rank. */
static int64_t
count_entries(const alch_transfer_t *transfer, int rank)
{
    if (transfer->local_piece)
        return alchi_cli_local_piece_entries(transfer->local_piece, &transfer->matrix->layout, rank, transfer->writing);
    return transfer->gaps ? transfer->gaps[rank].entries : alchi_plan_entries(&transfer->plan, rank);
}

/* Add a lane for each rank that receives or sends entries. */
static int
add_lanes(alch_transfer_t *transfer)
{
    int workers = transfer->matrix->layout.workers, lanes = 0;
    int code = ALCH_OK;

    for (int rank = 0; rank < workers; rank++)
        lanes += count_entries(transfer, rank) > 0;
    if (!lanes)
        return ALCH_OK;
    transfer->lanes = calloc((size_t)lanes, sizeof(*transfer->lanes));
    if (!transfer->lanes)
        return ALCH_ENOMEM;
    for (int rank = 0; rank < workers && code == ALCH_OK; rank++) {
        int64_t entries = count_entries(transfer, rank);
        if (entries > 0)
            code = add_lane(transfer, rank, entries);
    }
    transfer->unopened = transfer->lane_count;
    return code;
}

/* Plan the transfer and add its lanes. Call with the matrix's mutex held. */
static int
plan_transfer(alch_transfer_t *transfer, bool missing, alch_error_t *err)
{
    alch_matrix_t *matrix = transfer->matrix;
    int code = alchi_cli_matrix_follow_group(matrix, err);

    if (code != ALCH_OK)
        return code;
    transfer->group = matrix->group;
    transfer->workers = matrix->layout.workers;
    alchi_plan_init(&transfer->plan, &matrix->layout, &transfer->memory.rect,
                    transfer->writing ? ALCHI_PLAN_ALL : ALCHI_PLAN_ONE, INT64_MAX);
    code = missing ? alchi_cli_gaps_query(matrix, &transfer->memory.rect, &transfer->gaps, err) : ALCH_OK;
    if (code == ALCH_OK && add_lanes(transfer) != ALCH_OK)
        code = alchi_error_set(err, ALCH_ENOMEM, "out of memory for a transfer");
    return code;
}

static int
make_transfer(alch_matrix_t *matrix, bool writing, const alchi_cli_memory_t *memory, bool missing,
              const alchi_cli_local_piece_t *local_piece, alch_transfer_t **transfer_p, alch_error_t *err)
{
    alch_transfer_t *transfer = calloc(1, sizeof(*transfer));
    int checksum = matrix->session->options.checksum;
    int code;

    if (!transfer)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a transfer");
    pthread_mutex_init(&transfer->mutex, NULL);
    pthread_cond_init(&transfer->changed, NULL);
    transfer->matrix = matrix;
    transfer->session = matrix->session;
    transfer->writing = writing;
    transfer->checked = checksum < 0 ? CHECKSUM_DEFAULT : checksum;
    transfer->memory = *memory;
    if (local_piece) {
        transfer->local_piece_copy = *local_piece;
        transfer->local_piece = &transfer->local_piece_copy;
    }
    pthread_mutex_lock(&matrix->mutex);
    code = plan_transfer(transfer, missing, err);
    pthread_mutex_unlock(&matrix->mutex);
    if (code != ALCH_OK) {
        free_transfer(transfer);
        return code;
    }
    *transfer_p = transfer;
    return ALCH_OK;
}

/* ---- threads ---- */

static int
choose_threads(const alch_transfer_t *transfer)
{
    int64_t useful = 1 + transfer->total / BYTES_PER_THREAD;
    int threads = transfer->session->options.transfer_threads;
    cpu_set_t cpus;

    if (!threads) {
        int cores = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
        threads = cores > THREADS_MIN ? cores : THREADS_MIN;
    }
    if (threads > transfer->lane_count)
        threads = transfer->lane_count;
    return threads > useful ? (int)useful : threads;
}

/* The threads block all signals: signals belong to the threads of the host program. */
static int
start_threads(alch_transfer_t *transfer, alch_error_t *err)
{
    sigset_t all, before;
    int code = 0;

    transfer->stride = transfer->running = choose_threads(transfer);
    transfer->threads = calloc((size_t)transfer->stride, sizeof(*transfer->threads));
    if (!transfer->threads)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a transfer");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (code == 0 && transfer->thread_count < transfer->stride) {
        code = alchi_cli_transfer_thread_start(transfer, transfer->thread_count,
                                               &transfer->threads[transfer->thread_count]);
        transfer->thread_count += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code ? alchi_error_errno(err, code, "cannot start a thread for a transfer") : ALCH_OK;
}

/* Wait up to START_PATIENCE_MS until all lanes are connected. @return ALCH_OK, or the code of the first failure if
 * lanes are not connected */
static int
wait_until_lanes_open(alch_transfer_t *transfer, alch_error_t *err)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(START_PATIENCE_MS);
    int code = ALCH_OK;

    pthread_mutex_lock(&transfer->mutex);
    while (transfer->unopened && transfer->running && !transfer->error.code && alchi_deadline_left_ms(deadline) != 0)
        alchi_cond_wait(&transfer->changed, &transfer->mutex, deadline);
    if (transfer->unopened && transfer->error.code) {
        code = transfer->error.code;
        if (err)
            *err = transfer->error;
    }
    pthread_mutex_unlock(&transfer->mutex);
    return code;
}

static int
try_start(alch_matrix_t *matrix, bool writing, const alchi_cli_memory_t *memory, bool missing,
          const alchi_cli_local_piece_t *local_piece, alch_transfer_t **transfer_p, alch_error_t *err)
{
    alch_transfer_t *transfer = NULL;
    int code = make_transfer(matrix, writing, memory, missing, local_piece, &transfer, err);

    if (code != ALCH_OK)
        return code;
    if (transfer->lane_count) {
        code = start_threads(transfer, err);
        if (code == ALCH_OK)
            code = wait_until_lanes_open(transfer, err);
    }
    if (code != ALCH_OK)
        alch_transfer_destroy(transfer);
    else
        *transfer_p = transfer;
    return code;
}

/* Whether another client has moved the session, and with it the matrix, to other workers. */
static bool
has_moved(alch_matrix_t *matrix)
{
    bool moved;

    pthread_mutex_lock(&matrix->mutex);
    moved = alchi_cli_matrix_has_moved(matrix);
    pthread_mutex_unlock(&matrix->mutex);
    return moved;
}

int
alchi_cli_transfer_start(alch_matrix_t *matrix, bool writing, const alchi_cli_memory_t *memory, bool missing,
                         const alchi_cli_local_piece_t *local_piece, alch_transfer_t **transfer_p, alch_error_t *err)
{
    alch_error_t error = {0};
    int code = try_start(matrix, writing, memory, missing, local_piece, transfer_p, &error);

    if (code != ALCH_OK && has_moved(matrix))
        return try_start(matrix, writing, memory, missing, local_piece, transfer_p, err);
    if (code != ALCH_OK && err)
        *err = error;
    return code;
}

static int
start_strided(alch_matrix_t *matrix, bool writing, bool missing, const alch_rect_t *rect, const void *data,
              int64_t row_stride, int64_t col_stride, alch_transfer_t **transfer_p, alch_error_t *err)
{
    alchi_cli_memory_t memory = {(uint8_t *)data, {0, 0, 0, 0}, row_stride, col_stride, 0};
    int code;

    if (!matrix)
        return alchi_error_set(err, ALCH_EINVAL, "the matrix is NULL");
    if ((code = alchi_cli_session_check(matrix->session, err)) != ALCH_OK)
        return code;
    memory.entry = matrix->entry;
    memory.rect = rect ? *rect : (alch_rect_t){0, 0, matrix->facts.rows, matrix->facts.cols};
    if ((code = check_request(matrix, &memory.rect, data, transfer_p, err)) != ALCH_OK)
        return code;
    return alchi_cli_transfer_start(matrix, writing, &memory, missing, NULL, transfer_p, err);
}

int
alch_matrix_write_start(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data, int64_t row_stride,
                        int64_t col_stride, alch_transfer_t **transfer_p, alch_error_t *err)
{
    return start_strided(matrix, true, false, rect, data, row_stride, col_stride, transfer_p, err);
}

int
alch_matrix_write_missing_start(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data, int64_t row_stride,
                                int64_t col_stride, alch_transfer_t **transfer_p, alch_error_t *err)
{
    return start_strided(matrix, true, true, rect, data, row_stride, col_stride, transfer_p, err);
}

int
alch_matrix_read_start(alch_matrix_t *matrix, const alch_rect_t *rect, void *data, int64_t row_stride,
                       int64_t col_stride, alch_transfer_t **transfer_p, alch_error_t *err)
{
    return start_strided(matrix, false, false, rect, data, row_stride, col_stride, transfer_p, err);
}

/* ---- waiting, progress, end ---- */

/* Get the code of a transfer whose threads have ended. A cancel after the last byte has no effect. Call with the mutex
 * held. */
static int
get_outcome(const alch_transfer_t *transfer, alch_error_t *err)
{
    int64_t done = __atomic_load_n(&transfer->done, __ATOMIC_ACQUIRE);

    if (transfer->error.code != ALCH_OK) {
        if (err)
            *err = transfer->error;
        return transfer->error.code;
    }
    if (done < transfer->total)
        return alchi_error_set(err, ALCH_ECANCELED, "the transfer was canceled after %lld of %lld bytes",
                               (long long)done, (long long)transfer->total);
    return ALCH_OK;
}

int
alch_transfer_wait(alch_transfer_t *transfer, int timeout_ms, alch_error_t *err)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(timeout_ms);
    int code;

    if (!transfer)
        return alchi_error_set(err, ALCH_EINVAL, "the transfer is NULL");
    if ((code = alchi_cli_session_check(transfer->session, err)) != ALCH_OK)
        return code;
    pthread_mutex_lock(&transfer->mutex);
    while (transfer->running && alchi_deadline_left_ms(deadline) != 0)
        alchi_cond_wait(&transfer->changed, &transfer->mutex, deadline);
    code = transfer->running ? ALCH_EAGAIN : get_outcome(transfer, err);
    pthread_mutex_unlock(&transfer->mutex);
    return code == ALCH_EAGAIN ? alchi_error_set(err, code, "the transfer is still in progress") : code;
}

void
alch_transfer_progress(const alch_transfer_t *transfer, int64_t *done_p, int64_t *total_p)
{
    if (done_p)
        *done_p = __atomic_load_n(&transfer->done, __ATOMIC_ACQUIRE);
    if (total_p)
        *total_p = transfer->total;
}

int64_t
alch_transfer_resent(const alch_transfer_t *transfer)
{
    return __atomic_load_n(&transfer->resent, __ATOMIC_RELAXED);
}

void
alch_transfer_cancel(alch_transfer_t *transfer)
{
    if (!transfer)
        return;
    __atomic_store_n(&transfer->canceled, true, __ATOMIC_RELEASE);
    __atomic_store_n(&transfer->stop, true, __ATOMIC_RELEASE);
}

size_t
alch_transfer_timings(const alch_transfer_t *transfer, alch_timing_t *timings, size_t max)
{
    for (size_t k = 0; timings && k < max && k < (size_t)transfer->lane_count; k++)
        timings[k] = transfer->lanes[k].timing;
    return (size_t)transfer->lane_count;
}

void
alch_transfer_destroy(alch_transfer_t *transfer)
{
    /* In a forked child the threads do not exist, and a lock may be held or the memory half changed: free nothing. */
    if (!transfer || transfer->session->pid != getpid())
        return;
    alch_transfer_cancel(transfer);
    for (int k = 0; k < transfer->thread_count; k++)
        pthread_join(transfer->threads[k], NULL);
    free_transfer(transfer);
}

int
alch_matrix_write(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data, int64_t row_stride,
                  int64_t col_stride, alch_error_t *err)
{
    alch_transfer_t *transfer;
    int code = alch_matrix_write_start(matrix, rect, data, row_stride, col_stride, &transfer, err);

    if (code != ALCH_OK)
        return code;
    code = alch_transfer_wait(transfer, -1, err);
    alch_transfer_destroy(transfer);
    return code;
}

int
alch_matrix_read(alch_matrix_t *matrix, const alch_rect_t *rect, void *data, int64_t row_stride, int64_t col_stride,
                 alch_error_t *err)
{
    alch_transfer_t *transfer;
    int code = alch_matrix_read_start(matrix, rect, data, row_stride, col_stride, &transfer, err);

    if (code != ALCH_OK)
        return code;
    code = alch_transfer_wait(transfer, -1, err);
    alch_transfer_destroy(transfer);
    return code;
}
