/* The intersection of two block-cyclic index sets: see intersect.h. */
#include "layout/intersect.h"
#include "base/util.h"

/* Limit the members of an axis to `end` or end + 1, so that their sums cannot overflow. The axis then still has the
 * same indices before `end`. An axis without gaps becomes one large block. */
static alchi_axis_t
clamp_axis(const alchi_axis_t *axis, int64_t end)
{
    alchi_axis_t clamped = *axis;

    if (clamped.block == clamped.period)
        clamped.block = clamped.period = end + 1;
    clamped.block = alchi_min_int64(clamped.block, end + 1);
    clamped.period = alchi_min_int64(clamped.period, end + 1);
    clamped.first = alchi_min_int64(clamped.first, end);
    return clamped;
}

/* @return where the block that holds `index` starts; if no block holds it, where the next block starts */
static int64_t
block_start(const alchi_axis_t *axis, int64_t index)
{
    int64_t before = index - axis->first, inside;

    if (before <= 0)
        return axis->first;
    inside = before % axis->period;
    return index - inside + (inside < axis->block ? 0 : axis->period);
}

int64_t
alchi_axis_local(const alchi_axis_t *axis, int64_t index)
{
    int64_t before = index - axis->first;

    return before / axis->period * axis->block + before % axis->period;
}

/* Find the first segment of the intersection at or after `index`: indices from..to-1. *a_p and *b_p are the starts of
 * the blocks of both sides that contain it. @return false if there is no such segment */
static bool
find_segment(const alchi_intersect_t *set, int64_t index, int64_t *from_p, int64_t *to_p, int64_t *a_p, int64_t *b_p)
{
    int64_t from = alchi_max_int64(index, set->begin);
    int64_t a = block_start(&set->a, from), b = block_start(&set->b, from);

    for (;;) {
        int64_t to = alchi_min_int64(alchi_min_int64(a + set->a.block, b + set->b.block), set->end);

        from = alchi_max_int64(from, alchi_max_int64(a, b));
        if (from >= set->end)
            return false;
        if (from < to) {
            *from_p = from;
            *to_p = to;
            *a_p = a;
            *b_p = b;
            return true;
        }
        if (a < b)
            a = block_start(&set->a, from);
        else
            b = block_start(&set->b, from);
    }
}

/* From the index at which both sets have begun, the segments repeat after as many indices as the least common multiple
 * of both periods. If each such repetition has a single segment, all of them are one run. (A gap precedes each block,
 * so no segment continues into the next repetition.)
 * @return the least common multiple; 0 if a repetition has no segment or several, or if a period or the multiple is
 * larger than set->end */
static int64_t
single_segment_period(const alchi_intersect_t *set)
{
    int64_t start = alchi_max_int64(set->a.first, set->b.first), from, to, a, b;
    alchi_intersect_t probe = *set;
    int64_t factor = set->b.period / alchi_gcd(set->a.period, set->b.period);

    if (set->a.period > set->end || set->b.period > set->end || factor > set->end / set->a.period)
        return 0;
    probe.begin = 0;
    probe.end = start + factor * set->a.period;
    if (!find_segment(&probe, start, &from, &to, &a, &b) || find_segment(&probe, to, &from, &to, &a, &b))
        return 0;
    return factor * set->a.period;
}

void
alchi_intersect_init(alchi_intersect_t *set, const alchi_axis_t *a, const alchi_axis_t *b, int64_t begin, int64_t end)
{
    *set = (alchi_intersect_t){.a = clamp_axis(a, end), .b = clamp_axis(b, end), .begin = begin, .end = end};
    set->lcm = single_segment_period(set);
}

/* Extend a run by segments of the same length at distance `step` that end at `limit` or before. Do nothing if the run
 * already has that many segments. */
static void
extend_run(alchi_strided_run_t *run, int64_t step, int64_t limit, int64_t a_step, int64_t b_step)
{
    int64_t count = (limit - run->index - run->length) / step + 1;

    if (count > run->count) {
        run->count = count;
        run->step = step;
        run->a_step = a_step;
        run->b_step = b_step;
    }
}

bool
alchi_intersect_next(const alchi_intersect_t *set, int64_t index, alchi_strided_run_t *run_p)
{
    const alchi_axis_t *a = &set->a, *b = &set->b;
    int64_t from, to, a_at, b_at;

    if (!find_segment(set, index, &from, &to, &a_at, &b_at))
        return false;
    *run_p = (alchi_strided_run_t){
        .length = to - from, .count = 1, .index = from, .a = alchi_axis_local(a, from), .b = alchi_axis_local(b, from)};
    /* Only whole segments are joined. The bounds may cut the first and the last one: these are runs of one segment. */
    if (set->lcm && from == alchi_max_int64(a_at, b_at) && to == alchi_min_int64(a_at + a->block, b_at + b->block))
        extend_run(run_p, set->lcm, set->end, set->lcm / a->period * a->block, set->lcm / b->period * b->block);
    if (from == a_at && run_p->length == a->block && a->period < b->block)
        extend_run(run_p, a->period, alchi_min_int64(b_at + b->block, set->end), a->block, a->period);
    if (from == b_at && run_p->length == b->block && b->period < a->block)
        extend_run(run_p, b->period, alchi_min_int64(a_at + a->block, set->end), b->period, b->block);
    return true;
}

int64_t
alchi_intersect_count(const alchi_intersect_t *set)
{
    alchi_strided_run_t run;
    int64_t total = 0;

    for (int64_t at = set->begin; alchi_intersect_next(set, at, &run); at = alchi_strided_run_end(&run))
        total += run.length * run.count;
    return total;
}

int64_t
alchi_intersect_take(alchi_intersect_t *set, int64_t max)
{
    int64_t taken = 0, at = set->begin, last = -1;
    alchi_strided_run_t run;

    while (taken < max && alchi_intersect_next(set, at, &run)) {
        int64_t size = run.length * run.count, left = max - taken;

        if (taken == 0)
            set->begin = run.index;
        if (size > left) {
            last = run.index + (left - 1) / run.length * run.step + (left - 1) % run.length;
            taken = max;
        } else {
            last = alchi_strided_run_end(&run) - 1;
            taken += size;
        }
        at = last + 1;
    }
    set->end = taken > 0 ? last + 1 : set->begin;
    return taken;
}
