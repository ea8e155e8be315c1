/* Matrices from matrices, as tasks: what a client asks for without a library. */
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
    const Alchw__WorkerTransform *ask;
    alchi_store_part_t *from, *to;
    Alchw__WorkerTaskDone *done;
} transform_t;

static void
report(void *context, double fraction)
{
    const transform_t *t = context;
    const alchi_host_plugins_env_t *env = &t->plugins->env;

    if (env->progress)
        env->progress(env->context, t->ask->task, fraction, "");
}

/* Everything that can fail without the others, before they are met. */
static int
prepare(transform_t *t, alch_error_t *err)
{
    const Alchw__Matrix *result = t->ask->result;
    const alch_layout_t layout = alchi_wire_layout_in(result->layout);
    alchi_store_t *store = t->plugins->env.store;
    int code = alchi_store_acquire(store, t->ask->matrix, &t->from, err);
    int64_t m, n;

    if (code)
        return code;
    m = t->ask->transpose ? t->from->layout.n : t->from->layout.m;
    n = t->ask->transpose ? t->from->layout.m : t->from->layout.n;
    if (result->rows != m || result->cols != n)
        return alchi_error_set(err, ALCH_EPROTO, "matrix %llu does not become one of %lld x %lld",
                               (unsigned long long)t->ask->matrix, (long long)result->rows, (long long)result->cols);
    code = alchi_dtype_check_conversion(t->from->dtype, (alch_dtype_t)result->dtype, t->ask->unsafe, err);
    if (!code)
        code = alchi_store_reserve_unset(store, m, n, (alch_dtype_t)result->dtype, &layout, &t->to, err);
    if (!code)
        snprintf(t->to->name, sizeof(t->to->name), "%s", result->name ? result->name : "");
    return code;
}

static int
describe(transform_t *t, alch_error_t *err)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_MATRIX, false);
    Alchw__WorkerTaskDone *done = malloc(sizeof(*done));

    if ((t->done = done)) {
        alchw__worker_task_done__init(done);
        done->results = calloc(1, sizeof(*done->results));
        done->matrices = calloc(1, sizeof(*done->matrices));
    }
    if (!value || !done || !done->results || !done->matrices || alchi_value_add_u(value, t->ask->result->id) ||
        !(done->matrices[0] = alchi_host_part_message(t->to, t->ask->result->id))) {
        alchi_message_free(value);
        return alchi_error_set(err, ALCH_ENOMEM, "no memory for a task");
    }
    done->n_matrices = 1;
    if (!(done->results[0] = alchi_named_create("B", value)))
        return alchi_error_set(err, ALCH_ENOMEM, "no memory for a task");
    done->n_results = 1;
    return ALCH_OK;
}

/* All ranks have their part. */
static int
publish(const transform_t *t, alch_error_t *err)
{
    alchi_store_t *store = t->plugins->env.store;

    alchi_store_part_mark_written(t->to);
    return t->ask->in_place ? alchi_store_replace(store, t->from, t->to, err)
                            : alchi_store_set_id(store, t->to, t->ask->result->id, err);
}

int
alchi_host_transform(alchi_host_plugins_t *plugins, const Alchw__WorkerTransform *ask, const atomic_bool *cancel,
                     Alchw__WorkerTaskDone **done_p, alch_error_t *err)
{
    transform_t t = {plugins, ask, NULL, NULL, NULL};
    const alchi_host_exchange_t how = {ask->transpose, ask->conjugate, ask->unsafe, cancel, report, &t, 0};
    alch_error_t error = {ALCH_OK, -1, ""};
    int code = prepare(&t, &error);

    if (!code)
        alchi_store_part_set_version(t.to, ask->result->version);
    if (!code)
        code = describe(&t, &error);
    code = alchi_host_agree(plugins->comm, code, &error);
    if (!code)
        code = alchi_host_exchange(plugins->comm, plugins->env.store, t.from, t.to, &how, &error);
    if (!code)
        code = publish(&t, &error);
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
