/*
 * A parallel program as a client: each rank writes its local ScaLAPACK piece of a matrix, or reads it.
 *
 *     ALCHEMIST_TICKET="HOST:PORT ID KEY" mpiexec.mpich -n 3 mpi_client JOB...
 *
 * JOB is write:MATRIX:NPROWxNPCOL:MBxNB:RSRC,CSRC:I0,J0:MxN, or read: with the same arguments. Ranks beyond the grid
 * hold no entries. Entry (i, j) of the matrix is the float64 i + j / 65536. The program checks that the entries it
 * reads have these values, and that the padding between its local columns is unchanged.
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

/* End the program on all ranks. mpiexec.mpich drops output that it has not read when a rank aborts, and a rank cannot
 * see when mpiexec.mpich has read its output: so this function sleeps for a fixed time. */
static void
abort_program(int code)
{
    fflush(stderr);
    usleep(300000);
    MPI_Abort(MPI_COMM_WORLD, code);
}

/* End the program unless a call succeeded. */
static void
check(int code, const alch_error_t *err, const char *what)
{
    if (code == ALCH_OK)
        return;
    fprintf(stderr, "rank %d: %s: %s (%s)\n", rank, what, err->text, alch_errname(code));
    abort_program(1);
}

/* Read a job, and place this rank in its grid: ranks fill the grid column by column. Return 0 if `text` is no job. */
static int
parse_job(const char *text, job_t *job)
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

/* The number of local rows or columns, as ScaLAPACK's NUMROC computes it. */
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

/* The global index of local index `l`. */
static int64_t
global_index(int64_t l, int64_t nb, int me, int source, int procs)
{
    return (l / nb * procs + (procs + me - source) % procs) * nb + l % nb;
}

/* The value that local entry (i, j) has in the matrix. */
static double
expected_entry(const alch_local_t *p, int64_t i, int64_t j)
{
    return (double)(p->i0 + global_index(i, p->mb, p->myrow, p->rsrc, p->nprow)) +
           (double)(p->j0 + global_index(j, p->nb, p->mycol, p->csrc, p->npcol)) / 65536;
}

/* Fill the local piece with its entries, or everything with the canary. */
static void
fill_piece(const alch_local_t *p, int64_t m, int64_t n, double *local, int with_entries)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < p->lld; i++)
            local[i + j * p->lld] = with_entries && i < m ? expected_entry(p, i, j) : CANARY;
}

/* The number of entries, padding included, that differ from what they should be. */
static long
count_wrong(const alch_local_t *p, int64_t m, int64_t n, const double *local)
{
    long wrong = 0;

    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < p->lld; i++)
            wrong += local[i + j * p->lld] != (i < m ? expected_entry(p, i, j) : CANARY);
    return wrong;
}

static void
run_job(alch_session_t *session, job_t *job)
{
    alch_local_t *p = &job->piece;
    int64_t m = numroc(p->m, p->mb, p->myrow, p->rsrc, p->nprow), n = numroc(p->n, p->nb, p->mycol, p->csrc, p->npcol);
    int writing = strcmp(job->verb, "write") == 0;
    alch_transfer_t *transfer = NULL;
    alch_matrix_t *matrix = NULL;
    alch_error_t err = {0};
    double *local, begun;
    long wrong;

    p->lld = m + PADDING;
    local = malloc((size_t)(p->lld * (n + 1)) * sizeof *local);
    fill_piece(p, m, n, local, writing);
    check(alch_matrix_open(session, job->matrix, &matrix, &err), &err, "open");
    MPI_Barrier(MPI_COMM_WORLD);
    begun = MPI_Wtime();
    check(writing ? alch_matrix_write_local_start(matrix, p, local, &transfer, &err)
                  : alch_matrix_read_local_start(matrix, p, local, &transfer, &err),
          &err, "start");
    check(alch_transfer_wait(transfer, -1, &err), &err, job->verb);
    alch_transfer_destroy(transfer);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        printf("%s %.6f s\n", job->verb, MPI_Wtime() - begun);
    if ((wrong = count_wrong(p, m, n, local)) > 0) {
        fprintf(stderr, "rank %d: %ld entries are wrong after %s\n", rank, wrong, job->verb);
        abort_program(2);
    }
    free(local);
    alch_matrix_destroy(matrix);
}

/* Attach to the session whose ticket rank 0 has in its environment. The key travels in an MPI message, which is as
 * secret as the other messages of the program. */
static alch_session_t *
attach_session(void)
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
        abort_program(1);
    }
    alch_session_options_init(&options);
    options.address = address;
    check(alch_session_attach(&options, id, key, &session, &err), &err, "attach");
    return session;
}

int
main(int argc, char **argv)
{
    alch_session_t *session;
    job_t job;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    session = attach_session();
    for (int k = 1; k < argc; k++) {
        if (!parse_job(argv[k], &job)) {
            fprintf(stderr, "\"%s\" is not a job\n", argv[k]);
            abort_program(1);
        }
        run_job(session, &job);
    }
    alch_session_close(session, NULL);
    alch_session_destroy(session);
    MPI_Finalize();
    return 0;
}
