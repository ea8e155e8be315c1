/**
 * @file kernel.h
 * Copy kernels: what moves the entries once the layout has been resolved into runs.
 *
 * A run is an m x n set of entries with constant strides on both sides. A kernel may rely on
 * what its selector promises about the strides and on nothing else: bases need not be aligned,
 * strides may be negative or 0, m and n are at least 1. Faster kernels replace these in
 * alchi_kernel() alone.
 */
#ifndef ALCHI_KERNEL_H
#define ALCHI_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Strides in entries; `in` is the inner dimension, in which the target is denser. */
typedef struct {
    char *to;
    const char *from;
    int64_t to_in, to_out, from_in, from_out;
    int64_t in, out; /* how many entries in each dimension */
} alchi_run_t;

typedef void alchi_kernel_f(const alchi_run_t *run);

/** The kernel for entries of `size` bytes (4, 8, 16) and this run. */
alchi_kernel_f *alchi_kernel(size_t size, const alchi_run_t *run);

#endif
