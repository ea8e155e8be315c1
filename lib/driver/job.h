/**
 * @file driver/job.h
 * Jobs: the work of a group's main threads, which do one job after the other, in the same order on every rank.
 *
 * A job is a member of the object that has work for the main threads (a task, a library that is loaded), and that
 * object owns it. It is in the queue of at most one group. The first job of the queue runs when it is ready; the others
 * wait.
 */
#ifndef ALCHI_DRIVER_JOB_H
#define ALCHI_DRIVER_JOB_H

#include "driver/group_state.h"
#include "driver/objects.h"

struct alchi_drv_job {
    alchi_drv_group_t *group; /* NULL: not in a queue */
    bool ready, running;
    bool is_task; /* a client's task: while it has not ended, a request to resize the group is refused */
    /** Called when the job is the first of its queue and ready. The job must end with alchi_drv_job_end(), during this
     *  call or later. */
    void (*start)(alchi_drv_job_t *job);
    /** Called when the group ends before the job: the job is in no queue any more, and its object may be freed. */
    void (*fail)(alchi_drv_job_t *job, const alch_error_t *error);
    alchi_drv_job_t *prev, *next;
};

/** Put a job at the end of a group's queue. It is not ready yet. */
void alchi_drv_job_add(alchi_drv_group_t *group, alchi_drv_job_t *job);
/** Mark a job as ready, and start it now if it is the first. */
void alchi_drv_job_ready(alchi_drv_job_t *job);
/** Take a job out of its queue, running or not, and start the next one. Idempotent. */
void alchi_drv_job_end(alchi_drv_job_t *job);
/** Take all jobs of a group out of its queue, and fail them. */
void alchi_drv_jobs_fail(alchi_drv_group_t *group, const alch_error_t *error);

#endif
