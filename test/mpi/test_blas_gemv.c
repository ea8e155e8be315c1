/* procs: 1 */
/* The BLAS correction of cgemv and zgemv: it gives correct products, also of a vector that ends where memory ends. */
#include <complex.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096
#define ROWS 70
#define COLS_MAX 70

typedef void gemv_f(const char *trans, const int *m, const int *n, const void *alpha, const void *a, const int *lda,
                    const void *x, const int *incx, const void *beta, void *y, const int *incy);

gemv_f cgemv_, zgemv_;
void dgemv_(void);

/* Without this use the linker would leave BLAS out. */
static void (*volatile uses_blas)(void) = dgemv_;

static int failures;

/* Map `bytes` bytes directly before a page that cannot be read. */
static char *
map_before_guard_page(size_t bytes, char **mapping_p, size_t *mapped_p)
{
    size_t pages = (bytes + PAGE - 1) / PAGE * PAGE;
    char *mapping = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mapping == MAP_FAILED || mprotect(mapping + pages, PAGE, PROT_NONE) != 0)
        exit(EXIT_FAILURE);
    *mapping_p = mapping;
    *mapped_p = pages + PAGE;
    return mapping + pages - bytes;
}

static double _Complex get(const char *at, int k, bool wide)
{
    return wide ? ((const double _Complex *)(const void *)at)[k] : ((const float _Complex *)(const void *)at)[k];
}

static void
set(char *at, int k, bool wide, double _Complex x)
{
    if (wide)
        ((double _Complex *)(void *)at)[k] = x;
    else
        ((float _Complex *)(void *)at)[k] = (float _Complex)x;
}

/* y = A x, where x is the last row of A, forwards or backwards: the last entry of x is the last one of the memory. */
static void
product_with_the_last_row_is_correct(int n, bool wide, bool backwards)
{
    const int m = ROWS, lda = ROWS, one = 1, incx = backwards ? -lda : lda;
    size_t entry = wide ? sizeof(double _Complex) : sizeof(float _Complex), mapped;
    double _Complex unit = 1, none = 0;
    float _Complex unit_f = 1, none_f = 0;
    char *mapping, *a = map_before_guard_page((size_t)(m * n) * entry, &mapping, &mapped);
    double _Complex y[ROWS] = {0};

    for (int k = 0; k < m * n; k++)
        set(a, k, wide, k % 7 - 3 + (k % 5 - 2) * I);
    (wide ? zgemv_ : cgemv_)("N", &m, &n, wide ? (void *)&unit : &unit_f, a, &lda, a + (size_t)(m - 1) * entry, &incx,
                             wide ? (void *)&none : &none_f, y, &one);
    for (int i = 0; i < m; i++) {
        double _Complex sum = 0;

        for (int j = 0; j < n; j++)
            sum += get(a, i + j * lda, wide) * get(a, m - 1 + (backwards ? n - 1 - j : j) * lda, wide);
        if (cabs(sum - get((char *)y, i, wide)) > 1e-3) {
            fprintf(stderr, "%s: row %d of %d x %d is wrong\n", wide ? "zgemv" : "cgemv", i, m, n);
            failures++;
        }
    }
    munmap(mapping, mapped);
}

int
main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    if (!uses_blas)
        failures++;
    for (int n = 1; n <= COLS_MAX; n++) {
        for (int how = 0; how < 4; how++)
            product_with_the_last_row_is_correct(n, how & 1, how & 2);
    }
    product_with_the_last_row_is_correct(3000, true, false); /* a copy too large for the stack */
    product_with_the_last_row_is_correct(3000, false, true);
    MPI_Finalize();
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
