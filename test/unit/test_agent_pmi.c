/* PMI-1 as text: what MPICH asks, what it must not be told, and garbage. */
#include "unit.h"

#include "agent/pmi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static alchi_agent_pmi_t *pmi;
static alchi_agent_pmi_client_t client;
static alchi_buf_t reply;

static void
setup(void)
{
    pmi = alchi_agent_pmi_create(7, 3, "(vector,(0,1,3))");
    ck_assert_ptr_nonnull(pmi);
    memset(&client, 0, sizeof(client));
    alchi_buf_init(&reply);
}

static void
teardown(void)
{
    alchi_agent_pmi_destroy(pmi);
    alchi_buf_fini(&reply);
}

/* Serve a line: the event, and whether exactly this was answered. */
static void
check_line(const char *line, alchi_agent_pmi_event_t event, const char *answer)
{
    ck_assert_int_eq(alchi_agent_pmi_serve_line(pmi, &client, line, &reply), event);
    ck_assert_uint_eq(alchi_buf_size(&reply), strlen(answer));
    if (answer[0])
        ck_assert_mem_eq(alchi_buf_bytes(&reply), answer, strlen(answer));
    alchi_buf_consume(&reply, alchi_buf_size(&reply));
}

START_TEST(test_malformed)
{
    check_line("", ALCHI_AGENT_PMI_MALFORMED, "");
    check_line("hello", ALCHI_AGENT_PMI_MALFORMED, "");
    check_line("cmd=", ALCHI_AGENT_PMI_MALFORMED, "");
    check_line("cmd=nonsense", ALCHI_AGENT_PMI_MALFORMED, "");
    check_line(" cmd=init pmi_version=1", ALCHI_AGENT_PMI_MALFORMED, "");
    check_line("cmd=put key=\x01 value=1", ALCHI_AGENT_PMI_MALFORMED, "");
    check_line("cmd=put key=caf\xc3\xa9 value=1", ALCHI_AGENT_PMI_MALFORMED, "");
}
END_TEST

START_TEST(test_constants)
{
    check_line("cmd=init pmi_version=1 pmi_subversion=1", ALCHI_AGENT_PMI_NONE,
               "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n");
    check_line("cmd=init pmi_version=2 pmi_subversion=0", ALCHI_AGENT_PMI_NONE,
               "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1\n");
    check_line("cmd=get_maxes", ALCHI_AGENT_PMI_NONE, "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=800\n");
    check_line("cmd=get_appnum", ALCHI_AGENT_PMI_NONE, "cmd=appnum appnum=0\n");
    check_line("cmd=get_universe_size", ALCHI_AGENT_PMI_NONE, "cmd=universe_size size=3\n");
    check_line("cmd=get_my_kvsname", ALCHI_AGENT_PMI_NONE, "cmd=my_kvsname kvsname=kvs_7\n");
    check_line("cmd=finalize", ALCHI_AGENT_PMI_FINALIZED, "cmd=finalize_ack\n");
    check_line("cmd=barrier_in", ALCHI_AGENT_PMI_ENTERED, "");
    check_line("cmd=lookup_name service=x", ALCHI_AGENT_PMI_NONE,
               "cmd=lookup_result rc=-1 info=unsupported msg=unsupported\n");
}
END_TEST

START_TEST(test_space)
{
    check_line("cmd=get kvsname=kvs_7 key=PMI_process_mapping", ALCHI_AGENT_PMI_NONE,
               "cmd=get_result rc=0 msg=success value=(vector,(0,1,3))\n");
    check_line("cmd=get kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE,
               "cmd=get_result rc=-1 msg=key_not_found value=unknown\n");
    check_line("cmd=put kvsname=kvs_7 key=a value=one", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=0 msg=success\n");
    check_line("cmd=get kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE, "cmd=get_result rc=0 msg=success value=one\n");
    check_line("cmd=put kvsname=kvs_7 key=a value=two = key=b", ALCHI_AGENT_PMI_NONE,
               "cmd=put_result rc=0 msg=success\n");
    check_line("cmd=get kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE,
               "cmd=get_result rc=0 msg=success value=two = key=b\n");
    ck_assert_str_eq(alchi_agent_pmi_value(pmi, "a"), "two = key=b");
    ck_assert_ptr_null(alchi_agent_pmi_value(pmi, "kvs_7"));
}
END_TEST

START_TEST(test_put_refused)
{
    char line[256], key[100];

    memset(key, 'k', sizeof(key));
    key[65] = '\0';
    snprintf(line, sizeof(line), "cmd=put kvsname=kvs_7 key=%s value=1", key);
    check_line(line, ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=-1 msg=invalid_key_or_value\n");
    key[64] = '\0';
    snprintf(line, sizeof(line), "cmd=put kvsname=kvs_7 key=%s value=1", key);
    check_line(line, ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=0 msg=success\n");
    check_line("cmd=put kvsname=kvs_7 key= value=1", ALCHI_AGENT_PMI_NONE,
               "cmd=put_result rc=-1 msg=invalid_key_or_value\n");
    check_line("cmd=put kvsname=kvs_7 value=1", ALCHI_AGENT_PMI_NONE,
               "cmd=put_result rc=-1 msg=invalid_key_or_value\n");
    check_line("cmd=put kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=-1 msg=invalid_key_or_value\n");
    check_line("cmd=put kvsname=kvs_7 key=a value=", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=0 msg=success\n");
    unit_code(alchi_agent_pmi_store(pmi, NULL, "x"), ALCH_EPROTO);
    unit_code(alchi_agent_pmi_store(pmi, "x", NULL), ALCH_EPROTO);
    unit_code(alchi_agent_pmi_store(pmi, "x", "two\nlines"), ALCH_EPROTO);
    unit_code(alchi_agent_pmi_store(pmi, "x y", "1"), ALCH_EPROTO);
}
END_TEST

/* A rank that never stops putting fills no memory. */
START_TEST(test_limit)
{
    char key[32];
    int code = ALCH_OK, n;

    for (n = 0; code == ALCH_OK && n < 100000; n++) {
        snprintf(key, sizeof(key), "key-%d", n);
        code = alchi_agent_pmi_store(pmi, key, "1");
    }
    unit_code(code, ALCH_ELIMIT);
    ck_assert_int_lt(n, 3 * 256 + 2);
    unit_code(alchi_agent_pmi_store(pmi, "key-0", "2"), ALCH_OK);
    check_line("cmd=put kvsname=kvs_7 key=more value=1", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=-1 msg=no_room\n");
}
END_TEST

/* Only what our own ranks put goes to others, once. */
START_TEST(test_fresh)
{
    Alchw__PmiPair **pairs;
    size_t count;

    unit_code(alchi_agent_pmi_take_unsent(pmi, &pairs, &count), ALCH_OK);
    ck_assert_uint_eq(count, 0);
    free(pairs);
    check_line("cmd=put kvsname=kvs_7 key=a value=1", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=0 msg=success\n");
    unit_code(alchi_agent_pmi_store(pmi, "b", "2"), ALCH_OK);
    unit_code(alchi_agent_pmi_take_unsent(pmi, &pairs, &count), ALCH_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(pairs[0]->key, "a");
    ck_assert_str_eq(pairs[0]->value, "1");
    free(pairs);
    unit_code(alchi_agent_pmi_take_unsent(pmi, &pairs, &count), ALCH_OK);
    ck_assert_uint_eq(count, 0);
    free(pairs);
}
END_TEST

START_TEST(test_abort)
{
    check_line("cmd=abort exitcode=7", ALCHI_AGENT_PMI_ABORTED, "");
    ck_assert_int_eq(client.abort_code, 7);
    check_line("cmd=abort exitcode=-3", ALCHI_AGENT_PMI_ABORTED, "");
    ck_assert_int_eq(client.abort_code, -3);
    check_line("cmd=abort", ALCHI_AGENT_PMI_ABORTED, "");
    ck_assert_int_eq(client.abort_code, 1);
}
END_TEST

/* MPI_Comm_spawn is refused in a way that the client understands. */
START_TEST(test_spawn)
{
    check_line("mcmd=spawn", ALCHI_AGENT_PMI_NONE, "");
    check_line("nprocs=2", ALCHI_AGENT_PMI_NONE, "");
    check_line("cmd=get_appnum", ALCHI_AGENT_PMI_NONE, "");
    check_line("endcmd", ALCHI_AGENT_PMI_NONE, "cmd=spawn_result rc=-1 status=-1\n");
    check_line("cmd=get_appnum", ALCHI_AGENT_PMI_NONE, "cmd=appnum appnum=0\n");
}
END_TEST

static alchi_agent_pmi_event_t
feed(alchi_buf_t *in, const char *bytes, size_t size)
{
    ck_assert_int_eq(alchi_buf_append(in, bytes, size), ALCH_OK);
    return alchi_agent_pmi_serve_lines(pmi, &client, in, &reply);
}

START_TEST(test_feed)
{
    static const char lines[] = "cmd=get_appnum\ncmd=barrier_in\ncmd=finalize\n";
    alchi_buf_t in;

    alchi_buf_init(&in);
    for (size_t i = 0; i + 1 < 15; i++)
        ck_assert_int_eq(feed(&in, lines + i, 1), ALCHI_AGENT_PMI_NONE);
    ck_assert_uint_eq(alchi_buf_size(&reply), 0);
    ck_assert_int_eq(feed(&in, lines + 14, sizeof(lines) - 1 - 14), ALCHI_AGENT_PMI_ENTERED);
    ck_assert_uint_eq(alchi_buf_size(&reply), strlen("cmd=appnum appnum=0\n"));
    ck_assert_int_eq(alchi_agent_pmi_serve_lines(pmi, &client, &in, &reply), ALCHI_AGENT_PMI_FINALIZED);
    ck_assert_uint_eq(alchi_buf_size(&in), 0);
    ck_assert_int_eq(alchi_agent_pmi_serve_lines(pmi, &client, &in, &reply), ALCHI_AGENT_PMI_NONE);
    ck_assert_int_eq(feed(&in, "cmd=get_appnum\0x\n", 17), ALCHI_AGENT_PMI_MALFORMED);
    alchi_buf_fini(&in);
}
END_TEST

START_TEST(test_feed_endless)
{
    alchi_agent_pmi_event_t event = ALCHI_AGENT_PMI_NONE;
    alchi_buf_t in;
    size_t n = 0;

    alchi_buf_init(&in);
    while (event == ALCHI_AGENT_PMI_NONE && n++ < 100)
        event = feed(&in, "cmd=put kvsname=kvs_7 key=a value=..................................", 64);
    ck_assert_int_eq(event, ALCHI_AGENT_PMI_MALFORMED);
    ck_assert_uint_eq(n, ALCHI_AGENT_PMI_LINE_MAX / 64);
    alchi_buf_fini(&in);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("pmi");

    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, test_malformed);
    tcase_add_test(test, test_constants);
    tcase_add_test(test, test_space);
    tcase_add_test(test, test_put_refused);
    tcase_add_test(test, test_limit);
    tcase_add_test(test, test_fresh);
    tcase_add_test(test, test_abort);
    tcase_add_test(test, test_spawn);
    tcase_add_test(test, test_feed);
    tcase_add_test(test, test_feed_endless);
    suite_add_tcase(suite, test);
}
