/* Growth of a matrix by rows. The blocks keep their size, so local entries keep their row and column in the part. Only
 * a larger leading dimension moves the columns in memory. */
#include "store/store_impl.h"

#include "base/clock.h"
#include "base/error.h"
#include "store/mem.h"

#include <stdio.h>
#include <string.h>

#define TRANSFER_WAIT_MS 1000 /* a transfer releases its reference a moment after it was answered */

/* The new shape of a part. */
typedef struct {
    alchi_layout_t layout; /* its tables are those of the part */
    int64_t m, n;          /* local */
    alchi_region_t *region;
    char what[128]; /* describes the matrix with its new shape, for errors */
} shape_t;

/* Wait until only its id refers to the matrix, and mark it as growing so that alchi_store_acquire() waits. The caller
 * holds the store's mutex. */
static int
claim_for_growth(alchi_store_t *store, uint64_t id, alchi_store_entry_t **entry_p, alch_error_t *err)
{
    const alchi_deadline_t deadline = alchi_deadline_in_ms(TRANSFER_WAIT_MS);
    char what[128];
    bool late = false;

    for (;;) {
        alchi_store_entry_t *entry = alchi_store_find(store, id);

        if (!entry)
            return alchi_store_error_unknown(store, id, err);
        if (entry->readers > 0)
            return alchi_store_error_busy(store, entry, err);
        if (!entry->growing && entry->part.references == 1) {
            entry->growing = true;
            *entry_p = entry;
            return ALCH_OK;
        }
        if (late)
            return alchi_error_rank(err, ALCH_EBUSY, store->rank, "%s is used by a transfer on %s",
                                    alchi_store_part_describe(&entry->part, what, sizeof(what)), store->label);
        late = !alchi_cond_wait(&store->changed, &store->mutex, deadline);
    }
}

/* Account for columns of `lld` entries, allocate them, and move the part there. */
static int
move_columns(alchi_store_t *store, alchi_store_entry_t *entry, const shape_t *shape, int64_t lld, alch_error_t *err)
{
    alchi_store_part_t *part = &entry->part;
    const size_t size = part->entry, old_step = (size_t)part->lld * size, step = (size_t)lld * size;
    int64_t bytes;
    uint8_t *data;
    char need[32];
    int code;

    if (!alchi_mul_int64(lld, shape->n, &bytes) || !alchi_mul_int64(bytes, (int64_t)size, &bytes))
        return alchi_error_rank(err, ALCH_ELIMIT, store->rank, "%s is too large for %s", shape->what, store->label);
    code = alchi_store_account(store, bytes, shape->what, err);
    if (code)
        return code;
    data = alchi_store_mem_alloc((size_t)bytes);
    if (!data) {
        alchi_store_account(store, -bytes, shape->what, NULL);
        return alchi_error_rank(err, ALCH_ENOMEM, store->rank, "%s cannot allocate %s for %s", store->label,
                                alchi_format_bytes(bytes, need, sizeof(need)), shape->what);
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

/* Make room for the new rows. If the limit and the memory allow it, increase the room by half, so a matrix that grows
 * in small steps moves only a few times. */
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
    if (spare > shape->m && move_columns(store, entry, shape, spare, NULL) == ALCH_OK)
        return ALCH_OK;
    return move_columns(store, entry, shape, shape->m, err);
}

/* Give the part its new shape. The caller makes sure that no other thread uses the set of written entries. */
static int
set_rows(alchi_store_t *store, alchi_store_entry_t *entry, int64_t rows, alch_error_t *err)
{
    alchi_store_part_t *part = &entry->part;
    shape_t shape = {.layout = part->layout};
    int64_t entries;
    char matrix[112];
    int code;

    if (rows < 0 || !alchi_mul_int64(rows, part->layout.n, &entries))
        return alchi_error_rank(err, ALCH_EINVAL, store->rank, "%s cannot have %lld rows",
                                alchi_store_part_describe(part, shape.what, sizeof(shape.what)), (long long)rows);
    shape.layout.m = rows;
    alchi_layout_local(&shape.layout, store->rank, &shape.m, &shape.n);
    snprintf(shape.what, sizeof(shape.what), "matrix %s",
             alchi_format_matrix(part->id, rows, part->layout.n, part->dtype, matrix, sizeof(matrix)));
    shape.region = alchi_region_resized(entry->region, shape.m);
    if (!shape.region)
        return alchi_error_rank(err, ALCH_ENOMEM, store->rank,
                                "%s is out of memory for the set of written entries of %s", store->label, shape.what);
    code = make_room(store, entry, &shape, err);
    if (code) {
        alchi_region_destroy(shape.region);
        return code;
    }
    alchi_region_destroy(entry->region);
    entry->region = shape.region;
    part->layout.m = rows;
    part->local_m = shape.m;
    return ALCH_OK;
}

/* Undo a growth that failed on another rank. No entry moves, so transfers of the other rows can continue. */
static int
remove_rows(alchi_store_t *store, uint64_t id, int64_t rows, alch_error_t *err)
{
    alchi_store_part_t *part = NULL;
    alchi_store_entry_t *entry;
    int code = alchi_store_acquire(store, id, &part, err);

    if (code)
        return code;
    entry = alchi_store_entry_of(part);
    pthread_mutex_lock(&entry->mutex);
    code = set_rows(store, entry, rows, err);
    pthread_mutex_unlock(&entry->mutex);
    alchi_store_release(store, part);
    return code;
}

static bool
has_more_rows(alchi_store_t *store, uint64_t id, int64_t rows)
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
    int code;

    if (has_more_rows(store, id, rows))
        return remove_rows(store, id, rows, err);
    pthread_mutex_lock(&store->mutex);
    code = claim_for_growth(store, id, &entry, err);
    pthread_mutex_unlock(&store->mutex);
    if (code)
        return code;
    code = set_rows(store, entry, rows, err);
    pthread_mutex_lock(&store->mutex);
    entry->growing = false;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
    return code;
}
