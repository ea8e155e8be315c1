/* Chooses the piece of A that a rank works on, and reads it in chunks. */
#include "svd.h"

#include <stdlib.h>
#include <string.h>

/* About what stays in the caches of one core between the two products with a chunk. */
#define CHUNK_BYTES (INT64_C(2) << 20)
#define CHUNK_MIN 64

/* The replicas of a rank's block divide its rows. */
static void
choose_rows(svd_t *svd)
{
    const alch_block_t *block = &svd->block;

    if (block->replica < 0)
        return;
    svd->row = block->local_m * block->replica / block->replicas;
    svd->rows = block->local_m * (block->replica + 1) / block->replicas - svd->row;
    svd->cols = block->local_n;
}

static int64_t *
global_indices(const svd_t *svd, bool of_rows)
{
    int64_t count = of_rows ? svd->rows : svd->cols;
    int64_t *index = malloc(sizeof(*index) * (size_t)(count + 1));

    for (int64_t l = 0; index && l < count; l++)
        index[l] = of_rows ? svd->call->host->global_row(svd->A, svd->row + l) : svd->call->host->global_col(svd->A, l);
    return index;
}

static int
allocate_vectors(svd_t *svd)
{
    size_t converted = svd->block.dtype == ALCH_FLOAT64 ? 0 : (size_t)(svd->chunk * svd->short_count);

    svd->short_index = global_indices(svd, svd->wide);
    svd->long_index = global_indices(svd, !svd->wide);
    svd->short_part = calloc((size_t)svd->short_count + 1, sizeof(double));
    svd->short_sum = calloc((size_t)svd->short_count + 1, sizeof(double));
    svd->long_part = calloc((size_t)svd->long_count + 1, sizeof(double));
    svd->converted = converted ? malloc(converted * sizeof(double)) : NULL;
    return svd->short_index && svd->long_index && svd->short_part && svd->short_sum && svd->long_part &&
                   (svd->converted || !converted)
               ? ALCH_OK
               : ALCH_ENOMEM;
}

int
svd_init(svd_t *svd)
{
    int color;

    choose_rows(svd);
    svd->short_count = svd->wide ? svd->rows : svd->cols;
    svd->long_count = svd->wide ? svd->cols : svd->rows;
    color = svd->wide ? svd->block.mycol : svd->block.replica * svd->block.layout.nprow + svd->block.myrow;
    MPI_Comm_split(svd->call->comm, svd->block.replica < 0 ? MPI_UNDEFINED : color, svd->call->rank, &svd->reduce_comm);
    if (svd->reduce_comm != MPI_COMM_NULL)
        MPI_Comm_rank(svd->reduce_comm, &svd->reduce_rank);
    svd->chunk = CHUNK_BYTES / (int64_t)sizeof(double) / (svd->short_count > 0 ? svd->short_count : 1);
    svd->chunk = svd->chunk < CHUNK_MIN ? CHUNK_MIN : svd->chunk;
    return svd->call->host->agree(svd->call, allocate_vectors(svd),
                                  "truncated_svd: the vectors of a piece cannot be allocated");
}

void
svd_fini(svd_t *svd)
{
    if (svd->reduce_comm != MPI_COMM_NULL)
        MPI_Comm_free(&svd->reduce_comm);
    free(svd->short_index);
    free(svd->long_index);
    free(svd->short_part);
    free(svd->short_sum);
    free(svd->long_part);
    free(svd->converted);
}

const double *
svd_chunk(svd_t *svd, int64_t start, int64_t count, int64_t *lld_p)
{
    int64_t at = svd->wide ? svd->row + start * svd->block.lld : svd->row + start;
    int64_t m = svd->wide ? svd->rows : count, n = svd->wide ? count : svd->cols;

    if (svd->block.dtype == ALCH_FLOAT64) {
        *lld_p = svd->block.lld;
        return (const double *)svd->block.data + at;
    }
    for (int64_t j = 0; j < n; j++) {
        const float *from = (const float *)svd->block.data + at + j * svd->block.lld;
        double *to = svd->converted + j * m;

        for (int64_t i = 0; i < m; i++)
            to[i] = from[i];
    }
    *lld_p = m;
    return svd->converted;
}
