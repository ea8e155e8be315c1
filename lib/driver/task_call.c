/* Calls: from a client's message to a task with checked arguments and locked inputs. This file also creates, registers
 * and frees tasks of all kinds. */
#include "base/error.h"
#include "base/util.h"
#include "driver/catalog.h"
#include "driver/driver.h"
#include "driver/group_state.h"
#include "driver/job.h"
#include "driver/library.h"
#include "driver/no_memory.h"
#include "driver/session.h"
#include "driver/task.h"
#include "wire/message.h"
#include "wire/value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
alchi_drv_task_free(alchi_drv_task_t *task)
{
    if (!task)
        return;
    alchi_drv_job_end(&task->job);
    for (size_t i = 0; i < task->argument_count; i++)
        alchi_message_free(task->arguments[i]);
    free(task->arguments);
    alchi_message_free(task->outcome);
    alchi_message_free(task->transform);
    free(task->library);
    free(task->function);
    free(task->inputs);
    free(task->created);
    free(task);
}

static size_t
count_inputs(const alchi_drv_task_t *task)
{
    size_t count = 0;

    for (size_t i = 0; i < task->argument_count; i++)
        count += task->arguments[i]->value->type == ALCH_TYPE_MATRIX ? task->arguments[i]->value->n_u : 0;
    return count;
}

static int
find_inputs(alchi_drv_task_t *task, const Alchw__Function *function, alch_error_t *err)
{
    const Alchw__NamedValue *argument;
    alchi_drv_matrix_t *matrix;
    size_t i, k, count = count_inputs(task);
    alch_error_t error;
    int code;

    if (count && !(task->inputs = calloc(count, sizeof(*task->inputs))))
        return alchi_drv_error_no_memory(err);
    for (i = 0; i < task->argument_count; i++) {
        argument = task->arguments[i];
        for (k = 0; argument->value->type == ALCH_TYPE_MATRIX && k < argument->value->n_u; k++) {
            if (argument->value->u[k] == 0 && function->parameters[i]->optional_)
                continue;
            if ((code = alchi_drv_catalog_find(&task->session->catalog, argument->value->u[k], &matrix, &error)))
                return alchi_error_set(err, code, "%s.%s: parameter '%s': %s", task->library, task->function,
                                       argument->name, error.text);
            task->inputs[task->input_count++] = matrix->id;
        }
    }
    return ALCH_OK;
}

static int
count_results(const Alchw__Function *function)
{
    int count = 0;

    for (size_t i = 0; i < function->n_results; i++)
        count += function->results[i]->type == ALCH_TYPE_MATRIX;
    return count;
}

static int
check_size(const alchi_drv_task_t *task, alch_error_t *err)
{
    size_t i, bytes = strlen(task->library) + strlen(task->function) + 64;

    for (i = 0; i < task->argument_count; i++)
        bytes += protobuf_c_message_get_packed_size(&task->arguments[i]->base) + 8;
    if (bytes > ALCHI_META_MAX)
        return alchi_error_set(err, ALCH_ELIMIT,
                               "the arguments of %s.%s take %zu bytes, the limit is %u: send large data as a matrix",
                               task->library, task->function, bytes, ALCHI_META_MAX);
    return ALCH_OK;
}

static int
fill_task(alchi_drv_task_t *task, const alchi_drv_library_t *library, const Alchw__Function *function,
          const Alchw__SubmitTask *call, alch_error_t *err)
{
    int code;

    task->library = strdup(library->description->name);
    task->function = strdup(function->name);
    if (!task->library || !task->function)
        return alchi_drv_error_no_memory(err);
    if ((code =
             alchi_arguments_check(task->library, function, call->arguments, call->n_arguments, &task->arguments, err)))
        return code;
    task->argument_count = function->n_parameters;
    if ((code = check_size(task, err)) || (code = find_inputs(task, function, err)))
        return code;
    task->result_count = count_results(function);
    return ALCH_OK;
}

/* Free the oldest ended tasks above the limit. Not called when a task ends, because callers still use that task. */
static void
prune_ended_tasks(alchi_drv_session_t *session)
{
    alchi_drv_task_t *task, *next;

    HASH_ITER(hh, session->tasks, task, next)
    {
        if (session->ended_tasks <= ALCHI_DRV_TASKS_KEPT)
            return;
        if (!alchi_drv_task_ended(task))
            continue;
        HASH_DEL(session->tasks, task);
        session->ended_tasks--;
        alchi_drv_task_free(task);
    }
}

void
alchi_drv_task_register(alchi_drv_session_t *session, alchi_drv_task_t *task)
{
    char label[96];

    prune_ended_tasks(session);
    task->id = session->driver->next_task++;
    task->first_result = session->driver->next_matrix;
    session->driver->next_matrix += (uint64_t)task->result_count;
    snprintf(label, sizeof(label), "task %llu (%s.%s)", (unsigned long long)task->id, task->library, task->function);
    alchi_utf8_clean(label);
    alchi_drv_catalog_lock(&session->catalog, task->inputs, task->input_count, label);
    HASH_ADD(hh, session->tasks, id, sizeof(task->id), task);
}

alchi_drv_task_t *
alchi_drv_task_create(alchi_drv_session_t *session, alch_error_t *err)
{
    alchi_drv_task_t *task = calloc(1, sizeof(*task));

    if (task) {
        task->session = session;
        task->fraction = -1;
        task->state = ALCH_TASK_QUEUED;
    } else {
        alchi_drv_error_no_memory(err);
    }
    return task;
}

int
alchi_drv_task_create_call(alchi_drv_session_t *session, const Alchw__SubmitTask *call, alchi_drv_task_t **task_p,
                           alch_error_t *err)
{
    const Alchw__Function *function;
    alchi_drv_library_t *library;
    alchi_drv_group_t *group;
    alchi_drv_task_t *task;
    int code;

    if ((code = alchi_drv_session_ready(session, &group, err)) ||
        (code = alchi_drv_library_lookup(session, call->library, call->function, &library, &function, err)))
        return code;
    if (!(task = alchi_drv_task_create(session, err)))
        return ALCH_ENOMEM;
    if ((code = fill_task(task, library, function, call, err))) {
        alchi_drv_task_free(task);
        return code;
    }
    alchi_drv_task_register(session, task);
    *task_p = task;
    return ALCH_OK;
}
