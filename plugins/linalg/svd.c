/* Operations made of singular values. */
#include "leading.h"
#include "spectral.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- svd ---- */

static const char svd_doc[] =
    "The singular value decomposition a = U diag(s) Vh, thin; with k, the k largest values alone.\n\n"
    "Method, whole: QR factorization first if m > 1.5 n (of the adjoint if wide), reduction to bidiagonal form by "
    "PxGEBRD, its decomposition by divide and conquer (LAPACK DBDSDC, Gu and Eisenstat 1995) on one worker, PxORMBR; "
    "beyond min(m, n) = 4096 PxGESVD. Values are accurate to a few eps times the largest.\n"
    "Method, k: block Golub-Kahan bidiagonalization with full reorthogonalization and thick restarts (Golub, Luk, "
    "Overton 1981; Baglama, Reichel 2006). a is never squared: values are accurate to a few eps times the largest, "
    "not to sqrt(eps). Where there is no room for the iteration (k near min(m, n)) the whole is computed and cut.\n"
    "A value with more copies than vectors in a block (4 to 10) is looked for once more at the end.\n"
    "Memory, whole: a copy of a, U, Vh, twice min(m, n)^2, and on one worker 40 bytes min(m, n)^2.\n"
    "Memory, k: about max(k + 16 b, 3 k) vectors of m and of n entries over all workers, b of 4 to 10.\n"
    "A note says how many steps were made and what the largest residual is; no convergence is an error.\n"
    "Cancel: after each block step with k; between the stages of the whole.\n\n"
    "a: m x n\n"
    "full_matrices: only false is offered: U and Vh with min(m, n) columns and rows\n"
    "k: how many of the largest values; 0: all\n"
    "tol: with k: the largest |a^H u - s v| allowed, relative to s[0]; 0: 16 eps\n"
    "maxiter: with k: block steps; 0: 300 + 20 k\n"
    "U: m x min(m, n) or m x k, orthonormal columns\n"
    "s: falling\n"
    "Vh: min(m, n) x n or k x n, orthonormal rows\n";

/* Hand over a whole decomposition, or the first k of it. */
static int
hand_over(linalg_t *la, linalg_svd_t *svd, int64_t k)
{
    static const int one = 1;
    linalg_matrix_t *parts[2] = {&svd->U, &svd->Vh};
    int code = linalg_return_reals(la, "s", svd->s, k);

    for (int p = 0; p < 2 && !code; p++) {
        linalg_matrix_t *M = parts[p], cut;
        int m = p ? (int)k : M->m, n = p ? M->n : (int)k;

        if (m == M->m && n == M->n) {
            code = linalg_return(la, p ? "Vh" : "U", M);
            continue;
        }
        if ((code = linalg_create(la, m, n, &cut)))
            return code;
        if (la->here)
            la->k->lacpy("A", &m, &n, M->data, &one, &one, M->desc, cut.data, &one, &one, cut.desc);
        linalg_free(la, M);
        code = linalg_return(la, p ? "Vh" : "U", &cut);
    }
    return code;
}

static int
whole(linalg_t *la, const alch_block_t *a, int64_t k)
{
    linalg_matrix_t A;
    linalg_svd_t svd;
    int code;

    linalg_expect(la, "a", LINALG_COPY);
    linalg_svd_expect(la, a->m, a->n, true);
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "copy")) ||
        (code = linalg_operand(la, "a", LINALG_COPY | LINALG_FINITE, &A)) || (code = linalg_svd(la, &A, true, &svd)))
        return code;
    return hand_over(la, &svd, k);
}

static int
deliver(linalg_operator_t *op, const linalg_leading_t *leading)
{
    int code = linalg_deliver_left(op, "U", leading->U, leading->k);

    if (!code)
        code = linalg_return_reals(op->la, "s", leading->values, leading->k);
    if (!code)
        code = linalg_deliver_right(op, "Vh", leading->V, leading->k);
    if (!code)
        linalg_note(op->la,
                    "%" PRId64 " block steps of %" PRId64 " vectors, %" PRId64 " restarts, largest residual "
                    "%.2g of the largest value",
                    leading->steps, op->width, leading->restarts, leading->residual);
    return code;
}

static int
truncated(linalg_t *la, const alch_block_t *a, int64_t k)
{
    linalg_leading_t leading = {
        .k = k, .tol = la->host->arg_real(la->call, "tol"), .limit = la->host->arg_int(la->call, "maxiter")};
    linalg_operator_t op = {.la = NULL};
    int64_t width, depth;
    linalg_matrix_t A;
    int code;

    linalg_leading_sizes(a->m, a->n, k, &width, &depth);
    linalg_expect(la, "a", 0);
    linalg_leading_expect(la, a->m, a->n, k);
    if ((code = linalg_need(la)) || (code = linalg_operand(la, "a", 0, &A)))
        return code;
    code = linalg_operator_open(&op, la, "a", &A, width, depth);
    if (!code)
        code = linalg_leading(&op, &leading);
    if (!code)
        code = deliver(&op, &leading);
    linalg_operator_close(&op);
    return code;
}

static int
svd(linalg_t *la)
{
    int64_t k = la->host->arg_int(la->call, "k"), least, width, depth;
    double tol = la->host->arg_real(la->call, "tol");
    alch_block_t a;

    linalg_shape(la, "a", &a);
    least = a.m < a.n ? a.m : a.n;
    if (la->host->arg_bool(la->call, "full_matrices") && a.m != a.n)
        return linalg_fail(la, ALCH_EUNSUPPORTED,
                           "full_matrices: U and Vh have min(m, n) columns and rows here: "
                           "pass full_matrices=False");
    if (k < 0 || k > least)
        return linalg_fail(la, ALCH_ERANGE,
                           "k is %" PRId64 ": 1 to %" PRId64 " is possible for %" PRId64 " x %" PRId64 ", 0 means all",
                           k, least, a.m, a.n);
    if (!(tol >= 0) || la->host->arg_int(la->call, "maxiter") < 0)
        return linalg_fail(la, ALCH_ERANGE, "tol and maxiter cannot be negative");
    if (k > 0 && linalg_leading_sizes(a.m, a.n, k, &width, &depth))
        return truncated(la, &a, k);
    if (k > 0 && k < least)
        linalg_note(la, "k = %" PRId64 " of %" PRId64 ": no room for an iteration, all values were computed", k, least);
    return whole(la, &a, k > 0 ? k : least);
}

static int
linalg_svd_operation(alch_call_t *call)
{
    linalg_t la;
    int code = linalg_begin(&la, call, "a", NULL);

    if (!code)
        code = svd(&la);
    return linalg_end(&la, code);
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
    linalg_svd_expect(la, a.m, a.n, false);
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "copy")) ||
        (code = linalg_operand(la, name, LINALG_COPY | LINALG_FINITE, &A)) || (code = linalg_svd(la, &A, false, &svd)))
        return code;
    *s_p = svd.s;
    return ALCH_OK;
}

static const char svdvals_doc[] = "All singular values, without vectors: as svd, at about a third of the cost.\n\n"
                                  "Method: QR factorization first if m > 1.5 n, PxGEBRD, then the dqds algorithm "
                                  "(LAPACK DBDSDC, Fernando and Parlett\n"
                                  "1994) on one worker. Values are accurate to a few eps times the largest.\n"
                                  "Memory: a copy of a, and min(m, n)^2 if it is tall or wide.\n"
                                  "Cancel: between the stages.\n\n"
                                  "a: m x n\n"
                                  "s: min(m, n) values, falling\n";

static int
linalg_svdvals(alch_call_t *call)
{
    linalg_t la;
    double *s;
    int64_t count;
    int code = linalg_begin(&la, call, "a", NULL);

    if (!code)
        code = linalg_values_of(&la, "a", &s, &count);
    if (!code)
        code = linalg_return_reals(&la, "s", s, count);
    return linalg_end(&la, code);
}

static const char cond_doc[] =
    "The condition number in the 2-norm: the largest singular value over the smallest, as numpy.linalg.cond(x).\n\n"
    "Method and memory: svdvals. A singular matrix gives inf.\n\n"
    "x: m x n, not empty\n"
    "c: the condition number\n";

static int
linalg_cond(alch_call_t *call)
{
    linalg_t la;
    double *s;
    int64_t count;
    int code = linalg_begin(&la, call, "x", NULL);

    if (!code)
        code = linalg_values_of(&la, "x", &s, &count);
    if (!code && count == 0)
        code = linalg_fail(&la, ALCH_EINVAL, "x is empty: it has no condition number");
    if (!code)
        code = call->host->ret_real(call, "c", s[count - 1] > 0 ? s[0] / s[count - 1] : INFINITY);
    return linalg_end(&la, code);
}

static const char rank_doc[] =
    "The numerical rank: how many singular values are above a threshold, as numpy.linalg.matrix_rank.\n\n"
    "Method and memory: svdvals.\n\n"
    "A: m x n\n"
    "tol: values up to this count as zero; negative: s[0] max(m, n) eps, or that of rtol\n"
    "rtol: the same relative to s[0]; negative: max(m, n) eps\n"
    "rank: how many are larger\n";

static int
linalg_matrix_rank(alch_call_t *call)
{
    linalg_t la;
    double *s, tol = call->host->arg_real(call, "tol"), rtol = call->host->arg_real(call, "rtol");
    alch_block_t a;
    int64_t count, rank = 0;
    int code = linalg_begin(&la, call, "A", NULL);

    if (!code)
        code = linalg_values_of(&la, "A", &s, &count);
    if (!code) {
        linalg_shape(&la, "A", &a);
        rtol = rtol < 0 ? la.k->eps * (double)(a.m > a.n ? a.m : a.n) : rtol;
        tol = tol < 0 && count > 0 ? s[0] * rtol : tol;
        while (rank < count && s[rank] > tol)
            rank++;
        code = call->host->ret_int(call, "rank", rank);
    }
    return linalg_end(&la, code);
}

static const alch_operation_t operations[] = {
    {"svd", "Singular value decomposition, whole and thin or of the k largest values.",
     "a:matrix, full_matrices:bool=false, k:int64=0, tol:float64=0, maxiter:int64=0 -> U:matrix, s:vector, Vh:matrix",
     svd_doc, 0, linalg_svd_operation},
    {"svdvals", "All singular values.", "a:matrix -> s:vector", svdvals_doc, 0, linalg_svdvals},
    {"cond", "Condition number in the 2-norm.", "x:matrix -> c:float64", cond_doc, 0, linalg_cond},
    {"matrix_rank", "Numerical rank.", "A:matrix, tol:float64=-1, rtol:float64=-1 -> rank:int64", rank_doc, 0,
     linalg_matrix_rank},
};

LINALG_AREA(linalg_svd_area, operations);
