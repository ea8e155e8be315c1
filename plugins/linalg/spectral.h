/**
 * @file spectral.h
 * Decompositions that more than one operation needs, and the ScaLAPACK routines behind them.
 */
#ifndef LINALG_SPECTRAL_H
#define LINALG_SPECTRAL_H

#include "linalg.h"
#include "local.h"

typedef void linalg_geqrf_f(const int *m, const int *n, void *a, const int *ia, const int *ja, const int *desca,
                            void *tau, void *work, const int *lwork, int *info);
typedef void linalg_orgqr_f(const int *m, const int *n, const int *k, void *a, const int *ia, const int *ja,
                            const int *desca, const void *tau, void *work, const int *lwork, int *info);
typedef void linalg_ormqr_f(const char *side, const char *trans, const int *m, const int *n, const int *k,
                            const void *a, const int *ia, const int *ja, const int *desca, const void *tau, void *c,
                            const int *ic, const int *jc, const int *descc, void *work, const int *lwork, int *info);
typedef void linalg_gebrd_f(const int *m, const int *n, void *a, const int *ia, const int *ja, const int *desca,
                            void *d, void *e, void *tauq, void *taup, void *work, const int *lwork, int *info);
typedef void linalg_ormbr_f(const char *vect, const char *side, const char *trans, const int *m, const int *n,
                            const int *k, const void *a, const int *ia, const int *ja, const int *desca,
                            const void *tau, void *c, const int *ic, const int *jc, const int *descc, void *work,
                            const int *lwork, int *info);

/** What depends on the type of entries. */
typedef struct {
    char letter;
    linalg_geqrf_f *geqrf;
    linalg_orgqr_f *orgqr;
    linalg_ormqr_f *ormqr;
    linalg_gebrd_f *gebrd;
    linalg_ormbr_f *ormbr;
} linalg_factorizations_t;

const linalg_factorizations_t *linalg_factorizations(const linalg_t *la);

/** Workspace of a query as an int64; ScaLAPACK answers in the type of entries. */
int64_t linalg_workspace_size(const linalg_t *la, const void *answer);

/** Whether entry (i, j) is on this rank, and its place in M's data. */
bool linalg_owns_entry(const linalg_t *la, const linalg_matrix_t *M, int64_t i, int64_t j, int64_t *at_p);
/** The real parts of entries (di + k, dj + k), k < count, on all ranks. */
void linalg_get_diagonal(linalg_t *la, const linalg_matrix_t *M, int64_t di, int64_t dj, int64_t count, double *x);
/** Ones on the diagonal, from entry (first, first) on. */
void linalg_set_unit_diagonal(linalg_t *la, linalg_matrix_t *M, int64_t first);
/** An m x n array of rank 0 to the owners of the first rows and columns of a matrix. @param panel  m nb doubles,
 * scratch */
void linalg_distribute_array(linalg_t *la, const double *from, int64_t m, int64_t n, double *panel,
                             linalg_matrix_t *to);

/** A matrix factored by PxGEQRF: R above the diagonal, reflectors below. */
typedef struct {
    linalg_matrix_t *A;
    int k; /**< min(m, n): how many reflectors there are */
    void *tau, *work;
    int lwork;
} linalg_qr_t;

/** Memory of linalg_qr_factor() and the functions after it, for an m x n matrix and products with `columns`. */
void linalg_qr_expect(linalg_t *la, int64_t m, int64_t n, int64_t columns);
/** Factor A in place. */
int linalg_qr_factor(linalg_t *la, linalg_matrix_t *A, int64_t columns, linalg_qr_t *qr);
/** C := Q C or Q^H C, C of m rows. */
int linalg_qr_apply(linalg_t *la, const linalg_qr_t *qr, bool adjoint, linalg_matrix_t *C);
/** From reflectors to Q's first Q->n columns, k or more. Q: A itself or a matrix that begins with A's first k columns,
 *  if Q->n columns were asked for when A was factored. */
int linalg_qr_generate_q(linalg_t *la, const linalg_qr_t *qr, linalg_matrix_t *Q);
/** A new rows x n matrix R, zero below row k. */
int linalg_qr_copy_r(linalg_t *la, const linalg_qr_t *qr, int64_t rows, linalg_matrix_t *R);

/** Which vectors a decomposition has: none; min(m, n) on both sides; or those of the null spaces too, so that U is m x
 * m and Vh n x n. */
typedef enum { LINALG_VALUES, LINALG_THIN, LINALG_FULL } linalg_vectors_t;

/** The whole decomposition of a matrix. */
typedef struct {
    double *s;             /**< [min(m, n)], falling, the same on all ranks; of linalg_alloc() */
    linalg_matrix_t U, Vh; /**< none if only values were wanted */
} linalg_svd_t;

/** Memory of linalg_svd() on an m x n matrix that is there already. */
void linalg_svd_expect(linalg_t *la, int64_t m, int64_t n, linalg_vectors_t vectors);
/**
 * A = U diag(s) Vh, destroying A (a copy, freed on the way).
 *
 * Tall matrices are factored by QR first, wide ones transposed. The square matrix is made bidiagonal (PxGEBRD); its
 * decomposition is found by divide and conquer (xBDSDC) on rank 0 and multiplied back on all ranks (PxORMBR). Beyond
 * order 4096 rank 0 would need too much memory: PxGESVD then.
 * @return ALCH_OK; ALCH_ENUMERIC no convergence; memory
 */
int linalg_svd(linalg_t *la, linalg_matrix_t *A, linalg_vectors_t vectors, linalg_svd_t *svd);

/** The singular values alone of a matrix parameter, all min(m, n) of them; checks, memory and all. */
int linalg_singular_values(linalg_t *la, const char *name, double **s_p, int64_t *count_p);

extern const linalg_operations_t linalg_svd_operations, linalg_qr_operations, linalg_eigen_operations,
    linalg_lstsq_operations, linalg_rsvd_operations, linalg_pca_operations, linalg_cond_operations;

#endif
