/* Calls itself by another name than its file. */
#define STUB_NAME "another"
#include "../stub.h"
