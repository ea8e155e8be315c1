/* Real MPICH ranks on agents: the PMI server, barriers over agents, MPI_Abort. */
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

static void
check_sum(int size, const char *line)
{
    for (int i = 0; i < size; i++) {
        const Alchw__RankExit *rank_exit = exit_of((uint32_t)i);

        ck_assert_msg(has_line(rank_exit, line), "rank %d did not say \"%s\"", i, line);
        ck_assert_int_eq(rank_exit->signal, 0);
        ck_assert_int_eq(rank_exit->exit_code, 0);
        ck_assert(!rank_exit->aborted);
    }
}

START_TEST(test_one_host)
{
    spawn(1, 3, "mpi");
    await(ALCHI_GROUP_ENDED, 1);
    ck_assert_int_eq(heard(ALCHI_RANK_STARTED), 3);
    ck_assert_int_eq(heard(ALCHI_RANK_EXIT), 3);
    check_sum(3, "sum 6 of 3");
    forget();
    spawn(2, 1, "mpi");
    await(ALCHI_GROUP_ENDED, 1);
    check_sum(1, "sum 1 of 1");
}
END_TEST

/* Two hosts, as MPI sees it: business cards travel with the barrier. */
START_TEST(test_two_agents)
{
    const char *mapping = "(vector,(0,1,2),(1,1,1))";

    test_driver.barrier_agents = 2;
    spawn_part(0, 1, 3, 0, 2, mapping, "mpi-hosts", "self,sm,tcp");
    spawn_part(1, 1, 3, 2, 1, mapping, "mpi-hosts", "self,sm,tcp");
    await(ALCHI_GROUP_ENDED, 2);
    check_sum(3, "sum 6 of 3");
    ck_assert(has_line(exit_of(0), "on host 2"));
    ck_assert(has_line(exit_of(2), "on host 1"));
}
END_TEST

/* Two groups at once do not see each other's keys. */
START_TEST(test_two_groups)
{
    spawn_part(0, 1, 2, 0, 2, "(vector,(0,1,2))", "mpi", "self,sm");
    spawn_part(1, 2, 2, 0, 2, "(vector,(0,1,2))", "mpi", "self,sm");
    test_driver.barrier_agents = 0;
    alchi_deadline_t deadline = alchi_deadline_in_ms(20000);
    while (heard(ALCHI_GROUP_ENDED) < 2 && alchi_deadline_left_ms(deadline)) {
        /* each agent is a world of its own here */
        pump();
        for (int i = 0; i < AGENTS; i++) {
            Alchw__PmiBarrierOut out = ALCHW__PMI_BARRIER_OUT__INIT;

            if (!test_driver.in_barrier[i])
                continue;
            out.has_group = 1;
            out.group = test_driver.in_barrier[i]->group;
            tell(i, ALCHI_PMI_BARRIER_OUT, &out);
            alchi_message_free(test_driver.in_barrier[i]);
            test_driver.in_barrier[i] = NULL;
        }
    }
    ck_assert_int_eq(heard(ALCHI_GROUP_ENDED), 2);
    check_sum(2, "sum 3 of 2");
}
END_TEST

START_TEST(test_abort)
{
    const Alchw__RankExit *rank_exit;

    spawn(1, 3, "mpi-abort");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(rank_exit->rank, 2);
    ck_assert(rank_exit->aborted);
    ck_assert_int_eq(rank_exit->abort_code, 7);
    ck_assert_int_eq(rank_exit->signal, 0);
    ck_assert_int_eq(rank_exit->exit_code, 7);
    ck_assert_int_eq(heard(ALCHI_GROUP_ENDED), 0);
    kill_group(1, 0);
    await(ALCHI_GROUP_ENDED, 1);
    ck_assert_int_eq(exit_of(0)->signal, 9);
    ck_assert(!exit_of(0)->aborted);
}
END_TEST

/* A group that is ended in the middle of MPI_Init; and the next one starts. */
START_TEST(test_killed_early)
{
    for (int i = 0; i < 6; i++) {
        spawn((uint64_t)i + 1, 3, "mpi");
        await(ALCHI_RANK_STARTED, 3);
        for (int64_t until = alchi_now_ns() + i * 8000000; alchi_now_ns() < until;)
            pump();
        kill_group((uint64_t)i + 1, 0);
        await(ALCHI_GROUP_ENDED, 1);
        ck_assert_int_eq(heard(ALCHI_RANK_EXIT), 3);
        alchi_message_free(test_driver.in_barrier[0]);
        test_driver.in_barrier[0] = NULL;
        forget();
    }
    spawn(100, 3, "mpi");
    await(ALCHI_GROUP_ENDED, 1);
    check_sum(3, "sum 6 of 3");
}
END_TEST

/* A rank that dies before it has unlinked its shared memory leaves a file; it is gone with the group. */
START_TEST(test_left_memory)
{
    const Alchw__RankExit *rank_exit;
    const char *left;

    spawn(1, 3, "mpi-leave");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(rank_exit->signal, 9);
    ck_assert_uint_ge(rank_exit->n_lines, 1); /* MPI may have complained before, where there is no /sys */
    left = rank_exit->lines[rank_exit->n_lines - 1];
    ck_assert_ptr_nonnull(strstr(left, "/dev/shm/mpich_shar_tmp"));
    ck_assert_int_eq(access(left, F_OK), 0);
    kill_group(1, 0);
    await(ALCHI_GROUP_ENDED, 1);
    ck_assert_int_eq(access(left, F_OK), -1);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("mpi");

    tcase_set_timeout(test, 60);
    tcase_add_unchecked_fixture(test, compile_rank, remove_rank);
    tcase_add_checked_fixture(test, setup, end_loop);
    tcase_add_test(test, test_one_host);
    tcase_add_test(test, test_two_agents);
    tcase_add_test(test, test_two_groups);
    tcase_add_test(test, test_abort);
    tcase_add_test(test, test_killed_early);
    tcase_add_test(test, test_left_memory);
    suite_add_tcase(suite, test);
}
