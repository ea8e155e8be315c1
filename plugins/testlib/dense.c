/* All singular values by ScaLAPACK, for what the iteration is not made for: nearly all values asked for, or values so
 * small that A^T A loses them. A, transposed if it is wide, is copied into block-cyclic form; a QR factorization takes
 * it to a square matrix, PDGESVD decomposes that, and PDORMQR takes its left vectors back. */
#include "svd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 32
/* Fewer entries than this on a process are not worth the messages. */
#define ENTRIES_LEAST (256 * 256)

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

/* A block-cyclic float64 matrix with what ScaLAPACK needs of it. */
typedef struct {
    alch_dmatrix_t *matrix;
    alch_block_t block;
    double *data;
    int desc[9];
    bool here; /* this rank is in the grid */
} panel_t;

typedef struct {
    svd_t *svd;
    alch_layout_t layout;
    int p, q, k; /* the tall matrix is p x q */
    panel_t A, R, W, Zt, U, V;
    double *values, *tau, *work; /* [q], [local columns + 1], [lwork] */
    int lwork;
} dense_t;

static const int one = 1;

static alch_layout_t
choose_layout(const svd_t *svd)
{
    double entries = (double)svd->long_size * (double)svd->short_size / ENTRIES_LEAST;
    int procs = entries < 1 ? 1 : entries > svd->call->size ? svd->call->size : (int)entries, nprow = 1;

    for (int r = 2; r * r <= procs; r++)
        if (procs % r == 0)
            nprow = r;
    return (alch_layout_t){ALCH_BLOCK_CYCLIC, BLOCK, BLOCK, nprow, procs / nprow};
}

/* Take a matrix into a panel. */
static int
panel_take(dense_t *dense, alch_dmatrix_t *matrix, panel_t *panel)
{
    const alch_host_t *host = dense->svd->call->host;
    int code = host->matrix_descriptor(dense->svd->call, matrix, panel->desc);

    panel->matrix = matrix;
    host->matrix_block(matrix, &panel->block);
    panel->data = panel->block.data;
    panel->here = panel->desc[1] >= 0;
    return code;
}

static int
panel_create(dense_t *dense, int64_t m, int64_t n, panel_t *panel)
{
    alch_dmatrix_t *matrix;
    int code = dense->svd->call->host->matrix_create(dense->svd->call, m, n, ALCH_FLOAT64, &dense->layout, &matrix);

    return code ? code : panel_take(dense, matrix, panel);
}

static void
panel_free(dense_t *dense, panel_t *panel)
{
    dense->svd->call->host->matrix_free(dense->svd->call, panel->matrix);
    *panel = (panel_t){.matrix = NULL};
}

/* to := scale * from; both have the same layout, and may be one. */
static void
convert(const svd_t *svd, const alch_block_t *from, const panel_t *to)
{
    for (int64_t j = 0; j < from->local_n; j++) {
        for (int64_t i = 0; i < from->local_m; i++) {
            int64_t at = i + j * from->lld;
            double x = from->dtype == ALCH_FLOAT64 ? ((const double *)from->data)[at] : ((const float *)from->data)[at];

            to->data[i + j * to->block.lld] = svd->scale * x;
        }
    }
}

/* flat := scale * A, block-cyclic, in float64. */
static int
copy_flat(dense_t *dense, panel_t *flat)
{
    svd_t *svd = dense->svd;
    const alch_host_t *host = svd->call->host;
    alch_dmatrix_t *copy;
    alch_block_t block;
    int code = host->matrix_relayout(svd->call, svd->A, &dense->layout, &copy);

    if (code)
        return code;
    host->matrix_block(copy, &block);
    if (block.dtype == ALCH_FLOAT64)
        code = panel_take(dense, copy, flat);
    else
        code = panel_create(dense, svd->block.m, svd->block.n, flat);
    if (!code)
        convert(svd, &block, flat);
    if (block.dtype != ALCH_FLOAT64)
        host->matrix_free(svd->call, copy);
    return code;
}

/* dense->A := scale * A, tall. */
static int
copy_input(dense_t *dense)
{
    const double unit = 1, zero = 0;
    panel_t flat = {.matrix = NULL};
    int code;

    if (!dense->svd->wide)
        return copy_flat(dense, &dense->A);
    if ((code = copy_flat(dense, &flat)) || (code = panel_create(dense, dense->p, dense->q, &dense->A)))
        return code;
    if (flat.here)
        pdtran_(&dense->p, &dense->q, &unit, flat.data, &one, &one, flat.desc, &zero, dense->A.data, &one, &one,
                dense->A.desc);
    panel_free(dense, &flat);
    return ALCH_OK;
}

/* What a routine asked for in its workspace query; PDGESVD's own arithmetic overflows unnoticed. */
static int64_t
gesvd_entries(const dense_t *dense, double asked)
{
    int64_t q = dense->q, procs = dense->layout.nprow * dense->layout.npcol;
    int64_t least = 2 * q * (q / procs + 2 * BLOCK) + 12 * q + 4 * BLOCK * BLOCK;

    return asked > (double)least && asked < 1e18 ? (int64_t)asked : least;
}

static void
query(dense_t *dense, double asked[3])
{
    int ask = -1, info;
    double *a = dense->A.data, *w = dense->W.data;

    pdgesvd_("V", "V", &dense->q, &dense->q, dense->R.data, &one, &one, dense->R.desc, dense->values, w, &one, &one,
             dense->W.desc, dense->Zt.data, &one, &one, dense->Zt.desc, &asked[0], &ask, &info);
    if (dense->p == dense->q)
        return;
    pdgeqrf_(&dense->p, &dense->q, a, &one, &one, dense->A.desc, dense->tau, &asked[1], &ask, &info);
    pdormqr_("L", "N", &dense->p, &dense->k, &dense->q, a, &one, &one, dense->A.desc, dense->tau, dense->U.data, &one,
             &one, dense->U.desc, &asked[2], &ask, &info);
}

/* Workspace for all three routines, of which no two run at once. */
static int
allocate(dense_t *dense)
{
    svd_t *svd = dense->svd;
    const alch_host_t *host = svd->call->host;
    double asked[3] = {0, 0, 0};
    int64_t entries = 1;
    int code;

    dense->values = calloc((size_t)dense->q, sizeof(double));
    dense->tau = calloc((size_t)dense->A.block.local_n + 1, sizeof(double));
    code = host->agree(svd->call, dense->values && dense->tau ? ALCH_OK : ALCH_ENOMEM, "no memory for the values");
    if (code)
        return code;
    if (dense->A.here) {
        query(dense, asked);
        entries = gesvd_entries(dense, asked[0]);
        entries = asked[1] > (double)entries ? (int64_t)asked[1] : entries;
        entries = asked[2] > (double)entries ? (int64_t)asked[2] : entries;
    }
    if (entries > INT32_MAX)
        code = host->fail(svd->call, ALCH_ELIMIT,
                          "truncated_svd: PDGESVD needs a workspace of %.3g entries: ScaLAPACK's "
                          "32-bit indices end at %d",
                          (double)entries, INT32_MAX);
    else if (!(code = host->workspace(svd->call, entries * (int64_t)sizeof(double))) &&
             !(dense->work = malloc((size_t)entries * sizeof(double))))
        code = host->fail(svd->call, ALCH_ENOMEM, "truncated_svd: no memory for PDGESVD");
    dense->lwork = (int)entries;
    return host->agree(svd->call, code, NULL);
}

/* All ranks agree on what a routine's INFO says. */
static int
check(dense_t *dense, const char *routine, int info)
{
    return dense->svd->call->host->agree(dense->svd->call, info ? ALCH_ENUMERIC : ALCH_OK,
                                         "truncated_svd: %s did not succeed: INFO is %d", routine, info);
}

static int
look(dense_t *dense, double fraction, const char *text)
{
    const alch_host_t *host = dense->svd->call->host;

    host->progress(dense->svd->call, fraction, "%s", text);
    if (host->cancelled(dense->svd->call))
        return host->fail(dense->svd->call, ALCH_ECANCELED, "truncated_svd was canceled");
    return ALCH_OK;
}

static int
factorize(dense_t *dense)
{
    int info = 0, code;

    if (dense->A.here && dense->p > dense->q) {
        pdgeqrf_(&dense->p, &dense->q, dense->A.data, &one, &one, dense->A.desc, dense->tau, dense->work, &dense->lwork,
                 &info);
        pdlacpy_("U", &dense->q, &dense->q, dense->A.data, &one, &one, dense->A.desc, dense->R.data, &one, &one,
                 dense->R.desc);
    } else if (dense->A.here) {
        pdlacpy_("A", &dense->q, &dense->q, dense->A.data, &one, &one, dense->A.desc, dense->R.data, &one, &one,
                 dense->R.desc);
    }
    if ((code = check(dense, "PDGEQRF", info)) || (code = look(dense, 0.3, "dense decomposition")))
        return code;
    if (dense->R.here)
        pdgesvd_("V", "V", &dense->q, &dense->q, dense->R.data, &one, &one, dense->R.desc, dense->values, dense->W.data,
                 &one, &one, dense->W.desc, dense->Zt.data, &one, &one, dense->Zt.desc, dense->work, &dense->lwork,
                 &info);
    if ((code = check(dense, "PDGESVD", info)))
        return code;
    return look(dense, 0.9, "singular vectors");
}

/* The k dominant vectors: U = Q W, V = Zt^T. */
static int
back_transform(dense_t *dense)
{
    const double unit = 1, zero = 0;
    int info = 0;

    if (dense->U.here)
        pdlacpy_("A", &dense->q, &dense->k, dense->W.data, &one, &one, dense->W.desc, dense->U.data, &one, &one,
                 dense->U.desc);
    if (dense->U.here && dense->p > dense->q)
        pdormqr_("L", "N", &dense->p, &dense->k, &dense->q, dense->A.data, &one, &one, dense->A.desc, dense->tau,
                 dense->U.data, &one, &one, dense->U.desc, dense->work, &dense->lwork, &info);
    if (dense->V.here)
        pdtran_(&dense->q, &dense->k, &unit, dense->Zt.data, &one, &one, dense->Zt.desc, &zero, dense->V.data, &one,
                &one, dense->V.desc);
    return check(dense, "PDORMQR", info);
}

static int
deliver_panel(dense_t *dense, const char *name, const panel_t *panel)
{
    const alch_host_t *host = dense->svd->call->host;
    const alch_block_t *block = &panel->block;
    int64_t *rows = malloc(sizeof(*rows) * (size_t)(block->local_m + block->local_n + 1)), *cols;
    int code = host->agree(dense->svd->call, rows ? ALCH_OK : ALCH_ENOMEM, "no memory for the result %s", name);

    if (!code) {
        piece_t piece = {panel->data, block->local_m, block->local_n, block->lld, rows, cols = rows + block->local_m};

        for (int64_t i = 0; i < block->local_m; i++)
            rows[i] = host->global_row(panel->matrix, i);
        for (int64_t j = 0; j < block->local_n; j++)
            cols[j] = host->global_col(panel->matrix, j);
        code = svd_deliver(dense->svd, name, block->m, block->n, &piece);
    }
    free(rows);
    return code;
}

static int
deliver(dense_t *dense)
{
    svd_t *svd = dense->svd;
    int code;

    /* Rank 0 is in every grid. */
    for (int k = 0; k < dense->k; k++)
        dense->values[k] /= svd->scale;
    MPI_Bcast(dense->values, dense->k, MPI_DOUBLE, 0, svd->call->comm);
    if ((code = svd_deliver_values(svd, dense->values)) ||
        (code = deliver_panel(dense, svd->wide ? "V" : "U", &dense->U)))
        return code;
    return deliver_panel(dense, svd->wide ? "U" : "V", &dense->V);
}

static int
create_panels(dense_t *dense)
{
    int64_t p = dense->p, q = dense->q, k = dense->k;
    int code;

    if ((code = panel_create(dense, q, q, &dense->R)) || (code = panel_create(dense, q, q, &dense->W)) ||
        (code = panel_create(dense, q, q, &dense->Zt)) || (code = panel_create(dense, p, k, &dense->U)))
        return code;
    return panel_create(dense, q, k, &dense->V);
}

int
svd_dense(svd_t *svd)
{
    dense_t dense = {.svd = svd, .layout = choose_layout(svd), .q = (int)svd->short_size, .k = (int)svd->k};
    int code;

    if (svd->long_size > INT32_MAX)
        return svd->call->host->fail(svd->call, ALCH_ELIMIT,
                                     "truncated_svd: a dense decomposition of %lld rows or columns: ScaLAPACK's 32-bit "
                                     "indices end at %d",
                                     (long long)svd->long_size, INT32_MAX);
    dense.p = (int)svd->long_size;
    code = look(&dense, 0, "copy for a dense decomposition");
    if (!code)
        code = copy_input(&dense);
    if (!code)
        code = create_panels(&dense);
    if (!code)
        code = allocate(&dense);
    if (!code)
        code = factorize(&dense);
    if (!code)
        code = back_transform(&dense);
    if (!code)
        code = deliver(&dense);
    free(dense.values);
    free(dense.tau);
    free(dense.work);
    return code;
}
