/* Load one library on one rank: check its file, load it, check its description, and describe it for clients. */
#include "pluginhost/plugin_load.h"
#include "base/error.h"
#include "base/util.h"
#include "pluginhost/needs.h"
#include "wire/value.h"
#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OPERATIONS_MAX 4096

static const alch_build_t worker_build = ALCH_PLUGIN_BUILD;

static int
check_sizes(const char *path, const alch_plugin_t *plugin, alch_error_t *err)
{
    if (plugin->abi != ALCH_PLUGIN_ABI)
        return alchi_error_set(err, ALCH_EPLUGIN,
                               "%s was built for plugin ABI %" PRIu32 ": this worker has ABI %d; "
                               "compile it with this server's <alchemist/plugin.h>",
                               path, plugin->abi, ALCH_PLUGIN_ABI);
    if (plugin->struct_size != sizeof(*plugin))
        return alchi_error_set(err, ALCH_EPLUGIN, "%s has a description of %zu bytes, but this worker expects %zu",
                               path, plugin->struct_size, sizeof(*plugin));
    return ALCH_OK;
}

static int
check_build(const char *path, const alch_build_t *build, alch_error_t *err)
{
    if (memcmp(build, &worker_build, sizeof(worker_build)) == 0)
        return ALCH_OK;
    return alchi_error_set(err, ALCH_EPLUGIN,
                           "%s was built with %.16s (MPI %" PRIu32 ".x, size_t %" PRIu32 ", MPI_Comm %" PRIu32
                           ", MPI_Status %" PRIu32 " bytes), but this worker with %.16s (MPI %" PRIu32 ".x, %" PRIu32
                           ", %" PRIu32 ", %" PRIu32 ")",
                           path, build->mpi_family, build->mpi_version, build->size_of_size_t, build->size_of_comm,
                           build->size_of_status, worker_build.mpi_family, worker_build.mpi_version,
                           worker_build.size_of_size_t, worker_build.size_of_comm, worker_build.size_of_status);
}

static bool
valid_text(const char *text)
{
    return text && alchi_utf8_valid(text, strlen(text));
}

static int
check_names(const char *path, const char *name, const alch_plugin_t *plugin, alch_error_t *err)
{
    if (!valid_text(plugin->name) || !*plugin->name || strlen(plugin->name) > 128 || !valid_text(plugin->version) ||
        !valid_text(plugin->summary))
        return alchi_error_set(err, ALCH_EPLUGIN, "%s lacks a name, a version or a summary", path);
    if (name && *name && strcasecmp(name, plugin->name) != 0)
        return alchi_error_set(err, ALCH_EPLUGIN, "%s is library '%s', but the client asked for '%s'", path,
                               plugin->name, name);
    if (plugin->operation_count > OPERATIONS_MAX)
        return alchi_error_set(err, ALCH_EPLUGIN, "%s has %zu operations, but at most %d are allowed", path,
                               plugin->operation_count, OPERATIONS_MAX);
    if (plugin->operation_count && !plugin->operations)
        return alchi_error_set(err, ALCH_EPLUGIN, "%s has %zu operations, but no table of them", path,
                               plugin->operation_count);
    return ALCH_OK;
}

static int
describe_operation(const char *path, const alch_plugin_t *plugin, size_t index, Alchw__Function **function_p,
                   alch_error_t *err)
{
    const alch_operation_t *operation = &plugin->operations[index];
    alch_error_t error = {ALCH_OK, -1, ""};
    int code;

    if (!valid_text(operation->name) || !*operation->name || !valid_text(operation->signature) || !operation->function)
        return alchi_error_set(err, ALCH_EPLUGIN, "%s: operation %zu lacks a name, a signature or a function", path,
                               index);
    if (operation->flags)
        return alchi_error_set(err, ALCH_EPLUGIN, "%s: operation %s has flags 0x%x, but this worker knows no flags",
                               path, operation->name, operation->flags);
    for (size_t k = 0; k < index; k++)
        if (strcmp(plugin->operations[k].name, operation->name) == 0)
            return alchi_error_set(err, ALCH_EPLUGIN, "%s has two operations named %s", path, operation->name);
    code = alchi_function_parse(operation->name, operation->signature,
                                valid_text(operation->summary) ? operation->summary : "",
                                valid_text(operation->doc) ? operation->doc : "", function_p, &error);
    if (code)
        return alchi_error_set(err, code, "%s: %s", path, error.text);
    return ALCH_OK;
}

static int
describe_library(const char *path, alchi_host_module_t *module, alch_error_t *err)
{
    const alch_plugin_t *plugin = module->plugin;
    Alchw__Library *library = malloc(sizeof(*library));
    int code = ALCH_OK;

    if (!library)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory to describe %s", path);
    alchw__library__init(library);
    module->library = library;
    library->name = strdup(plugin->name);
    library->version = strdup(plugin->version);
    library->summary = strdup(plugin->summary);
    library->functions = calloc(plugin->operation_count + 1, sizeof(*library->functions));
    if (!library->name || !library->version || !library->summary || !library->functions)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory to describe %s", path);
    for (size_t k = 0; k < plugin->operation_count && !code; k++) {
        code = describe_operation(path, plugin, k, &library->functions[k], err);
        if (!code)
            library->n_functions++;
    }
    return code;
}

/* Report the error of the dynamic linker, without the path at its beginning, and say how to correct the library. */
static int
refuse_object(const char *real, const char *why, alch_error_t *err)
{
    size_t length = strlen(real);
    const char *hint = "";

    if (strncmp(why, real, length) == 0 && strncmp(why + length, ": ", 2) == 0)
        why += length + 2;
    if (strstr(why, "undefined symbol"))
        hint = "; link the library that defines it";
    else if (strstr(why, "cannot open shared object file"))
        hint = "; link with -Wl,-rpath,DIR, where DIR is the directory of that file";
    return alchi_error_set(err, ALCH_EPLUGIN, "%s cannot be loaded: %s%s", real, why, hint);
}

static int
open_object(const char *real, alchi_host_module_t *module, alch_error_t *err)
{
    alch_plugin_f *entry;
    void *symbol;

    module->handle = dlopen(real, RTLD_NOW | RTLD_LOCAL);
    if (!module->handle)
        return refuse_object(real, dlerror(), err);
    symbol = dlsym(module->handle, ALCH_PLUGIN_SYMBOL);
    if (!symbol)
        return alchi_error_set(err, ALCH_EPLUGIN, "%s does not export %s(), as <alchemist/plugin.h> declares it", real,
                               ALCH_PLUGIN_SYMBOL);
    /* POSIX lets a pointer to an object hold a function. ISO C has no conversion for it, so the bytes are copied. */
    memcpy(&entry, &symbol, sizeof(entry));
    module->plugin = entry();
    if (!module->plugin)
        return alchi_error_set(err, ALCH_EPLUGIN, "%s cannot be used: its %s() returned NULL", real,
                               ALCH_PLUGIN_SYMBOL);
    return ALCH_OK;
}

int
alchi_host_plugin_open(const char *real, const char *name, alchi_host_module_t **module_p, alch_error_t *err)
{
    alchi_host_module_t *module;
    int code = alchi_host_needs_check(real, err);

    if (code)
        return code;
    module = calloc(1, sizeof(*module));
    if (!module || !(module->path = strdup(real))) {
        free(module);
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory to load %s", real);
    }
    module->comm = MPI_COMM_NULL;
    if ((code = open_object(real, module, err)) || (code = check_sizes(real, module->plugin, err)) ||
        (code = check_build(real, &module->plugin->build, err)) ||
        (code = check_names(real, name, module->plugin, err)) || (code = describe_library(real, module, err))) {
        alchi_host_plugin_close(module);
        return code;
    }
    *module_p = module;
    return ALCH_OK;
}

void
alchi_host_plugin_close(alchi_host_module_t *module)
{
    if (!module)
        return;
    alchi_message_free(module->library);
    if (module->handle)
        dlclose(module->handle);
    free(module->path);
    free(module);
}
