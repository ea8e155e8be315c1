/* Sums and multiples of matrices, and sums of a diagonal. They do not call ScaLAPACK, so they work in every layout. */
#include "linalg.h"

#include <complex.h>
#include <inttypes.h>

static const char add_doc[] =
    "Computes alpha a + beta b.\n\n"
    "Method: entry by entry, in the type in which NumPy would compute; integers become float64.\n"
    "Source: the definition.\n"
    "Memory: the result, and a copy of each operand that is relaid out or converted.\n"
    "NaN and infinite entries propagate.\n"
    "Errors: the shapes differ (InvalidError); not enough memory, or, where the layouts differ, a matrix is beyond\n"
    "32-bit indices (LimitError).\n\n"
    "a: m x n\n"
    "b: m x n\n"
    "alpha: factor of a; an imaginary part makes the result complex\n"
    "beta: factor of b; an imaginary part makes the result complex\n"
    "sum: m x n; in the layout of a and b if they have the same, else block-cyclic\n";

static const char scale_doc[] =
    "Computes alpha a.\n\n"
    "Method: entry by entry, in the type in which NumPy would compute; integers become float64.\n"
    "Source: the definition.\n"
    "Memory: the result.\n"
    "Errors: not enough memory (LimitError).\n\n"
    "a: m x n\n"
    "alpha: the factor; an imaginary part makes the result complex\n"
    "scaled: m x n, in the layout of a\n";

static const char trace_doc[] = "Computes the sum of the entries a[i, i + offset] of a diagonal.\n\n"
                                "Method: each worker adds up its entries of the diagonal in double precision.\n"
                                "Source: the definition.\n"
                                "Memory: no matrix.\n"
                                "Errors: none; NaN and infinite entries propagate.\n\n"
                                "a: m x n, any type and layout\n"
                                "offset: which diagonal; positive numbers are above the main diagonal\n"
                                "sum: a number, complex if a is complex\n";

static int
add(linalg_t *la)
{
    alch_block_t a, b;
    linalg_matrix_t A, B;
    unsigned any;
    int code;

    linalg_operand_block(la, "a", &a);
    linalg_operand_block(la, "b", &b);
    any = linalg_same_layout(&a.layout, &b.layout) ? LINALG_ANY : 0;
    if (a.m != b.m || a.n != b.n)
        return linalg_fail(la, ALCH_EINVAL,
                           "a is %" PRId64 " x %" PRId64 " and b is %" PRId64 " x %" PRId64
                           ": matrices of different shapes cannot be added",
                           a.m, a.n, b.m, b.n);
    if (any)
        la->layout = a.layout;
    linalg_expect_operand(la, "a", any);
    linalg_expect_operand(la, "b", LINALG_COPY | any);
    if ((code = linalg_check_memory(la)) || (code = linalg_get_operand(la, "a", 0, &A)) ||
        (code = linalg_get_operand(la, "b", LINALG_COPY, &B)))
        return code;
    linalg_add_piece(linalg_complex_argument(la, "alpha"), &A, linalg_complex_argument(la, "beta"), &B);
    return linalg_return_matrix(la, "sum", &B);
}

static int
run_add(alch_call_t *call)
{
    return linalg_run_as(call, linalg_scalars_dtype(call, "alpha", "beta"), add, "a", "b", NULL);
}

static int
scale(linalg_t *la)
{
    linalg_matrix_t A;
    alch_block_t a;
    int code;

    linalg_operand_block(la, "a", &a);
    la->layout = a.layout;
    linalg_expect_operand(la, "a", LINALG_COPY | LINALG_ANY);
    if ((code = linalg_check_memory(la)) || (code = linalg_get_operand(la, "a", LINALG_COPY, &A)))
        return code;
    linalg_scale_piece(linalg_complex_argument(la, "alpha"), &A);
    return linalg_return_matrix(la, "scaled", &A);
}

static int
run_scale(alch_call_t *call)
{
    return linalg_run_as(call, linalg_scalars_dtype(call, "alpha", NULL), scale, "a", NULL);
}

static int
trace(linalg_t *la)
{
    int64_t offset = la->host->arg_int(la->call, "offset");
    double _Complex mine = 0, sum;
    alch_block_t a;

    linalg_operand_block(la, "a", &a);
    for (int64_t j = 0; a.replica == 0 && j < a.local_n; j++) {
        int64_t col = linalg_global_col(&a, j), row = col - offset;
        int64_t at = row >= 0 && row < a.m ? linalg_local_index(&a, row, col) : -1;

        if (at >= 0)
            mine += linalg_get_entry(a.dtype, a.data, at);
    }
    MPI_Allreduce(&mine, &sum, 1, MPI_C_DOUBLE_COMPLEX, MPI_SUM, la->call->comm);
    return linalg_return_scalar(la, "sum", sum);
}

static int
run_trace(alch_call_t *call)
{
    return linalg_run(call, trace, "a", NULL);
}

static const alch_operation_t operations[] = {
    {"add", "A sum of multiples of two matrices.",
     "a:matrix, b:matrix, alpha:complex128=1, beta:complex128=1 -> sum:matrix", add_doc, 0, run_add},
    {"scale", "A multiple of a matrix.", "a:matrix, alpha:complex128 -> scaled:matrix", scale_doc, 0, run_scale},
    {"trace", "The sum along a diagonal.", "a:matrix, offset:int64=0 -> sum:complex128", trace_doc, 0, run_trace},
};

LINALG_OPERATIONS(linalg_sum_operations, operations);
