#include "unit.h"
#include "driver/group_state.h"
#include "driver/slots.h"
#include <signal.h>
#include <string.h>

static alchi_drv_node_t nodes[2] = {{.host = "alpha", .node = "a"}, {.host = "beta", .node = "b"}};
static alchi_drv_slot_t slot[3];
static alchi_drv_group_t *group;

static void
setup(void)
{
    alchi_drv_slot_t *chosen[3] = {&slot[0], &slot[1], &slot[2]};
    int i;

    for (i = 0; i < 3; i++)
        slot[i] = (alchi_drv_slot_t){.id = i + 1, .node = &nodes[i / 2]};
    group = alchi_drv_group_create(3, 1, chosen, 3);
    ck_assert_ptr_nonnull(group);
}

static void
teardown(void)
{
    alchi_drv_group_destroy(group);
}

static unsigned
join(int rank, int stage)
{
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_JOIN, .rank = rank, .stage = stage};

    return alchi_drv_group_next_state(group, &event);
}

static unsigned
leave(int rank, unsigned number, int code, bool aborted)
{
    static char *lines[] = {"first words", "[2026-01-01 00:00:00.000] [worker-001] [info] chatter", "last words"};
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_EXIT, .rank = rank, .exit = &exit};

    exit.signal = number;
    exit.exit_code = exit.abort_code = code;
    exit.aborted = aborted;
    exit.lines = lines;
    exit.n_lines = number == SIGSEGV ? 3 : 0;
    return alchi_drv_group_next_state(group, &event);
}

static unsigned
simple(alchi_drv_group_event_type_t type, int part)
{
    alchi_drv_group_event_t event = {.type = type, .node_index = part, .rank = part, .ms = 30000};

    return alchi_drv_group_next_state(group, &event);
}

static void
make_ready(void)
{
    int i;

    for (i = 0; i < 3; i++)
        join(i, ALCHW__JOIN_STAGE__JOIN_READY);
}

START_TEST(destroy_null)
{
    alchi_drv_group_destroy(NULL);
}
END_TEST

START_TEST(ready_when_all_are)
{
    ck_assert_int_eq(group->node_count, 2);
    ck_assert_int_eq(group->nodes[0].count, 2);
    ck_assert_int_eq(group->nodes[1].first, 2);
    ck_assert(memcmp(group->ranks[0].control_key, group->ranks[1].control_key, ALCHI_KEY_SIZE) != 0);
    ck_assert_uint_eq(join(0, ALCHW__JOIN_STAGE__JOIN_READY), 0);
    ck_assert_uint_eq(join(2, ALCHW__JOIN_STAGE__JOIN_CONNECTED), 0);
    ck_assert_uint_eq(join(2, ALCHW__JOIN_STAGE__JOIN_READY), 0);
    ck_assert_int_eq(group->state, ALCHI_DRV_GROUP_STARTING);
    ck_assert_uint_eq(join(1, ALCHW__JOIN_STAGE__JOIN_READY), ALCHI_DRV_ACTION_READY);
    ck_assert_int_eq(group->state, ALCHI_DRV_GROUP_READY);
    ck_assert_uint_eq(join(1, ALCHW__JOIN_STAGE__JOIN_READY), 0);
}
END_TEST

START_TEST(first_exit_decides)
{
    make_ready();
    ck_assert_uint_eq(leave(1, SIGKILL, 0, false), ALCHI_DRV_ACTION_LOST | ALCHI_DRV_ACTION_KILL);
    ck_assert_str_eq(group->lost_reason.text,
                     "worker group 3 was lost: worker 2 (rank 1) was killed by signal 9 (Killed)");
    ck_assert_int_eq(group->lost_reason.code, ALCH_EGROUP);
    ck_assert_int_eq(group->lost_reason.rank, 1);
    ck_assert_uint_eq(leave(0, 0, 1, false), 0);
    ck_assert_ptr_nonnull(strstr(group->lost_reason.text, "signal 9"));
}
END_TEST

START_TEST(abort_exit_and_last_lines)
{
    make_ready();
    leave(2, 0, 7, true);
    ck_assert_str_eq(group->lost_reason.text,
                     "worker group 3 was lost: worker 3 (rank 2) exited with code 7 through MPI_Abort");
    teardown();
    setup();
    leave(0, 0, 0, false);
    ck_assert_str_eq(group->lost_reason.text, "worker group 3 did not start: worker 1 (rank 0) exited with code 0");
    teardown();
    setup();
    make_ready();
    leave(0, SIGSEGV, 0, false);
    ck_assert_ptr_nonnull(strstr(group->lost_reason.text, "signal 11"));
    ck_assert_ptr_nonnull(strstr(group->lost_reason.text, "; its last output: first words | last words"));
}
END_TEST

START_TEST(too_slow_names_rank_and_stage)
{
    join(0, ALCHW__JOIN_STAGE__JOIN_READY);
    join(1, ALCHW__JOIN_STAGE__JOIN_CONNECTED);
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_START_OVERDUE, 0), ALCHI_DRV_ACTION_LOST | ALCHI_DRV_ACTION_KILL);
    ck_assert_str_eq(group->lost_reason.text,
                     "worker group 3 did not start: worker 2 (rank 1) was still in MPI_Init after 30.0 s "
                     "(--start-timeout)");
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_START_OVERDUE, 0), 0);
    ck_assert_uint_eq(join(1, ALCHW__JOIN_STAGE__JOIN_READY), 0);
}
END_TEST

START_TEST(a_lost_connection_waits_for_the_exit)
{
    make_ready();
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_DISCONNECTED, 1), ALCHI_DRV_ACTION_AWAIT_EXIT);
    ck_assert_int_eq(group->state, ALCHI_DRV_GROUP_READY);
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_EXIT_OVERDUE, 1), ALCHI_DRV_ACTION_LOST | ALCHI_DRV_ACTION_KILL);
    ck_assert_str_eq(group->lost_reason.text,
                     "worker group 3 was lost: worker 2 (rank 1) closed its connection to the driver");
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_DISCONNECTED, 0), 0);
}
END_TEST

START_TEST(release_and_end)
{
    make_ready();
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_RELEASE, 0), ALCHI_DRV_ACTION_QUIT);
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_RELEASE, 0), 0);
    ck_assert_uint_eq(leave(0, 0, 0, false), 0);
    ck_assert_int_eq(group->state, ALCHI_DRV_GROUP_RELEASING);
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_NODE_ENDED, 1), ALCHI_DRV_ACTION_IDLE);
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_NODE_ENDED, 1), 0);
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_NODE_ENDED, 0), ALCHI_DRV_ACTION_IDLE | ALCHI_DRV_ACTION_ENDED);
    ck_assert_int_eq(group->state, ALCHI_DRV_GROUP_OVER);
}
END_TEST

START_TEST(release_while_starting_kills)
{
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_RELEASE, 0), ALCHI_DRV_ACTION_KILL);
    ck_assert_int_eq(group->state, ALCHI_DRV_GROUP_RELEASING);
}
END_TEST

START_TEST(a_lost_node_takes_the_group)
{
    make_ready();
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_NODE_LOST, 1),
                      ALCHI_DRV_ACTION_LOST | ALCHI_DRV_ACTION_KILL | ALCHI_DRV_ACTION_IDLE);
    ck_assert_str_eq(group->lost_reason.text, "worker group 3 was lost: the connection to the agent on beta ended");
    ck_assert_uint_eq(simple(ALCHI_DRV_EVENT_NODE_ENDED, 0), ALCHI_DRV_ACTION_IDLE | ALCHI_DRV_ACTION_ENDED);
}
END_TEST

START_TEST(kill_keeps_its_reason)
{
    alch_error_t why = {ALCH_EGROUP, 2, "because"};
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_KILL, .error = &why};

    make_ready();
    ck_assert_uint_eq(alchi_drv_group_next_state(group, &event), ALCHI_DRV_ACTION_LOST | ALCHI_DRV_ACTION_KILL);
    ck_assert_str_eq(group->lost_reason.text, "worker group 3 was lost: because");
    ck_assert_int_eq(group->lost_reason.rank, 2);
    ck_assert_uint_eq(alchi_drv_group_next_state(group, &event), 0);
}
END_TEST

START_TEST(long_output_is_cut_at_lines)
{
    static char line[400];
    char *lines[] = {line, line, line, "the end"};
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_EXIT, .rank = 0, .exit = &exit};

    memset(line, 'x', sizeof(line) - 1);
    exit.lines = lines;
    exit.n_lines = 4;
    exit.signal = 6;
    make_ready();
    alchi_drv_group_next_state(group, &event);
    ck_assert(strlen(group->lost_reason.text) < ALCH_ERROR_TEXT_MAX);
    ck_assert_str_eq(group->lost_reason.text + strlen(group->lost_reason.text) - 9, "| the end");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("group");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, destroy_null);
    tcase_add_test(tcase, ready_when_all_are);
    tcase_add_test(tcase, first_exit_decides);
    tcase_add_test(tcase, abort_exit_and_last_lines);
    tcase_add_test(tcase, too_slow_names_rank_and_stage);
    tcase_add_test(tcase, a_lost_connection_waits_for_the_exit);
    tcase_add_test(tcase, release_and_end);
    tcase_add_test(tcase, release_while_starting_kills);
    tcase_add_test(tcase, a_lost_node_takes_the_group);
    tcase_add_test(tcase, kill_keeps_its_reason);
    tcase_add_test(tcase, long_output_is_cut_at_lines);
    suite_add_tcase(suite, tcase);
}
