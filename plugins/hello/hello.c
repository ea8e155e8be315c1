/* Hello: the template of a library for the workers. Copy this folder, rename it, and go on from here; every service
 * that is used below, and many more, are documented in <alchemist/plugin.h>.
 *
 * An operation runs on all workers of a session's group at once, like the main() of an MPI program. `call->comm` is
 * this library's own communicator; `call->host` has the services: arguments, results, matrices, errors, progress. */
#include <alchemist/plugin.h>

#include <stdio.h>

/* Scalar results are set on every rank; the client gets rank 0's. */
static int
hello(alch_call_t *call)
{
    char host[MPI_MAX_PROCESSOR_NAME], text[MPI_MAX_PROCESSOR_NAME + 256];
    int one = 1, workers = 0, length;

    MPI_Get_processor_name(host, &length);
    MPI_Allreduce(&one, &workers, 1, MPI_INT, MPI_SUM, call->comm);
    snprintf(text, sizeof(text), "Hello, %.200s, from %d worker%s on %s!", call->host->arg_string(call, "name"),
             workers, workers == 1 ? "" : "s", host);
    return call->host->ret_string(call, "greeting", text);
}

/* Each rank adds up the entries that it holds, and MPI adds up the ranks. */
static int
total(alch_call_t *call)
{
    alch_block_t block; /* this rank's part: column-major, leading dimension lld */
    double mine = 0, sum = 0;

    call->host->matrix_block(call->host->arg_matrix(call, "A"), &block);
    /* Arguments were checked against the signature, but a matrix may have entries of any type. All ranks see the same
     * type, so that all of them return here and none waits for another below. */
    if (block.dtype != ALCH_FLOAT64)
        return call->host->fail(call, ALCH_ETYPE, "total: the entries of A must be float64");
    /* In a replicated layout the other copies hold the same entries once more. */
    for (int64_t j = 0; block.replica == 0 && j < block.local_n; j++)
        for (int64_t i = 0; i < block.local_m; i++)
            mine += ((const double *)block.data)[i + j * block.lld];
    MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, call->comm);
    return call->host->ret_real(call, "sum", sum);
}

/* Name, summary, signature (types as in NumPy; a default makes a parameter optional), documentation, flags, function.
 * Clients show these texts: lines "name: text" become the description of a parameter or a result. */
static const alch_operation_t operations[] = {
    {"hello", "A greeting from all workers.", "name:string=\"world\" -> greeting:string",
     "name: whom to greet\ngreeting: says how many workers there are, and where\n", 0, hello},
    {"total", "The sum of all entries of a matrix.", "A:matrix -> sum:float64",
     "A: float64, in any layout\nsum: added up by each worker, then over the workers\n", 0, total},
};

static const alch_plugin_t plugin = {
    .struct_size = sizeof(alch_plugin_t),
    .abi = ALCH_PLUGIN_ABI,
    .build = ALCH_PLUGIN_BUILD,
    .name = "hello",
    .version = "1.0",
    .summary = "The template of a library: a greeting and a sum.",
    .operations = operations,
    .operation_count = sizeof(operations) / sizeof(*operations),
};

/* The one symbol that a library exports: plugin.h declares it. */
const alch_plugin_t *
alch_plugin(void)
{
    return &plugin;
}
