/* The operation rsvd: randomized singular value decomposition. */
#include "operator.h"
#include "spectral.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Random vectors with which the error is estimated. The bound holds with probability 1 - 10^-PROBES. */
#define PROBES 10
/* Keeps the number of products, 2 power_iterations + 3, far from overflow. */
#define POWERS_MAX 1000000

static const char rsvd_doc[] =
    "Computes approximations of the k largest singular values and their vectors by random projection: a is multiplied "
    "with 2 + 2 power_iterations blocks of k + oversamples vectors. For accurate values use svd(k=).\n\n"
    "Method: range finder with power iterations, each of which is orthonormalized by TSQR (Halko, Martinsson, Tropp "
    "2011, "
    "algorithms "
    "4.4 and 5.1), then the decomposition of the projected matrix.\n"
    "Error: |a - U diag(s) Vh| in the 2-norm is at most `error`. The part of a that the basis misses is bounded by the "
    "smaller of two numbers: its Frobenius norm, from sums of squares, which cannot resolve less than sqrt(eps) of "
    "|a|; "
    "and a bound from 10 random vectors, which holds with probability 1 - 1e-10 (ibid., equation 4.3). The first value "
    "after the k returned ones is added. The bound may be 10 times too large.\n"
    "Memory: 2 (k + oversamples) vectors of m and of n entries over all workers.\n"
    "Errors: k, oversamples or power_iterations is out of range (RangeError); NaN or infinite entries (NumericError, "
    "which names the first one); not enough memory (LimitError).\n"
    "Cancel: after each product.\n\n"
    "a: m x n\n"
    "k: how many values\n"
    "oversamples: random vectors in addition to k; fewer if k + oversamples exceeds min(m, n)\n"
    "power_iterations: more of them make values that decrease slowly more accurate\n"
    "seed: of the random vectors; the same seed gives the same vectors in every layout\n"
    "U: m x k, orthonormal columns\n"
    "s: the values, in descending order\n"
    "Vh: k x n, orthonormal rows\n"
    "error: bound of |a - U diag(s) Vh|\n";

typedef struct {
    linalg_t *la;
    linalg_operator_t op;
    int64_t k, l, powers, seed;
    void *left, *right, *probe; /* slices of l, l and PROBES vectors */
    void *R, *W, *Zh, *adjoint; /* l x l */
    double *s;
    double error;
} rsvd_t;

static int
allocate_memory(rsvd_t *r)
{
    linalg_t *la = r->la;
    int64_t entry = (int64_t)la->k->entry_bytes, square = r->l * r->l * entry;
    char *memory;
    int code;

    if ((code = linalg_alloc(la, r->op.left.rows * r->l * entry, &r->left)) ||
        (code = linalg_alloc(la, r->op.right.rows * r->l * entry, &r->right)) ||
        (code = linalg_alloc(la, r->op.left.rows * PROBES * entry, &r->probe)) ||
        (code = linalg_alloc(la, 4 * square, &memory)) || (code = linalg_alloc(la, 8 * r->l, &r->s)))
        return code;
    r->R = memory;
    r->W = memory + square;
    r->Zh = memory + 2 * square;
    r->adjoint = memory + 3 * square;
    return ALCH_OK;
}

static int
report_product(rsvd_t *r, int64_t step)
{
    int64_t steps = 2 * r->powers + 3;
    linalg_t *la = r->la;

    la->host->progress(la->call, (double)step / (double)steps, "product %" PRId64 " of %" PRId64, step, steps);
    if (la->host->cancelled(la->call))
        return linalg_fail(la, ALCH_ECANCELED, "the task was canceled after product %" PRId64 " of %" PRId64, step,
                           steps);
    return ALCH_OK;
}

/* Compute an orthonormal basis Q of the approximate range of A in `left`, and the QR factorization of A^H Q in `right`
 * and R. */
static int
find_range(rsvd_t *r)
{
    linalg_operator_t *op = &r->op;
    int64_t step = 0;
    int code = ALCH_OK;

    linalg_random_vectors(op, &op->right, r->l, 1 + (uint64_t)r->seed * 2, r->right);
    for (int64_t q = 0; q <= r->powers && !code; q++) {
        linalg_operator_apply(op, r->right, r->l, r->left);
        if ((code = report_product(r, ++step)) ||
            (code = linalg_orthonormalize(op, &op->left, NULL, 0, r->left, r->l, 0, NULL, NULL, r->l)))
            return code;
        linalg_operator_apply_adjoint(op, r->left, r->l, r->right);
        if ((code = report_product(r, ++step)))
            return code;
        code = linalg_orthonormalize(op, &op->right, NULL, 0, r->right, r->l, 0, NULL, r->R, r->l);
    }
    return code;
}

/* Set `error` to a bound of |(1 - Q Q^H) A|: 10 sqrt(2 / pi) times the largest |(1 - Q Q^H) A w| of random vectors w
 * (Halko, Martinsson, Tropp 2011, equation 4.3). */
static int
estimate_error(rsvd_t *r)
{
    linalg_operator_t *op = &r->op;
    const linalg_kernels_t *k = r->la->k;
    int64_t count = r->l < PROBES ? r->l : PROBES, rows = op->left.rows > 1 ? op->left.rows : 1;
    double worst = 0, norms[PROBES] = {0};
    void *probes;
    int code = linalg_alloc(r->la, op->right.rows * count * (int64_t)k->entry_bytes, &probes);

    if (code)
        return code;
    linalg_random_vectors(op, &op->right, count, 2 + (uint64_t)r->seed * 2, probes);
    linalg_operator_apply(op, probes, count, r->probe);
    linalg_inner_products(op, &op->left, r->left, r->l, r->probe, count, r->W, r->l);
    linalg_local_gemm(k, false, false, op->left.rows, count, r->l, -1, r->left, rows, r->W, r->l, 1, r->probe, rows);
    for (int64_t j = 0; j < count; j++)
        for (int64_t i = 0; i < op->left.rows; i++) {
            double _Complex x = linalg_get_entry(k->dtype, r->probe, i + j * op->left.rows);

            norms[j] += __real__ x * __real__ x + __imag__ x * __imag__ x;
        }
    MPI_Allreduce(MPI_IN_PLACE, norms, PROBES, MPI_DOUBLE, MPI_SUM, r->la->call->comm);
    for (int64_t j = 0; j < count; j++)
        worst = fmax(worst, sqrt(norms[j]));
    r->error = worst * 10 * sqrt(2 / M_PI);
    return report_product(r, 2 * r->powers + 3);
}

/* Bound the error of the result. The part of A that Q misses is orthogonal to the part that Q holds, so the squares of
 * their Frobenius norms add up to that of A. The difference of the two known sums is only as accurate as the rounding
 * of the larger one, which the bound includes. The first value after the k returned ones adds to the error as well. */
static int
bound_error(rsvd_t *r)
{
    double total, held = 0, missed;
    int code = linalg_operator_sum_of_squares(&r->op, &total);

    if (code)
        return code;
    for (int64_t i = 0; i < r->l; i++)
        held += r->s[i] * r->s[i];
    missed = fmax(total - held, 0) + 32 * (double)r->l * r->la->k->eps * total;
    r->error = hypot(fmin(r->error, sqrt(missed)), r->k < r->l ? r->s[r->k] : 0);
    return ALCH_OK;
}

/* With P in `right`, A is approximately Q R^H P^H. Decompose R^H = W diag(s) Zh and multiply W into Q and Zh into P. */
static int
decompose_projection(rsvd_t *r)
{
    const linalg_kernels_t *k = r->la->k;
    int numbers = (int)(r->l * r->l) * linalg_reals_per_entry(k), code = ALCH_OK;

    for (int64_t j = 0; j < r->l; j++)
        for (int64_t i = 0; i < r->l; i++)
            linalg_set_entry(k->dtype, r->adjoint, j + i * r->l,
                             __builtin_conj(linalg_get_entry(k->dtype, r->R, i + j * r->l)));
    if (r->la->call->rank == 0 && (code = linalg_local_svd(k, r->l, r->adjoint, r->l, r->s, r->W, r->Zh)))
        linalg_fail(r->la, code, "the SVD of the projected matrix failed");
    if ((code = linalg_agree(r->la, code)))
        return code;
    MPI_Bcast(r->s, (int)r->l, MPI_DOUBLE, 0, r->la->call->comm);
    MPI_Bcast(r->W, numbers, linalg_mpi_type(k), 0, r->la->call->comm);
    MPI_Bcast(r->Zh, numbers, linalg_mpi_type(k), 0, r->la->call->comm);
    linalg_rotate_vectors(&r->op, &r->op.left, r->left, r->l, r->k, r->W, r->l, false);
    linalg_rotate_vectors(&r->op, &r->op.right, r->right, r->l, r->k, r->Zh, r->l, true);
    if ((code = bound_error(r)))
        return code;
    for (int64_t i = 0; i < r->l; i++)
        r->s[i] /= r->op.scale;
    r->error /= r->op.scale;
    return ALCH_OK;
}

static int
return_results(rsvd_t *r)
{
    int code = linalg_return_left_vectors(&r->op, "U", r->left, r->k);

    if (!code)
        code = linalg_return_reals(r->la, "s", r->s, r->k);
    if (!code)
        code = linalg_return_right_vectors(&r->op, "Vh", r->right, r->k);
    return code ? code : r->la->host->ret_real(r->la->call, "error", r->error);
}

static void
expect_memory(linalg_t *la, const alch_block_t *a, const rsvd_t *r)
{
    int64_t left = linalg_numroc(a->m, la->layout.mb, 0, la->nprow) / la->npcol + 1;
    int64_t right = linalg_numroc(a->n, la->layout.nb, 0, la->npcol) / la->nprow + 1;

    linalg_expect_operand(la, "a", 0);
    linalg_operator_expect(la, a->m, a->n, r->l, r->l);
    linalg_expect_bytes(la, (int64_t)la->k->entry_bytes * ((left + right) * (r->l + PROBES) + 4 * r->l * r->l));
    linalg_expect_bytes(la, linalg_local_svd_bytes(la->k, r->l) + 8 * r->l);
    linalg_expect_matrix(la, a->m, r->k);
    linalg_expect_matrix(la, r->k, a->n);
    linalg_expect_bytes(la, 2 * (linalg_matrix_bytes(la, a->m, r->k, la->k->entry_bytes) +
                                 linalg_matrix_bytes(la, r->k, a->n, la->k->entry_bytes)));
}

static int
check_arguments(linalg_t *la, const alch_block_t *a, rsvd_t *r)
{
    int64_t minmn = a->m < a->n ? a->m : a->n, oversamples = la->host->arg_int(la->call, "oversamples");

    *r = (rsvd_t){.la = la,
                  .k = la->host->arg_int(la->call, "k"),
                  .powers = la->host->arg_int(la->call, "power_iterations"),
                  .seed = la->host->arg_int(la->call, "seed")};
    if (r->k < 1 || r->k > minmn)
        return linalg_fail(la, ALCH_ERANGE,
                           "k is %" PRId64 ", but must be 1 to %" PRId64 " for a matrix of %" PRId64 " x %" PRId64,
                           r->k, minmn, a->m, a->n);
    if (oversamples < 0)
        return linalg_fail(la, ALCH_ERANGE, "oversamples is %" PRId64 ", but must not be negative", oversamples);
    if (r->powers < 0 || r->powers > POWERS_MAX)
        return linalg_fail(la, ALCH_ERANGE, "power_iterations is %" PRId64 ", but must be 0 to %d", r->powers,
                           POWERS_MAX);
    r->l = oversamples > minmn - r->k ? minmn : r->k + oversamples;
    return ALCH_OK;
}

static int
rsvd(linalg_t *la)
{
    linalg_matrix_t A;
    alch_block_t a;
    rsvd_t r;
    int code;

    linalg_operand_block(la, "a", &a);
    if ((code = check_arguments(la, &a, &r)))
        return code;
    expect_memory(la, &a, &r);
    if ((code = linalg_check_memory(la)) || (code = linalg_get_operand(la, "a", 0, &A)))
        return code;
    code = linalg_operator_open(&r.op, la, "a", &A, r.l, r.l);
    if (!code && !(code = allocate_memory(&r)) && !(code = find_range(&r)) && !(code = estimate_error(&r)) &&
        !(code = decompose_projection(&r)))
        code = return_results(&r);
    linalg_operator_close(&r.op);
    return code;
}

static int
run_rsvd(alch_call_t *call)
{
    return linalg_run(call, rsvd, "a", NULL);
}

static const alch_operation_t operations[] = {
    {"rsvd", "The largest singular values and their vectors, by random projection.",
     "a:matrix, k:int64, oversamples:int64=10, power_iterations:int64=2, seed:int64=0 -> U:matrix, s:vector, "
     "Vh:matrix, "
     "error:float64",
     rsvd_doc, 0, run_rsvd},
};

LINALG_OPERATIONS(linalg_rsvd_operations, operations);
