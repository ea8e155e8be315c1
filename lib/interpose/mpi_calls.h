/**
 * @file interpose/mpi_calls.h
 * The blocking calls of MPI that take counts. Each one makes the nonblocking call and waits for it with yields.
 *
 * mpi_yield.c includes this file twice. CALL(name) is the name of a call, COUNT the type of its counts and DISPL the
 * type of its displacements: first name and int, then name_c, MPI_Count and MPI_Aint for the large-count calls of
 * MPI 4. No include guard may be added.
 */

/* ---- point to point ---- */

int
CALL(MPI_Send)(const void *buf, COUNT count, MPI_Datatype type, int dest, int tag, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Isend)(buf, count, type, dest, tag, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Ssend)(const void *buf, COUNT count, MPI_Datatype type, int dest, int tag, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Issend)(buf, count, type, dest, tag, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Rsend)(const void *buf, COUNT count, MPI_Datatype type, int dest, int tag, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Irsend)(buf, count, type, dest, tag, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Recv)(void *buf, COUNT count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Status *status)
{
    MPI_Request request;

    if (source == MPI_PROC_NULL) /* MPICH does not set the status of such a request */
        return CALL(PMPI_Recv)(buf, count, type, source, tag, comm, status);
    return wait_for(CALL(PMPI_Irecv)(buf, count, type, source, tag, comm, &request), &request, status);
}

int
CALL(MPI_Mrecv)(void *buf, COUNT count, MPI_Datatype type, MPI_Message *message, MPI_Status *status)
{
    MPI_Request request;

    if (*message == MPI_MESSAGE_NO_PROC)
        return CALL(PMPI_Mrecv)(buf, count, type, message, status);
    return wait_for(CALL(PMPI_Imrecv)(buf, count, type, message, &request), &request, status);
}

int
CALL(MPI_Sendrecv)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, int dest, int sendtag, void *recvbuf,
                   COUNT recvcount, MPI_Datatype recvtype, int source, int recvtag, MPI_Comm comm, MPI_Status *status)
{
    MPI_Request receive, send;
    int code;

    if (source == MPI_PROC_NULL) {
        code = CALL(MPI_Send)(sendbuf, sendcount, sendtype, dest, sendtag, comm);
        return code == MPI_SUCCESS ? CALL(PMPI_Recv)(recvbuf, recvcount, recvtype, source, recvtag, comm, status)
                                   : code;
    }
    code = CALL(PMPI_Irecv)(recvbuf, recvcount, recvtype, source, recvtag, comm, &receive);
    if (code != MPI_SUCCESS)
        return code;
    code = CALL(PMPI_Isend)(sendbuf, sendcount, sendtype, dest, sendtag, comm, &send);
    return wait_for_pair(code, &receive, &send, status);
}

int
CALL(MPI_Sendrecv_replace)(void *buf, COUNT count, MPI_Datatype type, int dest, int sendtag, int source, int recvtag,
                           MPI_Comm comm, MPI_Status *status)
{
    COUNT size = 0, position = 0;
    void *packed = NULL;
    int code = dest == MPI_PROC_NULL ? MPI_SUCCESS : CALL(PMPI_Pack_size)(count, type, comm, &size);

    if (code != MPI_SUCCESS)
        return code;
    packed = malloc(size > 0 ? (size_t)size : 1);
    if (!packed)
        return raise_no_memory(comm);
    if (dest != MPI_PROC_NULL)
        code = CALL(PMPI_Pack)(buf, count, type, packed, size, &position, comm);
    if (code == MPI_SUCCESS)
        code = CALL(MPI_Sendrecv)(packed, position, MPI_PACKED, dest, sendtag, buf, count, type, source, recvtag, comm,
                                  status);
    free(packed);
    return code;
}

/* ---- one to all, all to one ---- */

int
CALL(MPI_Bcast)(void *buf, COUNT count, MPI_Datatype type, int root, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ibcast)(buf, count, type, root, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Reduce)(const void *sendbuf, void *recvbuf, COUNT count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ireduce)(sendbuf, recvbuf, count, type, op, root, comm, &request), &request,
                    MPI_STATUS_IGNORE);
}

int
CALL(MPI_Gather)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                 MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(
        CALL(PMPI_Igather)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, root, comm, &request), &request,
        MPI_STATUS_IGNORE);
}

int
CALL(MPI_Gatherv)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, const COUNT *recvcounts,
                  const DISPL *displs, MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(
        CALL(PMPI_Igatherv)(sendbuf, sendcount, sendtype, recvbuf, recvcounts, displs, recvtype, root, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Scatter)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                  MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(
        CALL(PMPI_Iscatter)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, root, comm, &request), &request,
        MPI_STATUS_IGNORE);
}

int
CALL(MPI_Scatterv)(const void *sendbuf, const COUNT *sendcounts, const DISPL *displs, MPI_Datatype sendtype,
                   void *recvbuf, COUNT recvcount, MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(
        CALL(PMPI_Iscatterv)(sendbuf, sendcounts, displs, sendtype, recvbuf, recvcount, recvtype, root, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

/* ---- all to all ---- */

int
CALL(MPI_Allreduce)(const void *sendbuf, void *recvbuf, COUNT count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Iallreduce)(sendbuf, recvbuf, count, type, op, comm, &request), &request,
                    MPI_STATUS_IGNORE);
}

int
CALL(MPI_Allgather)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                    MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Iallgather)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm, &request),
                    &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Allgatherv)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf,
                     const COUNT *recvcounts, const DISPL *displs, MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(
        CALL(PMPI_Iallgatherv)(sendbuf, sendcount, sendtype, recvbuf, recvcounts, displs, recvtype, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Alltoall)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                   MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ialltoall)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm, &request),
                    &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Alltoallv)(const void *sendbuf, const COUNT *sendcounts, const DISPL *sdispls, MPI_Datatype sendtype,
                    void *recvbuf, const COUNT *recvcounts, const DISPL *rdispls, MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ialltoallv)(sendbuf, sendcounts, sdispls, sendtype, recvbuf, recvcounts, rdispls,
                                          recvtype, comm, &request),
                    &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Alltoallw)(const void *sendbuf, const COUNT *sendcounts, const DISPL *sdispls, const MPI_Datatype *sendtypes,
                    void *recvbuf, const COUNT *recvcounts, const DISPL *rdispls, const MPI_Datatype *recvtypes,
                    MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ialltoallw)(sendbuf, sendcounts, sdispls, sendtypes, recvbuf, recvcounts, rdispls,
                                          recvtypes, comm, &request),
                    &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Reduce_scatter)(const void *sendbuf, void *recvbuf, const COUNT *recvcounts, MPI_Datatype type, MPI_Op op,
                         MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ireduce_scatter)(sendbuf, recvbuf, recvcounts, type, op, comm, &request), &request,
                    MPI_STATUS_IGNORE);
}

int
CALL(MPI_Reduce_scatter_block)(const void *sendbuf, void *recvbuf, COUNT recvcount, MPI_Datatype type, MPI_Op op,
                               MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ireduce_scatter_block)(sendbuf, recvbuf, recvcount, type, op, comm, &request), &request,
                    MPI_STATUS_IGNORE);
}

/* ---- prefixes ---- */

int
CALL(MPI_Scan)(const void *sendbuf, void *recvbuf, COUNT count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Iscan)(sendbuf, recvbuf, count, type, op, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Exscan)(const void *sendbuf, void *recvbuf, COUNT count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Iexscan)(sendbuf, recvbuf, count, type, op, comm, &request), &request, MPI_STATUS_IGNORE);
}

/* ---- neighbors ---- */

int
CALL(MPI_Neighbor_allgather)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf,
                             COUNT recvcount, MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(
        CALL(PMPI_Ineighbor_allgather)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Neighbor_allgatherv)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf,
                              const COUNT *recvcounts, const DISPL *displs, MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ineighbor_allgatherv)(sendbuf, sendcount, sendtype, recvbuf, recvcounts, displs, recvtype,
                                                    comm, &request),
                    &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Neighbor_alltoall)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                            MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(
        CALL(PMPI_Ineighbor_alltoall)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Neighbor_alltoallv)(const void *sendbuf, const COUNT *sendcounts, const DISPL *sdispls, MPI_Datatype sendtype,
                             void *recvbuf, const COUNT *recvcounts, const DISPL *rdispls, MPI_Datatype recvtype,
                             MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ineighbor_alltoallv)(sendbuf, sendcounts, sdispls, sendtype, recvbuf, recvcounts, rdispls,
                                                   recvtype, comm, &request),
                    &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Neighbor_alltoallw)(const void *sendbuf, const COUNT *sendcounts, const MPI_Aint *sdispls,
                             const MPI_Datatype *sendtypes, void *recvbuf, const COUNT *recvcounts,
                             const MPI_Aint *rdispls, const MPI_Datatype *recvtypes, MPI_Comm comm)
{
    MPI_Request request;

    return wait_for(CALL(PMPI_Ineighbor_alltoallw)(sendbuf, sendcounts, sdispls, sendtypes, recvbuf, recvcounts,
                                                   rdispls, recvtypes, comm, &request),
                    &request, MPI_STATUS_IGNORE);
}
