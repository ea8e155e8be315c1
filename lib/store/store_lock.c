/* Who uses a matrix: the locks of tasks. */
#include "store/store_impl.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

int
alchi_store_error_busy(const alchi_store_t *store, const alchi_store_part_t *part, alch_error_t *err)
{
    char what[128];

    return alchi_error_rank(err, ALCH_EBUSY, store->rank, "%s is read by task %llu (%s)",
                            alchi_store_part_describe(part, what, sizeof what), (unsigned long long)part->task,
                            part->task_name);
}

static void
set_holder(alchi_store_part_t *part, const alchi_store_hold_t *hold)
{
    part->task = hold ? hold->task : 0;
    snprintf(part->task_name, sizeof part->task_name, "%s", hold ? hold->name : "");
}

int
alchi_store_lock(alchi_store_t *store, uint64_t task, const char *task_name, const uint64_t *ids, size_t count,
                 alch_error_t *err)
{
    alchi_store_hold_t *hold = calloc(1, sizeof *hold + count * sizeof(hold->entries[0]));
    int rc = ALCH_OK;

    if (!hold)
        return alchi_error_rank(err, ALCH_ENOMEM, store->rank, "out of memory");
    hold->task = task;
    snprintf(hold->name, sizeof hold->name, "%s", task_name ? task_name : "");
    pthread_mutex_lock(&store->mutex);
    for (; hold->count < count; hold->count++) {
        alchi_store_entry_t *entry = alchi_store_find(store, ids[hold->count]);

        if (!entry) {
            rc = alchi_store_error_unknown(store, ids[hold->count], err);
            break;
        }
        hold->entries[hold->count] = entry;
    }
    if (!rc) {
        for (size_t k = 0; k < count; k++) {
            alchi_store_part_t *part = &hold->entries[k]->part;

            part->references++;
            part->readers++;
            set_holder(part, hold);
        }
        DL_APPEND(store->holds, hold);
    }
    pthread_mutex_unlock(&store->mutex);
    if (rc)
        free(hold);
    return rc;
}

static const alchi_store_hold_t *
holder(alchi_store_t *store, const alchi_store_entry_t *entry)
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
        alchi_store_part_t *part = &hold->entries[k]->part;

        part->readers--;
        set_holder(part, part->readers > 0 ? holder(store, hold->entries[k]) : NULL);
    }
    pthread_mutex_unlock(&store->mutex);
    for (size_t k = 0; k < hold->count; k++)
        alchi_store_release(store, &hold->entries[k]->part);
    free(hold);
}

int
alchi_store_may_write(alchi_store_t *store, const alchi_store_part_t *part, alch_error_t *err)
{
    int rc = ALCH_OK;

    pthread_mutex_lock(&store->mutex);
    if (part->dead)
        rc = alchi_store_error_unknown(store, part->id, err);
    else if (part->readers > 0)
        rc = alchi_store_error_busy(store, part, err);
    pthread_mutex_unlock(&store->mutex);
    return rc;
}
