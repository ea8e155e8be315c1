#include "transpose.h"

#define TILE 32 /* entries: rows and columns of a tile stay in the first cache */

typedef struct {
    double re, im;
} complex128_t;

typedef struct {
    float re, im;
} complex64_t;

static int64_t
end_of(int64_t from, int64_t size)
{
    return from + TILE < size ? from + TILE : size;
}

/* out[j * out_lead + i] = convert(in[i * in_lead + j]): reading along rows, writing along columns. */
#define TRANSPOSE(name, in_t, out_t, convert)                                                             \
    static void name(const void *from, int64_t in_lead, int64_t m, int64_t n, void *to, int64_t out_lead) \
    {                                                                                                     \
        const in_t *in = from;                                                                            \
        out_t *out = to;                                                                                  \
                                                                                                          \
        for (int64_t i0 = 0; i0 < m; i0 += TILE)                                                          \
            for (int64_t j0 = 0; j0 < n; j0 += TILE)                                                      \
                for (int64_t j = j0; j < end_of(j0, n); j++)                                              \
                    for (int64_t i = i0; i < end_of(i0, m); i++)                                          \
                        out[j * out_lead + i] = convert(in[i * in_lead + j]);                             \
    }

#define SAME(x) (x)
#define COMPLEX64(x) ((complex64_t){(x), 0})
#define COMPLEX128(x) ((complex128_t){(x), 0})

TRANSPOSE(copy4, uint32_t, uint32_t, SAME)
TRANSPOSE(copy8, uint64_t, uint64_t, SAME)
TRANSPOSE(copy16, complex128_t, complex128_t, SAME)
TRANSPOSE(widen4, float, complex64_t, COMPLEX64)
TRANSPOSE(widen8, double, complex128_t, COMPLEX128)

typedef void transpose_f(const void *from, int64_t in_lead, int64_t m, int64_t n, void *to, int64_t out_lead);

static transpose_f *const moves[] = {
    [HDF5_COPY4] = copy4, [HDF5_COPY8] = copy8, [HDF5_COPY16] = copy16, [HDF5_WIDEN4] = widen4, [HDF5_WIDEN8] = widen8};

void
hdf5_rows_to_columns(hdf5_move_t move, const void *rows, int64_t m, int64_t n, void *columns, int64_t lld)
{
    moves[move](rows, n, m, n, columns, lld);
}

void
hdf5_columns_to_rows(hdf5_move_t move, const void *columns, int64_t lld, int64_t m, int64_t n, void *rows)
{
    moves[move](columns, lld, n, m, rows, n);
}
