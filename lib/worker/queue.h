/**
 * @file worker/queue.h
 * What the main thread has to do: loads, tasks and fetches, put there by the control thread.
 *
 * A task may wait for its start. Jobs run in the order in which they became runnable,
 * which is the order of the driver's commands and so the same on every rank. MT-Safe; no MPI.
 */
#ifndef ALCHI_WORKER_QUEUE_H
#define ALCHI_WORKER_QUEUE_H

#include "wire/message.h"
#include "store/store.h"
#include <stdatomic.h>

typedef struct alchi_rank_job {
    uint64_t request;        /* id of the driver's request */
    uint64_t id;             /* of the task; 0: none, a load or a fetch */
    Alchw__WorkerLoad *load; /* one of the four; owned */
    Alchw__WorkerTask *task;
    Alchw__WorkerTransform *transform;
    Alchw__WorkerFetch *fetch;
    atomic_bool cancel;
    struct alchi_rank_job *prev, *next;
} alchi_rank_job_t;

typedef struct alchi_rank_queue alchi_rank_queue_t;

/** It lasts as long as the rank. */
alchi_rank_queue_t *alchi_rank_queue_create(alchi_store_t *store);

/** Takes the message over, also on failure. */
int alchi_rank_queue_load(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerLoad *load, alch_error_t *err);

/** The same; nothing is locked. */
int alchi_rank_queue_migrate(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerFetch *fetch, alch_error_t *err);

/** Lock the matrices that a task reads and queue it, runnable if task->start. Takes the message over, also on
 *  failure. @return ALCH_OK; ALCH_ENOENT, ALCH_EINVAL, ALCH_ENOMEM: not queued, nothing is locked */
int alchi_rank_queue_task(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerTask *task, alch_error_t *err);

/** As alchi_rank_queue_task(). */
int alchi_rank_queue_transform(alchi_rank_queue_t *queue, uint64_t request, Alchw__WorkerTransform *transform,
                               alch_error_t *err);

/** A waiting task becomes runnable. false: there is none such. */
bool alchi_rank_queue_start(alchi_rank_queue_t *queue, uint64_t task);
/** Forget a waiting task and unlock its matrices. false: there is none such. */
bool alchi_rank_queue_drop(alchi_rank_queue_t *queue, uint64_t task);
/** Set the flag of a waiting, runnable or running task. false: there is none such. */
bool alchi_rank_queue_cancel(alchi_rank_queue_t *queue, uint64_t task);
/** alchi_rank_queue_next() returns NULL from now on; the running task's flag is set. */
void alchi_rank_queue_quit(alchi_rank_queue_t *queue);

/** There is a job to run, or it was told to quit. */
bool alchi_rank_queue_pending(alchi_rank_queue_t *queue);
/** Sleep until there is a job, which is the running one until alchi_rank_queue_done(). NULL: quit. Main thread only. */
alchi_rank_job_t *alchi_rank_queue_next(alchi_rank_queue_t *queue);
/** Unlock the matrices of the running job and free it. */
void alchi_rank_queue_done(alchi_rank_queue_t *queue, alchi_rank_job_t *job);

#endif
