/* Requests about workers: list them, request them, give them back. */
#include "base/error.h"
#include "driver/catalog.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/handlers.h"
#include "driver/job.h"
#include "driver/link.h"
#include "driver/move.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "driver/slot_queue.h"
#include "driver/slots.h"
#include "wire/message.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* ---- lists of workers ---- */

typedef struct {
    Alchw__Worker *workers;
    Alchw__Worker **list;
    size_t count, capacity;
} worker_list_t;

static bool
list_init(worker_list_t *list, size_t capacity)
{
    list->count = 0;
    list->capacity = capacity;
    list->workers = calloc(capacity + 1, sizeof(*list->workers));
    list->list = calloc(capacity + 1, sizeof(*list->list));
    return list->workers && list->list;
}

static void
list_fini(worker_list_t *list)
{
    free(list->workers);
    free(list->list);
}

static void
list_add(worker_list_t *list, const alchi_drv_slot_t *slot, const alchi_drv_session_t *viewer)
{
    Alchw__Worker *worker = &list->workers[list->count];

    alchw__worker__init(worker);
    worker->has_slot = worker->has_port = worker->has_state = worker->has_session = worker->has_rank = worker->has_pid =
        1;
    worker->slot = (uint32_t)slot->id;
    worker->host = slot->node->host;
    worker->address = slot->node->address;
    worker->port = (uint32_t)slot->port;
    worker->state = (uint32_t)slot->state;
    worker->session = slot->session;
    worker->rank = viewer && slot->session == viewer->id ? slot->rank : -1;
    worker->pid = slot->pid;
    list->list[list->count++] = worker;
}

static bool
passes_filter(const alchi_drv_slot_t *slot, const alchi_drv_session_t *session, uint32_t filter)
{
    switch (filter) {
    case ALCH_WORKERS_ACTIVE:
        return slot->state != ALCH_WORKER_IDLE;
    case ALCH_WORKERS_INACTIVE:
        return slot->state == ALCH_WORKER_IDLE;
    case ALCH_WORKERS_ASSIGNED:
        return session->group && slot->group == session->group->id;
    default:
        return true;
    }
}

static bool
list_fill(worker_list_t *list, const alchi_drv_session_t *session, uint32_t filter)
{
    const alchi_drv_slots_t *slots = &session->driver->slots;
    const alchi_drv_node_t *node;

    if (!list_init(list, (size_t)alchi_drv_slots_total(slots)))
        return false;
    DL_FOREACH(slots->nodes, node)
    {
        for (int i = 0; node->link && i < node->count; i++) {
            if (passes_filter(&node->slots[i], session, filter))
                list_add(list, &node->slots[i], session);
        }
    }
    return true;
}

static void
fail_no_memory(alchi_drv_request_t *request)
{
    alch_error_t error;

    alchi_drv_error_no_memory(&error);
    alchi_drv_request_fail(request, &error);
}

static void
reply_workers(alchi_drv_request_t *request, uint32_t filter)
{
    Alchw__WorkerList message = ALCHW__WORKER_LIST__INIT;
    worker_list_t list;

    if (list_fill(&list, request->session, filter)) {
        message.n_workers = list.count;
        message.workers = list.list;
        alchi_drv_request_reply(request, ALCHI_WORKER_LIST, &message);
    } else {
        fail_no_memory(request);
    }
    list_fini(&list);
}

void
alchi_drv_on_list_workers(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__ListWorkers *list = message;
    alchi_drv_request_t *request;
    alch_error_t error;

    if (list->filter > ALCH_WORKERS_ASSIGNED) {
        alchi_error_set(&error, ALCH_EINVAL, "list of workers %u does not exist, the lists have the numbers 0 to 3",
                        list->filter);
        alchi_drv_link_fail(link, frame->id, &error);
    } else if ((request = alchi_drv_request_create(driver, link, frame->id))) {
        reply_workers(request, list->filter);
    }
}

/* This function answers also the request to close a session, which has no session any more. */
void
alchi_drv_reply_assigned_workers(alchi_drv_request_t *request)
{
    if (request->session && request->link)
        reply_workers(request, ALCH_WORKERS_ASSIGNED);
    else
        alchi_drv_request_reply_empty(request);
}

/* Answer with the group of the session. @param busy  a move has not ended completely: the group cannot be used yet */
static void
reply_group(alchi_drv_request_t *request, bool busy)
{
    const alchi_drv_move_t *move = request->session->move;
    Alchw__Group message = ALCHW__GROUP__INIT;
    alchi_drv_group_t *group = request->session->group;
    worker_list_t list;

    if (!list_init(&list, group ? (size_t)group->size : 0)) {
        fail_no_memory(request);
        list_fini(&list);
        return;
    }
    for (int i = 0; group && i < group->size; i++)
        list_add(&list, group->ranks[i].slot, request->session);
    message.has_id = message.has_ready = 1;
    message.id = group ? group->id : 0;
    message.ready = group && group->state == ALCHI_DRV_GROUP_READY && !busy;
    message.n_workers = list.count;
    message.workers = list.list;
    message.has_moving = message.has_moved = message.has_total = 1;
    message.moving = move != NULL || busy;
    message.moved = move ? alchi_drv_move_bytes_done(move) : 0;
    message.total = move ? move->total : 0;
    alchi_drv_request_reply(request, ALCHI_GROUP, &message);
    list_fini(&list);
}

static void
reply_current_group(alchi_drv_request_t *request)
{
    reply_group(request, false);
}

/* For a request that waits for a move, the group is not ready until the old ranks have exited. */
static void
reply_moving_group(alchi_drv_request_t *request)
{
    reply_group(request, request->session->move || request->session->old_group);
}

void
alchi_drv_on_get_group(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    alchi_drv_session_t *session = link->session;
    alchi_drv_request_t *request;

    (void)message;
    if (!session->group && !session->in_slot_queue && session->lost_reason.code)
        alchi_drv_link_fail(link, frame->id, &session->lost_reason);
    else if ((request = alchi_drv_request_create(driver, link, frame->id)))
        reply_current_group(request);
}

/* ---- requesting workers and giving them back ---- */

static bool
require_owner(alchi_drv_link_t *link, uint64_t id, const char *action)
{
    alch_error_t error;

    if (link == link->session->owner)
        return true;
    alchi_error_set(&error, ALCH_EPERM,
                    "only the process that opened session %llu can %s; this process is attached to it",
                    (unsigned long long)link->session->id, action);
    alchi_drv_link_fail(link, id, &error);
    return false;
}

static bool
has_task(const alchi_drv_group_t *group)
{
    const alchi_drv_job_t *job;

    DL_FOREACH(group->jobs, job)
    {
        if (job->is_task)
            return true;
    }
    return false;
}

/* Whether the group can end without the loss of a matrix or a task. Libraries do not count, because the driver loads
 * them again on the next group. */
static int
check_no_loss(const alchi_drv_session_t *session, const char *what, alch_error_t *err)
{
    char names[512];
    int count = alchi_drv_catalog_names(&session->catalog, names, sizeof(names));

    if (count)
        return alchi_error_set(err, ALCH_EBUSY, "%s would lose %d %s: %s", what, count,
                               count == 1 ? "matrix" : "matrices", names);
    if (session->group && has_task(session->group))
        return alchi_error_set(err, ALCH_EBUSY, "%s would cancel a task that has not ended", what);
    return ALCH_OK;
}

static int
resize_group(alchi_drv_session_t *session, int count, const int *slots, alch_error_t *err)
{
    alchi_drv_group_t *group = session->group;
    alch_error_t why;
    int code;

    alchi_error_set(&why, ALCH_EGROUP, "worker group %llu was resized", (unsigned long long)(group ? group->id : 0));
    if ((code = alchi_drv_slot_queue_check(session, count, group ? group->size : 0, err)))
        return code;
    if (group)
        alchi_drv_group_release(group, &why);
    if ((code = alchi_drv_slot_queue_add(session, count, slots, err)))
        return code;
    alchi_drv_slot_queue_start_next(session->driver);
    return ALCH_OK;
}

/* During a move, a request for the number of workers of the second group waits for the end of the move, and a request
 * for the present number of workers cancels the move. */
static int
handle_request_during_move(alchi_drv_session_t *session, uint32_t count, bool move, alch_error_t *err)
{
    alch_error_t error;

    if (move && count == (uint32_t)session->move->count)
        return ALCH_OK;
    if (count != (uint32_t)session->group->size)
        return alchi_error_set(
            err, ALCH_EBUSY,
            "the matrices of session %llu are being moved to %d worker%s; a request for %d worker%s cancels the move",
            (unsigned long long)session->id, session->move->count, session->move->count == 1 ? "" : "s",
            session->group->size, session->group->size == 1 ? "" : "s");
    alchi_error_set(&error, ALCH_ECANCELED, "the move to %d worker%s was canceled", session->move->count,
                    session->move->count == 1 ? "" : "s");
    alchi_drv_move_fail(session->move, &error);
    session->unreported_error.code = ALCH_OK;
    return ALCH_OK;
}

static int
request_workers(alchi_drv_session_t *session, uint32_t count, bool move, alch_error_t *err)
{
    char names[8];
    int total = alchi_drv_slots_total(&session->driver->slots), code;

    if (session->closing)
        return alchi_error_set(err, ALCH_ESTATE, "session %llu is closing", (unsigned long long)session->id);
    if (count < 1 || count > INT32_MAX)
        return alchi_error_set(err, ALCH_EINVAL, "%u workers were requested, at least 1 is needed", count);
    if (count > (uint32_t)total)
        return alchi_error_set(err, ALCH_ENOSLOTS, "%u workers were requested, %d of %d slots are free (--workers)",
                               count, alchi_drv_slots_count(&session->driver->slots, ALCH_WORKER_IDLE), total);
    if (session->move)
        return handle_request_during_move(session, count, move, err);
    if ((session->group && session->group->size == (int)count) ||
        (session->in_slot_queue && session->slots_needed == (int)count))
        return ALCH_OK;
    if (session->unreported_error.code) {
        *err = session->unreported_error;
        session->unreported_error.code = ALCH_OK;
        return err->code;
    }
    if (move && session->group && alchi_drv_catalog_names(&session->catalog, names, sizeof(names)))
        return alchi_drv_move_start(session, (int)count, err);
    if (session->group && (code = check_no_loss(session, "resizing the worker group", err)))
        return code;
    return resize_group(session, (int)count, NULL, err);
}

void
alchi_drv_on_request_workers(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                             const void *message)
{
    const Alchw__RequestWorkers *params = message;
    alchi_drv_session_t *session = link->session;
    alchi_drv_request_t *request;
    alch_error_t error;

    if (!require_owner(link, frame->id, "request workers"))
        return;
    if (request_workers(session, params->count, params->move, &error)) {
        alchi_drv_link_fail(link, frame->id, &error);
        return;
    }
    if (!(request = alchi_drv_request_create(driver, link, frame->id)))
        return;
    if (session->move)
        alchi_drv_request_wait(request, &session->move->waiters, params->wait_ms, reply_moving_group, session);
    else if (session->old_group && params->move)
        alchi_drv_request_wait(request, &session->old_group->end_waiters, params->wait_ms, reply_moving_group, session);
    else if (session->group && session->group->state == ALCHI_DRV_GROUP_READY)
        reply_current_group(request);
    else if (session->group || session->in_slot_queue)
        alchi_drv_request_wait(request, &session->start_waiters, params->wait_ms, reply_current_group, session);
    else
        alchi_drv_request_fail(request, session->lost_reason.code ? &session->lost_reason : &session->unreported_error);
}

static bool
has_slot(const alchi_drv_group_t *group, uint32_t slot)
{
    for (int i = 0; group && i < group->size; i++) {
        if ((uint32_t)group->ranks[i].slot_id == slot)
            return true;
    }
    return false;
}

/* The ids of the group's slots that are not given back, for the caller to free. NULL: out of memory. */
static int *
list_kept_slots(const alchi_drv_group_t *group, const Alchw__YieldWorkers *yield, int *kept_p)
{
    int *slots = calloc((size_t)group->size, sizeof(*slots)), i, kept = 0;
    size_t k;

    for (i = 0; slots && i < group->size; i++) {
        for (k = 0; k < yield->n_slots && yield->slots[k] != (uint32_t)group->ranks[i].slot_id; k++)
            ;
        if (k == yield->n_slots)
            slots[kept++] = group->ranks[i].slot_id;
    }
    *kept_p = kept;
    return slots;
}

static int
check_yield(const alchi_drv_session_t *session, const Alchw__YieldWorkers *yield, alch_error_t *err)
{
    for (size_t k = 0; k < yield->n_slots; k++) {
        if (!has_slot(session->group, yield->slots[k]))
            return alchi_error_set(err, ALCH_ENOENT, "worker %u is not assigned to session %llu", yield->slots[k],
                                   (unsigned long long)session->id);
    }
    return ALCH_OK;
}

/* Give all workers back: the matrices are lost. */
static void
yield_all(alchi_drv_session_t *session, alchi_drv_request_t *request)
{
    alchi_drv_group_t *group = session->group;
    alch_error_t why;

    alchi_error_set(&why, ALCH_EGROUP, "worker group %llu was given back", (unsigned long long)group->id);
    if (session->move)
        alchi_drv_move_fail(session->move, &why);
    alchi_drv_catalog_mark_lost(&session->catalog, group->id, why.text);
    request->wait_list = &group->end_waiters;
    DL_APPEND2(group->end_waiters, request, wait_prev, wait_next);
    alchi_drv_group_release(group, &why);
}

static void
yield_some(alchi_drv_session_t *session, alchi_drv_request_t *request, int kept, const int *slots)
{
    alch_error_t error;

    if (check_no_loss(session, "yielding a part of the workers", &error) ||
        resize_group(session, kept, slots, &error)) {
        alchi_drv_request_fail(request, &error);
        return;
    }
    alchi_drv_request_wait(request, &session->start_waiters, ALCHI_DRV_WAIT_MAX_MS, alchi_drv_reply_assigned_workers,
                           session);
}

void
alchi_drv_on_yield_workers(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__YieldWorkers *yield = message;
    alchi_drv_session_t *session = link->session;
    alchi_drv_request_t *request;
    alch_error_t error;
    int *slots, kept;

    if (!require_owner(link, frame->id, "yield workers"))
        return;
    if (check_yield(session, yield, &error)) {
        alchi_drv_link_fail(link, frame->id, &error);
        return;
    }
    if (!(request = alchi_drv_request_create(driver, link, frame->id)))
        return;
    if (!session->group) {
        alchi_error_set(&error, ALCH_ECANCELED, "the workers were given back before they had started");
        alchi_drv_slot_queue_remove(session);
        alchi_drv_requests_fail(&session->start_waiters, &error);
        reply_workers(request, ALCH_WORKERS_ASSIGNED);
        return;
    }
    if (!(slots = list_kept_slots(session->group, yield, &kept))) {
        fail_no_memory(request);
        return;
    }
    if (!yield->n_slots || !kept)
        yield_all(session, request);
    else
        yield_some(session, request, kept, slots);
    free(slots);
}
