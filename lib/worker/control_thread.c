/* The control thread of a rank: it receives the driver's commands, and sends answers and reports of progress. */
#include "worker/control_thread.h"
#include "base/error.h"
#include "base/log.h"
#include "wire/layout_message.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PROGRESS_INTERVAL_NS (50 * 1000000LL)
#define TERM_MS 200  /* how long after SIGTERM a WORKER_QUIT may arrive */
#define QUIT_MS 1000 /* how long the main thread may take for an orderly end */

/* The last report of a task. */
typedef struct {
    uint64_t task;
    double fraction;
    char text[256];
} progress_t;

struct alchi_rank_control {
    alchi_rank_control_env_t env;
    pthread_mutex_t sending; /* guards the sending side of the channel and the next three members */
    progress_t progress;
    bool progress_waits; /* the last report is still to be sent, because it came too soon or the channel was full */
    int64_t progress_ns; /* when a report was last sent */
    int wake_fd;         /* eventfd: wakes the thread when there is something to send */
    int term_fd;         /* signalfd for SIGTERM */
};

/* Without its driver a rank has no work. The main thread may be inside a call, so the process ends without it. */
static _Noreturn void
exit_without_driver(const alchi_rank_control_t *control, int code)
{
    const char *fault = alchi_channel_fault(control->env.channel);

    if (code == ALCH_ECONNECT)
        alchi_log(ALCHI_LOG_DEBUG, "the driver closed its connection; the rank ends");
    else
        alchi_log(ALCHI_LOG_ERROR, "the connection to the driver failed: %s; the rank ends",
                  fault[0] ? fault : alch_strerror(code));
    _exit(code);
}

/* Unlock the mutex after a send, and wake the thread if the channel has not sent everything. */
static int
finish_send(alchi_rank_control_t *control, int code)
{
    uint64_t one = 1;
    bool left = alchi_channel_wants_write(control->env.channel);

    pthread_mutex_unlock(&control->sending);
    if (code && code != ALCH_ERANGE)
        exit_without_driver(control, code);
    if (left && write(control->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        exit_without_driver(control, ALCH_ESYSTEM);
    return code;
}

int
alchi_rank_control_send(alchi_rank_control_t *control, unsigned type, uint64_t id, const void *message)
{
    pthread_mutex_lock(&control->sending);
    return finish_send(control,
                       alchi_channel_send(control->env.channel, type, id ? ALCHI_FRAME_REPLY : 0, id, message));
}

void
alchi_rank_control_send_error(alchi_rank_control_t *control, uint64_t id, const alch_error_t *error)
{
    alch_error_t mine = *error;

    if (mine.rank < 0)
        mine.rank = control->env.rank;
    pthread_mutex_lock(&control->sending);
    finish_send(control, alchi_channel_send_error(control->env.channel, id, &mine));
}

/* The caller has locked the mutex; this function unlocks it. */
static void
send_progress(alchi_rank_control_t *control)
{
    Alchw__WorkerProgress progress = ALCHW__WORKER_PROGRESS__INIT;

    control->progress_waits = false;
    control->progress_ns = alchi_now_ns();
    progress.has_task = progress.has_fraction = true;
    progress.task = control->progress.task;
    progress.fraction = control->progress.fraction;
    progress.text = control->progress.text;
    finish_send(control, alchi_channel_send(control->env.channel, ALCHI_WORKER_PROGRESS, 0, 0, &progress));
}

void
alchi_rank_control_progress(alchi_rank_control_t *control, uint64_t task, double fraction, const char *text)
{
    uint64_t one = 1;
    bool same, first;

    pthread_mutex_lock(&control->sending);
    same = control->progress.task == task;
    control->progress.task = task;
    control->progress.fraction = fraction;
    snprintf(control->progress.text, sizeof(control->progress.text), "%s", text ? text : "");
    if (!(same && alchi_now_ns() - control->progress_ns < PROGRESS_INTERVAL_NS) &&
        !alchi_channel_wants_write(control->env.channel)) {
        send_progress(control);
        return;
    }
    first = !control->progress_waits;
    control->progress_waits = true;
    pthread_mutex_unlock(&control->sending);
    if (first && write(control->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        exit_without_driver(control, ALCH_ESYSTEM);
}

/* Send the last report of a task if PROGRESS_INTERVAL_NS have passed. The next report of the task may come minutes
 * later.
 * @return milliseconds until the report can be sent; -1: no report waits for time to pass */
static int
send_waiting_progress(alchi_rank_control_t *control)
{
    int64_t left;

    pthread_mutex_lock(&control->sending);
    left = control->progress_ns + PROGRESS_INTERVAL_NS - alchi_now_ns();
    if (control->progress_waits && left <= 0 && !alchi_channel_wants_write(control->env.channel)) {
        send_progress(control);
        return -1;
    }
    if (!control->progress_waits || left <= 0)
        left = -1; /* if the channel is full, poll() wakes the thread when it has room */
    pthread_mutex_unlock(&control->sending);
    return left < 0 ? -1 : (int)(left / 1000000) + 1;
}

static int
reserve_matrix(alchi_rank_control_t *control, const Alchw__WorkerReserve *reserve, alch_error_t *err)
{
    const Alchw__Matrix *matrix = reserve->matrix;
    alch_layout_t layout;
    alchi_store_part_t *part = NULL;
    int code;

    if (!matrix || !matrix->layout || matrix->id == 0)
        return alchi_error_set(err, ALCH_EPROTO, "the driver reserved a matrix without an id or a layout");
    if (matrix->workers != (uint32_t)control->env.size)
        return alchi_error_set(err, ALCH_EPROTO, "matrix %llu has a layout for %u workers, but the group has %d",
                               (unsigned long long)matrix->id, matrix->workers, control->env.size);
    layout = alchi_wire_layout_in(matrix->layout);
    code = alchi_store_reserve(control->env.store, matrix->id, matrix->rows, matrix->cols, (alch_dtype_t)matrix->dtype,
                               &layout, matrix->name, NULL, err);
    if (code || !matrix->version)
        return code;
    /* A matrix that moves here from another group keeps its version. No client can use it here yet. */
    code = alchi_store_acquire(control->env.store, matrix->id, &part, err);
    if (code)
        return code;
    alchi_store_part_set_version(part, matrix->version);
    alchi_store_release(control->env.store, part);
    return ALCH_OK;
}

/* Lock matrices as for a task, until WORKER_UNHOLD or the end of the group. No task runs. */
static int
hold_matrices(alchi_rank_control_t *control, const Alchw__WorkerHold *hold, alch_error_t *err)
{
    if (!hold->task)
        return alchi_error_set(err, ALCH_EPROTO, "the driver sent a hold without a task id");
    return alchi_store_lock(control->env.store, hold->task, hold->name, hold->ids, hold->n_ids, err);
}

static int
check_matrices(alchi_rank_control_t *control, const Alchw__WorkerCheck *check, alch_error_t *err)
{
    int code = ALCH_OK;

    for (size_t k = 0; k < check->n_ids && !code; k++)
        code = alchi_store_check(control->env.store, check->ids[k], err);
    return code;
}

static void
send_result(alchi_rank_control_t *control, uint64_t id, int code, const alch_error_t *err)
{
    Alchw__Empty empty = ALCHW__EMPTY__INIT;

    if (code)
        alchi_rank_control_send_error(control, id, err);
    else
        alchi_rank_control_send(control, ALCHI_EMPTY, id, &empty);
}

/* Give the main thread QUIT_MS for an orderly end of the process, then end it. */
static _Noreturn void
quit_rank(alchi_rank_control_t *control)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(QUIT_MS);

    alchi_log(ALCHI_LOG_DEBUG, "the driver asked this rank to quit");
    alchi_rank_queue_quit(control->env.queue);
    while (alchi_deadline_left_ms(deadline) > 0)
        poll(NULL, 0, alchi_deadline_left_ms(deadline));
    _exit(EXIT_SUCCESS);
}

/* Handle a command that this thread answers. @return false: the message is not such a command */
static bool
handle_request(alchi_rank_control_t *control, const alchi_frame_t *frame, const void *message)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    int code = ALCH_OK;

    switch (frame->type) {
    case ALCHI_PING:
        break;
    case ALCHI_WORKER_RESERVE:
        code = reserve_matrix(control, message, &err);
        break;
    case ALCHI_WORKER_FREE:
        code = alchi_store_free(control->env.store, ((const Alchw__WorkerFree *)message)->id, &err);
        break;
    case ALCHI_WORKER_GROW:
        code = alchi_store_grow(control->env.store, ((const Alchw__WorkerGrow *)message)->id,
                                ((const Alchw__WorkerGrow *)message)->rows, &err);
        break;
    case ALCHI_WORKER_HOLD:
        code = hold_matrices(control, message, &err);
        break;
    case ALCHI_WORKER_UNHOLD:
        alchi_store_unlock(control->env.store, ((const Alchw__WorkerUnhold *)message)->task);
        break;
    case ALCHI_WORKER_CHECK:
        code = check_matrices(control, message, &err);
        break;
    default:
        return false;
    }
    send_result(control, frame->id, code, &err);
    return true;
}

/* Handle a message that gets no answer. If a task to drop or cancel is not found, it has already ended.
 * @return false: the message is not such a message */
static bool
handle_notice(alchi_rank_control_t *control, const alchi_frame_t *frame, const void *message)
{
    switch (frame->type) {
    case ALCHI_WORKER_START:
        if (!alchi_rank_queue_start(control->env.queue, ((const Alchw__WorkerStart *)message)->task))
            alchi_log(ALCHI_LOG_WARNING, "the driver started task %llu, which does not wait for its start",
                      (unsigned long long)((const Alchw__WorkerStart *)message)->task);
        return true;
    case ALCHI_WORKER_DROP:
        alchi_rank_queue_drop(control->env.queue, ((const Alchw__WorkerDrop *)message)->task);
        return true;
    case ALCHI_WORKER_CANCEL:
        alchi_rank_queue_cancel(control->env.queue, ((const Alchw__WorkerCancel *)message)->task);
        return true;
    case ALCHI_WORKER_QUIT:
        quit_rank(control);
    default:
        return false;
    }
}

/* Queue a job for the main thread; the queue then owns the message. @return false: the message is not a job */
static bool
handle_job(alchi_rank_control_t *control, const alchi_frame_t *frame, void *message)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    int code;

    if (frame->type == ALCHI_WORKER_LOAD)
        code = alchi_rank_queue_load(control->env.queue, frame->id, message, &err);
    else if (frame->type == ALCHI_WORKER_TASK)
        code = alchi_rank_queue_task(control->env.queue, frame->id, message, &err);
    else if (frame->type == ALCHI_WORKER_TRANSFORM)
        code = alchi_rank_queue_transform(control->env.queue, frame->id, message, &err);
    else if (frame->type == ALCHI_WORKER_FETCH)
        code = alchi_rank_queue_migrate(control->env.queue, frame->id, message, &err);
    else
        return false;
    if (code)
        alchi_rank_control_send_error(control, frame->id, &err);
    return true;
}

static void
handle_message(alchi_rank_control_t *control, const alchi_frame_t *frame, ProtobufCMessage *message)
{
    alch_error_t err = {ALCH_OK, -1, ""};

    /* A message whose fields all have their defaults has no bytes. */
    if (!message && alchi_message_decode(frame->type, "", 0, &message))
        return;
    if (handle_job(control, frame, message))
        return;
    if (frame->type == ALCHI_ERROR) {
        const char *text = ((const Alchw__Error *)message)->text;

        alchi_log(ALCHI_LOG_ERROR, "the driver reports an error: %s", text ? text : "error");
    } else if (!handle_request(control, frame, message) && !handle_notice(control, frame, message) && frame->id) {
        alchi_error_set(&err, ALCH_EPROTO, "a rank does not handle %s", alchi_message_name(frame->type));
        alchi_rank_control_send_error(control, frame->id, &err);
    }
    alchi_message_free(message);
}

static void
receive_all(alchi_rank_control_t *control)
{
    for (;;) {
        alchi_frame_t frame;
        ProtobufCMessage *message = NULL;
        int code = alchi_channel_receive(control->env.channel, &frame, &message);

        if (code == ALCH_EAGAIN)
            return;
        if (code)
            exit_without_driver(control, code);
        handle_message(control, &frame, message);
    }
}

/* When a group ends in an orderly way, the driver sends WORKER_QUIT and the agent sends SIGTERM at the same time. So
 * wait for a WORKER_QUIT before the signal ends the process. */
static _Noreturn void
handle_sigterm(alchi_rank_control_t *control)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(TERM_MS);
    sigset_t term;

    for (;;) {
        struct pollfd fd = {alchi_channel_fd(control->env.channel), POLLIN, 0};
        int left = alchi_deadline_left_ms(deadline);

        receive_all(control);
        if (left <= 0 || poll(&fd, 1, left) < 0)
            break;
    }
    signal(SIGTERM, SIG_DFL);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &term, NULL);
    raise(SIGTERM);
    _exit(128 + SIGTERM);
}

/* @return whether the channel still has bytes to send */
static bool
flush_channel(alchi_rank_control_t *control)
{
    int code;

    pthread_mutex_lock(&control->sending);
    code = alchi_channel_flush(control->env.channel);
    pthread_mutex_unlock(&control->sending);
    if (code && code != ALCH_EAGAIN)
        exit_without_driver(control, code);
    return code == ALCH_EAGAIN;
}

static void *
control_main(void *argument)
{
    alchi_rank_control_t *control = argument;
    bool left = true;

    receive_all(control); /* messages that arrived together with the end of the handshake */
    for (;;) {
        struct pollfd fds[3] = {
            {alchi_channel_fd(control->env.channel), (short)(POLLIN | (left ? POLLOUT : 0)), 0},
            {control->wake_fd, POLLIN, 0},
            {control->term_fd, POLLIN, 0},
        };
        uint64_t ignored;

        if (poll(fds, 3, send_waiting_progress(control)) < 0 && errno != EINTR)
            exit_without_driver(control, ALCH_ESYSTEM);
        if (fds[1].revents && read(control->wake_fd, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
            exit_without_driver(control, ALCH_ESYSTEM);
        left = flush_channel(control);
        if (fds[0].revents)
            receive_all(control);
        if (fds[2].revents)
            handle_sigterm(control);
    }
    return NULL;
}

static void
control_free(alchi_rank_control_t *control)
{
    if (control->wake_fd >= 0)
        close(control->wake_fd);
    if (control->term_fd >= 0)
        close(control->term_fd);
    pthread_mutex_destroy(&control->sending);
    free(control);
}

/* The thread receives no signal but SIGTERM, through its signalfd. */
static int
start_thread(alchi_rank_control_t *control)
{
    pthread_t thread;
    sigset_t all, old;
    int number;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    number = pthread_create(&thread, NULL, control_main, control);
    sigaddset(&old, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!number)
        pthread_detach(thread);
    return number;
}

int
alchi_rank_control_start(const alchi_rank_control_env_t *env, alchi_rank_control_t **control_p, alch_error_t *err)
{
    alchi_rank_control_t *control = calloc(1, sizeof(*control));
    sigset_t term;
    int number;

    if (!control)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for its control thread");
    control->env = *env;
    pthread_mutex_init(&control->sending, NULL);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    control->term_fd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
    number = control->wake_fd < 0 || control->term_fd < 0 ? errno : start_thread(control);
    if (number) {
        control_free(control);
        return alchi_error_errno(err, number, "cannot start the control thread");
    }
    *control_p = control;
    return ALCH_OK;
}
