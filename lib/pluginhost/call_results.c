/* Services that set results, and the reply that carries them. A value is converted to the declared type when it is set.
 * A matrix gets its id in the store only after the operation has succeeded. */
#include "base/error.h"
#include "base/util.h"
#include "pluginhost/call.h"
#include "wire/layout_message.h"
#include "wire/value.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static int refuse_result(alchi_host_call_t *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int
refuse_result(alchi_host_call_t *call, const char *format, ...)
{
    char text[ALCH_ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    alchi_host_call_note_misuse(call, "%s", text);
    return alchi_error_rank(&call->error, ALCH_EFUNCTION, call->plugins->rank, "%s.%s: %s", call->module->plugin->name,
                            call->call.function, text);
}

/* @return the position of a result in the signature; -1: the signature does not have it. This is noted as a misuse. */
static int
find_result(alchi_host_call_t *call, const char *name)
{
    for (size_t k = 0; call->function && name && k < call->function->n_results; k++)
        if (strcmp(call->function->results[k]->name, name) == 0)
            return (int)k;
    refuse_result(call, "its signature has no result '%s'", name ? name : "(null)");
    return -1;
}

/* @return the type in which a result is sent. A real number that was set for a complex result stays real, for example
 * the trace of a real matrix. */
static alch_type_t
result_type(const Alchw__Parameter *declared, const Alchw__Value *value)
{
    if (declared->list || value->type != ALCH_TYPE_FLOAT64)
        return (alch_type_t)declared->type;
    return declared->type == ALCH_TYPE_COMPLEX128  ? ALCH_TYPE_FLOAT64
           : declared->type == ALCH_TYPE_COMPLEX64 ? ALCH_TYPE_FLOAT32
                                                   : (alch_type_t)declared->type;
}

/* Store a value that a service has built. This function owns `value`. `code` is the outcome of building it. */
static int
set_result(alch_call_t *base, const char *name, Alchw__Value *value, int code)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    Alchw__Value *converted = NULL;
    alch_error_t error;
    char what[256];
    int index;

    if (!value || code) {
        alchi_message_free(value);
        if (code == ALCH_EINVAL)
            return refuse_result(call, "result '%s' is not valid UTF-8", name ? name : "(null)");
        return alchi_error_rank(&call->error, ALCH_ENOMEM, base->rank, "the rank is out of memory for a result");
    }
    if ((index = find_result(call, name)) < 0) {
        alchi_message_free(value);
        return ALCH_EFUNCTION;
    }
    snprintf(what, sizeof(what), "result '%s'", name);
    code = alchi_value_convert(value, result_type(call->function->results[index], value),
                               call->function->results[index]->list, what, &converted, &error);
    alchi_message_free(value);
    if (code)
        return refuse_result(call, "%s", error.text);
    alchi_message_free(call->results[index]);
    call->results[index] = converted;
    return ALCH_OK;
}

int
alchi_host_ret_bool(alch_call_t *call, const char *name, bool x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_BOOL, false);

    return set_result(call, name, value, value ? alchi_value_add_i(value, x) : ALCH_ENOMEM);
}

int
alchi_host_ret_int(alch_call_t *call, const char *name, int64_t x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_INT64, false);

    return set_result(call, name, value, value ? alchi_value_add_i(value, x) : ALCH_ENOMEM);
}

int
alchi_host_ret_uint(alch_call_t *call, const char *name, uint64_t x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_UINT64, false);

    return set_result(call, name, value, value ? alchi_value_add_u(value, x) : ALCH_ENOMEM);
}

int
alchi_host_ret_real(alch_call_t *call, const char *name, double x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_FLOAT64, false);

    return set_result(call, name, value, value ? alchi_value_add_d(value, x) : ALCH_ENOMEM);
}

int
alchi_host_ret_complex(alch_call_t *call, const char *name, double re, double im)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_COMPLEX128, false);
    int code = value ? alchi_value_add_d(value, re) : ALCH_ENOMEM;

    return set_result(call, name, value, code ? code : alchi_value_add_d(value, im));
}

static int
add_string(Alchw__Value *value, const char *x)
{
    return x && alchi_utf8_valid(x, strlen(x)) ? alchi_value_add_s(value, x) : ALCH_EINVAL;
}

int
alchi_host_ret_string(alch_call_t *call, const char *name, const char *x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_STRING, false);

    return set_result(call, name, value, value ? add_string(value, x) : ALCH_ENOMEM);
}

int
alchi_host_ret_ints(alch_call_t *call, const char *name, const int64_t *x, size_t count)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_INT64, true);
    int code = value ? ALCH_OK : ALCH_ENOMEM;

    for (size_t k = 0; k < count && !code; k++)
        code = alchi_value_add_i(value, x[k]);
    return set_result(call, name, value, code);
}

int
alchi_host_ret_reals(alch_call_t *call, const char *name, const double *x, size_t count)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_FLOAT64, true);
    int code = value ? ALCH_OK : ALCH_ENOMEM;

    for (size_t k = 0; k < count && !code; k++)
        code = alchi_value_add_d(value, x[k]);
    return set_result(call, name, value, code);
}

int
alchi_host_ret_strings(alch_call_t *call, const char *name, const char *const *x, size_t count)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_STRING, true);
    int code = value ? ALCH_OK : ALCH_ENOMEM;

    for (size_t k = 0; k < count && !code; k++)
        code = add_string(value, x[k]);
    return set_result(call, name, value, code);
}

/* The k-th matrix result of the signature has id first_result_id + k. */
static uint64_t
result_id(const alchi_host_call_t *call, int index)
{
    uint64_t id = call->task->first_result_id;

    for (int k = 0; k < index; k++)
        if (call->function->results[k]->type == ALCH_TYPE_MATRIX)
            id++;
    return id;
}

int
alchi_host_ret_matrix(alch_call_t *base, const char *name, alch_dmatrix_t *matrix)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    Alchw__Value *value;
    int index, code;

    if ((index = find_result(call, name)) < 0)
        return ALCH_EFUNCTION;
    if (!matrix)
        return refuse_result(call, "the matrix for result '%s' is NULL", name);
    if (matrix->is_argument)
        return refuse_result(call, "the matrix for result '%s' is an argument and must be copied first", name);
    if (matrix->is_result || call->results[index])
        return refuse_result(call, "result '%s' or its matrix has already been returned", name);
    value = alchi_value_create(ALCH_TYPE_MATRIX, false);
    code = set_result(base, name, value, value ? alchi_value_add_u(value, result_id(call, index)) : ALCH_ENOMEM);
    if (code)
        return code;
    matrix->is_result = true;
    matrix->result_id = result_id(call, index);
    if (!matrix->part->name[0])
        snprintf(matrix->part->name, sizeof(matrix->part->name), "%s", name);
    return ALCH_OK;
}

Alchw__Matrix *
alchi_host_part_message(const alchi_store_part_t *part, uint64_t id)
{
    const alchi_layout_t *layout = &part->layout;
    Alchw__Layout spec;
    Alchw__Matrix matrix = ALCHW__MATRIX__INIT;

    alchi_wire_layout_out(&layout->spec, &spec);
    matrix.has_id = matrix.has_rows = matrix.has_cols = matrix.has_dtype = matrix.has_workers = 1;
    matrix.id = id;
    matrix.rows = layout->m;
    matrix.cols = layout->n;
    matrix.dtype = part->dtype;
    matrix.workers = (uint32_t)layout->workers;
    matrix.layout = &spec;
    matrix.name = (char *)part->name;
    return alchi_message_copy(&matrix);
}

static int
publish_matrix(alchi_host_call_t *call, alch_dmatrix_t *matrix, Alchw__WorkerTaskDone *done, alch_error_t *err)
{
    Alchw__Matrix *description = alchi_host_part_message(matrix->part, matrix->result_id);
    int code;

    if (!description)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for the results of %s",
                               call->call.function);
    alchi_store_part_mark_written(matrix->part);
    code = alchi_store_set_id(call->plugins->env.store, matrix->part, matrix->result_id, err);
    if (code)
        alchi_message_free(description);
    else
        done->matrices[done->n_matrices++] = description;
    return code;
}

/* Publish the matrices in the order of the signature, which may differ from the order of the calls of ret_matrix().
 * After a failure the store has none of the ids. */
static int
publish_matrices(alchi_host_call_t *call, Alchw__WorkerTaskDone *done, alch_error_t *err)
{
    uint64_t first = call->task->first_result_id;
    alch_dmatrix_t *matrix;
    int code = ALCH_OK;

    for (uint64_t id = first; !code && id < first + call->function->n_results; id++) {
        DL_FOREACH(call->matrices, matrix)
        {
            if (!code && matrix->is_result && matrix->result_id == id)
                code = publish_matrix(call, matrix, done, err);
        }
    }
    for (size_t k = 0; code && k < done->n_matrices; k++)
        (void)alchi_store_free(call->plugins->env.store, done->matrices[k]->id, NULL);
    return code;
}

int
alchi_host_call_fill_reply(alchi_host_call_t *call, Alchw__WorkerTaskDone *done, alch_error_t *err)
{
    size_t count = call->function->n_results;

    done->results = calloc(count + 1, sizeof(*done->results));
    done->matrices = calloc(count + 1, sizeof(*done->matrices));
    if (!done->results || !done->matrices)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for the results of %s",
                               call->call.function);
    for (size_t k = 0; k < count; k++) {
        Alchw__NamedValue *named;

        if (!call->results[k])
            continue;
        named = alchi_named_create(call->function->results[k]->name, call->results[k]);
        if (!named)
            return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for the results of %s",
                                   call->call.function);
        call->results[k] = NULL;
        done->results[done->n_results++] = named;
    }
    if (!(done->notes = calloc(call->note_count + 1, sizeof(*done->notes))))
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for the results of %s",
                               call->call.function);
    memcpy(done->notes, call->notes, call->note_count * sizeof(*done->notes));
    done->n_notes = call->note_count;
    call->note_count = 0;
    return publish_matrices(call, done, err);
}
