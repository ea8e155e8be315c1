/* Ranks agree on the outcome of a step. */
#include "pluginhost/agree.h"
#include "base/error.h"

int
alchi_host_agree(MPI_Comm comm, int code, alch_error_t *err)
{
    int rank, size, mine, first;

    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    mine = code ? rank : size;
    if (MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, comm) != MPI_SUCCESS)
        return alchi_error_set(err, ALCH_EINTERNAL, "MPI_Allreduce failed");
    if (first == size)
        return ALCH_OK;
    if (rank == first) {
        err->code = code;
        err->rank = rank;
    }
    if (MPI_Bcast(err, (int)sizeof(*err), MPI_BYTE, first, comm) != MPI_SUCCESS)
        return alchi_error_set(err, ALCH_EINTERNAL, "MPI_Bcast failed");
    return err->code;
}
