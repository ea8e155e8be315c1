/* Tasks: from the queue to their end. */
#include "driver/task.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "driver/catalog.h"
#include "driver/command.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/job.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "wire/message.h"
#include "wire/value.h"
#include <stdlib.h>

bool
alchi_drv_task_ended(const alchi_drv_task_t *task)
{
    return task->state >= ALCH_TASK_DONE;
}

alchi_drv_task_t *
alchi_drv_task_find(alchi_drv_session_t *session, uint64_t id)
{
    alchi_drv_task_t *task;

    HASH_FIND(hh, session->tasks, &id, sizeof(id), task);
    /* No client knows the number of a task that is not accepted yet. */
    return task && !task->submit ? task : NULL;
}

/* Add the descriptions of the result matrices to the reply, so that the client can create their handles without a
 * request. Matrices that were freed since then are left out. If memory runs out, all are left out, and the client asks
 * for each. @return memory of the message, to be freed after it was sent */
static alchi_drv_matrix_description_t *
describe_results(const alchi_drv_task_t *task, Alchw__Task *message)
{
    size_t count = task->outcome->n_matrices;
    alchi_drv_matrix_description_t *described =
        count ? calloc(count, sizeof(*described) + sizeof(*message->matrices)) : NULL;

    if (!described)
        return NULL;
    message->matrices = (Alchw__Matrix **)(described + count);
    for (size_t k = 0; k < count; k++) {
        const alchi_drv_matrix_t *matrix =
            alchi_drv_catalog_get(&task->session->catalog, task->outcome->matrices[k]->id);

        if (!matrix || matrix->state != ALCHI_DRV_MATRIX_LIVE)
            continue;
        alchi_drv_catalog_describe(matrix, &described[k]);
        message->matrices[message->n_matrices++] = &described[k].message;
    }
    return described;
}

void
alchi_drv_task_reply(alchi_drv_request_t *request)
{
    const alchi_drv_task_t *task = request->object;
    Alchw__Task message = ALCHW__TASK__INIT;
    Alchw__Error error = ALCHW__ERROR__INIT;
    alchi_drv_matrix_description_t *described = NULL;

    message.has_id = message.has_state = message.has_fraction = message.has_seconds = 1;
    message.id = task->id;
    message.state = (uint32_t)task->state;
    message.fraction = task->state == ALCH_TASK_DONE ? 1 : task->fraction;
    message.text = (char *)task->text;
    message.seconds = task->seconds;
    if (task->start_ns && !alchi_drv_task_ended(task))
        message.seconds = (double)(alchi_now_ns() - task->start_ns) / 1e9;
    if (task->state == ALCH_TASK_DONE && task->outcome) {
        message.n_results = task->outcome->n_results;
        message.results = task->outcome->results;
        message.n_notes = task->outcome->n_notes;
        message.notes = task->outcome->notes;
        described = describe_results(task, &message);
    } else if (alchi_drv_task_ended(task)) {
        error.has_code = error.has_rank = 1;
        error.code = (uint32_t)task->error.code;
        error.rank = task->error.rank;
        error.text = (char *)task->error.text;
        message.error = &error;
    }
    alchi_drv_request_reply(request, ALCHI_TASK, &message);
    free(described);
}

/* End a task. If it is not DONE, task->error says why. The reply is sent before the next job is started. */
static void
end_task(alchi_drv_task_t *task, int state)
{
    alchi_drv_session_t *session = task->session;

    task->state = state;
    task->command = NULL;
    if (task->start_ns && task->seconds == 0)
        task->seconds = (double)(alchi_now_ns() - task->start_ns) / 1e9;
    alchi_drv_catalog_unlock(&session->catalog, task->inputs, task->input_count);
    session->ended_tasks++;
    while (task->waiters)
        alchi_drv_task_reply(task->waiters);
    alchi_log(ALCHI_LOG_DEBUG, "session %llu: task %llu (%s.%s) %s%s", (unsigned long long)session->id,
              (unsigned long long)task->id, task->library, task->function,
              state == ALCH_TASK_DONE ? "is done" : "ended: ", state == ALCH_TASK_DONE ? "" : task->error.text);
    alchi_drv_job_end(&task->job);
}

static void
fail_task(alchi_drv_task_t *task, const alch_error_t *error)
{
    if (!task->hard_canceled)
        task->error = *error;
    end_task(task, task->error.code == ALCH_ECANCELED ? ALCH_TASK_CANCELED : ALCH_TASK_FAILED);
}

/* ---- running ---- */

/* Record that a rank has created a result matrix. */
static void
record_result(alchi_drv_task_t *task, uint64_t id)
{
    uint64_t *grown;

    if (id < task->first_result || id >= task->first_result + (uint64_t)task->result_count)
        return;
    for (size_t i = 0; i < task->created_count; i++) {
        if (task->created[i] == id)
            return;
    }
    if ((grown = realloc(task->created, (task->created_count + 1) * sizeof(*grown)))) {
        task->created = grown;
        task->created[task->created_count++] = id;
    }
}

static void
store_rank_outcome(alchi_drv_command_t *command, int rank, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    alchi_drv_task_t *task = command->context;
    const Alchw__WorkerTaskDone *done = (const Alchw__WorkerTaskDone *)message;

    if (frame->type != ALCHI_WORKER_TASK_DONE)
        return;
    if (done->seconds > task->seconds)
        task->seconds = done->seconds;
    for (size_t i = 0; i < done->n_matrices; i++)
        record_result(task, done->matrices[i]->id);
    /* The client gets the values of rank 0. */
    if (rank == 0)
        task->outcome = alchi_message_copy(message);
}

static void
free_results(alchi_drv_task_t *task, const alchi_drv_command_t *command)
{
    Alchw__WorkerFree message = ALCHW__WORKER_FREE__INIT;

    message.has_id = 1;
    for (size_t i = 0; i < task->created_count; i++) {
        message.id = task->created[i];
        alchi_drv_command_send(command->group, ALCHI_WORKER_FREE, &message, command->succeeded, NULL, NULL);
    }
}

/* The task has replaced its input in place: the matrix keeps its id and gets the new description. */
static int
replace_matrix(alchi_drv_task_t *task, alch_error_t *err)
{
    const Alchw__Matrix *description = task->outcome->n_matrices ? task->outcome->matrices[0] : NULL;
    alchi_drv_matrix_t *matrix = description ? alchi_drv_catalog_get(&task->session->catalog, description->id) : NULL;

    if (!matrix || description->id != task->transform->matrix)
        return alchi_error_set(err, ALCH_EPROTO, "task %llu did not describe the matrix that it replaced",
                               (unsigned long long)task->id);
    alchi_drv_catalog_replace(matrix, description);
    return ALCH_OK;
}

static int
add_results(alchi_drv_task_t *task, const alchi_drv_group_t *group, alch_error_t *err)
{
    const Alchw__Matrix *description;
    alchi_drv_matrix_t *matrix;
    int code;

    if (task->transform && task->transform->in_place)
        return replace_matrix(task, err);
    for (size_t i = 0; i < task->outcome->n_matrices; i++) {
        description = task->outcome->matrices[i];
        if (description->id < task->first_result ||
            description->id >= task->first_result + (uint64_t)task->result_count ||
            alchi_drv_catalog_get(&task->session->catalog, description->id))
            return alchi_error_set(err, ALCH_EPROTO,
                                   "task %llu returned a result with id %llu, which does not belong to it",
                                   (unsigned long long)task->id, (unsigned long long)description->id);
        if ((code = alchi_drv_catalog_add(&task->session->catalog, description->id, group->id, group->size, description,
                                          &matrix, err)))
            return code;
        matrix->state = ALCHI_DRV_MATRIX_LIVE;
        matrix->complete = true;
    }
    return ALCH_OK;
}

static void
finish_task(alchi_drv_command_t *command)
{
    alchi_drv_task_t *task = command->context;
    alch_error_t error;

    if (command->failed) {
        free_results(task, command);
        fail_task(task, &command->error);
        return;
    }
    if (!task->outcome) {
        alchi_error_set(&error, ALCH_EPROTO, "rank 0 did not report the results of task %llu",
                        (unsigned long long)task->id);
        fail_task(task, &error);
    } else if (add_results(task, command->group, &error)) {
        fail_task(task, &error);
    } else {
        end_task(task, ALCH_TASK_DONE);
    }
}

static void
drop_queued_task(alchi_drv_task_t *task)
{
    Alchw__WorkerDrop message = ALCHW__WORKER_DROP__INIT;

    if (!task->sent)
        return;
    message.has_task = 1;
    message.task = task->id;
    alchi_drv_group_send(task->job.group, ALCHI_WORKER_DROP, &message);
    alchi_drv_command_discard(task->command);
    task->command = NULL;
}

/* A rank could not lock the inputs of a queued task: end the task now, not when its turn comes. */
static bool
handle_rank_failure(alchi_drv_command_t *command, int rank)
{
    alchi_drv_task_t *task = command->context;
    alch_error_t error = command->error;

    (void)rank;
    if (task->job.running)
        return false;
    drop_queued_task(task);
    fail_task(task, &error);
    return true;
}

static int
send_task(alchi_drv_task_t *task, bool start)
{
    alchi_drv_command_t model = {
        .on_reply = store_rank_outcome, .on_failure = handle_rank_failure, .on_done = finish_task, .context = task};
    Alchw__WorkerTask message = ALCHW__WORKER_TASK__INIT;
    unsigned type = ALCHI_WORKER_TASK;

    if (task->transform) {
        type = ALCHI_WORKER_TRANSFORM;
        task->transform->has_start = 1;
        task->transform->start = start;
    }
    message.has_task = message.has_first_result_id = message.has_start = 1;
    message.task = task->id;
    message.library = task->library;
    message.function = task->function;
    message.n_arguments = task->argument_count;
    message.arguments = task->arguments;
    message.first_result_id = task->first_result;
    message.start = start;
    task->sent = alchi_drv_command_send(task->job.group, type, task->transform ? (void *)task->transform : &message,
                                        NULL, &model, &task->command) == ALCH_OK;
    return task->sent ? ALCH_OK : ALCH_ENOMEM;
}

static void
start_task(alchi_drv_job_t *job)
{
    alchi_drv_task_t *task = ALCHI_CONTAINER(job, alchi_drv_task_t, job);
    Alchw__WorkerStart message = ALCHW__WORKER_START__INIT;
    alch_error_t error;

    task->state = ALCH_TASK_RUNNING;
    task->start_ns = alchi_now_ns();
    if (task->sent) {
        message.has_task = 1;
        message.task = task->id;
        alchi_drv_group_send(job->group, ALCHI_WORKER_START, &message);
    } else if (send_task(task, true)) {
        alchi_drv_error_no_memory(&error);
        fail_task(task, &error);
    }
}

/* ---- queued ---- */

/* The task cannot be accepted: free it, and fail the request that submitted it. */
static void
reject_task(alchi_drv_task_t *task, const alch_error_t *error)
{
    alchi_drv_session_t *session = task->session;
    alchi_drv_request_t *submit = task->submit;

    alchi_drv_catalog_unlock(&session->catalog, task->inputs, task->input_count);
    HASH_DEL(session->tasks, task);
    alchi_drv_task_free(task);
    alchi_drv_request_fail(submit, error);
}

static void
fail_job(alchi_drv_job_t *job, const alch_error_t *error)
{
    alchi_drv_task_t *task = ALCHI_CONTAINER(job, alchi_drv_task_t, job);

    if (task->submit)
        reject_task(task, error);
    else
        fail_task(task, error);
}

/* The inputs of the task are complete. If it is the first job, the ranks start it at once; else they only lock its
 * inputs. */
static void
accept_task(alchi_drv_task_t *task)
{
    alchi_drv_request_t *submit = task->submit;
    bool first = task->job.group->jobs == &task->job;
    alch_error_t error;

    if (!first && send_task(task, false)) {
        alchi_drv_error_no_memory(&error);
        reject_task(task, &error);
        return;
    }
    task->submit = NULL;
    alchi_drv_job_ready(&task->job);
    submit->object = task;
    if (alchi_drv_task_ended(task))
        alchi_drv_task_reply(submit);
    else
        alchi_drv_request_wait(submit, &task->waiters, task->wait_ms, alchi_drv_task_reply, task);
}

static void
finish_check(alchi_drv_command_t *command)
{
    alchi_drv_task_t *task = command->context;
    alchi_drv_matrix_t *matrix;

    task->command = NULL;
    if (command->failed) {
        reject_task(task, &command->error);
        return;
    }
    for (size_t i = 0; i < task->input_count; i++) {
        if ((matrix = alchi_drv_catalog_get(&task->session->catalog, task->inputs[i])))
            matrix->complete = true;
    }
    accept_task(task);
}

/* Ask the ranks about inputs that are not known to be complete. @return false: there are none */
static bool
check_inputs(alchi_drv_task_t *task)
{
    alchi_drv_command_t model = {.on_done = finish_check, .context = task};
    Alchw__WorkerCheck message = ALCHW__WORKER_CHECK__INIT;
    alch_error_t error;

    if (!(message.ids = calloc(task->input_count + 1, sizeof(*message.ids)))) {
        alchi_drv_error_no_memory(&error);
        reject_task(task, &error);
        return true;
    }
    for (size_t i = 0; i < task->input_count; i++) {
        if (!alchi_drv_catalog_get(&task->session->catalog, task->inputs[i])->complete)
            message.ids[message.n_ids++] = task->inputs[i];
    }
    if (message.n_ids &&
        alchi_drv_command_send(task->job.group, ALCHI_WORKER_CHECK, &message, NULL, &model, &task->command)) {
        alchi_drv_error_no_memory(&error);
        reject_task(task, &error);
    }
    free(message.ids);
    return message.n_ids > 0;
}

void
alchi_drv_task_queue(alchi_drv_task_t *task, alchi_drv_group_t *group, alchi_drv_request_t *submit, uint32_t wait_ms)
{
    task->submit = submit;
    task->wait_ms = wait_ms;
    task->job.is_task = true;
    task->job.start = start_task;
    task->job.fail = fail_job;
    alchi_drv_job_add(group, &task->job);
    if (!task->input_count || !check_inputs(task))
        accept_task(task);
}

/* End the group to end the task. List the matrices first: they are lost with the group. */
static void
cancel_with_group(alchi_drv_task_t *task)
{
    char names[256];
    int lost = alchi_drv_catalog_names(&task->session->catalog, names, sizeof(names));
    alch_error_t error;

    task->hard_canceled = true;
    alchi_error_set(&task->error, ALCH_ECANCELED,
                    "task %llu (%s.%s) was canceled with its worker group; %d %s lost%s%s",
                    (unsigned long long)task->id, task->library, task->function, lost,
                    lost == 1 ? "matrix is" : "matrices are", lost ? ": " : "", names);
    alchi_error_set(&error, ALCH_EGROUP, "it was ended by the hard cancel of task %llu (%s.%s)",
                    (unsigned long long)task->id, task->library, task->function);
    alchi_drv_group_kill(task->job.group, &error);
}

void
alchi_drv_task_cancel(alchi_drv_task_t *task, bool hard)
{
    Alchw__WorkerCancel message = ALCHW__WORKER_CANCEL__INIT;
    alchi_drv_group_t *group = task->job.group;
    alch_error_t error;

    if (alchi_drv_task_ended(task))
        return;
    if (!task->job.running) {
        drop_queued_task(task);
        alchi_error_set(&error, ALCH_ECANCELED, "task %llu (%s.%s) was canceled before it started",
                        (unsigned long long)task->id, task->library, task->function);
        fail_task(task, &error);
        return;
    }
    if (hard && !task->hard_canceled)
        cancel_with_group(task);
    if (task->hard_canceled)
        return;
    if (task->state == ALCH_TASK_CANCELLING)
        return;
    task->state = ALCH_TASK_CANCELLING;
    message.has_task = 1;
    message.task = task->id;
    alchi_drv_group_send(group, ALCHI_WORKER_CANCEL, &message);
}
