/* Products with A: each rank multiplies with its piece, chunk by chunk. A forward product maps short vectors to long
 * ones, a backward product long vectors to short ones. */
#include "svd.h"

#include <cblas.h>
#include <string.h>

#define REDUCE_MAX (1 << 24) /* entries of one MPI_Allreduce() */

/* Whether a chunk is transposed in a forward product. */
static CBLAS_TRANSPOSE
op_forward(const svd_t *svd)
{
    return svd->wide ? CblasTrans : CblasNoTrans;
}

static CBLAS_TRANSPOSE
op_backward(const svd_t *svd)
{
    return svd->wide ? CblasNoTrans : CblasTrans;
}

static int64_t
chunk_length(const svd_t *svd, int64_t start)
{
    return svd->long_count - start < svd->chunk ? svd->long_count - start : svd->chunk;
}

/* Sum x over the ranks of reduce_comm. */
static void
sum_over_ranks(const svd_t *svd, double *x, int count)
{
    int size;

    MPI_Comm_size(svd->reduce_comm, &size);
    if (size > 1)
        MPI_Allreduce(MPI_IN_PLACE, x, count, MPI_DOUBLE, MPI_SUM, svd->reduce_comm);
}

/* For the long indices from `start`: with `forward` y := chunk short_part, with `backward` short_sum += chunk^T y. */
static void
multiply_chunk(svd_t *svd, int64_t start, bool forward, bool backward)
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
    if (forward)
        cblas_dgemv(CblasColMajor, op_forward(svd), m, n, svd->scale, chunk, (int)lld, svd->short_part, 1, 0, y, 1);
    if (backward)
        cblas_dgemv(CblasColMajor, op_backward(svd), m, n, svd->scale, chunk, (int)lld, y, 1, 1, svd->short_sum, 1);
}

/* short_sum := piece^T y with y = piece short_part, where y is added up over the ranks of reduce_comm. If there is only
 * one such rank, each chunk is read from memory once: it is still in the caches for the backward product. Otherwise all
 * forward products come first, because one long sum costs less than many short ones, in which ranks that share cores
 * would wait for each other. */
static void
multiply_piece(svd_t *svd)
{
    int size;

    MPI_Comm_size(svd->reduce_comm, &size);
    memset(svd->short_sum, 0, sizeof(double) * (size_t)svd->short_count);
    memset(svd->long_part, 0, sizeof(double) * (size_t)svd->long_count);
    for (int64_t start = 0; start < svd->long_count; start += svd->chunk)
        multiply_chunk(svd, start, true, size == 1);
    if (size == 1)
        return;
    sum_over_ranks(svd, svd->long_part, (int)svd->long_count);
    for (int64_t start = 0; start < svd->long_count; start += svd->chunk)
        multiply_chunk(svd, start, false, true);
}

void
svd_normal_product(svd_t *svd, double *x, double *scratch)
{
    for (int64_t l = 0; l < svd->short_count; l++)
        svd->short_part[l] = x[svd->short_index[l]];
    if (svd->reduce_comm != MPI_COMM_NULL)
        multiply_piece(svd);
    memset(scratch, 0, sizeof(double) * (size_t)svd->short_size);
    for (int64_t l = 0; l < svd->short_count; l++)
        scratch[svd->short_index[l]] = svd->short_sum[l];
    MPI_Reduce(scratch, x, (int)svd->short_size, MPI_DOUBLE, MPI_SUM, 0, svd->call->comm);
}

void
svd_product(svd_t *svd, const double *X, double *part, double *Y)
{
    if (svd->reduce_comm == MPI_COMM_NULL)
        return;
    for (int64_t c = 0; c < svd->k; c++)
        for (int64_t l = 0; l < svd->short_count; l++)
            part[l + c * svd->short_count] = X[svd->short_index[l] + c * svd->short_size];
    memset(Y, 0, sizeof(double) * (size_t)(svd->long_count * svd->k));
    for (int64_t start = 0; start < svd->long_count && svd->short_count > 0; start += svd->chunk) {
        int64_t count = chunk_length(svd, start), lld;
        const double *chunk = svd_chunk(svd, start, count, &lld);

        cblas_dgemm(CblasColMajor, op_forward(svd), CblasNoTrans, (int)count, (int)svd->k, (int)svd->short_count,
                    svd->scale, chunk, (int)lld, part, (int)svd->short_count, 0, Y + start, (int)svd->long_count);
    }
    for (int64_t at = 0; at < svd->long_count * svd->k; at += REDUCE_MAX) {
        int64_t left = svd->long_count * svd->k - at;

        sum_over_ranks(svd, Y + at, (int)(left < REDUCE_MAX ? left : REDUCE_MAX));
    }
}
