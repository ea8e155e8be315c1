/* The operation cond: condition numbers. */
#include "norms.h"
#include "spectral.h"

#include <inttypes.h>
#include <math.h>

static const int one = 1;

static const char cond_doc[] =
    "Computes the condition number |x| |inverse of x|, as numpy.linalg.cond.\n\n"
    "Method: 2, -2, \"fro\" and \"nuc\" from the singular values (see svdvals); 2 and -2 do not need a square matrix. "
    "1, "
    "-1, inf and -inf: the inverse by LU factorization (PxGETRF, PxGETRS).\n"
    "Source: the definition.\n"
    "Memory: that of svdvals; for 1, -1, inf and -inf a copy of x and the inverse.\n"
    "The condition number of a singular matrix is inf (for -2 it is 0, unless x is zero). Unlike NumPy, cond refuses "
    "NaN "
    "and Inf.\n"
    "Errors: an unknown p, an empty matrix, or a matrix that is not square where p needs that (InvalidError); NaN or "
    "infinite entries (NumericError, which names the first one); not enough memory, or a matrix is beyond 32-bit "
    "indices "
    "(LimitError).\n"
    "Cancel: between the stages.\n\n"
    "x: m x n, not empty\n"
    "p: the norm: 2, -2, 1, -1, inf, -inf, \"fro\" or \"nuc\"\n"
    "c: the condition number\n";

/* a / b, with infinity also for 0 / 0, as in NumPy. */
static double
divide_or_inf(double a, double b)
{
    return b > 0 ? a / b : INFINITY;
}

static int
cond_from_singular_values(linalg_t *la, linalg_norm_t kind, bool smallest, double *c_p)
{
    double *s, sum = 0, inverses = 0;
    int64_t count;
    int code = linalg_singular_values(la, "x", &s, &count);

    if (code)
        return code;
    if (kind == LINALG_NORM_SPECTRAL) {
        *c_p = smallest ? divide_or_inf(s[count - 1], s[0]) : divide_or_inf(s[0], s[count - 1]);
        return ALCH_OK;
    }
    /* The values are divided by the largest one, so that their squares do not overflow. */
    for (int64_t i = 0; i < count; i++) {
        double part = s[0] > 0 ? s[i] / s[0] : 0;

        sum += kind == LINALG_NORM_NUCLEAR ? part : part * part;
        inverses +=
            kind == LINALG_NORM_NUCLEAR ? divide_or_inf(1, part) : divide_or_inf(1, part) * divide_or_inf(1, part);
    }
    *c_p = sum == 0 ? INFINITY : kind == LINALG_NORM_NUCLEAR ? sum * inverses : sqrt(sum) * sqrt(inverses);
    return ALCH_OK;
}

/* X := inverse of A. A is overwritten. @param[out] info_p  > 0: A is singular, and X is not set */
static int
invert_matrix(linalg_t *la, linalg_matrix_t *A, linalg_matrix_t *X, int *info_p)
{
    int *pivots, code;

    if ((code = linalg_alloc(la, linalg_pivot_bytes(la, A->m), &pivots)) || (code = linalg_create(la, A->m, A->n, X)) ||
        (code = linalg_getrf(la, A, pivots, info_p)) || *info_p > 0)
        return code;
    linalg_set_unit_diagonal(la, X, 0);
    if (la->in_grid)
        la->k->getrs("N", &A->n, &X->n, A->data, &one, &one, A->desc, pivots, X->data, &one, &one, X->desc, info_p);
    return linalg_check_info(la, "GETRS", info_p);
}

static int
cond_from_inverse(linalg_t *la, const alch_block_t *x, bool rows, bool smallest, double *c_p)
{
    linalg_matrix_t A, X;
    double norm, inverse;
    int code, info = 0;

    linalg_expect_operand(la, "x", LINALG_COPY);
    linalg_expect_matrix(la, x->m, x->n);
    linalg_expect_bytes(la, linalg_pivot_bytes(la, x->m) + 2 * LINALG_SUM_CHUNK * (int64_t)sizeof(double));
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, 0, "copy")) ||
        (code = linalg_get_operand(la, "x", LINALG_COPY | LINALG_FINITE, &A)) ||
        (code = linalg_extreme_abs_sum(la, &A.block, rows, smallest, &norm)) ||
        (code = linalg_begin_stage(la, 0.1, "LU factorization and inverse")) ||
        (code = invert_matrix(la, &A, &X, &info)))
        return code;
    *c_p = INFINITY;
    if (info > 0)
        return ALCH_OK;
    code = linalg_extreme_abs_sum(la, &X.block, rows, smallest, &inverse);
    *c_p = isnan(norm * inverse) ? INFINITY : norm * inverse;
    return code;
}

static int
cond(linalg_t *la)
{
    const char *p = la->host->arg_string(la->call, "p");
    bool smallest;
    linalg_norm_t kind = linalg_norm_parse(p, &smallest);
    double c = 0;
    alch_block_t x;
    int code;

    linalg_operand_block(la, "x", &x);
    if (kind == LINALG_NORM_UNKNOWN || kind == LINALG_NORM_MAX)
        return linalg_fail(la, ALCH_EINVAL, "p is '%s', but must be 2, -2, 1, -1, inf, -inf, fro or nuc", p);
    if (x.m == 0 || x.n == 0)
        return linalg_fail(la, ALCH_EINVAL, "x is %" PRId64 " x %" PRId64 ": an empty matrix has no condition number",
                           x.m, x.n);
    if (kind != LINALG_NORM_SPECTRAL && x.m != x.n)
        return linalg_fail(la, ALCH_EINVAL, "x is %" PRId64 " x %" PRId64 ", but p = '%s' needs a square matrix", x.m,
                           x.n, p);
    if (kind == LINALG_NORM_COLUMNS || kind == LINALG_NORM_ROWS)
        code = cond_from_inverse(la, &x, kind == LINALG_NORM_ROWS, smallest, &c);
    else
        code = cond_from_singular_values(la, kind, smallest, &c);
    return code ? code : la->host->ret_real(la->call, "c", c);
}

static int
run_cond(alch_call_t *call)
{
    return linalg_run(call, cond, "x", NULL);
}

static const alch_operation_t operations[] = {
    {"cond", "The condition number of a matrix.", "x:matrix, p:string=\"2\" -> c:float64", cond_doc, 0, run_cond},
};

LINALG_OPERATIONS(linalg_cond_operations, operations);
