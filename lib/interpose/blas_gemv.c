/*
 * A correction of OpenBLAS: programs call these cgemv and zgemv, which then call those of OpenBLAS. This file is linked
 * into programs, never into the library.
 *
 * These functions of OpenBLAS 0.3.21 read one entry of x after its last one (OpenBLAS issue 4013; AVX-512 kernels
 * without transposition). If x is the last row of a matrix, as in PxLABRD, this entry is one column further, where
 * no memory may be mapped. So these functions pass a copy of x with readable memory after it to OpenBLAS. The copy has
 * n entries, which is little next to the product's m n.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STACK_ENTRIES 512 /* a longer copy is in allocated memory */
#define ROOM 4            /* readable entries after the last one */

typedef void gemv_f(const char *trans, const int *m, const int *n, const void *alpha, const void *a, const int *lda,
                    const void *x, const int *incx, const void *beta, void *y, const int *incy);

gemv_f cgemv_, zgemv_;

/* Copy a vector, and add zeros after it. If the increment is negative, the first entry of a BLAS vector is the last
 * one in memory. */
static void
copy_vector(char *to, const char *x, int n, int incx, size_t entry)
{
    int64_t first = incx < 0 ? (int64_t)(1 - n) * incx : 0;

    for (int k = 0; k < n; k++)
        memcpy(to + (size_t)k * entry, x + (first + (int64_t)k * incx) * (int64_t)entry, entry);
    memset(to + (size_t)n * entry, 0, ROOM * entry);
}

static void
call_with_copy(gemv_f *real, size_t entry, const char *trans, const int *m, const int *n, const void *alpha,
               const void *a, const int *lda, const void *x, const int *incx, const void *beta, void *y,
               const int *incy)
{
    double stack[2 * (STACK_ENTRIES + ROOM)];
    const int one = 1;
    char *copy = NULL;

    if ((*trans == 'N' || *trans == 'n') && *n > 0 && *incx != 0) /* OpenBLAS checks the arguments */
        copy = *n <= STACK_ENTRIES ? (char *)stack : malloc(((size_t)*n + ROOM) * entry);
    if (!copy) {
        real(trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
        return;
    }
    copy_vector(copy, x, *n, *incx, entry);
    real(trans, m, n, alpha, a, lda, copy, &one, beta, y, incy);
    if (copy != (char *)stack)
        free(copy);
}

/* @return the function of this name in the first library after the program */
static gemv_f *
find_next(const char *name)
{
    gemv_f *found;
    void *symbol = dlsym(RTLD_NEXT, name);

    memcpy(&found, &symbol, sizeof(found));
    if (!found)
        abort(); /* cannot happen: a caller was linked with a BLAS */
    return found;
}

void
cgemv_(const char *trans, const int *m, const int *n, const void *alpha, const void *a, const int *lda, const void *x,
       const int *incx, const void *beta, void *y, const int *incy)
{
    static gemv_f *real;

    if (!real)
        real = find_next("cgemv_");
    call_with_copy(real, 2 * sizeof(float), trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
}

void
zgemv_(const char *trans, const int *m, const int *n, const void *alpha, const void *a, const int *lda, const void *x,
       const int *incx, const void *beta, void *y, const int *incy)
{
    static gemv_f *real;

    if (!real)
        real = find_next("zgemv_");
    call_with_copy(real, 2 * sizeof(double), trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
}
