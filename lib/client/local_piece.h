/**
 * @file client/local_piece.h
 * A process's own piece of a block-cyclic matrix: what of it each rank owns, cut into messages. Pure arithmetic.
 */
#ifndef ALCHI_CLIENT_LOCAL_PIECE_H
#define ALCHI_CLIENT_LOCAL_PIECE_H

#include "layout/overlap.h"
#include "wire/message.h"
#include <alchemist/matrix.h>

typedef struct {
    alchi_axis_t rows, cols; /* of the piece, to indices of the matrix */
    alch_rect_t rect;        /* of the matrix that the descriptor covers */
    int64_t replica;         /* to read, modulo how many there are: spread over the processes */
} alchi_cli_local_piece_t;

/** Entries to write to a rank, or to read from it. */
int64_t alchi_cli_local_piece_entries(const alchi_cli_local_piece_t *local_piece, const alchi_layout_t *layout,
                                      int rank, bool writing);

/** Cut what the piece (side a) and a rank (side b) have in common. */
void alchi_cli_local_piece_splitter_init(alchi_overlap_splitter_t *splitter, const alchi_cli_local_piece_t *local_piece,
                                         const alchi_layout_t *layout, int rank, int64_t limit);

/** The axes as a message has them. */
void alchi_cli_local_piece_axes(const alchi_cli_local_piece_t *local_piece, Alchw__Axes *axes_p);

#endif
