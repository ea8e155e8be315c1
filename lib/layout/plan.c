/* The planner: the pieces of each rank's part of a rectangle. See plan.h. */
#include "layout/plan.h"
#include "base/util.h"

/* Divide a range into `parts` ranges of nearly equal size and narrow it to the range number `index`. */
static void
narrow_to_part(int64_t *first, int64_t *count, int index, int parts)
{
    int64_t size = *count / parts, extra = *count % parts;

    *first += size * index + alchi_min_int64(index, extra);
    *count = size + (index < extra);
}

/* All replicas of a place hold the same local rectangle. For a read they divide it by columns, or by rows if it has too
 * few columns. This function narrows the rectangle to the part of one replica. Which replica gets the first part
 * depends on the position of the rectangle: otherwise many reads of single entries would all go to replica 0. */
static void
narrow_to_replica(const alchi_layout_t *layout, int replica, alch_rect_t *local)
{
    int parts = layout->replicas;
    int first = (int)((local->i % parts + local->j % parts) % parts);
    int index = (replica - first + parts) % parts;

    if (local->n >= parts)
        narrow_to_part(&local->j, &local->n, index, parts);
    else
        narrow_to_part(&local->i, &local->m, index, parts);
}

/* Get the local rectangle that `rank` transfers, and its place. @return false if it transfers nothing */
static bool
rank_rect(const alchi_plan_t *plan, int rank, alch_rect_t *local_p, int *row_p, int *col_p)
{
    int replica;

    if (!alchi_layout_place(plan->layout, rank, &replica, row_p, col_p))
        return false;
    alchi_layout_local_rect(plan->layout, *row_p, *col_p, &plan->rect, local_p);
    if (plan->mode == ALCHI_PLAN_ONE && plan->layout->replicas > 1)
        narrow_to_replica(plan->layout, replica, local_p);
    return local_p->m > 0 && local_p->n > 0;
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
    alch_rect_t local;
    int row, col;

    return rank_rect(plan, rank, &local, &row, &col) ? local.m * local.n : 0;
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
    const alch_rect_t *whole = &cursor->whole;
    int64_t i_end = whole->i + whole->m, j_end = whole->j + whole->n;
    alch_rect_t *local = &cursor->piece.local;

    if (cursor->j >= j_end)
        return false;
    *local = (alch_rect_t){cursor->i, cursor->j, whole->m, 1};
    if (whole->m <= cursor->plan->entries) {
        local->n = alchi_min_int64(cursor->plan->entries / whole->m, j_end - cursor->j);
        cursor->j += local->n;
    } else {
        local->m = alchi_min_int64(cursor->plan->entries, i_end - cursor->i);
        cursor->i += local->m;
        if (cursor->i == i_end) {
            cursor->i = whole->i;
            cursor->j++;
        }
    }
    *piece_p = cursor->piece;
    return true;
}
