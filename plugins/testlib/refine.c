/* Computes values and vectors of both sides from a basis X of the dominant short singular vectors, by the Rayleigh-Ritz
 * method on A and not on its square: A X = Q R by two rounds of Cholesky QR on scaled columns (Yamamoto et al., 2015),
 * and R = W diag(s) Z^T, so that the vectors of A are Q W and X Z. The errors of the values are rounding errors of the
 * largest value. */
#include "svd.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t uplo_length);
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *info,
             size_t jobu_length, size_t jobvt_length);

/* For values below this part of the largest one the basis X itself is not accurate enough. */
#define VALUE_MIN 1e-6

/* Matrices of k x k entries, which are the same on all ranks, and workspace. */
typedef struct {
    double *gram, *R, *W, *Zt, *work;
    double *part; /* short_count x k */
    int lwork;
    void *memory;
} small_t;

static int
small_init(small_t *small, const svd_t *svd)
{
    size_t kk = (size_t)(svd->k * svd->k), lwork = (size_t)svd->k * 64 + 64;
    double *memory = malloc(sizeof(double) * (4 * kk + lwork + (size_t)(svd->short_count * svd->k)));

    *small = (small_t){.gram = memory, .memory = memory, .lwork = (int)lwork};
    if (!memory)
        return ALCH_ENOMEM;
    small->R = memory + kk;
    small->W = small->R + kk;
    small->Zt = small->W + kk;
    small->work = small->Zt + kk;
    small->part = small->work + lwork;
    return ALCH_OK;
}

/* gram := Y^T Y. Of the ranks that have the same long indices only the first one counts them. */
static void
gram_matrix(svd_t *svd, const double *Y, double *gram)
{
    int k = (int)svd->k, mine = svd->reduce_comm != MPI_COMM_NULL && svd->reduce_rank == 0 ? (int)svd->long_count : 0;

    memset(gram, 0, sizeof(double) * (size_t)(svd->k * svd->k));
    if (mine > 0)
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, k, k, mine, 1, Y, (int)svd->long_count, Y,
                    (int)svd->long_count, 0, gram, k);
    MPI_Allreduce(MPI_IN_PLACE, gram, k * k, MPI_DOUBLE, MPI_SUM, svd->call->comm);
}

/* gram := its upper Cholesky factor. Rank 0 computes it, so that all ranks have the same bits.
 * @return false: the columns are linearly dependent */
static bool
factorize_gram(svd_t *svd, small_t *small)
{
    int k = (int)svd->k, info = 0;
    double *G = small->gram, *norms = small->work;

    for (int c = 0; c < k; c++)
        norms[c] = sqrt(G[c + c * k]);
    for (int c = 0; c < k; c++) {
        info += !(norms[c] > 0);
        for (int r = 0; r < k; r++)
            G[r + c * k] = r <= c ? G[r + c * k] / (norms[r] * norms[c]) : 0;
    }
    if (svd->call->rank == 0 && !info)
        dpotrf_("U", &k, G, &k, &info, 1);
    /* The factor was computed for columns of norm 1, which is better conditioned. Put the norms back. */
    for (int c = 0; c < k; c++)
        for (int r = 0; r <= c; r++)
            G[r + c * k] *= norms[c];
    MPI_Bcast(&info, 1, MPI_INT, 0, svd->call->comm);
    MPI_Bcast(G, k * k, MPI_DOUBLE, 0, svd->call->comm);
    return info == 0;
}

/* One round of Cholesky QR: Y := Q, R := R' R with Y = Q R'. @return false: the columns are nearly dependent */
static bool
orthonormalize(svd_t *svd, small_t *small, double *Y)
{
    int k = (int)svd->k;

    gram_matrix(svd, Y, small->gram);
    if (!factorize_gram(svd, small))
        return false;
    if (svd->long_count > 0)
        cblas_dtrsm(CblasColMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, (int)svd->long_count, k, 1,
                    small->gram, k, Y, (int)svd->long_count);
    cblas_dtrmm(CblasColMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, k, k, 1, small->gram, k, small->R, k);
    return true;
}

/* Y := Y W or Y W^T in place, some rows at a time. */
static int
rotate_vectors(double *Y, int64_t m, int64_t k, const double *W, CBLAS_TRANSPOSE transpose)
{
    enum { ROWS = 512 };
    double *rows = malloc(sizeof(double) * (size_t)(ROWS * k));

    if (!rows)
        return ALCH_ENOMEM;
    for (int64_t start = 0; start < m; start += ROWS) {
        int count = (int)(m - start < ROWS ? m - start : ROWS);

        cblas_dgemm(CblasColMajor, CblasNoTrans, transpose, count, (int)k, (int)k, 1, Y + start, (int)m, W, (int)k, 0,
                    rows, count);
        for (int64_t c = 0; c < k; c++)
            memcpy(Y + start + c * m, rows + c * count, sizeof(double) * (size_t)count);
    }
    free(rows);
    return ALCH_OK;
}

/* R = W diag(values) Z^T. Rank 0 computes it, so that all ranks have the same bits. @return false: no convergence */
static bool
decompose_R(svd_t *svd, small_t *small, double *values)
{
    int k = (int)svd->k, info = 0;

    if (svd->call->rank == 0)
        dgesvd_("A", "A", &k, &k, small->R, &k, values, small->W, &k, small->Zt, &k, small->work, &small->lwork, &info,
                1, 1);
    MPI_Bcast(&info, 1, MPI_INT, 0, svd->call->comm);
    MPI_Bcast(values, k, MPI_DOUBLE, 0, svd->call->comm);
    MPI_Bcast(small->W, k * k, MPI_DOUBLE, 0, svd->call->comm);
    MPI_Bcast(small->Zt, k * k, MPI_DOUBLE, 0, svd->call->comm);
    return info == 0;
}

static int
refine_factors(svd_t *svd, small_t *small, factors_t *factors, bool *dense_p)
{
    int k = (int)svd->k, code;

    svd_product(svd, factors->short_vectors, small->part, factors->long_vectors);
    memset(small->R, 0, sizeof(double) * (size_t)(svd->k * svd->k));
    for (int c = 0; c < k; c++)
        small->R[c + c * k] = 1;
    *dense_p = !orthonormalize(svd, small, factors->long_vectors) ||
               !orthonormalize(svd, small, factors->long_vectors) || !decompose_R(svd, small, factors->values) ||
               !(factors->values[k - 1] > VALUE_MIN * factors->values[0]);
    if (*dense_p)
        return ALCH_OK;
    for (int c = 0; c < k; c++)
        factors->values[c] /= svd->scale;
    code = rotate_vectors(factors->long_vectors, svd->long_count, svd->k, small->W, CblasNoTrans);
    if (!code)
        code = rotate_vectors(factors->short_vectors, svd->short_size, svd->k, small->Zt, CblasTrans);
    return svd->call->host->agree(svd->call, code, "truncated_svd: a buffer for the vectors cannot be allocated");
}

int
svd_refine(svd_t *svd, factors_t *factors, bool *dense_p)
{
    small_t small;
    int code = svd->call->host->agree(svd->call, small_init(&small, svd),
                                      "truncated_svd: matrices of %" PRId64 " x %" PRId64 " cannot be allocated",
                                      svd->k, svd->k);

    if (!code)
        code = refine_factors(svd, &small, factors, dense_p);
    free(small.memory);
    return code;
}
