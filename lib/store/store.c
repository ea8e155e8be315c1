/* The life of a matrix in the store: reserve, find, name, replace, free, and the memory limit. */
#include "store/store_impl.h"

#include "base/error.h"
#include "base/util.h"
#include "store/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *
alchi_store_part_describe(const alchi_store_part_t *part, char *text, size_t size)
{
    char matrix[96];
    const char *shape;

    alchi_format_matrix(part->id, part->layout.m, part->layout.n, part->dtype, matrix, sizeof(matrix));
    shape = strchr(matrix, '(');
    if (part->id == 0 && shape)
        snprintf(text, size, "work matrix %s", shape);
    else
        snprintf(text, size, "matrix %llu%s%.40s%s %s", (unsigned long long)part->id, part->name[0] ? " '" : "",
                 part->name, part->name[0] ? "'" : "", shape ? shape : "");
    alchi_utf8_clean(text); /* "%.40s" may have cut the name within a character */
    return text;
}

alchi_store_t *
alchi_store_create(int rank, int size, int64_t memory_limit)
{
    alchi_store_t *store = calloc(1, sizeof(*store));

    if (!store)
        return NULL;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->changed, NULL);
    store->rank = rank;
    store->size = size;
    store->limit = memory_limit;
    snprintf(store->label, sizeof(store->label), "worker rank %d", rank);
    return store;
}

void
alchi_store_set_slot(alchi_store_t *store, int slot)
{
    snprintf(store->label, sizeof(store->label), "worker %d (rank %d)", slot, store->rank);
}

static void
entry_destroy(alchi_store_entry_t *entry)
{
    alchi_store_mem_free(entry->part.data, (size_t)entry->bytes);
    alchi_region_destroy(entry->region);
    alchi_layout_fini(&entry->part.layout);
    pthread_mutex_destroy(&entry->mutex);
    free(entry);
}

void
alchi_store_destroy(alchi_store_t *store)
{
    alchi_store_entry_t *entry, *next;
    alchi_store_hold_t *hold, *next_hold;

    if (!store)
        return;
    HASH_CLEAR(hh, store->named);
    DL_FOREACH_SAFE(store->holds, hold, next_hold)
    {
        free(hold);
    }
    DL_FOREACH_SAFE(store->all, entry, next)
    {
        entry_destroy(entry);
    }
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

/* Count `bytes` more as used if the limit allows it; a negative number gives bytes back. The caller holds the mutex. */
static int
charge_memory(alchi_store_t *store, int64_t bytes, const char *what, alch_error_t *err)
{
    char need[32], left[32], limit[32];

    if (bytes > 0 && store->limit > 0 && bytes > store->limit - store->used) {
        int64_t free_bytes = store->limit > store->used ? store->limit - store->used : 0;

        return alchi_error_rank(err, ALCH_ELIMIT, store->rank, "%s: needs %s on %s, %s of %s are free (--memory-limit)",
                                what, alchi_format_bytes(bytes, need, sizeof(need)), store->label,
                                alchi_format_bytes(free_bytes, left, sizeof(left)),
                                alchi_format_bytes(store->limit, limit, sizeof(limit)));
    }
    if (bytes > INT64_MAX - store->used)
        return alchi_error_rank(err, ALCH_ELIMIT, store->rank, "%s: %lld bytes exceed what %s can count", what,
                                (long long)bytes, store->label);
    store->used += bytes;
    /* Blocks that are kept for reuse count against the limit too, but they never prevent an allocation: unmap those
     * that exceed what is left. */
    if (bytes > 0 && store->limit > 0)
        alchi_store_mem_trim((size_t)(store->limit - store->used));
    return ALCH_OK;
}

int
alchi_store_account(alchi_store_t *store, int64_t bytes, const char *what, alch_error_t *err)
{
    int code;

    pthread_mutex_lock(&store->mutex);
    code = charge_memory(store, bytes, what, err);
    pthread_mutex_unlock(&store->mutex);
    return code;
}

int64_t
alchi_store_used(alchi_store_t *store)
{
    int64_t used;

    pthread_mutex_lock(&store->mutex);
    used = store->used;
    pthread_mutex_unlock(&store->mutex);
    return used;
}

/* Create an entry with the shape of the part. The part has no memory yet, and the entry is not in any list. */
static int
entry_create(alchi_store_t *store, uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
             const char *name, alchi_store_entry_t **entry_p, alch_error_t *err)
{
    alchi_store_entry_t *entry = calloc(1, sizeof(*entry));
    alchi_store_part_t *part;
    char what[128];
    int code;

    if (!entry)
        return alchi_error_rank(err, ALCH_ENOMEM, store->rank, "%s is out of memory", store->label);
    part = &entry->part;
    code = alchi_layout_init(&part->layout, m, n, store->size, layout, err);
    if (code) {
        free(entry);
        return code;
    }
    pthread_mutex_init(&entry->mutex, NULL);
    part->id = id;
    part->dtype = dtype;
    part->entry = alch_dtype_size(dtype);
    snprintf(part->name, sizeof(part->name), "%s", name ? name : "");
    part->replica = part->row = part->col = -1;
    part->rows = part->cols = (alchi_axis_t){1, 1, 0};
    if (alchi_layout_place(&part->layout, store->rank, &part->replica, &part->row, &part->col))
        alchi_layout_axes(&part->layout, part->row, part->col, &part->rows, &part->cols);
    alchi_layout_local(&part->layout, store->rank, &part->local_m, &part->local_n);
    part->lld = part->local_m > 1 ? part->local_m : 1;
    if (!alchi_mul_int64(part->local_m, part->local_n, &entry->bytes) ||
        !alchi_mul_int64(entry->bytes, (int64_t)part->entry, &entry->bytes)) {
        entry->bytes = 0;
        code = alchi_error_rank(err, ALCH_ELIMIT, store->rank, "%s is too large for %s",
                                alchi_store_part_describe(part, what, sizeof(what)), store->label);
        entry_destroy(entry);
        return code;
    }
    *entry_p = entry;
    return ALCH_OK;
}

static void
uncharge_memory(alchi_store_t *store, int64_t bytes)
{
    pthread_mutex_lock(&store->mutex);
    store->used -= bytes;
    pthread_mutex_unlock(&store->mutex);
}

/* Account for the memory of an entry, then allocate it. After a failure no memory is accounted for. */
static int
entry_allocate(alchi_store_t *store, alchi_store_entry_t *entry, bool zeroed, alch_error_t *err)
{
    alchi_store_part_t *part = &entry->part;
    char what[128], need[32];
    int code;

    alchi_store_part_describe(part, what, sizeof(what));
    code = alchi_store_account(store, entry->bytes, what, err);
    if (code) {
        entry->bytes = 0;
        return code;
    }
    entry->region = alchi_region_create(part->local_m, part->local_n);
    if (entry->bytes > 0)
        part->data =
            zeroed ? alchi_store_mem_alloc((size_t)entry->bytes) : alchi_store_mem_alloc_unset((size_t)entry->bytes);
    if (!entry->region || (entry->bytes > 0 && !part->data)) {
        uncharge_memory(store, entry->bytes);
        return alchi_error_rank(err, ALCH_ENOMEM, store->rank, "%s cannot allocate %s for %s", store->label,
                                alchi_format_bytes(entry->bytes, need, sizeof(need)), what);
    }
    return ALCH_OK;
}

static int
error_id_exists(const alchi_store_t *store, uint64_t id, alch_error_t *err)
{
    return alchi_error_rank(err, ALCH_EINVAL, store->rank, "matrix %llu already exists on %s", (unsigned long long)id,
                            store->label);
}

static int
reserve_part(alchi_store_t *store, uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
             const char *name, bool zeroed, alchi_store_part_t **part_p, alch_error_t *err)
{
    alchi_store_entry_t *entry = NULL;
    int code;

    if (id == 0 && !part_p)
        return alchi_error_rank(err, ALCH_EINVAL, store->rank,
                                "a work matrix (id 0) needs a caller that takes its reference");
    if (m < 0 || n < 0 || alch_dtype_size(dtype) == 0)
        return alchi_error_rank(err, ALCH_EINVAL, store->rank, "matrix %llu cannot have %lld x %lld entries of type %d",
                                (unsigned long long)id, (long long)m, (long long)n, (int)dtype);
    code = entry_create(store, id, m, n, dtype, layout, name, &entry, err);
    if (code)
        return code;
    code = entry_allocate(store, entry, zeroed, err);
    if (code) {
        entry_destroy(entry);
        return code;
    }
    pthread_mutex_lock(&store->mutex);
    if (id && alchi_store_find(store, id)) {
        store->used -= entry->bytes;
        code = error_id_exists(store, id, err);
    } else {
        if (id)
            HASH_ADD(hh, store->named, part.id, sizeof(entry->part.id), entry);
        entry->part.references = (id ? 1 : 0) + (part_p ? 1 : 0);
        DL_APPEND(store->all, entry);
    }
    pthread_mutex_unlock(&store->mutex);
    if (code) {
        entry_destroy(entry);
        return code;
    }
    if (part_p)
        *part_p = &entry->part;
    return ALCH_OK;
}

int
alchi_store_reserve(alchi_store_t *store, uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype,
                    const alch_layout_t *layout, const char *name, alchi_store_part_t **part_p, alch_error_t *err)
{
    /* Without part_p the matrix is for a client. The data server sends only entries that were written, so the memory is
     * not zeroed. */
    return reserve_part(store, id, m, n, dtype, layout, name, part_p || !id, part_p, err);
}

int
alchi_store_reserve_unset(alchi_store_t *store, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
                          alchi_store_part_t **part_p, alch_error_t *err)
{
    return reserve_part(store, 0, m, n, dtype, layout, "", false, part_p, err);
}

int
alchi_store_set_id(alchi_store_t *store, alchi_store_part_t *part, uint64_t id, alch_error_t *err)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);
    int code = ALCH_OK;

    pthread_mutex_lock(&store->mutex);
    if (id == 0 || part->id != 0) {
        code = alchi_error_rank(
            err, ALCH_EINVAL, store->rank,
            "matrix %llu cannot get the id %llu: only a matrix without an id gets one, and it is not 0",
            (unsigned long long)part->id, (unsigned long long)id);
    } else if (alchi_store_find(store, id)) {
        code = error_id_exists(store, id, err);
    } else {
        part->id = id;
        part->references++;
        HASH_ADD(hh, store->named, part.id, sizeof(entry->part.id), entry);
    }
    pthread_mutex_unlock(&store->mutex);
    return code;
}

/* Drop one reference. The caller holds the mutex. @return the entry if that was its last reference: the caller unlocks
 * the mutex and passes it to destroy_unused_entry(). NULL if the entry has other references */
static alchi_store_entry_t *
drop_reference(alchi_store_t *store, alchi_store_entry_t *entry)
{
    if (--entry->part.references > 0) {
        pthread_cond_broadcast(&store->changed);
        return NULL;
    }
    DL_DELETE(store->all, entry);
    return entry;
}

/* The memory counts as used until it has been freed. NULL is allowed. */
static void
destroy_unused_entry(alchi_store_t *store, alchi_store_entry_t *entry)
{
    int64_t bytes;

    if (!entry)
        return;
    bytes = entry->bytes;
    entry_destroy(entry);
    uncharge_memory(store, bytes);
}

void
alchi_store_release(alchi_store_t *store, alchi_store_part_t *part)
{
    alchi_store_entry_t *unused;

    if (!part)
        return;
    pthread_mutex_lock(&store->mutex);
    unused = drop_reference(store, alchi_store_entry_of(part));
    pthread_mutex_unlock(&store->mutex);
    destroy_unused_entry(store, unused);
}

int
alchi_store_replace(alchi_store_t *store, alchi_store_part_t *old, alchi_store_part_t *part, alch_error_t *err)
{
    alchi_store_entry_t *before = alchi_store_entry_of(old), *after = alchi_store_entry_of(part), *unused = NULL;
    int code = ALCH_OK;

    pthread_mutex_lock(&store->mutex);
    if (before->freed || old->id == 0 || part->id != 0) {
        code = alchi_store_error_unknown(store, old->id, err);
    } else {
        HASH_DEL(store->named, before);
        before->freed = true;
        unused = drop_reference(store, before);
        part->id = old->id;
        part->references++;
        HASH_ADD(hh, store->named, part.id, sizeof(after->part.id), after);
    }
    pthread_mutex_unlock(&store->mutex);
    destroy_unused_entry(store, unused);
    return code;
}

int
alchi_store_error_unknown(const alchi_store_t *store, uint64_t id, alch_error_t *err)
{
    return alchi_error_rank(err, ALCH_ENOENT, store->rank, "%s has no matrix %llu", store->label,
                            (unsigned long long)id);
}

int
alchi_store_free(alchi_store_t *store, uint64_t id, alch_error_t *err)
{
    alchi_store_entry_t *entry, *unused = NULL;
    int code = ALCH_OK;

    pthread_mutex_lock(&store->mutex);
    entry = alchi_store_find(store, id);
    if (!entry) {
        code = alchi_store_error_unknown(store, id, err);
    } else if (entry->readers > 0) {
        code = alchi_store_error_busy(store, entry, err);
    } else {
        HASH_DEL(store->named, entry);
        entry->freed = true;
        unused = drop_reference(store, entry);
    }
    pthread_mutex_unlock(&store->mutex);
    destroy_unused_entry(store, unused);
    return code;
}

int
alchi_store_acquire(alchi_store_t *store, uint64_t id, alchi_store_part_t **part_p, alch_error_t *err)
{
    alchi_store_entry_t *entry;
    int code = ALCH_OK;

    pthread_mutex_lock(&store->mutex);
    while ((entry = alchi_store_find(store, id)) && entry->growing)
        pthread_cond_wait(&store->changed, &store->mutex);
    if (entry) {
        entry->part.references++;
        *part_p = &entry->part;
    } else {
        code = alchi_store_error_unknown(store, id, err);
    }
    pthread_mutex_unlock(&store->mutex);
    return code;
}
