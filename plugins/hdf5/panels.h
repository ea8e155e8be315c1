/* A matrix in panels of rows. A panel is cut into one strip for each rank, which the rank reads from or writes to the
 * file as it lies there, some lines at a time, so that they are in its caches when entries go to their places. What
 * others have of a strip is exchanged once for each panel. File systems see long contiguous pieces whatever the layout,
 * and nothing has to be collective in HDF5: a rank that fails in a collective call of it would leave the others waiting
 * for ever, and MPI-IO is slow where ranks outnumber cores. */
#ifndef PLUGIN_HDF5_PANELS_H
#define PLUGIN_HDF5_PANELS_H

#include "h5.h"

typedef struct {
    alch_call_t *call;
    bool write;
    alch_block_t *blocks;     /* the matrix as each rank has it; data is this rank's */
    int64_t m, width, copies; /* rows and columns of the data set; how often the matrix has them side by side */
    size_t entry;             /* bytes of one */
    MPI_Datatype type;
    int64_t lead;                              /* rows of the first chunk that nobody asked for */
    int64_t strip_rows, strip_cols, line_rows; /* at most */
    char *lines, *outer, *inner;               /* in the file's order; what strips exchange; what blocks exchange */
    int *outer_counts, *outer_starts, *inner_counts, *inner_starts;
    int64_t row, row_end, col, col_end; /* the panel in hand, in the data set */
} hdf5_panels_t;

/* Choose sizes, account for the memory and get it. Zeroed before. @collective yes */
int hdf5_panels_init(hdf5_panels_t *panels, alch_call_t *call, const alch_block_t *block, bool write, int64_t width,
                     const hdf5_grain_t *grain);
void hdf5_panels_fini(hdf5_panels_t *panels);

int64_t hdf5_panels_count(const hdf5_panels_t *panels);
/* The next one. @return false: there are no more */
bool hdf5_panels_next(hdf5_panels_t *panels);
/* The next lines of this rank's strip; begin with zeros. @return false: there are no more */
bool hdf5_panels_lines(const hdf5_panels_t *panels, alch_rect_t *lines);

/* Between panels->lines and where their entries are: in this rank's block, or in what strips exchange. */
void hdf5_panels_move(hdf5_panels_t *panels, const alch_rect_t *lines);
/* Exchange: when reading, after the last lines of a panel; when writing, before its first. @collective yes */
int hdf5_panels_exchange(hdf5_panels_t *panels);

#endif
