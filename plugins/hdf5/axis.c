#include "axis.h"

static int64_t
smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void
hdf5_axis_place(hdf5_axis_t *axis, int64_t local, int64_t block, int64_t procs, int64_t offset)
{
    /* What nobody shares is one block. */
    axis->block = procs == 1 ? (local > 0 ? local : 1) : block;
    axis->period = axis->block * procs;
    axis->local = local;
    axis->offset = offset;
}

void
hdf5_axis_map(hdf5_axis_t *axis, int64_t begin, int64_t step, int64_t width)
{
    axis->begin = begin;
    axis->step = step;
    axis->width = width > 0 ? width : 1;
}

hdf5_run_t
hdf5_axis_run(const hdf5_axis_t *axis, int64_t from, int64_t most)
{
    int64_t in = from % axis->block, global = axis->offset + from / axis->block * axis->period + in;
    int64_t left = axis->width - global % axis->width; /* up to where the data set's entries begin anew */
    hdf5_run_t run = {.from = from, .start = axis->begin + axis->step * (global % axis->width)};

    most = smaller(most, axis->local - from);
    if (in == 0 && smaller(most, left) >= axis->block && (axis->step == 1 || axis->block == 1)) {
        run.block = axis->block;
        run.count = smaller(most / axis->block, (left - axis->block) / axis->period + 1);
        run.stride = axis->step * axis->period;
    } else {
        int64_t length = smaller(smaller(most, left), axis->block - in);

        run.block = axis->step == 1 ? length : 1;
        run.count = length / run.block;
        run.stride = axis->step == 1 ? length : axis->step;
    }
    run.length = run.count * run.block;
    return run;
}

void
hdf5_tiles_init(hdf5_tiles_t *tiles, const hdf5_axis_t *rows, const hdf5_axis_t *cols, int64_t most)
{
    *tiles = (hdf5_tiles_t){.row_axis = rows, .col_axis = cols};
    tiles->most_cols = smaller(most, cols->local > 0 ? cols->local : 1);
    tiles->most_rows = most / tiles->most_cols;
}

bool
hdf5_tiles_next(hdf5_tiles_t *tiles)
{
    if (tiles->row >= tiles->row_axis->local || tiles->col_axis->local == 0)
        return false;
    tiles->rows = hdf5_axis_run(tiles->row_axis, tiles->row, tiles->most_rows);
    tiles->cols = hdf5_axis_run(tiles->col_axis, tiles->col, tiles->most_cols);
    tiles->col += tiles->cols.length;
    if (tiles->col >= tiles->col_axis->local) {
        tiles->col = 0;
        tiles->row += tiles->rows.length;
    }
    return true;
}
