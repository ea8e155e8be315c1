/* Eigenvalues of Hermitian matrices. */
#include "spectral.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef void syevd_f(const char *jobz, const char *uplo, const int *n, void *a, const int *ia, const int *ja,
                     const int *desca, void *w, void *z, const int *iz, const int *jz, const int *descz, void *work,
                     const int *lwork, int *iwork, const int *liwork, int *info);
typedef void heevd_f(const char *jobz, const char *uplo, const int *n, void *a, const int *ia, const int *ja,
                     const int *desca, void *w, void *z, const int *iz, const int *jz, const int *descz, void *work,
                     const int *lwork, void *rwork, const int *lrwork, int *iwork, const int *liwork, int *info);
typedef void sytrd_f(const char *uplo, const int *n, void *a, const int *ia, const int *ja, const int *desca, void *d,
                     void *e, void *tau, void *work, const int *lwork, int *info);
typedef void ormtr_f(const char *side, const char *uplo, const char *trans, const int *m, const int *n, const void *a,
                     const int *ia, const int *ja, const int *desca, const void *tau, void *c, const int *ic,
                     const int *jc, const int *descc, void *work, const int *lwork, int *info);
typedef void sygst_f(const int *ibtype, const char *uplo, const int *n, void *a, const int *ia, const int *ja,
                     const int *desca, const void *b, const int *ib, const int *jb, const int *descb, void *scale,
                     int *info);

syevd_f pssyevd_, pdsyevd_;
heevd_f pcheevd_, pzheevd_;
sytrd_f pssytrd_, pdsytrd_, pchetrd_, pzhetrd_;
ormtr_f psormtr_, pdormtr_, pcunmtr_, pzunmtr_;
sygst_f pssygst_, pdsygst_, pchegst_, pzhegst_;
void dsterf_(const int *n, double *d, double *e, int *info);
void dstemr_(const char *jobz, const char *range, const int *n, double *d, double *e, const double *vl,
             const double *vu, const int *il, const int *iu, int *m, double *w, double *z, const int *ldz,
             const int *nzc, int *isuppz, int *tryrac, double *work, const int *lwork, int *iwork, const int *liwork,
             int *info);

static const int one = 1, ask = -1;

typedef struct {
    sytrd_f *sytrd;
    ormtr_f *ormtr;
    sygst_f *sygst;
} routines_t;

static routines_t
routines(const linalg_t *la)
{
    switch (la->k->letter) {
    case 'd':
        return (routines_t){pdsytrd_, pdormtr_, pdsygst_};
    case 's':
        return (routines_t){pssytrd_, psormtr_, pssygst_};
    case 'z':
        return (routines_t){pzhetrd_, pzunmtr_, pzhegst_};
    default:
        return (routines_t){pchetrd_, pcunmtr_, pchegst_};
    }
}

/* Which eigenvalues are wanted. */
typedef struct {
    char range; /* A all, I from..to by index, V in (low, high] */
    int64_t from, to;
    double low, high;
} subset_t;

/* ---- what is asked for ---- */

static int
take_subset(linalg_t *la, int64_t n, subset_t *subset)
{
    const alch_host_t *host = la->host;
    size_t indices = host->arg_count(la->call, "subset_by_index"),
           values = host->arg_count(la->call, "subset_by_value");

    *subset = (subset_t){.range = indices ? 'I' : values ? 'V' : 'A', .to = n - 1};
    if (indices && values)
        return linalg_fail(la, ALCH_EINVAL, "subset_by_index and subset_by_value cannot both be given");
    if ((indices && indices != 2) || (values && values != 2))
        return linalg_fail(la, ALCH_EINVAL, "a subset is given by two numbers, its ends");
    if (indices) {
        subset->from = host->arg_int_at(la->call, "subset_by_index", 0);
        subset->to = host->arg_int_at(la->call, "subset_by_index", 1);
        if (subset->from < 0 || subset->from > subset->to || subset->to >= n)
            return linalg_fail(la, ALCH_ERANGE,
                               "subset_by_index is [%" PRId64 ", %" PRId64 "]: 0 <= first <= last < %" PRId64
                               " is expected",
                               subset->from, subset->to, n);
    }
    if (values) {
        subset->low = host->arg_real_at(la->call, "subset_by_value", 0);
        subset->high = host->arg_real_at(la->call, "subset_by_value", 1);
        if (!(subset->low < subset->high))
            return linalg_fail(la, ALCH_ERANGE, "subset_by_value is (%g, %g]: the first must be below the second",
                               subset->low, subset->high);
    }
    return ALCH_OK;
}

/* ---- the problem in standard form ---- */

static void
expect_problem(linalg_t *la, int64_t n)
{
    linalg_expect(la, "a", LINALG_COPY);
    linalg_expect(la, "b", LINALG_COPY);
    if (!la->host->arg_bool(la->call, "lower"))
        linalg_expect_matrix(la, n, n);
}

/* A copy whose lower triangle is the matrix. */
static int
take_lower(linalg_t *la, const char *name, linalg_matrix_t *M)
{
    linalg_matrix_t T;
    int code = linalg_operand(la, name, LINALG_COPY | LINALG_FINITE, M);

    if (code || la->host->arg_bool(la->call, "lower"))
        return code;
    if ((code = linalg_turned(la, M, &T)))
        return code;
    linalg_free(la, M);
    *M = T;
    return ALCH_OK;
}

/* A := inv(L) A inv(L^H) with B = L L^H. */
static int
make_standard(linalg_t *la, linalg_matrix_t *A, linalg_matrix_t *B)
{
    double scale[2] = {1, 0};
    int code, info = 0;

    if ((code = take_lower(la, "b", B)) || (code = linalg_stage(la, 0.05, "Cholesky factorization of b")))
        return code;
    if (la->here)
        la->k->potrf("L", &B->n, B->data, &one, &one, B->desc, &info);
    if ((code = linalg_info(la, "POTRF", &info)))
        return code;
    if (info > 0)
        return linalg_fail(la, ALCH_ENUMERIC, "the leading minor of order %d of b is not positive definite", info);
    if (la->here)
        routines(la).sygst(&one, "L", &A->n, A->data, &one, &one, A->desc, B->data, &one, &one, B->desc, scale, &info);
    return linalg_info(la, "SYGST", &info);
}

/* ---- tridiagonal form ---- */

typedef struct {
    linalg_matrix_t *A;
    double *d, *e; /* [n] on all ranks */
    void *tau, *work;
    int lwork;
} tridiagonal_t;

static void
expect_tridiagonal(linalg_t *la, int64_t n)
{
    linalg_qr_expect(la, n, n, n);
    linalg_expect_bytes(la, 8 * (4 * n + 3 * linalg_numroc(n, la->layout.nb, 0, la->npcol)));
}

static int64_t
query_tridiagonal(linalg_t *la, const tridiagonal_t *tri, int64_t columns)
{
    linalg_matrix_t *A = tri->A;
    double _Complex answer = 0;
    int info, desc[9], k = (int)columns;
    int64_t entries, asked;

    routines(la).sytrd("L", &A->n, A->data, &one, &one, A->desc, tri->d, tri->e, tri->tau, &answer, &ask, &info);
    entries = linalg_queried(la, &answer);
    linalg_descriptor(la, A->n, columns, desc);
    routines(la).ormtr("L", "L", "N", &A->n, &k, A->data, &one, &one, A->desc, tri->tau, A->data, &one, &one, desc,
                       &answer, &ask, &info);
    asked = linalg_queried(la, &answer);
    return asked > entries ? asked : entries;
}

static int
reduce(linalg_t *la, linalg_matrix_t *A, int64_t columns, tridiagonal_t *tri)
{
    int64_t n = A->n, entry = (int64_t)la->k->entry, length = A->block.local_n + la->layout.nb, entries = 1;
    void *unused;
    int code, info = 0;

    *tri = (tridiagonal_t){.A = A};
    if ((code = linalg_alloc(la, 16 * n, &tri->d)) || (code = linalg_alloc(la, length * entry, &tri->tau)) ||
        (code = linalg_alloc(la, 2 * length * 8, &unused)))
        return code;
    tri->e = tri->d + n;
    if (la->here)
        entries = query_tridiagonal(la, tri, columns);
    if ((code = linalg_alloc(la, entries * entry, &tri->work)) ||
        (code = linalg_stage(la, 0.1, "reduction to tridiagonal form")))
        return code;
    tri->lwork = (int)entries;
    if (la->here)
        routines(la).sytrd("L", &A->n, A->data, &one, &one, A->desc, unused, (double *)unused + length, tri->tau,
                           tri->work, &tri->lwork, &info);
    if ((code = linalg_info(la, "SYTRD", &info)))
        return code;
    linalg_diagonal(la, A, 0, 0, n, tri->d);
    linalg_diagonal(la, A, 1, 0, n - 1, tri->e);
    return ALCH_OK;
}

/* ---- values alone ---- */

/* All of them, into d. */
static int
values_of(linalg_t *la, linalg_matrix_t *A, double **w_p)
{
    tridiagonal_t tri;
    int code = reduce(la, A, A->n, &tri), info = 0;

    if (code || (code = linalg_stage(la, 0.8, "eigenvalues of the tridiagonal matrix")))
        return code;
    if (la->call->rank == 0)
        dsterf_(&A->n, tri.d, tri.e, &info);
    MPI_Bcast(&info, 1, MPI_INT, 0, la->call->comm);
    MPI_Bcast(tri.d, A->n, MPI_DOUBLE, 0, la->call->comm);
    *w_p = tri.d;
    return info ? linalg_fail(la, ALCH_ENUMERIC, "eigenvalues did not converge: DSTERF says %d", info) : ALCH_OK;
}

static void
cut(const subset_t *subset, const double *w, int64_t n, int64_t *first_p, int64_t *count_p)
{
    int64_t first = subset->from, end = subset->to + 1;

    if (subset->range == 'V') {
        for (first = 0; first < n && !(w[first] > subset->low); first++)
            ;
        for (end = first; end < n && w[end] <= subset->high; end++)
            ;
    }
    *first_p = first;
    *count_p = end - first;
}

/* ---- all vectors ---- */

/* @param entries  of work, rwork and iwork: -1 in a query, which answers there */
static void
call_syevd(linalg_t *la, linalg_matrix_t *A, linalg_matrix_t *Z, void *w, void *work, const int lwork[3], void *rwork,
           int *iwork, int *info)
{
    if (la->k->is_complex)
        (la->k->part == 8 ? pzheevd_ : pcheevd_)("V", "L", &A->n, A->data, &one, &one, A->desc, w, Z->data, &one, &one,
                                                 Z->desc, work, &lwork[0], rwork, &lwork[1], iwork, &lwork[2], info);
    else
        (la->k->part == 8 ? pdsyevd_ : pssyevd_)("V", "L", &A->n, A->data, &one, &one, A->desc, w, Z->data, &one, &one,
                                                 Z->desc, work, &lwork[0], iwork, &lwork[2], info);
}

/* What PxLASRT and PxORMTR inside PxSYEVD need and its own query forgets where blocks are larger than a rank's share:
 * too little there leaves ranks waiting for each other. */
static int64_t
syevd_extra(const linalg_t *la, int64_t n)
{
    int64_t nb = la->layout.nb, rows = linalg_numroc(n, nb, 0, la->nprow), cols = linalg_numroc(n, nb, 0, la->npcol);

    return rows * (nb + cols) + nb * (rows + cols + 3 * nb) + 2 * n;
}

/* What PxSYEVD takes besides A and Z, in bytes. */
static int64_t
syevd_bytes(const linalg_t *la, int64_t n)
{
    int64_t nb = la->layout.nb, square = linalg_bytes(la, n, n, 1);

    return (3 * square + 12 * n + 4 * nb * nb + 2 * syevd_extra(la, n)) * (int64_t)la->k->entry +
           4 * (9 * n + 10 * la->npcol + 2 * nb);
}

static int
all_vectors(linalg_t *la, linalg_matrix_t *A, linalg_matrix_t *Z, double **w_p)
{
    int code, info = 0, lwork[3] = {-1, -1, -1}, ask_iwork[8] = {1};
    double answer[8] = {0}, ranswer[8] = {0};
    linalg_t real = *la;
    int64_t n = A->n;
    void *w, *work, *rwork;
    int *iwork;

    if ((code = linalg_create(la, n, n, Z)) || (code = linalg_alloc(la, 8 * n, &w)) ||
        (code = linalg_alloc(la, 8 * n, w_p)))
        return code;
    if (la->here)
        call_syevd(la, A, Z, w, answer, lwork, ranswer, ask_iwork, &info);
    real.dtype = la->k->real;
    lwork[0] = la->here ? (int)(linalg_queried(la, answer) + syevd_extra(la, n)) : 1;
    lwork[1] = la->here ? (int)(linalg_queried(&real, ranswer) + syevd_extra(la, n)) : 1;
    lwork[2] = la->here ? ask_iwork[0] + (int)(n + 2 * la->layout.nb + 2 * la->npcol) : 1;
    if ((code = linalg_alloc(la, lwork[0] * (int64_t)la->k->entry, &work)) ||
        (code = linalg_alloc(la, lwork[1] * (int64_t)la->k->part, &rwork)) ||
        (code = linalg_alloc(la, lwork[2] * (int64_t)sizeof(int), &iwork)) ||
        (code = linalg_stage(la, 0.1, "PxSYEVD, which cannot be interrupted")))
        return code;
    if (la->here)
        call_syevd(la, A, Z, w, work, lwork, rwork, iwork, &info);
    if ((code = linalg_info(la, la->k->is_complex ? "HEEVD" : "SYEVD", &info)))
        return code;
    if (info > 0)
        return linalg_fail(la, ALCH_ENUMERIC, "eigenvalues did not converge: PxSYEVD says %d", info);
    for (int64_t i = 0; i < n; i++)
        (*w_p)[i] = __real__ linalg_get(la->k->real, w, i);
    MPI_Bcast(*w_p, (int)n, MPI_DOUBLE, 0, la->call->comm);
    return ALCH_OK;
}

/* ---- some vectors ---- */

/* Rank 0's room for the tridiagonal eigenproblem. */
typedef struct {
    double *d, *e, *w, *z, *work;
    int *support, *iwork;
    int m;
} small_t;

/* The most vectors that may be asked for: those of a range of values are not known before. */
static int64_t
columns_of(const subset_t *subset, int64_t n)
{
    return subset->range == 'I' ? subset->to - subset->from + 1 : n;
}

static int64_t
small_bytes(int64_t n, int64_t columns)
{
    return 8 * (3 * n + n * columns + 18 * n) + 4 * (2 * n + 10 * n) + 8 * columns * columns;
}

/* The largest |Z^T Z - I|. */
static double
orthogonality(const small_t *small, int64_t n, double *gram)
{
    double worst = 0;

    cblas_dsyrk(CblasColMajor, CblasUpper, CblasTrans, small->m, (int)n, 1, small->z, (int)n, 0, gram, small->m);
    for (int64_t j = 0; j < small->m; j++)
        for (int64_t i = 0; i <= j; i++)
            worst = fmax(worst, fabs(gram[i + j * small->m] - (i == j)));
    return worst;
}

/* Multiple relatively robust representations (Dhillon, Parlett). @return INFO, or -1: vectors are not orthogonal */
static int
solve_small(const tridiagonal_t *tri, const subset_t *subset, int64_t columns, char *memory, small_t *small)
{
    int64_t n = tri->A->n;
    int order = (int)n, il = (int)subset->from + 1, iu = (int)subset->to + 1, nzc = (int)columns, tryrac = 1, info;
    int lwork = 18 * order, liwork = 10 * order;
    double *next = (double *)memory;

    small->d = next;
    small->e = small->d + n;
    small->w = small->e + n;
    small->z = small->w + n;
    small->work = small->z + n * columns;
    next = small->work + 18 * n;
    small->support = (int *)(next + columns * columns);
    small->iwork = small->support + 2 * n;
    memcpy(small->d, tri->d, (size_t)n * 8);
    memcpy(small->e, tri->e, (size_t)n * 8);
    dstemr_("V", &subset->range, &order, small->d, small->e, &subset->low, &subset->high, &il, &iu, &small->m, small->w,
            small->z, &order, &nzc, small->support, &tryrac, small->work, &lwork, small->iwork, &liwork, &info);
    if (info)
        return info;
    return small->m == 0 || orthogonality(small, n, next) < 1e-11 ? 0 : -1;
}

/* Z := Q [vectors of the tridiagonal matrix]. */
static int
multiply_back(linalg_t *la, const tridiagonal_t *tri, const small_t *small, linalg_matrix_t *Z)
{
    linalg_matrix_t *A = tri->A;
    int code, info = 0;
    double *panel;

    if ((code = linalg_alloc(la, A->n * la->layout.nb * 8, &panel)) || (code = linalg_create(la, A->n, small->m, Z)))
        return code;
    linalg_spread(la, small->z, A->n, small->m, panel, Z);
    if (la->here && small->m > 0)
        routines(la).ormtr("L", "L", "N", &A->n, &small->m, A->data, &one, &one, A->desc, tri->tau, Z->data, &one, &one,
                           Z->desc, tri->work, (const int *)&tri->lwork, &info);
    return linalg_info(la, "ORMTR", &info);
}

/* *whole_p: this way did not lead there */
static int
some_vectors(linalg_t *la, linalg_matrix_t *A, const subset_t *subset, linalg_matrix_t *Z, double **w_p, int64_t *m_p)
{
    int64_t n = A->n, columns = columns_of(subset, n);
    bool mine = la->call->rank == 0;
    small_t small = {.m = 0};
    tridiagonal_t tri;
    char *memory;
    int code, info = 0;

    if ((code = reduce(la, A, columns, &tri)) ||
        (code = linalg_alloc(la, mine ? small_bytes(n, columns) : 0, &memory)) ||
        (code = linalg_stage(la, 0.7, "eigenvectors of the tridiagonal matrix")))
        return code;
    if (mine)
        info = solve_small(&tri, subset, columns, memory, &small);
    MPI_Bcast(&info, 1, MPI_INT, 0, la->call->comm);
    if (info)
        return linalg_fail(la, ALCH_ENUMERIC,
                           info < 0 ? "eigenvectors of the tridiagonal matrix came out not "
                                      "orthogonal (DSTEMR): compute all of them"
                                    : "eigenvalues did not converge: DSTEMR says %d",
                           info);
    MPI_Bcast(&small.m, 1, MPI_INT, 0, la->call->comm);
    if (mine)
        memcpy(tri.d, small.w, (size_t)small.m * 8);
    MPI_Bcast(tri.d, small.m, MPI_DOUBLE, 0, la->call->comm);
    *w_p = tri.d;
    *m_p = small.m;
    return multiply_back(la, &tri, &small, Z);
}

/* ---- operations ---- */

static int
check_problem(linalg_t *la, int64_t *n_p, subset_t *subset)
{
    alch_block_t b;
    int code = linalg_square(la, "a", n_p);

    if (code)
        return code;
    linalg_shape(la, "b", &b);
    if (linalg_given(la, "b") && (b.m != *n_p || b.n != *n_p))
        return linalg_fail(la, ALCH_EINVAL, "b is %" PRId64 " x %" PRId64 ", a %" PRId64 " x %" PRId64, b.m, b.n, *n_p,
                           *n_p);
    return take_subset(la, *n_p, subset);
}

/* Vectors of the generalized problem: Z := inv(L^H) Z. */
static int
turn_back(linalg_t *la, const linalg_matrix_t *B, linalg_matrix_t *Z)
{
    if (la->here && Z->n > 0)
        la->k->trsm("L", "L", la->k->adjoint, "N", &Z->m, &Z->n, la->k->one, B->data, &one, &one, B->desc, Z->data,
                    &one, &one, Z->desc);
    return ALCH_OK;
}

static int
eigh(linalg_t *la)
{
    linalg_matrix_t A, B, Z;
    bool general = linalg_given(la, "b");
    subset_t subset;
    int64_t n, m;
    double *w;
    int code = check_problem(la, &n, &subset);

    if (code)
        return code;
    expect_problem(la, n);
    expect_tridiagonal(la, n);
    linalg_expect_matrix(la, n, columns_of(&subset, n));
    linalg_expect_bytes(la, subset.range == 'A' ? syevd_bytes(la, n) : small_bytes(n, columns_of(&subset, n)));
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "copy")) || (code = take_lower(la, "a", &A)))
        return code;
    if (general && (code = make_standard(la, &A, &B)))
        return code;
    m = n;
    if (n == 0)
        code = (code = linalg_alloc(la, 0, &w)) ? code : linalg_create(la, 0, 0, &Z);
    else if (subset.range == 'A')
        code = all_vectors(la, &A, &Z, &w);
    else
        code = some_vectors(la, &A, &subset, &Z, &w, &m);
    if (code || (general && (code = turn_back(la, &B, &Z))) || (code = linalg_return_reals(la, "w", w, m)))
        return code;
    return linalg_return(la, "v", &Z);
}

static const char eigh_doc[] =
    "Eigenvalues and eigenvectors of a Hermitian (symmetric) matrix: a v = v diag(w), or a v = b v diag(w).\n\n"
    "Method, all: PxSYEVD, PxHEEVD: tridiagonal form, divide and conquer on all workers (Tisseur, Dongarra 1999).\n"
    "Method, subset: PxSYTRD, multiple relatively robust representations on one worker (LAPACK DSTEMR, Dhillon, "
    "Parlett 2004; orthogonality is checked), PxORMTR. PxSYEVR is not used: it was slower than PxSYEVD.\n"
    "Generalized: Cholesky factorization of b, PxSYGST; v^H b v = 1.\n"
    "Values are accurate to a few eps times the largest one, times cond(b) if there is a b.\n"
    "Memory, all: copies of a and b, v, and about three times v. Subset: copies of a and b, v, and on one worker 8 "
    "bytes times n times the number of vectors (n of them if given by values).\n"
    "Cancel: between the stages; PxSYEVD itself cannot be interrupted.\n\n"
    "a: n x n, of which one triangle is used\n"
    "b: n x n, positive definite; without it the standard problem is solved\n"
    "lower: which triangle of a and b counts\n"
    "subset_by_index: [first, last], counted from 0, both included\n"
    "subset_by_value: [low, high]: eigenvalues in (low, high]\n"
    "w: rising\n"
    "v: column i belongs to w[i]; orthonormal\n";

static int
linalg_eigh(alch_call_t *call)
{
    linalg_t la;
    int code = linalg_begin(&la, call, "a", "b", NULL);

    if (!code)
        code = eigh(&la);
    return linalg_end(&la, code);
}

static int
eigvalsh(linalg_t *la)
{
    linalg_matrix_t A, B;
    subset_t subset;
    int64_t n, first, count;
    double *w;
    int code = check_problem(la, &n, &subset);

    if (code)
        return code;
    expect_problem(la, n);
    expect_tridiagonal(la, n);
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "copy")) || (code = take_lower(la, "a", &A)))
        return code;
    if (linalg_given(la, "b") && (code = make_standard(la, &A, &B)))
        return code;
    if ((code = n > 0 ? values_of(la, &A, &w) : linalg_alloc(la, 0, &w)))
        return code;
    cut(&subset, w, n, &first, &count);
    return linalg_return_reals(la, "w", w + first, count);
}

static const char eigvalsh_doc[] =
    "Eigenvalues of a Hermitian (symmetric) matrix, or of a v = b v w.\n\n"
    "Method: PxSYTRD, PxHETRD, then Pal-Walker-Kahan QL (LAPACK DSTERF) on one worker; with b as eigh.\n"
    "Memory: copies of a and b.\n"
    "Cancel: between the stages.\n\n"
    "a: n x n, of which one triangle is used\n"
    "b: n x n, positive definite; without it the standard problem is solved\n"
    "lower: which triangle of a and b counts\n"
    "subset_by_index: [first, last], counted from 0, both included\n"
    "subset_by_value: [low, high]: eigenvalues in (low, high]\n"
    "w: rising\n";

static int
linalg_eigvalsh(alch_call_t *call)
{
    linalg_t la;
    int code = linalg_begin(&la, call, "a", "b", NULL);

    if (!code)
        code = eigvalsh(&la);
    return linalg_end(&la, code);
}

static const alch_operation_t operations[] = {
    {"eigh", "Eigenvalues and eigenvectors of a Hermitian matrix.",
     "a:matrix, b:matrix=none, lower:bool=true, subset_by_index:int64[]=[], subset_by_value:float64[]=[] -> w:vector, "
     "v:matrix",
     eigh_doc, 0, linalg_eigh},
    {"eigvalsh", "Eigenvalues of a Hermitian matrix.",
     "a:matrix, b:matrix=none, lower:bool=true, subset_by_index:int64[]=[], subset_by_value:float64[]=[] -> w:vector",
     eigvalsh_doc, 0, linalg_eigvalsh},
};

LINALG_AREA(linalg_eigen_area, operations);
