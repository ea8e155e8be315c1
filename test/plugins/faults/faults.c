/* Operations that misbehave in the ways in which a library can, and small operations for the tests of tasks. */
#include <alchemist/plugin.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXHAUST_BYTES (256 << 20)
#define SENT_COUNT (1 << 17)

/* Whether this rank is the one that misbehaves. */
static bool
is_chosen_rank(alch_call_t *call)
{
    return call->host->arg_int(call, "rank") == call->rank;
}

/* The other ranks wait in a collective, as they would in the middle of a computation. */
static int
wait_for_all(alch_call_t *call)
{
    MPI_Barrier(call->comm);
    return ALCH_OK;
}

static int
nothing(alch_call_t *call)
{
    (void)call;
    return ALCH_OK;
}

/* Send as BLACS does: the sender does not wait until its message is received, and its part of the operation ends long
 * before that. */
static int
send_and_leave(alch_call_t *call)
{
    static double numbers[SENT_COUNT];
    int code = ALCH_OK;

    if (call->rank == 0) {
        usleep(300000); /* the function of the sender returns in this time */
        MPI_Recv(numbers, SENT_COUNT, MPI_DOUBLE, call->size - 1, 0, call->comm, MPI_STATUS_IGNORE);
        code = numbers[SENT_COUNT - 1] == call->size ? ALCH_OK : ALCH_EINTERNAL;
    } else if (call->rank == call->size - 1) {
        MPI_Request request;

        numbers[SENT_COUNT - 1] = call->size;
        MPI_Isend(numbers, SENT_COUNT, MPI_DOUBLE, 0, 0, call->comm, &request);
        MPI_Request_free(&request);
    }
    return code;
}

static int
raise_segv(alch_call_t *call)
{
    if (is_chosen_rank(call)) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    return wait_for_all(call);
}

static int
exit_process(alch_call_t *call)
{
    if (is_chosen_rank(call))
        _exit((int)call->host->arg_int(call, "code"));
    return wait_for_all(call);
}

static int
abort_mpi(alch_call_t *call)
{
    if (is_chosen_rank(call))
        MPI_Abort(MPI_COMM_WORLD, (int)call->host->arg_int(call, "code"));
    return wait_for_all(call);
}

static int
kill_self(alch_call_t *call)
{
    if (is_chosen_rank(call))
        raise(SIGKILL);
    return wait_for_all(call);
}

static int
print_and_abort(alch_call_t *call)
{
    if (is_chosen_rank(call)) {
        printf("%s\n", call->host->arg_string(call, "text"));
        fflush(stdout);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return wait_for_all(call);
}

/* The bytes of address space that this process uses now. */
static rlim_t
address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file) {
        if (fscanf(file, "%lu", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Allocate until there is no more memory and, like a careless library, do not check what malloc() returns. */
static int
exhaust(alch_call_t *call)
{
    if (is_chosen_rank(call)) {
        rlim_t end = address_space() + EXHAUST_BYTES;
        struct rlimit limit = {end, end};

        signal(SIGSEGV, SIG_DFL);
        setrlimit(RLIMIT_AS, &limit);
        for (;;) {
            volatile char *bytes = malloc(1 << 20);

            for (size_t k = 0; k < 1 << 20; k += 4096)
                bytes[k] = 1;
        }
    }
    return wait_for_all(call);
}

static int
fail_one(alch_call_t *call)
{
    if (is_chosen_rank(call))
        return call->host->fail(call, ALCH_EFUNCTION, "%s", call->host->arg_string(call, "text"));
    return wait_for_all(call);
}

static int
fail_all(alch_call_t *call)
{
    return call->host->fail(call, ALCH_EFUNCTION, "%s", call->host->arg_string(call, "text"));
}

static int
fail_agreed(alch_call_t *call)
{
    int code = is_chosen_rank(call) ? ALCH_ENUMERIC : ALCH_OK;

    return call->host->agree(call, code, "%s", call->host->arg_string(call, "text"));
}

static int
fail_unknown(alch_call_t *call)
{
    (void)call;
    return 4711;
}

/* Return a result, then fail. The result must not remain. */
static int
fail_late(alch_call_t *call)
{
    alch_dmatrix_t *matrix;
    int code = call->host->matrix_create(call, 10, 10, ALCH_FLOAT64, NULL, &matrix);

    if (!code)
        code = call->host->ret_matrix(call, "X", matrix);
    return code ? code : call->host->fail(call, ALCH_EFUNCTION, "fail_late fails after it has returned X");
}

static int
misuse(alch_call_t *call)
{
    (void)call->host->arg_int(call, "absent");
    return ALCH_OK;
}

/* Work for a while, and ask in between whether the task is canceled. */
static int
busy(alch_call_t *call)
{
    double seconds = call->host->arg_real(call, "seconds"), start = MPI_Wtime(), now;
    int again = 1;

    while (again) {
        now = MPI_Wtime() - start;
        call->host->progress(call, seconds > 0 ? now / seconds : 1, "%.1f of %.1f s", now, seconds);
        if (call->host->cancelled(call))
            return call->host->fail(call, ALCH_ECANCELED, "busy was canceled after %.1f s", now);
        usleep(5000); /* leaves the processor to the other processes of the test */
        /* The clocks of the ranks differ, but all ranks must leave the loop together: rank 0 decides. */
        again = MPI_Wtime() - start < seconds;
        MPI_Bcast(&again, 1, MPI_INT, 0, call->comm);
    }
    return call->host->ret_real(call, "seconds", MPI_Wtime() - start);
}

/* Work for a while without asking for a cancel. */
static int
spin(alch_call_t *call)
{
    double end = MPI_Wtime() + call->host->arg_real(call, "seconds");

    while (MPI_Wtime() < end)
        ;
    return ALCH_OK;
}

static int
lists(alch_call_t *call)
{
    const alch_host_t *host = call->host;
    int64_t ints[64];
    double reals[64];
    const char *texts[64];
    size_t counts[3] = {host->arg_count(call, "ints"), host->arg_count(call, "reals"), host->arg_count(call, "texts")};
    int code;

    for (int k = 0; k < 3; k++)
        if (counts[k] > 64)
            return host->fail(call, ALCH_ERANGE, "lists: a list has %zu entries, the limit is 64", counts[k]);
    for (size_t k = 0; k < counts[0]; k++)
        ints[k] = host->arg_int_at(call, "ints", k);
    for (size_t k = 0; k < counts[1]; k++)
        reals[k] = host->arg_real_at(call, "reals", k);
    for (size_t k = 0; k < counts[2]; k++)
        texts[k] = host->arg_string_at(call, "texts", k);
    if ((code = host->ret_ints(call, "ints", ints, counts[0])) ||
        (code = host->ret_reals(call, "reals", reals, counts[1])))
        return code;
    return host->ret_strings(call, "texts", texts, counts[2]);
}

/* Return a copy in the default layout. */
static int
copy(alch_call_t *call)
{
    alch_dmatrix_t *matrix;
    int code = call->host->matrix_relayout(call, call->host->arg_matrix(call, "A"), NULL, &matrix);

    return code ? code : call->host->ret_matrix(call, "B", matrix);
}

static int
huge_result(alch_call_t *call)
{
    alch_dmatrix_t *matrix;
    int code = call->host->matrix_create(call, INT64_C(1) << 28, INT64_C(1) << 18, ALCH_FLOAT64, NULL, &matrix);

    return code ? code : call->host->ret_matrix(call, "X", matrix);
}

static int
bad_range(alch_call_t *call)
{
    return call->host->ret_int(call, "x", 300);
}

static int
count(alch_call_t *call)
{
    int64_t *calls = call->host->state(call);

    return call->host->ret_int(call, "calls", ++*calls);
}

#define OPERATION(name, signature, function)                   \
    {                                                          \
#name, "A test operation.", signature, "", 0, function \
    }

static const alch_operation_t operations[] = {
    OPERATION(nothing, "", nothing),
    OPERATION(send_and_leave, "", send_and_leave),
    OPERATION(segv, "rank:int64=0", raise_segv),
    OPERATION(exit, "rank:int64=0, code:int64=3", exit_process),
    OPERATION(abort, "rank:int64=0, code:int64=7", abort_mpi),
    OPERATION(kill, "rank:int64=0", kill_self),
    OPERATION(print_and_abort, "text:string, rank:int64=0", print_and_abort),
    OPERATION(exhaust, "rank:int64=0", exhaust),
    OPERATION(fail_one, "text:string, rank:int64=0", fail_one),
    OPERATION(fail_all, "text:string", fail_all),
    OPERATION(fail_agreed, "text:string, rank:int64=0", fail_agreed),
    OPERATION(fail_unknown, "", fail_unknown),
    OPERATION(fail_late, "-> X:matrix", fail_late),
    OPERATION(misuse, "", misuse),
    OPERATION(busy, "seconds:float64=1.0 -> seconds:float64", busy),
    OPERATION(spin, "seconds:float64=1.0", spin),
    OPERATION(lists,
              "ints:int64[]=[], reals:float64[]=[], texts:string[]=[] -> ints:int64[], reals:float64[], "
              "texts:string[]",
              lists),
    OPERATION(copy, "A:matrix -> B:matrix", copy),
    OPERATION(huge_result, "-> X:matrix", huge_result),
    OPERATION(bad_range, "-> x:int8", bad_range),
    OPERATION(count, "-> calls:int64", count),
};

static int
init(alch_call_t *call)
{
    int64_t *calls = calloc(1, sizeof(*calls));

    call->host->set_state(call, calls);
    return call->host->agree(call, calls ? ALCH_OK : ALCH_ENOMEM, "the counter of calls cannot be allocated");
}

static void
fini(alch_call_t *call)
{
    free(call->host->state(call));
}

static const alch_plugin_t plugin = {
    .struct_size = sizeof(alch_plugin_t),
    .abi = ALCH_PLUGIN_ABI,
    .build = ALCH_PLUGIN_BUILD,
    .name = "faults",
    .version = "1.0",
    .summary = "Operations that misbehave.",
    .operations = operations,
    .operation_count = sizeof(operations) / sizeof(*operations),
    .init = init,
    .fini = fini,
};

const alch_plugin_t *
alch_plugin(void)
{
    return &plugin;
}
