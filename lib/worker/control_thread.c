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
#define TERM_MS 200  /* how long an order to quit may come after the signal */
#define QUIT_MS 1000 /* how long an orderly end may take */

/* The latest word about a task. */
typedef struct {
    uint64_t task;
    double fraction;
    char text[256];
} progress_t;

struct alchi_rank_control {
    alchi_rank_control_env_t env;
    pthread_mutex_t sending; /* guards the sending side of the channel and what follows */
    progress_t progress;
    bool progress_waits; /* it came too soon after the one before */
    int64_t progress_ns; /* when one was sent last */
    int wake_fd;         /* tells the thread that something is left to send */
    int term_fd;         /* SIGTERM */
};

/* Without its driver a rank has no purpose, and its main thread may be anywhere. */
static _Noreturn void
driver_gone(const alchi_rank_control_t *control, int rc)
{
    const char *fault = alchi_channel_fault(control->env.channel);

    if (rc == ALCH_ECONNECT)
        alchi_log(ALCHI_LOG_DEBUG, "the driver closed its connection; leaving");
    else
        alchi_log(ALCHI_LOG_ERROR, "connection to the driver failed: %s; leaving",
                  fault[0] ? fault : alch_strerror(rc));
    _exit(rc);
}

/* After a send under the mutex. */
static int
sent(alchi_rank_control_t *control, int rc)
{
    uint64_t one = 1;
    bool left = alchi_channel_wants_write(control->env.channel);

    pthread_mutex_unlock(&control->sending);
    if (rc && rc != ALCH_ERANGE)
        driver_gone(control, rc);
    if (left && write(control->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        driver_gone(control, ALCH_ESYSTEM);
    return rc;
}

int
alchi_rank_control_send(alchi_rank_control_t *control, unsigned type, uint64_t id, const void *message)
{
    pthread_mutex_lock(&control->sending);
    return sent(control, alchi_channel_send(control->env.channel, type, id ? ALCHI_FRAME_REPLY : 0, id, message));
}

void
alchi_rank_control_send_error(alchi_rank_control_t *control, uint64_t id, const alch_error_t *error)
{
    alch_error_t mine = *error;

    if (mine.rank < 0)
        mine.rank = control->env.rank;
    pthread_mutex_lock(&control->sending);
    sent(control, alchi_channel_send_error(control->env.channel, id, &mine));
}

/* Under the mutex, which it unlocks. */
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
    sent(control, alchi_channel_send(control->env.channel, ALCHI_WORKER_PROGRESS, 0, 0, &progress));
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
    if (first && write(control->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        driver_gone(control, ALCH_ESYSTEM);
}

/* What a task said last is sent when its time has come: the task may say nothing more for minutes.
 * @return milliseconds until then; -1: nothing waits */
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
        left = -1; /* a channel that is full wakes the thread when it is not */
    pthread_mutex_unlock(&control->sending);
    return left < 0 ? -1 : (int)(left / 1000000) + 1;
}

static int
do_reserve(alchi_rank_control_t *control, const Alchw__WorkerReserve *reserve, alch_error_t *err)
{
    const Alchw__Matrix *matrix = reserve->matrix;
    alch_layout_t layout;
    alchi_store_part_t *part = NULL;
    int rc;

    if (!matrix || !matrix->layout || matrix->id == 0)
        return alchi_error_set(err, ALCH_EPROTO, "a reservation needs a matrix with id and layout");
    if (matrix->workers != (uint32_t)control->env.size)
        return alchi_error_set(err, ALCH_EPROTO, "matrix %llu is laid out for %u workers, the group has %d",
                               (unsigned long long)matrix->id, matrix->workers, control->env.size);
    layout = alchi_wire_layout_in(matrix->layout);
    rc = alchi_store_reserve(control->env.store, matrix->id, matrix->rows, matrix->cols, (alch_dtype_t)matrix->dtype,
                             &layout, matrix->name, NULL, err);
    if (rc || !matrix->version)
        return rc;
    /* One that comes from another group; nobody knows it here yet. */
    rc = alchi_store_acquire(control->env.store, matrix->id, &part, err);
    if (rc)
        return rc;
    alchi_store_part_set_version(part, matrix->version);
    alchi_store_release(control->env.store, part);
    return ALCH_OK;
}

/* No task runs for it: it ends with an UNHOLD, or with the group. */
static int
do_hold(alchi_rank_control_t *control, const Alchw__WorkerHold *hold, alch_error_t *err)
{
    if (!hold->task)
        return alchi_error_set(err, ALCH_EPROTO, "a hold needs a number");
    return alchi_store_lock(control->env.store, hold->task, hold->name, hold->ids, hold->n_ids, err);
}

static int
do_check(alchi_rank_control_t *control, const Alchw__WorkerCheck *check, alch_error_t *err)
{
    int rc = ALCH_OK;

    for (size_t k = 0; k < check->n_ids && !rc; k++)
        rc = alchi_store_check(control->env.store, check->ids[k], err);
    return rc;
}

static void
answer(alchi_rank_control_t *control, uint64_t id, int rc, const alch_error_t *err)
{
    Alchw__Empty empty = ALCHW__EMPTY__INIT;

    if (rc)
        alchi_rank_control_send_error(control, id, err);
    else
        alchi_rank_control_send(control, ALCHI_EMPTY, id, &empty);
}

/* Give the main thread a second to end in order. */
static _Noreturn void
quit(alchi_rank_control_t *control)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(QUIT_MS);

    alchi_log(ALCHI_LOG_DEBUG, "told to quit");
    alchi_rank_queue_quit(control->env.queue);
    while (alchi_deadline_left_ms(deadline) > 0)
        poll(NULL, 0, alchi_deadline_left_ms(deadline));
    _exit(EXIT_SUCCESS);
}

/* Requests that are answered here; false: not one of them. */
static bool
handle_request(alchi_rank_control_t *control, const alchi_frame_t *frame, const void *message)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    int rc = ALCH_OK;

    switch (frame->type) {
    case ALCHI_PING:
        break;
    case ALCHI_WORKER_RESERVE:
        rc = do_reserve(control, message, &err);
        break;
    case ALCHI_WORKER_FREE:
        rc = alchi_store_free(control->env.store, ((const Alchw__WorkerFree *)message)->id, &err);
        break;
    case ALCHI_WORKER_GROW:
        rc = alchi_store_grow(control->env.store, ((const Alchw__WorkerGrow *)message)->id,
                              ((const Alchw__WorkerGrow *)message)->rows, &err);
        break;
    case ALCHI_WORKER_HOLD:
        rc = do_hold(control, message, &err);
        break;
    case ALCHI_WORKER_UNHOLD:
        alchi_store_unlock(control->env.store, ((const Alchw__WorkerUnhold *)message)->task);
        break;
    case ALCHI_WORKER_CHECK:
        rc = do_check(control, message, &err);
        break;
    default:
        return false;
    }
    answer(control, frame->id, rc, &err);
    return true;
}

/* Orders about tasks; false: not one of them. A task that is not there has ended meanwhile. */
static bool
handle_order(alchi_rank_control_t *control, const alchi_frame_t *frame, const void *message)
{
    switch (frame->type) {
    case ALCHI_WORKER_START:
        if (!alchi_rank_queue_start(control->env.queue, ((const Alchw__WorkerStart *)message)->task))
            alchi_log(ALCHI_LOG_WARNING, "no task %llu waits for its start",
                      (unsigned long long)((const Alchw__WorkerStart *)message)->task);
        return true;
    case ALCHI_WORKER_DROP:
        alchi_rank_queue_drop(control->env.queue, ((const Alchw__WorkerDrop *)message)->task);
        return true;
    case ALCHI_WORKER_CANCEL:
        alchi_rank_queue_cancel(control->env.queue, ((const Alchw__WorkerCancel *)message)->task);
        return true;
    case ALCHI_WORKER_QUIT:
        quit(control);
    default:
        return false;
    }
}

/* Loads, tasks and fetches keep their message; false: not one of them. */
static bool
handle_job(alchi_rank_control_t *control, const alchi_frame_t *frame, void *message)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    int rc;

    if (frame->type == ALCHI_WORKER_LOAD)
        rc = alchi_rank_queue_load(control->env.queue, frame->id, message, &err);
    else if (frame->type == ALCHI_WORKER_TASK)
        rc = alchi_rank_queue_task(control->env.queue, frame->id, message, &err);
    else if (frame->type == ALCHI_WORKER_TRANSFORM)
        rc = alchi_rank_queue_transform(control->env.queue, frame->id, message, &err);
    else if (frame->type == ALCHI_WORKER_FETCH)
        rc = alchi_rank_queue_migrate(control->env.queue, frame->id, message, &err);
    else
        return false;
    if (rc)
        alchi_rank_control_send_error(control, frame->id, &err);
    return true;
}

static void
handle(alchi_rank_control_t *control, const alchi_frame_t *frame, ProtobufCMessage *message)
{
    alch_error_t err = {ALCH_OK, -1, ""};

    /* A message all of whose fields have their defaults takes no bytes. */
    if (!message && alchi_message_decode(frame->type, "", 0, &message))
        return;
    if (handle_job(control, frame, message))
        return;
    if (frame->type == ALCHI_ERROR) {
        const char *text = ((const Alchw__Error *)message)->text;

        alchi_log(ALCHI_LOG_ERROR, "the driver says: %s", text ? text : "error");
    } else if (!handle_request(control, frame, message) && !handle_order(control, frame, message) && frame->id) {
        alchi_error_set(&err, ALCH_EPROTO, "a rank does not understand %s", alchi_message_name(frame->type));
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
        int rc = alchi_channel_receive(control->env.channel, &frame, &message);

        if (rc == ALCH_EAGAIN)
            return;
        if (rc)
            driver_gone(control, rc);
        handle(control, &frame, message);
    }
}

/* Who ends a group in order tells its ranks to quit and sends the signal at the same time. */
static _Noreturn void
terminated(alchi_rank_control_t *control)
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

static bool
flush(alchi_rank_control_t *control)
{
    int rc;

    pthread_mutex_lock(&control->sending);
    rc = alchi_channel_flush(control->env.channel);
    pthread_mutex_unlock(&control->sending);
    if (rc && rc != ALCH_EAGAIN)
        driver_gone(control, rc);
    return rc == ALCH_EAGAIN;
}

static void *
run(void *argument)
{
    alchi_rank_control_t *control = argument;
    bool left = true;

    receive_all(control); /* what came with the handshake's last bytes */
    for (;;) {
        struct pollfd fds[3] = {
            {alchi_channel_fd(control->env.channel), (short)(POLLIN | (left ? POLLOUT : 0)), 0},
            {control->wake_fd, POLLIN, 0},
            {control->term_fd, POLLIN, 0},
        };
        uint64_t ignored;

        if (poll(fds, 3, send_waiting_progress(control)) < 0 && errno != EINTR)
            driver_gone(control, ALCH_ESYSTEM);
        if (fds[1].revents && read(control->wake_fd, &ignored, sizeof ignored) < 0 && errno != EAGAIN)
            driver_gone(control, ALCH_ESYSTEM);
        left = flush(control);
        if (fds[0].revents)
            receive_all(control);
        if (fds[2].revents)
            terminated(control);
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

/* The thread takes no other signals. */
static int
start_thread(alchi_rank_control_t *control)
{
    pthread_t thread;
    sigset_t all, old;
    int number;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    number = pthread_create(&thread, NULL, run, control);
    sigaddset(&old, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!number)
        pthread_detach(thread);
    return number;
}

int
alchi_rank_control_start(const alchi_rank_control_env_t *env, alchi_rank_control_t **control_p, alch_error_t *err)
{
    alchi_rank_control_t *control = calloc(1, sizeof *control);
    sigset_t term;
    int number;

    if (!control)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory");
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
