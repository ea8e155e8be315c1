/* Eigenvalues and eigenvectors of Hermitian matrices: the operations eigh and eigvalsh. */
#include "spectral.h"
#include "tridiagonal.h"

#include <inttypes.h>
#include <string.h>

typedef void sygst_f(const int *ibtype, const char *uplo, const int *n, void *a, const int *ia, const int *ja,
                     const int *desca, const void *b, const int *ib, const int *jb, const int *descb, void *scale,
                     int *info);

sygst_f pssygst_, pdsygst_, pchegst_, pzhegst_;
linalg_trsm_f pstrmm_, pdtrmm_, pctrmm_, pztrmm_;

static const int one = 1;

typedef struct {
    sygst_f *sygst;
    linalg_trsm_f *trmm;
} routines_t;

static routines_t
routines(const linalg_t *la)
{
    switch (la->k->letter) {
    case 'd':
        return (routines_t){pdsygst_, pdtrmm_};
    case 's':
        return (routines_t){pssygst_, pstrmm_};
    case 'z':
        return (routines_t){pzhegst_, pztrmm_};
    default:
        return (routines_t){pchegst_, pctrmm_};
    }
}

/* An eigenvalue problem, and the range of eigenvalues that is wanted. */
typedef struct {
    int64_t n;
    int type;   /* 0: the standard problem of a; else the number that scipy.linalg.eigh gives the type */
    char range; /* 'A' all, 'I' the indices from..to, 'V' the values in (low, high] */
    int64_t from, to;
    double low, high;
} problem_t;

/* Rank 0 computes a subset of at most n / SUBSET_FRACTION vectors alone. For larger ones divide and conquer on all
 * ranks is faster, even where no eigenvalues are close (test/bench/MEASUREMENTS.md). */
#define SUBSET_FRACTION 8

static bool
is_small_subset(const problem_t *p)
{
    return p->range == 'I' && SUBSET_FRACTION * (p->to - p->from + 1) <= p->n;
}

/* ---- options ---- */

static int
read_subset(linalg_t *la, problem_t *p)
{
    const alch_host_t *host = la->host;
    size_t indices = host->arg_count(la->call, "subset_by_index"),
           values = host->arg_count(la->call, "subset_by_value");

    p->range = indices ? 'I' : values ? 'V' : 'A';
    p->to = p->n - 1;
    if (indices && values)
        return linalg_fail(la, ALCH_EINVAL, "subset_by_index and subset_by_value cannot both be given");
    if ((indices && indices != 2) || (values && values != 2))
        return linalg_fail(la, ALCH_EINVAL, "%s has length %zu, but must hold two numbers, the ends of the range",
                           indices ? "subset_by_index" : "subset_by_value", indices ? indices : values);
    if (indices) {
        p->from = host->arg_int_at(la->call, "subset_by_index", 0);
        p->to = host->arg_int_at(la->call, "subset_by_index", 1);
        if (p->from < 0 || p->from > p->to || p->to >= p->n)
            return linalg_fail(la, ALCH_ERANGE,
                               "subset_by_index is [%" PRId64 ", %" PRId64 "], but 0 <= first <= last < %" PRId64
                               " must hold",
                               p->from, p->to, p->n);
    }
    if (values) {
        p->low = host->arg_real_at(la->call, "subset_by_value", 0);
        p->high = host->arg_real_at(la->call, "subset_by_value", 1);
        if (!(p->low < p->high))
            return linalg_fail(la, ALCH_ERANGE,
                               "subset_by_value is (%g, %g], but the first number must be below the second", p->low,
                               p->high);
    }
    return ALCH_OK;
}

/* ---- reduction to the standard problem ---- */

static void
expect_problem(linalg_t *la, const problem_t *p)
{
    linalg_expect_operand(la, "a", LINALG_COPY);
    linalg_expect_operand(la, "b", LINALG_COPY);
    if (la->host->arg_bool(la->call, "lower"))
        return;
    linalg_expect_matrix(la, p->n, p->n);
    linalg_expect_exchange(la, p->n, p->n);
}

/* Copy a parameter so that its lower triangle holds the matrix: if the client gave the upper one, take the adjoint. */
static int
copy_lower_triangle(linalg_t *la, const char *name, linalg_matrix_t *M)
{
    linalg_matrix_t T;
    int code = linalg_get_operand(la, name, LINALG_COPY | LINALG_FINITE, M);

    if (code || la->host->arg_bool(la->call, "lower"))
        return code;
    if ((code = linalg_create_adjoint(la, M, &T)))
        return code;
    linalg_free(la, M);
    *M = T;
    return ALCH_OK;
}

/* A := inv(L) A inv(L^H), or L^H A L for types 2 and 3, with B = L L^H (PxSYGST). */
static int
reduce_to_standard_form(linalg_t *la, const problem_t *p, linalg_matrix_t *A, linalg_matrix_t *B)
{
    double scale[2] = {1, 0};
    int code, info = 0;

    if ((code = copy_lower_triangle(la, "b", B)) ||
        (code = linalg_begin_stage(la, 0.05, "Cholesky factorization of b")))
        return code;
    if (la->in_grid && p->n > 0)
        la->k->potrf("L", &B->n, B->data, &one, &one, B->desc, &info);
    if ((code = linalg_check_info(la, "POTRF", &info)))
        return code;
    if (info > 0)
        return linalg_fail(la, ALCH_ENUMERIC,
                           "b is not positive definite: its leading minor of order %d is not positive", info);
    if (la->in_grid && p->n > 0)
        routines(la).sygst(&p->type, "L", &A->n, A->data, &one, &one, A->desc, B->data, &one, &one, B->desc, scale,
                           &info);
    return linalg_check_info(la, "SYGST", &info);
}

/* Set A to the matrix of the standard problem, and B to the Cholesky factor of b if b was given. */
static int
load_problem(linalg_t *la, const problem_t *p, linalg_matrix_t *A, linalg_matrix_t *B)
{
    int code;

    if ((code = linalg_begin_stage(la, 0, "copy")) || (code = copy_lower_triangle(la, "a", A)))
        return code;
    return p->type ? reduce_to_standard_form(la, p, A, B) : ALCH_OK;
}

/* Transform the vectors of the standard problem into those of the given one: Z := inv(L^H) Z, or L Z for type 3. */
static void
back_transform_generalized(linalg_t *la, const problem_t *p, const linalg_matrix_t *B, linalg_matrix_t *Z)
{
    linalg_trsm_f *multiply = p->type == 3 ? routines(la).trmm : la->k->trsm;

    if (la->in_grid && p->type && Z->n > 0)
        multiply("L", "L", p->type == 3 ? "N" : la->k->adjoint, "N", &Z->m, &Z->n, la->k->one, B->data, &one, &one,
                 B->desc, Z->data, &one, &one, Z->desc);
}

/* Find the wanted range among all eigenvalues w. */
static void
select_range(const problem_t *p, const double *w, int64_t *first_p, int64_t *count_p)
{
    int64_t first = p->from, end = p->to + 1;

    if (p->range == 'V') {
        for (first = 0; first < p->n && !(w[first] > p->low); first++)
            ;
        for (end = first; end < p->n && w[end] <= p->high; end++)
            ;
    }
    *first_p = first;
    *count_p = end - first;
}

/* ---- operations ---- */

static int
check_problem(linalg_t *la, problem_t *p)
{
    int64_t type = la->host->arg_int(la->call, "type");
    alch_block_t b;
    int code;

    *p = (problem_t){.type = linalg_is_given(la, "b") ? (int)type : 0};
    if ((code = linalg_check_square(la, "a", &p->n)))
        return code;
    linalg_operand_block(la, "b", &b);
    if (p->type && (b.m != p->n || b.n != p->n))
        return linalg_fail(la, ALCH_EINVAL, "b is %" PRId64 " x %" PRId64 ", but a is %" PRId64 " x %" PRId64, b.m, b.n,
                           p->n, p->n);
    if (type < 1 || type > 3)
        return linalg_fail(la, ALCH_ERANGE, "type is %" PRId64 ", but must be 1, 2 or 3", type);
    return read_subset(la, p);
}

static void
expect_eigh(linalg_t *la, const problem_t *p)
{
    int64_t columns = p->to - p->from + 1;

    expect_problem(la, p);
    linalg_tridiagonal_expect(la, p->n, columns);
    if (is_small_subset(p))
        linalg_tridiagonal_eig_subset_expect(la, p->n, columns);
    else
        linalg_tridiagonal_eig_all_expect(la, p->n, columns);
    linalg_expect_bytes(la, linalg_matrix_bytes(la, columns, 1, 8));
}

/* Compute the wanted eigenvalues and eigenvectors of the standard problem. */
static int
solve_standard_problem(linalg_t *la, const problem_t *p, linalg_matrix_t *A, double **w_p, linalg_matrix_t *Z)
{
    linalg_tridiagonal_t tri;
    linalg_matrix_t V;
    int64_t first, count;
    double *w;
    int code = linalg_tridiagonal_reduce(la, A, p->to - p->from + 1, &tri);

    if (code)
        return code;
    if (is_small_subset(p)) {
        code = linalg_tridiagonal_eig_subset(la, &tri, p->from, p->to - p->from + 1, w_p, Z);
    } else if (!(code = linalg_tridiagonal_eig_all(la, &tri, &w, &V))) {
        select_range(p, w, &first, &count);
        *w_p = w + first;
        code = linalg_tridiagonal_select_columns(la, &V, first, count, Z);
    }
    return code ? code : linalg_tridiagonal_back_transform(la, &tri, Z);
}

static int
eigh(linalg_t *la)
{
    linalg_matrix_t A, B, Z;
    problem_t p;
    double *w;
    int code = check_problem(la, &p);

    if (code)
        return code;
    expect_eigh(la, &p);
    if ((code = linalg_check_memory(la)) || (code = load_problem(la, &p, &A, &B)))
        return code;
    if (p.n > 0)
        code = solve_standard_problem(la, &p, &A, &w, &Z);
    else if (!(code = linalg_alloc(la, 0, &w)))
        code = linalg_create(la, 0, 0, &Z);
    if (code)
        return code;
    back_transform_generalized(la, &p, &B, &Z);
    code = linalg_return_reals(la, "w", w, Z.n);
    return code ? code : linalg_return_matrix(la, "v", &Z);
}

static const char eigh_doc[] =
    "Computes eigenvalues and eigenvectors of a Hermitian (symmetric) matrix: a v = v diag(w), or with b\n"
    "a v = b v diag(w).\n\n"
    "Method: reduction to tridiagonal form (PxSYTRD or PxHETRD), divide and conquer on all workers (PxSTEDC; Tisseur, "
    "Dongarra 1999), and back-transformation (PxORMTR). PxSYEVD consists of the same steps; it was faster than "
    "PxSYEVR, "
    "PxSYEVX and PxSYEV. For up to n / 8 vectors by index: bisection, and inverse iteration with reorthogonalization, "
    "on "
    "one worker (LAPACK DSTEVX), with a check that the vectors are orthogonal.\n"
    "The generalized problem: Cholesky factorization of b, then PxSYGST. The vectors satisfy v^H b v = 1; with type 3 "
    "v^H inv(b) v = 1.\n"
    "Accuracy: the eigenvalues are accurate to a few eps times the largest one; with b, times cond(b).\n"
    "Memory: copies of a and b, v, and four real n x n matrices (one of them is v if v is real and complete); for up "
    "to "
    "n / 8 vectors by index: copies, v, and on one worker 8 bytes times n times the number of vectors. For a subset by "
    "value memory for all vectors is needed, because their number is not known in advance.\n"
    "Errors: a is not square, or the shapes do not match (InvalidError); NaN or infinite entries, no convergence, or b "
    "is "
    "not positive definite (NumericError, a LinAlgError; it names the order of the leading minor that is not "
    "positive); "
    "a subset outside the matrix (RangeError); not enough memory (LimitError).\n"
    "Cancel: between the stages. A call of ScaLAPACK cannot be interrupted.\n\n"
    "a: n x n. Only one triangle is used, but all entries must be finite\n"
    "b: n x n, positive definite; without b the standard problem is solved\n"
    "lower: use the lower triangles of a and b; false: the upper ones\n"
    "subset_by_index: [first, last], counted from 0, both included\n"
    "subset_by_value: [low, high]: the eigenvalues in (low, high]\n"
    "type: with b: 1 a v = b v w, 2 a b v = v w, 3 b a v = v w\n"
    "w: the eigenvalues, in ascending order\n"
    "v: column i belongs to w[i]; orthonormal\n";

static int
run_eigh(alch_call_t *call)
{
    return linalg_run(call, eigh, "a", "b", NULL);
}

static int
eigvalsh(linalg_t *la)
{
    linalg_matrix_t A, B;
    linalg_tridiagonal_t tri;
    int64_t first, count;
    problem_t p;
    int code = check_problem(la, &p);

    if (code)
        return code;
    expect_problem(la, &p);
    linalg_tridiagonal_expect(la, p.n, 1);
    linalg_expect_bytes(la, linalg_matrix_bytes(la, p.n, 1, 8));
    if ((code = linalg_check_memory(la)) || (code = load_problem(la, &p, &A, &B)))
        return code;
    if (p.n == 0)
        return linalg_return_reals(la, "w", NULL, 0);
    if ((code = linalg_tridiagonal_reduce(la, &A, 1, &tri)) || (code = linalg_tridiagonal_eigenvalues(la, &tri)))
        return code;
    select_range(&p, tri.d, &first, &count);
    return linalg_return_reals(la, "w", tri.d + first, count);
}

static const char eigvalsh_doc[] =
    "Computes eigenvalues of a Hermitian (symmetric) matrix: a v = v diag(w), or with b a v = b v diag(w).\n\n"
    "Method: PxSYTRD or PxHETRD, then QL in the variant of Pal, Walker and Kahan (LAPACK DSTERF) on one worker; with b "
    "as eigh.\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997); Parlett, The symmetric eigenvalue problem (1998), "
    "chapter 8.\n"
    "Memory: copies of a and b.\n"
    "Errors: as eigh.\n"
    "Cancel: between the stages.\n\n"
    "a: n x n. Only one triangle is used, but all entries must be finite\n"
    "b: n x n, positive definite; without b the standard problem is solved\n"
    "lower: use the lower triangles of a and b; false: the upper ones\n"
    "subset_by_index: [first, last], counted from 0, both included\n"
    "subset_by_value: [low, high]: the eigenvalues in (low, high]\n"
    "type: with b: 1 a v = b v w, 2 a b v = v w, 3 b a v = v w\n"
    "w: the eigenvalues, in ascending order\n";

static int
run_eigvalsh(alch_call_t *call)
{
    return linalg_run(call, eigvalsh, "a", "b", NULL);
}

#define PARAMETERS                                                                                         \
    "a:matrix, b:matrix=none, lower:bool=true, subset_by_index:int64[]=[], subset_by_value:float64[]=[], " \
    "type:int64=1"

static const alch_operation_t operations[] = {
    {"eigh", "Eigenvalues and eigenvectors of a Hermitian matrix.", PARAMETERS " -> w:vector, v:matrix", eigh_doc, 0,
     run_eigh},
    {"eigvalsh", "Eigenvalues of a Hermitian matrix.", PARAMETERS " -> w:vector", eigvalsh_doc, 0, run_eigvalsh},
};

LINALG_OPERATIONS(linalg_eigen_operations, operations);
