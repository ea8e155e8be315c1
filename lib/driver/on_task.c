/* Requests about tasks: submit, wait, cancel; and the progress that ranks report. */
#include "base/error.h"
#include "base/util.h"
#include "driver/driver.h"
#include "driver/handlers.h"
#include "driver/link.h"
#include "driver/move.h"
#include "driver/request.h"
#include "driver/session.h"
#include "driver/task.h"
#include "wire/message.h"
#include <math.h>
#include <stdio.h>

void
alchi_drv_on_submit_task(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__SubmitTask *call = message;
    alchi_drv_session_t *session = link->session;
    alchi_drv_request_t *request = alchi_drv_request_create(driver, link, frame->id);
    alchi_drv_task_t *task;
    alch_error_t error;

    if (!request)
        return;
    if (alchi_drv_task_create_call(session, call, &task, &error))
        alchi_drv_request_fail(request, &error);
    else
        alchi_drv_task_queue(task, session->group, request, call->wait_ms);
}

static alchi_drv_task_t *
find_task(alchi_drv_link_t *link, uint64_t request, uint64_t id)
{
    alchi_drv_task_t *task = alchi_drv_task_find(link->session, id);
    alch_error_t error;

    if (task)
        return task;
    alchi_error_set(&error, ALCH_ENOENT, "session %llu has no task %llu (it keeps the last %d tasks that ended)",
                    (unsigned long long)link->session->id, (unsigned long long)id, ALCHI_DRV_TASKS_KEPT);
    alchi_drv_link_fail(link, request, &error);
    return NULL;
}

void
alchi_drv_on_wait_task(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__WaitTask *wait = message;
    alchi_drv_task_t *task = find_task(link, frame->id, wait->id);
    alchi_drv_request_t *request;

    if (!task || !(request = alchi_drv_request_create(driver, link, frame->id)))
        return;
    alchi_drv_request_wait(request, &task->waiters, alchi_drv_task_ended(task) ? 0 : wait->wait_ms,
                           alchi_drv_task_reply, task);
}

void
alchi_drv_on_cancel_task(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__CancelTask *cancel = message;
    alchi_drv_task_t *task = find_task(link, frame->id, cancel->id);
    alchi_drv_request_t *request;

    if (!task || !(request = alchi_drv_request_create(driver, link, frame->id)))
        return;
    alchi_drv_task_cancel(task, cancel->hard);
    request->object = task;
    alchi_drv_task_reply(request);
}

void
alchi_drv_on_worker_progress(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                             const void *message)
{
    const Alchw__WorkerProgress *progress = message;
    alchi_drv_task_t *task;

    (void)driver, (void)frame;
    if (link->group && alchi_drv_move_is_target(link->group->session, link->group) && isfinite(progress->fraction))
        alchi_drv_move_progress(link->group->session->move, link->rank, fmin(fmax(progress->fraction, 0), 1));
    if (!link->group || !link->group->session || !(task = alchi_drv_task_find(link->group->session, progress->task)) ||
        alchi_drv_task_ended(task))
        return;
    if (isfinite(progress->fraction))
        task->fraction = progress->fraction < 0 ? -1 : fmin(progress->fraction, 1);
    snprintf(task->text, sizeof(task->text), "%s", progress->text ? progress->text : "");
    alchi_utf8_clean(task->text);
}
