/**
 * @file client/chunk.h
 * Cut a rank's part of a transfer into messages, and messages into chunks. The functions only compute. They are MT-Safe
 * on different splitters.
 *
 * A message is a local rectangle that the rank acknowledges as a whole. A chunk is a sequence of consecutive bytes of a
 * message's payload: some of its columns, or a part of one column. A chunk is small enough to be packed or unpacked in
 * the processor's cache.
 */
#ifndef ALCHI_CLIENT_CHUNK_H
#define ALCHI_CLIENT_CHUNK_H

#include "layout/plan.h"
#include <stddef.h>

/** The user's memory. Entry (rect.i, rect.j) of the matrix is stored at `data`. */
typedef struct {
    uint8_t *data;
    alch_rect_t rect;
    int64_t row_stride, col_stride; /* entries */
    size_t entry;                   /* bytes */
} alchi_cli_memory_t;

/** Cuts one rank's part into messages. */
typedef struct {
    const alchi_cli_memory_t *memory;
    alchi_cursor_t cursor;     /* over the plan's pieces, which are as large as possible */
    alchi_piece_t piece;       /* the piece that is cut now */
    int64_t entries_max;       /* maximum number of entries in a message */
    int64_t i, j;              /* first row and column of the next message, relative to the piece */
    int64_t m, n;              /* its size, unless the piece ends earlier */
    bool across;               /* successive messages go along the rows of the piece; else along its columns */
    const alch_rect_t *subset; /* cut these local rectangles within the plan's piece; NULL: cut the plan's pieces */
    size_t subset_left;        /* how many rectangles are left */
} alchi_cli_splitter_t;

/** Initialize a splitter, which needs no cleanup.
 *  @param plan    borrowed; without a limit for the entries of a piece, because the splitter chooses the sizes
 *  @param memory  borrowed
 *  @param bytes   maximum size of a message; at least one entry */
void alchi_cli_splitter_init(alchi_cli_splitter_t *splitter, const alchi_plan_t *plan, int rank,
                             const alchi_cli_memory_t *memory, size_t bytes);
/** Get the next message. @return false: there is no further message */
bool alchi_cli_splitter_next(alchi_cli_splitter_t *splitter, alchi_piece_t *message_p);

static inline size_t
alchi_cli_piece_bytes(const alchi_piece_t *piece, size_t entry)
{
    return (size_t)piece->local.m * (size_t)piece->local.n * entry;
}

/** How a message can be moved to or from the user's memory without a copy. */
typedef enum {
    ALCHI_CLI_DIRECT_NO = 0,     /* impossible: the message must be packed or unpacked */
    ALCHI_CLI_DIRECT_WHOLE = 1,  /* each chunk is one contiguous piece of memory */
    ALCHI_CLI_DIRECT_COLUMNS = 2 /* each column of a chunk is one contiguous piece of memory */
} alchi_cli_direct_t;

/** Find out how a message can be moved without a copy.
 *  @param column_min  columns of fewer bytes count as not direct, because packing them is faster */
alchi_cli_direct_t alchi_cli_piece_direct(const alchi_cli_memory_t *memory, const alchi_piece_t *piece,
                                          size_t column_min);

/** Whether cache lines of the user's memory hold entries of this rank and also of other ranks. */
bool alchi_cli_piece_interleaved(const alchi_cli_memory_t *memory, const alchi_piece_t *piece);

/** The chunk of a message that starts `offset` bytes into its payload.
 *  @param offset       0, or the end of a chunk for the same limits
 *  @param limit        maximum size of a chunk in bytes; at least one entry
 *  @param columns_max  maximum number of columns in a chunk
 *  @return the chunk's bytes */
size_t alchi_cli_chunk_at(const alchi_piece_t *piece, size_t entry, size_t offset, size_t limit, int64_t columns_max,
                          alch_rect_t *local_p);

/** The address of a local entry of a piece in the user's memory. */
uint8_t *alchi_cli_memory_at(const alchi_cli_memory_t *memory, const alchi_piece_t *piece, int64_t local_i,
                             int64_t local_j);

#endif
