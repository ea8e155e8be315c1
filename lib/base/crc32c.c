/* CRC-32C: by tables, by the crc32 instruction, or by carry-less multiplication. */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* bit-reversed: bit i is the coefficient of x^(31-i) */

static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- portable: eight bytes at a time by tables ---- */

static void
make_table(void)
{
    for (uint32_t k = 0; k < 256; k++) {
        uint32_t crc = k;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        table[0][k] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (int k = 0; k < 256; k++)
            table[slice][k] = table[slice - 1][k] >> 8 ^ table[0][table[slice - 1][k] & 255];
}

static uint32_t
load_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t
update_by_tables(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    crc = ~crc;
    for (; size >= 8; at += 8, size -= 8) {
        uint32_t a = crc ^ load_u32(at), b = load_u32(at + 4);

        crc = table[7][a & 255] ^ table[6][a >> 8 & 255] ^ table[5][a >> 16 & 255] ^ table[4][a >> 24] ^
              table[3][b & 255] ^ table[2][b >> 8 & 255] ^ table[1][b >> 16 & 255] ^ table[0][b >> 24];
    }
    for (; size > 0; at++, size--)
        crc = crc >> 8 ^ table[0][(crc ^ *at) & 255];
    return ~crc;
}

/* ---- x86: the crc32 instruction on three streams at a time, or folding by carry-less multiplication ---- */

#ifdef __x86_64__
#include <immintrin.h>

#define LANE ((size_t)1360) /* bytes of each of the three streams, a multiple of 8 */
#define FOLD ((size_t)256)  /* bytes of one step of update_by_folding() */

static uint32_t shift_one, shift_two;      /* shift a checksum by LANE + 8 and by 2 * LANE + 8 bytes */
static uint64_t fold_far[2], fold_near[2]; /* shift 16 bytes by FOLD and by 64 bytes */

/* x^n modulo the polynomial */
static uint32_t
power(size_t n)
{
    uint32_t value = 0x80000000u;

    for (; n > 0; n--)
        value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
    return value;
}

/* The product of two bit-reversed values has one factor x too many, and a 32-bit value in a 64-bit lane represents x^32
 * times itself; so the exponents are smaller by 33. The first half of 16 bytes represents x^64 times itself. */
static void
make_constants(void)
{
    shift_one = power((LANE + 8) * 8 - 33);
    shift_two = power((2 * LANE + 8) * 8 - 33);
    fold_far[0] = power(FOLD * 8 + 31);
    fold_far[1] = power(FOLD * 8 - 33);
    fold_near[0] = power(64 * 8 + 31);
    fold_near[1] = power(64 * 8 - 33);
}

static inline uint64_t
load_u64(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

#define SSE __attribute__((target("sse4.2,pclmul")))
#define AVX512 __attribute__((target("sse4.2,pclmul,avx512f,avx512vl,vpclmulqdq")))

/* Process one stream with the crc32 instruction. `crc` and the result are not inverted. */
SSE static uint32_t
crc32_stream(uint32_t crc, const uint8_t *at, size_t size)
{
    uint64_t wide = crc;

    for (; size >= 8; at += 8, size -= 8)
        wide = _mm_crc32_u64(wide, load_u64(at));
    crc = (uint32_t)wide;
    for (; size > 0; at++, size--)
        crc = _mm_crc32_u8(crc, *at);
    return crc;
}

SSE static uint32_t
update_by_instruction(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    crc = ~crc;
    for (; size >= 3 * LANE + 8; at += 3 * LANE + 8, size -= 3 * LANE + 8) {
        uint64_t a = crc, b = 0, c = 0, both;
        __m128i first, second;

        for (size_t k = 0; k < LANE; k += 8) {
            a = _mm_crc32_u64(a, load_u64(at + k));
            b = _mm_crc32_u64(b, load_u64(at + LANE + k));
            c = _mm_crc32_u64(c, load_u64(at + 2 * LANE + k));
        }
        first = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)a), _mm_cvtsi32_si128((int)shift_two), 0);
        second = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)b), _mm_cvtsi32_si128((int)shift_one), 0);
        both = (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(first, second));
        crc = (uint32_t)_mm_crc32_u64(c, load_u64(at + 3 * LANE) ^ both);
    }
    return ~crc32_stream(crc, at, size);
}

AVX512 static inline __m512i
fold(__m512i value, __m512i constants, __m512i next)
{
    __m512i low = _mm512_clmulepi64_epi128(value, constants, 0x00);
    __m512i high = _mm512_clmulepi64_epi128(value, constants, 0x11);

    return _mm512_ternarylogic_epi64(low, high, next, 0x96);
}

AVX512 static uint32_t
update_by_folding(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    __m512i a, b, c, d, far, near;
    uint8_t rest[64];

    if (size < 2 * FOLD)
        return update_by_instruction(crc, bytes, size);
    far = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)fold_far));
    near = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)fold_near));
    a = _mm512_xor_si512(_mm512_loadu_si512(at), _mm512_castsi128_si512(_mm_cvtsi32_si128((int)~crc)));
    a = _mm512_mask_mov_epi64(_mm512_loadu_si512(at), 1, a); /* the upper lanes of a cast are undefined */
    b = _mm512_loadu_si512(at + 64);
    c = _mm512_loadu_si512(at + 128);
    d = _mm512_loadu_si512(at + 192);
    for (at += FOLD, size -= FOLD; size >= FOLD; at += FOLD, size -= FOLD) {
        a = fold(a, far, _mm512_loadu_si512(at));
        b = fold(b, far, _mm512_loadu_si512(at + 64));
        c = fold(c, far, _mm512_loadu_si512(at + 128));
        d = fold(d, far, _mm512_loadu_si512(at + 192));
    }
    b = fold(a, near, b);
    c = fold(b, near, c);
    d = fold(c, near, d);
    _mm512_storeu_si512(rest, d);
    return ~crc32_stream(crc32_stream(0, rest, sizeof(rest)), at, size);
}
#endif

/* ---- the implementations of this processor ---- */

static alchi_crc32c_impl_t impls[3];
static size_t impl_count;

static void
list_impls(void)
{
    make_table();
#ifdef __x86_64__
    make_constants();
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) {
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("vpclmulqdq"))
            impls[impl_count++] = (alchi_crc32c_impl_t){"avx512", update_by_folding};
        impls[impl_count++] = (alchi_crc32c_impl_t){"sse4.2", update_by_instruction};
    }
#endif
    impls[impl_count++] = (alchi_crc32c_impl_t){"tables", update_by_tables};
}

uint32_t
alchi_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    pthread_once(&once, list_impls);
    return impls[0].update(crc, bytes, size);
}

uint32_t
alchi_crc32c_pieces(uint32_t crc, const struct iovec *iov, int count, size_t size)
{
    for (int k = 0; k < count && size > 0; k++) {
        size_t bytes = iov[k].iov_len < size ? iov[k].iov_len : size;

        crc = alchi_crc32c(crc, iov[k].iov_base, bytes);
        size -= bytes;
    }
    return crc;
}

const alchi_crc32c_impl_t *
alchi_crc32c_impl(size_t k)
{
    pthread_once(&once, list_impls);
    return k < impl_count ? &impls[k] : NULL;
}
