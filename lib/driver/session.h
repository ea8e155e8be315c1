/** @file driver/session.h  A session: its connections, its worker group, its matrices, libraries and tasks. */
#ifndef ALCHI_DRIVER_SESSION_H
#define ALCHI_DRIVER_SESSION_H

#include "driver/catalog.h"
#include "driver/link.h"
#include "driver/request.h"
#include <uthash.h>

struct alchi_drv_session {
    uint64_t id;
    uint8_t key[ALCHI_KEY_SIZE];
    alchi_drv_t *driver;
    char name[64];
    alchi_drv_link_t *owner;  /* NULL: leaving */
    alchi_drv_link_t *links;  /* owner and executors */
    alchi_drv_group_t *group; /* STARTING or READY, else NULL */
    alchi_drv_group_t *left;  /* its matrices have gone from there, and it is ending; NULL: none */
    alchi_drv_move_t *move;   /* its matrices go to another group, which is not the session's yet; NULL: they do not */
    alchi_drv_request_t *starting; /* requests that wait for the group */
    int wanted;                    /* workers to start as soon as there are slots; 0: none */
    int *wanted_slots;             /* ids, or NULL */
    bool wants;                    /* stands in driver->wants */
    bool closing;
    alch_error_t lost;         /* why the last group went; code ALCH_OK: it did not */
    alch_error_t start_failed; /* not told to anyone yet; code ALCH_OK: nothing to tell */
    alchi_drv_catalog_t catalog;
    alchi_drv_library_t *libraries;
    alchi_drv_task_t *tasks; /* hash by id, oldest first */
    int ended_tasks;
    alchi_drv_session_t *prev, *next;
    alchi_drv_session_t *want_prev, *want_next;
    UT_hash_handle hh;
};

/** Make a session for an authenticated client. NULL: out of memory */
alchi_drv_session_t *alchi_drv_session_create(alchi_drv_t *driver, alchi_drv_link_t *owner,
                                              const uint8_t key[ALCHI_KEY_SIZE]);
/** End it: group, tasks, matrices, executors' connections. */
void alchi_drv_session_end(alchi_drv_session_t *session, const char *why);
/** The session's group if it can be used. @return ALCH_OK, ALCH_ESTATE (none, or starting), ALCH_EGROUP; ALCH_EBUSY:
 *  its matrices are being moved */
int alchi_drv_session_ready(alchi_drv_session_t *session, alchi_drv_group_t **group_p, alch_error_t *err);

#endif
