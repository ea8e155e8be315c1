/* Sets of named, typed values. */
#include "client/client.h"
#include "base/util.h"
#include "wire/value.h"

#include <stdlib.h>
#include <string.h>

struct alch_values {
    Alchw__NamedValue **items; /* in the order in which they were set */
    size_t count, capacity;
};

alch_values_t *
alch_values_create(void)
{
    return calloc(1, sizeof(alch_values_t));
}

void
alch_values_destroy(alch_values_t *values)
{
    if (!values)
        return;
    for (size_t k = 0; k < values->count; k++)
        alchi_message_free(values->items[k]);
    free(values->items);
    free(values);
}

alch_values_t *
alchi_cli_values_adopt(Alchw__NamedValue **items, size_t count)
{
    alch_values_t *values = alch_values_create();

    if (values) {
        values->items = items;
        values->count = values->capacity = count;
        return values;
    }
    for (size_t k = 0; k < count; k++)
        alchi_message_free(items[k]);
    free(items);
    return NULL;
}

Alchw__NamedValue **
alchi_cli_values_items(const alch_values_t *values)
{
    return values ? values->items : NULL;
}

/* ---- setting ---- */

/* Add an item to the set, and replace one of the same name. The set owns the item, which is freed on failure. */
static int
put_item(alch_values_t *values, Alchw__NamedValue *item)
{
    for (size_t k = 0; k < values->count; k++) {
        if (strcmp(values->items[k]->name, item->name) == 0) {
            alchi_message_free(values->items[k]);
            values->items[k] = item;
            return ALCH_OK;
        }
    }
    if (values->count == values->capacity) {
        size_t capacity = values->capacity ? 2 * values->capacity : 8;
        Alchw__NamedValue **items = realloc(values->items, capacity * sizeof(*items));
        if (!items) {
            alchi_message_free(item);
            return ALCH_ENOMEM;
        }
        values->items = items;
        values->capacity = capacity;
    }
    values->items[values->count++] = item;
    return ALCH_OK;
}

static bool
is_valid_name(const char *name)
{
    return name && name[0] && alchi_utf8_valid(name, strlen(name));
}

/* Store `count` entries x in the list that the value's type uses. @return ALCH_OK, ALCH_ENOMEM, ALCH_EINVAL */
typedef int fill_f(Alchw__Value *value, const void *x, size_t count);

static int
set_value(alch_values_t *values, const char *name, alch_type_t type, bool list, fill_f *fill, const void *x,
          size_t count)
{
    Alchw__NamedValue *item;
    Alchw__Value *value;
    int code;

    if (!values || !is_valid_name(name) || (!x && count))
        return ALCH_EINVAL;
    if (!(value = alchi_value_create(type, list)))
        return ALCH_ENOMEM;
    code = count ? fill(value, x, count) : ALCH_OK;
    if (code != ALCH_OK) {
        alchi_message_free(value);
        return code;
    }
    if (!(item = alchi_named_create(name, value)))
        return ALCH_ENOMEM;
    return put_item(values, item);
}

static void *
duplicate(const void *x, size_t count, size_t size)
{
    void *copy = count <= SIZE_MAX / size ? malloc(count * size) : NULL;

    return copy ? memcpy(copy, x, count * size) : NULL;
}

static int
fill_bools(Alchw__Value *value, const void *x, size_t count)
{
    if (count > SIZE_MAX / sizeof(*value->i) || !(value->i = malloc(count * sizeof(*value->i))))
        return ALCH_ENOMEM;
    for (size_t k = 0; k < count; k++)
        value->i[k] = ((const bool *)x)[k];
    value->n_i = count;
    return ALCH_OK;
}

static int
fill_ints(Alchw__Value *value, const void *x, size_t count)
{
    value->i = duplicate(x, count, sizeof(*value->i));
    value->n_i = value->i ? count : 0;
    return value->i ? ALCH_OK : ALCH_ENOMEM;
}

static int
fill_uints(Alchw__Value *value, const void *x, size_t count)
{
    value->u = duplicate(x, count, sizeof(*value->u));
    value->n_u = value->u ? count : 0;
    return value->u ? ALCH_OK : ALCH_ENOMEM;
}

static int
fill_reals(Alchw__Value *value, const void *x, size_t count)
{
    value->d = duplicate(x, count, sizeof(*value->d));
    value->n_d = value->d ? count : 0;
    return value->d ? ALCH_OK : ALCH_ENOMEM;
}

static int
fill_complexes(Alchw__Value *value, const void *x, size_t count)
{
    return count > SIZE_MAX / 2 ? ALCH_ENOMEM : fill_reals(value, x, 2 * count);
}

static int
fill_strings(Alchw__Value *value, const void *x, size_t count)
{
    const char *const *strings = x;
    int code = ALCH_OK;

    for (size_t k = 0; k < count && code == ALCH_OK; k++) {
        if (!strings[k] || !alchi_utf8_valid(strings[k], strlen(strings[k])))
            return ALCH_EINVAL;
        code = alchi_value_add_s(value, strings[k]);
    }
    return code;
}

int
alch_values_set_bool(alch_values_t *values, const char *name, bool x)
{
    return set_value(values, name, ALCH_TYPE_BOOL, false, fill_bools, &x, 1);
}

int
alch_values_set_int(alch_values_t *values, const char *name, int64_t x)
{
    return set_value(values, name, ALCH_TYPE_INT64, false, fill_ints, &x, 1);
}

int
alch_values_set_uint(alch_values_t *values, const char *name, uint64_t x)
{
    return set_value(values, name, ALCH_TYPE_UINT64, false, fill_uints, &x, 1);
}

int
alch_values_set_real(alch_values_t *values, const char *name, double x)
{
    return set_value(values, name, ALCH_TYPE_FLOAT64, false, fill_reals, &x, 1);
}

int
alch_values_set_complex(alch_values_t *values, const char *name, double re, double im)
{
    const double x[2] = {re, im};

    return set_value(values, name, ALCH_TYPE_COMPLEX128, false, fill_complexes, x, 1);
}

int
alch_values_set_string(alch_values_t *values, const char *name, const char *x)
{
    return set_value(values, name, ALCH_TYPE_STRING, false, fill_strings, &x, 1);
}

int
alch_values_set_matrix(alch_values_t *values, const char *name, uint64_t id)
{
    return set_value(values, name, ALCH_TYPE_MATRIX, false, fill_uints, &id, 1);
}

int
alch_values_set_bools(alch_values_t *values, const char *name, const bool *x, size_t count)
{
    return set_value(values, name, ALCH_TYPE_BOOL, true, fill_bools, x, count);
}

int
alch_values_set_ints(alch_values_t *values, const char *name, const int64_t *x, size_t count)
{
    return set_value(values, name, ALCH_TYPE_INT64, true, fill_ints, x, count);
}

int
alch_values_set_uints(alch_values_t *values, const char *name, const uint64_t *x, size_t count)
{
    return set_value(values, name, ALCH_TYPE_UINT64, true, fill_uints, x, count);
}

int
alch_values_set_reals(alch_values_t *values, const char *name, const double *x, size_t count)
{
    return set_value(values, name, ALCH_TYPE_FLOAT64, true, fill_reals, x, count);
}

int
alch_values_set_complexes(alch_values_t *values, const char *name, const double *x, size_t count)
{
    return set_value(values, name, ALCH_TYPE_COMPLEX128, true, fill_complexes, x, count);
}

int
alch_values_set_strings(alch_values_t *values, const char *name, const char *const *x, size_t count)
{
    return set_value(values, name, ALCH_TYPE_STRING, true, fill_strings, x, count);
}

int
alch_values_set_matrices(alch_values_t *values, const char *name, const uint64_t *ids, size_t count)
{
    return set_value(values, name, ALCH_TYPE_MATRIX, true, fill_uints, ids, count);
}

/* ---- getting ---- */

static const Alchw__Value *
find_value(const alch_values_t *values, const char *name)
{
    for (size_t k = 0; values && name && k < values->count; k++) {
        if (strcmp(values->items[k]->name, name) == 0)
            return values->items[k]->value;
    }
    return NULL;
}

size_t
alch_values_count(const alch_values_t *values)
{
    return values ? values->count : 0;
}

const char *
alch_values_name(const alch_values_t *values, size_t index)
{
    return values && index < values->count ? values->items[index]->name : NULL;
}

int
alch_values_describe(const alch_values_t *values, const char *name, alch_type_t *type_p, bool *list_p, size_t *count_p)
{
    const Alchw__Value *value = find_value(values, name);

    if (!value)
        return ALCH_ENOENT;
    if (type_p)
        *type_p = (alch_type_t)value->type;
    if (list_p)
        *list_p = value->list;
    if (count_p)
        *count_p = alchi_value_count(value);
    return ALCH_OK;
}

/* Find a value with a type within first..last and an entry `index`.
 * @return ALCH_OK; ALCH_EINVAL: x_p is NULL; ALCH_ENOENT: no such value or entry; ALCH_ETYPE */
static int
find_entry(const alch_values_t *values, const char *name, size_t index, alch_type_t first, alch_type_t last,
           const void *x_p, const Alchw__Value **value_p)
{
    const Alchw__Value *value = find_value(values, name);

    if (!x_p)
        return ALCH_EINVAL;
    if (!value)
        return ALCH_ENOENT;
    if (value->type < first || value->type > last)
        return ALCH_ETYPE;
    *value_p = value;
    return index < alchi_value_count(value) ? ALCH_OK : ALCH_ENOENT;
}

int
alch_values_get_bool(const alch_values_t *values, const char *name, size_t index, bool *x_p)
{
    const Alchw__Value *value;
    int code = find_entry(values, name, index, ALCH_TYPE_BOOL, ALCH_TYPE_BOOL, x_p, &value);

    if (code == ALCH_OK)
        *x_p = value->i[index] != 0;
    return code;
}

int
alch_values_get_int(const alch_values_t *values, const char *name, size_t index, int64_t *x_p)
{
    const Alchw__Value *value;
    int code = find_entry(values, name, index, ALCH_TYPE_INT8, ALCH_TYPE_INT64, x_p, &value);

    if (code == ALCH_OK)
        *x_p = value->i[index];
    return code;
}

int
alch_values_get_uint(const alch_values_t *values, const char *name, size_t index, uint64_t *x_p)
{
    const Alchw__Value *value;
    int code = find_entry(values, name, index, ALCH_TYPE_UINT8, ALCH_TYPE_UINT64, x_p, &value);

    if (code == ALCH_OK)
        *x_p = value->u[index];
    return code;
}

int
alch_values_get_real(const alch_values_t *values, const char *name, size_t index, double *x_p)
{
    const Alchw__Value *value;
    int code = find_entry(values, name, index, ALCH_TYPE_FLOAT32, ALCH_TYPE_FLOAT64, x_p, &value);

    if (code == ALCH_OK)
        *x_p = value->d[index];
    return code;
}

int
alch_values_get_complex(const alch_values_t *values, const char *name, size_t index, double *re_p, double *im_p)
{
    const Alchw__Value *value;
    int code = find_entry(values, name, index, ALCH_TYPE_COMPLEX64, ALCH_TYPE_COMPLEX128, im_p ? re_p : NULL, &value);

    if (code == ALCH_OK) {
        *re_p = value->d[2 * index];
        *im_p = value->d[2 * index + 1];
    }
    return code;
}

int
alch_values_get_string(const alch_values_t *values, const char *name, size_t index, const char **x_p)
{
    const Alchw__Value *value;
    int code = find_entry(values, name, index, ALCH_TYPE_STRING, ALCH_TYPE_STRING, x_p, &value);

    if (code == ALCH_OK)
        *x_p = value->s[index];
    return code;
}

int
alch_values_get_matrix(const alch_values_t *values, const char *name, size_t index, uint64_t *id_p)
{
    const Alchw__Value *value;
    int code = find_entry(values, name, index, ALCH_TYPE_MATRIX, ALCH_TYPE_MATRIX, id_p, &value);

    if (code == ALCH_OK)
        *id_p = value->u[index];
    return code;
}
