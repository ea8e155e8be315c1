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
 * @param[in]     code  this rank's own outcome
 * @param[in,out] err   this rank's error if code is not ALCH_OK; afterwards that of the rank which decided. Not NULL
 *
 * @return ALCH_OK if all ranks gave ALCH_OK, else the code of the lowest rank that failed; ALCH_EINTERNAL if MPI failed
 */
int alchi_host_agree(MPI_Comm comm, int code, alch_error_t *err);

#endif
