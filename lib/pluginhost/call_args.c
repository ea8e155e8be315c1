/* Services that give an operation its arguments: by name, with the signature's defaults. */
#include "pluginhost/call.h"
#include "wire/value.h"
#include <string.h>
#include <utlist.h>

static const Alchw__Parameter *
find_parameter(const alchi_host_call_t *call, const char *name)
{
    for (size_t k = 0; call->function && name && k < call->function->n_parameters; k++)
        if (strcmp(call->function->parameters[k]->name, name) == 0)
            return call->function->parameters[k];
    return NULL;
}

static const Alchw__Value *
find_value(const alchi_host_call_t *call, const Alchw__Parameter *parameter)
{
    for (size_t k = 0; k < call->task->n_arguments; k++)
        if (strcmp(call->task->arguments[k]->name, parameter->name) == 0)
            return call->task->arguments[k]->value;
    return parameter->default_value;
}

/* Find the value of a parameter whose type must be within lo..hi. @return NULL: the parameter does not exist or has
 * another type. This is noted as a misuse. */
static const Alchw__Value *
find_typed_value(alch_call_t *base, const char *name, alch_type_t lo, alch_type_t hi, bool list)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    const Alchw__Parameter *parameter = find_parameter(call, name);
    const Alchw__Value *value = parameter ? find_value(call, parameter) : NULL;

    if (!parameter) {
        alchi_host_call_note_misuse(call, "its signature has no parameter '%s'", name ? name : "(null)");
        return NULL;
    }
    if (!value || value->type < lo || value->type > hi || value->list != list) {
        alchi_host_call_note_misuse(call, "parameter '%s' is of type %s%s, but it was read as another type", name,
                                    alch_type_name((alch_type_t)parameter->type), parameter->list ? "[]" : "");
        return NULL;
    }
    return value;
}

static bool
has_entry(alch_call_t *base, const char *name, size_t index, size_t count)
{
    if (index < count)
        return true;
    alchi_host_call_note_misuse(alchi_host_call_of(base), "parameter '%s' has %zu entries, but entry %zu was read",
                                name, count, index);
    return false;
}

bool
alchi_host_arg_bool(alch_call_t *call, const char *name)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_BOOL, ALCH_TYPE_BOOL, false);

    return value && has_entry(call, name, 0, value->n_i) && value->i[0] != 0;
}

int64_t
alchi_host_arg_int(alch_call_t *call, const char *name)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_INT8, ALCH_TYPE_INT64, false);

    return value && has_entry(call, name, 0, value->n_i) ? value->i[0] : 0;
}

uint64_t
alchi_host_arg_uint(alch_call_t *call, const char *name)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_UINT8, ALCH_TYPE_UINT64, false);

    return value && has_entry(call, name, 0, value->n_u) ? value->u[0] : 0;
}

double
alchi_host_arg_real(alch_call_t *call, const char *name)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_FLOAT32, ALCH_TYPE_FLOAT64, false);

    return value && has_entry(call, name, 0, value->n_d) ? value->d[0] : 0;
}

void
alchi_host_arg_complex(alch_call_t *call, const char *name, double *re_p, double *im_p)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_COMPLEX64, ALCH_TYPE_COMPLEX128, false);
    bool given = value && has_entry(call, name, 1, value->n_d);

    *re_p = given ? value->d[0] : 0;
    *im_p = given ? value->d[1] : 0;
}

const char *
alchi_host_arg_string(alch_call_t *call, const char *name)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_STRING, ALCH_TYPE_STRING, false);

    return value && has_entry(call, name, 0, value->n_s) ? value->s[0] : "";
}

static const alch_dmatrix_t *
find_matrix_argument(alch_call_t *base, const char *name, size_t index, bool list)
{
    const Alchw__Value *value = find_typed_value(base, name, ALCH_TYPE_MATRIX, ALCH_TYPE_MATRIX, list);
    alch_dmatrix_t *matrix;

    if (!value || !has_entry(base, name, index, value->n_u) || value->u[index] == 0)
        return NULL;
    DL_FOREACH(alchi_host_call_of(base)->matrices, matrix)
    {
        if (matrix->is_argument && matrix->part->id == value->u[index])
            return matrix;
    }
    return NULL;
}

const alch_dmatrix_t *
alchi_host_arg_matrix(alch_call_t *call, const char *name)
{
    return find_matrix_argument(call, name, 0, false);
}

const alch_dmatrix_t *
alchi_host_arg_matrix_at(alch_call_t *call, const char *name, size_t index)
{
    return find_matrix_argument(call, name, index, true);
}

size_t
alchi_host_arg_count(alch_call_t *call, const char *name)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_BOOL, ALCH_TYPE_MATRIX, true);

    return value ? alchi_value_count(value) : 0;
}

int64_t
alchi_host_arg_int_at(alch_call_t *call, const char *name, size_t index)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_BOOL, ALCH_TYPE_INT64, true);

    return value && has_entry(call, name, index, value->n_i) ? value->i[index] : 0;
}

double
alchi_host_arg_real_at(alch_call_t *call, const char *name, size_t index)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_FLOAT32, ALCH_TYPE_FLOAT64, true);

    return value && has_entry(call, name, index, value->n_d) ? value->d[index] : 0;
}

const char *
alchi_host_arg_string_at(alch_call_t *call, const char *name, size_t index)
{
    const Alchw__Value *value = find_typed_value(call, name, ALCH_TYPE_STRING, ALCH_TYPE_STRING, true);

    return value && has_entry(call, name, index, value->n_s) ? value->s[index] : "";
}
