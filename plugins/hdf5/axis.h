/* Integer arithmetic alone: which entries of a data set a rank's rows or columns are, in runs that HDF5 can select. */
#ifndef PLUGIN_HDF5_AXIS_H
#define PLUGIN_HDF5_AXIS_H

#include <stdbool.h>
#include <stdint.h>

/* Local entry i is global entry offset + i / block * period + i % block, and that is entry
 * begin + step * (global % width) of the data set. */
typedef struct {
    int64_t local;
    int64_t block, period, offset;
    int64_t begin, step, width;
} hdf5_axis_t;

/* A rank's part: blocks of `block` entries, dealt to `procs` places in turn, the first one at global entry `offset`. */
void hdf5_axis_place(hdf5_axis_t *axis, int64_t local, int64_t block, int64_t procs, int64_t offset);
/* The entries of the data set: every step-th of them from `begin` on, `width` of them, then the same again. */
void hdf5_axis_map(hdf5_axis_t *axis, int64_t begin, int64_t step, int64_t width);

/* Neighbours among the local entries: `count` blocks of `block` entries, `stride` apart, from `start` on. */
typedef struct {
    int64_t from, length;
    int64_t start, stride, count, block;
} hdf5_run_t;

/* The longest run that begins at local entry `from` and has at most `most` entries; most > 0, from < local. */
hdf5_run_t hdf5_axis_run(const hdf5_axis_t *axis, int64_t from, int64_t most);

/* A rectangle of a rank's part, cut so that it has at most so many entries. */
typedef struct {
    const hdf5_axis_t *row_axis, *col_axis;
    int64_t most_rows, most_cols;
    int64_t row, col;      /* where the next tile begins */
    hdf5_run_t rows, cols; /* the tile */
} hdf5_tiles_t;

/* @param most  entries of one tile, at least 1 */
void hdf5_tiles_init(hdf5_tiles_t *tiles, const hdf5_axis_t *rows, const hdf5_axis_t *cols, int64_t most);
/* @return false: there are no more */
bool hdf5_tiles_next(hdf5_tiles_t *tiles);

#endif
