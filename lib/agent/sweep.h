/**
 * @file agent/sweep.h
 * Shared memory that dead ranks left.
 *
 * MPICH 4.0 and UCX unlink their files in /dev/shm (mpich_shar_tmp*, ucx_shm_posix_*) and mark their System V
 * segments for destruction within MPI_Init, so a rank that dies later leaves nothing; one that dies within MPI_Init
 * may. The file names say nothing about their owner. What makes a file rubbish is that no process has it open or
 * mapped for writing, which whoever made it does for as long as it lives: the kernel grants a read lease on exactly
 * such files, and this is right across PID namespaces, too.
 */
#ifndef ALCHI_AGENT_SWEEP_H
#define ALCHI_AGENT_SWEEP_H

#include <stddef.h>
#include <sys/types.h>

/** Remove files of MPI in a folder ("/dev/shm") that are ours and that nobody holds. Returns how many. */
int alchi_agent_sweep_files(const char *folder);

/** Remove System V segments that these (dead) processes made and nobody has attached. Returns how many. */
int alchi_agent_sweep_segments(const pid_t *pids, size_t count);

#endif
