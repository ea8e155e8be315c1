/* Copies between distributed matrices and small arrays that one rank or all ranks have. */
#include "spectral.h"

#include <complex.h>
#include <string.h>

bool
linalg_owns_entry(const linalg_t *la, const linalg_matrix_t *M, int64_t i, int64_t j, int64_t *at_p)
{
    int64_t nb = la->layout.nb;

    if (!la->in_grid || i / nb % la->nprow != la->myrow || j / nb % la->npcol != la->mycol)
        return false;
    *at_p = linalg_numroc(i, nb, la->myrow, la->nprow) + linalg_numroc(j, nb, la->mycol, la->npcol) * M->block.lld;
    return true;
}

void
linalg_get_diagonal(linalg_t *la, const linalg_matrix_t *M, int64_t di, int64_t dj, int64_t count, double *x)
{
    int64_t at;

    for (int64_t k = 0; k < count; k++)
        x[k] = linalg_owns_entry(la, M, di + k, dj + k, &at) ? creal(linalg_get_entry(la->dtype, M->data, at)) : 0;
    if (count > 0)
        MPI_Allreduce(MPI_IN_PLACE, x, (int)count, MPI_DOUBLE, MPI_SUM, la->call->comm);
}

void
linalg_set_unit_diagonal(linalg_t *la, linalg_matrix_t *M, int64_t first)
{
    int64_t at;

    for (int64_t i = first; i < M->n && i < M->m; i++)
        if (linalg_owns_entry(la, M, i, i, &at))
            linalg_set_entry(la->dtype, M->data, at, 1);
}

void
linalg_distribute_array(linalg_t *la, const double *from, int64_t m, int64_t n, double *panel, linalg_matrix_t *to)
{
    int64_t nb = la->layout.nb, at;

    for (int64_t j = 0; j < n; j += nb) {
        int64_t columns = n - j < nb ? n - j : nb;

        if (la->call->rank == 0)
            memcpy(panel, from + j * m, (size_t)(columns * m) * sizeof(double));
        MPI_Bcast(panel, (int)(columns * m), MPI_DOUBLE, 0, la->call->comm);
        for (int64_t i = 0; i < m; i += nb) {
            if (!linalg_owns_entry(la, to, i, j, &at))
                continue;
            for (int64_t c = 0; c < columns; c++)
                for (int64_t r = 0; r < nb && i + r < m; r++)
                    linalg_set_entry(la->dtype, to->data, at + r + c * to->block.lld, panel[i + r + c * m]);
        }
    }
}
