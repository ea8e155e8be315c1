/* Every kind of kernels against one entry at a time: panels of all shapes, both directions, both kinds. */
#include "pack/kernel.h"
#include "layout_model.h"
#include <string.h>

/* Both sides of a move, and what is expected of the one that is written. */
typedef struct {
    alchi_pack_t shape;
    int64_t ld;
    unsigned char *strided, *packed, *expected;
    size_t strided_bytes, packed_bytes;
    size_t shift;   /* of both sides off any alignment that malloc gives */
    int64_t origin; /* bytes from the strided side's begin to its base */
} setting_t;

static void
fill(unsigned char *bytes, size_t count, uint64_t *random)
{
    for (size_t k = 0; k < count; k++)
        bytes[k] = (unsigned char)(model_random(random) >> 32);
}

/* Bytes from the base to entry (i, j) of the local rectangle. */
static int64_t
strided_at(const alchi_pack_t *shape, int64_t i, int64_t j)
{
    int64_t gi = alchi_axis_global(&shape->rows, shape->local.i + i) - shape->i0;
    int64_t gj = alchi_axis_global(&shape->cols, shape->local.j + j) - shape->j0;

    return (gi * shape->row_stride + gj * shape->col_stride) * (int64_t)shape->size;
}

static void
make(setting_t *set, uint64_t *random)
{
    const alchi_pack_t *shape = &set->shape;
    int64_t m = shape->local.m - 1, n = shape->local.n - 1, lo = 0, hi = 0;
    int64_t corners[4] = {strided_at(shape, 0, 0), strided_at(shape, m, 0), strided_at(shape, 0, n),
                          strided_at(shape, m, n)};

    for (int k = 0; k < 4; k++) {
        lo = corners[k] < lo ? corners[k] : lo;
        hi = corners[k] > hi ? corners[k] : hi;
    }
    set->strided_bytes = (size_t)(hi - lo) + shape->size + set->shift;
    set->packed_bytes = (size_t)(set->ld * shape->local.n) * shape->size + set->shift;
    set->origin = (int64_t)set->shift - lo;
    set->strided = malloc(set->strided_bytes);
    set->packed = malloc(set->packed_bytes);
    set->expected = malloc(set->strided_bytes > set->packed_bytes ? set->strided_bytes : set->packed_bytes);
    fill(set->strided, set->strided_bytes, random);
    fill(set->packed, set->packed_bytes, random);
}

/* Move entry by entry, of copies: the written side as it should be is left in `expected`. */
static void
expect(setting_t *set, bool pack)
{
    const alchi_pack_t *shape = &set->shape;

    memcpy(set->expected, pack ? set->packed : set->strided, pack ? set->packed_bytes : set->strided_bytes);
    for (int64_t j = 0; j < shape->local.n; j++)
        for (int64_t i = 0; i < shape->local.m; i++) {
            int64_t there = set->origin + strided_at(shape, i, j);
            size_t here = set->shift + (size_t)(i + j * set->ld) * shape->size;

            if (pack)
                memcpy(set->expected + here, set->strided + there, shape->size);
            else
                memcpy(set->expected + there, set->packed + here, shape->size);
        }
}

static void
check_move(const alchi_kernels_t *use, setting_t *set, bool pack)
{
    unsigned char *written = pack ? set->packed : set->strided;
    size_t bytes = pack ? set->packed_bytes : set->strided_bytes;
    unsigned char *before = malloc(bytes);

    memcpy(before, written, bytes);
    alchi_pack_move(use, &set->shape, (char *)set->strided + set->origin, (char *)set->packed + set->shift, set->ld,
                    pack);
    ck_assert_msg(memcmp(written, set->expected, bytes) == 0,
                  "%s kernels, %s, %zu bytes: %lld x %lld, blocks %lld of %lld and %lld of %lld, strides %lld %lld",
                  use->name, pack ? "pack" : "unpack", set->shape.size, (long long)set->shape.local.m,
                  (long long)set->shape.local.n, (long long)set->shape.rows.block, (long long)set->shape.rows.period,
                  (long long)set->shape.cols.block, (long long)set->shape.cols.period, (long long)set->shape.row_stride,
                  (long long)set->shape.col_stride);
    memcpy(written, before, bytes);
    free(before);
}

/* With all kinds that this processor has: what one gives, the others give. */
static void
check_all(setting_t *set, uint64_t *random)
{
    const alchi_kernels_t *kinds[2] = {alchi_kernels_portable(), alchi_kernels_avx2()};

    make(set, random);
    for (int pack = 0; pack < 2; pack++) {
        expect(set, pack);
        for (int k = 0; k < 2; k++)
            if (kinds[k])
                check_move(kinds[k], set, pack);
    }
    free(set->strided);
    free(set->packed);
    free(set->expected);
}

static alchi_axis_t
pick_axis(uint64_t *random)
{
    static const int64_t blocks[] = {1, 1, 2, 3, 7, 16, 64, 200};
    int64_t block = blocks[model_pick(random, 0, 7)], procs = model_pick(random, 1, 4);

    return (alchi_axis_t){block, block * procs, block * model_pick(random, 0, procs - 1)};
}

/* Strides with which no two entries of the global rectangle share a place. */
static void
pick_strides(alchi_pack_t *shape, uint64_t *random)
{
    int64_t rows = alchi_axis_global(&shape->rows, shape->local.i + shape->local.m - 1) - shape->i0 + 1;
    int64_t cols = alchi_axis_global(&shape->cols, shape->local.j + shape->local.n - 1) - shape->j0 + 1;
    int64_t gap = model_pick(random, 0, 3) ? 1 : 2, spare = model_pick(random, 0, 2);
    bool fortran = model_pick(random, 0, 2) == 0;

    shape->row_stride = fortran ? gap : cols * gap + spare;
    shape->col_stride = fortran ? rows * gap + spare : gap;
    shape->row_stride *= model_pick(random, 0, 4) == 0 ? -1 : 1;
    shape->col_stride *= model_pick(random, 0, 4) == 0 ? -1 : 1;
}

static void
check_size(int64_t m, int64_t n, uint64_t *random)
{
    static const size_t sizes[] = {4, 8, 16};

    for (int k = 0; k < 3; k++) {
        setting_t set = {.shape = {.rows = pick_axis(random), .cols = pick_axis(random), .size = sizes[k]}};

        set.shape.local = (alch_rect_t){model_pick(random, 0, 70), model_pick(random, 0, 70), m, n};
        set.shape.i0 = model_pick(random, 0, alchi_axis_global(&set.shape.rows, set.shape.local.i));
        set.shape.j0 = model_pick(random, 0, alchi_axis_global(&set.shape.cols, set.shape.local.j));
        pick_strides(&set.shape, random);
        set.ld = m + model_pick(random, 0, 1) * model_pick(random, 1, 9);
        set.shift = (size_t)(model_pick(random, 0, 2) ? 0 : model_pick(random, 1, 15));
        check_all(&set, random);
    }
}

/* All sides around the edges of blocks, several times with axes, strides and places as they come. */
START_TEST(test_blocks)
{
    static const int64_t sides[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65};
    uint64_t random = 7 + (uint64_t)_i;

    for (size_t a = 0; a < sizeof(sides) / sizeof(*sides); a++)
        for (size_t b = 0; b < sizeof(sides) / sizeof(*sides); b++)
            check_size(sides[a], sides[b], &random);
}
END_TEST

/* Around the edges of panels, where what is asked for ahead must end. */
START_TEST(test_panels)
{
    static const int64_t rows[] = {1, 24, ALCHI_PANEL_ROWS - 1, ALCHI_PANEL_ROWS, ALCHI_PANEL_ROWS + 9};
    static const int64_t cols[] = {1, 24, ALCHI_PANEL_COLS - 1, ALCHI_PANEL_COLS, 2 * ALCHI_PANEL_COLS + 9};
    uint64_t random = 11 + (uint64_t)_i;

    for (size_t a = 0; a < sizeof(rows) / sizeof(*rows); a++)
        for (size_t b = 0; b < sizeof(cols) / sizeof(*cols); b++)
            check_size(rows[a], cols[b], &random);
}
END_TEST

/* Sources that repeat one row, one column or one entry. */
START_TEST(test_repeated)
{
    static const int64_t strides[][2] = {{0, 1}, {1, 0}, {0, 0}, {0, -1}, {0, 3}, {2, 0}};
    uint64_t random = 13;

    for (size_t k = 0; k < sizeof(strides) / sizeof(*strides); k++)
        for (size_t size = 4; size <= 16; size *= 2) {
            setting_t set = {.shape = {{3, 9, 3}, {1, 2, 1}, {2, 1, 41, 37}, 0, 0, strides[k][0], strides[k][1], size}};

            set.ld = 43;
            make(&set, &random);
            expect(&set, true);
            check_move(alchi_kernels_portable(), &set, true);
            if (alchi_kernels_avx2())
                check_move(alchi_kernels_avx2(), &set, true);
            free(set.strided);
            free(set.packed);
            free(set.expected);
        }
}
END_TEST

START_TEST(test_dispatch)
{
    ck_assert_str_eq(alchi_kernels_portable()->name, "portable");
#if defined(__x86_64__)
    ck_assert(!alchi_kernels_avx2() == !__builtin_cpu_supports("avx2"));
#else
    ck_assert(!alchi_kernels_avx2());
#endif
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *kernels = tcase_create("kernels");

    tcase_set_timeout(kernels, 60);
    tcase_add_test(kernels, test_dispatch);
    tcase_add_test(kernels, test_repeated);
    tcase_add_loop_test(kernels, test_blocks, 0, 2);
    tcase_add_loop_test(kernels, test_panels, 0, 2);
    suite_add_tcase(suite, kernels);
}
