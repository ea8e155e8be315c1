/**
 * @file layout/layout.h
 * One description for all layouts: an explicit grid of places, with block sizes and a table of ranks.
 *
 * Entry (i, j) is at place ((i / mb) mod nprow, (j / nb) mod npcol) of the grid of every replica. The rank at place
 * (row, col) of a replica is ranks[replica * nprow * npcol + row + col * nprow]. A rank is in this table at most once.
 * A rank that is not in the table holds nothing. A rank stores its local part column-major. The leading dimension is
 * max(1, local rows), or more after the matrix has grown.
 *
 * These functions compute with integers only; they use no I/O and no globals.
 *
 * @threads  MT-Safe
 */
#ifndef ALCHI_LAYOUT_LAYOUT_H
#define ALCHI_LAYOUT_LAYOUT_H

#include <alchemist/layout.h>
#include <stdbool.h>

/** @return the greatest common divisor of x and y, both >= 1 */
static inline int64_t
alchi_gcd(int64_t x, int64_t y)
{
    while (y > 0) {
        int64_t rest = x % y;

        x = y;
        y = rest;
    }
    return x;
}

typedef struct {
    int64_t m, n;     /* rows and columns of the matrix */
    int64_t mb, nb;   /* rows and columns of a block */
    int nprow, npcol; /* rows and columns of the grid */
    int replicas;
    int workers;        /* ranks of the group */
    alch_layout_t spec; /* the layout as users see it, with all defaults filled in */
    int *ranks;         /* [replicas * nprow * npcol] */
    int *places;        /* [workers] the inverse: the index of a rank in `ranks`; -1: it holds nothing */
} alchi_layout_t;

/** Get the grid of p workers that is nearest to a square: p = r * c, r <= c. */
void alchi_grid(int p, int *r_p, int *c_p);

/**
 * Lay out an m x n matrix on p workers.
 *
 * @param[out] layout  written on success only; the caller calls alchi_layout_fini()
 * @param[in] spec     what the user asked for, copied; NULL: the default layout
 *
 * @return ALCH_OK
 * @return ALCH_EINVAL  the shape, the number of workers or a value of the spec is out of range; the text names the
 *                      value and its limit
 * @return ALCH_ENOMEM
 */
int alchi_layout_init(alchi_layout_t *layout, int64_t m, int64_t n, int p, const alch_layout_t *spec,
                      alch_error_t *err);
/** As alchi_layout_init() for r * c workers in a given r x c grid. The golden tests call it directly, for grids that
 *  alchi_grid() does not choose. */
int alchi_layout_init_grid(alchi_layout_t *layout, int64_t m, int64_t n, int r, int c, const alch_layout_t *spec,
                           alch_error_t *err);
/** Free what alchi_layout_init() allocated. A second call does nothing. */
void alchi_layout_fini(alchi_layout_t *layout);

/** Get the place of a rank. @return false if the rank holds nothing; the outputs are then unchanged */
bool alchi_layout_place(const alchi_layout_t *layout, int rank, int *replica_p, int *row_p, int *col_p);

/** Get how many rows and columns the local part of a rank has: 0 and 0 if it holds nothing. */
void alchi_layout_local(const alchi_layout_t *layout, int rank, int64_t *local_m_p, int64_t *local_n_p);

/** Count the indices within 0..end-1 that place `proc` holds, when blocks of `block` indices are dealt cyclically to
 *  `procs` places. This is ScaLAPACK's numroc with source 0. The count is also the local index of the first index that
 *  the place holds at or after `end`, so a range of local indices is the difference of two counts. */
int64_t alchi_count(int64_t end, int64_t block, int proc, int procs);

/** One dimension of a rank's part: the global index of local index l is (l / block) * period + first + l % block. */
typedef struct {
    int64_t block, period,
        first; /* indices in a block; from the start of a block to the next; before the first block */
} alchi_axis_t;

static inline int64_t
alchi_axis_global(const alchi_axis_t *axis, int64_t l)
{
    return l / axis->block * axis->period + axis->first + l % axis->block;
}

/** Get both axes of a place of the grid. */
void alchi_layout_axes(const alchi_layout_t *layout, int row, int col, alchi_axis_t *rows_p, alchi_axis_t *cols_p);

/** Get the part of a global rectangle that a place holds. In the place's storage it is one local rectangle, which may
 *  be empty. */
void alchi_layout_local_rect(const alchi_layout_t *layout, int row, int col, const alch_rect_t *global,
                             alch_rect_t *local_p);

/** @return whether a rectangle is within m x n. Its members may have any values: nothing overflows. An empty rectangle
 *  at the edge is within. */
bool alchi_rect_within(const alch_rect_t *rect, int64_t m, int64_t n);

#endif
