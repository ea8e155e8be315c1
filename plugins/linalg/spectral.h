/**
 * @file spectral.h
 * Orthogonal and singular value decompositions that more than one operation uses, and their ScaLAPACK routines.
 *
 * @collective  all functions that take a linalg_t over the group, unless their description says otherwise. "memory"
 *              stands for ALCH_ELIMIT or ALCH_ENOMEM, as in linalg.h
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

/** The routines for one type of entries. */
typedef struct {
    char letter;
    linalg_geqrf_f *geqrf;
    linalg_orgqr_f *orgqr;
    linalg_ormqr_f *ormqr;
    linalg_gebrd_f *gebrd;
    linalg_ormbr_f *ormbr;
} linalg_factorizations_t;

const linalg_factorizations_t *linalg_factorizations(const linalg_t *la);

/** The size that a workspace query answered, in entries. ScaLAPACK answers in the type of entries. Not collective. */
int64_t linalg_workspace_size(const linalg_t *la, const void *answer);

/** Whether entry (i, j) is on this rank. Not collective.
 *  @param[out] at_p  its index in M's data; written on success only */
bool linalg_owns_entry(const linalg_t *la, const linalg_matrix_t *M, int64_t i, int64_t j, int64_t *at_p);
/** Get the real parts of entries (di + k, dj + k), k < count, on all ranks. */
void linalg_get_diagonal(linalg_t *la, const linalg_matrix_t *M, int64_t di, int64_t dj, int64_t count, double *x);
/** Set the entries of the diagonal from (first, first) on to one. Not collective. */
void linalg_set_unit_diagonal(linalg_t *la, linalg_matrix_t *M, int64_t first);
/** Copy an m x n array of rank 0 into the first rows and columns of a distributed matrix.
 *  @param panel  m * nb doubles of scratch on every rank */
void linalg_distribute_array(linalg_t *la, const double *from, int64_t m, int64_t n, double *panel,
                             linalg_matrix_t *to);

/** A matrix factored by PxGEQRF: R on and above the diagonal, Householder reflectors below. */
typedef struct {
    linalg_matrix_t *A;
    int k; /**< min(m, n), the number of reflectors */
    void *tau, *work;
    int lwork;
} linalg_qr_t;

/** Announce the memory of linalg_qr_factor() and of the functions below, for an m x n matrix A and matrices C or Q of
 * at most `columns` columns. */
void linalg_qr_expect(linalg_t *la, int64_t m, int64_t n, int64_t columns);
/** Factor A in place. @return ALCH_OK; memory */
int linalg_qr_factor(linalg_t *la, linalg_matrix_t *A, int64_t columns, linalg_qr_t *qr);
/** C := Q C or Q^H C, C of m rows. @return ALCH_OK */
int linalg_qr_apply(linalg_t *la, const linalg_qr_t *qr, bool adjoint, linalg_matrix_t *C);
/** Generate the first Q->n columns of Q, which are k or more, in place of the reflectors (PxORGQR). linalg_qr_factor()
 * was called with at least Q->n `columns`.
 *  @param Q  A itself, or a matrix that begins with the first k columns of A
 *  @return ALCH_OK */
int linalg_qr_generate_q(linalg_t *la, const linalg_qr_t *qr, linalg_matrix_t *Q);
/** Create the rows x n matrix R, with zeros below row k. @return ALCH_OK; memory */
int linalg_qr_copy_r(linalg_t *la, const linalg_qr_t *qr, int64_t rows, linalg_matrix_t *R);

/** Which singular vectors are computed: none; min(m, n) on both sides; or also bases of the null spaces, so that U is
 *  m x m and Vh n x n. */
typedef enum { LINALG_VALUES, LINALG_THIN, LINALG_FULL } linalg_vectors_t;

/** A singular value decomposition. */
typedef struct {
    double *s;             /**< [min(m, n)] from linalg_alloc(), in descending order, the same on all ranks */
    linalg_matrix_t U, Vh; /**< not set with LINALG_VALUES */
} linalg_svd_t;

/** Announce the memory of linalg_svd() on an m x n matrix, without that matrix itself. */
void linalg_svd_expect(linalg_t *la, int64_t m, int64_t n, linalg_vectors_t vectors);
/**
 * Decompose A = U diag(s) Vh. A is a copy; it is overwritten and freed.
 *
 * Method: a tall matrix is first factored by QR; a wide one is replaced by its adjoint. The (nearly) square matrix is
 * reduced to bidiagonal form (PxGEBRD). Rank 0 decomposes the bidiagonal matrix by divide and conquer (xBDSDC), and all
 * ranks transform its vectors back (PxORMBR). Vectors of a matrix of order above 4096 would take too much memory on
 * rank 0: PxGESVD computes them.
 *
 * @return ALCH_OK; ALCH_ENUMERIC no convergence; ALCH_ECANCELED; memory; ALCH_ELIMIT also if PxGESVD's workspace is
 *         beyond 32-bit indices
 */
int linalg_svd(linalg_t *la, linalg_matrix_t *A, linalg_vectors_t vectors, linalg_svd_t *svd);

/** Compute all min(m, n) singular values of a matrix parameter. Checks the memory and the entries too.
 *  @param[out] s_p  in descending order, the same on all ranks; lives until the end of the call
 *  @return as linalg_svd(); ALCH_ENUMERIC also for an entry that is not finite */
int linalg_singular_values(linalg_t *la, const char *name, double **s_p, int64_t *count_p);

extern const linalg_operations_t linalg_svd_operations, linalg_qr_operations, linalg_eigen_operations,
    linalg_lstsq_operations, linalg_rsvd_operations, linalg_pca_operations, linalg_cond_operations;

#endif
