/**
 * @file client/chunk.h
 * Cutting a rank's part of a transfer into messages, and messages into chunks: pure arithmetic.
 *
 * A message is a local rectangle that is acknowledged as a whole. A chunk is a run of consecutive bytes of a
 * message's payload (some of its columns, or a part of one) that is packed or unpacked while it is in cache.
 */
#ifndef ALCHI_CLIENT_CHUNK_H
#define ALCHI_CLIENT_CHUNK_H

#include "layout/plan.h"
#include <stddef.h>

/** The user's memory: entry (rect.i, rect.j) is at data. */
typedef struct {
    uint8_t *data;
    alch_rect_t rect;
    int64_t row_stride, col_stride; /* entries */
    size_t entry;                   /* bytes */
} alchi_cli_memory_t;

typedef struct {
    const alchi_cli_memory_t *memory;
    alchi_cursor_t cursor; /* over the plan's pieces, which are as large as they can be */
    alchi_piece_t piece;
    int64_t entries_max;       /* at most so many in a message */
    int64_t i, j;              /* the next message, relative to the piece */
    int64_t m, n;              /* its size, if the piece goes on for so long */
    bool across;               /* the next message is beside this one, else below */
    const alch_rect_t *subset; /* pieces to take instead of the plan's, parts of these; NULL: the plan's */
    size_t subset_left;
} alchi_cli_splitter_t;

/** @param plan   made with as many entries per piece as there are, so that shapes are chosen here
 *  @param bytes  at most so many in a message; at least one entry */
void alchi_cli_splitter_init(alchi_cli_splitter_t *splitter, const alchi_plan_t *plan, int rank,
                             const alchi_cli_memory_t *memory, size_t bytes);
/** @return false: no more */
bool alchi_cli_splitter_next(alchi_cli_splitter_t *splitter, alchi_piece_t *message_p);

static inline size_t
alchi_cli_piece_bytes(const alchi_piece_t *piece, size_t entry)
{
    return (size_t)piece->local.m * (size_t)piece->local.n * entry;
}

/** How many chunks of user memory a message can be moved from or to without a copy: 0: it must be packed;
 *  1: each chunk is one run of memory; else each column of a chunk is one. */
typedef enum { ALCHI_CLI_DIRECT_NO = 0, ALCHI_CLI_DIRECT_WHOLE = 1, ALCHI_CLI_DIRECT_COLUMNS = 2 } alchi_cli_direct_t;

/** @param column_min  columns of fewer bytes are better packed */
alchi_cli_direct_t alchi_cli_piece_direct(const alchi_cli_memory_t *memory, const alchi_piece_t *piece,
                                          size_t column_min);

/** Whether the user's entries of this worker lie between those of others, in the same cache lines. */
bool alchi_cli_piece_interleaved(const alchi_cli_memory_t *memory, const alchi_piece_t *piece);

/** The chunk of a message that starts `offset` bytes into its payload (as former chunks of equal limits left it).
 *  @param columns_max  at most so many columns
 *  @return its bytes, at most `limit`, which is at least one entry */
size_t alchi_cli_chunk_at(const alchi_piece_t *piece, size_t entry, size_t offset, size_t limit, int64_t columns_max,
                          alch_rect_t *local_p);

/** Where a local entry of a piece lies in the user's memory. */
uint8_t *alchi_cli_memory_at(const alchi_cli_memory_t *memory, const alchi_piece_t *piece, int64_t local_i,
                             int64_t local_j);

#endif
