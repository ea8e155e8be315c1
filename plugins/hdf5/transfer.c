/* The entries of a data set, panel by panel: each rank reads or writes its strip, then they exchange. */
#define _GNU_SOURCE /* pwrite() */
#include "panels.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    hdf5_transfer_t *of;
    hdf5_panels_t panels;
    hid_t memory, plan; /* the type of entries on the way; how HDF5 moves them */
    int64_t unfit;      /* values that the type of the matrix cannot hold */
} moving_t;

/* Called for each value that a conversion cannot keep; what is lost in the last digits is no error. */
static H5T_conv_ret_t
note_unfit(H5T_conv_except_t what, hid_t from, hid_t to, void *in, void *out, void *context)
{
    (void)from, (void)to, (void)in, (void)out;
    if (what == H5T_CONV_EXCEPT_RANGE_HI || what == H5T_CONV_EXCEPT_RANGE_LOW)
        ++*(int64_t *)context;
    return H5T_CONV_UNHANDLED;
}

/* Real numbers become complex ones when they are put in place. */
static alch_dtype_t
dtype_on_the_way(const hdf5_transfer_t *transfer)
{
    alch_dtype_t dtype = transfer->block.dtype;

    if (transfer->write || transfer->type->kind == HDF5_COMPLEX || !hdf5_dtype_complex(dtype))
        return dtype;
    return dtype == ALCH_COMPLEX64 ? ALCH_FLOAT32 : ALCH_FLOAT64;
}

static hid_t
select_strip(const moving_t *moving, int64_t row, int64_t rows)
{
    const hdf5_transfer_t *of = moving->of;
    const hdf5_panels_t *panels = &moving->panels;
    int64_t cols = panels->col_end - panels->col < of->cols.count ? panels->col_end - panels->col : of->cols.count;
    hid_t space = H5Dget_space(of->id);
    /* A data set of one dimension looks at the first of each alone. */
    hsize_t start[2] = {(hsize_t)(of->rows.begin + row * of->rows.step),
                        (hsize_t)(of->cols.begin + panels->col * of->cols.step)};
    hsize_t stride[2] = {(hsize_t)of->rows.step, (hsize_t)of->cols.step};
    hsize_t count[2] = {(hsize_t)rows, (hsize_t)cols};

    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, stride, count, NULL);
    return space;
}

static int
read_strip(moving_t *moving, int64_t row, int64_t end)
{
    hdf5_transfer_t *of = moving->of;
    hid_t file_space = select_strip(moving, row, end - row), memory_space;
    hsize_t entries = (hsize_t)H5Sget_select_npoints(file_space);
    herr_t bad;

    memory_space = H5Screate_simple(1, &entries, NULL);
    bad = H5Dread(of->id, moving->memory, memory_space, file_space, moving->plan, moving->panels.strip);
    H5Sclose(memory_space);
    H5Sclose(file_space);
    if (bad < 0)
        return hdf5_fail(of->call, ALCH_ESYSTEM, "data set '%s' of file '%s' cannot be read", of->dataset, of->file);
    if (moving->unfit)
        return of->call->host->fail(
            of->call, ALCH_ERANGE,
            "data set '%s' of file '%s' (%s): %lld values in rows %lld to %lld do not fit into %s", of->dataset,
            of->file, of->type->name, (long long)moving->unfit, (long long)(of->rows.begin + row * of->rows.step),
            (long long)(of->rows.begin + (end - 1) * of->rows.step), hdf5_dtype_name(of->block.dtype));
    return ALCH_OK;
}

/* The strip is one piece of the file: rows are cut only where a strip is one row. */
static int
write_strip(moving_t *moving, int64_t row, int64_t end)
{
    hdf5_transfer_t *of = moving->of;
    const hdf5_panels_t *panels = &moving->panels;
    int64_t cols = panels->col_end - panels->col, entry = (int64_t)panels->entry;
    int64_t at = of->offset + (row * of->block.n + panels->col) * entry, bytes = (end - row) * cols * entry;
    const char *from = panels->strip;

    while (bytes > 0) {
        ssize_t written = pwrite(of->fd, from, (size_t)bytes, (off_t)at);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return of->call->host->fail(of->call, ALCH_ESYSTEM, "data set '%s' of file '%s' cannot be written: %s",
                                        of->dataset, of->file, strerror(errno));
        from += written, at += written, bytes -= written;
    }
    return ALCH_OK;
}

/* My strip between the file and memory. */
static int
move_strip(moving_t *moving)
{
    int64_t row, end = hdf5_panels_strip(&moving->panels, moving->of->call->rank, &row);

    if (row == end)
        return ALCH_OK;
    return moving->of->write ? write_strip(moving, row, end) : read_strip(moving, row, end);
}

static int
move_panel(moving_t *moving)
{
    const alch_host_t *host = moving->of->call->host;
    int code;

    if (moving->of->write)
        hdf5_panels_gather(&moving->panels);
    code = host->agree(moving->of->call, move_strip(moving), NULL);
    if (!code && !moving->of->write)
        hdf5_panels_spread(&moving->panels);
    return code;
}

static int
move_all(moving_t *moving)
{
    hdf5_transfer_t *of = moving->of;
    const alch_host_t *host = of->call->host;
    int64_t count = hdf5_panels_count(&moving->panels), done = 0;

    while (hdf5_panels_next(&moving->panels)) {
        int code = move_panel(moving);

        if (code)
            return code;
        done++;
        host->progress(of->call, of->done + of->share * (double)done / (double)count, "%s data set '%s'",
                       of->write ? "writing" : "reading", of->dataset);
        if (host->cancelled(of->call))
            return host->fail(of->call, ALCH_ECANCELED, "cancelled after %lld of %lld parts of data set '%s'",
                              (long long)done, (long long)count, of->dataset);
    }
    return ALCH_OK;
}

int
hdf5_transfer(hdf5_transfer_t *transfer)
{
    alch_dtype_t dtype = dtype_on_the_way(transfer);
    bool named = !transfer->write && transfer->type->kind == HDF5_COMPLEX;
    moving_t moving = {.of = transfer};
    int code = hdf5_panels_init(&moving.panels, transfer->call, &transfer->block, transfer->write, transfer->cols.count,
                                hdf5_dtype_size(dtype));

    if (!code) {
        moving.memory = hdf5_type_memory(dtype, named ? transfer->type->re : "r", named ? transfer->type->im : "i");
        moving.plan = H5Pcreate(H5P_DATASET_XFER);
        H5Pset_type_conv_cb(moving.plan, note_unfit, &moving.unfit);
        code = move_all(&moving);
        H5Pclose(moving.plan);
        H5Tclose(moving.memory);
    }
    hdf5_panels_fini(&moving.panels);
    return code;
}
