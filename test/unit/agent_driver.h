/**
 * @file agent_driver.h
 * A driver for the agent's tests: it has one or two agents on its loop, records their messages, and completes the PMI
 * barriers of their ranks. Everything runs in one thread. No include guard: a test program includes it once.
 */
#include "unit.h"

#include "agent/agent.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/address.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGENTS 2
#define MESSAGES 512
#define WAIT_MS 20000 /* for any event */

typedef struct {
    unsigned type;
    ProtobufCMessage *message;
} received_t;

static struct {
    uv_loop_t loop;
    alchi_channel_t *channels[AGENTS]; /* the driver's ends */
    alchi_agent_t *agents[AGENTS];
    bool ended[AGENTS], stopped;
    int end_code;
    received_t received[MESSAGES]; /* all messages but barriers */
    int count;
    Alchw__PmiBarrier *in_barrier[AGENTS]; /* NULL: the agent's ranks are not in a barrier */
    int barrier_agents; /* agents that have ranks of the group; 0: the test completes barriers itself */
} test_driver;

static char exe[128];

/* ---- the rank program ---- */

static void
compile_rank(void)
{
    char command[512];

    alchi_log_init("test", ALCHI_LOG_ERROR);
    snprintf(exe, sizeof(exe), "/tmp/alchemist-rank-%d", (int)getpid());
    snprintf(command, sizeof(command),
             "env -u LD_PRELOAD MPICH_CC=gcc mpicc.mpich -w -O1 -rdynamic -o %s %.*s/agent_rank.c", exe,
             (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
    ck_assert_int_eq(system(command), 0);
}

static void
remove_rank(void)
{
    unlink(exe);
}

/* ---- agents ---- */

static void
on_agent_end(void *context, int code, const char *text)
{
    int i = (int)(intptr_t)context;

    ck_assert_ptr_nonnull(text);
    ck_assert(!test_driver.ended[i]);
    test_driver.ended[i] = true;
    test_driver.end_code = code;
}

static alchi_channel_t *
new_channel(int fd)
{
    alchi_channel_t *channel;

    alchi_socket_prepare(fd);
    channel = alchi_channel_create(alchi_stream_create(fd));
    ck_assert_ptr_nonnull(channel);
    return channel;
}

static alchi_agent_options_t
default_options(int i, int slots)
{
    return (alchi_agent_options_t){.slots = slots,
                                   .driver_address = "driver.test:1234",
                                   .exe = exe,
                                   .on_end = on_agent_end,
                                   .context = (void *)(intptr_t)i};
}

static void
start_agent(int i, const alchi_agent_options_t *options)
{
    alch_error_t err = {.text = ""};
    alchi_channel_t *channel;
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    test_driver.channels[i] = new_channel(fds[0]);
    alchi_channel_set_limits(test_driver.channels[i], ALCHI_META_MAX, 0);
    channel = new_channel(fds[1]);
    ck_assert_msg(alchi_agent_create(&test_driver.loop, channel, options, &test_driver.agents[i], &err) == ALCH_OK,
                  "%s", err.text);
}

static void
start_loop(void)
{
    memset(&test_driver, 0, sizeof(test_driver));
    ck_assert_int_eq(uv_loop_init(&test_driver.loop), 0);
    test_driver.barrier_agents = 1;
}

static void
forget_messages(void)
{
    while (test_driver.count)
        alchi_message_free(test_driver.received[--test_driver.count].message);
}

/* Fails if an agent has left a handle open on the loop. */
static void
end_loop(void)
{
    for (int i = 0; i < AGENTS; i++) {
        alchi_agent_destroy(test_driver.agents[i]);
        alchi_channel_destroy(test_driver.channels[i]);
        alchi_message_free(test_driver.in_barrier[i]);
    }
    forget_messages();
    uv_run(&test_driver.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&test_driver.loop), 0);
}

/* ---- messages ---- */

static void
send_to_agent(int agent, unsigned type, const void *message)
{
    unit_code(alchi_channel_send(test_driver.channels[agent], type, 0, 0, message), ALCH_OK);
}

/* An agent's ranks are in the barrier. When those of all agents are, send all pairs to all agents. */
static void
enter_barrier(int agent, Alchw__PmiBarrier *barrier)
{
    Alchw__PmiBarrierOut out = ALCHW__PMI_BARRIER_OUT__INIT;
    Alchw__PmiPair *pairs[256];

    ck_assert_ptr_null(test_driver.in_barrier[agent]);
    test_driver.in_barrier[agent] = barrier;
    for (int i = 0; i < test_driver.barrier_agents; i++)
        if (!test_driver.in_barrier[i])
            return;
    out.has_group = 1;
    out.group = barrier->group;
    out.pairs = pairs;
    for (int i = 0; i < test_driver.barrier_agents; i++)
        for (size_t k = 0; k < test_driver.in_barrier[i]->n_pairs; k++)
            pairs[out.n_pairs++] = test_driver.in_barrier[i]->pairs[k];
    for (int i = 0; i < test_driver.barrier_agents; i++)
        send_to_agent(i, ALCHI_PMI_BARRIER_OUT, &out);
    for (int i = 0; i < test_driver.barrier_agents; i++) {
        alchi_message_free(test_driver.in_barrier[i]);
        test_driver.in_barrier[i] = NULL;
    }
}

static void
receive_messages(int agent)
{
    ProtobufCMessage *message;
    alchi_frame_t frame;

    while (test_driver.channels[agent]) {
        alchi_channel_flush(test_driver.channels[agent]);
        if (alchi_channel_receive(test_driver.channels[agent], &frame, &message) != ALCH_OK)
            return;
        ck_assert_uint_eq(frame.payload, 0);
        if (frame.type == ALCHI_PMI_BARRIER) {
            enter_barrier(agent, (Alchw__PmiBarrier *)message);
            continue;
        }
        ck_assert_int_lt(test_driver.count, MESSAGES);
        test_driver.received[test_driver.count++] = (received_t){frame.type, message};
    }
}

/* Run the callbacks that are due, and record the messages that have arrived. */
static void
run_loop(void)
{
    uv_run(&test_driver.loop, UV_RUN_NOWAIT);
    for (int i = 0; i < AGENTS; i++)
        receive_messages(i);
}

static int
count_received(unsigned type)
{
    int count = 0;

    for (int i = 0; i < test_driver.count; i++)
        count += test_driver.received[i].type == type;
    return count;
}

typedef struct {
    unsigned type;
    int count;
} awaited_t;

static bool
has_received(void *context)
{
    const awaited_t *awaited = context;

    if (count_received(awaited->type) < awaited->count)
        run_loop();
    return count_received(awaited->type) >= awaited->count;
}

/* Wait until `count` messages of a type have been received since forget_messages(). Returns the last one. */
static const void *
wait_for_messages(unsigned type, int count)
{
    awaited_t awaited = {type, count};
    int last;

    unit_wait_for(has_received, &awaited, WAIT_MS);
    for (last = test_driver.count - 1; test_driver.received[last].type != type;)
        last--;
    return test_driver.received[last].message;
}

/* The report of the end of a rank, which must have been received. */
static inline const Alchw__RankExit *
exit_of(uint32_t rank)
{
    for (int i = 0; i < test_driver.count; i++) {
        const Alchw__RankExit *rank_exit = (const Alchw__RankExit *)test_driver.received[i].message;

        if (test_driver.received[i].type == ALCHI_RANK_EXIT && rank_exit->rank == rank)
            return rank_exit;
    }
    ck_abort_msg("rank %u has not ended", rank);
    return NULL;
}

/* ---- groups ---- */

/* Let an agent start the ranks first .. first + count - 1 of a group of `size` ranks, on its slots 0 .. count - 1. The
 * ranks do what `mode` says (agent_rank.c). */
static inline void
spawn_part(int agent, uint64_t group, int size, int first, int count, const char *mapping, const char *mode,
           const char *transports)
{
    Alchw__Spawn spawn = ALCHW__SPAWN__INIT;
    Alchw__SpawnRank ranks[8], *list[8];
    Alchw__WorkerConfig configs[8];
    char text[2][64], *environment[2] = {text[0], text[1]};

    for (int i = 0; i < count; i++) {
        alchw__spawn_rank__init(&ranks[i]);
        alchw__worker_config__init(&configs[i]);
        ranks[i].has_rank = ranks[i].has_local_slot = configs[i].has_slot = 1;
        ranks[i].rank = (uint32_t)(first + i);
        ranks[i].local_slot = (uint32_t)i;
        configs[i].slot = (uint32_t)(first + i + 1);
        ranks[i].config = &configs[i];
        list[i] = &ranks[i];
    }
    snprintf(text[0], sizeof(text[0]), "TEST_MODE=%s", mode);
    snprintf(text[1], sizeof(text[1]), "UCX_TLS=%s", transports);
    spawn.has_group = spawn.has_size = 1;
    spawn.group = group;
    spawn.size = (uint32_t)size;
    spawn.n_ranks = (size_t)count;
    spawn.ranks = list;
    spawn.process_mapping = (char *)mapping;
    spawn.n_environment = 2;
    spawn.environment = environment;
    send_to_agent(agent, ALCHI_SPAWN, &spawn);
}

/* Let agent 0 start all `count` ranks of a group. */
static inline void
spawn(uint64_t group, int count, const char *mode)
{
    char mapping[64];

    snprintf(mapping, sizeof(mapping), "(vector,(0,1,%d))", count);
    spawn_part(0, group, count, 0, count, mapping, mode, "self,sm");
}

static inline void
kill_group(uint64_t group, uint32_t grace_ms)
{
    Alchw__KillGroup message = ALCHW__KILL_GROUP__INIT;

    message.has_group = message.has_grace_ms = 1;
    message.group = group;
    message.grace_ms = grace_ms;
    send_to_agent(0, ALCHI_KILL_GROUP, &message);
}

static inline bool
has_line(const Alchw__RankExit *rank_exit, const char *line)
{
    for (size_t i = 0; i < rank_exit->n_lines; i++)
        if (strcmp(rank_exit->lines[i], line) == 0)
            return true;
    return false;
}

/* The state of a process as a letter of /proc: 'T' is stopped, 'Z' is dead and not reaped. '-': it does not exist. */
static inline char
process_state(pid_t pid)
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

/* Whether a process ignores SIGTERM already. */
static inline bool
ignores_sigterm(pid_t pid)
{
    static const uint64_t sigterm = (uint64_t)1 << (SIGTERM - 1);
    char path[64], line[256];
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        found = found || (strncmp(line, "SigIgn:", 7) == 0 && strtoull(line + 7, NULL, 16) & sigterm);
    if (file)
        fclose(file);
    return found;
}

static inline bool
all_ranks_ignore_sigterm(void *context)
{
    (void)context;
    run_loop();
    for (int i = 0; i < test_driver.count; i++)
        if (test_driver.received[i].type == ALCHI_RANK_STARTED &&
            !ignores_sigterm(((const Alchw__RankStarted *)test_driver.received[i].message)->pid))
            return false;
    return true;
}

/* Start a group of ranks that ignore SIGTERM, and wait until they do. Returns the process of the last one. */
static inline pid_t
spawn_stubborn(uint64_t group, int count)
{
    const Alchw__RankStarted *started;

    spawn(group, count, "ignore-sigterm");
    started = wait_for_messages(ALCHI_RANK_STARTED, count);
    unit_wait_for(all_ranks_ignore_sigterm, NULL, WAIT_MS);
    return started->pid;
}

/* Start an agent with 3 slots as agent 0: the fixture of most tests. */
static inline void
setup_one_agent(void)
{
    alchi_agent_options_t options = default_options(0, 3);

    start_loop();
    start_agent(0, &options);
    wait_for_messages(ALCHI_AGENT_HELLO, 1);
}

static inline int
try_connect(int port)
{
    alchi_address_t address = {.host = "127.0.0.1", .port = port};
    int fd, code = alchi_connect(&address, alchi_deadline_in_ms(2000), &fd, NULL);

    if (code == ALCH_OK)
        close(fd);
    return code;
}
