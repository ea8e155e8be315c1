/**
 * @file worker/worker.h
 * One rank of a worker group: what `alchemistd --rank` runs.
 */
#ifndef ALCHI_WORKER_WORKER_H
#define ALCHI_WORKER_WORKER_H

/**
 * Join the group described by the descriptor in ALCHEMIST_WORKER_FD and serve until told to quit.
 * Main thread of a fresh process only; initialises MPI.
 *
 * @return an exit code of error.h when joining failed; otherwise it ends the process itself
 */
int alchi_rank_main(void);

#endif
