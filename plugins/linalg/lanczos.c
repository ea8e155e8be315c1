/* Thick-restarted block Golub-Kahan bidiagonalization. U and V are orthonormal, with `dim` vectors each; N is a block
 * of `width` vectors. At all times
 *
 *     A V = U B    and    A^H U = V B^H + N S E^H
 *
 * hold, where E is the last `width` columns of the identity matrix. The decomposition of B gives Ritz triplets (s, u,
 * v): for B y = s x, u = U x and v = V y satisfy A v = s u and have the residual |A^H u - s v| = |S x_last|. */
#include "lanczos.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A Krylov space may miss copies of a value that has more copies than a block has vectors. After convergence this
 * number of steps is therefore made from a random block that is orthogonal to all vectors found. If the values grow,
 * some copies had been missed. */
#define PROBE_STEPS 2
/* Bounds the number of such searches. */
#define PROBES_MAX 8
/* A step with more vectors in a block costs little more, because A is read from memory once for all of them, but in
 * total more vectors are needed. The bounds were chosen by measurements on Fashion-MNIST. */
#define WIDTH_MIN 4
#define WIDTH_MAX 10
/* Blocks in the basis in addition to the k wanted vectors. */
#define BLOCKS 16

typedef struct {
    linalg_operator_t *op;
    linalg_t *la;
    const linalg_kernels_t *k;
    linalg_lanczos_t *out;
    int64_t width, depth, dim;
    void *U, *V;           /* slices of depth, and of depth + width vectors; the block N follows the dim vectors of V */
    void *B, *S;           /* leading dimensions depth and width */
    void *copy, *X, *Yh;   /* leading dimension depth: the decomposition of B, on rank 0 until restart_basis() */
    double *s, *residuals; /* of B's decomposition */
    double *before;        /* the values s before the search for missed ones */
    double norm;           /* norm estimate: a lower bound of |A| */
    double residual, tol;  /* the largest wanted residual, and its limit, relative to s[0] */
    int64_t check_at;      /* B is decomposed when dim reaches this number */
} gk_t;

int
linalg_lanczos_read_options(linalg_t *la, const char *count, bool given, linalg_lanczos_t *lanczos)
{
    double tol = lanczos->tol = la->host->arg_real(la->call, "tol");
    int64_t limit = lanczos->limit = la->host->arg_int(la->call, "maxiter");

    if (!(tol >= 0 && tol < 1))
        return linalg_fail(la, ALCH_ERANGE, "tol is %g, but must be at least 0 and below 1", tol);
    if (limit < 0)
        return linalg_fail(la, ALCH_ERANGE, "maxiter is %" PRId64 ", but must not be negative", limit);
    if (!given && (tol > 0 || limit > 0))
        return linalg_fail(la, ALCH_EINVAL, "%s was given without %s, to which it belongs", tol > 0 ? "tol" : "maxiter",
                           count);
    return ALCH_OK;
}

bool
linalg_lanczos_choose_sizes(int64_t m, int64_t n, int64_t k, int64_t *width_p, int64_t *depth_p)
{
    int64_t minmn = m < n ? m : n, width = k < WIDTH_MIN ? WIDTH_MIN : k > WIDTH_MAX ? WIDTH_MAX : k;
    int64_t depth = k + BLOCKS * width > 3 * k ? k + BLOCKS * width : 3 * k;

    depth = depth + 2 * width > minmn ? minmn - 2 * width : depth;
    *width_p = width;
    *depth_p = depth;
    return depth >= k + 6 * width && depth >= 2 * k;
}

void
linalg_lanczos_expect(linalg_t *la, int64_t m, int64_t n, int64_t k)
{
    int64_t width, depth, left, right;

    linalg_lanczos_choose_sizes(m, n, k, &width, &depth);
    /* The ranks of a grid row share its rows in equal slices, those of a grid column its columns. */
    left = linalg_numroc(m, la->layout.mb, 0, la->nprow) / la->npcol + 1;
    right = linalg_numroc(n, la->layout.nb, 0, la->npcol) / la->nprow + 1;
    linalg_operator_expect(la, m, n, width, depth);
    linalg_expect_bytes(la, (int64_t)la->k->entry_bytes * (left * depth + right * (depth + width) + 4 * depth * depth));
    linalg_expect_bytes(la, linalg_local_svd_bytes(la->k, depth) + 24 * depth);
    linalg_expect_matrix(la, m, k);
    linalg_expect_matrix(la, k, n);
    /* Send and receive buffers while the vectors become matrices. */
    linalg_expect_bytes(la, 2 * (linalg_matrix_bytes(la, m, k, la->k->entry_bytes) +
                                 linalg_matrix_bytes(la, k, n, la->k->entry_bytes)));
}

static int
init_basis(gk_t *gk, linalg_operator_t *op, linalg_lanczos_t *out)
{
    linalg_t *la = op->la;
    int64_t entry = (int64_t)la->k->entry_bytes, square;
    char *memory;
    int code;

    *gk = (gk_t){.op = op, .la = la, .k = la->k, .out = out, .width = op->width, .depth = op->depth};
    gk->residual = 1;
    gk->tol = out->tol > 16 * la->k->eps ? out->tol : 16 * la->k->eps;
    gk->check_at = 2 * out->k + 2 * gk->width < gk->depth ? 2 * out->k + 2 * gk->width : gk->depth;
    square = gk->depth * gk->depth * entry;
    if ((code = linalg_alloc(la, op->left.rows * gk->depth * entry, &gk->U)) ||
        (code = linalg_alloc(la, op->right.rows * (gk->depth + gk->width) * entry, &gk->V)) ||
        (code = linalg_alloc(la, 4 * square + gk->width * gk->width * entry, &memory)) ||
        (code = linalg_alloc(la, 3 * gk->depth * (int64_t)sizeof(double), &gk->s)))
        return code;
    gk->B = memory;
    gk->copy = memory + square;
    gk->X = memory + 2 * square;
    gk->Yh = memory + 3 * square;
    gk->S = memory + 4 * square;
    gk->residuals = gk->s + gk->depth;
    gk->before = gk->residuals + gk->depth;
    return ALCH_OK;
}

static void *
left_vector(const gk_t *gk, int64_t vector)
{
    return linalg_address(gk->k, gk->U, gk->op->left.rows, 0, vector);
}

static void *
right_vector(const gk_t *gk, int64_t vector)
{
    return linalg_address(gk->k, gk->V, gk->op->right.rows, 0, vector);
}

/* Set N to a random block that is orthogonal to V. */
static int
append_random_block(gk_t *gk, uint64_t seed)
{
    linalg_random_vectors(gk->op, &gk->op->right, gk->width, seed, right_vector(gk, gk->dim));
    return linalg_orthonormalize(gk->op, &gk->op->right, gk->V, gk->dim, right_vector(gk, gk->dim), gk->width, 0, NULL,
                                 NULL, gk->width);
}

/* The length of the longest column of B so far is a lower bound of |A|. */
static void
update_norm_estimate(gk_t *gk)
{
    for (int64_t j = gk->dim; j < gk->dim + gk->width; j++) {
        double sum = 0;

        for (int64_t i = 0; i < gk->dim + gk->width; i++) {
            double _Complex x = linalg_get_entry(gk->k->dtype, gk->B, i + j * gk->depth);

            sum += __real__ x * __real__ x + __imag__ x * __imag__ x;
        }
        gk->norm = sqrt(sum) > gk->norm ? sqrt(sum) : gk->norm;
    }
}

/* One block step: append N to V, append A N to U, and make A^H of that the next N. */
static int
expand_basis(gk_t *gk)
{
    linalg_operator_t *op = gk->op;
    int64_t dim = gk->dim, b = gk->width;
    int code;

    linalg_operator_apply(op, right_vector(gk, dim), b, left_vector(gk, dim));
    code = linalg_orthonormalize(op, &op->left, gk->U, dim, left_vector(gk, dim), b, gk->norm,
                                 linalg_address(gk->k, gk->B, gk->depth, 0, dim),
                                 linalg_address(gk->k, gk->B, gk->depth, dim, dim), gk->depth);
    if (code)
        return code;
    update_norm_estimate(gk);
    linalg_operator_apply_adjoint(op, left_vector(gk, dim), b, right_vector(gk, dim + b));
    code =
        linalg_orthonormalize(op, &op->right, gk->V, dim + b, right_vector(gk, dim + b), b, gk->norm, NULL, gk->S, b);
    gk->dim += b;
    gk->out->steps++;
    return code;
}

/* Called on rank 0 only: the residuals |S x_last| of the wanted values. */
static void
estimate_residuals(gk_t *gk)
{
    int64_t b = gk->width;

    linalg_local_gemm(gk->k, false, false, b, gk->out->k, b, 1, gk->S, b,
                      linalg_address(gk->k, gk->X, gk->depth, gk->dim - b, 0), gk->depth, 0, gk->copy, b);
    for (int64_t i = 0; i < gk->out->k; i++) {
        gk->residuals[i] = 0;
        for (int64_t l = 0; l < b; l++) {
            double _Complex x = linalg_get_entry(gk->k->dtype, gk->copy, l + i * b);

            gk->residuals[i] = hypot(gk->residuals[i], hypot(__real__ x, __imag__ x));
        }
    }
}

/* Decompose B on rank 0, so that all ranks get the same bits, and find the largest residual. */
static int
decompose_projection(gk_t *gk)
{
    int code = ALCH_OK;

    if (gk->la->call->rank == 0) {
        linalg_local_lacpy(gk->k, gk->dim, gk->dim, gk->B, gk->depth, gk->copy, gk->depth);
        code = linalg_local_svd(gk->k, gk->dim, gk->copy, gk->depth, gk->s, gk->X, gk->Yh);
        if (!code)
            estimate_residuals(gk);
        else
            linalg_fail(gk->la, code, "the SVD of the projected matrix of order %d failed", (int)gk->dim);
    }
    if ((code = linalg_agree(gk->la, code)))
        return code;
    MPI_Bcast(gk->s, (int)(2 * gk->depth), MPI_DOUBLE, 0, gk->la->call->comm);
    gk->residual = 0;
    for (int64_t i = 0; i < gk->out->k; i++)
        gk->residual = gk->residuals[i] > gk->residual ? gk->residuals[i] : gk->residual;
    gk->residual = gk->s[0] > 0 ? gk->residual / gk->s[0] : 0;
    gk->norm = gk->s[0] > gk->norm ? gk->s[0] : gk->norm;
    return ALCH_OK;
}

/* Choose the dimension at which B is decomposed next. Residuals decrease by about the same factor in each step, which
 * predicts the number of steps that are left. */
static void
schedule_check(gk_t *gk, double last_residual, int64_t steps)
{
    double rate = steps > 0 && last_residual > gk->residual && gk->residual > 0
                      ? log(last_residual / gk->residual) / (double)steps
                      : 0;
    double left = rate > 0 ? log(gk->residual / gk->tol) / rate : 1;

    gk->check_at = gk->dim + gk->width * (left > 4 ? 4 : left < 1 ? 1 : (int64_t)left);
}

/* Thick restart: the first `keep` Ritz vectors become U and V. N stays, or is replaced by a random block. */
static int
restart_basis(gk_t *gk, int64_t keep, bool random)
{
    linalg_operator_t *op = gk->op;
    int numbers = (int)(gk->dim * gk->depth) * linalg_reals_per_entry(gk->k);

    MPI_Bcast(gk->X, numbers, linalg_mpi_type(gk->k), 0, gk->la->call->comm);
    MPI_Bcast(gk->Yh, numbers, linalg_mpi_type(gk->k), 0, gk->la->call->comm);
    linalg_rotate_vectors(op, &op->left, gk->U, gk->dim, keep, gk->X, gk->depth, false);
    linalg_rotate_vectors(op, &op->right, gk->V, gk->dim, keep, gk->Yh, gk->depth, true);
    linalg_local_lacpy(gk->k, op->right.rows, gk->width, right_vector(gk, gk->dim), op->right.rows,
                       right_vector(gk, keep), op->right.rows);
    memset(gk->B, 0, (size_t)(gk->depth * gk->depth) * gk->k->entry_bytes);
    for (int64_t i = 0; i < keep; i++)
        linalg_set_entry(gk->k->dtype, gk->B, i + i * gk->depth, gk->s[i]);
    gk->dim = keep;
    return random ? append_random_block(gk, 2 + (uint64_t)gk->out->steps) : ALCH_OK;
}

static int
report_progress(gk_t *gk)
{
    linalg_t *la = gk->la;
    double fraction = gk->residual > 0 && gk->residual < 1 ? log(gk->residual) / log(gk->tol) : 0;

    la->host->progress(la->call, fraction > 1 ? 1 : fraction, "block step %" PRId64 ", residual %.2g", gk->out->steps,
                       gk->residual);
    if (la->host->cancelled(la->call))
        return linalg_fail(la, ALCH_ECANCELED, "the task was canceled after block step %" PRId64, gk->out->steps);
    return ALCH_OK;
}

static int
fail_not_converged(gk_t *gk)
{
    int64_t good = 0;

    for (int64_t i = 0; i < gk->out->k; i++)
        good += gk->residuals[i] <= gk->tol * gk->s[0];
    return linalg_fail(gk->la, ALCH_ENUMERIC,
                       "the iteration did not converge within %" PRId64 " block steps (maxiter) and %" PRId64
                       " restarts: %" PRId64 " of %" PRId64 " values are accurate; the largest residual is %.2g of the "
                       "largest value, but the limit is %.2g (tol)",
                       gk->out->steps, gk->out->restarts, good, gk->out->k, gk->residual, gk->tol);
}

/* Make steps until the wanted residuals are below the tolerance. */
static int
iterate_until_converged(gk_t *gk, int64_t limit)
{
    linalg_lanczos_t *out = gk->out;
    int64_t checked = out->steps;
    double last_residual = 0;
    int code;

    for (;;) {
        if ((code = expand_basis(gk)) || (code = report_progress(gk)))
            return code;
        if (gk->dim < gk->check_at && gk->dim + gk->width <= gk->depth && out->steps < limit)
            continue;
        if ((code = decompose_projection(gk)) || gk->residual <= gk->tol)
            return code;
        if (out->steps >= limit)
            return fail_not_converged(gk);
        schedule_check(gk, last_residual, out->steps - checked);
        last_residual = gk->residual;
        checked = out->steps;
        if (gk->dim + gk->width <= gk->depth)
            continue;
        if ((code = restart_basis(gk, out->k + (gk->depth - out->k) / 3, false)))
            return code;
        out->restarts++;
    }
}

/* Search for values that were missed. @param[out] found_p  some were, and the iteration must continue */
static int
search_for_missed_values(gk_t *gk, bool *found_p)
{
    int64_t k = gk->out->k;
    double growth = 0;
    int code;

    memcpy(gk->before, gk->s, (size_t)k * sizeof(double));
    if ((code = restart_basis(gk, k, true)))
        return code;
    for (int step = 0; step < PROBE_STEPS && !code; step++)
        if (!(code = expand_basis(gk)))
            code = report_progress(gk);
    if (code || (code = decompose_projection(gk)))
        return code;
    for (int64_t i = 0; i < k; i++)
        growth = gk->s[i] - gk->before[i] > growth ? gk->s[i] - gk->before[i] : growth;
    *found_p = growth > (2 * gk->tol + 64 * gk->k->eps) * gk->s[0];
    gk->check_at = gk->dim + 2 * gk->width;
    return ALCH_OK;
}

static int
find_triplets(gk_t *gk)
{
    linalg_lanczos_t *out = gk->out;
    int64_t limit = out->limit > 0 ? out->limit : 300 + 20 * out->k;
    bool found = true;
    int code = append_random_block(gk, 1);

    for (int probes = 0; !code && found && probes < PROBES_MAX; probes++)
        if (!(code = iterate_until_converged(gk, limit)))
            code = search_for_missed_values(gk, &found);
    return code;
}

int
linalg_lanczos_solve(linalg_operator_t *op, linalg_lanczos_t *lanczos)
{
    int64_t k = lanczos->k;
    gk_t gk;
    int code;

    lanczos->steps = lanczos->restarts = 0;
    if ((code = init_basis(&gk, op, lanczos)) ||
        (code = linalg_alloc(op->la, k * (int64_t)sizeof(double), &lanczos->values)) || (code = find_triplets(&gk)))
        return code;
    lanczos->residual = gk.residual;
    for (int64_t i = 0; i < k; i++)
        lanczos->values[i] = gk.s[i] / op->scale;
    if ((code = restart_basis(&gk, k, false)))
        return code;
    lanczos->U = gk.U;
    lanczos->V = gk.V;
    return ALCH_OK;
}

void
linalg_lanczos_note(linalg_operator_t *op, const linalg_lanczos_t *lanczos)
{
    linalg_note(op->la,
                "%" PRId64 " block steps of %" PRId64 " vectors, %" PRId64 " restarts, largest residual %.2g of the "
                "largest value",
                lanczos->steps, op->width, lanczos->restarts, lanczos->residual);
}
