/** @file client/transfer_thread.h  The threads of a transfer. */
#ifndef ALCHI_CLIENT_TRANSFER_THREAD_H
#define ALCHI_CLIENT_TRANSFER_THREAD_H

#include "client/transfer.h"

/** Start thread `index`: it drives every transfer->stride-th lane from `index` on, and
 *  decrements transfer->running at its end. @return 0 or an errno value */
int alchi_cli_transfer_thread_start(alch_transfer_t *transfer, int index, pthread_t *thread_p);

#endif
