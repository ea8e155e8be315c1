/**
 * @file driver/task.h
 * Tasks: calls of library functions, and transforms of matrices.
 *
 * A task is created, gets its arguments and inputs, and is registered: the session then owns it, and its input matrices
 * are locked. alchi_drv_task_queue() makes it a job of the group. While the ranks check whether its inputs are complete
 * it is not accepted yet, and a failure frees it as if it had not been submitted. An accepted task ends DONE, FAILED or
 * CANCELED. Ended tasks stay, so that clients can ask for their results; the oldest ones are freed when a later task is
 * registered, or else with the session.
 */
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
    uint64_t *inputs; /* matrix ids, locked while the task has not ended */
    size_t input_count;
    Alchw__WorkerTransform *transform; /* the message to the ranks of a transform; NULL: a call of a library */
    uint64_t first_result;             /* the ids of its result matrices begin here */
    int result_count;                  /* ids that are reserved */
    alchi_drv_request_t *submit;       /* owned until the task is accepted, then NULL */
    uint32_t wait_ms;
    alchi_drv_command_t *command;   /* the check of its inputs, later the task; NULL: none */
    bool sent;                      /* the ranks have the task, and hold locks on its inputs */
    bool hard_canceled;             /* its group is ended to cancel it; `error` is final */
    double fraction, seconds;       /* fraction -1: unknown */
    char text[256];                 /* of the last progress report */
    int64_t start_ns;               /* 0: not started */
    Alchw__WorkerTaskDone *outcome; /* as rank 0 reported it; its values go to the client */
    uint64_t *created; /* ids of the results that a rank has created: the ranks free them if the task fails */
    size_t created_count;
    alch_error_t error; /* of an ended task that is not DONE */
    alchi_drv_request_t *waiters;
    UT_hash_handle hh;
};

#define ALCHI_DRV_TASKS_KEPT 1000 /* ended tasks of a session */

/** Create a task that has no names and no inputs yet. @return owned by the caller; NULL: ALCH_ENOMEM */
alchi_drv_task_t *alchi_drv_task_create(alchi_drv_session_t *session, alch_error_t *err);
/** Create and register a task for a call. Follow with alchi_drv_task_queue().
 *  @return ALCH_OK; as alchi_drv_session_ready(); ALCH_ENOENT: there is no such library, function, parameter or
 *          matrix; ALCH_EGROUP: a matrix is lost; ALCH_EBUSY: a matrix is growing or changing; ALCH_ETYPE: the
 *          arguments do not fit the parameters; ALCH_ELIMIT: the arguments are too large; ALCH_ENOMEM */
int alchi_drv_task_create_call(alchi_drv_session_t *session, const Alchw__SubmitTask *call, alchi_drv_task_t **task_p,
                               alch_error_t *err);
/** Give a task with names and inputs its number and the ids of its results, lock its inputs, and hand it to the
 *  session. May free the oldest tasks that have ended. */
void alchi_drv_task_register(alchi_drv_session_t *session, alchi_drv_task_t *task);
/** Free a task that no session owns and no request waits for. NULL: does nothing. */
void alchi_drv_task_free(alchi_drv_task_t *task);
/** Queue a registered task; the request becomes task->submit. The request is answered when the task ends, or
 *  earlier: wait_ms (at most ALCHI_DRV_WAIT_MAX_MS) after the task is accepted. If the task is not accepted, the
 *  request fails, and the task is freed; both may happen during this call. */
void alchi_drv_task_queue(alchi_drv_task_t *task, alchi_drv_group_t *group, alchi_drv_request_t *submit,
                          uint32_t wait_ms);
/** Cancel a task. One that has not started ends now; one that runs is asked to end, or, if `hard`, ended together with
 *  its group. Does nothing if the task has ended. */
void alchi_drv_task_cancel(alchi_drv_task_t *task, bool hard);
/** A task of the session that is accepted, or NULL. */
alchi_drv_task_t *alchi_drv_task_find(alchi_drv_session_t *session, uint64_t id);
bool alchi_drv_task_ended(const alchi_drv_task_t *task);
/** Answer with the present state of a task, which is request->object. */
void alchi_drv_task_reply(alchi_drv_request_t *request);

#endif
