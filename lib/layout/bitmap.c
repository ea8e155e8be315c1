/* Bitmaps: 64 bits at a time. See bitmap.h. */
#include "layout/bitmap.h"

/* @return a mask of the bits of word `word` that are within bits first..end-1 of the array */
static uint64_t
word_mask(int64_t word, int64_t first, int64_t end)
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
        uint64_t mask = word_mask(word, first, end);

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
        uint64_t hits = (value ? words[word] : ~words[word]) & word_mask(word, first, end);

        if (hits)
            return word * 64 + __builtin_ctzll(hits);
    }
    return end;
}

/* Set bit first + k of the array for every bit k of `mask` that is set. The mask may reach into a second word. That
 * word may be beyond the end of the array, so it is accessed only if the mask has a bit for it.
 * @return how many of the bits were clear before */
static int64_t
or_word(uint64_t *words, int64_t first, uint64_t mask)
{
    uint64_t *word = words + first / 64;
    int shift = (int)(first % 64);
    uint64_t low = mask << shift, high = shift ? mask >> (64 - shift) : 0;
    int64_t set = __builtin_popcountll(low & ~word[0]);

    word[0] |= low;
    if (high) {
        set += __builtin_popcountll(high & ~word[1]);
        word[1] |= high;
    }
    return set;
}

int64_t
alchi_bits_or(uint64_t *words, int64_t first, const uint64_t *mask, int64_t count)
{
    int64_t set = 0;

    for (int64_t k = 0; k < count; k += 64)
        if (mask[k / 64])
            set += or_word(words, first + k, mask[k / 64]);
    return set;
}

bool
alchi_bits_hold(const uint64_t *words, int64_t first, const uint64_t *mask, int64_t count)
{
    for (int64_t k = 0; k < count; k += 64) {
        uint64_t bits = mask[k / 64];
        const uint64_t *word = words + (first + k) / 64;
        int shift = (int)((first + k) % 64);

        if (!bits)
            continue;
        if (bits << shift & ~word[0] || (shift && bits >> (64 - shift) && bits >> (64 - shift) & ~word[1]))
            return false;
    }
    return true;
}
