/* Options of alchemistd, and the token file. */
#include "unit.h"
#include "daemon/options.h"
#include "daemon/token.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static alchi_dmn_options_t options;
static alch_error_t error;

#define read_options(...) \
    read_list((const char *[]){"alchemistd", __VA_ARGS__}, sizeof((const char *[]){"", __VA_ARGS__}) / sizeof(char *))

static int
read_list(const char **arguments, size_t count)
{
    return alchi_dmn_options_read((int)count, (char **)arguments, &options, &error);
}

static void
expect_refusal(int code, const char *part, int got)
{
    ck_assert_int_eq(got, code);
    unit_contains(error.text, part);
}

START_TEST(an_invalid_option_is_refused_by_name)
{
    expect_refusal(ALCH_EINVAL, "--workers", read_options("--workers", "0"));
    expect_refusal(ALCH_EINVAL, "loud", read_options("--log-level", "loud"));
    expect_refusal(ALCH_EINVAL, "--join HOST:PORT", read_options("--agent"));
    expect_refusal(ALCH_EINVAL, "--agent", read_options("--join", "localhost:1"));
    expect_refusal(ALCH_EINVAL, "--token-file", read_options("--no-connection-file"));
    expect_refusal(ALCH_EINVAL, "65535", read_options("--port", "65000", "--workers", "600"));
}
END_TEST

START_TEST(addresses_beyond_loopback_need_the_option_insecure)
{
    expect_refusal(ALCH_EPERM, "--insecure", read_options("--bind", "0.0.0.0"));
    expect_refusal(ALCH_EPERM, "--insecure", read_options("--bind", "::"));
    expect_refusal(ALCH_EPERM, "--insecure", read_options("--bind", "10.0.0.1"));
    expect_refusal(ALCH_EPERM, "--insecure", read_options("--agent", "--join", "far.example:24960"));
    unit_code(read_options("--bind", "0.0.0.0", "--insecure"), ALCH_OK);
    alchi_dmn_options_free(&options);
    unit_code(read_options("--bind", "::1"), ALCH_OK);
    alchi_dmn_options_free(&options);
    unit_code(read_options("--agent", "--join", "127.0.0.1:24960"), ALCH_OK);
    alchi_dmn_options_free(&options);
}
END_TEST

START_TEST(options_that_are_not_given_have_their_defaults)
{
    unit_code(read_options("--workers", "5"), ALCH_OK);
    ck_assert_int_eq(options.workers, 5);
    ck_assert_int_eq(options.port, 24960);
    ck_assert_str_eq(options.bind, "127.0.0.1");
    ck_assert_int_eq(options.driver.start_timeout_ms, 30000);
    ck_assert_int_eq(options.driver.fail_grace_ms, 5000);
    ck_assert_int_eq(options.driver.client_timeout_ms, 60000);
    ck_assert_int_eq(options.driver.message_limit, 256 << 20);
    ck_assert(!options.insecure);
    alchi_dmn_options_free(&options);
}
END_TEST

START_TEST(plugin_directories_must_exist_and_are_resolved)
{
    unit_code(read_options("--plugin-dir", "/usr/../tmp", "--plugin-dir", "/nowhere/at/all"), ALCH_OK);
    expect_refusal(ALCH_ENOENT, "/nowhere/at/all", alchi_dmn_options_plugin_dirs(&options, &error));
    alchi_dmn_options_free(&options);
    unit_code(read_options("--plugin-dir", "/usr/../tmp"), ALCH_OK);
    unit_code(alchi_dmn_options_plugin_dirs(&options, &error), ALCH_OK);
    ck_assert_uint_eq(options.driver.plugin_dirs.count, 1);
    ck_assert_str_eq(options.driver.plugin_dirs.items[0], "/tmp");
    alchi_dmn_options_free(&options);
}
END_TEST

START_TEST(data_directories_must_exist_and_are_resolved)
{
    unit_code(read_options("--data-dir", "/nowhere/at/all"), ALCH_OK);
    expect_refusal(ALCH_ENOENT, "--data-dir /nowhere/at/all", alchi_dmn_options_data_dirs(&options, &error));
    alchi_dmn_options_free(&options);
    unit_code(read_options("--data-dir", "/dev/null"), ALCH_OK);
    expect_refusal(ALCH_ENOENT, "is not a directory", alchi_dmn_options_data_dirs(&options, &error));
    alchi_dmn_options_free(&options);
    unit_code(read_options("--data-dir", "/usr/../tmp", "--data-dir", "/usr"), ALCH_OK);
    unit_code(alchi_dmn_options_data_dirs(&options, &error), ALCH_OK);
    ck_assert_uint_eq(options.driver.data_dirs.count, 2);
    ck_assert_str_eq(options.driver.data_dirs.items[0], "/tmp");
    ck_assert_str_eq(options.driver.data_dirs.items[1], "/usr");
    alchi_dmn_options_free(&options);
    unit_code(read_options("--port", "0"), ALCH_OK);
    unit_code(alchi_dmn_options_data_dirs(&options, &error), ALCH_OK);
    ck_assert_uint_eq(options.driver.data_dirs.count, 0); /* no directory unless an option lists it */
    alchi_dmn_options_free(&options);
}
END_TEST

/* ---- the token file ---- */

static char path[64];
static uint8_t made[ALCHI_KEY_SIZE];

/* Give `path` a name that no file has. */
static void
setup_path(void)
{
    snprintf(path, sizeof(path), "/tmp/alchemist-token-XXXXXX");
    ck_assert_int_ge(close(mkstemp(path)), 0);
    unlink(path);
}

static void
remove_path(void)
{
    unlink(path);
}

START_TEST(a_missing_token_file_is_not_found_or_made)
{
    struct stat status;

    unit_code(alchi_dmn_token_read(path, made, &error), ALCH_ENOENT);
    unit_code(alchi_dmn_token_read_or_create(path, made, &error), ALCH_OK);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0600);
    ck_assert_int_eq(status.st_size, 65);
}
END_TEST

START_TEST(a_token_is_read_back_as_it_was_made)
{
    uint8_t again[ALCHI_KEY_SIZE];

    unit_code(alchi_dmn_token_read_or_create(path, made, &error), ALCH_OK);
    unit_code(alchi_dmn_token_read_or_create(path, again, &error), ALCH_OK);
    ck_assert_mem_eq(made, again, ALCHI_KEY_SIZE);
}
END_TEST

START_TEST(a_token_file_that_others_can_read_is_refused)
{
    unit_code(alchi_dmn_token_read_or_create(path, made, &error), ALCH_OK);
    ck_assert_int_eq(chmod(path, 0640), 0);
    expect_refusal(ALCH_EPERM, "chmod 600", alchi_dmn_token_read(path, made, &error));
}
END_TEST

START_TEST(an_empty_token_file_is_refused)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    ck_assert_int_eq(close(fd), 0);
    expect_refusal(ALCH_EINVAL, "64 hexadecimal", alchi_dmn_token_read(path, made, &error));
}
END_TEST

START_TEST(a_token_file_cannot_be_made_in_a_missing_directory)
{
    unit_code(alchi_dmn_token_read_or_create("/nowhere/token", made, &error), ALCH_ESYSTEM);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("options"), *token = tcase_create("token");

    tcase_add_test(tcase, an_invalid_option_is_refused_by_name);
    tcase_add_test(tcase, addresses_beyond_loopback_need_the_option_insecure);
    tcase_add_test(tcase, options_that_are_not_given_have_their_defaults);
    tcase_add_test(tcase, plugin_directories_must_exist_and_are_resolved);
    tcase_add_test(tcase, data_directories_must_exist_and_are_resolved);
    suite_add_tcase(suite, tcase);

    tcase_add_checked_fixture(token, setup_path, remove_path);
    tcase_add_test(token, a_missing_token_file_is_not_found_or_made);
    tcase_add_test(token, a_token_is_read_back_as_it_was_made);
    tcase_add_test(token, a_token_file_that_others_can_read_is_refused);
    tcase_add_test(token, an_empty_token_file_is_refused);
    tcase_add_test(token, a_token_file_cannot_be_made_in_a_missing_directory);
    suite_add_tcase(suite, token);
}
