#include "layout/overlap.h"

void
alchi_overlap_splitter_init(alchi_overlap_splitter_t *cutter, const alchi_intersect_t *rows,
                            const alchi_intersect_t *cols, int64_t limit)
{
    *cutter = (alchi_overlap_splitter_t){.rows = *rows, .cols = *cols, .limit = limit, .next_row = rows->begin};
}

bool
alchi_overlap_splitter_next(alchi_overlap_splitter_t *cutter, alchi_overlap_t *common_p)
{
    alchi_intersect_t cols = cutter->cols;
    int64_t col_count;

    if (cutter->band_rows == 0) {
        cutter->band = cutter->rows;
        cutter->band.begin = cutter->next_row;
        cutter->band_rows = alchi_intersect_take(&cutter->band, cutter->limit);
        if (cutter->band_rows == 0)
            return false;
        cutter->next_row = cutter->band.end;
        cutter->next_col = cols.begin;
    }
    cols.begin = cutter->next_col;
    col_count = alchi_intersect_take(&cols, cutter->limit / cutter->band_rows);
    if (col_count == 0) {
        cutter->band_rows = 0;
        return alchi_overlap_splitter_next(cutter, common_p);
    }
    cutter->next_col = cols.end;
    *common_p = (alchi_overlap_t){.rows = cutter->band, .cols = cols, .entries = cutter->band_rows * col_count};
    common_p->local.i = alchi_axis_local(&cutter->rows.b, cutter->band.begin);
    common_p->local.m = alchi_axis_local(&cutter->rows.b, cutter->band.end - 1) + 1 - common_p->local.i;
    common_p->local.j = alchi_axis_local(&cols.b, cols.begin);
    common_p->local.n = alchi_axis_local(&cols.b, cols.end - 1) + 1 - common_p->local.j;
    return true;
}
