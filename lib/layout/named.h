/**
 * @file layout/named.h
 * Elemental's distributions as maps from the r x c grid of workers to places of a layout.
 *
 * A named distribution is a pair of schemes, one for rows and one for columns. A scheme determines how many places its
 * dimension has, and at which of them a worker is. Workers at the same place are replicas of each other.
 *
 * @threads  MT-Safe
 */
#ifndef ALCHI_LAYOUT_NAMED_H
#define ALCHI_LAYOUT_NAMED_H

#include <alchemist/layout.h>

/** How many values alch_dist_t has. */
#define ALCHI_DIST_COUNT 15

/**
 * Get the shape of a named distribution on an r x c grid of workers.
 *
 * @param dist                   not ALCH_BLOCK_CYCLIC
 * @param[out] nprow_p, npcol_p  places in each dimension
 * @param[out] replicas_p        workers at each place
 */
void alchi_named_shape(alch_dist_t dist, int r, int c, int *nprow_p, int *npcol_p, int *replicas_p);

/** Get the row and column of the place of `rank`; both are -1 if the rank holds nothing. `dist` as above. */
void alchi_named_place(alch_dist_t dist, int r, int c, int rank, int *row_p, int *col_p);

#endif
