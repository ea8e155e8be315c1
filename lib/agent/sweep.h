/**
 * @file agent/sweep.h
 * Sweeping: remove the shared memory that dead ranks left behind.
 *
 * MPICH 4.0 and UCX create files in /dev/shm (mpich_shar_tmp*, ucx_shm_posix_*) and System V segments in MPI_Init. They
 * unlink the files and mark the segments for destruction before MPI_Init returns. So only a rank that dies within
 * MPI_Init can leave shared memory.
 *
 * A file's name does not tell which process created it. But that process has the file open or mapped for writing as
 * long as it lives. So a file was left behind if no process has it open or mapped for writing. The kernel grants a
 * read lease on exactly these files, and it considers processes of all PID namespaces.
 */
#ifndef ALCHI_AGENT_SWEEP_H
#define ALCHI_AGENT_SWEEP_H

#include <stddef.h>
#include <sys/types.h>

/** Remove the files of MPI in a folder ("/dev/shm") that belong to this user and that no process has open or mapped for
 *  writing. A file that was created less than 2 seconds ago and is still empty stays. @return the number of files
 * removed */
int alchi_agent_sweep_files(const char *folder);

/** Remove the System V segments of this user that these processes created and that no process has attached. The
 *  processes must have ended. @return the number of segments removed */
int alchi_agent_sweep_segments(const pid_t *pids, size_t count);

#endif
