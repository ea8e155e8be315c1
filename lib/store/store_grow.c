/* Growth of a matrix by rows. Its blocks keep their size, so that local entries keep their places; only the columns
 * move when the leading dimension does. */
#include "store/store_impl.h"

#include "base/clock.h"
#include "base/error.h"
#include "store/mem.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE_MS 1000 /* a transfer that has been answered still has its reference for a moment */

/* What a part becomes. */
typedef struct {
    alchi_layout_t layout; /* borrows its tables */
    int64_t m, n, lld;
    alchi_region_t *region;
    char what[128];
} shape_t;

/* With the mutex held: wait until nobody uses the matrix, and have all others wait. */
static int
claim(alchi_store_t *store, uint64_t id, alchi_store_entry_t **entry_p, alch_error_t *err)
{
    const alchi_deadline_t deadline = alchi_deadline_in_ms(PATIENCE_MS);
    char what[128];
    bool late = false;

    for (;;) {
        alchi_store_entry_t *entry = alchi_store_find(store, id);

        if (!entry)
            return alchi_store_error_unknown(store, id, err);
        if (entry->part.readers > 0)
            return alchi_store_error_busy(store, &entry->part, err);
        if (!entry->growing && entry->part.references == 1) {
            entry->growing = true;
            *entry_p = entry;
            return ALCH_OK;
        }
        if (late)
            return alchi_error_rank(err, ALCH_EBUSY, store->rank, "%s is used by a transfer on %s",
                                    alchi_store_part_describe(&entry->part, what, sizeof what), store->label);
        late = !alchi_cond_wait(&store->changed, &store->mutex, deadline);
    }
}

/* Account for columns of `lld` entries, get them, and move there. */
static int
move(alchi_store_t *store, alchi_store_entry_t *entry, const shape_t *shape, int64_t lld, alch_error_t *err)
{
    alchi_store_part_t *part = &entry->part;
    const size_t size = part->entry, old_step = (size_t)part->lld * size, step = (size_t)lld * size;
    int64_t bytes;
    uint8_t *data;
    char need[32];
    int rc;

    if (!alchi_mul_int64(lld, shape->n, &bytes) || !alchi_mul_int64(bytes, (int64_t)size, &bytes))
        return alchi_error_rank(err, ALCH_ELIMIT, store->rank, "%s: too large for %s", shape->what, store->label);
    rc = alchi_store_account(store, bytes, shape->what, err);
    if (rc)
        return rc;
    data = alchi_store_mem_alloc((size_t)bytes);
    if (!data) {
        alchi_store_account(store, -bytes, shape->what, NULL);
        return alchi_error_rank(err, ALCH_ENOMEM, store->rank, "%s: no memory for %s on %s", shape->what,
                                alchi_format_bytes(bytes, need, sizeof need), store->label);
    }
    for (int64_t j = 0; part->data && j < shape->n; j++)
        memcpy(data + (size_t)j * step, (const uint8_t *)part->data + (size_t)j * old_step,
               (size_t)part->local_m * size);
    alchi_store_mem_free(part->data, (size_t)entry->bytes);
    alchi_store_account(store, -entry->bytes, shape->what, NULL);
    part->data = data;
    part->lld = lld;
    entry->bytes = bytes;
    return ALCH_OK;
}

/* Room for the new rows, and for some that may follow if they can be had. */
static int
make_room(alchi_store_t *store, alchi_store_entry_t *entry, const shape_t *shape, alch_error_t *err)
{
    alchi_store_part_t *part = &entry->part;
    int64_t spare = part->data ? part->lld + part->lld / 2 : 0;

    if (shape->m == 0 || shape->n == 0 || (part->data && shape->m <= part->lld)) {
        if (!part->data)
            part->lld = shape->m > 1 ? shape->m : 1;
        return ALCH_OK;
    }
    if (spare > shape->m && move(store, entry, shape, spare, NULL) == ALCH_OK)
        return ALCH_OK;
    return move(store, entry, shape, shape->m, err);
}

static int
reshape(alchi_store_t *store, alchi_store_entry_t *entry, int64_t rows, alch_error_t *err)
{
    alchi_store_part_t *part = &entry->part;
    shape_t shape = {.layout = part->layout};
    int64_t entries;
    char matrix[112];
    int rc;

    if (rows < 0 || !alchi_mul_int64(rows, part->layout.n, &entries))
        return alchi_error_rank(err, ALCH_EINVAL, store->rank, "%s cannot have %lld rows",
                                alchi_store_part_describe(part, shape.what, sizeof shape.what), (long long)rows);
    shape.layout.m = rows;
    alchi_layout_local(&shape.layout, store->rank, &shape.m, &shape.n);
    snprintf(shape.what, sizeof shape.what, "matrix %s",
             alchi_format_matrix(part->id, rows, part->layout.n, part->dtype, matrix, sizeof matrix));
    shape.region = alchi_region_resized(part->region, shape.m);
    if (!shape.region)
        return alchi_error_rank(err, ALCH_ENOMEM, store->rank, "%s: out of memory on %s", shape.what, store->label);
    rc = make_room(store, entry, &shape, err);
    if (rc) {
        alchi_region_destroy(shape.region);
        return rc;
    }
    alchi_region_destroy(part->region);
    part->region = shape.region;
    part->layout.m = rows;
    part->local_m = shape.m;
    return ALCH_OK;
}

/* Take rows back: nothing moves, so that transfers of what was there before go on. */
static int
shrink(alchi_store_t *store, uint64_t id, int64_t rows, alch_error_t *err)
{
    alchi_store_part_t *part = NULL;
    int rc = alchi_store_acquire(store, id, &part, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&part->mutex);
    rc = reshape(store, alchi_store_entry_of(part), rows, err);
    pthread_mutex_unlock(&part->mutex);
    alchi_store_release(store, part);
    return rc;
}

/* Whether the matrix has more rows than these. */
static bool
has_more(alchi_store_t *store, uint64_t id, int64_t rows)
{
    const alchi_store_entry_t *entry;
    bool more;

    pthread_mutex_lock(&store->mutex);
    entry = alchi_store_find(store, id);
    more = entry && rows >= 0 && entry->part.layout.m > rows;
    pthread_mutex_unlock(&store->mutex);
    return more;
}

int
alchi_store_grow(alchi_store_t *store, uint64_t id, int64_t rows, alch_error_t *err)
{
    alchi_store_entry_t *entry = NULL;
    int rc;

    if (has_more(store, id, rows))
        return shrink(store, id, rows, err);
    pthread_mutex_lock(&store->mutex);
    rc = claim(store, id, &entry, err);
    pthread_mutex_unlock(&store->mutex);
    if (rc)
        return rc;
    rc = reshape(store, entry, rows, err);
    pthread_mutex_lock(&store->mutex);
    entry->growing = false;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
    return rc;
}
