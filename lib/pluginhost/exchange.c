/* The exchange of entries between the ranks: tile by tile, with one MPI_Alltoallv() for each tile. */
#include "pluginhost/exchange.h"
#include "base/error.h"
#include "base/util.h"
#include "pack/convert.h"
#include "pack/pack.h"
#include "pluginhost/agree.h"
#include <stdlib.h>
#include <string.h>

#define CHECK_STOP_EVERY 4 /* tiles from one check whether to stop to the next */
#define RUN_BYTES 128      /* if the runs have at least this many bytes on average, they are copied run by run */

enum { CONTINUE, STOP_CANCELED, STOP_MISFIT };

/*
 * In "source orientation" the rows of a transposed target count as columns, and its columns as rows. So rows and
 * columns have one meaning for both matrices, whether the exchange transposes or not.
 *
 * A "place" is a row or a column of the process grid of the other matrix.
 */

/* Local indices of a part in one dimension, sorted by their place; within a place they ascend. A run is a sequence of
 * indices whose entries are adjacent in storage. */
typedef struct {
    int64_t *offsets; /* bytes from the beginning of the part's storage */
    int64_t *indices; /* global indices in source orientation */
    int32_t *runs; /* for each run, its start within its place; the runs of a place are stored from starts[place] on */
    int64_t *starts; /* [places + 1]: where in `offsets` each place starts */
    int64_t *counts; /* [places]: number of runs */
} lists_t;

typedef struct {
    MPI_Comm comm;
    int rank, size;
    const alchi_store_part_t *from;
    alchi_store_part_t *to;
    const alchi_host_exchange_t *options;
    int64_t from_entry, to_entry, wide; /* bytes of an entry of the source, of the target, and of the wider one */
    int64_t height, width;              /* of a tile */
    int64_t tiles, done;
    bool local; /* every rank holds the same entries of both matrices: nothing is sent */
    char *send, *receive;
    int *send_counts, *send_at, *receive_counts, *receive_at;
    lists_t rows, cols;
    void *lists;
    int64_t bad_row, bad_col; /* the first entry of this rank that the new type cannot hold; -1: no such entry */
} exchange_t;

/* ---- which rank holds which entries ---- */

/* The axes and the grid of a part in source orientation. */
typedef struct {
    alchi_axis_t rows, cols;
    int64_t mb, nb, row_step, col_step; /* bytes from one local index to the next */
    int nprow, npcol;
} oriented_t;

static oriented_t
orient(const exchange_t *x, const alchi_store_part_t *part)
{
    const alchi_layout_t *layout = &part->layout;
    int64_t entry = (int64_t)part->entry, column = entry * part->lld;

    if (part == x->to && x->options->transpose)
        return (oriented_t){part->cols, part->rows, layout->nb,    layout->mb,
                            column,     entry,      layout->npcol, layout->nprow};
    return (oriented_t){part->rows, part->cols, layout->mb, layout->nb, entry, column, layout->nprow, layout->npcol};
}

/* @return the local rectangle of a tile in a part: local indices in source orientation */
static alch_rect_t
local_rect_of(const exchange_t *x, const alchi_store_part_t *part, const alch_rect_t *tile)
{
    alch_rect_t local = {0, 0, 0, 0}, transposed = {tile->j, tile->i, tile->n, tile->m};
    bool transpose = part == x->to && x->options->transpose;

    if (part->replica < 0)
        return local;
    alchi_layout_local_rect(&part->layout, part->row, part->col, transpose ? &transposed : tile, &local);
    return transpose ? (alch_rect_t){local.j, local.i, local.n, local.m} : local;
}

/* @return whether `source_rank` belongs to the copy of the source that sends to `target_rank`; also get its place there
 */
static bool
sends_to(const exchange_t *x, int source_rank, int target_rank, int *row_p, int *col_p)
{
    const alchi_layout_t *source = &x->from->layout;
    int replica, copy, row, col;

    if (!alchi_layout_place(source, source_rank, &replica, row_p, col_p))
        return false;
    if (!alchi_layout_place(source, target_rank, &copy, &row, &col))
        copy = target_rank % source->replicas;
    return replica == copy;
}

/* Get the place of a rank in the target, in source orientation. @return false: it holds nothing of the target */
static bool
target_place(const exchange_t *x, int rank, int *row_p, int *col_p)
{
    int replica;

    if (x->options->transpose)
        return alchi_layout_place(&x->to->layout, rank, &replica, col_p, row_p);
    return alchi_layout_place(&x->to->layout, rank, &replica, row_p, col_p);
}

/* @return whether every rank holds the same entries in both layouts */
static bool
same_placement(const alchi_layout_t *a, const alchi_layout_t *b)
{
    return a->nprow == b->nprow && a->npcol == b->npcol && a->replicas == b->replicas &&
           (a->mb == b->mb || a->nprow == 1) && (a->nb == b->nb || a->npcol == 1) &&
           memcmp(a->ranks, b->ranks, sizeof(*a->ranks) * (size_t)(a->nprow * a->npcol * a->replicas)) == 0;
}

/* ---- lists ---- */

/* A walk over the local indices of one axis, which finds the place of each index in the other layout. A step needs no
 * division. */
typedef struct {
    int64_t global;
    int64_t in_axis_block, axis_block; /* position in a block of the axis, and its size */
    int64_t in_block, block;           /* position in a block of the other layout, and its size */
    int place, places;                 /* of the other layout */
    int64_t jump;                      /* from the last global index of a block of the axis to the next block */
    int64_t jump_in_block;             /* the jump, without whole blocks of the other layout */
    int jump_places;                   /* those whole blocks, modulo `places` */
} walk_t;

static void
walk_init(walk_t *walk, const alchi_axis_t *axis, int64_t start, int64_t block, int places)
{
    walk->global = alchi_axis_global(axis, start);
    walk->in_axis_block = start % axis->block;
    walk->axis_block = axis->block;
    walk->block = block;
    walk->places = places;
    walk->in_block = walk->global % block;
    walk->place = (int)(walk->global / block % places);
    walk->jump = axis->period - axis->block + 1;
    walk->jump_in_block = walk->jump % block;
    walk->jump_places = (int)(walk->jump / block % places);
}

static void
walk_next(walk_t *walk)
{
    if (++walk->in_axis_block < walk->axis_block) {
        walk->global++;
        walk->in_block++;
    } else {
        walk->in_axis_block = 0;
        walk->global += walk->jump;
        walk->in_block += walk->jump_in_block;
        walk->place += walk->jump_places;
    }
    if (walk->in_block >= walk->block) {
        walk->in_block -= walk->block;
        walk->place++;
    }
    if (walk->place >= walk->places)
        walk->place -= walk->places;
}

static void
find_runs(lists_t *lists, int places, int64_t entry)
{
    for (int p = 0; p < places; p++) {
        int64_t first = lists->starts[p], end = lists->starts[p + 1];

        lists->counts[p] = 0;
        for (int64_t k = first; k < end; k++)
            if (k == first || lists->offsets[k] != lists->offsets[k - 1] + entry)
                lists->runs[first + lists->counts[p]++] = (int32_t)(k - first);
    }
}

/* List the local indices start..start+count-1 of an axis, sorted by their place. This is a counting sort: the first
 * walk counts the indices of each place, the second one writes them. */
static void
sort_by_place(lists_t *lists, const alchi_axis_t *axis, int64_t start, int64_t count, int64_t step, int64_t block,
              int places)
{
    walk_t walk;

    memset(lists->starts, 0, sizeof(*lists->starts) * (size_t)(places + 1));
    if (count > 0)
        walk_init(&walk, axis, start, block, places);
    for (int64_t l = 0; l < count; l++, walk_next(&walk))
        lists->starts[walk.place + 1]++;
    for (int p = 0; p < places; p++)
        lists->starts[p + 1] += lists->starts[p];
    if (count > 0)
        walk_init(&walk, axis, start, block, places);
    for (int64_t l = 0; l < count; l++, walk_next(&walk)) {
        int64_t at = lists->starts[walk.place]++;

        lists->offsets[at] = (start + l) * step;
        lists->indices[at] = walk.global;
    }
    /* The second walk has moved each start to the end of its place, which is the start of the next place. */
    memmove(lists->starts + 1, lists->starts, sizeof(*lists->starts) * (size_t)places);
    lists->starts[0] = 0;
}

/* List the local rows and columns of a tile in `part`, by their places in the grid of `other`. */
static void
list_tile(exchange_t *x, const alchi_store_part_t *part, const alchi_store_part_t *other, const alch_rect_t *tile)
{
    oriented_t near = orient(x, part), far = orient(x, other);
    alch_rect_t local = local_rect_of(x, part, tile);

    sort_by_place(&x->rows, &near.rows, local.i, local.m, near.row_step, far.mb, far.nprow);
    sort_by_place(&x->cols, &near.cols, local.j, local.n, near.col_step, far.nb, far.npcol);
    find_runs(&x->rows, far.nprow, (int64_t)part->entry);
}

/* ---- copies ---- */

/* The entries of a tile in one part that belong to one place of the other matrix: rows times columns. */
typedef struct {
    char *storage;
    const int64_t *rows, *cols; /* offsets */
    const int32_t *runs;
    int64_t m, n, run_count;
    char *packed; /* m x n entries, column by column */
} product_t;

static product_t
product_of(const exchange_t *x, const alchi_store_part_t *part, int row, int col, char *packed)
{
    int64_t first = x->rows.starts[row];

    return (product_t){part->data,
                       x->rows.offsets + first,
                       x->cols.offsets + x->cols.starts[col],
                       x->rows.runs + first,
                       x->rows.starts[row + 1] - first,
                       x->cols.starts[col + 1] - x->cols.starts[col],
                       x->rows.counts[row],
                       packed};
}

/* Copy each column run by run. */
static void
copy_runs(const product_t *p, size_t entry, bool into_storage)
{
    char *at = p->packed;

    for (int64_t j = 0; j < p->n; j++) {
        char *column = p->storage + p->cols[j];

        for (int64_t r = 0; r < p->run_count; r++) {
            int64_t first = p->runs[r], end = r + 1 < p->run_count ? p->runs[r + 1] : p->m;
            size_t bytes = (size_t)(end - first) * entry;

            if (into_storage)
                memcpy(column + p->rows[first], at, bytes);
            else
                memcpy(at, column + p->rows[first], bytes);
            at += bytes;
        }
    }
}

static void
copy_product(const product_t *p, size_t entry, bool into_storage, bool across)
{
    const alchi_pack_lists_t product = {p->storage, p->rows, p->cols, p->m, p->n, p->packed, entry, across};

    if (p->m == 0 || p->n == 0)
        return;
    if (!across && p->m * (int64_t)entry >= RUN_BYTES * p->run_count)
        copy_runs(p, entry, into_storage);
    else if (into_storage)
        alchi_unpack_lists(&product);
    else
        alchi_pack_lists(&product);
}

/* ---- types ---- */

static bool
converts(const exchange_t *x)
{
    return x->from->dtype != x->to->dtype ||
           (x->options->conjugate && (x->to->dtype == ALCH_COMPLEX128 || x->to->dtype == ALCH_COMPLEX64));
}

/* Keep the row and column of the first value that the new type cannot hold. */
static void
note_misfit(exchange_t *x, int64_t row, int64_t col)
{
    if (x->bad_row >= 0)
        return;
    x->bad_row = row;
    x->bad_col = col;
}

/* Convert a packed product in place. */
static void
convert_product(exchange_t *x, const product_t *p)
{
    int64_t bad;

    if (!converts(x) || p->m == 0 || p->n == 0)
        return;
    bad = alchi_convert(x->from->dtype, x->to->dtype, x->options->conjugate, p->packed, p->packed, p->m * p->n);
    if (bad >= 0)
        note_misfit(x, x->rows.indices[p->rows - x->rows.offsets + bad % p->m],
                    x->cols.indices[p->cols - x->cols.offsets + bad / p->m]);
}

/* ---- one tile ---- */

/* Pack and convert what this rank sends to each rank. */
static void
pack_tile(exchange_t *x, const alch_rect_t *tile)
{
    int64_t at = 0;

    list_tile(x, x->from, x->to, tile);
    for (int rank = 0; rank < x->size; rank++) {
        int row, col, my_row, my_col;
        int64_t entries = 0;

        if (target_place(x, rank, &row, &col) && sends_to(x, x->rank, rank, &my_row, &my_col)) {
            product_t product = product_of(x, x->from, row, col, x->send + at);

            copy_product(&product, (size_t)x->from_entry, false, false);
            convert_product(x, &product);
            entries = product.m * product.n;
        }
        x->send_at[rank] = (int)at;
        x->send_counts[rank] = (int)(entries * x->to_entry);
        at += entries * x->wide;
    }
}

/* Compute how much each rank sends to this one. Entries that stay on this rank are not sent: unpack_local() takes them
 * from the send buffer. */
static void
plan_receives(exchange_t *x, const alch_rect_t *tile)
{
    int64_t at = 0;

    list_tile(x, x->to, x->from, tile);
    for (int rank = 0; rank < x->size; rank++) {
        int row, col;
        int64_t bytes = 0;

        if (rank != x->rank && x->to->replica >= 0 && sends_to(x, rank, x->rank, &row, &col))
            bytes = (x->rows.starts[row + 1] - x->rows.starts[row]) * (x->cols.starts[col + 1] - x->cols.starts[col]) *
                    x->to_entry;
        x->receive_at[rank] = (int)at;
        x->receive_counts[rank] = (int)bytes;
        at += bytes;
    }
}

static void
unpack_local(exchange_t *x)
{
    int row, col;

    if (x->to->replica >= 0 && sends_to(x, x->rank, x->rank, &row, &col)) {
        product_t product = product_of(x, x->to, row, col, x->send + x->send_at[x->rank]);

        copy_product(&product, (size_t)x->to_entry, true, x->options->transpose);
    }
    x->send_counts[x->rank] = 0;
}

static void
unpack_received(exchange_t *x)
{
    for (int rank = 0; rank < x->size; rank++) {
        product_t product;
        int row, col;

        if (x->receive_counts[rank] == 0 || !sends_to(x, rank, x->rank, &row, &col))
            continue;
        product = product_of(x, x->to, row, col, x->receive + x->receive_at[rank]);
        copy_product(&product, (size_t)x->to_entry, true, x->options->transpose);
    }
}

static int
exchange_tile(exchange_t *x, const alch_rect_t *tile)
{
    pack_tile(x, tile);
    plan_receives(x, tile);
    unpack_local(x);
    if (MPI_Alltoallv(x->send, x->send_counts, x->send_at, MPI_BYTE, x->receive, x->receive_counts, x->receive_at,
                      MPI_BYTE, x->comm) != MPI_SUCCESS)
        return ALCH_EINTERNAL;
    unpack_received(x);
    return ALCH_OK;
}

/* Copy a tile that stays on this rank: as one piece if both parts store it without gaps, else column by column. */
static void
copy_tile(exchange_t *x, const alch_rect_t *tile)
{
    alch_rect_t local = local_rect_of(x, x->from, tile);

    if (local.m == 0 || local.n == 0)
        return;
    if (local.m == x->from->lld && local.m == x->to->lld && !converts(x)) {
        memcpy((char *)x->to->data + local.j * local.m * x->to_entry,
               (const char *)x->from->data + local.j * local.m * x->from_entry,
               (size_t)(local.m * local.n * x->to_entry));
        return;
    }
    for (int64_t j = local.j; j < local.j + local.n; j++) {
        const char *in = (const char *)x->from->data + (local.i + j * x->from->lld) * x->from_entry;
        char *out = (char *)x->to->data + (local.i + j * x->to->lld) * x->to_entry;
        int64_t bad = -1;

        if (converts(x))
            bad = alchi_convert(x->from->dtype, x->to->dtype, x->options->conjugate, in, out, local.m);
        else
            memcpy(out, in, (size_t)(local.m * x->to_entry));
        if (bad >= 0)
            note_misfit(x, alchi_axis_global(&x->from->rows, local.i + bad), alchi_axis_global(&x->from->cols, j));
    }
}

/* ---- all tiles ---- */

/* Check whether to stop. Ranks that send nothing do not wait for each other, so each one decides alone. */
static int
check_stop(const exchange_t *x, int *stop_p)
{
    int mine = CONTINUE;

    if (x->options->cancel && atomic_load(x->options->cancel))
        mine = STOP_CANCELED;
    if (x->bad_row >= 0)
        mine = STOP_MISFIT;
    if (x->local) {
        *stop_p = mine;
        return ALCH_OK;
    }
    return MPI_Allreduce(&mine, stop_p, 1, MPI_INT, MPI_MAX, x->comm) == MPI_SUCCESS ? ALCH_OK : ALCH_EINTERNAL;
}

static int
set_misfit_error(const exchange_t *x, alch_error_t *err)
{
    return alchi_error_rank(
        err, ALCH_ERANGE, x->rank, "matrix %llu has a value in row %lld, column %lld that %s cannot hold",
        (unsigned long long)x->from->id, (long long)x->bad_row, (long long)x->bad_col, alch_dtype_name(x->to->dtype));
}

static int
move_tile(exchange_t *x, const alch_rect_t *tile, int *stop_p, alch_error_t *err)
{
    int code = ALCH_OK;

    if (x->local)
        copy_tile(x, tile);
    else
        code = exchange_tile(x, tile);
    x->done++;
    if (!code && x->done % CHECK_STOP_EVERY == 0)
        code = check_stop(x, stop_p);
    if (x->rank == 0 && x->options->progress)
        x->options->progress(x->options->context, (double)x->done / (double)x->tiles);
    return code ? alchi_error_set(err, code, "the exchange between the workers failed: MPI reported an error")
                : ALCH_OK;
}

static int
move_all(exchange_t *x, alch_error_t *err)
{
    int64_t m = x->from->layout.m, n = x->from->layout.n;
    int stop = CONTINUE, code = ALCH_OK;

    for (int64_t j = 0; j < n && !code && !stop; j += x->width) {
        for (int64_t i = 0; i < m && !code && !stop; i += x->height) {
            alch_rect_t tile = {i, j, m - i < x->height ? m - i : x->height, n - j < x->width ? n - j : x->width};

            code = move_tile(x, &tile, &stop, err);
        }
    }
    if (!code && x->bad_row >= 0)
        code = set_misfit_error(x, err);
    else if (!code && stop == STOP_CANCELED)
        code = alchi_error_set(err, ALCH_ECANCELED, "the copy was canceled after %lld of %lld tiles",
                               (long long)x->done, (long long)x->tiles);
    return code;
}

/* Choose the tiles of an m x n source, as square as the source and the limits allow. A rank may have to send all its
 * entries of a tile to each copy of the target, so the buffer has room for that. @return the bytes of one buffer */
static int64_t
choose_tiles(exchange_t *x, int64_t m, int64_t n, int64_t copies)
{
    int64_t bytes = x->options->tile_bytes ? x->options->tile_bytes : ALCHI_HOST_EXCHANGE_BYTES;
    int64_t entries = alchi_max_int64(1, bytes / (x->wide * copies)), side = 1;

    m = alchi_max_int64(1, m);
    n = alchi_max_int64(1, n);
    if (x->local) { /* tiles of whole columns, without buffers and lists */
        x->height = m;
        x->width = alchi_min_int64(n, alchi_max_int64(1, entries / m));
        x->tiles = (n - 1) / x->width + 1;
        return 0;
    }
    while ((side + 1) * (side + 1) <= entries)
        side++;
    x->width = alchi_min_int64(n, side);
    x->height = alchi_min_int64(alchi_min_int64(m, entries / x->width), ALCHI_HOST_EXCHANGE_SIDE);
    x->width = alchi_min_int64(alchi_min_int64(n, entries / x->height), ALCHI_HOST_EXCHANGE_SIDE);
    x->tiles = ((m - 1) / x->height + 1) * ((n - 1) / x->width + 1);
    return x->height * x->width * copies * x->wide;
}

/* Place the arrays of the lists in memory from *at on, and advance *at by their size. */
static void
lists_place(lists_t *lists, int64_t **at, int64_t length, int64_t places)
{
    lists->offsets = *at;
    lists->indices = lists->offsets + length;
    lists->starts = lists->indices + length;
    lists->counts = lists->starts + places + 1;
    lists->runs = (int32_t *)(lists->counts + places);
    *at = lists->counts + places + (length + 1) / 2;
}

/* @return the bytes that lists_place() uses for rows and columns */
static int64_t
lists_bytes(const exchange_t *x, int64_t places)
{
    return (int64_t)sizeof(int64_t) * ((x->height + x->width) * 5 / 2 + 2 + 4 * places + 2);
}

int64_t
alchi_host_exchange_bytes(int ranks, int64_t m, int64_t n, size_t entry)
{
    static const alchi_host_exchange_t defaults = {0};
    exchange_t x = {.options = &defaults, .wide = (int64_t)entry};
    int64_t bytes = choose_tiles(&x, m, n, 1);

    return 2 * bytes + lists_bytes(&x, ranks);
}

static int
allocate_buffers(exchange_t *x, int64_t bytes, int64_t places)
{
    int64_t *at = malloc((size_t)lists_bytes(x, places));
    int *counts = calloc(4 * (size_t)x->size, sizeof(*counts));

    x->lists = at;
    x->send_counts = counts;
    x->send = malloc((size_t)bytes);
    x->receive = malloc((size_t)bytes);
    if (!counts || !at || !x->send || !x->receive)
        return ALCH_ENOMEM;
    x->send_at = counts + x->size;
    x->receive_counts = counts + 2 * x->size;
    x->receive_at = counts + 3 * x->size;
    lists_place(&x->rows, &at, x->height, places);
    lists_place(&x->cols, &at, x->width, places);
    return ALCH_OK;
}

static void
free_buffers(exchange_t *x)
{
    free(x->send_counts);
    free(x->lists);
    free(x->send);
    free(x->receive);
}

/* Account for the buffers, move all tiles, and agree on the outcome. */
static int
run_exchange(exchange_t *x, alchi_store_t *store, alch_error_t *err)
{
    int64_t places = x->size, copies = alchi_max_int64(1, x->to->layout.replicas), account;
    int64_t bytes = choose_tiles(x, x->from->layout.m, x->from->layout.n, copies);
    int code;

    if (x->local)
        return alchi_host_agree(x->comm, move_all(x, err), err);
    account = 2 * bytes + lists_bytes(x, places);
    code = alchi_store_account(store, account, "buffers of an exchange", err);
    if (code)
        return alchi_host_agree(x->comm, code, err);
    if ((code = allocate_buffers(x, bytes, places)))
        alchi_error_rank(err, code, x->rank, "the rank is out of memory for the buffers of an exchange");
    code = alchi_host_agree(x->comm, code, err);
    if (!code)
        code = alchi_host_agree(x->comm, move_all(x, err), err);
    free_buffers(x);
    (void)alchi_store_account(store, -account, "buffers of an exchange", NULL);
    return code;
}

int
alchi_host_exchange(MPI_Comm comm, alchi_store_t *store, const alchi_store_part_t *from, alchi_store_part_t *to,
                    const alchi_host_exchange_t *options, alch_error_t *err)
{
    static const alchi_host_exchange_t defaults = {0};
    alch_error_t error = {ALCH_OK, -1, ""};
    exchange_t x = {.comm = comm, .from = from, .to = to, .options = options ? options : &defaults, .bad_row = -1};
    int code;

    MPI_Comm_rank(comm, &x.rank);
    MPI_Comm_size(comm, &x.size);
    x.from_entry = (int64_t)from->entry;
    x.to_entry = (int64_t)to->entry;
    x.wide = alchi_max_int64(x.from_entry, x.to_entry);
    x.local = !x.options->transpose && same_placement(&from->layout, &to->layout);
    code = run_exchange(&x, store, &error);
    if (code && err)
        *err = error;
    return code;
}
