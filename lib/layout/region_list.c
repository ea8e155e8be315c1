/* List the missing entries of a region as rectangles: see region.h. */
#include "layout/region.h"

static void
push_rect(alch_rect_t *stack, size_t *count_p, int64_t i, int64_t j, int64_t m, int64_t n)
{
    if (m > 0 && n > 0)
        stack[(*count_p)++] = (alch_rect_t){i, j, m, n};
}

/* `rest` is a stack of rectangles to examine. alchi_region_missing() finds the first missing entry in column order, so
 * to the left of its rectangle and above it in its first column nothing is missing. At most three
 * rectangles remain to be examined: to the right, below, and above without the first column. A find thus takes one
 * rectangle from the stack and pushes at most three, so the stack needs 2 * max + 1. */
size_t
alchi_region_list_missing(const alchi_region_t *region, const alch_rect_t *within, alch_rect_t *missing, size_t max,
                          alch_rect_t *rest, size_t *rest_count_p)
{
    size_t found = 0, left = 0;

    push_rect(rest, &left, within->i, within->j, within->m, within->n);
    while (left > 0 && found < max) {
        const alch_rect_t in = rest[--left];
        alch_rect_t *hit = &missing[found];
        int64_t below, right;

        if (!alchi_region_missing(region, &in, hit))
            continue;
        below = hit->i + hit->m;
        right = hit->j + hit->n;
        push_rect(rest, &left, in.i, right, in.m, in.j + in.n - right);
        push_rect(rest, &left, below, hit->j, in.i + in.m - below, hit->n);
        push_rect(rest, &left, in.i, hit->j + 1, hit->i - in.i, hit->n - 1);
        found++;
    }
    *rest_count_p = left;
    return found;
}
