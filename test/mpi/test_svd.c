/* procs: 1 2 3 5 7 */
/* TestLib's truncated_svd: known values, residuals and orthogonality, for every layout and many shapes. */
#include "harness.h"

/* A matrix with known singular values: A is the sum of values[r] u_r v_r^T. The vectors are those of the cosine basis,
 * which is orthonormal. */
typedef struct {
    int64_t m, n, count;
    double values[256]; /* descending */
} known_t;

static double
basis(int64_t i, int64_t r, int64_t m)
{
    return r == 0 ? sqrt(1.0 / (double)m)
                  : sqrt(2.0 / (double)m) * cos(M_PI * ((double)i + 0.5) * (double)r / (double)m);
}

static double
known_entry(int64_t i, int64_t j, const void *context)
{
    const known_t *known = context;
    double x = 0;

    for (int64_t r = 0; r < known->count; r++)
        x += known->values[r] * basis(i, r, known->m) * basis(j, r, known->n);
    return x;
}

static double
known_float(int64_t i, int64_t j, const void *context)
{
    return (float)known_entry(i, j, context);
}

static void
check_orthonormal(const char *what, const double *X, int64_t m, int64_t k)
{
    double worst = 0;

    for (int64_t a = 0; a < k; a++) {
        for (int64_t b = 0; b <= a; b++) {
            double sum = a == b ? -1 : 0;

            for (int64_t i = 0; i < m; i++)
                sum += X[i + a * m] * X[i + b * m];
            worst = fmax(worst, fabs(sum));
        }
    }
    CHECK(worst < 1e-10, "columns of %s are orthonormal to %g only", what, worst);
}

/* Check the entries of A V - U S and A^T U - V S against 1e-9 of the smallest singular value, S[k - 1]. */
static void
check_residuals(const double *A, const known_t *known, const double *S, const double *U, const double *V, int64_t k)
{
    int64_t m = known->m, n = known->n;
    double worst = 0;

    for (int64_t c = 0; c < k; c++) {
        for (int64_t i = 0; i < m; i++) {
            double sum = -S[c] * U[i + c * m];

            for (int64_t j = 0; j < n; j++)
                sum += A[i + j * m] * V[j + c * n];
            worst = fmax(worst, fabs(sum));
        }
        for (int64_t j = 0; j < n; j++) {
            double sum = -S[c] * V[j + c * n];

            for (int64_t i = 0; i < m; i++)
                sum += A[i + j * m] * U[i + c * m];
            worst = fmax(worst, fabs(sum));
        }
    }
    CHECK(worst <= 1e-9 * S[k - 1], "residual %g of %g, %lld x %lld rank %lld", worst, S[k - 1], (long long)m,
          (long long)n, (long long)k);
}

static void
check_values(const known_t *known, const double *S, int64_t k, double tolerance)
{
    double largest = known->values[0];

    for (int64_t c = 0; c < k; c++) {
        double value = k - 1 - c < known->count ? known->values[k - 1 - c] : 0;

        CHECK(fabs(S[c] - value) <= fmax(tolerance * value, 1e-12 * largest),
              "singular value %lld of %lld x %lld rank %lld: %.15g instead of %.15g", (long long)c, (long long)known->m,
              (long long)known->n, (long long)k, S[c], value);
        CHECK(c == 0 || S[c] >= S[c - 1], "S is ascending");
    }
}

static void
check_svd(uint64_t id, const known_t *known, int64_t k, double tolerance)
{
    Alchw__WorkerTaskDone *done = NULL;
    double *A, *factors[3] = {NULL};
    int64_t m = 0, n = 0;

    CHECK_CODE(call("TestLib", "truncated_svd", &done, arg_m("A", id), arg_i("rank", k)), ALCH_OK);
    CHECK(done && done->n_matrices == 3, "three matrices");
    if (!done)
        return;
    A = gather(id, &m, &n);
    for (size_t r = 0; r < 3; r++) {
        factors[r] = gather(done->matrices[r]->id, &m, &n);
        CHECK(n == (r ? k : 1) && m == (r == 0   ? k
                                        : r == 1 ? known->m
                                                 : known->n),
              "result %zu is %lld x %lld", r, (long long)m, (long long)n);
        free_matrix(done->matrices[r]->id);
    }
    if (h.rank == 0) {
        check_values(known, factors[0], k, tolerance);
        check_orthonormal("U", factors[1], known->m, k);
        check_orthonormal("V", factors[2], known->n, k);
        check_residuals(A, known, factors[0], factors[1], factors[2], k);
    }
    for (size_t r = 0; r < 3; r++)
        free(factors[r]);
    free(A);
    alchi_message_free(done);
}

static known_t
decaying(int64_t m, int64_t n, double factor)
{
    known_t known = {.m = m, .n = n, .count = m < n ? m : n};

    for (int64_t r = 0; r < known.count; r++)
        known.values[r] = r ? known.values[r - 1] * factor : 3;
    return known;
}

static void
every_layout_gives_the_known_values(void)
{
    for (int dist = 0; dist <= ALCH_CIRC_CIRC; dist++) {
        alch_layout_t layout = {(alch_dist_t)dist, 0, 0, 0, 0};
        int64_t m = dist % 2 ? 90 : 131, n = dist % 2 ? 140 : 80;
        known_t known = decaying(m, n, 0.85);
        uint64_t id = make_matrix(m, n, ALCH_FLOAT64, &layout, known_entry, &known);

        check_svd(id, &known, 7, 1e-10);
        if (dist % 3 == 0)
            check_svd(id, &known, m < n ? m : n, 1e-10);
        free_matrix(id);
    }
}

static void
small_matrices_have_every_number_of_values(void)
{
    static const int64_t shapes[][2] = {{1, 1}, {1, 6}, {6, 1}, {2, 40}, {9, 5}, {6, 6}};

    for (size_t s = 0; s < ALCHI_COUNT(shapes); s++) {
        known_t known = decaying(shapes[s][0], shapes[s][1], 0.6);
        uint64_t id = make_matrix(known.m, known.n, ALCH_FLOAT64, NULL, known_entry, &known);

        for (int64_t k = 1; k <= known.count; k++)
            check_svd(id, &known, k, 1e-9);
        free_matrix(id);
    }
}

/* Create the 70 x 60 matrix of `known`, compute k singular values and vectors, check them, and free everything. */
static void
check_70_x_60(const known_t *known, int64_t k)
{
    alch_layout_t layout = {ALCH_BLOCK_CYCLIC, 4, 3, 0, 0};
    uint64_t id = make_matrix(70, 60, ALCH_FLOAT64, &layout, known_entry, known);

    check_svd(id, known, k, 1e-8);
    free_matrix(id);
}

static void
values_far_apart_are_found(void)
{
    known_t known = decaying(70, 60, 0.35); /* the last ones are below 1e-15 of the first one */

    check_70_x_60(&known, 10);
    check_70_x_60(&known, 20);
}

static void
a_rank_deficient_matrix_has_zeros_at_the_end(void)
{
    known_t known = decaying(70, 60, 0.35);

    known.count = 5;
    check_70_x_60(&known, 4);
    check_70_x_60(&known, 9);
}

static void
equal_values_are_found_with_orthonormal_vectors(void)
{
    known_t known = {.m = 70, .n = 60, .count = 60};

    for (int64_t r = 0; r < 60; r++)
        known.values[r] = r < 3 ? 5 : r < 6 ? 4 : 3 - 0.01 * (double)r;
    check_70_x_60(&known, 8);
    for (int64_t r = 0; r < 60; r++)
        known.values[r] = 1;
    check_70_x_60(&known, 4);
}

static void
a_zero_matrix_has_zero_values(void)
{
    known_t known = {.m = 70, .n = 60};

    check_70_x_60(&known, 3);
}

static void
entries_whose_squares_overflow_or_vanish_are_handled(void)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        known_t known = decaying(60, 70, 0.8);
        alch_layout_t layout = {ALCH_BLOCK_CYCLIC, 4, 3, 0, 0};
        uint64_t id;

        for (int64_t r = 0; r < 60; r++)
            known.values[r] *= pow(10, 250 * sign);
        id = make_matrix(60, 70, ALCH_FLOAT64, &layout, known_entry, &known);
        check_svd(id, &known, 6, 1e-8);
        check_svd(id, &known, 60, 1e-8);
        free_matrix(id);
    }
}

static void
float32_matrices_give_values_to_their_precision(void)
{
    known_t known = decaying(90, 75, 0.8);

    for (int k = 5; k <= 70; k += 65) {
        uint64_t id = make_matrix(90, 75, ALCH_FLOAT32, NULL, known_float, &known);

        /* Rounding the entries to float32 moves the values by up to its epsilon times the norm. */
        check_svd(id, &known, k, k == 5 ? 1e-6 : 1);
        free_matrix(id);
    }
}

/* i + j, except for one entry, which is the context. */
static double
with_one_entry(int64_t i, int64_t j, const void *context)
{
    const double *entry = context;

    return i == 12 && j == 7 ? *entry : (double)(i + j);
}

static void
check_refusal(uint64_t id, int64_t k, int code, const char *text)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call("TestLib", "truncated_svd", &done, arg_m("A", id), arg_i("rank", k)), code);
    CHECK_TEXT(text);
}

static void
a_rank_outside_of_its_range_is_refused(void)
{
    known_t known = decaying(30, 20, 0.5);
    uint64_t id = make_matrix(30, 20, ALCH_FLOAT64, NULL, known_entry, &known);

    check_refusal(id, 0, ALCH_ERANGE, "rank is 0, but it must be 1 to 20 for A (30 x 20, float64)");
    check_refusal(id, -3, ALCH_ERANGE, "rank is -3");
    check_refusal(id, 21, ALCH_ERANGE, "rank is 21, but it must be 1 to 20");
    free_matrix(id);
}

static void
other_types_are_refused(void)
{
    known_t known = decaying(30, 20, 0.5);

    for (int dtype = ALCH_COMPLEX128; dtype <= ALCH_INT32; dtype++) {
        uint64_t id = make_matrix(30, 20, (alch_dtype_t)dtype, NULL, known_entry, &known);

        check_refusal(id, 1, ALCH_ETYPE, alch_dtype_name((alch_dtype_t)dtype));
        free_matrix(id);
    }
}

static void
a_matrix_without_rows_is_refused(void)
{
    known_t known = decaying(30, 20, 0.5);
    uint64_t id = make_matrix(0, 20, ALCH_FLOAT64, NULL, known_entry, &known);

    check_refusal(id, 1, ALCH_ERANGE, "has no singular values");
    free_matrix(id);
}

static void
nan_and_infinity_are_refused_with_their_place(void)
{
    static const double bad[] = {NAN, INFINITY};

    for (int k = 0; k < 4; k++) {
        alch_layout_t layout = {k % 2 ? ALCH_STAR_STAR : ALCH_MC_MR, 0, 0, 0, 0};
        alch_dtype_t dtype = k < 2 ? ALCH_FLOAT64 : ALCH_FLOAT32;
        uint64_t id = make_matrix(30, 20, dtype, &layout, with_one_entry, &bad[k % 2]);

        check_refusal(id, 1, ALCH_ENUMERIC, k % 2 ? "entry (12, 7) is infinite" : "entry (12, 7) is NaN");
        CHECK(h.error.rank >= 0, "the error lacks its rank");
        free_matrix(id);
    }
}

static void
a_cancel_ends_the_computation(void)
{
    static const double entry = 3;
    uint64_t id = make_matrix(200, 100, ALCH_FLOAT64, NULL, with_one_entry, &entry);

    atomic_store(&h.cancel, true);
    check_refusal(id, 100, ALCH_ECANCELED, "canceled");
    atomic_store(&h.cancel, false);
    free_matrix(id);
}

int
main(int argc, char **argv)
{
    harness_init(&argc, &argv, INT64_C(1) << 30);
    a_rank_outside_of_its_range_is_refused();
    other_types_are_refused();
    a_matrix_without_rows_is_refused();
    nan_and_infinity_are_refused_with_their_place();
    a_cancel_ends_the_computation();
    every_layout_gives_the_known_values();
    small_matrices_have_every_number_of_values();
    values_far_apart_are_found();
    a_rank_deficient_matrix_has_zeros_at_the_end();
    equal_values_are_found_with_orthonormal_vectors();
    a_zero_matrix_has_zero_values();
    entries_whose_squares_overflow_or_vanish_are_handled();
    float32_matrices_give_values_to_their_precision();
    return harness_fini();
}
