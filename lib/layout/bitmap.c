/* Runs of bits, a word at a time. */
#include "layout/bitmap.h"

/* The bits of word `word` that lie within first..end-1. */
static uint64_t
mask_of(int64_t word, int64_t first, int64_t end)
{
    uint64_t mask = UINT64_MAX;

    if (first > word * 64)
        mask &= UINT64_MAX << (first - word * 64);
    if (end < word * 64 + 64)
        mask &= UINT64_MAX >> (word * 64 + 64 - end);
    return mask;
}

int64_t
alchi_bits_set(uint64_t *words, int64_t first, int64_t count)
{
    int64_t end = first + count, set = 0;

    if (count <= 0)
        return 0;
    for (int64_t word = first / 64; word <= (end - 1) / 64; word++) {
        uint64_t mask = mask_of(word, first, end);

        set += __builtin_popcountll(mask & ~words[word]);
        words[word] |= mask;
    }
    return set;
}

int64_t
alchi_bits_find(const uint64_t *words, int64_t first, int64_t end, bool value)
{
    if (first >= end)
        return end;
    for (int64_t word = first / 64; word <= (end - 1) / 64; word++) {
        uint64_t hits = (value ? words[word] : ~words[word]) & mask_of(word, first, end);

        if (hits)
            return word * 64 + __builtin_ctzll(hits);
    }
    return end;
}
