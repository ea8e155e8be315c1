/*
 * A driver for the agent's tests: one or two agents on one loop, a log of what they say, and the PMI barriers
 * between them. Everything in one thread. Included by each test program once.
 */
#include "unit.h"

#include "agent/agent.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGENTS 2
#define MESSAGES 512

typedef struct {
    unsigned type;
    int agent;
    ProtobufCMessage *message;
} said_t;

static struct {
    uv_loop_t loop;
    uv_timer_t tick;
    alchi_channel_t *channels[AGENTS]; /* the driver's ends */
    alchi_agent_t *agents[AGENTS];
    bool ended[AGENTS], stopped;
    int end_code;
    said_t said[MESSAGES];
    int count;
    Alchw__PmiBarrier *in_barrier[AGENTS];
    int barrier_agents; /* how many agents have ranks of the group */
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
on_tick(uv_timer_t *timer)
{
    (void)timer;
}

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
    uv_timer_init(&test_driver.loop, &test_driver.tick);
    uv_timer_start(&test_driver.tick, on_tick, 5, 5);
    test_driver.barrier_agents = 1;
}

static void
forget(void)
{
    while (test_driver.count)
        alchi_message_free(test_driver.said[--test_driver.count].message);
}

/* Nothing of an agent may be left on the loop. */
static void
end_loop(void)
{
    for (int i = 0; i < AGENTS; i++) {
        alchi_agent_destroy(test_driver.agents[i]);
        alchi_channel_destroy(test_driver.channels[i]);
        alchi_message_free(test_driver.in_barrier[i]);
    }
    forget();
    uv_close((uv_handle_t *)&test_driver.tick, NULL);
    uv_run(&test_driver.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&test_driver.loop), 0);
}

/* ---- messages ---- */

static void
tell(int agent, unsigned type, const void *message)
{
    unit_code(alchi_channel_send(test_driver.channels[agent], type, 0, 0, message), ALCH_OK);
}

/* When all agents are in, everyone gets all pairs. */
static void
take_barrier(int agent, Alchw__PmiBarrier *barrier)
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
        tell(i, ALCHI_PMI_BARRIER_OUT, &out);
    for (int i = 0; i < test_driver.barrier_agents; i++) {
        alchi_message_free(test_driver.in_barrier[i]);
        test_driver.in_barrier[i] = NULL;
    }
}

static void
listen_to(int agent)
{
    ProtobufCMessage *message;
    alchi_frame_t frame;

    while (test_driver.channels[agent]) {
        alchi_channel_flush(test_driver.channels[agent]);
        if (alchi_channel_receive(test_driver.channels[agent], &frame, &message) != ALCH_OK)
            return;
        ck_assert_uint_eq(frame.payload, 0);
        if (frame.type == ALCHI_PMI_BARRIER) {
            take_barrier(agent, (Alchw__PmiBarrier *)message);
            continue;
        }
        ck_assert_int_lt(test_driver.count, MESSAGES);
        test_driver.said[test_driver.count++] = (said_t){frame.type, agent, message};
    }
}

static void
pump(void)
{
    uv_run(&test_driver.loop, UV_RUN_ONCE);
    for (int i = 0; i < AGENTS; i++)
        listen_to(i);
}

static int
heard(unsigned type)
{
    int n = 0;

    for (int i = 0; i < test_driver.count; i++)
        n += test_driver.said[i].type == type;
    return n;
}

/* Wait until `count` messages of a type have come; returns the last of them. */
static const void *
await(unsigned type, int count)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(20000);

    while (heard(type) < count) {
        ck_assert_msg(alchi_deadline_left_ms(deadline) != 0, "no %s", alchi_message_name(type));
        pump();
    }
    for (int i = test_driver.count; i-- > 0;)
        if (test_driver.said[i].type == type && --count >= 0)
            return test_driver.said[i].message;
    return NULL;
}

static const Alchw__RankExit *
exit_of(uint32_t rank)
{
    for (int i = 0; i < test_driver.count; i++) {
        const Alchw__RankExit *rank_exit = (const Alchw__RankExit *)test_driver.said[i].message;

        if (test_driver.said[i].type == ALCHI_RANK_EXIT && rank_exit->rank == rank)
            return rank_exit;
    }
    ck_abort_msg("rank %u has not ended", rank);
    return NULL;
}

/* ---- groups ---- */

/* Start ranks first .. first + count - 1 of a group of `size` on an agent's slots from 0, in a mode. */
static void
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
    tell(agent, ALCHI_SPAWN, &spawn);
}

static void
spawn(uint64_t group, int count, const char *mode)
{
    char mapping[64];

    snprintf(mapping, sizeof(mapping), "(vector,(0,1,%d))", count);
    spawn_part(0, group, count, 0, count, mapping, mode, "self,sm");
}

static void
kill_group(uint64_t group, uint32_t grace_ms)
{
    Alchw__KillGroup message = ALCHW__KILL_GROUP__INIT;

    message.has_group = message.has_grace_ms = 1;
    message.group = group;
    message.grace_ms = grace_ms;
    tell(0, ALCHI_KILL_GROUP, &message);
}

static bool
has_line(const Alchw__RankExit *rank_exit, const char *line)
{
    for (size_t i = 0; i < rank_exit->n_lines; i++)
        if (strcmp(rank_exit->lines[i], line) == 0)
            return true;
    return false;
}
