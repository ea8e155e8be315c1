/*
 * A parallel program as a client: each rank hands over its own ScaLAPACK piece of a matrix and gets one back.
 *
 *     ALCHEMIST_TICKET="HOST:PORT ID KEY" mpiexec.mpich -n 3 mpi_client JOB...
 *
 * JOB is write:MATRIX:NPROWxNPCOL:MBxNB:RSRC,CSRC:I0,J0:MxN, or read:...
 * with the same. Ranks beyond the grid have no part. Entry (i, j) of the matrix, as a float64, is i + j / 65536; what
 * is read is held against that, and the memory between local columns against what it was.
 */
#include <alchemist/alchemist.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PADDING 3
#define CANARY -77.25

typedef struct {
    char verb[8];
    unsigned long long matrix;
    alch_local_t piece;
} job_t;

static int rank;

/* The starter passes on what was printed only if it is not told to end at once. */
static void
give_up(int code)
{
    fflush(stderr);
    usleep(300000);
    MPI_Abort(MPI_COMM_WORLD, code);
}

static void
demand(int code, const alch_error_t *err, const char *what)
{
    if (code == ALCH_OK)
        return;
    fprintf(stderr, "rank %d: %s: %s (%s)\n", rank, what, err->text, alch_errname(code));
    give_up(1);
}

/* Ranks fill the grid column by column. */
static int
parse(const char *text, job_t *job)
{
    alch_local_t *p = &job->piece;
    long long mb, nb, i0, j0, m, n;

    memset(job, 0, sizeof *job);
    if (sscanf(text, "%7[a-z]:%llu:%dx%d:%lldx%lld:%d,%d:%lld,%lld:%lldx%lld", job->verb, &job->matrix, &p->nprow,
               &p->npcol, &mb, &nb, &p->rsrc, &p->csrc, &i0, &j0, &m, &n) != 12)
        return 0;
    p->mb = mb;
    p->nb = nb;
    p->i0 = i0;
    p->j0 = j0;
    p->m = m;
    p->n = n;
    p->myrow = rank < p->nprow * p->npcol ? rank % p->nprow : -1;
    p->mycol = rank < p->nprow * p->npcol ? rank / p->nprow : -1;
    return 1;
}

/* ScaLAPACK's numroc. */
static int64_t
numroc(int64_t n, int64_t nb, int me, int source, int procs)
{
    int64_t distance, blocks, count, extra;

    if (me < 0)
        return 0;
    distance = (procs + me - source) % procs;
    blocks = n / nb;
    count = blocks / procs * nb;
    extra = blocks % procs;
    return distance < extra ? count + nb : distance == extra ? count + n % nb : count;
}

static int64_t
global(int64_t l, int64_t nb, int me, int source, int procs)
{
    return (l / nb * procs + (procs + me - source) % procs) * nb + l % nb;
}

static double
entry(const alch_local_t *p, int64_t i, int64_t j)
{
    return (double)(p->i0 + global(i, p->mb, p->myrow, p->rsrc, p->nprow)) +
           (double)(p->j0 + global(j, p->nb, p->mycol, p->csrc, p->npcol)) / 65536;
}

/* Fill the piece, or count what is wrong with it. */
static long
visit(const alch_local_t *p, int64_t m, int64_t n, double *local, int fill)
{
    long wrong = 0;

    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < p->lld; i++) {
            double *at = &local[i + j * p->lld], expected = i < m ? entry(p, i, j) : CANARY;

            wrong += *at != expected;
            if (fill)
                *at = expected;
        }
    return fill ? 0 : wrong;
}

static void
run(alch_session_t *session, job_t *job)
{
    alch_local_t *p = &job->piece;
    int64_t m = numroc(p->m, p->mb, p->myrow, p->rsrc, p->nprow), n = numroc(p->n, p->nb, p->mycol, p->csrc, p->npcol);
    int writing = strcmp(job->verb, "write") == 0;
    alch_transfer_t *transfer = NULL;
    alch_matrix_t *matrix = NULL;
    alch_error_t err = {0};
    double *local, begun;

    p->lld = m + PADDING;
    local = malloc((size_t)(p->lld * (n + 1)) * sizeof *local);
    if (writing)
        visit(p, m, n, local, 1);
    for (int64_t k = 0; !writing && k < p->lld * n; k++)
        local[k] = CANARY;
    demand(alch_matrix_open(session, job->matrix, &matrix, &err), &err, "open");
    MPI_Barrier(MPI_COMM_WORLD);
    begun = MPI_Wtime();
    demand(writing ? alch_matrix_write_local_start(matrix, p, local, &transfer, &err)
                   : alch_matrix_read_local_start(matrix, p, local, &transfer, &err),
           &err, "start");
    demand(alch_transfer_wait(transfer, -1, &err), &err, job->verb);
    alch_transfer_destroy(transfer);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        printf("%s %.6f s\n", job->verb, MPI_Wtime() - begun);
    if (visit(p, m, n, local, 0) > 0) {
        fprintf(stderr, "rank %d: %ld entries are wrong\n", rank, visit(p, m, n, local, 0));
        give_up(2);
    }
    free(local);
    alch_matrix_destroy(matrix);
}

/* Rank 0 knows the session; its key is as secret as the program's own messages. */
static alch_session_t *
attach(void)
{
    char ticket[512] = "", address[300], key[65];
    const char *given = getenv("ALCHEMIST_TICKET");
    alch_session_options_t options;
    alch_session_t *session = NULL;
    alch_error_t err = {0};
    unsigned long long id;

    if (rank == 0 && given)
        snprintf(ticket, sizeof ticket, "%s", given);
    MPI_Bcast(ticket, sizeof ticket, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (sscanf(ticket, "%299s %llu %64s", address, &id, key) != 3) {
        fprintf(stderr, "ALCHEMIST_TICKET is not HOST:PORT ID KEY\n");
        give_up(1);
    }
    alch_session_options_init(&options);
    options.address = address;
    demand(alch_session_attach(&options, id, key, &session, &err), &err, "attach");
    return session;
}

int
main(int argc, char **argv)
{
    alch_session_t *session;
    job_t job;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    session = attach();
    for (int k = 1; k < argc; k++) {
        if (!parse(argv[k], &job)) {
            fprintf(stderr, "%s is no job\n", argv[k]);
            give_up(1);
        }
        run(session, &job);
    }
    alch_session_close(session, NULL);
    alch_session_destroy(session);
    MPI_Finalize();
    return 0;
}
