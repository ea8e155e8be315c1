/* Libraries of a session: their loads on its groups, and the look-up of functions. */
#include "driver/library.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "driver/command.h"
#include "driver/group_state.h"
#include "driver/job.h"
#include "driver/library_names.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "wire/message.h"
#include "wire/value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

void
alchi_drv_library_destroy(alchi_drv_library_t *library)
{
    alchi_drv_job_end(&library->job);
    alchi_message_free(library->description);
    free(library->name);
    free(library->path);
    free(library);
}

static void
remove_library(alchi_drv_library_t *library)
{
    DL_DELETE(library->session->libraries, library);
    alchi_drv_library_destroy(library);
}

static void
reply_loading(alchi_drv_request_t *request)
{
    const alchi_drv_library_t *library = request->object;
    Alchw__Library message = ALCHW__LIBRARY__INIT;

    message.name = library->name;
    message.has_loading = message.loading = 1;
    alchi_drv_request_reply(request, ALCHI_LIBRARY, &message);
}

/* ---- the job ---- */

static void
fail_load(alchi_drv_library_t *library, const alch_error_t *error)
{
    alchi_log(ALCHI_LOG_WARNING, "session %llu: loading library '%s' failed: %s",
              (unsigned long long)library->session->id, library->name, error->text);
    if (!library->waiters) {
        library->load_error = *error;
        alchi_drv_job_end(&library->job);
        return;
    }
    alchi_drv_requests_fail(&library->waiters, error);
    remove_library(library);
}

/* Give up a load because its group has ended, for a reason that is not the library's fault. */
static void
abandon_load(alchi_drv_library_t *library, const alch_error_t *error)
{
    alchi_drv_requests_fail(&library->waiters, error);
    if (library->description)
        alchi_drv_job_end(&library->job);
    else
        remove_library(library);
}

static void
store_description(alchi_drv_command_t *command, int rank, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    alchi_drv_library_t *library = command->context;
    Alchw__Library *description;

    (void)rank;
    if (library->described || frame->type != ALCHI_LIBRARY || !(description = alchi_message_copy(message)))
        return;
    alchi_message_free(library->description);
    library->description = description;
    library->described = true;
}

static void
finish_load(alchi_drv_command_t *command)
{
    alchi_drv_library_t *library = command->context;

    if (!command->failed && !library->described)
        alchi_error_set(&command->error, ALCH_EPROTO, "the workers did not describe library '%s'", library->name);
    if (command->failed && command->group->state == ALCHI_DRV_GROUP_RELEASING) {
        abandon_load(library, &command->error);
        return;
    }
    if (command->failed || !library->described) {
        fail_load(library, &command->error);
        return;
    }
    library->loaded = true;
    alchi_log(ALCHI_LOG_INFO, "session %llu: loaded library %s %s", (unsigned long long)library->session->id,
              library->description->name, library->description->version ? library->description->version : "");
    while (library->waiters)
        alchi_drv_request_reply(library->waiters, ALCHI_LIBRARY, library->description);
    alchi_drv_job_end(&library->job);
}

static void
start_load(alchi_drv_job_t *job)
{
    alchi_drv_library_t *library = ALCHI_CONTAINER(job, alchi_drv_library_t, job);
    alchi_drv_command_t model = {.on_reply = store_description, .on_done = finish_load, .context = library};
    Alchw__WorkerLoad message = ALCHW__WORKER_LOAD__INIT;
    alch_error_t error;

    message.name = library->name;
    message.path = library->path;
    if (alchi_drv_command_send(job->group, ALCHI_WORKER_LOAD, &message, NULL, &model, NULL)) {
        alchi_drv_error_no_memory(&error);
        fail_load(library, &error);
    }
}

static void
abandon_load_job(alchi_drv_job_t *job, const alch_error_t *error)
{
    abandon_load(ALCHI_CONTAINER(job, alchi_drv_library_t, job), error);
}

static void
queue_load(alchi_drv_library_t *library, alchi_drv_group_t *group)
{
    library->load_error.code = ALCH_OK;
    library->described = false;
    library->job.start = start_load;
    library->job.fail = abandon_load_job;
    alchi_drv_job_add(group, &library->job);
    alchi_drv_job_ready(&library->job);
}

void
alchi_drv_libraries_unload(alchi_drv_session_t *session)
{
    alchi_drv_library_t *library;

    DL_FOREACH(session->libraries, library)
    library->loaded = false;
}

/* A library that failed to load is loaded again only when a client asks: it may have been the cause of the loss. */
void
alchi_drv_libraries_reload(alchi_drv_session_t *session)
{
    alchi_drv_library_t *library, *next;

    DL_FOREACH_SAFE(session->libraries, library, next)
    {
        if (!library->load_error.code && !library->job.group)
            queue_load(library, session->group);
    }
}

/* ---- requests ---- */

static bool
same_text(const char *a, const char *b)
{
    return strcmp(a, b ? b : "") == 0;
}

/* Names of libraries are compared without regard to case: "testlib" and "TestLib" are one library. */
static bool
same_library(const char *a, const char *b)
{
    return strcasecmp(a, b ? b : "") == 0;
}

static alchi_drv_library_t *
find_library(alchi_drv_session_t *session, const char *name, const char *path)
{
    alchi_drv_library_t *library;

    DL_FOREACH(session->libraries, library)
    {
        if (same_library(library->name, name) && (!path || !*path || same_text(library->path, path)))
            return library;
    }
    return NULL;
}

static alchi_drv_library_t *
add_library(alchi_drv_session_t *session, const Alchw__LoadLibrary *load)
{
    alchi_drv_library_t *library = calloc(1, sizeof(*library));

    if (!library)
        return NULL;
    library->session = session;
    library->name = strdup(load->name ? load->name : "");
    library->path = strdup(load->path ? load->path : "");
    if (!library->name || !library->path) {
        alchi_drv_library_destroy(library);
        return NULL;
    }
    DL_APPEND(session->libraries, library);
    return library;
}

int
alchi_drv_library_get(alchi_drv_session_t *session, const Alchw__LoadLibrary *load, alchi_drv_library_t **library_p,
                      alch_error_t *err)
{
    alchi_drv_group_t *group;
    alchi_drv_library_t *library;
    int code = alchi_drv_session_ready(session, &group, err);

    if ((!load->name || !*load->name) && (!load->path || !*load->path))
        return alchi_error_set(err, ALCH_EINVAL, "a request to load a library needs a name or a path");
    library = find_library(session, load->name, load->path);
    if (library && library->load_error.code) {
        *err = library->load_error;
        remove_library(library);
        return err->code;
    }
    if (code)
        return code;
    if (!library && !(library = add_library(session, load)))
        return alchi_drv_error_no_memory(err);
    *library_p = library;
    return ALCH_OK;
}

void
alchi_drv_library_wait(alchi_drv_library_t *library, alchi_drv_request_t *request, uint32_t wait_ms)
{
    if (library->loaded) {
        alchi_drv_request_reply(request, ALCHI_LIBRARY, library->description);
        return;
    }
    alchi_drv_request_wait(request, &library->waiters, wait_ms, reply_loading, library);
    if (!library->job.group)
        queue_load(library, library->session->group);
}

static void
append_name(char *text, size_t size, const char *name)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
}

static int
report_missing_library(const alchi_drv_session_t *session, const char *library_name, alch_error_t *err)
{
    alchi_drv_library_names_t names = {NULL, 0};
    char text[512] = "";

    alchi_drv_library_names_add_loaded(&names, session);
    for (size_t i = 0; i < names.count; i++)
        append_name(text, sizeof(text), names.names[i]);
    alchi_drv_library_names_fini(&names);
    return alchi_error_set(err, ALCH_ENOENT, "library '%s' is not loaded in session %llu (%s%s)", library_name,
                           (unsigned long long)session->id, *text ? "loaded: " : "no library is loaded", text);
}

int
alchi_drv_library_lookup(alchi_drv_session_t *session, const char *library_name, const char *function_name,
                         alchi_drv_library_t **library_p, const Alchw__Function **function_p, alch_error_t *err)
{
    alchi_drv_library_t *library;
    char text[512] = "";

    DL_FOREACH(session->libraries, library)
    {
        if (library->description && !library->load_error.code &&
            (same_library(library->name, library_name) || same_library(library->description->name, library_name)))
            break;
    }
    if (!library)
        return report_missing_library(session, library_name ? library_name : "", err);
    for (size_t i = 0; i < library->description->n_functions; i++) {
        if (same_text(library->description->functions[i]->name, function_name)) {
            *library_p = library;
            *function_p = library->description->functions[i];
            return ALCH_OK;
        }
        append_name(text, sizeof(text), library->description->functions[i]->name);
    }
    return alchi_error_set(err, ALCH_ENOENT, "library '%s' has no function '%s' (it has: %s)",
                           library->description->name, function_name ? function_name : "", text);
}
