/* A library that is linked with Open MPI: see openmpi1.libs. */
#define STUB_NAME "openmpi1"
#include "../stub.h"
