/** @file driver/job.h  Jobs: what the main threads of a group do one after the other, in the same order on every rank.
 */
#ifndef ALCHI_DRIVER_JOB_H
#define ALCHI_DRIVER_JOB_H

#include "driver/group_state.h"
#include "driver/objects.h"

struct alchi_drv_job {
    alchi_drv_group_t *group; /* NULL: not queued */
    bool ready, running;
    bool task; /* a client's call: its group does not go unasked */
    void (*start)(alchi_drv_job_t *job);
    void (*fail)(alchi_drv_job_t *job, const alch_error_t *error);
    alchi_drv_job_t *prev, *next;
};

void alchi_drv_job_add(alchi_drv_group_t *group, alchi_drv_job_t *job);
/** It may start now; starts it if it is the first. */
void alchi_drv_job_ready(alchi_drv_job_t *job);
/** Take it out and start the next. Idempotent. */
void alchi_drv_job_end(alchi_drv_job_t *job);
void alchi_drv_jobs_fail(alchi_drv_group_t *group, const alch_error_t *error);

#endif
