/* Looks into a file from one process: what the file holds, and whether a data set can be a matrix. */
#include "h5.h"

#include <stdio.h>
#include <string.h>

#define NAMES_SHOWN 12 /* of a file's data sets, in an error text */

int
hdf5_open_checked(const hdf5_file_t *file, bool for_writing, hid_t *id_p)
{
    hid_t id;

    if (hdf5_file_is_other_format(file))
        return file->call->host->fail(file->call, ALCH_EINVAL, "file '%s' is not an HDF5 file", file->path);
    if ((id = hdf5_open_id(file, for_writing ? H5F_ACC_RDWR : H5F_ACC_RDONLY)) < 0)
        return hdf5_fail(file->call, ALCH_ESYSTEM, "file '%s' cannot be opened", file->path);
    *id_p = id;
    return ALCH_OK;
}

typedef struct {
    char *text;
    size_t size, length;
    int count;
} names_t;

static herr_t
add_name(hid_t file, const char *name, const H5O_info_t *info, void *context)
{
    names_t *names = context;

    (void)file;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    if (names->count++ < NAMES_SHOWN && names->length < names->size)
        names->length += (size_t)snprintf(names->text + names->length, names->size - names->length, "%s%s",
                                          names->length ? ", " : "", name);
    return 0;
}

char *
hdf5_dataset_names(hid_t file, char *text, size_t size)
{
    names_t names = {text, size, 0, 0};

    snprintf(text, size, "no data sets");
    H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, add_name, &names, H5O_INFO_BASIC);
    if (names.count > NAMES_SHOWN && names.length < size)
        snprintf(text + names.length, size - names.length, " and %d more", names.count - NAMES_SHOWN);
    return text;
}

int
hdf5_check_name(alch_call_t *call, const char *name)
{
    size_t length = strlen(name);

    if (length >= HDF5_NAME_MAX)
        return call->host->fail(call, ALCH_EINVAL, "the name of data set '%.40s...' has %zu bytes, the limit is %d",
                                name, length, HDF5_NAME_MAX - 1);
    if (!name[strspn(name, "/")])
        return call->host->fail(call, ALCH_EINVAL, "'%s' is not the name of a data set", name);
    for (const char *part = name; *part; part += strspn(part, "/")) {
        length = strcspn(part, "/");
        if ((length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
            return call->host->fail(call, ALCH_EINVAL,
                                    "'%s' is not the name of a data set: '.' and '..' are not names of groups", name);
        part += length;
    }
    return ALCH_OK;
}

static hdf5_object_t
object_kind(hid_t file, const char *name)
{
    H5O_info_t info;

    /* This is false for a link that leads to a missing object, to itself, or out of the file. */
    if (H5Oexists_by_name(file, name, H5P_DEFAULT) <= 0)
        return HDF5_DANGLING;
    if (H5Oget_info_by_name2(file, name, &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
        return HDF5_LOOKUP_FAILED;
    return info.type == H5O_TYPE_DATASET ? HDF5_DATASET : info.type == H5O_TYPE_GROUP ? HDF5_GROUP : HDF5_NAMED_TYPE;
}

hdf5_object_t
hdf5_find_object(hid_t file, const char *name, char blocked[HDF5_NAME_MAX])
{
    hdf5_object_t found = HDF5_GROUP;
    size_t end = 0, length = strlen(name);

    /* H5Lexists() fails if a group on the way is missing, so each part of the name is looked up by itself. */
    for (; end < length; end += strspn(name + end, "/")) {
        htri_t there;

        if (found != HDF5_GROUP)
            return HDF5_BLOCKED;
        end += strspn(name + end, "/");
        end += strcspn(name + end, "/");
        snprintf(blocked, HDF5_NAME_MAX, "%.*s", (int)end, name);
        if ((there = H5Lexists(file, blocked, H5P_DEFAULT)) <= 0)
            return there < 0 ? HDF5_LOOKUP_FAILED : HDF5_MISSING;
        found = object_kind(file, blocked);
    }
    return found;
}

int
hdf5_read_shape(hid_t space, hsize_t dims[H5S_MAX_RANK], char shape[HDF5_SHAPE_MAX])
{
    int rank = H5Sget_simple_extent_type(space) == H5S_SIMPLE ? H5Sget_simple_extent_dims(space, dims, NULL) : 0;
    size_t length = 0;

    shape[0] = '\0';
    for (int k = 0; k < rank; k++)
        length += (size_t)snprintf(shape + length, HDF5_SHAPE_MAX - length, "%s%llu", k ? "," : "",
                                   (unsigned long long)dims[k]);
    return rank < 0 ? 0 : rank;
}

/* The name of the matrix that save() wrote: an attribute of variable length. */
static void
read_name_attribute(hid_t dataset, char *label, size_t size)
{
    hid_t attribute, type, memory;
    char *text = NULL;

    if (H5Aexists(dataset, "alchemist_name") <= 0)
        return;
    attribute = H5Aopen(dataset, "alchemist_name", H5P_DEFAULT);
    type = H5Aget_type(attribute);
    if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0) {
        memory = H5Tcopy(H5T_C_S1);
        H5Tset_size(memory, H5T_VARIABLE);
        H5Tset_cset(memory, H5Tget_cset(type));
        if (H5Aread(attribute, memory, &text) >= 0 && text)
            snprintf(label, size, "%s", text);
        H5free_memory(text);
        H5Tclose(memory);
    }
    H5Tclose(type);
    H5Aclose(attribute);
}

static int
read_storage(alch_call_t *call, hid_t dataset, const char *path, const char *name, hdf5_dataset_info_t *info)
{
    hid_t properties = H5Dget_create_plist(dataset);
    H5D_layout_t layout = H5Pget_layout(properties);
    bool elsewhere = layout == H5D_VIRTUAL || H5Pget_external_count(properties) > 0;
    hsize_t chunk[H5S_MAX_RANK] = {1, 1};

    if (layout == H5D_CHUNKED)
        H5Pget_chunk(properties, H5S_MAX_RANK, chunk);
    H5Pclose(properties);
    info->chunk_m = (int64_t)chunk[0];
    info->chunk_n = (int64_t)chunk[1];
    return elsewhere ? call->host->fail(call, ALCH_EPERM,
                                        "the entries of data set '%s' of file '%s' are in other files, which are not "
                                        "read",
                                        name, path)
                     : ALCH_OK;
}

static int
read_shape(alch_call_t *call, hid_t dataset, const char *path, const char *name, hdf5_dataset_info_t *info)
{
    hid_t space = H5Dget_space(dataset);
    hsize_t dims[H5S_MAX_RANK] = {0};
    char shape[HDF5_SHAPE_MAX];
    int rank = hdf5_read_shape(space, dims, shape);

    H5Sclose(space);
    if (rank != 1 && rank != 2)
        return call->host->fail(call, ALCH_EINVAL,
                                "data set '%s' of file '%s' has shape (%s), %d dimensions: only 1 and 2 can be read",
                                name, path, shape, rank);
    info->m = (int64_t)dims[0];
    info->n = rank == 2 ? (int64_t)dims[1] : 1;
    if (info->m < 0 || info->n < 0)
        return call->host->fail(call, ALCH_ELIMIT,
                                "data set '%s' of file '%s' has shape (%s): the limit of each dimension is 2^63 - 1",
                                name, path, shape);
    return ALCH_OK;
}

static int
read_info(alch_call_t *call, hid_t dataset, const char *path, const char *name, hdf5_dataset_info_t *info)
{
    hid_t type = H5Dget_type(dataset);
    int code;

    hdf5_type_describe(type, &info->type);
    H5Tclose(type);
    if (info->type.kind == HDF5_OTHER)
        return call->host->fail(call, ALCH_ETYPE,
                                "data set '%s' of file '%s' has entries of type %s, which are not numbers", name, path,
                                info->type.name);
    if ((code = read_shape(call, dataset, path, name, info)) || (code = read_storage(call, dataset, path, name, info)))
        return code;
    read_name_attribute(dataset, info->label, sizeof(info->label));
    return ALCH_OK;
}

int
hdf5_inspect(alch_call_t *call, hid_t file, const char *path, const char *name, hdf5_dataset_info_t *info)
{
    char listed[ALCH_ERROR_TEXT_MAX / 2], blocked[HDF5_NAME_MAX];
    hdf5_object_t found = hdf5_find_object(file, name, blocked);
    hid_t dataset;
    int code;

    memset(info, 0, sizeof(*info));
    if (found == HDF5_LOOKUP_FAILED)
        return hdf5_fail(call, ALCH_EINVAL, "'%s' of file '%s' cannot be opened", name, path);
    if (found == HDF5_GROUP || found == HDF5_NAMED_TYPE)
        return call->host->fail(call, ALCH_EINVAL, "'%s' of file '%s' is not a data set; the file holds %s", name, path,
                                hdf5_dataset_names(file, listed, sizeof(listed)));
    if (found != HDF5_DATASET)
        return call->host->fail(call, ALCH_ENOENT, "file '%s' has no data set '%s'%s; it holds %s", path, name,
                                found == HDF5_DANGLING ? ", only a link of this name that cannot be followed" : "",
                                hdf5_dataset_names(file, listed, sizeof(listed)));
    if ((dataset = H5Dopen2(file, name, H5P_DEFAULT)) < 0)
        return hdf5_fail(call, ALCH_EINVAL, "data set '%s' of file '%s' cannot be opened", name, path);
    code = read_info(call, dataset, path, name, info);
    H5Dclose(dataset);
    return code;
}
