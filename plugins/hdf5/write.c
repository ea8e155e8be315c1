/* The operation write: writes a matrix as a data set in C order, which h5py and most other programs expect. */
#include "h5.h"

#include <stdio.h>
#include <string.h>

/* In a file that exists, a new data set has this name until it is complete. Then it gets its own name, and replaces an
 * old data set of this name. */
#define UNFINISHED ".alchemist-unfinished"

/* HDF5 allocates the entries at once, so that the ranks can write them without HDF5, and does not fill them: the ranks
 * write every entry. */
static hid_t
create_dataset(const hdf5_file_t *file, const alch_block_t *block, const char *name)
{
    hsize_t dims[2] = {(hsize_t)block->m, (hsize_t)block->n};
    hid_t space = H5Screate_simple(2, dims, NULL), type = hdf5_type_create_memory(block->dtype, "r", "i");
    hid_t link = H5Pcreate(H5P_LINK_CREATE), properties = H5Pcreate(H5P_DATASET_CREATE), dataset;

    H5Pset_create_intermediate_group(link, 1);
    H5Pset_char_encoding(link, H5T_CSET_UTF8);
    H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
    dataset = H5Dcreate2(file->id, name, type, space, link, properties, H5P_DEFAULT);
    H5Pclose(properties);
    H5Pclose(link);
    H5Tclose(type);
    H5Sclose(space);
    return dataset;
}

static int
add_string_attribute(hid_t object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute;
    herr_t status;

    /* Of variable length, as h5py writes strings: so the string can be empty and needs no padding. */
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    status = attribute < 0 ? -1 : H5Awrite(attribute, type, &text);
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return status < 0 ? -1 : 0;
}

/* Add the attributes that restore() needs: the name, the layout, and the number of workers of the layout. */
static int
add_restore_attributes(const hdf5_file_t *file, hid_t dataset, const alch_block_t *block, const char *label)
{
    char layout[128], workers[32];

    file->call->host->layout_format(&block->layout, layout, sizeof(layout));
    snprintf(workers, sizeof(workers), "%d", file->call->size);
    return add_string_attribute(dataset, "alchemist_name", label) ||
                   add_string_attribute(dataset, "alchemist_layout", layout) ||
                   add_string_attribute(dataset, "alchemist_workers", workers)
               ? -1
               : 0;
}

int
hdf5_dataset_create(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *name, const char *label,
                    int64_t *offset_p)
{
    alch_call_t *call = file->call;
    alch_block_t block;
    hid_t dataset;
    haddr_t offset = 0;
    bool failed;

    call->host->matrix_block(matrix, &block);
    dataset = create_dataset(file, &block, name);
    failed = dataset < 0 || (label && add_restore_attributes(file, dataset, &block, label));
    /* A data set without entries has no offset. */
    if (!failed && block.m > 0 && block.n > 0)
        failed = (offset = H5Dget_offset(dataset)) == HADDR_UNDEF;
    if (dataset >= 0)
        H5Dclose(dataset);
    *offset_p = (int64_t)offset;
    return failed ? hdf5_fail(call, ALCH_EINVAL, "data set '%s' of file '%s' cannot be created", name, file->path)
                  : ALCH_OK;
}

int
hdf5_dataset_write(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, int64_t offset,
                   double fraction_before, double fraction)
{
    hdf5_transfer_t transfer = {.call = file->call,
                                .path = file->path,
                                .dataset = dataset,
                                .id = H5I_INVALID_HID,
                                .fd = file->fd,
                                .offset = offset,
                                .chunking = {1, 1, 0},
                                .write = true,
                                .fraction_before = fraction_before,
                                .fraction = fraction};

    file->call->host->matrix_block(matrix, &transfer.block);
    transfer.rows = (hdf5_range_t){0, 1, transfer.block.m};
    transfer.cols = (hdf5_range_t){0, 1, transfer.block.n};
    return hdf5_transfer(&transfer);
}

/* Rank 0: check that a data set can be added to a file that exists. A group is never replaced, because that would
 * delete the data sets in it. */
static int
check_target(const hdf5_file_t *file, const char *dataset, bool overwrite, int64_t bytes)
{
    alch_call_t *call = file->call;
    char blocked[HDF5_NAME_MAX];
    hdf5_object_t found;
    hid_t id;
    int code = hdf5_file_check_space(file, bytes);

    if (code || (code = hdf5_open_checked(file, false, &id)))
        return code;
    found = hdf5_find_object(id, dataset, blocked);
    if (found == HDF5_LOOKUP_FAILED)
        code = hdf5_fail(call, ALCH_EINVAL, "'%s' cannot be a data set of file '%s'", dataset, file->path);
    else if (found == HDF5_BLOCKED)
        code = call->host->fail(call, ALCH_EINVAL, "'%s' cannot be a data set of file '%s': '%s' is not a group",
                                dataset, file->path, blocked);
    else if (found == HDF5_GROUP || found == HDF5_NAMED_TYPE)
        code = call->host->fail(call, ALCH_ESTATE, "'%s' of file '%s' is not a data set, so it is not replaced",
                                dataset, file->path);
    else if (found != HDF5_MISSING && !overwrite)
        code = call->host->fail(call, ALCH_ESTATE, "file '%s' has a %s '%s' already: overwrite=true replaces it",
                                file->path, found == HDF5_DATASET ? "data set" : "link", dataset);
    H5Fclose(id);
    return code;
}

/* Delete the unfinished data set of a writer that failed or was killed. */
static void
delete_unfinished(hid_t file)
{
    if (H5Lexists(file, UNFINISHED, H5P_DEFAULT) > 0)
        H5Ldelete(file, UNFINISHED, H5P_DEFAULT);
}

/* Rank 0: allocate the entries of the new data set. */
static int
create_unfinished(hdf5_file_t *file, const alch_dmatrix_t *matrix, int64_t *offset_p)
{
    int code = hdf5_open_checked(file, true, &file->id);

    if (code)
        return code;
    delete_unfinished(file->id);
    return hdf5_dataset_create(file, matrix, UNFINISHED, NULL, offset_p);
}

/* Rank 0: give the complete data set its name. */
static int
rename_unfinished(hdf5_file_t *file, const char *dataset)
{
    alch_call_t *call = file->call;
    char blocked[HDF5_NAME_MAX];
    hid_t id, link;
    herr_t status = 0;
    int code = hdf5_open_checked(file, true, &id);

    if (code)
        return code;
    link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    H5Pset_char_encoding(link, H5T_CSET_UTF8);
    if (hdf5_find_object(id, dataset, blocked) != HDF5_MISSING)
        status = H5Ldelete(id, dataset, H5P_DEFAULT);
    if (status >= 0)
        status = H5Lmove(id, UNFINISHED, id, dataset, link, H5P_DEFAULT);
    H5Pclose(link);
    if (status < 0) {
        delete_unfinished(id);
        code = hdf5_fail(call, ALCH_EINVAL, "'%s' cannot be a data set of file '%s'", dataset, file->path);
    }
    if (H5Fclose(id) < 0 && !code)
        code = hdf5_fail(call, ALCH_ESYSTEM, "file '%s' was not written completely", file->path);
    return code;
}

/* Rank 0, after a failure: errors are ignored, because the call has its reason already. */
static void
delete_unfinished_quietly(const hdf5_file_t *file)
{
    hid_t id = hdf5_open_id(file, H5F_ACC_RDWR);

    if (id < 0)
        return;
    delete_unfinished(id);
    H5Fclose(id);
}

/* Add a data set to a file that exists. A failure leaves the other data sets as they were: HDF5 changes the file only
 * before and after the ranks write the entries, and both times it leaves a valid file when it closes it. */
static int
add_to_file(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, bool overwrite, int64_t bytes)
{
    alch_call_t *call = file->call;
    int64_t offset = 0;
    int code = call->rank == 0 ? check_target(file, dataset, overwrite, bytes) : ALCH_OK;

    if ((code = call->host->agree(call, code, NULL)))
        return code;
    if (call->rank == 0)
        code = create_unfinished(file, matrix, &offset);
    if ((code = hdf5_agree_and_broadcast(call, code, &offset, sizeof(offset))) ||
        (code = hdf5_file_open_on_all_ranks(file)))
        return code;
    code = hdf5_dataset_write(file, matrix, dataset, offset, 0, 1);
    if (!code)
        code = hdf5_file_sync(file);
    if (code && call->rank == 0)
        delete_unfinished_quietly(file);
    if (code)
        return code;
    return call->host->agree(call, call->rank == 0 ? rename_unfinished(file, dataset) : ALCH_OK, NULL);
}

/* Write a new file, which may replace an old one. */
static int
write_new_file(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, bool replace, int64_t bytes)
{
    alch_call_t *call = file->call;
    int64_t offset = 0;
    int code = hdf5_file_create(file, bytes);

    if (code)
        return code;
    if (call->rank == 0)
        code = hdf5_dataset_create(file, matrix, dataset, NULL, &offset);
    if ((code = hdf5_agree_and_broadcast(call, code, &offset, sizeof(offset))) ||
        (code = hdf5_file_open_on_all_ranks(file)) ||
        (code = hdf5_dataset_write(file, matrix, dataset, offset, 0, 1)) || (code = hdf5_file_sync(file)))
        return code;
    return hdf5_file_commit(file, replace);
}

static int
write_matrix(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, bool overwrite)
{
    alch_call_t *call = file->call;
    const char *mode = call->host->arg_string(call, "mode");
    alch_block_t block;
    bool exists = false;
    int code = hdf5_file_open_for_writing(file, &exists);
    int64_t bytes;

    if (code)
        return code;
    call->host->matrix_block(matrix, &block);
    bytes = block.m * block.n * (int64_t)hdf5_dtype_size(block.dtype);
    if (exists && *mode == 'x')
        return call->host->fail(call, ALCH_ESTATE,
                                "file '%s' exists: mode 'a' adds to it, mode 'w' replaces the whole file", file->path);
    if (exists && *mode == 'a')
        return add_to_file(file, matrix, dataset, overwrite, bytes);
    return write_new_file(file, matrix, dataset, *mode == 'w', bytes);
}

int
hdf5_write(alch_call_t *call)
{
    const alch_host_t *host = call->host;
    const char *mode = host->arg_string(call, "mode"), *dataset = host->arg_string(call, "dataset");
    hdf5_file_t file;
    int code;

    if (strcmp(mode, "a") && strcmp(mode, "w") && strcmp(mode, "x"))
        return host->fail(call, ALCH_EINVAL,
                          "mode is '%.20s', but must be a (add), x (new file) or w (replace the file)", mode);
    if ((code = hdf5_check_name(call, dataset)))
        return code;
    hdf5_file_init(&file, call, host->arg_string(call, "file"));
    code = write_matrix(&file, host->arg_matrix(call, "A"), dataset, host->arg_bool(call, "overwrite"));
    hdf5_file_close(&file);
    return code;
}
