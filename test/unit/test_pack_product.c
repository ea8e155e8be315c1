/* Periodic rows in periodic columns: what one side gets out, cut anywhere, the other puts where it belongs. */
#include "pack/product.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define SIDE 90

static int64_t
pick(int64_t lo, int64_t hi)
{
    return lo + rand() % (hi - lo + 1);
}

static alchi_axis_t
random_axis(void)
{
    static const int64_t blocks[] = {1, 1, 2, 5, 8, 64};
    int64_t block = blocks[pick(0, 5)], procs = pick(1, 4);

    return (alchi_axis_t){block, block * procs, block * pick(0, procs - 1)};
}

static bool
holds(const alchi_axis_t *axis, int64_t index)
{
    return index >= axis->first && (index - axis->first) % axis->period < axis->block;
}

/* An entry is known by its global place, in every of its bytes. */
static void
mark(uint8_t *bytes, size_t entry, int64_t i, int64_t j)
{
    for (size_t k = 0; k < entry; k++)
        bytes[k] = (uint8_t)(1 + (i * 31 + j * 7 + (int64_t)k * 3) % 254);
}

/* The storage of a side, with every entry that it holds marked, or empty. */
static uint8_t *
make_storage(const alchi_axis_t *rows, const alchi_axis_t *cols, size_t entry, bool filled)
{
    uint8_t *data = calloc(SIDE * SIDE, entry), bytes[16];

    for (int64_t j = 0; filled && j < SIDE; j++)
        for (int64_t i = 0; i < SIDE; i++)
            if (holds(rows, i) && holds(cols, j)) {
                mark(bytes, entry, i, j);
                memcpy(data + (size_t)(alchi_axis_local(rows, i) + alchi_axis_local(cols, j) * SIDE) * entry, bytes,
                       entry);
            }
    return data;
}

/* Common entries within the bounds are there, all others are as empty as before. */
static void
check_storage(const alchi_product_t *cross, const alchi_axis_t *rows, const alchi_axis_t *cols, const uint8_t *data)
{
    uint8_t *expected = calloc(SIDE * SIDE, cross->entry);
    const alchi_intersect_t *r = &cross->rows, *c = &cross->cols;

    for (int64_t j = c->begin; j < c->end; j++)
        for (int64_t i = r->begin; i < r->end; i++)
            if (holds(&r->a, i) && holds(&r->b, i) && holds(&c->a, j) && holds(&c->b, j))
                mark(expected + (size_t)(alchi_axis_local(rows, i) + alchi_axis_local(cols, j) * SIDE) * cross->entry,
                     cross->entry, i, j);
    ck_assert_mem_eq(data, expected, SIDE * SIDE * cross->entry);
    free(expected);
}

static void
pump(alchi_product_t *from, alchi_product_t *to, size_t bytes)
{
    uint8_t *stream = malloc(bytes + 16);
    size_t run;

    for (size_t at = 0, size; at < bytes; at += size) {
        size = (size_t)pick(1, 700);
        size = size < bytes - at ? size : bytes - at;
        if (pick(0, 3))
            alchi_product_get(from, stream + at, size);
        else {
            const uint8_t *here = alchi_product_next_bytes(from, size, &size);

            ck_assert_ptr_nonnull(here);
            memcpy(stream + at, here, size);
        }
    }
    ck_assert_ptr_null(alchi_product_next_bytes(from, 1, &run));
    for (size_t at = 0, size; at < bytes; at += size) {
        size = (size_t)pick(1, 700);
        size = size < bytes - at ? size : bytes - at;
        alchi_product_put(to, stream + at, size);
    }
    alchi_product_put(to, stream, 16);
    free(stream);
}

static void
exchange(size_t entry)
{
    alchi_axis_t a_rows = random_axis(), a_cols = random_axis(), b_rows = random_axis(), b_cols = random_axis();
    int64_t i = pick(0, SIDE - 1), j = pick(0, SIDE - 1);
    uint8_t *a = make_storage(&a_rows, &a_cols, entry, true), *b = make_storage(&b_rows, &b_cols, entry, false);
    alchi_intersect_t rows, cols;
    alchi_product_t from, to;

    alchi_intersect_init(&rows, &a_rows, &b_rows, i, pick(i, SIDE));
    alchi_intersect_init(&cols, &a_cols, &b_cols, j, pick(j, SIDE));
    alchi_product_init(&from, &rows, &cols, ALCHI_PRODUCT_SIDE_A, a, SIDE, entry);
    alchi_product_init(&to, &rows, &cols, ALCHI_PRODUCT_SIDE_B, b, SIDE, entry);
    pump(&from, &to, (size_t)(alchi_intersect_count(&rows) * alchi_intersect_count(&cols)) * entry);
    check_storage(&to, &b_rows, &b_cols, b);
    free(a);
    free(b);
}

START_TEST(there_and_back)
{
    static const size_t entries[] = {4, 8, 16};

    srand(20261122);
    for (int k = 0; k < 1500; k++)
        exchange(entries[k % 3]);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("cross");

    tcase_add_test(tcase, there_and_back);
    suite_add_tcase(suite, tcase);
}
