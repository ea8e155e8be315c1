/**
 * @file layout/overlap.h
 * The overlap of two places of different block-cyclic grids: the entries of a matrix that both hold. A splitter splits
 * it into messages.
 *
 * These functions compute with integers only.
 *
 * @threads  MT-Safe
 */
#ifndef ALCHI_LAYOUT_OVERLAP_H
#define ALCHI_LAYOUT_OVERLAP_H

#include "layout/intersect.h"

/** A message: the entries of the overlap in some rows and some columns. */
typedef struct {
    alchi_intersect_t rows, cols;
    alch_rect_t local; /* the smallest rectangle in the storage of side b that contains these entries */
    int64_t entries;
} alchi_overlap_t;

typedef struct {
    alchi_intersect_t rows, cols; /* the whole overlap */
    alchi_intersect_t band;       /* the rows of the messages of the current band */
    int64_t band_rows;            /* how many rows the band has; 0: the next message begins a new band */
    int64_t next_row, next_col;   /* where the next band and the next message begin (indices of the matrix) */
    int64_t limit;                /* maximum number of entries in a message */
} alchi_overlap_splitter_t;

/** @param limit  maximum number of entries in a message, >= 1 */
void alchi_overlap_splitter_init(alchi_overlap_splitter_t *splitter, const alchi_intersect_t *rows,
                                 const alchi_intersect_t *cols, int64_t limit);
/**
 * Get the next message.
 *
 * The splitter divides the overlap into bands of at most `limit` rows. It gives each message as many whole columns of
 * the band as fit into `limit` entries.
 *
 * @return false if there is no further message
 */
bool alchi_overlap_splitter_next(alchi_overlap_splitter_t *splitter, alchi_overlap_t *overlap_p);

#endif
