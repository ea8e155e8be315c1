/**
 * @file worker/join.h
 * How a rank joins its group, in this order: configuration, connection to the driver, MPI.
 */
#ifndef ALCHI_WORKER_JOIN_H
#define ALCHI_WORKER_JOIN_H

#include "net/channel.h"
#include <mpi.h>

/** Environment variable with the number of the descriptor that holds the configuration (a WorkerConfig message). */
#define ALCHI_RANK_FD_ENV "ALCHEMIST_WORKER_FD"

/**
 * Read and check the configuration, close its descriptor, and unset the variable.
 *
 * @param[out] config_p  owned by the caller; free it with alchi_message_free()
 *
 * @return ALCH_OK
 * @return ALCH_ESTATE   the variable is not set: no agent started this process
 * @return ALCH_ESYSTEM  the descriptor cannot be read
 * @return ALCH_EPROTO   the configuration is malformed or incomplete
 * @return ALCH_ENOMEM
 */
int alchi_rank_join_config(Alchw__WorkerConfig **config_p, alch_error_t *err);

/**
 * Connect to the driver and authenticate with the rank's control key.
 *
 * @param[out] channel_p  owned by the caller
 *
 * @return ALCH_OK; ALCH_ENOMEM; as alchi_connect() and alchi_authenticate()
 */
int alchi_rank_join_driver(const Alchw__WorkerConfig *config, alchi_channel_t **channel_p, alch_error_t *err);

/**
 * Initialize MPI and check that size and rank of MPI_COMM_WORLD are those of the configuration.
 *
 * @collective  yes
 *
 * @param[out] comm_p  a duplicate of MPI_COMM_WORLD with MPI_ERRORS_RETURN
 *
 * @return ALCH_OK; ALCH_EGROUP: MPI failed, or the size or rank differs; ALCH_EUNSUPPORTED: no MPI_THREAD_FUNNELED
 */
int alchi_rank_join_mpi(const Alchw__WorkerConfig *config, MPI_Comm *comm_p, alch_error_t *err);

#endif
