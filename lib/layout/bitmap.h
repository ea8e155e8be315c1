/**
 * @file layout/bitmap.h
 * Consecutive bits in an array of 64-bit words. region.c keeps a region in such an array when its rectangles fragment.
 *
 * Bit k is bit k % 64 of word k / 64. The caller makes sure that the array has all bits that it passes.
 *
 * @threads  MT-Safe on different arrays; the caller locks an array that it shares
 */
#ifndef ALCHI_LAYOUT_BITMAP_H
#define ALCHI_LAYOUT_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

/** Set bits first..first+count-1. @return how many of them were clear before */
int64_t alchi_bits_set(uint64_t *words, int64_t first, int64_t count);

/** Set bit first + k for every bit k of `mask` that is set, 0 <= k < count. Bits of the mask's last word from `count`
 *  on must be clear. @return how many of the bits were clear before */
int64_t alchi_bits_or(uint64_t *words, int64_t first, const uint64_t *mask, int64_t count);

/** @return whether all bits that alchi_bits_or() would set are set already */
bool alchi_bits_hold(const uint64_t *words, int64_t first, const uint64_t *mask, int64_t count);

/** @return the first bit within first..end-1 whose value is `value`, or `end` if there is none */
int64_t alchi_bits_find(const uint64_t *words, int64_t first, int64_t end, bool value);

#endif
