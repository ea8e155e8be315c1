/**
 * @file pluginhost/needs.h
 * What a shared object needs, at any depth, read from the files alone.
 *
 * Loading a library that brings a second MPI into a rank succeeds and ends the rank later, so its needs are walked
 * before dlopen() the way the dynamic linker would: DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH ($ORIGIN included), the
 * linker's cache, the standard directories. Files are read with every offset checked. Not thread-safe with setenv().
 */
#ifndef ALCHI_PLUGINHOST_NEEDS_H
#define ALCHI_PLUGINHOST_NEEDS_H

#include <alchemist/error.h>
#include <stdbool.h>

/** Whether a library's file name is one that only Open MPI has: "libmpi.so.40", "libopen-pal.so.40". */
bool alchi_host_needs_is_openmpi(const char *name);

/**
 * Refuse a shared object that needs Open MPI, itself or through others.
 *
 * Needs that are not found are left for dlopen() to report.
 *
 * @return ALCH_OK
 * @return ALCH_EPLUGIN  it does: the text has the chain of needs; or it is not a shared object of this machine
 * @return ALCH_ENOMEM
 */
int alchi_host_needs_check(const char *path, alch_error_t *err);

#endif
