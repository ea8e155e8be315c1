/* Types of entries: what a data set holds, and which type of a matrix can hold it. */
#include "h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    alch_dtype_t dtype;
    const char *name;
    size_t size;
    bool complex_;
} dtypes[] = {
    {ALCH_FLOAT64, "float64", 8, false},       {ALCH_FLOAT32, "float32", 4, false},
    {ALCH_COMPLEX128, "complex128", 16, true}, {ALCH_COMPLEX64, "complex64", 8, true},
    {ALCH_INT64, "int64", 8, false},           {ALCH_INT32, "int32", 4, false},
};

#define DTYPE_COUNT (int)(sizeof(dtypes) / sizeof(*dtypes))

static int
dtype_index(alch_dtype_t dtype)
{
    int k = 0;

    while (k < DTYPE_COUNT - 1 && dtypes[k].dtype != dtype)
        k++;
    return k;
}

int
hdf5_dtype_parse(const char *name)
{
    for (int k = 0; k < DTYPE_COUNT; k++)
        if (strcmp(dtypes[k].name, name) == 0)
            return (int)dtypes[k].dtype;
    return -1;
}

const char *
hdf5_dtype_name(alch_dtype_t dtype)
{
    return dtypes[dtype_index(dtype)].name;
}

bool
hdf5_dtype_complex(alch_dtype_t dtype)
{
    return dtypes[dtype_index(dtype)].complex_;
}

size_t
hdf5_dtype_size(alch_dtype_t dtype)
{
    return dtypes[dtype_index(dtype)].size;
}

static void
set_type(hdf5_type_t *found, hdf5_kind_t kind, alch_dtype_t dtype, bool exact)
{
    found->kind = kind;
    found->dtype = dtype;
    found->exact = exact;
}

static void
describe_integer(hid_t type, hdf5_type_t *found)
{
    size_t size = H5Tget_size(type);
    bool has_sign = H5Tget_sign(type) != H5T_SGN_NONE;

    snprintf(found->name, sizeof(found->name), "%sint%zu", has_sign ? "" : "u", 8 * size);
    set_type(found, HDF5_INTEGER, size < 4 || (has_sign && size == 4) ? ALCH_INT32 : ALCH_INT64, has_sign || size < 8);
}

static void
describe_real(hid_t type, hdf5_type_t *found)
{
    size_t size = H5Tget_size(type);

    snprintf(found->name, sizeof(found->name), "float%zu", 8 * size);
    set_type(found, HDF5_REAL, size <= 4 ? ALCH_FLOAT32 : ALCH_FLOAT64, size <= 8);
}

/* h5py stores truth values as an enumeration of FALSE and TRUE. Other enumerations are not numbers. */
static void
describe_enum(hid_t type, hdf5_type_t *found)
{
    char *first = H5Tget_nmembers(type) == 2 ? H5Tget_member_name(type, 0) : NULL;

    snprintf(found->name, sizeof(found->name), "enumeration");
    if (first && strcmp(first, "FALSE") == 0) {
        snprintf(found->name, sizeof(found->name), "bool");
        set_type(found, HDF5_INTEGER, ALCH_INT32, true);
    }
    H5free_memory(first);
}

static void
copy_member_name(hid_t type, unsigned index, char name[32])
{
    char *member = H5Tget_member_name(type, index);

    snprintf(name, 32, "%s", member ? member : "");
    H5free_memory(member);
}

/* A complex number is a compound of two floating-point members. h5py names them {r, i}, other programs {real, imag}, so
 * the names must begin with r and i, in either case; `| 32` makes a letter lower-case. */
static void
describe_compound(hid_t type, hdf5_type_t *found)
{
    hid_t member;
    size_t size;

    snprintf(found->name, sizeof(found->name), "compound");
    if (H5Tget_nmembers(type) != 2 || H5Tget_member_class(type, 0) != H5T_FLOAT ||
        H5Tget_member_class(type, 1) != H5T_FLOAT)
        return;
    copy_member_name(type, 0, found->re);
    copy_member_name(type, 1, found->im);
    if ((found->re[0] | 32) != 'r' || (found->im[0] | 32) != 'i')
        return;
    member = H5Tget_member_type(type, 0);
    size = H5Tget_size(member);
    H5Tclose(member);
    snprintf(found->name, sizeof(found->name), "complex%zu", 16 * size);
    set_type(found, HDF5_COMPLEX, size <= 4 ? ALCH_COMPLEX64 : ALCH_COMPLEX128, size <= 8);
}

void
hdf5_type_describe(hid_t type, hdf5_type_t *found)
{
    static const char *const others[] = {
        [H5T_TIME] = "time",           [H5T_STRING] = "string", [H5T_BITFIELD] = "bits", [H5T_OPAQUE] = "opaque",
        [H5T_REFERENCE] = "reference", [H5T_VLEN] = "list",     [H5T_ARRAY] = "array"};
    H5T_class_t class = H5Tget_class(type);

    memset(found, 0, sizeof(*found));
    switch (class) {
    case H5T_INTEGER:
        describe_integer(type, found);
        break;
    case H5T_FLOAT:
        describe_real(type, found);
        break;
    case H5T_ENUM:
        describe_enum(type, found);
        break;
    case H5T_COMPOUND:
        describe_compound(type, found);
        break;
    default:
        snprintf(found->name, sizeof(found->name), "%s", class >= H5T_TIME && class <= H5T_ARRAY ? others[class] : "?");
    }
}

static hid_t
create_complex_type(hid_t part, const char *re, const char *im)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, 2 * H5Tget_size(part));

    H5Tinsert(type, re, 0, part);
    H5Tinsert(type, im, H5Tget_size(part), part);
    return type;
}

hid_t
hdf5_type_create_memory(alch_dtype_t dtype, const char *re, const char *im)
{
    switch (dtype) {
    case ALCH_FLOAT32:
        return H5Tcopy(H5T_NATIVE_FLOAT);
    case ALCH_COMPLEX64:
        return create_complex_type(H5T_NATIVE_FLOAT, re, im);
    case ALCH_COMPLEX128:
        return create_complex_type(H5T_NATIVE_DOUBLE, re, im);
    case ALCH_INT32:
        return H5Tcopy(H5T_NATIVE_INT32);
    case ALCH_INT64:
        return H5Tcopy(H5T_NATIVE_INT64);
    default:
        return H5Tcopy(H5T_NATIVE_DOUBLE);
    }
}
