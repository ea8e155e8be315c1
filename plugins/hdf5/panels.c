#include "panels.h"

#include <stdlib.h>

#define STRIP_BYTES (INT64_C(8) << 20)

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

/* What the owner of a strip sends for each entry of it. */
static int64_t
fan_out(const hdf5_panels_t *panels)
{
    return panels->write ? 1 : panels->block.replicas * (panels->cols.size / larger(panels->width, 1));
}

/* Entries of the panels that one rank's block may have in one panel. */
static int64_t
inner_entries(const hdf5_panels_t *panels)
{
    return hdf5_axis_most(&panels->rows, panels->strip_rows * panels->call->size) *
           hdf5_axis_most(&panels->cols, panels->most_cols);
}

/* Strips of about 8 MiB on both sides of the exchange. Rows that are longer are cut, unless they are repeated. */
static void
choose_sizes(hdf5_panels_t *panels)
{
    int64_t entries = larger(1, STRIP_BYTES / (int64_t)panels->entry), ranks = panels->call->size;

    panels->most_cols = larger(panels->cols.size, 1);
    if (panels->most_cols * fan_out(panels) > entries && panels->cols.size == panels->width)
        panels->most_cols = smaller(panels->most_cols, larger(1, entries / fan_out(panels)));
    panels->strip_rows = entries / larger(1, smaller(panels->most_cols, panels->width) * fan_out(panels));
    panels->strip_rows = larger(1, smaller(panels->strip_rows, (panels->rows.size + ranks - 1) / ranks));
    while (panels->strip_rows > 1 && inner_entries(panels) > 4 * entries)
        panels->strip_rows /= 2;
}

static int
find_places(hdf5_panels_t *panels)
{
    hdf5_place_t mine = {panels->block.replica, panels->block.myrow, panels->block.mycol};

    if (MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, panels->places, sizeof(mine), MPI_BYTE, panels->call->comm) !=
        MPI_SUCCESS)
        return panels->call->host->fail(panels->call, ALCH_EINTERNAL, "MPI_Allgather failed");
    return ALCH_OK;
}

static int
get_memory(hdf5_panels_t *panels)
{
    alch_call_t *call = panels->call;
    size_t ranks = (size_t)call->size, grid = (size_t)panels->cols.places + 1;
    int64_t strip = panels->strip_rows * smaller(panels->most_cols, larger(panels->width, 1));
    int64_t inner = inner_entries(panels), outer = strip * fan_out(panels);
    int64_t bytes = (strip + outer + inner) * (int64_t)panels->entry + panels->most_cols * (int64_t)sizeof(int64_t);
    int code = call->host->workspace(call, bytes);

    if (code)
        return code;
    panels->strip = malloc((size_t)strip * panels->entry + 1);
    panels->outer = malloc((size_t)outer * panels->entry + 1);
    panels->inner = malloc((size_t)inner * panels->entry + 1);
    panels->picks = malloc((size_t)panels->most_cols * sizeof(*panels->picks));
    panels->pick_start = malloc(grid * sizeof(*panels->pick_start));
    panels->places = malloc(ranks * sizeof(*panels->places));
    panels->outer_counts = calloc(4 * ranks, sizeof(int));
    if (!panels->strip || !panels->outer || !panels->inner || !panels->picks || !panels->pick_start ||
        !panels->places || !panels->outer_counts)
        return call->host->fail(call, ALCH_ENOMEM, "no memory for buffers of %lld bytes", (long long)bytes);
    panels->outer_starts = panels->outer_counts + ranks;
    panels->inner_counts = panels->outer_starts + ranks;
    panels->inner_starts = panels->inner_counts + ranks;
    return ALCH_OK;
}

static hdf5_move_t
choose_move(size_t in, size_t out)
{
    if (in != out)
        return in == 4 ? HDF5_WIDEN4 : HDF5_WIDEN8;
    return in == 4 ? HDF5_COPY4 : in == 8 ? HDF5_COPY8 : HDF5_COPY16;
}

int
hdf5_panels_init(hdf5_panels_t *panels, alch_call_t *call, const alch_block_t *block, bool write, int64_t width,
                 size_t entry)
{
    int code;

    *panels = (hdf5_panels_t){.call = call,
                              .block = *block,
                              .write = write,
                              .rows = {block->m, block->layout.mb, block->layout.nprow},
                              .cols = {block->n, block->layout.nb, block->layout.npcol},
                              .width = width,
                              .entry = entry,
                              .move = choose_move(entry, hdf5_dtype_size(block->dtype))};
    MPI_Type_contiguous((int)entry, MPI_BYTE, &panels->type);
    MPI_Type_commit(&panels->type);
    choose_sizes(panels);
    if ((code = call->host->agree(call, get_memory(panels), NULL)))
        return code;
    return call->host->agree(call, find_places(panels), NULL);
}

void
hdf5_panels_fini(hdf5_panels_t *panels)
{
    MPI_Type_free(&panels->type);
    free(panels->strip);
    free(panels->outer);
    free(panels->inner);
    free(panels->picks);
    free(panels->pick_start);
    free(panels->places);
    free(panels->outer_counts);
    (void)panels->call->host->workspace(panels->call, 0);
}

int64_t
hdf5_panels_count(const hdf5_panels_t *panels)
{
    int64_t rows = panels->strip_rows * panels->call->size;

    return (panels->rows.size + rows - 1) / rows * ((panels->cols.size + panels->most_cols - 1) / panels->most_cols);
}

/* For each column of the grid: which columns of the strip its ranks have, in the order in which they have them. */
static void
find_picks(hdf5_panels_t *panels)
{
    const hdf5_axis_t *cols = &panels->cols;
    /* Only a panel with all columns has them more than once. */
    int64_t first = panels->col, width = larger(panels->width, 1), used = 0;

    for (int64_t place = 0; place < cols->places; place++) {
        int64_t end = hdf5_axis_count(cols, place, panels->col_end);

        panels->pick_start[place] = used;
        for (int64_t j = hdf5_axis_count(cols, place, panels->col); j < end; j++)
            panels->picks[used++] = hdf5_axis_global(cols, place, j) % width - first;
    }
    panels->pick_start[cols->places] = used;
}

bool
hdf5_panels_next(hdf5_panels_t *panels)
{
    bool first = panels->col_end == 0;

    if (panels->rows.size == 0 || panels->cols.size == 0)
        return false;
    panels->row = first ? 0 : panels->row_end;
    if (panels->row == panels->rows.size) {
        panels->row = 0;
        panels->col = panels->col_end;
        if (panels->col == panels->cols.size)
            return false;
    }
    panels->row_end = smaller(panels->row + panels->strip_rows * panels->call->size, panels->rows.size);
    panels->col_end = smaller(panels->col + panels->most_cols, panels->cols.size);
    if (panels->row == 0)
        find_picks(panels);
    return true;
}

int64_t
hdf5_panels_strip(const hdf5_panels_t *panels, int rank, int64_t *row_p)
{
    *row_p = smaller(panels->row + rank * panels->strip_rows, panels->row_end);
    return smaller(*row_p + panels->strip_rows, panels->row_end);
}

/* Whether a rank's block takes part: of a matrix that is written, one copy is enough. */
static bool
takes_part(const hdf5_panels_t *panels, const hdf5_place_t *place)
{
    return panels->write ? place->replica == 0 : place->replica >= 0;
}

/* Entries of a strip that a rank's block has. */
static int64_t
common(const hdf5_panels_t *panels, int strip, const hdf5_place_t *place)
{
    int64_t row, row_end = hdf5_panels_strip(panels, strip, &row);

    if (!takes_part(panels, place))
        return 0;
    return (hdf5_axis_count(&panels->rows, place->row, row_end) - hdf5_axis_count(&panels->rows, place->row, row)) *
           (panels->pick_start[place->col + 1] - panels->pick_start[place->col]);
}

static void
count_all(hdf5_panels_t *panels)
{
    const hdf5_place_t *mine = &panels->places[panels->call->rank];
    int outer = 0, inner = 0;

    for (int k = 0; k < panels->call->size; k++) {
        panels->outer_starts[k] = outer;
        panels->inner_starts[k] = inner;
        outer += panels->outer_counts[k] = (int)common(panels, panels->call->rank, &panels->places[k]);
        inner += panels->inner_counts[k] = (int)common(panels, k, mine);
    }
}

#define PICK(name, entry_t)                                                           \
    static void name(const void *row, const int64_t *picks, int64_t count, void *out) \
    {                                                                                 \
        for (int64_t k = 0; k < count; k++)                                           \
            ((entry_t *)out)[k] = ((const entry_t *)row)[picks[k]];                   \
    }
#define PLACE(name, entry_t)                                                         \
    static void name(const void *in, const int64_t *picks, int64_t count, void *row) \
    {                                                                                \
        for (int64_t k = 0; k < count; k++)                                          \
            ((entry_t *)row)[picks[k]] = ((const entry_t *)in)[k];                   \
    }

typedef struct {
    double re, im;
} sixteen_t;

PICK(pick4, uint32_t)
PICK(pick8, uint64_t)
PICK(pick16, sixteen_t)
PLACE(place4, uint32_t)
PLACE(place8, uint64_t)
PLACE(place16, sixteen_t)

/* Between my strip and what is exchanged for one rank's block, row by row of what both have. */
static void
move_strip(hdf5_panels_t *panels, int rank)
{
    const hdf5_place_t *place = &panels->places[rank];
    const int64_t *picks = panels->picks + panels->pick_start[place->col];
    int64_t count = panels->pick_start[place->col + 1] - panels->pick_start[place->col];
    int64_t first, end = hdf5_panels_strip(panels, panels->call->rank, &first);
    int64_t width = smaller(panels->col_end - panels->col, panels->width);
    char *at = panels->outer + (size_t)panels->outer_starts[rank] * panels->entry;

    end = hdf5_axis_count(&panels->rows, place->row, end);
    for (int64_t i = hdf5_axis_count(&panels->rows, place->row, first); i < end; i++) {
        char *row =
            panels->strip + (size_t)((hdf5_axis_global(&panels->rows, place->row, i) - first) * width) * panels->entry;

        if (panels->write)
            (panels->entry == 4 ? place4 : panels->entry == 8 ? place8 : place16)(at, picks, count, row);
        else
            (panels->entry == 4 ? pick4 : panels->entry == 8 ? pick8 : pick16)(row, picks, count, at);
        at += (size_t)count * panels->entry;
    }
}

/* Between what is exchanged and my block: the pieces of all strips, one behind the other, are one piece in C order. */
static void
move_block(hdf5_panels_t *panels)
{
    const alch_block_t *block = &panels->block;
    const hdf5_place_t *place = &panels->places[panels->call->rank];
    int64_t i, j, m, n;
    char *at;

    if (!takes_part(panels, place))
        return;
    i = hdf5_axis_count(&panels->rows, place->row, panels->row);
    j = hdf5_axis_count(&panels->cols, place->col, panels->col);
    m = hdf5_axis_count(&panels->rows, place->row, panels->row_end) - i;
    n = hdf5_axis_count(&panels->cols, place->col, panels->col_end) - j;
    if (m == 0 || n == 0)
        return;
    at = (char *)block->data + (size_t)(i + j * block->lld) * hdf5_dtype_size(block->dtype);
    if (panels->write)
        hdf5_columns_to_rows(panels->move, at, block->lld, m, n, panels->inner);
    else
        hdf5_rows_to_columns(panels->move, panels->inner, m, n, at, block->lld);
}

void
hdf5_panels_spread(hdf5_panels_t *panels)
{
    count_all(panels);
    for (int rank = 0; rank < panels->call->size; rank++)
        if (panels->outer_counts[rank])
            move_strip(panels, rank);
    MPI_Alltoallv(panels->outer, panels->outer_counts, panels->outer_starts, panels->type, panels->inner,
                  panels->inner_counts, panels->inner_starts, panels->type, panels->call->comm);
    move_block(panels);
}

void
hdf5_panels_gather(hdf5_panels_t *panels)
{
    count_all(panels);
    move_block(panels);
    MPI_Alltoallv(panels->inner, panels->inner_counts, panels->inner_starts, panels->type, panels->outer,
                  panels->outer_counts, panels->outer_starts, panels->type, panels->call->comm);
    for (int rank = 0; rank < panels->call->size; rank++)
        if (panels->outer_counts[rank])
            move_strip(panels, rank);
}
