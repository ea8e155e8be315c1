/**
 * @file driver/library.h
 * Libraries of a session: loaded on its group, and loaded again on each later group.
 *
 * A library is created by the first request to load it, and belongs to the session. Each load is a job of the group. A
 * library whose load failed is removed when a client has got the error. The description of a library outlives the
 * group, so calls can be checked and queued behind the next load.
 */
#ifndef ALCHI_DRIVER_LIBRARY_H
#define ALCHI_DRIVER_LIBRARY_H

#include "driver/job.h"
#include "driver/session.h"
#include "wire/message.h"

struct alchi_drv_library {
    alchi_drv_job_t job; /* the load that is queued or running */
    alchi_drv_session_t *session;
    char *name, *path;           /* as the client asked for it */
    Alchw__Library *description; /* of the last load that succeeded; NULL: no load has */
    bool loaded;                 /* on the present group */
    bool described;              /* a rank has sent the description in the load that is running */
    alch_error_t load_error;     /* of a load that no request waited for; code ALCH_OK: there is none */
    alchi_drv_request_t *waiters;
    alchi_drv_library_t *prev, *next;
};

/** Free a library, which is no longer in its session's list. No request may wait for it. */
void alchi_drv_library_destroy(alchi_drv_library_t *library);
/** The session's group has ended: mark its libraries as not loaded. */
void alchi_drv_libraries_unload(alchi_drv_session_t *session);
/** Queue loads of the session's libraries on its new group. */
void alchi_drv_libraries_reload(alchi_drv_session_t *session);
/**
 * Find the library that a client asks for, or create one that is not loaded yet. If its last load failed, the client
 * gets that error once, and the library is removed.
 *
 * @return ALCH_OK; ALCH_EINVAL: neither name nor path; ALCH_ENOMEM; as alchi_drv_session_ready(); the error of the load
 */
int alchi_drv_library_get(alchi_drv_session_t *session, const Alchw__LoadLibrary *load, alchi_drv_library_t **library_p,
                          alch_error_t *err);
/** Start the load if the library needs one. The request is answered when the library is loaded, or after wait_ms with
 *  the reply that the library is still loading. */
void alchi_drv_library_wait(alchi_drv_library_t *library, alchi_drv_request_t *request, uint32_t wait_ms);
/** Find a function that can be called. @return ALCH_OK; ALCH_ENOENT with a list of the loaded libraries, or of the
 *  library's functions */
int alchi_drv_library_lookup(alchi_drv_session_t *session, const char *library_name, const char *function_name,
                             alchi_drv_library_t **library_p, const Alchw__Function **function_p, alch_error_t *err);

#endif
