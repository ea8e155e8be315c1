/* Panels, strips and batches: their sizes, their places in the matrix, and the exchange between the ranks. */
#include "panels.h"

#include <stdlib.h>
#include <string.h>

/* Both were chosen by measurement: with more bytes the data leaves the caches, with fewer the additional rounds cost
 * more than the caches save. */
#define STRIP_BYTES (INT64_C(2) << 20)
#define BATCH_BYTES (INT64_C(256) << 10)
/* A larger chunk is not read as a whole. HDF5 then unpacks it again for each batch that has rows of it. */
#define CHUNK_BYTES_MAX (INT64_C(128) << 20)

static int64_t
min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t
max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* To a multiple of `unit`, but at least one unit. */
static int64_t
round_down(int64_t count, int64_t unit)
{
    return max(unit, count / unit * unit);
}

/* How often the matrix holds an entry of the file; the owner of the entry's strip sends each of these copies. A writer
 * takes only one. */
static int64_t
copies_of_entry(const hdf5_panels_t *panels)
{
    return panels->write ? 1 : panels->blocks[0].replicas * panels->copies;
}

/* The largest number of entries of one panel that a rank's block can hold. A panel that begins with a block of the grid
 * gives most to the rank that owns this block; block_share() computes it for a panel at row 0 and rank (0, 0). */
static int64_t
block_entries_max(const hdf5_panels_t *panels)
{
    alch_block_t first = panels->blocks[0];
    alch_rect_t panel = {0, 0, panels->strip_rows * panels->call->size, panels->strip_cols}, share;

    first.myrow = first.mycol = 0;
    panels->call->host->block_share(&first, &panel, &share);
    return share.m * share.n * panels->copies;
}

/* Strips consist of whole chunks. The sizes limit the bytes that a rank sends as well as those that it receives. */
static void
choose_sizes(hdf5_panels_t *panels, const hdf5_chunking_t *chunking)
{
    int64_t entries = max(1, STRIP_BYTES / (int64_t)panels->entry_size);
    int64_t entries_max = max(1, entries / copies_of_entry(panels)); /* of a strip */
    int64_t rows = chunking->rows, cols = chunking->cols, ranks = panels->call->size;

    if (rows * cols * copies_of_entry(panels) > CHUNK_BYTES_MAX / (int64_t)panels->entry_size)
        rows = cols = 1;
    panels->row_offset = chunking->row_offset % rows;
    panels->strip_cols = min(round_down(entries_max / rows, cols), max(panels->cols, 1));
    panels->strip_rows = round_down(entries_max / panels->strip_cols, rows);
    panels->strip_rows = min(panels->strip_rows, round_down((panels->m + panels->row_offset) / ranks + rows, rows));
    while (panels->strip_rows > rows && block_entries_max(panels) > 4 * entries)
        panels->strip_rows = round_down(panels->strip_rows / 2, rows);
    panels->batch_rows = round_down(BATCH_BYTES / (int64_t)panels->entry_size / panels->strip_cols, rows);
    panels->batch_rows = min(panels->batch_rows, panels->strip_rows);
}

/* Gather the place of every rank in the grid; the rest of the blocks is the same on all ranks. */
static int
gather_blocks(hdf5_panels_t *panels)
{
    alch_call_t *call = panels->call;
    alch_block_t mine = panels->blocks[call->rank];
    int place[3] = {mine.replica, mine.myrow, mine.mycol}, *places = malloc((size_t)call->size * sizeof(place));
    int code = call->host->agree(call, places ? ALCH_OK : ALCH_ENOMEM,
                                 "the grid places of %d workers cannot be allocated", call->size);

    if (!code && MPI_Allgather(place, 3, MPI_INT, places, 3, MPI_INT, call->comm) != MPI_SUCCESS)
        code = call->host->fail(call, ALCH_EINTERNAL, "MPI_Allgather failed");
    for (int k = 0; !code && k < call->size; k++) {
        panels->blocks[k] = mine;
        panels->blocks[k].replica = places[3 * k];
        panels->blocks[k].myrow = places[3 * k + 1];
        panels->blocks[k].mycol = places[3 * k + 2];
    }
    free(places);
    return code;
}

static int
allocate_buffers(hdf5_panels_t *panels)
{
    alch_call_t *call = panels->call;
    size_t batch_bytes = (size_t)(panels->batch_rows * panels->strip_cols) * panels->entry_size;
    size_t strip_bytes =
        (size_t)(panels->strip_rows * panels->strip_cols * copies_of_entry(panels)) * panels->entry_size;
    size_t block_bytes = (size_t)block_entries_max(panels) * panels->entry_size;
    int code;

    if (call->size == 1)
        strip_bytes = block_bytes = 0;
    if ((code = call->host->workspace(call, (int64_t)(batch_bytes + strip_bytes + block_bytes))))
        return code;
    panels->batch = malloc(batch_bytes + 1);
    panels->strip_buffer = malloc(strip_bytes + 1);
    panels->block_buffer = malloc(block_bytes + 1);
    panels->strip_counts = calloc(4 * (size_t)call->size, sizeof(int));
    if (!panels->batch || !panels->strip_buffer || !panels->block_buffer || !panels->strip_counts)
        return call->host->fail(call, ALCH_ENOMEM, "buffers of %zu bytes cannot be allocated",
                                batch_bytes + strip_bytes + block_bytes);
    panels->strip_displs = panels->strip_counts + call->size;
    panels->block_counts = panels->strip_displs + call->size;
    panels->block_displs = panels->block_counts + call->size;
    return ALCH_OK;
}

int
hdf5_panels_init(hdf5_panels_t *panels, alch_call_t *call, const alch_block_t *block, bool write, int64_t cols,
                 const hdf5_chunking_t *chunking)
{
    int code;

    *panels = (hdf5_panels_t){.call = call,
                              .write = write,
                              .m = block->m,
                              .cols = cols,
                              .copies = cols ? block->n / cols : 1,
                              .blocks = malloc((size_t)call->size * sizeof(*block))};
    panels->entry_size = hdf5_dtype_size(block->dtype);
    MPI_Type_contiguous((int)panels->entry_size, MPI_BYTE, &panels->type);
    MPI_Type_commit(&panels->type);
    code = panels->blocks ? ALCH_OK : ALCH_ENOMEM;
    if ((code = call->host->agree(call, code, "the blocks of %d workers cannot be allocated", call->size)))
        return code;
    panels->blocks[call->rank] = *block;
    if ((code = gather_blocks(panels)))
        return code;
    choose_sizes(panels, chunking);
    return call->host->agree(call, allocate_buffers(panels), NULL);
}

void
hdf5_panels_fini(hdf5_panels_t *panels)
{
    MPI_Type_free(&panels->type);
    free(panels->blocks);
    free(panels->batch);
    free(panels->strip_buffer);
    free(panels->block_buffer);
    free(panels->strip_counts);
    (void)panels->call->host->workspace(panels->call, 0);
}

int64_t
hdf5_panels_count(const hdf5_panels_t *panels)
{
    int64_t rows = panels->strip_rows * panels->call->size;

    /* The first panel begins with a chunk, `row_offset` rows before the first row that is read. */
    return (panels->m + panels->row_offset + rows - 1) / rows *
           ((panels->cols + panels->strip_cols - 1) / panels->strip_cols);
}

/* A rank's strip of the current panel, in rows and columns of the data set. */
static alch_rect_t
strip_rect(const hdf5_panels_t *panels, int rank)
{
    int64_t begin = panels->row + rank * panels->strip_rows;
    int64_t end = max(0, min(begin + panels->strip_rows, panels->row_end));

    begin = max(0, min(begin, end));
    return (alch_rect_t){begin, panels->col, end - begin, panels->col_end - panels->col};
}

/* The place in the matrix of a rectangle of the data set. */
static alch_rect_t
matrix_rect(const hdf5_panels_t *panels, const alch_rect_t *part, int64_t copy)
{
    return (alch_rect_t){part->i, copy * panels->cols + part->j, part->m, part->n};
}

/* Whether a rank's block takes part in the transfer. A writer needs only one replica of the matrix. */
static bool
takes_part(const hdf5_panels_t *panels, int rank)
{
    return panels->write ? panels->blocks[rank].replica == 0 : panels->blocks[rank].replica >= 0;
}

/* The number of entries of `owner`'s strip that belong to `rank`'s block; 0 if both are one rank, which copies them
 * without an exchange. */
static int
overlap_entries(const hdf5_panels_t *panels, int owner, int rank)
{
    alch_rect_t strip = strip_rect(panels, owner), rect, share;
    int64_t entries = 0;

    for (int64_t copy = 0; owner != rank && takes_part(panels, rank) && copy < panels->copies; copy++) {
        rect = matrix_rect(panels, &strip, copy);
        panels->call->host->block_share(&panels->blocks[rank], &rect, &share);
        entries += share.m * share.n;
    }
    return (int)entries;
}

static void
set_counts(hdf5_panels_t *panels)
{
    int me = panels->call->rank, strip_entries = 0, block_entries = 0;

    for (int k = 0; k < panels->call->size; k++) {
        panels->strip_displs[k] = strip_entries;
        panels->block_displs[k] = block_entries;
        strip_entries += panels->strip_counts[k] = overlap_entries(panels, me, k);
        block_entries += panels->block_counts[k] = overlap_entries(panels, k, me);
    }
}

bool
hdf5_panels_next(hdf5_panels_t *panels)
{
    bool first = panels->col_end == 0;

    if (panels->m == 0 || panels->cols == 0)
        return false;
    panels->row = first ? -panels->row_offset : panels->row_end;
    if (panels->row == panels->m) {
        panels->row = -panels->row_offset;
        panels->col = panels->col_end;
        if (panels->col == panels->cols)
            return false;
    }
    panels->row_end = min(panels->row + panels->strip_rows * panels->call->size, panels->m);
    panels->col_end = min(panels->col + panels->strip_cols, panels->cols);
    set_counts(panels);
    return true;
}

bool
hdf5_panels_next_batch(const hdf5_panels_t *panels, alch_rect_t *batch)
{
    alch_rect_t strip = strip_rect(panels, panels->call->rank);
    int64_t begin = batch->m ? batch->i + batch->m : strip.i, end;

    /* A batch ends with a chunk. */
    end = begin + panels->batch_rows - (begin + panels->row_offset) % panels->batch_rows;
    *batch = (alch_rect_t){begin, strip.j, min(end, strip.i + strip.m) - begin, strip.n};
    return batch->m > 0;
}

/* Find where the entries of a batch are that belong to `rank`: in this rank's block, or in the strip buffer if `rank`
 * is another rank. `at_p` is the position in the strip buffer of the entries of this copy, and is moved past
 * them. */
static char *
locate_entries(const hdf5_panels_t *panels, int rank, const alch_rect_t *batch, int64_t copy, char **at_p,
               int64_t *ld_p)
{
    const alch_block_t *block = &panels->blocks[rank];
    alch_rect_t strip = strip_rect(panels, panels->call->rank), all = matrix_rect(panels, &strip, copy);
    alch_rect_t rect = matrix_rect(panels, batch, copy), share;
    char *begin = *at_p;

    panels->call->host->block_share(block, &rect, &share);
    if (rank == panels->call->rank) {
        *ld_p = block->lld;
        return (char *)block->data + (size_t)(share.i + share.j * block->lld) * panels->entry_size;
    }
    panels->call->host->block_share(block, &all, &all);
    *at_p += (size_t)(all.m * all.n) * panels->entry_size;
    *ld_p = all.m;
    return begin + (size_t)(share.i - all.i) * panels->entry_size;
}

void
hdf5_panels_copy_batch(hdf5_panels_t *panels, const alch_rect_t *batch)
{
    const alch_host_t *host = panels->call->host;

    for (int rank = 0; rank < panels->call->size; rank++) {
        char *at = panels->strip_buffer + (size_t)panels->strip_displs[rank] * panels->entry_size;

        for (int64_t copy = 0; takes_part(panels, rank) && copy < panels->copies; copy++) {
            alch_rect_t rect = matrix_rect(panels, batch, copy);
            int64_t ld;
            char *place = locate_entries(panels, rank, batch, copy, &at, &ld);

            if (panels->write)
                host->block_unpack(&panels->blocks[rank], &rect, place, ld, panels->batch, batch->n, 1);
            else
                host->block_pack(&panels->blocks[rank], &rect, panels->batch, batch->n, 1, place, ld);
        }
    }
}

/* Copy entries between this rank's block and the block buffer, column by column. */
static void
copy_block(hdf5_panels_t *panels)
{
    alch_call_t *call = panels->call;
    const alch_block_t *mine = &panels->blocks[call->rank];
    char *at = panels->block_buffer;

    for (int rank = 0; rank < call->size; rank++) {
        alch_rect_t strip = strip_rect(panels, rank);

        for (int64_t copy = 0; panels->block_counts[rank] && copy < panels->copies; copy++) {
            alch_rect_t rect = matrix_rect(panels, &strip, copy), share;
            size_t bytes;

            call->host->block_share(mine, &rect, &share);
            bytes = (size_t)share.m * panels->entry_size;
            for (int64_t j = share.j; j < share.j + share.n; j++, at += bytes) {
                char *column = (char *)mine->data + (size_t)(share.i + j * mine->lld) * panels->entry_size;

                memcpy(panels->write ? at : column, panels->write ? column : at, bytes);
            }
        }
    }
}

int
hdf5_panels_exchange(hdf5_panels_t *panels)
{
    alch_call_t *call = panels->call;
    int error = MPI_SUCCESS;

    if (panels->write)
        copy_block(panels);
    if (call->size > 1)
        error = panels->write ? MPI_Alltoallv(panels->block_buffer, panels->block_counts, panels->block_displs,
                                              panels->type, panels->strip_buffer, panels->strip_counts,
                                              panels->strip_displs, panels->type, call->comm)
                              : MPI_Alltoallv(panels->strip_buffer, panels->strip_counts, panels->strip_displs,
                                              panels->type, panels->block_buffer, panels->block_counts,
                                              panels->block_displs, panels->type, call->comm);
    if (error != MPI_SUCCESS)
        return call->host->fail(call, ALCH_EINTERNAL, "MPI_Alltoallv failed");
    if (!panels->write)
        copy_block(panels);
    return ALCH_OK;
}
