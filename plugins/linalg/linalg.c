/* linalg: dense linear algebra over ScaLAPACK, with the names and conventions of NumPy and SciPy. */
#include "spectral.h"

#include <string.h>

#define OPERATIONS_MAX 64

/* The manual page lists the operations in this order. */
static const linalg_operations_t *const tables[] = {
    &linalg_product_operations, &linalg_sum_operations,      &linalg_norm_operations,        &linalg_lu_operations,
    &linalg_inverse_operations, &linalg_cholesky_operations, &linalg_qr_operations,          &linalg_lstsq_operations,
    &linalg_eigen_operations,   &linalg_svd_operations,      &linalg_cond_operations,        &linalg_rsvd_operations,
    &linalg_pca_operations,     &linalg_expm_operations,     &linalg_unsupported_operations,
};

const alch_plugin_t *
alch_plugin(void)
{
    static alch_operation_t operations[OPERATIONS_MAX];
    static alch_plugin_t plugin = {
        .struct_size = sizeof(alch_plugin_t),
        .abi = ALCH_PLUGIN_ABI,
        .build = ALCH_PLUGIN_BUILD,
        .name = "linalg",
        .version = "1.0",
        .summary = "Dense linear algebra over ScaLAPACK, with the names and conventions of NumPy and SciPy.",
        .operations = operations,
    };

    if (plugin.operation_count)
        return &plugin;
    for (size_t k = 0; k < sizeof(tables) / sizeof(*tables); k++) {
        size_t room = OPERATIONS_MAX - plugin.operation_count;
        size_t count = tables[k]->count < room ? tables[k]->count : room;

        memcpy(operations + plugin.operation_count, tables[k]->operations, count * sizeof(*operations));
        plugin.operation_count += count;
    }
    return &plugin;
}
