/* The operations svd, svdvals and matrix_rank. */
#include "lanczos.h"
#include "spectral.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- svd ---- */

static const char svd_doc[] =
    "Computes the singular value decomposition a = U diag(s) Vh; with k, only the k largest values and their vectors. "
    "Unlike NumPy's it is thin unless full_matrices=True is given.\n\n"
    "Method without k: a QR factorization first if m > 1.5 n (a wide matrix is replaced by its adjoint), reduction to "
    "bidiagonal form (PxGEBRD), divide and conquer on one worker (LAPACK DBDSDC, Gu and Eisenstat 1995), and "
    "back-transformation (PxORMBR). Vectors of a matrix with min(m, n) > 4096: PxGESVD.\n"
    "Method with k: block Golub-Kahan bidiagonalization with full reorthogonalization and thick restarts (Golub, Luk, "
    "Overton 1981; Baglama, Reichel 2006). a is never squared. If a is too small for the iteration (k near min(m, n)), "
    "all values are computed and the first k are returned; a note says so.\n"
    "Accuracy: in both cases the values are accurate to a few eps times the largest one, not only to sqrt(eps). A "
    "value may "
    "have more copies than a block has vectors (4 to 10): the iteration searches for missed copies before it ends.\n"
    "Memory without k: a copy of a, U, Vh, and on one worker 40 bytes times min(m, n)^2 (above 4096 instead about "
    "twice "
    "min(m, n)^2 entries over all workers); if m > 1.5 n two more matrices of n x n; for a wide matrix its adjoint, "
    "which is a copy, and U and Vh once more. With full_matrices U or Vh has max(m, n)^2 entries.\n"
    "Memory with k: about max(k + 16 b, 3 k) vectors of m and of n entries over all workers; b is 4 to 10.\n"
    "Notes: with k, the number of block steps and the largest residual.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); no convergence (NumericError; with k "
    "it "
    "names steps and residual); k, tol or maxiter is out of range (RangeError); k with full_matrices, or tol or "
    "maxiter "
    "without k (InvalidError); not enough memory, or a matrix is beyond 32-bit indices (LimitError).\n"
    "Cancel: with k after each block step; without k between the stages.\n\n"
    "a: m x n\n"
    "full_matrices: true: U is m x m and Vh n x n, with orthonormal bases of the null spaces; false: they have "
    "min(m, n) columns and rows\n"
    "compute_uv: false: compute only s\n"
    "k: how many of the largest values; 0: all\n"
    "tol: with k: the largest |a^H u - s v| allowed, relative to s[0]; 0: 16 eps\n"
    "maxiter: with k: the largest number of block steps; 0: 300 + 20 k\n"
    "U: m x min(m, n), m x m or m x k, orthonormal columns; not returned with compute_uv=False\n"
    "s: the singular values, in descending order\n"
    "Vh: min(m, n) x n, n x n or k x n, orthonormal rows; not returned with compute_uv=False\n";

/* Return the first `rows` rows and `columns` columns of U or Vh. */
static int
return_leading_piece(linalg_t *la, const char *name, linalg_matrix_t *M, int64_t rows, int64_t columns)
{
    static const int one = 1;
    int m = (int)rows, n = (int)columns, code;
    linalg_matrix_t piece;

    if (m == M->m && n == M->n)
        return linalg_return_matrix(la, name, M);
    if ((code = linalg_create(la, m, n, &piece)))
        return code;
    if (la->in_grid)
        la->k->lacpy("A", &m, &n, M->data, &one, &one, M->desc, piece.data, &one, &one, piece.desc);
    linalg_free(la, M);
    return linalg_return_matrix(la, name, &piece);
}

/* Return a dense decomposition, or its first k values and vectors. */
static int
return_svd(linalg_t *la, linalg_svd_t *svd, int64_t k, linalg_vectors_t vectors)
{
    bool thin = vectors == LINALG_THIN;
    int code = linalg_return_reals(la, "s", svd->s, k);

    if (code || vectors == LINALG_VALUES)
        return code;
    code = return_leading_piece(la, "U", &svd->U, svd->U.m, thin ? k : svd->U.n);
    return code ? code : return_leading_piece(la, "Vh", &svd->Vh, thin ? k : svd->Vh.m, svd->Vh.n);
}

static int
dense_svd(linalg_t *la, const alch_block_t *a, int64_t k, linalg_vectors_t vectors)
{
    linalg_matrix_t A;
    linalg_svd_t svd;
    int code;

    linalg_expect_operand(la, "a", LINALG_COPY);
    linalg_svd_expect(la, a->m, a->n, vectors);
    if (vectors == LINALG_THIN && k < (a->m < a->n ? a->m : a->n)) {
        linalg_expect_matrix(la, a->m, k);
        linalg_expect_matrix(la, k, a->n);
    }
    linalg_expect_bytes(la, linalg_matrix_bytes(la, k, 1, sizeof(double)));
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, 0, "copy")) ||
        (code = linalg_get_operand(la, "a", LINALG_COPY | LINALG_FINITE, &A)) ||
        (code = linalg_svd(la, &A, vectors, &svd)))
        return code;
    return return_svd(la, &svd, k, vectors);
}

static int
return_triplets(linalg_operator_t *op, const linalg_lanczos_t *lanczos, linalg_vectors_t vectors)
{
    int code = vectors ? linalg_return_left_vectors(op, "U", lanczos->U, lanczos->k) : ALCH_OK;

    if (!code)
        code = linalg_return_reals(op->la, "s", lanczos->values, lanczos->k);
    if (!code && vectors)
        code = linalg_return_right_vectors(op, "Vh", lanczos->V, lanczos->k);
    if (!code)
        linalg_lanczos_note(op, lanczos);
    return code;
}

static int
truncated_svd(linalg_t *la, const alch_block_t *a, linalg_lanczos_t *lanczos, linalg_vectors_t vectors)
{
    linalg_operator_t op = {.la = NULL};
    int64_t width, depth;
    linalg_matrix_t A;
    int code;

    linalg_lanczos_choose_sizes(a->m, a->n, lanczos->k, &width, &depth);
    linalg_expect_operand(la, "a", 0);
    linalg_lanczos_expect(la, a->m, a->n, lanczos->k);
    if ((code = linalg_check_memory(la)) || (code = linalg_get_operand(la, "a", 0, &A)))
        return code;
    code = linalg_operator_open(&op, la, "a", &A, width, depth);
    if (!code)
        code = linalg_lanczos_solve(&op, lanczos);
    if (!code)
        code = return_triplets(&op, lanczos, vectors);
    linalg_operator_close(&op);
    return code;
}

static int
check_arguments(linalg_t *la, const alch_block_t *a, int64_t k, bool full)
{
    int64_t minmn = a->m < a->n ? a->m : a->n;

    if (k < 0 || k > minmn)
        return linalg_fail(la, ALCH_ERANGE,
                           "k is %" PRId64 ", but must be 1 to %" PRId64 " for a matrix of %" PRId64 " x %" PRId64
                           ", or 0 for all values",
                           k, minmn, a->m, a->n);
    if (k > 0 && full)
        return linalg_fail(la, ALCH_EINVAL,
                           "k is %" PRId64 ", but full_matrices=True needs all vectors: give only one of the two", k);
    return ALCH_OK;
}

static int
svd(linalg_t *la)
{
    bool full = la->host->arg_bool(la->call, "full_matrices");
    linalg_vectors_t vectors = !la->host->arg_bool(la->call, "compute_uv") ? LINALG_VALUES
                               : full                                      ? LINALG_FULL
                                                                           : LINALG_THIN;
    int64_t k = la->host->arg_int(la->call, "k"), minmn, width, depth;
    linalg_lanczos_t lanczos = {.k = k};
    alch_block_t a;
    int code;

    linalg_operand_block(la, "a", &a);
    if ((code = check_arguments(la, &a, k, full)) || (code = linalg_lanczos_read_options(la, "k", k > 0, &lanczos)))
        return code;
    minmn = a.m < a.n ? a.m : a.n;
    if (k > 0 && linalg_lanczos_choose_sizes(a.m, a.n, k, &width, &depth))
        return truncated_svd(la, &a, &lanczos, vectors);
    if (k > 0 && k < minmn)
        linalg_note(la,
                    "k is %" PRId64 " of %" PRId64 ", which is too many for the iteration: all values were computed", k,
                    minmn);
    return dense_svd(la, &a, k > 0 ? k : minmn, vectors);
}

static int
run_svd(alch_call_t *call)
{
    return linalg_run(call, svd, "a", NULL);
}

/* ---- singular values only ---- */

int
linalg_singular_values(linalg_t *la, const char *name, double **s_p, int64_t *count_p)
{
    linalg_matrix_t A;
    linalg_svd_t svd;
    alch_block_t a;
    int code;

    linalg_operand_block(la, name, &a);
    *count_p = a.m < a.n ? a.m : a.n;
    linalg_expect_operand(la, name, LINALG_COPY);
    linalg_svd_expect(la, a.m, a.n, LINALG_VALUES);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, 0, "copy")) ||
        (code = linalg_get_operand(la, name, LINALG_COPY | LINALG_FINITE, &A)) ||
        (code = linalg_svd(la, &A, LINALG_VALUES, &svd)))
        return code;
    *s_p = svd.s;
    return ALCH_OK;
}

static const char svdvals_doc[] =
    "Computes all singular values, without vectors. That takes about a third of the time of svd.\n\n"
    "Method: a QR factorization first if m > 1.5 n, PxGEBRD, then the dqds algorithm on one worker (LAPACK DBDSDC, "
    "Fernando and Parlett 1994). The values are accurate to a few eps times the largest one.\n"
    "Memory: a copy of a, a second one if a is wide, and min(m, n)^2 entries if m > 1.5 n or n > 1.5 m.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); no convergence (NumericError); not "
    "enough memory, or a matrix is beyond 32-bit indices (LimitError).\n"
    "Cancel: between the stages.\n\n"
    "a: m x n\n"
    "s: min(m, n) values, in descending order\n";

static int
svdvals(linalg_t *la)
{
    double *s;
    int64_t count;
    int code = linalg_singular_values(la, "a", &s, &count);

    return code ? code : linalg_return_reals(la, "s", s, count);
}

static int
run_svdvals(alch_call_t *call)
{
    return linalg_run(call, svdvals, "a", NULL);
}

static const char rank_doc[] =
    "Computes the numerical rank: the number of singular values above a threshold, as numpy.linalg.matrix_rank.\n\n"
    "Method, source, memory, cancel and errors: as svdvals; tol or rtol is NaN (RangeError).\n\n"
    "A: m x n\n"
    "tol: the threshold; negative: rtol s[0]\n"
    "rtol: the threshold relative to s[0]; negative: max(m, n) eps\n"
    "rank: the number of singular values above the threshold\n";

static int
matrix_rank(linalg_t *la)
{
    double *s, tol = la->host->arg_real(la->call, "tol"), rtol = la->host->arg_real(la->call, "rtol");
    alch_block_t a;
    int64_t count, rank = 0;
    int code;

    if (isnan(tol) || isnan(rtol))
        return linalg_fail(la, ALCH_ERANGE, "%s is NaN", isnan(tol) ? "tol" : "rtol");
    if ((code = linalg_singular_values(la, "A", &s, &count)))
        return code;
    linalg_operand_block(la, "A", &a);
    rtol = rtol < 0 ? la->k->eps * (double)(a.m > a.n ? a.m : a.n) : rtol;
    tol = tol < 0 && count > 0 ? s[0] * rtol : tol;
    while (rank < count && s[rank] > tol)
        rank++;
    return la->host->ret_int(la->call, "rank", rank);
}

static int
run_matrix_rank(alch_call_t *call)
{
    return linalg_run(call, matrix_rank, "A", NULL);
}

static const alch_operation_t operations[] = {
    {"svd", "The singular value decomposition of a matrix: all values, or the k largest.",
     "a:matrix, full_matrices:bool=false, compute_uv:bool=true, k:int64=0, tol:float64=0, maxiter:int64=0 -> U:matrix, "
     "s:vector, Vh:matrix",
     svd_doc, 0, run_svd},
    {"svdvals", "All singular values of a matrix.", "a:matrix -> s:vector", svdvals_doc, 0, run_svdvals},
    {"matrix_rank", "The numerical rank of a matrix.", "A:matrix, tol:float64=-1, rtol:float64=-1 -> rank:int64",
     rank_doc, 0, run_matrix_rank},
};

LINALG_OPERATIONS(linalg_svd_operations, operations);
