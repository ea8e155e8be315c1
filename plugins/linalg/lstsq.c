/* Least squares and the pseudo-inverse by singular value decomposition. */
#include "spectral.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const int one = 1;

static const char lstsq_doc[] =
    "Computes the x of least norm that minimizes |b - a x|, for every column of b and for a of any rank.\n\n"
    "Method: if m >= n, a = Q R (PxGEQRF) and the singular value decomposition of R; if m < n, that of a (see svd).\n"
    "Values up to rcond s[0] count as zero (Golub, Kahan 1965). |a^H (b - a x)| is a few eps |a| |b|.\n"
    "The rank is determined in the type of a: for float32, in float32 and with its eps. NumPy computes float32 in "
    "double\n"
    "precision and with the eps of float64, so it also counts values that are zero but for rounding to float32.\n"
    "Memory: copies of a and b, x, and the memory of svd for a matrix of n x n (m >= n) or for a.\n"
    "Cancel: between the stages.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); the shapes do not match "
    "(InvalidError);\n"
    "rcond is NaN (RangeError); not enough memory, or a matrix is beyond 32-bit indices (LimitError).\n\n"
    "a: m x n\n"
    "b: m x k\n"
    "rcond: relative to s[0]; negative: max(m, n) eps, which NumPy uses for None. NumPy uses eps for -1\n"
    "x: n x k\n"
    "residuals: the sum of squares of each column of b - a x; empty if rank < n or m <= n, as in NumPy\n"
    "rank: the number of singular values above rcond s[0]\n"
    "s: the singular values of a, in descending order\n";

/* The number of singular values that count as nonzero. */
static int64_t
numerical_rank(const linalg_t *la, const double *s, int64_t count, double rcond, int64_t m, int64_t n)
{
    int64_t rank = 0;

    if (rcond < 0)
        rcond = la->k->eps * (double)(m > n ? m : n);
    while (rank < count && s[rank] > rcond * s[0])
        rank++;
    return rank;
}

/* Divide row i of M by s[i]. Rows from `rank` on become zero. */
static void
divide_rows(linalg_t *la, linalg_matrix_t *M, const double *s, int64_t rank)
{
    for (int64_t i = 0; i < M->block.local_m; i++) {
        int64_t row = la->host->global_row(M->source, i);
        double factor = row < rank ? 1 / s[row] : 0;

        for (int64_t j = 0; j < M->block.local_n; j++) {
            int64_t at = i + j * M->block.lld;

            linalg_set_entry(la->dtype, M->data, at,
                             row < rank ? factor * linalg_get_entry(la->dtype, M->data, at) : 0);
        }
    }
}

/* C := A^H B, sums of k products. Only the first rows and columns of A and B that this needs are used. */
static void
multiply_adjoint(linalg_t *la, const linalg_matrix_t *A, const linalg_matrix_t *B, int k, linalg_matrix_t *C)
{
    if (la->in_grid && C->m > 0 && C->n > 0 && k > 0)
        la->k->gemm(la->k->adjoint, "N", &C->m, &C->n, &k, la->k->one, A->data, &one, &one, A->desc, B->data, &one,
                    &one, B->desc, la->k->zero, C->data, &one, &one, C->desc);
}

/* Sum the squares of each column of B from row `first` on. The sums are the same on all ranks. */
static int
column_sums_of_squares(linalg_t *la, const linalg_matrix_t *B, int64_t first, double **sums_p)
{
    int code = linalg_alloc(la, B->n * (int64_t)sizeof(double), sums_p);

    if (code)
        return code;
    for (int64_t j = 0; j < B->block.local_n; j++) {
        double *sum = *sums_p + la->host->global_col(B->source, j);

        for (int64_t i = 0; i < B->block.local_m; i++) {
            double _Complex x = linalg_get_entry(la->dtype, B->data, i + j * B->block.lld);

            if (la->host->global_row(B->source, i) >= first)
                *sum += __real__ x * __real__ x + __imag__ x * __imag__ x;
        }
    }
    if (B->n > 0)
        MPI_Allreduce(MPI_IN_PLACE, *sums_p, B->n, MPI_DOUBLE, MPI_SUM, la->call->comm);
    return ALCH_OK;
}

typedef struct {
    int64_t m, n, columns, minmn, rank;
    double rcond;
    linalg_matrix_t A, B;
    linalg_svd_t svd;
} problem_t;

/* Factor a = Q R and set b := Q^H b. That leaves the problem of R and the first n rows of b. */
static int
reduce_by_qr(linalg_t *la, problem_t *p)
{
    linalg_matrix_t R;
    linalg_qr_t qr;
    int code;

    if ((code = linalg_begin_stage(la, 0.05, "QR factorization")) ||
        (code = linalg_qr_factor(la, &p->A, p->columns, &qr)) || (code = linalg_qr_apply(la, &qr, true, &p->B)) ||
        (code = linalg_qr_copy_r(la, &qr, qr.k, &R)))
        return code;
    linalg_free(la, &p->A);
    p->A = R;
    return ALCH_OK;
}

static int
solve_by_svd(linalg_t *la, problem_t *p, linalg_matrix_t *X)
{
    linalg_matrix_t Y;
    int code;

    if ((code = linalg_svd(la, &p->A, LINALG_THIN, &p->svd)))
        return code;
    p->rank = numerical_rank(la, p->svd.s, p->minmn, p->rcond, p->m, p->n);
    if ((code = linalg_create(la, p->minmn, p->columns, &Y)) || (code = linalg_create(la, p->n, p->columns, X)))
        return code;
    multiply_adjoint(la, &p->svd.U, &p->B, (int)p->minmn, &Y);
    divide_rows(la, &Y, p->svd.s, p->rank);
    multiply_adjoint(la, &p->svd.Vh, &Y, (int)p->minmn, X);
    linalg_free(la, &Y);
    return ALCH_OK;
}

static int
return_results(linalg_t *la, problem_t *p, linalg_matrix_t *X)
{
    bool known = p->rank == p->n && p->m > p->n;
    double *sums = NULL;
    int code = linalg_return_matrix(la, "x", X);

    if (!code && known)
        code = column_sums_of_squares(la, &p->B, p->n, &sums);
    if (!code)
        code = linalg_return_reals(la, "residuals", sums, known ? p->columns : 0);
    if (!code)
        code = la->host->ret_int(la->call, "rank", p->rank);
    return code ? code : linalg_return_reals(la, "s", p->svd.s, p->minmn);
}

static void
expect_memory(linalg_t *la, const problem_t *p)
{
    bool tall = p->m >= p->n;

    linalg_expect_operand(la, "a", LINALG_COPY);
    linalg_expect_operand(la, "b", LINALG_COPY);
    if (tall) {
        linalg_qr_expect(la, p->m, p->n, p->columns);
        linalg_expect_matrix(la, p->n, p->n);
    }
    linalg_svd_expect(la, tall ? p->n : p->m, p->n, LINALG_THIN);
    linalg_expect_matrix(la, p->minmn, p->columns);
    linalg_expect_matrix(la, p->n, p->columns);
}

static int
lstsq(linalg_t *la)
{
    problem_t p = {.rank = 0};
    linalg_matrix_t X;
    alch_block_t a, b;
    int code;

    linalg_operand_block(la, "a", &a);
    linalg_operand_block(la, "b", &b);
    if (a.m != b.m)
        return linalg_fail(la, ALCH_EINVAL, "a is %" PRId64 " x %" PRId64 ", but b has %" PRId64 " rows", a.m, a.n,
                           b.m);
    p.rcond = la->host->arg_real(la->call, "rcond");
    if (isnan(p.rcond))
        return linalg_fail(la, ALCH_ERANGE, "rcond is NaN");
    p.m = a.m;
    p.n = a.n;
    p.columns = b.n;
    p.minmn = a.m < a.n ? a.m : a.n;
    expect_memory(la, &p);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, 0, "copy")) ||
        (code = linalg_get_operand(la, "a", LINALG_COPY | LINALG_FINITE, &p.A)) ||
        (code = linalg_get_operand(la, "b", LINALG_COPY | LINALG_FINITE, &p.B)))
        return code;
    if (p.m >= p.n && p.n > 0 && (code = reduce_by_qr(la, &p)))
        return code;
    return (code = solve_by_svd(la, &p, &X)) ? code : return_results(la, &p, &X);
}

static int
run_lstsq(alch_call_t *call)
{
    return linalg_run(call, lstsq, "a", "b", NULL);
}

/* ---- pinv ---- */

static const char pinv_doc[] =
    "Computes the pseudo-inverse (Moore, Penrose) of a matrix.\n\n"
    "Method: singular value decomposition (see svd); values up to rcond s[0] count as zero.\n"
    "Source: Golub, Kahan, Calculating the singular values and pseudo-inverse of a matrix (1965).\n"
    "Memory: that of svd, and the result.\n"
    "Errors: NaN or infinite entries, no convergence (NumericError); rcond or rtol is NaN (RangeError), or both are\n"
    "given (InvalidError); not enough memory, or a matrix is beyond 32-bit indices (LimitError).\n"
    "Cancel: between the stages.\n\n"
    "a: m x n\n"
    "rcond: relative to s[0]; negative: max(m, n) eps, as in scipy.linalg.pinv\n"
    "rtol: another name of rcond\n"
    "B: n x m\n";

/* NumPy 2 and SciPy call the parameter rtol. */
static int
read_rcond(linalg_t *la, double *rcond_p)
{
    double rcond = la->host->arg_real(la->call, "rcond"), rtol = la->host->arg_real(la->call, "rtol");

    if (isnan(rcond) || isnan(rtol))
        return linalg_fail(la, ALCH_ERANGE, "%s is NaN", isnan(rcond) ? "rcond" : "rtol");
    if (rcond >= 0 && rtol >= 0)
        return linalg_fail(la, ALCH_EINVAL, "rcond and rtol are two names of one parameter: give only one of them");
    *rcond_p = rcond >= 0 ? rcond : rtol;
    return ALCH_OK;
}

static int
pinv(linalg_t *la)
{
    double rcond = -1;
    linalg_matrix_t A, B;
    linalg_svd_t svd;
    alch_block_t a;
    int64_t minmn;
    int code, k;

    linalg_operand_block(la, "a", &a);
    if ((code = read_rcond(la, &rcond)))
        return code;
    minmn = a.m < a.n ? a.m : a.n;
    k = (int)minmn;
    linalg_expect_operand(la, "a", LINALG_COPY);
    linalg_svd_expect(la, a.m, a.n, LINALG_THIN);
    linalg_expect_matrix(la, a.n, a.m);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, 0, "copy")) ||
        (code = linalg_get_operand(la, "a", LINALG_COPY | LINALG_FINITE, &A)) ||
        (code = linalg_svd(la, &A, LINALG_THIN, &svd)) || (code = linalg_create(la, a.n, a.m, &B)))
        return code;
    divide_rows(la, &svd.Vh, svd.s, numerical_rank(la, svd.s, minmn, rcond, a.m, a.n));
    if (la->in_grid && k > 0)
        la->k->gemm(la->k->adjoint, la->k->adjoint, &B.m, &B.n, &k, la->k->one, svd.Vh.data, &one, &one, svd.Vh.desc,
                    svd.U.data, &one, &one, svd.U.desc, la->k->zero, B.data, &one, &one, B.desc);
    return linalg_return_matrix(la, "B", &B);
}

static int
run_pinv(alch_call_t *call)
{
    return linalg_run(call, pinv, "a", NULL);
}

static const alch_operation_t operations[] = {
    {"lstsq", "The least squares solution, for a matrix of any rank.",
     "a:matrix, b:matrix, rcond:float64=-1 -> x:matrix, residuals:vector, rank:int64, s:vector", lstsq_doc, 0,
     run_lstsq},
    {"pinv", "The pseudo-inverse of a matrix.", "a:matrix, rcond:float64=-1, rtol:float64=-1 -> B:matrix", pinv_doc, 0,
     run_pinv},
};

LINALG_OPERATIONS(linalg_lstsq_operations, operations);
