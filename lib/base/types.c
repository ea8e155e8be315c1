/* Types of entries and of values: names, sizes and which conversions are allowed. */
#include "base/types.h"
#include "base/error.h"
#include "base/util.h"

#include <alchemist/library.h>
#include <alchemist/types.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [ALCH_FLOAT64] = {"float64", 8},     [ALCH_FLOAT32] = {"float32", 4}, [ALCH_COMPLEX128] = {"complex128", 16},
    [ALCH_COMPLEX64] = {"complex64", 8}, [ALCH_INT64] = {"int64", 8},     [ALCH_INT32] = {"int32", 4},
};

static const char *const types[] = {
    [ALCH_TYPE_BOOL] = "bool",
    [ALCH_TYPE_INT8] = "int8",
    [ALCH_TYPE_INT16] = "int16",
    [ALCH_TYPE_INT32] = "int32",
    [ALCH_TYPE_INT64] = "int64",
    [ALCH_TYPE_UINT8] = "uint8",
    [ALCH_TYPE_UINT16] = "uint16",
    [ALCH_TYPE_UINT32] = "uint32",
    [ALCH_TYPE_UINT64] = "uint64",
    [ALCH_TYPE_FLOAT32] = "float32",
    [ALCH_TYPE_FLOAT64] = "float64",
    [ALCH_TYPE_COMPLEX64] = "complex64",
    [ALCH_TYPE_COMPLEX128] = "complex128",
    [ALCH_TYPE_STRING] = "string",
    [ALCH_TYPE_MATRIX] = "matrix",
};

size_t
alch_dtype_size(alch_dtype_t dtype)
{
    return (unsigned)dtype < ALCHI_COUNT(dtypes) ? dtypes[(unsigned)dtype].size : 0;
}

const char *
alch_dtype_name(alch_dtype_t dtype)
{
    return (unsigned)dtype < ALCHI_COUNT(dtypes) ? dtypes[(unsigned)dtype].name : NULL;
}

static bool
is_complex(alch_dtype_t dtype)
{
    return dtype == ALCH_COMPLEX128 || dtype == ALCH_COMPLEX64;
}

static bool
is_integer(alch_dtype_t dtype)
{
    return dtype == ALCH_INT64 || dtype == ALCH_INT32;
}

int
alchi_dtype_check_conversion(alch_dtype_t from, alch_dtype_t to, bool unsafe, alch_error_t *err)
{
    if (!alch_dtype_size(from) || !alch_dtype_size(to))
        return alchi_error_set(err, ALCH_EINVAL, "%d is not an entry type", (int)(alch_dtype_size(from) ? to : from));
    if (is_complex(from) && !is_complex(to))
        return alchi_error_set(err, ALCH_ETYPE,
                               "%s cannot be converted to %s, because the imaginary parts would be lost",
                               alch_dtype_name(from), alch_dtype_name(to));
    if (!is_integer(from) && is_integer(to) && !unsafe)
        return alchi_error_set(err, ALCH_ETYPE,
                               "%s cannot be converted to %s without the flag unsafe, because fractions would be lost",
                               alch_dtype_name(from), alch_dtype_name(to));
    return ALCH_OK;
}

const char *
alch_type_name(alch_type_t type)
{
    return (unsigned)type < ALCHI_COUNT(types) ? types[(unsigned)type] : NULL;
}

const char *
alch_version(void)
{
    return ALCH_VERSION;
}
