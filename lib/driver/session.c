/* Sessions: their creation, whether they can be used, and their end. */
#include "driver/session.h"
#include "base/error.h"
#include "base/log.h"
#include "driver/catalog.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/library.h"
#include "driver/link.h"
#include "driver/move.h"
#include "driver/request.h"
#include "driver/slot_queue.h"
#include "driver/task.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

alchi_drv_session_t *
alchi_drv_session_create(alchi_drv_t *driver, alchi_drv_link_t *owner, const uint8_t key[ALCHI_KEY_SIZE])
{
    alchi_drv_session_t *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    session->id = driver->next_session++;
    session->driver = driver;
    session->owner = owner;
    memcpy(session->key, key, ALCHI_KEY_SIZE);
    snprintf(session->name, sizeof(session->name), "%s", owner->name);
    HASH_ADD(hh, driver->sessions, id, sizeof(session->id), session);
    DL_APPEND(session->links, owner);
    owner->session = session;
    return session;
}

int
alchi_drv_session_ready(alchi_drv_session_t *session, alchi_drv_group_t **group_p, alch_error_t *err)
{
    if (session->closing)
        return alchi_error_set(err, ALCH_ESTATE, "session %llu is closing", (unsigned long long)session->id);
    if (session->move)
        return alchi_error_set(err, ALCH_EBUSY, "the matrices of session %llu are being moved to %d worker%s",
                               (unsigned long long)session->id, session->move->count,
                               session->move->count == 1 ? "" : "s");
    if (session->group && session->group->state == ALCHI_DRV_GROUP_READY) {
        *group_p = session->group;
        return ALCH_OK;
    }
    if (session->group || session->in_slot_queue)
        return alchi_error_set(err, ALCH_ESTATE,
                               "the workers of session %llu are still starting: a request for workers waits for them",
                               (unsigned long long)session->id);
    if (session->lost_reason.code)
        return alchi_error_rank(err, session->lost_reason.code, session->lost_reason.rank, "%s",
                                session->lost_reason.text);
    return alchi_error_set(err, ALCH_ESTATE, "session %llu has no workers: request some first",
                           (unsigned long long)session->id);
}

static void
close_links(alchi_drv_session_t *session, const alch_error_t *why)
{
    alchi_drv_link_t *link;

    while ((link = session->links)) {
        DL_DELETE(session->links, link);
        link->session = NULL;
        session->driver->clients--;
        alchi_drv_requests_detach_link(link);
        alchi_drv_link_fail(link, 0, why);
        link->ops->close(link);
    }
}

void
alchi_drv_session_end(alchi_drv_session_t *session, const char *why)
{
    alchi_drv_t *driver = session->driver;
    alchi_drv_task_t *task, *next_task;
    alchi_drv_library_t *library, *next_library;
    alch_error_t error;

    alchi_error_set(&error, ALCH_ECONNECT, "session %llu has ended: %s", (unsigned long long)session->id, why);
    alchi_log(ALCHI_LOG_INFO, "%s", error.text);
    HASH_DEL(driver->sessions, session);
    session->closing = true;
    if (session->move)
        alchi_drv_move_fail(session->move, &error);
    alchi_drv_slot_queue_remove(session);
    alchi_drv_requests_fail(&session->start_waiters, &error);
    if (session->group)
        alchi_drv_group_release(session->group, &error);
    close_links(session, &error);
    HASH_ITER(hh, session->tasks, task, next_task)
    {
        HASH_DEL(session->tasks, task);
        alchi_drv_task_free(task);
    }
    DL_FOREACH_SAFE(session->libraries, library, next_library)
    {
        DL_DELETE(session->libraries, library);
        alchi_drv_library_destroy(library);
    }
    alchi_drv_catalog_fini(&session->catalog);
    explicit_bzero(session->key, sizeof(session->key));
    free(session);
    alchi_drv_slot_queue_start_next(driver);
}
