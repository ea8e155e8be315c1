/**
 * @file region.h
 * A set of entries of an m x n local part: which have been written.
 *
 * Kept as a few merged rectangles; when those fragment, as a bitmap. Both are exact.
 * Not thread-safe: the owner locks.
 */
#ifndef ALCHI_REGION_H
#define ALCHI_REGION_H

#include <alchemist/error.h>
#include <alchemist/types.h>
#include <stdbool.h>

typedef struct alchi_region alchi_region_t;

alchi_region_t *alchi_region_create(int64_t m, int64_t n);
void alchi_region_destroy(alchi_region_t *region);

/** Add a rectangle within m x n. @return ALCH_OK, ALCH_ENOMEM (unchanged) */
int alchi_region_add(alchi_region_t *region, const alch_rect_t *rect);
bool alchi_region_covers(const alchi_region_t *region, const alch_rect_t *rect);
/** All m * n entries; true for empty parts. O(1). */
bool alchi_region_complete(const alchi_region_t *region);
void alchi_region_fill(alchi_region_t *region);
int64_t alchi_region_count(const alchi_region_t *region);
/** A rectangle of `within` that is missing (the first in column order, as large as is easily seen). @return false: none */
bool alchi_region_missing(const alchi_region_t *region, const alch_rect_t *within, alch_rect_t *missing_p);

#endif
