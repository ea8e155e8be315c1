/* Layouts are read from text and written as text. */
#include <alchemist/layout.h>
#include "unit.h"
#include <string.h>

START_TEST(invalid_texts_are_refused)
{
    static const char *const texts[] = {"",
                                        " ",
                                        "banana",
                                        "VC",
                                        "VC_",
                                        "VC,",
                                        "VC_STAR_",
                                        "VC STAR",
                                        "VC,STAR,STAR",
                                        "[VC,STAR",
                                        "VC,STAR]",
                                        "VC_STAR x",
                                        "VC_STAR(1,1)",
                                        "VC_VC",
                                        "MC_MC",
                                        "[block_cyclic]",
                                        "[scalapack(1,2)]",
                                        "block_cyclic(",
                                        "block_cyclic()",
                                        "block_cyclic(64)",
                                        "block_cyclic(64,64",
                                        "block_cyclic(64,64,2)",
                                        "block_cyclic(64,64,2,3,4)",
                                        "block_cyclic(64,64,2,3) x",
                                        "block_cyclic(-1,64)",
                                        "block_cyclic(+1,64)",
                                        "block_cyclic(6 4,64)",
                                        "block_cyclic(64,64,2147483648,1)",
                                        "block_cyclic(99999999999999999999,1)",
                                        "block_cyclic(0x10,1)",
                                        "block_cyclic 64,64",
                                        "averyveryverylongnameindeedthatisnotalayout",
                                        "VC_STAR\xc3\xa9"};

    for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++) {
        alch_layout_t layout = {ALCH_MC_MR, 5, 6, 7, 8};
        alch_error_t err;
        int code = alch_layout_parse(texts[k], &layout, &err);

        ck_assert_msg(code == ALCH_EINVAL, "\"%s\" was accepted", texts[k]);
        ck_assert_int_eq(err.code, ALCH_EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "block_cyclic(mb,nb,nprow,npcol)"));
        ck_assert_ptr_nonnull(strstr(err.text, "MC_MR"));
        ck_assert_ptr_nonnull(strstr(err.text, "CIRC_CIRC"));
        ck_assert(layout.dist == ALCH_MC_MR && layout.mb == 5 && layout.npcol == 8);
        unit_code(alch_layout_parse(texts[k], &layout, NULL), ALCH_EINVAL);
    }
    unit_code(alch_layout_parse(NULL, NULL, NULL), ALCH_EINVAL);
}
END_TEST

static void
check_read(const char *text, alch_layout_t expected)
{
    alch_layout_t layout;
    alch_error_t err = {.text = ""};

    ck_assert_msg(alch_layout_parse(text, &layout, &err) == ALCH_OK, "\"%s\": %s", text, err.text);
    ck_assert_int_eq(layout.dist, expected.dist);
    ck_assert_int_eq(layout.mb, expected.mb);
    ck_assert_int_eq(layout.nb, expected.nb);
    ck_assert_int_eq(layout.nprow, expected.nprow);
    ck_assert_int_eq(layout.npcol, expected.npcol);
}

START_TEST(valid_texts_are_read)
{
    check_read("VC_STAR", (alch_layout_t){ALCH_VC_STAR, 0, 0, 0, 0});
    check_read("vc_star", (alch_layout_t){ALCH_VC_STAR, 0, 0, 0, 0});
    check_read("VC,STAR", (alch_layout_t){ALCH_VC_STAR, 0, 0, 0, 0});
    check_read("[VC,STAR]", (alch_layout_t){ALCH_VC_STAR, 0, 0, 0, 0});
    check_read(" [ Vc , Star ] ", (alch_layout_t){ALCH_VC_STAR, 0, 0, 0, 0});
    check_read("block_cyclic", (alch_layout_t)ALCH_LAYOUT_DEFAULT);
    check_read("BLOCK_CYCLIC", (alch_layout_t)ALCH_LAYOUT_DEFAULT);
    check_read("ScaLAPACK", (alch_layout_t)ALCH_LAYOUT_DEFAULT);
    check_read("block_cyclic(32,16)", (alch_layout_t){ALCH_BLOCK_CYCLIC, 32, 16, 0, 0});
    check_read("scalapack ( 32 , 16 , 2 , 3 ) ", (alch_layout_t){ALCH_BLOCK_CYCLIC, 32, 16, 2, 3});
    check_read("block_cyclic(0,0,2,0)", (alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, 2, 0});
}
END_TEST

static void
check_round_trip(alch_layout_t layout, const char *expected)
{
    char text[64];

    ck_assert_ptr_eq(alch_layout_format(&layout, text, sizeof(text)), text);
    if (expected)
        ck_assert_str_eq(text, expected);
    check_read(text, layout);
}

START_TEST(formatted_layouts_are_read_back)
{
    for (int dist = ALCH_MC_MR; dist <= ALCH_CIRC_CIRC; dist++)
        check_round_trip((alch_layout_t){(alch_dist_t)dist, 0, 0, 0, 0}, alch_dist_name((alch_dist_t)dist));
    check_round_trip((alch_layout_t)ALCH_LAYOUT_DEFAULT, "block_cyclic");
    check_round_trip((alch_layout_t){ALCH_BLOCK_CYCLIC, 7, 64, 0, 0}, "block_cyclic(7,64)");
    check_round_trip((alch_layout_t){ALCH_BLOCK_CYCLIC, 7, 64, 2, 3}, "block_cyclic(7,64,2,3)");
    check_round_trip((alch_layout_t){ALCH_BLOCK_CYCLIC, 0, 0, 0, 5}, NULL);
    check_round_trip((alch_layout_t){ALCH_BLOCK_CYCLIC, 1000000000000, 1000000000000, 2147483647, 2147483647}, NULL);
}
END_TEST

START_TEST(long_text_is_cut_to_the_buffer)
{
    alch_layout_t named = {ALCH_STAR_STAR, 1, 1, 1, 1};
    char text[16] = "xxxxxxxxxxxxxxx";

    ck_assert_str_eq(alch_layout_format(&named, text, 5), "STAR");
}
END_TEST

START_TEST(unknown_distribution_is_formatted_as_a_number)
{
    alch_layout_t unknown = {(alch_dist_t)99, 0, 0, 0, 0};
    char text[16];

    ck_assert_str_eq(alch_layout_format(&unknown, text, sizeof(text)), "unknown(99)");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *text = tcase_create("text");

    tcase_add_test(text, invalid_texts_are_refused);
    tcase_add_test(text, valid_texts_are_read);
    tcase_add_test(text, formatted_layouts_are_read_back);
    tcase_add_test(text, long_text_is_cut_to_the_buffer);
    tcase_add_test(text, unknown_distribution_is_formatted_as_a_number);
    suite_add_tcase(suite, text);
}
