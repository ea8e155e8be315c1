/* Periodic sets of entries: what a process of another grid writes or reads in one message. */
#include "dataserver/index_set.h"

#include "base/error.h"

static bool
to_axis(int64_t block, int64_t period, int64_t first, alchi_axis_t *axis_p)
{
    *axis_p = (alchi_axis_t){block, period, first};
    return block >= 1 && period >= block && first >= 0;
}

/* The common indices of a local range; begin and end are indices of the matrix. */
static void
common(alchi_intersect_t *set, const alchi_axis_t *theirs, const alchi_axis_t *ours, int64_t first, int64_t count)
{
    int64_t begin = count > 0 ? alchi_axis_global(ours, first) : 0;
    int64_t end = count > 0 ? alchi_axis_global(ours, first + count - 1) + 1 : 0;

    alchi_intersect_init(set, theirs, ours, begin, end);
}

/* Whether a set has no gaps in our storage: *first_p and *count_p become what it holds of the range. */
static bool
without_gaps(const alchi_intersect_t *set, const alchi_axis_t *ours, int64_t held, int64_t *first_p, int64_t *count_p)
{
    alchi_intersect_t all = *set;

    if (held == 0) {
        *count_p = 0;
        return true;
    }
    alchi_intersect_take(&all, held);
    *first_p = alchi_axis_local(ours, all.begin);
    *count_p = alchi_axis_local(ours, all.end - 1) + 1 - *first_p;
    return *count_p == held;
}

int
alchi_data_index_set_init(alchi_data_index_set_t *set, const alchi_store_part_t *part, const Alchw__Axes *axes,
                          alch_rect_t *rect_p, alch_error_t *err)
{
    alch_rect_t rect = *rect_p;
    alchi_axis_t rows, cols;
    bool row_run, col_run;

    *set = (alchi_data_index_set_t){.row_count = rect.m, .col_count = rect.n};
    if (!axes)
        return ALCH_OK;
    if (!to_axis(axes->row_block, axes->row_period, axes->row_first, &rows) ||
        !to_axis(axes->col_block, axes->col_period, axes->col_first, &cols))
        return alchi_error_set(err, ALCH_EPROTO, "the request's axes have blocks of %lld x %lld every %lld x %lld",
                               (long long)axes->row_block, (long long)axes->col_block, (long long)axes->row_period,
                               (long long)axes->col_period);
    common(&set->rows, &rows, &part->rows, rect.i, rect.m);
    common(&set->cols, &cols, &part->cols, rect.j, rect.n);
    set->row_count = alchi_intersect_count(&set->rows);
    set->col_count = alchi_intersect_count(&set->cols);
    row_run = without_gaps(&set->rows, &part->rows, set->row_count, &rect.i, &rect.m);
    col_run = without_gaps(&set->cols, &part->cols, set->col_count, &rect.j, &rect.n);
    set->periodic = !row_run || !col_run;
    if (!set->periodic)
        *rect_p = rect;
    return ALCH_OK;
}
