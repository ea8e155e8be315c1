/* The operations list and delete: only rank 0 works on the file, and broadcasts what it finds. */
#include "h5.h"
#include "string_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTRIBUTE_BYTES_MAX 65536 /* of a longer attribute only the type is shown */

typedef struct {
    hdf5_strings_t names, types, shapes, attributes;
    hdf5_strings_t json; /* the attributes of the current data set, a text that is built */
} list_t;

static void
add_shape(list_t *list, hid_t dataset)
{
    hid_t space = H5Dget_space(dataset);
    hsize_t dims[H5S_MAX_RANK];
    char text[HDF5_SHAPE_MAX];

    hdf5_read_shape(space, dims, text);
    hdf5_strings_add(&list->shapes, text);
    H5Sclose(space);
}

/* Numbers of all types become double: JSON has no other type. */
static bool
add_numbers(hdf5_strings_t *json, hid_t attribute, hssize_t count, bool scalar)
{
    double *x = malloc((size_t)count * sizeof(*x) + 1);
    bool good = x && H5Aread(attribute, H5T_NATIVE_DOUBLE, x) >= 0;

    if (good && !scalar)
        hdf5_strings_append(json, "[");
    for (hssize_t k = 0; good && k < count; k++)
        hdf5_json_number(json, x[k], k > 0);
    if (good && !scalar)
        hdf5_strings_append(json, "]");
    free(x);
    return good;
}

static bool
add_string(hdf5_strings_t *json, hid_t attribute, hid_t type)
{
    size_t size = H5Tis_variable_str(type) > 0 ? H5T_VARIABLE : H5Tget_size(type) + 1;
    hid_t memory = H5Tcopy(H5T_C_S1);
    char *text = NULL, *fixed = size == H5T_VARIABLE ? NULL : calloc(1, size);
    bool good;

    H5Tset_size(memory, size);
    H5Tset_cset(memory, H5Tget_cset(type));
    good = size == H5T_VARIABLE ? H5Aread(attribute, memory, &text) >= 0 && text
                                : fixed && H5Aread(attribute, memory, fixed) >= 0;
    if (good)
        hdf5_json_string(json, text ? text : fixed);
    H5free_memory(text);
    free(fixed);
    H5Tclose(memory);
    return good;
}

static herr_t
add_attribute(hid_t dataset, const char *name, const H5A_info_t *info, void *context)
{
    list_t *list = context;
    hid_t attribute = H5Aopen(dataset, name, H5P_DEFAULT), type = H5Aget_type(attribute),
          space = H5Aget_space(attribute);
    bool scalar = H5Sget_simple_extent_type(space) == H5S_SCALAR, shown = false;
    hssize_t count = H5Sget_simple_extent_npoints(space);
    hdf5_type_t found;

    (void)info;
    hdf5_type_describe(type, &found);
    hdf5_strings_append(&list->json, list->json.size > 1 ? ", " : "");
    hdf5_json_string(&list->json, name);
    hdf5_strings_append(&list->json, ": ");
    if (H5Aget_storage_size(attribute) <= ATTRIBUTE_BYTES_MAX) {
        if (found.kind == HDF5_INTEGER || found.kind == HDF5_REAL)
            shown = add_numbers(&list->json, attribute, count, scalar);
        else if (H5Tget_class(type) == H5T_STRING && scalar)
            shown = add_string(&list->json, attribute, type);
    }
    if (!shown)
        hdf5_json_string(&list->json, found.name);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return 0;
}

static herr_t
add_dataset(hid_t file, const char *name, const H5O_info_t *info, void *context)
{
    list_t *list = context;
    hid_t dataset, type;
    hdf5_type_t found;

    if (info->type != H5O_TYPE_DATASET || (dataset = H5Dopen2(file, name, H5P_DEFAULT)) < 0)
        return 0;
    type = H5Dget_type(dataset);
    hdf5_type_describe(type, &found);
    H5Tclose(type);
    hdf5_strings_add(&list->names, name);
    hdf5_strings_add(&list->types, found.name);
    add_shape(list, dataset);
    list->json.size = 0;
    hdf5_strings_append(&list->json, "{");
    H5Aiterate2(dataset, H5_INDEX_NAME, H5_ITER_INC, NULL, add_attribute, list);
    hdf5_strings_append(&list->json, "}");
    hdf5_strings_add(&list->attributes, hdf5_strings_terminate(&list->json));
    H5Dclose(dataset);
    return 0;
}

static int
list_datasets(list_t *list, hdf5_file_t *file)
{
    hid_t id;
    int code = hdf5_open_checked(file, false, &id);

    if (code)
        return code;
    if (H5Ovisit2(id, H5_INDEX_NAME, H5_ITER_INC, add_dataset, list, H5O_INFO_BASIC) < 0)
        code = hdf5_fail(file->call, ALCH_ESYSTEM, "file '%s' cannot be listed", file->path);
    H5Fclose(id);
    return code;
}

static int
return_lists(alch_call_t *call, list_t *list)
{
    struct {
        const char *name;
        hdf5_strings_t *strings;
    } results[] = {{"names", &list->names},
                   {"dtypes", &list->types},
                   {"shapes", &list->shapes},
                   {"attributes", &list->attributes}};
    int code = ALCH_OK;

    for (int k = 0; k < 4 && !code; k++) {
        const char **lines = NULL;

        code = hdf5_strings_broadcast(results[k].strings, call);
        if (!code && !(lines = hdf5_strings_pointers(results[k].strings)))
            code = call->host->fail(call, ALCH_ENOMEM, "the list of data sets cannot be allocated");
        if (!(code = call->host->agree(call, code, NULL)))
            code = call->host->ret_strings(call, results[k].name, lines, results[k].strings->count);
    }
    return code;
}

int
hdf5_list(alch_call_t *call)
{
    list_t list = {0};
    hdf5_file_t file;
    int code;

    hdf5_file_init(&file, call, call->host->arg_string(call, "file"));
    code = hdf5_file_open_for_reading(&file);
    if (!code && call->rank == 0)
        code = list_datasets(&list, &file);
    if (!(code = call->host->agree(call, code, NULL)))
        code = return_lists(call, &list);
    hdf5_file_close(&file);
    hdf5_strings_free(&list.names);
    hdf5_strings_free(&list.types);
    hdf5_strings_free(&list.shapes);
    hdf5_strings_free(&list.attributes);
    hdf5_strings_free(&list.json);
    return code;
}

static int
delete_object(hdf5_file_t *file, const char *name)
{
    alch_call_t *call = file->call;
    char listed[ALCH_ERROR_TEXT_MAX / 2], blocked[HDF5_NAME_MAX];
    hdf5_object_t found;
    hid_t id;
    int code = hdf5_open_checked(file, true, &id);

    if (code)
        return code;
    found = hdf5_find_object(id, name, blocked);
    if (found == HDF5_MISSING || found == HDF5_BLOCKED)
        code = call->host->fail(call, ALCH_ENOENT, "file '%s' has no data set '%s'; it holds %s", file->path, name,
                                hdf5_dataset_names(id, listed, sizeof(listed)));
    else if (H5Ldelete(id, name, H5P_DEFAULT) < 0)
        code = hdf5_fail(call, ALCH_ESYSTEM, "'%s' of file '%s' cannot be deleted", name, file->path);
    if (H5Fclose(id) < 0 && !code)
        code = hdf5_fail(call, ALCH_ESYSTEM, "file '%s' was not written completely", file->path);
    return code;
}

int
hdf5_delete(alch_call_t *call)
{
    const char *dataset = call->host->arg_string(call, "dataset");
    hdf5_file_t file;
    bool exists = false;
    int code = hdf5_check_name(call, dataset);

    if (code)
        return code;
    hdf5_file_init(&file, call, call->host->arg_string(call, "file"));
    code = hdf5_file_open_for_writing(&file, &exists);
    if (!code && !exists)
        code = call->host->fail(call, ALCH_ENOENT, "file '%s' does not exist", file.path);
    if (!code) {
        if (call->rank == 0)
            code = delete_object(&file, dataset);
        code = call->host->agree(call, code, NULL);
    }
    hdf5_file_close(&file);
    return code;
}
