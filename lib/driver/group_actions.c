/* How a worker group is started, and what the driver does when the group's state changes. */
#include "driver/group_actions.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "driver/catalog.h"
#include "driver/command.h"
#include "driver/driver.h"
#include "driver/group_state.h"
#include "driver/handlers.h"
#include "driver/job.h"
#include "driver/library.h"
#include "driver/link.h"
#include "driver/move.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "driver/slot_queue.h"
#include "driver/slots.h"
#include "driver/timer.h"
#include "wire/message.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define QUIT_GRACE_MS 2000 /* from the request to quit until the agents kill the ranks */
#define EXIT_WAIT_MS 2000  /* from the end of a rank's connection until its agent must have reported the exit */

void
alchi_drv_group_send(alchi_drv_group_t *group, unsigned type, const void *message)
{
    for (int rank = 0; rank < group->size; rank++) {
        if (group->ranks[rank].link)
            alchi_drv_link_send(group->ranks[rank].link, type, message);
    }
}

static void
kill_ranks(alchi_drv_group_t *group, uint32_t grace_ms)
{
    Alchw__KillGroup message = ALCHW__KILL_GROUP__INIT;

    message.has_group = message.has_grace_ms = 1;
    message.group = group->id;
    message.grace_ms = grace_ms;
    for (int i = 0; i < group->node_count; i++) {
        if (group->nodes[i].node && !group->nodes[i].ended)
            alchi_drv_link_send(group->nodes[i].node->link, ALCHI_KILL_GROUP, &message);
    }
}

static void
set_slot_states(alchi_drv_group_t *group, int first, int count, alch_worker_state_t state)
{
    alchi_drv_slot_t *slot;

    for (int i = first; i < first + count; i++) {
        if (!(slot = group->ranks[i].slot))
            continue;
        slot->state = state;
        if (state != ALCH_WORKER_IDLE)
            continue;
        slot->session = slot->group = 0;
        slot->rank = -1;
        slot->pid = 0;
        group->ranks[i].slot = NULL;
    }
}

/* Detach a group from its session, and fail its commands and jobs. If it is lost, its matrices are lost, too. */
static void
detach_from_session(alchi_drv_group_t *group, const alch_error_t *why, bool lost)
{
    alchi_drv_session_t *session = group->session;

    alchi_drv_timer_stop(&group->start_timer);
    alchi_drv_timer_stop(&group->exit_timer);
    alchi_drv_timer_stop(&group->ping_timer);
    set_slot_states(group, 0, group->size, ALCH_WORKER_RELEASING);
    group->session = NULL;
    if (session && session->group == group)
        session->group = NULL;
    alchi_drv_commands_fail(group, why);
    alchi_drv_jobs_fail(group, why);
    if (!session || alchi_drv_move_is_target(session, group))
        return;
    alchi_drv_libraries_unload(session);
    if (lost)
        alchi_drv_catalog_mark_lost(&session->catalog, group->id, why->text);
}

/* The session's move fails with the group's error. If the session has no group any more, the requests that wait for
 * the start get the error; if no request waits for a start that failed, the next request for workers gets it. */
static void
handle_lost_group(alchi_drv_group_t *group, bool starting)
{
    alchi_drv_session_t *session = group->session;
    alch_error_t why = group->lost_reason;

    alchi_log(ALCHI_LOG_WARNING, "session %llu: %s", (unsigned long long)group->session_id, why.text);
    detach_from_session(group, &why, true);
    if (session && session->move)
        alchi_drv_move_fail(session->move, &why);
    if (!session || session->group)
        return;
    session->lost_reason = why;
    if (starting && !session->start_waiters)
        session->unreported_error = why;
    alchi_drv_requests_fail(&session->start_waiters, &why);
}

static void ping_ranks(alchi_drv_timer_t *timer);

/* The next ping is sent a quarter of --client-timeout after all ranks have replied to the last one. The time limit for
 * the replies is --client-timeout. */
static void
schedule_ping(alchi_drv_group_t *group)
{
    alchi_drv_timer_start(&group->driver->timers, &group->ping_timer, group->driver->config->client_timeout_ms / 4 + 1,
                          ping_ranks);
}

static void
schedule_next_ping(alchi_drv_command_t *command)
{
    if (!command->failed)
        schedule_ping(command->group);
}

/* A stopped rank, or a rank on a stopped host, does not close its connection, so only a missing reply shows that it is
 * stopped. Control threads reply also while a task runs. */
static void
ping_ranks(alchi_drv_timer_t *timer)
{
    static const alchi_drv_command_t model = {.on_done = schedule_next_ping};
    alchi_drv_group_t *group = ALCHI_CONTAINER(timer, alchi_drv_group_t, ping_timer);

    if (alchi_drv_command_send(group, ALCHI_PING, NULL, NULL, &model, NULL) == ALCH_ENOMEM)
        schedule_ping(group);
}

static void
handle_ready_group(alchi_drv_group_t *group)
{
    alchi_drv_session_t *session = group->session;

    alchi_drv_timer_stop(&group->start_timer);
    set_slot_states(group, 0, group->size, ALCH_WORKER_ACTIVE);
    alchi_log(ALCHI_LOG_INFO, "session %llu: worker group %llu is ready: %d workers in %.2f s",
              (unsigned long long)group->session_id, (unsigned long long)group->id, group->size,
              (double)(alchi_now_ns() - group->start_ns) / 1e9);
    schedule_ping(group);
    if (alchi_drv_move_is_target(session, group)) {
        alchi_drv_move_ready(session->move);
        return;
    }
    while (session->start_waiters)
        session->start_waiters->reply_state(session->start_waiters);
    alchi_drv_libraries_reload(session);
}

/* Requests that have a time limit get the present state; the others get the list of workers. */
static void
reply_after_end(alchi_drv_request_t *request)
{
    if (request->reply_state)
        request->reply_state(request);
    else
        alchi_drv_reply_assigned_workers(request);
}

static void
handle_ended_group(alchi_drv_group_t *group)
{
    alchi_drv_t *driver = group->driver;
    alchi_drv_session_t *session;

    alchi_log(ALCHI_LOG_INFO, "session %llu: worker group %llu has ended, %d workers are idle",
              (unsigned long long)group->session_id, (unsigned long long)group->id, group->size);
    for (int i = 0; i < group->size; i++) {
        if (group->ranks[i].link)
            group->ranks[i].link->group = NULL;
    }
    HASH_FIND(hh, driver->sessions, &group->session_id, sizeof(group->session_id), session);
    if (session && session->old_group == group)
        session->old_group = NULL;
    while (group->end_waiters)
        reply_after_end(group->end_waiters);
    DL_DELETE(driver->groups, group);
    alchi_drv_group_destroy(group);
    alchi_drv_slot_queue_start_next(driver);
}

static void
report_overdue_exit(alchi_drv_timer_t *timer)
{
    alchi_drv_group_t *group = ALCHI_CONTAINER(timer, alchi_drv_group_t, exit_timer);
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_EXIT_OVERDUE};

    while (event.rank < group->size - 1 && !group->ranks[event.rank].disconnected)
        event.rank++;
    alchi_drv_group_handle_event(group, &event);
}

static void
report_overdue_start(alchi_drv_timer_t *timer)
{
    alchi_drv_group_t *group = ALCHI_CONTAINER(timer, alchi_drv_group_t, start_timer);
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_START_OVERDUE,
                                     .ms = group->driver->config->start_timeout_ms};

    alchi_drv_group_handle_event(group, &event);
}

void
alchi_drv_group_handle_event(alchi_drv_group_t *group, const alchi_drv_group_event_t *event)
{
    bool starting = group->state == ALCHI_DRV_GROUP_STARTING;
    unsigned actions = alchi_drv_group_next_state(group, event);

    if (actions & ALCHI_DRV_ACTION_READY)
        handle_ready_group(group);
    if (actions & ALCHI_DRV_ACTION_LOST)
        handle_lost_group(group, starting);
    if (actions & ALCHI_DRV_ACTION_QUIT) {
        alchi_drv_group_send(group, ALCHI_WORKER_QUIT, NULL);
        kill_ranks(group, QUIT_GRACE_MS);
    }
    if (actions & ALCHI_DRV_ACTION_KILL)
        kill_ranks(group, 0);
    if ((actions & ALCHI_DRV_ACTION_AWAIT_EXIT) && !group->exit_timer.timers)
        alchi_drv_timer_start(&group->driver->timers, &group->exit_timer, EXIT_WAIT_MS, report_overdue_exit);
    if (actions & ALCHI_DRV_ACTION_IDLE)
        set_slot_states(group, group->nodes[event->node_index].first, group->nodes[event->node_index].count,
                        ALCH_WORKER_IDLE);
    if (event->type == ALCHI_DRV_EVENT_NODE_LOST)
        group->nodes[event->node_index].node = NULL;
    if (actions & ALCHI_DRV_ACTION_ENDED)
        handle_ended_group(group);
}

void
alchi_drv_group_release(alchi_drv_group_t *group, const alch_error_t *why)
{
    alchi_drv_group_event_t release = {.type = ALCHI_DRV_EVENT_RELEASE};
    /* A main thread that is inside a call does not see the request to quit. */
    bool busy = group->jobs != NULL;

    alchi_drv_group_handle_event(group, &release);
    detach_from_session(group, why, false);
    if (busy)
        kill_ranks(group, 0);
}

void
alchi_drv_group_kill(alchi_drv_group_t *group, const alch_error_t *why)
{
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_KILL, .error = why};

    alchi_drv_group_handle_event(group, &event);
}

static alchi_drv_group_t *
create_group(alchi_drv_session_t *session)
{
    alchi_drv_t *driver = session->driver;
    alchi_drv_slot_t **chosen = calloc((size_t)session->slots_needed, sizeof(*chosen));
    alchi_drv_group_t *group = NULL;

    if (chosen && alchi_drv_slots_choose(&driver->slots, session->slots_needed, session->preferred_slots, chosen))
        group = alchi_drv_group_create(driver->next_group++, session->id, chosen, session->slots_needed);
    for (int i = 0; group && i < group->size; i++) {
        chosen[i]->state = ALCH_WORKER_STARTING;
        chosen[i]->session = session->id;
        chosen[i]->group = group->id;
        chosen[i]->rank = i;
    }
    free(chosen);
    return group;
}

void
alchi_drv_group_start(alchi_drv_session_t *session)
{
    alchi_drv_t *driver = session->driver;
    alchi_drv_group_t *group = create_group(session);
    alch_error_t error;

    session->slots_needed = 0;
    free(session->preferred_slots);
    session->preferred_slots = NULL;
    if (!group) {
        alchi_drv_error_no_memory(&error);
        if (session->move)
            alchi_drv_move_fail(session->move, &error);
        alchi_drv_requests_fail(&session->start_waiters, &error);
        return;
    }
    group->driver = driver;
    group->session = session;
    group->start_ns = alchi_now_ns();
    if (session->move)
        session->move->to = group;
    else
        session->group = group;
    session->lost_reason.code = session->unreported_error.code = ALCH_OK;
    DL_APPEND(driver->groups, group);
    alchi_log(ALCHI_LOG_INFO, "session %llu: starting worker group %llu of %d workers", (unsigned long long)session->id,
              (unsigned long long)group->id, group->size);
    alchi_drv_timer_start(&driver->timers, &group->start_timer, driver->config->start_timeout_ms, report_overdue_start);
    if (alchi_drv_group_spawn(group, session->key)) {
        alchi_drv_error_no_memory(&error);
        alchi_drv_group_kill(group, &error);
    }
}
