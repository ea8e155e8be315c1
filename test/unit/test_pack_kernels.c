/* All implementations of the kernels are compared with copies of one entry at a time: panels of all shapes, in both
 * directions. */
#include "pack/kernel.h"
#include "layout_model.h"
#include <string.h>

/* Both sides of a move, and the expected content of the side that is written. */
typedef struct {
    alchi_pack_t shape;
    int64_t ld;
    unsigned char *strided, *packed, *expected;
    size_t strided_bytes, packed_bytes;
    size_t shift;   /* bytes by which both sides are off the alignment of malloc */
    int64_t origin; /* bytes from the start of `strided` to the base of the strided side */
} setting_t;

/* @return bytes from the base of the strided side to entry (i, j) of the local rectangle */
static int64_t
strided_at(const alchi_pack_t *shape, int64_t i, int64_t j)
{
    int64_t gi = alchi_axis_global(&shape->rows, shape->local.i + i) - shape->i0;
    int64_t gj = alchi_axis_global(&shape->cols, shape->local.j + j) - shape->j0;

    return (gi * shape->row_stride + gj * shape->col_stride) * (int64_t)shape->size;
}

static void
setting_init(setting_t *setting, uint64_t *random)
{
    const alchi_pack_t *shape = &setting->shape;
    int64_t m = shape->local.m - 1, n = shape->local.n - 1, lo = 0, hi = 0;
    int64_t corners[4] = {strided_at(shape, 0, 0), strided_at(shape, m, 0), strided_at(shape, 0, n),
                          strided_at(shape, m, n)};

    for (int k = 0; k < 4; k++) {
        lo = corners[k] < lo ? corners[k] : lo;
        hi = corners[k] > hi ? corners[k] : hi;
    }
    setting->strided_bytes = (size_t)(hi - lo) + shape->size + setting->shift;
    setting->packed_bytes = (size_t)(setting->ld * shape->local.n) * shape->size + setting->shift;
    setting->origin = (int64_t)setting->shift - lo;
    setting->strided = malloc(setting->strided_bytes);
    setting->packed = malloc(setting->packed_bytes);
    setting->expected =
        malloc(setting->strided_bytes > setting->packed_bytes ? setting->strided_bytes : setting->packed_bytes);
    model_fill(setting->strided, setting->strided_bytes, random);
    model_fill(setting->packed, setting->packed_bytes, random);
}

/* Move entry by entry, with copies. `expected` then has the content that the written side should get. */
static void
setting_expect(setting_t *setting, bool pack)
{
    const alchi_pack_t *shape = &setting->shape;

    memcpy(setting->expected, pack ? setting->packed : setting->strided,
           pack ? setting->packed_bytes : setting->strided_bytes);
    for (int64_t j = 0; j < shape->local.n; j++)
        for (int64_t i = 0; i < shape->local.m; i++) {
            int64_t there = setting->origin + strided_at(shape, i, j);
            size_t here = setting->shift + (size_t)(i + j * setting->ld) * shape->size;

            if (pack)
                memcpy(setting->expected + here, setting->strided + there, shape->size);
            else
                memcpy(setting->expected + there, setting->packed + here, shape->size);
        }
}

static void
check_move(const alchi_kernels_t *use, setting_t *setting, bool pack)
{
    unsigned char *written = pack ? setting->packed : setting->strided;
    size_t bytes = pack ? setting->packed_bytes : setting->strided_bytes;
    unsigned char *before = malloc(bytes);

    memcpy(before, written, bytes);
    alchi_pack_move(use, &setting->shape, (char *)setting->strided + setting->origin,
                    (char *)setting->packed + setting->shift, setting->ld, pack);
    ck_assert_msg(memcmp(written, setting->expected, bytes) == 0,
                  "%s kernels, %s, %zu bytes: %lld x %lld, blocks %lld of %lld and %lld of %lld, strides %lld %lld",
                  use->name, pack ? "pack" : "unpack", setting->shape.size, (long long)setting->shape.local.m,
                  (long long)setting->shape.local.n, (long long)setting->shape.rows.block,
                  (long long)setting->shape.rows.period, (long long)setting->shape.cols.block,
                  (long long)setting->shape.cols.period, (long long)setting->shape.row_stride,
                  (long long)setting->shape.col_stride);
    memcpy(written, before, bytes);
    free(before);
}

/* Check all implementations that this processor can run. */
static void
check_all(setting_t *setting, uint64_t *random)
{
    const alchi_kernels_t *kernels[2] = {alchi_kernels_portable(), alchi_kernels_avx2()};

    setting_init(setting, random);
    for (int pack = 0; pack < 2; pack++) {
        setting_expect(setting, pack);
        for (int k = 0; k < 2; k++)
            if (kernels[k])
                check_move(kernels[k], setting, pack);
    }
    free(setting->strided);
    free(setting->packed);
    free(setting->expected);
}

static alchi_axis_t
random_axis(uint64_t *random)
{
    static const int64_t blocks[] = {1, 1, 2, 3, 7, 16, 64, 200};
    int64_t block = blocks[model_pick(random, 0, 7)], procs = model_pick(random, 1, 4);

    return (alchi_axis_t){block, block * procs, block * model_pick(random, 0, procs - 1)};
}

/* Pick strides with which no two entries of the global rectangle are at the same address. */
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
        setting_t setting = {.shape = {.rows = random_axis(random), .cols = random_axis(random), .size = sizes[k]}};

        setting.shape.local = (alch_rect_t){model_pick(random, 0, 70), model_pick(random, 0, 70), m, n};
        setting.shape.i0 = model_pick(random, 0, alchi_axis_global(&setting.shape.rows, setting.shape.local.i));
        setting.shape.j0 = model_pick(random, 0, alchi_axis_global(&setting.shape.cols, setting.shape.local.j));
        pick_strides(&setting.shape, random);
        setting.ld = m + model_pick(random, 0, 1) * model_pick(random, 1, 9);
        setting.shift = (size_t)(model_pick(random, 0, 2) ? 0 : model_pick(random, 1, 15));
        check_all(&setting, random);
    }
}

/* Panels whose sides are around multiples of SIDE, each with random axes, strides and positions. */
START_TEST(kernels_agree_at_the_edges_of_blocks)
{
    static const int64_t sides[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65};
    uint64_t random = 7 + (uint64_t)_i;

    for (size_t a = 0; a < sizeof(sides) / sizeof(*sides); a++)
        for (size_t b = 0; b < sizeof(sides) / sizeof(*sides); b++)
            check_size(sides[a], sides[b], &random);
}
END_TEST

/* Rectangles around the maximum size of a panel, where prefetching must end. */
START_TEST(kernels_agree_at_the_edges_of_panels)
{
    static const int64_t rows[] = {1, 24, ALCHI_PANEL_ROWS - 1, ALCHI_PANEL_ROWS, ALCHI_PANEL_ROWS + 9};
    static const int64_t cols[] = {1, 24, ALCHI_PANEL_COLS - 1, ALCHI_PANEL_COLS, 2 * ALCHI_PANEL_COLS + 9};
    uint64_t random = 11 + (uint64_t)_i;

    for (size_t a = 0; a < sizeof(rows) / sizeof(*rows); a++)
        for (size_t b = 0; b < sizeof(cols) / sizeof(*cols); b++)
            check_size(rows[a], cols[b], &random);
}
END_TEST

/* A stride of 0 repeats one row, one column or one entry of the source. */
START_TEST(zero_strides_repeat_entries)
{
    static const int64_t strides[][2] = {{0, 1}, {1, 0}, {0, 0}, {0, -1}, {0, 3}, {2, 0}};
    uint64_t random = 13;

    for (size_t k = 0; k < sizeof(strides) / sizeof(*strides); k++)
        for (size_t size = 4; size <= 16; size *= 2) {
            setting_t setting = {
                .shape = {{3, 9, 3}, {1, 2, 1}, {2, 1, 41, 37}, 0, 0, strides[k][0], strides[k][1], size}};

            setting.ld = 43;
            setting_init(&setting, &random);
            setting_expect(&setting, true);
            check_move(alchi_kernels_portable(), &setting, true);
            if (alchi_kernels_avx2())
                check_move(alchi_kernels_avx2(), &setting, true);
            free(setting.strided);
            free(setting.packed);
            free(setting.expected);
        }
}
END_TEST

START_TEST(avx2_kernels_exist_if_the_processor_has_avx2)
{
    ck_assert_str_eq(alchi_kernels_portable()->name, "portable");
    if (alchi_kernels_avx2())
        ck_assert_str_eq(alchi_kernels_avx2()->name, "avx2");
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
    TCase *tcase = tcase_create("kernels");

    tcase_add_test(tcase, avx2_kernels_exist_if_the_processor_has_avx2);
    tcase_add_test(tcase, zero_strides_repeat_entries);
    tcase_add_loop_test(tcase, kernels_agree_at_the_edges_of_blocks, 0, 2);
    tcase_add_loop_test(tcase, kernels_agree_at_the_edges_of_panels, 0, 2);
    suite_add_tcase(suite, tcase);
}
