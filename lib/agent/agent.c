/* The agent: the ports of its slots, its connection to the driver, and how it ends. */
#include "agent/agent.h"

#include "agent/agent_impl.h"
#include "agent/machine.h"
#include "agent/sweep.h"

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "net/address.h"
#include "net/shm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- ending ---- */

static void
call_end_callback(void *context, int events)
{
    alchi_agent_t *agent = context;
    alch_error_t failure = agent->failure;

    (void)events;
    alchi_agent_watch_close(agent->end_timer);
    agent->end_timer = NULL;
    agent->ended = true;
    /* Either callback may destroy the agent. */
    if (agent->stopping && agent->stopped)
        agent->stopped(agent->stopped_context);
    else if (!agent->stopping && agent->on_end)
        agent->on_end(agent->context, failure.code, failure.text);
}

void
alchi_agent_end_if_idle(alchi_agent_t *agent)
{
    if (agent->groups || agent->end_timer || agent->ended || !(agent->stopping || agent->failure.code))
        return;
    /* The loop calls the callback, because it may destroy the agent and the callers still use it. */
    agent->end_timer = alchi_agent_watch_timer(agent->loop, 0, call_end_callback, agent);
    if (!agent->end_timer)
        call_end_callback(agent, 0);
}

static void
kill_groups(alchi_agent_t *agent, int64_t grace_ms)
{
    for (alchi_agent_group_t *group = agent->groups; group; group = group->next)
        alchi_agent_group_kill(group, grace_ms);
}

/* Give up the connection and kill all ranks, which are of no use without the driver. The first failure counts. */
static void
fail_agent(alchi_agent_t *agent, int code, const char *text)
{
    if (agent->failure.code)
        return;
    alchi_error_set(&agent->failure, code, "%s", text);
    alchi_agent_watch_close(agent->channel_watch);
    agent->channel_watch = NULL;
    kill_groups(agent, 0);
    alchi_agent_end_if_idle(agent);
}

void
alchi_agent_stop(alchi_agent_t *agent, int grace_ms, alchi_agent_stopped_f stopped, void *context)
{
    agent->stopping = true;
    agent->ended = false;
    agent->stopped = stopped;
    agent->stopped_context = context;
    kill_groups(agent, grace_ms);
    alchi_agent_end_if_idle(agent);
}

/* ---- messages ---- */

static void
update_channel_events(alchi_agent_t *agent)
{
    if (agent->channel_watch &&
        alchi_agent_watch_set(agent->channel_watch,
                              UV_READABLE | (alchi_channel_wants_write(agent->channel) ? UV_WRITABLE : 0)) != 0)
        fail_agent(agent, ALCH_ESYSTEM, "the event loop cannot watch the connection to the driver");
}

static void
send_frame(alchi_agent_t *agent, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    char text[128];
    int code;

    if (!agent->channel_watch)
        return;
    code = alchi_channel_send(agent->channel, type, flags, id, message);
    if (code == ALCH_OK) {
        update_channel_events(agent);
        return;
    }
    snprintf(text, sizeof(text), "the agent cannot send to the driver: %s", alch_strerror(code));
    fail_agent(agent, code, text);
}

void
alchi_agent_send(alchi_agent_t *agent, unsigned type, const void *message)
{
    send_frame(agent, type, 0, 0, message);
}

static void
on_welcome(alchi_agent_t *agent, const alchi_frame_t *frame, const void *message)
{
    const Alchw__AgentWelcome *welcome = message;

    (void)frame;
    alchi_log(ALCHI_LOG_DEBUG, "the first of the %d slots of this agent has the id %u", agent->slot_count,
              welcome->first_slot);
}

static void
on_spawn(alchi_agent_t *agent, const alchi_frame_t *frame, const void *message)
{
    alch_error_t err;
    int code = alchi_agent_group_start(agent, message, &err);

    (void)frame;
    if (code != ALCH_OK)
        fail_agent(agent, code, err.text);
}

/* That there is no such group is no error: it may have ended before the message arrived. */
static void
on_kill(alchi_agent_t *agent, const alchi_frame_t *frame, const void *message)
{
    const Alchw__KillGroup *kill_group = message;
    alchi_agent_group_t *group = alchi_agent_group_find(agent, kill_group->group);

    (void)frame;
    if (group)
        alchi_agent_group_kill(group, kill_group->grace_ms);
}

static void
on_barrier_out(alchi_agent_t *agent, const alchi_frame_t *frame, const void *message)
{
    const Alchw__PmiBarrierOut *out = message;
    alchi_agent_group_t *group = alchi_agent_group_find(agent, out->group);

    (void)frame;
    if (group)
        alchi_agent_group_leave_barrier(group, out);
}

static void
on_ping(alchi_agent_t *agent, const alchi_frame_t *frame, const void *message)
{
    (void)message;
    send_frame(agent, ALCHI_EMPTY, ALCHI_FRAME_REPLY, frame->id, NULL);
}

static void
on_error(alchi_agent_t *agent, const alchi_frame_t *frame, const void *message)
{
    const Alchw__Error *error = message;
    char text[ALCH_ERROR_TEXT_MAX];

    (void)frame;
    snprintf(text, sizeof(text), "the driver refused the agent: %s", error->text ? error->text : "no reason given");
    fail_agent(agent, alchi_message_code(error), text);
}

static const struct {
    unsigned type;
    void (*handle)(alchi_agent_t *agent, const alchi_frame_t *frame, const void *message);
} handlers[] = {
    {ALCHI_AGENT_WELCOME, on_welcome},       {ALCHI_SPAWN, on_spawn}, {ALCHI_KILL_GROUP, on_kill},
    {ALCHI_PMI_BARRIER_OUT, on_barrier_out}, {ALCHI_PING, on_ping},   {ALCHI_ERROR, on_error},
};

static void
handle_frame(alchi_agent_t *agent, const alchi_frame_t *frame, const void *message)
{
    char text[128];

    for (size_t i = 0; i < ALCHI_COUNT(handlers); i++)
        if (handlers[i].type == frame->type && (message || frame->type == ALCHI_PING)) {
            handlers[i].handle(agent, frame, message);
            return;
        }
    snprintf(text, sizeof(text), "the driver sent %s, which an agent does not handle", alchi_message_name(frame->type));
    fail_agent(agent, ALCH_EPROTO, text);
}

static void
report_lost_connection(alchi_agent_t *agent, int code)
{
    const char *fault = alchi_channel_fault(agent->channel);
    char text[ALCH_ERROR_TEXT_MAX];

    snprintf(text, sizeof(text), "the agent lost the connection to the driver%s%s", fault[0] ? ": " : "", fault);
    fail_agent(agent, code, text);
}

/* Handle all frames that the channel holds: frames that it has read already do not make the descriptor readable
 * again. */
static void
on_channel(void *context, int events)
{
    alchi_agent_t *agent = context;
    int code = ALCH_OK;

    if (events & UV_WRITABLE)
        code = alchi_channel_flush(agent->channel);
    if (code == ALCH_EAGAIN)
        code = ALCH_OK;
    while (agent->channel_watch && code == ALCH_OK) {
        ProtobufCMessage *message = NULL;
        alchi_frame_t frame;

        code = alchi_channel_receive(agent->channel, &frame, &message);
        if (code == ALCH_OK)
            handle_frame(agent, &frame, message);
        alchi_message_free(message);
    }
    if (code != ALCH_OK && code != ALCH_EAGAIN)
        report_lost_connection(agent, code);
    update_channel_events(agent);
}

/* ---- creating ---- */

static int
check_options(const alchi_agent_options_t *options, alch_error_t *err)
{
    if (options->slots < 1 || options->slots > ALCHI_AGENT_SLOTS_MAX)
        return alchi_error_set(err, ALCH_EINVAL, "%d worker slots are out of range: an agent has 1 to %d (--workers)",
                               options->slots, ALCHI_AGENT_SLOTS_MAX);
    if (options->base_port < 0 || options->base_port + options->slots > 65535)
        return alchi_error_set(
            err, ALCH_EINVAL,
            "%d worker slots need the ports %d to %d, and the highest port is 65535 (--workers, --port)",
            options->slots, options->base_port + 1, options->base_port + options->slots);
    if (!options->driver_address)
        return alchi_error_set(err, ALCH_EINVAL, "the address of the agent's driver is missing");
    return ALCH_OK;
}

static int
bind_slots(alchi_agent_t *agent, const alchi_agent_options_t *options, alch_error_t *err)
{
    agent->slots = calloc((size_t)options->slots, sizeof(*agent->slots));
    if (!agent->slots)
        return alchi_error_set(err, ALCH_ENOMEM, "the agent is out of memory");
    for (; agent->slot_count < options->slots; agent->slot_count++) {
        alchi_agent_slot_t *slot = &agent->slots[agent->slot_count];
        alchi_address_t address = {.port = options->base_port ? options->base_port + 1 + agent->slot_count : 0};
        int code, fd;

        snprintf(address.host, sizeof(address.host), "%s", options->bind ? options->bind : "127.0.0.1");
        code = alchi_bind(&address, &fd, err);
        if (code != ALCH_OK)
            return code;
        slot->fd = alchi_agent_move_fd_above_stdio(fd);
        slot->port = address.port;
        if (slot->fd < 0)
            return alchi_error_errno(err, errno, "the agent cannot duplicate the socket of port %d", slot->port);
    }
    return ALCH_OK;
}

static int
send_hello(alchi_agent_t *agent, const char *advertise, alch_error_t *err)
{
    Alchw__AgentHello hello = ALCHW__AGENT_HELLO__INIT;
    Alchw__AgentSlot *slots = calloc((size_t)agent->slot_count, sizeof(*slots));
    Alchw__AgentSlot **list = calloc((size_t)agent->slot_count, sizeof(*list));
    struct utsname host = {0};
    char node[256];
    int code = ALCH_ENOMEM;

    uname(&host);
    alchi_utf8_clean(host.nodename);
    alchi_utf8_clean(alchi_agent_machine_node(node, sizeof(node)));
    for (int i = 0; slots && list && i < agent->slot_count; i++) {
        alchw__agent_slot__init(&slots[i]);
        slots[i].has_port = 1;
        slots[i].port = (uint32_t)agent->slots[i].port;
        list[i] = &slots[i];
    }
    hello.host = host.nodename;
    hello.node = node;
    hello.slots = list;
    hello.n_slots = (size_t)agent->slot_count;
    hello.has_memory = hello.has_cores = 1;
    hello.memory = alchi_agent_machine_memory("");
    hello.cores = (uint32_t)agent->cores;
    hello.advertise = (char *)(advertise ? advertise : "");
    if (slots && list)
        code = alchi_channel_send(agent->channel, ALCHI_AGENT_HELLO, 0, 0, &hello);
    free(slots);
    free(list);
    return code == ALCH_OK ? code
                           : alchi_error_set(err, code, "the agent cannot send to the driver: %s", alch_strerror(code));
}

static alchi_agent_t *
allocate_agent(uv_loop_t *loop, const alchi_agent_options_t *options)
{
    alchi_agent_t *agent = calloc(1, sizeof(*agent));

    if (!agent)
        return NULL;
    agent->loop = loop;
    agent->cores = alchi_agent_machine_cores("");
    agent->on_end = options->on_end;
    agent->context = options->context;
    agent->driver_address = strdup(options->driver_address);
    agent->exe = strdup(options->exe ? options->exe : "/proc/self/exe");
    if (agent->driver_address && agent->exe)
        return agent;
    alchi_agent_destroy(agent);
    return NULL;
}

int
alchi_agent_create(uv_loop_t *loop, alchi_channel_t *channel, const alchi_agent_options_t *options,
                   alchi_agent_t **agent_p, alch_error_t *err)
{
    int code = check_options(options, err);
    alchi_agent_t *agent;

    if (code != ALCH_OK)
        return code;
    agent = allocate_agent(loop, options);
    if (!agent)
        return alchi_error_set(err, ALCH_ENOMEM, "the agent is out of memory");
    code = bind_slots(agent, options, err);
    if (code != ALCH_OK)
        goto destroy;
    agent->channel_watch = alchi_agent_watch_open(loop, alchi_channel_fd(channel), UV_READABLE, on_channel, agent);
    if (!agent->channel_watch) {
        code = alchi_error_set(err, ALCH_ENOMEM, "the event loop cannot watch the connection to the driver");
        goto destroy;
    }
    alchi_channel_set_limits(channel, ALCHI_META_MAX, 0);
    agent->channel = channel;
    code = send_hello(agent, options->advertise, err);
    if (code != ALCH_OK)
        goto release_channel;
    update_channel_events(agent);
    /* Ranks of a daemon that was killed may have left shared memory and sockets. */
    alchi_agent_sweep_files("/dev/shm");
    alchi_shm_sweep_sockets();
    *agent_p = agent;
    return ALCH_OK;

release_channel:
    agent->channel = NULL;
destroy:
    alchi_agent_destroy(agent);
    return code;
}

void
alchi_agent_destroy(alchi_agent_t *agent)
{
    if (!agent)
        return;
    alchi_agent_watch_close(agent->end_timer);
    alchi_agent_watch_close(agent->channel_watch);
    agent->channel_watch = NULL;
    while (agent->groups)
        alchi_agent_group_destroy(agent->groups);
    for (int i = 0; i < agent->slot_count; i++)
        close(agent->slots[i].fd);
    alchi_channel_destroy(agent->channel);
    free(agent->slots);
    free(agent->driver_address);
    free(agent->exe);
    free(agent);
}
