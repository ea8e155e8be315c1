/** @file layout/bitmap.h  Runs of bits in an array of words: what region.c falls back to. */
#ifndef ALCHI_LAYOUT_BITMAP_H
#define ALCHI_LAYOUT_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

/** Set bits first..first+count-1. @return how many were clear before */
int64_t alchi_bits_set(uint64_t *words, int64_t first, int64_t count);

/** Set bits first.. wherever `mask` has its bits 0..count-1 set; above them it has none.
 *  @return as alchi_bits_set() */
int64_t alchi_bits_or(uint64_t *words, int64_t first, const uint64_t *mask, int64_t count);

/** Whether all bits that alchi_bits_or() would set are set. */
bool alchi_bits_hold(const uint64_t *words, int64_t first, const uint64_t *mask, int64_t count);

/** The first bit at or after `first` and before `end` whose value is `value`; `end` if there is none. */
int64_t alchi_bits_find(const uint64_t *words, int64_t first, int64_t end, bool value);

#endif
