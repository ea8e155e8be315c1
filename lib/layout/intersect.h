/**
 * @file layout/intersect.h
 * The indices that two block-cyclic index sets have in common.
 *
 * Two places, of different grids with different blocks, hold some indices of one dimension each. What they
 * have in common is yielded as combs: `count` teeth of `length` consecutive indices, at equal distances in
 * the dimension and in the storage of both. Wherever the sets are regular there are few combs: one if the
 * blocks are equal, one per block of the coarser side if the other's period fits into it, one if there is
 * one tooth in each least common multiple of the periods. Else a comb is a single tooth, at least as long
 * as the alignment of the blocks makes it. Nothing is stored: pure integer arithmetic, MT-Safe.
 */
#ifndef ALCHI_LAYOUT_INTERSECT_H
#define ALCHI_LAYOUT_INTERSECT_H

#include "layout/layout.h"

typedef struct {
    alchi_axis_t a, b;
    int64_t begin, end; /* indices within begin..end-1 */
    int64_t lcm;        /* of the periods if there is one tooth in each; else 0 */
} alchi_intersect_t;

typedef struct {
    int64_t length, count;
    int64_t index, step; /* in the dimension: tooth k starts at index + k * step */
    int64_t a, a_step;   /* the same in the storage of a */
    int64_t b, b_step;
} alchi_strided_run_t;

/** Common indices within begin..end-1. Blocks >= 1, periods >= blocks, first >= 0, end at most 2^60. */
void alchi_intersect_init(alchi_intersect_t *set, const alchi_axis_t *a, const alchi_axis_t *b, int64_t begin,
                          int64_t end);

/** The comb that starts at the first common index at or after `index`. Combs come in rising order and do not overlap:
 *  go on from alchi_strided_run_end(). @return false: there is none */
bool alchi_intersect_next(const alchi_intersect_t *set, int64_t index, alchi_strided_run_t *run_p);

/** The index after a comb's last. */
static inline int64_t
alchi_strided_run_end(const alchi_strided_run_t *run)
{
    return run->index + (run->count - 1) * run->step + run->length;
}

/** How many common indices there are. */
int64_t alchi_intersect_count(const alchi_intersect_t *set);

/** Narrow `set` to its first common indices, `max` (>= 1) at most, and its bounds to the first and the last of them.
 *  @return how many these are; 0: there is none, the bounds are empty */
int64_t alchi_intersect_take(alchi_intersect_t *set, int64_t max);

/** The same indices, seen from the other side: a becomes b. */
static inline alchi_intersect_t
alchi_intersect_swapped(const alchi_intersect_t *set)
{
    return (alchi_intersect_t){.a = set->b, .b = set->a, .begin = set->begin, .end = set->end, .lcm = set->lcm};
}

/** The storage index on an axis of an index that it holds. */
int64_t alchi_axis_local(const alchi_axis_t *axis, int64_t index);

#endif
