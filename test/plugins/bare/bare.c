/* Runs bare ScaLAPACK routines on matrices of the workers and returns their times: the benchmark compares the library
 * linalg with these. */
#include <alchemist/plugin.h>

#include <stdlib.h>
#include <string.h>

static const int one = 1;

void pdgemm_(const char *transa, const char *transb, const int *m, const int *n, const int *k, const double *alpha,
             const double *a, const int *ia, const int *ja, const int *desca, const double *b, const int *ib,
             const int *jb, const int *descb, const double *beta, double *c, const int *ic, const int *jc,
             const int *descc);
void pdpotrf_(const char *uplo, const int *n, double *a, const int *ia, const int *ja, const int *desca, int *info);
void pdgetrf_(const int *m, const int *n, double *a, const int *ia, const int *ja, const int *desca, int *ipiv,
              int *info);
void pdgeqrf_(const int *m, const int *n, double *a, const int *ia, const int *ja, const int *desca, double *tau,
              double *work, const int *lwork, int *info);
void pdorgqr_(const int *m, const int *n, const int *k, double *a, const int *ia, const int *ja, const int *desca,
              const double *tau, double *work, const int *lwork, int *info);
void pdsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *ia, const int *ja,
              const int *desca, double *w, double *z, const int *iz, const int *jz, const int *descz, double *work,
              const int *lwork, int *iwork, const int *liwork, int *info);
void pdsyevr_(const char *jobz, const char *range, const char *uplo, const int *n, double *a, const int *ia,
              const int *ja, const int *desca, const double *vl, const double *vu, const int *il, const int *iu, int *m,
              int *nz, double *w, double *z, const int *iz, const int *jz, const int *descz, double *work,
              const int *lwork, int *iwork, const int *liwork, int *info);
void pdgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *ia, const int *ja,
              const int *desca, double *s, double *u, const int *iu, const int *ju, const int *descu, double *vt,
              const int *ivt, const int *jvt, const int *descvt, double *work, const int *lwork, int *info);

typedef struct {
    alch_dmatrix_t *matrix;
    double *data;
    int desc[9];
} operand_t;

/* Everything that a routine needs is allocated before the clock starts. */
typedef struct {
    alch_call_t *call;
    operand_t A, B, C, D; /* a copy of a; a copy of b or, if there is none, of a; results */
    int m, n, k;
    double *vector, *work; /* vector: tau or values */
    int *integers, *pivots;
    int lwork, liwork, info;
} bare_t;

static int
create_operand(bare_t *bare, int64_t m, int64_t n, const alch_layout_t *layout, operand_t *operand)
{
    const alch_host_t *host = bare->call->host;
    alch_block_t block;
    int code = host->matrix_create(bare->call, m, n, ALCH_FLOAT64, layout, &operand->matrix);

    if (code || (code = host->matrix_descriptor(bare->call, operand->matrix, operand->desc)))
        return code;
    host->matrix_block(operand->matrix, &block);
    operand->data = block.data;
    return ALCH_OK;
}

static void
run_gemm(bare_t *r)
{
    const double unit = 1, zero = 0;

    pdgemm_("N", "N", &r->m, &r->n, &r->k, &unit, r->A.data, &one, &one, r->A.desc, r->B.data, &one, &one, r->B.desc,
            &zero, r->C.data, &one, &one, r->C.desc);
}

static void
run_potrf(bare_t *r)
{
    pdpotrf_("L", &r->n, r->A.data, &one, &one, r->A.desc, &r->info);
}

static void
run_getrf(bare_t *r)
{
    pdgetrf_(&r->m, &r->k, r->A.data, &one, &one, r->A.desc, r->pivots, &r->info);
}

static void
run_geqrf(bare_t *r)
{
    pdgeqrf_(&r->m, &r->k, r->A.data, &one, &one, r->A.desc, r->vector, r->work, &r->lwork, &r->info);
    if (r->lwork > 0)
        pdorgqr_(&r->m, &r->k, &r->k, r->A.data, &one, &one, r->A.desc, r->vector, r->work, &r->lwork, &r->info);
}

static void
run_syevd(bare_t *r)
{
    pdsyevd_("V", "L", &r->n, r->A.data, &one, &one, r->A.desc, r->vector, r->C.data, &one, &one, r->C.desc, r->work,
             &r->lwork, r->integers, &r->liwork, &r->info);
}

static void
run_syevr(bare_t *r)
{
    const double zero = 0;
    const int none = 0;
    int found, vectors;

    pdsyevr_("V", "A", "L", &r->n, r->A.data, &one, &one, r->A.desc, &zero, &zero, &none, &none, &found, &vectors,
             r->vector, r->C.data, &one, &one, r->C.desc, r->work, &r->lwork, r->integers, &r->liwork, &r->info);
}

static void
run_gesvd(bare_t *r)
{
    pdgesvd_("V", "V", &r->m, &r->n, r->A.data, &one, &one, r->A.desc, r->vector, r->C.data, &one, &one, r->C.desc,
             r->D.data, &one, &one, r->D.desc, r->work, &r->lwork, &r->info);
}

static const struct {
    const char *name;
    void (*run)(bare_t *bare);
    bool has_query; /* with lwork = -1 it returns the size of its workspace */
} routines[] = {
    {"gemm", run_gemm, false},  {"potrf", run_potrf, false}, {"getrf", run_getrf, false}, {"geqrf", run_geqrf, true},
    {"syevd", run_syevd, true}, {"syevr", run_syevr, true},  {"gesvd", run_gesvd, true},
};

static int
allocate_workspace(bare_t *r, size_t routine)
{
    size_t entries_max = (size_t)(r->m > r->n ? r->m : r->n) + 256;
    double queried[2] = {1, 1};
    int integers[2] = {1, 1};

    r->vector = calloc(entries_max, sizeof(double));
    r->pivots = calloc(entries_max, sizeof(int));
    if (routines[routine].has_query && r->A.desc[1] >= 0) {
        r->work = queried;
        r->integers = integers;
        r->lwork = r->liwork = -1;
        routines[routine].run(r);
    }
    r->lwork = (int)queried[0] + r->n; /* + n: the query of PDSYEVD returns a little too little */
    r->liwork = integers[0];
    r->work = calloc((size_t)r->lwork, sizeof(double));
    r->integers = calloc((size_t)r->liwork, sizeof(int));
    return r->call->host->agree(r->call, r->vector && r->pivots && r->work && r->integers ? ALCH_OK : ALCH_ENOMEM,
                                "the workspace of '%s' cannot be allocated", routines[routine].name);
}

static int
copy_operands(bare_t *r)
{
    const alch_host_t *host = r->call->host;
    const alch_dmatrix_t *a = host->arg_matrix(r->call, "a"), *b = host->arg_matrix(r->call, "b");
    alch_block_t block;
    int code;

    host->matrix_block(a, &block);
    r->m = (int)block.m;
    r->n = r->k = (int)block.n;
    if ((code = host->matrix_relayout(r->call, a, &block.layout, &r->A.matrix)) ||
        (code = host->matrix_descriptor(r->call, r->A.matrix, r->A.desc)) ||
        (code = host->matrix_relayout(r->call, b ? b : a, &block.layout, &r->B.matrix)) ||
        (code = host->matrix_descriptor(r->call, r->B.matrix, r->B.desc)) ||
        (code = create_operand(r, r->m, r->n, &block.layout, &r->C)) ||
        (code = create_operand(r, r->n, r->n, &block.layout, &r->D)))
        return code;
    host->matrix_block(r->A.matrix, &block);
    r->A.data = block.data;
    host->matrix_block(r->B.matrix, &block);
    r->B.data = block.data;
    return ALCH_OK;
}

static int
run_timed(bare_t *r, size_t routine)
{
    double seconds;

    MPI_Barrier(r->call->comm);
    seconds = MPI_Wtime();
    if (r->A.desc[1] >= 0)
        routines[routine].run(r);
    seconds = MPI_Wtime() - seconds;
    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, r->call->comm);
    if (r->call->host->agree(r->call, r->info ? ALCH_ENUMERIC : ALCH_OK, "'%s' failed with INFO %d",
                             routines[routine].name, r->info))
        return ALCH_ENUMERIC;
    return r->call->host->ret_real(r->call, "seconds", seconds);
}

static int
bare_run(alch_call_t *call)
{
    const char *name = call->host->arg_string(call, "routine");
    size_t count = sizeof(routines) / sizeof(*routines), k = 0;
    bare_t r = {.call = call};
    int code;

    while (k < count && strcmp(name, routines[k].name))
        k++;
    if (k == count)
        return call->host->fail(call, ALCH_EINVAL, "routine '%s' is unknown", name);
    if (!(code = copy_operands(&r)) && !(code = allocate_workspace(&r, k)))
        code = run_timed(&r, k);
    free(r.vector);
    free(r.pivots);
    free(r.work);
    free(r.integers);
    return code;
}

static const alch_operation_t operations[] = {
    {"run", "Run a bare routine on copies of its operands and return the seconds that it takes.",
     "routine:string, a:matrix, b:matrix=none -> seconds:float64", "", 0, bare_run},
};

static const alch_plugin_t plugin = {
    .struct_size = sizeof(alch_plugin_t),
    .abi = ALCH_PLUGIN_ABI,
    .build = ALCH_PLUGIN_BUILD,
    .name = "bare",
    .version = "1.0",
    .summary = "Bare ScaLAPACK routines, timed.",
    .operations = operations,
    .operation_count = sizeof(operations) / sizeof(*operations),
};

const alch_plugin_t *
alch_plugin(void)
{
    return &plugin;
}
