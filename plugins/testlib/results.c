/* Returns results: sums the pieces that the ranks hold, and stores them in matrices of the default layout. It handles
 * some rows in each round, so that the buffer of whole rows stays small. */
#include "svd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_ENTRIES_MAX (1 << 20) /* of whole rows in one round: 8 MiB */

/* Add the piece's entries of rows start..start+count-1 to a zeroed buffer, with the columns reversed. *next is the
 * first row of the piece that no round has added yet. */
static void
add_piece_rows(const piece_t *piece, int64_t start, int64_t count, int64_t n, int64_t *next, double *rows)
{
    int64_t first = *next;

    while (*next < piece->m && piece->rows[*next] < start + count)
        ++*next;
    for (int64_t j = 0; j < piece->n; j++)
        for (int64_t i = first; i < *next; i++)
            rows[piece->rows[i] - start + (n - 1 - piece->cols[j]) * count] = piece->data[i + j * piece->lld];
}

/* Copy the entries of rows start..start+count-1 that this rank owns from the buffer to the matrix. *next is the first
 * local row that no round has copied yet. */
static void
copy_local_rows(svd_t *svd, const alch_dmatrix_t *matrix, int64_t start, int64_t count, int64_t *next,
                const double *rows)
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
svd_return_matrix(svd_t *svd, const char *name, int64_t m, int64_t n, const piece_t *piece)
{
    const alch_host_t *host = svd->call->host;
    int64_t round = ROUND_ENTRIES_MAX / n > 0 ? ROUND_ENTRIES_MAX / n : 1, next_piece_row = 0, next_local_row = 0;
    alch_dmatrix_t *matrix;
    double *rows;
    int code = host->matrix_create(svd->call, m, n, ALCH_FLOAT64, NULL, &matrix);

    if (code)
        return code;
    round = round < m ? round : m;
    rows = malloc(sizeof(double) * (size_t)(round * n));
    code = host->agree(svd->call, rows ? ALCH_OK : ALCH_ENOMEM, "%" PRId64 " rows of the result %s cannot be allocated",
                       round, name);
    for (int64_t start = 0; !code && start < m; start += round) {
        int64_t count = m - start < round ? m - start : round;

        memset(rows, 0, sizeof(double) * (size_t)(count * n));
        add_piece_rows(piece, start, count, n, &next_piece_row, rows);
        MPI_Allreduce(MPI_IN_PLACE, rows, (int)(count * n), MPI_DOUBLE, MPI_SUM, svd->call->comm);
        copy_local_rows(svd, matrix, start, count, &next_local_row, rows);
    }
    free(rows);
    return code ? code : host->ret_matrix(svd->call, name, matrix);
}

int
svd_return_values(svd_t *svd, const double *values)
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
