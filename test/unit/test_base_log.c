/* Log lines. */
#include "unit.h"
#include "base/log.h"

#include <alchemist/error.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char shown[65536];
static int original, ends[2];

/* Send standard error into a pipe, which has room for all that one test writes. */
static void
capture_stderr(void)
{
    ck_assert_int_eq(pipe(ends), 0);
    original = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
}

/* Restore standard error, and return what was written to it since capture_stderr(). */
static const char *
end_capture(void)
{
    ssize_t n;

    dup2(original, STDERR_FILENO);
    close(original);
    close(ends[1]);
    n = read(ends[0], shown, sizeof(shown) - 1);
    close(ends[0]);
    shown[n < 0 ? 0 : n] = '\0';
    return shown;
}

static void
assert_matches(const char *text, const char *pattern)
{
    regex_t regex;

    ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(!regexec(&regex, text, 0, NULL, 0), "'%s' does not match '%s'", text, pattern);
    regfree(&regex);
}

#define STAMP "\\[[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}\\]"

START_TEST(level_names_are_parsed)
{
    ck_assert_int_eq(alchi_log_level_parse("error"), ALCHI_LOG_ERROR);
    ck_assert_int_eq(alchi_log_level_parse("warning"), ALCHI_LOG_WARNING);
    ck_assert_int_eq(alchi_log_level_parse("info"), ALCHI_LOG_INFO);
    ck_assert_int_eq(alchi_log_level_parse("debug"), ALCHI_LOG_DEBUG);
    ck_assert_int_eq(alchi_log_level_parse("Info"), -1);
    ck_assert_int_eq(alchi_log_level_parse(""), -1);
    ck_assert_int_eq(alchi_log_level_parse(NULL), -1);
}
END_TEST

START_TEST(a_line_has_time_name_and_level)
{
    capture_stderr();
    alchi_log_init("driver", ALCHI_LOG_INFO);
    alchi_log(ALCHI_LOG_INFO, "session %d opened", 3);
    assert_matches(end_capture(), "^" STAMP " \\[driver\\] \\[info\\] session 3 opened\n$");
}
END_TEST

START_TEST(lines_below_the_level_are_dropped)
{
    capture_stderr();
    alchi_log_init("driver", ALCHI_LOG_WARNING);
    alchi_log(ALCHI_LOG_DEBUG, "a");
    alchi_log(ALCHI_LOG_INFO, "b");
    alchi_log(ALCHI_LOG_WARNING, "c");
    alchi_log(ALCHI_LOG_ERROR, "d");
    alchi_log((alchi_log_level_t)9, "e");
    assert_matches(end_capture(), "^[^\n]*\\[warning\\] c\n[^\n]*\\[error\\] d\n$");
}
END_TEST

START_TEST(plain_lines_and_output_are_marked)
{
    capture_stderr();
    alchi_log_init("driver", ALCHI_LOG_INFO);
    alchi_log_plain("| %s |", "table");
    alchi_log_output("worker-002", "hello\n");
    assert_matches(end_capture(), "^\\| table \\|\n" STAMP " \\[worker-002\\] \\[output\\] hello\n$");
}
END_TEST

/* A rank logs to the pipe that the agent reads. */
START_TEST(logged_lines_of_a_rank_keep_their_head)
{
    const char *own = "[2026-11-22 18:50:01.123] [worker-002] [warning] disk [3] is full";
    const char *foreign = "[2026-11-22 18:50:01.123] [driver] [info] forged";

    capture_stderr();
    alchi_log_init("driver", ALCHI_LOG_ERROR);
    alchi_log_output("worker-002", own);
    ck_assert_str_eq(end_capture(), "[2026-11-22 18:50:01.123] [worker-002] [warning] disk [3] is full\n");
    for (size_t length = 0; length < 49; length++) {
        char cut[64];

        snprintf(cut, sizeof(cut), "%.*s", (int)length, own);
        capture_stderr();
        alchi_log_output("worker-002", cut);
        assert_matches(end_capture(), "^" STAMP " \\[worker-002\\] \\[output\\] ");
    }
    capture_stderr();
    alchi_log_output("worker-002", foreign);
    assert_matches(end_capture(), "^" STAMP " \\[worker-002\\] \\[output\\] \\[2026.*forged\n$");
}
END_TEST

START_TEST(text_cannot_forge_a_line)
{
    capture_stderr();
    alchi_log_init("driver", ALCHI_LOG_INFO);
    alchi_log(ALCHI_LOG_INFO, "name '%s'", "x\n[2026] [driver] [info] forged\033[31m\r\x7f\tend\xff");
    ck_assert_str_eq(strstr(end_capture(), "name"), "name 'x\n    | [2026] [driver] [info] forged?[31m??\tend?'\n");
}
END_TEST

START_TEST(long_lines_are_truncated)
{
    static char text[20000];
    size_t length;

    memset(text, 'x', sizeof(text) - 1);
    capture_stderr();
    alchi_log(ALCHI_LOG_INFO, "%s", text);
    alchi_log_plain("%s", text);
    alchi_log_output("w", text);
    alchi_log(ALCHI_LOG_INFO, "next");
    end_capture();
    length = strlen(shown);
    ck_assert_uint_lt(length, 3 * 8192 + 200);
    ck_assert_uint_gt(length, 3 * 7000);
    assert_matches(shown, "x\n[^\n]*\\[info\\] next\n$");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("log");

    tcase_add_test(tcase, level_names_are_parsed);
    tcase_add_test(tcase, a_line_has_time_name_and_level);
    tcase_add_test(tcase, lines_below_the_level_are_dropped);
    tcase_add_test(tcase, plain_lines_and_output_are_marked);
    tcase_add_test(tcase, logged_lines_of_a_rank_keep_their_head);
    tcase_add_test(tcase, text_cannot_forge_a_line);
    tcase_add_test(tcase, long_lines_are_truncated);
    suite_add_tcase(suite, tcase);
}
