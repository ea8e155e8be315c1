/* What of a matrix is written. */
#include "worker/store_impl.h"

#include "base/error.h"

#include <stdio.h>

int
alchi_store_written(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect, alch_error_t *err)
{
    int rc = alchi_store_may_write(store, part, err);
    char what[128];

    if (rc)
        return rc;
    pthread_mutex_lock(&part->mutex);
    rc = alchi_region_add(part->region, rect);
    pthread_mutex_unlock(&part->mutex);
    if (rc)
        return alchi_error_rank(err, rc, store->rank, "%s: cannot note what is written on %s",
                                alchi_store_part_describe(part, what, sizeof what), store->label);
    /* Who has taken the matrix meanwhile may have looked already. */
    return alchi_store_may_write(store, part, err);
}

void
alchi_store_part_mark_written(alchi_store_part_t *part)
{
    pthread_mutex_lock(&part->mutex);
    alchi_region_fill(part->region);
    pthread_mutex_unlock(&part->mutex);
}

/* "rows 50..99 of column 0": the first run of a missing local rectangle that is contiguous in the matrix. */
static char *
describe_missing(const alchi_store_part_t *part, const alch_rect_t *missing, char *text, size_t size)
{
    const alchi_axis_t *rows = &part->rows;
    int64_t run = rows->period == rows->block ? missing->m : rows->block - missing->i % rows->block;
    int64_t first = alchi_axis_global(rows, missing->i), column = alchi_axis_global(&part->cols, missing->j);

    if (run > missing->m)
        run = missing->m;
    if (run == 1)
        snprintf(text, size, "row %lld of column %lld", (long long)first, (long long)column);
    else
        snprintf(text, size, "rows %lld..%lld of column %lld", (long long)first, (long long)(first + run - 1),
                 (long long)column);
    return text;
}

int
alchi_store_covered(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect, alch_error_t *err)
{
    alch_rect_t missing;
    char what[128], where[96];
    bool lacking;

    pthread_mutex_lock(&part->mutex);
    lacking = !alchi_region_complete(part->region) && !alchi_region_covers(part->region, rect) &&
              alchi_region_missing(part->region, rect, &missing);
    pthread_mutex_unlock(&part->mutex);
    if (!lacking)
        return ALCH_OK;
    return alchi_error_rank(err, ALCH_EINCOMPLETE, store->rank,
                            "%s: asked for entries on %s that are not written, first %s",
                            alchi_store_part_describe(part, what, sizeof what), store->label,
                            describe_missing(part, &missing, where, sizeof where));
}

int
alchi_store_check(alchi_store_t *store, uint64_t id, alch_error_t *err)
{
    alchi_store_part_t *part = NULL;
    alch_rect_t whole, missing;
    char what[128], where[96];
    int64_t total, written;
    bool lacking;
    int rc = alchi_store_acquire(store, id, &part, err);

    if (rc)
        return rc;
    whole = (alch_rect_t){0, 0, part->local_m, part->local_n};
    total = part->local_m * part->local_n;
    pthread_mutex_lock(&part->mutex);
    written = alchi_region_count(part->region);
    lacking = !alchi_region_complete(part->region) && alchi_region_missing(part->region, &whole, &missing);
    pthread_mutex_unlock(&part->mutex);
    if (lacking)
        rc = alchi_error_rank(err, ALCH_EINCOMPLETE, store->rank,
                              "%s: %lld of %lld entries on %s are not written, first %s",
                              alchi_store_part_describe(part, what, sizeof what), (long long)(total - written),
                              (long long)total, store->label, describe_missing(part, &missing, where, sizeof where));
    alchi_store_release(store, part);
    return rc;
}
