/* The singular value decomposition of a matrix in the grid. ScaLAPACK reduces the matrix to bidiagonal form, and rank 0
 * decomposes that by divide and conquer (LAPACK). PxGESVD is used where rank 0 would need too much memory.
 *
 * Measured in float64 on 2 ranks (2026-11-23, AMD EPYC) with n = 1000 and 2000: PDGESVD 0.86 and 7.9 s, this 0.29 and
 * 1.8 s. */
#include "spectral.h"

#include <complex.h>
#include <stdlib.h>
#include <string.h>

/* Rank 0 needs 40 n^2 bytes for the vectors of a bidiagonal matrix of order n. Above this order PxGESVD computes them,
 * which distributes that memory. */
#define ORDER_MAX 4096

typedef void gesvd_f(const char *jobu, const char *jobvt, const int *m, const int *n, void *a, const int *ia,
                     const int *ja, const int *desca, void *s, void *u, const int *iu, const int *ju, const int *descu,
                     void *vt, const int *ivt, const int *jvt, const int *descvt, void *work, const int *lwork,
                     int *info);
typedef void gesvd_complex_f(const char *jobu, const char *jobvt, const int *m, const int *n, void *a, const int *ia,
                             const int *ja, const int *desca, void *s, void *u, const int *iu, const int *ju,
                             const int *descu, void *vt, const int *ivt, const int *jvt, const int *descvt, void *work,
                             const int *lwork, void *rwork, int *info);

gesvd_f psgesvd_, pdgesvd_;
gesvd_complex_f pcgesvd_, pzgesvd_;
void dbdsdc_(const char *uplo, const char *compq, const int *n, double *d, double *e, double *u, const int *ldu,
             double *vt, const int *ldvt, double *q, int *iq, double *work, int *iwork, int *info);

static const int one = 1, query = -1;

/* A reduced to bidiagonal form. */
typedef struct {
    linalg_matrix_t *A; /* m x n, m >= n */
    void *tauq, *taup, *work;
    int lwork;
    double *d, *e; /* [n] on all ranks */
} bidiagonal_t;

/* ---- memory ---- */

static int64_t
gesvd_entries(const linalg_t *la, int64_t n)
{
    int64_t procs = (int64_t)la->nprow * la->npcol, nb = la->layout.nb;

    /* In addition to the workspace of the reduction, each rank stores its rows of the left and right vectors again. */
    return 2 * n * (n / procs + 2 * nb) + 12 * n + 6 * nb * nb + 2 * nb * (n / la->nprow + n / la->npcol + 2 * nb);
}

/* The number of columns of U for m >= n. */
static int64_t
columns_of_u(int64_t m, int64_t n, linalg_vectors_t vectors)
{
    return vectors == LINALG_FULL ? m : n;
}

/* Announce the memory of svd_near_square(). */
static void
expect_near_square(linalg_t *la, int64_t m, int64_t n, linalg_vectors_t vectors)
{
    int64_t nb = la->layout.nb;

    linalg_qr_expect(la, m, n, columns_of_u(m, n, vectors));
    linalg_expect_bytes(la, 4 * (n + nb) * 8 + 4 * n * 8);
    if (!vectors)
        linalg_expect_bytes(la, 8 * 8 * n);
    else if (n <= ORDER_MAX)
        linalg_expect_bytes(la, 5 * n * n * 8 + 8 * n * 8 + n * nb * 8);
    else
        linalg_expect_bytes(la, gesvd_entries(la, n) * (int64_t)la->k->entry_bytes);
    if (vectors) {
        linalg_expect_matrix(la, m, columns_of_u(m, n, vectors));
        linalg_expect_matrix(la, n, n);
    }
}

/* A QR factorization first pays off between m = 1.5 n and 2 n (test/bench/MEASUREMENTS.md). It is also needed where
 * PxGESVD would be used for a full U, because PxGESVD computes no more than n columns of U. */
static bool
use_qr_first(int64_t m, int64_t n, linalg_vectors_t vectors)
{
    return 2 * m > 3 * n || (vectors == LINALG_FULL && m > n && n > ORDER_MAX);
}

void
linalg_svd_expect(linalg_t *la, int64_t m, int64_t n, linalg_vectors_t vectors)
{
    int64_t rows = m < n ? n : m, cols = m < n ? m : n;

    int64_t left = columns_of_u(rows, cols, vectors);

    if (m < n) {
        linalg_expect_matrix(la, rows, cols);
        linalg_expect_exchange(la, rows, left);
    }
    if (m < n && vectors) {
        linalg_expect_matrix(la, m, m);
        linalg_expect_matrix(la, left, n);
    }
    if (!use_qr_first(rows, cols, vectors)) {
        expect_near_square(la, rows, cols, vectors);
        return;
    }
    linalg_qr_expect(la, rows, cols, left);
    linalg_expect_matrix(la, cols, cols);
    if (vectors)
        linalg_expect_matrix(la, rows, left);
    expect_near_square(la, cols, cols, vectors ? LINALG_THIN : LINALG_VALUES);
}

/* ---- bidiagonal form ---- */

static int64_t
query_workspace(linalg_t *la, const bidiagonal_t *bi, int64_t left)
{
    const linalg_factorizations_t *f = linalg_factorizations(la);
    linalg_matrix_t *A = bi->A;
    int info, desc[9], columns = (int)left;
    double _Complex answer = 0;
    int64_t entries, asked;

    f->gebrd(&A->m, &A->n, A->data, &one, &one, A->desc, bi->d, bi->e, bi->tauq, bi->taup, &answer, &query, &info);
    entries = linalg_workspace_size(la, &answer);
    linalg_descriptor(la, A->m, left, desc);
    f->ormbr("Q", "L", "N", &A->m, &columns, &A->n, A->data, &one, &one, A->desc, bi->tauq, A->data, &one, &one, desc,
             &answer, &query, &info);
    entries = (asked = linalg_workspace_size(la, &answer)) > entries ? asked : entries;
    linalg_descriptor(la, A->n, A->n, desc);
    f->ormbr("P", "R", la->k->adjoint, &A->n, &A->n, &A->m, A->data, &one, &one, A->desc, bi->taup, A->data, &one, &one,
             desc, &answer, &query, &info);
    return (asked = linalg_workspace_size(la, &answer)) > entries ? asked : entries;
}

static int
reduce_to_bidiagonal(linalg_t *la, linalg_matrix_t *A, linalg_vectors_t vectors, bidiagonal_t *bi)
{
    int64_t entry = (int64_t)la->k->entry_bytes, entries = 1,
            length = A->block.local_m + A->block.local_n + la->layout.nb;
    int code, info = 0;
    void *unused;

    *bi = (bidiagonal_t){.A = A};
    /* PxGEBRD returns d and e in pieces. All ranks read them from the diagonals of A instead. */
    if ((code = linalg_alloc(la, 2 * length * entry, &bi->tauq)) ||
        (code = linalg_alloc(la, 2 * (int64_t)A->n * 8, &bi->d)) || (code = linalg_alloc(la, 2 * length * 8, &unused)))
        return code;
    bi->taup = linalg_address(la->k, bi->tauq, 1, length, 0);
    bi->e = bi->d + A->n;
    if (la->in_grid)
        entries = query_workspace(la, bi, columns_of_u(A->m, A->n, vectors));
    if ((code = linalg_alloc(la, entries * entry, &bi->work)))
        return code;
    bi->lwork = (int)entries;
    if (la->in_grid)
        linalg_factorizations(la)->gebrd(&A->m, &A->n, A->data, &one, &one, A->desc, unused, (double *)unused + length,
                                         bi->tauq, bi->taup, bi->work, &bi->lwork, &info);
    if ((code = linalg_check_info(la, "GEBRD", &info)))
        return code;
    linalg_get_diagonal(la, A, 0, 0, A->n, bi->d);
    linalg_get_diagonal(la, A, 0, 1, A->n - 1, bi->e);
    return ALCH_OK;
}

/* Decompose the bidiagonal matrix on rank 0 (DBDSDC). @param[out] vectors_p  the left and then the right vectors, n x n
 * each, on rank 0 only */
static int
solve_bidiagonal(linalg_t *la, bidiagonal_t *bi, linalg_vectors_t vectors, double **vectors_p)
{
    int64_t n = bi->A->n, square = vectors ? n * n : 0, work = vectors ? 3 * square + 4 * n : 4 * n;
    bool mine = la->call->rank == 0;
    double *memory, q;
    int code, info = 0, iq, order = (int)n;

    code = linalg_alloc(la, mine ? (2 * square + work) * 8 + 8 * n * (int64_t)sizeof(int) : 0, &memory);
    if (code)
        return code;
    if (mine)
        dbdsdc_("U", vectors ? "I" : "N", &order, bi->d, bi->e, memory, &order, memory + square, &order, &q, &iq,
                memory + 2 * square, (int *)(memory + 2 * square + work), &info);
    MPI_Bcast(&info, 1, MPI_INT, 0, la->call->comm);
    if (info)
        return linalg_fail(la, ALCH_ENUMERIC, "SVD did not converge: DBDSDC returned INFO = %d", info);
    MPI_Bcast(bi->d, (int)n, MPI_DOUBLE, 0, la->call->comm);
    *vectors_p = memory;
    return ALCH_OK;
}

/* U := Q [left; 0], or Q [left 0; 0 I] if U has m columns; Vh := right P^H. */
static int
back_transform_vectors(linalg_t *la, const bidiagonal_t *bi, const double *vectors, int64_t left, linalg_svd_t *svd)
{
    const linalg_factorizations_t *f = linalg_factorizations(la);
    linalg_matrix_t *A = bi->A, *U = &svd->U, *Vh = &svd->Vh;
    int64_t n = A->n;
    int code, info = 0;
    double *panel;

    if ((code = linalg_alloc(la, n * la->layout.nb * 8, &panel)) || (code = linalg_create(la, A->m, left, U)) ||
        (code = linalg_create(la, n, n, Vh)))
        return code;
    linalg_distribute_array(la, vectors, n, n, panel, U);
    linalg_set_unit_diagonal(la, U, n);
    linalg_distribute_array(la, vectors + n * n, n, n, panel, Vh);
    if (la->in_grid)
        f->ormbr("Q", "L", "N", &A->m, &U->n, &A->n, A->data, &one, &one, A->desc, bi->tauq, U->data, &one, &one,
                 U->desc, bi->work, &bi->lwork, &info);
    if ((code = linalg_check_info(la, "ORMBR", &info)))
        return code;
    if (la->in_grid)
        f->ormbr("P", "R", la->k->adjoint, &A->n, &A->n, &A->m, A->data, &one, &one, A->desc, bi->taup, Vh->data, &one,
                 &one, Vh->desc, bi->work, &bi->lwork, &info);
    return linalg_check_info(la, "ORMBR", &info);
}

static int
svd_by_bidiagonal(linalg_t *la, linalg_matrix_t *A, linalg_vectors_t vectors, linalg_svd_t *svd)
{
    double *small = NULL;
    bidiagonal_t bi;
    int code;

    if ((code = linalg_begin_stage(la, 0.2, "reduction to bidiagonal form")) ||
        (code = reduce_to_bidiagonal(la, A, vectors, &bi)) ||
        (code = linalg_begin_stage(la, 0.6, "singular values of the bidiagonal matrix")) ||
        (code = solve_bidiagonal(la, &bi, vectors, &small)))
        return code;
    svd->s = bi.d;
    if (!vectors)
        return ALCH_OK;
    if ((code = linalg_begin_stage(la, 0.7, "singular vectors")))
        return code;
    return back_transform_vectors(la, &bi, small, columns_of_u(A->m, A->n, vectors), svd);
}

/* ---- PxGESVD ---- */

static void
call_gesvd(linalg_t *la, linalg_matrix_t *A, linalg_svd_t *svd, void *s, void *work, const int *lwork, void *rwork,
           int *info)
{
    linalg_matrix_t *U = &svd->U, *Vh = &svd->Vh;

    if (la->k->is_complex)
        (la->k->real_bytes == 8 ? pzgesvd_ : pcgesvd_)("V", "V", &A->m, &A->n, A->data, &one, &one, A->desc, s, U->data,
                                                       &one, &one, U->desc, Vh->data, &one, &one, Vh->desc, work, lwork,
                                                       rwork, info);
    else
        (la->k->real_bytes == 8 ? pdgesvd_ : psgesvd_)("V", "V", &A->m, &A->n, A->data, &one, &one, A->desc, s, U->data,
                                                       &one, &one, U->desc, Vh->data, &one, &one, Vh->desc, work, lwork,
                                                       info);
}

/* The workspace that PxGESVD asks for, but at least our own estimate: 32-bit arithmetic in the query may overflow. */
static int
gesvd_work_entries(linalg_t *la, linalg_matrix_t *A, linalg_svd_t *svd, void *s, void *rwork, int64_t *entries_p)
{
    int64_t min_entries = gesvd_entries(la, A->n), asked;
    double _Complex answer = 0;
    int info = 0, code = ALCH_OK;

    *entries_p = 1;
    if (la->in_grid) {
        call_gesvd(la, A, svd, s, &answer, &query, rwork, &info);
        asked = linalg_workspace_size(la, &answer);
        *entries_p = asked > min_entries ? asked : min_entries;
    }
    if (*entries_p > INT32_MAX)
        code = linalg_fail(la, ALCH_ELIMIT,
                           "P%cGESVD needs a workspace of %.3g entries, but ScaLAPACK's 32-bit "
                           "indices allow at most %d: use svd(k=) or more workers",
                           la->k->letter - 'a' + 'A', (double)*entries_p, INT32_MAX);
    return linalg_agree(la, code);
}

static int
svd_by_gesvd(linalg_t *la, linalg_matrix_t *A, linalg_svd_t *svd)
{
    int64_t n = A->n, entries;
    void *s, *work, *rwork;
    int code, info = 0, lwork;

    if ((code = linalg_create(la, A->m, n, &svd->U)) || (code = linalg_create(la, n, n, &svd->Vh)) ||
        (code = linalg_alloc(la, n * 8, &s)) || (code = linalg_alloc(la, n * 8, &svd->s)) ||
        (code = linalg_alloc(la, (4 * (int64_t)A->m + 8) * 8, &rwork)) ||
        (code = gesvd_work_entries(la, A, svd, s, rwork, &entries)) ||
        (code = linalg_alloc(la, entries * (int64_t)la->k->entry_bytes, &work)) ||
        (code = linalg_begin_stage(la, 0.2, "PxGESVD, which cannot be interrupted")))
        return code;
    lwork = (int)entries;
    if (la->in_grid)
        call_gesvd(la, A, svd, s, work, &lwork, rwork, &info);
    if ((code = linalg_check_info(la, "GESVD", &info)))
        return code;
    if (info > 0)
        return linalg_fail(la, ALCH_ENUMERIC, "SVD did not converge: PxGESVD returned INFO = %d", info);
    for (int64_t i = 0; i < n; i++)
        svd->s[i] = creal(linalg_get_entry(la->k->real, s, i));
    MPI_Bcast(svd->s, (int)n, MPI_DOUBLE, 0, la->call->comm);
    return ALCH_OK;
}

/* ---- all shapes ---- */

static int
svd_near_square(linalg_t *la, linalg_matrix_t *A, linalg_vectors_t vectors, linalg_svd_t *svd)
{
    return vectors && A->n > ORDER_MAX ? svd_by_gesvd(la, A, svd) : svd_by_bidiagonal(la, A, vectors, svd);
}

/* Factor A = Q R, decompose R = U diag(s) Vh, and set U := Q [U; 0], or Q [U 0; 0 I] if U has m columns. */
static int
svd_tall(linalg_t *la, linalg_matrix_t *A, linalg_vectors_t vectors, linalg_svd_t *svd)
{
    int64_t left = columns_of_u(A->m, A->n, vectors);
    linalg_matrix_t R, U;
    linalg_qr_t qr;
    int code;

    if ((code = linalg_begin_stage(la, 0.05, "QR factorization")) || (code = linalg_qr_factor(la, A, left, &qr)) ||
        (code = linalg_qr_copy_r(la, &qr, qr.k, &R)) ||
        (code = svd_near_square(la, &R, vectors ? LINALG_THIN : LINALG_VALUES, svd)))
        return code;
    linalg_free(la, &R);
    if (!vectors)
        return ALCH_OK;
    if ((code = linalg_create(la, A->m, left, &U)))
        return code;
    if (la->in_grid)
        la->k->lacpy("A", &A->n, &A->n, svd->U.data, &one, &one, svd->U.desc, U.data, &one, &one, U.desc);
    linalg_set_unit_diagonal(la, &U, A->n);
    linalg_free(la, &svd->U);
    svd->U = U;
    return linalg_qr_apply(la, &qr, false, &svd->U);
}

/* M := M^H. M is freed and created again. */
static int
replace_by_adjoint(linalg_t *la, linalg_matrix_t *M)
{
    linalg_matrix_t T;
    int code = linalg_create_adjoint(la, M, &T);

    if (code)
        return code;
    linalg_free(la, M);
    *M = T;
    return ALCH_OK;
}

/* The decomposition of a matrix without entries: the factors are empty or, with LINALG_FULL, identity matrices. */
static int
svd_of_empty(linalg_t *la, linalg_matrix_t *A, linalg_vectors_t vectors, linalg_svd_t *svd)
{
    bool full = vectors == LINALG_FULL;
    int code = linalg_alloc(la, 0, &svd->s);

    if (code || !vectors)
        return code;
    if ((code = linalg_create(la, A->m, full ? A->m : 0, &svd->U)) ||
        (code = linalg_create(la, full ? A->n : 0, A->n, &svd->Vh)))
        return code;
    linalg_set_unit_diagonal(la, &svd->U, 0);
    if (full)
        linalg_set_unit_diagonal(la, &svd->Vh, 0);
    return ALCH_OK;
}

int
linalg_svd(linalg_t *la, linalg_matrix_t *A, linalg_vectors_t vectors, linalg_svd_t *svd)
{
    bool wide = A->m < A->n;
    linalg_matrix_t swap;
    int code;

    memset(svd, 0, sizeof(*svd));
    if (A->m == 0 || A->n == 0)
        return svd_of_empty(la, A, vectors, svd);
    if (wide && (code = replace_by_adjoint(la, A)))
        return code;
    code = use_qr_first(A->m, A->n, vectors) ? svd_tall(la, A, vectors, svd) : svd_near_square(la, A, vectors, svd);
    linalg_free(la, A);
    if (code || !wide || !vectors)
        return code;
    swap = svd->U;
    svd->U = svd->Vh;
    svd->Vh = swap;
    return (code = replace_by_adjoint(la, &svd->U)) ? code : replace_by_adjoint(la, &svd->Vh);
}
