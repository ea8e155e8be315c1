/* Products and sums of matrices. */
#include "linalg.h"

#include <ctype.h>
#include <string.h>

static const int one = 1;

/* A scalar of the type of the call. */
typedef union {
    double d[2];
    float s[2];
} scalar_t;

static scalar_t
take_scalar(linalg_t *la, const char *name)
{
    scalar_t x;
    double re, im;

    la->host->arg_complex(la->call, name, &re, &im);
    if (la->k->part == 8)
        x = (scalar_t){.d = {re, im}};
    else
        x = (scalar_t){.s = {(float)re, (float)im}};
    return x;
}

static const char matmul_doc[] =
    "The product of two matrices, alpha op(a) op(b) + beta c.\n\n"
    "Method: PDGEMM of PBLAS (PSGEMM, PCGEMM, PZGEMM), SUMMA-like (Choi, Dongarra, Walker 1995).\n"
    "Memory: the product, and a copy of each operand that is relaid out.\n"
    "NaN and Inf pass through as in NumPy.\n\n"
    "a: m x k\n"
    "b: k x n, after transposing\n"
    "transpose_a: N as it is, T transposed, C conjugate transposed\n"
    "transpose_b: as transpose_a\n"
    "alpha: factor of the product; complex makes the product complex\n"
    "beta: factor of c\n"
    "c: m x n, added to the product; it is not changed\n"
    "product: m x n, block-cyclic\n";

static int
take_op(linalg_t *la, const char *name, char *op_p)
{
    const char *text = la->host->arg_string(la->call, name);

    *op_p = (char)toupper((unsigned char)text[0]);
    if (!strchr("NTC", *op_p) || !text[0] || text[1])
        return linalg_fail(la, ALCH_EINVAL, "%s is '%s': N, T or C is expected", name, text);
    return ALCH_OK;
}

typedef struct {
    char opa, opb;
    int64_t m, n, k;
} gemm_t;

static int
check_product(linalg_t *la, gemm_t *g)
{
    alch_block_t a, b, c;
    int64_t inner;
    int code;

    if ((code = take_op(la, "transpose_a", &g->opa)) || (code = take_op(la, "transpose_b", &g->opb)))
        return code;
    linalg_shape(la, "a", &a);
    linalg_shape(la, "b", &b);
    linalg_shape(la, "c", &c);
    g->m = g->opa == 'N' ? a.m : a.n;
    g->k = g->opa == 'N' ? a.n : a.m;
    inner = g->opb == 'N' ? b.m : b.n;
    g->n = g->opb == 'N' ? b.n : b.m;
    if (g->k != inner)
        return linalg_fail(la, ALCH_EINVAL, "a %lld x %lld matrix cannot be multiplied by a %lld x %lld one",
                           (long long)g->m, (long long)g->k, (long long)inner, (long long)g->n);
    if (linalg_given(la, "c") && (c.m != g->m || c.n != g->n))
        return linalg_fail(la, ALCH_EINVAL, "c is %lld x %lld, the product %lld x %lld", (long long)c.m,
                           (long long)c.n, (long long)g->m, (long long)g->n);
    return ALCH_OK;
}

static int
matmul(linalg_t *la)
{
    scalar_t alpha = take_scalar(la, "alpha"), beta = take_scalar(la, "beta");
    linalg_matrix_t A, B, C;
    gemm_t g;
    int code = check_product(la, &g);

    if (code)
        return code;
    linalg_expect(la, "a", 0);
    linalg_expect(la, "b", 0);
    linalg_expect_matrix(la, g.m, g.n);
    if ((code = linalg_need(la)) || (code = linalg_stage(la, 0, "matrix product")) ||
        (code = linalg_operand(la, "a", 0, &A)) || (code = linalg_operand(la, "b", 0, &B)))
        return code;
    if (linalg_given(la, "c"))
        code = linalg_operand(la, "c", LINALG_COPY, &C);
    else
        code = linalg_create(la, g.m, g.n, &C);
    if (code)
        return code;
    if (la->here && C.m && C.n) {
        int k = (int)g.k;

        la->k->gemm(&g.opa, &g.opb, &C.m, &C.n, &k, &alpha, A.data, &one, &one, A.desc, B.data, &one, &one, B.desc,
                    &beta, C.data, &one, &one, C.desc);
    }
    return linalg_return(la, "product", &C);
}

static int
linalg_matmul(alch_call_t *call)
{
    alch_dtype_t least = ALCH_FLOAT32;
    linalg_t la;
    int code = linalg_begin_as(&la, call, least, "a", "b", "c", NULL);

    if (!code)
        code = matmul(&la);
    return linalg_end(&la, code);
}

static const alch_operation_t operations[] = {
    {"matmul", "The product of two matrices.",
     "a:matrix, b:matrix, transpose_a:string=\"N\", transpose_b:string=\"N\", alpha:complex128=1, beta:complex128=1, "
     "c:matrix=none -> product:matrix",
     matmul_doc, 0, linalg_matmul},
};

LINALG_AREA(linalg_products, operations);
