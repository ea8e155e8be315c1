/**
 * @file client/local_piece.h
 * The local piece of a process of a parallel program: which of its entries each rank owns, and how they are cut into
 * messages. The functions only compute. They are MT-Safe.
 */
#ifndef ALCHI_CLIENT_LOCAL_PIECE_H
#define ALCHI_CLIENT_LOCAL_PIECE_H

#include "layout/overlap.h"
#include "wire/message.h"
#include <alchemist/matrix.h>

typedef struct {
    alchi_axis_t rows, cols; /* from local indices of the piece to indices of the matrix */
    alch_rect_t rect;        /* the rectangle of the matrix that the descriptor covers */
    int64_t replica; /* the process reads replica number `replica` modulo the number of replicas. The value spreads the
                      * processes over the replicas */
} alchi_cli_local_piece_t;

/** How many entries the process writes to a rank, or reads from it. */
int64_t alchi_cli_local_piece_entries(const alchi_cli_local_piece_t *local_piece, const alchi_layout_t *layout,
                                      int rank, bool writing);

/** Initialize a splitter for the overlap of the piece (side a) and a rank's part (side b).
 *  @param limit  maximum number of entries in a message */
void alchi_cli_local_piece_splitter_init(alchi_overlap_splitter_t *splitter, const alchi_cli_local_piece_t *local_piece,
                                         const alchi_layout_t *layout, int rank, int64_t limit);

/** Write the piece's axes as a message, which points to no memory of the piece. */
void alchi_cli_local_piece_axes(const alchi_cli_local_piece_t *local_piece, Alchw__Axes *axes_p);

#endif
