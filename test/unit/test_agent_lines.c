/* Output of ranks cut into lines. */
#include "unit.h"

#include "wire/exit_text.h"
#include "agent/lines.h"

#include <stdio.h>
#include <string.h>

static alchi_agent_lines_t lines;
static char seen[16384];

static void
setup(void)
{
    alchi_agent_lines_init(&lines);
    seen[0] = '\0';
}

static void
teardown(void)
{
    alchi_agent_lines_fini(&lines);
}

static void
see(void *context, const char *line)
{
    size_t length = strlen(seen);

    ck_assert_ptr_eq(context, &lines);
    snprintf(seen + length, sizeof(seen) - length, "%s|", line);
}

static void
feed(const char *text)
{
    alchi_agent_lines_feed(&lines, text, strlen(text), see, &lines);
}

START_TEST(test_cut)
{
    feed("");
    ck_assert_str_eq(seen, "");
    feed("one\ntwo\r\n\nthr");
    ck_assert_str_eq(seen, "one|two||");
    feed("ee");
    feed("\n");
    ck_assert_str_eq(seen, "one|two||three|");
    feed("last");
    alchi_agent_lines_flush(&lines, see, &lines);
    alchi_agent_lines_flush(&lines, see, &lines);
    ck_assert_str_eq(seen, "one|two||three|last|");
}
END_TEST

/* Neither a terminal nor a message gets what it could not bear. */
START_TEST(test_clean)
{
    feed("a\tb\x1b[31mred\x07 caf\xc3\xa9 \xff\xc3\n");
    ck_assert_str_eq(seen, "a b?[31mred? caf\xc3\xa9 ??|");
    seen[0] = '\0';
    alchi_agent_lines_feed(&lines, "nul\0nul\n", 8, see, &lines);
    ck_assert_str_eq(seen, "nul?nul|");
}
END_TEST

START_TEST(test_long)
{
    static char text[3 * ALCHI_AGENT_LINE_MAX + 2];

    memset(text, 'x', sizeof(text));
    text[2 * ALCHI_AGENT_LINE_MAX] = '\n';
    text[2 * ALCHI_AGENT_LINE_MAX + 1] = 'y';
    text[2 * ALCHI_AGENT_LINE_MAX + 2] = '\n';
    alchi_agent_lines_feed(&lines, text, 2 * ALCHI_AGENT_LINE_MAX + 3, see, &lines);
    ck_assert_uint_eq(strlen(seen), 2 * (ALCHI_AGENT_LINE_MAX + 1) + 2);
    ck_assert_str_eq(seen + 2 * (ALCHI_AGENT_LINE_MAX + 1), "y|");
}
END_TEST

START_TEST(test_long_in_pieces)
{
    static char text[ALCHI_AGENT_LINE_MAX];

    memset(text, 'x', sizeof(text));
    alchi_agent_lines_feed(&lines, text, sizeof(text), see, &lines);
    ck_assert_str_eq(seen, "");
    feed("\n");
    ck_assert_uint_eq(strlen(seen), ALCHI_AGENT_LINE_MAX + 1);
    alchi_agent_lines_feed(&lines, text, sizeof(text), see, &lines);
    feed("y\n");
    ck_assert_uint_eq(strlen(seen), 2 * (ALCHI_AGENT_LINE_MAX + 1) + 2);
}
END_TEST

START_TEST(test_last)
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

START_TEST(test_exit_text)
{
    Alchw__RankExit rank_exit = ALCHW__RANK_EXIT__INIT;
    char text[128], small[8];

    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "exited with code 0");
    rank_exit.exit_code = 3;
    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "exited with code 3");
    rank_exit.signal = 9;
    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "was killed by signal 9 (Killed)");
    rank_exit.aborted = 1;
    rank_exit.abort_code = 7;
    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "exited with code 7 through MPI_Abort");
    rank_exit.text = "could not be started: no room";
    ck_assert_str_eq(alchi_exit_text(&rank_exit, text, sizeof(text)), "could not be started: no room");
    ck_assert_str_eq(alchi_exit_text(&rank_exit, small, sizeof(small)), "could n");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("lines");

    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, test_cut);
    tcase_add_test(test, test_clean);
    tcase_add_test(test, test_long);
    tcase_add_test(test, test_long_in_pieces);
    tcase_add_test(test, test_last);
    tcase_add_test(test, test_exit_text);
    suite_add_tcase(suite, test);
}
