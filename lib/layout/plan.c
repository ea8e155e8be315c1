/* The planner: a rank's share of a rectangle, cut into pieces. */
#include "layout/plan.h"
#include "base/util.h"

/* Narrow *first and *count to part `index` of `parts` nearly equal ones. */
static void
narrow_to_part(int64_t *first, int64_t *count, int index, int parts)
{
    int64_t size = *count / parts, extra = *count % parts;

    *first += size * index + alchi_min_int64(index, extra);
    *count = size + (index < extra);
}

/* Replicas of a place hold the same share: when each part is wanted once they divide it among them. The
 * first part goes round with the rectangle's position, so that many small reads do not all meet one rank. */
static void
narrow_to_replica(const alchi_layout_t *layout, int replica, alch_rect_t *share)
{
    int parts = layout->replicas;
    int first = (int)((share->i % parts + share->j % parts) % parts);
    int index = (replica - first + parts) % parts;

    if (share->n >= parts)
        narrow_to_part(&share->j, &share->n, index, parts);
    else
        narrow_to_part(&share->i, &share->m, index, parts);
}

/* The local rectangle that `rank` moves; false: none. */
static bool
rank_rect(const alchi_plan_t *plan, int rank, alch_rect_t *share_p, int *row_p, int *col_p)
{
    int replica;

    if (!alchi_layout_place(plan->layout, rank, &replica, row_p, col_p))
        return false;
    alchi_layout_share(plan->layout, *row_p, *col_p, &plan->rect, share_p);
    if (plan->mode == ALCHI_PLAN_ONE && plan->layout->replicas > 1)
        narrow_to_replica(plan->layout, replica, share_p);
    return share_p->m > 0 && share_p->n > 0;
}

void
alchi_plan_init(alchi_plan_t *plan, const alchi_layout_t *layout, const alch_rect_t *rect, alchi_plan_mode_t mode,
                int64_t entries)
{
    *plan = (alchi_plan_t){.layout = layout, .rect = *rect, .mode = mode, .entries = entries};
}

int64_t
alchi_plan_entries(const alchi_plan_t *plan, int rank)
{
    alch_rect_t share;
    int row, col;

    return rank_rect(plan, rank, &share, &row, &col) ? share.m * share.n : 0;
}

void
alchi_cursor_init(alchi_cursor_t *cursor, const alchi_plan_t *plan, int rank)
{
    int row, col;

    *cursor = (alchi_cursor_t){.plan = plan, .piece.rank = rank};
    if (!rank_rect(plan, rank, &cursor->whole, &row, &col)) {
        cursor->whole = (alch_rect_t){0, 0, 0, 0};
        return;
    }
    alchi_layout_axes(plan->layout, row, col, &cursor->piece.rows, &cursor->piece.cols);
    cursor->i = cursor->whole.i;
    cursor->j = cursor->whole.j;
}

bool
alchi_cursor_next(alchi_cursor_t *cursor, alchi_piece_t *piece_p)
{
    const alch_rect_t *share = &cursor->whole;
    int64_t i_end = share->i + share->m, j_end = share->j + share->n;
    alch_rect_t *local = &cursor->piece.local;

    if (cursor->j >= j_end)
        return false;
    *local = (alch_rect_t){cursor->i, cursor->j, share->m, 1};
    if (share->m <= cursor->plan->entries) {
        local->n = alchi_min_int64(cursor->plan->entries / share->m, j_end - cursor->j);
        cursor->j += local->n;
    } else {
        local->m = alchi_min_int64(cursor->plan->entries, i_end - cursor->i);
        cursor->i += local->m;
        if (cursor->i == i_end) {
            cursor->i = share->i;
            cursor->j++;
        }
    }
    *piece_p = cursor->piece;
    return true;
}
