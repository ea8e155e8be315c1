/* A library that calls itself by another name than its file has. */
#define STUB_NAME "another"
#include "../stub.h"
