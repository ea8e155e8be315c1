/*
 * How fast entries are packed for the workers, beside memcpy of the same bytes.
 *
 * Each row of the table is measured in pairs: the whole matrix packed for every worker, message by
 * message into one buffer as a transfer does it, then memcpy of as many bytes into the same buffer.
 * Prints `name value unit` rows: medians over the pairs, and the ratio's median with its spread.
 */
#include "base/clock.h"
#include "layout/layout.h"
#include "layout/plan.h"
#include "pack/pack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS 15
#define WORKERS 3
#define MESSAGE_BYTES (INT64_C(4) << 20)
#define MATRIX_BYTES (INT64_C(64) << 20)

typedef struct {
    const char *name;
    size_t size;
    int64_t cols;
    bool fortran, unpack;
    alch_layout_t layout;
} case_t;

static const case_t cases[] = {
    {"c_8_default", 8, 784, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_8_default_wide", 8, 4096, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_8_mc_mr", 8, 784, false, false, {ALCH_MC_MR, 0, 0, 0, 0}},
    {"c_8_vc_star", 8, 784, false, false, {ALCH_VC_STAR, 0, 0, 0, 0}},
    {"c_8_star_vc", 8, 784, false, false, {ALCH_STAR_VC, 0, 0, 0, 0}},
    {"c_8_block2", 8, 784, false, false, {ALCH_BLOCK_CYCLIC, 2, 2, 0, 0}},
    {"c_8_block7", 8, 784, false, false, {ALCH_BLOCK_CYCLIC, 7, 7, 0, 0}},
    {"c_4_default", 4, 784, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_4_mc_mr", 4, 784, false, false, {ALCH_MC_MR, 0, 0, 0, 0}},
    {"c_16_default", 16, 784, false, false, ALCH_LAYOUT_DEFAULT},
    {"c_16_mc_mr", 16, 784, false, false, {ALCH_MC_MR, 0, 0, 0, 0}},
    {"f_8_default", 8, 784, true, false, ALCH_LAYOUT_DEFAULT},
    {"f_8_vc_star", 8, 784, true, false, {ALCH_VC_STAR, 0, 0, 0, 0}},
    {"f_8_star_vc", 8, 784, true, false, {ALCH_STAR_VC, 0, 0, 0, 0}},
    {"c_8_default_unpack", 8, 784, false, true, ALCH_LAYOUT_DEFAULT},
    {"c_8_mc_mr_unpack", 8, 784, false, true, {ALCH_MC_MR, 0, 0, 0, 0}},
    {"c_4_default_unpack", 4, 784, false, true, ALCH_LAYOUT_DEFAULT},
    {"c_16_default_unpack", 16, 784, false, true, ALCH_LAYOUT_DEFAULT},
};

static void
move_matrix(const case_t *test, const alchi_layout_t *layout, char *matrix, char *message)
{
    alch_rect_t whole = {0, 0, layout->m, layout->n};
    alchi_pack_t shape = {.size = test->size};
    alchi_plan_t plan;

    shape.row_stride = test->fortran ? 1 : layout->n;
    shape.col_stride = test->fortran ? layout->m : 1;
    alchi_plan_init(&plan, layout, &whole, ALCHI_PLAN_ALL, MESSAGE_BYTES / (int64_t)test->size);
    for (int rank = 0; rank < layout->workers; rank++) {
        alchi_cursor_t cursor;
        alchi_piece_t piece;

        alchi_cursor_init(&cursor, &plan, rank);
        while (alchi_cursor_next(&cursor, &piece)) {
            shape.rows = piece.rows;
            shape.cols = piece.cols;
            shape.local = piece.local;
            if (test->unpack)
                alchi_unpack(&shape, message, piece.local.m, matrix);
            else
                alchi_pack(&shape, matrix, message, piece.local.m);
        }
    }
}

static void
copy_matrix(const case_t *test, int64_t bytes, char *matrix, char *message)
{
    for (int64_t at = 0; at < bytes; at += MESSAGE_BYTES) {
        size_t count = (size_t)(bytes - at < MESSAGE_BYTES ? bytes - at : MESSAGE_BYTES);

        if (test->unpack)
            memcpy(matrix + at, message, count);
        else
            memcpy(message, matrix + at, count);
        __asm__ volatile("" : : "r"(message), "r"(matrix) : "memory");
    }
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
seconds_since(int64_t start)
{
    return (double)(alchi_now_ns() - start) * 1e-9;
}

static int
run_case(const case_t *test, char *matrix, char *message)
{
    double pack[PAIRS], copy[PAIRS], ratio[PAIRS];
    int64_t rows = MATRIX_BYTES / (test->cols * (int64_t)test->size);
    int64_t bytes = rows * test->cols * (int64_t)test->size;
    alchi_layout_t layout;

    if (alchi_layout_init(&layout, rows, test->cols, WORKERS, &test->layout, NULL))
        return EXIT_FAILURE;
    move_matrix(test, &layout, matrix, message);
    for (int k = 0; k < PAIRS; k++) {
        int64_t start = alchi_now_ns();

        move_matrix(test, &layout, matrix, message);
        pack[k] = (double)bytes * 1e-9 / seconds_since(start);
        start = alchi_now_ns();
        copy_matrix(test, bytes, matrix, message);
        copy[k] = (double)bytes * 1e-9 / seconds_since(start);
        ratio[k] = pack[k] / copy[k];
    }
    qsort(pack, PAIRS, sizeof *pack, compare);
    qsort(copy, PAIRS, sizeof *copy, compare);
    qsort(ratio, PAIRS, sizeof *ratio, compare);
    printf("pack_%s %.2f GB/s\n", test->name, pack[PAIRS / 2]);
    printf("pack_%s_memcpy %.2f GB/s\n", test->name, copy[PAIRS / 2]);
    printf("pack_%s_ratio %.2f memcpy (%.2f..%.2f)\n", test->name, ratio[PAIRS / 2], ratio[0], ratio[PAIRS - 1]);
    alchi_layout_fini(&layout);
    return EXIT_SUCCESS;
}

int
main(void)
{
    char *matrix = malloc(MATRIX_BYTES), *message = malloc(MESSAGE_BYTES);
    int status = matrix && message ? EXIT_SUCCESS : EXIT_FAILURE;

    if (status == EXIT_SUCCESS) {
        memset(matrix, 1, MATRIX_BYTES);
        memset(message, 1, MESSAGE_BYTES);
    }
    for (size_t k = 0; status == EXIT_SUCCESS && k < sizeof cases / sizeof *cases; k++)
        status = run_case(&cases[k], matrix, message);
    free(matrix);
    free(message);
    return status;
}
