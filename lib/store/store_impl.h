/**
 * @file store/store_impl.h
 * The structs and helpers that only the files of the store use.
 *
 * Two kinds of mutex guard a store. The store's mutex guards the lists, the references and the locks of tasks. The
 * mutex of an entry guards its set of written entries. Growth replaces the set without it, because no other thread has
 * a reference then. No thread locks the mutex of an entry while it holds the store's mutex.
 */
#ifndef ALCHI_STORE_STORE_IMPL_H
#define ALCHI_STORE_STORE_IMPL_H

#include "base/util.h"
#include "layout/region.h"
#include "store/store.h"

#include <pthread.h>
#include <uthash.h>
#include <utlist.h>

typedef struct alchi_store_entry {
    alchi_store_part_t part;
    int64_t bytes; /* of part.data */

    pthread_mutex_t mutex;  /* guards region */
    alchi_region_t *region; /* the local entries that are written */

    /* guarded by the store's mutex */
    bool freed;    /* its id is forgotten; it lives until the last reference is released */
    bool growing;  /* only its id has a reference, and alchi_store_acquire() waits */
    int readers;   /* locks of tasks, running or queued */
    uint64_t task; /* one of these tasks, named in errors; 0: no task has a lock */
    char task_name[64];
    UT_hash_handle hh; /* in `named` while it can be found by its id */
    struct alchi_store_entry *prev, *next;
} alchi_store_entry_t;

/* The matrices that a task, running or queued, has locked. */
typedef struct alchi_store_hold {
    uint64_t task;
    char name[64];
    struct alchi_store_hold *prev, *next;
    size_t count;
    alchi_store_entry_t *entries[]; /* with a reference each */
} alchi_store_hold_t;

struct alchi_store {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a reference was dropped, or a matrix has grown */
    int rank, size;
    int64_t limit, used; /* bytes; limit 0: no limit */
    char label[48];      /* how errors name this rank */
    alchi_store_entry_t *named;
    alchi_store_entry_t *all;
    alchi_store_hold_t *holds;
};

static inline alchi_store_entry_t *
alchi_store_entry_of(const alchi_store_part_t *part)
{
    return ALCHI_CONTAINER(part, alchi_store_entry_t, part);
}

/** @return the entry of an id, or NULL. The caller holds the store's mutex. */
static inline alchi_store_entry_t *
alchi_store_find(alchi_store_t *store, uint64_t id)
{
    alchi_store_entry_t *entry;

    HASH_FIND(hh, store->named, &id, sizeof(id), entry);
    return entry;
}

/** Write "matrix 7 'A' (60000 x 784, float64)". @return text */
char *alchi_store_part_describe(const alchi_store_part_t *part, char *text, size_t size);

/** Set the error of an id that the store does not have. @return ALCH_ENOENT */
int alchi_store_error_unknown(const alchi_store_t *store, uint64_t id, alch_error_t *err);
/** Set the error of a matrix that a task reads, naming the task. The caller holds the store's mutex.
 *  @return ALCH_EBUSY */
int alchi_store_error_busy(const alchi_store_t *store, const alchi_store_entry_t *entry, alch_error_t *err);

#endif
