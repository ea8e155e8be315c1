/* Computes right singular vectors by implicitly restarted Lanczos iteration on (scale A)^T (scale A), with ARPACK
 * (Lehoucq, Sorensen, Yang: ARPACK Users' Guide, 1998). Rank 0 alone runs ARPACK's reverse communication and broadcasts
 * each vector to multiply, so that all ranks agree on every step. */
#include "svd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void dsaupd_(int *ido, const char *bmat, const int *n, const char *which, const int *nev, const double *tol,
             double *resid, const int *ncv, double *v, const int *ldv, int *iparam, int *ipntr, double *workd,
             double *workl, const int *lworkl, int *info, size_t bmat_length, size_t which_length);
void dseupd_(const int *rvec, const char *howmny, const int *select, double *d, double *z, const int *ldz,
             const double *sigma, const char *bmat, const int *n, const char *which, const int *nev, const double *tol,
             double *resid, const int *ncv, double *v, const int *ldv, int *iparam, int *ipntr, double *workd,
             double *workl, const int *lworkl, int *info, size_t howmny_length, size_t bmat_length,
             size_t which_length);

/* Bound of the residual of an eigenpair relative to the eigenvalue. The relative error of the eigenvalue is about the
 * square of it. */
#define TOLERANCE 1e-12
#define RESTARTS_MAX 300
/* The squares of values below 1e-6 of the largest value are lost in the rounding errors of the largest square. */
#define SQUARE_MIN 1e-12
/* Asking for a cancel is collective, so it is not done in every step. */
#define CANCEL_CHECK_SECONDS 0.1

enum { STEP_MULTIPLY, STEP_CHECK_CANCEL, STEP_DONE, STEP_DENSE };

/* The state of ARPACK, on rank 0. */
typedef struct {
    int n, nev, ncv, lworkl, ido, info;
    int iparam[11], ipntr[11];
    double tol;
    double *resid, *v, *workd, *workl, *values;
    int *select;
    void *memory;
    int restarts, converged;
    double ritz_sum, cancel_checked;
} arpack_t;

/* The number of Lanczos vectors. With more of them fewer products are needed, but rank 0 has more work. */
static int64_t
choose_ncv(const svd_t *svd)
{
    return svd->k + (svd->k > 30 ? svd->k + 1 : 31);
}

static int
arpack_init(arpack_t *arpack, const svd_t *svd)
{
    size_t n = (size_t)svd->short_size, ncv = (size_t)choose_ncv(svd), lworkl = ncv * (ncv + 8);
    size_t entries = n + n * ncv + 3 * n + lworkl + (size_t)svd->k;
    uint64_t random = 88172645463325252u;
    double *memory;

    if (lworkl > INT32_MAX)
        return ALCH_ELIMIT;
    memory = malloc(entries * sizeof(double) + ncv * sizeof(int));
    if (!memory)
        return ALCH_ENOMEM;
    *arpack = (arpack_t){.n = (int)n,
                         .nev = (int)svd->k,
                         .ncv = (int)ncv,
                         .lworkl = (int)lworkl,
                         .tol = TOLERANCE,
                         .info = 1,
                         .memory = memory,
                         .cancel_checked = MPI_Wtime()};
    arpack->resid = memory;
    arpack->v = arpack->resid + n;
    arpack->workd = arpack->v + n * ncv;
    arpack->workl = arpack->workd + 3 * n;
    arpack->values = arpack->workl + lworkl;
    arpack->select = (int *)(arpack->values + svd->k);
    arpack->iparam[0] = 1; /* ISHIFT: exact shifts */
    arpack->iparam[2] = RESTARTS_MAX;
    arpack->iparam[3] = 1;
    arpack->iparam[6] = 1; /* MODE: a standard symmetric problem */
    /* A random start vector has a part in the direction of every eigenvector; its fixed seed makes runs repeatable. */
    for (size_t k = 0; k < n; k++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        arpack->resid[k] = (double)(random >> 11) * 0x1p-53 - 0.5;
    }
    return ALCH_OK;
}

/* Detect a restart by a change of the Ritz values, and count the converged ones. ARPACK keeps the Ritz values, the
 * wanted ones last, and their error bounds. */
static void
count_restarts(arpack_t *arpack)
{
    const double *ritz = arpack->workl + arpack->ipntr[5] - 1, *bounds = arpack->workl + arpack->ipntr[6] - 1;
    double sum = 0;

    if (arpack->ipntr[5] < 1 || arpack->ipntr[6] < 1)
        return;
    for (int k = arpack->ncv - arpack->nev; k < arpack->ncv; k++)
        sum += ritz[k];
    if (sum == arpack->ritz_sum)
        return;
    arpack->ritz_sum = sum;
    arpack->restarts++;
    arpack->converged = 0;
    for (int k = arpack->ncv - arpack->nev; k < arpack->ncv; k++)
        arpack->converged += fabs(bounds[k]) <= arpack->tol * fabs(ritz[k]);
}

/* Whether a wanted value is too small for this method. The first restarts do not show this yet. */
static bool
wanted_value_too_small(const arpack_t *arpack)
{
    const double *ritz = arpack->workl + arpack->ipntr[5] - 1;

    return arpack->restarts >= 4 && ritz[arpack->ncv - arpack->nev] < SQUARE_MIN * ritz[arpack->ncv - 1];
}

/* Rank 0: do one step of the iteration, and write the vector to multiply to x. */
static int
arpack_step(arpack_t *arpack, svd_t *svd, double *x)
{
    dsaupd_(&arpack->ido, "I", &arpack->n, "LM", &arpack->nev, &arpack->tol, arpack->resid, &arpack->ncv, arpack->v,
            &arpack->n, arpack->iparam, arpack->ipntr, arpack->workd, arpack->workl, &arpack->lworkl, &arpack->info, 1,
            2);
    if (arpack->ido != 1 && arpack->ido != -1)
        return arpack->info == 0 ? STEP_DONE : STEP_DENSE;
    count_restarts(arpack);
    if (wanted_value_too_small(arpack))
        return STEP_DENSE;
    svd->call->host->progress(svd->call, (double)arpack->converged / arpack->nev,
                              "restart %d, %d of %d values converged", arpack->restarts, arpack->converged,
                              arpack->nev);
    memcpy(x, arpack->workd + arpack->ipntr[0] - 1, sizeof(double) * (size_t)arpack->n);
    if (MPI_Wtime() - arpack->cancel_checked < CANCEL_CHECK_SECONDS)
        return STEP_MULTIPLY;
    arpack->cancel_checked = MPI_Wtime();
    return STEP_CHECK_CANCEL;
}

/* Rank 0: compute the eigenvectors, in ascending order of the eigenvalues. */
static int
arpack_vectors(arpack_t *arpack, double *vectors)
{
    const int rvec = 1;
    const double sigma = 0;

    dseupd_(&rvec, "A", arpack->select, arpack->values, vectors, &arpack->n, &sigma, "I", &arpack->n, "LM",
            &arpack->nev, &arpack->tol, arpack->resid, &arpack->ncv, arpack->v, &arpack->n, arpack->iparam,
            arpack->ipntr, arpack->workd, arpack->workl, &arpack->lworkl, &arpack->info, 1, 1, 2);
    return arpack->info == 0 && arpack->iparam[4] >= arpack->nev ? STEP_DONE : STEP_DENSE;
}

/* Broadcast rank 0's step and vector. The step is x[0], the vector follows. */
static int
broadcast_step(svd_t *svd, int step, double *x)
{
    x[0] = step;
    MPI_Bcast(x, (int)svd->short_size + 1, MPI_DOUBLE, 0, svd->call->comm);
    return (int)x[0];
}

static int
run_iteration(svd_t *svd, arpack_t *arpack, double *x, double *scratch, bool *dense_p)
{
    const alch_host_t *host = svd->call->host;

    for (;;) {
        int step = broadcast_step(svd, svd->call->rank == 0 ? arpack_step(arpack, svd, x + 1) : 0, x);

        *dense_p = step == STEP_DENSE;
        if (step == STEP_DONE || step == STEP_DENSE)
            return ALCH_OK;
        if (step == STEP_CHECK_CANCEL && host->cancelled(svd->call))
            return host->fail(svd->call, ALCH_ECANCELED, "truncated_svd was canceled");
        svd_normal_product(svd, x + 1, scratch);
        if (svd->call->rank == 0)
            memcpy(arpack->workd + arpack->ipntr[1] - 1, x + 1, sizeof(double) * (size_t)svd->short_size);
    }
}

/* Broadcast the vectors of rank 0, or that the dense method is needed. */
static void
broadcast_vectors(svd_t *svd, arpack_t *arpack, double *vectors, bool *dense_p)
{
    int step = svd->call->rank == 0 ? arpack_vectors(arpack, vectors) : 0;

    MPI_Bcast(&step, 1, MPI_INT, 0, svd->call->comm);
    *dense_p = step == STEP_DENSE;
    for (int64_t c = 0; c < svd->k && !*dense_p; c++)
        MPI_Bcast(vectors + c * svd->short_size, (int)svd->short_size, MPI_DOUBLE, 0, svd->call->comm);
}

int
svd_lanczos(svd_t *svd, double *vectors, bool *dense_p)
{
    const alch_host_t *host = svd->call->host;
    arpack_t arpack = {.memory = NULL};
    double *x;
    int code;

    /* ARPACK needs more Lanczos vectors than there are wanted values. In squares, a zero matrix looks like one of small
     * values. */
    *dense_p = choose_ncv(svd) > svd->short_size || svd->largest == 0;
    if (*dense_p)
        return ALCH_OK;
    x = malloc(sizeof(double) * (size_t)(2 * svd->short_size + 1));
    code = svd->call->rank == 0 ? arpack_init(&arpack, svd) : ALCH_OK;
    code = host->agree(svd->call,
                       code ? code
                       : x  ? ALCH_OK
                            : ALCH_ENOMEM,
                       "truncated_svd: the vectors of the iteration cannot be allocated");
    if (!code)
        code = run_iteration(svd, &arpack, x, x + svd->short_size + 1, dense_p);
    if (!code && !*dense_p)
        broadcast_vectors(svd, &arpack, vectors, dense_p);
    free(arpack.memory);
    free(x);
    return code;
}
