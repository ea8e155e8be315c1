/* Operations made of singular values. */
#include "leading.h"
#include "spectral.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- svd ---- */

static const char svd_doc[] =
    "The singular value decomposition a = U diag(s) Vh; with k, the k largest values alone. Unlike NumPy's it is thin "
    "unless full_matrices=True is said.\n\n"
    "Method, whole: QR factorization first if m > 1.5 n (of the adjoint if wide), reduction to bidiagonal form by "
    "PxGEBRD, its decomposition by divide and conquer (LAPACK DBDSDC, Gu and Eisenstat 1995) on one worker, PxORMBR; "
    "beyond min(m, n) = 4096 PxGESVD. Values are accurate to a few eps times the largest.\n"
    "Method, k: block Golub-Kahan bidiagonalization with full reorthogonalization and thick restarts (Golub, Luk, "
    "Overton 1981; Baglama, Reichel 2006). a is never squared: values are accurate to a few eps times the largest, "
    "not to sqrt(eps). Where there is no room for the iteration (k near min(m, n)) the whole is computed and cut.\n"
    "A value with more copies than vectors in a block (4 to 10) is looked for once more at the end.\n"
    "Memory, whole: a copy of a, U, Vh, and on one worker 40 bytes min(m, n)^2 (beyond 4096 instead about twice "
    "min(m, n)^2 over all); if m > 1.5 n two matrices of n^2 more; if wide that of the adjoint, which is a copy, and U "
    "and Vh once more. With full_matrices U or Vh is a matrix of max(m, n)^2.\n"
    "Memory, k: about max(k + 16 b, 3 k) vectors of m and of n entries over all workers, b of 4 to 10.\n"
    "A note says how many steps were made and what the largest residual is; no convergence is an error.\n"
    "Errors: NaN or infinite entries (NumericError naming the first), no convergence (NumericError with steps and "
    "residual); k, tol or maxiter out of range (RangeError); no memory or "
    "beyond 32-bit indices (LimitError).\n"
    "Cancel: after each block step with k; between the stages of the whole.\n\n"
    "a: m x n\n"
    "full_matrices: true: U of m x m and Vh of n x n, with orthonormal bases of the null spaces; false: min(m, n) "
    "columns and rows\n"
    "compute_uv: false: s alone\n"
    "k: how many of the largest values; 0: all\n"
    "tol: with k: the largest |a^H u - s v| allowed, relative to s[0]; 0: 16 eps\n"
    "maxiter: with k: block steps; 0: 300 + 20 k\n"
    "U: m x min(m, n), m x m or m x k, orthonormal columns; missing with compute_uv=false\n"
    "s: the values, in descending order\n"
    "Vh: min(m, n) x n, n x n or k x n, orthonormal rows; missing with compute_uv=false\n";

/* Rows and columns of U, or Vh, that count. */
static int
hand_over_part(linalg_t *la, const char *name, linalg_matrix_t *M, int64_t rows, int64_t columns)
{
    static const int one = 1;
    int m = (int)rows, n = (int)columns, code;
    linalg_matrix_t cut;

    if (m == M->m && n == M->n)
        return linalg_return(la, name, M);
    if ((code = linalg_create(la, m, n, &cut)))
        return code;
    if (la->here)
        la->k->lacpy("A", &m, &n, M->data, &one, &one, M->desc, cut.data, &one, &one, cut.desc);
    linalg_free(la, M);
    return linalg_return(la, name, &cut);
}

/* Hand over a whole decomposition, or the first k of it. */
static int
hand_over(linalg_t *la, linalg_svd_t *svd, int64_t k, linalg_vectors_t vectors)
{
    bool thin = vectors == LINALG_THIN;
    int code = linalg_return_reals(la, "s", svd->s, k);

    if (code || vectors == LINALG_VALUES)
        return code;
    code = hand_over_part(la, "U", &svd->U, svd->U.m, thin ? k : svd->U.n);
    return code ? code : hand_over_part(la, "Vh", &svd->Vh, thin ? k : svd->Vh.m, svd->Vh.n);
}

static int
whole(linalg_t *la, const alch_block_t *a, int64_t k, linalg_vectors_t vectors)
{
    linalg_matrix_t A;
    linalg_svd_t svd;
    int code;

    linalg_expect(la, "a", LINALG_COPY);
    linalg_svd_expect(la, a->m, a->n, vectors);
    if (vectors == LINALG_THIN && k < (a->m < a->n ? a->m : a->n)) {
        linalg_expect_matrix(la, a->m, k);
        linalg_expect_matrix(la, k, a->n);
    }
    linalg_expect_bytes(la, linalg_bytes(la, k, 1, sizeof(double)));
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "copy")) ||
        (code = linalg_operand(la, "a", LINALG_COPY | LINALG_FINITE, &A)) || (code = linalg_svd(la, &A, vectors, &svd)))
        return code;
    return hand_over(la, &svd, k, vectors);
}

static int
deliver(linalg_operator_t *op, const linalg_leading_t *leading, linalg_vectors_t vectors)
{
    int code = vectors ? linalg_deliver_left(op, "U", leading->U, leading->k) : ALCH_OK;

    if (!code)
        code = linalg_return_reals(op->la, "s", leading->values, leading->k);
    if (!code && vectors)
        code = linalg_deliver_right(op, "Vh", leading->V, leading->k);
    if (!code)
        linalg_leading_note(op, leading);
    return code;
}

static int
truncated(linalg_t *la, const alch_block_t *a, linalg_leading_t *leading, linalg_vectors_t vectors)
{
    linalg_operator_t op = {.la = NULL};
    int64_t width, depth;
    linalg_matrix_t A;
    int code;

    linalg_leading_sizes(a->m, a->n, leading->k, &width, &depth);
    linalg_expect(la, "a", 0);
    linalg_leading_expect(la, a->m, a->n, leading->k);
    if ((code = linalg_need(la)) || (code = linalg_operand(la, "a", 0, &A)))
        return code;
    code = linalg_operator_open(&op, la, "a", &A, width, depth);
    if (!code)
        code = linalg_leading(&op, leading);
    if (!code)
        code = deliver(&op, leading, vectors);
    linalg_operator_close(&op);
    return code;
}

static int
check(linalg_t *la, const alch_block_t *a, int64_t k, bool full)
{
    int64_t least = a->m < a->n ? a->m : a->n;

    if (k < 0 || k > least)
        return linalg_fail(la, ALCH_ERANGE,
                           "k is %" PRId64 ": 1 to %" PRId64 " is possible for %" PRId64 " x %" PRId64 ", 0 means all",
                           k, least, a->m, a->n);
    if (k > 0 && full)
        return linalg_fail(la, ALCH_EINVAL,
                           "k = %" PRId64 " with full_matrices=True: of the largest values there are k vectors only",
                           k);
    return ALCH_OK;
}

static int
svd(linalg_t *la)
{
    bool full = la->host->arg_bool(la->call, "full_matrices");
    linalg_vectors_t vectors = !la->host->arg_bool(la->call, "compute_uv") ? LINALG_VALUES
                               : full                                      ? LINALG_FULL
                                                                           : LINALG_THIN;
    int64_t k = la->host->arg_int(la->call, "k"), least, width, depth;
    linalg_leading_t leading = {.k = k};
    alch_block_t a;
    int code;

    linalg_shape(la, "a", &a);
    if ((code = check(la, &a, k, full)) || (code = linalg_leading_options(la, "k", k > 0, &leading)))
        return code;
    least = a.m < a.n ? a.m : a.n;
    if (k > 0 && linalg_leading_sizes(a.m, a.n, k, &width, &depth))
        return truncated(la, &a, &leading, vectors);
    if (k > 0 && k < least)
        linalg_note(la, "k = %" PRId64 " of %" PRId64 ": no room for an iteration, all values were computed", k, least);
    return whole(la, &a, k > 0 ? k : least, vectors);
}

static int
linalg_svd_operation(alch_call_t *call)
{
    return linalg_run(call, svd, "a", NULL);
}

/* ---- values alone ---- */

int
linalg_values_of(linalg_t *la, const char *name, double **s_p, int64_t *count_p)
{
    linalg_matrix_t A;
    linalg_svd_t svd;
    alch_block_t a;
    int code;

    linalg_shape(la, name, &a);
    *count_p = a.m < a.n ? a.m : a.n;
    linalg_expect(la, name, LINALG_COPY);
    linalg_svd_expect(la, a.m, a.n, LINALG_VALUES);
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "copy")) ||
        (code = linalg_operand(la, name, LINALG_COPY | LINALG_FINITE, &A)) ||
        (code = linalg_svd(la, &A, LINALG_VALUES, &svd)))
        return code;
    *s_p = svd.s;
    return ALCH_OK;
}

static const char svdvals_doc[] =
    "All singular values, without vectors: as svd, at about a third of the cost.\n\n"
    "Method: QR factorization first if m > 1.5 n, PxGEBRD, then the dqds algorithm "
    "(LAPACK DBDSDC, Fernando and Parlett\n"
    "1994) on one worker. Values are accurate to a few eps times the largest.\n"
    "Memory: a copy of a, another if it is wide, and min(m, n)^2 if m > 1.5 n or n > 1.5 m.\n"
    "Errors: NaN or infinite entries (NumericError naming the first), no convergence (NumericError); no memory or "
    "beyond 32-bit indices (LimitError).\n"
    "Cancel: between the stages.\n\n"
    "a: m x n\n"
    "s: min(m, n) values, in descending order\n";

static int
svdvals(linalg_t *la)
{
    double *s;
    int64_t count;
    int code = linalg_values_of(la, "a", &s, &count);

    return code ? code : linalg_return_reals(la, "s", s, count);
}

static int
linalg_svdvals(alch_call_t *call)
{
    return linalg_run(call, svdvals, "a", NULL);
}

static const char rank_doc[] =
    "The numerical rank: how many singular values are above a threshold, as numpy.linalg.matrix_rank.\n\n"
    "Method, source, memory, errors and cancel: svdvals.\n\n"
    "A: m x n\n"
    "tol: values up to this count as zero; negative: s[0] max(m, n) eps, or that of rtol\n"
    "rtol: the same relative to s[0]; negative: max(m, n) eps\n"
    "rank: how many are larger\n";

static int
matrix_rank(linalg_t *la)
{
    double *s, tol = la->host->arg_real(la->call, "tol"), rtol = la->host->arg_real(la->call, "rtol");
    alch_block_t a;
    int64_t count, rank = 0;
    int code;

    if (isnan(tol) || isnan(rtol))
        return linalg_fail(la, ALCH_ERANGE, "%s is nan", isnan(tol) ? "tol" : "rtol");
    if ((code = linalg_values_of(la, "A", &s, &count)))
        return code;
    linalg_shape(la, "A", &a);
    rtol = rtol < 0 ? la->k->eps * (double)(a.m > a.n ? a.m : a.n) : rtol;
    tol = tol < 0 && count > 0 ? s[0] * rtol : tol;
    while (rank < count && s[rank] > tol)
        rank++;
    return la->host->ret_int(la->call, "rank", rank);
}

static int
linalg_matrix_rank(alch_call_t *call)
{
    return linalg_run(call, matrix_rank, "A", NULL);
}

static const alch_operation_t operations[] = {
    {"svd", "Singular value decomposition, whole and thin or of the k largest values.",
     "a:matrix, full_matrices:bool=false, compute_uv:bool=true, k:int64=0, tol:float64=0, maxiter:int64=0 -> U:matrix, "
     "s:vector, Vh:matrix",
     svd_doc, 0, linalg_svd_operation},
    {"svdvals", "All singular values.", "a:matrix -> s:vector", svdvals_doc, 0, linalg_svdvals},
    {"matrix_rank", "Numerical rank.", "A:matrix, tol:float64=-1, rtol:float64=-1 -> rank:int64", rank_doc, 0,
     linalg_matrix_rank},
};

LINALG_AREA(linalg_svd_area, operations);
