/* Products of matrices. */
#include "linalg.h"

#include <complex.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const int one = 1;

static const char matmul_doc[] =
    "Computes alpha op(a) op(b) + beta c. op(x) is x, its transpose or its conjugate transpose.\n\n"
    "Method: PxGEMM of PBLAS, in the type in which NumPy would compute; integers become float64.\n"
    "Source: Choi, Dongarra, Ostrouchov, Petitet, Walker, Whaley, A proposal for a set of parallel basic linear\n"
    "algebra subprograms (1995).\n"
    "Memory: the product, and a copy of each operand that is relaid out or converted.\n"
    "Accuracy: |error| <= k eps |alpha| |a| |b| in each entry, as for every sum of k products.\n"
    "NaN and infinite entries propagate, as in NumPy.\n"
    "Errors: the shapes do not match (InvalidError); not enough memory, or a matrix is beyond 32-bit indices "
    "(LimitError).\n\n"
    "a: op(a) is m x k\n"
    "b: op(b) is k x n\n"
    "transpose_a: op for a: \"N\" none, \"T\" transpose, \"C\" conjugate transpose\n"
    "transpose_b: op for b\n"
    "alpha: factor of the product; an imaginary part makes the result complex\n"
    "beta: factor of c; it can be given only with c\n"
    "c: m x n, added to the product; c itself does not change\n"
    "product: m x n, block-cyclic\n";

static const char gram_doc[] =
    "Computes a^H a, the inner products of the columns; with rows=True a a^H, the inner products of the rows.\n\n"
    "Method: PxSYRK or PxHERK of PBLAS computes one triangle, which is then mirrored. The result is exactly symmetric\n"
    "(Hermitian), and takes half the work of matmul.\n"
    "Source: as matmul.\n"
    "Memory: twice the result, and a copy of a if it is relaid out.\n"
    "NaN and infinite entries propagate.\n"
    "Errors: not enough memory, or a matrix is beyond 32-bit indices (LimitError).\n\n"
    "a: m x n\n"
    "rows: compute the inner products of the rows instead of the columns\n"
    "product: n x n, with rows=True m x m; block-cyclic\n";

static const char transpose_doc[] =
    "Computes the transpose, or with conjugate=True the conjugate transpose.\n\n"
    "Method: the workers exchange pieces of the matrix. Entries keep their type and every bit; integers stay "
    "integers.\n"
    "Source: the definition; the pieces travel as in every change of layout (alchemist-layout(7)).\n"
    "Memory: the result, and the buffers of a change of layout.\n"
    "Errors: not enough memory (LimitError).\n\n"
    "a: m x n, any type and layout\n"
    "conjugate: conjugate complex entries as well\n"
    "transposed: n x m, block-cyclic\n";

static int
parse_op(linalg_t *la, const char *name, char *op_p)
{
    const char *text = la->host->arg_string(la->call, name);

    *op_p = (char)toupper((unsigned char)text[0]);
    if (!text[0] || text[1] || !strchr("NTC", *op_p))
        return linalg_fail(la, ALCH_EINVAL, "%s is '%s', but must be N, T or C", name, text);
    return ALCH_OK;
}

typedef struct {
    char opa, opb;
    int64_t m, n, k;
} shapes_t;

static int
check_product(linalg_t *la, shapes_t *s)
{
    alch_block_t a, b, c;
    int64_t inner;
    int code;

    if ((code = parse_op(la, "transpose_a", &s->opa)) || (code = parse_op(la, "transpose_b", &s->opb)))
        return code;
    linalg_operand_block(la, "a", &a);
    linalg_operand_block(la, "b", &b);
    linalg_operand_block(la, "c", &c);
    s->m = s->opa == 'N' ? a.m : a.n;
    s->k = s->opa == 'N' ? a.n : a.m;
    inner = s->opb == 'N' ? b.m : b.n;
    s->n = s->opb == 'N' ? b.n : b.m;
    if (s->k != inner)
        return linalg_fail(la, ALCH_EINVAL,
                           "op(a) is %" PRId64 " x %" PRId64 " and op(b) is %" PRId64 " x %" PRId64
                           ": the inner dimensions %" PRId64 " and %" PRId64 " differ",
                           s->m, s->k, inner, s->n, s->k, inner);
    if (!linalg_is_given(la, "c") && linalg_complex_argument(la, "beta") != 1)
        return linalg_fail(la, ALCH_EINVAL, "beta is %g%+gi, but c, of which it is the factor, was not given",
                           creal(linalg_complex_argument(la, "beta")), cimag(linalg_complex_argument(la, "beta")));
    if (linalg_is_given(la, "c") && (c.m != s->m || c.n != s->n))
        return linalg_fail(la, ALCH_EINVAL, "c is %" PRId64 " x %" PRId64 ", but the product is %" PRId64 " x %" PRId64,
                           c.m, c.n, s->m, s->n);
    return ALCH_OK;
}

static int
multiply_and_return(linalg_t *la, const shapes_t *s, const linalg_matrix_t *A, const linalg_matrix_t *B,
                    linalg_matrix_t *C)
{
    linalg_scalar_t alpha = linalg_scalar(la, linalg_complex_argument(la, "alpha"));
    linalg_scalar_t beta = linalg_scalar(la, linalg_is_given(la, "c") ? linalg_complex_argument(la, "beta") : 0);
    int k = (int)s->k;

    if (la->in_grid && C->m && C->n)
        la->k->gemm(&s->opa, &s->opb, &C->m, &C->n, &k, &alpha, A->data, &one, &one, A->desc, B->data, &one, &one,
                    B->desc, &beta, C->data, &one, &one, C->desc);
    return linalg_return_matrix(la, "product", C);
}

static int
matmul(linalg_t *la)
{
    linalg_matrix_t A, B, C;
    shapes_t s;
    int code = check_product(la, &s);

    if (code)
        return code;
    linalg_expect_operand(la, "a", 0);
    linalg_expect_operand(la, "b", 0);
    if (linalg_is_given(la, "c"))
        linalg_expect_operand(la, "c", LINALG_COPY);
    else
        linalg_expect_matrix(la, s.m, s.n);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, -1, "matrix product")) ||
        (code = linalg_get_operand(la, "a", 0, &A)) || (code = linalg_get_operand(la, "b", 0, &B)))
        return code;
    code =
        linalg_is_given(la, "c") ? linalg_get_operand(la, "c", LINALG_COPY, &C) : linalg_create_unset(la, s.m, s.n, &C);
    return code ? code : multiply_and_return(la, &s, &A, &B, &C);
}

static int
run_matmul(alch_call_t *call)
{
    return linalg_run_as(call, linalg_scalars_dtype(call, "alpha", "beta"), matmul, "a", "b", "c", NULL);
}

/* Fill the upper triangle: C := C + L^H, with L the lower triangle that PxSYRK wrote. This doubles the diagonal, which
 * is then halved: neither step rounds. */
static int
mirror_triangle(linalg_t *la, linalg_matrix_t *C)
{
    linalg_matrix_t lower;
    int code = linalg_create_unset(la, C->m, C->n, &lower);

    if (code)
        return code;
    linalg_copy_piece('A', C, &lower);
    if (la->in_grid && C->n)
        la->k->geadd(la->k->adjoint, &C->m, &C->n, la->k->one, lower.data, &one, &one, lower.desc, la->k->one, C->data,
                     &one, &one, C->desc);
    linalg_free(la, &lower);
    for (int64_t j = 0; j < C->block.local_n; j++) {
        int64_t column = linalg_global_col(&C->block, j), at = linalg_local_index(&C->block, column, column);

        if (at >= 0)
            linalg_set_entry(la->dtype, C->data, at, creal(linalg_get_entry(la->dtype, C->data, at)) / 2);
    }
    return ALCH_OK;
}

static int
gram(linalg_t *la)
{
    bool rows = la->host->arg_bool(la->call, "rows");
    linalg_matrix_t A, C;
    alch_block_t a;
    int64_t size;
    int code, k;

    linalg_operand_block(la, "a", &a);
    size = rows ? a.m : a.n;
    k = (int)(rows ? a.n : a.m);
    linalg_expect_operand(la, "a", 0);
    linalg_expect_matrix(la, size, size);
    linalg_expect_matrix(la, size, size);
    if ((code = linalg_check_memory(la)) || (code = linalg_begin_stage(la, -1, "inner products")) ||
        (code = linalg_get_operand(la, "a", 0, &A)) || (code = linalg_create(la, size, size, &C)))
        return code;
    if (la->in_grid && size && k)
        la->k->herk("L", rows ? "N" : la->k->adjoint, &C.n, &k, la->k->one, A.data, &one, &one, A.desc, la->k->zero,
                    C.data, &one, &one, C.desc);
    code = mirror_triangle(la, &C);
    return code ? code : linalg_return_matrix(la, "product", &C);
}

static int
run_gram(alch_call_t *call)
{
    return linalg_run(call, gram, "a", NULL);
}

/* The result has the type of the argument, also an integer one. */
static int
transpose(linalg_t *la)
{
    const alch_dmatrix_t *a = la->host->arg_matrix(la->call, "a");
    alch_dmatrix_t *transposed;
    alch_block_t block;
    int code;

    linalg_operand_block(la, "a", &block);
    linalg_expect_bytes(la,
                        linalg_matrix_bytes(la, block.n, block.m, block.dtype == ALCH_INT32 ? 4 : la->k->entry_bytes));
    linalg_expect_exchange(la, block.m, block.n);
    if ((code = linalg_check_memory(la)))
        return code;
    code = la->host->matrix_transpose(la->call, a, la->host->arg_bool(la->call, "conjugate"), &la->layout, &transposed);
    return code ? code : la->host->ret_matrix(la->call, "transposed", transposed);
}

static int
run_transpose(alch_call_t *call)
{
    return linalg_run(call, transpose, "a", NULL);
}

static const alch_operation_t operations[] = {
    {"matmul", "The product of two matrices.",
     "a:matrix, b:matrix, transpose_a:string=\"N\", transpose_b:string=\"N\", alpha:complex128=1, beta:complex128=1, "
     "c:matrix=none -> product:matrix",
     matmul_doc, 0, run_matmul},
    {"gram", "The inner products of the columns of a matrix, or of its rows.",
     "a:matrix, rows:bool=false -> product:matrix", gram_doc, 0, run_gram},
    {"transpose", "The transpose of a matrix.", "a:matrix, conjugate:bool=false -> transposed:matrix", transpose_doc, 0,
     run_transpose},
};

LINALG_OPERATIONS(linalg_product_operations, operations);
