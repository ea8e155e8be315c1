/* The operation truncated_svd: checks the arguments and chooses the method. */
#include "svd.h"
#include "testlib.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const dtype_names[] = {"?", "float64", "float32", "complex128", "complex64", "int64", "int32"};

static char *
describe_matrix(const svd_t *svd, char *text, size_t size)
{
    snprintf(text, size, "A (%" PRId64 " x %" PRId64 ", %s)", svd->block.m, svd->block.n,
             dtype_names[svd->block.dtype]);
    return text;
}

static int
check_arguments(svd_t *svd)
{
    const alch_host_t *host = svd->call->host;
    char text[96];

    if (svd->block.dtype != ALCH_FLOAT64 && svd->block.dtype != ALCH_FLOAT32)
        return host->fail(svd->call, ALCH_ETYPE, "truncated_svd: %s must be float64 or float32",
                          describe_matrix(svd, text, sizeof(text)));
    if (svd->short_size == 0)
        return host->fail(svd->call, ALCH_ERANGE, "truncated_svd: rank is %" PRId64 ", but %s has no singular values",
                          svd->k, describe_matrix(svd, text, sizeof(text)));
    if (svd->k < 1 || svd->k > svd->short_size)
        return host->fail(svd->call, ALCH_ERANGE,
                          "truncated_svd: rank is %" PRId64 ", but it must be 1 to %" PRId64 " for %s", svd->k,
                          svd->short_size, describe_matrix(svd, text, sizeof(text)));
    if (svd->short_size > INT32_MAX / 2 || svd->block.lld > INT32_MAX || svd->block.local_n > INT32_MAX)
        return host->fail(svd->call, ALCH_ELIMIT, "truncated_svd: %s is too large: the limit of the smaller side is %d",
                          describe_matrix(svd, text, sizeof(text)), INT32_MAX / 2);
    return ALCH_OK;
}

/* The bits of the largest magnitude of a column, as float64. Magnitudes of IEEE numbers have the order of their bits as
 * integers, with infinity and NaN last, so one pass finds the maximum and shows whether all entries are finite. */
static uint64_t
column_magnitude(const svd_t *svd, int64_t j)
{
    uint64_t largest = 0;

    if (svd->block.dtype == ALCH_FLOAT64) {
        const uint64_t *column = (const uint64_t *)svd->block.data + svd->row + j * svd->block.lld;

        for (int64_t i = 0; i < svd->rows; i++) {
            uint64_t magnitude = column[i] & UINT64_C(0x7fffffffffffffff);

            largest = magnitude > largest ? magnitude : largest;
        }
    } else {
        const uint32_t *column = (const uint32_t *)svd->block.data + svd->row + j * svd->block.lld;
        uint32_t largest32 = 0;
        float x;
        double wide;

        for (int64_t i = 0; i < svd->rows; i++) {
            uint32_t magnitude = column[i] & UINT32_C(0x7fffffff);

            largest32 = magnitude > largest32 ? magnitude : largest32;
        }
        memcpy(&x, &largest32, sizeof(x));
        wide = x;
        memcpy(&largest, &wide, sizeof(largest));
    }
    return largest;
}

static double
entry_at(const svd_t *svd, int64_t i, int64_t j)
{
    int64_t at = svd->row + i + j * svd->block.lld;

    return svd->block.dtype == ALCH_FLOAT64 ? ((const double *)svd->block.data)[at]
                                            : (double)((const float *)svd->block.data)[at];
}

static int
fail_with_entry(svd_t *svd, int64_t j)
{
    int64_t i = 0;
    char text[96];

    while (isfinite(entry_at(svd, i, j)))
        i++;
    return svd->call->host->agree(
        svd->call, ALCH_ENUMERIC, "truncated_svd: %s: entry (%" PRId64 ", %" PRId64 ") is %s",
        describe_matrix(svd, text, sizeof(text)), svd->call->host->global_row(svd->A, svd->row + i),
        svd->call->host->global_col(svd->A, j), isnan(entry_at(svd, i, j)) ? "NaN" : "infinite");
}

/* Check that all entries are finite, and choose a scale by their largest magnitude, so that no square overflows. */
static int
check_entries(svd_t *svd)
{
    double mine = 0, largest = 0;
    int exponent = 0, code;

    for (int64_t j = 0; j < svd->cols; j++) {
        uint64_t bits = column_magnitude(svd, j);
        double magnitude;

        memcpy(&magnitude, &bits, sizeof(magnitude));
        if (!isfinite(magnitude))
            return fail_with_entry(svd, j);
        mine = magnitude > mine ? magnitude : mine;
    }
    if ((code = svd->call->host->agree(svd->call, ALCH_OK, NULL)))
        return code;
    MPI_Allreduce(&mine, &largest, 1, MPI_DOUBLE, MPI_MAX, svd->call->comm);
    frexp(largest, &exponent);
    exponent = exponent < -1000 ? -1000 : exponent;
    svd->largest = largest;
    svd->scale = largest > 0 ? ldexp(1, -exponent) : 1;
    return ALCH_OK;
}

/* Return the factors as result matrices. */
static int
return_factors(svd_t *svd, const factors_t *factors)
{
    int64_t *count_up = malloc(sizeof(int64_t) * (size_t)(svd->short_size > svd->k ? svd->short_size : svd->k));
    piece_t replicated = {factors->short_vectors, svd->short_size, svd->k, svd->short_size, count_up, count_up};
    piece_t mine = {factors->long_vectors, svd->long_count, svd->k, svd->long_count, svd->long_index, count_up};
    int code = svd->call->host->agree(svd->call, count_up ? ALCH_OK : ALCH_ENOMEM,
                                      "truncated_svd: the indices of the results cannot be allocated");

    for (int64_t k = 0; !code && k < (svd->short_size > svd->k ? svd->short_size : svd->k); k++)
        count_up[k] = k;
    /* Several ranks hold the same entries; one of them delivers them. */
    if (svd->reduce_rank != 0)
        mine.m = 0;
    if (svd->call->rank != 0)
        replicated.m = 0;
    if (!code)
        code = svd_return_values(svd, factors->values);
    if (!code)
        code = svd_return_matrix(svd, svd->wide ? "V" : "U", svd->long_size, svd->k, &mine);
    if (!code)
        code = svd_return_matrix(svd, svd->wide ? "U" : "V", svd->short_size, svd->k, &replicated);
    free(count_up);
    return code;
}

static int
run_lanczos(svd_t *svd, bool *dense_p)
{
    size_t k = (size_t)svd->k;
    size_t entries = k * (1 + (size_t)svd->short_size + (size_t)svd->long_count);
    factors_t factors;
    double *memory;
    int code = svd->call->host->workspace(svd->call, (int64_t)(2 * entries * sizeof(double)));

    memory = code ? NULL : malloc(entries * sizeof(double));
    code = svd->call->host->agree(svd->call, code ? code : memory ? ALCH_OK : ALCH_ENOMEM, NULL);
    if (!code) {
        factors.values = memory;
        factors.short_vectors = memory + k;
        factors.long_vectors = factors.short_vectors + k * (size_t)svd->short_size;
        code = svd_lanczos(svd, factors.short_vectors, dense_p);
        if (!code && !*dense_p)
            code = svd_refine(svd, &factors, dense_p);
        if (!code && !*dense_p)
            code = return_factors(svd, &factors);
    }
    free(memory);
    return code;
}

int
testlib_truncated_svd(alch_call_t *call)
{
    svd_t svd = {.call = call,
                 .A = call->host->arg_matrix(call, "A"),
                 .k = call->host->arg_int(call, "rank"),
                 .reduce_comm = MPI_COMM_NULL};
    bool dense = false;
    int code;

    call->host->matrix_block(svd.A, &svd.block);
    svd.wide = svd.block.m < svd.block.n;
    svd.short_size = svd.wide ? svd.block.m : svd.block.n;
    svd.long_size = svd.wide ? svd.block.n : svd.block.m;
    /* A check can fail on one rank only (lld). agree() lets all ranks return then. */
    code = call->host->agree(call, check_arguments(&svd), NULL);
    if (!code)
        code = svd_init(&svd);
    if (!code)
        code = check_entries(&svd);
    if (!code)
        code = run_lanczos(&svd, &dense);
    if (!code && dense)
        code = svd_dense(&svd);
    svd_fini(&svd);
    return code;
}
