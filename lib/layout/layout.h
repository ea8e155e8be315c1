/**
 * @file layout/layout.h
 * One description of every layout: an explicit grid of ranks with block sizes.
 *
 * Entry (i, j) lives at grid place ((i / mb) mod nprow, (j / nb) mod npcol) of every replica;
 * ranks[replica * nprow * npcol + row + col * nprow] says which rank that is. Each rank stands in the
 * table at most once, and may be absent. Storage on a rank is column-major with leading dimension
 * max(1, local rows). Pure integer arithmetic: no I/O, no globals, MT-Safe.
 */
#ifndef ALCHI_LAYOUT_LAYOUT_H
#define ALCHI_LAYOUT_LAYOUT_H

#include <alchemist/layout.h>
#include <stdbool.h>

typedef struct {
    int64_t m, n; /* the matrix */
    int64_t mb, nb;
    int nprow, npcol;
    int replicas;
    int workers;        /* ranks of the group */
    alch_layout_t spec; /* resolved: what alch_layout_t a user sees */
    int *ranks;         /* [replicas * nprow * npcol] */
    int *places;        /* [workers]: index into ranks, or -1: the inverse */
} alchi_layout_t;

/** The squarest grid of p workers, r <= c. */
void alchi_grid(int p, int *r_p, int *c_p);

/** Resolve a spec for an m x n matrix on p workers. NULL spec: default.
 *  @return ALCH_OK; ALCH_EINVAL names value and limit; ALCH_ENOMEM */
int alchi_layout_init(alchi_layout_t *layout, int64_t m, int64_t n, int p, const alch_layout_t *spec,
                      alch_error_t *err);
/** As alchi_layout_init() for a given r x c grid of the named distributions (the golden tests use it). */
int alchi_layout_init_grid(alchi_layout_t *layout, int64_t m, int64_t n, int r, int c, const alch_layout_t *spec,
                           alch_error_t *err);
void alchi_layout_fini(alchi_layout_t *layout);

/** Where a rank stands. @return false: it holds nothing */
bool alchi_layout_place(const alchi_layout_t *layout, int rank, int *replica_p, int *row_p, int *col_p);

/** Local rows and columns of a rank (0, 0 if it holds nothing). */
void alchi_layout_local(const alchi_layout_t *layout, int rank, int64_t *local_m_p, int64_t *local_n_p);

/** How many of the indices 0..end-1 in blocks of `block` over `procs` places fall on place `proc`: ScaLAPACK's
 *  numroc with source 0; monotone, so that local ranges are differences of it. */
int64_t alchi_count(int64_t end, int64_t block, int proc, int procs);

/** One dimension of a rank's part: local index l is global (l / block) * period + first + l % block. */
typedef struct {
    int64_t block, period, first;
} alchi_axis_t;

static inline int64_t
alchi_axis_global(const alchi_axis_t *axis, int64_t l)
{
    return l / axis->block * axis->period + axis->first + l % axis->block;
}

/** The axes of a grid place. */
void alchi_layout_axes(const alchi_layout_t *layout, int row, int col, alchi_axis_t *rows_p, alchi_axis_t *cols_p);

/** A place's share of a global rectangle: one contiguous local rectangle, maybe empty. */
void alchi_layout_share(const alchi_layout_t *layout, int row, int col, const alch_rect_t *global,
                        alch_rect_t *local_p);

/** Whether a rectangle lies within m x n (empty ones at the edge included), without overflow. */
bool alchi_rect_within(const alch_rect_t *rect, int64_t m, int64_t n);

#endif
