/**
 * @file worker/runner.h
 * The main thread of a rank: loads libraries, runs tasks and fetches matrices, one after the other.
 */
#ifndef ALCHI_WORKER_RUNNER_H
#define ALCHI_WORKER_RUNNER_H

#include "worker/control_thread.h"
#include "worker/migrate.h"
#include "pluginhost/plugins.h"
#include "worker/queue.h"

#include <mpi.h>

typedef struct {
    alchi_rank_queue_t *queue; /* all borrowed */
    alchi_rank_control_t *control;
    alchi_store_t *store;
    alchi_host_plugins_t *plugins;
    MPI_Comm comm; /* of the group; nothing else goes over it */
    alchi_rank_migrate_env_t fetch;
} alchi_rank_runner_t;

/** Run jobs until the queue is told to quit; sleeps in the kernel between them. @collective yes, job by job */
void alchi_rank_runner_run(const alchi_rank_runner_t *runner);

#endif
