/**
 * @file pluginhost/needs.h
 * The check for Open MPI: whether a library for the workers needs it, directly or through other libraries.
 *
 * If a rank, which runs MPICH, loads a library that needs Open MPI, dlopen() succeeds, but the rank fails later. So the
 * plugin host checks the files before it calls dlopen(). It finds what a file needs as the dynamic linker does: through
 * DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH ($ORIGIN included), the linker's cache and the standard directories.
 *
 * @threads  MT-Safe, but not while another thread calls setenv(), because the check reads the environment
 */
#ifndef ALCHI_PLUGINHOST_NEEDS_H
#define ALCHI_PLUGINHOST_NEEDS_H

#include <alchemist/error.h>
#include <stdbool.h>

/** @return whether a file name is one that only Open MPI uses: "libmpi.so.40", "libopen-pal.so.40". */
bool alchi_host_needs_is_openmpi(const char *name);

/**
 * Refuse a shared object that needs Open MPI, directly or through other libraries. A library that is not found is
 * skipped: dlopen() reports it.
 *
 * @return ALCH_OK
 * @return ALCH_EPLUGIN  it needs Open MPI, and the text has the chain of libraries; or it is not a shared object for
 *                       this machine
 * @return ALCH_ESYSTEM  the file cannot be read
 * @return ALCH_ENOMEM
 */
int alchi_host_needs_check(const char *path, alch_error_t *err);

#endif
