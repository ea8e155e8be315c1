/* Exports the wrong symbol. */
#define STUB_NAME "nosymbol"
#define STUB_SYMBOL alch_plugging
#include "../stub.h"
