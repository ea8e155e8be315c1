/* The entries of a rank's part, chunk by chunk: all ranks take the same number of steps, since HDF5 is collective. */
#include "h5.h"
#include "transpose.h"

#include <stdlib.h>

#define CHUNK_BYTES (INT64_C(16) << 20)

typedef struct {
    hdf5_transfer_t *of;
    hid_t memory, plan; /* the type of the buffer's entries; how HDF5 moves them */
    hdf5_move_t move;
    size_t entry; /* bytes of one in the buffer */
    void *buffer;
    int64_t most;  /* entries that it holds */
    int64_t unfit; /* values that the type of the matrix cannot hold */
} chunks_t;

/* Called for each value that a conversion cannot keep; what is lost in the last digits is no error. */
static H5T_conv_ret_t
note_unfit(H5T_conv_except_t what, hid_t from, hid_t to, void *in, void *out, void *context)
{
    (void)from, (void)to, (void)in, (void)out;
    if (what == H5T_CONV_EXCEPT_RANGE_HI || what == H5T_CONV_EXCEPT_RANGE_LOW)
        ++*(int64_t *)context;
    return H5T_CONV_UNHANDLED;
}

static alch_dtype_t
buffer_dtype(const hdf5_transfer_t *transfer)
{
    alch_dtype_t dtype = transfer->block.dtype;

    if (transfer->write || transfer->type->kind == HDF5_COMPLEX || !hdf5_dtype_complex(dtype))
        return dtype;
    return dtype == ALCH_COMPLEX64 ? ALCH_FLOAT32 : ALCH_FLOAT64;
}

static hdf5_move_t
choose_move(size_t in, size_t out)
{
    if (in != out)
        return in == 4 ? HDF5_WIDEN4 : HDF5_WIDEN8;
    return in == 4 ? HDF5_COPY4 : in == 8 ? HDF5_COPY8 : HDF5_COPY16;
}

static int64_t
largest_part(const hdf5_transfer_t *transfer)
{
    int64_t entries = transfer->rows.local * transfer->cols.local;

    return entries > 0 ? entries : 1;
}

/* The buffer is the only memory of this library that grows with the matrix; HDF5 and MPI-IO have some of their own. */
static int
begin(chunks_t *chunks, hdf5_transfer_t *transfer)
{
    alch_call_t *call = transfer->call;
    alch_dtype_t dtype = buffer_dtype(transfer);
    bool named = !transfer->write && transfer->type->kind == HDF5_COMPLEX;
    int code;

    *chunks = (chunks_t){.of = transfer, .entry = hdf5_dtype_size(dtype)};
    chunks->move = choose_move(chunks->entry, hdf5_dtype_size(transfer->block.dtype));
    chunks->most = CHUNK_BYTES / (int64_t)chunks->entry;
    if (chunks->most > largest_part(transfer))
        chunks->most = largest_part(transfer);
    code = call->host->workspace(call, chunks->most * (int64_t)chunks->entry);
    if (!code && !(chunks->buffer = malloc((size_t)chunks->most * chunks->entry)))
        code = call->host->fail(call, ALCH_ENOMEM, "no memory for a buffer of %lld bytes",
                                (long long)(chunks->most * (int64_t)chunks->entry));
    chunks->memory = hdf5_type_memory(dtype, named ? transfer->type->re : "r", named ? transfer->type->im : "i");
    chunks->plan = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_dxpl_mpio(chunks->plan, H5FD_MPIO_COLLECTIVE);
    return call->host->agree(call, code, NULL);
}

static void
end(chunks_t *chunks)
{
    H5Pclose(chunks->plan);
    H5Tclose(chunks->memory);
    free(chunks->buffer);
    (void)chunks->of->call->host->workspace(chunks->of->call, 0);
}

static int64_t
count_steps(const chunks_t *chunks)
{
    hdf5_tiles_t tiles;
    int64_t steps = 0, most = 0;

    hdf5_tiles_init(&tiles, &chunks->of->rows, &chunks->of->cols, chunks->most);
    while (hdf5_tiles_next(&tiles))
        steps++;
    MPI_Allreduce(&steps, &most, 1, MPI_INT64_T, MPI_MAX, chunks->of->call->comm);
    return most;
}

/* What of the file a tile is. A column of one dimension has no second one. */
static hid_t
select_in_file(const chunks_t *chunks, const hdf5_tiles_t *tile)
{
    hid_t space = H5Dget_space(chunks->of->id);
    hsize_t start[2], stride[2], count[2], block[2];

    if (!tile) {
        H5Sselect_none(space);
        return space;
    }
    start[0] = (hsize_t)tile->rows.start, start[1] = (hsize_t)tile->cols.start;
    stride[0] = (hsize_t)tile->rows.stride, stride[1] = (hsize_t)tile->cols.stride;
    count[0] = (hsize_t)tile->rows.count, count[1] = (hsize_t)tile->cols.count;
    block[0] = (hsize_t)tile->rows.block, block[1] = (hsize_t)tile->cols.block;
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, stride, count, block);
    return space;
}

static hid_t
select_in_memory(const hdf5_tiles_t *tile)
{
    hsize_t dims[2] = {tile ? (hsize_t)tile->rows.length : 1, tile ? (hsize_t)tile->cols.length : 1};
    hid_t space = H5Screate_simple(2, dims, NULL);

    if (!tile)
        H5Sselect_none(space);
    return space;
}

static char *
place(const chunks_t *chunks, const hdf5_tiles_t *tile)
{
    const alch_block_t *block = &chunks->of->block;

    return (char *)block->data +
           (size_t)(tile->rows.from + tile->cols.from * block->lld) * hdf5_dtype_size(block->dtype);
}

/* @param tile  NULL: this rank has no more, and only takes part */
static int
move_tile(chunks_t *chunks, const hdf5_tiles_t *tile)
{
    hdf5_transfer_t *of = chunks->of;
    hid_t file_space = select_in_file(chunks, tile), memory_space = select_in_memory(tile);
    int64_t lld = of->block.lld;
    herr_t bad;

    if (of->write && tile)
        hdf5_columns_to_rows(chunks->move, place(chunks, tile), lld, tile->rows.length, tile->cols.length,
                             chunks->buffer);
    bad = of->write ? H5Dwrite(of->id, chunks->memory, memory_space, file_space, chunks->plan, chunks->buffer)
                    : H5Dread(of->id, chunks->memory, memory_space, file_space, chunks->plan, chunks->buffer);
    if (!of->write && tile && bad >= 0)
        hdf5_rows_to_columns(chunks->move, chunks->buffer, tile->rows.length, tile->cols.length, place(chunks, tile),
                             lld);
    H5Sclose(file_space);
    H5Sclose(memory_space);
    if (bad < 0)
        return hdf5_fail(of->call, ALCH_ESYSTEM, "data set '%s' of file '%s' cannot be %s", of->dataset, of->file,
                         of->write ? "written" : "read");
    if (chunks->unfit)
        return of->call->host->fail(
            of->call, ALCH_ERANGE,
            "data set '%s' of file '%s' (%s): %lld values in rows %lld to %lld do not fit into "
            "%s",
            of->dataset, of->file, of->type->name, (long long)chunks->unfit, (long long)tile->rows.start,
            (long long)(tile->rows.start + (tile->rows.count - 1) * tile->rows.stride + tile->rows.block - 1),
            hdf5_dtype_name(of->block.dtype));
    return ALCH_OK;
}

static int
run_steps(chunks_t *chunks)
{
    hdf5_transfer_t *of = chunks->of;
    const alch_host_t *host = of->call->host;
    int64_t steps = count_steps(chunks);
    hdf5_tiles_t tiles;
    int code;

    hdf5_tiles_init(&tiles, &of->rows, &of->cols, chunks->most);
    for (int64_t step = 0; step < steps; step++) {
        bool more = hdf5_tiles_next(&tiles);

        if ((code = host->agree(of->call, move_tile(chunks, more ? &tiles : NULL), NULL)))
            return code;
        host->progress(of->call, of->done + of->share * (double)(step + 1) / (double)steps, "%s data set '%s'",
                       of->write ? "writing" : "reading", of->dataset);
        if (host->cancelled(of->call))
            return host->fail(of->call, ALCH_ECANCELED, "cancelled after %lld of %lld parts of data set '%s'",
                              (long long)(step + 1), (long long)steps, of->dataset);
    }
    return ALCH_OK;
}

int
hdf5_transfer(hdf5_transfer_t *transfer)
{
    chunks_t chunks;
    int code = begin(&chunks, transfer);

    if (!code) {
        H5Pset_type_conv_cb(chunks.plan, note_unfit, &chunks.unfit);
        code = run_steps(&chunks);
    }
    end(&chunks);
    return code;
}
