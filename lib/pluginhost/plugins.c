/* The plugin host of a rank: the loaded libraries, and calls of their operations. */
#include "pluginhost/plugins.h"
#include "base/error.h"
#include "base/log.h"
#include "pluginhost/call.h"
#include "pluginhost/plugin_load.h"
#include "wire/value.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

alchi_host_plugins_t *
alchi_host_plugins_create(const alchi_host_plugins_env_t *env)
{
    alchi_host_plugins_t *plugins = calloc(1, sizeof(*plugins));

    if (!plugins)
        return NULL;
    plugins->env = *env;
    if (MPI_Comm_dup(env->comm, &plugins->comm) != MPI_SUCCESS) {
        free(plugins);
        return NULL;
    }
    MPI_Comm_set_errhandler(plugins->comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(plugins->comm, &plugins->rank);
    MPI_Comm_size(plugins->comm, &plugins->size);
    plugins->blacs = alchi_blacs_create(plugins->comm);
    if (!plugins->blacs) {
        MPI_Comm_free(&plugins->comm);
        free(plugins);
        return NULL;
    }
    return plugins;
}

static alchi_host_module_t *
find_module(const alchi_host_plugins_t *plugins, const char *name)
{
    alchi_host_module_t *module;

    DL_FOREACH(plugins->modules, module)
    {
        if (name && strcasecmp(module->plugin->name, name) == 0)
            return module;
    }
    return NULL;
}

/* Free the communicator of a library that was refused or has ended, and unload it. */
static void
unload_module(alchi_host_module_t *module)
{
    if (module && module->comm != MPI_COMM_NULL)
        MPI_Comm_free(&module->comm);
    alchi_host_plugin_close(module);
}

/* Compare the library on all ranks, because hosts may have different files of one name: every rank computes a hash
 * (FNV-1a) of the library's description. */
static int
compare_on_all_ranks(const alchi_host_plugins_t *plugins, const alchi_host_module_t *module, alch_error_t *err)
{
    size_t size = protobuf_c_message_get_packed_size(&module->library->base);
    uint8_t *bytes = malloc(size + 1);
    uint64_t hash = 14695981039346656037u, lowest, highest;

    if (bytes)
        protobuf_c_message_pack(&module->library->base, bytes);
    for (size_t k = 0; bytes && k < size; k++)
        hash = (hash ^ bytes[k]) * 1099511628211u;
    free(bytes);
    MPI_Allreduce(&hash, &lowest, 1, MPI_UINT64_T, MPI_MIN, plugins->comm);
    MPI_Allreduce(&hash, &highest, 1, MPI_UINT64_T, MPI_MAX, plugins->comm);
    if (lowest == highest)
        return ALCH_OK;
    return alchi_error_rank(err, ALCH_EPLUGIN, plugins->rank,
                            "%s differs between the workers: worker rank %d has version %s", module->path,
                            plugins->rank, module->plugin->version);
}

static int
run_init(alchi_host_plugins_t *plugins, alchi_host_module_t *module, alch_error_t *err)
{
    alch_error_t why = {ALCH_OK, -1, ""};
    alchi_host_call_t call;
    int code;

    if (!module->plugin->init)
        return ALCH_OK;
    code = alchi_host_call_init(&call, plugins, module, NULL, NULL, NULL, err);
    if (code)
        return code;
    code = alchi_host_call_verdict(&call, module->plugin->init(&call.call), &why);
    alchi_host_call_fini(&call);
    return code ? alchi_error_rank(err, code, why.rank, "%s: init: %s", module->path, why.text) : ALCH_OK;
}

/* The steps after every rank has loaded the library. All of them are collective. */
static int
set_up_module(alchi_host_plugins_t *plugins, alchi_host_module_t *module, alch_error_t *err)
{
    int code = alchi_host_agree(plugins->comm, compare_on_all_ranks(plugins, module, err), err);

    if (code)
        return code;
    /* Few libraries check the return codes of MPI. So an error on a library's communicator ends the group. */
    if (MPI_Comm_dup(plugins->comm, &module->comm) != MPI_SUCCESS)
        return alchi_error_set(err, ALCH_EINTERNAL, "MPI cannot create a communicator for library %s",
                               module->plugin->name);
    MPI_Comm_set_errhandler(module->comm, MPI_ERRORS_ARE_FATAL);
    return alchi_host_agree(plugins->comm, run_init(plugins, module, err), err);
}

static int
open_module(alchi_host_plugins_t *plugins, const char *name, const char *path, alchi_host_module_t **module_p,
            alch_error_t *err)
{
    alchi_host_module_t *loaded;
    char *real = NULL;
    int code = alchi_host_plugin_find(plugins->env.dirs, plugins->env.dir_count, name, path, &real, err);

    if (!code)
        code = alchi_host_plugin_open(real, name, module_p, err);
    free(real);
    /* If the client gave a path without a name, only the loaded file says which library it is. */
    if (!code && (loaded = find_module(plugins, (*module_p)->plugin->name))) {
        code = alchi_error_set(err, ALCH_EPLUGIN, "library '%s' is already loaded from %s, but the client asked for %s",
                               loaded->plugin->name, loaded->path, (*module_p)->path);
        alchi_host_plugin_close(*module_p);
        *module_p = NULL;
    }
    return code;
}

/* Find the loaded library that a client asks for. @return NULL: no loaded library has this name and path */
static alchi_host_module_t *
find_loaded(const alchi_host_plugins_t *plugins, const char *name, const char *path)
{
    alchi_host_module_t *module;
    char *real;

    if (!path || !*path)
        return find_module(plugins, name);
    real = realpath(path, NULL);
    DL_FOREACH(plugins->modules, module)
    {
        if (real && strcmp(module->path, real) == 0 && (!name || !*name || strcasecmp(module->plugin->name, name) == 0))
            break;
    }
    free(real);
    return module;
}

/* Load a library on all ranks, or on none. */
static int
load_module(alchi_host_plugins_t *plugins, const char *name, const char *path, alchi_host_module_t **module_p,
            alch_error_t *err)
{
    alchi_host_module_t *module = NULL;
    int code = alchi_host_agree(plugins->comm, open_module(plugins, name, path, &module, err), err);

    if (!code)
        code = set_up_module(plugins, module, err);
    if (code) {
        unload_module(module);
        return code;
    }
    DL_APPEND(plugins->modules, module);
    alchi_log(ALCHI_LOG_DEBUG, "library %s %s was loaded from %s", module->plugin->name, module->plugin->version,
              module->path);
    *module_p = module;
    return ALCH_OK;
}

int
alchi_host_plugins_load(alchi_host_plugins_t *plugins, const char *name, const char *path, Alchw__Library **library_p,
                        alch_error_t *err)
{
    alchi_host_module_t *module = find_loaded(plugins, name, path);
    alch_error_t error = {ALCH_OK, -1, ""};
    Alchw__Library *copy;
    int code = ALCH_OK;

    if (!module)
        code = load_module(plugins, name, path, &module, &error);
    if (code) {
        if (err)
            *err = error;
        return code;
    }
    copy = alchi_message_copy(module->library);
    if (!copy)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory to describe library %s",
                               module->plugin->name);
    *library_p = copy;
    return ALCH_OK;
}

static int
find_operation(const alchi_host_plugins_t *plugins, const Alchw__WorkerTask *task, alchi_host_module_t **module_p,
               size_t *index_p, alch_error_t *err)
{
    alchi_host_module_t *module = find_module(plugins, task->library);

    if (!module)
        return alchi_error_set(err, ALCH_ENOENT, "library '%s' is not loaded", task->library ? task->library : "");
    for (size_t k = 0; task->function && k < module->plugin->operation_count; k++) {
        if (strcmp(module->plugin->operations[k].name, task->function) == 0) {
            *module_p = module;
            *index_p = k;
            return ALCH_OK;
        }
    }
    return alchi_error_set(err, ALCH_ENOENT, "library '%s' has no function '%s'", module->plugin->name,
                           task->function ? task->function : "");
}

int
alchi_host_plugins_call(alchi_host_plugins_t *plugins, const Alchw__WorkerTask *task, const atomic_bool *cancel,
                        Alchw__WorkerTaskDone **done_p, alch_error_t *err)
{
    alch_error_t error = {ALCH_OK, -1, ""};
    Alchw__WorkerTaskDone *done = NULL;
    alchi_host_module_t *module = NULL;
    alchi_host_call_t call;
    size_t index = 0;
    int code = find_operation(plugins, task, &module, &index, &error);

    if (!code && !(done = malloc(sizeof(*done))))
        code = alchi_error_set(&error, ALCH_ENOMEM, "the rank is out of memory for a task");
    if (!code) {
        alchw__worker_task_done__init(done);
        code = alchi_host_call_init(&call, plugins, module, module->library->functions[index], task, cancel, &error);
    }
    if (!code) {
        int returned = module->plugin->operations[index].function(&call.call);

        code = alchi_host_call_verdict(&call, returned, &error);
        if (!code)
            code = alchi_host_call_fill_reply(&call, done, &error);
        alchi_host_call_fini(&call);
        alchi_blacs_trim(plugins->blacs, ALCHI_BLACS_KEEP);
    }
    if (!code) {
        *done_p = done;
        return ALCH_OK;
    }
    alchi_message_free(done);
    if (err)
        *err = error;
    return code;
}

void
alchi_host_plugins_destroy(alchi_host_plugins_t *plugins)
{
    alchi_host_module_t *module, *next;

    if (!plugins)
        return;
    DL_FOREACH_SAFE(plugins->modules, module, next)
    {
        alchi_host_call_t call;

        if (module->plugin->fini && alchi_host_call_init(&call, plugins, module, NULL, NULL, NULL, NULL) == ALCH_OK) {
            call.call.function = "fini";
            module->plugin->fini(&call.call);
            alchi_host_call_fini(&call);
        }
        DL_DELETE(plugins->modules, module);
        unload_module(module);
    }
    alchi_blacs_destroy(plugins->blacs);
    MPI_Comm_free(&plugins->comm);
    free(plugins);
}
