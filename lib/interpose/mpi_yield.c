/*
 * Blocking MPI calls that yield: what makes 3 ranks usable on 2 cores.
 *
 * MPICH waits by polling and never gives its core away, so with more ranks than cores each step of a collective
 * costs scheduler time slices. Here every blocking call is its nonblocking twin, MPI_Test, and sched_yield(). The
 * layer is part of programs, whose symbols come before those of libmpich: ScaLAPACK and plugins reach MPI through
 * it when the program is linked with -rdynamic. It must not be in a library that is linked into other people's
 * programs.
 *
 * Not here, because MPI has no nonblocking twin: MPI_Init, one-sided communication, MPI-IO, and the making of
 * communicators other than duplicates. The latter meet in a yielding barrier first, so that whoever comes early
 * does not poll until the last one is there.
 */

/* The calls must be seen by libraries, whatever -fvisibility says: a definition follows its declaration. */
#pragma GCC visibility push(default)
#include <mpi.h>
#pragma GCC visibility pop

#include <sched.h>
#include <stdlib.h>

/*
 * Tests before the first yield, and between later ones. A test costs about 0.1 us with nothing to do, a yield with
 * nobody waiting for the core 0.3 us: a short spin costs a crowded machine nothing, and a longer one gains an empty
 * machine nothing. ALCHEMIST_YIELD_TRIES overrides both.
 */
#define TRIES 20

static int tries_between = TRIES;

__attribute__((constructor)) static void
read_environment(void)
{
    const char *text = getenv("ALCHEMIST_YIELD_TRIES");
    long tries = text ? strtol(text, NULL, 10) : 0;

    if (tries > 0 && tries <= 1000000000)
        tries_between = (int)tries;
}

/* One more vain test. */
static inline void
vain(int *tries)
{
    if (++*tries < tries_between)
        return;
    *tries = 0;
    sched_yield();
}

/* Wait for a request, if the call that made it (returning rc) succeeded. */
static int
finish(int rc, MPI_Request *request, MPI_Status *status)
{
    int done = 0, tries = 0;

    while (rc == MPI_SUCCESS) {
        rc = PMPI_Test(request, &done, status);
        if (done)
            break;
        vain(&tries);
    }
    return rc;
}

/* Wait for a receive and the send (made with result rc) that go together; a receive without its send is withdrawn. */
static int
finish_pair(int rc, MPI_Request *receive, MPI_Request *send, MPI_Status *status)
{
    int rc_receive;

    if (rc != MPI_SUCCESS) {
        PMPI_Cancel(receive);
        finish(MPI_SUCCESS, receive, MPI_STATUS_IGNORE);
        return rc;
    }
    rc_receive = finish(MPI_SUCCESS, receive, status);
    rc = finish(MPI_SUCCESS, send, MPI_STATUS_IGNORE);
    return rc_receive != MPI_SUCCESS ? rc_receive : rc;
}

static int
out_of_memory(MPI_Comm comm)
{
    PMPI_Comm_call_errhandler(comm, MPI_ERR_NO_MEM);
    return MPI_ERR_NO_MEM;
}

#define CALL(name) name
#define COUNT int
#define DISPL int
#include "interpose/mpi_calls.h"
#undef CALL
#undef COUNT
#undef DISPL

#define CALL(name) name##_c
#define COUNT MPI_Count
#define DISPL MPI_Aint
#include "interpose/mpi_calls.h"

/* ---- waiting ---- */

int
MPI_Wait(MPI_Request *request, MPI_Status *status)
{
    return finish(MPI_SUCCESS, request, status);
}

int
MPI_Waitall(int count, MPI_Request *requests, MPI_Status *statuses)
{
    int done = 0, tries = 0, rc;

    for (;;) {
        rc = PMPI_Testall(count, requests, &done, statuses);
        if (rc != MPI_SUCCESS || done)
            return rc;
        vain(&tries);
    }
}

int
MPI_Waitany(int count, MPI_Request *requests, int *index, MPI_Status *status)
{
    int done = 0, tries = 0, rc;

    for (;;) {
        rc = PMPI_Testany(count, requests, index, &done, status);
        if (rc != MPI_SUCCESS || done)
            return rc;
        vain(&tries);
    }
}

int
MPI_Waitsome(int count, MPI_Request *requests, int *done, int *indices, MPI_Status *statuses)
{
    int tries = 0, rc;

    for (;;) {
        /* MPI_UNDEFINED, not 0, when there is nothing to wait for. */
        rc = PMPI_Testsome(count, requests, done, indices, statuses);
        if (rc != MPI_SUCCESS || *done != 0)
            return rc;
        vain(&tries);
    }
}

int
MPI_Probe(int source, int tag, MPI_Comm comm, MPI_Status *status)
{
    int there = 0, tries = 0, rc;

    for (;;) {
        rc = PMPI_Iprobe(source, tag, comm, &there, status);
        if (rc != MPI_SUCCESS || there)
            return rc;
        vain(&tries);
    }
}

int
MPI_Mprobe(int source, int tag, MPI_Comm comm, MPI_Message *message, MPI_Status *status)
{
    int there = 0, tries = 0, rc;

    for (;;) {
        rc = PMPI_Improbe(source, tag, comm, &there, message, status);
        if (rc != MPI_SUCCESS || there)
            return rc;
        vain(&tries);
    }
}

int
MPI_Barrier(MPI_Comm comm)
{
    MPI_Request request;

    return finish(PMPI_Ibarrier(comm, &request), &request, MPI_STATUS_IGNORE);
}

/* ---- communicators ---- */

int
MPI_Comm_dup(MPI_Comm comm, MPI_Comm *copy)
{
    MPI_Request request;

    return finish(PMPI_Comm_idup(comm, copy, &request), &request, MPI_STATUS_IGNORE);
}

int
MPI_Comm_dup_with_info(MPI_Comm comm, MPI_Info info, MPI_Comm *copy)
{
    MPI_Request request;

    return finish(PMPI_Comm_idup_with_info(comm, info, copy, &request), &request, MPI_STATUS_IGNORE);
}

int
MPI_Comm_create(MPI_Comm comm, MPI_Group group, MPI_Comm *made)
{
    int rc = MPI_Barrier(comm);

    return rc == MPI_SUCCESS ? PMPI_Comm_create(comm, group, made) : rc;
}

int
MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *made)
{
    int rc = MPI_Barrier(comm);

    return rc == MPI_SUCCESS ? PMPI_Comm_split(comm, color, key, made) : rc;
}

int
MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *made)
{
    int rc = MPI_Barrier(comm);

    return rc == MPI_SUCCESS ? PMPI_Comm_split_type(comm, type, key, info, made) : rc;
}

int
MPI_Finalize(void)
{
    int rc = MPI_Barrier(MPI_COMM_WORLD);

    return rc == MPI_SUCCESS ? PMPI_Finalize() : rc;
}
