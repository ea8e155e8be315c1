/**
 * @file layout/intersect.h
 * The intersection of two block-cyclic index sets, as strided runs.
 *
 * Two places, whose grids and block sizes may differ, each hold an index set of one dimension. Their intersection is
 * listed as strided runs. A run consists of `count` segments of `length` consecutive indices each. The distance from
 * one segment to the next is constant in the dimension and in the storage of both places:
 *
 *     index           index + step      index + 2 * step
 *     |               |                 |
 *     [== length ==]..[== length ==]....[== length ==]      a run with count = 3
 *
 * There are few runs where the sets are regular:
 * - one run, if the blocks are equal or if each least common multiple of the periods holds one segment;
 * - one run for each block of the coarser set, if a period of the finer set fits into that block, and another run for
 *   each segment that an end of that block cuts.
 * Otherwise each run has a single segment. A segment that the bounds cut is also a run by itself.
 *
 * These functions compute with integers only and store no lists.
 *
 * @threads  MT-Safe
 */
#ifndef ALCHI_LAYOUT_INTERSECT_H
#define ALCHI_LAYOUT_INTERSECT_H

#include "layout/layout.h"

/** An intersection: the indices within begin..end-1 that both axes hold. */
typedef struct {
    alchi_axis_t a, b;  /* the two sides */
    int64_t begin, end; /* indices in the dimension */
    int64_t lcm; /* least common multiple of the periods if all whole segments are one run with this step, else 0 */
} alchi_intersect_t;

typedef struct {
    int64_t length, count; /* indices in a segment; segments */
    int64_t index, step;   /* in the dimension: segment k starts at index + k * step */
    int64_t a, a_step;     /* in the storage of side a: segment k starts at a + k * a_step */
    int64_t b, b_step;     /* in the storage of side b */
} alchi_strided_run_t;

/**
 * Intersect two index sets.
 *
 * @param[out] set   the intersection
 * @param[in] a, b   copied; block >= 1, period >= block, first >= 0
 * @param begin, end  only indices within begin..end-1 count; end is at most 2^60
 */
void alchi_intersect_init(alchi_intersect_t *set, const alchi_axis_t *a, const alchi_axis_t *b, int64_t begin,
                          int64_t end);

/**
 * Find the run that starts at the first index of the set at or after `index`.
 *
 * Runs come in rising order and do not overlap: to list all, start at set->begin and continue at
 * alchi_strided_run_end() of each run.
 *
 * @return false if the set has no index at or after `index`
 */
bool alchi_intersect_next(const alchi_intersect_t *set, int64_t index, alchi_strided_run_t *run_p);

/** @return the index after the last index of a run */
static inline int64_t
alchi_strided_run_end(const alchi_strided_run_t *run)
{
    return run->index + (run->count - 1) * run->step + run->length;
}

/** @return how many indices the set has */
int64_t alchi_intersect_count(const alchi_intersect_t *set);

/**
 * Narrow `set` to its first `max` (>= 1) indices, or to all if it has fewer. Its bounds then begin at the first of
 * these indices and end after the last.
 *
 * @return how many indices the set has now; 0: it had none, and its bounds are now empty
 */
int64_t alchi_intersect_take(alchi_intersect_t *set, int64_t max);

/** @return the same set with sides a and b exchanged */
static inline alchi_intersect_t
alchi_intersect_swapped(const alchi_intersect_t *set)
{
    return (alchi_intersect_t){.a = set->b, .b = set->a, .begin = set->begin, .end = set->end, .lcm = set->lcm};
}

/** The inverse of alchi_axis_global(). @return the local (storage) index of a global index that the axis holds */
int64_t alchi_axis_local(const alchi_axis_t *axis, int64_t index);

#endif
