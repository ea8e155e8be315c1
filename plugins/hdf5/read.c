/* The operation read: reads a data set, or a part of it, into a new matrix. */
#include "h5.h"

#include <stdio.h>
#include <string.h>

#define COPIES_MAX 1000000

typedef struct {
    alch_call_t *call;
    const char *path, *dataset;
    hdf5_dataset_info_t info;
    hdf5_range_t rows, cols;
    int64_t copies;
    alch_dtype_t dtype;
    alch_layout_t layout;
    bool has_layout;
} read_t;

/* Python's rule for slices: a negative index counts from the end, and an index beyond either end means that end. */
static int64_t
clip_index(int64_t index, int64_t size)
{
    index = index < 0 ? index + size : index;
    return index < 0 ? 0 : index > size ? size : index;
}

/* [], [first, end] or [first, end, step] */
static int
read_range(read_t *read, const char *name, int64_t size, hdf5_range_t *range)
{
    alch_call_t *call = read->call;
    size_t count = call->host->arg_count(call, name);
    int64_t end;

    *range = (hdf5_range_t){0, 1, size};
    if (count == 0)
        return ALCH_OK;
    if (count != 2 && count != 3)
        return call->host->fail(call, ALCH_EINVAL,
                                "%s has %zu numbers: [], [first, end] or [first, end, step] is expected", name, count);
    range->begin = clip_index(call->host->arg_int_at(call, name, 0), size);
    end = clip_index(call->host->arg_int_at(call, name, 1), size);
    range->step = count == 3 ? call->host->arg_int_at(call, name, 2) : 1;
    if (range->step < 1)
        return call->host->fail(call, ALCH_ERANGE,
                                "%s of data set '%s' of file '%s': the step is %lld, but it must be positive", name,
                                read->dataset, read->path, (long long)range->step);
    range->count = end > range->begin ? (end - range->begin - 1) / range->step + 1 : 0;
    return ALCH_OK;
}

static int
read_dtype(read_t *read)
{
    alch_call_t *call = read->call;
    const char *name = call->host->arg_string(call, "dtype");
    const hdf5_type_t *type = &read->info.type;
    bool from_complex = type->kind == HDF5_COMPLEX, from_real = type->kind == HDF5_REAL;
    int dtype = *name ? hdf5_dtype_parse(name) : (int)type->dtype;

    if (dtype < 0)
        return call->host->fail(call, ALCH_EINVAL,
                                "dtype '%.40s' is not a type of a matrix: float64, float32, complex128, complex64, "
                                "int64 or int32 is expected",
                                name);
    read->dtype = (alch_dtype_t)dtype;
    if ((from_complex && !hdf5_dtype_complex(read->dtype)) ||
        (from_real && (read->dtype == ALCH_INT64 || read->dtype == ALCH_INT32)))
        return call->host->fail(call, ALCH_ETYPE,
                                "data set '%s' of file '%s' has entries of type %s, which %s cannot hold",
                                read->dataset, read->path, type->name, hdf5_dtype_name(read->dtype));
    return ALCH_OK;
}

static int
read_arguments(read_t *read)
{
    alch_call_t *call = read->call;
    const char *layout = call->host->arg_string(call, "layout");
    int code;

    read->copies = call->host->arg_int(call, "copies");
    read->has_layout = *layout != '\0';
    if (read->has_layout && (code = call->host->layout_parse(call, layout, &read->layout)))
        return code;
    if ((code = read_range(read, "rows", read->info.m, &read->rows)) ||
        (code = read_range(read, "columns", read->info.n, &read->cols)) || (code = read_dtype(read)))
        return code;
    if (read->copies < 1 || read->copies > COPIES_MAX || read->copies > INT64_MAX / (read->cols.count + 1))
        return call->host->fail(call, ALCH_EINVAL, "copies is %lld, but it must be 1 to %d", (long long)read->copies,
                                COPIES_MAX);
    return ALCH_OK;
}

/* Chunks in terms of the rows and columns that are read. With a step larger than 1 a chunk need not begin with a row
 * that is read, so the result is an estimate then: it affects only the speed. */
static hdf5_chunking_t
chunking_of(const read_t *read)
{
    int64_t rows = read->info.chunk_m / read->rows.step, cols = read->info.chunk_n / read->cols.step;

    return (hdf5_chunking_t){rows ? rows : 1, cols ? cols : 1,
                             read->rows.step == 1 ? read->rows.begin % read->info.chunk_m : 0};
}

static int
read_entries(read_t *read, hdf5_file_t *file, const alch_dmatrix_t *matrix)
{
    alch_call_t *call = read->call;
    hdf5_transfer_t transfer = {
        .call = call, .path = read->path, .dataset = read->dataset, .type = &read->info.type, .fraction = 1};
    /* No HDF5 call is collective, so each rank opens the file for itself. */
    int code = call->host->agree(call, hdf5_open_checked(file, false, &file->id), NULL);

    if (code)
        return code;
    transfer.id = H5Dopen2(file->id, read->dataset, H5P_DEFAULT);
    code = transfer.id < 0
               ? hdf5_fail(call, ALCH_ESYSTEM, "data set '%s' of file '%s' cannot be opened", read->dataset, read->path)
               : ALCH_OK;
    if ((code = call->host->agree(call, code, NULL)))
        return code;
    call->host->matrix_block(matrix, &transfer.block);
    transfer.rows = read->rows;
    transfer.cols = read->cols;
    transfer.chunking = chunking_of(read);
    code = hdf5_transfer(&transfer);
    H5Dclose(transfer.id);
    return code;
}

/* Tell the client if the matrix has another type than the data set, and if values may have been rounded. */
static void
note_conversion(const read_t *read)
{
    alch_call_t *call = read->call;
    const hdf5_type_t *type = &read->info.type;
    const char *loss = "";

    if (strcmp(type->name, hdf5_dtype_name(read->dtype)) == 0)
        return;
    if (type->kind == HDF5_INTEGER
            ? read->dtype == ALCH_FLOAT32 || read->dtype == ALCH_COMPLEX64 ||
                  ((read->dtype == ALCH_FLOAT64 || read->dtype == ALCH_COMPLEX128) && type->dtype == ALCH_INT64)
            : hdf5_dtype_size(read->dtype) < hdf5_dtype_size(type->dtype) || !type->exact)
        loss = "; values that this type cannot hold exactly were rounded";
    call->host->note(call, ALCH_NOTE, "data set '%s' of file '%s' was converted from %s to %s%s", read->dataset,
                     read->path, type->name, hdf5_dtype_name(read->dtype), loss);
}

static int
read_matrix(read_t *read, hdf5_file_t *file)
{
    alch_call_t *call = read->call;
    alch_dmatrix_t *matrix;
    int code = read_arguments(read);

    if (!code)
        code = call->host->matrix_create_unset(call, read->rows.count, read->cols.count * read->copies, read->dtype,
                                               read->has_layout ? &read->layout : NULL, &matrix);
    if (!code)
        code = read_entries(read, file, matrix);
    if (code)
        return code;
    note_conversion(read);
    call->host->matrix_name(call, matrix, read->info.label[0] ? read->info.label : read->dataset);
    return call->host->ret_matrix(call, "A", matrix);
}

int
hdf5_read(alch_call_t *call)
{
    read_t read = {
        .call = call, .path = call->host->arg_string(call, "file"), .dataset = call->host->arg_string(call, "dataset")};
    hdf5_file_t file;
    int code = hdf5_check_name(call, read.dataset);

    if (code)
        return code;
    hdf5_file_init(&file, call, read.path);
    code = hdf5_file_inspect(&file, read.dataset, &read.info);
    if (!code)
        code = read_matrix(&read, &file);
    hdf5_file_close(&file);
    return code;
}
