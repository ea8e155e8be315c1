/**
 * @file worker/runner.h
 * The main thread of a rank: it loads libraries, runs tasks and migrates matrices, one after the other.
 */
#ifndef ALCHI_WORKER_RUNNER_H
#define ALCHI_WORKER_RUNNER_H

#include "pluginhost/plugins.h"
#include "worker/control_thread.h"
#include "worker/migrate.h"
#include "worker/queue.h"
#include <mpi.h>

typedef struct {
    alchi_rank_queue_t *queue; /* all borrowed */
    alchi_rank_control_t *control;
    alchi_store_t *store;
    alchi_host_plugins_t *plugins;
    MPI_Comm comm; /* of the group; used only to wait for the other ranks after a job */
    alchi_rank_migrate_env_t migrate;
} alchi_rank_runner_t;

/** Run jobs until alchi_rank_queue_quit() is called. Between jobs the thread sleeps in the kernel.
 *  @collective  yes, job by job: every rank runs the same jobs in the same order */
void alchi_rank_runner_run(const alchi_rank_runner_t *runner);

#endif
