#include "axis.h"

int64_t
hdf5_axis_count(const hdf5_axis_t *axis, int64_t place, int64_t end)
{
    int64_t period = axis->block * axis->places, rest = end % period - place * axis->block;

    rest = rest < 0 ? 0 : rest > axis->block ? axis->block : rest;
    return end / period * axis->block + rest;
}

int64_t
hdf5_axis_global(const hdf5_axis_t *axis, int64_t place, int64_t i)
{
    return (i / axis->block * axis->places + place) * axis->block + i % axis->block;
}

int64_t
hdf5_axis_most(const hdf5_axis_t *axis, int64_t length)
{
    return hdf5_axis_count(axis, 0, length);
}
