/* Options from a table. */
#include "unit.h"
#include "base/option.h"
#include "base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    bool insecure, help;
    int64_t workers, memory_limit, grace;
    const char *bind, *file;
    alchi_text_list_t plugin_dir, tags;
} options_t;

#define AT(member) offsetof(options_t, member)

static const alchi_option_t table[] = {
    {"workers", ALCHI_OPTION_INT, "N", "3", NULL, "Worker slots of this host.", AT(workers), 1, 4096},
    {"grace", ALCHI_OPTION_INT, "MS", "-5", "ms", "Time.", AT(grace), -10, 10},
    {"memory-limit", ALCHI_OPTION_BYTES, "BYTES", "256M", NULL, "Memory of a worker.", AT(memory_limit), 1024,
     INT64_C(1) << 40},
    {"bind", ALCHI_OPTION_TEXT, "ADDR", "127.0.0.1", NULL, "Address to listen at.", AT(bind), 0, 0},
    {"file", ALCHI_OPTION_TEXT, "F", NULL, NULL, "A file.", AT(file), 0, 0},
    {"plugin-dir", ALCHI_OPTION_LIST, "DIR", NULL, NULL, "Directory of libraries.", AT(plugin_dir), 0, 0},
    {"tags", ALCHI_OPTION_LIST, "TAG", "x:y", NULL, "Tags.", AT(tags), 0, 0},
    {"insecure", ALCHI_OPTION_FLAG, NULL, NULL, NULL, "Allow it.", AT(insecure), 0, 0},
    {"help", ALCHI_OPTION_FLAG, NULL, NULL, NULL, "Show this.", AT(help), 0, 0},
};

static options_t options;
static alch_error_t err;

/* Parse a command line whose arguments are separated by one space. */
static int
parse(const char *line)
{
    static char text[1000];
    char *argv[32] = {"program"}, *at = text;
    int argc = 1;

    snprintf(text, sizeof(text), "%s", line);
    while (*at) {
        argv[argc++] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    memset(&options, 0x55, sizeof(options));
    return alchi_options_parse(table, ALCHI_COUNT(table), argc, argv, &options, &err);
}

static void
free_options(void)
{
    alchi_options_fini(table, ALCHI_COUNT(table), &options);
}

START_TEST(defaults_are_set)
{
    unit_code(parse(""), ALCH_OK);
    ck_assert_int_eq(options.workers, 3);
    ck_assert_int_eq(options.grace, -5);
    ck_assert_int_eq(options.memory_limit, 256 << 20);
    ck_assert_str_eq(options.bind, "127.0.0.1");
    ck_assert_ptr_null(options.file);
    ck_assert_uint_eq(options.plugin_dir.count, 0);
    ck_assert_uint_eq(options.tags.count, 2);
    ck_assert_str_eq(options.tags.items[1], "y");
    ck_assert(!options.insecure && !options.help);
    free_options();
    ck_assert_uint_eq(options.tags.count, 0);
    free_options();
}
END_TEST

static const struct {
    const char *line, *text;
} refused[] = {
    {"--workers abc", "--workers: 'abc' is not a number between 1 and 4096"},
    {"--workers 0", "--workers: '0' is not a number between 1 and 4096"},
    {"--workers 4097", "--workers: '4097' is not a number between 1 and 4096"},
    {"--workers=", "--workers: '' is not a number between 1 and 4096"},
    {"--workers 3x", "--workers: '3x' is not a number between 1 and 4096"},
    {"--workers=--bind", "--workers: '--bind' is not a number between 1 and 4096"},
    {"--workers", "--workers needs a value (N)"},
    {"--memory-limit 1X", "--memory-limit: '1X' is not a number of bytes between 1K and 1T (suffixes K, M, G, T are "
                          "powers of 1024)"},
    {"--memory-limit 2T", "--memory-limit: '2T' is not a number of bytes between 1K and 1T (suffixes K, M, G, T are "
                          "powers of 1024)"},
    {"--memory-limit 99999999999T", "--memory-limit: '99999999999T' is not a number of bytes between 1K and 1T "
                                    "(suffixes K, M, G, T are powers of 1024)"},
    {"--memory-limit K", "--memory-limit: 'K' is not a number of bytes between 1K and 1T (suffixes K, M, G, T are "
                         "powers of 1024)"},
    {"--insecure=1", "--insecure takes no value, but got '1'"},
    {"--wrokers 3", "--wrokers is not an option (see --help)"},
    {"--worker=3", "--worker is not an option (see --help)"},
    {"--=3", "-- is not an option (see --help)"},
    {"-h", "'-h' is not an option (see --help)"},
    {"file", "'file' is not an option (see --help)"},
    {"--tags a --workers 9999", "--workers: '9999' is not a number between 1 and 4096"},
};

START_TEST(refusals_name_option_value_and_limits)
{
    unit_code(parse(refused[_i].line), ALCH_EINVAL);
    ck_assert_int_eq(err.code, ALCH_EINVAL);
    ck_assert_str_eq(err.text, refused[_i].text);
    ck_assert_uint_eq(options.tags.count, 0);
}
END_TEST

START_TEST(a_value_follows_a_space_or_an_equals_sign)
{
    unit_code(parse("--workers 7 --memory-limit=2G --bind=a=b --insecure --grace -10 --file --help"), ALCH_OK);
    ck_assert_int_eq(options.workers, 7);
    ck_assert_int_eq(options.memory_limit, INT64_C(2) << 30);
    ck_assert_str_eq(options.bind, "a=b");
    ck_assert_int_eq(options.grace, -10);
    ck_assert(options.insecure);
    ck_assert_str_eq(options.file, "--help");
    ck_assert(!options.help);
    free_options();
    unit_code(parse("--workers 7 --workers 8 --bind="), ALCH_OK);
    ck_assert_int_eq(options.workers, 8);
    ck_assert_str_eq(options.bind, "");
    free_options();
}
END_TEST

START_TEST(suffixes_are_powers_of_1024)
{
    static const struct {
        const char *line;
        int64_t bytes;
    } cases[] = {{"--memory-limit 1024", 1024},
                 {"--memory-limit 1K", 1024},
                 {"--memory-limit 3M", 3 << 20},
                 {"--memory-limit 5G", INT64_C(5) << 30},
                 {"--memory-limit 1T", INT64_C(1) << 40}};
    size_t k;

    for (k = 0; k < ALCHI_COUNT(cases); k++) {
        unit_code(parse(cases[k].line), ALCH_OK);
        ck_assert_int_eq(options.memory_limit, cases[k].bytes);
        free_options();
    }
}
END_TEST

START_TEST(a_repeated_list_option_appends)
{
    unit_code(parse("--plugin-dir /a --plugin-dir=/b:c --tags z"), ALCH_OK);
    ck_assert_uint_eq(options.plugin_dir.count, 2);
    ck_assert_str_eq(options.plugin_dir.items[0], "/a");
    ck_assert_str_eq(options.plugin_dir.items[1], "/b:c");
    ck_assert_uint_eq(options.tags.count, 1);
    ck_assert_str_eq(options.tags.items[0], "z");
    free_options();
}
END_TEST

START_TEST(variables_of_the_environment_are_read)
{
    setenv("ALCHEMIST_WORKERS", "9", 1);
    setenv("ALCHEMIST_MEMORY_LIMIT", "1G", 1);
    setenv("ALCHEMIST_PLUGIN_DIR", ":/a:/b::", 1);
    setenv("ALCHEMIST_INSECURE", "yes", 1);
    setenv("ALCHEMIST_BIND", "", 1);
    setenv("ALCHEMIST_HELP", "1", 1);
    unit_code(parse(""), ALCH_OK);
    ck_assert_int_eq(options.workers, 9);
    ck_assert_int_eq(options.memory_limit, 1 << 30);
    ck_assert_uint_eq(options.plugin_dir.count, 2);
    ck_assert_str_eq(options.plugin_dir.items[1], "/b");
    ck_assert(options.insecure);
    ck_assert(!options.help);
    ck_assert_str_eq(options.bind, "127.0.0.1");
    free_options();
}
END_TEST

START_TEST(variables_of_a_kubernetes_service_are_ignored)
{
    setenv("ALCHEMIST_WORKERS", "tcp://10.0.0.7:24960", 1);
    unit_code(parse(""), ALCH_OK);
    ck_assert_int_eq(options.workers, 3);
    free_options();
    unit_code(parse("--workers tcp://10.0.0.7:24960"), ALCH_EINVAL);
    setenv("ALCHEMIST_WORKERS", "udp", 1);
    unit_code(parse(""), ALCH_EINVAL);
}
END_TEST

START_TEST(the_command_line_overrides_the_environment)
{
    setenv("ALCHEMIST_WORKERS", "nonsense", 1);
    setenv("ALCHEMIST_TAGS", "a:b", 1);
    unit_code(parse("--workers 2 --tags c"), ALCH_OK);
    ck_assert_int_eq(options.workers, 2);
    ck_assert_uint_eq(options.tags.count, 1);
    ck_assert_str_eq(options.tags.items[0], "c");
    free_options();
    unit_code(parse(""), ALCH_EINVAL);
    ck_assert_str_eq(err.text, "ALCHEMIST_WORKERS: 'nonsense' is not a number between 1 and 4096");
    setenv("ALCHEMIST_WORKERS", "2", 1);
    setenv("ALCHEMIST_INSECURE", "perhaps", 1);
    unit_code(parse(""), ALCH_EINVAL);
    ck_assert_str_eq(err.text, "ALCHEMIST_INSECURE: 'perhaps' is not one of 1, true, yes, on, 0, false, no, off");
}
END_TEST

/* Return the text that a function prints to standard output. */
static const char *
printed(void (*print)(void))
{
    static char text[16384];
    FILE *file = tmpfile();
    int original;
    size_t n;

    fflush(stdout);
    original = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    print();
    fflush(stdout);
    dup2(original, STDOUT_FILENO);
    close(original);
    rewind(file);
    n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

static void
print_help(void)
{
    alchi_options_help(table, ALCHI_COUNT(table), "Usage: alchemistd [options]");
}

static void
print_man(void)
{
    alchi_options_man(table, ALCHI_COUNT(table));
}

START_TEST(help_contains_every_row)
{
    const char *text = printed(print_help);
    size_t k;

    ck_assert_ptr_eq(strstr(text, "Usage: alchemistd [options]\n"), text);
    for (k = 0; k < ALCHI_COUNT(table); k++)
        ck_assert_ptr_nonnull(strstr(text, table[k].text));
    ck_assert_ptr_nonnull(strstr(text, "  --workers N               Worker slots of this host. (default 3)\n"));
    ck_assert_ptr_nonnull(strstr(text, "(default -5 ms)"));
    ck_assert_ptr_nonnull(strstr(text, "Directory of libraries. (may be repeated)"));
    ck_assert_ptr_nonnull(strstr(text, "ALCHEMIST_"));
}
END_TEST

START_TEST(manual_contains_every_row)
{
    const char *text = printed(print_man);

    ck_assert_ptr_nonnull(strstr(text, ".TP\n.B \\-\\-workers \\fIN\\fR\nWorker slots of this host. (default 3)\n"));
    ck_assert_ptr_nonnull(strstr(text, ".B \\-\\-insecure\nAllow it.\n"));
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("option");

    tcase_add_test(tcase, defaults_are_set);
    tcase_add_loop_test(tcase, refusals_name_option_value_and_limits, 0, (int)ALCHI_COUNT(refused));
    tcase_add_test(tcase, a_value_follows_a_space_or_an_equals_sign);
    tcase_add_test(tcase, suffixes_are_powers_of_1024);
    tcase_add_test(tcase, a_repeated_list_option_appends);
    tcase_add_test(tcase, variables_of_the_environment_are_read);
    tcase_add_test(tcase, variables_of_a_kubernetes_service_are_ignored);
    tcase_add_test(tcase, the_command_line_overrides_the_environment);
    tcase_add_test(tcase, help_contains_every_row);
    tcase_add_test(tcase, manual_contains_every_row);
    suite_add_tcase(suite, tcase);
}
