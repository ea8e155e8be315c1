/* Grids, places and local parts: see layout.h. */
#include "layout/layout.h"
#include "layout/named.h"
#include "base/error.h"
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The maximum block size. It keeps the text of every layout within 64 bytes. */
#define BLOCK_MAX INT64_C(1000000000000)
/* The maximum number of entries of a matrix. With it the size in bytes fits in int64 for the widest type, 16 bytes. */
#define ENTRIES_MAX (INT64_MAX / 16)

void
alchi_grid(int p, int *r_p, int *c_p)
{
    int r = 1;

    for (int64_t d = 1; d * d <= p; d++)
        if (p % d == 0)
            r = (int)d;
    *r_p = r;
    *c_p = p / r;
}

int64_t
alchi_count(int64_t end, int64_t block, int proc, int procs)
{
    int64_t period = block * procs;
    int64_t before = proc * block; /* indices of lower places in the last, partial period */
    int64_t rest = end % period;
    int64_t tail = rest <= before ? 0 : rest - before;

    return end / period * block + (tail < block ? tail : block);
}

static int
check_shape(int64_t m, int64_t n, alch_error_t *err)
{
    if (m < 0 || n < 0)
        return alchi_error_set(err, ALCH_EINVAL, "matrix size %" PRId64 " x %" PRId64 " is negative", m, n);
    if (n > 0 && m > ENTRIES_MAX / n)
        return alchi_error_set(err, ALCH_EINVAL,
                               "matrix size %" PRId64 " x %" PRId64 " exceeds the maximum of %" PRId64 " entries", m, n,
                               ENTRIES_MAX);
    return ALCH_OK;
}

static int
check_block(const char *name, int64_t block, int procs, alch_error_t *err)
{
    int64_t limit = INT64_MAX / procs < BLOCK_MAX ? INT64_MAX / procs : BLOCK_MAX;

    if (block >= 1 && block <= limit)
        return ALCH_OK;
    return alchi_error_set(err, ALCH_EINVAL, "layout: block size %s = %" PRId64 " is not within 1..%" PRId64, name,
                           block, limit);
}

/* Replace each 0 of the spec by its default. r x c is the grid that alchi_grid() chose for the group. */
static int
resolve_block_cyclic(alch_layout_t *spec, int r, int c, alch_error_t *err)
{
    int p = r * c;
    int code;

    if (spec->nprow < 0 || spec->npcol < 0)
        return alchi_error_set(err, ALCH_EINVAL, "layout: grid size %d x %d is negative", spec->nprow, spec->npcol);
    if (spec->nprow > p || spec->npcol > p ||
        (spec->nprow > 0 && spec->npcol > 0 && (int64_t)spec->nprow * spec->npcol > p))
        return alchi_error_set(err, ALCH_EINVAL, "layout: grid %d x %d needs %" PRId64 " workers, the group has %d",
                               spec->nprow, spec->npcol,
                               (int64_t)(spec->nprow ? spec->nprow : 1) * (spec->npcol ? spec->npcol : 1), p);
    if (spec->nprow == 0 && spec->npcol == 0) {
        spec->nprow = r;
        spec->npcol = c;
    } else if (spec->npcol == 0) {
        spec->npcol = p / spec->nprow;
    } else if (spec->nprow == 0) {
        spec->nprow = p / spec->npcol;
    }
    spec->mb = spec->mb == 0 ? ALCH_DEFAULT_BLOCK : spec->mb;
    spec->nb = spec->nb == 0 ? ALCH_DEFAULT_BLOCK : spec->nb;
    code = check_block("mb", spec->mb, spec->nprow, err);
    return code ? code : check_block("nb", spec->nb, spec->npcol, err);
}

/* @return the place of a rank as row + col * nprow; -1: the rank holds nothing */
static int
rank_place(const alch_layout_t *spec, int r, int c, int rank)
{
    int row, col;

    if (spec->dist == ALCH_BLOCK_CYCLIC)
        return rank < spec->nprow * spec->npcol ? rank : -1;
    alchi_named_place(spec->dist, r, c, rank, &row, &col);
    return row < 0 ? -1 : row + col * spec->nprow;
}

/* Fill both tables. Ranks at the same place become replicas 0, 1, ... in the order of their numbers. */
static int
fill_ranks(alchi_layout_t *layout, int r, int c, alch_error_t *err)
{
    int grid = layout->nprow * layout->npcol;
    size_t ranks = (size_t)layout->replicas * (size_t)grid;
    int *used = calloc((size_t)grid, sizeof(*used));

    layout->ranks = malloc(ranks * sizeof(*layout->ranks));
    layout->places = malloc((size_t)layout->workers * sizeof(*layout->places));
    if (!used || !layout->ranks || !layout->places) {
        free(used);
        return alchi_error_set(err, ALCH_ENOMEM, "cannot allocate a layout on %d workers: out of memory",
                               layout->workers);
    }
    for (int rank = 0; rank < layout->workers; rank++) {
        int place = rank_place(&layout->spec, r, c, rank);

        layout->places[rank] = -1;
        if (place < 0)
            continue;
        layout->places[rank] = used[place]++ * grid + place;
        layout->ranks[layout->places[rank]] = rank;
    }
    free(used);
    return ALCH_OK;
}

int
alchi_layout_init_grid(alchi_layout_t *layout, int64_t m, int64_t n, int r, int c, const alch_layout_t *spec,
                       alch_error_t *err)
{
    alchi_layout_t resolved = {.m = m, .n = n, .replicas = 1};
    int code;

    if (r < 1 || c < 1 || r > INT_MAX / c)
        return alchi_error_set(err, ALCH_EINVAL, "layout: worker grid %d x %d is not within 1..%d workers", r, c,
                               INT_MAX);
    if ((code = check_shape(m, n, err)))
        return code;
    resolved.workers = r * c;
    if (spec)
        resolved.spec = *spec;
    if (!alch_dist_name(resolved.spec.dist))
        return alchi_error_set(err, ALCH_EINVAL, "layout: distribution %d does not exist", (int)resolved.spec.dist);
    if (resolved.spec.dist == ALCH_BLOCK_CYCLIC) {
        code = resolve_block_cyclic(&resolved.spec, r, c, err);
        if (code)
            return code;
    } else {
        resolved.spec.mb = resolved.spec.nb = 1;
        alchi_named_shape(resolved.spec.dist, r, c, &resolved.spec.nprow, &resolved.spec.npcol, &resolved.replicas);
    }
    resolved.mb = resolved.spec.mb;
    resolved.nb = resolved.spec.nb;
    resolved.nprow = resolved.spec.nprow;
    resolved.npcol = resolved.spec.npcol;
    code = fill_ranks(&resolved, r, c, err);
    if (code) {
        alchi_layout_fini(&resolved);
        return code;
    }
    *layout = resolved;
    return ALCH_OK;
}

int
alchi_layout_init(alchi_layout_t *layout, int64_t m, int64_t n, int p, const alch_layout_t *spec, alch_error_t *err)
{
    int r, c;

    if (p < 1)
        return alchi_error_set(err, ALCH_EINVAL, "layout: a group of %d workers is too small: at least 1 is needed", p);
    alchi_grid(p, &r, &c);
    return alchi_layout_init_grid(layout, m, n, r, c, spec, err);
}

void
alchi_layout_fini(alchi_layout_t *layout)
{
    free(layout->ranks);
    free(layout->places);
    memset(layout, 0, sizeof(*layout));
}

bool
alchi_layout_place(const alchi_layout_t *layout, int rank, int *replica_p, int *row_p, int *col_p)
{
    int grid = layout->nprow * layout->npcol;
    int place;

    if (rank < 0 || rank >= layout->workers || layout->places[rank] < 0)
        return false;
    place = layout->places[rank] % grid;
    *replica_p = layout->places[rank] / grid;
    *row_p = place % layout->nprow;
    *col_p = place / layout->nprow;
    return true;
}

void
alchi_layout_local(const alchi_layout_t *layout, int rank, int64_t *local_m_p, int64_t *local_n_p)
{
    int replica, row, col;

    *local_m_p = *local_n_p = 0;
    if (!alchi_layout_place(layout, rank, &replica, &row, &col))
        return;
    *local_m_p = alchi_count(layout->m, layout->mb, row, layout->nprow);
    *local_n_p = alchi_count(layout->n, layout->nb, col, layout->npcol);
}

void
alchi_layout_axes(const alchi_layout_t *layout, int row, int col, alchi_axis_t *rows_p, alchi_axis_t *cols_p)
{
    *rows_p = (alchi_axis_t){layout->mb, layout->mb * layout->nprow, layout->mb * row};
    *cols_p = (alchi_axis_t){layout->nb, layout->nb * layout->npcol, layout->nb * col};
}

void
alchi_layout_local_rect(const alchi_layout_t *layout, int row, int col, const alch_rect_t *global, alch_rect_t *local_p)
{
    int64_t i = alchi_count(global->i, layout->mb, row, layout->nprow);
    int64_t j = alchi_count(global->j, layout->nb, col, layout->npcol);
    int64_t i_end = alchi_count(global->i + global->m, layout->mb, row, layout->nprow);
    int64_t j_end = alchi_count(global->j + global->n, layout->nb, col, layout->npcol);

    *local_p = (alch_rect_t){i, j, i_end - i, j_end - j};
}

bool
alchi_rect_within(const alch_rect_t *rect, int64_t m, int64_t n)
{
    return rect->i >= 0 && rect->j >= 0 && rect->m >= 0 && rect->n >= 0 && rect->i <= m && rect->m <= m - rect->i &&
           rect->j <= n && rect->n <= n - rect->j;
}
