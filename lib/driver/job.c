/* Jobs: the queue of work for a group's main threads. */
#include "driver/job.h"
#include "driver/group_state.h"
#include <utlist.h>

void
alchi_drv_job_add(alchi_drv_group_t *group, alchi_drv_job_t *job)
{
    job->group = group;
    job->ready = job->running = false;
    DL_APPEND(group->jobs, job);
}

static void
start_first_job(alchi_drv_group_t *group)
{
    alchi_drv_job_t *job = group->jobs;

    if (!job || job->running || !job->ready || group->state != ALCHI_DRV_GROUP_READY)
        return;
    job->running = true;
    job->start(job);
}

void
alchi_drv_job_ready(alchi_drv_job_t *job)
{
    job->ready = true;
    start_first_job(job->group);
}

void
alchi_drv_job_end(alchi_drv_job_t *job)
{
    alchi_drv_group_t *group = job->group;

    if (!group)
        return;
    DL_DELETE(group->jobs, job);
    job->group = NULL;
    start_first_job(group);
}

void
alchi_drv_jobs_fail(alchi_drv_group_t *group, const alch_error_t *error)
{
    alchi_drv_job_t *job;

    while ((job = group->jobs)) {
        DL_DELETE(group->jobs, job);
        job->group = NULL;
        job->fail(job, error);
    }
}
