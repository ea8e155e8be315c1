/*
 * Packing and unpacking: see pack.h.
 *
 * The code resolves a local rectangle into panels of offsets (kernel.h). All divisions and decisions are made here, so
 * that the kernels do not need any for each entry.
 */
#include "pack/pack.h"
#include "pack/kernel.h"
#include <string.h>

/* If the columns of the strided side have at least this many consecutive bytes, memcpy copies them instead of a kernel.
 */
#define RUN_BYTES 256

/* A position on a walk over one dimension of a local rectangle, on the strided side. */
typedef struct {
    int64_t block, skip; /* entries in a block; bytes from the end of a block to the next */
    int64_t left;        /* entries that are left in the current block */
    int64_t count;       /* entries that are left in the rectangle */
    int64_t at, stride;  /* offset of the next entry; from an entry to the next (bytes) */
} walk_t;

/* Start a walk. If blocks have one entry, or no gaps between them, the whole dimension is treated as one block. */
static walk_t
walk_from(const alchi_axis_t *axis, int64_t first, int64_t count, int64_t origin, int64_t stride)
{
    walk_t walk = {.block = axis->block, .count = count, .stride = stride};

    walk.at = (alchi_axis_global(axis, first) - origin) * stride;
    if (axis->block == 1 || axis->block == axis->period) {
        walk.block = walk.left = INT64_MAX;
        walk.stride *= axis->block == 1 ? axis->period : 1;
        return walk;
    }
    walk.left = axis->block - first % axis->block;
    walk.skip = (axis->period - axis->block) * stride;
    return walk;
}

/* Step over the next entries of one block, at most `limit`. *at_p is the offset of the first. @return how many; 0: the
 * walk has ended */
static int64_t
walk_run(walk_t *walk, int64_t limit, int64_t *at_p)
{
    int64_t run = walk->left < limit ? walk->left : limit;

    run = run < walk->count ? run : walk->count;
    *at_p = walk->at;
    walk->at += run * walk->stride;
    walk->left -= run;
    walk->count -= run;
    if (walk->left == 0) {
        walk->left = walk->block;
        walk->at += walk->skip;
    }
    return run;
}

/* List the offsets of the next entries. @return how many, at most `limit` */
static int64_t
walk_list(walk_t *walk, int64_t limit, int64_t *offsets)
{
    int64_t count = 0, run, at, stride = walk->stride;

    while (count < limit && (run = walk_run(walk, limit - count, &at)) > 0)
        for (; run > 0; run--, at += stride)
            offsets[count++] = at;
    return count;
}

/* The entries to move, and the direction. */
typedef struct {
    walk_t rows, cols; /* at the first row and column */
    char *strided, *packed;
    int64_t size, ld; /* bytes */
    bool pack;
} job_t;

/* Reverse the order of a panel's columns. If the strided side has a negative column stride, the kernels then find
 * columns that are consecutive in memory. */
static void
reverse_columns(alchi_panel_t *panel, int64_t *cols)
{
    for (int64_t a = 0, b = panel->n - 1; a < b; a++, b--) {
        int64_t at = cols[a];

        cols[a] = cols[b];
        cols[b] = at;
    }
    panel->packed += (panel->n - 1) * panel->ld;
    panel->ld = -panel->ld;
}

static void
move_panels(const job_t *job, alchi_kernel_f *kernel)
{
    int64_t row_offsets[ALCHI_PANEL_ROWS], col_offsets[ALCHI_PANEL_COLS], m, n;
    walk_t rows = job->rows;
    char *first = job->packed;

    for (; (m = walk_list(&rows, ALCHI_PANEL_ROWS, row_offsets)) > 0; first += m * job->size) {
        walk_t cols = job->cols;
        char *packed = first;

        for (; (n = walk_list(&cols, ALCHI_PANEL_COLS, col_offsets)) > 0; packed += n * job->ld) {
            alchi_panel_t panel = {job->strided, row_offsets, col_offsets, packed, job->ld, m, n};

            if (cols.stride < 0)
                reverse_columns(&panel, col_offsets);
            kernel(&panel);
        }
    }
}

/* As move_panels(), but with panels of one column. Every column is moved from its first entry to its last, because
 * memory is read fastest that way. */
static void
move_columns(const job_t *job, alchi_kernel_f *kernel)
{
    int64_t row_offsets[ALCHI_PANEL_ROWS], col, m;
    walk_t cols = job->cols;
    char *column = job->packed;

    for (; walk_run(&cols, 1, &col) > 0; column += job->ld) {
        walk_t rows = job->rows;
        char *packed = column;

        for (; (m = walk_list(&rows, ALCHI_PANEL_ROWS, row_offsets)) > 0; packed += m * job->size) {
            alchi_panel_t panel = {job->strided, row_offsets, &col, packed, job->ld, m, 1};

            kernel(&panel);
        }
    }
}

/* Copy columns that consist of long runs of consecutive entries on the strided side. */
static void
copy_runs(const job_t *job)
{
    walk_t cols = job->cols;
    char *column = job->packed;
    int64_t col, row, run;

    for (; walk_run(&cols, 1, &col) > 0; column += job->ld) {
        walk_t rows = job->rows;
        char *packed = column;

        for (; (run = walk_run(&rows, INT64_MAX, &row)) > 0; packed += run * job->size) {
            char *strided = job->strided + row + col;

            memcpy(job->pack ? packed : strided, job->pack ? strided : packed, (size_t)(run * job->size));
        }
    }
}

static int64_t
magnitude(int64_t x)
{
    return x < 0 ? -x : x;
}

static int
size_index(size_t size)
{
    return size == 4 ? 0 : size == 8 ? 1 : 2;
}

static void
move_entries(const alchi_kernels_t *use, const job_t *job)
{
    const walk_t *rows = &job->rows, *cols = &job->cols;
    int k = size_index((size_t)job->size);

    if (rows->count > 1 && cols->count > 1 && magnitude(cols->stride) < magnitude(rows->stride))
        move_panels(job, job->pack ? use->pack_across[k] : use->unpack_across[k]);
    else if (rows->stride == job->size &&
             (rows->block < rows->count ? rows->block : rows->count) * job->size >= RUN_BYTES)
        copy_runs(job);
    else if (rows->count > ALCHI_PANEL_ROWS)
        move_columns(job, job->pack ? use->pack_down[k] : use->unpack_down[k]);
    else
        move_panels(job, job->pack ? use->pack_down[k] : use->unpack_down[k]);
}

void
alchi_pack_move(const alchi_kernels_t *use, const alchi_pack_t *shape, char *strided, char *packed, int64_t ld,
                bool pack)
{
    const alch_rect_t *local = &shape->local;
    int64_t size = (int64_t)shape->size;
    job_t job = {.strided = strided, .packed = packed, .size = size, .ld = ld * size, .pack = pack};

    if (local->m <= 0 || local->n <= 0)
        return;
    job.rows = walk_from(&shape->rows, local->i, local->m, shape->i0, shape->row_stride * size);
    job.cols = walk_from(&shape->cols, local->j, local->n, shape->j0, shape->col_stride * size);
    if (local->m == 1 && ld == 1) { /* a row whose entries are consecutive on the packed side is moved as a column */
        walk_t row = job.cols;

        job.cols = job.rows;
        job.rows = row;
    }
    move_entries(use, &job);
}

static const alchi_kernels_t *
best_kernels(void)
{
    const alchi_kernels_t *best = alchi_kernels_avx2();

    return best ? best : alchi_kernels_portable();
}

void
alchi_pack(const alchi_pack_t *shape, const void *strided, void *packed, int64_t ld)
{
    alchi_pack_move(best_kernels(), shape, (char *)(uintptr_t)strided, packed, ld, true);
}

void
alchi_unpack(const alchi_pack_t *shape, const void *packed, int64_t ld, void *strided)
{
    alchi_pack_move(best_kernels(), shape, strided, (char *)(uintptr_t)packed, ld, false);
}

static void
move_product(const alchi_pack_lists_t *product, alchi_kernel_f *kernel)
{
    int64_t size = (int64_t)product->size, ld = product->m * size;

    for (int64_t j = 0; j < product->n; j += ALCHI_PANEL_COLS) {
        int64_t n = product->n - j < ALCHI_PANEL_COLS ? product->n - j : ALCHI_PANEL_COLS;

        for (int64_t i = 0; i < product->m; i += ALCHI_PANEL_ROWS) {
            int64_t m = product->m - i < ALCHI_PANEL_ROWS ? product->m - i : ALCHI_PANEL_ROWS;
            alchi_panel_t panel = {
                product->strided, product->rows + i, product->cols + j, product->packed + i * size + j * ld, ld, m, n};

            kernel(&panel);
        }
    }
}

void
alchi_pack_lists(const alchi_pack_lists_t *product)
{
    const alchi_kernels_t *use = best_kernels();
    int k = size_index(product->size);

    move_product(product, product->across ? use->pack_across[k] : use->pack_down[k]);
}

void
alchi_unpack_lists(const alchi_pack_lists_t *product)
{
    const alchi_kernels_t *use = best_kernels();
    int k = size_index(product->size);

    move_product(product, product->across ? use->unpack_across[k] : use->unpack_down[k]);
}
