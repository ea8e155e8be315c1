/* Needs Open MPI itself: see openmpi1.libs. */
#define STUB_NAME "openmpi1"
#include "../stub.h"
