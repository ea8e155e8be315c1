/* One rank: the reports of its start and its end, what it inherits, and its port. */
#include "agent_driver.h"

#include "base/util.h"

#include <fcntl.h>

/* ---- reports ---- */

START_TEST(the_start_of_each_rank_is_reported)
{
    spawn(5, 2, "print-and-exit");
    wait_for_messages(ALCHI_RANK_STARTED, 2);
    for (int i = 0, rank = 0; i < test_driver.count; i++) {
        const Alchw__RankStarted *started = (const Alchw__RankStarted *)test_driver.received[i].message;

        if (test_driver.received[i].type != ALCHI_RANK_STARTED)
            continue;
        ck_assert_uint_eq(started->group, 5);
        ck_assert_uint_eq(started->rank, rank++);
        ck_assert_int_gt(started->pid, 1);
    }
}
END_TEST

START_TEST(exit_code_and_output_are_reported)
{
    spawn(5, 2, "print-and-exit");
    wait_for_messages(ALCHI_RANK_EXIT, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const Alchw__RankExit *rank_exit = exit_of(i);

        ck_assert_uint_eq(rank_exit->group, 5);
        ck_assert_int_eq(rank_exit->exit_code, 7);
        ck_assert_uint_eq(rank_exit->signal, 0);
        ck_assert_uint_eq(rank_exit->n_lines, 2);
        ck_assert_str_eq(rank_exit->lines[0], "to output");
        ck_assert_str_eq(rank_exit->lines[1], "to error");
    }
}
END_TEST

START_TEST(a_deadly_signal_is_reported)
{
    static const struct {
        const char *mode;
        unsigned signal;
    } cases[] = {{"sigkill", SIGKILL}, {"sigsegv", SIGSEGV}};

    spawn(1, 1, cases[_i].mode);
    wait_for_messages(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(exit_of(0)->signal, cases[_i].signal);
}
END_TEST

START_TEST(a_program_that_cannot_run_is_reported)
{
    alchi_agent_options_t options = default_options(1, 1);

    options.exe = "/nonexistent/alchemistd";
    start_agent(1, &options);
    spawn_part(1, 1, 1, 0, 1, "(vector,(0,1,1))", "print-and-exit", "self,sm");
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_str_eq(exit_of(0)->text,
                     "could not be started: cannot run /nonexistent/alchemistd: No such file or directory");
    ck_assert_int_eq(exit_of(0)->exit_code, 127);
}
END_TEST

START_TEST(only_the_last_lines_of_much_output_are_reported)
{
    spawn(1, 1, "print-many-lines");
    wait_for_messages(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(exit_of(0)->n_lines, 20);
    ck_assert_str_eq(exit_of(0)->lines[0], "line 2980 of many");
    ck_assert_str_eq(exit_of(0)->lines[19], "line 2999 of many");
}
END_TEST

START_TEST(malformed_pmi_does_not_end_the_rank)
{
    spawn(1, 1, "malformed-pmi");
    wait_for_messages(ALCHI_RANK_EXIT, 1);
    ck_assert_int_eq(exit_of(0)->exit_code, 5);
}
END_TEST

static bool
process_has_ended(void *context)
{
    const int64_t *pid = context;

    return strchr("Z-", process_state((pid_t)*pid)) != NULL;
}

START_TEST(children_of_a_rank_end_with_it)
{
    int64_t pid = 0;

    spawn(1, 1, "fork-child");
    wait_for_messages(ALCHI_RANK_EXIT, 1);
    ck_assert_int_eq(exit_of(0)->exit_code, 4);
    ck_assert_uint_eq(exit_of(0)->n_lines, 1);
    ck_assert(alchi_parse_int64(exit_of(0)->lines[0] + strlen("child "), 2, INT32_MAX, &pid));
    unit_wait_for(process_has_ended, &pid, WAIT_MS);
}
END_TEST

/* ---- inheritance ---- */

/* Start a rank that prints what it has inherited. */
static const Alchw__RankExit *
inheritance_of_a_rank(void)
{
    spawn(1, 1, "print-inheritance");
    wait_for_messages(ALCHI_RANK_EXIT, 1);
    ck_assert_int_eq(exit_of(0)->exit_code, 0);
    return exit_of(0);
}

static void
check_descriptors(const Alchw__RankExit *rank_exit)
{
    ck_assert(has_line(rank_exit, "descriptors 6")); /* 0, 1, 2, PMI, configuration, port */
    ck_assert(has_line(rank_exit, "stdin /dev/null"));
    ck_assert(has_line(rank_exit, "config good"));
}

START_TEST(a_rank_inherits_only_its_own_descriptors)
{
    check_descriptors(inheritance_of_a_rank());
}
END_TEST

/* None of the rank's own descriptors may get the number of a standard descriptor that the daemon has closed. */
START_TEST(closed_standard_descriptors_of_the_agent_do_not_matter)
{
    int standard[2];

    for (int fd = 0; fd < 2; fd++) {
        standard[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        close(fd);
    }
    check_descriptors(inheritance_of_a_rank());
    for (int fd = 0; fd < 2; fd++) {
        dup2(standard[fd], fd);
        close(standard[fd]);
    }
}
END_TEST

/* The C library reserves signals 32 and 33: a rank still ignores them if the agent's parent did. */
static bool
ignores_no_signal(const Alchw__RankExit *rank_exit)
{
    static const char name[] = "/proc/self/status: SigIgn: ";

    for (size_t i = 0; i < rank_exit->n_lines; i++)
        if (strncmp(rank_exit->lines[i], name, sizeof(name) - 1) == 0)
            return (strtoull(rank_exit->lines[i] + sizeof(name) - 1, NULL, 16) & ~0x180000000ULL) == 0;
    return false;
}

START_TEST(a_rank_inherits_no_ignored_or_blocked_signal)
{
    const Alchw__RankExit *rank_exit;
    sigset_t blocked;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    rank_exit = inheritance_of_a_rank();
    ck_assert(has_line(rank_exit, "/proc/self/status: SigBlk: 0000000000000000"));
    ck_assert(ignores_no_signal(rank_exit));
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
}
END_TEST

START_TEST(a_rank_inherits_no_token)
{
    setenv("ALCHEMIST_TOKEN", "secret", 1);
    ck_assert(has_line(inheritance_of_a_rank(), "token absent"));
    unsetenv("ALCHEMIST_TOKEN");
}
END_TEST

START_TEST(a_rank_leads_a_process_group)
{
    ck_assert(has_line(inheritance_of_a_rank(), "process group leader"));
}
END_TEST

START_TEST(the_kernel_kills_a_rank_when_its_agent_ends)
{
    ck_assert(has_line(inheritance_of_a_rank(), "death signal 9"));
}
END_TEST

START_TEST(the_kernel_kills_a_rank_first_when_memory_runs_out)
{
    ck_assert(has_line(inheritance_of_a_rank(), "/proc/self/oom_score_adj: 500"));
}
END_TEST

/* ---- the port ---- */

static bool
accepts_connections(void *context)
{
    const int *port = context;

    run_loop();
    return try_connect(*port) == ALCH_OK;
}

START_TEST(a_port_listens_only_while_its_rank_lives)
{
    const Alchw__AgentHello *hello = wait_for_messages(ALCHI_AGENT_HELLO, 1);
    int port = (int)hello->slots[0]->port, fd;
    alchi_address_t address = {.host = "127.0.0.1", .port = port};

    for (uint64_t i = 1; i <= 2; i++) { /* the second time, another rank has the same slot */
        ck_assert_int_ne(try_connect(port), ALCH_OK);
        spawn(i, 1, "listen");
        unit_wait_for(accepts_connections, &port, WAIT_MS);
        kill_group(i, 0);
        wait_for_messages(ALCHI_GROUP_ENDED, (int)i);
        ck_assert_int_ne(try_connect(port), ALCH_OK);
        unit_code(alchi_bind(&address, &fd, NULL), ALCH_EPORT);
    }
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("rank");

    tcase_add_unchecked_fixture(test, compile_rank, remove_rank);
    tcase_add_checked_fixture(test, setup_one_agent, end_loop);
    tcase_add_test(test, the_start_of_each_rank_is_reported);
    tcase_add_test(test, exit_code_and_output_are_reported);
    tcase_add_loop_test(test, a_deadly_signal_is_reported, 0, 2);
    tcase_add_test(test, a_program_that_cannot_run_is_reported);
    tcase_add_test(test, only_the_last_lines_of_much_output_are_reported);
    tcase_add_test(test, malformed_pmi_does_not_end_the_rank);
    tcase_add_test(test, children_of_a_rank_end_with_it);
    tcase_add_test(test, a_rank_inherits_only_its_own_descriptors);
    tcase_add_test(test, closed_standard_descriptors_of_the_agent_do_not_matter);
    tcase_add_test(test, a_rank_inherits_no_ignored_or_blocked_signal);
    tcase_add_test(test, a_rank_inherits_no_token);
    tcase_add_test(test, a_rank_leads_a_process_group);
    tcase_add_test(test, the_kernel_kills_a_rank_when_its_agent_ends);
    tcase_add_test(test, the_kernel_kills_a_rank_first_when_memory_runs_out);
    tcase_add_test(test, a_port_listens_only_while_its_rank_lives);
    suite_add_tcase(suite, test);
}
