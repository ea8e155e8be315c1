/* The agent as a whole: creating it, its first message, and how it ends. */
#include "agent_driver.h"

#include <dirent.h>
#include <errno.h>

/* ---- creating ---- */

/* Try to create an agent; it must fail. Returns the code. */
static int
refused_create(const alchi_agent_options_t *options, alch_error_t *err)
{
    alchi_agent_t *agent = NULL;
    alchi_channel_t *channel;
    int fds[2], code;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    channel = new_channel(fds[0]);
    code = alchi_agent_create(&test_driver.loop, channel, options, &agent, err);
    ck_assert_ptr_null(agent);
    alchi_channel_destroy(channel);
    close(fds[1]);
    return code;
}

START_TEST(slots_and_ports_out_of_range_are_refused)
{
    alchi_agent_options_t options = default_options(0, 0);
    alch_error_t err;

    unit_code(refused_create(&options, &err), ALCH_EINVAL);
    options.slots = ALCHI_AGENT_SLOTS_MAX + 1;
    unit_code(refused_create(&options, &err), ALCH_EINVAL);
    ck_assert_msg(strstr(err.text, "4097 worker slots"), "%s", err.text);
    options = default_options(0, 10);
    options.base_port = 65530;
    unit_code(refused_create(&options, &err), ALCH_EINVAL);
    ck_assert_msg(strstr(err.text, "65535"), "%s", err.text);
}
END_TEST

START_TEST(a_missing_driver_address_is_refused)
{
    alchi_agent_options_t options = default_options(0, 2);
    alch_error_t err;

    options.driver_address = NULL;
    unit_code(refused_create(&options, &err), ALCH_EINVAL);
}
END_TEST

START_TEST(an_unknown_bind_address_is_refused)
{
    alchi_agent_options_t options = default_options(0, 2);
    alch_error_t err;

    options.bind = "no.such.host.invalid";
    unit_code(refused_create(&options, &err), ALCH_EINVAL);
}
END_TEST

START_TEST(a_port_in_use_is_refused_and_named)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    alchi_agent_options_t options = default_options(0, 2);
    alch_error_t err;
    char text[16];
    int fd;

    unit_code(alchi_bind(&address, &fd, &err), ALCH_OK);
    ck_assert_int_eq(listen(fd, 1), 0);
    options.base_port = address.port - 1;
    unit_code(refused_create(&options, &err), ALCH_EPORT);
    snprintf(text, sizeof(text), "%d", address.port);
    ck_assert_msg(strstr(err.text, text), "%s", err.text);
    close(fd);
}
END_TEST

START_TEST(hello_reports_slots_and_machine)
{
    const Alchw__AgentHello *hello = wait_for_messages(ALCHI_AGENT_HELLO, 1);

    ck_assert_uint_eq(hello->n_slots, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(hello->slots[i]->port, 1023);
    ck_assert_uint_ge(hello->cores, 1);
    ck_assert_int_gt(hello->memory, 1 << 20);
    ck_assert(hello->host[0] && hello->node[0]);
    ck_assert_str_eq(hello->advertise, "");
}
END_TEST

START_TEST(ports_of_free_slots_are_bound_and_do_not_listen)
{
    const Alchw__AgentHello *hello = wait_for_messages(ALCHI_AGENT_HELLO, 1);
    alchi_address_t address = {.host = "127.0.0.1"};
    int fd;

    for (int i = 0; i < 3; i++) {
        address.port = (int)hello->slots[i]->port;
        unit_code(alchi_bind(&address, &fd, NULL), ALCH_EPORT);
        ck_assert_int_ne(try_connect(address.port), ALCH_OK);
    }
}
END_TEST

/* ---- the end of the connection to the driver ---- */

static bool
agent_has_ended(void *context)
{
    (void)context;
    run_loop();
    return test_driver.ended[0];
}

static void
check_agent_ends(int code)
{
    unit_wait_for(agent_has_ended, NULL, WAIT_MS);
    unit_code(test_driver.end_code, code);
}

static void
check_process_is_reaped(pid_t pid)
{
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
}

START_TEST(a_lost_driver_ends_the_agent_and_its_ranks)
{
    pid_t pid = spawn_stubborn(1, 3);

    alchi_channel_destroy(test_driver.channels[0]);
    test_driver.channels[0] = NULL;
    check_agent_ends(ALCH_ECONNECT);
    check_process_is_reaped(pid);
}
END_TEST

START_TEST(an_unexpected_message_ends_the_agent)
{
    Alchw__RankStarted message = ALCHW__RANK_STARTED__INIT; /* an agent sends it, and never receives it */

    spawn(1, 1, "sleep");
    wait_for_messages(ALCHI_RANK_STARTED, 1);
    send_to_agent(0, ALCHI_RANK_STARTED, &message);
    check_agent_ends(ALCH_EPROTO);
}
END_TEST

START_TEST(an_invalid_spawn_ends_the_agent)
{
    Alchw__SpawnRank rank = ALCHW__SPAWN_RANK__INIT, *list = &rank;
    Alchw__WorkerConfig config = ALCHW__WORKER_CONFIG__INIT;
    Alchw__Spawn message = ALCHW__SPAWN__INIT;

    message.has_size = rank.has_rank = 1;
    message.size = 1;
    message.process_mapping = "(vector,(0,1,1))";
    message.ranks = &list;
    message.n_ranks = 1;
    rank.config = &config;
    switch (_i) {
    case 0:
        message.n_ranks = 0;
        break;
    case 1:
        rank.config = NULL;
        break;
    case 2:
        rank.rank = 1; /* of a group of 1 */
        break;
    case 3:
        message.process_mapping = NULL;
        break;
    default:
        message.has_size = 0;
        break;
    }
    send_to_agent(0, ALCHI_SPAWN, &message);
    check_agent_ends(ALCH_EPROTO);
}
END_TEST

/* ---- stopping ---- */

static void
on_stopped(void *context)
{
    ck_assert_ptr_eq(context, &test_driver);
    test_driver.stopped = true;
}

static bool
agent_has_stopped(void *context)
{
    (void)context;
    run_loop();
    return test_driver.stopped;
}

static void
stop_agent(int grace_ms)
{
    test_driver.stopped = false;
    alchi_agent_stop(test_driver.agents[0], grace_ms, on_stopped, &test_driver);
}

START_TEST(a_stopping_agent_refuses_new_ranks)
{
    spawn_stubborn(1, 2);
    stop_agent(60000);
    spawn(2, 1, "print-and-exit");
    wait_for_messages(ALCHI_GROUP_ENDED, 1);
    ck_assert_str_eq(exit_of(0)->text, "could not be started: the agent is stopping");
    ck_assert(!test_driver.stopped);
}
END_TEST

START_TEST(a_second_stop_shortens_the_grace)
{
    spawn_stubborn(1, 2);
    stop_agent(60000);
    stop_agent(50);
    unit_wait_for(agent_has_stopped, NULL, WAIT_MS);
    ck_assert_int_eq(count_received(ALCHI_GROUP_ENDED), 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGKILL);
    ck_assert(!test_driver.ended[0]); /* on_end is not called after a stop */
}
END_TEST

START_TEST(each_stop_without_ranks_calls_back_from_the_loop)
{
    for (int i = 0; i < 2; i++) {
        stop_agent(50);
        ck_assert(!test_driver.stopped);
        unit_wait_for(agent_has_stopped, NULL, WAIT_MS);
    }
}
END_TEST

START_TEST(destroying_an_agent_kills_its_ranks)
{
    pid_t pid = spawn_stubborn(1, 2);

    alchi_agent_destroy(test_driver.agents[0]);
    test_driver.agents[0] = NULL;
    check_process_is_reaped(pid);
}
END_TEST

static int
count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

START_TEST(ended_groups_leave_no_descriptors_open)
{
    int before = 0;

    for (uint64_t i = 1; i <= 30; i++) {
        spawn(i, 3, i % 2 ? "print-and-exit" : "fork-child");
        wait_for_messages(ALCHI_GROUP_ENDED, 1);
        run_loop();
        forget_messages();
        if (i == 1)
            before = count_descriptors();
    }
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *create = tcase_create("create"), *end = tcase_create("end");

    tcase_add_checked_fixture(create, start_loop, end_loop);
    tcase_add_test(create, slots_and_ports_out_of_range_are_refused);
    tcase_add_test(create, a_missing_driver_address_is_refused);
    tcase_add_test(create, an_unknown_bind_address_is_refused);
    tcase_add_test(create, a_port_in_use_is_refused_and_named);
    suite_add_tcase(suite, create);

    tcase_add_unchecked_fixture(end, compile_rank, remove_rank);
    tcase_add_checked_fixture(end, setup_one_agent, end_loop);
    tcase_add_test(end, hello_reports_slots_and_machine);
    tcase_add_test(end, ports_of_free_slots_are_bound_and_do_not_listen);
    tcase_add_test(end, a_lost_driver_ends_the_agent_and_its_ranks);
    tcase_add_test(end, an_unexpected_message_ends_the_agent);
    tcase_add_loop_test(end, an_invalid_spawn_ends_the_agent, 0, 5);
    tcase_add_test(end, a_stopping_agent_refuses_new_ranks);
    tcase_add_test(end, a_second_stop_shortens_the_grace);
    tcase_add_test(end, each_stop_without_ranks_calls_back_from_the_loop);
    tcase_add_test(end, destroying_an_agent_kills_its_ranks);
    tcase_add_test(end, ended_groups_leave_no_descriptors_open);
    suite_add_tcase(suite, end);
}
