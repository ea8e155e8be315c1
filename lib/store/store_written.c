/* What of a matrix is written. */
#include "store/store_impl.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

static int
error_not_marked(const alchi_store_t *store, const alchi_store_part_t *part, int code, alch_error_t *err)
{
    char what[128];

    return alchi_error_rank(err, code, store->rank, "%s: out of memory for the set of written entries on %s",
                            alchi_store_part_describe(part, what, sizeof what), store->label);
}

int
alchi_store_written(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect, alch_error_t *err)
{
    int rc = alchi_store_may_write(store, part, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&part->mutex);
    rc = alchi_region_add(part->region, rect);
    pthread_mutex_unlock(&part->mutex);
    if (rc)
        return error_not_marked(store, part, rc, err);
    /* Check again: a task that locked the matrix during the write may already have tested it for completeness. */
    return alchi_store_may_write(store, part, err);
}

int
alchi_store_written_set(alchi_store_t *store, alchi_store_part_t *part, const alchi_intersect_t *rows,
                        const alchi_intersect_t *cols, alch_error_t *err)
{
    int rc = alchi_store_may_write(store, part, err);

    if (rc)
        return rc;
    if ((rc = alchi_store_part_mark_set(part, rows, cols)))
        return error_not_marked(store, part, rc, err);
    /* Check again, as in alchi_store_written(). */
    return alchi_store_may_write(store, part, err);
}

void
alchi_store_part_mark_written(alchi_store_part_t *part)
{
    pthread_mutex_lock(&part->mutex);
    alchi_region_fill(part->region);
    pthread_mutex_unlock(&part->mutex);
}

int
alchi_store_part_mark_set(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols)
{
    int rc;

    pthread_mutex_lock(&part->mutex);
    rc = alchi_region_add_set(part->region, rows, cols);
    pthread_mutex_unlock(&part->mutex);
    return rc;
}

/* The storage indices of a set of rows, in rising order. NULL: out of memory */
static int64_t *
list_rows(const alchi_intersect_t *rows, int64_t *count_p)
{
    int64_t count = alchi_intersect_count(rows), at = 0, *list = malloc((size_t)count * sizeof *list);
    alchi_strided_run_t run;

    for (int64_t index = rows->begin; list && alchi_intersect_next(rows, index, &run);
         index = alchi_strided_run_end(&run))
        for (int64_t k = 0; k < run.count; k++)
            for (int64_t l = 0; l < run.length; l++)
                list[at++] = run.b + k * run.b_step + l;
    *count_p = count;
    return list;
}

static bool
mask_bit(const uint8_t *mask, int64_t k)
{
    return mask[k / 8] >> (k % 8) & 1;
}

/* Add consecutive rows of one column whose bits are set. `first` is the bit of rows[0]. */
static int
add_masked_column(alchi_region_t *region, const int64_t *rows, int64_t count, int64_t col, const uint8_t *mask,
                  int64_t first)
{
    int rc = ALCH_OK;

    for (int64_t k = 0, end; k < count && !rc; k = end) {
        end = k + 1;
        if (!mask_bit(mask, first + k))
            continue;
        while (end < count && rows[end] == rows[end - 1] + 1 && mask_bit(mask, first + end))
            end++;
        rc = alchi_region_add(region, &(alch_rect_t){rows[k], col, end - k, 1});
    }
    return rc;
}

int
alchi_store_part_mark_mask(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                           const uint8_t *mask)
{
    int64_t count, first = 0, *list = list_rows(rows, &count);
    int rc = list ? ALCH_OK : ALCH_ENOMEM;
    alchi_strided_run_t run;

    pthread_mutex_lock(&part->mutex);
    for (int64_t index = cols->begin; !rc && alchi_intersect_next(cols, index, &run);
         index = alchi_strided_run_end(&run))
        for (int64_t k = 0; k < run.count; k++)
            for (int64_t l = 0; l < run.length && !rc; l++, first += count)
                rc = add_masked_column(part->region, list, count, run.b + k * run.b_step + l, mask, first);
    pthread_mutex_unlock(&part->mutex);
    free(list);
    return rc;
}

void
alchi_store_part_get_mask(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                          uint64_t *mask)
{
    pthread_mutex_lock(&part->mutex);
    alchi_region_mask(part->region, rows, cols, mask);
    pthread_mutex_unlock(&part->mutex);
}

size_t
alchi_store_part_list_missing(alchi_store_part_t *part, const alch_rect_t *within, alch_rect_t *missing, size_t max,
                              alch_rect_t *rest, size_t *rest_count_p)
{
    size_t count;

    pthread_mutex_lock(&part->mutex);
    count = alchi_region_list_missing(part->region, within, missing, max, rest, rest_count_p);
    pthread_mutex_unlock(&part->mutex);
    return count;
}

void
alchi_store_part_set_version(alchi_store_part_t *part, uint32_t version)
{
    part->version = version;
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
alchi_store_covered_set(alchi_store_t *store, alchi_store_part_t *part, const alchi_intersect_t *rows,
                        const alchi_intersect_t *cols, alch_error_t *err)
{
    alch_rect_t missing;
    bool covered;

    pthread_mutex_lock(&part->mutex);
    covered = alchi_region_covers_set(part->region, rows, cols) ||
              !alchi_region_missing_set(part->region, rows, cols, &missing);
    pthread_mutex_unlock(&part->mutex);
    return covered ? ALCH_OK : alchi_store_covered(store, part, &missing, err);
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
