/* Split the overlap of two places into messages: see overlap.h. */
#include "layout/overlap.h"

void
alchi_overlap_splitter_init(alchi_overlap_splitter_t *splitter, const alchi_intersect_t *rows,
                            const alchi_intersect_t *cols, int64_t limit)
{
    *splitter = (alchi_overlap_splitter_t){.rows = *rows, .cols = *cols, .limit = limit, .next_row = rows->begin};
}

bool
alchi_overlap_splitter_next(alchi_overlap_splitter_t *splitter, alchi_overlap_t *overlap_p)
{
    alchi_intersect_t cols = splitter->cols;
    int64_t col_count;

    if (splitter->band_rows == 0) {
        splitter->band = splitter->rows;
        splitter->band.begin = splitter->next_row;
        splitter->band_rows = alchi_intersect_take(&splitter->band, splitter->limit);
        if (splitter->band_rows == 0)
            return false;
        splitter->next_row = splitter->band.end;
        splitter->next_col = cols.begin;
    }
    cols.begin = splitter->next_col;
    col_count = alchi_intersect_take(&cols, splitter->limit / splitter->band_rows);
    if (col_count == 0) {
        splitter->band_rows = 0;
        return alchi_overlap_splitter_next(splitter, overlap_p);
    }
    splitter->next_col = cols.end;
    *overlap_p = (alchi_overlap_t){.rows = splitter->band, .cols = cols, .entries = splitter->band_rows * col_count};
    overlap_p->local.i = alchi_axis_local(&splitter->rows.b, splitter->band.begin);
    overlap_p->local.m = alchi_axis_local(&splitter->rows.b, splitter->band.end - 1) + 1 - overlap_p->local.i;
    overlap_p->local.j = alchi_axis_local(&cols.b, cols.begin);
    overlap_p->local.n = alchi_axis_local(&cols.b, cols.end - 1) + 1 - overlap_p->local.j;
    return true;
}
