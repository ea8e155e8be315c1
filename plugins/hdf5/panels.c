#include "panels.h"

#include <stdlib.h>
#include <string.h>

/* Measured: more of either leaves the caches, less costs more rounds than it saves. */
#define STRIP_BYTES (INT64_C(2) << 20)
#define LINES_BYTES (INT64_C(256) << 10)
/* Larger chunks are not read as a whole, but unpacked again for all lines that they have a part of. */
#define CHUNK_BYTES (INT64_C(128) << 20)

static int64_t
smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t
larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* At least one of them. */
static int64_t
whole(int64_t count, int64_t of)
{
    return larger(of, count / of * of);
}

/* What the owner of a strip sends for each entry of it. */
static int64_t
fan_out(const hdf5_panels_t *panels)
{
    return panels->write ? 1 : panels->blocks[0].replicas * panels->copies;
}

/* Entries of the strips of one panel that one rank's block may have: most where a panel begins with the block. */
static int64_t
inner_entries(const hdf5_panels_t *panels)
{
    alch_block_t first = panels->blocks[0];
    alch_rect_t panel = {0, 0, panels->strip_rows * panels->call->size, panels->strip_cols}, share;

    first.myrow = first.mycol = 0;
    panels->call->host->block_share(&first, &panel, &share);
    return share.m * share.n * panels->copies;
}

/* Strips of about the same size on both sides of the exchange, of whole chunks. */
static void
choose_sizes(hdf5_panels_t *panels, const hdf5_grain_t *grain)
{
    int64_t entries = larger(1, STRIP_BYTES / (int64_t)panels->entry), most = larger(1, entries / fan_out(panels));
    int64_t rows = grain->rows, cols = grain->cols, ranks = panels->call->size;

    if (rows * cols * fan_out(panels) > CHUNK_BYTES / (int64_t)panels->entry)
        rows = cols = 1;
    panels->lead = grain->lead % rows;
    panels->strip_cols = smaller(whole(most / rows, cols), larger(panels->width, 1));
    panels->strip_rows = whole(most / panels->strip_cols, rows);
    panels->strip_rows = smaller(panels->strip_rows, whole((panels->m + panels->lead) / ranks + rows, rows));
    while (panels->strip_rows > rows && inner_entries(panels) > 4 * entries)
        panels->strip_rows = whole(panels->strip_rows / 2, rows);
    panels->line_rows = whole(LINES_BYTES / (int64_t)panels->entry / panels->strip_cols, rows);
    panels->line_rows = smaller(panels->line_rows, panels->strip_rows);
}

static int
find_places(hdf5_panels_t *panels)
{
    alch_call_t *call = panels->call;
    alch_block_t mine = panels->blocks[call->rank];
    int place[3] = {mine.replica, mine.myrow, mine.mycol}, *places = malloc((size_t)call->size * sizeof(place));
    int code = call->host->agree(call, places ? ALCH_OK : ALCH_ENOMEM, "no memory for the workers' places");

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
get_memory(hdf5_panels_t *panels)
{
    alch_call_t *call = panels->call;
    size_t lines = (size_t)(panels->line_rows * panels->strip_cols) * panels->entry;
    size_t outer = (size_t)(panels->strip_rows * panels->strip_cols * fan_out(panels)) * panels->entry;
    size_t inner = (size_t)inner_entries(panels) * panels->entry;
    int code;

    if (call->size == 1)
        outer = inner = 0;
    if ((code = call->host->workspace(call, (int64_t)(lines + outer + inner))))
        return code;
    panels->lines = malloc(lines + 1);
    panels->outer = malloc(outer + 1);
    panels->inner = malloc(inner + 1);
    panels->outer_counts = calloc(4 * (size_t)call->size, sizeof(int));
    if (!panels->lines || !panels->outer || !panels->inner || !panels->outer_counts)
        return call->host->fail(call, ALCH_ENOMEM, "no memory for buffers of %zu bytes", lines + outer + inner);
    panels->outer_starts = panels->outer_counts + call->size;
    panels->inner_counts = panels->outer_starts + call->size;
    panels->inner_starts = panels->inner_counts + call->size;
    return ALCH_OK;
}

int
hdf5_panels_init(hdf5_panels_t *panels, alch_call_t *call, const alch_block_t *block, bool write, int64_t width,
                 const hdf5_grain_t *grain)
{
    int code;

    *panels = (hdf5_panels_t){.call = call,
                              .write = write,
                              .m = block->m,
                              .width = width,
                              .copies = width ? block->n / width : 1,
                              .blocks = malloc((size_t)call->size * sizeof(*block))};
    panels->entry = hdf5_dtype_size(block->dtype);
    MPI_Type_contiguous((int)panels->entry, MPI_BYTE, &panels->type);
    MPI_Type_commit(&panels->type);
    code = panels->blocks ? ALCH_OK : ALCH_ENOMEM;
    if ((code = call->host->agree(call, code, "no memory for the workers' places")))
        return code;
    panels->blocks[call->rank] = *block;
    if ((code = find_places(panels)))
        return code;
    choose_sizes(panels, grain);
    return call->host->agree(call, get_memory(panels), NULL);
}

void
hdf5_panels_fini(hdf5_panels_t *panels)
{
    MPI_Type_free(&panels->type);
    free(panels->blocks);
    free(panels->lines);
    free(panels->outer);
    free(panels->inner);
    free(panels->outer_counts);
    (void)panels->call->host->workspace(panels->call, 0);
}

/* The first row that is read lies behind `lead` others, which count. */
static int64_t
panel_rows(const hdf5_panels_t *panels)
{
    return panels->strip_rows * panels->call->size;
}

int64_t
hdf5_panels_count(const hdf5_panels_t *panels)
{
    int64_t rows = panel_rows(panels);

    return (panels->m + panels->lead + rows - 1) / rows *
           ((panels->width + panels->strip_cols - 1) / panels->strip_cols);
}

/* A rank's strip of the panel: rows and columns of the data set. */
static alch_rect_t
strip_of(const hdf5_panels_t *panels, int rank)
{
    int64_t begin = panels->row + rank * panels->strip_rows;
    int64_t end = larger(0, smaller(begin + panels->strip_rows, panels->row_end));

    begin = larger(0, smaller(begin, end));
    return (alch_rect_t){begin, panels->col, end - begin, panels->col_end - panels->col};
}

static alch_rect_t
in_matrix(const hdf5_panels_t *panels, const alch_rect_t *part, int64_t copy)
{
    return (alch_rect_t){part->i, copy * panels->width + part->j, part->m, part->n};
}

/* Whether a rank's block takes part: of a matrix that is written, one copy is enough. */
static bool
takes_part(const hdf5_panels_t *panels, int rank)
{
    return panels->write ? panels->blocks[rank].replica == 0 : panels->blocks[rank].replica >= 0;
}

/* What a rank's block has of another rank's strip. */
static int
common(const hdf5_panels_t *panels, int owner, int rank)
{
    alch_rect_t strip = strip_of(panels, owner), rect, share;
    int64_t entries = 0;

    for (int64_t copy = 0; owner != rank && takes_part(panels, rank) && copy < panels->copies; copy++) {
        rect = in_matrix(panels, &strip, copy);
        panels->call->host->block_share(&panels->blocks[rank], &rect, &share);
        entries += share.m * share.n;
    }
    return (int)entries;
}

static void
count_all(hdf5_panels_t *panels)
{
    int me = panels->call->rank, outer = 0, inner = 0;

    for (int k = 0; k < panels->call->size; k++) {
        panels->outer_starts[k] = outer;
        panels->inner_starts[k] = inner;
        outer += panels->outer_counts[k] = common(panels, me, k);
        inner += panels->inner_counts[k] = common(panels, k, me);
    }
}

bool
hdf5_panels_next(hdf5_panels_t *panels)
{
    bool first = panels->col_end == 0;

    if (panels->m == 0 || panels->width == 0)
        return false;
    panels->row = first ? -panels->lead : panels->row_end;
    if (panels->row == panels->m) {
        panels->row = -panels->lead;
        panels->col = panels->col_end;
        if (panels->col == panels->width)
            return false;
    }
    panels->row_end = smaller(panels->row + panel_rows(panels), panels->m);
    panels->col_end = smaller(panels->col + panels->strip_cols, panels->width);
    count_all(panels);
    return true;
}

bool
hdf5_panels_lines(const hdf5_panels_t *panels, alch_rect_t *lines)
{
    alch_rect_t strip = strip_of(panels, panels->call->rank);
    int64_t begin = lines->m ? lines->i + lines->m : strip.i, end;

    /* Chunks are not parted. */
    end = begin + panels->line_rows - (begin + panels->lead) % panels->line_rows;
    *lines = (alch_rect_t){begin, strip.j, smaller(end, strip.i + strip.m) - begin, strip.n};
    return lines->m > 0;
}

/* Where entries of one copy are that a rank's block has of my strip: in the block, if it is mine, else among those that
 * are exchanged. Moves `outer_p` behind them. */
static char *
place_of(const hdf5_panels_t *panels, int rank, const alch_rect_t *lines, int64_t copy, char **outer_p, int64_t *ld_p)
{
    const alch_block_t *block = &panels->blocks[rank];
    alch_rect_t strip = strip_of(panels, panels->call->rank), all = in_matrix(panels, &strip, copy);
    alch_rect_t rect = in_matrix(panels, lines, copy), share;
    char *outer = *outer_p;

    panels->call->host->block_share(block, &rect, &share);
    if (rank == panels->call->rank) {
        *ld_p = block->lld;
        return (char *)block->data + (size_t)(share.i + share.j * block->lld) * panels->entry;
    }
    panels->call->host->block_share(block, &all, &all);
    *outer_p += (size_t)(all.m * all.n) * panels->entry;
    *ld_p = all.m;
    return outer + (size_t)(share.i - all.i) * panels->entry;
}

void
hdf5_panels_move(hdf5_panels_t *panels, const alch_rect_t *lines)
{
    const alch_host_t *host = panels->call->host;

    for (int rank = 0; rank < panels->call->size; rank++) {
        char *outer = panels->outer + (size_t)panels->outer_starts[rank] * panels->entry;

        for (int64_t copy = 0; takes_part(panels, rank) && copy < panels->copies; copy++) {
            alch_rect_t rect = in_matrix(panels, lines, copy);
            int64_t ld;
            char *place = place_of(panels, rank, lines, copy, &outer, &ld);

            if (panels->write)
                host->block_unpack(&panels->blocks[rank], &rect, place, ld, panels->lines, lines->n, 1);
            else
                host->block_pack(&panels->blocks[rank], &rect, panels->lines, lines->n, 1, place, ld);
        }
    }
}

/* Between the strips of others, as they are exchanged, and my block: column by column. */
static void
move_block(hdf5_panels_t *panels)
{
    alch_call_t *call = panels->call;
    const alch_block_t *mine = &panels->blocks[call->rank];
    char *inner = panels->inner;

    for (int rank = 0; rank < call->size; rank++) {
        alch_rect_t strip = strip_of(panels, rank);

        for (int64_t copy = 0; panels->inner_counts[rank] && copy < panels->copies; copy++) {
            alch_rect_t rect = in_matrix(panels, &strip, copy), share;
            size_t bytes;

            call->host->block_share(mine, &rect, &share);
            bytes = (size_t)share.m * panels->entry;
            for (int64_t j = share.j; j < share.j + share.n; j++, inner += bytes) {
                char *column = (char *)mine->data + (size_t)(share.i + j * mine->lld) * panels->entry;

                memcpy(panels->write ? inner : column, panels->write ? column : inner, bytes);
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
        move_block(panels);
    if (call->size > 1)
        error =
            panels->write
                ? MPI_Alltoallv(panels->inner, panels->inner_counts, panels->inner_starts, panels->type, panels->outer,
                                panels->outer_counts, panels->outer_starts, panels->type, call->comm)
                : MPI_Alltoallv(panels->outer, panels->outer_counts, panels->outer_starts, panels->type, panels->inner,
                                panels->inner_counts, panels->inner_starts, panels->type, call->comm);
    if (error != MPI_SUCCESS)
        return call->host->fail(call, ALCH_EINTERNAL, "MPI_Alltoallv failed");
    if (!panels->write)
        move_block(panels);
    return ALCH_OK;
}
