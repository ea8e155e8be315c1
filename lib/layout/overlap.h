/**
 * @file layout/overlap.h
 * What two places of different block-cyclic grids have in common of a matrix, cut into messages. Pure integer
 * arithmetic, MT-Safe.
 */
#ifndef ALCHI_LAYOUT_OVERLAP_H
#define ALCHI_LAYOUT_OVERLAP_H

#include "layout/intersect.h"

/** A part of what they have in common. */
typedef struct {
    alchi_intersect_t rows, cols;
    alch_rect_t local; /* the rectangle around it in the storage of side b */
    int64_t entries;
} alchi_overlap_t;

typedef struct {
    alchi_intersect_t rows, cols; /* in all */
    alchi_intersect_t band;       /* the rows of the messages under way */
    int64_t band_rows;            /* 0: begin the next band */
    int64_t next_row, next_col;   /* indices of the matrix */
    int64_t limit;                /* entries of a message */
} alchi_overlap_splitter_t;

/** @param limit  entries of a message at most, >= 1 */
void alchi_overlap_splitter_init(alchi_overlap_splitter_t *splitter, const alchi_intersect_t *rows,
                                 const alchi_intersect_t *cols, int64_t limit);
/** Bands of rows, as long as a column of a message may be; in each, columns as many as fit. @return false: no more */
bool alchi_overlap_splitter_next(alchi_overlap_splitter_t *splitter, alchi_overlap_t *overlap_p);

#endif
