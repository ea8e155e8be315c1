/* Computes all singular values with ScaLAPACK. The iteration cannot do this if nearly all values are wanted, or if some
 * are so small that A^T A loses them. A (transposed if it is wide) is copied to a block-cyclic layout. PDGEQRF reduces
 * a tall matrix to a square one, PDGESVD decomposes the square matrix, and PDORMQR transforms its left vectors back. */
#include "svd.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 32
/* With fewer entries on a process the messages cost more than the additional process saves. */
#define ENTRIES_MIN (256 * 256)

void pdtran_(const int *m, const int *n, const double *alpha, const double *a, const int *ia, const int *ja,
             const int *desca, const double *beta, double *c, const int *ic, const int *jc, const int *descc);
void pdgeqrf_(const int *m, const int *n, double *a, const int *ia, const int *ja, const int *desca, double *tau,
              double *work, const int *lwork, int *info);
void pdlacpy_(const char *uplo, const int *m, const int *n, const double *a, const int *ia, const int *ja,
              const int *desca, double *b, const int *ib, const int *jb, const int *descb);
void pdgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *ia, const int *ja,
              const int *desca, double *s, double *u, const int *iu, const int *ju, const int *descu, double *vt,
              const int *ivt, const int *jvt, const int *descvt, double *work, const int *lwork, int *info);
void pdormqr_(const char *side, const char *trans, const int *m, const int *n, const int *k, const double *a,
              const int *ia, const int *ja, const int *desca, const double *tau, double *c, const int *ic,
              const int *jc, const int *descc, double *work, const int *lwork, int *info);

/* A block-cyclic float64 matrix with its ScaLAPACK descriptor. */
typedef struct {
    alch_dmatrix_t *matrix;
    alch_block_t block;
    double *data;
    int desc[9];
    bool in_grid; /* this rank is in the process grid */
} matrix_t;

typedef struct {
    svd_t *svd;
    alch_layout_t layout;
    int p, q, k; /* the tall matrix is p x q */
    matrix_t A, R, W, Zt, U, V;
    double *values, *tau, *work; /* [q], [local columns + 1], [lwork] */
    int lwork;
} dense_t;

static const int one = 1;

static alch_layout_t
choose_layout(const svd_t *svd)
{
    double entries = (double)svd->long_size * (double)svd->short_size / ENTRIES_MIN;
    int procs = entries < 1 ? 1 : entries > svd->call->size ? svd->call->size : (int)entries, nprow = 1;

    for (int r = 2; r * r <= procs; r++)
        if (procs % r == 0)
            nprow = r;
    return (alch_layout_t){ALCH_BLOCK_CYCLIC, BLOCK, BLOCK, nprow, procs / nprow};
}

/* Describe a matrix of the plugin host for ScaLAPACK. */
static int
matrix_wrap(dense_t *dense, alch_dmatrix_t *matrix, matrix_t *target)
{
    const alch_host_t *host = dense->svd->call->host;
    int code = host->matrix_descriptor(dense->svd->call, matrix, target->desc);

    target->matrix = matrix;
    host->matrix_block(matrix, &target->block);
    target->data = target->block.data;
    target->in_grid = target->desc[1] >= 0;
    return code;
}

static int
matrix_create_block_cyclic(dense_t *dense, int64_t m, int64_t n, matrix_t *target)
{
    alch_dmatrix_t *matrix;
    int code = dense->svd->call->host->matrix_create(dense->svd->call, m, n, ALCH_FLOAT64, &dense->layout, &matrix);

    return code ? code : matrix_wrap(dense, matrix, target);
}

static void
matrix_free_early(dense_t *dense, matrix_t *target)
{
    dense->svd->call->host->matrix_free(dense->svd->call, target->matrix);
    *target = (matrix_t){.matrix = NULL};
}

/* to := scale * from; both have the same layout, and may be the same matrix. */
static void
scale_to_float64(const svd_t *svd, const alch_block_t *from, const matrix_t *to)
{
    for (int64_t j = 0; j < from->local_n; j++) {
        for (int64_t i = 0; i < from->local_m; i++) {
            int64_t at = i + j * from->lld;
            double x = from->dtype == ALCH_FLOAT64 ? ((const double *)from->data)[at] : ((const float *)from->data)[at];

            to->data[i + j * to->block.lld] = svd->scale * x;
        }
    }
}

/* copy := scale * A, block-cyclic, in float64. */
static int
copy_block_cyclic(dense_t *dense, matrix_t *copy)
{
    svd_t *svd = dense->svd;
    const alch_host_t *host = svd->call->host;
    alch_dmatrix_t *relaid;
    alch_block_t block;
    int code = host->matrix_relayout(svd->call, svd->A, &dense->layout, &relaid);

    if (code)
        return code;
    host->matrix_block(relaid, &block);
    if (block.dtype == ALCH_FLOAT64)
        code = matrix_wrap(dense, relaid, copy);
    else
        code = matrix_create_block_cyclic(dense, svd->block.m, svd->block.n, copy);
    if (!code)
        scale_to_float64(svd, &block, copy);
    if (block.dtype != ALCH_FLOAT64)
        host->matrix_free(svd->call, relaid);
    return code;
}

/* dense->A := scale * A, transposed if A is wide. */
static int
copy_input(dense_t *dense)
{
    const double unit = 1, zero = 0;
    matrix_t wide = {.matrix = NULL};
    int code;

    if (!dense->svd->wide)
        return copy_block_cyclic(dense, &dense->A);
    if ((code = copy_block_cyclic(dense, &wide)) ||
        (code = matrix_create_block_cyclic(dense, dense->p, dense->q, &dense->A)))
        return code;
    if (wide.in_grid)
        pdtran_(&dense->p, &dense->q, &unit, wide.data, &one, &one, wide.desc, &zero, dense->A.data, &one, &one,
                dense->A.desc);
    matrix_free_early(dense, &wide);
    return ALCH_OK;
}

/* The workspace of PDGESVD: what its query returned, or a lower bound, because the query overflows without an error for
 * large matrices. */
static int64_t
gesvd_entries(const dense_t *dense, double queried)
{
    int64_t q = dense->q, procs = dense->layout.nprow * dense->layout.npcol;
    int64_t min_entries = 2 * q * (q / procs + 2 * BLOCK) + 12 * q + 4 * BLOCK * BLOCK;

    return queried > (double)min_entries && queried < 1e18 ? (int64_t)queried : min_entries;
}

static void
query_workspaces(dense_t *dense, double queried[3])
{
    int ask = -1, info;
    double *a = dense->A.data, *w = dense->W.data;

    pdgesvd_("V", "V", &dense->q, &dense->q, dense->R.data, &one, &one, dense->R.desc, dense->values, w, &one, &one,
             dense->W.desc, dense->Zt.data, &one, &one, dense->Zt.desc, &queried[0], &ask, &info);
    if (dense->p == dense->q)
        return;
    pdgeqrf_(&dense->p, &dense->q, a, &one, &one, dense->A.desc, dense->tau, &queried[1], &ask, &info);
    pdormqr_("L", "N", &dense->p, &dense->k, &dense->q, a, &one, &one, dense->A.desc, dense->tau, dense->U.data, &one,
             &one, dense->U.desc, &queried[2], &ask, &info);
}

/* One workspace serves all three routines: they run one after the other. */
static int
allocate_workspace(dense_t *dense)
{
    svd_t *svd = dense->svd;
    const alch_host_t *host = svd->call->host;
    double queried[3] = {0, 0, 0};
    int64_t entries = 1;
    int code;

    dense->values = calloc((size_t)dense->q, sizeof(double));
    dense->tau = calloc((size_t)dense->A.block.local_n + 1, sizeof(double));
    code = host->agree(svd->call, dense->values && dense->tau ? ALCH_OK : ALCH_ENOMEM,
                       "truncated_svd: %d singular values cannot be allocated", dense->q);
    if (code)
        return code;
    if (dense->A.in_grid) {
        query_workspaces(dense, queried);
        entries = gesvd_entries(dense, queried[0]);
        entries = queried[1] > (double)entries ? (int64_t)queried[1] : entries;
        entries = queried[2] > (double)entries ? (int64_t)queried[2] : entries;
    }
    if (entries > INT32_MAX)
        code = host->fail(svd->call, ALCH_ELIMIT,
                          "truncated_svd: PDGESVD needs a workspace of %.3g entries, but ScaLAPACK's 32-bit indices "
                          "allow %d",
                          (double)entries, INT32_MAX);
    else if (!(code = host->workspace(svd->call, entries * (int64_t)sizeof(double))) &&
             !(dense->work = malloc((size_t)entries * sizeof(double))))
        code = host->fail(svd->call, ALCH_ENOMEM,
                          "truncated_svd: the workspace of PDGESVD, %" PRId64 " entries, cannot be allocated", entries);
    dense->lwork = (int)entries;
    return host->agree(svd->call, code, NULL);
}

/* Let all ranks agree that a routine succeeded on each of them. */
static int
agree_on_info(dense_t *dense, const char *routine, int info)
{
    return dense->svd->call->host->agree(dense->svd->call, info ? ALCH_ENUMERIC : ALCH_OK,
                                         "truncated_svd: %s failed with INFO %d", routine, info);
}

static int
report_and_check_cancel(dense_t *dense, double fraction, const char *text)
{
    const alch_host_t *host = dense->svd->call->host;

    host->progress(dense->svd->call, fraction, "%s", text);
    if (host->cancelled(dense->svd->call))
        return host->fail(dense->svd->call, ALCH_ECANCELED, "truncated_svd was canceled");
    return ALCH_OK;
}

/* Reduce a tall matrix to a square one (PDGEQRF), and decompose the square matrix (PDGESVD). */
static int
reduce_and_decompose(dense_t *dense)
{
    int info = 0, code;

    if (dense->A.in_grid && dense->p > dense->q) {
        pdgeqrf_(&dense->p, &dense->q, dense->A.data, &one, &one, dense->A.desc, dense->tau, dense->work, &dense->lwork,
                 &info);
        pdlacpy_("U", &dense->q, &dense->q, dense->A.data, &one, &one, dense->A.desc, dense->R.data, &one, &one,
                 dense->R.desc);
    } else if (dense->A.in_grid) {
        pdlacpy_("A", &dense->q, &dense->q, dense->A.data, &one, &one, dense->A.desc, dense->R.data, &one, &one,
                 dense->R.desc);
    }
    if ((code = agree_on_info(dense, "PDGEQRF", info)) ||
        (code = report_and_check_cancel(dense, 0.3, "computing the dense decomposition")))
        return code;
    if (dense->R.in_grid)
        pdgesvd_("V", "V", &dense->q, &dense->q, dense->R.data, &one, &one, dense->R.desc, dense->values, dense->W.data,
                 &one, &one, dense->W.desc, dense->Zt.data, &one, &one, dense->Zt.desc, dense->work, &dense->lwork,
                 &info);
    if ((code = agree_on_info(dense, "PDGESVD", info)))
        return code;
    return report_and_check_cancel(dense, 0.9, "computing the singular vectors");
}

/* Compute the k dominant vectors: U = Q W, V = Zt^T. */
static int
back_transform(dense_t *dense)
{
    const double unit = 1, zero = 0;
    int info = 0;

    if (dense->U.in_grid)
        pdlacpy_("A", &dense->q, &dense->k, dense->W.data, &one, &one, dense->W.desc, dense->U.data, &one, &one,
                 dense->U.desc);
    if (dense->U.in_grid && dense->p > dense->q)
        pdormqr_("L", "N", &dense->p, &dense->k, &dense->q, dense->A.data, &one, &one, dense->A.desc, dense->tau,
                 dense->U.data, &one, &one, dense->U.desc, dense->work, &dense->lwork, &info);
    if (dense->V.in_grid)
        pdtran_(&dense->q, &dense->k, &unit, dense->Zt.data, &one, &one, dense->Zt.desc, &zero, dense->V.data, &one,
                &one, dense->V.desc);
    return agree_on_info(dense, "PDORMQR", info);
}

static int
return_matrix(dense_t *dense, const char *name, const matrix_t *result)
{
    const alch_host_t *host = dense->svd->call->host;
    const alch_block_t *block = &result->block;
    int64_t *rows = malloc(sizeof(*rows) * (size_t)(block->local_m + block->local_n + 1)), *cols;
    int code = host->agree(dense->svd->call, rows ? ALCH_OK : ALCH_ENOMEM,
                           "the indices of the result %s cannot be allocated", name);

    if (!code) {
        piece_t piece = {result->data, block->local_m, block->local_n, block->lld, rows, cols = rows + block->local_m};

        for (int64_t i = 0; i < block->local_m; i++)
            rows[i] = host->global_row(result->matrix, i);
        for (int64_t j = 0; j < block->local_n; j++)
            cols[j] = host->global_col(result->matrix, j);
        code = svd_return_matrix(dense->svd, name, block->m, block->n, &piece);
    }
    free(rows);
    return code;
}

static int
return_results(dense_t *dense)
{
    svd_t *svd = dense->svd;
    int code;

    /* Rank 0 is in every process grid, so it knows the values. */
    for (int k = 0; k < dense->k; k++)
        dense->values[k] /= svd->scale;
    MPI_Bcast(dense->values, dense->k, MPI_DOUBLE, 0, svd->call->comm);
    if ((code = svd_return_values(svd, dense->values)) ||
        (code = return_matrix(dense, svd->wide ? "V" : "U", &dense->U)))
        return code;
    return return_matrix(dense, svd->wide ? "U" : "V", &dense->V);
}

static int
create_matrices(dense_t *dense)
{
    int64_t p = dense->p, q = dense->q, k = dense->k;
    int code;

    if ((code = matrix_create_block_cyclic(dense, q, q, &dense->R)) ||
        (code = matrix_create_block_cyclic(dense, q, q, &dense->W)) ||
        (code = matrix_create_block_cyclic(dense, q, q, &dense->Zt)) ||
        (code = matrix_create_block_cyclic(dense, p, k, &dense->U)))
        return code;
    return matrix_create_block_cyclic(dense, q, k, &dense->V);
}

int
svd_dense(svd_t *svd)
{
    dense_t dense = {.svd = svd, .layout = choose_layout(svd), .q = (int)svd->short_size, .k = (int)svd->k};
    int code;

    if (svd->long_size > INT32_MAX)
        return svd->call->host->fail(svd->call, ALCH_ELIMIT,
                                     "truncated_svd: the larger side of A has %lld entries, but the dense "
                                     "decomposition with ScaLAPACK's 32-bit indices allows %d",
                                     (long long)svd->long_size, INT32_MAX);
    dense.p = (int)svd->long_size;
    code = report_and_check_cancel(&dense, 0, "copying A for the dense decomposition");
    if (!code)
        code = copy_input(&dense);
    if (!code)
        code = create_matrices(&dense);
    if (!code)
        code = allocate_workspace(&dense);
    if (!code)
        code = reduce_and_decompose(&dense);
    if (!code)
        code = back_transform(&dense);
    if (!code)
        code = return_results(&dense);
    free(dense.values);
    free(dense.tau);
    free(dense.work);
    return code;
}
