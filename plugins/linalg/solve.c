/* LU factorization: the operations solve and lu, and what inverse, determinant and condition number share with them. */
#include "linalg.h"
#include "lu.h"

#include <complex.h>
#include <inttypes.h>

typedef void lapiv_f(const char *direc, const char *rowcol, const char *pivroc, const int *m, const int *n, void *a,
                     const int *ia, const int *ja, const int *desca, const int *ipiv, const int *ip, const int *jp,
                     const int *descip, int *iwork);

lapiv_f pslapiv_, pdlapiv_, pclapiv_, pzlapiv_;

static const int one = 1;

static const char solve_doc[] =
    "Computes the x with a x = b, for a square a and any number of right-hand sides.\n\n"
    "Method: LU factorization with partial pivoting, PxGETRF and PxGETRS.\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997), section 3.3.1.\n"
    "Memory: copies of a and b, and 4 bytes for each row.\n"
    "Accuracy: backward stable unless the pivots grow, which is rare: |a x - b| <= c(n) eps |a| |x|.\n"
    "Errors: a pivot is exactly zero (NumericError, which is a LinAlgError: \"Singular matrix\"); NaN or infinite\n"
    "entries (NumericError, which names the first one); the shapes do not match (InvalidError); not enough memory, or "
    "a\n"
    "matrix is beyond 32-bit indices (LimitError).\n"
    "For a matrix that is only nearly singular x is inaccurate, and no warning says so, as in NumPy: see cond.\n\n"
    "a: n x n\n"
    "b: n x k; a vector is n x 1\n"
    "x: n x k, block-cyclic\n";

static const char lu_doc[] =
    "Computes the factors of a = p l u, with partial pivoting.\n\n"
    "Method: PxGETRF. A singular matrix has factors too, with zeros on the diagonal of u.\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997), section 3.3.1.\n"
    "Memory: a copy of a, l, u, p (a full matrix unless p_indices or permute_l is given), and 12 bytes for each row.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); not enough memory, or a matrix is "
    "beyond 32-bit indices (LimitError).\n\n"
    "a: m x n; below, k is the smaller of the two\n"
    "permute_l: return p l and u only, as SciPy does; p_indices has no effect then\n"
    "p_indices: return p as a vector of row numbers, with a = l[p] u\n"
    "p: m x m, a permutation matrix; with p_indices m x 1, int64; not returned with permute_l\n"
    "l: m x k, lower triangular with a diagonal of ones; with permute_l its rows are in the order of a\n"
    "u: k x n, upper triangular\n";

int64_t
linalg_pivot_bytes(const linalg_t *la, int64_t m)
{
    return (linalg_numroc(m, la->layout.mb, 0, la->nprow) + la->layout.mb) * (int64_t)sizeof(int);
}

int
linalg_getrf(linalg_t *la, linalg_matrix_t *A, int *pivots, int *info_p)
{
    *info_p = 0;
    if (la->in_grid && A->m && A->n)
        la->k->getrf(&A->m, &A->n, A->data, &one, &one, A->desc, pivots, info_p);
    return linalg_check_info(la, "GETRF", info_p);
}

int
linalg_fail_singular(linalg_t *la, const char *name, int info)
{
    return linalg_fail(la, ALCH_ENUMERIC, "Singular matrix: %s has a zero pivot in column %d of its LU factorization",
                       name, info - 1);
}

int
linalg_lu_expect(linalg_t *la, int64_t *n_p, linalg_lu_t *lu)
{
    int code = linalg_check_square(la, "a", n_p);

    if (code)
        return code;
    linalg_expect_operand(la, "a", LINALG_COPY);
    linalg_expect_bytes(la, linalg_pivot_bytes(la, *n_p));
    lu->n = *n_p;
    return ALCH_OK;
}

int
linalg_lu_factor(linalg_t *la, linalg_lu_t *lu, int *info_p)
{
    int code;

    if ((code = linalg_begin_stage(la, -1, "LU factorization")) ||
        (code = linalg_get_operand(la, "a", LINALG_COPY | LINALG_FINITE, &lu->A)) ||
        (code = linalg_alloc(la, linalg_pivot_bytes(la, lu->n), &lu->pivots)))
        return code;
    return linalg_getrf(la, &lu->A, lu->pivots, info_p);
}

static int
solve(linalg_t *la)
{
    linalg_matrix_t B;
    alch_block_t b;
    linalg_lu_t lu;
    int64_t n;
    int code = linalg_lu_expect(la, &n, &lu), info;

    linalg_operand_block(la, "b", &b);
    if (code)
        return code;
    if (b.m != n)
        return linalg_fail(la, ALCH_EINVAL, "a has %" PRId64 " rows, but b has %" PRId64, n, b.m);
    linalg_expect_operand(la, "b", LINALG_COPY);
    if ((code = linalg_check_memory(la)) || (code = linalg_get_operand(la, "b", LINALG_COPY | LINALG_FINITE, &B)) ||
        (code = linalg_lu_factor(la, &lu, &info)))
        return code;
    if (info)
        return linalg_fail_singular(la, "a", info);
    if (la->in_grid && B.m && B.n)
        la->k->getrs("N", &B.m, &B.n, lu.A.data, &one, &one, lu.A.desc, lu.pivots, B.data, &one, &one, B.desc, &info);
    code = linalg_check_info(la, "GETRS", &info);
    return code ? code : linalg_return_matrix(la, "x", &B);
}

static int
run_solve(alch_call_t *call)
{
    return linalg_run(call, solve, "a", "b", NULL);
}

/* ---- factors ---- */

/* Set order[i] to the row of a that is row i of l u. PxGETRF gives the interchanges that lead to this order. */
static int
row_order_from_pivots(linalg_t *la, const linalg_matrix_t *A, const int *pivots, int *order)
{
    int k = A->m < A->n ? A->m : A->n, *swaps, code = linalg_alloc(la, (int64_t)k * (int64_t)sizeof(int), &swaps);

    if (code)
        return code;
    for (int64_t i = 0; la->in_grid && la->mycol == 0 && i < A->block.local_m; i++)
        if (linalg_global_row(&A->block, i) < k)
            swaps[linalg_global_row(&A->block, i)] = pivots[i] - 1;
    MPI_Allreduce(MPI_IN_PLACE, swaps, k, MPI_INT, MPI_SUM, la->call->comm);
    for (int i = 0; i < A->m; i++)
        order[i] = i;
    for (int i = 0; i < k; i++) {
        int kept = order[i];

        order[i] = order[swaps[i]];
        order[swaps[i]] = kept;
    }
    return ALCH_OK;
}

static int
return_permutation(linalg_t *la, const int *order, int64_t m)
{
    bool indices = la->host->arg_bool(la->call, "p_indices");
    linalg_matrix_t P;
    int code = linalg_create_as(la, m, indices ? 1 : m, indices ? ALCH_INT64 : la->k->real, &P);

    if (code)
        return code;
    for (int64_t i = 0; i < m; i++) {
        int64_t at = linalg_local_index(&P.block, order[i], indices ? 0 : i);

        if (at >= 0 && indices)
            ((int64_t *)P.data)[at] = i;
        else if (at >= 0)
            linalg_set_entry(la->k->real, P.data, at, 1);
    }
    return linalg_return_matrix(la, "p", &P);
}

/* l := p l: apply the interchanges in reverse order. The pivot array is distributed like the rows of l and replicated
 * in every column of the grid, which its descriptor says. PxLAPIV does nothing when it is called for a single row, so
 * it is called for all rows of l; the pivots of rows from L->n on, which have no interchange, are set to the rows
 * themselves. */
static void
undo_interchanges(linalg_t *la, linalg_matrix_t *L, int *pivots)
{
    lapiv_f *lapiv = la->k->letter == 'd'   ? pdlapiv_
                     : la->k->letter == 's' ? pslapiv_
                     : la->k->letter == 'z' ? pzlapiv_
                                            : pclapiv_;
    int mb = (int)la->layout.mb, unused;
    int desc[9] = {1, la->context, L->m + mb * la->nprow, 1, mb, 1, 0, la->mycol, L->desc[8] + mb};

    for (int64_t i = 0; i < L->block.local_m; i++)
        if (linalg_global_row(&L->block, i) >= L->n)
            pivots[i] = (int)linalg_global_row(&L->block, i) + 1;
    if (la->in_grid && L->n)
        lapiv("B", "R", "C", &L->m, &L->n, L->data, &one, &one, L->desc, pivots, &one, &one, desc, &unused);
}

static int
return_factors(linalg_t *la, const linalg_matrix_t *A, int *pivots)
{
    linalg_matrix_t L, U;
    int k = A->m < A->n ? A->m : A->n, code;

    if ((code = linalg_create(la, A->m, k, &L)) || (code = linalg_create(la, k, A->n, &U)))
        return code;
    if (la->in_grid && k) {
        la->k->lacpy("L", &A->m, &k, A->data, &one, &one, A->desc, L.data, &one, &one, L.desc);
        la->k->lacpy("U", &k, &A->n, A->data, &one, &one, A->desc, U.data, &one, &one, U.desc);
    }
    for (int64_t j = 0; j < L.block.local_n; j++) {
        int64_t column = linalg_global_col(&L.block, j), at = linalg_local_index(&L.block, column, column);

        if (at >= 0)
            linalg_set_entry(la->dtype, L.data, at, 1);
    }
    if (la->host->arg_bool(la->call, "permute_l"))
        undo_interchanges(la, &L, pivots);
    code = linalg_return_matrix(la, "l", &L);
    return code ? code : linalg_return_matrix(la, "u", &U);
}

static void
expect_factors(linalg_t *la, int64_t m, int64_t n, bool permuted)
{
    int64_t k = m < n ? m : n, int_bytes = (int64_t)sizeof(int);
    bool indices = la->host->arg_bool(la->call, "p_indices");

    linalg_expect_operand(la, "a", LINALG_COPY);
    linalg_expect_matrix(la, m, k);
    linalg_expect_matrix(la, k, n);
    linalg_expect_bytes(la, linalg_pivot_bytes(la, m));
    if (permuted)
        return;
    linalg_expect_bytes(la, (k + m) * int_bytes);
    linalg_expect_matrix_as(la, m, indices ? 1 : m, indices ? sizeof(int64_t) : la->k->real_bytes);
}

static int
lu(linalg_t *la)
{
    bool permuted = la->host->arg_bool(la->call, "permute_l");
    linalg_matrix_t A;
    int *pivots, *order, code, info;
    alch_block_t a;

    linalg_operand_block(la, "a", &a);
    expect_factors(la, a.m, a.n, permuted);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, -1, "LU factorization")) ||
        (code = linalg_get_operand(la, "a", LINALG_COPY | LINALG_FINITE, &A)) ||
        (code = linalg_alloc(la, linalg_pivot_bytes(la, a.m), &pivots)) || (code = linalg_getrf(la, &A, pivots, &info)))
        return code;
    if (!permuted &&
        ((code = linalg_alloc(la, a.m * (int64_t)sizeof(int), &order)) ||
         (code = row_order_from_pivots(la, &A, pivots, order)) || (code = return_permutation(la, order, a.m))))
        return code;
    return return_factors(la, &A, pivots);
}

static int
run_lu(alch_call_t *call)
{
    return linalg_run(call, lu, "a", NULL);
}

static const alch_operation_t operations[] = {
    {"solve", "The solution of a system of linear equations.", "a:matrix, b:matrix -> x:matrix", solve_doc, 0,
     run_solve},
    {"lu", "The LU factorization of a matrix.",
     "a:matrix, permute_l:bool=false, p_indices:bool=false -> p:matrix, l:matrix, u:matrix", lu_doc, 0, run_lu},
};

LINALG_OPERATIONS(linalg_lu_operations, operations);
