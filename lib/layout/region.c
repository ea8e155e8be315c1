/*
 * Regions, as disjoint rectangles or as a bitmap: see region.h.
 *
 * When a rectangle is added, the region drops those of its rectangles that the new one covers, removes from the new one
 * the entries that other rectangles hold, and merges the parts that remain with neighbors of the same extent. If more
 * than RECTS_MAX rectangles result, the region becomes a bitmap. It stays one until it is complete.
 */
#include "layout/region.h"
#include "base/util.h"
#include "layout/bitmap.h"
#include <stdlib.h>
#include <string.h>

#define RECTS_MAX 256
/* Room for intermediate results. An addition that needs more makes the region a bitmap. */
#define RECTS_ROOM (2 * RECTS_MAX)

struct alchi_region {
    int64_t m, n;
    int64_t count;   /* entries held */
    uint64_t *words; /* entry (i, j) is bit i + j * m; NULL: the region is kept in rects */
    int rect_count;
    alch_rect_t rects[RECTS_MAX];
};

typedef struct {
    int count;
    alch_rect_t rects[RECTS_ROOM];
} list_t;

static alch_rect_t
intersect_rects(const alch_rect_t *a, const alch_rect_t *b)
{
    int64_t i = alchi_max_int64(a->i, b->i), j = alchi_max_int64(a->j, b->j);
    int64_t m = alchi_min_int64(a->i + a->m, b->i + b->m) - i, n = alchi_min_int64(a->j + a->n, b->j + b->n) - j;

    return m > 0 && n > 0 ? (alch_rect_t){i, j, m, n} : (alch_rect_t){i, j, 0, 0};
}

static bool
push_rect(list_t *list, int64_t i, int64_t j, int64_t m, int64_t n)
{
    if (m <= 0 || n <= 0)
        return true;
    if (list->count == RECTS_ROOM)
        return false;
    list->rects[list->count++] = (alch_rect_t){i, j, m, n};
    return true;
}

/* Append the part of `rect` that is not in `hole`: up to four rectangles. @return false if the list is full */
static bool
push_without(list_t *list, const alch_rect_t *rect, const alch_rect_t *hole)
{
    alch_rect_t cut = intersect_rects(rect, hole);

    if (cut.m == 0)
        return push_rect(list, rect->i, rect->j, rect->m, rect->n);
    return push_rect(list, rect->i, rect->j, rect->m, cut.j - rect->j) &&
           push_rect(list, rect->i, cut.j, cut.i - rect->i, cut.n) &&
           push_rect(list, cut.i + cut.m, cut.j, rect->i + rect->m - cut.i - cut.m, cut.n) &&
           push_rect(list, rect->i, cut.j + cut.n, rect->m, rect->j + rect->n - cut.j - cut.n);
}

/* Make *a the union of both rectangles if that is a rectangle. @return whether it is */
static bool
merge_rects(alch_rect_t *a, const alch_rect_t *b)
{
    if (a->i == b->i && a->m == b->m && (a->j + a->n == b->j || b->j + b->n == a->j)) {
        a->j = alchi_min_int64(a->j, b->j);
        a->n += b->n;
        return true;
    }
    if (a->j == b->j && a->n == b->n && (a->i + a->m == b->i || b->i + b->m == a->i)) {
        a->i = alchi_min_int64(a->i, b->i);
        a->m += b->m;
        return true;
    }
    return false;
}

/* Add a rectangle that is disjoint from all others. Merge it with neighbors for as long as one fits. */
static bool
push_merged(list_t *list, alch_rect_t rect)
{
    for (int k = 0; k < list->count;)
        if (merge_rects(&rect, &list->rects[k])) {
            list->rects[k] = list->rects[--list->count];
            k = 0;
        } else {
            k++;
        }
    return push_rect(list, rect.i, rect.j, rect.m, rect.n);
}

/* List the region's rectangles with `rect` added. @return false if there are too many */
static bool
add_to_list(const alchi_region_t *region, const alch_rect_t *rect, list_t *list)
{
    list_t parts[2];
    int current = 0;

    list->count = 0;
    parts[0].count = 1;
    parts[0].rects[0] = *rect;
    for (int k = 0; k < region->rect_count; k++) {
        const alch_rect_t *old = &region->rects[k];
        alch_rect_t cut = intersect_rects(rect, old);

        if (cut.m == old->m && cut.n == old->n)
            continue;
        if (!push_rect(list, old->i, old->j, old->m, old->n))
            return false;
        if (cut.m == 0)
            continue;
        parts[!current].count = 0;
        for (int l = 0; l < parts[current].count; l++)
            if (!push_without(&parts[!current], &parts[current].rects[l], old))
                return false;
        current = !current;
    }
    for (int l = 0; l < parts[current].count; l++)
        if (!push_merged(list, parts[current].rects[l]))
            return false;
    return list->count <= RECTS_MAX;
}

static void
set_bits(alchi_region_t *region, const alch_rect_t *rect)
{
    if (rect->m == region->m) {
        region->count += alchi_bits_set(region->words, rect->j * region->m, rect->n * region->m);
        return;
    }
    for (int64_t j = rect->j; j < rect->j + rect->n; j++)
        region->count += alchi_bits_set(region->words, rect->i + j * region->m, rect->m);
}

static int
turn_to_bitmap(alchi_region_t *region)
{
    region->words = calloc((size_t)(region->m * region->n / 64 + 1), sizeof(*region->words));
    if (!region->words)
        return ALCH_ENOMEM;
    region->count = 0;
    for (int k = 0; k < region->rect_count; k++)
        set_bits(region, &region->rects[k]);
    region->rect_count = 0;
    return ALCH_OK;
}

alchi_region_t *
alchi_region_create(int64_t m, int64_t n)
{
    alchi_region_t *region = calloc(1, sizeof(*region));

    if (region) {
        region->m = m;
        region->n = n;
    }
    return region;
}

void
alchi_region_destroy(alchi_region_t *region)
{
    if (region)
        free(region->words);
    free(region);
}

int
alchi_region_add(alchi_region_t *region, const alch_rect_t *rect)
{
    list_t list;

    if (rect->m == 0 || rect->n == 0 || alchi_region_complete(region))
        return ALCH_OK;
    if (!region->words && add_to_list(region, rect, &list)) {
        region->rect_count = list.count;
        memcpy(region->rects, list.rects, (size_t)list.count * sizeof(*list.rects));
        region->count = 0;
        for (int k = 0; k < list.count; k++)
            region->count += list.rects[k].m * list.rects[k].n;
    } else {
        int code = region->words ? ALCH_OK : turn_to_bitmap(region);

        if (code)
            return code;
        set_bits(region, rect);
    }
    if (alchi_region_complete(region))
        alchi_region_fill(region);
    return ALCH_OK;
}

bool
alchi_region_complete(const alchi_region_t *region)
{
    return region->count == region->m * region->n;
}

void
alchi_region_fill(alchi_region_t *region)
{
    free(region->words);
    region->words = NULL;
    region->rect_count = 1;
    region->rects[0] = (alch_rect_t){0, 0, region->m, region->n};
    region->count = region->m * region->n;
}

int64_t
alchi_region_count(const alchi_region_t *region)
{
    return region->count;
}

/* Find the first missing entry within rows i..end-1 of column j. @return its row, or `end` if no entry is missing. In
 * the latter case no entry is missing in these rows of columns j..*same_p-1 */
static int64_t
find_missing_row(const alchi_region_t *region, int64_t i, int64_t end, int64_t j, int64_t *same_p)
{
    int64_t same = region->n;

    if (region->words) {
        *same_p = j + 1;
        return alchi_bits_find(region->words, i + j * region->m, end + j * region->m, false) - j * region->m;
    }
    for (int k = 0; k < region->rect_count && i < end;) {
        const alch_rect_t *rect = &region->rects[k++];

        if (rect->j <= j && j < rect->j + rect->n && rect->i <= i && i < rect->i + rect->m) {
            i = rect->i + rect->m;
            same = alchi_min_int64(same, rect->j + rect->n);
            k = 0;
        }
    }
    *same_p = same;
    return alchi_min_int64(i, end);
}

/* Entry i of column j is missing. @return the first row within i..end-1 whose entry is held; `end` if there is none */
static int64_t
find_held_row(const alchi_region_t *region, int64_t i, int64_t end, int64_t j)
{
    if (region->words)
        return alchi_bits_find(region->words, i + j * region->m, end + j * region->m, true) - j * region->m;
    for (int k = 0; k < region->rect_count; k++) {
        const alch_rect_t *rect = &region->rects[k];

        if (rect->j <= j && j < rect->j + rect->n && rect->i > i)
            end = alchi_min_int64(end, rect->i);
    }
    return end;
}

/* All entries in rows i..i_end-1 of column j are missing. @return the first column after j in which the region holds an
 * entry in these rows; `j_end` if there is no such column before j_end. A rectangle that begins at column j or before
 * holds no such entry, because it would then also hold an entry of column j. */
static int64_t
missing_width(const alchi_region_t *region, int64_t i, int64_t i_end, int64_t j, int64_t j_end)
{
    int64_t width_end = j_end;

    if (region->words) {
        for (width_end = j + 1; width_end < j_end; width_end++)
            if (find_held_row(region, i, i_end, width_end) < i_end)
                break;
        return width_end;
    }
    for (int k = 0; k < region->rect_count; k++) {
        const alch_rect_t *rect = &region->rects[k];

        if (rect->j > j && rect->i < i_end && rect->i + rect->m > i)
            width_end = alchi_min_int64(width_end, rect->j);
    }
    return width_end;
}

bool
alchi_region_missing(const alchi_region_t *region, const alch_rect_t *within, alch_rect_t *missing_p)
{
    int64_t i_end = within->i + within->m, j_end = within->j + within->n;
    int64_t same;

    if (within->m == 0 || alchi_region_complete(region))
        return false;
    for (int64_t j = within->j; j < j_end; j = same) {
        int64_t i = find_missing_row(region, within->i, i_end, j, &same);
        int64_t run_end;

        if (i == i_end)
            continue;
        run_end = find_held_row(region, i, i_end, j);
        *missing_p = (alch_rect_t){i, j, run_end - i, missing_width(region, i, run_end, j, j_end) - j};
        return true;
    }
    return false;
}

/* Copy the bits of `from` to a region whose columns have another length. Rows that `region` does not have are skipped.
 */
static void
copy_bits(alchi_region_t *region, const alchi_region_t *from)
{
    int64_t rows = alchi_min_int64(region->m, from->m);

    for (int64_t j = 0; j < from->n; j++) {
        const int64_t first = j * from->m, end = first + rows;

        for (int64_t at = first; (at = alchi_bits_find(from->words, at, end, true)) < end;) {
            int64_t run_end = alchi_bits_find(from->words, at, end, false);

            set_bits(region, &(alch_rect_t){at - first, j, run_end - at, 1});
            at = run_end;
        }
    }
}

static void
copy_rects(alchi_region_t *region, const alchi_region_t *from)
{
    const alch_rect_t whole = {0, 0, region->m, region->n};

    for (int k = 0; k < from->rect_count; k++) {
        alch_rect_t cut = intersect_rects(&from->rects[k], &whole);

        if (cut.m == 0)
            continue;
        region->rects[region->rect_count++] = cut;
        region->count += cut.m * cut.n;
    }
}

alchi_region_t *
alchi_region_resized(const alchi_region_t *region, int64_t m)
{
    alchi_region_t *resized = alchi_region_create(m, region->n);

    if (!resized)
        return NULL;
    if (!region->words) {
        copy_rects(resized, region);
    } else if (turn_to_bitmap(resized)) {
        alchi_region_destroy(resized);
        return NULL;
    } else {
        copy_bits(resized, region);
    }
    if (alchi_region_complete(resized))
        alchi_region_fill(resized);
    return resized;
}

bool
alchi_region_covers(const alchi_region_t *region, const alch_rect_t *rect)
{
    alch_rect_t missing;

    return !alchi_region_missing(region, rect, &missing);
}

/* ---- products of an index set of rows and one of columns ---- */

/* Where a set is in the storage of side b: its first index, the distance to the end of its last index, its size. */
typedef struct {
    int64_t first, span, count;
} extent_t;

static extent_t
extent_of(const alchi_intersect_t *set)
{
    extent_t extent = {0, 0, 0};
    alchi_strided_run_t run;

    for (int64_t at = set->begin; alchi_intersect_next(set, at, &run); at = alchi_strided_run_end(&run)) {
        if (extent.count == 0)
            extent.first = run.b;
        extent.span = run.b + (run.count - 1) * run.b_step + run.length - extent.first;
        extent.count += run.length * run.count;
    }
    return extent;
}

/* @return whether both sets have no gaps; *rect_p is then their product */
static bool
is_rect(const extent_t *rows, const extent_t *cols, alch_rect_t *rect_p)
{
    *rect_p = (alch_rect_t){rows->first, cols->first, rows->span, cols->span};
    return rows->span == rows->count && cols->span == cols->count;
}

/* @return the rows as bits, of which bit 0 is the first row; NULL: out of memory */
static uint64_t *
mask_of_rows(const alchi_intersect_t *rows, const extent_t *extent)
{
    uint64_t *mask = calloc((size_t)(extent->span / 64 + 1), sizeof(*mask));
    alchi_strided_run_t run;

    for (int64_t at = rows->begin; mask && alchi_intersect_next(rows, at, &run); at = alchi_strided_run_end(&run))
        for (int64_t k = 0; k < run.count; k++)
            alchi_bits_set(mask, run.b - extent->first + k * run.b_step, run.length);
    return mask;
}

/* A position on a walk over the storage indices of a set, in rising order. It begins with a run of 0 segments. */
typedef struct {
    const alchi_intersect_t *set;
    alchi_strided_run_t run;
    int64_t at;             /* where the search for the next run starts */
    int64_t segment, place; /* the next index: its segment in the run, its place in the segment */
} walk_t;

static bool
walk_next(walk_t *walk, int64_t *index_p)
{
    if (walk->place == walk->run.length) {
        walk->place = 0;
        walk->segment++;
    }
    if (walk->segment >= walk->run.count) {
        walk->segment = walk->place = 0;
        if (!alchi_intersect_next(walk->set, walk->at, &walk->run))
            return false;
        walk->at = alchi_strided_run_end(&walk->run);
    }
    *index_p = walk->run.b + walk->segment * walk->run.b_step + walk->place++;
    return true;
}

int
alchi_region_add_set(alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols)
{
    extent_t row_extent = extent_of(rows), col_extent = extent_of(cols);
    walk_t walk = {.set = cols, .at = cols->begin};
    alch_rect_t rect;
    uint64_t *mask;
    int64_t j;

    if (is_rect(&row_extent, &col_extent, &rect))
        return alchi_region_add(region, &rect);
    if (row_extent.count == 0 || col_extent.count == 0 || alchi_region_complete(region))
        return ALCH_OK;
    mask = mask_of_rows(rows, &row_extent);
    if (!mask || (!region->words && turn_to_bitmap(region))) {
        free(mask);
        return ALCH_ENOMEM;
    }
    while (walk_next(&walk, &j))
        region->count += alchi_bits_or(region->words, row_extent.first + j * region->m, mask, row_extent.span);
    free(mask);
    if (alchi_region_complete(region))
        alchi_region_fill(region);
    return ALCH_OK;
}

/* @return how many storage indices of a set are within first..first+count-1 */
static int64_t
count_within(const alchi_intersect_t *set, int64_t first, int64_t count)
{
    alchi_intersect_t part = *set;

    part.begin = alchi_max_int64(part.begin, alchi_axis_global(&set->b, first));
    part.end = alchi_min_int64(part.end, alchi_axis_global(&set->b, first + count - 1) + 1);
    return alchi_intersect_count(&part);
}

static bool
bits_cover(const alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
           const extent_t *extent)
{
    uint64_t *mask = mask_of_rows(rows, extent);
    walk_t walk = {.set = cols, .at = cols->begin};
    bool covered = mask != NULL;
    alch_rect_t missing;
    int64_t j;

    if (!mask)
        return !alchi_region_missing_set(region, rows, cols, &missing);
    while (covered && walk_next(&walk, &j))
        covered = alchi_bits_hold(region->words, extent->first + j * region->m, mask, extent->span);
    free(mask);
    return covered;
}

bool
alchi_region_covers_set(const alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols)
{
    extent_t row_extent = extent_of(rows), col_extent = extent_of(cols);
    int64_t held = 0;

    if (alchi_region_complete(region) || row_extent.count == 0 || col_extent.count == 0)
        return true;
    if (region->words)
        return bits_cover(region, rows, cols, &row_extent);
    for (int k = 0; k < region->rect_count; k++) {
        const alch_rect_t *rect = &region->rects[k];

        held += count_within(rows, rect->i, rect->m) * count_within(cols, rect->j, rect->n);
    }
    return held == row_extent.count * col_extent.count;
}

bool
alchi_region_missing_set(const alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                         alch_rect_t *missing_p)
{
    walk_t walk = {.set = cols, .at = cols->begin};
    alchi_strided_run_t run;
    int64_t j;

    while (walk_next(&walk, &j))
        for (int64_t at = rows->begin; alchi_intersect_next(rows, at, &run); at = alchi_strided_run_end(&run))
            for (int64_t k = 0; k < run.count; k++) {
                alch_rect_t segment = {run.b + k * run.b_step, j, run.length, 1};

                if (alchi_region_missing(region, &segment, missing_p))
                    return true;
            }
    return false;
}

/* Set the bits of those entries in rows i..end-1 of column j that the region holds. Row i is bit `at` of the mask.
 * @return how many it holds */
static int64_t
copy_segment_bits(const alchi_region_t *region, int64_t i, int64_t end, int64_t j, uint64_t *mask, int64_t at)
{
    int64_t held = 0, same;

    while (i < end) {
        int64_t missing = find_missing_row(region, i, end, j, &same);

        held += alchi_bits_set(mask, at, missing - i);
        at += missing - i;
        i = missing < end ? find_held_row(region, missing, end, j) : end;
        at += i - missing;
    }
    return held;
}

int64_t
alchi_region_mask(const alchi_region_t *region, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                  uint64_t *mask)
{
    walk_t walk = {.set = cols, .at = cols->begin};
    int64_t held = 0, at = 0, j;
    alchi_strided_run_t run;

    while (walk_next(&walk, &j))
        for (int64_t index = rows->begin; alchi_intersect_next(rows, index, &run); index = alchi_strided_run_end(&run))
            for (int64_t k = 0; k < run.count; k++, at += run.length) {
                int64_t first = run.b + k * run.b_step;

                held += copy_segment_bits(region, first, first + run.length, j, mask, at);
            }
    return held;
}
