/* Executors in C: processes that attach to a session and write disjoint rows of one matrix.
 *
 *   executor write PROCESSES MATRIX   each process writes its share of the rows and ends
 *   executor hold PROCESSES MATRIX    each process writes its share and keeps its connections; when standard input
 *                                     ends, it writes its share once more
 *   executor loop PROCESSES MATRIX    each process writes its share again and again until standard input ends
 *   executor share THREADS MATRIX     one process opens a session for each thread and writes the shares one after
 *                                     another; when standard input ends, all threads write at once
 *
 * Entry (i, j) of the matrix is i * cols + j. In every mode but "write" the program prints "ready" when every share was
 * written once. The environment names the session: EXECUTOR_ADDRESS, EXECUTOR_SESSION, EXECUTOR_KEY.
 */
#include <alchemist/alchemist.h>

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    uint64_t matrix;
    int count;     /* number of writers */
    int ready, go; /* pipes: each writer sends a byte to `ready`; the writers continue when `go` is closed */
    char mode;     /* first letter of the mode */
} plan_t;

typedef struct {
    alch_session_t *session;
    alch_matrix_t *matrix;
    alch_rect_t rect;
    double *rows;
} writer_t;

/* Print an error and return its code. */
static int
print_error(const char *what, int code, const alch_error_t *err)
{
    fprintf(stderr, "%s: %s: %s\n", what, alch_errname(code), err->text);
    return code;
}

static const char *
setting(const char *name)
{
    const char *text = getenv(name);

    return text ? text : "";
}

static int
writer_open(writer_t *writer, const plan_t *plan, int index)
{
    alch_session_options_t options;
    alch_matrix_info_t info;
    alch_error_t err;
    int64_t first, next;
    int code;

    alch_session_options_init(&options);
    options.address = setting("EXECUTOR_ADDRESS");
    options.name = "executor";
    code = alch_session_attach(&options, strtoull(setting("EXECUTOR_SESSION"), NULL, 10), setting("EXECUTOR_KEY"),
                               &writer->session, &err);
    if (code != ALCH_OK)
        return print_error("attach", code, &err);
    if ((code = alch_matrix_open(writer->session, plan->matrix, &writer->matrix, &err)) != ALCH_OK)
        return print_error("open", code, &err);
    if ((code = alch_matrix_info(writer->matrix, &info, &err)) != ALCH_OK)
        return print_error("info", code, &err);
    first = info.rows * index / plan->count;
    next = info.rows * (index + 1) / plan->count;
    writer->rect = (alch_rect_t){first, 0, next - first, info.cols};
    writer->rows = malloc(sizeof(double) * (size_t)((next - first) * info.cols) + 1);
    for (int64_t k = 0; writer->rows && k < (next - first) * info.cols; k++)
        writer->rows[k] = (double)(first * info.cols + k);
    return writer->rows ? ALCH_OK : ALCH_ENOMEM;
}

static int
writer_write(const writer_t *writer)
{
    alch_error_t err;
    int code = alch_matrix_write(writer->matrix, &writer->rect, writer->rows, writer->rect.n, 1, &err);

    return code == ALCH_OK ? code : print_error("write", code, &err);
}

static void
writer_close(writer_t *writer)
{
    alch_matrix_destroy(writer->matrix);
    alch_session_destroy(writer->session);
    free(writer->rows);
}

/* Whether the parent has closed `go`, so that the writers continue. Does not wait. */
static bool
is_go_closed(int go)
{
    struct pollfd entry = {.fd = go, .events = POLLIN};

    return poll(&entry, 1, 0) == 1;
}

/* Write as the mode says, in this process. @return its exit code */
static int
run_process(const plan_t *plan, int index)
{
    writer_t writer = {0};
    int code = writer_open(&writer, plan, index);
    char byte = 0;

    if (code == ALCH_OK)
        code = writer_write(&writer);
    if (plan->mode != 'w' && write(plan->ready, &byte, 1) == 1 && code == ALCH_OK) {
        while (plan->mode == 'l' && code == ALCH_OK && !is_go_closed(plan->go))
            code = writer_write(&writer);
        if (code == ALCH_OK && read(plan->go, &byte, 1) == 0)
            code = writer_write(&writer);
    }
    writer_close(&writer);
    return code;
}

/* Print "ready" when all writers have reported, and let them continue when standard input ends. */
static void
direct_writers(const plan_t *plan, int ready, int go)
{
    char byte;
    int k = 0;

    while (k < plan->count && read(ready, &byte, 1) == 1)
        k++;
    puts(k == plan->count ? "ready" : "failed");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    close(go);
}

static int
run_processes(plan_t *plan)
{
    int ready[2], go[2], status, worst = 0;

    if (pipe(ready) || pipe(go))
        return ALCH_ESYSTEM;
    plan->ready = ready[1];
    plan->go = go[0];
    for (int k = 0; k < plan->count; k++) {
        pid_t pid = fork();
        if (pid == 0) {
            close(go[1]);
            _exit(run_process(plan, k));
        }
        if (pid < 0)
            return ALCH_ESYSTEM;
    }
    close(ready[1]);
    if (plan->mode != 'w')
        direct_writers(plan, ready[0], go[1]);
    while (wait(&status) > 0)
        worst = worst ? worst : WIFEXITED(status) ? WEXITSTATUS(status) : ALCH_ESYSTEM;
    return worst;
}

typedef struct {
    pthread_t thread;
    writer_t writer;
    int code;
} member_t;

static void *
write_five_times(void *argument)
{
    member_t *member = argument;

    for (int k = 0; k < 5 && member->code == ALCH_OK; k++)
        member->code = writer_write(&member->writer);
    return NULL;
}

/* Let all sessions write at once, each from its own thread. */
static int
write_together(member_t *members, int count)
{
    int code = ALCH_OK;

    for (int k = 0; k < count; k++)
        pthread_create(&members[k].thread, NULL, write_five_times, &members[k]);
    for (int k = 0; k < count; k++) {
        pthread_join(members[k].thread, NULL);
        code = code ? code : members[k].code;
    }
    return code;
}

static int
run_threads(const plan_t *plan)
{
    member_t *members = calloc((size_t)plan->count, sizeof(*members));
    int code = members ? ALCH_OK : ALCH_ENOMEM;
    char byte;

    for (int k = 0; k < plan->count && code == ALCH_OK; k++)
        code = writer_open(&members[k].writer, plan, k);
    for (int k = 0; k < plan->count && code == ALCH_OK; k++)
        code = writer_write(&members[k].writer);
    puts(code ? "failed" : "ready");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    if (code == ALCH_OK)
        code = write_together(members, plan->count);
    for (int k = 0; members && k < plan->count; k++)
        writer_close(&members[k].writer);
    free(members);
    return code;
}

int
main(int argc, char **argv)
{
    plan_t plan = {0};

    if (argc != 4) {
        fprintf(stderr, "usage: executor write|hold|loop|share COUNT MATRIX\n");
        return ALCH_EINVAL;
    }
    plan.mode = argv[1][0];
    plan.count = (int)strtol(argv[2], NULL, 10);
    plan.matrix = strtoull(argv[3], NULL, 10);
    return plan.mode == 's' ? run_threads(&plan) : run_processes(&plan);
}
