/**
 * @file pluginhost/agree.h
 * Ranks agree on the outcome of a step.
 *
 * @threads  main thread only
 */
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
 * @param[in,out] err   not NULL. In: the error of this rank if code is not ALCH_OK. Out: if a rank failed, the error of
 *                      the lowest such rank, with its rank
 *
 * @return ALCH_OK         all ranks gave ALCH_OK
 * @return ALCH_EINTERNAL  MPI failed
 * @return the code of the lowest rank that failed
 */
int alchi_host_agree(MPI_Comm comm, int code, alch_error_t *err);

#endif
