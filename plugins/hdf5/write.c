/* write(): a matrix as a data set in C order, as h5py and everybody else expect it. */
#include "h5.h"

#include <stdio.h>
#include <string.h>

/* The new data set has this name until it is complete; then it takes the place of the old one, if there is one. */
#define UNFINISHED ".alchemist-unfinished"

/* Entries have their place at once, and are not filled before they are written: all of them are. */
static hid_t
make_dataset(const hdf5_file_t *file, const alch_block_t *block, const char *name)
{
    hsize_t dims[2] = {(hsize_t)block->m, (hsize_t)block->n};
    hid_t space = H5Screate_simple(2, dims, NULL), type = hdf5_type_memory(block->dtype, "r", "i");
    hid_t link = H5Pcreate(H5P_LINK_CREATE), plan = H5Pcreate(H5P_DATASET_CREATE), dataset;

    H5Pset_create_intermediate_group(link, 1);
    H5Pset_char_encoding(link, H5T_CSET_UTF8);
    H5Pset_alloc_time(plan, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(plan, H5D_FILL_TIME_NEVER);
    dataset = H5Dcreate2(file->id, name, type, space, link, plan, H5P_DEFAULT);
    H5Pclose(plan);
    H5Pclose(link);
    H5Tclose(type);
    H5Sclose(space);
    return dataset;
}

static int
add_text(hid_t object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute;
    herr_t bad;

    /* Of variable length, as h5py does it: a text may be empty, and has no padding. */
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bad = attribute < 0 ? -1 : H5Awrite(attribute, type, &text);
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return bad < 0 ? -1 : 0;
}

/* What restore() needs beside the entries: the layout, for how many workers it was, and the name. */
static int
label_dataset(const hdf5_file_t *file, hid_t dataset, const alch_block_t *block, const char *label)
{
    char layout[128], workers[32];

    file->call->host->layout_format(&block->layout, layout, sizeof(layout));
    snprintf(workers, sizeof(workers), "%d", file->call->size);
    return add_text(dataset, "alchemist_name", label) || add_text(dataset, "alchemist_layout", layout) ||
                   add_text(dataset, "alchemist_workers", workers)
               ? -1
               : 0;
}

int
hdf5_make(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *name, const char *label, int64_t *offset_p)
{
    alch_call_t *call = file->call;
    alch_block_t block;
    hid_t dataset;
    haddr_t offset = 0;
    bool bad;

    call->host->matrix_block(matrix, &block);
    dataset = make_dataset(file, &block, name);
    bad = dataset < 0 || (label && label_dataset(file, dataset, &block, label));
    /* Without entries there is no place for them. */
    if (!bad && block.m > 0 && block.n > 0)
        bad = (offset = H5Dget_offset(dataset)) == HADDR_UNDEF;
    if (dataset >= 0)
        H5Dclose(dataset);
    *offset_p = (int64_t)offset;
    return bad ? hdf5_fail(call, ALCH_EINVAL, "data set '%s' of file '%s' cannot be made", name, file->asked) : ALCH_OK;
}

int
hdf5_put(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, int64_t offset, double done,
         double share)
{
    hdf5_transfer_t transfer = {.call = file->call,
                                .file = file->asked,
                                .dataset = dataset,
                                .id = H5I_INVALID_HID,
                                .fd = file->fd,
                                .offset = offset,
                                .grain = {1, 1, 0},
                                .write = true,
                                .done = done,
                                .share = share};

    file->call->host->matrix_block(matrix, &transfer.block);
    transfer.rows = (hdf5_range_t){0, 1, transfer.block.m};
    transfer.cols = (hdf5_range_t){0, 1, transfer.block.n};
    return hdf5_transfer(&transfer);
}

/* Rank 0: whether a data set may be put into a file that is there. Groups are not replaced: they hold others. */
static int
check_place(const hdf5_file_t *file, const char *dataset, bool overwrite, int64_t bytes)
{
    alch_call_t *call = file->call;
    char blocked[HDF5_NAME_MAX];
    hdf5_found_t found;
    hid_t id;
    int code = hdf5_file_room(file, bytes);

    if (code || (code = hdf5_open_alone(file, false, &id)))
        return code;
    found = hdf5_look(id, dataset, blocked);
    if (found == HDF5_BAD)
        code = hdf5_fail(call, ALCH_EINVAL, "'%s' cannot be a data set of file '%s'", dataset, file->asked);
    else if (found == HDF5_BLOCKED)
        code = call->host->fail(call, ALCH_EINVAL, "'%s' cannot be a data set of file '%s': '%s' is no group", dataset,
                                file->asked, blocked);
    else if (found == HDF5_GROUP || found == HDF5_TYPE)
        code = call->host->fail(call, ALCH_ESTATE, "'%s' of file '%s' is no data set: it is not replaced", dataset,
                                file->asked);
    else if (found != HDF5_MISSING && !overwrite)
        code = call->host->fail(call, ALCH_ESTATE, "file '%s' has a %s '%s' already: overwrite=true replaces it",
                                file->asked, found == HDF5_DATASET ? "data set" : "link", dataset);
    H5Fclose(id);
    return code;
}

/* What a writer left behind who was killed or failed. */
static void
remove_unfinished(hid_t file)
{
    if (H5Lexists(file, UNFINISHED, H5P_DEFAULT) > 0)
        H5Ldelete(file, UNFINISHED, H5P_DEFAULT);
}

/* Rank 0: a place for the entries of the new data set. */
static int
begin_adding(hdf5_file_t *file, const alch_dmatrix_t *matrix, int64_t *offset_p)
{
    int code = hdf5_open_alone(file, true, &file->id);

    if (code)
        return code;
    remove_unfinished(file->id);
    return hdf5_make(file, matrix, UNFINISHED, NULL, offset_p);
}

/* Rank 0: the complete data set gets its name. */
static int
end_adding(hdf5_file_t *file, const char *dataset)
{
    alch_call_t *call = file->call;
    char blocked[HDF5_NAME_MAX];
    hid_t id, link;
    herr_t bad = 0;
    int code = hdf5_open_alone(file, true, &id);

    if (code)
        return code;
    link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    H5Pset_char_encoding(link, H5T_CSET_UTF8);
    if (hdf5_look(id, dataset, blocked) != HDF5_MISSING)
        bad = H5Ldelete(id, dataset, H5P_DEFAULT);
    if (bad >= 0)
        bad = H5Lmove(id, UNFINISHED, id, dataset, link, H5P_DEFAULT);
    H5Pclose(link);
    if (bad < 0) {
        remove_unfinished(id);
        code = hdf5_fail(call, ALCH_EINVAL, "'%s' cannot be a data set of file '%s'", dataset, file->asked);
    }
    if (H5Fclose(id) < 0 && !code)
        code = hdf5_fail(call, ALCH_ESYSTEM, "file '%s' was not written to its end", file->asked);
    return code;
}

/* Rank 0: without a word, since the reason is noted already. */
static void
drop_unfinished(const hdf5_file_t *file)
{
    hid_t id = hdf5_file_open(file, H5F_ACC_RDWR);

    if (id < 0)
        return;
    remove_unfinished(id);
    H5Fclose(id);
}

/* Into a file that is there, beside its other data sets. What fails leaves them as they were: HDF5 changes the file
 * before and after the entries are written, and each time it is whole when it is closed. */
static int
add_to_file(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, bool overwrite, int64_t bytes)
{
    alch_call_t *call = file->call;
    int64_t offset = 0;
    int code = call->rank == 0 ? check_place(file, dataset, overwrite, bytes) : ALCH_OK;

    if ((code = call->host->agree(call, code, NULL)))
        return code;
    if (call->rank == 0)
        code = begin_adding(file, matrix, &offset);
    if ((code = hdf5_share(call, code, &offset, sizeof(offset))) || (code = hdf5_file_settle(file)))
        return code;
    code = hdf5_put(file, matrix, dataset, offset, 0, 1);
    if (!code)
        code = hdf5_file_sync(file);
    if (code && call->rank == 0)
        drop_unfinished(file);
    if (code)
        return code;
    return call->host->agree(call, call->rank == 0 ? end_adding(file, dataset) : ALCH_OK, NULL);
}

/* In a file of its own. */
static int
write_file(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, bool replace, int64_t bytes)
{
    alch_call_t *call = file->call;
    int64_t offset = 0;
    int code = hdf5_file_create(file, bytes);

    if (code)
        return code;
    if (call->rank == 0)
        code = hdf5_make(file, matrix, dataset, NULL, &offset);
    if ((code = hdf5_share(call, code, &offset, sizeof(offset))) || (code = hdf5_file_settle(file)) ||
        (code = hdf5_put(file, matrix, dataset, offset, 0, 1)) || (code = hdf5_file_sync(file)))
        return code;
    return hdf5_file_commit(file, replace);
}

static int
write_matrix(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, bool overwrite)
{
    alch_call_t *call = file->call;
    const char *mode = call->host->arg_string(call, "mode");
    alch_block_t block;
    bool there = false;
    int code = hdf5_file_claim(file, &there);
    int64_t bytes;

    if (code)
        return code;
    call->host->matrix_block(matrix, &block);
    bytes = block.m * block.n * (int64_t)hdf5_dtype_size(block.dtype);
    if (there && *mode == 'x')
        return call->host->fail(call, ALCH_ESTATE,
                                "file '%s' exists: mode 'a' adds to it, mode 'w' replaces it with all it holds",
                                file->asked);
    if (there && *mode == 'a')
        return add_to_file(file, matrix, dataset, overwrite, bytes);
    return write_file(file, matrix, dataset, *mode == 'w', bytes);
}

int
hdf5_write(alch_call_t *call)
{
    const alch_host_t *host = call->host;
    const char *mode = host->arg_string(call, "mode"), *dataset = host->arg_string(call, "dataset");
    hdf5_file_t file;
    int code;

    if (strcmp(mode, "a") && strcmp(mode, "w") && strcmp(mode, "x"))
        return host->fail(call, ALCH_EINVAL, "mode '%.20s': a (add), x (new file) or w (replace the file) expected",
                          mode);
    if ((code = hdf5_check_name(call, dataset)))
        return code;
    hdf5_file_init(&file, call, host->arg_string(call, "file"));
    code = write_matrix(&file, host->arg_matrix(call, "A"), dataset, host->arg_bool(call, "overwrite"));
    hdf5_file_close(&file);
    return code;
}
