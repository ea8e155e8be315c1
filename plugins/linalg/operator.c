/* Products of A with blocks of distributed vectors. */
#include "operator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The scratch memory of linalg_rotate_vectors() holds at least this number of rows of a basis. */
#define ROTATE_ROWS 64

/* ---- opening and closing ---- */

/* Entries of the scratch memory of linalg_orthonormalize(): see ortho_work_t in orthonormalize.c. */
static int64_t
ortho_work_entries(const linalg_t *la, int64_t width, int64_t depth)
{
    int64_t stack = (int64_t)la->call->size * width;

    return depth * width + 6 * width * width + 2 * stack * width + linalg_local_qr_work_entries(stack, width) + width +
           16;
}

static int64_t
packed_entries(int64_t left, int64_t right, int64_t width, int64_t depth)
{
    int64_t block_entries = (left > right ? left : right) * width;

    return block_entries > ROTATE_ROWS * depth ? block_entries : ROTATE_ROWS * depth;
}

void
linalg_operator_expect(linalg_t *la, int64_t m, int64_t n, int64_t width, int64_t depth)
{
    int64_t left = linalg_numroc(m, la->layout.mb, 0, la->nprow), right = linalg_numroc(n, la->layout.nb, 0, la->npcol);
    int64_t entries = packed_entries(left, right, width, depth) + (left + right) * width + left + right + width;

    linalg_expect_bytes(la, (entries + ortho_work_entries(la, width, depth)) * (int64_t)la->k->entry_bytes);
}

static int64_t
slice_start(const linalg_side_t *side, int part)
{
    return side->count * part / side->parts;
}

/* Set up the distribution of the vectors of one side.
 * @param color  the same for the ranks that share the same rows (columns) of A */
static int
init_side(linalg_t *la, linalg_side_t *side, int64_t count, int parts, int part, int color)
{
    *side = (linalg_side_t){.count = count, .parts = parts, .part = la->in_grid ? part : 0, .comm = MPI_COMM_NULL};
    side->first = la->in_grid ? slice_start(side, part) : 0;
    side->rows = la->in_grid ? slice_start(side, part + 1) - side->first : 0;
    if (parts > 1)
        MPI_Comm_split(la->call->comm, la->in_grid ? color : MPI_UNDEFINED, side->part, &side->comm);
    return linalg_alloc(la, 2 * parts * (int64_t)sizeof(int), &side->counts);
}

static int
allocate_scratch(linalg_operator_t *op)
{
    linalg_t *la = op->la;
    int64_t plain = (op->left.count + op->right.count) * op->width, entry = (int64_t)la->k->entry_bytes;
    int code;

    op->packed_entries = packed_entries(op->left.count, op->right.count, op->width, op->depth);
    if ((code = linalg_alloc(la, op->packed_entries * entry, &op->packed)) ||
        (code = linalg_alloc(la, plain * entry, &op->full)) ||
        (code = linalg_alloc(la, op->width * (int64_t)sizeof(double), &op->ortho_values)) ||
        (code = linalg_alloc(la, ortho_work_entries(la, op->width, op->depth) * entry, &op->ortho_work)))
        return code;
    op->left.displs = op->left.counts + op->left.parts;
    op->right.displs = op->right.counts + op->right.parts;
    return ALCH_OK;
}

typedef uint64_t __attribute__((may_alias)) wide_t;
typedef uint32_t __attribute__((may_alias)) narrow_t;

/* The bits of the magnitudes of IEEE numbers have the order of the magnitudes; infinity and NaN are last. */
#define MAGNITUDE(name, bits_t, mask)                            \
    static bits_t name(const void *from, int64_t count)          \
    {                                                            \
        const bits_t *x = from;                                  \
        bits_t largest = 0;                                      \
                                                                 \
        for (int64_t i = 0; i < count; i++) {                    \
            bits_t magnitude = x[i] & (mask);                    \
                                                                 \
            largest = magnitude > largest ? magnitude : largest; \
        }                                                        \
        return largest;                                          \
    }

MAGNITUDE(magnitude_double, wide_t, UINT64_C(0x7fffffffffffffff))
MAGNITUDE(magnitude_float, narrow_t, UINT32_C(0x7fffffff))

static double
local_max_magnitude(const linalg_operator_t *op)
{
    const linalg_kernels_t *k = op->la->k;
    const alch_block_t *block = &op->A->block;
    double largest = 0;

    for (int64_t j = 0; j < block->local_n && block->local_m > 0; j++) {
        const void *column = linalg_address(k, block->data, block->lld, 0, j);
        int64_t count = block->local_m * linalg_reals_per_entry(k);
        double x;

        if (k->real_bytes == 8) {
            wide_t bits = magnitude_double(column, count);

            memcpy(&x, &bits, sizeof(x));
        } else {
            narrow_t bits = magnitude_float(column, count);
            float narrow;

            memcpy(&narrow, &bits, sizeof(narrow));
            x = narrow;
        }
        if (!isfinite(x))
            return INFINITY;
        largest = x > largest ? x : largest;
    }
    return largest;
}

/* Find the largest entry, and from it the scale with which squares of entries do not overflow. The same pass finds NaN
 * and Inf. */
static int
choose_scale(linalg_operator_t *op, const char *name)
{
    int floor = op->la->k->real_bytes == 8 ? -1000 : -120, exponent = 0;
    double mine = local_max_magnitude(op);

    MPI_Allreduce(&mine, &op->largest, 1, MPI_DOUBLE, MPI_MAX, op->la->call->comm);
    if (!isfinite(op->largest))
        return linalg_check_finite(op->la, name, op->A);
    frexp(op->largest, &exponent);
    op->scale = op->largest > 0 ? ldexp(1, -(exponent < floor ? floor : exponent)) : 1;
    return ALCH_OK;
}

int
linalg_operator_open(linalg_operator_t *op, linalg_t *la, const char *name, const linalg_matrix_t *A, int64_t width,
                     int64_t depth)
{
    const alch_block_t *block = &A->block;
    int64_t message_reals = (block->local_m > block->local_n ? block->local_m : block->local_n) * width * 2;
    int code, ends;

    memset(op, 0, sizeof(*op));
    op->la = la;
    op->A = A;
    op->width = width;
    op->depth = depth;
    code = init_side(la, &op->left, block->local_m, la->npcol, la->mycol, la->myrow);
    ends = init_side(la, &op->right, block->local_n, la->nprow, la->myrow, la->mycol);
    if (code || ends)
        return code ? code : ends;
    if (message_reals > INT32_MAX)
        code =
            linalg_fail(la, ALCH_ELIMIT,
                        "a message with a block of %d vectors of the %d x %d matrix would have %.3g numbers, but MPI's "
                        "counts allow at most %d",
                        (int)width, A->m, A->n, (double)message_reals, INT32_MAX);
    if ((code = linalg_agree(la, code)) || (code = allocate_scratch(op)))
        return code;
    return choose_scale(op, name);
}

void
linalg_operator_close(linalg_operator_t *op)
{
    if (op->la && op->left.parts > 1 && op->left.comm != MPI_COMM_NULL)
        MPI_Comm_free(&op->left.comm);
    if (op->la && op->right.parts > 1 && op->right.comm != MPI_COMM_NULL)
        MPI_Comm_free(&op->right.comm);
}

/* ---- products ---- */

/* Set the lengths and displacements of the messages for b vectors between the ranks that share a side. */
static void
set_message_counts(const linalg_operator_t *op, const linalg_side_t *side, int64_t b)
{
    int parts = linalg_reals_per_entry(op->la->k);

    for (int t = 0; t < side->parts; t++) {
        side->counts[t] = (int)((slice_start(side, t + 1) - slice_start(side, t)) * b) * parts;
        side->displs[t] = (int)(slice_start(side, t) * b) * parts;
    }
}

/* The memory of the whole local vectors of this side during a product: `slice` itself if no other rank shares them. */
static void *
full_vectors(const linalg_operator_t *op, const linalg_side_t *side, const void *slice)
{
    if (side->comm == MPI_COMM_NULL)
        return (void *)(uintptr_t)slice;
    return linalg_address(op->la->k, op->full, 1, side == &op->left ? 0 : op->left.count * op->width, 0);
}

/* Copy between consecutive slices and column-major whole vectors. */
static void
repack_slices(const linalg_operator_t *op, const linalg_side_t *side, int64_t b, void *plain, bool to_plain)
{
    const linalg_kernels_t *k = op->la->k;

    for (int t = 0; t < side->parts; t++) {
        int64_t start = slice_start(side, t), length = slice_start(side, t + 1) - start;
        void *packed = linalg_address(k, op->packed, 1, start * b, 0), *rows = linalg_address(k, plain, 1, start, 0);

        if (to_plain)
            linalg_local_lacpy(k, length, b, packed, length, rows, side->count);
        else
            linalg_local_lacpy(k, length, b, rows, side->count, packed, length);
    }
}

/* Gather the slices of the ranks that share this side into whole local vectors. */
static const void *
gather_vectors(linalg_operator_t *op, const linalg_side_t *side, const void *slice, int64_t b)
{
    void *plain = full_vectors(op, side, slice);

    if (plain == slice)
        return plain;
    set_message_counts(op, side, b);
    MPI_Allgatherv(slice, side->counts[side->part], linalg_mpi_type(op->la->k), op->packed, side->counts, side->displs,
                   linalg_mpi_type(op->la->k), side->comm);
    repack_slices(op, side, b, plain, true);
    return plain;
}

/* Sum the whole local vectors over the ranks that share this side, and leave each rank its slice. */
static void
reduce_vectors(linalg_operator_t *op, const linalg_side_t *side, void *plain, int64_t b, void *slice)
{
    if (plain == slice)
        return;
    set_message_counts(op, side, b);
    repack_slices(op, side, b, plain, false);
    MPI_Reduce_scatter(op->packed, slice, side->counts, linalg_mpi_type(op->la->k), MPI_SUM, side->comm);
}

static void
multiply_vectors(linalg_operator_t *op, bool adjoint, const void *x, int64_t b, void *y)
{
    const linalg_side_t *from = adjoint ? &op->left : &op->right, *to = adjoint ? &op->right : &op->left;
    const alch_block_t *block = &op->A->block;
    const void *all = gather_vectors(op, from, x, b);
    void *result = full_vectors(op, to, y);

    if (op->la->in_grid)
        linalg_local_gemm(op->la->k, adjoint, false, to->count, b, from->count, op->scale, block->data, block->lld, all,
                          from->count > 1 ? from->count : 1, 0, result, to->count > 1 ? to->count : 1);
    reduce_vectors(op, to, result, b, y);
}

/* y := y - p sums, where sums is 1 x b. */
static void
subtract_outer_product(linalg_operator_t *op, const linalg_side_t *side, const void *p, int64_t b, void *y)
{
    linalg_local_gemm(op->la->k, false, false, side->rows, b, 1, -1, p, side->rows > 1 ? side->rows : 1, op->sums, 1, 1,
                      y, side->rows > 1 ? side->rows : 1);
}

void
linalg_operator_apply(linalg_operator_t *op, const void *right, int64_t b, void *left)
{
    multiply_vectors(op, false, right, b, left);
    if (!op->mean)
        return;
    linalg_inner_products(op, &op->right, op->mean, 1, right, b, op->sums, 1);
    subtract_outer_product(op, &op->left, op->ones, b, left);
}

void
linalg_operator_apply_adjoint(linalg_operator_t *op, const void *left, int64_t b, void *right)
{
    multiply_vectors(op, true, left, b, right);
    if (!op->mean)
        return;
    linalg_inner_products(op, &op->left, op->ones, 1, left, b, op->sums, 1);
    subtract_outer_product(op, &op->right, op->mean, b, right);
}

/* ---- centered columns ---- */

int
linalg_operator_center(linalg_operator_t *op)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t entry = (int64_t)k->entry_bytes;
    void *mean;
    int code;

    if ((code = linalg_alloc(op->la, op->right.rows * entry, &mean)) ||
        (code = linalg_alloc(op->la, op->left.rows * entry, &op->ones)) ||
        (code = linalg_alloc(op->la, op->width * entry, &op->sums)))
        return code;
    for (int64_t i = 0; i < op->left.rows; i++)
        linalg_set_entry(k->dtype, op->ones, i, 1);
    linalg_operator_apply_adjoint(op, op->ones, 1, mean);
    for (int64_t j = 0; j < op->right.rows; j++)
        linalg_set_entry(k->dtype, mean, j, linalg_get_entry(k->dtype, mean, j) / op->A->m);
    op->mean = mean;
    return ALCH_OK;
}

const void *
linalg_operator_means(linalg_operator_t *op)
{
    return gather_vectors(op, &op->right, op->mean, 1);
}

/* Return the sum of (scale x - shift)^2 over `count` reals, and set *sum_p to the sum of (scale x - shift). The real or
 * imaginary parts of complex entries are `stride` = 2 reals apart. */
#define SUM_OF_SQUARES(name, real_t)                                                                             \
    static double name(const void *column, int64_t count, int stride, double scale, double shift, double *sum_p) \
    {                                                                                                            \
        const real_t *x = column;                                                                                \
        double squares = 0, sum = 0;                                                                             \
                                                                                                                 \
        for (int64_t i = 0; i < count; i++) {                                                                    \
            double y = scale * (double)x[i * stride] - shift;                                                    \
                                                                                                                 \
            squares += y * y;                                                                                    \
            sum += y;                                                                                            \
        }                                                                                                        \
        *sum_p = sum;                                                                                            \
        return squares;                                                                                          \
    }

SUM_OF_SQUARES(sum_of_squares_double, double)
SUM_OF_SQUARES(sum_of_squares_float, float)

/* Sum |entry - mean|^2 over the local piece. @param[out] sums  [2 local_n] sums of the centered entries of each local
 * column, real and imaginary parts */
static double
local_sum_of_squares(linalg_operator_t *op, const void *means, double *sums)
{
    const linalg_kernels_t *k = op->la->k;
    const alch_block_t *block = &op->A->block;
    int parts = linalg_reals_per_entry(k);
    double squares = 0;

    for (int64_t j = 0; j < block->local_n && block->local_m > 0; j++) {
        const char *column = linalg_address(k, block->data, block->lld, 0, j);
        /* `means` holds conjugated means. */
        double _Complex shift = means ? linalg_get_entry(k->dtype, means, j) : 0;

        for (int part = 0; part < parts; part++) {
            double s = part ? -__imag__ shift : __real__ shift;
            const char *first = column + (size_t)part * k->real_bytes;

            squares += (k->real_bytes == 8 ? sum_of_squares_double : sum_of_squares_float)(
                first, block->local_m, parts, op->scale, s, &sums[2 * j + part]);
        }
    }
    return squares;
}

int
linalg_operator_sum_of_squares(linalg_operator_t *op, double *sum_p)
{
    const linalg_kernels_t *k = op->la->k;
    const linalg_side_t *side = &op->right;
    double *sums, mine;
    int code = linalg_alloc(op->la, 2 * side->count * (int64_t)sizeof(double), &sums);

    if (code)
        return code;
    mine = local_sum_of_squares(op, op->mean ? linalg_operator_means(op) : NULL, sums);
    if (op->mean && side->comm != MPI_COMM_NULL)
        MPI_Allreduce(MPI_IN_PLACE, sums, (int)(2 * side->count), MPI_DOUBLE, MPI_SUM, side->comm);
    for (int64_t j = 0; op->mean && j < side->rows; j++) {
        const double *rest = sums + 2 * (side->first + j);
        double _Complex shift = rest[0] / op->A->m;

        __imag__ shift = -rest[1] / op->A->m;
        linalg_set_entry(k->dtype, op->mean, j, linalg_get_entry(k->dtype, op->mean, j) + shift);
        mine -= (rest[0] * rest[0] + rest[1] * rest[1]) / op->A->m;
    }
    MPI_Allreduce(&mine, sum_p, 1, MPI_DOUBLE, MPI_SUM, op->la->call->comm);
    return ALCH_OK;
}
