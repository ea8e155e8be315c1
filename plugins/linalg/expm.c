/* The operation expm: the matrix exponential by scaling and squaring. */
#include "linalg.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define POWERS_MAX 4

static const int one = 1;

static const char expm_doc[] =
    "Computes the matrix exponential, I + a + a^2 / 2 + a^3 / 6 + ...\n\n"
    "Method: scaling and squaring with Pade approximants of degree 3, 5, 7, 9 or 13 (PxGEMM, PxGETRF, PxGETRS).\n"
    "Source: Higham, The scaling and squaring method for the matrix exponential revisited, SIAM\n"
    "J. Matrix Anal. Appl. 26 (2005), algorithm 2.3. SciPy uses the method of 2009. This one may scale more than "
    "needed\n"
    "where the norm of a is large only off the diagonal.\n"
    "Memory: five to eight matrices of the size of a, depending on the degree; seven if a is scaled.\n"
    "Accuracy: the backward error of the approximant is a rounding error; squaring may lose digits if a is far from\n"
    "normal.\n"
    "Cancel: after each product, which also reports the progress.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); a is not square (InvalidError); not\n"
    "enough memory, or a matrix is beyond 32-bit indices (LimitError).\n"
    "Warnings: the result has infinite or NaN entries; or the norm of a is beyond 1/eps, and rounding may have "
    "destroyed\n"
    "every digit.\n\n"
    "a: n x n\n"
    "exponential: n x n, block-cyclic\n";

/* Coefficients c[0] to c[m] of the Pade approximants of degree m. Up to the norm theta (theta_single for float32 and
 * complex64) the approximant is accurate to the precision of the type. */
static const struct {
    int degree;
    double theta, theta_single;
    double c[14];
} pade[] = {
    {3, 1.495585217958292e-2, 4.258730016922831e-1, {120, 60, 12, 1}},
    {5, 2.539398330063230e-1, 1.880152677804762, {30240, 15120, 3360, 420, 30, 1}},
    {7, 9.504178996162932e-1, 3.925724783138660, {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1}},
    {9, 2.097847961257068, 0, {17643225600, 8821612800, 2075673600, 302702400, 30270240, 2162160, 110880, 3960, 90, 1}},
    {13,
     5.371920351148152,
     0,
     {64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
      670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1}},
};

typedef struct {
    linalg_t *la;
    linalg_matrix_t A;
    linalg_matrix_t power[POWERS_MAX]; /* A^2, A^4, A^6, A^8 */
    linalg_matrix_t U, V, W;
    int powers;
    int *pivots;
    int products, expected;
} expm_t;

/* C := X Y */
static int
multiply(expm_t *e, const linalg_matrix_t *X, const linalg_matrix_t *Y, linalg_matrix_t *C)
{
    const linalg_kernels_t *k = e->la->k;

    if (e->la->in_grid && C->n)
        k->gemm("N", "N", &C->n, &C->n, &C->n, k->one, X->data, &one, &one, X->desc, Y->data, &one, &one, Y->desc,
                k->zero, C->data, &one, &one, C->desc);
    return linalg_begin_stage(e->la, (double)++e->products / e->expected, "matrix exponential");
}

/* C := sum of c[2 (i + shift) + odd] A^(2 i) for i from `first` to `last`; A^0 is the identity matrix. */
static void
combine_powers(expm_t *e, const double *c, int odd, int first, int last, int shift, linalg_matrix_t *C)
{
    const alch_block_t *block = &C->block;

    linalg_scale_piece(0, C);
    for (int i = first > 1 ? first : 1; i <= last; i++)
        linalg_add_piece(c[2 * (i + shift) + odd], &e->power[i - 1], 1, C);
    for (int64_t j = 0; first == 0 && j < block->local_n; j++) {
        int64_t column = linalg_global_col(block, j), at = linalg_local_index(block, column, column);

        if (at >= 0)
            linalg_set_entry(e->la->dtype, C->data, at, linalg_get_entry(e->la->dtype, C->data, at) + c[odd]);
    }
}

/* Compute U and V, the odd and the even part of the approximant (V - U)^-1 (V + U). */
static int
form_odd_and_even_part(expm_t *e, int degree, const double *c)
{
    int code;

    if (degree < 13) {
        combine_powers(e, c, 1, 0, e->powers, 0, &e->W);
        combine_powers(e, c, 0, 0, e->powers, 0, &e->V);
        return multiply(e, &e->A, &e->W, &e->U);
    }
    /* The terms with higher coefficients have the common factor A^6, which saves products. */
    combine_powers(e, c, 1, 1, 3, 3, &e->V);
    if ((code = multiply(e, &e->power[2], &e->V, &e->W)))
        return code;
    combine_powers(e, c, 1, 0, 3, 0, &e->V);
    linalg_add_piece(1, &e->V, 1, &e->W);
    if ((code = multiply(e, &e->A, &e->W, &e->U)))
        return code;
    combine_powers(e, c, 0, 1, 3, 3, &e->W);
    if ((code = multiply(e, &e->power[2], &e->W, &e->V)))
        return code;
    combine_powers(e, c, 0, 0, 3, 0, &e->W);
    linalg_add_piece(1, &e->W, 1, &e->V);
    return ALCH_OK;
}

/* U := (V - U)^-1 (V + U) */
static int
solve_approximant(expm_t *e)
{
    const linalg_kernels_t *k = e->la->k;
    int code, info;

    linalg_copy_piece('A', &e->V, &e->W);
    linalg_add_piece(-1, &e->U, 1, &e->W);
    linalg_add_piece(1, &e->V, 1, &e->U);
    if ((code = linalg_getrf(e->la, &e->W, e->pivots, &info)))
        return code;
    if (info)
        return linalg_fail_singular(e->la, "the approximant's denominator", info);
    if (e->la->in_grid && e->U.n)
        k->getrs("N", &e->U.n, &e->U.n, e->W.data, &one, &one, e->W.desc, e->pivots, e->U.data, &one, &one, e->U.desc,
                 &info);
    return linalg_check_info(e->la, "GETRS", &info);
}

/* Choose the degree and the number of squarings for a norm. @return the row of pade[] */
static int
choose_degree(const linalg_t *la, double norm, int *squarings_p)
{
    bool single = la->k->real_bytes == 4;
    int last = single ? 2 : 4;
    double theta_max = single ? pade[last].theta_single : pade[last].theta;

    *squarings_p = 0;
    for (int k = 0; k < last; k++)
        if (norm <= (single ? pade[k].theta_single : pade[k].theta))
            return k;
    /* The norm may be infinite although all entries are finite. */
    if (norm > theta_max)
        *squarings_p = (int)ceil(log2(fmin(norm, DBL_MAX) / theta_max));
    return last;
}

static int
allocate_matrices(expm_t *e, int64_t n)
{
    int code;

    for (int k = 0; k < e->powers; k++)
        if ((code = linalg_create(e->la, n, n, &e->power[k])))
            return code;
    if ((code = linalg_create(e->la, n, n, &e->U)) || (code = linalg_create(e->la, n, n, &e->V)) ||
        (code = linalg_create(e->la, n, n, &e->W)))
        return code;
    return linalg_alloc(e->la, linalg_pivot_bytes(e->la, n), &e->pivots);
}

static int
square_repeatedly(expm_t *e, int squarings)
{
    linalg_matrix_t *from = &e->U, *to = &e->V;
    int code = ALCH_OK;

    for (int k = 0; k < squarings && !code; k++) {
        linalg_matrix_t *kept = from;

        code = multiply(e, from, from, to);
        from = to;
        to = kept;
    }
    if (code)
        return code;
    if (linalg_agree_all_finite(e->la, "a", from, linalg_copy_piece('A', from, NULL)))
        linalg_warn(e->la, "overflow: the exponential has entries that are infinite or NaN");
    return linalg_return_matrix(e->la, "exponential", from);
}

/* Choose the degree and the scaling from the norm, and announce the memory that follows from them. @return the row of
 * pade[] */
static int
choose_and_expect(expm_t *e, int64_t n, double norm, int *squarings_p)
{
    int k = choose_degree(e->la, norm, squarings_p), degree = pade[k].degree;

    e->powers = degree == 13 ? 3 : degree / 2;
    e->expected = e->powers + (degree == 13 ? 3 : 1) + *squarings_p;
    linalg_expect_operand(e->la, "a", LINALG_COPY);
    for (int i = 0; i < e->powers + 3; i++)
        linalg_expect_matrix(e->la, n, n);
    linalg_expect_bytes(e->la, linalg_pivot_bytes(e->la, n));
    return k;
}

static int
expm(linalg_t *la)
{
    expm_t e = {.la = la};
    linalg_matrix_t given = {.matrix = NULL};
    int code, k, squarings;
    double norm;
    int64_t n;

    linalg_operand_block(la, "a", &given.block);
    if ((code = linalg_check_square(la, "a", &n)) || (code = linalg_norm1(la, &given, &norm)))
        return code;
    k = choose_and_expect(&e, n, norm, &squarings);
    if ((code = linalg_check_memory(la)) || (code = linalg_get_operand(la, "a", LINALG_COPY | LINALG_FINITE, &e.A)) ||
        (code = allocate_matrices(&e, n)))
        return code;
    if (norm * la->k->eps >= 1)
        linalg_warn(la, "the norm of a, %.3g, is beyond 1/eps: the exponential may have no correct digit", norm);
    linalg_scale_piece(ldexp(1, -squarings), &e.A);
    for (int i = 0; i < e.powers; i++)
        if ((code = multiply(&e, i ? &e.power[i - 1] : &e.A, i ? &e.power[0] : &e.A, &e.power[i])))
            return code;
    if ((code = form_odd_and_even_part(&e, pade[k].degree, pade[k].c)) || (code = solve_approximant(&e)))
        return code;
    return square_repeatedly(&e, squarings);
}

static int
run_expm(alch_call_t *call)
{
    return linalg_run(call, expm, "a", NULL);
}

static const alch_operation_t operations[] = {
    {"expm", "The matrix exponential.", "a:matrix -> exponential:matrix", expm_doc, 0, run_expm},
};

LINALG_OPERATIONS(linalg_expm_operations, operations);
