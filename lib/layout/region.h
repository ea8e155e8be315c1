/**
 * @file layout/region.h
 * A region: the set of entries of an m x n local part that have been written. The text calls them the entries that the
 * region holds; the other entries of the part are missing.
 *
 * A region is kept as a few disjoint rectangles and, when these fragment, as a bitmap. Both are exact. Rectangles and
 * index sets that a caller passes are within m x n.
 *
 * @threads  not safe: the owner of a region locks it
 */
#ifndef ALCHI_LAYOUT_REGION_H
#define ALCHI_LAYOUT_REGION_H

#include "layout/intersect.h"
#include <stddef.h>

typedef struct alchi_region alchi_region_t;

/** @return an empty region, which the caller destroys, or NULL: out of memory */
alchi_region_t *alchi_region_create(int64_t m, int64_t n);
/** @param region  or NULL */
void alchi_region_destroy(alchi_region_t *region);

/** Add all entries of a rectangle. @return ALCH_OK; ALCH_ENOMEM: the region is unchanged */
int alchi_region_add(alchi_region_t *region, const alch_rect_t *rect);
/** @return whether the region holds all entries of a rectangle */
bool alchi_region_covers(const alchi_region_t *region, const alch_rect_t *rect);

/** Add every entry whose row is in `rows` and whose column is in `cols`. Side b of both sets is the part: rows and
 *  columns are its storage indices. This is also true for the next three functions. @return as alchi_region_add() */
int alchi_region_add_set(alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols);
/** @return whether the region holds all entries of the product of two sets. If memory is short, the function is slower,
 *  but its result is correct. */
bool alchi_region_covers_set(const alchi_region_t *region, const alchi_intersect_t *rows,
                             const alchi_intersect_t *cols);
/** Find missing entries in the product of two sets. The function searches one column after the other and is slow: use
 * it to name missing entries in an error text. @param[out] missing_p  a rectangle in one column
 *  @return false: no entry is missing */
bool alchi_region_missing_set(const alchi_region_t *region, const alchi_intersect_t *rows,
                              const alchi_intersect_t *cols, alch_rect_t *missing_p);
/**
 * Get which entries of the product of two sets the region holds.
 *
 * @param[in,out] mask  a bit for each entry of the product, columns in rising order and the rows of each column in
 *                      rising order; bit k is bit k % 64 of word k / 64. The caller has zeroed it; the function sets
 *                      the bits of entries that the region holds.
 * @return how many entries of the product the region holds
 */
int64_t alchi_region_mask(const alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                          uint64_t *mask);
/** @return whether the region holds all m * n entries; true if m or n is 0. Takes constant time. */
bool alchi_region_complete(const alchi_region_t *region);
/** Add all m * n entries. */
void alchi_region_fill(alchi_region_t *region);
/** @return how many entries the region holds */
int64_t alchi_region_count(const alchi_region_t *region);
/** Find missing entries of `within`. @param[out] missing_p  a rectangle of missing entries. Its first entry is the
 * first missing entry in column order. A larger such rectangle may exist. @return false: no entry is missing */
bool alchi_region_missing(const alchi_region_t *region, const alch_rect_t *within, alch_rect_t *missing_p);

/** Copy a region to a part with `m` rows. The copy has no entries in rows from `m` on.
 *  @return a region, which the caller destroys, or NULL: out of memory */
alchi_region_t *alchi_region_resized(const alchi_region_t *region, int64_t m);

/**
 * List the missing entries of `within` as disjoint rectangles, at most `max`.
 *
 * @param[out] missing       [max] rectangles whose entries are all missing
 * @param[out] rest          [2 * max + 1] rectangles that the function had not examined when `missing` was full; they
 *                           are disjoint from each other and from all of `missing`
 * @param[out] rest_count_p  how many rectangles `rest` has; 0: `missing` lists all missing entries
 * @return how many rectangles `missing` has
 */
size_t alchi_region_list_missing(const alchi_region_t *region, const alch_rect_t *within, alch_rect_t *missing,
                                 size_t max, alch_rect_t *rest, size_t *rest_count_p);

#endif
