/**
 * @file worker/worker.h
 * The main function of a rank: `alchemistd --rank`, started by an agent.
 */
#ifndef ALCHI_WORKER_WORKER_H
#define ALCHI_WORKER_WORKER_H

/**
 * Join the group that the inherited configuration describes (join.h), and serve until the driver sends WORKER_QUIT.
 * Call it from the main thread of a new process; it initializes MPI. It ends the process itself with _exit().
 *
 * @return an exit code of error.h if there is no valid configuration
 */
int alchi_rank_main(void);

#endif
