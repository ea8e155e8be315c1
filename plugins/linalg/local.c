/* Work within one rank. */
#include "local.h"

#include <alchemist/error.h>
#include <cblas.h>
#include <stdlib.h>
#include <string.h>

typedef void geqrf_f(const int *m, const int *n, void *a, const int *lda, void *tau, void *work, const int *lwork,
                     int *info);
typedef void orgqr_f(const int *m, const int *n, const int *k, void *a, const int *lda, const void *tau, void *work,
                     const int *lwork, int *info);
typedef void gesdd_f(const char *jobz, const int *m, const int *n, void *a, const int *lda, void *s, void *u,
                     const int *ldu, void *vt, const int *ldvt, void *work, const int *lwork, int *iwork, int *info,
                     size_t length);
typedef void gesdd_complex_f(const char *jobz, const int *m, const int *n, void *a, const int *lda, void *s, void *u,
                             const int *ldu, void *vt, const int *ldvt, void *work, const int *lwork, void *rwork,
                             int *iwork, int *info, size_t length);

geqrf_f sgeqrf_, dgeqrf_, cgeqrf_, zgeqrf_;
orgqr_f sorgqr_, dorgqr_, cungqr_, zungqr_;
gesdd_f sgesdd_, dgesdd_;
gesdd_complex_f cgesdd_, zgesdd_;

void
linalg_local_gemm(const linalg_kernels_t *kernels, bool adjoint_a, bool adjoint_b, int64_t m, int64_t n, int64_t k,
                  double alpha, const void *a, int64_t lda, const void *b, int64_t ldb, double beta, void *c,
                  int64_t ldc)
{
    const CBLAS_TRANSPOSE adjoint = kernels->is_complex ? CblasConjTrans : CblasTrans;
    const CBLAS_TRANSPOSE ta = adjoint_a ? adjoint : CblasNoTrans, tb = adjoint_b ? adjoint : CblasNoTrans;
    const double alpha_z[2] = {alpha, 0}, beta_z[2] = {beta, 0};
    const float alpha_c[2] = {(float)alpha, 0}, beta_c[2] = {(float)beta, 0};
    const int M = (int)m, N = (int)n, K = (int)k, A = (int)lda, B = (int)ldb, C = (int)ldc;

    if (m == 0 || n == 0)
        return;
    switch (kernels->letter) {
    case 'd':
        cblas_dgemm(CblasColMajor, ta, tb, M, N, K, alpha, a, A, b, B, beta, c, C);
        break;
    case 's':
        cblas_sgemm(CblasColMajor, ta, tb, M, N, K, alpha_c[0], a, A, b, B, beta_c[0], c, C);
        break;
    case 'z':
        cblas_zgemm(CblasColMajor, ta, tb, M, N, K, alpha_z, a, A, b, B, beta_z, c, C);
        break;
    default:
        cblas_cgemm(CblasColMajor, ta, tb, M, N, K, alpha_c, a, A, b, B, beta_c, c, C);
        break;
    }
}

void
linalg_local_copy(const linalg_kernels_t *kernels, int64_t count, int64_t n, const void *a, int64_t lda, void *b,
                  int64_t ldb)
{
    for (int64_t j = 0; j < n && count > 0; j++)
        memmove(linalg_at(kernels, b, ldb, 0, j), linalg_at(kernels, a, lda, 0, j), (size_t)count * kernels->entry);
}

/* Work entries for each column: blocks of 64 suit LAPACK. */
#define QR_BLOCK 64

int64_t
linalg_local_qr_entries(int64_t m, int64_t n)
{
    int64_t k = m < n ? m : n;

    return k + (n > 0 ? n : 1) * QR_BLOCK;
}

void
linalg_local_qr(const linalg_kernels_t *kernels, int64_t m, int64_t n, void *a, int64_t lda, void *r, int64_t ldr,
                void *work)
{
    geqrf_f *geqrf = kernels->letter == 'd'   ? dgeqrf_
                     : kernels->letter == 's' ? sgeqrf_
                     : kernels->letter == 'z' ? zgeqrf_
                                              : cgeqrf_;
    orgqr_f *orgqr = kernels->letter == 'd'   ? dorgqr_
                     : kernels->letter == 's' ? sorgqr_
                     : kernels->letter == 'z' ? zungqr_
                                              : cungqr_;
    int M = (int)m, N = (int)n, K = M < N ? M : N, LDA = (int)lda, lwork = (N > 0 ? N : 1) * QR_BLOCK, info;
    void *tau = work, *rest = (char *)work + (size_t)K * kernels->entry;

    if (K == 0)
        return;
    geqrf(&M, &N, a, &LDA, tau, rest, &lwork, &info);
    for (int64_t j = 0; j < n; j++) {
        int64_t upper = j + 1 < K ? j + 1 : K;

        memcpy(linalg_at(kernels, r, ldr, 0, j), linalg_at(kernels, a, lda, 0, j), (size_t)upper * kernels->entry);
        memset(linalg_at(kernels, r, ldr, upper, j), 0, (size_t)(K - upper) * kernels->entry);
    }
    orgqr(&M, &K, &K, a, &LDA, tau, rest, &lwork, &info);
}

/* Entries, reals and integers that xGESDD needs for a square matrix with all vectors. */
static int64_t
svd_work(int64_t n)
{
    return 5 * n * n + 8 * n + 64 * n;
}

int64_t
linalg_local_svd_bytes(const linalg_kernels_t *kernels, int64_t n)
{
    return svd_work(n) * (int64_t)kernels->entry + (5 * n * n + 7 * n) * 8 + n * 8 + 8 * n * 4;
}

int
linalg_local_svd(const linalg_kernels_t *kernels, int64_t n, void *a, int64_t ld, double *s, void *u, void *vh)
{
    int N = (int)n, LD = (int)ld, lwork = (int)svd_work(n), info = 0;
    void *work = malloc((size_t)svd_work(n) * kernels->entry), *rwork = malloc((size_t)(5 * n * n + 7 * n + 1) * 8);
    int *iwork = malloc((size_t)(8 * n + 1) * sizeof(int));
    float *s32 = kernels->part == 4 ? malloc((size_t)(n + 1) * sizeof(float)) : NULL;
    void *values = s32 ? (void *)s32 : (void *)s;
    int code = work && rwork && iwork && (s32 || kernels->part == 8) ? ALCH_OK : ALCH_ENOMEM;

    if (!code && n > 0) {
        switch (kernels->letter) {
        case 'd':
            dgesdd_("A", &N, &N, a, &LD, values, u, &LD, vh, &LD, work, &lwork, iwork, &info, 1);
            break;
        case 's':
            sgesdd_("A", &N, &N, a, &LD, values, u, &LD, vh, &LD, work, &lwork, iwork, &info, 1);
            break;
        case 'z':
            zgesdd_("A", &N, &N, a, &LD, values, u, &LD, vh, &LD, work, &lwork, rwork, iwork, &info, 1);
            break;
        default:
            cgesdd_("A", &N, &N, a, &LD, values, u, &LD, vh, &LD, work, &lwork, rwork, iwork, &info, 1);
            break;
        }
        code = info ? ALCH_ENUMERIC : ALCH_OK;
    }
    for (int64_t i = 0; s32 && !code && i < n; i++)
        s[i] = s32[i];
    free(work);
    free(rwork);
    free(iwork);
    free(s32);
    return code;
}
