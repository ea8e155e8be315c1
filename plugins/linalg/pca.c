/* The operation pca: principal components. */
#include "lanczos.h"
#include "spectral.h"

#include <complex.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char pca_doc[] =
    "Computes principal components of the rows of X: the singular value decomposition of X minus the mean of each "
    "column, as sklearn.decomposition.PCA. The signs are the same too: the entry of a component that is largest in "
    "absolute value is positive.\n\n"
    "Method: block Golub-Kahan bidiagonalization as in svd(k=), with products (X - 1 mean) v = X v - 1 (mean v), so "
    "that "
    "the centered matrix is not stored. These products lose digits if the means are large. A centered copy is made, "
    "and "
    "a note says so, if the sum of squares of the means is above 1e6 times that of the centered entries, or if X is "
    "too "
    "small for the iteration (n_components near min(m, n), or 0).\n"
    "Source: that of svd(k=); Jolliffe, Principal component analysis (2002).\n"
    "Accuracy: the singular values are accurate to a few eps times the largest one.\n"
    "Memory: about max(k + 16 b, 3 k) vectors of m and of n entries over all workers; b is 4 to 10, k = n_components. "
    "If X "
    "is too small for the iteration: the copy, and the memory of svd. Whether the means require a copy is known only "
    "after a pass over X; its memory is checked then.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); no convergence (NumericError, which "
    "names "
    "steps and residual); n_components, tol or maxiter is out of range (RangeError); tol or maxiter without "
    "n_components, "
    "or fewer than two samples (InvalidError); not enough memory, or a matrix is beyond 32-bit indices (LimitError).\n"
    "Cancel: after each block step; with a copy between the stages.\n\n"
    "X: m samples (rows) of n features (columns)\n"
    "n_components: how many components; 0: min(m, n)\n"
    "tol: as in svd\n"
    "maxiter: as in svd\n"
    "components: k x n, orthonormal rows\n"
    "explained_variance: singular_values^2 / (m - 1)\n"
    "explained_variance_ratio: explained_variance divided by the variance of all features\n"
    "singular_values: of the centered matrix, in descending order\n"
    "mean: n x 1, the mean of each feature\n";

/* Ratio of the sum of squares of the means to that of the centered entries. Above it, products with X lose more than 3
 * digits to the means. */
#define MEANS_MAX 1e6

typedef struct {
    linalg_t *la;
    linalg_operator_t op;
    linalg_matrix_t X, copy;
    int64_t k, minmn, width, depth;
    linalg_lanczos_t lanczos;
    double total;   /* sum of squares of the centered entries, times scale^2 */
    void *means[2]; /* slices as linalg_operator_t.mean: of X, then of the copy */
} pca_t;

/* ---- the means ---- */

/* Set `mean` to the real and imaginary parts of all means, on all ranks. If a copy was centered, its remaining means
 * are added. */
static void
gather_means(pca_t *p, double *mean)
{
    linalg_t *la = p->la;
    const linalg_side_t *side = &p->op.right;

    for (int step = 0; step < 2; step++)
        for (int64_t j = 0; p->means[step] && j < side->rows; j++) {
            /* The operator stores the conjugated mean. */
            double _Complex x = linalg_get_entry(la->dtype, p->means[step], j) / p->op.scale;
            int64_t column = la->host->global_col(p->X.source, side->first + j);

            mean[2 * column] += __real__ x;
            mean[2 * column + 1] -= __imag__ x;
        }
    MPI_Allreduce(MPI_IN_PLACE, mean, 2 * p->X.n, MPI_DOUBLE, MPI_SUM, la->call->comm);
}

static int
return_mean(pca_t *p)
{
    linalg_t *la = p->la;
    linalg_matrix_t M;
    double *mean;
    int code;

    if ((code = linalg_alloc(la, 2 * (int64_t)p->X.n * (int64_t)sizeof(double), &mean)) ||
        (code = linalg_create(la, p->X.n, 1, &M)))
        return code;
    gather_means(p, mean);
    for (int64_t i = 0; i < M.block.local_m && M.block.local_n > 0; i++) {
        int64_t row = la->host->global_row(M.source, i);
        double _Complex x = mean[2 * row];

        __imag__ x = mean[2 * row + 1];
        linalg_set_entry(la->dtype, M.data, i, x);
    }
    return linalg_return_matrix(la, "mean", &M);
}

/* The share of the means in the sum of squares of X: m |mean|^2. */
static double
sum_of_squares_of_means(pca_t *p)
{
    const linalg_side_t *side = &p->op.right;
    double mine = 0, sum;

    for (int64_t j = 0; j < side->rows; j++) {
        double _Complex x = linalg_get_entry(p->la->dtype, p->op.mean, j);

        mine += __real__ x * __real__ x + __imag__ x * __imag__ x;
    }
    MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, p->la->call->comm);
    return sum * p->X.m;
}

/* Subtract the operator's means from the copy. */
static int
subtract_means(pca_t *p)
{
    const linalg_kernels_t *k = p->la->k;
    const alch_block_t *block = &p->copy.block;
    const void *means = linalg_operator_means(&p->op);
    void *ones, *row;
    int code;

    if ((code = linalg_alloc(p->la, block->local_m * (int64_t)k->entry_bytes, &ones)) ||
        (code = linalg_alloc(p->la, block->local_n * (int64_t)k->entry_bytes, &row)))
        return code;
    for (int64_t i = 0; i < block->local_m; i++)
        linalg_set_entry(k->dtype, ones, i, 1);
    for (int64_t j = 0; j < block->local_n; j++)
        linalg_set_entry(k->dtype, row, j, __builtin_conj(linalg_get_entry(k->dtype, means, j)));
    linalg_local_gemm(k, false, false, block->local_m, block->local_n, 1, -1 / p->op.scale, ones,
                      block->local_m > 1 ? block->local_m : 1, row, 1, 1, block->data, block->lld);
    return ALCH_OK;
}

/* Replace X by a centered copy in the operator. The means are subtracted twice: the means of large entries have large
 * rounding errors, which the second pass removes. */
static int
center_copy(pca_t *p)
{
    double rest;
    int code;

    if ((code = linalg_create(p->la, p->X.m, p->X.n, &p->copy)))
        return code;
    linalg_copy_piece('A', &p->X, &p->copy);
    if ((code = subtract_means(p)))
        return code;
    p->op.A = &p->copy;
    p->op.mean = NULL;
    if ((code = linalg_operator_center(&p->op)) || (code = linalg_operator_sum_of_squares(&p->op, &rest)) ||
        (code = subtract_means(p)))
        return code;
    p->means[1] = p->op.mean;
    p->op.mean = NULL;
    return linalg_operator_sum_of_squares(&p->op, &p->total);
}

/* ---- results ---- */

static int
return_values(pca_t *p, const double *s)
{
    linalg_t *la = p->la;
    double *variance, *ratio, total = p->total / (p->op.scale * p->op.scale);
    int code = linalg_alloc(la, 2 * p->k * (int64_t)sizeof(double), &variance);

    if (code)
        return code;
    ratio = variance + p->k;
    for (int64_t i = 0; i < p->k; i++) {
        variance[i] = s[i] * s[i] / (p->X.m - 1);
        ratio[i] = total > 0 ? s[i] * s[i] / total : 0;
    }
    if ((code = linalg_return_reals(la, "explained_variance", variance, p->k)) ||
        (code = linalg_return_reals(la, "explained_variance_ratio", ratio, p->k)) ||
        (code = linalg_return_reals(la, "singular_values", s, p->k)))
        return code;
    return return_mean(p);
}

/* The C type of MPI_DOUBLE_INT. */
typedef struct {
    double size;
    int column;
} largest_t;

/* Find the entry of largest absolute value in each row, on all ranks; of equal ones the first.
 * @param[out] entries  [2 k] real and imaginary parts */
static void
find_largest_entries(pca_t *p, const linalg_matrix_t *M, largest_t *largest, double *entries)
{
    linalg_t *la = p->la;
    int count = (int)p->k;

    for (int64_t j = 0; j < M->block.local_n; j++)
        for (int64_t i = 0; i < M->block.local_m; i++) {
            double size = cabs(linalg_get_entry(la->dtype, M->data, i + j * M->block.lld));
            largest_t *row = &largest[linalg_global_row(&M->block, i)];

            if (size > row->size)
                *row = (largest_t){size, (int)linalg_global_col(&M->block, j)};
        }
    MPI_Allreduce(MPI_IN_PLACE, largest, count, MPI_DOUBLE_INT, MPI_MAXLOC, la->call->comm);
    for (int64_t i = 0; i < p->k; i++) {
        int64_t at;

        if (!linalg_owns_entry(la, M, i, largest[i].column, &at))
            continue;
        entries[2 * i] = creal(linalg_get_entry(la->dtype, M->data, at));
        entries[2 * i + 1] = cimag(linalg_get_entry(la->dtype, M->data, at));
    }
    MPI_Allreduce(MPI_IN_PLACE, entries, 2 * count, MPI_DOUBLE, MPI_SUM, la->call->comm);
}

/* Return the components with the signs of scikit-learn: the largest entry of each component is positive. */
static int
return_components(pca_t *p, linalg_matrix_t *M)
{
    linalg_t *la = p->la;
    largest_t *largest;
    double *entries;
    int code;

    if ((code = linalg_alloc(la, p->k * (int64_t)sizeof(*largest), &largest)) ||
        (code = linalg_alloc(la, 2 * p->k * (int64_t)sizeof(double), &entries)))
        return code;
    find_largest_entries(p, M, largest, entries);
    for (int64_t i = 0; i < M->block.local_m; i++) {
        const double *x = entries + 2 * linalg_global_row(&M->block, i);
        double size = hypot(x[0], x[1]);
        double _Complex phase = size > 0 ? CMPLX(x[0] / size, -x[1] / size) : 1;

        for (int64_t j = 0; j < M->block.local_n; j++) {
            int64_t at = i + j * M->block.lld;

            linalg_set_entry(la->dtype, M->data, at, phase * linalg_get_entry(la->dtype, M->data, at));
        }
    }
    return linalg_return_matrix(la, "components", M);
}

static int
pca_by_lanczos(pca_t *p)
{
    linalg_lanczos_t *lanczos = &p->lanczos;
    linalg_matrix_t V;
    int code;

    lanczos->k = p->k;
    if ((code = linalg_lanczos_solve(&p->op, lanczos)) ||
        (code = linalg_gather_right_vectors(&p->op, lanczos->V, p->k, &V)) || (code = return_components(p, &V)))
        return code;
    linalg_lanczos_note(&p->op, lanczos);
    return return_values(p, lanczos->values);
}

static int
pca_by_dense_svd(pca_t *p)
{
    static const int one = 1;
    linalg_t *la = p->la;
    linalg_matrix_t V;
    linalg_svd_t svd;
    int code = linalg_svd(la, &p->copy, LINALG_THIN, &svd), k = (int)p->k;

    if (code)
        return code;
    if ((code = linalg_create(la, p->k, p->X.n, &V)))
        return code;
    if (la->in_grid)
        la->k->lacpy("A", &k, &V.n, svd.Vh.data, &one, &one, svd.Vh.desc, V.data, &one, &one, V.desc);
    code = return_components(p, &V);
    return code ? code : return_values(p, svd.s);
}

/* ---- the operation ---- */

static void
expect_memory(pca_t *p, const alch_block_t *x, bool iterate)
{
    linalg_t *la = p->la;

    linalg_expect_operand(la, "X", 0);
    linalg_expect_bytes(la, 6 * (x->m + x->n) * 16);
    linalg_expect_bytes(la, p->k * (int64_t)(sizeof(largest_t) + 2 * sizeof(double)));
    if (iterate) {
        linalg_lanczos_expect(la, x->m, x->n, p->k);
        return;
    }
    linalg_operator_expect(la, x->m, x->n, p->width, p->depth);
    linalg_expect_matrix(la, x->m, x->n);
    linalg_svd_expect(la, x->m, x->n, LINALG_THIN);
    linalg_expect_matrix(la, p->k, x->n);
}

static int
compute_components(pca_t *p, bool iterate)
{
    linalg_t *la = p->la;
    bool large;
    int code;

    if ((code = linalg_operator_center(&p->op)) || (code = linalg_begin_stage(la, 0, "variance")) ||
        (code = linalg_operator_sum_of_squares(&p->op, &p->total)))
        return code;
    p->means[0] = p->op.mean;
    large = sum_of_squares_of_means(p) > MEANS_MAX * p->total;
    if (large || !iterate) {
        linalg_note(la, "a centered copy of X was made, because %s",
                    large ? "its means are much larger than its variation"
                          : "n_components is too large for the iteration");
        if ((code = center_copy(p)))
            return code;
    }
    return iterate ? pca_by_lanczos(p) : pca_by_dense_svd(p);
}

static int
pca(linalg_t *la)
{
    pca_t p = {.la = la, .k = la->host->arg_int(la->call, "n_components")};
    alch_block_t x;
    bool iterate;
    int code;

    linalg_operand_block(la, "X", &x);
    p.minmn = x.m < x.n ? x.m : x.n;
    if (x.m < 2 || x.n < 1)
        return linalg_fail(la, ALCH_EINVAL,
                           "X is %" PRId64 " x %" PRId64
                           ", but must have at least two samples (rows) and one feature (column)",
                           x.m, x.n);
    if (p.k < 0 || p.k > p.minmn)
        return linalg_fail(la, ALCH_ERANGE,
                           "n_components is %" PRId64 ", but must be 1 to %" PRId64 " for a matrix of %" PRId64
                           " x %" PRId64 ", or 0 for all",
                           p.k, p.minmn, x.m, x.n);
    if ((code = linalg_lanczos_read_options(la, "n_components", p.k > 0, &p.lanczos)))
        return code;
    p.k = p.k ? p.k : p.minmn;
    iterate = linalg_lanczos_choose_sizes(x.m, x.n, p.k, &p.width, &p.depth);
    if (!iterate)
        p.width = p.depth = 1;
    expect_memory(&p, &x, iterate);
    if ((code = linalg_check_memory(la)) || (code = linalg_get_operand(la, "X", 0, &p.X)))
        return code;
    code = linalg_operator_open(&p.op, la, "X", &p.X, p.width, p.depth);
    if (!code)
        code = compute_components(&p, iterate);
    linalg_operator_close(&p.op);
    return code;
}

static int
run_pca(alch_call_t *call)
{
    return linalg_run(call, pca, "X", NULL);
}

static const alch_operation_t operations[] = {
    {"pca", "The principal components of a set of samples.",
     "X:matrix, n_components:int64=0, tol:float64=0, maxiter:int64=0 -> components:matrix, explained_variance:vector, "
     "explained_variance_ratio:vector, singular_values:vector, mean:vector",
     pca_doc, 0, run_pca},
};

LINALG_OPERATIONS(linalg_pca_operations, operations);
