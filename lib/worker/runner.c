#include "worker/runner.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <sched.h>
#include <time.h>

#define SPIN_NS 1000000 /* mostly all ranks end at once; later it is enough to look now and then */
#define NAP_NS 1000000
#define OUT_OF_STEP_NS INT64_C(2000000000) /* what comes next must not wait for ever for a rank that left a job out */

static void
run_load(const alchi_rank_runner_t *runner, const alchi_rank_job_t *job)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    Alchw__Library *library = NULL;
    const char *name = job->load->name ? job->load->name : "", *path = job->load->path ? job->load->path : "";
    int rc = alchi_host_plugins_load(runner->plugins, name, path, &library, &err);

    alchi_log(ALCHI_LOG_DEBUG, "library %s: %s", name, rc ? err.text : "loaded");
    if (rc == ALCH_OK && alchi_rank_control_send(runner->control, ALCHI_LIBRARY, job->request, library) != ALCH_OK)
        rc = alchi_error_set(&err, ALCH_ELIMIT, "library %s: its description is larger than a message may be", name);
    if (rc)
        alchi_rank_control_send_error(runner->control, job->request, &err);
    alchi_message_free(library);
}

/* Results that cannot be told are nobody's: free the matrices among them. */
static void
free_results(const alchi_rank_runner_t *runner, const Alchw__WorkerTaskDone *done)
{
    for (size_t k = 0; k < done->n_matrices; k++)
        alchi_store_free(runner->store, done->matrices[k]->id, NULL);
}

static void
run_task(const alchi_rank_runner_t *runner, alchi_rank_job_t *job)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    Alchw__WorkerTaskDone *done = NULL;
    uint64_t request = job->request, task = job->id;
    int64_t start = alchi_now_ns();
    int rc;

    alchi_log(ALCHI_LOG_DEBUG, "task %llu (%s.%s) starts", (unsigned long long)task,
              job->task ? job->task->library : "matrix", job->task ? job->task->function : "transform");
    rc = job->task ? alchi_host_plugins_call(runner->plugins, job->task, &job->cancel, &done, &err)
                   : alchi_host_transform(runner->plugins, job->transform, &job->cancel, &done, &err);
    /* Before the answer: who has it may write the matrices again. */
    alchi_rank_queue_done(runner->queue, job);
    alchi_log(ALCHI_LOG_DEBUG, "task %llu: %s", (unsigned long long)task, rc ? err.text : "done");
    if (rc == ALCH_OK) {
        done->has_task = done->has_seconds = true;
        done->task = task;
        done->seconds = (double)(alchi_now_ns() - start) * 1e-9;
        if (alchi_rank_control_send(runner->control, ALCHI_WORKER_TASK_DONE, request, done) != ALCH_OK) {
            free_results(runner, done);
            rc = alchi_error_set(&err, ALCH_ELIMIT,
                                 "the results are larger than a message may be (%u bytes): "
                                 "return a matrix instead",
                                 ALCHI_META_MAX);
        }
    }
    if (rc) {
        if (err.code == ALCH_OK)
            alchi_error_set(&err, rc, "%s", alch_strerror(rc));
        alchi_rank_control_send_error(runner->control, request, &err);
    }
    alchi_message_free(done);
}

typedef struct {
    const alchi_rank_runner_t *runner;
    uint64_t task;
} fetching_t;

static void
report(void *context, double fraction)
{
    const fetching_t *fetching = context;

    alchi_rank_control_progress(fetching->runner->control, fetching->task, fraction, "");
}

static void
run_fetch(const alchi_rank_runner_t *runner, const alchi_rank_job_t *job)
{
    fetching_t fetching = {runner, job->fetch->task};
    const alchi_rank_migrate_watch_t watch = {&job->cancel, report, &fetching};
    alch_error_t err = {ALCH_OK, -1, ""};
    int rc = alchi_rank_migrate(&runner->fetch, job->fetch, &watch, &err);

    if (rc)
        alchi_rank_control_send_error(runner->control, job->request, &err);
    else
        alchi_rank_control_send(runner->control, ALCHI_EMPTY, job->request, NULL);
}

/* What a library sent without waiting for it, as BLACS does, is on its way only while its sender is in MPI: stay there
 * until all ranks have ended the job. The driver knows already how it ended here. */
static void
settle(const alchi_rank_runner_t *runner)
{
    const struct timespec nap = {0, NAP_NS};
    int64_t begun = alchi_now_ns(), next = 0;
    MPI_Request request;
    int done = 0, rc = MPI_Ibarrier(runner->comm, &request);

    while (rc == MPI_SUCCESS && (rc = MPI_Test(&request, &done, MPI_STATUS_IGNORE)) == MPI_SUCCESS && !done) {
        int64_t now = alchi_now_ns();

        if (now - begun < SPIN_NS) {
            sched_yield();
            continue;
        }
        nanosleep(&nap, NULL);
        if (!next && alchi_rank_queue_pending(runner->queue))
            next = now;
        if (next && now - next > OUT_OF_STEP_NS) {
            alchi_log(ALCHI_LOG_WARNING, "another rank has not ended the last job; going on without it");
            break;
        }
    }
}

void
alchi_rank_runner_run(const alchi_rank_runner_t *runner)
{
    alchi_rank_job_t *job;

    while ((job = alchi_rank_queue_next(runner->queue)) != NULL) {
        bool fetches = job->fetch != NULL; /* these alone make no use of MPI */

        if (job->task || job->transform) {
            run_task(runner, job);
        } else {
            if (fetches)
                run_fetch(runner, job);
            else
                run_load(runner, job);
            alchi_rank_queue_done(runner->queue, job);
        }
        if (!fetches)
            settle(runner);
    }
}
