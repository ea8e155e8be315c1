/**
 * @file worker/control_thread.h
 * The control thread of a rank: it answers the driver at any time, also while a task runs. If the connection to the
 * driver is lost, it ends the process at once. It does not call MPI.
 */
#ifndef ALCHI_WORKER_CONTROL_THREAD_H
#define ALCHI_WORKER_CONTROL_THREAD_H

#include "net/channel.h"
#include "store/store.h"
#include "worker/queue.h"

typedef struct alchi_rank_control alchi_rank_control_t;

/** The environment of the control thread. All members are borrowed, except the channel, which the thread owns once it
 *  runs. */
typedef struct {
    alchi_channel_t *channel; /* authenticated */
    alchi_store_t *store;
    alchi_rank_queue_t *queue;
    int rank, size;
} alchi_rank_control_env_t;

/**
 * Start the thread. SIGTERM stays blocked in the calling thread, and the control thread receives it. An agent may send
 * it at the same time as the driver sends WORKER_QUIT. The thread then obeys the WORKER_QUIT. If no WORKER_QUIT
 * arrives, the signal ends the process.
 *
 * @return ALCH_OK, ALCH_ENOMEM, ALCH_ESYSTEM
 */
int alchi_rank_control_start(const alchi_rank_control_env_t *env, alchi_rank_control_t **control_p, alch_error_t *err);

/**
 * Send a message to the driver.
 *
 * @threads  MT-Safe
 *
 * @param id  of the command that the message answers; 0: the message is not an answer
 *
 * @return ALCH_OK; ALCH_ERANGE: the message is too large and was not sent. Other failures end the process
 */
int alchi_rank_control_send(alchi_rank_control_t *control, unsigned type, uint64_t id, const void *message);

/** Send an error. If its rank is -1, this rank's number is sent. MT-Safe. */
void alchi_rank_control_send_error(alchi_rank_control_t *control, uint64_t id, const alch_error_t *error);

/**
 * Report progress of a task. At most about 20 reports per second are sent. Of reports that come faster, or while the
 * driver does not read, only the last one is sent, as soon as that is possible. MT-Safe.
 */
void alchi_rank_control_progress(alchi_rank_control_t *control, uint64_t task, double fraction, const char *text);

#endif
