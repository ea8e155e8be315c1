/* The ranks of one group: which of them start, how the group is killed, and the report of its end. */
#include "agent_driver.h"

/* ---- starting ---- */

START_TEST(the_report_of_the_groups_end_follows_those_of_its_ranks)
{
    const Alchw__GroupEnded *ended;

    spawn(5, 2, "print-and-exit");
    ended = wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(ended->group, 5);
    ck_assert_int_eq(count_received(ALCHI_RANK_EXIT), 2);
    ck_assert_uint_eq(test_driver.received[test_driver.count - 1].type, ALCHI_GROUP_ENDED);
}
END_TEST

/* The agent has 3 slots, and the first group has two of them. */
START_TEST(only_ranks_without_a_free_slot_are_refused)
{
    spawn(1, 2, "sleep");
    spawn(2, 3, "print-and-exit");
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(exit_of(i)->group, 2);
        ck_assert_ptr_nonnull(strstr(exit_of(i)->text, "in use"));
        ck_assert_int_eq(exit_of(i)->exit_code, 127);
    }
    ck_assert_str_eq(exit_of(2)->text ? exit_of(2)->text : "", "");
    ck_assert_int_eq(exit_of(2)->exit_code, 7);
}
END_TEST

START_TEST(a_group_without_any_free_slot_ends_at_once)
{
    const Alchw__GroupEnded *ended;

    spawn(1, 1, "sleep");
    spawn(2, 1, "print-and-exit");
    ended = wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(ended->group, 2);
    ck_assert_int_eq(count_received(ALCHI_RANK_STARTED), 1); /* of group 1 */
}
END_TEST

/* ---- killing ---- */

START_TEST(sigterm_ends_ranks_within_the_grace)
{
    spawn(1, 2, "sleep");
    wait_for_messages(ALCHI_RANK_STARTED, 2);
    kill_group(1, 60000);
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGTERM);
    ck_assert_uint_eq(exit_of(1)->signal, SIGTERM);
}
END_TEST

START_TEST(killing_an_unknown_or_ended_group_does_nothing)
{
    kill_group(1, 0);
    for (uint64_t i = 1; i <= 2; i++) {
        spawn(i, 1, "print-and-exit");
        wait_for_messages(ALCHI_GROUP_ENDED, (int)i);
        kill_group(i, 0);
    }
    ck_assert(!test_driver.ended[0]);
}
END_TEST

START_TEST(sigkill_follows_when_the_grace_is_over)
{
    int64_t start;

    spawn_stubborn(1, 1);
    start = alchi_now_ns();
    kill_group(1, 200);
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGKILL);
    ck_assert_int_ge(alchi_now_ns() - start, 190000000); /* 10 ms less, because libuv's clock counts whole ms */
}
END_TEST

START_TEST(a_longer_grace_does_not_replace_a_shorter_one)
{
    spawn_stubborn(1, 1);
    kill_group(1, 200);
    kill_group(1, 60000); /* longer than the test may take */
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGKILL);
}
END_TEST

START_TEST(a_shorter_grace_replaces_a_longer_one)
{
    spawn_stubborn(1, 1);
    kill_group(1, 60000); /* longer than the test may take */
    kill_group(1, 0);
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGKILL);
}
END_TEST

static bool
process_is_stopped(void *context)
{
    return process_state(*(const pid_t *)context) == 'T';
}

START_TEST(a_stopped_rank_is_killed_when_the_grace_is_over)
{
    const Alchw__RankStarted *started;
    pid_t pid;

    spawn(1, 1, "sleep");
    started = wait_for_messages(ALCHI_RANK_STARTED, 1);
    pid = started->pid;
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    unit_wait_for(process_is_stopped, &pid, WAIT_MS); /* otherwise SIGTERM could end it before it stops */
    kill_group(1, 100);
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGKILL);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("group_ranks");

    tcase_add_unchecked_fixture(test, compile_rank, remove_rank);
    tcase_add_checked_fixture(test, setup_one_agent, end_loop);
    tcase_add_test(test, the_report_of_the_groups_end_follows_those_of_its_ranks);
    tcase_add_test(test, only_ranks_without_a_free_slot_are_refused);
    tcase_add_test(test, a_group_without_any_free_slot_ends_at_once);
    tcase_add_test(test, sigterm_ends_ranks_within_the_grace);
    tcase_add_test(test, killing_an_unknown_or_ended_group_does_nothing);
    tcase_add_test(test, sigkill_follows_when_the_grace_is_over);
    tcase_add_test(test, a_longer_grace_does_not_replace_a_shorter_one);
    tcase_add_test(test, a_shorter_grace_replaces_a_longer_one);
    tcase_add_test(test, a_stopped_rank_is_killed_when_the_grace_is_over);
    suite_add_tcase(suite, test);
}
