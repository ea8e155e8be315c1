/* Matrix products and factorizations within one rank. */
#include "local.h"
#include "linalg.h"

#include <alchemist/error.h>
#include <cblas.h>
#include <stdlib.h>
#include <string.h>

typedef void geqrt_f(const int *m, const int *n, const int *nb, void *a, const int *lda, void *t, const int *ldt,
                     void *work, int *info);
typedef void larfb_f(const char *side, const char *trans, const char *direct, const char *storev, const int *m,
                     const int *n, const int *k, const void *v, const int *ldv, const void *t, const int *ldt, void *c,
                     const int *ldc, void *work, const int *ldwork, size_t, size_t, size_t, size_t);
typedef void trmm_f(const char *side, const char *uplo, const char *trans, const char *diag, const int *m, const int *n,
                    const void *alpha, const void *a, const int *lda, void *b, const int *ldb, size_t, size_t, size_t,
                    size_t);
typedef void gesdd_f(const char *jobz, const int *m, const int *n, void *a, const int *lda, void *s, void *u,
                     const int *ldu, void *vt, const int *ldvt, void *work, const int *lwork, int *iwork, int *info,
                     size_t length);
typedef void gesdd_complex_f(const char *jobz, const int *m, const int *n, void *a, const int *lda, void *s, void *u,
                             const int *ldu, void *vt, const int *ldvt, void *work, const int *lwork, void *rwork,
                             int *iwork, int *info, size_t length);

geqrt_f sgeqrt_, dgeqrt_, cgeqrt_, zgeqrt_;
larfb_f slarfb_, dlarfb_, clarfb_, zlarfb_;
trmm_f strmm_, dtrmm_, ctrmm_, ztrmm_;
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
linalg_local_lacpy(const linalg_kernels_t *kernels, int64_t count, int64_t n, const void *a, int64_t lda, void *b,
                   int64_t ldb)
{
    for (int64_t j = 0; j < n && count > 0; j++)
        memmove(linalg_address(kernels, b, ldb, 0, j), linalg_address(kernels, a, lda, 0, j),
                (size_t)count * kernels->entry_bytes);
}

/* ---- QR ---- */

/* Householder reflectors that are applied together. */
#define QR_BLOCK 32

typedef struct {
    char letter;
    geqrt_f *geqrt;
    larfb_f *larfb;
    trmm_f *trmm;
} qr_routines_t;

static const qr_routines_t *
qr_routines(const linalg_kernels_t *kernels)
{
    static const qr_routines_t table[] = {{'d', dgeqrt_, dlarfb_, dtrmm_},
                                          {'s', sgeqrt_, slarfb_, strmm_},
                                          {'z', zgeqrt_, zlarfb_, ztrmm_},
                                          {'c', cgeqrt_, clarfb_, ctrmm_}};
    size_t k = 0;

    while (table[k].letter != kernels->letter)
        k++;
    return &table[k];
}

int64_t
linalg_local_qr_work_entries(int64_t m, int64_t n)
{
    int64_t k = m < n ? m : n;

    return QR_BLOCK * (k + n + 2 * QR_BLOCK);
}

/* Overwrite the block of reflectors V with the first columns of I - V T V^H. With V1 the upper square part of V, V2 the
 * part below it, and the triangular W = T V1^H, these columns are I - V1 W and, below, -V2 W. */
static void
generate_q_block(const linalg_kernels_t *k, int rows, int count, void *V, int ld, const void *T, int ldt, void *work)
{
    const qr_routines_t *f = qr_routines(k);
    void *W = work, *top = linalg_address(k, work, count, 0, count);
    int below = rows - count;

    memset(W, 0, (size_t)(count * count) * k->entry_bytes);
    for (int j = 0; j < count; j++)
        memcpy(linalg_address(k, W, count, 0, j), linalg_address(k, T, ldt, 0, j), (size_t)(j + 1) * k->entry_bytes);
    f->trmm("R", "L", k->adjoint, "U", &count, &count, k->one, V, &ld, W, &count, 1, 1, 1, 1);
    linalg_local_lacpy(k, count, count, W, count, top, count);
    f->trmm("L", "L", "N", "U", &count, &count, k->minus_one, V, &ld, top, &count, 1, 1, 1, 1);
    if (below > 0)
        f->trmm("R", "U", "N", "N", &below, &count, k->minus_one, W, &count, linalg_address(k, V, ld, count, 0), &ld, 1,
                1, 1, 1);
    for (int j = 0; j < count; j++)
        linalg_set_entry(k->dtype, top, j + j * count, 1 + linalg_get_entry(k->dtype, top, j + j * count));
    linalg_local_lacpy(k, count, count, top, count, V, ld);
}

/* Generate Q from the reflectors in place, block after block from the last one. Unlike xORGQR, which generates the
 * columns within a block one by one, this uses matrix products only. */
static void
generate_q(const linalg_kernels_t *k, int m, int n, void *a, int lda, const void *T, int nb, void *work)
{
    for (int j = (n - 1) / nb * nb; j >= 0; j -= nb) {
        int count = n - j < nb ? n - j : nb, rows = m - j, after = n - j - count;
        void *V = linalg_address(k, a, lda, j, j), *rest = linalg_address(k, a, lda, j, j + count);
        const void *Tj = linalg_address(k, T, nb, 0, j);

        for (int c = 0; c < after; c++)
            memset(linalg_address(k, rest, lda, 0, c), 0, (size_t)count * k->entry_bytes);
        if (after > 0)
            qr_routines(k)->larfb("L", "N", "F", "C", &rows, &after, &count, V, &lda, Tj, &nb, rest, &lda, work, &after,
                                  1, 1, 1, 1);
        generate_q_block(k, rows, count, V, lda, Tj, nb, work);
    }
}

/* The number of reflectors in a block. */
static int
reflectors_per_block(int64_t m, int64_t n)
{
    int64_t k = m < n ? m : n;

    return (int)(k < QR_BLOCK ? k : QR_BLOCK);
}

void
linalg_local_r_factor(const linalg_kernels_t *kernels, int64_t m, int64_t n, void *a, int64_t lda, void *r, int64_t ldr,
                      void *work)
{
    int M = (int)m, N = (int)n, K = M < N ? M : N, LDA = (int)lda, nb = reflectors_per_block(m, n), info;

    if (K == 0)
        return;
    qr_routines(kernels)->geqrt(&M, &N, &nb, a, &LDA, work, &nb, linalg_address(kernels, work, nb, 0, K), &info);
    for (int64_t j = 0; j < n; j++) {
        int64_t upper = j + 1 < K ? j + 1 : K;

        memcpy(linalg_address(kernels, r, ldr, 0, j), linalg_address(kernels, a, lda, 0, j),
               (size_t)upper * kernels->entry_bytes);
        memset(linalg_address(kernels, r, ldr, upper, j), 0, (size_t)(K - upper) * kernels->entry_bytes);
    }
}

void
linalg_local_qr(const linalg_kernels_t *kernels, int64_t m, int64_t n, void *a, int64_t lda, void *r, int64_t ldr,
                void *work)
{
    int K = (int)(m < n ? m : n), nb = reflectors_per_block(m, n);

    linalg_local_r_factor(kernels, m, n, a, lda, r, ldr, work);
    if (K > 0)
        generate_q(kernels, (int)m, K, a, (int)lda, work, nb, linalg_address(kernels, work, nb, 0, K));
}

/* Entries of the workspace of xGESDD for a square matrix with all vectors. */
static int64_t
svd_work_entries(int64_t n)
{
    return 5 * n * n + 8 * n + 64 * n;
}

int64_t
linalg_local_svd_bytes(const linalg_kernels_t *kernels, int64_t n)
{
    return svd_work_entries(n) * (int64_t)kernels->entry_bytes + (5 * n * n + 7 * n) * 8 + n * 8 + 8 * n * 4;
}

int
linalg_local_svd(const linalg_kernels_t *kernels, int64_t n, void *a, int64_t ld, double *s, void *u, void *vh)
{
    int N = (int)n, LD = (int)ld, lwork = (int)svd_work_entries(n), info = 0;
    void *work = malloc((size_t)svd_work_entries(n) * kernels->entry_bytes),
         *rwork = malloc((size_t)(5 * n * n + 7 * n + 1) * 8);
    int *iwork = malloc((size_t)(8 * n + 1) * sizeof(int));
    float *s32 = kernels->real_bytes == 4 ? malloc((size_t)(n + 1) * sizeof(float)) : NULL;
    void *values = s32 ? (void *)s32 : (void *)s;
    int code = work && rwork && iwork && (s32 || kernels->real_bytes == 8) ? ALCH_OK : ALCH_ENOMEM;

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
