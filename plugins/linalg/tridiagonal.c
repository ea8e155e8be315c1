/* Reduction of a Hermitian matrix to tridiagonal form, eigenvalues and vectors of that, and the back-transformation. */
#include "tridiagonal.h"
#include "spectral.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

typedef void sytrd_f(const char *uplo, const int *n, void *a, const int *ia, const int *ja, const int *desca, void *d,
                     void *e, void *tau, void *work, const int *lwork, int *info);
typedef void ormtr_f(const char *side, const char *uplo, const char *trans, const int *m, const int *n, const void *a,
                     const int *ia, const int *ja, const int *desca, const void *tau, void *c, const int *ic,
                     const int *jc, const int *descc, void *work, const int *lwork, int *info);
typedef void stedc_f(const char *compz, const int *n, void *d, void *e, void *q, const int *iq, const int *jq,
                     const int *descq, void *work, const int *lwork, int *iwork, const int *liwork, int *info);

sytrd_f pssytrd_, pdsytrd_, pchetrd_, pzhetrd_;
ormtr_f psormtr_, pdormtr_, pcunmtr_, pzunmtr_;
stedc_f psstedc_, pdstedc_;
void dsterf_(const int *n, double *d, double *e, int *info);
void dstevx_(const char *jobz, const char *range, const int *n, double *d, double *e, const double *vl,
             const double *vu, const int *il, const int *iu, const double *abstol, int *m, double *w, double *z,
             const int *ldz, double *work, int *iwork, int *ifail, int *info);

static const int one = 1, query = -1;

/* Largest |Z^T Z - I| that is accepted from rank 0. DSTEVX does not reorthogonalize vectors whose eigenvalues are more
 * than 0.001 of the largest one apart; the deviation that this leaves stays below the limit. */
#define ORTHOGONALITY_MAX 1e-11

typedef struct {
    sytrd_f *sytrd;
    ormtr_f *ormtr;
} routines_t;

static routines_t
routines(const linalg_t *la)
{
    switch (la->k->letter) {
    case 'd':
        return (routines_t){pdsytrd_, pdormtr_};
    case 's':
        return (routines_t){pssytrd_, psormtr_};
    case 'z':
        return (routines_t){pzhetrd_, pzunmtr_};
    default:
        return (routines_t){pchetrd_, pcunmtr_};
    }
}

/* ---- reduction and back-transformation ---- */

void
linalg_tridiagonal_expect(linalg_t *la, int64_t n, int64_t columns)
{
    int64_t length = linalg_numroc(n, la->layout.nb, 0, la->npcol) + la->layout.nb;

    linalg_qr_expect(la, n, n, columns);
    linalg_expect_bytes(la, 16 * n + 16 * length);
}

static int64_t
query_workspace(linalg_t *la, const linalg_tridiagonal_t *tri, int64_t columns)
{
    linalg_matrix_t *A = tri->A;
    double _Complex answer = 0;
    int info, desc[9], k = (int)columns;
    int64_t entries, asked;

    routines(la).sytrd("L", &A->n, A->data, &one, &one, A->desc, tri->d, tri->e, tri->tau, &answer, &query, &info);
    entries = linalg_workspace_size(la, &answer);
    linalg_descriptor(la, A->n, columns, desc);
    routines(la).ormtr("L", "L", "N", &A->n, &k, A->data, &one, &one, A->desc, tri->tau, A->data, &one, &one, desc,
                       &answer, &query, &info);
    asked = linalg_workspace_size(la, &answer);
    return asked > entries ? asked : entries;
}

int
linalg_tridiagonal_reduce(linalg_t *la, linalg_matrix_t *A, int64_t columns, linalg_tridiagonal_t *tri)
{
    int64_t n = A->n, entry = (int64_t)la->k->entry_bytes, length = A->block.local_n + la->layout.nb, entries = 1;
    void *unused;
    int code, info = 0;

    *tri = (linalg_tridiagonal_t){.A = A};
    if ((code = linalg_alloc(la, 16 * n, &tri->d)) || (code = linalg_alloc(la, length * entry, &tri->tau)) ||
        (code = linalg_alloc(la, 2 * length * 8, &unused)))
        return code;
    tri->e = tri->d + n;
    if (la->in_grid)
        entries = query_workspace(la, tri, columns);
    if ((code = linalg_alloc(la, entries * entry, &tri->work)) ||
        (code = linalg_begin_stage(la, 0.1, "reduction to tridiagonal form")))
        return code;
    tri->lwork = (int)entries;
    if (la->in_grid)
        routines(la).sytrd("L", &A->n, A->data, &one, &one, A->desc, unused, (double *)unused + length, tri->tau,
                           tri->work, &tri->lwork, &info);
    if ((code = linalg_check_info(la, "SYTRD", &info)))
        return code;
    linalg_get_diagonal(la, A, 0, 0, n, tri->d);
    linalg_get_diagonal(la, A, 1, 0, n - 1, tri->e);
    return ALCH_OK;
}

int
linalg_tridiagonal_back_transform(linalg_t *la, const linalg_tridiagonal_t *tri, linalg_matrix_t *Z)
{
    linalg_matrix_t *A = tri->A;
    int code, info = 0;

    if ((code = linalg_begin_stage(la, 0.7, "back-transformation of the eigenvectors")))
        return code;
    if (la->in_grid && Z->n > 0)
        routines(la).ormtr("L", "L", "N", &A->n, &Z->n, A->data, &one, &one, A->desc, tri->tau, Z->data, &one, &one,
                           Z->desc, tri->work, &tri->lwork, &info);
    return linalg_check_info(la, "ORMTR", &info);
}

/* ---- eigenvalues only ---- */

int
linalg_tridiagonal_eigenvalues(linalg_t *la, linalg_tridiagonal_t *tri)
{
    int info = 0, code = linalg_begin_stage(la, 0.8, "eigenvalues of the tridiagonal matrix");

    if (code)
        return code;
    if (la->call->rank == 0)
        dsterf_(&tri->A->n, tri->d, tri->e, &info);
    MPI_Bcast(&info, 1, MPI_INT, 0, la->call->comm);
    MPI_Bcast(tri->d, tri->A->n, MPI_DOUBLE, 0, la->call->comm);
    return info ? linalg_fail(la, ALCH_ENUMERIC, "the eigenvalues did not converge: DSTERF returned INFO = %d", info)
                : ALCH_OK;
}

/* ---- a subset of the vectors ---- */

/* Doubles that rank 0 needs: copies of d and e, the eigenvalues, the vectors, their inner products, and workspace. */
static int64_t
subset_doubles(int64_t n, int64_t count)
{
    return 3 * n + n * count + count * count + 5 * n;
}

void
linalg_tridiagonal_eig_subset_expect(linalg_t *la, int64_t n, int64_t count)
{
    linalg_expect_bytes(la, 8 * subset_doubles(n, count) + 4 * 6 * n);
    linalg_expect_bytes(la, 8 * (count + n * la->layout.nb));
    linalg_expect_matrix(la, n, count);
}

/* The largest |Z^T Z - I|. */
static double
orthogonality(const double *z, int n, int count, double *gram)
{
    double worst = 0;

    cblas_dsyrk(CblasColMajor, CblasUpper, CblasTrans, count, n, 1, z, n, 0, gram, count);
    for (int64_t j = 0; j < count; j++)
        for (int64_t i = 0; i <= j; i++)
            worst = fmax(worst, fabs(gram[i + j * count] - (i == j)));
    return worst;
}

/* Called on rank 0 only. @return INFO of DSTEVX; -1: not all eigenvalues found; -2: the vectors are not orthogonal */
static int
solve_subset(const linalg_tridiagonal_t *tri, int first, int count, double *memory, double *values, double **z_p)
{
    const double tiny = 2 * 0x1p-1022, unused = 0; /* the tolerance with which DSTEVX bisects to full accuracy */
    int n = tri->A->n, il = first + 1, iu = first + count, found, info;
    double *d = memory, *e = d + n, *w = e + n, *work = w + n, *gram = work + 5 * (int64_t)n;
    double *z = gram + (int64_t)count * count;
    int *iwork = (int *)(z + (int64_t)n * count);

    memcpy(d, tri->d, (size_t)n * sizeof(double));
    memcpy(e, tri->e, (size_t)n * sizeof(double));
    dstevx_("V", "I", &n, d, e, &unused, &unused, &il, &iu, &tiny, &found, w, z, &n, work, iwork,
            iwork + 5 * (int64_t)n, &info);
    memcpy(values, w, (size_t)count * sizeof(double));
    *z_p = z;
    if (info || found != count)
        return info ? info : -1;
    return orthogonality(z, n, count, gram) < ORTHOGONALITY_MAX ? 0 : -2;
}

int
linalg_tridiagonal_eig_subset(linalg_t *la, const linalg_tridiagonal_t *tri, int64_t first, int64_t count, double **w_p,
                              linalg_matrix_t *Z)
{
    int64_t n = tri->A->n;
    bool mine = la->call->rank == 0;
    double *memory, *panel, *z = NULL;
    int code, info = 0;

    if ((code = linalg_alloc(la, mine ? 8 * subset_doubles(n, count) + 4 * 6 * n : 0, &memory)) ||
        (code = linalg_alloc(la, 8 * count, w_p)) || (code = linalg_alloc(la, 8 * n * la->layout.nb, &panel)) ||
        (code = linalg_create(la, n, count, Z)) ||
        (code = linalg_begin_stage(la, 0.6, "eigenvectors of the tridiagonal matrix")))
        return code;
    if (mine)
        info = solve_subset(tri, (int)first, (int)count, memory, *w_p, &z);
    MPI_Bcast(&info, 1, MPI_INT, 0, la->call->comm);
    if (info > 0)
        return linalg_fail(la, ALCH_ENUMERIC,
                           "%d of %d eigenvectors did not converge (DSTEVX): compute all eigenvectors instead", info,
                           (int)count);
    if (info < 0)
        return linalg_fail(la, ALCH_ENUMERIC, "%s: compute all eigenvectors instead",
                           info == -1 ? "DSTEVX did not find all eigenvalues"
                                      : "the eigenvectors of DSTEVX are not orthogonal");
    MPI_Bcast(*w_p, (int)count, MPI_DOUBLE, 0, la->call->comm);
    linalg_distribute_array(la, z, n, count, panel, Z);
    return ALCH_OK;
}

/* ---- all vectors ---- */

/* Workspace of PxLASRT inside PxSTEDC that the workspace query leaves out. It matters where blocks are larger than a
 * rank's local piece: with too small a workspace ranks wait for each other forever. */
static int64_t
pxlasrt_entries(const linalg_t *la, int64_t n)
{
    int64_t nb = la->layout.nb, rows = linalg_numroc(n, nb, 0, la->nprow), cols = linalg_numroc(n, nb, 0, la->npcol);

    return rows * (nb + cols) + nb * (rows + cols + 3 * nb) + 2 * n;
}

static int64_t
work_entries(const linalg_t *la, int64_t n)
{
    return 6 * n + 2 * linalg_matrix_bytes(la, n, n, 1) + pxlasrt_entries(la, n);
}

static int64_t
iwork_entries(const linalg_t *la, int64_t n)
{
    return 2 + 8 * n + 10 * (int64_t)la->npcol + 2 * la->layout.nb;
}

void
linalg_tridiagonal_eig_all_expect(linalg_t *la, int64_t n, int64_t kept)
{
    int64_t part = (int64_t)la->k->real_bytes;

    linalg_expect_bytes(la, linalg_matrix_bytes(la, n, n, (size_t)part) + (work_entries(la, n) + 2 * n) * part);
    linalg_expect_bytes(la, 4 * iwork_entries(la, n) + 8 * n);
    if (la->k->is_complex || kept < n) {
        linalg_expect_bytes(la, linalg_matrix_bytes(la, n, kept, (size_t)part));
        linalg_expect_matrix(la, n, kept);
    }
}

int
linalg_tridiagonal_eig_all(linalg_t *la, const linalg_tridiagonal_t *tri, double **w_p, linalg_matrix_t *V)
{
    int64_t n = tri->A->n, entries = work_entries(la, n), part = (int64_t)la->k->real_bytes;
    int code, info = 0, order = (int)n, lwork = (int)entries, liwork = (int)iwork_entries(la, n), *iwork;
    alch_dtype_t real = la->k->real;
    void *d, *e, *work;

    if ((code = linalg_create_as(la, n, n, real, V)) || (code = linalg_alloc(la, 8 * n, w_p)) ||
        (code = linalg_alloc(la, 2 * n * part, &d)) || (code = linalg_alloc(la, entries * part, &work)) ||
        (code = linalg_alloc(la, 4 * liwork, &iwork)) ||
        (code = linalg_begin_stage(la, 0.4, "divide and conquer of the tridiagonal matrix")))
        return code;
    e = (char *)d + n * part;
    for (int64_t i = 0; i < n; i++) {
        linalg_set_entry(real, d, i, tri->d[i]);
        linalg_set_entry(real, e, i, tri->e[i]);
    }
    if (la->in_grid)
        (part == 8 ? pdstedc_ : psstedc_)("I", &order, d, e, V->data, &one, &one, V->desc, work, &lwork, iwork, &liwork,
                                          &info);
    if ((code = linalg_check_info(la, "STEDC", &info)))
        return code;
    if (info > 0)
        return linalg_fail(la, ALCH_ENUMERIC, "the eigenvalues did not converge: PxSTEDC returned INFO = %d", info);
    for (int64_t i = 0; i < n; i++)
        (*w_p)[i] = __real__ linalg_get_entry(real, d, i);
    MPI_Bcast(*w_p, order, MPI_DOUBLE, 0, la->call->comm);
    return ALCH_OK;
}

/* Copy real entries into a complex matrix. */
static void
copy_to_complex(linalg_t *la, const linalg_matrix_t *real, linalg_matrix_t *Z)
{
    for (int64_t j = 0; j < real->block.local_n; j++)
        for (int64_t i = 0; i < real->block.local_m; i++)
            linalg_set_entry(la->dtype, Z->data, i + j * Z->block.lld,
                             linalg_get_entry(la->k->real, real->data, i + j * real->block.lld));
}

int
linalg_tridiagonal_select_columns(linalg_t *la, linalg_matrix_t *V, int64_t first, int64_t count, linalg_matrix_t *Z)
{
    const linalg_kernels_t *real = linalg_kernels(la->k->real);
    linalg_matrix_t part = *V;
    int n = V->n, columns = (int)count, from = (int)first + 1, code;

    if (count < V->n) {
        if ((code = linalg_create_as(la, n, count, real->dtype, &part)))
            return code;
        if (la->in_grid && count > 0)
            real->geadd("N", &n, &columns, real->one, V->data, &one, &from, V->desc, real->zero, part.data, &one, &one,
                        part.desc);
        linalg_free(la, V);
    }
    *Z = part;
    if (!la->k->is_complex)
        return ALCH_OK;
    if ((code = linalg_create_unset(la, n, count, Z)))
        return code;
    copy_to_complex(la, &part, Z);
    linalg_free(la, &part);
    return ALCH_OK;
}
