/**
 * @file test/mpi/harness.h
 * Common parts of the MPI tests: a store and a plugin host on each rank, test matrices, calls of operations, and
 * checks.
 *
 * The ranks do not fork. A check that fails counts as a failure of its rank and the test continues, so that all ranks
 * still make the same collective calls. harness_fini() adds up the failures of all ranks: they return the same exit
 * code.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "wire/value.h"
#include "pluginhost/plugins.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int rank, size;
    int failures;  /* of this rank */
    char *dirs[2]; /* the libraries of the build, and those of the tests */
    alchi_store_t *store;
    alchi_host_plugins_t *plugins;
    uint64_t next_id, tasks;
    atomic_bool cancel; /* of every call */
    alch_error_t error; /* of the last CHECK_CODE() */
    int progress_calls;
    char progress_text[256];
} harness_t;

static harness_t h;

/* CHECK(condition, format, ...): the text explains a failure. */
#define CHECK(condition, ...)                                                                              \
    do {                                                                                                   \
        if (!(condition)) {                                                                                \
            h.failures++;                                                                                  \
            fprintf(stderr, "%s:%d: rank %d of %d: %s: ", __FILE__, __LINE__, h.rank, h.size, #condition); \
            fprintf(stderr, __VA_ARGS__);                                                                  \
            fprintf(stderr, "\n");                                                                         \
        }                                                                                                  \
    } while (0)

/* Check what a call that writes h.error returns. */
#define CHECK_CODE(call, expected)                                                                                \
    do {                                                                                                          \
        int check_got_;                                                                                           \
        memset(&h.error, 0, sizeof(h.error));                                                                     \
        check_got_ = (call);                                                                                      \
        CHECK(check_got_ == (expected), "%s instead of %s: %s", alch_errname(check_got_), alch_errname(expected), \
              h.error.text);                                                                                      \
    } while (0)

/* Check that the error of the last CHECK_CODE() contains a text. */
#define CHECK_TEXT(part) CHECK(strstr(h.error.text, part), "'%s' lacks '%s'", h.error.text, part)

static void
note_progress(void *context, uint64_t task, double fraction, const char *text)
{
    (void)context;
    (void)task;
    (void)fraction;
    h.progress_calls++;
    snprintf(h.progress_text, sizeof(h.progress_text), "%s", text);
}

/* Initialize MPI and create store and plugin host. argv[1] is the output folder of the build; memory_limit is in bytes,
 * 0: none. */
static inline void
harness_init(int *argc, char ***argv, int64_t memory_limit)
{
    alchi_host_plugins_env_t env;
    int provided;

    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &h.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &h.size);
    if (*argc < 2) {
        fprintf(stderr, "usage: %s output-folder\n", (*argv)[0]);
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    alchi_log_init("test", ALCHI_LOG_WARNING);
    h.dirs[0] = alchi_asprintf("%s/plugins", (*argv)[1]);
    h.dirs[1] = alchi_asprintf("%s/test/plugins", (*argv)[1]);
    h.next_id = 1;
    h.store = alchi_store_create(h.rank, h.size, memory_limit);
    env = (alchi_host_plugins_env_t){
        .store = h.store, .comm = MPI_COMM_WORLD, .dirs = h.dirs, .dir_count = 2, .progress = note_progress};
    h.plugins = alchi_host_plugins_create(&env);
}

/* Free everything and end MPI. @return the exit code of the test, the same on all ranks */
static inline int
harness_fini(void)
{
    int failures = 0;

    alchi_host_plugins_destroy(h.plugins);
    alchi_store_destroy(h.store);
    free(h.dirs[0]);
    free(h.dirs[1]);
    MPI_Allreduce(&h.failures, &failures, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Entry (i, j) of a test matrix. */
typedef double entry_f(int64_t i, int64_t j, const void *context);

/* Set the entry at offset `at` of a part. A complex entry is x - x i. */
static inline void
set_entry(const alchi_store_part_t *part, int64_t at, double x)
{
    switch (part->dtype) {
    case ALCH_FLOAT64:
        ((double *)part->data)[at] = x;
        break;
    case ALCH_FLOAT32:
        ((float *)part->data)[at] = (float)x;
        break;
    case ALCH_INT64:
        ((int64_t *)part->data)[at] = (int64_t)x;
        break;
    case ALCH_INT32:
        ((int32_t *)part->data)[at] = (int32_t)x;
        break;
    case ALCH_COMPLEX64:
        ((float *)part->data)[2 * at] = (float)x;
        ((float *)part->data)[2 * at + 1] = (float)-x;
        break;
    case ALCH_COMPLEX128:
        ((double *)part->data)[2 * at] = x;
        ((double *)part->data)[2 * at + 1] = -x;
        break;
    }
}

/* Create a matrix whose entries all count as written. @return its id */
static inline uint64_t
make_matrix(int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout, entry_f *entry, const void *context)
{
    uint64_t id = h.next_id++;
    alchi_store_part_t *part = NULL;

    CHECK_CODE(alchi_store_reserve(h.store, id, m, n, dtype, layout, "test", &part, &h.error), ALCH_OK);
    for (int64_t j = 0; j < part->local_n; j++)
        for (int64_t i = 0; i < part->local_m; i++)
            set_entry(part, i + j * part->lld,
                      entry(alchi_axis_global(&part->rows, i), alchi_axis_global(&part->cols, j), context));
    alchi_store_part_mark_written(part);
    alchi_store_release(h.store, part);
    return id;
}

static inline void
free_matrix(uint64_t id)
{
    CHECK_CODE(alchi_store_free(h.store, id, &h.error), ALCH_OK);
}

/* This rank's part of a matrix, with a reference for the caller. */
static inline alchi_store_part_t *
acquire_part(uint64_t id)
{
    alchi_store_part_t *part = NULL;

    CHECK_CODE(alchi_store_acquire(h.store, id, &part, &h.error), ALCH_OK);
    if (!part)
        MPI_Abort(MPI_COMM_WORLD, 3);
    return part;
}

/* Release a part that acquire_part() returned, and free its matrix. */
static inline void
drop_part(alchi_store_part_t *part, uint64_t id)
{
    alchi_store_release(h.store, part);
    free_matrix(id);
}

/* Gather the real parts of a matrix as doubles on every rank, column-major. The caller frees the result. */
static inline double *
gather(uint64_t id, int64_t *m_p, int64_t *n_p)
{
    alchi_store_part_t *part = acquire_part(id);
    double *mine, *all;
    size_t count;

    *m_p = part->layout.m;
    *n_p = part->layout.n;
    count = (size_t)(*m_p * *n_p);
    mine = calloc(count + 1, sizeof(*mine));
    all = calloc(count + 1, sizeof(*all));
    for (int64_t j = 0; j < part->local_n; j++) {
        for (int64_t i = 0; i < part->local_m; i++) {
            int64_t at = i + j * part->lld;
            int64_t to = alchi_axis_global(&part->rows, i) + alchi_axis_global(&part->cols, j) * *m_p;

            if (part->replica != 0)
                continue;
            switch (part->dtype) {
            case ALCH_FLOAT64:
                mine[to] = ((double *)part->data)[at];
                break;
            case ALCH_FLOAT32:
                mine[to] = ((float *)part->data)[at];
                break;
            case ALCH_INT64:
                mine[to] = (double)((int64_t *)part->data)[at];
                break;
            case ALCH_INT32:
                mine[to] = ((int32_t *)part->data)[at];
                break;
            case ALCH_COMPLEX64:
                mine[to] = ((float *)part->data)[2 * at];
                break;
            case ALCH_COMPLEX128:
                mine[to] = ((double *)part->data)[2 * at];
                break;
            }
        }
    }
    MPI_Allreduce(mine, all, (int)count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    alchi_store_release(h.store, part);
    free(mine);
    return all;
}

/* Call an operation. The arguments are checked as the driver checks them, and are freed here. */
static inline int
call_with(const char *name, const char *function, alch_error_t *err, Alchw__NamedValue **given, size_t count,
          Alchw__WorkerTaskDone **done_p)
{
    Alchw__WorkerTask task = ALCHW__WORKER_TASK__INIT;
    const Alchw__Function *found = NULL;
    Alchw__Library *library = NULL;
    int code = alchi_host_plugins_load(h.plugins, name, "", &library, err);

    *done_p = NULL;
    for (size_t k = 0; !code && k < library->n_functions; k++)
        if (strcmp(library->functions[k]->name, function) == 0)
            found = library->functions[k];
    task.task = ++h.tasks;
    task.library = (char *)name;
    task.function = (char *)function;
    task.first_result_id = h.next_id;
    h.next_id += 8;
    if (!code && found) {
        task.n_arguments = found->n_parameters;
        code = alchi_arguments_check(name, found, given, count, &task.arguments, err);
    }
    if (!code)
        code = alchi_host_plugins_call(h.plugins, &task, &h.cancel, done_p, err);
    for (size_t k = 0; task.arguments && k < task.n_arguments; k++)
        alchi_message_free(task.arguments[k]);
    free(task.arguments);
    alchi_message_free(library);
    for (size_t k = 0; k < count; k++)
        alchi_message_free(given[k]);
    return code;
}

static inline Alchw__NamedValue *
arg_i(const char *name, int64_t x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_INT64, false);

    alchi_value_add_i(value, x);
    return alchi_named_create(name, value);
}

static inline Alchw__NamedValue *
arg_d(const char *name, double x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_FLOAT64, false);

    alchi_value_add_d(value, x);
    return alchi_named_create(name, value);
}

static inline Alchw__NamedValue *
arg_s(const char *name, const char *x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_STRING, false);

    alchi_value_add_s(value, x);
    return alchi_named_create(name, value);
}

static inline Alchw__NamedValue *
arg_m(const char *name, uint64_t id)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_MATRIX, false);

    alchi_value_add_u(value, id);
    return alchi_named_create(name, value);
}

/* The number of arguments in a list. */
#define COUNT_OF(...) (sizeof((Alchw__NamedValue *[]){__VA_ARGS__}) / sizeof(Alchw__NamedValue *))
/* Call an operation with arguments: call("TestLib", "greet", &done, arg_i("i8", 3), ...). call0() has none. */
#define call(library, function, done_p, ...) \
    call_with(library, function, &h.error, (Alchw__NamedValue *[]){__VA_ARGS__}, COUNT_OF(__VA_ARGS__), done_p)
#define call0(library, function, done_p) call_with(library, function, &h.error, NULL, 0, done_p)

/* Find a result by its name. NULL: there is none. */
static inline const Alchw__Value *
result(const Alchw__WorkerTaskDone *done, const char *name)
{
    for (size_t k = 0; done && k < done->n_results; k++)
        if (strcmp(done->results[k]->name, name) == 0)
            return done->results[k]->value;
    return NULL;
}

#endif
