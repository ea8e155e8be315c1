/**
 * @file worker/queue.h
 * The jobs of a rank's main thread: loads, tasks, transforms and migrations. The control thread puts them here.
 *
 * A task is runnable, or waits for its start. Jobs run in the order in which they became runnable. That is the order of
 * the driver's commands, and so the same on every rank. No function calls MPI.
 *
 * @threads  MT-Safe unless the comment of a function says otherwise
 */
#ifndef ALCHI_WORKER_QUEUE_H
#define ALCHI_WORKER_QUEUE_H

#include "store/store.h"
#include "wire/message.h"
#include <stdatomic.h>

typedef struct alchi_rank_job {
    uint64_t request;        /* id of the driver's command, for the answer */
    uint64_t id;             /* of the task; 0: a load or a migration */
    Alchw__WorkerLoad *load; /* one of the four messages is set; owned */
    Alchw__WorkerTask *task;
    Alchw__WorkerTransform *transform;
    Alchw__WorkerFetch *migrate;
    atomic_bool cancel;
    struct alchi_rank_job *prev, *next;
} alchi_rank_job_t;

typedef struct alchi_rank_queue alchi_rank_queue_t;

/** Create the queue, which is never destroyed. @param store  borrowed @return NULL: out of memory */
alchi_rank_queue_t *alchi_rank_queue_create(alchi_store_t *store);

/** Queue the load of a library. The message belongs to the queue afterwards, also on failure. @return ALCH_OK,
 *  ALCH_ENOMEM */
int alchi_rank_queue_load(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerLoad *load, alch_error_t *err);

/** Queue the migration of a matrix; nothing is locked. Otherwise as alchi_rank_queue_load(). */
int alchi_rank_queue_migrate(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerFetch *migrate,
                             alch_error_t *err);

/**
 * Lock the matrices that a task reads and queue it. It is runnable if task->start is set, else it waits. The message
 * belongs to the queue afterwards, also on failure.
 *
 * @return ALCH_OK
 * @return ALCH_ENOENT, ALCH_EINVAL, ALCH_ENOMEM  nothing is queued and nothing is locked
 */
int alchi_rank_queue_task(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerTask *task, alch_error_t *err);

/** Lock the matrix that a transform reads and queue it, as alchi_rank_queue_task() does for a task. */
int alchi_rank_queue_transform(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerTransform *transform,
                               alch_error_t *err);

/** Make a waiting task runnable. @return false: no such task waits */
bool alchi_rank_queue_start(alchi_rank_queue_t *queue, uint64_t task);
/** Remove a waiting task and unlock its matrices. @return false: no such task waits */
bool alchi_rank_queue_drop(alchi_rank_queue_t *queue, uint64_t task);
/** Set the cancel flag of a waiting, runnable or running task. @return false: there is no such task */
bool alchi_rank_queue_cancel(alchi_rank_queue_t *queue, uint64_t task);
/** Set the cancel flag of the running job, and let alchi_rank_queue_next() return NULL from now on. */
void alchi_rank_queue_quit(alchi_rank_queue_t *queue);

/** @return whether alchi_rank_queue_next() would return at once */
bool alchi_rank_queue_pending(alchi_rank_queue_t *queue);
/** Sleep until a job is runnable, and make it the running one until alchi_rank_queue_done(). Main thread only.
 *  @return NULL: the rank must quit */
alchi_rank_job_t *alchi_rank_queue_next(alchi_rank_queue_t *queue);
/** Unlock the matrices of the running job and free it. */
void alchi_rank_queue_done(alchi_rank_queue_t *queue, alchi_rank_job_t *job);

#endif
