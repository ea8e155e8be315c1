/**
 * @file layout/plan.h
 * The planner: which rank gets or gives which local rectangle of a global one,
 * cut into messages of bounded size. Serves client transfers now, and relayout,
 * parallel clients and resizing later. Nothing is enumerated ahead: a cursor per
 * rank yields its pieces one by one.
 */
#ifndef ALCHI_LAYOUT_PLAN_H
#define ALCHI_LAYOUT_PLAN_H

#include "layout/layout.h"

typedef enum {
    ALCHI_PLAN_ALL = 1, /* every replica: writing */
    ALCHI_PLAN_ONE = 2  /* each part from one replica, spread over them: reading */
} alchi_plan_mode_t;

/** A message: a local rectangle on one rank. */
typedef struct {
    int rank;
    alch_rect_t local;       /* rows and columns in the rank's storage */
    alchi_axis_t rows, cols; /* from local to global indices */
} alchi_piece_t;

typedef struct {
    const alchi_layout_t *layout;
    alch_rect_t rect;
    alchi_plan_mode_t mode;
    int64_t entries; /* at most so many in a piece; whole columns unless one column is larger */
} alchi_plan_t;

/** @param entries >= 1 */
void alchi_plan_init(alchi_plan_t *plan, const alchi_layout_t *layout, const alch_rect_t *rect, alchi_plan_mode_t mode,
                     int64_t entries);

/** Entries that `rank` has to move, summed over its pieces. */
int64_t alchi_plan_entries(const alchi_plan_t *plan, int rank);

typedef struct {
    const alchi_plan_t *plan;
    alch_rect_t whole; /* the rank's whole local rectangle */
    alchi_piece_t piece;
    int64_t i, j; /* next local position */
} alchi_cursor_t;

void alchi_cursor_init(alchi_cursor_t *cursor, const alchi_plan_t *plan, int rank);
/** @return false: no more */
bool alchi_cursor_next(alchi_cursor_t *cursor, alchi_piece_t *piece_p);

#endif
