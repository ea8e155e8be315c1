/* One call of an operation: its state, how its outcome is decided, and the table of the services. */
#include "pluginhost/call.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "wire/value.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

void
alchi_host_call_note_misuse(alchi_host_call_t *call, const char *format, ...)
{
    char text[ALCH_ERROR_TEXT_MAX];
    va_list args;

    if (call->misuse.code)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    alchi_error_rank(&call->misuse, ALCH_EFUNCTION, call->plugins->rank, "%s.%s: %s", call->module->plugin->name,
                     call->call.function, text);
}

/* Take references on the matrices among the arguments. */
static int
acquire_arguments(alchi_host_call_t *call, alch_error_t *err)
{
    for (size_t k = 0; k < call->task->n_arguments; k++) {
        const Alchw__Value *value = call->task->arguments[k]->value;

        if (!value || value->type != ALCH_TYPE_MATRIX)
            continue;
        for (size_t l = 0; l < value->n_u; l++) {
            alchi_store_part_t *part;
            int code;

            if (value->u[l] == 0) /* an optional matrix that the client did not give */
                continue;
            code = alchi_store_acquire(call->plugins->env.store, value->u[l], &part, err);
            if (code)
                return code;
            if (!alchi_host_matrix_attach(call, part, true)) {
                alchi_store_release(call->plugins->env.store, part);
                return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for the arguments of %s",
                                       call->call.function);
            }
        }
    }
    return ALCH_OK;
}

int
alchi_host_call_init(alchi_host_call_t *call, alchi_host_plugins_t *plugins, alchi_host_module_t *module,
                     const Alchw__Function *function, const Alchw__WorkerTask *task, const atomic_bool *cancel,
                     alch_error_t *err)
{
    int code;

    memset(call, 0, sizeof(*call));
    call->plugins = plugins;
    call->module = module;
    call->function = function;
    call->task = task;
    call->cancel = cancel;
    call->call.host = &alchi_host_services;
    call->call.comm = module->comm;
    call->call.rank = plugins->rank;
    call->call.size = plugins->size;
    call->call.function = function ? function->name : "init";
    if (!function)
        return ALCH_OK;
    call->results = calloc(function->n_results + 1, sizeof(*call->results));
    if (!call->results)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for the results of %s", function->name);
    code = acquire_arguments(call, err);
    if (code)
        alchi_host_call_fini(call);
    return code;
}

void
alchi_host_call_fini(alchi_host_call_t *call)
{
    alchi_store_t *store = call->plugins->env.store;
    alch_dmatrix_t *matrix, *next;

    DL_FOREACH_SAFE(call->matrices, matrix, next)
    {
        DL_DELETE(call->matrices, matrix);
        alchi_store_release(store, matrix->part);
        free(matrix);
    }
    for (size_t k = 0; call->results && k < call->function->n_results; k++)
        alchi_message_free(call->results[k]);
    free(call->results);
    call->results = NULL;
    while (call->note_count)
        alchi_message_free(call->notes[--call->note_count]);
    if (call->workspace)
        (void)alchi_store_account(store, -call->workspace, "workspace", NULL);
    call->workspace = 0;
}

int
alchi_host_call_verdict(alchi_host_call_t *call, int returned, alch_error_t *err)
{
    const char *library = call->module->plugin->name, *function = call->call.function;
    bool known = returned > 0 && strcmp(alch_errname(returned), "ALCH_E?") != 0;

    if (returned == ALCH_OK && call->misuse.code) {
        *err = call->misuse;
        return err->code;
    }
    if (returned == ALCH_OK)
        return ALCH_OK;
    if (!known)
        return alchi_error_rank(err, ALCH_EFUNCTION, call->plugins->rank,
                                "%s.%s returned %d, which is not an error code", library, function, returned);
    if (call->error.code != returned)
        return alchi_error_rank(err, returned, call->plugins->rank, "%s.%s: %s", library, function,
                                call->misuse.code ? call->misuse.text : alch_strerror(returned));
    *err = call->error;
    return returned;
}

static int
host_agree(alch_call_t *base, int code, const char *format, ...)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    alch_error_t error = {ALCH_OK, -1, ""};
    va_list args;

    if (code) {
        char text[ALCH_ERROR_TEXT_MAX] = "";

        /* After a service has failed, `return agree(code, NULL)` keeps the text that the service noted. */
        if (format) {
            va_start(args, format);
            vsnprintf(text, sizeof(text), format, args);
            va_end(args);
        } else {
            snprintf(text, sizeof(text), "%s", call->error.code == code ? call->error.text : alch_strerror(code));
        }
        alchi_error_rank(&error, code, base->rank, "%s", text);
    }
    code = alchi_host_agree(call->plugins->comm, code, &error);
    if (code)
        call->error = error;
    return code;
}

static int
host_fail(alch_call_t *base, int code, const char *format, ...)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    char text[ALCH_ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return alchi_error_rank(&call->error, code, base->rank, "%s", text);
}

static void
host_progress(alch_call_t *base, double fraction, const char *format, ...)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    char text[256] = "";
    va_list args;

    if (!call->task || !call->plugins->env.progress)
        return;
    if (format) {
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
    }
    if (!(fraction >= 0))
        fraction = -1;
    call->plugins->env.progress(call->plugins->env.context, call->task->task, fraction > 1 ? 1 : fraction, text);
}

static bool
host_is_canceled(alch_call_t *base)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    int mine = call->cancel && atomic_load(call->cancel), any = 0;

    /* A cancel reaches the ranks at different times, so they agree: all ranks stop if one of them has seen it. */
    if (MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, call->plugins->comm) != MPI_SUCCESS)
        return mine;
    return any;
}

static void
host_log(alch_call_t *base, const char *format, ...)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    alchi_log(ALCHI_LOG_INFO, "%s.%s: %s", call->module->plugin->name, base->function, text);
}

static int
host_workspace(alch_call_t *base, int64_t bytes)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    alch_error_t error = {ALCH_OK, -1, ""};
    int code;

    if (bytes < 0)
        return host_fail(base, ALCH_EINVAL, "the size of the workspace, %" PRId64 " bytes, is negative", bytes);
    code = alchi_store_account(call->plugins->env.store, bytes - call->workspace, "workspace", &error);
    if (code)
        return host_fail(base, code, "%s.%s: %s", call->module->plugin->name, base->function, error.text);
    call->workspace = bytes;
    return ALCH_OK;
}

/* The client gets only the notes of rank 0. A note is cut to the length of an error text. */
static void
host_note(alch_call_t *base, alch_note_kind_t kind, const char *format, ...)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    Alchw__Note note = ALCHW__NOTE__INIT;
    char text[ALCH_ERROR_TEXT_MAX];
    va_list args;

    if (base->rank != 0 || call->note_count == ALCH_NOTES_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    alchi_utf8_clean(text);
    note.has_kind = 1;
    note.kind = kind == ALCH_WARNING ? ALCH_WARNING : ALCH_NOTE;
    note.text = text;
    if ((call->notes[call->note_count] = alchi_message_copy(&note)))
        call->note_count++;
}

static void
host_set_state(alch_call_t *base, void *state)
{
    alchi_host_call_of(base)->module->state = state;
}

static void *
host_state(alch_call_t *base)
{
    return alchi_host_call_of(base)->module->state;
}

const alch_host_t alchi_host_services = {
    .struct_size = sizeof(alch_host_t),
    .arg_bool = alchi_host_arg_bool,
    .arg_int = alchi_host_arg_int,
    .arg_uint = alchi_host_arg_uint,
    .arg_real = alchi_host_arg_real,
    .arg_complex = alchi_host_arg_complex,
    .arg_string = alchi_host_arg_string,
    .arg_matrix = alchi_host_arg_matrix,
    .arg_count = alchi_host_arg_count,
    .arg_int_at = alchi_host_arg_int_at,
    .arg_real_at = alchi_host_arg_real_at,
    .arg_string_at = alchi_host_arg_string_at,
    .ret_bool = alchi_host_ret_bool,
    .ret_int = alchi_host_ret_int,
    .ret_uint = alchi_host_ret_uint,
    .ret_real = alchi_host_ret_real,
    .ret_complex = alchi_host_ret_complex,
    .ret_string = alchi_host_ret_string,
    .ret_ints = alchi_host_ret_ints,
    .ret_reals = alchi_host_ret_reals,
    .ret_strings = alchi_host_ret_strings,
    .ret_matrix = alchi_host_ret_matrix,
    .matrix_create = alchi_host_matrix_create,
    .matrix_free = alchi_host_matrix_free,
    .matrix_block = alchi_host_matrix_block,
    .global_row = alchi_host_matrix_global_row,
    .global_col = alchi_host_matrix_global_col,
    .matrix_descriptor = alchi_host_matrix_descriptor,
    .matrix_relayout = alchi_host_matrix_relayout,
    .agree = host_agree,
    .fail = host_fail,
    .progress = host_progress,
    .cancelled = host_is_canceled,
    .log = host_log,
    .workspace = host_workspace,
    .set_state = host_set_state,
    .state = host_state,
    .matrix_transpose = alchi_host_matrix_transpose,
    .matrix_convert = alchi_host_matrix_convert,
    .note = host_note,
    .matrix_create_unset = alchi_host_matrix_create_unset,
    .arg_matrix_at = alchi_host_arg_matrix_at,
    .matrix_name = alchi_host_matrix_name,
    .layout_parse = alchi_host_layout_parse,
    .layout_format = alch_layout_format,
    .data_file = alchi_host_data_file,
    .block_share = alchi_host_block_local_rect,
    .block_pack = alchi_host_block_pack,
    .block_unpack = alchi_host_block_unpack,
    .matrix_exchange_bytes = alchi_host_matrix_exchange_bytes,
};
