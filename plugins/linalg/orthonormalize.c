/* Distributed vectors: inner products, random vectors, orthonormalization, and products with small matrices. */
#include "operator.h"

#include <math.h>
#include <string.h>

void
linalg_inner_products(linalg_operator_t *op, const linalg_side_t *side, const void *X, int64_t a, const void *Y,
                      int64_t b, void *C, int64_t ldc)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t ld = side->rows > 1 ? side->rows : 1;

    if (a == 0 || b == 0)
        return;
    for (int64_t j = 0; j < b; j++)
        memset(linalg_address(k, C, ldc, 0, j), 0, (size_t)a * k->entry_bytes);
    if (side->rows > 0)
        linalg_local_gemm(k, true, false, a, b, side->rows, 1, X, ld, Y, ld, 0, C, ldc);
    if (ldc == a) {
        MPI_Allreduce(MPI_IN_PLACE, C, (int)(a * b) * linalg_reals_per_entry(k), linalg_mpi_type(k), MPI_SUM,
                      op->la->call->comm);
        return;
    }
    for (int64_t j = 0; j < b; j++)
        MPI_Allreduce(MPI_IN_PLACE, linalg_address(k, C, ldc, 0, j), (int)a * linalg_reals_per_entry(k),
                      linalg_mpi_type(k), MPI_SUM, op->la->call->comm);
}

/* A normally distributed number that depends only on the counter: two uniform numbers in (0, 1] from splitmix64, then
 * the transform of Box and Muller. */
static double
normal_random(uint64_t counter)
{
    double u[2];

    for (int k = 0; k < 2; k++) {
        uint64_t x = (2 * counter + (uint64_t)k + 1) * UINT64_C(0x9e3779b97f4a7c15);

        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        u[k] = (double)(((x ^ (x >> 31)) >> 11) + 1) * 0x1p-53;
    }
    return sqrt(-2 * log(u[0])) * cos(6.283185307179586 * u[1]);
}

void
linalg_random_vectors(linalg_operator_t *op, const linalg_side_t *side, int64_t b, uint64_t seed, void *X)
{
    const linalg_kernels_t *k = op->la->k;
    const alch_host_t *host = op->la->host;
    bool rows = side == &op->left;

    for (int64_t i = 0; i < side->rows; i++) {
        int64_t at = side->first + i;
        int64_t place = rows ? host->global_row(op->A->source, at) : host->global_col(op->A->source, at);

        for (int64_t j = 0; j < b; j++) {
            uint64_t counter = ((seed * 4096 + (uint64_t)j) << 33) + 2 * (uint64_t)place;
            double _Complex x = normal_random(counter);

            if (k->is_complex)
                __imag__ x = normal_random(counter + 1);
            linalg_set_entry(k->dtype, X, i + j * side->rows, x);
        }
    }
}

/* Factor Z = Q R and overwrite Z with Q: each rank factors its rows by Householder reflections, then all factor the
 * stack of the triangles (Demmel, Grigori, Hoemmen, Langou: Communication-optimal parallel and sequential QR, 2012). */
static void
tall_skinny_qr(linalg_operator_t *op, const linalg_side_t *side, void *Z, int64_t b, void *R, void *scratch)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t size = op->la->call->size, stack = size * b, mine = side->rows, r_rows = mine < b ? mine : b;
    void *gathered = scratch, *Q = linalg_address(k, scratch, 1, stack * b, 0),
         *work = linalg_address(k, Q, 1, stack * b, 0);
    int reals = (int)(b * b) * linalg_reals_per_entry(k);

    memset(R, 0, (size_t)(b * b) * k->entry_bytes);
    if (r_rows > 0)
        linalg_local_qr(k, mine, b, Z, mine, R, b, work);
    MPI_Allgather(R, reals, linalg_mpi_type(k), gathered, reals, linalg_mpi_type(k), op->la->call->comm);
    for (int64_t r = 0; r < size; r++)
        linalg_local_lacpy(k, b, b, linalg_address(k, gathered, 1, r * b * b, 0), b, linalg_address(k, Q, 1, r * b, 0),
                           stack);
    linalg_local_qr(k, stack, b, Q, stack, R, b, work);
    if (r_rows == 0)
        return;
    linalg_local_gemm(k, false, false, mine, b, r_rows, 1, Z, mine, linalg_address(k, Q, 1, op->la->call->rank * b, 0),
                      stack, 0, op->packed, mine);
    memcpy(Z, op->packed, (size_t)(mine * b) * k->entry_bytes);
}

/* Scratch of linalg_orthonormalize(): C2 is depth x width, R1 to T are squares of order width, and tall_skinny_qr()
 * uses `rest`. */
typedef struct {
    void *C2, *R1, *R2, *W, *Zh, *T, *rest;
} ortho_work_t;

static ortho_work_t
partition_work(const linalg_operator_t *op)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t square = op->width * op->width;
    ortho_work_t s = {.C2 = op->ortho_work};

    s.R1 = linalg_address(k, s.C2, 1, op->depth * op->width, 0);
    s.R2 = linalg_address(k, s.R1, 1, square, 0);
    s.W = linalg_address(k, s.R2, 1, square, 0);
    s.Zh = linalg_address(k, s.W, 1, square, 0);
    s.T = linalg_address(k, s.Zh, 1, square, 0);
    s.rest = linalg_address(k, s.T, 1, square, 0);
    return s;
}

/* Replace the factors of Q R by Q W and diag(values) Zh, with R = W diag(values) Zh. Vectors whose value is at most
 * 8 eps norm are linearly dependent on the others: random vectors replace them, and R has zeros there. Only rank 0
 * decomposes R and decides, so that all ranks agree. */
static int
replace_dependent_vectors(linalg_operator_t *op, const linalg_side_t *side, void *Q, int64_t b, double norm,
                          ortho_work_t *s)
{
    const linalg_kernels_t *k = op->la->k;
    double *values = op->ortho_values;
    int code = ALCH_OK, dependent = 0;

    if (op->la->call->rank == 0)
        code = linalg_local_svd(k, b, s->R1, b, values, s->W, s->Zh);
    for (int64_t i = 0; i < b && !code && op->la->call->rank == 0; i++)
        dependent += !(values[i] > 8 * k->eps * norm);
    MPI_Bcast(&code, 1, MPI_INT, 0, op->la->call->comm);
    MPI_Bcast(&dependent, 1, MPI_INT, 0, op->la->call->comm);
    if (code)
        return linalg_fail(op->la, code, "the SVD of a block of %d vectors failed", (int)b);
    MPI_Bcast(values, (int)b, MPI_DOUBLE, 0, op->la->call->comm);
    MPI_Bcast(s->W, (int)(b * b) * linalg_reals_per_entry(k), linalg_mpi_type(k), 0, op->la->call->comm);
    MPI_Bcast(s->Zh, (int)(b * b) * linalg_reals_per_entry(k), linalg_mpi_type(k), 0, op->la->call->comm);
    linalg_rotate_vectors(op, side, Q, b, b, s->W, b, false);
    for (int64_t j = 0; j < b; j++)
        for (int64_t i = 0; i < b; i++)
            linalg_set_entry(k->dtype, s->R1, i + j * b,
                             i < b - dependent ? values[i] * linalg_get_entry(k->dtype, s->Zh, i + j * b) : 0);
    if (dependent > 0)
        linalg_random_vectors(op, side, dependent, UINT64_C(1) << 40 | op->replaced++,
                              linalg_address(k, Q, side->rows, 0, b - dependent));
    return ALCH_OK;
}

/* Make Q orthogonal to V and orthonormal once more, and add the removed parts to C and R.
 * @return false if some vector lost more than half of its length: it needs another pass */
static bool
reorthogonalize(linalg_operator_t *op, const linalg_side_t *side, const void *V, int64_t p, void *Q, int64_t b,
                ortho_work_t *s, void *C, int64_t ld)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t ldv = side->rows > 1 ? side->rows : 1;
    int orthogonal = 1;

    linalg_inner_products(op, side, V, p, Q, b, s->C2, p);
    if (p > 0)
        linalg_local_gemm(k, false, false, side->rows, b, p, -1, V, ldv, s->C2, p, 1, Q, ldv);
    tall_skinny_qr(op, side, Q, b, s->R2, s->rest);
    if (C && p > 0)
        linalg_local_gemm(k, false, false, p, b, b, 1, s->C2, p, s->R1, b, 1, C, ld);
    linalg_local_gemm(k, false, false, b, b, b, 1, s->R2, b, s->R1, b, 0, s->T, b);
    memcpy(s->R1, s->T, (size_t)(b * b) * k->entry_bytes);
    for (int64_t i = 0; i < b; i++) {
        double _Complex x = linalg_get_entry(k->dtype, s->R2, i + i * b);

        orthogonal = orthogonal && hypot(__real__ x, __imag__ x) > 0.5;
    }
    MPI_Bcast(&orthogonal, 1, MPI_INT, 0, op->la->call->comm);
    return orthogonal;
}

int
linalg_orthonormalize(linalg_operator_t *op, const linalg_side_t *side, const void *V, int64_t p, void *Z, int64_t b,
                      double norm, void *C, void *R, int64_t ld)
{
    enum { PASSES_MAX = 5 };
    const linalg_kernels_t *k = op->la->k;
    int64_t ldv = side->rows > 1 ? side->rows : 1;
    ortho_work_t s = partition_work(op);
    bool orthogonal = false;
    int code;

    linalg_inner_products(op, side, V, p, Z, b, s.C2, p);
    if (p > 0)
        linalg_local_gemm(k, false, false, side->rows, b, p, -1, V, ldv, s.C2, p, 1, Z, ldv);
    if (C)
        linalg_local_lacpy(k, p, b, s.C2, p, C, ld);
    tall_skinny_qr(op, side, Z, b, s.R1, s.rest);
    if ((code = replace_dependent_vectors(op, side, Z, b, norm, &s)))
        return code;
    /* Rounding costs small vectors their orthogonality to V. One more pass is usually enough. */
    for (int pass = 0; pass < PASSES_MAX && !orthogonal; pass++)
        orthogonal = reorthogonalize(op, side, V, p, Z, b, &s, C, ld);
    if (R)
        linalg_local_lacpy(k, b, b, s.R1, b, R, ld);
    return ALCH_OK;
}

int
linalg_rotate_vectors(linalg_operator_t *op, const linalg_side_t *side, void *X, int64_t p, int64_t keep, const void *W,
                      int64_t ldw, bool adjoint)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t chunk = keep > 0 ? op->packed_entries / keep : 1;

    for (int64_t start = 0; start < side->rows && keep > 0; start += chunk) {
        int64_t count = side->rows - start < chunk ? side->rows - start : chunk;
        void *rows = linalg_address(k, X, 1, start, 0);

        linalg_local_gemm(k, false, adjoint, count, keep, p, 1, rows, side->rows, W, ldw, 0, op->packed, count);
        linalg_local_lacpy(k, count, keep, op->packed, count, rows, side->rows);
    }
    return ALCH_OK;
}
