/* The slot queue: sessions that wait for idle worker slots. */
#include "driver/slot_queue.h"
#include "base/error.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/move.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "driver/slots.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static int
report_no_slots(const alchi_drv_session_t *session, int count, int claimed, alch_error_t *err)
{
    const alchi_drv_slots_t *slots = &session->driver->slots;
    int idle = alchi_drv_slots_count(slots, ALCH_WORKER_IDLE), total = alchi_drv_slots_total(slots);
    char also[64] = "";

    if (claimed)
        snprintf(also, sizeof(also), ", %d are claimed by other sessions in the queue", claimed);
    return alchi_error_set(err, ALCH_ENOSLOTS, "%d %s requested, %d of %d slots %s free%s (--workers)", count,
                           count == 1 ? "worker was" : "workers were", idle, total, idle == 1 ? "is" : "are", also);
}

int
alchi_drv_slot_queue_check(const alchi_drv_session_t *session, int count, int own, alch_error_t *err)
{
    const alchi_drv_t *driver = session->driver;
    const alchi_drv_session_t *other;
    int claimed = 0, soon = own + alchi_drv_slots_count(&driver->slots, ALCH_WORKER_IDLE) +
                            alchi_drv_slots_count(&driver->slots, ALCH_WORKER_RELEASING);

    DL_FOREACH2(driver->slot_queue, other, queue_next)
    claimed += other == session ? 0 : other->slots_needed;
    return count > soon - claimed ? report_no_slots(session, count, claimed, err) : ALCH_OK;
}

int
alchi_drv_slot_queue_add(alchi_drv_session_t *session, int count, const int *slots, alch_error_t *err)
{
    int code;

    alchi_drv_slot_queue_remove(session);
    if ((code = alchi_drv_slot_queue_check(session, count, 0, err)))
        return code;
    if (slots) {
        if (!(session->preferred_slots = calloc((size_t)count, sizeof(int))))
            return alchi_drv_error_no_memory(err);
        memcpy(session->preferred_slots, slots, (size_t)count * sizeof(int));
    }
    session->slots_needed = count;
    session->in_slot_queue = true;
    DL_APPEND2(session->driver->slot_queue, session, queue_prev, queue_next);
    return ALCH_OK;
}

void
alchi_drv_slot_queue_remove(alchi_drv_session_t *session)
{
    if (session->in_slot_queue)
        DL_DELETE2(session->driver->slot_queue, session, queue_prev, queue_next);
    session->in_slot_queue = false;
    session->slots_needed = 0;
    free(session->preferred_slots);
    session->preferred_slots = NULL;
}

void
alchi_drv_slot_queue_start_next(alchi_drv_t *driver)
{
    alchi_drv_session_t *session;
    alch_error_t error;
    int idle, releasing;

    while (!driver->stopping && (session = driver->slot_queue)) {
        idle = alchi_drv_slots_count(&driver->slots, ALCH_WORKER_IDLE);
        releasing = alchi_drv_slots_count(&driver->slots, ALCH_WORKER_RELEASING);
        if (session->slots_needed > idle && session->slots_needed <= idle + releasing)
            return;
        DL_DELETE2(driver->slot_queue, session, queue_prev, queue_next);
        session->in_slot_queue = false;
        if (session->slots_needed <= idle) {
            alchi_drv_group_start(session);
            continue;
        }
        report_no_slots(session, session->slots_needed, 0, &error);
        if (session->move) {
            alchi_drv_move_fail(session->move, &error);
            continue;
        }
        alchi_drv_slot_queue_remove(session);
        session->unreported_error = error;
        if (session->start_waiters)
            session->unreported_error.code = ALCH_OK;
        alchi_drv_requests_fail(&session->start_waiters, &error);
    }
}
