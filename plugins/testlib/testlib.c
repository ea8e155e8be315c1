/* TestLib: the library of the examples. */
#include "testlib.h"

static const alch_operation_t operations[] = {
    {"greet", "Gives every scalar argument back as it came.", testlib_greet_signature, testlib_greet_doc, 0,
     testlib_greet},
    {"truncated_svd", "The largest singular values of a matrix, with their singular vectors.",
     "A:matrix, rank:int64 -> S:matrix, U:matrix, V:matrix",
     "A is approximated by U diag(S) V^T. The values are computed by Lanczos iteration on the smaller side of A\n"
     "(ARPACK), with products distributed over the workers; when nearly all values are asked for, when A is small,\n"
     "and when a value is below 1e-6 times the largest, by a dense decomposition (ScaLAPACK).\n"
     "Each value is accurate to 1e-8 of itself, or to 1e-12 of the largest, whichever is more.\n\n"
     "A: m x n, float64 or float32 (computed in float64), in any layout\n"
     "rank: how many values, 1 to min(m, n)\n"
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
    .summary = "Test functions: an echo of all scalar types and a truncated SVD.",
    .operations = operations,
    .operation_count = sizeof(operations) / sizeof(*operations),
};

const alch_plugin_t *
alch_plugin(void)
{
    return &plugin;
}
