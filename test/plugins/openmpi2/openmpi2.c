/* Needs a library that needs Open MPI: see openmpi2.libs. */
#define STUB_NAME "openmpi2"
#include "../stub.h"
