/* Addresses as text: parsed, formatted, and recognized as loopback or "every interface". */
#include "unit.h"
#include "net/address.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *text, *host;
    int port;
} good[] = {
    {"host", "host", 7},
    {"host:1", "host", 1},
    {"127.0.0.1:65535", "127.0.0.1", 65535},
    {"host:0", "host", 0},
    {":24960", "localhost", 24960},
    {"[::1]", "::1", 7},
    {"[::1]:80", "::1", 80},
    {"[fe80::1%eth0]:80", "fe80::1%eth0", 80},
    {"::1", "::1", 7},
    {"fe80::1:2", "fe80::1:2", 7},
    {"a-b.example_c.org:22", "a-b.example_c.org", 22},
    {"*:5", "*", 5},
};

static const char *const bad[] = {
    "",
    ":",
    "host:",
    "host:65536",
    "host:-1",
    "host:+1",
    "host: 1",
    "host:1x",
    "host:0x10",
    "[::1",
    "[::1]x",
    "[::1]:",
    "[]",
    "[host]:1",
    "ho st",
    "host/x",
    "http://host:80",
    "host\n",
    "a\"b",
    "host:99999999999999999999",
};

START_TEST(host_and_port_are_parsed)
{
    alchi_address_t address;

    unit_code(alchi_address_parse(good[_i].text, 7, &address, NULL), ALCH_OK);
    ck_assert_str_eq(address.host, good[_i].host);
    ck_assert_int_eq(address.port, good[_i].port);
}
END_TEST

START_TEST(malformed_text_is_refused)
{
    alchi_address_t address = {.host = "untouched", .port = -5};
    alch_error_t err = {0};

    ck_assert_msg(alchi_address_parse(bad[_i], 7, &address, &err) == ALCH_EINVAL, "\"%s\" was accepted", bad[_i]);
    ck_assert_str_eq(address.host, "untouched");
    ck_assert_int_eq(address.port, -5);
    ck_assert_int_eq(err.code, ALCH_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "is not HOST"));
}
END_TEST

START_TEST(too_long_host_is_refused)
{
    alchi_address_t address;
    char text[400];

    memset(text, 'a', sizeof(text));
    text[255] = '\0';
    unit_code(alchi_address_parse(text, 7, &address, NULL), ALCH_OK);
    text[255] = 'a';
    text[256] = '\0';
    unit_code(alchi_address_parse(text, 7, &address, NULL), ALCH_EINVAL);
}
END_TEST

START_TEST(formatted_address_can_be_parsed)
{
    alchi_address_t address = {.host = "::1", .port = 5}, again;
    char text[300];

    ck_assert_str_eq(alchi_address_format(&address, text, sizeof(text)), "[::1]:5");
    unit_code(alchi_address_parse(text, 0, &again, NULL), ALCH_OK);
    ck_assert_str_eq(again.host, "::1");
    snprintf(address.host, sizeof(address.host), "host");
    ck_assert_str_eq(alchi_address_format(&address, text, sizeof(text)), "host:5");
    ck_assert_str_eq(alchi_address_format(&address, text, 4), "hos");
}
END_TEST

START_TEST(loopback_is_recognized)
{
    static const char *const loopback[] = {
        "localhost", "LocalHost", "127.0.0.1",        "127.9.8.7", "0.0.0.0",        "::1",
        "::",        "",          "::ffff:127.0.0.1", "*",         "0:0:0:0:0:0:0:1"};
    static const char *const others[] = {"example.org",        "10.0.0.1",           "128.0.0.1", "fe80::1",
                                         "localhost.evil.org", "127.0.0.1.evil.org", "1270.0.0.1"};

    for (size_t i = 0; i < sizeof(loopback) / sizeof(*loopback); i++)
        ck_assert_msg(alchi_address_is_loopback(loopback[i]), "%s", loopback[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        ck_assert_msg(!alchi_address_is_loopback(others[i]), "%s", others[i]);
}
END_TEST

START_TEST(every_interface_is_recognized)
{
    ck_assert(alchi_address_is_any("0.0.0.0") && alchi_address_is_any("::") && alchi_address_is_any(""));
    ck_assert(!alchi_address_is_any("127.0.0.1") && !alchi_address_is_any("localhost") && !alchi_address_is_any("::1"));
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("address");

    tcase_add_loop_test(tcase, malformed_text_is_refused, 0, sizeof(bad) / sizeof(*bad));
    tcase_add_test(tcase, too_long_host_is_refused);
    tcase_add_loop_test(tcase, host_and_port_are_parsed, 0, sizeof(good) / sizeof(*good));
    tcase_add_test(tcase, formatted_address_can_be_parsed);
    tcase_add_test(tcase, loopback_is_recognized);
    tcase_add_test(tcase, every_interface_is_recognized);
    suite_add_tcase(suite, tcase);
}
