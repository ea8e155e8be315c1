/* Kernels that use AVX2. They are compiled for every x86-64 processor and used where the processor has AVX2. */
#include "pack/kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE TARGET static inline __attribute__((always_inline))

/* Prefetch into the second-level cache. The processor can have more such prefetches under way than prefetches into the
 * first-level cache, which did not help (test/bench/MEASUREMENTS.md, Packing). */
INLINE void
prefetch(const char *at)
{
    _mm_prefetch(at, _MM_HINT_T1);
}

/* Load 16 bytes from each of two addresses into the halves of a register. */
INLINE __m256i
load_pair(const char *low, const char *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)low)),
                                   _mm_loadu_si128((const __m128i *)(const void *)high), 1);
}

INLINE void
store_32(char *to, __m256i entries)
{
    _mm256_storeu_si256((__m256i *)(void *)to, entries);
}

/* Transpose 4 x 4 entries of 8 bytes. */
INLINE void
transpose_4x4(char *const *to, char *const *from)
{
    __m256i a = load_pair(from[0], from[2]), b = load_pair(from[1], from[3]);
    __m256i c = load_pair(from[0] + 16, from[2] + 16), d = load_pair(from[1] + 16, from[3] + 16);

    store_32(to[0], _mm256_unpacklo_epi64(a, b));
    store_32(to[1], _mm256_unpackhi_epi64(a, b));
    store_32(to[2], _mm256_unpacklo_epi64(c, d));
    store_32(to[3], _mm256_unpackhi_epi64(c, d));
}

/* Transpose 8 x 4 entries of 4 bytes: four lines of 32 bytes from 16 bytes, at `offset`, of each of eight lines. */
INLINE void
transpose_8x4(char *const *to, char *const *from, int offset)
{
    __m256i a = load_pair(from[0] + offset, from[4] + offset), b = load_pair(from[1] + offset, from[5] + offset);
    __m256i c = load_pair(from[2] + offset, from[6] + offset), d = load_pair(from[3] + offset, from[7] + offset);
    __m256i ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);

    store_32(to[0], _mm256_unpacklo_epi64(ab, cd));
    store_32(to[1], _mm256_unpackhi_epi64(ab, cd));
    ab = _mm256_unpackhi_epi32(a, b);
    cd = _mm256_unpackhi_epi32(c, d);
    store_32(to[2], _mm256_unpacklo_epi64(ab, cd));
    store_32(to[3], _mm256_unpackhi_epi64(ab, cd));
}

/* List where the lines of a square tile of a block begin on both sides. The tile has `count` x `count` entries and
 * begins at row i and column j of the block. */
INLINE void
list_lines(char **strided_lines, char **packed_lines, char *const *rows, char *packed, int64_t ld, int i, int j,
           int count, int size)
{
#pragma GCC unroll 8
    for (int k = 0; k < count; k++) {
        strided_lines[k] = rows[i + k] + j * size;
        packed_lines[k] = packed + (j + k) * ld + i * size;
    }
}

/* Tiles are moved in the order in which they complete cache lines of the side that is written. */
INLINE void
move_block_8(char *const *rows, char *packed, int64_t ld, bool pack)
{
    char *strided_lines[4], *packed_lines[4];

#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        int outer = k / 2 * 4, inner = k % 2 * 4;

        list_lines(strided_lines, packed_lines, rows, packed, ld, pack ? inner : outer, pack ? outer : inner, 4, 8);
        transpose_4x4(pack ? packed_lines : strided_lines, pack ? strided_lines : packed_lines);
    }
}

INLINE void
move_block_4(char *const *rows, char *packed, int64_t ld, bool pack)
{
    char *strided_lines[8], *packed_lines[8];

#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        int outer = k / 2 * 8, inner = k % 2 * 8;

        list_lines(strided_lines, packed_lines, rows, packed, ld, pack ? inner : outer, pack ? outer : inner, 8, 4);
        transpose_8x4(pack ? packed_lines : strided_lines, pack ? strided_lines : packed_lines, 0);
        transpose_8x4(pack ? packed_lines + 4 : strided_lines + 4, pack ? strided_lines : packed_lines, 16);
    }
}

INLINE void
move_block_16(char *const *rows, char *packed, int64_t ld, bool pack)
{
#pragma GCC unroll 4
    for (int l = 0; l < 4; l++)
#pragma GCC unroll 2
        for (int k = 0; k < 4; k += 2) {
            if (pack)
                store_32(packed + l * ld + k * 16, load_pair(rows[k] + l * 16, rows[k + 1] + l * 16));
            else
                store_32(rows[l] + k * 16, load_pair(packed + k * ld + l * 16, packed + (k + 1) * ld + l * 16));
        }
}

INLINE __m128i
load_16(const char *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

INLINE void
store_16(char *to, __m128i entries)
{
    _mm_storeu_si128((__m128i *)(void *)to, entries);
}

INLINE __m128d
load_two_8(const char *low, const char *high)
{
    double entries[2];

    memcpy(&entries[0], low, sizeof(double));
    memcpy(&entries[1], high, sizeof(double));
    return _mm_setr_pd(entries[0], entries[1]);
}

INLINE void
store_two_8(char *low, char *high, __m128d entries)
{
    double first = _mm_cvtsd_f64(entries), second = _mm_cvtsd_f64(_mm_unpackhi_pd(entries, entries));

    memcpy(low, &first, sizeof(first));
    memcpy(high, &second, sizeof(second));
}

INLINE int
load_4(const char *from)
{
    int entry;

    memcpy(&entry, from, sizeof(entry));
    return entry;
}

INLINE void
store_4(char *to, int entry)
{
    memcpy(to, &entry, sizeof(entry));
}

/* Four entries at a, b, c and d on the strided side are consecutive on the packed side. */
INLINE void
move_four_8(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    if (pack) {
        store_16(packed, _mm_castpd_si128(load_two_8(a, b)));
        store_16(packed + 16, _mm_castpd_si128(load_two_8(c, d)));
    } else {
        store_two_8(a, b, _mm_castsi128_pd(load_16(packed)));
        store_two_8(c, d, _mm_castsi128_pd(load_16(packed + 16)));
    }
}

INLINE void
move_four_4(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    __m128i entries;

    if (pack) {
        store_16(packed, _mm_setr_epi32(load_4(a), load_4(b), load_4(c), load_4(d)));
        return;
    }
    entries = load_16(packed);
    store_4(a, _mm_extract_epi32(entries, 0));
    store_4(b, _mm_extract_epi32(entries, 1));
    store_4(c, _mm_extract_epi32(entries, 2));
    store_4(d, _mm_extract_epi32(entries, 3));
}

INLINE void
move_four_16(char *a, char *b, char *c, char *d, char *packed, bool pack)
{
    char *const strided[4] = {a, b, c, d};

#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        store_16(pack ? packed + k * 16 : strided[k], load_16(pack ? strided[k] : packed + k * 16));
}

#include "pack/panel_template.h"

const alchi_kernels_t *
alchi_kernels_avx2(void)
{
    static const alchi_kernels_t kernels = KERNELS("avx2");

    return __builtin_cpu_supports("avx2") ? &kernels : NULL;
}

#else

const alchi_kernels_t *
alchi_kernels_avx2(void)
{
    return NULL;
}

#endif
