/* Libraries of a session: loaded on its group, loaded again on the next one. */
#include "driver/driver.h"
#include "base/error.h"
#include "base/log.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
alchi_drv_library_destroy(alchi_drv_library_t *loaded)
{
    alchi_drv_job_end(&loaded->job);
    alchi_message_free(loaded->library);
    free(loaded->name);
    free(loaded->path);
    free(loaded);
}

static void
forget(alchi_drv_library_t *loaded)
{
    DL_DELETE(loaded->session->libraries, loaded);
    alchi_drv_library_destroy(loaded);
}

static void
reply_loading(alchi_drv_request_t *request)
{
    const alchi_drv_library_t *loaded = request->object;
    Alchw__Library message = ALCHW__LIBRARY__INIT;

    message.name = loaded->name;
    message.has_loading = message.loading = 1;
    alchi_drv_request_reply(request, ALCHI_LIBRARY, &message);
}

/* ---- the job ---- */

static void
load_failed(alchi_drv_library_t *loaded, const alch_error_t *error)
{
    alchi_log(ALCHI_LOG_WARNING, "session %llu: library '%s': %s", (unsigned long long)loaded->session->id,
              loaded->name, error->text);
    if (!loaded->waiters) {
        loaded->failed = *error;
        alchi_drv_job_end(&loaded->job);
        return;
    }
    alchi_drv_waiters_fail(&loaded->waiters, error);
    forget(loaded);
}

/* The group went, and not for the library's sake. */
static void
cut_short(alchi_drv_library_t *loaded, const alch_error_t *error)
{
    alchi_drv_waiters_fail(&loaded->waiters, error);
    if (loaded->library)
        alchi_drv_job_end(&loaded->job);
    else
        forget(loaded);
}

static void
loaded_answer(alchi_drv_command_t *command, int rank, const alchi_frame_t *frame, const ProtobufCMessage *message)
{
    alchi_drv_library_t *loaded = command->context;
    Alchw__Library *library;

    (void)rank;
    if (loaded->answered || frame->type != ALCHI_LIBRARY || !(library = alchi_message_copy(message)))
        return;
    alchi_message_free(loaded->library);
    loaded->library = library;
    loaded->answered = true;
}

static void
loaded_done(alchi_drv_command_t *command)
{
    alchi_drv_library_t *loaded = command->context;

    if (!command->failed && !loaded->answered)
        alchi_error_set(&command->error, ALCH_EPROTO, "the workers did not describe library '%s'", loaded->name);
    if (command->failed && command->group->state == ALCHI_DRV_GROUP_RELEASING) {
        cut_short(loaded, &command->error);
        return;
    }
    if (command->failed || !loaded->answered) {
        load_failed(loaded, &command->error);
        return;
    }
    loaded->loaded = true;
    alchi_log(ALCHI_LOG_INFO, "session %llu: loaded library %s %s", (unsigned long long)loaded->session->id,
              loaded->library->name, loaded->library->version ? loaded->library->version : "");
    while (loaded->waiters)
        alchi_drv_request_reply(loaded->waiters, ALCHI_LIBRARY, loaded->library);
    alchi_drv_job_end(&loaded->job);
}

static void
load_start(alchi_drv_job_t *job)
{
    alchi_drv_library_t *loaded = ALCHI_CONTAINER(job, alchi_drv_library_t, job);
    alchi_drv_command_t model = {.answer = loaded_answer, .done = loaded_done, .context = loaded};
    Alchw__WorkerLoad message = ALCHW__WORKER_LOAD__INIT;
    alch_error_t error;

    message.name = loaded->name;
    message.path = loaded->path;
    if (alchi_drv_command_send(job->group, ALCHI_WORKER_LOAD, &message, NULL, &model, NULL)) {
        alchi_error_set(&error, ALCH_ENOMEM, "the driver is out of memory");
        load_failed(loaded, &error);
    }
}

static void
load_fail(alchi_drv_job_t *job, const alch_error_t *error)
{
    cut_short(ALCHI_CONTAINER(job, alchi_drv_library_t, job), error);
}

static void
load_queue(alchi_drv_library_t *loaded, alchi_drv_group_t *group)
{
    loaded->failed.code = ALCH_OK;
    loaded->answered = false;
    loaded->job.start = load_start;
    loaded->job.fail = load_fail;
    alchi_drv_job_add(group, &loaded->job);
    alchi_drv_job_ready(&loaded->job);
}

/* The description stays: calls may be queued behind the next load. */
void
alchi_drv_libraries_unload(alchi_drv_session_t *session)
{
    alchi_drv_library_t *loaded;

    DL_FOREACH(session->libraries, loaded)
    loaded->loaded = false;
}

/* What failed to load is not tried again unasked: it may be what ended the group. */
void
alchi_drv_libraries_reload(alchi_drv_session_t *session)
{
    alchi_drv_library_t *loaded, *next;

    DL_FOREACH_SAFE(session->libraries, loaded, next)
    {
        if (!loaded->failed.code && !loaded->job.group)
            load_queue(loaded, session->group);
    }
}

/* ---- requests ---- */

static bool
same(const char *a, const char *b)
{
    return strcmp(a, b ? b : "") == 0;
}

/* Libraries are found whatever the case of their name, so "testlib" and "TestLib" are one. */
static bool
same_library(const char *a, const char *b)
{
    return strcasecmp(a, b ? b : "") == 0;
}

static alchi_drv_library_t *
find(alchi_drv_session_t *session, const char *name, const char *path)
{
    alchi_drv_library_t *loaded;

    DL_FOREACH(session->libraries, loaded)
    {
        if (same_library(loaded->name, name) && (!path || !*path || same(loaded->path, path)))
            return loaded;
    }
    return NULL;
}

static alchi_drv_library_t *
add(alchi_drv_session_t *session, const Alchw__LoadLibrary *load)
{
    alchi_drv_library_t *loaded = calloc(1, sizeof(*loaded));

    if (!loaded)
        return NULL;
    loaded->session = session;
    loaded->name = strdup(load->name ? load->name : "");
    loaded->path = strdup(load->path ? load->path : "");
    if (!loaded->name || !loaded->path) {
        alchi_drv_library_destroy(loaded);
        return NULL;
    }
    DL_APPEND(session->libraries, loaded);
    return loaded;
}

static int
prepare(alchi_drv_session_t *session, const Alchw__LoadLibrary *load, alchi_drv_library_t **loaded_p, alch_error_t *err)
{
    alchi_drv_group_t *group;
    alchi_drv_library_t *loaded;
    int code = alchi_drv_session_ready(session, &group, err);

    if ((!load->name || !*load->name) && (!load->path || !*load->path))
        return alchi_error_set(err, ALCH_EINVAL, "a library needs a name or a path");
    loaded = find(session, load->name, load->path);
    if (loaded && loaded->failed.code) {
        *err = loaded->failed;
        forget(loaded);
        return err->code;
    }
    if (code)
        return code;
    if (!loaded && !(loaded = add(session, load)))
        return alchi_error_set(err, ALCH_ENOMEM, "the driver is out of memory");
    *loaded_p = loaded;
    return ALCH_OK;
}

ALCHI_DRV_HANDLER(alchi_drv_on_load_library)
{
    const Alchw__LoadLibrary *load = message;
    alchi_drv_session_t *session = link->session;
    alchi_drv_library_t *loaded = NULL;
    alchi_drv_request_t *request;
    alch_error_t error;

    if (prepare(session, load, &loaded, &error)) {
        alchi_drv_link_fail(link, frame->id, &error);
        return;
    }
    if (!(request = alchi_drv_request_create(driver, link, frame->id)))
        return;
    if (loaded->loaded) {
        alchi_drv_request_reply(request, ALCHI_LIBRARY, loaded->library);
        return;
    }
    alchi_drv_request_wait(request, &loaded->waiters, load->wait_ms, reply_loading, loaded);
    if (!loaded->job.group)
        load_queue(loaded, session->group);
}

/* ---- names ---- */

typedef struct {
    char **names;
    size_t count;
} names_t;

static void
names_add(names_t *names, const char *name, size_t size)
{
    char **grown;
    size_t i;

    for (i = 0; i < names->count; i++) {
        if (strlen(names->names[i]) == size && strncasecmp(names->names[i], name, size) == 0)
            return;
    }
    if (!(grown = realloc(names->names, (names->count + 1) * sizeof(*grown))))
        return;
    names->names = grown;
    if ((grown[names->count] = strndup(name, size)))
        names->count++;
}

static void
names_scan(names_t *names, const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    const char *name;
    size_t size;

    while (dir && (entry = readdir(dir))) {
        size = strlen(entry->d_name);
        if (size < 4 || strcmp(entry->d_name + size - 3, ".so") != 0)
            continue;
        name = strncmp(entry->d_name, "lib", 3) == 0 && size > 6 ? entry->d_name + 3 : entry->d_name;
        names_add(names, name, size - 3 - (size_t)(name - entry->d_name));
    }
    if (dir)
        closedir(dir);
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
names_loaded(names_t *names, const alchi_drv_session_t *session)
{
    const alchi_drv_library_t *loaded;

    DL_FOREACH(session->libraries, loaded)
    {
        if (loaded->library && !loaded->failed.code)
            names_add(names, loaded->library->name, strlen(loaded->library->name));
    }
}

static void
names_fini(names_t *names)
{
    while (names->count)
        free(names->names[--names->count]);
    free(names->names);
}

ALCHI_DRV_HANDLER(alchi_drv_on_list_libraries)
{
    const Alchw__ListLibraries *list = message;
    Alchw__NameList reply = ALCHW__NAME_LIST__INIT;
    names_t names = {NULL, 0};
    size_t i;

    names_loaded(&names, link->session);
    for (i = 0; !list->loaded_only && i < driver->options->plugin_dirs.count; i++)
        names_scan(&names, driver->options->plugin_dirs.items[i]);
    if (names.count)
        qsort(names.names, names.count, sizeof(*names.names), by_text);
    reply.n_names = names.count;
    reply.names = names.names;
    alchi_drv_link_reply(link, frame->id, ALCHI_NAME_LIST, &reply);
    names_fini(&names);
}

static void
join(char *text, size_t size, const char *name)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
}

static int
no_library(const alchi_drv_session_t *session, const char *library, alch_error_t *err)
{
    names_t names = {NULL, 0};
    char text[512] = "";
    size_t i;

    names_loaded(&names, session);
    for (i = 0; i < names.count; i++)
        join(text, sizeof(text), names.names[i]);
    names_fini(&names);
    return alchi_error_set(err, ALCH_ENOENT, "library '%s' is not loaded in session %llu (%s%s)", library,
                           (unsigned long long)session->id, *text ? "loaded: " : "none is", text);
}

int
alchi_drv_library_lookup(alchi_drv_session_t *session, const char *library, const char *function,
                         alchi_drv_library_t **loaded_p, const Alchw__Function **function_p, alch_error_t *err)
{
    alchi_drv_library_t *loaded;
    char text[512] = "";
    size_t i;

    DL_FOREACH(session->libraries, loaded)
    {
        if (loaded->library && !loaded->failed.code &&
            (same_library(loaded->name, library) || same_library(loaded->library->name, library)))
            break;
    }
    if (!loaded)
        return no_library(session, library ? library : "", err);
    for (i = 0; i < loaded->library->n_functions; i++) {
        if (same(loaded->library->functions[i]->name, function)) {
            *loaded_p = loaded;
            *function_p = loaded->library->functions[i];
            return ALCH_OK;
        }
        join(text, sizeof(text), loaded->library->functions[i]->name);
    }
    return alchi_error_set(err, ALCH_ENOENT, "library '%s' has no function '%s' (it has: %s)", loaded->library->name,
                           function ? function : "", text);
}
