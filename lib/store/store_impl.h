/**
 * @file store/store_impl.h
 * What the files of the store share.
 */
#ifndef ALCHI_STORE_STORE_IMPL_H
#define ALCHI_STORE_STORE_IMPL_H

#include "base/util.h"
#include "store/store.h"

#include <uthash.h>
#include <utlist.h>

typedef struct alchi_store_entry {
    alchi_store_part_t part;
    int64_t bytes;
    bool growing;      /* nobody has a reference, and whoever wants one waits */
    UT_hash_handle hh; /* in `named` while the id is known */
    struct alchi_store_entry *prev, *next;
} alchi_store_entry_t;

/* What a task, running or queued, reads. */
typedef struct alchi_store_hold {
    uint64_t task;
    char name[64];
    struct alchi_store_hold *prev, *next;
    size_t count;
    alchi_store_entry_t *entries[];
} alchi_store_hold_t;

struct alchi_store {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* references went, or a matrix has grown */
    int rank, size;
    int64_t limit, used;
    char label[48];
    alchi_store_entry_t *named;
    alchi_store_entry_t *all;
    alchi_store_hold_t *holds;
};

static inline alchi_store_entry_t *
alchi_store_entry_of(const alchi_store_part_t *part)
{
    return ALCHI_CONTAINER(part, alchi_store_entry_t, part);
}

/** The entry of an id, or NULL. The caller holds the store's mutex. */
static inline alchi_store_entry_t *
alchi_store_find(alchi_store_t *store, uint64_t id)
{
    alchi_store_entry_t *entry;

    HASH_FIND(hh, store->named, &id, sizeof id, entry);
    return entry;
}

/** "matrix 7 'A' (60000 x 784, float64)"; returns text. */
char *alchi_store_part_describe(const alchi_store_part_t *part, char *text, size_t size);

/** ALCH_ENOENT: there is no such matrix. */
int alchi_store_error_unknown(const alchi_store_t *store, uint64_t id, alch_error_t *err);
/** ALCH_EBUSY naming the task that reads it. The caller holds the store's mutex. */
int alchi_store_error_busy(const alchi_store_t *store, const alchi_store_part_t *part, alch_error_t *err);

#endif
