/**
 * @file own.h
 * A process's own piece of a block-cyclic matrix: what of it each rank owns, cut into messages. Pure arithmetic.
 */
#ifndef ALCHI_OWN_H
#define ALCHI_OWN_H

#include "layout/intersect.h"
#include "wire/message.h"
#include <alchemist/matrix.h>

typedef struct {
    alchi_axis_t rows, cols; /* of the piece, to indices of the matrix */
    alch_rect_t rect;        /* of the matrix that the descriptor covers */
    int64_t replica;         /* to read, modulo how many there are: spread over the processes */
} alchi_own_t;

/** What a piece and a rank have in common, a part of it (axes a: the piece's, b: the rank's). */
typedef struct {
    alchi_intersect_t rows, cols;
    alch_rect_t local; /* the rank's local rectangle around it */
    int64_t entries;
} alchi_own_message_t;

typedef struct {
    alchi_intersect_t rows, cols; /* in all */
    alchi_intersect_t band;       /* the rows of the messages under way */
    int64_t band_rows;            /* 0: begin the next band */
    int64_t next_row, next_col;   /* indices of the matrix */
    int64_t limit;                /* entries of a message */
} alchi_own_cutter_t;

/** @return ALCH_OK; ALCH_EINVAL, ALCH_ERANGE: the text says what of the piece cannot be */
int alchi_own_init(alchi_own_t *own, const alch_local_t *piece, const alch_matrix_info_t *facts, alch_error_t *err);

/** Entries to write to a rank, or to read from it. */
int64_t alchi_own_entries(const alchi_own_t *own, const alchi_layout_t *layout, int rank, bool writing);

void alchi_own_cutter_init(alchi_own_cutter_t *cutter, const alchi_own_t *own, const alchi_layout_t *layout, int rank,
                           int64_t limit);
/** @return false: no more */
bool alchi_own_cutter_next(alchi_own_cutter_t *cutter, alchi_own_message_t *message_p);

/** The axes as a message has them. */
void alchi_own_axes(const alchi_own_t *own, Alchw__Axes *axes_p);

#endif
