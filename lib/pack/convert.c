/* Conversion of entries, block by block: see convert.h. */
#include "pack/convert.h"
#include "base/error.h"

#include <math.h>
#include <string.h>

/* Entries that are converted at a time. They are first copied to the stack, because `in` and `out` may overlap. */
#define BLOCK 256

typedef enum { F64, F32, I64, I32, REALS } real_t;

static bool
is_complex(alch_dtype_t dtype)
{
    return dtype == ALCH_COMPLEX128 || dtype == ALCH_COMPLEX64;
}

/* Convert a block of real numbers. @return whether all values fit; a value that does not is replaced by 0 */
typedef bool convert_f(const void *from, void *to, int count);

#define ANY(x) (true)
#define IN_F32(x) (!isfinite(x) || isfinite((float)(x)))
#define IN_I64(x) ((x) >= -0x1p63 && (x) < 0x1p63)
#define IN_I32(x) ((double)(x) > -2147483649.0 && (double)(x) < 2147483648.0)

#define CONVERT(name, from_t, to_t, fits)                       \
    static bool name(const void *from, void *to, int count)     \
    {                                                           \
        const from_t *restrict in = from;                       \
        char *restrict out = to;                                \
        bool good = true;                                       \
        for (int k = 0; k < count; k++) {                       \
            to_t x = fits(in[k]) ? (to_t)in[k] : (to_t)0;       \
            good &= fits(in[k]);                                \
            memcpy(out + (size_t)k * sizeof(x), &x, sizeof(x)); \
        }                                                       \
        return good;                                            \
    }

CONVERT(f64_f64, double, double, ANY)
CONVERT(f64_f32, double, float, IN_F32)
CONVERT(f64_i64, double, int64_t, IN_I64)
CONVERT(f64_i32, double, int32_t, IN_I32)
CONVERT(f32_f64, float, double, ANY)
CONVERT(f32_f32, float, float, ANY)
CONVERT(f32_i64, float, int64_t, IN_I64)
CONVERT(f32_i32, float, int32_t, IN_I32)
CONVERT(i64_f64, int64_t, double, ANY)
CONVERT(i64_f32, int64_t, float, ANY)
CONVERT(i64_i64, int64_t, int64_t, ANY)
#define INT_IN_I32(x) ((x) >= INT32_MIN && (x) <= INT32_MAX)
CONVERT(i64_i32, int64_t, int32_t, INT_IN_I32)
CONVERT(i32_f64, int32_t, double, ANY)
CONVERT(i32_f32, int32_t, float, ANY)
CONVERT(i32_i64, int32_t, int64_t, ANY)
CONVERT(i32_i32, int32_t, int32_t, ANY)

static convert_f *const converters[REALS][REALS] = {{f64_f64, f64_f32, f64_i64, f64_i32},
                                                    {f32_f64, f32_f32, f32_i64, f32_i32},
                                                    {i64_f64, i64_f32, i64_i64, i64_i32},
                                                    {i32_f64, i32_f32, i32_i64, i32_i32}};

/* @return the type of the real numbers that an entry consists of */
static real_t
real_of(alch_dtype_t dtype)
{
    switch (dtype) {
    case ALCH_FLOAT32:
    case ALCH_COMPLEX64:
        return F32;
    case ALCH_INT64:
        return I64;
    case ALCH_INT32:
        return I32;
    default:
        return F64;
    }
}

/* Turn `count` real numbers of `size` bytes into complex numbers with imaginary part 0, in place. */
static void
add_imaginary_parts(char *numbers, int count, size_t size)
{
    for (int k = count - 1; k >= 0; k--) {
        memmove(numbers + 2 * (size_t)k * size, numbers + (size_t)k * size, size);
        memset(numbers + (2 * (size_t)k + 1) * size, 0, size);
    }
}

static void
conjugate_all(char *numbers, int count, bool wide)
{
    for (int k = 0; k < count; k++) {
        if (wide) {
            double x;

            memcpy(&x, numbers + (2 * (size_t)k + 1) * sizeof(x), sizeof(x));
            x = -x;
            memcpy(numbers + (2 * (size_t)k + 1) * sizeof(x), &x, sizeof(x));
        } else {
            float x;

            memcpy(&x, numbers + (2 * (size_t)k + 1) * sizeof(x), sizeof(x));
            x = -x;
            memcpy(numbers + (2 * (size_t)k + 1) * sizeof(x), &x, sizeof(x));
        }
    }
}

static bool
convert_block(alch_dtype_t from, alch_dtype_t to, bool conjugate, const void *in, void *out, int count)
{
    convert_f *convert = converters[real_of(from)][real_of(to)];
    bool good = convert(in, out, is_complex(from) ? 2 * count : count);

    if (is_complex(to) && !is_complex(from))
        add_imaginary_parts(out, count, alch_dtype_size(to) / 2);
    else if (is_complex(to) && conjugate)
        conjugate_all(out, count, to == ALCH_COMPLEX128);
    return good;
}

/* @return the index of the first entry of a block that does not fit; the caller has found that there is one */
static int
find_misfit(alch_dtype_t from, alch_dtype_t to, const void *copy, int count)
{
    char out[16];
    int k;

    for (k = 0; k < count - 1; k++)
        if (!convert_block(from, to, false, (const char *)copy + (size_t)k * alch_dtype_size(from), out, 1))
            break;
    return k;
}

int64_t
alchi_convert(alch_dtype_t from, alch_dtype_t to, bool conjugate, const void *in, void *out, int64_t count)
{
    size_t from_size = alch_dtype_size(from), to_size = alch_dtype_size(to);
    int64_t blocks = (count + BLOCK - 1) / BLOCK, bad = -1;
    double copy[2 * BLOCK]; /* room for complex entries, aligned for all types */

    for (int64_t b = 0; b < blocks; b++) {
        /* If entries become wider, the last block comes first: otherwise results would overwrite entries of `in` that
         * are still to be read. */
        int64_t at = (to_size > from_size ? blocks - 1 - b : b) * BLOCK;
        int size = (int)(count - at < BLOCK ? count - at : BLOCK);
        const char *block = (const char *)in + (size_t)at * from_size;

        memcpy(copy, block, (size_t)size * from_size);
        if (!convert_block(from, to, conjugate, copy, (char *)out + (size_t)at * to_size, size) &&
            (bad < 0 || at < bad))
            bad = at + find_misfit(from, to, copy, size);
    }
    return bad;
}
