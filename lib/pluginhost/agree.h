/** @file pluginhost/agree.h  Ranks agree on the outcome of a step. Main thread only. */
#ifndef ALCHI_PLUGINHOST_AGREE_H
#define ALCHI_PLUGINHOST_AGREE_H

#include <alchemist/error.h>
#include <mpi.h>

/**
 * Give every rank the outcome of the lowest rank that failed.
 *
 * @collective  yes
 *
 * @param[in]     code  the outcome of this rank
 * @param[in,out] err   the error of this rank if code is not ALCH_OK; afterwards, if a rank failed, the error of the
 *                      lowest one, with its rank. Not NULL
 *
 * @return ALCH_OK         all ranks gave ALCH_OK
 * @return ALCH_EINTERNAL  MPI failed
 * @return the code of the lowest rank that failed
 */
int alchi_host_agree(MPI_Comm comm, int code, alch_error_t *err);

#endif
