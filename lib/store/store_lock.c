/* The locks of tasks: while a task reads a matrix, clients cannot change it. */
#include "store/store_impl.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

int
alchi_store_error_busy(const alchi_store_t *store, const alchi_store_entry_t *entry, alch_error_t *err)
{
    char what[128];

    return alchi_error_rank(err, ALCH_EBUSY, store->rank, "%s is read by task %llu (%s)",
                            alchi_store_part_describe(&entry->part, what, sizeof(what)),
                            (unsigned long long)entry->task, entry->task_name);
}

/* Set the task that errors name. `hold` NULL: no task holds the matrix. */
static void
set_named_task(alchi_store_entry_t *entry, const alchi_store_hold_t *hold)
{
    entry->task = hold ? hold->task : 0;
    snprintf(entry->task_name, sizeof(entry->task_name), "%s", hold ? hold->name : "");
}

int
alchi_store_lock(alchi_store_t *store, uint64_t task, const char *task_name, const uint64_t *ids, size_t count,
                 alch_error_t *err)
{
    alchi_store_hold_t *hold = calloc(1, sizeof(*hold) + count * sizeof(hold->entries[0]));
    int code = ALCH_OK;

    if (!hold)
        return alchi_error_rank(err, ALCH_ENOMEM, store->rank, "%s is out of memory", store->label);
    hold->task = task;
    snprintf(hold->name, sizeof(hold->name), "%s", task_name ? task_name : "");
    pthread_mutex_lock(&store->mutex);
    for (; hold->count < count; hold->count++) {
        alchi_store_entry_t *entry = alchi_store_find(store, ids[hold->count]);

        if (!entry) {
            code = alchi_store_error_unknown(store, ids[hold->count], err);
            break;
        }
        hold->entries[hold->count] = entry;
    }
    if (!code) {
        for (size_t k = 0; k < count; k++) {
            alchi_store_entry_t *entry = hold->entries[k];

            entry->part.references++;
            entry->readers++;
            set_named_task(entry, hold);
        }
        DL_APPEND(store->holds, hold);
    }
    pthread_mutex_unlock(&store->mutex);
    if (code)
        free(hold);
    return code;
}

/* @return the first lock that has an entry, or NULL. The caller holds the mutex. */
static const alchi_store_hold_t *
find_hold(alchi_store_t *store, const alchi_store_entry_t *entry)
{
    const alchi_store_hold_t *hold;

    DL_FOREACH(store->holds, hold)
    {
        for (size_t k = 0; k < hold->count; k++)
            if (hold->entries[k] == entry)
                return hold;
    }
    return NULL;
}

void
alchi_store_unlock(alchi_store_t *store, uint64_t task)
{
    alchi_store_hold_t *hold;

    pthread_mutex_lock(&store->mutex);
    DL_SEARCH_SCALAR(store->holds, hold, task, task);
    if (!hold) {
        pthread_mutex_unlock(&store->mutex);
        return;
    }
    DL_DELETE(store->holds, hold);
    for (size_t k = 0; k < hold->count; k++) {
        alchi_store_entry_t *entry = hold->entries[k];

        entry->readers--;
        set_named_task(entry, entry->readers > 0 ? find_hold(store, entry) : NULL);
    }
    pthread_mutex_unlock(&store->mutex);
    for (size_t k = 0; k < hold->count; k++)
        alchi_store_release(store, &hold->entries[k]->part);
    free(hold);
}

int
alchi_store_may_write(alchi_store_t *store, const alchi_store_part_t *part, alch_error_t *err)
{
    const alchi_store_entry_t *entry = alchi_store_entry_of(part);
    int code = ALCH_OK;

    pthread_mutex_lock(&store->mutex);
    if (entry->freed)
        code = alchi_store_error_unknown(store, part->id, err);
    else if (entry->readers > 0)
        code = alchi_store_error_busy(store, entry, err);
    pthread_mutex_unlock(&store->mutex);
    return code;
}
