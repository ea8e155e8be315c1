/** @file pluginhost/plugin_load.h  From a name to a checked shared object, on one rank. Private to the plugin host. */
#ifndef ALCHI_PLUGINHOST_PLUGIN_LOAD_H
#define ALCHI_PLUGINHOST_PLUGIN_LOAD_H

#include "pluginhost/call.h"

/**
 * Where a library lies: a path that must resolve into one of the directories, or NAME.so, libNAME.so or either in
 * lower case in the first directory that has one.
 *
 * @param path    "" or NULL: by name
 * @param[out] real_p  real path, owned by the caller
 * @return ALCH_OK, ALCH_EINVAL (no name), ALCH_ENOENT (lists directories and what they hold), ALCH_EPERM (in none of
 * the directories, or a file that everybody may write)
 */
int alchi_host_plugin_find(char *const *dirs, size_t dir_count, const char *name, const char *path, char **real_p,
                           alch_error_t *err);

/**
 * Check a file's needs, load it and check what it exports. Nothing of it runs but its constructors and alch_plugin().
 *
 * @param name  what the library must call itself, in any case; "": anything
 * @return ALCH_OK, ALCH_EPLUGIN (names both sides), ALCH_ENOMEM
 */
int alchi_host_plugin_open(const char *real, const char *name, alchi_host_module_t **module_p, alch_error_t *err);

/** Unload; the communicator must be gone. NULL is allowed. */
void alchi_host_plugin_close(alchi_host_module_t *module);

#endif
