/* Products of index sets: side a gets a stream, which is split anywhere, and side b puts it into its own storage. */
#include "pack/product.h"
#include "layout_model.h"
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

/* Fill an entry with bytes that depend on its global indices. */
static void
mark_entry(uint8_t *bytes, size_t entry, int64_t i, int64_t j)
{
    for (size_t k = 0; k < entry; k++)
        bytes[k] = (uint8_t)(1 + (i * 31 + j * 7 + (int64_t)k * 3) % 254);
}

/* @return the storage of a side; if `filled`, every entry that it holds is marked */
static uint8_t *
make_storage(const alchi_axis_t *rows, const alchi_axis_t *cols, size_t entry, bool filled)
{
    uint8_t *data = calloc(SIDE * SIDE, entry), bytes[16];

    for (int64_t j = 0; filled && j < SIDE; j++)
        for (int64_t i = 0; i < SIDE; i++)
            if (model_holds(rows, i) && model_holds(cols, j)) {
                mark_entry(bytes, entry, i, j);
                memcpy(data + (size_t)(alchi_axis_local(rows, i) + alchi_axis_local(cols, j) * SIDE) * entry, bytes,
                       entry);
            }
    return data;
}

/* Check that the entries of the product have arrived and that all others are still 0. */
static void
check_storage(const alchi_product_t *product, const alchi_axis_t *rows, const alchi_axis_t *cols, const uint8_t *data)
{
    uint8_t *expected = calloc(SIDE * SIDE, product->entry);
    const alchi_intersect_t *r = &product->rows, *c = &product->cols;

    for (int64_t j = c->begin; j < c->end; j++)
        for (int64_t i = r->begin; i < r->end; i++)
            if (model_holds(&r->a, i) && model_holds(&r->b, i) && model_holds(&c->a, j) && model_holds(&c->b, j))
                mark_entry(expected +
                               (size_t)(alchi_axis_local(rows, i) + alchi_axis_local(cols, j) * SIDE) * product->entry,
                           product->entry, i, j);
    ck_assert_mem_eq(data, expected, SIDE * SIDE * product->entry);
    free(expected);
}

/* Copy a whole stream of `bytes` bytes, in random portions. */
static void
copy_stream(alchi_product_t *from, alchi_product_t *to, size_t bytes)
{
    uint8_t *stream = malloc(bytes + 16);
    size_t run;

    for (size_t at = 0, size; at < bytes; at += size) {
        size = (size_t)pick(1, 700);
        size = size < bytes - at ? size : bytes - at;
        if (pick(0, 3))
            alchi_product_get(from, stream + at, size);
        else {
            const uint8_t *from_storage = alchi_product_next_bytes(from, size, &size);

            ck_assert_ptr_nonnull(from_storage);
            memcpy(stream + at, from_storage, size);
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
check_exchange(size_t entry)
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
    copy_stream(&from, &to, (size_t)(alchi_intersect_count(&rows) * alchi_intersect_count(&cols)) * entry);
    check_storage(&to, &b_rows, &b_cols, b);
    free(a);
    free(b);
}

START_TEST(stream_split_anywhere_arrives_unchanged)
{
    static const size_t entries[] = {4, 8, 16};

    srand(20261122);
    for (int k = 0; k < 1500; k++)
        check_exchange(entries[k % 3]);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("product");

    tcase_add_test(tcase, stream_split_anywhere_arrives_unchanged);
    suite_add_tcase(suite, tcase);
}
