/*
 * Linked into programs like lib/yield, never into the library: cgemv and zgemv in front of OpenBLAS's own.
 *
 * Those of OpenBLAS 0.3.21 read an entry of x after its last one (its issue 4013; AVX-512 kernels, no transposition).
 * When x is the last row of a matrix, as in PxLABRD, that is a column further, where there need not be any memory. Here
 * they get a copy of x with room behind it: n entries, beside m n that they multiply.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FEW 512 /* entries that are copied to the stack */
#define ROOM 4  /* entries behind the last */

typedef void gemv_f(const char *trans, const int *m, const int *n, const void *alpha, const void *a, const int *lda,
                    const void *x, const int *incx, const void *beta, void *y, const int *incy);

gemv_f cgemv_, zgemv_;

/* Entry k of a vector as BLAS counts: one with a negative increment begins at the far end. */
static void
gather(char *to, const char *x, int n, int incx, size_t entry)
{
    int64_t first = incx < 0 ? (int64_t)(1 - n) * incx : 0;

    for (int k = 0; k < n; k++)
        memcpy(to + (size_t)k * entry, x + (first + (int64_t)k * incx) * (int64_t)entry, entry);
    memset(to + (size_t)n * entry, 0, ROOM * entry);
}

static void
call(gemv_f *real, size_t entry, const char *trans, const int *m, const int *n, const void *alpha, const void *a,
     const int *lda, const void *x, const int *incx, const void *beta, void *y, const int *incy)
{
    double few[2 * (FEW + ROOM)];
    const int one = 1;
    char *copy = NULL;

    if ((*trans == 'N' || *trans == 'n') && *n > 0 && *incx != 0) /* wrong arguments are OpenBLAS's to refuse */
        copy = *n <= FEW ? (char *)few : malloc(((size_t)*n + ROOM) * entry);
    if (!copy) {
        real(trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
        return;
    }
    gather(copy, x, *n, *incx, entry);
    real(trans, m, n, alpha, a, lda, copy, &one, beta, y, incy);
    if (copy != (char *)few)
        free(copy);
}

/* The one that this file stands before. */
static gemv_f *
next(const char *name)
{
    gemv_f *found;
    void *symbol = dlsym(RTLD_NEXT, name);

    memcpy(&found, &symbol, sizeof found);
    if (!found)
        abort(); /* who calls it was linked with a BLAS */
    return found;
}

void
cgemv_(const char *trans, const int *m, const int *n, const void *alpha, const void *a, const int *lda, const void *x,
       const int *incx, const void *beta, void *y, const int *incy)
{
    static gemv_f *real;

    if (!real)
        real = next("cgemv_");
    call(real, 2 * sizeof(float), trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
}

void
zgemv_(const char *trans, const int *m, const int *n, const void *alpha, const void *a, const int *lda, const void *x,
       const int *incx, const void *beta, void *y, const int *incy)
{
    static gemv_f *real;

    if (!real)
        real = next("zgemv_");
    call(real, 2 * sizeof(double), trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
}
