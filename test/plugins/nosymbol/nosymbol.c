/* A library that exports a symbol of the wrong name. */
#define STUB_NAME "nosymbol"
#define STUB_SYMBOL alch_plugging
#include "../stub.h"
