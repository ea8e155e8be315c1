/* Copy a matrix into another layout.
 *
 * The matrix is walked in rectangles of bounded size, the same on every rank. Of each rectangle a rank's share is one
 * contiguous local rectangle, and what it owes another rank is the product of a list of its local rows with a list of
 * its local columns. Both sides derive the lists from the layouts, in global order, so that nothing but entries
 * travels. */
#include "base/error.h"
#include "base/util.h"
#include "worker/host.h"

#include <stdlib.h>
#include <string.h>

#define RECTANGLE_BYTES (16 << 20)

/* Local indices of one side, grouped by their place in the other layout. */
typedef struct {
    int64_t *indices;
    int64_t *starts; /* [places + 1] */
} groups_t;

typedef struct {
    MPI_Comm comm;
    int rank, size;
    const alchi_part_t *from, *to;
    size_t entry;
    int64_t width, height; /* of a rectangle */
    char *send, *receive;
    int *send_counts, *send_at, *receive_counts, *receive_at;
    groups_t rows, cols;
} exchange_t;

/* Which copy of the source serves a target rank: they take turns. */
static int
serving_replica(const exchange_t *x, int target)
{
    return target % x->from->layout.replicas;
}

/* Sort local indices start..start+count-1 by their place in blocks of `block` over `places`, in increasing order. */
static void
group(groups_t *groups, const alchi_axis_t *axis, int64_t start, int64_t count, int64_t block, int places)
{
    memset(groups->starts, 0, sizeof(*groups->starts) * (size_t)(places + 1));
    for (int64_t l = start; l < start + count; l++)
        groups->starts[alchi_axis_global(axis, l) / block % places + 1]++;
    for (int k = 0; k < places; k++)
        groups->starts[k + 1] += groups->starts[k];
    for (int64_t l = start; l < start + count; l++)
        groups->indices[groups->starts[alchi_axis_global(axis, l) / block % places]++] = l;
    /* Each start now stands at its group's end: the next one's start. */
    memmove(groups->starts + 1, groups->starts, sizeof(*groups->starts) * (size_t)places);
    groups->starts[0] = 0;
}

static void
group_share(exchange_t *x, const alchi_part_t *mine, const alchi_part_t *other, const alch_rect_t *global)
{
    alch_rect_t share = {0, 0, 0, 0};

    if (mine->replica >= 0)
        alchi_layout_share(&mine->layout, mine->row, mine->col, global, &share);
    group(&x->rows, &mine->rows, share.i, share.m, other->layout.mb, other->layout.nprow);
    group(&x->cols, &mine->cols, share.j, share.n, other->layout.nb, other->layout.npcol);
}

/* Copy the product of two groups between a part and a packed buffer; returns the bytes. */
static size_t
copy_group(const exchange_t *x, const alchi_part_t *part, int row, int col, char *packed, bool into_part)
{
    const int64_t *rows = x->rows.indices + x->rows.starts[row], *cols = x->cols.indices + x->cols.starts[col];
    int64_t m = x->rows.starts[row + 1] - x->rows.starts[row], n = x->cols.starts[col + 1] - x->cols.starts[col];
    size_t entry = x->entry;
    char *at = packed;

    for (int64_t j = 0; j < n; j++) {
        char *column = (char *)part->data + (size_t)(cols[j] * part->lld) * entry;

        for (int64_t i = 0; i < m;) {
            int64_t run = 1;
            char *start = column + (size_t)rows[i] * entry;

            while (i + run < m && rows[i + run] == rows[i] + run)
                run++;
            if (into_part)
                memcpy(start, at, (size_t)run * entry);
            else
                memcpy(at, start, (size_t)run * entry);
            at += (size_t)run * entry;
            i += run;
        }
    }
    return (size_t)(at - packed);
}

static void
pack(exchange_t *x, const alch_rect_t *global)
{
    const alchi_layout_t *target = &x->to->layout;
    size_t at = 0;

    group_share(x, x->from, x->to, global);
    for (int rank = 0; rank < x->size; rank++) {
        int replica, row, col;
        size_t bytes = 0;

        if (alchi_layout_place(target, rank, &replica, &row, &col) && x->from->replica == serving_replica(x, rank))
            bytes = copy_group(x, x->from, row, col, x->send + at, false);
        x->send_at[rank] = (int)at;
        x->send_counts[rank] = (int)bytes;
        at += bytes;
    }
}

/* Entries that each rank will send, in the order in which it packs them. */
static void
expect(exchange_t *x, const alch_rect_t *global)
{
    size_t at = 0;

    group_share(x, x->to, x->from, global);
    for (int rank = 0; rank < x->size; rank++) {
        int replica, row, col;
        size_t bytes = 0;

        if (x->to->replica >= 0 && alchi_layout_place(&x->from->layout, rank, &replica, &row, &col) &&
            replica == serving_replica(x, x->rank))
            bytes = (size_t)(x->rows.starts[row + 1] - x->rows.starts[row]) *
                    (size_t)(x->cols.starts[col + 1] - x->cols.starts[col]) * x->entry;
        x->receive_at[rank] = (int)at;
        x->receive_counts[rank] = (int)bytes;
        at += bytes;
    }
}

static void
unpack(exchange_t *x)
{
    for (int rank = 0; rank < x->size; rank++) {
        int replica, row, col;

        if (x->receive_counts[rank] == 0)
            continue;
        (void)alchi_layout_place(&x->from->layout, rank, &replica, &row, &col);
        (void)copy_group(x, x->to, row, col, x->receive + x->receive_at[rank], true);
    }
}

static int
move_rectangle(exchange_t *x, const alch_rect_t *global)
{
    pack(x, global);
    expect(x, global);
    if (MPI_Alltoallv(x->send, x->send_counts, x->send_at, MPI_BYTE, x->receive, x->receive_counts, x->receive_at,
                      MPI_BYTE, x->comm) != MPI_SUCCESS)
        return ALCH_EINTERNAL;
    unpack(x);
    return ALCH_OK;
}

static int
move_all(exchange_t *x, alch_error_t *err)
{
    int64_t m = x->from->layout.m, n = x->from->layout.n;

    for (int64_t j = 0; j < n; j += x->width) {
        for (int64_t i = 0; i < m; i += x->height) {
            alch_rect_t global = {i, j, m - i < x->height ? m - i : x->height, n - j < x->width ? n - j : x->width};

            if (move_rectangle(x, &global))
                return alchi_error_set(err, ALCH_EINTERNAL, "MPI_Alltoallv failed");
        }
    }
    return ALCH_OK;
}

static int64_t
larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int
allocate(exchange_t *x, size_t bytes)
{
    int64_t rows = larger(x->from->local_m, x->to->local_m), cols = larger(x->from->local_n, x->to->local_n);
    size_t row_places = (size_t)larger(x->from->layout.nprow, x->to->layout.nprow);
    size_t col_places = (size_t)larger(x->from->layout.npcol, x->to->layout.npcol);
    int *counts = calloc(4 * (size_t)x->size, sizeof(*counts));

    x->send_counts = counts;
    x->send_at = counts ? counts + x->size : NULL;
    x->receive_counts = counts ? counts + 2 * x->size : NULL;
    x->receive_at = counts ? counts + 3 * x->size : NULL;
    x->send = malloc(bytes);
    x->receive = malloc(bytes);
    x->rows.indices = malloc(sizeof(int64_t) * (size_t)larger(1, rows < x->height ? rows : x->height));
    x->cols.indices = malloc(sizeof(int64_t) * (size_t)larger(1, cols < x->width ? cols : x->width));
    x->rows.starts = calloc(row_places + 1, sizeof(int64_t));
    x->cols.starts = calloc(col_places + 1, sizeof(int64_t));
    return counts && x->send && x->receive && x->rows.indices && x->cols.indices && x->rows.starts && x->cols.starts
               ? ALCH_OK
               : ALCH_ENOMEM;
}

static void
release(exchange_t *x)
{
    free(x->send_counts);
    free(x->send);
    free(x->receive);
    free(x->rows.indices);
    free(x->cols.indices);
    free(x->rows.starts);
    free(x->cols.starts);
}

/* Cut so that what any rank sends or receives of one rectangle fits a buffer: a rank may owe its whole share to
 * every copy of the target. @return the bytes of a buffer */
static size_t
cut(exchange_t *x)
{
    int64_t copies = larger(1, x->to->layout.replicas), entries, m = larger(1, x->from->layout.m);

    entries = larger(1, RECTANGLE_BYTES / ((int64_t)x->entry * copies));
    x->height = m < entries ? m : entries;
    x->width = larger(1, entries / x->height);
    if (x->width > x->from->layout.n)
        x->width = larger(1, x->from->layout.n);
    return (size_t)(x->height * x->width * copies) * x->entry;
}

int
alchi_relayout(MPI_Comm comm, alchi_store_t *store, const alchi_part_t *from, alchi_part_t *to, alch_error_t *err)
{
    exchange_t x = {.comm = comm, .from = from, .to = to, .entry = from->entry};
    alch_error_t error = {ALCH_OK, -1, ""};
    size_t bytes = cut(&x);
    bool accounted;
    int code;

    MPI_Comm_rank(comm, &x.rank);
    MPI_Comm_size(comm, &x.size);
    code = alchi_store_account(store, 2 * (int64_t)bytes, "buffers of a relayout", &error);
    accounted = code == ALCH_OK;
    if (!code && (code = allocate(&x, bytes)))
        alchi_error_set(&error, code, "no memory for the buffers of a relayout");
    code = alchi_agree(comm, code, &error);
    if (!code)
        code = move_all(&x, &error);
    release(&x);
    if (accounted)
        (void)alchi_store_account(store, -2 * (int64_t)bytes, "buffers of a relayout", NULL);
    if (code && err)
        *err = error;
    return code;
}
