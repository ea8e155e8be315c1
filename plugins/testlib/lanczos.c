/* Right singular vectors by implicitly restarted Lanczos iteration on (scale A)^T (scale A): ARPACK's reverse
 * communication (Lehoucq, Sorensen, Yang: ARPACK Users' Guide, 1998), run by rank 0, which sends the vectors around, so
 * that all ranks agree on every step. */
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

/* Residuals of eigenpairs relative to the eigenvalue. Values are then accurate to their square. */
#define TOLERANCE 1e-12
#define RESTARTS_MAX 300
/* Squares of values below 1e-6 of the largest drown in rounding errors of the largest one's square. */
#define SQUARE_MIN 1e-12
/* A rank looks for a cancel after so many seconds. */
#define LOOK_SECONDS 0.1

enum { STEP_MULTIPLY, STEP_LOOK, STEP_DONE, STEP_DENSE };

/* Rank 0's side. */
typedef struct {
    int n, nev, ncv, lworkl, ido, info;
    int iparam[11], ipntr[11];
    double tol;
    double *resid, *v, *workd, *workl, *values;
    int *select;
    void *memory;
    int restarts, converged;
    double ritz_sum, looked;
} arpack_t;

/* Lanczos vectors kept between restarts: more make fewer products, and more work on rank 0. */
static int64_t
choose_ncv(const svd_t *svd)
{
    return svd->k + (svd->k > 30 ? svd->k + 1 : 31);
}

static int
arpack_open(arpack_t *arpack, const svd_t *svd)
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
                         .looked = MPI_Wtime()};
    arpack->resid = memory;
    arpack->v = arpack->resid + n;
    arpack->workd = arpack->v + n * ncv;
    arpack->workl = arpack->workd + 3 * n;
    arpack->values = arpack->workl + lworkl;
    arpack->select = (int *)(arpack->values + svd->k);
    arpack->iparam[0] = 1; /* exact shifts */
    arpack->iparam[2] = RESTARTS_MAX;
    arpack->iparam[3] = 1;
    arpack->iparam[6] = 1; /* a plain symmetric problem */
    /* The same start in every run, with some of every direction in it. */
    for (size_t k = 0; k < n; k++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        arpack->resid[k] = (double)(random >> 11) * 0x1p-53 - 0.5;
    }
    return ALCH_OK;
}

/* What ARPACK keeps between restarts: Ritz values, the wanted ones last, and their error bounds. */
static void
watch_restarts(arpack_t *arpack)
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

/* Whether after some restarts a wanted value still is too small for this method. */
static bool
hopeless(const arpack_t *arpack)
{
    const double *ritz = arpack->workl + arpack->ipntr[5] - 1;

    return arpack->restarts >= 4 && ritz[arpack->ncv - arpack->nev] < SQUARE_MIN * ritz[arpack->ncv - 1];
}

/* Rank 0: one step of the iteration; x gets the vector to multiply. */
static int
arpack_step(arpack_t *arpack, svd_t *svd, double *x)
{
    dsaupd_(&arpack->ido, "I", &arpack->n, "LM", &arpack->nev, &arpack->tol, arpack->resid, &arpack->ncv, arpack->v,
            &arpack->n, arpack->iparam, arpack->ipntr, arpack->workd, arpack->workl, &arpack->lworkl, &arpack->info, 1,
            2);
    if (arpack->ido != 1 && arpack->ido != -1)
        return arpack->info == 0 ? STEP_DONE : STEP_DENSE;
    watch_restarts(arpack);
    if (hopeless(arpack))
        return STEP_DENSE;
    svd->call->host->progress(svd->call, (double)arpack->converged / arpack->nev,
                              "restart %d, %d of %d values converged", arpack->restarts, arpack->converged,
                              arpack->nev);
    memcpy(x, arpack->workd + arpack->ipntr[0] - 1, sizeof(double) * (size_t)arpack->n);
    if (MPI_Wtime() - arpack->looked < LOOK_SECONDS)
        return STEP_MULTIPLY;
    arpack->looked = MPI_Wtime();
    return STEP_LOOK;
}

/* Rank 0: the eigenvectors, ascending. */
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

/* Send rank 0's step and vector to all: x has one entry more, in front. */
static int
share_step(svd_t *svd, int step, double *x)
{
    x[0] = step;
    MPI_Bcast(x, (int)svd->short_size + 1, MPI_DOUBLE, 0, svd->call->comm);
    return (int)x[0];
}

static int
iterate(svd_t *svd, arpack_t *arpack, double *x, double *scratch, bool *dense_p)
{
    const alch_host_t *host = svd->call->host;

    for (;;) {
        int step = share_step(svd, svd->call->rank == 0 ? arpack_step(arpack, svd, x + 1) : 0, x);

        *dense_p = step == STEP_DENSE;
        if (step == STEP_DONE || step == STEP_DENSE)
            return ALCH_OK;
        if (step == STEP_LOOK && host->cancelled(svd->call))
            return host->fail(svd->call, ALCH_ECANCELED, "truncated_svd was canceled");
        svd_normal_product(svd, x + 1, scratch);
        if (svd->call->rank == 0)
            memcpy(arpack->workd + arpack->ipntr[1] - 1, x + 1, sizeof(double) * (size_t)svd->short_size);
    }
}

/* Rank 0's vectors to all ranks. */
static void
share_vectors(svd_t *svd, arpack_t *arpack, double *vectors, bool *dense_p)
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

    /* ARPACK needs room beside the wanted values; and in squares a zero matrix cannot be told from a small one. */
    *dense_p = choose_ncv(svd) > svd->short_size || svd->largest == 0;
    if (*dense_p)
        return ALCH_OK;
    x = malloc(sizeof(double) * (size_t)(2 * svd->short_size + 1));
    code = svd->call->rank == 0 ? arpack_open(&arpack, svd) : ALCH_OK;
    code = host->agree(svd->call, code ? code : x ? ALCH_OK : ALCH_ENOMEM, "no room for the vectors of the iteration");
    if (!code)
        code = iterate(svd, &arpack, x, x + svd->short_size + 1, dense_p);
    if (!code && !*dense_p)
        share_vectors(svd, &arpack, vectors, dense_p);
    free(arpack.memory);
    free(x);
    return code;
}
