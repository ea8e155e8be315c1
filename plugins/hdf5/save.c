/* The operation save: writes several matrices to a file that appears when it is complete, or not at all. */
#include "h5.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    alch_call_t *call;
    size_t count;
    int64_t bytes;
    int64_t *offsets; /* positions in the file of the entries of each matrix */
} save_t;

static int64_t
matrix_bytes(const alch_call_t *call, const alch_dmatrix_t *matrix)
{
    alch_block_t block;

    call->host->matrix_block(matrix, &block);
    return block.m * block.n * (int64_t)hdf5_dtype_size(block.dtype);
}

static int
check_name(save_t *save, size_t index)
{
    alch_call_t *call = save->call;
    const char *name = call->host->arg_string_at(call, "names", index);

    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return call->host->fail(call, ALCH_EINVAL, "names: '%.80s' cannot be the name of a data set", name);
    for (size_t k = 0; k < index; k++)
        if (strcmp(call->host->arg_string_at(call, "names", k), name) == 0)
            return call->host->fail(call, ALCH_EINVAL, "names: '%.80s' is given twice", name);
    return ALCH_OK;
}

static int
check_arguments(save_t *save)
{
    alch_call_t *call = save->call;
    int code;

    save->count = call->host->arg_count(call, "matrices");
    if (call->host->arg_count(call, "names") != save->count || call->host->arg_count(call, "labels") != save->count)
        return call->host->fail(
            call, ALCH_EINVAL, "%zu matrices, %zu names and %zu labels were given: their numbers must be equal",
            save->count, call->host->arg_count(call, "names"), call->host->arg_count(call, "labels"));
    for (size_t k = 0; k < save->count; k++) {
        if ((code = check_name(save, k)))
            return code;
        save->bytes += matrix_bytes(call, call->host->arg_matrix_at(call, "matrices", k));
    }
    return ALCH_OK;
}

/* Rank 0: create all data sets, before the ranks write the first entry. */
static int
create_datasets(save_t *save, hdf5_file_t *file)
{
    const alch_host_t *host = save->call->host;
    int code = ALCH_OK;

    for (size_t k = 0; k < save->count && !code; k++)
        code = hdf5_dataset_create(file, host->arg_matrix_at(save->call, "matrices", k),
                                   host->arg_string_at(save->call, "names", k),
                                   host->arg_string_at(save->call, "labels", k), &save->offsets[k]);
    return code;
}

static int
write_all_entries(save_t *save, hdf5_file_t *file)
{
    const alch_host_t *host = save->call->host;
    double fraction_before = 0, all = save->bytes > 0 ? (double)save->bytes : 1;

    for (size_t k = 0; k < save->count; k++) {
        const alch_dmatrix_t *matrix = host->arg_matrix_at(save->call, "matrices", k);
        double fraction = (double)matrix_bytes(save->call, matrix) / all;
        int code = hdf5_dataset_write(file, matrix, host->arg_string_at(save->call, "names", k), save->offsets[k],
                                      fraction_before, fraction);

        if (code)
            return code;
        fraction_before += fraction;
    }
    return ALCH_OK;
}

static int
write_new_file(save_t *save, hdf5_file_t *file, bool overwrite)
{
    bool exists = false;
    int code = hdf5_file_open_for_writing(file, &exists);

    if (code)
        return code;
    if (exists && !overwrite)
        return save->call->host->fail(save->call, ALCH_ESTATE,
                                      "file '%s' exists: overwrite=true replaces the whole file", file->path);
    if ((code = hdf5_file_create(file, save->bytes)))
        return code;
    if (save->call->rank == 0)
        code = create_datasets(save, file);
    if ((code = hdf5_agree_and_broadcast(save->call, code, save->offsets, save->count * sizeof(*save->offsets))) ||
        (code = hdf5_file_open_on_all_ranks(file)) || (code = write_all_entries(save, file)) ||
        (code = hdf5_file_sync(file)))
        return code;
    return hdf5_file_commit(file, overwrite);
}

int
hdf5_save(alch_call_t *call)
{
    save_t save = {.call = call};
    hdf5_file_t file;
    int code = check_arguments(&save);

    if (code)
        return code;
    save.offsets = calloc(save.count + 1, sizeof(*save.offsets));
    if ((code = call->host->agree(call, save.offsets ? ALCH_OK : ALCH_ENOMEM,
                                  "the offsets of %zu data sets cannot be allocated", save.count))) {
        free(save.offsets);
        return code;
    }
    hdf5_file_init(&file, call, call->host->arg_string(call, "file"));
    code = write_new_file(&save, &file, call->host->arg_bool(call, "overwrite"));
    hdf5_file_close(&file);
    free(save.offsets);
    return code ? code : call->host->ret_int(call, "bytes", save.bytes);
}
