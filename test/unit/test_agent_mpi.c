/* Real MPICH ranks on agents: the PMI-1 server, barriers across agents, MPI_Abort, and shared memory that a dead
 * rank leaves. */
#include "agent_driver.h"

static void
setup(void)
{
    alchi_agent_options_t options;

    start_loop();
    for (int i = 0; i < AGENTS; i++) {
        options = default_options(i, 3);
        start_agent(i, &options);
    }
}

/* All ranks of a group have printed a line and have ended without an error. */
static void
check_line_of_all(int size, const char *line)
{
    for (int i = 0; i < size; i++) {
        const Alchw__RankExit *rank_exit = exit_of((uint32_t)i);

        ck_assert_msg(has_line(rank_exit, line), "rank %d did not print \"%s\"", i, line);
        ck_assert_int_eq(rank_exit->signal, 0);
        ck_assert_int_eq(rank_exit->exit_code, 0);
        ck_assert(!rank_exit->aborted);
    }
}

START_TEST(three_ranks_compute_a_sum)
{
    spawn(1, 3, "mpi");
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    check_line_of_all(3, "sum 6 of 3");
}
END_TEST

START_TEST(a_group_of_one_rank_runs_after_another_group)
{
    spawn(1, 3, "mpi");
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    forget_messages();
    spawn(2, 1, "mpi");
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    check_line_of_all(1, "sum 1 of 1");
}
END_TEST

/* The mapping says that ranks 0 and 1 are on one host and rank 2 is on another one. The ranks exchange their addresses
 * through the barrier. */
START_TEST(a_group_spans_two_agents)
{
    const char *mapping = "(vector,(0,1,2),(1,1,1))";

    test_driver.barrier_agents = 2;
    spawn_part(0, 1, 3, 0, 2, mapping, "mpi-hosts", "self,sm,tcp");
    spawn_part(1, 1, 3, 2, 1, mapping, "mpi-hosts", "self,sm,tcp");
    wait_for_messages(ALCHI_GROUP_ENDED, 2);
    check_line_of_all(3, "sum 6 of 3");
    ck_assert(has_line(exit_of(0), "ranks on this host: 2"));
    ck_assert(has_line(exit_of(2), "ranks on this host: 1"));
}
END_TEST

/* Complete the barrier of each agent without the other agent. */
static bool
both_groups_have_ended(void *context)
{
    (void)context;
    run_loop();
    for (int i = 0; i < AGENTS; i++) {
        Alchw__PmiBarrierOut out = ALCHW__PMI_BARRIER_OUT__INIT;

        if (!test_driver.in_barrier[i])
            continue;
        out.has_group = 1;
        out.group = test_driver.in_barrier[i]->group;
        send_to_agent(i, ALCHI_PMI_BARRIER_OUT, &out);
        alchi_message_free(test_driver.in_barrier[i]);
        test_driver.in_barrier[i] = NULL;
    }
    return count_received(ALCHI_GROUP_ENDED) == 2;
}

START_TEST(two_groups_at_the_same_time_do_not_share_keys)
{
    test_driver.barrier_agents = 0;
    spawn_part(0, 1, 2, 0, 2, "(vector,(0,1,2))", "mpi", "self,sm");
    spawn_part(1, 2, 2, 0, 2, "(vector,(0,1,2))", "mpi", "self,sm");
    unit_wait_for(both_groups_have_ended, NULL, WAIT_MS);
    ck_assert_int_eq(count_received(ALCHI_RANK_EXIT), 4);
    for (int i = 0; i < test_driver.count; i++)
        if (test_driver.received[i].type == ALCHI_RANK_EXIT)
            ck_assert(has_line((const Alchw__RankExit *)test_driver.received[i].message, "sum 3 of 2"));
}
END_TEST

START_TEST(mpi_abort_is_reported_with_its_code)
{
    const Alchw__RankExit *rank_exit;

    spawn(1, 3, "mpi-abort");
    rank_exit = wait_for_messages(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(rank_exit->rank, 2);
    ck_assert(rank_exit->aborted);
    ck_assert_int_eq(rank_exit->abort_code, 7);
    ck_assert_int_eq(rank_exit->signal, 0);
    ck_assert_int_eq(rank_exit->exit_code, 7);
}
END_TEST

/* The driver decides whether the rest of the group ends. */
START_TEST(mpi_abort_ends_only_its_rank)
{
    spawn(1, 3, "mpi-abort");
    wait_for_messages(ALCHI_RANK_EXIT, 1);
    ck_assert_int_eq(count_received(ALCHI_GROUP_ENDED), 0);
    kill_group(1, 0);
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_int_eq(exit_of(0)->signal, SIGKILL);
    ck_assert(!exit_of(0)->aborted);
}
END_TEST

static bool
is_past(void *context)
{
    const int64_t *time_ns = context;

    run_loop();
    return alchi_now_ns() >= *time_ns;
}

/* Groups are killed 0, 8, ... 40 ms after their start, so at different places of MPI_Init. */
START_TEST(a_group_starts_after_others_were_killed_in_mpi_init)
{
    for (int i = 0; i < 6; i++) {
        int64_t kill_at_ns;

        spawn((uint64_t)i + 1, 3, "mpi");
        wait_for_messages(ALCHI_RANK_STARTED, 3);
        kill_at_ns = alchi_now_ns() + i * 8000000;
        unit_wait_for(is_past, &kill_at_ns, WAIT_MS);
        kill_group((uint64_t)i + 1, 0);
        wait_for_messages(ALCHI_GROUP_ENDED, 1);
        ck_assert_int_eq(count_received(ALCHI_RANK_EXIT), 3);
        alchi_message_free(test_driver.in_barrier[0]);
        test_driver.in_barrier[0] = NULL;
        forget_messages();
    }
    spawn(100, 3, "mpi");
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    check_line_of_all(3, "sum 6 of 3");
}
END_TEST

/* A rank that dies before it has unlinked its shared memory leaves a file. */
START_TEST(shared_memory_that_a_rank_left_is_removed_with_its_group)
{
    const Alchw__RankExit *rank_exit;
    const char *left;

    spawn(1, 3, "mpi-die-in-init");
    rank_exit = wait_for_messages(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(rank_exit->signal, SIGKILL);
    ck_assert_uint_ge(rank_exit->n_lines, 1); /* where there is no /sys, MPI prints complaints before it */
    left = rank_exit->lines[rank_exit->n_lines - 1];
    ck_assert_ptr_nonnull(strstr(left, "/dev/shm/mpich_shar_tmp"));
    ck_assert_int_eq(access(left, F_OK), 0);
    kill_group(1, 0);
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_int_eq(access(left, F_OK), -1);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("mpi");

    tcase_add_unchecked_fixture(test, compile_rank, remove_rank);
    tcase_add_checked_fixture(test, setup, end_loop);
    tcase_add_test(test, three_ranks_compute_a_sum);
    tcase_add_test(test, a_group_of_one_rank_runs_after_another_group);
    tcase_add_test(test, a_group_spans_two_agents);
    tcase_add_test(test, two_groups_at_the_same_time_do_not_share_keys);
    tcase_add_test(test, mpi_abort_is_reported_with_its_code);
    tcase_add_test(test, mpi_abort_ends_only_its_rank);
    tcase_add_test(test, a_group_starts_after_others_were_killed_in_mpi_init);
    tcase_add_test(test, shared_memory_that_a_rank_left_is_removed_with_its_group);
    suite_add_tcase(suite, test);
}
