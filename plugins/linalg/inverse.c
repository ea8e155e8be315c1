/* Inverse and determinant by LU factorization. */
#include "lu.h"
#include "spectral.h"

#include <complex.h>
#include <math.h>

static const int one = 1;

static const char inv_doc[] =
    "Computes the inverse of a square matrix. To solve equations use solve, which is faster and more accurate.\n\n"
    "Method: LU factorization with partial pivoting, PxGETRF and PxGETRI.\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997), section 3.3.1.\n"
    "Memory: the result, and a workspace of a few columns of blocks.\n"
    "Errors: a pivot is exactly zero (NumericError, which is a LinAlgError: \"Singular matrix\"); NaN or infinite\n"
    "entries (NumericError, which names the first one); a is not square (InvalidError); not enough memory, or a "
    "matrix\n"
    "is beyond 32-bit indices (LimitError).\n\n"
    "a: n x n\n"
    "inverse: n x n, block-cyclic\n";

static const char det_doc[] =
    "Computes the determinant of a square matrix.\n\n"
    "Method: the product of the pivots of the LU factorization (PxGETRF). A determinant beyond the range of double\n"
    "precision becomes 0 or infinite: see slogdet.\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997), section 3.3.1.\n"
    "Memory: a copy of a, and 4 bytes for each row.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); a is not square (InvalidError); not\n"
    "enough memory, or a matrix is beyond 32-bit indices (LimitError).\n\n"
    "a: n x n\n"
    "determinant: a number, complex if a is complex; 1 for an empty matrix\n";

static const char slogdet_doc[] =
    "Computes the sign and the logarithm of the absolute value of the determinant: det = sign exp(logabsdet).\n\n"
    "Method: the pivots of the LU factorization (PxGETRF).\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997), section 3.3.1.\n"
    "Memory: a copy of a, and 4 bytes for each row.\n"
    "Errors: as det.\n\n"
    "a: n x n\n"
    "sign: 1 or -1; for a complex matrix a number of absolute value 1; 0 for a singular matrix\n"
    "logabsdet: a number; -inf for a singular matrix\n";

/* ---- inverse ---- */

/* Workspace query of PxGETRI. It reads only the descriptor, so the matrix need not exist. */
static void
query_workspace(linalg_t *la, int n, int64_t *work_p, int64_t *iwork_p)
{
    int desc[9], query = -1, wanted = 1, info, pivot = 1;
    double answer[2] = {0, 0};

    *work_p = *iwork_p = 1;
    linalg_descriptor(la, n, n, desc);
    if (!la->in_grid || n == 0)
        return;
    la->k->getri(&n, NULL, &one, &one, desc, &pivot, answer, &query, &wanted, &query, &info);
    *work_p = linalg_workspace_size(la, answer);
    *iwork_p = wanted;
}

static int
inv(linalg_t *la)
{
    int *iwork, code, info, n, lwork, liwork;
    int64_t size, words, iwords;
    linalg_lu_t lu;
    void *work;

    if ((code = linalg_lu_expect(la, &size, &lu)))
        return code;
    n = size > INT32_MAX ? 0 : (int)size;
    query_workspace(la, n, &words, &iwords);
    linalg_expect_bytes(la, words * (int64_t)la->k->entry_bytes + iwords * (int64_t)sizeof(int));
    if ((code = linalg_check_memory(la)) || (code = linalg_lu_factor(la, &lu, &info)))
        return code;
    if (info)
        return linalg_fail_singular(la, "a", info);
    if ((code = linalg_alloc(la, words * (int64_t)la->k->entry_bytes, &work)) ||
        (code = linalg_alloc(la, iwords * (int64_t)sizeof(int), &iwork)) ||
        (code = linalg_begin_stage(la, 0.4, "inverse from the factors")))
        return code;
    lwork = (int)words;
    liwork = (int)iwords;
    if (la->in_grid && n)
        la->k->getri(&n, lu.A.data, &one, &one, lu.A.desc, lu.pivots, work, &lwork, iwork, &liwork, &info);
    if ((code = linalg_check_info(la, "GETRI", &info)))
        return code;
    return info ? linalg_fail_singular(la, "a", info) : linalg_return_matrix(la, "inverse", &lu.A);
}

static int
run_inv(alch_call_t *call)
{
    return linalg_run(call, inv, "a", NULL);
}

/* ---- determinant ---- */

/* The number mantissa * 2^exponent: a determinant may be out of the range of double precision. */
typedef struct {
    double _Complex mantissa;
    int64_t exponent;
} product_t;

static void
multiply_scaled(product_t *product, double _Complex x)
{
    int exponent;
    double size;

    product->mantissa *= x;
    size = fmax(fabs(creal(product->mantissa)), fabs(cimag(product->mantissa)));
    if (size == 0)
        return;
    (void)frexp(size, &exponent);
    product->mantissa = CMPLX(ldexp(creal(product->mantissa), -exponent), ldexp(cimag(product->mantissa), -exponent));
    product->exponent += exponent;
}

static product_t
local_pivot_product(const linalg_t *la, const linalg_lu_t *lu)
{
    const alch_block_t *block = &lu->A.block;
    product_t product = {1, 0};

    for (int64_t j = 0; j < block->local_n; j++) {
        int64_t column = linalg_global_col(block, j), at = linalg_local_index(block, column, column);

        if (at >= 0)
            multiply_scaled(&product, linalg_get_entry(la->dtype, block->data, at));
    }
    /* Each interchange of two rows changes the sign. */
    for (int64_t i = 0; la->in_grid && la->mycol == 0 && i < block->local_m; i++)
        if (lu->pivots[i] != linalg_global_row(block, i) + 1)
            product.mantissa = -product.mantissa;
    return product;
}

static product_t
pivot_product(linalg_t *la, const linalg_lu_t *lu)
{
    product_t product = local_pivot_product(la, lu);
    int64_t exponent;

    MPI_Allreduce(&product.exponent, &exponent, 1, MPI_INT64_T, MPI_SUM, la->call->comm);
    /* The absolute value of each rank's mantissa is between 1/2 and sqrt(2), so the product of those of a thousand
     * ranks is in the range of double precision. */
    MPI_Allreduce(MPI_IN_PLACE, &product.mantissa, 1, MPI_C_DOUBLE_COMPLEX, MPI_PROD, la->call->comm);
    product.exponent = exponent;
    return product;
}

static int
compute_determinant(linalg_t *la, product_t *product_p)
{
    linalg_lu_t lu;
    int64_t n;
    int code, info;

    if ((code = linalg_lu_expect(la, &n, &lu)) || (code = linalg_check_memory(la)) ||
        (code = linalg_lu_factor(la, &lu, &info)))
        return code;
    *product_p = pivot_product(la, &lu);
    if (info)
        product_p->mantissa = 0;
    return ALCH_OK;
}

static int
det(linalg_t *la)
{
    product_t product;
    int code = compute_determinant(la, &product), exponent;

    if (code)
        return code;
    /* ldexp() takes an int. Beyond 2^4000 and 2^-4000 the result is infinite or zero whatever the mantissa is. */
    exponent = product.exponent > 4000 ? 4000 : product.exponent < -4000 ? -4000 : (int)product.exponent;
    return linalg_return_scalar(
        la, "determinant", CMPLX(ldexp(creal(product.mantissa), exponent), ldexp(cimag(product.mantissa), exponent)));
}

static int
slogdet(linalg_t *la)
{
    product_t product;
    int code = compute_determinant(la, &product);
    double size;

    if (code)
        return code;
    size = cabs(product.mantissa);
    code = linalg_return_scalar(la, "sign", size == 0 ? 0 : product.mantissa / size);
    return code ? code
                : la->host->ret_real(la->call, "logabsdet",
                                     size == 0 ? -INFINITY : log(size) + (double)product.exponent * M_LN2);
}

static int
run_det(alch_call_t *call)
{
    return linalg_run(call, det, "a", NULL);
}

static int
run_slogdet(alch_call_t *call)
{
    return linalg_run(call, slogdet, "a", NULL);
}

static const alch_operation_t operations[] = {
    {"inv", "The inverse of a matrix.", "a:matrix -> inverse:matrix", inv_doc, 0, run_inv},
    {"det", "The determinant of a matrix.", "a:matrix -> determinant:complex128", det_doc, 0, run_det},
    {"slogdet", "The sign and the logarithm of the determinant of a matrix.",
     "a:matrix -> sign:complex128, logabsdet:float64", slogdet_doc, 0, run_slogdet},
};

LINALG_OPERATIONS(linalg_inverse_operations, operations);
