/* Transfers the entries of a data set panel by panel: each rank reads or writes its strip, and the ranks exchange. */
#define _GNU_SOURCE /* pwrite() */
#include "panels.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A transfer that is under way. */
typedef struct {
    hdf5_transfer_t *transfer;
    hdf5_panels_t panels;
    hid_t memory_type, properties; /* when reading: of the entries in the batch; of H5Dread() */
    int64_t out_of_range;          /* number of values that the type of the matrix cannot hold */
} io_t;

/* HDF5 calls this for each value that a conversion changes. Rounding is not an error. */
static H5T_conv_ret_t
count_out_of_range(H5T_conv_except_t exception, hid_t from, hid_t to, void *in, void *out, void *context)
{
    (void)from, (void)to, (void)in, (void)out;
    if (exception == H5T_CONV_EXCEPT_RANGE_HI || exception == H5T_CONV_EXCEPT_RANGE_LOW)
        ++*(int64_t *)context;
    return H5T_CONV_UNHANDLED;
}

/* HDF5 does not convert real numbers to complex ones: they are read as real ones and converted in the batch. */
static bool
reads_real_as_complex(const hdf5_transfer_t *transfer)
{
    return !transfer->write && transfer->type->kind != HDF5_COMPLEX && hdf5_dtype_complex(transfer->block.dtype);
}

/* In place, so it begins with the last entry. */
static void
real_to_complex(alch_dtype_t dtype, void *entries, int64_t count)
{
    if (dtype == ALCH_COMPLEX64)
        for (float *x = entries; count-- > 0;)
            x[2 * count] = x[count], x[2 * count + 1] = 0;
    else
        for (double *x = entries; count-- > 0;)
            x[2 * count] = x[count], x[2 * count + 1] = 0;
}

/* Select a batch in the file. The space in memory has the same shape: HDF5 is slow if the shapes differ. */
static void
select_batch(const hdf5_transfer_t *transfer, const alch_rect_t *batch, hid_t *file_p, hid_t *memory_p)
{
    /* For a data set of one dimension HDF5 reads only the first element of each array. */
    hsize_t start[2] = {(hsize_t)(transfer->rows.begin + batch->i * transfer->rows.step),
                        (hsize_t)(transfer->cols.begin + batch->j * transfer->cols.step)};
    hsize_t stride[2] = {(hsize_t)transfer->rows.step, (hsize_t)transfer->cols.step};
    hsize_t count[2] = {(hsize_t)batch->m, (hsize_t)batch->n};

    *file_p = H5Dget_space(transfer->id);
    H5Sselect_hyperslab(*file_p, H5S_SELECT_SET, start, stride, count, NULL);
    *memory_p = H5Screate_simple(H5Sget_simple_extent_ndims(*file_p), count, NULL);
}

static int
read_batch(io_t *io, const alch_rect_t *batch)
{
    hdf5_transfer_t *transfer = io->transfer;
    int64_t row = transfer->rows.begin + batch->i * transfer->rows.step;
    int64_t last = row + (batch->m - 1) * transfer->rows.step;
    hid_t file_space, memory_space;
    herr_t status;

    select_batch(transfer, batch, &file_space, &memory_space);
    status = H5Dread(transfer->id, io->memory_type, memory_space, file_space, io->properties, io->panels.batch);
    H5Sclose(memory_space);
    H5Sclose(file_space);
    if (status < 0)
        return hdf5_fail(transfer->call, ALCH_ESYSTEM, "rows %lld to %lld of data set '%s' of file '%s' cannot be read",
                         (long long)row, (long long)last, transfer->dataset, transfer->path);
    if (io->out_of_range)
        return transfer->call->host->fail(
            transfer->call, ALCH_ERANGE,
            "data set '%s' of file '%s' (%s): %lld values in rows %lld to %lld do not fit into %s", transfer->dataset,
            transfer->path, transfer->type->name, (long long)io->out_of_range, (long long)row, (long long)last,
            hdf5_dtype_name(transfer->block.dtype));
    if (reads_real_as_complex(transfer))
        real_to_complex(transfer->block.dtype, io->panels.batch, batch->m * batch->n);
    return ALCH_OK;
}

/* A batch is contiguous in the file: it has whole rows, or it is a part of one row. */
static int
write_batch(io_t *io, const alch_rect_t *batch)
{
    hdf5_transfer_t *transfer = io->transfer;
    int64_t entry_size = (int64_t)io->panels.entry_size, bytes = batch->m * batch->n * entry_size;
    int64_t at = transfer->offset + (batch->i * transfer->block.n + batch->j) * entry_size;
    const char *from = io->panels.batch;

    while (bytes > 0) {
        ssize_t written = pwrite(transfer->fd, from, (size_t)bytes, (off_t)at);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return transfer->call->host->fail(transfer->call, ALCH_ESYSTEM,
                                              "data set '%s' of file '%s' cannot be written: %s", transfer->dataset,
                                              transfer->path, strerror(errno));
        from += written, at += written, bytes -= written;
    }
    return ALCH_OK;
}

/* Transfer this rank's strip between the file and memory. */
static int
transfer_strip(io_t *io)
{
    alch_rect_t batch = {0, 0, 0, 0};
    int code = ALCH_OK;

    while (!code && hdf5_panels_next_batch(&io->panels, &batch)) {
        if (io->transfer->write)
            hdf5_panels_copy_batch(&io->panels, &batch);
        code = io->transfer->write ? write_batch(io, &batch) : read_batch(io, &batch);
        if (!code && !io->transfer->write)
            hdf5_panels_copy_batch(&io->panels, &batch);
    }
    return code;
}

static int
transfer_panel(io_t *io)
{
    const alch_host_t *host = io->transfer->call->host;
    int code = io->transfer->write ? hdf5_panels_exchange(&io->panels) : ALCH_OK;

    if (!code)
        code = transfer_strip(io);
    code = host->agree(io->transfer->call, code, NULL);
    return code || io->transfer->write ? code : hdf5_panels_exchange(&io->panels);
}

static int
transfer_panels(io_t *io)
{
    hdf5_transfer_t *transfer = io->transfer;
    const alch_host_t *host = transfer->call->host;
    int64_t count = hdf5_panels_count(&io->panels), done = 0;

    while (hdf5_panels_next(&io->panels)) {
        int code = transfer_panel(io);

        if (code)
            return code;
        done++;
        host->progress(transfer->call, transfer->fraction_before + transfer->fraction * (double)done / (double)count,
                       "%s data set '%s'", transfer->write ? "writing" : "reading", transfer->dataset);
        if (host->cancelled(transfer->call))
            return host->fail(transfer->call, ALCH_ECANCELED,
                              "%s data set '%s' of file '%s' was canceled after %lld of %lld panels",
                              transfer->write ? "writing" : "reading", transfer->dataset, transfer->path,
                              (long long)done, (long long)count);
    }
    return ALCH_OK;
}

/* The type into which HDF5 reads: the matrix's type, or that of its real parts. */
static hid_t
create_memory_type(const hdf5_transfer_t *transfer)
{
    const hdf5_type_t *type = transfer->type;
    alch_dtype_t dtype = transfer->block.dtype;

    if (reads_real_as_complex(transfer))
        dtype = dtype == ALCH_COMPLEX64 ? ALCH_FLOAT32 : ALCH_FLOAT64;
    return hdf5_type_create_memory(dtype, type->re, type->im);
}

int
hdf5_transfer(hdf5_transfer_t *transfer)
{
    io_t io = {.transfer = transfer};
    int code = hdf5_panels_init(&io.panels, transfer->call, &transfer->block, transfer->write, transfer->cols.count,
                                &transfer->chunking);

    if (!code && !transfer->write) {
        io.memory_type = create_memory_type(transfer);
        io.properties = H5Pcreate(H5P_DATASET_XFER);
        H5Pset_type_conv_cb(io.properties, count_out_of_range, &io.out_of_range);
    }
    if (!code)
        code = transfer_panels(&io);
    if (io.properties) {
        H5Pclose(io.properties);
        H5Tclose(io.memory_type);
    }
    hdf5_panels_fini(&io.panels);
    return code;
}
