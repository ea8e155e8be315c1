/**
 * @file scalapack.h
 * The ScaLAPACK and PBLAS routines that more than one file of the library calls, in a table for each type of entries.
 *
 * The four versions of a routine differ only in the type of entries. It is `void` here, so that one C type serves all
 * four. The PBLAS routines (gemm, herk, trsm, geadd) call MPI_Abort when an argument is wrong: the caller checks the
 * arguments first. The ScaLAPACK routines (getrf to potrs) return INFO.
 */
#ifndef LINALG_SCALAPACK_H
#define LINALG_SCALAPACK_H

#include <alchemist/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef void linalg_gemm_f(const char *transa, const char *transb, const int *m, const int *n, const int *k,
                           const void *alpha, const void *a, const int *ia, const int *ja, const int *desca,
                           const void *b, const int *ib, const int *jb, const int *descb, const void *beta, void *c,
                           const int *ic, const int *jc, const int *descc);
/* C := alpha A A^H + beta C, or with A^H A. alpha and beta are real for complex entries too (herk). */
typedef void linalg_herk_f(const char *uplo, const char *trans, const int *n, const int *k, const void *alpha,
                           const void *a, const int *ia, const int *ja, const int *desca, const void *beta, void *c,
                           const int *ic, const int *jc, const int *descc);
typedef void linalg_trsm_f(const char *side, const char *uplo, const char *trans, const char *diag, const int *m,
                           const int *n, const void *alpha, const void *a, const int *ia, const int *ja,
                           const int *desca, void *b, const int *ib, const int *jb, const int *descb);
/* C := alpha op(A) + beta C */
typedef void linalg_geadd_f(const char *trans, const int *m, const int *n, const void *alpha, const void *a,
                            const int *ia, const int *ja, const int *desca, const void *beta, void *c, const int *ic,
                            const int *jc, const int *descc);
typedef void linalg_lacpy_f(const char *uplo, const int *m, const int *n, const void *a, const int *ia, const int *ja,
                            const int *desca, void *b, const int *ib, const int *jb, const int *descb);
typedef void linalg_getrf_f(const int *m, const int *n, void *a, const int *ia, const int *ja, const int *desca,
                            int *ipiv, int *info);
typedef void linalg_getrs_f(const char *trans, const int *n, const int *nrhs, const void *a, const int *ia,
                            const int *ja, const int *desca, const int *ipiv, void *b, const int *ib, const int *jb,
                            const int *descb, int *info);
typedef void linalg_getri_f(const int *n, void *a, const int *ia, const int *ja, const int *desca, const int *ipiv,
                            void *work, const int *lwork, int *iwork, const int *liwork, int *info);
typedef void linalg_potrf_f(const char *uplo, const int *n, void *a, const int *ia, const int *ja, const int *desca,
                            int *info);
typedef void linalg_potrs_f(const char *uplo, const int *n, const int *nrhs, const void *a, const int *ia,
                            const int *ja, const int *desca, void *b, const int *ib, const int *jb, const int *descb,
                            int *info);

linalg_gemm_f psgemm_, pdgemm_, pcgemm_, pzgemm_;
linalg_herk_f pssyrk_, pdsyrk_, pcherk_, pzherk_;
linalg_trsm_f pstrsm_, pdtrsm_, pctrsm_, pztrsm_;
linalg_geadd_f psgeadd_, pdgeadd_, pcgeadd_, pzgeadd_;
linalg_lacpy_f pslacpy_, pdlacpy_, pclacpy_, pzlacpy_;
linalg_getrf_f psgetrf_, pdgetrf_, pcgetrf_, pzgetrf_;
linalg_getrs_f psgetrs_, pdgetrs_, pcgetrs_, pzgetrs_;
linalg_getri_f psgetri_, pdgetri_, pcgetri_, pzgetri_;
linalg_potrf_f pspotrf_, pdpotrf_, pcpotrf_, pzpotrf_;
linalg_potrs_f pspotrs_, pdpotrs_, pcpotrs_, pzpotrs_;

/** Routines and constants for one type of entries. */
typedef struct {
    alch_dtype_t dtype;
    alch_dtype_t real; /* type of absolute values: float64 for complex128 */
    char letter;       /* of the routines' names: s d c z */
    bool is_complex;
    size_t entry_bytes, real_bytes;     /* bytes of an entry, and of its real part */
    double eps;                         /* distance from 1 to the next larger number: numpy.finfo().eps */
    const void *zero, *one, *minus_one; /* the entries 0, 1 and -1; each is also the real scalar of that value */
    const char *adjoint;                /* argument TRANS for the adjoint: "T" or "C" */
    linalg_gemm_f *gemm;
    linalg_herk_f *herk;
    linalg_trsm_f *trsm;
    linalg_geadd_f *geadd;
    linalg_lacpy_f *lacpy;
    linalg_getrf_f *getrf;
    linalg_getrs_f *getrs;
    linalg_getri_f *getri;
    linalg_potrf_f *potrf;
    linalg_potrs_f *potrs;
} linalg_kernels_t;

/** @return NULL for types that ScaLAPACK does not support */
const linalg_kernels_t *linalg_kernels(alch_dtype_t dtype);

#endif
