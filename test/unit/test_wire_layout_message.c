/* Layouts, axes and rectangles in messages. */
#include "unit.h"
#include "wire/layout_message.h"

START_TEST(layouts_round_trip)
{
    alch_layout_t layout = {ALCH_MC_MR, 1, 2, 3, 4}, back;
    Alchw__Layout message;

    alchi_wire_layout_out(&layout, &message);
    back = alchi_wire_layout_in(&message);
    ck_assert(back.dist == ALCH_MC_MR && back.mb == 1 && back.nb == 2 && back.nprow == 3 && back.npcol == 4);
    back = alchi_wire_layout_in(NULL);
    ck_assert(back.dist == ALCH_BLOCK_CYCLIC && back.mb == 0 && back.nprow == 0);
}
END_TEST

/* No invalid value of a message becomes a valid one of a layout. */
START_TEST(invalid_layouts_stay_invalid)
{
    Alchw__Layout message = ALCHW__LAYOUT__INIT;
    alch_layout_t back;

    message.dist = message.nprow = message.npcol = UINT32_MAX;
    back = alchi_wire_layout_in(&message);
    ck_assert(back.dist == (alch_dist_t)INT32_MAX && back.nprow == INT32_MAX && back.npcol == INT32_MAX);
}
END_TEST

START_TEST(axes_round_trip)
{
    Alchw__Axes message;

    alchi_wire_axes_out((int64_t[]){1, 2, 3}, (int64_t[]){4, 5, 6}, &message);
    ck_assert(message.has_row_block && message.has_row_period && message.has_row_first);
    ck_assert(message.has_col_block && message.has_col_period && message.has_col_first);
    ck_assert(message.row_block == 1 && message.row_period == 2 && message.row_first == 3);
    ck_assert(message.col_block == 4 && message.col_period == 5 && message.col_first == 6);
}
END_TEST

START_TEST(rectangles_round_trip)
{
    alch_rect_t rect = {1, 2, 3, 4}, back;
    Alchw__Rect message;

    alchi_wire_rect_out(&rect, &message);
    ck_assert(message.has_i && message.has_j && message.has_m && message.has_n);
    ck_assert(message.i == 1 && message.j == 2 && message.m == 3 && message.n == 4);
    back = alchi_wire_rect_in(&message);
    ck_assert(back.i == 1 && back.j == 2 && back.m == 3 && back.n == 4);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("layout");

    tcase_add_test(tcase, layouts_round_trip);
    tcase_add_test(tcase, invalid_layouts_stay_invalid);
    tcase_add_test(tcase, axes_round_trip);
    tcase_add_test(tcase, rectangles_round_trip);
    suite_add_tcase(suite, tcase);
}
