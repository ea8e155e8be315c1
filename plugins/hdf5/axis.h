/* Integer arithmetic alone: who has which rows or columns of a matrix. */
#ifndef PLUGIN_HDF5_AXIS_H
#define PLUGIN_HDF5_AXIS_H

#include <stdint.h>

/* `size` entries in blocks of `block`, dealt to `places` rows or columns of the grid in turn. */
typedef struct {
    int64_t size, block, places;
} hdf5_axis_t;

/* How many of the entries before `end` a place has: those of [a, b) are its local entries count(a) to count(b). */
int64_t hdf5_axis_count(const hdf5_axis_t *axis, int64_t place, int64_t end);
/* The entry that is a place's local entry i. */
int64_t hdf5_axis_global(const hdf5_axis_t *axis, int64_t place, int64_t i);
/* The most that one place has of any `length` neighbours. */
int64_t hdf5_axis_most(const hdf5_axis_t *axis, int64_t length);

#endif
