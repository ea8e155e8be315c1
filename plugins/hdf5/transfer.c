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

/* Real numbers become complex ones after they are read. */
static bool
widens(const hdf5_transfer_t *transfer)
{
    return !transfer->write && transfer->type->kind != HDF5_COMPLEX && hdf5_dtype_complex(transfer->block.dtype);
}

/* In place, from the last on. */
static void
widen(alch_dtype_t dtype, void *entries, int64_t count)
{
    if (dtype == ALCH_COMPLEX64)
        for (float *x = entries; count-- > 0;)
            x[2 * count] = x[count], x[2 * count + 1] = 0;
    else
        for (double *x = entries; count-- > 0;)
            x[2 * count] = x[count], x[2 * count + 1] = 0;
}

/* In the file, and the same shape in memory: HDF5 is slow where they differ. */
static void
select_lines(const hdf5_transfer_t *of, const alch_rect_t *lines, hid_t *file_p, hid_t *memory_p)
{
    /* A data set of one dimension looks at the first of each alone. */
    hsize_t start[2] = {(hsize_t)(of->rows.begin + lines->i * of->rows.step),
                        (hsize_t)(of->cols.begin + lines->j * of->cols.step)};
    hsize_t stride[2] = {(hsize_t)of->rows.step, (hsize_t)of->cols.step};
    hsize_t count[2] = {(hsize_t)lines->m, (hsize_t)lines->n};

    *file_p = H5Dget_space(of->id);
    H5Sselect_hyperslab(*file_p, H5S_SELECT_SET, start, stride, count, NULL);
    *memory_p = H5Screate_simple(H5Sget_simple_extent_ndims(*file_p), count, NULL);
}

static int
read_lines(moving_t *moving, const alch_rect_t *lines)
{
    hdf5_transfer_t *of = moving->of;
    int64_t row = of->rows.begin + lines->i * of->rows.step, last = row + (lines->m - 1) * of->rows.step;
    hid_t file_space, memory_space;
    herr_t bad;

    select_lines(of, lines, &file_space, &memory_space);
    bad = H5Dread(of->id, moving->memory, memory_space, file_space, moving->plan, moving->panels.lines);
    H5Sclose(memory_space);
    H5Sclose(file_space);
    if (bad < 0)
        return hdf5_fail(of->call, ALCH_ESYSTEM, "rows %lld to %lld of data set '%s' of file '%s' cannot be read",
                         (long long)row, (long long)last, of->dataset, of->file);
    if (moving->unfit)
        return of->call->host->fail(
            of->call, ALCH_ERANGE,
            "data set '%s' of file '%s' (%s): %lld values in rows %lld to %lld do not fit into %s", of->dataset,
            of->file, of->type->name, (long long)moving->unfit, (long long)row, (long long)last,
            hdf5_dtype_name(of->block.dtype));
    if (widens(of))
        widen(of->block.dtype, moving->panels.lines, lines->m * lines->n);
    return ALCH_OK;
}

/* Lines are one piece of the file: rows are cut only where lines are one row. */
static int
write_lines(moving_t *moving, const alch_rect_t *lines)
{
    hdf5_transfer_t *of = moving->of;
    int64_t entry = (int64_t)moving->panels.entry, bytes = lines->m * lines->n * entry;
    int64_t at = of->offset + (lines->i * of->block.n + lines->j) * entry;
    const char *from = moving->panels.lines;

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
    alch_rect_t lines = {0, 0, 0, 0};
    int code = ALCH_OK;

    while (!code && hdf5_panels_lines(&moving->panels, &lines)) {
        if (moving->of->write)
            hdf5_panels_move(&moving->panels, &lines);
        code = moving->of->write ? write_lines(moving, &lines) : read_lines(moving, &lines);
        if (!code && !moving->of->write)
            hdf5_panels_move(&moving->panels, &lines);
    }
    return code;
}

static int
move_panel(moving_t *moving)
{
    const alch_host_t *host = moving->of->call->host;
    int code = moving->of->write ? hdf5_panels_exchange(&moving->panels) : ALCH_OK;

    if (!code)
        code = move_strip(moving);
    code = host->agree(moving->of->call, code, NULL);
    return code || moving->of->write ? code : hdf5_panels_exchange(&moving->panels);
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

/* Of HDF5's buffers: the matrix' type, or that of its real parts. */
static hid_t
type_in_memory(const hdf5_transfer_t *transfer)
{
    const hdf5_type_t *type = transfer->type;
    alch_dtype_t dtype = transfer->block.dtype;

    if (widens(transfer))
        dtype = dtype == ALCH_COMPLEX64 ? ALCH_FLOAT32 : ALCH_FLOAT64;
    return hdf5_type_memory(dtype, type->re, type->im);
}

int
hdf5_transfer(hdf5_transfer_t *transfer)
{
    moving_t moving = {.of = transfer};
    int code = hdf5_panels_init(&moving.panels, transfer->call, &transfer->block, transfer->write, transfer->cols.count,
                                &transfer->grain);

    if (!code && !transfer->write) {
        moving.memory = type_in_memory(transfer);
        moving.plan = H5Pcreate(H5P_DATASET_XFER);
        H5Pset_type_conv_cb(moving.plan, note_unfit, &moving.unfit);
    }
    if (!code)
        code = move_all(&moving);
    if (moving.plan) {
        H5Pclose(moving.plan);
        H5Tclose(moving.memory);
    }
    hdf5_panels_fini(&moving.panels);
    return code;
}
