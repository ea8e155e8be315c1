/* The set of written entries of a part: mark, list, check. */
#include "store/store_impl.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

static int
error_not_marked(const alchi_store_t *store, const alchi_store_part_t *part, int code, alch_error_t *err)
{
    char what[128];

    return alchi_error_rank(err, code, store->rank, "%s is out of memory for the set of written entries of %s",
                            store->label, alchi_store_part_describe(part, what, sizeof(what)));
}

int
alchi_store_mark_written(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect, alch_error_t *err)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);
    int code = alchi_store_may_write(store, part, err);

    if (code)
        return code;
    pthread_mutex_lock(&entry->mutex);
    code = alchi_region_add(entry->region, rect);
    pthread_mutex_unlock(&entry->mutex);
    if (code)
        return error_not_marked(store, part, code, err);
    /* Check again: a task that locked the matrix during the write may already have tested it for completeness. */
    return alchi_store_may_write(store, part, err);
}

int
alchi_store_mark_set_written(alchi_store_t *store, alchi_store_part_t *part, const alchi_intersect_t *rows,
                             const alchi_intersect_t *cols, alch_error_t *err)
{
    int code = alchi_store_may_write(store, part, err);

    if (code)
        return code;
    if ((code = alchi_store_part_mark_set(part, rows, cols)))
        return error_not_marked(store, part, code, err);
    /* Check again, as in alchi_store_mark_written(). */
    return alchi_store_may_write(store, part, err);
}

void
alchi_store_part_mark_written(alchi_store_part_t *part)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);

    pthread_mutex_lock(&entry->mutex);
    alchi_region_fill(entry->region);
    pthread_mutex_unlock(&entry->mutex);
}

int
alchi_store_part_mark_set(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);
    int code;

    pthread_mutex_lock(&entry->mutex);
    code = alchi_region_add_set(entry->region, rows, cols);
    pthread_mutex_unlock(&entry->mutex);
    return code;
}

/* @return the local indices of a set of rows, in rising order, which the caller frees. NULL: out of memory */
static int64_t *
list_rows(const alchi_intersect_t *rows, int64_t *count_p)
{
    int64_t count = alchi_intersect_count(rows), at = 0, *list = malloc((size_t)count * sizeof(*list));
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

/* Add those rows of one column whose bits are set, one rectangle for each run of consecutive rows. rows[0] has the bit
 * number `first`. */
static int
add_masked_column(alchi_region_t *region, const int64_t *rows, int64_t count, int64_t col, const uint8_t *mask,
                  int64_t first)
{
    int code = ALCH_OK;

    for (int64_t k = 0, end; k < count && !code; k = end) {
        end = k + 1;
        if (!mask_bit(mask, first + k))
            continue;
        while (end < count && rows[end] == rows[end - 1] + 1 && mask_bit(mask, first + end))
            end++;
        code = alchi_region_add(region, &(alch_rect_t){rows[k], col, end - k, 1});
    }
    return code;
}

int
alchi_store_part_mark_mask(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                           const uint8_t *mask)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);
    int64_t count, first = 0, *list = list_rows(rows, &count);
    int code = list ? ALCH_OK : ALCH_ENOMEM;
    alchi_strided_run_t run;

    pthread_mutex_lock(&entry->mutex);
    for (int64_t index = cols->begin; !code && alchi_intersect_next(cols, index, &run);
         index = alchi_strided_run_end(&run))
        for (int64_t k = 0; k < run.count; k++)
            for (int64_t l = 0; l < run.length && !code; l++, first += count)
                code = add_masked_column(entry->region, list, count, run.b + k * run.b_step + l, mask, first);
    pthread_mutex_unlock(&entry->mutex);
    free(list);
    return code;
}

void
alchi_store_part_get_mask(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                          uint64_t *mask)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);

    pthread_mutex_lock(&entry->mutex);
    alchi_region_mask(entry->region, rows, cols, mask);
    pthread_mutex_unlock(&entry->mutex);
}

size_t
alchi_store_part_list_missing(alchi_store_part_t *part, const alch_rect_t *within, alch_rect_t *missing, size_t max,
                              alch_rect_t *rest, size_t *rest_count_p)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);
    size_t count;

    pthread_mutex_lock(&entry->mutex);
    count = alchi_region_list_missing(entry->region, within, missing, max, rest, rest_count_p);
    pthread_mutex_unlock(&entry->mutex);
    return count;
}

void
alchi_store_part_set_version(alchi_store_part_t *part, uint32_t version)
{
    part->version = version;
}

/* Write "rows 50..99 of column 0" in global indices: from the first entry of the rectangle down, as far as its rows are
 * consecutive in the matrix. They are consecutive to the end of the block, or throughout if this rank has all rows. */
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
alchi_store_check_written(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect, alch_error_t *err)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);
    alch_rect_t missing;
    char what[128], where[96];
    bool incomplete;

    pthread_mutex_lock(&entry->mutex);
    incomplete = alchi_region_missing(entry->region, rect, &missing);
    pthread_mutex_unlock(&entry->mutex);
    if (!incomplete)
        return ALCH_OK;
    return alchi_error_rank(err, ALCH_EINCOMPLETE, store->rank, "%s: requested entries on %s are not written, first %s",
                            alchi_store_part_describe(part, what, sizeof(what)), store->label,
                            describe_missing(part, &missing, where, sizeof(where)));
}

int
alchi_store_check_set_written(alchi_store_t *store, alchi_store_part_t *part, const alchi_intersect_t *rows,
                              const alchi_intersect_t *cols, alch_error_t *err)
{
    alchi_store_entry_t *entry = alchi_store_entry_of(part);
    alch_rect_t missing;
    bool covered;

    pthread_mutex_lock(&entry->mutex);
    covered = alchi_region_covers_set(entry->region, rows, cols) ||
              !alchi_region_missing_set(entry->region, rows, cols, &missing);
    pthread_mutex_unlock(&entry->mutex);
    return covered ? ALCH_OK : alchi_store_check_written(store, part, &missing, err);
}

int
alchi_store_check(alchi_store_t *store, uint64_t id, alch_error_t *err)
{
    alchi_store_part_t *part = NULL;
    alchi_store_entry_t *entry;
    alch_rect_t whole, missing;
    char what[128], where[96];
    int64_t total, written;
    bool incomplete;
    int code = alchi_store_acquire(store, id, &part, err);

    if (code)
        return code;
    entry = alchi_store_entry_of(part);
    whole = (alch_rect_t){0, 0, part->local_m, part->local_n};
    total = part->local_m * part->local_n;
    pthread_mutex_lock(&entry->mutex);
    written = alchi_region_count(entry->region);
    incomplete = alchi_region_missing(entry->region, &whole, &missing);
    pthread_mutex_unlock(&entry->mutex);
    if (incomplete)
        code = alchi_error_rank(err, ALCH_EINCOMPLETE, store->rank,
                                "%s: %lld of %lld entries on %s are not written, first %s",
                                alchi_store_part_describe(part, what, sizeof(what)), (long long)(total - written),
                                (long long)total, store->label, describe_missing(part, &missing, where, sizeof(where)));
    alchi_store_release(store, part);
    return code;
}
