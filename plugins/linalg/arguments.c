/* Arguments and results that several operations use: square matrices and scalars. */
#include "linalg.h"

#include <complex.h>
#include <inttypes.h>

int
linalg_check_square(linalg_t *la, const char *name, int64_t *n_p)
{
    alch_block_t block;

    linalg_operand_block(la, name, &block);
    if (block.m != block.n)
        return linalg_fail(la, ALCH_EINVAL, "%s is %" PRId64 " x %" PRId64 ", but must be square", name, block.m,
                           block.n);
    *n_p = block.n;
    return ALCH_OK;
}

linalg_scalar_t
linalg_scalar(const linalg_t *la, double _Complex x)
{
    if (la->k->real_bytes == 8)
        return (linalg_scalar_t){.d = {creal(x), cimag(x)}};
    return (linalg_scalar_t){.s = {(float)creal(x), (float)cimag(x)}};
}

static double _Complex complex_argument(alch_call_t *call, const char *name)
{
    double re, im;

    call->host->arg_complex(call, name, &re, &im);
    return CMPLX(re, im);
}

double _Complex linalg_complex_argument(linalg_t *la, const char *name)
{
    return complex_argument(la->call, name);
}

alch_dtype_t
linalg_scalars_dtype(alch_call_t *call, const char *alpha, const char *beta)
{
    bool imaginary = cimag(complex_argument(call, alpha)) != 0 || (beta && cimag(complex_argument(call, beta)) != 0);

    return imaginary ? ALCH_COMPLEX64 : ALCH_FLOAT32;
}

int
linalg_return_scalar(linalg_t *la, const char *name, double _Complex x)
{
    return la->k->is_complex ? la->host->ret_complex(la->call, name, creal(x), cimag(x))
                             : la->host->ret_real(la->call, name, creal(x));
}
