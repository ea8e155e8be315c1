/* Products with A: each rank multiplies with its piece, chunk by chunk. */
#include "svd.h"

#include <cblas.h>
#include <string.h>

#define REDUCE_MAX (1 << 24)

/* chunk^T or chunk, whichever maps short to long vectors. */
static CBLAS_TRANSPOSE
forward(const svd_t *svd)
{
    return svd->wide ? CblasTrans : CblasNoTrans;
}

static CBLAS_TRANSPOSE
backward(const svd_t *svd)
{
    return svd->wide ? CblasNoTrans : CblasTrans;
}

static int64_t
chunk_length(const svd_t *svd, int64_t start)
{
    return svd->long_count - start < svd->chunk ? svd->long_count - start : svd->chunk;
}

static void
add_across(const svd_t *svd, double *x, int count)
{
    int size;

    MPI_Comm_size(svd->across, &size);
    if (size > 1)
        MPI_Allreduce(MPI_IN_PLACE, x, count, MPI_DOUBLE, MPI_SUM, svd->across);
}

/* y := chunk short_part for the long indices from `start`, or with `back` short_sum += chunk^T y. */
static void
multiply_chunk(svd_t *svd, int64_t start, bool forth, bool back)
{
    int64_t count = chunk_length(svd, start), lld;
    double *y = svd->long_part + start;
    const double *chunk;
    int m, n;

    if (svd->short_count == 0)
        return;
    chunk = svd_chunk(svd, start, count, &lld);
    m = (int)(svd->wide ? svd->rows : count);
    n = (int)(svd->wide ? count : svd->cols);
    if (forth)
        cblas_dgemv(CblasColMajor, forward(svd), m, n, svd->scale, chunk, (int)lld, svd->short_part, 1, 0, y, 1);
    if (back)
        cblas_dgemv(CblasColMajor, backward(svd), m, n, svd->scale, chunk, (int)lld, y, 1, 1, svd->short_sum, 1);
}

/* short_sum := piece^T y with y = piece short_part, added up over `across` in between. A piece that needs no adding up
 * is read from memory once: the chunk is still in the cache for the way back. Otherwise one long sum is cheaper than
 * many short ones, which would keep ranks waiting for each other where they share cores. */
static void
multiply_piece(svd_t *svd)
{
    int size;

    MPI_Comm_size(svd->across, &size);
    memset(svd->short_sum, 0, sizeof(double) * (size_t)svd->short_count);
    memset(svd->long_part, 0, sizeof(double) * (size_t)svd->long_count);
    for (int64_t start = 0; start < svd->long_count; start += svd->chunk)
        multiply_chunk(svd, start, true, size == 1);
    if (size == 1)
        return;
    add_across(svd, svd->long_part, (int)svd->long_count);
    for (int64_t start = 0; start < svd->long_count; start += svd->chunk)
        multiply_chunk(svd, start, false, true);
}

void
svd_normal_product(svd_t *svd, double *x, double *scratch)
{
    for (int64_t l = 0; l < svd->short_count; l++)
        svd->short_part[l] = x[svd->short_index[l]];
    if (svd->across != MPI_COMM_NULL)
        multiply_piece(svd);
    memset(scratch, 0, sizeof(double) * (size_t)svd->short_size);
    for (int64_t l = 0; l < svd->short_count; l++)
        scratch[svd->short_index[l]] = svd->short_sum[l];
    MPI_Reduce(scratch, x, (int)svd->short_size, MPI_DOUBLE, MPI_SUM, 0, svd->call->comm);
}

void
svd_product(svd_t *svd, const double *X, double *part, double *Y)
{
    if (svd->across == MPI_COMM_NULL)
        return;
    for (int64_t c = 0; c < svd->k; c++)
        for (int64_t l = 0; l < svd->short_count; l++)
            part[l + c * svd->short_count] = X[svd->short_index[l] + c * svd->short_size];
    memset(Y, 0, sizeof(double) * (size_t)(svd->long_count * svd->k));
    for (int64_t start = 0; start < svd->long_count && svd->short_count > 0; start += svd->chunk) {
        int64_t count = chunk_length(svd, start), lld;
        const double *chunk = svd_chunk(svd, start, count, &lld);

        cblas_dgemm(CblasColMajor, forward(svd), CblasNoTrans, (int)count, (int)svd->k, (int)svd->short_count,
                    svd->scale, chunk, (int)lld, part, (int)svd->short_count, 0, Y + start, (int)svd->long_count);
    }
    for (int64_t at = 0; at < svd->long_count * svd->k; at += REDUCE_MAX) {
        int64_t left = svd->long_count * svd->k - at;

        add_across(svd, Y + at, (int)(left < REDUCE_MAX ? left : REDUCE_MAX));
    }
}
