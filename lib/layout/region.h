/**
 * @file layout/region.h
 * A set of entries of an m x n local part: which have been written.
 *
 * Kept as a few merged rectangles; when those fragment, as a bitmap. Both are exact.
 * Not thread-safe: the owner locks.
 */
#ifndef ALCHI_LAYOUT_REGION_H
#define ALCHI_LAYOUT_REGION_H

#include "layout/intersect.h"
#include <stddef.h>

typedef struct alchi_region alchi_region_t;

alchi_region_t *alchi_region_create(int64_t m, int64_t n);
void alchi_region_destroy(alchi_region_t *region);

/** Add a rectangle within m x n. @return ALCH_OK, ALCH_ENOMEM (unchanged) */
int alchi_region_add(alchi_region_t *region, const alch_rect_t *rect);
bool alchi_region_covers(const alchi_region_t *region, const alch_rect_t *rect);

/** The same for the rows of one set in the columns of another, by their storage indices on axis b, within m x n. */
int alchi_region_add_set(alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols);
bool alchi_region_covers_set(const alchi_region_t *region, const alchi_intersect_t *rows,
                             const alchi_intersect_t *cols);
/** As alchi_region_missing(), one column. Slow: for messages. */
bool alchi_region_missing_set(const alchi_region_t *region, const alchi_intersect_t *rows,
                              const alchi_intersect_t *cols, alch_rect_t *missing_p);
/** Which entries of a set are held: bit k % 64 of word k / 64 of `mask` is set if the k-th is, columns in rising order
 *  and in each the rows. `mask` has been zeroed. @return how many are held */
int64_t alchi_region_mask(const alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                          uint64_t *mask);
/** All m * n entries; true for empty parts. O(1). */
bool alchi_region_complete(const alchi_region_t *region);
void alchi_region_fill(alchi_region_t *region);
int64_t alchi_region_count(const alchi_region_t *region);
/** A rectangle of `within` that is missing (the first in column order, as large as is easily seen).
 *  @return false: none */
bool alchi_region_missing(const alchi_region_t *region, const alch_rect_t *within, alch_rect_t *missing_p);

/** A region with `m` rows instead, holding what this one holds of them. NULL: out of memory */
alchi_region_t *alchi_region_resized(const alchi_region_t *region, int64_t m);

/**
 * Rectangles of `within` that are missing: disjoint, and all of them unless there are more than `max`.
 *
 * @param[out] missing       [max]
 * @param[out] rest          [2 * max + 1]: what was not looked at when `missing` was full, disjoint from all of these
 * @param[out] rest_count_p  0: `missing` says all
 * @return how many are missing, at most `max`
 */
size_t alchi_region_list_missing(const alchi_region_t *region, const alch_rect_t *within, alch_rect_t *missing,
                                 size_t max, alch_rect_t *rest, size_t *rest_count_p);

#endif
