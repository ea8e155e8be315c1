/* hello: the template of a library for the workers. To write a library, copy this folder, rename the folder and the
 * file, and replace the operations. <alchemist/plugin.h> documents every service that is used below, and many more.
 *
 * The plugin host calls an operation on all ranks of a session's group at once, as mpiexec.mpich calls main() of an MPI
 * program. `call->comm` is a communicator that only this library uses. `call->host` is the table of services:
 * arguments, results, matrices, errors, progress. */
#include <alchemist/plugin.h>

#include <stdio.h>

/* Every rank sets the scalar results; the client receives those of rank 0. */
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

/* Each rank adds up its own entries; MPI_Allreduce() adds up the sums of the ranks. */
static int
total(alch_call_t *call)
{
    alch_block_t block; /* this rank's part of A: column-major, leading dimension lld */
    double mine = 0, sum = 0;

    call->host->matrix_block(call->host->arg_matrix(call, "A"), &block);
    /* The host has checked the arguments against the signature, but `matrix` allows entries of any type. All ranks see
     * the same type, so either all of them return here or none does, and no rank waits for another in MPI_Allreduce().
     */
    if (block.dtype != ALCH_FLOAT64)
        return call->host->fail(call, ALCH_ETYPE, "total: the entries of A must be float64");
    /* In a replicated layout several ranks hold the same entries; only replica 0 counts them. */
    for (int64_t j = 0; block.replica == 0 && j < block.local_n; j++)
        for (int64_t i = 0; i < block.local_m; i++)
            mine += ((const double *)block.data)[i + j * block.lld];
    MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, call->comm);
    return call->host->ret_real(call, "sum", sum);
}

/* Each row: name, summary, signature, documentation, flags, function. Types in a signature have NumPy's names; a
 * parameter with a default is optional. Clients show the documentation to their users: a line "name: text" describes
 * the parameter or the result of that name. */
static const alch_operation_t operations[] = {
    {"hello", "Return a greeting from all workers.", "name:string=\"world\" -> greeting:string",
     "name: the name to greet\ngreeting: names the number of workers and the host of the first worker\n", 0, hello},
    {"total", "Compute the sum of all entries of a matrix.", "A:matrix -> sum:float64",
     "A: float64, in any layout\nsum: each worker adds up its entries, then the workers add up their sums\n", 0, total},
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

/* The only symbol that a library exports; <alchemist/plugin.h> declares it. */
const alch_plugin_t *
alch_plugin(void)
{
    return &plugin;
}
