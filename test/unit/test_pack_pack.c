/* Packing and unpacking are compared with copies of one entry at a time. Each case runs with the kernels that callers
 * get and with each implementation of the kernels. */
#include "pack/kernel.h"
#include "layout_model.h"
#include <string.h>

#define GUARD 64

/* The memory of a strided rectangle. Its entry (0, 0) is at `base`. */
typedef struct {
    unsigned char *bytes;
    size_t count;
    unsigned char *base;
} buffer_t;

/* Allocate the memory of a strided rectangle, `shift` bytes off the alignment of malloc. */
static buffer_t
make_buffer(const alchi_pack_t *shape, const alch_rect_t *rect, size_t shift, uint64_t *random)
{
    int64_t lo = 0, hi = 0;
    int64_t ends[2] = {rect->m > 0 ? (rect->m - 1) * shape->row_stride : 0,
                       rect->n > 0 ? (rect->n - 1) * shape->col_stride : 0};
    buffer_t buffer;

    for (int k = 0; k < 2; k++) {
        lo += ends[k] < 0 ? ends[k] : 0;
        hi += ends[k] > 0 ? ends[k] : 0;
    }
    buffer.count = (size_t)(hi - lo + 1) * shape->size + shift;
    buffer.bytes = malloc(buffer.count);
    buffer.base = buffer.bytes + shift + (size_t)-lo * shape->size;
    model_fill(buffer.bytes, buffer.count, random);
    return buffer;
}

static unsigned char *
strided_at(const alchi_pack_t *shape, unsigned char *base, int64_t i, int64_t j)
{
    int64_t gi = alchi_axis_global(&shape->rows, shape->local.i + i) - shape->i0;
    int64_t gj = alchi_axis_global(&shape->cols, shape->local.j + j) - shape->j0;

    return base + (gi * shape->row_stride + gj * shape->col_stride) * (int64_t)shape->size;
}

/* List the kernels to test. NULL stands for alchi_pack() and alchi_unpack(). @return how many */
static int
list_kernels(const alchi_kernels_t *kernels[3])
{
    kernels[0] = NULL;
    kernels[1] = alchi_kernels_portable();
    kernels[2] = alchi_kernels_avx2();
    return kernels[2] ? 3 : 2;
}

static void
pack_with(const alchi_kernels_t *use, const alchi_pack_t *shape, unsigned char *strided, unsigned char *packed,
          int64_t ld)
{
    if (use)
        alchi_pack_move(use, shape, (char *)strided, (char *)packed, ld, true);
    else
        alchi_pack(shape, strided, packed, ld);
}

static void
unpack_with(const alchi_kernels_t *use, const alchi_pack_t *shape, unsigned char *packed, int64_t ld,
            unsigned char *strided)
{
    if (use)
        alchi_pack_move(use, shape, (char *)strided, (char *)packed, ld, false);
    else
        alchi_unpack(shape, packed, ld, strided);
}

static void
check_pack(const alchi_pack_t *shape, const buffer_t *strided, int64_t ld, size_t shift, uint64_t *random)
{
    size_t count = (size_t)(ld * shape->local.n) * shape->size + shift + GUARD;
    unsigned char *got = malloc(count), *expected = malloc(count), *before = malloc(count);
    const alchi_kernels_t *kernels[3];
    int kernels_count = list_kernels(kernels);

    model_fill(before, count, random);
    memcpy(expected, before, count);
    for (int64_t j = 0; j < shape->local.n; j++)
        for (int64_t i = 0; i < shape->local.m; i++)
            memcpy(expected + shift + (size_t)(i + j * ld) * shape->size, strided_at(shape, strided->base, i, j),
                   shape->size);
    for (int k = 0; k < kernels_count; k++) {
        memcpy(got, before, count);
        pack_with(kernels[k], shape, strided->base, got + shift, ld);
        ck_assert(memcmp(got, expected, count) == 0);
    }
    free(got);
    free(expected);
    free(before);
}

static void
check_unpack(const alchi_pack_t *shape, buffer_t *strided, int64_t ld, size_t shift, uint64_t *random)
{
    size_t count = (size_t)(ld * shape->local.n) * shape->size + shift;
    unsigned char *packed = malloc(count + 1), *before = malloc(strided->count), *expected = malloc(strided->count);
    const alchi_kernels_t *kernels[3];
    int kernels_count = list_kernels(kernels);

    model_fill(packed, count, random);
    memcpy(before, strided->bytes, strided->count);
    for (int64_t j = 0; j < shape->local.n; j++)
        for (int64_t i = 0; i < shape->local.m; i++)
            memcpy(strided_at(shape, strided->base, i, j), packed + shift + (size_t)(i + j * ld) * shape->size,
                   shape->size);
    memcpy(expected, strided->bytes, strided->count);
    for (int k = 0; k < kernels_count; k++) {
        memcpy(strided->bytes, before, strided->count);
        unpack_with(kernels[k], shape, packed + shift, ld, strided->base);
        ck_assert(memcmp(expected, strided->bytes, strided->count) == 0);
    }
    free(packed);
    free(before);
    free(expected);
}

/* Pick strides: C order, Fortran order, gaps, reversed rows and columns. Entries never overlap. */
static void
pick_strides(alchi_pack_t *shape, const alch_rect_t *rect, uint64_t *random)
{
    int64_t gap = model_pick(random, 1, 3),
            wide = gap * (rect->m > rect->n ? rect->m : rect->n) + model_pick(random, 0, 5);
    bool fortran = model_pick(random, 0, 1) == 0;

    gap = model_pick(random, 0, 1) ? 1 : gap;
    wide = model_pick(random, 0, 1) ? gap * (fortran ? rect->m : rect->n) : wide;
    shape->row_stride = fortran ? gap : wide;
    shape->col_stride = fortran ? wide : gap;
    shape->row_stride *= model_pick(random, 0, 3) == 0 ? -1 : 1;
    shape->col_stride *= model_pick(random, 0, 3) == 0 ? -1 : 1;
}

static void
check_shape(alchi_pack_t *shape, const alch_rect_t *rect, uint64_t *random)
{
    int64_t ld = shape->local.m + (model_pick(random, 0, 1) ? model_pick(random, 1, 9) : 0);
    size_t shift = model_pick(random, 0, 3) ? 0 : (size_t)model_pick(random, 1, 7);
    buffer_t strided;

    pick_strides(shape, rect, random);
    strided = make_buffer(shape, rect, shift, random);
    check_pack(shape, &strided, ld, shift, random);
    check_unpack(shape, &strided, ld, shift, random);
    free(strided.bytes);
    shape->row_stride *= model_pick(random, 0, 1);
    shape->col_stride *= shape->row_stride ? 0 : model_pick(random, 0, 1);
    strided = make_buffer(shape, rect, shift, random);
    check_pack(shape, &strided, ld, shift, random);
    free(strided.bytes);
}

/* Check a random part of the local rectangle that a random rank holds of a random global rectangle. */
static void
check_layout(const alchi_layout_t *layout, uint64_t *random)
{
    static const size_t sizes[] = {4, 8, 16};
    alch_rect_t rect = model_rect(random, layout->m, layout->n), part;
    alchi_pack_t shape = {.i0 = rect.i, .j0 = rect.j, .size = sizes[model_pick(random, 0, 2)]};
    int replica, row, col;

    if (!alchi_layout_place(layout, (int)model_pick(random, 0, layout->workers - 1), &replica, &row, &col))
        return;
    alchi_layout_axes(layout, row, col, &shape.rows, &shape.cols);
    alchi_layout_local_rect(layout, row, col, &rect, &shape.local);
    part = model_rect(random, shape.local.m, shape.local.n);
    shape.local = (alch_rect_t){shape.local.i + part.i, shape.local.j + part.j, part.m, part.n};
    check_shape(&shape, &rect, random);
}

START_TEST(every_layout_is_packed_and_unpacked_exactly)
{
    model_each(check_layout);
}
END_TEST

/* Sides around multiples of SIDE, in C and in Fortran order. There is one rank, so no index is skipped. */
START_TEST(edges_of_blocks_are_packed_exactly)
{
    static const int64_t sides[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 67};
    static const size_t sizes[] = {4, 8, 16};
    uint64_t random = 5;

    for (size_t a = 0; a < sizeof(sides) / sizeof(*sides); a++)
        for (size_t b = 0; b < sizeof(sides) / sizeof(*sides); b++)
            for (size_t k = 0; k < 3; k++) {
                alch_rect_t rect = {0, 0, sides[a], sides[b]};
                alchi_pack_t shape = {{64, 64, 0}, {1, 1, 0}, rect, 0, 0, 0, 0, sizes[k]};

                check_shape(&shape, &rect, &random);
            }
}
END_TEST

/* More rows and columns than a panel has. Blocks end within groups of columns and at their edges. */
START_TEST(edges_of_panels_are_packed_exactly)
{
    static const int64_t blocks[] = {1, 2, 3, 5, 7, 8, 15, 16, 17, 64, 67};
    static const size_t sizes[] = {4, 8, 16};
    uint64_t random = 7;

    for (size_t b = 0; b < sizeof(blocks) / sizeof(*blocks); b++)
        for (size_t k = 0; k < 3; k++) {
            int64_t block = blocks[b], procs = (int64_t)(b + k) % 3 + 1, period = block * procs;
            int64_t tall = b % 2 == 0 ? 530 : 70, wide = b % 2 == 0 ? 37 : 150;
            alch_rect_t rect = {0, 0, tall * procs + 3 * period, wide * procs + 3 * period};
            alch_rect_t local = {model_pick(&random, 0, 2 * block), model_pick(&random, 0, 2 * block), tall, wide};
            alchi_pack_t shape = {{block, period, period - block}, {block, period, 0}, local, 0, 0, 0, 0, sizes[k]};

            check_shape(&shape, &rect, &random);
        }
}
END_TEST

START_TEST(empty_rectangles_access_no_memory)
{
    alchi_pack_t shape = {{2, 4, 0}, {1, 1, 0}, {0, 0, 0, 5}, 0, 0, 1, 1, 8};
    double entry = 1;

    alchi_pack(&shape, NULL, &entry, 1);
    shape.local = (alch_rect_t){3, 0, 5, 0};
    alchi_unpack(&shape, NULL, 5, &entry);
    ck_assert(entry == 1);
}
END_TEST

/* Global indices beyond 2^31, in a source that repeats one row. */
START_TEST(global_indices_beyond_2_31_are_exact)
{
    int64_t far = INT64_C(1) << 40;
    alchi_pack_t shape = {{1, far, 3}, {64, 128, 64}, {5, 2, 3, 4}, 5 * far + 3, 64, 0, 1, 4};
    int32_t row[8] = {10, 11, 12, 13, 14, 15, 16, 17}, packed[12];

    alchi_pack(&shape, row, packed, 3);
    for (int k = 0; k < 12; k++)
        ck_assert_int_eq(packed[k], 12 + k / 3);
}
END_TEST

/* Products of lists that are larger than a panel, in both directions and both orders. Memory between the entries stays
 * unchanged. */
START_TEST(products_of_lists_are_packed_and_unpacked_exactly)
{
    enum { M = ALCHI_PANEL_ROWS + 21, N = ALCHI_PANEL_COLS + 13 };
    size_t size = (size_t)4 << _i / 2, bytes = (size_t)6 * M * N * size;
    bool across = _i % 2;
    int64_t rows[M], cols[N], row_step = across ? 2 * N + 3 : 1, col_step = across ? 1 : 2 * M + 3;
    unsigned char *strided = malloc(bytes), *back = malloc(bytes), *packed = malloc(M * N * size);
    alchi_pack_lists_t product = {(char *)strided, rows, cols, M, N, (char *)packed, size, across};
    uint64_t random = 17;
    int64_t wrong = 0;

    for (int64_t i = 0; i < M; i++)
        rows[i] = (i / 5 * 7 + i % 5) * row_step * (int64_t)size;
    for (int64_t j = 0; j < N; j++)
        cols[j] = (j / 24 * 32 + j % 24) * col_step * (int64_t)size;
    model_fill(strided, bytes, &random);
    alchi_pack_lists(&product);
    memset(back, 0x55, bytes);
    product.strided = (char *)back;
    alchi_unpack_lists(&product);
    for (int64_t j = 0; j < N; j++)
        for (int64_t i = 0; i < M; i++) {
            unsigned char *there = strided + rows[i] + cols[j], *copy = back + rows[i] + cols[j];

            wrong += memcmp(packed + (size_t)(i + j * M) * size, there, size) || memcmp(copy, there, size);
            memset(copy, 0x55, size);
        }
    for (size_t k = 0; k < bytes; k++)
        wrong += back[k] != 0x55;
    ck_assert_int_eq(wrong, 0);
    free(strided);
    free(back);
    free(packed);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("pack");

    tcase_add_test(tcase, empty_rectangles_access_no_memory);
    tcase_add_test(tcase, global_indices_beyond_2_31_are_exact);
    tcase_add_test(tcase, edges_of_blocks_are_packed_exactly);
    tcase_add_test(tcase, edges_of_panels_are_packed_exactly);
    tcase_add_test(tcase, every_layout_is_packed_and_unpacked_exactly);
    tcase_add_loop_test(tcase, products_of_lists_are_packed_and_unpacked_exactly, 0, 6);
    suite_add_tcase(suite, tcase);
}
