/** @file driver/library.h  Libraries of a session: loaded on its group, and loaded again on its next group. */
#ifndef ALCHI_DRIVER_LIBRARY_H
#define ALCHI_DRIVER_LIBRARY_H

#include "driver/job.h"
#include "driver/session.h"
#include "wire/message.h"

struct alchi_drv_library {
    alchi_drv_job_t job;
    alchi_drv_session_t *session;
    char *name, *path;           /* as asked for */
    Alchw__Library *description; /* NULL: never loaded */
    bool loaded;                 /* on the present group */
    bool answered;               /* the load under way has a description */
    alch_error_t failed;         /* not told yet; code ALCH_OK: nothing to tell */
    alchi_drv_request_t *waiters;
    alchi_drv_library_t *prev, *next;
};

void alchi_drv_library_destroy(alchi_drv_library_t *library);
/** The session's libraries are not loaded any more; load them again on its new group. */
void alchi_drv_libraries_unload(alchi_drv_session_t *session);
void alchi_drv_libraries_reload(alchi_drv_session_t *session);
/**
 * Find the library that a client asks for, or make one that is not loaded yet. If its last load failed, the client gets
 * that error once, and the library is forgotten.
 *
 * @return ALCH_OK; ALCH_EINVAL: neither name nor path; ALCH_ENOMEM; as alchi_drv_session_ready(); the error of the load
 */
int alchi_drv_library_get(alchi_drv_session_t *session, const Alchw__LoadLibrary *load, alchi_drv_library_t **library_p,
                          alch_error_t *err);
/** Answer the request when the library is loaded, or after wait_ms that it is still loading. Starts the load. */
void alchi_drv_library_wait(alchi_drv_library_t *library, alchi_drv_request_t *request, uint32_t wait_ms);
/** @return ALCH_OK; ALCH_ENOENT lists what is loaded, or the library's functions */
int alchi_drv_library_lookup(alchi_drv_session_t *session, const char *library_name, const char *function_name,
                             alchi_drv_library_t **library_p, const Alchw__Function **function_p, alch_error_t *err);

#endif
