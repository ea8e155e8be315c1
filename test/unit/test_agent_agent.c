/* The agent against a driver that is played here: ports, starting, watching, killing, ending. */
#include "agent_driver.h"

#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>

static void
setup(void)
{
    alchi_agent_options_t options = default_options(0, 3);

    start_loop();
    start_agent(0, &options);
    await(ALCHI_AGENT_HELLO, 1);
}

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

static int
try_connect(int port)
{
    alchi_address_t address = {.host = "127.0.0.1", .port = port};
    int fd, code = alchi_connect(&address, alchi_deadline_in_ms(2000), &fd, NULL);

    if (code == ALCH_OK)
        close(fd);
    return code;
}

/* ---- creating ---- */

static int
try_create(const alchi_agent_options_t *options, alch_error_t *err)
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

START_TEST(test_refused_options)
{
    alchi_agent_options_t options = default_options(0, 0);
    alch_error_t err;

    start_loop();
    unit_code(try_create(&options, &err), ALCH_EINVAL);
    options.slots = ALCHI_AGENT_SLOTS_MAX + 1;
    unit_code(try_create(&options, &err), ALCH_EINVAL);
    options = default_options(0, 10);
    options.base_port = 65530;
    unit_code(try_create(&options, &err), ALCH_EINVAL);
    options.base_port = 0;
    options.driver_address = NULL;
    unit_code(try_create(&options, &err), ALCH_EINVAL);
    options = default_options(0, 2);
    options.bind = "no.such.host.invalid";
    unit_code(try_create(&options, &err), ALCH_EINVAL);
    end_loop();
}
END_TEST

START_TEST(test_port_in_use)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    alchi_agent_options_t options = default_options(0, 2);
    alch_error_t err;
    char text[16];
    int fd;

    start_loop();
    unit_code(alchi_bind(&address, &fd, &err), ALCH_OK);
    ck_assert_int_eq(listen(fd, 1), 0);
    options.base_port = address.port - 1;
    unit_code(try_create(&options, &err), ALCH_EPORT);
    snprintf(text, sizeof(text), "%d", address.port);
    ck_assert_msg(strstr(err.text, text), "%s", err.text);
    close(fd);
    end_loop();
}
END_TEST

START_TEST(test_hello)
{
    const Alchw__AgentHello *hello = await(ALCHI_AGENT_HELLO, 1);
    alchi_address_t address = {.host = "127.0.0.1"};
    int fd;

    ck_assert_uint_eq(hello->n_slots, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_gt(hello->slots[i]->port, 1023);
        address.port = (int)hello->slots[i]->port;
        unit_code(alchi_bind(&address, &fd, NULL), ALCH_EPORT);
        ck_assert_int_ne(try_connect((int)hello->slots[i]->port), ALCH_OK);
    }
    ck_assert_uint_ge(hello->cores, 1);
    ck_assert_int_gt(hello->memory, 1 << 20);
    ck_assert(hello->host[0] && hello->node[0]);
    ck_assert_str_eq(hello->advertise, "");
}
END_TEST

/* ---- ends of ranks ---- */

START_TEST(test_exit_code)
{
    const Alchw__RankStarted *started;
    const Alchw__RankExit *rank_exit;

    spawn(5, 2, "exit");
    await(ALCHI_GROUP_ENDED, 1);
    started = await(ALCHI_RANK_STARTED, 2);
    ck_assert_uint_eq(started->group, 5);
    ck_assert_int_gt(started->pid, 1);
    ck_assert_int_eq(heard(ALCHI_RANK_EXIT), 2);
    ck_assert_uint_eq(test_driver.said[test_driver.count - 1].type, ALCHI_GROUP_ENDED);
    for (uint32_t i = 0; i < 2; i++) {
        rank_exit = exit_of(i);
        ck_assert_uint_eq(rank_exit->group, 5);
        ck_assert_int_eq(rank_exit->exit_code, 7);
        ck_assert_uint_eq(rank_exit->signal, 0);
        ck_assert_uint_eq(rank_exit->n_lines, 2);
        ck_assert_str_eq(rank_exit->lines[0], "to output");
        ck_assert_str_eq(rank_exit->lines[1], "to error");
    }
}
END_TEST

START_TEST(test_signals)
{
    const Alchw__RankExit *rank_exit;

    spawn(1, 1, "kill");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(rank_exit->signal, SIGKILL);
    await(ALCHI_GROUP_ENDED, 1);
    forget();
    spawn(2, 1, "segv");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(rank_exit->signal, SIGSEGV);
}
END_TEST

START_TEST(test_cannot_run)
{
    alchi_agent_options_t options = default_options(1, 1);
    const Alchw__RankExit *rank_exit;

    options.exe = "/nonexistent/alchemistd";
    start_agent(1, &options);
    spawn_part(1, 1, 1, 0, 1, "(vector,(0,1,1))", "exit", "self,sm");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_str_eq(rank_exit->text,
                     "could not be started: cannot run /nonexistent/alchemistd: No such file or directory");
    ck_assert_int_eq(rank_exit->exit_code, 127);
    await(ALCHI_GROUP_ENDED, 1);
}
END_TEST

/* Three slots, two groups of two: one rank is refused, and tells so. */
START_TEST(test_slot_busy)
{
    const Alchw__RankExit *rank_exit;

    spawn(1, 2, "sleep");
    await(ALCHI_RANK_STARTED, 2);
    spawn(2, 3, "exit");
    await(ALCHI_GROUP_ENDED, 1);
    ck_assert_int_eq(heard(ALCHI_RANK_EXIT), 3);
    rank_exit = exit_of(0);
    ck_assert_uint_eq(rank_exit->group, 2);
    ck_assert_ptr_nonnull(strstr(rank_exit->text, "in use"));
    ck_assert_str_eq(exit_of(2)->text ? exit_of(2)->text : "", "");
    ck_assert_int_eq(exit_of(2)->exit_code, 7);
}
END_TEST

START_TEST(test_flood)
{
    const Alchw__RankExit *rank_exit;

    spawn(1, 1, "flood");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_uint_eq(rank_exit->n_lines, 20);
    ck_assert_str_eq(rank_exit->lines[19], "line 2999 of a rank that has a lot to say");
}
END_TEST

START_TEST(test_garbage_pmi)
{
    const Alchw__RankExit *rank_exit;

    spawn(1, 1, "garbage");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_int_eq(rank_exit->exit_code, 5);
}
END_TEST

/* ---- what a rank inherits ---- */

/* The C library keeps signals 32 and 33 for itself: what a parent ignores of them stays ignored. */
static bool
ignores_nothing(const Alchw__RankExit *rank_exit)
{
    static const char name[] = "/proc/self/status: SigIgn: ";

    for (size_t i = 0; i < rank_exit->n_lines; i++)
        if (strncmp(rank_exit->lines[i], name, sizeof(name) - 1) == 0)
            return (strtoull(rank_exit->lines[i] + sizeof(name) - 1, NULL, 16) & ~0x180000000ULL) == 0;
    return false;
}

START_TEST(test_inheritance)
{
    const Alchw__RankExit *rank_exit;
    sigset_t blocked;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    setenv("ALCHEMIST_TOKEN", "secret", 1);
    spawn(1, 1, "show");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_int_eq(rank_exit->exit_code, 0);
    ck_assert(has_line(rank_exit, "descriptors 6"));
    ck_assert(has_line(rank_exit, "stdin /dev/null"));
    ck_assert(has_line(rank_exit, "config good"));
    ck_assert(has_line(rank_exit, "group own"));
    ck_assert(has_line(rank_exit, "death 9"));
    ck_assert(has_line(rank_exit, "/proc/self/oom_score_adj: 500"));
    ck_assert(has_line(rank_exit, "/proc/self/status: SigBlk: 0000000000000000"));
    ck_assert(ignores_nothing(rank_exit));
    ck_assert(has_line(rank_exit, "token gone"));
}
END_TEST

/* The daemon may run without standard descriptors: none of a rank's own may end up there. */
START_TEST(test_closed_standard)
{
    const Alchw__RankExit *rank_exit;

    close(0);
    close(1);
    spawn(1, 1, "show");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert(has_line(rank_exit, "descriptors 6"));
    ck_assert(has_line(rank_exit, "stdin /dev/null"));
    ck_assert(has_line(rank_exit, "config good"));
}
END_TEST

static void
await_listener(int port)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(10000);

    while (try_connect(port) != ALCH_OK) {
        ck_assert_msg(alchi_deadline_left_ms(deadline) != 0, "nobody listens on port %d", port);
        pump();
    }
}

/* A slot's port is heard only while its rank lives, and stays the agent's. */
START_TEST(test_port)
{
    const Alchw__AgentHello *hello = await(ALCHI_AGENT_HELLO, 1);
    int port = (int)hello->slots[0]->port, fd;
    alchi_address_t address = {.host = "127.0.0.1", .port = port};

    for (uint64_t i = 1; i <= 2; i++) {
        ck_assert_int_ne(try_connect(port), ALCH_OK);
        spawn(i, 1, "listen");
        await_listener(port);
        kill_group(i, 0);
        await(ALCHI_GROUP_ENDED, (int)i);
        ck_assert_int_ne(try_connect(port), ALCH_OK);
        unit_code(alchi_bind(&address, &fd, NULL), ALCH_EPORT);
    }
}
END_TEST

/* ---- killing ---- */

START_TEST(test_kill)
{
    kill_group(1, 0); /* none of that name: nothing happens */
    spawn(1, 2, "sleep");
    spawn(2, 1, "exit"); /* its slot is taken */
    await(ALCHI_GROUP_ENDED, 1);
    kill_group(1, 10000);
    await(ALCHI_GROUP_ENDED, 2);
    ck_assert_uint_eq(exit_of(1)->signal, SIGTERM);
    kill_group(1, 0);
}
END_TEST

/* Whether a process ignores SIGTERM by now. */
static bool
ignores_term(pid_t pid)
{
    char path[64], line[256];
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        found = found || (strncmp(line, "SigIgn:", 7) == 0 && strtoull(line + 7, NULL, 16) & 0x4000);
    if (file)
        fclose(file);
    return found;
}

static void
await_stubborn(int count)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(10000);

    await(ALCHI_RANK_STARTED, count);
    for (int i = 0; i < test_driver.count; i++)
        while (test_driver.said[i].type == ALCHI_RANK_STARTED &&
               !ignores_term(((Alchw__RankStarted *)test_driver.said[i].message)->pid)) {
            ck_assert_msg(alchi_deadline_left_ms(deadline) != 0, "a rank does not ignore SIGTERM");
            pump();
        }
}

START_TEST(test_kill_stubborn)
{
    int64_t before;

    spawn(1, 1, "stubborn");
    await_stubborn(1);
    before = alchi_now_ns();
    kill_group(1, 200);
    kill_group(1, 60000); /* a longer grace than is running changes nothing */
    await(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGKILL);
    ck_assert_int_ge(alchi_now_ns() - before, 190000000);
    forget();
    spawn(2, 1, "stubborn");
    await_stubborn(1);
    kill_group(2, 60000);
    kill_group(2, 0);
    await(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGKILL);
}
END_TEST

/* The letter of /proc for what a process does: 'T' is stopped, 'Z' dead and waiting for whoever adopted it; '-' gone.
 */
static char
state_of(pid_t pid)
{
    char path[64], text[256] = "";
    const char *behind_name;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return '-';
    ck_assert(fgets(text, sizeof(text), file) || feof(file) || ferror(file));
    fclose(file);
    behind_name = strrchr(text, ')');
    return behind_name ? behind_name[2] : '-';
}

START_TEST(test_kill_stopped)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(5000);
    const Alchw__RankStarted *started;

    spawn(1, 1, "sleep");
    started = await(ALCHI_RANK_STARTED, 1);
    ck_assert_int_eq(kill(started->pid, SIGSTOP), 0);
    while (state_of(started->pid) != 'T') /* else SIGTERM might overtake it */
        ck_assert(alchi_deadline_left_ms(deadline) != 0);
    kill_group(1, 100);
    await(ALCHI_GROUP_ENDED, 1);
    ck_assert_uint_eq(exit_of(0)->signal, SIGKILL);
}
END_TEST

START_TEST(test_children_of_ranks)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(5000);
    const Alchw__RankExit *rank_exit;
    int64_t pid = 0;

    spawn(1, 1, "child");
    rank_exit = await(ALCHI_RANK_EXIT, 1);
    ck_assert_int_eq(rank_exit->exit_code, 4);
    ck_assert_uint_eq(rank_exit->n_lines, 1);
    ck_assert(alchi_parse_int64(rank_exit->lines[0] + strlen("child "), 2, INT32_MAX, &pid));
    while (!strchr("Z-", state_of((pid_t)pid))) {
        ck_assert_msg(alchi_deadline_left_ms(deadline) != 0, "a rank's child survived it");
        pump();
    }
}
END_TEST

/* ---- ending ---- */

START_TEST(test_driver_lost)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(10000);
    const Alchw__RankStarted *started;
    pid_t pid;

    spawn(1, 3, "stubborn");
    started = await(ALCHI_RANK_STARTED, 3);
    pid = started->pid;
    alchi_channel_destroy(test_driver.channels[0]);
    test_driver.channels[0] = NULL;
    while (!test_driver.ended[0]) {
        ck_assert(alchi_deadline_left_ms(deadline) != 0);
        pump();
    }
    unit_code(test_driver.end_code, ALCH_ECONNECT);
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
}
END_TEST

static void
await_end(int code)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(10000);

    while (!test_driver.ended[0]) {
        ck_assert(alchi_deadline_left_ms(deadline) != 0);
        pump();
    }
    unit_code(test_driver.end_code, code);
}

START_TEST(test_protocol_broken)
{
    Alchw__RankStarted nonsense = ALCHW__RANK_STARTED__INIT;

    spawn(1, 1, "sleep");
    await(ALCHI_RANK_STARTED, 1);
    tell(0, ALCHI_RANK_STARTED, &nonsense);
    await_end(ALCH_EPROTO);
}
END_TEST

/* Requests to start ranks that make no sense. */
START_TEST(test_spawn_nonsense)
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
        rank.rank = 1;
        break;
    case 3:
        message.process_mapping = NULL;
        break;
    default:
        message.has_size = 0;
        break;
    }
    tell(0, ALCHI_SPAWN, &message);
    await_end(ALCH_EPROTO);
}
END_TEST

static void
on_stopped(void *context)
{
    ck_assert_ptr_eq(context, &test_driver);
    test_driver.stopped = true;
}

START_TEST(test_stop)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(10000);

    spawn(1, 2, "stubborn");
    await_stubborn(2);
    alchi_agent_stop(test_driver.agents[0], 60000, on_stopped, &test_driver);
    spawn(2, 1, "exit");
    await(ALCHI_GROUP_ENDED, 1);
    ck_assert_ptr_nonnull(strstr(exit_of(0)->text, "stopping"));
    ck_assert(!test_driver.stopped);
    alchi_agent_stop(test_driver.agents[0], 50, on_stopped, &test_driver);
    await(ALCHI_GROUP_ENDED, 2);
    while (!test_driver.stopped) {
        ck_assert(alchi_deadline_left_ms(deadline) != 0);
        pump();
    }
    ck_assert(!test_driver.ended[0]);
    test_driver.stopped = false;
    alchi_agent_stop(test_driver.agents[0], 50, on_stopped, &test_driver);
    ck_assert(!test_driver.stopped);
    pump();
    pump();
    ck_assert(test_driver.stopped);
}
END_TEST

START_TEST(test_destroy_running)
{
    const Alchw__RankStarted *started;
    pid_t pid;

    spawn(1, 2, "stubborn");
    started = await(ALCHI_RANK_STARTED, 2);
    pid = started->pid;
    alchi_agent_destroy(test_driver.agents[0]);
    test_driver.agents[0] = NULL;
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
}
END_TEST

START_TEST(test_no_leak)
{
    int before = 0;

    for (uint64_t i = 1; i <= 30; i++) {
        spawn(i, 3, i % 2 ? "exit" : "child");
        await(ALCHI_GROUP_ENDED, 1);
        pump();
        forget();
        if (i == 1)
            before = count_descriptors();
    }
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *create = tcase_create("create"), *run = tcase_create("run"), *end = tcase_create("end");
    TCase *cases[] = {create, run, end};

    for (int i = 0; i < 3; i++) {
        tcase_set_timeout(cases[i], 30);
        suite_add_tcase(suite, cases[i]);
    }
    tcase_add_unchecked_fixture(create, compile_rank, remove_rank);
    tcase_add_test(create, test_refused_options);
    tcase_add_test(create, test_port_in_use);

    tcase_add_unchecked_fixture(run, compile_rank, remove_rank);
    tcase_add_checked_fixture(run, setup, end_loop);
    tcase_add_test(run, test_hello);
    tcase_add_test(run, test_exit_code);
    tcase_add_test(run, test_signals);
    tcase_add_test(run, test_cannot_run);
    tcase_add_test(run, test_slot_busy);
    tcase_add_test(run, test_flood);
    tcase_add_test(run, test_garbage_pmi);
    tcase_add_test(run, test_inheritance);
    tcase_add_test(run, test_closed_standard);
    tcase_add_test(run, test_port);
    tcase_add_test(run, test_kill);
    tcase_add_test(run, test_kill_stubborn);
    tcase_add_test(run, test_kill_stopped);
    tcase_add_test(run, test_children_of_ranks);

    tcase_add_unchecked_fixture(end, compile_rank, remove_rank);
    tcase_add_checked_fixture(end, setup, end_loop);
    tcase_add_test(end, test_driver_lost);
    tcase_add_test(end, test_protocol_broken);
    tcase_add_loop_test(end, test_spawn_nonsense, 0, 5);
    tcase_add_test(end, test_stop);
    tcase_add_test(end, test_destroy_running);
    tcase_add_test(end, test_no_leak);
}
