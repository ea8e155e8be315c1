/* Index arithmetic and passes over the entries of the local piece. */
#include "linalg.h"

#include <complex.h>
#include <string.h>

double _Complex linalg_get_entry(alch_dtype_t dtype, const void *data, int64_t at)
{
    switch (dtype) {
    case ALCH_FLOAT64:
        return ((const double *)data)[at];
    case ALCH_FLOAT32:
        return ((const float *)data)[at];
    case ALCH_COMPLEX128:
        return ((const double _Complex *)data)[at];
    case ALCH_COMPLEX64:
        return ((const float _Complex *)data)[at];
    case ALCH_INT64:
        return (double)((const int64_t *)data)[at];
    case ALCH_INT32:
        return ((const int32_t *)data)[at];
    }
    return 0;
}

void
linalg_set_entry(alch_dtype_t dtype, void *data, int64_t at, double _Complex x)
{
    switch (dtype) {
    case ALCH_FLOAT64:
        ((double *)data)[at] = creal(x);
        break;
    case ALCH_FLOAT32:
        ((float *)data)[at] = (float)creal(x);
        break;
    case ALCH_COMPLEX128:
        ((double _Complex *)data)[at] = x;
        break;
    case ALCH_COMPLEX64:
        ((float _Complex *)data)[at] = (float _Complex)x;
        break;
    case ALCH_INT64:
    case ALCH_INT32:
        break;
    }
}

typedef uint64_t __attribute__((may_alias)) wide_t;
typedef uint32_t __attribute__((may_alias)) narrow_t;

/* Copy `count` numbers, unless `to` is NULL, and check that they are finite. The exponent of NaN and Inf has all bits
 * set, so adding one to it carries into the sign bit. Compilers vectorize this on every x86-64, which they do not do
 * with sums of floats or with comparisons.
 * @return whether all numbers are finite */
#define COPY_AND_CHECK(name, bits_t, exponent, step)            \
    static bool name(const void *from, void *to, int64_t count) \
    {                                                           \
        const bits_t *x = from;                                 \
        bits_t *restrict y = to, carried = 0;                   \
                                                                \
        if (!to) {                                              \
            for (int64_t i = 0; i < count; i++)                 \
                carried |= (x[i] & (exponent)) + (step);        \
            return !(carried & ((exponent) + (step)));          \
        }                                                       \
        for (int64_t i = 0; i < count; i++) {                   \
            carried |= (x[i] & (exponent)) + (step);            \
            y[i] = x[i];                                        \
        }                                                       \
        return !(carried & ((exponent) + (step)));              \
    }

COPY_AND_CHECK(copy_and_check_double, wide_t, UINT64_C(0x7ff0000000000000), UINT64_C(0x0010000000000000))
COPY_AND_CHECK(copy_and_check_float, narrow_t, UINT32_C(0x7f800000), UINT32_C(0x00800000))

int64_t
linalg_global_row(const alch_block_t *block, int64_t i)
{
    const alch_layout_t *layout = &block->layout;

    return (i / layout->mb * layout->nprow + block->myrow) * layout->mb + i % layout->mb;
}

int64_t
linalg_global_col(const alch_block_t *block, int64_t j)
{
    const alch_layout_t *layout = &block->layout;

    return (j / layout->nb * layout->npcol + block->mycol) * layout->nb + j % layout->nb;
}

int64_t
linalg_local_index(const alch_block_t *block, int64_t i, int64_t j)
{
    const alch_layout_t *layout = &block->layout;

    if (!block->data || i / layout->mb % layout->nprow != block->myrow ||
        j / layout->nb % layout->npcol != block->mycol)
        return -1;
    return i / (layout->mb * layout->nprow) * layout->mb + i % layout->mb +
           (j / (layout->nb * layout->npcol) * layout->nb + j % layout->nb) * block->lld;
}

/* Run `statement` for every entry i of every local column. `x` and `y` point to the column in the two blocks. */
#define COLUMNS(number_t, x_block, y_block, statement)                               \
    for (int64_t j_ = 0; j_ < (y_block)->local_n; j_++) {                            \
        const number_t *x = (const number_t *)(x_block)->data + j_ * (x_block)->lld; \
        number_t *y = (number_t *)(y_block)->data + j_ * (y_block)->lld;             \
                                                                                     \
        for (int64_t i = 0; i < (y_block)->local_m; i++)                             \
            statement;                                                               \
    }

void
linalg_add_piece(double _Complex alpha, const linalg_matrix_t *X, double _Complex beta, const linalg_matrix_t *Y)
{
    const alch_block_t *from = &X->block, *to = &Y->block;
    double a = creal(alpha), b = creal(beta);
    float as = (float)a, bs = (float)b;
    float _Complex ac = (float _Complex)alpha, bc = (float _Complex)beta;

    switch (to->data ? to->dtype : 0) {
    case ALCH_FLOAT64:
        COLUMNS(double, from, to, y[i] = a * x[i] + b * y[i])
        break;
    case ALCH_FLOAT32:
        COLUMNS(float, from, to, y[i] = as * x[i] + bs * y[i])
        break;
    case ALCH_COMPLEX128:
        COLUMNS(double _Complex, from, to, y[i] = alpha * x[i] + beta * y[i])
        break;
    case ALCH_COMPLEX64:
        COLUMNS(float _Complex, from, to, y[i] = ac * x[i] + bc * y[i])
        break;
    default:
        break;
    }
}

void
linalg_scale_piece(double _Complex alpha, const linalg_matrix_t *M)
{
    const alch_block_t *block = &M->block;
    double a = creal(alpha);
    float as = (float)a;
    float _Complex ac = (float _Complex)alpha;

    switch (block->data ? block->dtype : 0) {
    case ALCH_FLOAT64:
        COLUMNS(double, block, block, y[i] = a * x[i])
        break;
    case ALCH_FLOAT32:
        COLUMNS(float, block, block, y[i] = as * x[i])
        break;
    case ALCH_COMPLEX128:
        COLUMNS(double _Complex, block, block, y[i] = alpha * x[i])
        break;
    case ALCH_COMPLEX64:
        COLUMNS(float _Complex, block, block, y[i] = ac * x[i])
        break;
    default:
        break;
    }
}

/* The range of local rows of local column j that belong to the triangle `uplo`. */
static void
triangle_rows(char uplo, const linalg_matrix_t *M, int64_t j, int64_t *first_p, int64_t *end_p)
{
    const alch_block_t *block = &M->block;
    const alch_layout_t *layout = &block->layout;
    int64_t column = linalg_global_col(block, j);

    *first_p = uplo == 'L' ? linalg_numroc(column, layout->mb, block->myrow, layout->nprow) : 0;
    *end_p = uplo == 'U' ? linalg_numroc(column + 1, layout->mb, block->myrow, layout->nprow) : block->local_m;
    if (*first_p > block->local_m)
        *first_p = block->local_m;
    if (*end_p > block->local_m)
        *end_p = block->local_m;
}

static int64_t
find_not_finite(const linalg_matrix_t *M, const char *column, int64_t first, int64_t end, int64_t j, int parts,
                bool wide)
{
    for (int64_t i = first; i < end; i++) {
        const char *at = column + i * parts * (wide ? 8 : 4);

        if (!(wide ? copy_and_check_double(at, NULL, parts) : copy_and_check_float(at, NULL, parts)))
            return linalg_global_row(&M->block, i) * M->block.n + linalg_global_col(&M->block, j);
    }
    return -1;
}

int64_t
linalg_copy_piece(char uplo, const linalg_matrix_t *from, const linalg_matrix_t *to)
{
    const alch_block_t *block = &from->block;
    const linalg_kernels_t *k = linalg_kernels(block->dtype);
    int parts = k && k->is_complex ? 2 : 1;
    bool wide = k && k->real_bytes == 8;
    int64_t first_bad = -1;

    if (!k || !from->data)
        return -1;
    for (int64_t j = 0; j < block->local_n; j++) {
        const char *x = (const char *)from->data + (size_t)(j * block->lld) * k->entry_bytes;
        char *y = to ? (char *)to->data + (size_t)(j * to->block.lld) * k->entry_bytes : NULL;
        int64_t first, end, position;
        bool finite;

        triangle_rows(uplo, from, j, &first, &end);
        if (y) {
            memset(y, 0, (size_t)first * k->entry_bytes);
            memset(y + (size_t)end * k->entry_bytes, 0, (size_t)(block->local_m - end) * k->entry_bytes);
        }
        x += (size_t)first * k->entry_bytes;
        y = y ? y + (size_t)first * k->entry_bytes : NULL;
        finite = wide ? copy_and_check_double(x, y, (end - first) * parts)
                      : copy_and_check_float(x, y, (end - first) * parts);
        if (finite)
            continue;
        position = find_not_finite(from, (const char *)from->data + (size_t)(j * block->lld) * k->entry_bytes, first,
                                   end, j, parts, wide);
        if (position >= 0 && (first_bad < 0 || position < first_bad))
            first_bad = position;
    }
    return first_bad;
}
