/* The PMI-1 server: the commands of MPICH, refused commands, and lines that are not PMI-1. */
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

/* Serve a line, and check the event and the whole answer. */
static void
check_line(const char *line, alchi_agent_pmi_event_t event, const char *answer)
{
    ck_assert_int_eq(alchi_agent_pmi_serve_line(pmi, &client, line, &reply), event);
    ck_assert_uint_eq(alchi_buf_size(&reply), strlen(answer));
    if (answer[0])
        ck_assert_mem_eq(alchi_buf_bytes(&reply), answer, strlen(answer));
    alchi_buf_consume(&reply, alchi_buf_size(&reply));
}

START_TEST(lines_that_are_not_pmi_are_malformed)
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

START_TEST(only_version_1_is_accepted)
{
    check_line("cmd=init pmi_version=1 pmi_subversion=1", ALCHI_AGENT_PMI_NONE,
               "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n");
    check_line("cmd=init pmi_version=2 pmi_subversion=0", ALCHI_AGENT_PMI_NONE,
               "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1\n");
}
END_TEST

START_TEST(facts_of_the_group_are_answered)
{
    check_line("cmd=get_maxes", ALCHI_AGENT_PMI_NONE, "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=800\n");
    check_line("cmd=get_appnum", ALCHI_AGENT_PMI_NONE, "cmd=appnum appnum=0\n");
    check_line("cmd=get_universe_size", ALCHI_AGENT_PMI_NONE, "cmd=universe_size size=3\n");
    check_line("cmd=get_my_kvsname", ALCHI_AGENT_PMI_NONE, "cmd=my_kvsname kvsname=kvs_7\n");
}
END_TEST

START_TEST(finalize_is_acknowledged)
{
    check_line("cmd=finalize", ALCHI_AGENT_PMI_FINALIZED, "cmd=finalize_ack\n");
}
END_TEST

START_TEST(a_barrier_is_not_answered_at_once)
{
    check_line("cmd=barrier_in", ALCHI_AGENT_PMI_ENTERED, "");
}
END_TEST

START_TEST(the_name_service_is_refused)
{
    check_line("cmd=lookup_name service=x", ALCHI_AGENT_PMI_NONE,
               "cmd=lookup_result rc=-1 info=unsupported msg=unsupported\n");
    check_line("cmd=publish_name service=x port=y", ALCHI_AGENT_PMI_NONE,
               "cmd=publish_result rc=-1 info=unsupported msg=unsupported\n");
}
END_TEST

START_TEST(mpi_comm_spawn_is_refused_at_the_end_of_its_command)
{
    check_line("mcmd=spawn", ALCHI_AGENT_PMI_NONE, "");
    check_line("nprocs=2", ALCHI_AGENT_PMI_NONE, "");
    check_line("cmd=get_appnum", ALCHI_AGENT_PMI_NONE, "");
    check_line("endcmd", ALCHI_AGENT_PMI_NONE, "cmd=spawn_result rc=-1 status=-1\n");
    check_line("cmd=get_appnum", ALCHI_AGENT_PMI_NONE, "cmd=appnum appnum=0\n");
}
END_TEST

START_TEST(mpi_abort_has_a_code_which_is_1_by_default)
{
    check_line("cmd=abort exitcode=7", ALCHI_AGENT_PMI_ABORTED, "");
    ck_assert_int_eq(client.abort_code, 7);
    check_line("cmd=abort exitcode=-3", ALCHI_AGENT_PMI_ABORTED, "");
    ck_assert_int_eq(client.abort_code, -3);
    check_line("cmd=abort", ALCHI_AGENT_PMI_ABORTED, "");
    ck_assert_int_eq(client.abort_code, 1);
}
END_TEST

/* ---- the key-value space ---- */

START_TEST(the_process_mapping_is_a_value)
{
    check_line("cmd=get kvsname=kvs_7 key=PMI_process_mapping", ALCHI_AGENT_PMI_NONE,
               "cmd=get_result rc=0 msg=success value=(vector,(0,1,3))\n");
}
END_TEST

START_TEST(a_missing_key_is_reported)
{
    check_line("cmd=get kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE,
               "cmd=get_result rc=-1 msg=key_not_found value=unknown\n");
    ck_assert_ptr_null(alchi_agent_pmi_value(pmi, "a"));
}
END_TEST

START_TEST(a_put_stores_and_replaces_a_value)
{
    check_line("cmd=put kvsname=kvs_7 key=a value=one", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=0 msg=success\n");
    check_line("cmd=get kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE, "cmd=get_result rc=0 msg=success value=one\n");
    check_line("cmd=put kvsname=kvs_7 key=a value=", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=0 msg=success\n");
    check_line("cmd=get kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE, "cmd=get_result rc=0 msg=success value=\n");
}
END_TEST

START_TEST(a_value_may_contain_spaces_and_equals_signs)
{
    check_line("cmd=put kvsname=kvs_7 key=a value=two = key=b", ALCHI_AGENT_PMI_NONE,
               "cmd=put_result rc=0 msg=success\n");
    check_line("cmd=get kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE,
               "cmd=get_result rc=0 msg=success value=two = key=b\n");
    ck_assert_str_eq(alchi_agent_pmi_value(pmi, "a"), "two = key=b");
}
END_TEST

START_TEST(a_key_has_at_most_64_bytes)
{
    char line[256], key[66];

    memset(key, 'k', 65);
    key[65] = '\0';
    snprintf(line, sizeof(line), "cmd=put kvsname=kvs_7 key=%s value=1", key);
    check_line(line, ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=-1 msg=invalid_key_or_value\n");
    key[64] = '\0';
    snprintf(line, sizeof(line), "cmd=put kvsname=kvs_7 key=%s value=1", key);
    check_line(line, ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=0 msg=success\n");
}
END_TEST

START_TEST(a_put_without_key_or_value_is_refused)
{
    check_line("cmd=put kvsname=kvs_7 key= value=1", ALCHI_AGENT_PMI_NONE,
               "cmd=put_result rc=-1 msg=invalid_key_or_value\n");
    check_line("cmd=put kvsname=kvs_7 value=1", ALCHI_AGENT_PMI_NONE,
               "cmd=put_result rc=-1 msg=invalid_key_or_value\n");
    check_line("cmd=put kvsname=kvs_7 key=a", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=-1 msg=invalid_key_or_value\n");
}
END_TEST

START_TEST(an_invalid_pair_of_another_agent_is_refused)
{
    unit_code(alchi_agent_pmi_store(pmi, NULL, "x"), ALCH_EPROTO);
    unit_code(alchi_agent_pmi_store(pmi, "x", NULL), ALCH_EPROTO);
    unit_code(alchi_agent_pmi_store(pmi, "x", "two\nlines"), ALCH_EPROTO);
    unit_code(alchi_agent_pmi_store(pmi, "x y", "1"), ALCH_EPROTO);
}
END_TEST

/* A rank that never stops putting keys must not fill the memory. The group has 3 ranks, and one key is the mapping. */
START_TEST(keys_are_limited_to_256_per_rank)
{
    char key[32];

    for (int i = 0; i < 3 * 256 - 1; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        unit_code(alchi_agent_pmi_store(pmi, key, "1"), ALCH_OK);
    }
    unit_code(alchi_agent_pmi_store(pmi, "one-more", "1"), ALCH_ELIMIT);
    check_line("cmd=put kvsname=kvs_7 key=more value=1", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=-1 msg=no_room\n");
    unit_code(alchi_agent_pmi_store(pmi, "key-0", "2"), ALCH_OK);
}
END_TEST

static void
check_unsent(size_t expected, const char *key, const char *value)
{
    Alchw__PmiPair **pairs;
    size_t count;

    unit_code(alchi_agent_pmi_take_unsent(pmi, &pairs, &count), ALCH_OK);
    ck_assert_uint_eq(count, expected);
    if (expected > 0) {
        ck_assert_str_eq(pairs[0]->key, key);
        ck_assert_str_eq(pairs[0]->value, value);
    }
    free(pairs);
}

START_TEST(pairs_of_ranks_here_are_sent_once_and_others_never)
{
    check_unsent(0, NULL, NULL);
    check_line("cmd=put kvsname=kvs_7 key=a value=1", ALCHI_AGENT_PMI_NONE, "cmd=put_result rc=0 msg=success\n");
    unit_code(alchi_agent_pmi_store(pmi, "b", "2"), ALCH_OK);
    check_unsent(1, "a", "1");
    check_unsent(0, NULL, NULL);
}
END_TEST

/* ---- bytes of a connection ---- */

static alchi_buf_t in;

static void
setup_connection(void)
{
    setup();
    alchi_buf_init(&in);
}

static void
teardown_connection(void)
{
    alchi_buf_fini(&in);
    teardown();
}

static alchi_agent_pmi_event_t
receive_bytes(const char *bytes, size_t size)
{
    ck_assert_int_eq(alchi_buf_append(&in, bytes, size), ALCH_OK);
    return alchi_agent_pmi_serve_lines(pmi, &client, &in, &reply);
}

START_TEST(a_line_is_served_when_it_is_complete)
{
    static const char line[] = "cmd=get_appnum\n";

    for (size_t i = 0; i + 2 < sizeof(line); i++)
        ck_assert_int_eq(receive_bytes(line + i, 1), ALCHI_AGENT_PMI_NONE);
    ck_assert_uint_eq(alchi_buf_size(&reply), 0);
    ck_assert_int_eq(receive_bytes("\n", 1), ALCHI_AGENT_PMI_NONE);
    ck_assert_uint_eq(alchi_buf_size(&reply), strlen("cmd=appnum appnum=0\n"));
    ck_assert_uint_eq(alchi_buf_size(&in), 0);
}
END_TEST

START_TEST(serving_stops_at_each_event)
{
    static const char lines[] = "cmd=get_appnum\ncmd=barrier_in\ncmd=finalize\n";

    ck_assert_int_eq(receive_bytes(lines, strlen(lines)), ALCHI_AGENT_PMI_ENTERED);
    ck_assert_uint_eq(alchi_buf_size(&reply), strlen("cmd=appnum appnum=0\n"));
    ck_assert_int_eq(alchi_agent_pmi_serve_lines(pmi, &client, &in, &reply), ALCHI_AGENT_PMI_FINALIZED);
    ck_assert_uint_eq(alchi_buf_size(&in), 0);
    ck_assert_int_eq(alchi_agent_pmi_serve_lines(pmi, &client, &in, &reply), ALCHI_AGENT_PMI_NONE);
}
END_TEST

START_TEST(a_nul_byte_is_malformed)
{
    ck_assert_int_eq(receive_bytes("cmd=get_appnum\0x\n", 17), ALCHI_AGENT_PMI_MALFORMED);
}
END_TEST

START_TEST(an_endless_line_is_malformed)
{
    alchi_agent_pmi_event_t event = ALCHI_AGENT_PMI_NONE;
    size_t n = 0;

    while (event == ALCHI_AGENT_PMI_NONE && n++ < 100)
        event = receive_bytes("cmd=put kvsname=kvs_7 key=a value=..................................", 64);
    ck_assert_int_eq(event, ALCHI_AGENT_PMI_MALFORMED);
    ck_assert_uint_eq(n, ALCHI_AGENT_PMI_LINE_MAX / 64);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *commands = tcase_create("commands"), *space = tcase_create("space"), *bytes = tcase_create("bytes");

    tcase_add_checked_fixture(commands, setup, teardown);
    tcase_add_test(commands, lines_that_are_not_pmi_are_malformed);
    tcase_add_test(commands, only_version_1_is_accepted);
    tcase_add_test(commands, facts_of_the_group_are_answered);
    tcase_add_test(commands, finalize_is_acknowledged);
    tcase_add_test(commands, a_barrier_is_not_answered_at_once);
    tcase_add_test(commands, the_name_service_is_refused);
    tcase_add_test(commands, mpi_comm_spawn_is_refused_at_the_end_of_its_command);
    tcase_add_test(commands, mpi_abort_has_a_code_which_is_1_by_default);
    suite_add_tcase(suite, commands);

    tcase_add_checked_fixture(space, setup, teardown);
    tcase_add_test(space, the_process_mapping_is_a_value);
    tcase_add_test(space, a_missing_key_is_reported);
    tcase_add_test(space, a_put_stores_and_replaces_a_value);
    tcase_add_test(space, a_value_may_contain_spaces_and_equals_signs);
    tcase_add_test(space, a_key_has_at_most_64_bytes);
    tcase_add_test(space, a_put_without_key_or_value_is_refused);
    tcase_add_test(space, an_invalid_pair_of_another_agent_is_refused);
    tcase_add_test(space, keys_are_limited_to_256_per_rank);
    tcase_add_test(space, pairs_of_ranks_here_are_sent_once_and_others_never);
    suite_add_tcase(suite, space);

    tcase_add_checked_fixture(bytes, setup_connection, teardown_connection);
    tcase_add_test(bytes, a_line_is_served_when_it_is_complete);
    tcase_add_test(bytes, serving_stops_at_each_event);
    tcase_add_test(bytes, a_nul_byte_is_malformed);
    tcase_add_test(bytes, an_endless_line_is_malformed);
    suite_add_tcase(suite, bytes);
}
