/*
 * Blocking MPI calls that yield the core, so that more ranks than cores can work, for example 3 ranks on 2 cores.
 *
 * MPICH waits by polling and never gives its core away. With more ranks than cores, each step of a collective then
 * costs time slices of the scheduler. Here a blocking call makes the nonblocking call, then repeats MPI_Test and
 * sched_yield().
 *
 * This file is linked into programs, whose symbols come before those of libmpich. If a program is linked with
 * -rdynamic, ScaLAPACK and plugins also call MPI through it. It must not be part of a library, because then it would
 * change the MPI of every program that links the library.
 *
 * Some calls are not replaced, because MPI has no nonblocking call for them: MPI_Init, one-sided communication, MPI-IO,
 * and the creation of communicators other than duplicates. The functions that create communicators first wait in a
 * yielding barrier. Otherwise ranks would poll inside MPICH until the last rank arrives.
 */

/* Libraries must see the calls, even with -fvisibility=hidden. A definition has the visibility of its declaration. */
#pragma GCC visibility push(default)
#include <mpi.h>
#pragma GCC visibility pop

#include <sched.h>
#include <stdlib.h>

/*
 * Tests before the first yield and between later ones. A test costs about 0.1 us if no message has arrived, and a yield
 * about 0.3 us if no other process waits for the core. So if other processes wait, these few tests cost little. If no
 * process waits, more tests would gain little. ALCHEMIST_YIELD_TRIES sets another number.
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

/* Count a test without a result, and yield after every tries_between of them. */
static inline void
count_test(int *tries)
{
    if (++*tries < tries_between)
        return;
    *tries = 0;
    sched_yield();
}

/* Wait for a request. `code` is the return value of the call that started it: after an error there is no request. */
static int
wait_for(int code, MPI_Request *request, MPI_Status *status)
{
    int done = 0, tries = 0;

    while (code == MPI_SUCCESS) {
        code = PMPI_Test(request, &done, status);
        if (done)
            break;
        count_test(&tries);
    }
    return code;
}

/* Wait for a receive and a send. `code` is the return value of the call that started the send: after an error the
 * receive is canceled. */
static int
wait_for_pair(int code, MPI_Request *receive, MPI_Request *send, MPI_Status *status)
{
    int receive_code;

    if (code != MPI_SUCCESS) {
        PMPI_Cancel(receive);
        wait_for(MPI_SUCCESS, receive, MPI_STATUS_IGNORE);
        return code;
    }
    receive_code = wait_for(MPI_SUCCESS, receive, status);
    code = wait_for(MPI_SUCCESS, send, MPI_STATUS_IGNORE);
    return receive_code != MPI_SUCCESS ? receive_code : code;
}

static int
raise_no_memory(MPI_Comm comm)
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
    return wait_for(MPI_SUCCESS, request, status);
}

int
MPI_Waitall(int count, MPI_Request *requests, MPI_Status *statuses)
{
    int done = 0, tries = 0, code;

    for (;;) {
        code = PMPI_Testall(count, requests, &done, statuses);
        if (code != MPI_SUCCESS || done)
            return code;
        count_test(&tries);
    }
}

int
MPI_Waitany(int count, MPI_Request *requests, int *index, MPI_Status *status)
{
    int done = 0, tries = 0, code;

    for (;;) {
        code = PMPI_Testany(count, requests, index, &done, status);
        if (code != MPI_SUCCESS || done)
            return code;
        count_test(&tries);
    }
}

int
MPI_Waitsome(int count, MPI_Request *requests, int *done, int *indices, MPI_Status *statuses)
{
    int tries = 0, code;

    for (;;) {
        /* *done is MPI_UNDEFINED, not 0, if no request is active. */
        code = PMPI_Testsome(count, requests, done, indices, statuses);
        if (code != MPI_SUCCESS || *done != 0)
            return code;
        count_test(&tries);
    }
}

int
MPI_Probe(int source, int tag, MPI_Comm comm, MPI_Status *status)
{
    int found = 0, tries = 0, code;

    for (;;) {
        code = PMPI_Iprobe(source, tag, comm, &found, status);
        if (code != MPI_SUCCESS || found)
            return code;
        count_test(&tries);
    }
}

int
MPI_Mprobe(int source, int tag, MPI_Comm comm, MPI_Message *message, MPI_Status *status)
{
    int found = 0, tries = 0, code;

    for (;;) {
        code = PMPI_Improbe(source, tag, comm, &found, message, status);
        if (code != MPI_SUCCESS || found)
            return code;
        count_test(&tries);
    }
}

int
MPI_Barrier(MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(PMPI_Ibarrier(comm, &request), &request, MPI_STATUS_IGNORE);
}

/* ---- communicators ---- */

int
MPI_Comm_dup(MPI_Comm comm, MPI_Comm *copy)
{
    MPI_Request request;

    return wait_for(PMPI_Comm_idup(comm, copy, &request), &request, MPI_STATUS_IGNORE);
}

int
MPI_Comm_dup_with_info(MPI_Comm comm, MPI_Info info, MPI_Comm *copy)
{
    MPI_Request request;

    return wait_for(PMPI_Comm_idup_with_info(comm, info, copy, &request), &request, MPI_STATUS_IGNORE);
}

int
MPI_Comm_create(MPI_Comm comm, MPI_Group group, MPI_Comm *made)
{
    int code = MPI_Barrier(comm);

    return code == MPI_SUCCESS ? PMPI_Comm_create(comm, group, made) : code;
}

int
MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *made)
{
    int code = MPI_Barrier(comm);

    return code == MPI_SUCCESS ? PMPI_Comm_split(comm, color, key, made) : code;
}

int
MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *made)
{
    int code = MPI_Barrier(comm);

    return code == MPI_SUCCESS ? PMPI_Comm_split_type(comm, type, key, info, made) : code;
}

int
MPI_Finalize(void)
{
    int code = MPI_Barrier(MPI_COMM_WORLD);

    return code == MPI_SUCCESS ? PMPI_Finalize() : code;
}
