/* Inner products, orthonormal blocks and bases of sliced vectors. */
#include "operator.h"

#include <math.h>
#include <string.h>

void
linalg_inner(linalg_operator_t *op, const linalg_side_t *side, const void *X, int64_t a, const void *Y, int64_t b,
             void *C, int64_t ldc)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t ld = side->mine > 1 ? side->mine : 1;

    if (a == 0 || b == 0)
        return;
    for (int64_t j = 0; j < b; j++)
        memset(linalg_at(k, C, ldc, 0, j), 0, (size_t)a * k->entry);
    if (side->mine > 0)
        linalg_local_gemm(k, true, false, a, b, side->mine, 1, X, ld, Y, ld, 0, C, ldc);
    if (ldc == a) {
        MPI_Allreduce(MPI_IN_PLACE, C, (int)(a * b) * linalg_mpi_parts(k), linalg_mpi_type(k), MPI_SUM,
                      op->la->call->comm);
        return;
    }
    for (int64_t j = 0; j < b; j++)
        MPI_Allreduce(MPI_IN_PLACE, linalg_at(k, C, ldc, 0, j), (int)a * linalg_mpi_parts(k), linalg_mpi_type(k),
                      MPI_SUM, op->la->call->comm);
}

/* Two uniform numbers from (0, 1] out of a counter (splitmix64), then one normal one (Box and Muller). */
static double
normal(uint64_t counter)
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
linalg_random(linalg_operator_t *op, const linalg_side_t *side, int64_t b, uint64_t seed, void *X)
{
    const linalg_kernels_t *k = op->la->k;
    const alch_host_t *host = op->la->host;
    bool rows = side == &op->left;

    for (int64_t i = 0; i < side->mine; i++) {
        int64_t at = side->first + i;
        int64_t place = rows ? host->global_row(op->A->source, at) : host->global_col(op->A->source, at);

        for (int64_t j = 0; j < b; j++) {
            uint64_t counter = ((seed * 4096 + (uint64_t)j) << 33) + 2 * (uint64_t)place;
            double _Complex x = normal(counter);

            if (k->is_complex)
                __imag__ x = normal(counter + 1);
            linalg_set(k->dtype, X, i + j * side->mine, x);
        }
    }
}

/* Z := Q, Z = Q R: Householder on each rank, then on the stack of all ranks' R (Demmel, Grigori, Hoemmen, Langou:
 * Communication-optimal parallel and sequential QR, 2012). */
static void
tall_qr(linalg_operator_t *op, const linalg_side_t *side, void *Z, int64_t b, void *R, void *scratch)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t size = op->la->call->size, stack = size * b, mine = side->mine, own = mine < b ? mine : b;
    void *each = scratch, *Q = linalg_at(k, scratch, 1, stack * b, 0), *work = linalg_at(k, Q, 1, stack * b, 0);
    int numbers = (int)(b * b) * linalg_mpi_parts(k);

    memset(R, 0, (size_t)(b * b) * k->entry);
    if (own > 0)
        linalg_local_qr(k, mine, b, Z, mine, R, b, work);
    MPI_Allgather(R, numbers, linalg_mpi_type(k), each, numbers, linalg_mpi_type(k), op->la->call->comm);
    for (int64_t r = 0; r < size; r++)
        linalg_local_copy(k, b, b, linalg_at(k, each, 1, r * b * b, 0), b, linalg_at(k, Q, 1, r * b, 0), stack);
    linalg_local_qr(k, stack, b, Q, stack, R, b, work);
    if (own == 0)
        return;
    linalg_local_gemm(k, false, false, mine, b, own, 1, Z, mine, linalg_at(k, Q, 1, op->la->call->rank * b, 0), stack,
                      0, op->packed, mine);
    memcpy(Z, op->packed, (size_t)(mine * b) * k->entry);
}

/* Scratch of linalg_orthonormalize(): C2 of depth x width, then squares of order b, then what tall_qr() needs. */
typedef struct {
    void *C2, *R1, *R2, *W, *Zh, *T, *rest;
} scratch_t;

static scratch_t
divide(const linalg_operator_t *op)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t square = op->width * op->width;
    scratch_t s = {.C2 = op->small};

    s.R1 = linalg_at(k, s.C2, 1, op->depth * op->width, 0);
    s.R2 = linalg_at(k, s.R1, 1, square, 0);
    s.W = linalg_at(k, s.R2, 1, square, 0);
    s.Zh = linalg_at(k, s.W, 1, square, 0);
    s.T = linalg_at(k, s.Zh, 1, square, 0);
    s.rest = linalg_at(k, s.T, 1, square, 0);
    return s;
}

/* Turn Q R into one whose R has orthogonal rows of falling length, and replace the vectors of those that are nothing.
 * Rank 0 decides. @return how many were replaced */
static int
drop_small(linalg_operator_t *op, const linalg_side_t *side, void *Q, int64_t b, double norm, scratch_t *s, int *dead_p)
{
    const linalg_kernels_t *k = op->la->k;
    double *values = op->singular;
    int code = ALCH_OK, dead = 0;

    if (op->la->call->rank == 0)
        code = linalg_local_svd(k, b, s->R1, b, values, s->W, s->Zh);
    for (int64_t i = 0; i < b && !code && op->la->call->rank == 0; i++)
        dead += !(values[i] > 8 * k->eps * norm);
    MPI_Bcast(&code, 1, MPI_INT, 0, op->la->call->comm);
    MPI_Bcast(&dead, 1, MPI_INT, 0, op->la->call->comm);
    if (code)
        return linalg_fail(op->la, code, "the decomposition of a block of %d vectors did not succeed", (int)b);
    MPI_Bcast(values, (int)b, MPI_DOUBLE, 0, op->la->call->comm);
    MPI_Bcast(s->W, (int)(b * b) * linalg_mpi_parts(k), linalg_mpi_type(k), 0, op->la->call->comm);
    MPI_Bcast(s->Zh, (int)(b * b) * linalg_mpi_parts(k), linalg_mpi_type(k), 0, op->la->call->comm);
    linalg_rotate(op, side, Q, b, b, s->W, b, false);
    for (int64_t j = 0; j < b; j++)
        for (int64_t i = 0; i < b; i++)
            linalg_set(k->dtype, s->R1, i + j * b,
                       i < b - dead ? values[i] * linalg_get(k->dtype, s->Zh, i + j * b) : 0);
    if (dead > 0)
        linalg_random(op, side, dead, UINT64_C(1) << 40 | op->replaced++, linalg_at(k, Q, side->mine, 0, b - dead));
    *dead_p = dead;
    return ALCH_OK;
}

/* Q := the part of Q that is orthogonal to V, orthonormal; the rest goes into C and R. @return that part was large */
static bool
clean(linalg_operator_t *op, const linalg_side_t *side, const void *V, int64_t p, void *Q, int64_t b, scratch_t *s,
      void *C, int64_t ld)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t rows = side->mine > 1 ? side->mine : 1;
    int good = 1;

    linalg_inner(op, side, V, p, Q, b, s->C2, p);
    if (p > 0)
        linalg_local_gemm(k, false, false, side->mine, b, p, -1, V, rows, s->C2, p, 1, Q, rows);
    tall_qr(op, side, Q, b, s->R2, s->rest);
    if (C && p > 0)
        linalg_local_gemm(k, false, false, p, b, b, 1, s->C2, p, s->R1, b, 1, C, ld);
    linalg_local_gemm(k, false, false, b, b, b, 1, s->R2, b, s->R1, b, 0, s->T, b);
    memcpy(s->R1, s->T, (size_t)(b * b) * k->entry);
    for (int64_t i = 0; i < b; i++) {
        double _Complex x = linalg_get(k->dtype, s->R2, i + i * b);

        good = good && hypot(__real__ x, __imag__ x) > 0.5;
    }
    MPI_Bcast(&good, 1, MPI_INT, 0, op->la->call->comm);
    return good;
}

int
linalg_orthonormalize(linalg_operator_t *op, const linalg_side_t *side, const void *V, int64_t p, void *Z, int64_t b,
                      double norm, void *C, void *R, int64_t ld)
{
    enum { PASSES = 5 };
    const linalg_kernels_t *k = op->la->k;
    int64_t rows = side->mine > 1 ? side->mine : 1;
    scratch_t s = divide(op);
    bool good = false;
    int code, dead;

    linalg_inner(op, side, V, p, Z, b, s.C2, p);
    if (p > 0)
        linalg_local_gemm(k, false, false, side->mine, b, p, -1, V, rows, s.C2, p, 1, Z, rows);
    if (C)
        linalg_local_copy(k, p, b, s.C2, p, C, ld);
    tall_qr(op, side, Z, b, s.R1, s.rest);
    if ((code = drop_small(op, side, Z, b, norm, &s, &dead)))
        return code;
    /* What was small lost its orthogonality to rounding: once more, as a rule. */
    for (int pass = 0; pass < PASSES && !good; pass++)
        good = clean(op, side, V, p, Z, b, &s, C, ld);
    if (R)
        linalg_local_copy(k, b, b, s.R1, b, R, ld);
    return ALCH_OK;
}

int
linalg_rotate(linalg_operator_t *op, const linalg_side_t *side, void *X, int64_t p, int64_t keep, const void *W,
              int64_t ldw, bool adjoint)
{
    const linalg_kernels_t *k = op->la->k;
    int64_t chunk = keep > 0 ? op->packed_entries / keep : 1;

    for (int64_t start = 0; start < side->mine && keep > 0; start += chunk) {
        int64_t count = side->mine - start < chunk ? side->mine - start : chunk;
        void *rows = linalg_at(k, X, 1, start, 0);

        linalg_local_gemm(k, false, adjoint, count, keep, p, 1, rows, side->mine, W, ldw, 0, op->packed, count);
        linalg_local_copy(k, count, keep, op->packed, count, rows, side->mine);
    }
    return ALCH_OK;
}
