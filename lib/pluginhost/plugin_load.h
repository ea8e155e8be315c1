/**
 * @file pluginhost/plugin_load.h
 * Find, check and load one library on one rank. Private to the plugin host. No function is collective.
 *
 * @threads  main thread only
 */
#ifndef ALCHI_PLUGINHOST_PLUGIN_LOAD_H
#define ALCHI_PLUGINHOST_PLUGIN_LOAD_H

#include "pluginhost/call.h"

/**
 * Find the file of a library. A path must resolve into one of the directories. A name stands for the first existing
 * file of NAME.so, libNAME.so, name.so and libname.so (lower case), in the first directory that has such a file.
 *
 * @param dirs         directories that the operator allows, borrowed
 * @param path         "" or NULL: find it by name
 * @param[out] real_p  the path as realpath() gives it; the caller frees it
 *
 * @return ALCH_OK
 * @return ALCH_EINVAL  the name cannot be that of a library
 * @return ALCH_ENOENT  there is no such file; the text lists the directories and the libraries in them
 * @return ALCH_EPERM   the file is in none of the directories, or other users may write it
 * @return ALCH_ENOMEM
 */
int alchi_host_plugin_find(char *const *dirs, size_t dir_count, const char *name, const char *path, char **real_p,
                           alch_error_t *err);

/**
 * Check the libraries that a file needs, load it, and check its description. Only its constructors and its
 * alch_plugin() run.
 *
 * @param name  the name that the library must have, in upper or lower case; "" or NULL: any
 *
 * @return ALCH_OK
 * @return ALCH_EPLUGIN  the library does not fit this worker; the text names both sides
 * @return ALCH_ESYSTEM  the file cannot be read
 * @return ALCH_ENOMEM
 */
int alchi_host_plugin_open(const char *real, const char *name, alchi_host_module_t **module_p, alch_error_t *err);

/** Unload a library. The caller has freed its communicator. NULL is allowed. */
void alchi_host_plugin_close(alchi_host_module_t *module);

#endif
