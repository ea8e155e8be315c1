/* A library that was built for the next version of the plugin interface. */
#define STUB_NAME "wrongabi"
#define STUB_ABI (ALCH_PLUGIN_ABI + 1)
#include "../stub.h"
