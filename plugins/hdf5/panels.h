/* A matrix in panels of rows. A panel is cut into one strip for each rank, which the rank reads from or writes to the
 * file as it lies there; between strips and local blocks the ranks exchange what each needs. File systems see long
 * contiguous pieces whatever the layout, and nothing has to be collective in HDF5: a rank that fails in a collective
 * call of it would leave the others waiting for ever, and MPI-IO is slow where ranks outnumber cores. */
#ifndef PLUGIN_HDF5_PANELS_H
#define PLUGIN_HDF5_PANELS_H

#include "axis.h"
#include "h5.h"
#include "transpose.h"

typedef struct {
    int replica, row, col; /* as in alch_block_t */
} hdf5_place_t;

typedef struct {
    alch_call_t *call;
    alch_block_t block;
    bool write;
    hdf5_axis_t rows, cols;
    hdf5_place_t *places; /* of all ranks */
    int64_t width;        /* columns of the data set that are read; the matrix has them `copies` times */
    size_t entry;         /* bytes of one, on the way */
    hdf5_move_t move;
    MPI_Datatype type;
    int64_t strip_rows, most_cols; /* of a panel at most */
    char *strip, *outer, *inner;   /* in the file's order; what strips exchange; what blocks exchange */
    int64_t *picks, *pick_start;   /* columns of the strip that each grid column has, behind one another */
    int *outer_counts, *outer_starts, *inner_counts, *inner_starts;
    int64_t row, row_end, col, col_end; /* the panel in hand; columns of the matrix */
} hdf5_panels_t;

/* Choose sizes, account for the memory and get it. Zeroed before. @collective yes */
int hdf5_panels_init(hdf5_panels_t *panels, alch_call_t *call, const alch_block_t *block, bool write, int64_t width,
                     size_t entry);
void hdf5_panels_fini(hdf5_panels_t *panels);

int64_t hdf5_panels_count(const hdf5_panels_t *panels);
/* The next one. @return false: there are no more */
bool hdf5_panels_next(hdf5_panels_t *panels);

/* Rows of the matrix in a rank's strip of the panel: from row_p up to, not including, the result. */
int64_t hdf5_panels_strip(const hdf5_panels_t *panels, int rank, int64_t *row_p);
/* From all strips into all blocks, and back. @collective yes */
void hdf5_panels_spread(hdf5_panels_t *panels);
void hdf5_panels_gather(hdf5_panels_t *panels);

#endif
