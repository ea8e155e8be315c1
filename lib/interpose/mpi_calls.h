/*
 * @file interpose/mpi_calls.h  The blocking calls that take counts, each as its nonblocking twin and a yielding wait.
 *
 * Included twice by mpi_yield.c: with CALL(name) = name and COUNT = int, and with CALL(name) = name_c and
 * COUNT = MPI_Count for the large-count calls of MPI 4; DISPL is the type of displacements. No include guard.
 */

/* ---- point to point ---- */

int
CALL(MPI_Send)(const void *buf, COUNT count, MPI_Datatype type, int dest, int tag, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Isend)(buf, count, type, dest, tag, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Ssend)(const void *buf, COUNT count, MPI_Datatype type, int dest, int tag, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Issend)(buf, count, type, dest, tag, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Rsend)(const void *buf, COUNT count, MPI_Datatype type, int dest, int tag, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Irsend)(buf, count, type, dest, tag, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Recv)(void *buf, COUNT count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Status *status)
{
    MPI_Request request;

    if (source == MPI_PROC_NULL) /* MPICH leaves the status of such a request unset */
        return CALL(PMPI_Recv)(buf, count, type, source, tag, comm, status);
    return finish(CALL(PMPI_Irecv)(buf, count, type, source, tag, comm, &request), &request, status);
}

int
CALL(MPI_Mrecv)(void *buf, COUNT count, MPI_Datatype type, MPI_Message *message, MPI_Status *status)
{
    MPI_Request request;

    if (*message == MPI_MESSAGE_NO_PROC)
        return CALL(PMPI_Mrecv)(buf, count, type, message, status);
    return finish(CALL(PMPI_Imrecv)(buf, count, type, message, &request), &request, status);
}

int
CALL(MPI_Sendrecv)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, int dest, int sendtag, void *recvbuf,
                   COUNT recvcount, MPI_Datatype recvtype, int source, int recvtag, MPI_Comm comm, MPI_Status *status)
{
    MPI_Request receive, send;
    int rc;

    if (source == MPI_PROC_NULL) {
        rc = CALL(MPI_Send)(sendbuf, sendcount, sendtype, dest, sendtag, comm);
        return rc == MPI_SUCCESS ? CALL(PMPI_Recv)(recvbuf, recvcount, recvtype, source, recvtag, comm, status) : rc;
    }
    rc = CALL(PMPI_Irecv)(recvbuf, recvcount, recvtype, source, recvtag, comm, &receive);
    if (rc != MPI_SUCCESS)
        return rc;
    rc = CALL(PMPI_Isend)(sendbuf, sendcount, sendtype, dest, sendtag, comm, &send);
    return finish_pair(rc, &receive, &send, status);
}

int
CALL(MPI_Sendrecv_replace)(void *buf, COUNT count, MPI_Datatype type, int dest, int sendtag, int source, int recvtag,
                           MPI_Comm comm, MPI_Status *status)
{
    COUNT size = 0, position = 0;
    void *packed = NULL;
    int rc = dest == MPI_PROC_NULL ? MPI_SUCCESS : CALL(PMPI_Pack_size)(count, type, comm, &size);

    if (rc != MPI_SUCCESS)
        return rc;
    packed = malloc(size > 0 ? (size_t)size : 1);
    if (!packed)
        return out_of_memory(comm);
    if (dest != MPI_PROC_NULL)
        rc = CALL(PMPI_Pack)(buf, count, type, packed, size, &position, comm);
    if (rc == MPI_SUCCESS)
        rc = CALL(MPI_Sendrecv)(packed, position, MPI_PACKED, dest, sendtag, buf, count, type, source, recvtag, comm,
                                status);
    free(packed);
    return rc;
}

/* ---- one to all, all to one ---- */

int
CALL(MPI_Bcast)(void *buf, COUNT count, MPI_Datatype type, int root, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ibcast)(buf, count, type, root, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Reduce)(const void *sendbuf, void *recvbuf, COUNT count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ireduce)(sendbuf, recvbuf, count, type, op, root, comm, &request), &request,
                  MPI_STATUS_IGNORE);
}

int
CALL(MPI_Gather)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                 MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Igather)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, root, comm, &request),
                  &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Gatherv)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, const COUNT *recvcounts,
                  const DISPL *displs, MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    MPI_Request request;

    return finish(
        CALL(PMPI_Igatherv)(sendbuf, sendcount, sendtype, recvbuf, recvcounts, displs, recvtype, root, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Scatter)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                  MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Iscatter)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, root, comm, &request),
                  &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Scatterv)(const void *sendbuf, const COUNT *sendcounts, const DISPL *displs, MPI_Datatype sendtype,
                   void *recvbuf, COUNT recvcount, MPI_Datatype recvtype, int root, MPI_Comm comm)
{
    MPI_Request request;

    return finish(
        CALL(PMPI_Iscatterv)(sendbuf, sendcounts, displs, sendtype, recvbuf, recvcount, recvtype, root, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

/* ---- all to all ---- */

int
CALL(MPI_Allreduce)(const void *sendbuf, void *recvbuf, COUNT count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Iallreduce)(sendbuf, recvbuf, count, type, op, comm, &request), &request,
                  MPI_STATUS_IGNORE);
}

int
CALL(MPI_Allgather)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                    MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Iallgather)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm, &request),
                  &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Allgatherv)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf,
                     const COUNT *recvcounts, const DISPL *displs, MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return finish(
        CALL(PMPI_Iallgatherv)(sendbuf, sendcount, sendtype, recvbuf, recvcounts, displs, recvtype, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Alltoall)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                   MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ialltoall)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm, &request),
                  &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Alltoallv)(const void *sendbuf, const COUNT *sendcounts, const DISPL *sdispls, MPI_Datatype sendtype,
                    void *recvbuf, const COUNT *recvcounts, const DISPL *rdispls, MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ialltoallv)(sendbuf, sendcounts, sdispls, sendtype, recvbuf, recvcounts, rdispls, recvtype,
                                        comm, &request),
                  &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Alltoallw)(const void *sendbuf, const COUNT *sendcounts, const DISPL *sdispls, const MPI_Datatype *sendtypes,
                    void *recvbuf, const COUNT *recvcounts, const DISPL *rdispls, const MPI_Datatype *recvtypes,
                    MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ialltoallw)(sendbuf, sendcounts, sdispls, sendtypes, recvbuf, recvcounts, rdispls,
                                        recvtypes, comm, &request),
                  &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Reduce_scatter)(const void *sendbuf, void *recvbuf, const COUNT *recvcounts, MPI_Datatype type, MPI_Op op,
                         MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ireduce_scatter)(sendbuf, recvbuf, recvcounts, type, op, comm, &request), &request,
                  MPI_STATUS_IGNORE);
}

int
CALL(MPI_Reduce_scatter_block)(const void *sendbuf, void *recvbuf, COUNT recvcount, MPI_Datatype type, MPI_Op op,
                               MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ireduce_scatter_block)(sendbuf, recvbuf, recvcount, type, op, comm, &request), &request,
                  MPI_STATUS_IGNORE);
}

/* ---- prefixes ---- */

int
CALL(MPI_Scan)(const void *sendbuf, void *recvbuf, COUNT count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Iscan)(sendbuf, recvbuf, count, type, op, comm, &request), &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Exscan)(const void *sendbuf, void *recvbuf, COUNT count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Iexscan)(sendbuf, recvbuf, count, type, op, comm, &request), &request, MPI_STATUS_IGNORE);
}

/* ---- neighbours ---- */

int
CALL(MPI_Neighbor_allgather)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf,
                             COUNT recvcount, MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return finish(
        CALL(PMPI_Ineighbor_allgather)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Neighbor_allgatherv)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf,
                              const COUNT *recvcounts, const DISPL *displs, MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ineighbor_allgatherv)(sendbuf, sendcount, sendtype, recvbuf, recvcounts, displs, recvtype,
                                                  comm, &request),
                  &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Neighbor_alltoall)(const void *sendbuf, COUNT sendcount, MPI_Datatype sendtype, void *recvbuf, COUNT recvcount,
                            MPI_Datatype recvtype, MPI_Comm comm)
{
    MPI_Request request;

    return finish(
        CALL(PMPI_Ineighbor_alltoall)(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm, &request),
        &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Neighbor_alltoallv)(const void *sendbuf, const COUNT *sendcounts, const DISPL *sdispls, MPI_Datatype sendtype,
                             void *recvbuf, const COUNT *recvcounts, const DISPL *rdispls, MPI_Datatype recvtype,
                             MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ineighbor_alltoallv)(sendbuf, sendcounts, sdispls, sendtype, recvbuf, recvcounts, rdispls,
                                                 recvtype, comm, &request),
                  &request, MPI_STATUS_IGNORE);
}

int
CALL(MPI_Neighbor_alltoallw)(const void *sendbuf, const COUNT *sendcounts, const MPI_Aint *sdispls,
                             const MPI_Datatype *sendtypes, void *recvbuf, const COUNT *recvcounts,
                             const MPI_Aint *rdispls, const MPI_Datatype *recvtypes, MPI_Comm comm)
{
    MPI_Request request;

    return finish(CALL(PMPI_Ineighbor_alltoallw)(sendbuf, sendcounts, sdispls, sendtypes, recvbuf, recvcounts, rdispls,
                                                 recvtypes, comm, &request),
                  &request, MPI_STATUS_IGNORE);
}
