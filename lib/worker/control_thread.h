/**
 * @file worker/control_thread.h
 * The control thread of a rank: answers the driver at any time, also while a task runs.
 * When the driver is gone the process ends at once. No MPI.
 */
#ifndef ALCHI_WORKER_CONTROL_THREAD_H
#define ALCHI_WORKER_CONTROL_THREAD_H

#include "net/channel.h"
#include "worker/queue.h"
#include "store/store.h"

typedef struct alchi_rank_control alchi_rank_control_t;

/** What the control thread works on; all borrowed but the channel, which it takes over once started. */
typedef struct {
    alchi_channel_t *channel; /* authenticated */
    alchi_store_t *store;
    alchi_rank_queue_t *queue;
    int rank, size;
} alchi_rank_control_env_t;

/** Start the thread. Signal TERM stays blocked in the caller: the thread takes it, so that an order to quit which
 *  comes with it is obeyed first; without one the process ends by the signal.
 *  @return ALCH_OK, ALCH_ENOMEM, ALCH_ESYSTEM */
int alchi_rank_control_start(const alchi_rank_control_env_t *env, alchi_rank_control_t **control_p, alch_error_t *err);

/** Send a message to the driver: a reply (`id` of the request) or an unasked one (id 0). MT-Safe.
 *  @return ALCH_OK; ALCH_ERANGE: larger than a message may be, nothing was sent */
int alchi_rank_control_send(alchi_rank_control_t *control, unsigned type, uint64_t id, const void *message);

/** Send an ERROR; a rank of -1 becomes this one. MT-Safe. */
void alchi_rank_control_send_error(alchi_rank_control_t *control, uint64_t id, const alch_error_t *error);

/** Report progress of a task, at most about 20 times a second; of what comes faster, or finds a driver that does not
 *  read, the last is sent when it is time. MT-Safe. */
void alchi_rank_control_progress(alchi_rank_control_t *control, uint64_t task, double fraction, const char *text);

#endif
