/* The Cholesky factorization, and the solution of systems with its factor. */
#include "linalg.h"

#include <inttypes.h>

static const int one = 1;

static const char cholesky_doc[] =
    "Computes the Cholesky factor of a symmetric (Hermitian) positive definite matrix: a = l l^H, or with upper=True\n"
    "a = u^H u.\n\n"
    "Method: PxPOTRF. As in NumPy only the lower triangle of a is read, with upper=True only the upper one.\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997), section 3.3.1.\n"
    "Memory: the result, and a copy of a if it is relaid out.\n"
    "Errors: a is not positive definite (NumericError, which is a LinAlgError and names the order of the leading "
    "minor\n"
    "that is not positive); NaN or infinite entries in the triangle (NumericError, which names the first one); a is "
    "not\n"
    "square (InvalidError); not enough memory, or a matrix is beyond 32-bit indices (LimitError).\n\n"
    "a: n x n\n"
    "upper: return the upper factor instead of the lower one\n"
    "factor: n x n, triangular with a positive diagonal and zeros in the other triangle; block-cyclic\n";

static const char cho_solve_doc[] =
    "Computes the x with a x = b from the Cholesky factor of a. SciPy takes the factor as a pair (c, lower); here "
    "these\n"
    "are two arguments.\n\n"
    "Method: PxPOTRS. Only the triangle of c that `lower` selects is read.\n"
    "Source: Blackford et al., ScaLAPACK Users' Guide (1997), section 3.3.1.\n"
    "Memory: a copy of b, and of c if it is relaid out.\n"
    "Errors: NaN or infinite entries (NumericError, which names the first one); a zero on the diagonal\n"
    "(NumericError: \"Singular matrix\"); the shapes do not match (InvalidError); not enough memory, or a matrix is\n"
    "beyond 32-bit indices (LimitError).\n\n"
    "c: n x n, the factor as cholesky returns it\n"
    "b: n x k\n"
    "lower: c is a lower factor; false: an upper one\n"
    "x: n x k, block-cyclic\n";

/* Set C to one triangle of a, with zeros in the other one. */
static int
copy_triangle(linalg_t *la, char uplo, linalg_matrix_t *C)
{
    linalg_matrix_t A;
    int code;

    if ((code = linalg_get_operand(la, "a", 0, &A)) || (code = linalg_create_unset(la, A.block.m, A.block.n, C)))
        return code;
    if ((code = linalg_agree_all_finite(la, "a", &A, linalg_copy_piece(uplo, &A, C))))
        return code;
    linalg_free(la, &A);
    return ALCH_OK;
}

static int
cholesky(linalg_t *la)
{
    const char *uplo = la->host->arg_bool(la->call, "upper") ? "U" : "L";
    linalg_matrix_t C;
    int64_t n;
    int code = linalg_check_square(la, "a", &n), info = 0;

    if (code)
        return code;
    linalg_expect_operand(la, "a", 0);
    linalg_expect_matrix(la, n, n);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, -1, "Cholesky factorization")) ||
        (code = copy_triangle(la, *uplo, &C)))
        return code;
    if (la->in_grid && C.n)
        la->k->potrf(uplo, &C.n, C.data, &one, &one, C.desc, &info);
    if ((code = linalg_check_info(la, "POTRF", &info)))
        return code;
    if (info)
        return linalg_fail(la, ALCH_ENUMERIC,
                           "Matrix is not positive definite: its leading minor of order %d is not positive", info);
    return linalg_return_matrix(la, "factor", &C);
}

static int
run_cholesky(alch_call_t *call)
{
    return linalg_run(call, cholesky, "a", NULL);
}

/* A zero on the diagonal of the factor would make the solution infinite.
 * @return the index of the first zero; -1: there is none */
static int64_t
find_zero_on_diagonal(linalg_t *la, const linalg_matrix_t *C)
{
    int64_t first = INT64_MAX;

    for (int64_t j = 0; j < C->block.local_n; j++) {
        int64_t column = linalg_global_col(&C->block, j), at = linalg_local_index(&C->block, column, column);

        if (at >= 0 && column < first && linalg_get_entry(la->dtype, C->data, at) == 0)
            first = column;
    }
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT64_T, MPI_MIN, la->call->comm);
    return first == INT64_MAX ? -1 : first;
}

static int
check_shapes(linalg_t *la)
{
    alch_block_t b;
    int64_t n;
    int code = linalg_check_square(la, "c", &n);

    linalg_operand_block(la, "b", &b);
    if (!code && b.m != n)
        code = linalg_fail(la, ALCH_EINVAL, "c has %" PRId64 " rows, but b has %" PRId64, n, b.m);
    return code;
}

static int
cho_solve(linalg_t *la)
{
    const char *uplo = la->host->arg_bool(la->call, "lower") ? "L" : "U";
    linalg_matrix_t C, B;
    int code = check_shapes(la), info = 0;
    int64_t zero;

    if (code)
        return code;
    linalg_expect_operand(la, "c", 0);
    linalg_expect_operand(la, "b", LINALG_COPY);
    if ((code = linalg_check_memory(la)) || (code = linalg_get_operand(la, "c", 0, &C)) ||
        (code = linalg_agree_all_finite(la, "c", &C, linalg_copy_piece(*uplo, &C, NULL))) ||
        (code = linalg_get_operand(la, "b", LINALG_COPY | LINALG_FINITE, &B)))
        return code;
    if ((zero = find_zero_on_diagonal(la, &C)) >= 0)
        return linalg_fail(la, ALCH_ENUMERIC, "Singular matrix: c[%" PRId64 ", %" PRId64 "] is zero", zero, zero);
    if (la->in_grid && B.m && B.n)
        la->k->potrs(uplo, &B.m, &B.n, C.data, &one, &one, C.desc, B.data, &one, &one, B.desc, &info);
    code = linalg_check_info(la, "POTRS", &info);
    return code ? code : linalg_return_matrix(la, "x", &B);
}

static int
run_cho_solve(alch_call_t *call)
{
    return linalg_run(call, cho_solve, "c", "b", NULL);
}

static const alch_operation_t operations[] = {
    {"cholesky", "The Cholesky factorization of a positive definite matrix.",
     "a:matrix, upper:bool=false -> factor:matrix", cholesky_doc, 0, run_cholesky},
    {"cho_solve", "The solution of a system of linear equations, from a Cholesky factor.",
     "c:matrix, b:matrix, lower:bool=true -> x:matrix", cho_solve_doc, 0, run_cho_solve},
};

LINALG_OPERATIONS(linalg_cholesky_operations, operations);
