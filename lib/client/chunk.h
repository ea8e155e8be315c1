/**
 * @file client/chunk.h
 * Cut a rank's part of a transfer into messages, and messages into chunks. Pure arithmetic, MT-Safe.
 *
 * A message is a local rectangle that the rank acknowledges as a whole. A chunk is a sequence of consecutive bytes of a
 * message's payload: some of its columns, or a part of one column. A chunk is packed or unpacked while it is in cache.
 */
#ifndef ALCHI_CLIENT_CHUNK_H
#define ALCHI_CLIENT_CHUNK_H

#include "layout/plan.h"
#include <stddef.h>

/** The user's memory: entry (rect.i, rect.j) of the matrix is at data. */
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
    int64_t entries_max;       /* of a message */
    int64_t i, j;              /* first row and column of the next message, relative to the piece */
    int64_t m, n;              /* its size, unless the piece ends before */
    bool across;               /* messages follow each other along the rows of the piece; else along its columns */
    const alch_rect_t *subset; /* cut these local rectangles, which lie in the plan's piece; NULL: the plan's pieces */
    size_t subset_left;        /* how many are left */
} alchi_cli_splitter_t;

/** @param plan    borrowed; made without a limit for entries per piece, because the splitter chooses the sizes
 *  @param memory  borrowed
 *  @param bytes   of a message at most; at least one entry */
void alchi_cli_splitter_init(alchi_cli_splitter_t *splitter, const alchi_plan_t *plan, int rank,
                             const alchi_cli_memory_t *memory, size_t bytes);
/** @return false: there are no more messages */
bool alchi_cli_splitter_next(alchi_cli_splitter_t *splitter, alchi_piece_t *message_p);

static inline size_t
alchi_cli_piece_bytes(const alchi_piece_t *piece, size_t entry)
{
    return (size_t)piece->local.m * (size_t)piece->local.n * entry;
}

/** How a message can be moved to or from the user's memory without a copy: not at all, so that it must be packed; each
 *  chunk as one contiguous piece of memory; each column of a chunk as one piece of memory. */
typedef enum { ALCHI_CLI_DIRECT_NO = 0, ALCHI_CLI_DIRECT_WHOLE = 1, ALCHI_CLI_DIRECT_COLUMNS = 2 } alchi_cli_direct_t;

/** @param column_min  columns of fewer bytes count as not direct: packing them is faster */
alchi_cli_direct_t alchi_cli_piece_direct(const alchi_cli_memory_t *memory, const alchi_piece_t *piece,
                                          size_t column_min);

/** Whether cache lines of the user's memory hold entries of this rank and of others. */
bool alchi_cli_piece_interleaved(const alchi_cli_memory_t *memory, const alchi_piece_t *piece);

/** The chunk of a message that starts `offset` bytes into its payload.
 *  @param offset       0, or the end of a chunk that was made with the same limits
 *  @param limit        bytes of a chunk at most; at least one entry
 *  @param columns_max  columns of a chunk at most
 *  @return the chunk's bytes */
size_t alchi_cli_chunk_at(const alchi_piece_t *piece, size_t entry, size_t offset, size_t limit, int64_t columns_max,
                          alch_rect_t *local_p);

/** Where a local entry of a piece lies in the user's memory. */
uint8_t *alchi_cli_memory_at(const alchi_cli_memory_t *memory, const alchi_piece_t *piece, int64_t local_i,
                             int64_t local_j);

#endif
