/**
 * @file worker/join.h
 * How a rank becomes part of its group: configuration, connection to the driver, MPI.
 */
#ifndef ALCHI_WORKER_JOIN_H
#define ALCHI_WORKER_JOIN_H

#include "net/channel.h"
#include <mpi.h>

#define ALCHI_RANK_FD_ENV "ALCHEMIST_WORKER_FD"

/**
 * Read, check and close the descriptor named by ALCHEMIST_WORKER_FD, and forget the variable.
 *
 * @param[out] config_p  to be freed with alchi_message_free()
 * @return ALCH_OK, ALCH_ESTATE (not started by an agent), ALCH_ESYSTEM, ALCH_EPROTO
 */
int alchi_rank_join_config(Alchw__WorkerConfig **config_p, alch_error_t *err);

/** Connect to the driver and authenticate. @return ALCH_OK, or as alchi_connect() and alchi_authenticate() */
int alchi_rank_join_driver(const Alchw__WorkerConfig *config, alchi_channel_t **channel_p, alch_error_t *err);

/**
 * Initialise MPI and check that the communicator is the one that was promised.
 *
 * @collective  yes
 * @param[out] comm_p  a duplicate of MPI_COMM_WORLD whose errors return
 */
int alchi_rank_join_mpi(const Alchw__WorkerConfig *config, MPI_Comm *comm_p, alch_error_t *err);

#endif
