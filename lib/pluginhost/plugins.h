/**
 * @file pluginhost/plugins.h
 * The plugin host of a rank: load libraries and run their operations. Main thread only.
 */
#ifndef ALCHI_PLUGINHOST_PLUGINS_H
#define ALCHI_PLUGINHOST_PLUGINS_H

#include "store/store.h"
#include "wire/message.h"
#include <mpi.h>
#include <stdatomic.h>

typedef struct alchi_host_plugins alchi_host_plugins_t;

typedef struct {
    alchi_store_t *store; /* borrowed */
    MPI_Comm comm;        /* of the group, borrowed; each library gets a duplicate */
    char **dirs;          /* directories that libraries may come from, borrowed */
    size_t dir_count;
    char **data_dirs; /* directories whose files libraries may use, borrowed */
    size_t data_dir_count;
    /** Called from the main thread, as often as the library says how far it is. */
    void (*progress)(void *context, uint64_t task, double fraction, const char *text);
    void *context;
} alchi_host_plugins_env_t;

alchi_host_plugins_t *alchi_host_plugins_create(const alchi_host_plugins_env_t *env);

/**
 * Load a library: find, check its needs for Open MPI at any depth, dlopen (NOW, LOCAL), symbol, sizes, build
 * facts, signatures, init. All ranks agree on the outcome. Loading one that is loaded returns it again.
 *
 * @collective  yes
 * @param name  as asked for;  path: "" or a path that must resolve into one of the directories
 * @param[out] library_p  its description, to be freed with alchi_message_free()
 * @return ALCH_OK, ALCH_ENOENT (lists directories and what they hold), ALCH_EPERM, ALCH_EPLUGIN (names both sides),
 *         or what its init failed with
 */
int alchi_host_plugins_load(alchi_host_plugins_t *plugins, const char *name, const char *path,
                            Alchw__Library **library_p, alch_error_t *err);

/**
 * Run an operation. Arguments are checked already. Work matrices that were not handed over are freed; on failure
 * no result matrix remains.
 *
 * @collective  yes
 * @param      cancel  set by the control thread
 * @param[out] done_p  results, matrices and notes
 * @return ALCH_OK, or the operation's error with this rank's text
 */
int alchi_host_plugins_call(alchi_host_plugins_t *plugins, const Alchw__WorkerTask *task, const atomic_bool *cancel,
                            Alchw__WorkerTaskDone **done_p, alch_error_t *err);

/**
 * Make a matrix from another one: another layout, transposed, converted; in its place or beside it.
 * @collective  yes
 * @return as alchi_host_exchange(); ALCH_ELIMIT: no room; on failure the matrix is as it was and nothing else remains
 */
int alchi_host_transform(alchi_host_plugins_t *plugins, const Alchw__WorkerTransform *transform,
                         const atomic_bool *cancel, Alchw__WorkerTaskDone **done_p, alch_error_t *err);

/** Run every library's fini and free. @collective yes */
void alchi_host_plugins_destroy(alchi_host_plugins_t *plugins);

#endif
