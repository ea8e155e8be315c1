/* Transforms: tasks that need no library. They create a matrix from another one. */
#include "base/error.h"
#include "base/types.h"
#include "pluginhost/call.h"
#include "pluginhost/exchange.h"
#include "wire/layout_message.h"
#include "wire/value.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    alchi_host_plugins_t *plugins;
    const Alchw__WorkerTransform *request;
    alchi_store_part_t *from, *to;
    Alchw__WorkerTaskDone *done;
} transform_t;

static void
report_progress(void *context, double fraction)
{
    const transform_t *t = context;
    const alchi_host_plugins_env_t *env = &t->plugins->env;

    if (env->progress)
        env->progress(env->context, t->request->task, fraction, "");
}

/* The steps that this rank does without the others. The ranks agree on their outcome before the exchange. */
static int
prepare_parts(transform_t *t, alch_error_t *err)
{
    const Alchw__Matrix *result = t->request->result;
    const alch_layout_t layout = alchi_wire_layout_in(result->layout);
    alchi_store_t *store = t->plugins->env.store;
    int code = alchi_store_acquire(store, t->request->matrix, &t->from, err);
    int64_t m, n;

    if (code)
        return code;
    m = t->request->transpose ? t->from->layout.n : t->from->layout.m;
    n = t->request->transpose ? t->from->layout.m : t->from->layout.n;
    if (result->rows != m || result->cols != n)
        return alchi_error_set(err, ALCH_EPROTO,
                               "the transform of matrix %llu is %lld x %lld, but the driver expects %lld x %lld",
                               (unsigned long long)t->request->matrix, (long long)m, (long long)n,
                               (long long)result->rows, (long long)result->cols);
    code = alchi_dtype_check_conversion(t->from->dtype, (alch_dtype_t)result->dtype, t->request->unsafe, err);
    if (!code)
        code = alchi_store_reserve_unset(store, m, n, (alch_dtype_t)result->dtype, &layout, &t->to, err);
    if (!code)
        snprintf(t->to->name, sizeof(t->to->name), "%s", result->name ? result->name : "");
    return code;
}

static int
build_reply(transform_t *t, alch_error_t *err)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_MATRIX, false);
    Alchw__WorkerTaskDone *done = malloc(sizeof(*done));

    if ((t->done = done)) {
        alchw__worker_task_done__init(done);
        done->results = calloc(1, sizeof(*done->results));
        done->matrices = calloc(1, sizeof(*done->matrices));
    }
    if (!value || !done || !done->results || !done->matrices || alchi_value_add_u(value, t->request->result->id) ||
        !(done->matrices[0] = alchi_host_part_message(t->to, t->request->result->id))) {
        alchi_message_free(value);
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for a task");
    }
    done->n_matrices = 1;
    if (!(done->results[0] = alchi_named_create("B", value)))
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for a task");
    done->n_results = 1;
    return ALCH_OK;
}

/* Put the result into the store, after all ranks have filled their parts. */
static int
publish_result(const transform_t *t, alch_error_t *err)
{
    alchi_store_t *store = t->plugins->env.store;

    alchi_store_part_mark_written(t->to);
    return t->request->in_place ? alchi_store_replace(store, t->from, t->to, err)
                                : alchi_store_set_id(store, t->to, t->request->result->id, err);
}

int
alchi_host_transform(alchi_host_plugins_t *plugins, const Alchw__WorkerTransform *request, const atomic_bool *cancel,
                     Alchw__WorkerTaskDone **done_p, alch_error_t *err)
{
    transform_t t = {plugins, request, NULL, NULL, NULL};
    const alchi_host_exchange_t options = {
        request->transpose, request->conjugate, request->unsafe, cancel, report_progress, &t, 0};
    alch_error_t error = {ALCH_OK, -1, ""};
    int code = prepare_parts(&t, &error);

    if (!code)
        alchi_store_part_set_version(t.to, request->result->version);
    if (!code)
        code = build_reply(&t, &error);
    code = alchi_host_agree(plugins->comm, code, &error);
    if (!code)
        code = alchi_host_exchange(plugins->comm, plugins->env.store, t.from, t.to, &options, &error);
    if (!code)
        code = publish_result(&t, &error);
    alchi_store_release(plugins->env.store, t.from);
    alchi_store_release(plugins->env.store, t.to);
    if (!code) {
        *done_p = t.done;
        return ALCH_OK;
    }
    alchi_message_free(t.done);
    if (err)
        *err = error;
    return code;
}
