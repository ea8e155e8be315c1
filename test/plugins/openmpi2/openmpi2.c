/* A library that is linked with openmpi_middle, which is linked with Open MPI: see openmpi2.libs. */
#define STUB_NAME "openmpi2"
#include "../stub.h"
