/* Output of ranks, split into lines; and the text that says how a rank ended. */
#include "unit.h"

#include "agent/lines.h"
#include "wire/exit_text.h"

#include <stdio.h>
#include <string.h>

static alchi_agent_lines_t lines;
static char emitted[16384]; /* all lines so far, a "|" after each */

static void
setup(void)
{
    alchi_agent_lines_init(&lines);
    emitted[0] = '\0';
}

static void
teardown(void)
{
    alchi_agent_lines_fini(&lines);
}

static void
append_line(void *context, const char *line)
{
    size_t length = strlen(emitted);

    ck_assert_ptr_eq(context, &lines);
    snprintf(emitted + length, sizeof(emitted) - length, "%s|", line);
}

static void
feed(const char *text)
{
    alchi_agent_lines_feed(&lines, text, strlen(text), append_line, &lines);
}

START_TEST(output_in_pieces_is_split_at_newlines)
{
    feed("");
    ck_assert_str_eq(emitted, "");
    feed("one\ntwo\r\n\nthr");
    ck_assert_str_eq(emitted, "one|two||");
    feed("ee");
    feed("\n");
    ck_assert_str_eq(emitted, "one|two||three|");
}
END_TEST

START_TEST(an_unfinished_line_is_emitted_once_at_the_end)
{
    feed("last");
    ck_assert_str_eq(emitted, "");
    alchi_agent_lines_flush(&lines, append_line, &lines);
    alchi_agent_lines_flush(&lines, append_line, &lines);
    ck_assert_str_eq(emitted, "last|");
}
END_TEST

START_TEST(control_characters_and_invalid_utf8_are_replaced)
{
    feed("a\tb\x1b[31mred\x07 caf\xc3\xa9 \xff\xc3\n");
    ck_assert_str_eq(emitted, "a b?[31mred? caf\xc3\xa9 ??|");
    emitted[0] = '\0';
    alchi_agent_lines_feed(&lines, "nul\0nul\n", 8, append_line, &lines);
    ck_assert_str_eq(emitted, "nul?nul|");
}
END_TEST

START_TEST(a_long_line_is_split_into_lines_of_the_maximal_length)
{
    static char text[3 * ALCHI_AGENT_LINE_MAX + 2];

    memset(text, 'x', sizeof(text));
    text[2 * ALCHI_AGENT_LINE_MAX] = '\n';
    text[2 * ALCHI_AGENT_LINE_MAX + 1] = 'y';
    text[2 * ALCHI_AGENT_LINE_MAX + 2] = '\n';
    alchi_agent_lines_feed(&lines, text, 2 * ALCHI_AGENT_LINE_MAX + 3, append_line, &lines);
    ck_assert_uint_eq(strlen(emitted), 2 * (ALCHI_AGENT_LINE_MAX + 1) + 2);
    ck_assert_str_eq(emitted + 2 * (ALCHI_AGENT_LINE_MAX + 1), "y|");
}
END_TEST

START_TEST(a_newline_after_a_full_line_ends_no_empty_line)
{
    static char text[ALCHI_AGENT_LINE_MAX];

    memset(text, 'x', sizeof(text));
    alchi_agent_lines_feed(&lines, text, sizeof(text), append_line, &lines);
    ck_assert_str_eq(emitted, "");
    feed("\n");
    ck_assert_uint_eq(strlen(emitted), ALCHI_AGENT_LINE_MAX + 1);
    alchi_agent_lines_feed(&lines, text, sizeof(text), append_line, &lines);
    feed("y\n");
    ck_assert_uint_eq(strlen(emitted), 2 * (ALCHI_AGENT_LINE_MAX + 1) + 2);
}
END_TEST

START_TEST(the_last_lines_are_kept_in_order)
{
    char *last[ALCHI_AGENT_LINES_KEPT], text[32];

    ck_assert_uint_eq(alchi_agent_lines_last(&lines, last), 0);
    feed("0\n1\n");
    ck_assert_uint_eq(alchi_agent_lines_last(&lines, last), 2);
    ck_assert_str_eq(last[0], "0");
    ck_assert_str_eq(last[1], "1");
    for (int i = 2; i < 47; i++) {
        snprintf(text, sizeof(text), "%d\n", i);
        feed(text);
    }
    ck_assert_uint_eq(alchi_agent_lines_last(&lines, last), ALCHI_AGENT_LINES_KEPT);
    ck_assert_str_eq(last[0], "27");
    ck_assert_str_eq(last[ALCHI_AGENT_LINES_KEPT - 1], "46");
}
END_TEST

/* ---- how a rank ended ---- */

static char text[128];

START_TEST(exit_text_names_the_exit_code)
{
    Alchw__RankExit rank_exit = ALCHW__RANK_EXIT__INIT;

    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "exited with code 0");
    rank_exit.exit_code = 3;
    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "exited with code 3");
}
END_TEST

START_TEST(exit_text_prefers_the_signal_to_the_exit_code)
{
    Alchw__RankExit rank_exit = ALCHW__RANK_EXIT__INIT;

    rank_exit.exit_code = 3;
    rank_exit.signal = 9;
    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "was killed by signal 9 (Killed)");
}
END_TEST

START_TEST(exit_text_prefers_mpi_abort_to_the_signal)
{
    Alchw__RankExit rank_exit = ALCHW__RANK_EXIT__INIT;

    rank_exit.signal = 9;
    rank_exit.aborted = 1;
    rank_exit.abort_code = 7;
    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "exited with code 7 through MPI_Abort");
}
END_TEST

START_TEST(exit_text_prefers_the_agents_reason_and_fits_into_the_buffer)
{
    Alchw__RankExit rank_exit = ALCHW__RANK_EXIT__INIT;
    char small[8];

    rank_exit.aborted = 1;
    rank_exit.text = "could not be started: no memory";
    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "could not be started: no memory");
    ck_assert_str_eq(alchi_exit_text(&rank_exit, small, sizeof(small)), "could n");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("lines");

    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, output_in_pieces_is_split_at_newlines);
    tcase_add_test(test, an_unfinished_line_is_emitted_once_at_the_end);
    tcase_add_test(test, control_characters_and_invalid_utf8_are_replaced);
    tcase_add_test(test, a_long_line_is_split_into_lines_of_the_maximal_length);
    tcase_add_test(test, a_newline_after_a_full_line_ends_no_empty_line);
    tcase_add_test(test, the_last_lines_are_kept_in_order);
    tcase_add_test(test, exit_text_names_the_exit_code);
    tcase_add_test(test, exit_text_prefers_the_signal_to_the_exit_code);
    tcase_add_test(test, exit_text_prefers_mpi_abort_to_the_signal);
    tcase_add_test(test, exit_text_prefers_the_agents_reason_and_fits_into_the_buffer);
    suite_add_tcase(suite, test);
}
