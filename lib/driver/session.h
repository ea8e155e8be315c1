/**
 * @file driver/session.h
 * Sessions: a client's connections, its worker group, its matrices, libraries and tasks.
 *
 * A session begins when its client is admitted. It ends, and is freed by alchi_drv_session_end(), when the client's own
 * connection (the owner) ends or the driver stops. It outlives its groups: after the loss of a group the client may
 * request workers again. It owns its catalog, libraries, tasks and move, but not its links and groups.
 */
#ifndef ALCHI_DRIVER_SESSION_H
#define ALCHI_DRIVER_SESSION_H

#include "driver/catalog.h"
#include "driver/link.h"
#include "driver/request.h"
#include <uthash.h>

struct alchi_drv_session {
    uint64_t id;
    uint8_t key[ALCHI_KEY_SIZE]; /* executors prove it; the keys of the ranks' data connections are derived from it */
    alchi_drv_t *driver;
    char name[64];
    alchi_drv_link_t *owner;      /* of the client that opened it; NULL: that connection has ended */
    alchi_drv_link_t *links;      /* owner and executors */
    alchi_drv_group_t *group;     /* STARTING or READY, else NULL */
    alchi_drv_group_t *old_group; /* the matrices have moved away from it, and its ranks have not ended yet; or NULL */
    alchi_drv_move_t *move;       /* the matrices are moving to another group; NULL: they are not */
    alchi_drv_request_t *start_waiters; /* wait list: requests that wait until the group is READY */
    int slots_needed;                   /* workers to start as soon as there are idle slots; 0: none */
    int *preferred_slots;               /* [slots_needed] ids, or NULL */
    bool in_slot_queue;
    bool closing;                  /* the owner has asked to close it */
    alch_error_t lost_reason;      /* why the last group was lost; code ALCH_OK: it was not */
    alch_error_t unreported_error; /* of a start or a move that no request waited for: the next request for workers
                                    * gets it. Code ALCH_OK: there is none */
    alchi_drv_catalog_t catalog;
    alchi_drv_library_t *libraries;
    alchi_drv_task_t *tasks; /* hash by id, oldest first */
    int ended_tasks;
    alchi_drv_session_t *queue_prev, *queue_next; /* in the slot queue */
    UT_hash_handle hh;
};

/** Create a session for an authenticated client. NULL: out of memory */
alchi_drv_session_t *alchi_drv_session_create(alchi_drv_t *driver, alchi_drv_link_t *owner,
                                              const uint8_t key[ALCHI_KEY_SIZE]);
/** End a session and free it: its group is released, requests that wait get the reason, and its connections are closed
 *  with the reason as their final message. */
void alchi_drv_session_end(alchi_drv_session_t *session, const char *why);
/** The session's group, if it can be used. @return ALCH_OK; ALCH_ESTATE (closing, no workers, or they are starting);
 *  ALCH_EBUSY (its matrices are being moved); the reason why the last group was lost (ALCH_EGROUP) */
int alchi_drv_session_ready(alchi_drv_session_t *session, alchi_drv_group_t **group_p, alch_error_t *err);

#endif
