/* A library whose description names another MPI than that of the workers. */
#define STUB_NAME "wrongmpi"
#define STUB_BUILD                                                                                                  \
    {                                                                                                               \
        (uint32_t)sizeof(size_t), (uint32_t)sizeof(MPI_Comm), (uint32_t)sizeof(MPI_Status), MPI_VERSION, "Open MPI" \
    }
#include "../stub.h"
