/** @file client/transfer_thread.h  A thread of a transfer. */
#ifndef ALCHI_CLIENT_TRANSFER_THREAD_H
#define ALCHI_CLIENT_TRANSFER_THREAD_H

#include "client/transfer.h"

/** Start thread `index`. It steps every transfer->stride-th lane from `index` on, and decrements transfer->running
 * before it ends.
 *  @param[out] thread_p  for pthread_join()
 *  @return 0 or an errno value */
int alchi_cli_transfer_thread_start(alch_transfer_t *transfer, int index, pthread_t *thread_p);

#endif
