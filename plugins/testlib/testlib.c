/* TestLib: the library that the examples of the paper call. */
#include "testlib.h"

static const alch_operation_t operations[] = {
    {"greet", "Return every scalar argument unchanged.", testlib_greet_signature, testlib_greet_doc, 0, testlib_greet},
    {"truncated_svd", "Compute the largest singular values of a matrix and their singular vectors.",
     "A:matrix, rank:int64 -> S:matrix, U:matrix, V:matrix",
     "U diag(S) V^T approximates A. The method is a Lanczos iteration on the smaller side of A (ARPACK), with the\n"
     "products distributed over the workers. It is a dense decomposition (ScaLAPACK) if A is small, if rank is nearly\n"
     "the smaller side of A, or if one of the values is below 1e-6 times the largest.\n"
     "The error of each value is at most 1e-8 times the value or 1e-12 times the largest value, whichever is more.\n\n"
     "A: m x n, float64 or float32 (computed in float64), in any layout\n"
     "rank: the number of values, 1 to min(m, n)\n"
     "S: rank x 1, ascending\n"
     "U: m x rank, orthonormal columns; column i belongs to S[i]\n"
     "V: n x rank, orthonormal columns; column i belongs to S[i]\n",
     0, testlib_truncated_svd},
};

static const alch_plugin_t plugin = {
    .struct_size = sizeof(alch_plugin_t),
    .abi = ALCH_PLUGIN_ABI,
    .build = ALCH_PLUGIN_BUILD,
    .name = "TestLib",
    .version = "1.0",
    .summary = "The functions of the paper's examples: an echo of all scalar types and a truncated SVD.",
    .operations = operations,
    .operation_count = sizeof(operations) / sizeof(*operations),
};

const alch_plugin_t *
alch_plugin(void)
{
    return &plugin;
}
