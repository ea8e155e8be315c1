/**
 * @file layout/plan.h
 * The planner: which local rectangle of each rank belongs to a global rectangle that a client reads or writes.
 *
 * A cursor for each rank divides the rank's local rectangle into pieces of bounded size and computes them one after the
 * other, so no list of pieces is stored. These functions compute with integers only.
 *
 * @threads  MT-Safe on different cursors
 */
#ifndef ALCHI_LAYOUT_PLAN_H
#define ALCHI_LAYOUT_PLAN_H

#include "layout/layout.h"

typedef enum {
    ALCHI_PLAN_ALL = 1, /* for writing: every replica gets every entry */
    ALCHI_PLAN_ONE = 2  /* for reading: each entry comes from one replica, and the replicas divide the entries evenly */
} alchi_plan_mode_t;

/** A piece: a local rectangle of one rank. */
typedef struct {
    int rank;
    alch_rect_t local;       /* rows and columns in the rank's storage */
    alchi_axis_t rows, cols; /* map local to global indices */
} alchi_piece_t;

typedef struct {
    const alchi_layout_t *layout;
    alch_rect_t rect;
    alchi_plan_mode_t mode;
    int64_t entries; /* maximum number of entries in a piece */
} alchi_plan_t;

/**
 * Plan the transfer of a global rectangle.
 *
 * @param[out] plan   needs no cleanup
 * @param[in] layout  borrowed for as long as the plan and its cursors are used
 * @param[in] rect    copied; is within the matrix
 * @param entries     maximum number of entries in a piece, >= 1. A piece consists of whole columns of the rank's local
 *                    rectangle. If one such column has more entries, a piece is a part of one column.
 */
void alchi_plan_init(alchi_plan_t *plan, const alchi_layout_t *layout, const alch_rect_t *rect, alchi_plan_mode_t mode,
                     int64_t entries);

/** @return how many entries the pieces of `rank` have in total */
int64_t alchi_plan_entries(const alchi_plan_t *plan, int rank);

typedef struct {
    const alchi_plan_t *plan;
    alch_rect_t whole; /* all that the rank transfers: a local rectangle */
    alchi_piece_t piece;
    int64_t i, j; /* local indices at which the next piece starts */
} alchi_cursor_t;

/** @param[in] plan  borrowed for as long as the cursor is used */
void alchi_cursor_init(alchi_cursor_t *cursor, const alchi_plan_t *plan, int rank);
/** Get the next piece, column by column. @return false if there is no further piece */
bool alchi_cursor_next(alchi_cursor_t *cursor, alchi_piece_t *piece_p);

#endif
