/* Periodic sets of entries, as a process of another grid writes or reads them in one message. */
#include "dataserver/index_set.h"

#include "base/error.h"

/* @return false if the values do not describe an axis */
static bool
make_axis(int64_t block, int64_t period, int64_t first, alchi_axis_t *axis_p)
{
    *axis_p = (alchi_axis_t){block, period, first};
    return block >= 1 && period >= block && first >= 0;
}

/* Find the indices that both axes hold, within a range of local indices of ours. */
static void
find_overlap(alchi_intersect_t *set, const alchi_axis_t *theirs, const alchi_axis_t *ours, int64_t first, int64_t count)
{
    int64_t begin = count > 0 ? alchi_axis_global(ours, first) : 0;
    int64_t end = count > 0 ? alchi_axis_global(ours, first + count - 1) + 1 : 0;

    alchi_intersect_init(set, theirs, ours, begin, end);
}

/* @return whether the `held` indices of a set have no gaps in our storage. *first_p and *count_p become the local range
 * from the first to the last of them. If the set is empty, only *count_p is set. */
static bool
is_contiguous(const alchi_intersect_t *set, const alchi_axis_t *ours, int64_t held, int64_t *first_p, int64_t *count_p)
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
    bool rows_contiguous, cols_contiguous;

    *set = (alchi_data_index_set_t){.row_count = rect.m, .col_count = rect.n};
    if (!axes)
        return ALCH_OK;
    if (!make_axis(axes->row_block, axes->row_period, axes->row_first, &rows) ||
        !make_axis(axes->col_block, axes->col_period, axes->col_first, &cols))
        return alchi_error_set(
            err, ALCH_EPROTO,
            "the request's axes are invalid: blocks of %lld x %lld, periods of %lld x %lld, first indices %lld, %lld",
            (long long)axes->row_block, (long long)axes->col_block, (long long)axes->row_period,
            (long long)axes->col_period, (long long)axes->row_first, (long long)axes->col_first);
    find_overlap(&set->rows, &rows, &part->rows, rect.i, rect.m);
    find_overlap(&set->cols, &cols, &part->cols, rect.j, rect.n);
    set->row_count = alchi_intersect_count(&set->rows);
    set->col_count = alchi_intersect_count(&set->cols);
    rows_contiguous = is_contiguous(&set->rows, &part->rows, set->row_count, &rect.i, &rect.m);
    cols_contiguous = is_contiguous(&set->cols, &part->cols, set->col_count, &rect.j, &rect.n);
    set->periodic = !rows_contiguous || !cols_contiguous;
    if (!set->periodic)
        *rect_p = rect;
    return ALCH_OK;
}
