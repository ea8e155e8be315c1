/* Matrix norms. Most are computed in passes over the entries, in any layout; the spectral and the nuclear norm come
 * from the singular values. */
#include "norms.h"
#include "spectral.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char norm_doc[] =
    "Computes a norm of a matrix. A vector is a matrix of one column.\n\n"
    "Method: \"fro\", \"max\", 1, -1, inf and -inf in passes over the entries, in double precision and without\n"
    "overflow; 2, -2 and \"nuc\" from the singular values (see svdvals).\n"
    "Source: the definitions. For \"fro\" entries are divided by the largest one before they are squared.\n"
    "Memory: at most half a MiB; 2, -2 and \"nuc\" need the memory of svdvals.\n"
    "A NaN entry makes the norm NaN, as in NumPy. But 2, -2 and \"nuc\" refuse NaN and Inf (NumericError).\n"
    "Errors: an unknown ord (InvalidError); for 2, -2 and \"nuc\" also those of svdvals.\n\n"
    "x: m x n, any type and layout\n"
    "ord: \"fro\": the square root of the sum of squares; 1: the largest sum of absolute values of a column, -1: the\n"
    "smallest; inf: the largest such sum of a row, -inf: the smallest; \"max\": the largest absolute value; 2: the\n"
    "largest singular value, -2: the smallest; \"nuc\": the sum of the singular values\n"
    "norm: a number; 0 for an empty matrix\n";

/* Set y to the absolute values of the `count` entries at x. */
static void
absolute_values(alch_dtype_t dtype, const void *x, int64_t count, double *y)
{
    switch (dtype) {
    case ALCH_FLOAT64:
        for (int64_t i = 0; i < count; i++)
            y[i] = fabs(((const double *)x)[i]);
        break;
    case ALCH_FLOAT32:
        for (int64_t i = 0; i < count; i++)
            y[i] = fabsf(((const float *)x)[i]);
        break;
    case ALCH_COMPLEX128:
        for (int64_t i = 0; i < count; i++)
            y[i] = hypot(((const double *)x)[2 * i], ((const double *)x)[2 * i + 1]);
        break;
    case ALCH_COMPLEX64:
        for (int64_t i = 0; i < count; i++)
            y[i] = hypot(((const float *)x)[2 * i], ((const float *)x)[2 * i + 1]);
        break;
    case ALCH_INT64:
        for (int64_t i = 0; i < count; i++)
            y[i] = fabs((double)((const int64_t *)x)[i]);
        break;
    case ALCH_INT32:
        for (int64_t i = 0; i < count; i++)
            y[i] = fabs((double)((const int32_t *)x)[i]);
        break;
    }
}

/* The larger number, or NaN if one of the two is NaN. */
static double
max_or_nan(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

static size_t
entry_bytes(alch_dtype_t dtype)
{
    return dtype == ALCH_COMPLEX128 ? 16 : dtype == ALCH_FLOAT32 || dtype == ALCH_INT32 ? 4 : 8;
}

/* Result of a pass over the local entries. The squares are of entries divided by `scale`, the largest entry so far, so
 * that they neither overflow nor underflow. */
typedef struct {
    double largest;
    double scale, squares; /* the sum of squares is scale^2 * squares */
} sums_t;

static void
add_squares(sums_t *sums, const double *y, int64_t count)
{
    double largest = 0, squares = 0;

    for (int64_t i = 0; i < count; i++)
        largest = max_or_nan(y[i], largest);
    sums->largest = max_or_nan(largest, sums->largest);
    if (largest == 0 || !isfinite(largest))
        return;
    if (largest > sums->scale) {
        sums->squares *= (sums->scale / largest) * (sums->scale / largest);
        sums->scale = largest;
    }
    for (int64_t i = 0; i < count; i++)
        squares += (y[i] / sums->scale) * (y[i] / sums->scale);
    sums->squares += squares;
}

/* The pass for "fro" and "max". Of a replicated matrix only the first replica counts. */
static sums_t
scan_local_piece(const alch_block_t *a)
{
    sums_t sums = {0, 0, 0};
    double y[256];

    for (int64_t j = 0; a->replica == 0 && j < a->local_n; j++) {
        for (int64_t i = 0; i < a->local_m; i += 256) {
            int64_t count = a->local_m - i < 256 ? a->local_m - i : 256;

            absolute_values(a->dtype, (const char *)a->data + (size_t)(i + j * a->lld) * entry_bytes(a->dtype), count,
                            y);
            add_squares(&sums, y, count);
        }
    }
    return sums;
}

/* The result of MPI_MAX is undefined for NaN, so a second number says whether a rank has NaN. */
static double
max_over_ranks(const linalg_t *la, double mine)
{
    double parts[2] = {isnan(mine) ? 0 : mine, isnan(mine)};

    MPI_Allreduce(MPI_IN_PLACE, parts, 2, MPI_DOUBLE, MPI_MAX, la->call->comm);
    return parts[1] > 0 ? NAN : parts[0];
}

static double
frobenius(const linalg_t *la, const alch_block_t *a)
{
    sums_t sums = scan_local_piece(a);
    double scale = max_over_ranks(la, sums.largest), part, total;

    if (scale == 0 || !isfinite(scale))
        return scale;
    part = sums.squares * (sums.scale / scale) * (sums.scale / scale);
    MPI_Allreduce(&part, &total, 1, MPI_DOUBLE, MPI_SUM, la->call->comm);
    return scale * sqrt(total);
}

/* How many of the first `end` rows or columns are on this rank. */
static int64_t
local_count_before(const alch_block_t *a, int64_t end, bool rows)
{
    const alch_layout_t *layout = &a->layout;

    return rows ? linalg_numroc(end, layout->mb, a->myrow, layout->nprow)
                : linalg_numroc(end, layout->nb, a->mycol, layout->npcol);
}

/* sums[k] := the local part of the sum for row or column first + k, k < count. */
static void
sum_local_chunk(const alch_block_t *a, bool rows, int64_t first, int64_t count, double *sums)
{
    int64_t i0 = 0, i1 = a->local_m, j0 = 0, j1 = a->local_n;
    double y[256];

    memset(sums, 0, (size_t)count * sizeof(*sums));
    if (a->replica != 0)
        return;
    *(rows ? &i0 : &j0) = local_count_before(a, first, rows);
    *(rows ? &i1 : &j1) = local_count_before(a, first + count, rows);
    for (int64_t j = j0; j < j1; j++) {
        double *column = sums + (rows ? 0 : linalg_global_col(a, j) - first);

        for (int64_t i = i0; i < i1; i += 256) {
            int64_t here = i1 - i < 256 ? i1 - i : 256;

            absolute_values(a->dtype, (const char *)a->data + (size_t)(i + j * a->lld) * entry_bytes(a->dtype), here,
                            y);
            for (int64_t k = 0; k < here; k++)
                *(rows ? &sums[linalg_global_row(a, i + k) - first] : column) += y[k];
        }
    }
}

int
linalg_extreme_abs_sum(linalg_t *la, const alch_block_t *a, bool rows, bool smallest, double *norm_p)
{
    int64_t total = rows ? a->m : a->n;
    double *sums, extreme = smallest ? INFINITY : 0;
    int code = linalg_alloc(la, (total < LINALG_SUM_CHUNK ? total : LINALG_SUM_CHUNK) * (int64_t)sizeof(*sums), &sums);

    for (int64_t first = 0; !code && first < total; first += LINALG_SUM_CHUNK) {
        int count = (int)(total - first < LINALG_SUM_CHUNK ? total - first : LINALG_SUM_CHUNK);

        sum_local_chunk(a, rows, first, count, sums);
        MPI_Allreduce(MPI_IN_PLACE, sums, count, MPI_DOUBLE, MPI_SUM, la->call->comm);
        for (int k = 0; k < count; k++)
            extreme = smallest ? -max_or_nan(-sums[k], -extreme) : max_or_nan(sums[k], extreme);
    }
    *norm_p = extreme;
    return code;
}

int
linalg_norm1(linalg_t *la, const linalg_matrix_t *A, double *norm_p)
{
    return linalg_extreme_abs_sum(la, &A->block, false, false, norm_p);
}

linalg_norm_t
linalg_norm_parse(const char *text, bool *smallest_p)
{
    char *end;
    double number = strtod(text, &end);

    *smallest_p = number < 0;
    if (!strcasecmp(text, "fro") || !strcasecmp(text, "f"))
        return LINALG_NORM_FRO;
    if (!strcasecmp(text, "max"))
        return LINALG_NORM_MAX;
    if (!strcasecmp(text, "nuc"))
        return LINALG_NORM_NUCLEAR;
    if (end == text || *end)
        return LINALG_NORM_UNKNOWN;
    number = fabs(number);
    return number == 1     ? LINALG_NORM_COLUMNS
           : number == 2   ? LINALG_NORM_SPECTRAL
           : isinf(number) ? LINALG_NORM_ROWS
                           : LINALG_NORM_UNKNOWN;
}

static int
norm_from_singular_values(linalg_t *la, linalg_norm_t kind, bool smallest, double *norm_p)
{
    double *s;
    int64_t count;
    int code = linalg_singular_values(la, "x", &s, &count);

    *norm_p = 0;
    if (!code && count)
        *norm_p = smallest ? s[count - 1] : s[0];
    for (int64_t k = 1; !code && kind == LINALG_NORM_NUCLEAR && k < count; k++)
        *norm_p += s[k];
    return code;
}

static int
norm(linalg_t *la)
{
    const char *ord = la->host->arg_string(la->call, "ord");
    double value = 0;
    bool smallest;
    linalg_norm_t kind = linalg_norm_parse(ord, &smallest);
    alch_block_t a;
    int code = ALCH_OK;

    linalg_operand_block(la, "x", &a);
    if (kind == LINALG_NORM_UNKNOWN)
        return linalg_fail(la, ALCH_EINVAL, "ord is '%s', but must be fro, max, nuc, 1, -1, 2, -2, inf or -inf", ord);
    if (a.m == 0 || a.n == 0)
        kind = LINALG_NORM_MAX;
    if (kind == LINALG_NORM_FRO)
        value = frobenius(la, &a);
    else if (kind == LINALG_NORM_MAX)
        value = max_over_ranks(la, scan_local_piece(&a).largest);
    else if (kind == LINALG_NORM_COLUMNS || kind == LINALG_NORM_ROWS)
        code = linalg_extreme_abs_sum(la, &a, kind == LINALG_NORM_ROWS, smallest, &value);
    else
        code = norm_from_singular_values(la, kind, smallest, &value);
    return code ? code : la->host->ret_real(la->call, "norm", value);
}

static int
run_norm(alch_call_t *call)
{
    return linalg_run(call, norm, "x", NULL);
}

static const alch_operation_t operations[] = {
    {"norm", "A norm of a matrix.", "x:matrix, ord:string=\"fro\" -> norm:float64", norm_doc, 0, run_norm},
};

LINALG_OPERATIONS(linalg_norm_operations, operations);
