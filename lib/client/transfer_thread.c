/* A thread of a transfer. It opens its lanes, steps them while bytes move, and else sleeps in poll(). */
#include "client/transfer_thread.h"
#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

/* A sleeping thread wakes at this interval, to see whether the transfer was canceled or another lane has failed. */
#define POLL_SLICE_MS 50
/* When a transfer stops, a lane with messages in flight is closed after this long without progress. */
#define STOP_PATIENCE_MS 1000
/* The client may notice the end of a rank before the driver does. It asks the driver for the reason at intervals, for
 * this long in total. Each request has a time limit. */
#define REASON_PATIENCE_MS 3000
#define REASON_INTERVAL_MS 50
#define REASON_TIMEOUT_MS 5000

/* The arguments of a new thread. */
typedef struct {
    alch_transfer_t *transfer;
    int index;
} arguments_t;

/* ---- failures ---- */

/* Ask the driver for the matrix. @return ALCH_OK: the driver has not noticed a failure */
static int
ask_driver(alch_transfer_t *transfer, alch_error_t *reason)
{
    Alchw__MatrixId request = ALCHW__MATRIX_ID__INIT;

    request.has_id = true;
    request.id = transfer->matrix->facts.id;
    return alchi_cli_control_request(transfer->session->control, ALCHI_GET_MATRIX, &request, ALCHI_MATRIX,
                                     alchi_deadline_in_ms(REASON_TIMEOUT_MS), NULL, reason);
}

/* If the driver reports a failure within `patience_ms`, replace the lane's error by that. */
static void
replace_by_driver_reason(alch_transfer_t *transfer, int patience_ms, alch_error_t *error)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(patience_ms);
    alch_error_t reason;
    int code;

    for (;;) {
        code = ask_driver(transfer, &reason);
        if (code != ALCH_OK && code != ALCH_ETIMEDOUT)
            *error = reason;
        if (code != ALCH_OK || alchi_deadline_left_ms(deadline) == 0 || alchi_cli_transfer_stopping(transfer))
            return;
        poll(NULL, 0, REASON_INTERVAL_MS);
    }
}

/* Close a lane that failed and, unless the transfer was canceled, fail the transfer. For the first failure, ask the
 * driver for the reason. */
static void
fail_lane(alchi_cli_lane_t *lane, alch_error_t *error)
{
    alch_transfer_t *transfer = lane->transfer;

    alchi_cli_lane_close(lane, false);
    if (!alchi_cli_transfer_stopping(transfer)) {
        bool broken = error->code == ALCH_ECONNECT || error->code == ALCH_EPROTO;
        replace_by_driver_reason(transfer, broken ? REASON_PATIENCE_MS : 0, error);
        if (error->code == ALCH_EGROUP)
            alchi_cli_pool_set_group(transfer->session, NULL, NULL);
    }
    if (!__atomic_load_n(&transfer->canceled, __ATOMIC_ACQUIRE))
        alchi_cli_transfer_fail(transfer, error);
}

/* Fail a lane that has made no progress for too long. */
static void
check_progress(alchi_cli_lane_t *lane)
{
    int limit_ms = lane->transfer->session->options.transfer_timeout_ms;
    bool stopping = alchi_cli_transfer_stopping(lane->transfer);
    alch_error_t error = {0};

    if (stopping && limit_ms > STOP_PATIENCE_MS)
        limit_ms = STOP_PATIENCE_MS;
    if (alchi_now_ns() - lane->moved_ns < (int64_t)limit_ms * 1000000)
        return;
    alchi_error_rank(&error, ALCH_ETIMEDOUT, lane->rank, "%s made no progress for %g s", lane->where, limit_ms * 1e-3);
    fail_lane(lane, &error);
}

/* ---- opening ---- */

static void
mark_lane_open(alch_transfer_t *transfer)
{
    pthread_mutex_lock(&transfer->mutex);
    transfer->unopened--;
    if (!transfer->unopened)
        pthread_cond_broadcast(&transfer->changed);
    pthread_mutex_unlock(&transfer->mutex);
}

/* The cached group may be out of date: if connecting fails, ask the driver for the group and try once more. */
static int
open_lane(alchi_cli_lane_t *lane, alch_error_t *err)
{
    alch_session_t *session = lane->transfer->session;
    alchi_cli_group_t *group;
    uint64_t tried = 0;
    int code = ALCH_OK;

    for (int k = 0; k < 2; k++) {
        alch_error_t *detail = k ? NULL : err;
        if (alchi_cli_pool_get_group(session, k > 0, &group, detail) != ALCH_OK)
            return k ? code : err->code;
        if (group->id != tried)
            code = alchi_cli_lane_open(lane, group, err);
        tried = group->id;
        alchi_cli_group_release(group);
        if (code == ALCH_OK)
            break;
    }
    return code;
}

static void
open_lanes(alch_transfer_t *transfer, int index)
{
    alch_error_t error = {0};

    for (int k = index; k < transfer->lane_count && !alchi_cli_transfer_stopping(transfer); k += transfer->stride) {
        if (open_lane(&transfer->lanes[k], &error) == ALCH_OK)
            mark_lane_open(transfer);
        else
            fail_lane(&transfer->lanes[k], &error);
    }
}

/* ---- moving ---- */

/* Step every lane of the thread once. Returns how many lanes are still open. *moved_p: bytes moved, so step again at
 * once */
static int
step_lanes(alch_transfer_t *transfer, int index, bool *moved_p)
{
    alch_error_t error = {0};
    int left = 0;

    *moved_p = false;
    for (int k = index; k < transfer->lane_count; k += transfer->stride) {
        alchi_cli_lane_t *lane = &transfer->lanes[k];
        bool moved = false;
        if (!lane->link)
            continue;
        if (alchi_cli_lane_step(lane, &moved, &error) != ALCH_OK)
            fail_lane(lane, &error);
        else if (alchi_cli_lane_finished(lane))
            alchi_cli_lane_close(lane, true);
        *moved_p = *moved_p || moved;
        left += lane->link != NULL;
    }
    return left;
}

/* Sleep until bytes can move, and fail lanes that have not moved for too long. */
static void
sleep_lanes(alch_transfer_t *transfer, int index, struct pollfd *fds, alchi_cli_lane_t **lanes)
{
    nfds_t count = 0;

    for (int k = index; k < transfer->lane_count; k += transfer->stride) {
        alchi_cli_lane_t *lane = &transfer->lanes[k];
        if (!lane->link)
            continue;
        fds[count] = (struct pollfd){.fd = lane->link->descriptor, .events = alchi_cli_lane_events(lane)};
        lanes[count++] = lane;
    }
    if (poll(fds, count, POLL_SLICE_MS) < 0)
        return;
    for (nfds_t k = 0; k < count; k++) {
        if (!fds[k].revents)
            check_progress(lanes[k]);
    }
}

static void
move_lanes(alch_transfer_t *transfer, int index)
{
    size_t count = (size_t)(transfer->lane_count / transfer->stride + 1);
    struct pollfd *fds = calloc(count, sizeof(*fds));
    alchi_cli_lane_t **lanes = calloc(count, sizeof(*lanes));
    alch_error_t error = {0};
    bool moved;

    if (fds && lanes) {
        while (step_lanes(transfer, index, &moved) > 0) {
            if (!moved)
                sleep_lanes(transfer, index, fds, lanes);
        }
    } else {
        alchi_error_set(&error, ALCH_ENOMEM, "out of memory for a transfer");
        alchi_cli_transfer_fail(transfer, &error);
    }
    free(lanes);
    free(fds);
}

static void *
run_transfer_thread(void *context)
{
    arguments_t arguments = *(arguments_t *)context;
    alch_transfer_t *transfer = arguments.transfer;

    free(context);
    open_lanes(transfer, arguments.index);
    move_lanes(transfer, arguments.index);
    for (int k = arguments.index; k < transfer->lane_count; k += transfer->stride)
        alchi_cli_lane_close(&transfer->lanes[k], false);
    pthread_mutex_lock(&transfer->mutex);
    transfer->running--;
    pthread_cond_broadcast(&transfer->changed);
    pthread_mutex_unlock(&transfer->mutex);
    return NULL;
}

int
alchi_cli_transfer_thread_start(alch_transfer_t *transfer, int index, pthread_t *thread_p)
{
    arguments_t *arguments = malloc(sizeof(*arguments));
    int code;

    if (!arguments)
        return ENOMEM;
    *arguments = (arguments_t){transfer, index};
    code = pthread_create(thread_p, NULL, run_transfer_thread, arguments);
    if (code != 0)
        free(arguments);
    return code;
}
