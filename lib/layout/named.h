/**
 * @file layout/named.h
 * Elemental's distributions as maps from the r x c grid of workers to places of a layout.
 *
 * Each is a pair of schemes, one for rows and one for columns; a scheme says how many places
 * its dimension has and on which of them a worker stands. Workers on one place are replicas.
 */
#ifndef ALCHI_LAYOUT_NAMED_H
#define ALCHI_LAYOUT_NAMED_H

#include <alchemist/layout.h>

#define ALCHI_DIST_COUNT 15

/** Places per dimension and copies of a named distribution (not ALCH_BLOCK_CYCLIC) on an r x c grid. */
void alchi_named_shape(alch_dist_t dist, int r, int c, int *nprow_p, int *npcol_p, int *replicas_p);

/** Row and column of the place of `rank`; -1, -1: it holds nothing. */
void alchi_named_place(alch_dist_t dist, int r, int c, int rank, int *row_p, int *col_p);

#endif
