/* Typed values. */
#include "wire/value.h"
#include "wire/kind.h"
#include "base/error.h"
#include "base/util.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const alchi_kind_info_t kinds[] = {
    [0] = {ALCHI_KIND_NONE, 0, 0, false},
    [ALCH_TYPE_BOOL] = {ALCHI_KIND_BOOL, 0, 1, false},
    [ALCH_TYPE_INT8] = {ALCHI_KIND_INT, INT8_MIN, INT8_MAX, false},
    [ALCH_TYPE_INT16] = {ALCHI_KIND_INT, INT16_MIN, INT16_MAX, false},
    [ALCH_TYPE_INT32] = {ALCHI_KIND_INT, INT32_MIN, INT32_MAX, false},
    [ALCH_TYPE_INT64] = {ALCHI_KIND_INT, INT64_MIN, INT64_MAX, false},
    [ALCH_TYPE_UINT8] = {ALCHI_KIND_UINT, 0, UINT8_MAX, false},
    [ALCH_TYPE_UINT16] = {ALCHI_KIND_UINT, 0, UINT16_MAX, false},
    [ALCH_TYPE_UINT32] = {ALCHI_KIND_UINT, 0, UINT32_MAX, false},
    [ALCH_TYPE_UINT64] = {ALCHI_KIND_UINT, 0, UINT64_MAX, false},
    [ALCH_TYPE_FLOAT32] = {ALCHI_KIND_REAL, 0, 0, true},
    [ALCH_TYPE_FLOAT64] = {ALCHI_KIND_REAL, 0, 0, false},
    [ALCH_TYPE_COMPLEX64] = {ALCHI_KIND_COMPLEX, 0, 0, true},
    [ALCH_TYPE_COMPLEX128] = {ALCHI_KIND_COMPLEX, 0, 0, false},
    [ALCH_TYPE_STRING] = {ALCHI_KIND_STRING, 0, 0, false},
    [ALCH_TYPE_MATRIX] = {ALCHI_KIND_MATRIX, 0, UINT64_MAX, false},
};

const alchi_kind_info_t *
alchi_kind(unsigned type)
{
    return &kinds[type < ALCHI_COUNT(kinds) ? type : 0];
}

char *
alchi_type_text(unsigned type, bool list, char text[32])
{
    const char *name = alch_type_name((alch_type_t)type);

    if (name)
        snprintf(text, 32, "%s%s", name, list ? "[]" : "");
    else
        snprintf(text, 32, "type %u%s", type, list ? "[]" : "");
    return text;
}

size_t
alchi_value_count(const Alchw__Value *value)
{
    switch (alchi_kind(value->type)->kind) {
    case ALCHI_KIND_BOOL:
    case ALCHI_KIND_INT:
        return value->n_i;
    case ALCHI_KIND_UINT:
    case ALCHI_KIND_MATRIX:
        return value->n_u;
    case ALCHI_KIND_REAL:
        return value->n_d;
    case ALCHI_KIND_COMPLEX:
        return value->n_d / 2;
    case ALCHI_KIND_STRING:
        return value->n_s;
    default:
        return 0;
    }
}

/* How many elements do not belong to an entry: they are in lists that the type does not use, or are half a complex
 * entry. */
static size_t
count_surplus(const Alchw__Value *value)
{
    size_t count = alchi_value_count(value), total = value->n_i + value->n_u + value->n_d + value->n_s;

    return total - (alchi_kind(value->type)->kind == ALCHI_KIND_COMPLEX ? 2 * count : count);
}

static bool
in_range(const Alchw__Value *value)
{
    const alchi_kind_info_t *info = alchi_kind(value->type);
    size_t k;

    for (k = 0; k < value->n_i; k++)
        if (value->i[k] < info->min || (value->i[k] > 0 && (uint64_t)value->i[k] > info->max))
            return false;
    for (k = 0; k < value->n_u; k++)
        if (value->u[k] > info->max)
            return false;
    return true;
}

int
alchi_value_check(const Alchw__Value *value, alch_error_t *err)
{
    char text[32];
    size_t count, k;

    if (alchi_kind(value->type)->kind == ALCHI_KIND_NONE)
        return alchi_error_set(err, ALCH_EPROTO, "a value has the unknown type %u", value->type);
    alchi_type_text(value->type, value->list, text);
    if (count_surplus(value))
        return alchi_error_set(err, ALCH_EPROTO, "a value of type %s has entries of another type", text);
    count = alchi_value_count(value);
    if (!value->list && count != 1)
        return alchi_error_set(err, ALCH_EPROTO, "a value of type %s has %zu entries", text, count);
    if (!in_range(value))
        return alchi_error_set(err, ALCH_EPROTO, "a value of type %s is outside the range of its type", text);
    for (k = 0; k < value->n_s; k++)
        if (!alchi_utf8_valid(value->s[k], strlen(value->s[k])))
            return alchi_error_set(err, ALCH_EPROTO, "a value of type %s is not valid UTF-8", text);
    return ALCH_OK;
}

Alchw__Value *
alchi_value_create(alch_type_t type, bool list)
{
    Alchw__Value *value = malloc(sizeof(*value));

    if (!value)
        return NULL;
    alchw__value__init(value);
    value->has_type = value->has_list = 1;
    value->type = (uint32_t)type;
    value->list = list;
    return value;
}

Alchw__Value *
alchi_value_copy(const Alchw__Value *value)
{
    return alchi_message_copy(value);
}

/* Make room for one more element. A message has no member for the capacity of an array, and an unpacked array has no
 * spare room, so ask the allocator for the capacity. NULL: out of memory. */
static void *
grow_array(void *array, size_t count, size_t size)
{
    size_t wanted = count < 4 ? 4 : 2 * count;

    if (array && malloc_usable_size(array) / size > count)
        return array;
    return count < SIZE_MAX / size / 2 ? realloc(array, wanted * size) : NULL;
}

int
alchi_value_add_i(Alchw__Value *value, int64_t x)
{
    int64_t *i = grow_array(value->i, value->n_i, sizeof(*i));

    if (!i)
        return ALCH_ENOMEM;
    value->i = i;
    i[value->n_i++] = x;
    return ALCH_OK;
}

int
alchi_value_add_u(Alchw__Value *value, uint64_t x)
{
    uint64_t *u = grow_array(value->u, value->n_u, sizeof(*u));

    if (!u)
        return ALCH_ENOMEM;
    value->u = u;
    u[value->n_u++] = x;
    return ALCH_OK;
}

int
alchi_value_add_d(Alchw__Value *value, double x)
{
    double *d = grow_array(value->d, value->n_d, sizeof(*d));

    if (!d)
        return ALCH_ENOMEM;
    value->d = d;
    d[value->n_d++] = x;
    return ALCH_OK;
}

int
alchi_value_add_s(Alchw__Value *value, const char *x)
{
    char *copy = strdup(x), **s;

    if (!copy)
        return ALCH_ENOMEM;
    s = grow_array(value->s, value->n_s, sizeof(*s));
    if (!s) {
        free(copy);
        return ALCH_ENOMEM;
    }
    value->s = s;
    s[value->n_s++] = copy;
    return ALCH_OK;
}

Alchw__NamedValue *
alchi_named_create(const char *name, Alchw__Value *value)
{
    Alchw__NamedValue *named = value ? malloc(sizeof(*named)) : NULL;

    if (!named) {
        alchi_message_free(value);
        return NULL;
    }
    alchw__named_value__init(named);
    named->value = value;
    named->name = strdup(name);
    if (!named->name) {
        alchi_message_free(named);
        return NULL;
    }
    return named;
}

void *
alchi_message_copy(const void *message)
{
    const ProtobufCMessage *source = message;
    size_t size = protobuf_c_message_get_packed_size(source);
    uint8_t *bytes = malloc(size ? size : 1);
    void *copy;

    if (!bytes)
        return NULL;
    protobuf_c_message_pack(source, bytes);
    copy = protobuf_c_message_unpack(source->descriptor, NULL, size, bytes);
    free(bytes);
    return copy;
}
