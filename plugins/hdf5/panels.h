/** @file hdf5/panels.h  A data set and a matrix in panels, which are exchanged between the ranks.
 *
 *  A panel is a range of rows (and, if rows are long, of columns). It is divided into one strip for each rank. A rank
 *  reads or writes its strip in the order of the file, some rows at a time (a batch). A batch is small enough to be
 *  still in the caches when its entries are copied to their places. Once for each panel the ranks exchange the entries
 *  of their strips that belong to other ranks.
 *
 *  The file system therefore sees long contiguous accesses whatever the layout is, and no HDF5 call is collective. If a
 *  rank failed in a collective HDF5 call, the others would wait for it without end, and MPI-IO is slow if there are
 *  more ranks than cores. */
#ifndef PLUGIN_HDF5_PANELS_H
#define PLUGIN_HDF5_PANELS_H

#include "h5.h"

typedef struct {
    alch_call_t *call;
    bool write;
    alch_block_t *blocks;    /* the matrix as each rank has it; all have this rank's data pointer */
    int64_t m, cols, copies; /* rows and columns of the data set; the matrix holds the columns `copies` times */
    size_t entry_size;
    MPI_Datatype type;                          /* one entry */
    int64_t row_offset;                         /* of hdf5_chunking_t */
    int64_t strip_rows, strip_cols, batch_rows; /* maxima */
    char *batch;                                /* in the order of the file */
    char *strip_buffer;                         /* entries of this rank's strip that belong to other ranks */
    char *block_buffer;                         /* entries of this rank's block that are in other ranks' strips */
    int *strip_counts, *strip_displs, *block_counts, *block_displs; /* of MPI_Alltoallv(), for each rank */
    int64_t row, row_end, col, col_end; /* the current panel, in rows and columns of the data set */
} hdf5_panels_t;

/** Choose the sizes, account for the memory and allocate it. The caller calls hdf5_panels_fini() after a failure too.
 *  @collective yes */
int hdf5_panels_init(hdf5_panels_t *panels, alch_call_t *call, const alch_block_t *block, bool write, int64_t cols,
                     const hdf5_chunking_t *chunking);
void hdf5_panels_fini(hdf5_panels_t *panels);

int64_t hdf5_panels_count(const hdf5_panels_t *panels);
/** Go to the next panel. @return false: there are no more */
bool hdf5_panels_next(hdf5_panels_t *panels);
/** Go to the next batch of this rank's strip. The first call for a panel takes a zeroed batch.
 *  @return false: there are no more */
bool hdf5_panels_next_batch(const hdf5_panels_t *panels, alch_rect_t *batch);

/** Copy entries between panels->batch and this rank's block or the strip buffer. */
void hdf5_panels_copy_batch(hdf5_panels_t *panels, const alch_rect_t *batch);
/** Exchange the entries of a panel: a reader calls this after the last batch, a writer before the first.
 *  @collective yes */
int hdf5_panels_exchange(hdf5_panels_t *panels);

#endif
