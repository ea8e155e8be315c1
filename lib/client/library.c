/* Libraries: load, describe and list them. */
#include "client/client.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* A library's description. The strings of functions and parameters point into the driver's message. */
struct alch_library {
    Alchw__Library *message;
    size_t count;
    alch_function_t *functions;
    alch_parameter_t *parameters; /* parameters and results of all functions */
};

/* A string field that the driver may have left out. */
static const char *
text_of(const char *text)
{
    return text ? text : "";
}

static alch_parameter_t *
fill_parameters(Alchw__Parameter *const *messages, size_t count, alch_parameter_t *parameters)
{
    for (size_t k = 0; k < count; k++) {
        const Alchw__Parameter *message = messages[k];
        parameters[k] = (alch_parameter_t){.name = text_of(message->name),
                                           .type = (alch_type_t)message->type,
                                           .list = message->list,
                                           .optional = message->optional_,
                                           .default_text = message->optional_ ? message->default_text : NULL,
                                           .doc = text_of(message->doc)};
    }
    return parameters + count;
}

static void
fill_functions(alch_library_t *library)
{
    alch_parameter_t *next = library->parameters;

    for (size_t k = 0; k < library->count; k++) {
        const Alchw__Function *message = library->message->functions[k];
        alch_function_t *function = &library->functions[k];
        function->name = text_of(message->name);
        function->signature = text_of(message->signature);
        function->summary = text_of(message->summary);
        function->doc = text_of(message->doc);
        function->parameters = next;
        function->parameter_count = message->n_parameters;
        next = fill_parameters(message->parameters, message->n_parameters, next);
        function->results = next;
        function->result_count = message->n_results;
        next = fill_parameters(message->results, message->n_results, next);
    }
}

/* Create a handle, which owns the message from now on; the message is freed on failure. */
static int
make_library(Alchw__Library *message, alch_library_t **library_p, alch_error_t *err)
{
    alch_library_t *library = calloc(1, sizeof(*library));
    size_t parameters = 0;

    for (size_t k = 0; k < message->n_functions; k++)
        parameters += message->functions[k]->n_parameters + message->functions[k]->n_results;
    if (library) {
        library->message = message;
        library->count = message->n_functions;
        library->functions = calloc(library->count + 1, sizeof(*library->functions));
        library->parameters = calloc(parameters + 1, sizeof(*library->parameters));
    }
    if (!library || !library->functions || !library->parameters) {
        if (library)
            alch_library_destroy(library);
        else
            alchi_message_free(message);
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the description of a library");
    }
    fill_functions(library);
    *library_p = library;
    return ALCH_OK;
}

int
alch_library_load(alch_session_t *session, const char *name, const char *path, int timeout_ms,
                  alch_library_t **library_p, alch_error_t *err)
{
    Alchw__LoadLibrary request = ALCHW__LOAD_LIBRARY__INIT;
    alchi_deadline_t deadline = alchi_deadline_in_ms(timeout_ms);
    Alchw__Library *reply;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    if (!name || !name[0] || !library_p)
        return alchi_error_set(err, ALCH_EINVAL, "the library's name is missing, or library_p is NULL");
    request.name = (char *)name;
    request.path = (char *)path;
    request.has_wait_ms = true;
    for (;;) {
        int wait_ms = alchi_cli_session_wait_slice_ms(deadline);
        request.wait_ms = (uint32_t)wait_ms;
        code = alchi_cli_session_request(session, ALCHI_LOAD_LIBRARY, &request, ALCHI_LIBRARY, wait_ms, &reply, err);
        if (code != ALCH_OK)
            return code;
        if (!reply->loading)
            return make_library(reply, library_p, err);
        alchi_message_free(reply);
        if (alchi_deadline_left_ms(deadline) == 0)
            return alchi_error_set(err, ALCH_EAGAIN, "the library %s is still loading", name);
    }
}

void
alch_library_destroy(alch_library_t *library)
{
    if (!library)
        return;
    free(library->parameters);
    free(library->functions);
    alchi_message_free(library->message);
    free(library);
}

const char *
alch_library_name(const alch_library_t *library)
{
    return text_of(library->message->name);
}

const char *
alch_library_version(const alch_library_t *library)
{
    return text_of(library->message->version);
}

const char *
alch_library_summary(const alch_library_t *library)
{
    return text_of(library->message->summary);
}

size_t
alch_library_function_count(const alch_library_t *library)
{
    return library->count;
}

const alch_function_t *
alch_library_function(const alch_library_t *library, size_t index)
{
    return index < library->count ? &library->functions[index] : NULL;
}

int
alch_library_list(alch_session_t *session, bool loaded_only, char ***names_p, size_t *count_p, alch_error_t *err)
{
    Alchw__ListLibraries request = ALCHW__LIST_LIBRARIES__INIT;
    Alchw__NameList *reply;
    char **names;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    if (!names_p)
        return alchi_error_set(err, ALCH_EINVAL, "names_p is NULL");
    request.has_loaded_only = true;
    request.loaded_only = loaded_only;
    code = alchi_cli_session_request(session, ALCHI_LIST_LIBRARIES, &request, ALCHI_NAME_LIST, 0, &reply, err);
    if (code != ALCH_OK)
        return code;
    names = calloc(reply->n_names + 1, sizeof(*names));
    for (size_t k = 0; names && k < reply->n_names; k++) {
        if (!(names[k] = strdup(reply->names[k]))) {
            alch_names_free(names);
            names = NULL;
        }
    }
    if (names) {
        *names_p = names;
        if (count_p)
            *count_p = reply->n_names;
    }
    alchi_message_free(reply);
    return names ? ALCH_OK : alchi_error_set(err, ALCH_ENOMEM, "out of memory for a list of names");
}

void
alch_names_free(char **names)
{
    for (size_t k = 0; names && names[k]; k++)
        free(names[k]);
    free(names);
}
