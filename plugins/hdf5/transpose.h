/* Between the rows of a data set (C order) and the columns of a local block: memory alone. */
#ifndef PLUGIN_HDF5_TRANSPOSE_H
#define PLUGIN_HDF5_TRANSPOSE_H

#include <stddef.h>
#include <stdint.h>

/* How one entry gets from the file's buffer into the matrix: as it is, or a real one as a complex one. */
typedef enum { HDF5_COPY4, HDF5_COPY8, HDF5_COPY16, HDF5_WIDEN4, HDF5_WIDEN8 } hdf5_move_t;

/* `rows` holds m rows of n entries without gaps; column j of the matrix begins at entry j * lld of `columns`. */
void hdf5_rows_to_columns(hdf5_move_t move, const void *rows, int64_t m, int64_t n, void *columns, int64_t lld);
/* The other way; not for widening moves. */
void hdf5_columns_to_rows(hdf5_move_t move, const void *columns, int64_t lld, int64_t m, int64_t n, void *rows);

#endif
