/* QR factorizations on the grid, which the operations and other decompositions use. */
#include "spectral.h"

#include <complex.h>
#include <string.h>

linalg_geqrf_f psgeqrf_, pdgeqrf_, pcgeqrf_, pzgeqrf_;
linalg_orgqr_f psorgqr_, pdorgqr_, pcungqr_, pzungqr_;
linalg_ormqr_f psormqr_, pdormqr_, pcunmqr_, pzunmqr_;
linalg_gebrd_f psgebrd_, pdgebrd_, pcgebrd_, pzgebrd_;
linalg_ormbr_f psormbr_, pdormbr_, pcunmbr_, pzunmbr_;

static const int one = 1, query = -1;

const linalg_factorizations_t *
linalg_factorizations(const linalg_t *la)
{
    static const linalg_factorizations_t table[] = {
        {'d', pdgeqrf_, pdorgqr_, pdormqr_, pdgebrd_, pdormbr_},
        {'s', psgeqrf_, psorgqr_, psormqr_, psgebrd_, psormbr_},
        {'z', pzgeqrf_, pzungqr_, pzunmqr_, pzgebrd_, pzunmbr_},
        {'c', pcgeqrf_, pcungqr_, pcunmqr_, pcgebrd_, pcunmbr_},
    };
    size_t k = 0;

    while (table[k].letter != la->k->letter)
        k++;
    return &table[k];
}

int64_t
linalg_workspace_size(const linalg_t *la, const void *answer)
{
    double entries = creal(linalg_get_entry(la->dtype, answer, 0));

    /* A float32 answer is rounded, so it is increased: the workspace must not be smaller than the exact number. */
    return (int64_t)(entries * (1 + (la->k->real_bytes == 4 ? 1e-6 : 0))) + 1;
}

static int64_t
qr_work_entries(const linalg_t *la, int64_t m, int64_t n, int64_t columns)
{
    int64_t nb = la->layout.nb, max_columns = n > columns ? n : columns;

    return nb * (linalg_numroc(m, nb, 0, la->nprow) + linalg_numroc(max_columns, nb, 0, la->npcol) + 3 * nb) + nb * nb;
}

void
linalg_qr_expect(linalg_t *la, int64_t m, int64_t n, int64_t columns)
{
    int64_t tau = linalg_numroc(n, la->layout.nb, 0, la->npcol) + la->layout.nb;

    linalg_expect_bytes(la, (tau + qr_work_entries(la, m, n, columns)) * (int64_t)la->k->entry_bytes);
}

/* The largest workspace that the three routines ask for. */
static int64_t
query_workspace(linalg_t *la, linalg_matrix_t *A, int64_t columns, const void *tau)
{
    const linalg_factorizations_t *f = linalg_factorizations(la);
    int info, k = A->m < A->n ? A->m : A->n, cols = (int)columns, desc[9];
    double _Complex answer = 0;
    int64_t entries, asked;

    f->geqrf(&A->m, &A->n, A->data, &one, &one, A->desc, (void *)(uintptr_t)tau, &answer, &query, &info);
    entries = linalg_workspace_size(la, &answer);
    f->orgqr(&A->m, &k, &k, A->data, &one, &one, A->desc, tau, &answer, &query, &info);
    entries = (asked = linalg_workspace_size(la, &answer)) > entries ? asked : entries;
    linalg_descriptor(la, A->m, columns, desc);
    f->ormqr("L", "N", &A->m, &cols, &k, A->data, &one, &one, A->desc, tau, A->data, &one, &one, desc, &answer, &query,
             &info);
    return (asked = linalg_workspace_size(la, &answer)) > entries ? asked : entries;
}

int
linalg_qr_factor(linalg_t *la, linalg_matrix_t *A, int64_t columns, linalg_qr_t *qr)
{
    int64_t entry = (int64_t)la->k->entry_bytes, entries = 1;
    int code, info = 0;

    *qr = (linalg_qr_t){.A = A, .k = A->m < A->n ? A->m : A->n};
    if ((code = linalg_alloc(la, (A->block.local_n + la->layout.nb) * entry, &qr->tau)))
        return code;
    if (la->in_grid && (qr->k || columns))
        entries = query_workspace(la, A, columns, qr->tau);
    if ((code = linalg_alloc(la, entries * entry, &qr->work)))
        return code;
    qr->lwork = (int)entries;
    if (la->in_grid && qr->k)
        linalg_factorizations(la)->geqrf(&A->m, &A->n, A->data, &one, &one, A->desc, qr->tau, qr->work, &qr->lwork,
                                         &info);
    return linalg_check_info(la, "GEQRF", &info);
}

int
linalg_qr_apply(linalg_t *la, const linalg_qr_t *qr, bool adjoint, linalg_matrix_t *C)
{
    int info = 0;

    if (la->in_grid && C->n > 0)
        linalg_factorizations(la)->ormqr("L", adjoint ? la->k->adjoint : "N", &C->m, &C->n, &qr->k, qr->A->data, &one,
                                         &one, qr->A->desc, qr->tau, C->data, &one, &one, C->desc, qr->work, &qr->lwork,
                                         &info);
    return linalg_check_info(la, "ORMQR", &info);
}

int
linalg_qr_generate_q(linalg_t *la, const linalg_qr_t *qr, linalg_matrix_t *Q)
{
    int info = 0;

    if (la->in_grid && Q->n > 0)
        linalg_factorizations(la)->orgqr(&Q->m, &Q->n, &qr->k, Q->data, &one, &one, Q->desc, qr->tau, qr->work,
                                         &qr->lwork, &info);
    return linalg_check_info(la, "ORGQR", &info);
}

int
linalg_qr_copy_r(linalg_t *la, const linalg_qr_t *qr, int64_t rows, linalg_matrix_t *R)
{
    int code = linalg_create(la, rows, qr->A->n, R);

    if (!code && la->in_grid && qr->k)
        la->k->lacpy("U", &qr->k, &qr->A->n, qr->A->data, &one, &one, qr->A->desc, R->data, &one, &one, R->desc);
    return code;
}
