/* The jobs of a rank's main thread: see queue.h. */
#include "worker/queue.h"
#include "base/error.h"
#include <alchemist/library.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

struct alchi_rank_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    alchi_store_t *store;
    alchi_rank_job_t *waiting, *runnable, *running;
    bool quit;
};

alchi_rank_queue_t *
alchi_rank_queue_create(alchi_store_t *store)
{
    alchi_rank_queue_t *queue = calloc(1, sizeof(*queue));

    if (!queue)
        return NULL;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->changed, NULL);
    queue->store = store;
    return queue;
}

/* Create a job for a message of the driver, which is freed after a failure. @return NULL: out of memory */
static alchi_rank_job_t *
job_create(uint64_t request, void *message, alch_error_t *err)
{
    alchi_rank_job_t *job = calloc(1, sizeof(*job));

    if (job) {
        job->request = request;
    } else {
        alchi_message_free(message);
        alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for a job");
    }
    return job;
}

static void
job_free(alchi_rank_job_t *job)
{
    alchi_message_free(job->load);
    alchi_message_free(job->task);
    alchi_message_free(job->transform);
    alchi_message_free(job->migrate);
    free(job);
}

static void
unlock_job(alchi_rank_queue_t *queue, alchi_rank_job_t *job)
{
    if (job->id)
        alchi_store_unlock(queue->store, job->id);
}

static void
append_job(alchi_rank_queue_t *queue, alchi_rank_job_t *job, bool start)
{
    pthread_mutex_lock(&queue->mutex);
    if (start)
        DL_APPEND(queue->runnable, job);
    else
        DL_APPEND(queue->waiting, job);
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

int
alchi_rank_queue_load(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerLoad *load, alch_error_t *err)
{
    alchi_rank_job_t *job = job_create(request, load, err);

    if (!job)
        return ALCH_ENOMEM;
    job->load = load;
    append_job(queue, job, true);
    return ALCH_OK;
}

int
alchi_rank_queue_migrate(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerFetch *migrate, alch_error_t *err)
{
    alchi_rank_job_t *job = job_create(request, migrate, err);

    if (!job)
        return ALCH_ENOMEM;
    job->migrate = migrate;
    append_job(queue, job, true);
    return ALCH_OK;
}

/* List the ids of the matrices among the arguments. @param[out] ids  NULL: only count them @return how many there are
 */
static size_t
list_matrix_ids(const Alchw__WorkerTask *task, uint64_t *ids)
{
    size_t count = 0;

    for (size_t k = 0; k < task->n_arguments; k++) {
        const Alchw__Value *value = task->arguments[k]->value;

        if (!value || value->type != ALCH_TYPE_MATRIX)
            continue;
        for (size_t e = 0; e < value->n_u; e++) {
            if (value->u[e] == 0) /* an optional matrix that the caller left out */
                continue;
            if (ids)
                ids[count] = value->u[e];
            count++;
        }
    }
    return count;
}

static int
lock_task(alchi_rank_queue_t *queue, alchi_rank_job_t *job, alch_error_t *err)
{
    const Alchw__WorkerTask *task = job->task;
    uint64_t *ids;
    char name[64];
    int code;

    if (!task->task || !task->library || !task->function)
        return alchi_error_set(err, ALCH_EINVAL, "the driver sent a task without an id, a library or a function");
    if (!(ids = calloc(list_matrix_ids(task, NULL) + 1, sizeof(*ids))))
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for a job");
    snprintf(name, sizeof(name), "%s.%s", task->library, task->function);
    code = alchi_store_lock(queue->store, task->task, name, ids, list_matrix_ids(task, ids), err);
    free(ids);
    return code;
}

int
alchi_rank_queue_task(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerTask *task, alch_error_t *err)
{
    alchi_rank_job_t *job = job_create(request, task, err);
    int code;

    if (!job)
        return ALCH_ENOMEM;
    job->id = task->task;
    job->task = task;
    code = lock_task(queue, job, err);
    if (code) {
        job_free(job);
        return code;
    }
    append_job(queue, job, task->start);
    return ALCH_OK;
}

static int
lock_transform(alchi_rank_queue_t *queue, alchi_rank_job_t *job, alch_error_t *err)
{
    const Alchw__WorkerTransform *transform = job->transform;

    if (!job->id || !transform->matrix || !transform->result || !transform->result->layout)
        return alchi_error_set(err, ALCH_EINVAL,
                               "the driver sent a transform without an id, a matrix or a result layout");
    return alchi_store_lock(queue->store, job->id, "matrix.transform", &transform->matrix, 1, err);
}

int
alchi_rank_queue_transform(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerTransform *transform,
                           alch_error_t *err)
{
    alchi_rank_job_t *job = job_create(request, transform, err);
    int code;

    if (!job)
        return ALCH_ENOMEM;
    job->id = transform->task;
    job->transform = transform;
    code = lock_transform(queue, job, err);
    if (code)
        job_free(job);
    else
        append_job(queue, job, transform->start);
    return code;
}

static alchi_rank_job_t *
find_task(alchi_rank_job_t *jobs, uint64_t task)
{
    alchi_rank_job_t *job;

    DL_FOREACH(jobs, job)
    {
        if (job->id && job->id == task)
            return job;
    }
    return NULL;
}

bool
alchi_rank_queue_start(alchi_rank_queue_t *queue, uint64_t task)
{
    alchi_rank_job_t *job;

    pthread_mutex_lock(&queue->mutex);
    job = find_task(queue->waiting, task);
    if (job) {
        DL_DELETE(queue->waiting, job);
        DL_APPEND(queue->runnable, job);
        pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->mutex);
    return job != NULL;
}

bool
alchi_rank_queue_drop(alchi_rank_queue_t *queue, uint64_t task)
{
    alchi_rank_job_t *job;

    pthread_mutex_lock(&queue->mutex);
    job = find_task(queue->waiting, task);
    if (job)
        DL_DELETE(queue->waiting, job);
    pthread_mutex_unlock(&queue->mutex);
    if (!job)
        return false;
    unlock_job(queue, job);
    job_free(job);
    return true;
}

bool
alchi_rank_queue_cancel(alchi_rank_queue_t *queue, uint64_t task)
{
    alchi_rank_job_t *job;

    pthread_mutex_lock(&queue->mutex);
    job = find_task(queue->running, task);
    if (!job)
        job = find_task(queue->runnable, task);
    if (!job)
        job = find_task(queue->waiting, task);
    if (job)
        atomic_store(&job->cancel, true);
    pthread_mutex_unlock(&queue->mutex);
    return job != NULL;
}

void
alchi_rank_queue_quit(alchi_rank_queue_t *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->quit = true;
    if (queue->running)
        atomic_store(&queue->running->cancel, true);
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

bool
alchi_rank_queue_pending(alchi_rank_queue_t *queue)
{
    bool pending;

    pthread_mutex_lock(&queue->mutex);
    pending = queue->quit || queue->runnable;
    pthread_mutex_unlock(&queue->mutex);
    return pending;
}

alchi_rank_job_t *
alchi_rank_queue_next(alchi_rank_queue_t *queue)
{
    alchi_rank_job_t *job = NULL;

    pthread_mutex_lock(&queue->mutex);
    while (!queue->quit && !queue->runnable)
        pthread_cond_wait(&queue->changed, &queue->mutex);
    if (!queue->quit) {
        job = queue->runnable;
        DL_DELETE(queue->runnable, job);
        DL_APPEND(queue->running, job);
    }
    pthread_mutex_unlock(&queue->mutex);
    return job;
}

void
alchi_rank_queue_done(alchi_rank_queue_t *queue, alchi_rank_job_t *job)
{
    pthread_mutex_lock(&queue->mutex);
    DL_DELETE(queue->running, job);
    pthread_mutex_unlock(&queue->mutex);
    unlock_job(queue, job);
    job_free(job);
}
