/**
 * @file pluginhost/plugins.h
 * The plugin host of a rank: load libraries, run their operations, and transform matrices.
 *
 * @threads  main thread only
 */
#ifndef ALCHI_PLUGINHOST_PLUGINS_H
#define ALCHI_PLUGINHOST_PLUGINS_H

#include "store/store.h"
#include "wire/message.h"
#include <mpi.h>
#include <stdatomic.h>

typedef struct alchi_host_plugins alchi_host_plugins_t;

/** The environment of the plugin host. All pointers are borrowed until alchi_host_plugins_destroy(). */
typedef struct {
    alchi_store_t *store;
    MPI_Comm comm; /* of the group; the plugin host works on duplicates */
    char **dirs;   /* directories from which libraries may be loaded */
    size_t dir_count;
    char **data_dirs; /* directories whose files libraries may use, as realpath() gives them */
    size_t data_dir_count;
    /** Called from the main thread whenever an operation or a transform reports its progress. */
    void (*progress)(void *context, uint64_t task, double fraction, const char *text);
    void *context;
} alchi_host_plugins_env_t;

/** Create the plugin host; `env` is copied. @collective yes @return NULL: out of memory, or MPI failed */
alchi_host_plugins_t *alchi_host_plugins_create(const alchi_host_plugins_env_t *env);

/**
 * Load a library, or return the loaded one. The steps are: find the file, check that nothing it needs is Open MPI,
 * dlopen() (NOW, LOCAL), look up alch_plugin(), check sizes, build facts and signatures, compare it on all ranks, init.
 *
 * @collective  yes: it is loaded on all ranks or on none
 *
 * @param name            as the client gave it
 * @param path            a path that must resolve into one of the directories; "" or NULL: find it by name
 * @param[out] library_p  its description; the caller frees it with alchi_message_free()
 *
 * @return ALCH_OK
 * @return ALCH_ENOENT    it was not found; the text lists the directories and the libraries in them
 * @return ALCH_EPERM     its file is in none of the directories, or other users may write it
 * @return ALCH_EINVAL    the name cannot be that of a library
 * @return ALCH_EPLUGIN   it does not fit the workers; the text names both sides
 * @return ALCH_ESYSTEM, ALCH_ENOMEM, ALCH_EINTERNAL, or the code that its init returned
 */
int alchi_host_plugins_load(alchi_host_plugins_t *plugins, const char *name, const char *path,
                            Alchw__Library **library_p, alch_error_t *err);

/**
 * Run an operation. The driver has checked the arguments. Work matrices that the operation does not return are freed.
 * After a failure no result matrix remains.
 *
 * @collective  as the operation is; ranks may return different codes
 *
 * @param cancel       set by the control thread when the client cancels the task
 * @param[out] done_p  results, matrices and notes; the caller frees it with alchi_message_free()
 *
 * @return ALCH_OK
 * @return ALCH_ENOENT  the library, the function or a matrix does not exist
 * @return ALCH_ENOMEM, or the code of the operation, with the text of this rank
 */
int alchi_host_plugins_call(alchi_host_plugins_t *plugins, const Alchw__WorkerTask *task, const atomic_bool *cancel,
                            Alchw__WorkerTaskDone **done_p, alch_error_t *err);

/**
 * Create a matrix from a source matrix: with another layout, transposed, or of another type. The new matrix replaces
 * the source or gets a new id. After a failure the source is unchanged and no new matrix remains.
 *
 * @collective  yes
 *
 * @param cancel       set by the control thread when the client cancels the task
 * @param[out] done_p  the reply; the caller frees it with alchi_message_free()
 *
 * @return as alchi_host_exchange()
 * @return ALCH_ENOENT  the source does not exist
 * @return ALCH_EINVAL  the layout of the result is not possible
 * @return ALCH_ETYPE   the source cannot be converted to the type of the result
 * @return ALCH_EPROTO  the driver expects another shape
 */
int alchi_host_transform(alchi_host_plugins_t *plugins, const Alchw__WorkerTransform *request,
                         const atomic_bool *cancel, Alchw__WorkerTaskDone **done_p, alch_error_t *err);

/** Run the fini of every library, unload all of them and free the plugin host. NULL is allowed. @collective yes */
void alchi_host_plugins_destroy(alchi_host_plugins_t *plugins);

#endif
