/* Tasks: submit, wait, progress, cancel. A handle keeps the state that the driver reported last. */
#include "client/client.h"
#include "base/error.h"
#include "base/util.h"
#include "wire/value.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct alch_task {
    alch_session_t *session;
    uint64_t id;
    pthread_mutex_t mutex; /* guards all below. Once the task has ended, nothing changes any more */
    alch_task_progress_t progress;
    alch_values_t *results; /* DONE */
    Alchw__Note **notes;    /* DONE */
    size_t note_count;
    Alchw__Matrix **matrices; /* DONE: descriptions of result matrices */
    size_t matrix_count;
    alch_error_t error; /* FAILED, CANCELED */
};

const char *
alch_task_state_name(alch_task_state_t state)
{
    static const char *const names[] = {
        [ALCH_TASK_QUEUED] = "queued", [ALCH_TASK_RUNNING] = "running", [ALCH_TASK_CANCELLING] = "cancelling",
        [ALCH_TASK_DONE] = "done",     [ALCH_TASK_FAILED] = "failed",   [ALCH_TASK_CANCELED] = "canceled",
    };

    return (size_t)state < ALCHI_COUNT(names) && names[state] ? names[state] : "unknown";
}

static bool
has_ended(const alch_task_t *task)
{
    return task->progress.state >= ALCH_TASK_DONE;
}

/* ---- TASK replies ---- */

static int
check_results(const Alchw__Task *message, alch_error_t *err)
{
    for (size_t k = 0; k < message->n_results; k++) {
        const Alchw__NamedValue *item = message->results[k];
        if (!item->name || !item->value)
            return alchi_error_set(err, ALCH_EPROTO, "result %zu of task %llu has no name or no value", k,
                                   (unsigned long long)message->id);
        if (alchi_value_check(item->value, err) != ALCH_OK)
            return ALCH_EPROTO;
    }
    return ALCH_OK;
}

static int
check_task(const Alchw__Task *message, uint64_t id, alch_error_t *err)
{
    if (message->id == 0)
        return alchi_error_set(err, ALCH_EPROTO, "the driver described a task without an id");
    if (id && message->id != id)
        return alchi_error_set(err, ALCH_EPROTO, "the driver described task %llu instead of task %llu",
                               (unsigned long long)message->id, (unsigned long long)id);
    if (message->state < ALCH_TASK_QUEUED || message->state > ALCH_TASK_CANCELED)
        return alchi_error_set(err, ALCH_EPROTO, "task %llu is in the unknown state %u",
                               (unsigned long long)message->id, message->state);
    return check_results(message, err);
}

/* Move the results, notes and matrices from the message into the handle. */
static int
take_results(alch_task_t *task, Alchw__Task *message, alch_error_t *err)
{
    task->results = alchi_cli_values_adopt(message->results, message->n_results);
    message->results = NULL;
    message->n_results = 0;
    task->notes = message->notes;
    task->note_count = message->n_notes;
    message->notes = NULL;
    message->n_notes = 0;
    task->matrices = message->matrices;
    task->matrix_count = message->n_matrices;
    message->matrices = NULL;
    message->n_matrices = 0;
    if (task->results)
        return ALCH_OK;
    return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the results of task %llu",
                           (unsigned long long)task->id);
}

static void
take_error(alch_task_t *task, const Alchw__Task *message)
{
    if (message->error) {
        alchi_cli_control_read_error(message->error, &task->error);
    } else if (message->state == ALCH_TASK_CANCELED) {
        alchi_error_set(&task->error, ALCH_ECANCELED, "task %llu was canceled", (unsigned long long)task->id);
    } else {
        alchi_error_set(&task->error, ALCH_EFUNCTION, "task %llu failed, and the driver gave no reason",
                        (unsigned long long)task->id);
    }
}

/* Store the state from a TASK reply, and free the reply. Replies to two threads may arrive in any order, so the handle
 * ignores a reply that arrives after the task has ended. */
static int
update_from_reply(alch_task_t *task, Alchw__Task *message, alch_error_t *err)
{
    int code = check_task(message, task->id, err);

    pthread_mutex_lock(&task->mutex);
    if (code == ALCH_OK && !has_ended(task)) {
        if (message->state == ALCH_TASK_DONE)
            code = take_results(task, message, err);
        else if (message->state > ALCH_TASK_DONE)
            take_error(task, message);
        if (code == ALCH_OK) {
            task->progress.state = (alch_task_state_t)message->state;
            task->progress.fraction = message->fraction;
            task->progress.seconds = message->seconds;
            snprintf(task->progress.text, sizeof(task->progress.text), "%s", message->text ? message->text : "");
        }
    }
    pthread_mutex_unlock(&task->mutex);
    alchi_message_free(message);
    return code;
}

/* Get the task's final code and error. @return ALCH_EAGAIN: the task has not ended */
static int
get_outcome(alch_task_t *task, alch_error_t *err)
{
    int code = ALCH_OK;

    pthread_mutex_lock(&task->mutex);
    if (!has_ended(task))
        code = alchi_error_set(err, ALCH_EAGAIN, "task %llu is %s", (unsigned long long)task->id,
                               alch_task_state_name(task->progress.state));
    else if ((code = task->error.code) != ALCH_OK && err)
        *err = task->error;
    pthread_mutex_unlock(&task->mutex);
    return code;
}

/* ---- the calls ---- */

int
alchi_cli_task_create(alch_session_t *session, Alchw__Task *message, alch_task_t **task_p, alch_error_t *err)
{
    alch_task_t *task = calloc(1, sizeof(*task));
    int code;

    if (!task) {
        alchi_message_free(message);
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a task");
    }
    pthread_mutex_init(&task->mutex, NULL);
    task->session = session;
    task->id = message->id;
    task->progress.id = message->id;
    code = update_from_reply(task, message, err);
    if (code == ALCH_OK)
        *task_p = task;
    else
        alch_task_destroy(task);
    return code;
}

int
alch_task_submit(alch_session_t *session, const char *library, const char *function, const alch_values_t *args,
                 int wait_ms, alch_task_t **task_p, alch_error_t *err)
{
    Alchw__SubmitTask request = ALCHW__SUBMIT_TASK__INIT;
    Alchw__Task *reply;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    if (!library || !function || !task_p)
        return alchi_error_set(err, ALCH_EINVAL, "the library, the function or task_p is NULL");
    wait_ms = alchi_cli_session_wait_slice_ms(alchi_deadline_in_ms(wait_ms));
    request.library = (char *)library;
    request.function = (char *)function;
    request.arguments = alchi_cli_values_items(args);
    request.n_arguments = alch_values_count(args);
    request.has_wait_ms = true;
    request.wait_ms = (uint32_t)wait_ms;
    code = alchi_cli_session_request(session, ALCHI_SUBMIT_TASK, &request, ALCHI_TASK, wait_ms, &reply, err);
    return code == ALCH_OK ? alchi_cli_task_create(session, reply, task_p, err) : code;
}

/* Ask for the task's state once. The driver answers when the task ends, or after wait_ms. */
static int
query_state(alch_task_t *task, int wait_ms, alch_error_t *err)
{
    Alchw__WaitTask request = ALCHW__WAIT_TASK__INIT;
    Alchw__Task *reply;
    int code;

    request.has_id = request.has_wait_ms = true;
    request.id = task->id;
    request.wait_ms = (uint32_t)wait_ms;
    code = alchi_cli_session_request(task->session, ALCHI_WAIT_TASK, &request, ALCHI_TASK, wait_ms, &reply, err);
    return code == ALCH_OK ? update_from_reply(task, reply, err) : code;
}

int
alch_task_wait(alch_task_t *task, int timeout_ms, alch_error_t *err)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(timeout_ms);
    int code;

    if (!task)
        return alchi_error_set(err, ALCH_EINVAL, "the task is NULL");
    if ((code = alchi_cli_session_check(task->session, err)) != ALCH_OK)
        return code;
    code = get_outcome(task, err);
    while (code == ALCH_EAGAIN) {
        if ((code = query_state(task, alchi_cli_session_wait_slice_ms(deadline), err)) != ALCH_OK)
            return code;
        code = get_outcome(task, err);
        if (alchi_deadline_left_ms(deadline) == 0)
            break;
    }
    return code;
}

int
alch_task_progress(alch_task_t *task, alch_task_progress_t *progress_p, alch_error_t *err)
{
    int code;

    if (!task || !progress_p)
        return alchi_error_set(err, ALCH_EINVAL, "the task or progress_p is NULL");
    if ((code = alchi_cli_session_check(task->session, err)) != ALCH_OK)
        return code;
    if (get_outcome(task, NULL) == ALCH_EAGAIN && (code = query_state(task, 0, err)) != ALCH_OK)
        return code;
    pthread_mutex_lock(&task->mutex);
    *progress_p = task->progress;
    pthread_mutex_unlock(&task->mutex);
    return ALCH_OK;
}

int
alch_task_cancel(alch_task_t *task, bool hard, alch_error_t *err)
{
    Alchw__CancelTask request = ALCHW__CANCEL_TASK__INIT;
    Alchw__Task *reply;
    int code;

    if (!task)
        return alchi_error_set(err, ALCH_EINVAL, "the task is NULL");
    if ((code = alchi_cli_session_check(task->session, err)) != ALCH_OK)
        return code;
    request.has_id = request.has_hard = true;
    request.id = task->id;
    request.hard = hard;
    code = alchi_cli_session_request(task->session, ALCHI_CANCEL_TASK, &request, ALCHI_TASK, 0, &reply, err);
    return code == ALCH_OK ? update_from_reply(task, reply, err) : code;
}

uint64_t
alch_task_id(const alch_task_t *task)
{
    return task->id;
}

const alch_values_t *
alch_task_results(const alch_task_t *task)
{
    alch_task_t *mutable = (alch_task_t *)task;
    const alch_values_t *results;

    if (task->session->pid != getpid())
        return NULL;
    pthread_mutex_lock(&mutable->mutex);
    results = task->results;
    pthread_mutex_unlock(&mutable->mutex);
    return results;
}

int
alch_task_matrix(const alch_task_t *task, const char *name, size_t index, alch_matrix_t **matrix_p, alch_error_t *err)
{
    const alch_values_t *results = task ? alch_task_results(task) : NULL;
    uint64_t id = 0;
    int code;

    if (!task || !matrix_p)
        return alchi_error_set(err, ALCH_EINVAL, "the task or matrix_p is NULL");
    if ((code = alchi_cli_session_check(task->session, err)) != ALCH_OK)
        return code;
    if (!results)
        return alchi_error_set(err, ALCH_ESTATE, "task %llu has no results", (unsigned long long)task->id);
    if ((code = alch_values_get_matrix(results, name, index, &id)) != ALCH_OK)
        return alchi_error_set(err, code, "task %llu has no matrix \"%s\"[%zu] among its results",
                               (unsigned long long)task->id, name ? name : "", index);
    /* The descriptions arrived with the results. Nothing changes them any more, so the mutex is not needed. */
    for (size_t k = 0; k < task->matrix_count; k++) {
        if (task->matrices[k]->id == id)
            return alchi_cli_matrix_create(task->session, task->matrices[k], matrix_p, err);
    }
    return alch_matrix_open(task->session, id, matrix_p, err);
}

const char *
alch_task_note(const alch_task_t *task, size_t index, alch_note_kind_t *kind_p)
{
    alch_task_t *mutable = (alch_task_t *)task;
    const Alchw__Note *note = NULL;

    if (task->session->pid != getpid())
        return NULL;
    pthread_mutex_lock(&mutable->mutex);
    if (index < task->note_count)
        note = task->notes[index];
    pthread_mutex_unlock(&mutable->mutex);
    if (note && kind_p)
        *kind_p = note->kind == ALCH_WARNING ? ALCH_WARNING : ALCH_NOTE;
    return !note ? NULL : note->text ? note->text : "";
}

void
alch_task_destroy(alch_task_t *task)
{
    if (!task)
        return;
    alch_values_destroy(task->results);
    for (size_t k = 0; k < task->note_count; k++)
        alchi_message_free(task->notes[k]);
    free(task->notes);
    for (size_t k = 0; k < task->matrix_count; k++)
        alchi_message_free(task->matrices[k]);
    free(task->matrices);
    pthread_mutex_destroy(&task->mutex);
    free(task);
}
