/* Results: from what ranks hold in whatever order to matrices in the default layout, some rows at a time. */
#include "svd.h"

#include <stdlib.h>
#include <string.h>

#define ROUND_ENTRIES (1 << 20)

/* Put the piece's entries of rows start..start+count-1 into a zeroed buffer; *next is the first row not yet given. */
static void
give(const piece_t *piece, int64_t start, int64_t count, int64_t n, int64_t *next, double *rows)
{
    int64_t first = *next;

    while (*next < piece->m && piece->rows[*next] < start + count)
        ++*next;
    for (int64_t j = 0; j < piece->n; j++)
        for (int64_t i = first; i < *next; i++)
            rows[piece->rows[i] - start + (n - 1 - piece->cols[j]) * count] = piece->data[i + j * piece->lld];
}

/* Copy this rank's entries of these rows out of the buffer. */
static void
take(svd_t *svd, const alch_dmatrix_t *matrix, int64_t start, int64_t count, int64_t *next, const double *rows)
{
    const alch_host_t *host = svd->call->host;
    alch_block_t block;
    int64_t first = *next;

    host->matrix_block(matrix, &block);
    while (*next < block.local_m && host->global_row(matrix, *next) < start + count)
        ++*next;
    for (int64_t j = 0; j < block.local_n; j++) {
        const double *column = rows + host->global_col(matrix, j) * count;

        for (int64_t i = first; i < *next; i++)
            ((double *)block.data)[i + j * block.lld] = column[host->global_row(matrix, i) - start];
    }
}

int
svd_deliver(svd_t *svd, const char *name, int64_t m, int64_t n, const piece_t *piece)
{
    const alch_host_t *host = svd->call->host;
    int64_t round = ROUND_ENTRIES / n > 0 ? ROUND_ENTRIES / n : 1, given = 0, taken = 0;
    alch_dmatrix_t *matrix;
    double *rows;
    int code = host->matrix_create(svd->call, m, n, ALCH_FLOAT64, NULL, &matrix);

    if (code)
        return code;
    round = round < m ? round : m;
    rows = malloc(sizeof(double) * (size_t)(round * n));
    code = host->agree(svd->call, rows ? ALCH_OK : ALCH_ENOMEM, "no memory for the result %s", name);
    for (int64_t start = 0; !code && start < m; start += round) {
        int64_t count = m - start < round ? m - start : round;

        memset(rows, 0, sizeof(double) * (size_t)(count * n));
        give(piece, start, count, n, &given, rows);
        MPI_Allreduce(MPI_IN_PLACE, rows, (int)(count * n), MPI_DOUBLE, MPI_SUM, svd->call->comm);
        take(svd, matrix, start, count, &taken, rows);
    }
    free(rows);
    return code ? code : host->ret_matrix(svd->call, name, matrix);
}

int
svd_deliver_values(svd_t *svd, const double *values)
{
    const alch_host_t *host = svd->call->host;
    alch_dmatrix_t *matrix;
    alch_block_t block;
    int code = host->matrix_create(svd->call, svd->k, 1, ALCH_FLOAT64, NULL, &matrix);

    if (code)
        return code;
    host->matrix_block(matrix, &block);
    for (int64_t i = 0; i < block.local_m && block.local_n > 0; i++)
        ((double *)block.data)[i] = values[svd->k - 1 - host->global_row(matrix, i)];
    return host->ret_matrix(svd->call, "S", matrix);
}
