/** @file driver/task.h  Tasks: calls of library functions and transforms of matrices. */
#ifndef ALCHI_DRIVER_TASK_H
#define ALCHI_DRIVER_TASK_H

#include "driver/command.h"
#include "driver/job.h"
#include "driver/request.h"
#include "driver/session.h"
#include <alchemist/task.h>
#include <uthash.h>

struct alchi_drv_task {
    alchi_drv_job_t job;
    uint64_t id;
    alchi_drv_session_t *session;
    int state; /* alch_task_state_t */
    char *library, *function;
    Alchw__NamedValue **arguments;
    size_t argument_count;
    uint64_t *inputs; /* matrix ids */
    size_t input_count;
    Alchw__WorkerTransform *transform; /* what it does, when it is no call of a library */
    uint64_t first_result;
    int result_count;            /* ids reserved */
    alchi_drv_request_t *submit; /* until it is accepted */
    uint32_t wait_ms;
    alchi_drv_command_t *command; /* check, then task */
    bool sent;                    /* the ranks hold its locks */
    bool hard;                    /* canceled with its group */
    double fraction, seconds;
    char text[256];
    int64_t start_ns;
    Alchw__WorkerTaskDone *done; /* of the first rank */
    uint64_t *made;              /* matrices of ranks that succeeded, to be undone on failure */
    size_t made_count;
    alch_error_t error;
    alchi_drv_request_t *waiters;
    UT_hash_handle hh;
};

#define ALCHI_DRV_TASKS_KEPT 1000

/** A task that has no names and no inputs yet. @return NULL: ALCH_ENOMEM */
alchi_drv_task_t *alchi_drv_task_create(alchi_drv_session_t *session, alch_error_t *err);
/** A task from a call, with its arguments checked and its inputs locked; not queued yet.
 *  @return ALCH_OK; ALCH_ESTATE, ALCH_EGROUP, ALCH_ENOENT, ALCH_ETYPE, ALCH_ELIMIT, ALCH_ENOMEM */
int alchi_drv_task_create_call(alchi_drv_session_t *session, const Alchw__SubmitTask *call, alchi_drv_task_t **task_p,
                               alch_error_t *err);
/** A task with inputs and names gets its number, locks its inputs and is the session's. */
void alchi_drv_task_register(alchi_drv_session_t *session, alchi_drv_task_t *task);
void alchi_drv_task_free(alchi_drv_task_t *task);
/** Queue it: `submit` is answered when its inputs are known to be complete and its end was waited for. */
void alchi_drv_task_queue(alchi_drv_task_t *task, alchi_drv_group_t *group, alchi_drv_request_t *submit,
                          uint32_t wait_ms);
void alchi_drv_task_cancel(alchi_drv_task_t *task, bool hard);
alchi_drv_task_t *alchi_drv_task_find(alchi_drv_session_t *session, uint64_t id);
bool alchi_drv_task_ended(const alchi_drv_task_t *task);
/** Answer with the state as it is now; request->object is the task. */
void alchi_drv_task_reply(alchi_drv_request_t *request);

#endif
