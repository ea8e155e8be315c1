/* Built for another version of the interface. */
#define STUB_NAME "wrongabi"
#define STUB_ABI (ALCH_PLUGIN_ABI + 1)
#include "../stub.h"
