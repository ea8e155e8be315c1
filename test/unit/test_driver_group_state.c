/* The state machine of a worker group: which actions follow an event, and the texts that say why a group was lost. */
#include "unit.h"
#include "driver/group_state.h"
#include "driver/slots.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

#define LOST_AND_KILL (ALCHI_DRV_ACTION_LOST | ALCHI_DRV_ACTION_KILL)

/* Group 3 of three ranks: ranks 0 and 1 are on host alpha, rank 2 is on host beta. */
typedef struct {
    alchi_drv_node_t nodes[2];
    alchi_drv_slot_t slots[3];
    alchi_drv_group_t *group;
} fixture_t;

/* The group is starting. */
static void
start_group(fixture_t *fixture)
{
    alchi_drv_slot_t *chosen[3];

    *fixture = (fixture_t){.nodes = {{.host = "alpha", .node = "a"}, {.host = "beta", .node = "b"}}};
    for (int i = 0; i < 3; i++) {
        fixture->slots[i] = (alchi_drv_slot_t){.id = i + 1, .node = &fixture->nodes[i / 2]};
        chosen[i] = &fixture->slots[i];
    }
    fixture->group = alchi_drv_group_create(3, 1, chosen, 3);
    ck_assert_ptr_nonnull(fixture->group);
}

static void
destroy_group(fixture_t *fixture)
{
    alchi_drv_group_destroy(fixture->group);
}

/* ---- events; they return the actions that must follow ---- */

static unsigned
join_rank(fixture_t *fixture, int rank, int stage)
{
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_JOIN, .rank = rank, .stage = stage};

    return alchi_drv_group_next_state(fixture->group, &event);
}

static unsigned
end_rank(fixture_t *fixture, int rank, const Alchw__RankExit *exit)
{
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_EXIT, .rank = rank, .exit = exit};

    return alchi_drv_group_next_state(fixture->group, &event);
}

static unsigned
kill_rank(fixture_t *fixture, int rank)
{
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;

    exit.signal = SIGKILL;
    return end_rank(fixture, rank, &exit);
}

/* The rank exits with this code. @param aborted  through MPI_Abort */
static unsigned
exit_rank(fixture_t *fixture, int rank, int code, bool aborted)
{
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;

    exit.exit_code = exit.abort_code = code;
    exit.aborted = aborted;
    return end_rank(fixture, rank, &exit);
}

/* An event of one rank that has no other parameters: DISCONNECTED, EXIT_OVERDUE. */
static unsigned
apply_rank_event(fixture_t *fixture, alchi_drv_group_event_type_t type, int rank)
{
    alchi_drv_group_event_t event = {.type = type, .rank = rank};

    return alchi_drv_group_next_state(fixture->group, &event);
}

/* NODE_ENDED, NODE_LOST */
static unsigned
apply_node_event(fixture_t *fixture, alchi_drv_group_event_type_t type, int index)
{
    alchi_drv_group_event_t event = {.type = type, .node_index = index};

    return alchi_drv_group_next_state(fixture->group, &event);
}

static unsigned
expire_start_timer(fixture_t *fixture)
{
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_START_OVERDUE, .ms = 30000};

    return alchi_drv_group_next_state(fixture->group, &event);
}

static unsigned
release_group(fixture_t *fixture)
{
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_RELEASE};

    return alchi_drv_group_next_state(fixture->group, &event);
}

static unsigned
kill_group(fixture_t *fixture, const alch_error_t *why)
{
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_KILL, .error = why};

    return alchi_drv_group_next_state(fixture->group, &event);
}

/* Start the group, and wait until it is ready. */
static void
start_ready_group(fixture_t *fixture)
{
    start_group(fixture);
    for (int i = 0; i < 3; i++)
        join_rank(fixture, i, ALCHW__JOIN_STAGE__JOIN_READY);
    ck_assert_int_eq(fixture->group->state, ALCHI_DRV_GROUP_READY);
}

/* ---- creation ---- */

START_TEST(destroying_null_keeps_errno)
{
    errno = EAGAIN;
    alchi_drv_group_destroy(NULL);
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(ranks_are_divided_among_their_nodes)
{
    fixture_t fixture;

    start_group(&fixture);
    ck_assert_int_eq(fixture.group->node_count, 2);
    ck_assert_int_eq(fixture.group->nodes[0].count, 2);
    ck_assert_int_eq(fixture.group->nodes[1].first, 2);
    destroy_group(&fixture);
}
END_TEST

START_TEST(control_keys_of_the_ranks_differ)
{
    fixture_t fixture;

    start_group(&fixture);
    ck_assert_mem_ne(fixture.group->ranks[0].control_key, fixture.group->ranks[1].control_key, ALCHI_KEY_SIZE);
    destroy_group(&fixture);
}
END_TEST

/* ---- starting ---- */

START_TEST(group_is_ready_when_all_ranks_are_ready)
{
    fixture_t fixture;

    start_group(&fixture);
    ck_assert_uint_eq(join_rank(&fixture, 0, ALCHW__JOIN_STAGE__JOIN_READY), 0);
    ck_assert_uint_eq(join_rank(&fixture, 2, ALCHW__JOIN_STAGE__JOIN_CONNECTED), 0);
    ck_assert_uint_eq(join_rank(&fixture, 2, ALCHW__JOIN_STAGE__JOIN_READY), 0);
    ck_assert_int_eq(fixture.group->state, ALCHI_DRV_GROUP_STARTING);
    ck_assert_uint_eq(join_rank(&fixture, 1, ALCHW__JOIN_STAGE__JOIN_READY), ALCHI_DRV_ACTION_READY);
    ck_assert_int_eq(fixture.group->state, ALCHI_DRV_GROUP_READY);
    destroy_group(&fixture);
}
END_TEST

START_TEST(rank_that_joins_twice_has_no_effect)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    ck_assert_uint_eq(join_rank(&fixture, 1, ALCHW__JOIN_STAGE__JOIN_READY), 0);
    destroy_group(&fixture);
}
END_TEST

START_TEST(slow_start_names_the_rank_and_its_stage)
{
    fixture_t fixture;

    start_group(&fixture);
    join_rank(&fixture, 0, ALCHW__JOIN_STAGE__JOIN_READY);
    join_rank(&fixture, 1, ALCHW__JOIN_STAGE__JOIN_CONNECTED);
    ck_assert_uint_eq(expire_start_timer(&fixture), LOST_AND_KILL);
    ck_assert_str_eq(fixture.group->lost_reason.text,
                     "worker group 3 did not start: worker 2 (rank 1) was still in MPI_Init after 30.0 s "
                     "(--start-timeout)");
    destroy_group(&fixture);
}
END_TEST

START_TEST(late_reports_do_not_change_a_lost_group)
{
    fixture_t fixture;

    start_group(&fixture);
    expire_start_timer(&fixture);
    ck_assert_uint_eq(expire_start_timer(&fixture), 0);
    ck_assert_uint_eq(join_rank(&fixture, 1, ALCHW__JOIN_STAGE__JOIN_READY), 0);
    destroy_group(&fixture);
}
END_TEST

/* ---- ranks that end ---- */

START_TEST(group_is_lost_when_a_rank_ends)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    ck_assert_uint_eq(kill_rank(&fixture, 1), LOST_AND_KILL);
    ck_assert_str_eq(fixture.group->lost_reason.text,
                     "worker group 3 was lost: worker 2 (rank 1) was killed by signal 9 (Killed)");
    ck_assert_int_eq(fixture.group->lost_reason.code, ALCH_EGROUP);
    ck_assert_int_eq(fixture.group->lost_reason.rank, 1);
    destroy_group(&fixture);
}
END_TEST

START_TEST(later_exits_do_not_change_the_reason)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    kill_rank(&fixture, 1);
    ck_assert_uint_eq(exit_rank(&fixture, 0, 1, false), 0);
    ck_assert_ptr_nonnull(strstr(fixture.group->lost_reason.text, "signal 9"));
    destroy_group(&fixture);
}
END_TEST

START_TEST(reason_names_an_exit_through_mpi_abort)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    exit_rank(&fixture, 2, 7, true);
    ck_assert_str_eq(fixture.group->lost_reason.text,
                     "worker group 3 was lost: worker 3 (rank 2) exited with code 7 through MPI_Abort");
    destroy_group(&fixture);
}
END_TEST

START_TEST(reason_names_an_exit_during_the_start)
{
    fixture_t fixture;

    start_group(&fixture);
    exit_rank(&fixture, 0, 0, false);
    ck_assert_str_eq(fixture.group->lost_reason.text,
                     "worker group 3 did not start: worker 1 (rank 0) exited with code 0");
    destroy_group(&fixture);
}
END_TEST

START_TEST(reason_ends_with_the_last_output_but_without_info_lines)
{
    char *lines[] = {(char *)"first words", (char *)"[2026-01-01 00:00:00.000] [worker-001] [info] chatter",
                     (char *)"last words"};
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;
    fixture_t fixture;

    exit.signal = SIGSEGV;
    exit.lines = lines;
    exit.n_lines = 3;
    start_ready_group(&fixture);
    end_rank(&fixture, 0, &exit);
    ck_assert_ptr_nonnull(strstr(fixture.group->lost_reason.text, "signal 11"));
    ck_assert_ptr_nonnull(strstr(fixture.group->lost_reason.text, "; its last output: first words | last words"));
    destroy_group(&fixture);
}
END_TEST

START_TEST(reason_has_as_many_of_the_last_lines_as_fit)
{
    char line[400] = "";
    char *lines[] = {line, line, line, (char *)"the end"};
    Alchw__RankExit exit = ALCHW__RANK_EXIT__INIT;
    fixture_t fixture;
    const char *text;

    memset(line, 'x', sizeof(line) - 1);
    exit.signal = SIGABRT;
    exit.lines = lines;
    exit.n_lines = 4;
    start_ready_group(&fixture);
    end_rank(&fixture, 0, &exit);
    text = fixture.group->lost_reason.text;
    ck_assert_uint_lt(strlen(text), ALCH_ERROR_TEXT_MAX);
    ck_assert_str_eq(text + strlen(text) - strlen("| the end"), "| the end");
    destroy_group(&fixture);
}
END_TEST

START_TEST(lost_connection_waits_for_the_exit_of_the_rank)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    ck_assert_uint_eq(apply_rank_event(&fixture, ALCHI_DRV_EVENT_DISCONNECTED, 1), ALCHI_DRV_ACTION_AWAIT_EXIT);
    ck_assert_int_eq(fixture.group->state, ALCHI_DRV_GROUP_READY);
    destroy_group(&fixture);
}
END_TEST

START_TEST(group_is_lost_if_a_rank_without_connection_does_not_exit)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    apply_rank_event(&fixture, ALCHI_DRV_EVENT_DISCONNECTED, 1);
    ck_assert_uint_eq(apply_rank_event(&fixture, ALCHI_DRV_EVENT_EXIT_OVERDUE, 1), LOST_AND_KILL);
    ck_assert_str_eq(fixture.group->lost_reason.text,
                     "worker group 3 was lost: worker 2 (rank 1) closed its connection to the driver");
    destroy_group(&fixture);
}
END_TEST

START_TEST(lost_group_waits_for_no_further_exit)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    apply_rank_event(&fixture, ALCHI_DRV_EVENT_DISCONNECTED, 1);
    apply_rank_event(&fixture, ALCHI_DRV_EVENT_EXIT_OVERDUE, 1);
    ck_assert_uint_eq(apply_rank_event(&fixture, ALCHI_DRV_EVENT_DISCONNECTED, 0), 0);
    destroy_group(&fixture);
}
END_TEST

/* ---- the driver ends the group ---- */

START_TEST(ready_group_is_released_by_asking_its_ranks_to_quit_once)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    ck_assert_uint_eq(release_group(&fixture), ALCHI_DRV_ACTION_QUIT);
    ck_assert_uint_eq(release_group(&fixture), 0);
    destroy_group(&fixture);
}
END_TEST

START_TEST(starting_group_is_released_by_killing_its_ranks)
{
    fixture_t fixture;

    start_group(&fixture);
    ck_assert_uint_eq(release_group(&fixture), ALCHI_DRV_ACTION_KILL);
    ck_assert_int_eq(fixture.group->state, ALCHI_DRV_GROUP_RELEASING);
    destroy_group(&fixture);
}
END_TEST

START_TEST(exit_after_the_release_is_no_loss)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    release_group(&fixture);
    ck_assert_uint_eq(exit_rank(&fixture, 0, 0, false), 0);
    ck_assert_int_eq(fixture.group->state, ALCHI_DRV_GROUP_RELEASING);
    destroy_group(&fixture);
}
END_TEST

START_TEST(killed_group_keeps_its_first_reason)
{
    const alch_error_t why = {ALCH_EGROUP, 2, "because"}, later = {ALCH_EGROUP, 0, "later"};
    fixture_t fixture;

    start_ready_group(&fixture);
    ck_assert_uint_eq(kill_group(&fixture, &why), LOST_AND_KILL);
    ck_assert_uint_eq(kill_group(&fixture, &later), 0);
    ck_assert_str_eq(fixture.group->lost_reason.text, "worker group 3 was lost: because");
    ck_assert_int_eq(fixture.group->lost_reason.rank, 2);
    destroy_group(&fixture);
}
END_TEST

/* ---- nodes ---- */

START_TEST(group_is_over_when_the_ranks_of_all_nodes_have_ended)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    release_group(&fixture);
    ck_assert_uint_eq(apply_node_event(&fixture, ALCHI_DRV_EVENT_NODE_ENDED, 1), ALCHI_DRV_ACTION_IDLE);
    ck_assert_uint_eq(apply_node_event(&fixture, ALCHI_DRV_EVENT_NODE_ENDED, 1), 0);
    ck_assert_uint_eq(apply_node_event(&fixture, ALCHI_DRV_EVENT_NODE_ENDED, 0),
                      ALCHI_DRV_ACTION_IDLE | ALCHI_DRV_ACTION_ENDED);
    ck_assert_int_eq(fixture.group->state, ALCHI_DRV_GROUP_OVER);
    destroy_group(&fixture);
}
END_TEST

START_TEST(group_is_lost_with_one_of_its_nodes)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    ck_assert_uint_eq(apply_node_event(&fixture, ALCHI_DRV_EVENT_NODE_LOST, 1), LOST_AND_KILL | ALCHI_DRV_ACTION_IDLE);
    ck_assert_str_eq(fixture.group->lost_reason.text,
                     "worker group 3 was lost: the connection to the agent on beta ended");
    destroy_group(&fixture);
}
END_TEST

START_TEST(lost_node_counts_as_ended)
{
    fixture_t fixture;

    start_ready_group(&fixture);
    apply_node_event(&fixture, ALCHI_DRV_EVENT_NODE_LOST, 1);
    ck_assert_uint_eq(apply_node_event(&fixture, ALCHI_DRV_EVENT_NODE_ENDED, 0),
                      ALCHI_DRV_ACTION_IDLE | ALCHI_DRV_ACTION_ENDED);
    destroy_group(&fixture);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("group_state");

    tcase_add_test(tcase, destroying_null_keeps_errno);
    tcase_add_test(tcase, ranks_are_divided_among_their_nodes);
    tcase_add_test(tcase, control_keys_of_the_ranks_differ);
    tcase_add_test(tcase, group_is_ready_when_all_ranks_are_ready);
    tcase_add_test(tcase, rank_that_joins_twice_has_no_effect);
    tcase_add_test(tcase, slow_start_names_the_rank_and_its_stage);
    tcase_add_test(tcase, late_reports_do_not_change_a_lost_group);
    tcase_add_test(tcase, group_is_lost_when_a_rank_ends);
    tcase_add_test(tcase, later_exits_do_not_change_the_reason);
    tcase_add_test(tcase, reason_names_an_exit_through_mpi_abort);
    tcase_add_test(tcase, reason_names_an_exit_during_the_start);
    tcase_add_test(tcase, reason_ends_with_the_last_output_but_without_info_lines);
    tcase_add_test(tcase, reason_has_as_many_of_the_last_lines_as_fit);
    tcase_add_test(tcase, lost_connection_waits_for_the_exit_of_the_rank);
    tcase_add_test(tcase, group_is_lost_if_a_rank_without_connection_does_not_exit);
    tcase_add_test(tcase, lost_group_waits_for_no_further_exit);
    tcase_add_test(tcase, ready_group_is_released_by_asking_its_ranks_to_quit_once);
    tcase_add_test(tcase, starting_group_is_released_by_killing_its_ranks);
    tcase_add_test(tcase, exit_after_the_release_is_no_loss);
    tcase_add_test(tcase, killed_group_keeps_its_first_reason);
    tcase_add_test(tcase, group_is_over_when_the_ranks_of_all_nodes_have_ended);
    tcase_add_test(tcase, group_is_lost_with_one_of_its_nodes);
    tcase_add_test(tcase, lost_node_counts_as_ended);
    suite_add_tcase(suite, tcase);
}
