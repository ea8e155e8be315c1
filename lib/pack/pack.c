/* Walks a local rectangle run by run: no division, no decision per entry. */
#include "pack/pack.h"
#include "pack/kernel.h"

/* A dimension of a local rectangle as runs of local indices whose global indices have one step. */
typedef struct {
    int64_t step;   /* from a global index to the next of the run */
    int64_t local;  /* first of the current run, from the rectangle's start */
    int64_t global; /* its global index */
    int64_t count;  /* its length */
    int64_t left;   /* local indices after the run */
    int64_t block, period;
} walk_t;

/* A block of one entry, or blocks side by side, make the whole dimension one run. */
static void
walk_init(walk_t *walk, const alchi_axis_t *axis, int64_t first, int64_t count)
{
    *walk = (walk_t){.step = 1, .block = axis->block, .period = axis->period};
    walk->global = alchi_axis_global(axis, first);
    walk->count = count;
    if (axis->block == 1) {
        walk->step = axis->period;
    } else if (axis->block != axis->period) {
        int64_t rest = axis->block - first % axis->block;

        walk->count = count < rest ? count : rest;
        walk->left = count - walk->count;
    }
}

static bool
walk_next(walk_t *walk)
{
    if (walk->left == 0)
        return false;
    walk->local += walk->count;
    walk->global += walk->count + walk->period - walk->block;
    walk->count = walk->left < walk->block ? walk->left : walk->block;
    walk->left -= walk->count;
    return true;
}

/* One side's memory: a base and strides per local row and column, in entries. */
typedef struct {
    char *base;
    int64_t row, col;
} side_t;

static int64_t
magnitude(int64_t x)
{
    return x < 0 ? -x : x;
}

/* The dimension in which the target is denser goes inside, unless it has one entry only. */
static void
move_run(size_t size, const side_t *to, const side_t *from, int64_t rows, int64_t cols)
{
    alchi_run_t run = {to->base, from->base, to->row, to->col, from->row, from->col, rows, cols};

    if (rows == 1 || (cols > 1 && magnitude(to->col) < magnitude(to->row)))
        run = (alchi_run_t){to->base, from->base, to->col, to->row, from->col, from->row, cols, rows};
    alchi_kernel(size, &run)(&run);
}

static void
move(const alchi_pack_t *shape, char *strided, char *packed, int64_t ld, bool pack)
{
    int64_t size = (int64_t)shape->size;
    walk_t rows, cols;

    if (shape->local.m <= 0 || shape->local.n <= 0)
        return;
    walk_init(&cols, &shape->cols, shape->local.j, shape->local.n);
    do {
        walk_init(&rows, &shape->rows, shape->local.i, shape->local.m);
        do {
            int64_t place =
                (rows.global - shape->i0) * shape->row_stride + (cols.global - shape->j0) * shape->col_stride;
            side_t there = {strided + place * size, rows.step * shape->row_stride, cols.step * shape->col_stride};
            side_t here = {packed + (rows.local + cols.local * ld) * size, 1, ld};

            move_run(shape->size, pack ? &here : &there, pack ? &there : &here, rows.count, cols.count);
        } while (walk_next(&rows));
    } while (walk_next(&cols));
}

void
alchi_pack(const alchi_pack_t *shape, const void *strided, void *packed, int64_t ld)
{
    move(shape, (char *)(uintptr_t)strided, packed, ld, true);
}

void
alchi_unpack(const alchi_pack_t *shape, const void *packed, int64_t ld, void *strided)
{
    move(shape, strided, (char *)(uintptr_t)packed, ld, false);
}
