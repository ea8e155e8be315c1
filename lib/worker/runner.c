/* The main thread of a rank: runs the jobs. */
#include "worker/runner.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include <sched.h>
#include <time.h>

/* After a job a rank waits for the others. Ranks mostly end a job together, so the rank polls without sleeping for
 * SPIN_NS, then it sleeps NAP_NS between polls. A rank that never ran the job must not stop the next job: the wait ends
 * OUT_OF_STEP_NS after the next job has become runnable. */
#define SPIN_NS 1000000
#define NAP_NS 1000000
#define OUT_OF_STEP_NS INT64_C(2000000000)

static void
run_load(const alchi_rank_runner_t *runner, const alchi_rank_job_t *job)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    Alchw__Library *library = NULL;
    const char *name = job->load->name ? job->load->name : "", *path = job->load->path ? job->load->path : "";
    int code = alchi_host_plugins_load(runner->plugins, name, path, &library, &err);

    alchi_log(ALCHI_LOG_DEBUG, "library %s: %s", name, code ? err.text : "loaded");
    if (code == ALCH_OK && alchi_rank_control_send(runner->control, ALCHI_LIBRARY, job->request, library) != ALCH_OK)
        code = alchi_error_set(&err, ALCH_ELIMIT,
                               "the description of library %s is larger than a message may be (%u bytes)", name,
                               ALCHI_META_MAX);
    if (code)
        alchi_rank_control_send_error(runner->control, job->request, &err);
    alchi_message_free(library);
}

/* If the reply cannot be sent, nobody owns the result matrices: free them. */
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
    int code;

    alchi_log(ALCHI_LOG_DEBUG, "task %llu (%s.%s) starts", (unsigned long long)task,
              job->task ? job->task->library : "matrix", job->task ? job->task->function : "transform");
    code = job->task ? alchi_host_plugins_call(runner->plugins, job->task, &job->cancel, &done, &err)
                     : alchi_host_transform(runner->plugins, job->transform, &job->cancel, &done, &err);
    /* Unlock the matrices before the reply is sent: after it, clients may write them again. */
    alchi_rank_queue_done(runner->queue, job);
    alchi_log(ALCHI_LOG_DEBUG, "task %llu: %s", (unsigned long long)task, code ? err.text : "done");
    if (code == ALCH_OK) {
        done->has_task = done->has_seconds = true;
        done->task = task;
        done->seconds = (double)(alchi_now_ns() - start) * 1e-9;
        if (alchi_rank_control_send(runner->control, ALCHI_WORKER_TASK_DONE, request, done) != ALCH_OK) {
            free_results(runner, done);
            code = alchi_error_set(&err, ALCH_ELIMIT,
                                   "the results are larger than a message may be (%u bytes): "
                                   "the library must return a matrix instead",
                                   ALCHI_META_MAX);
        }
    }
    if (code) {
        if (err.code == ALCH_OK)
            alchi_error_set(&err, code, "%s", alch_strerror(code));
        alchi_rank_control_send_error(runner->control, request, &err);
    }
    alchi_message_free(done);
}

typedef struct {
    const alchi_rank_runner_t *runner;
    uint64_t task;
} migration_t;

static void
report_progress(void *context, double fraction)
{
    const migration_t *migration = context;

    alchi_rank_control_progress(migration->runner->control, migration->task, fraction, "");
}

static void
run_migration(const alchi_rank_runner_t *runner, const alchi_rank_job_t *job)
{
    migration_t migration = {runner, job->migrate->task};
    const alchi_rank_migrate_watch_t watch = {&job->cancel, report_progress, &migration};
    alch_error_t err = {ALCH_OK, -1, ""};
    int code = alchi_rank_migrate(&runner->migrate, job->migrate, &watch, &err);

    if (code)
        alchi_rank_control_send_error(runner->control, job->request, &err);
    else
        alchi_rank_control_send(runner->control, ALCHI_EMPTY, job->request, NULL);
}

/* A library may send a message without waiting for its completion, as BLACS does. Such a message makes progress only
 * while its sender is in MPI. So stay in MPI until all ranks have ended the job. The driver already has this rank's
 * result. */
static void
wait_until_all_ranks_end(const alchi_rank_runner_t *runner)
{
    const struct timespec nap = {0, NAP_NS};
    int64_t begun = alchi_now_ns(), next = 0;
    MPI_Request request;
    int done = 0, code = MPI_Ibarrier(runner->comm, &request);

    while (code == MPI_SUCCESS && (code = MPI_Test(&request, &done, MPI_STATUS_IGNORE)) == MPI_SUCCESS && !done) {
        int64_t now = alchi_now_ns();

        if (now - begun < SPIN_NS) {
            sched_yield();
            continue;
        }
        nanosleep(&nap, NULL);
        if (!next && alchi_rank_queue_pending(runner->queue))
            next = now;
        if (next && now - next > OUT_OF_STEP_NS) {
            alchi_log(ALCHI_LOG_WARNING, "another rank has not ended the last job, but this rank starts the next one");
            break;
        }
    }
}

void
alchi_rank_runner_run(const alchi_rank_runner_t *runner)
{
    alchi_rank_job_t *job;

    while ((job = alchi_rank_queue_next(runner->queue)) != NULL) {
        bool migrates = job->migrate != NULL; /* a migration is the only job that does not use MPI */

        if (job->task || job->transform) {
            run_task(runner, job);
        } else {
            if (migrates)
                run_migration(runner, job);
            else
                run_load(runner, job);
            alchi_rank_queue_done(runner->queue, job);
        }
        if (!migrates)
            wait_until_all_ranks_end(runner);
    }
}
