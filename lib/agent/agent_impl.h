/**
 * @file agent/agent_impl.h
 * The structures of the agent, shared by agent.c, group_ranks.c and rank.c. The agent has groups, and a group has the
 * ranks that run on this host. All of it belongs to the thread of the loop.
 */
#ifndef ALCHI_AGENT_AGENT_IMPL_H
#define ALCHI_AGENT_AGENT_IMPL_H

#include "agent/agent.h"
#include "agent/child.h"
#include "agent/lines.h"
#include "agent/pmi.h"
#include "agent/watch.h"

typedef struct alchi_agent_group alchi_agent_group_t;

/** A port that stays bound for the lifetime of the agent. The rank that has the slot listens on it. */
typedef struct {
    int fd, port;
    bool busy; /* a rank has the slot */
} alchi_agent_slot_t;

/** A rank of a group on this host. */
typedef struct {
    alchi_agent_group_t *group;
    int rank, size;           /* in the group */
    uint32_t worker;          /* id of its slot among all slots of the driver; users see it in logs */
    alchi_agent_slot_t *slot; /* NULL: the requested slot does not exist or is busy, or the rank has ended */
    bool running;             /* `child` is started and not reaped */
    alchi_agent_child_t child;
    int pmi_fd, output_fd; /* the agent's ends of the PMI socket and of the output pipe; -1: closed */
    alchi_agent_watch_t *end_watch, *pmi_watch, *output_watch;
    alchi_agent_pmi_client_t pmi_client;
    alchi_buf_t pmi_in; /* received from the PMI-1 client and not served yet */
    bool in_barrier, aborted;
    alchi_agent_lines_t lines;
} alchi_agent_rank_t;

struct alchi_agent_group {
    alchi_agent_t *agent;
    uint64_t id;
    alchi_agent_pmi_t *pmi;
    alchi_agent_rank_t *ranks; /* on this host */
    int count;
    int running_count; /* ranks that were started and have not been reported as ended */
    int barrier_count; /* ranks that entered the current barrier */
    pid_t *pids;       /* of all ranks that were started: their System V segments are removed at the end */
    size_t pid_count;
    bool killing;
    int64_t kill_at_ns; /* time of SIGKILL, on the clock of alchi_now_ns() */
    alchi_agent_watch_t *kill_timer;
    alchi_agent_group_t *prev, *next;
};

struct alchi_agent {
    uv_loop_t *loop;
    alchi_channel_t *channel;
    alchi_agent_watch_t *channel_watch; /* NULL: the connection failed, and nothing more is sent */
    alchi_agent_slot_t *slots;
    int slot_count;
    int cores; /* that processes may use on this host */
    char *driver_address, *exe;
    void (*on_end)(void *context, int code, const char *text);
    void *context;
    alchi_agent_group_t *groups;
    alch_error_t failure; /* code 0: none */
    bool stopping;        /* alchi_agent_stop() was called */
    bool ended;           /* on_end or stopped was called */
    alchi_agent_stopped_f stopped;
    void *stopped_context;
    alchi_agent_watch_t *end_timer; /* calls on_end or stopped */
};

/* ---- agent.c ---- */

/** Send a message to the driver. If that fails, the agent kills all ranks and ends. */
void alchi_agent_send(alchi_agent_t *agent, unsigned type, const void *message);
/** End an agent that is stopping or has failed, if it has no groups any more: the loop calls on_end or stopped. */
void alchi_agent_end_if_idle(alchi_agent_t *agent);

/* ---- group_ranks.c ---- */

/**
 * Start the ranks of a group, and report each to the driver: RANK_STARTED, or RANK_EXIT if it could not be started.
 *
 * @return ALCH_OK     also when no rank could be started
 * @return ALCH_EPROTO the driver's request is invalid
 * @return ALCH_ENOMEM
 */
int alchi_agent_group_start(alchi_agent_t *agent, const Alchw__Spawn *spawn, alch_error_t *err);
/** NULL: the agent has no group with this id. */
alchi_agent_group_t *alchi_agent_group_find(alchi_agent_t *agent, uint64_t id);
/** Send SIGTERM to all ranks now and SIGKILL after the grace, or only SIGKILL if the grace is 0. A later call can only
 *  shorten the grace. */
void alchi_agent_group_kill(alchi_agent_group_t *group, int64_t grace_ms);
/** A rank entered the barrier. When all ranks of this host are in it, send PMI_BARRIER with the pairs that they have
 *  put since the last barrier. */
void alchi_agent_group_enter_barrier(alchi_agent_group_t *group);
/** The ranks of all agents are in the barrier: store the other agents' pairs, and let the ranks here continue. */
void alchi_agent_group_leave_barrier(alchi_agent_group_t *group, const Alchw__PmiBarrierOut *out);
/** A rank was reaped, and its exit was reported. After the last rank, send GROUP_ENDED and free the group. */
void alchi_agent_group_rank_ended(alchi_agent_group_t *group);
/** Kill and reap the ranks, remove their shared memory, and free the group. The driver gets no report. */
void alchi_agent_group_destroy(alchi_agent_group_t *group);

/* ---- rank.c ---- */

/** Initialize a rank, and take its slot if that is free. */
void alchi_agent_rank_init(alchi_agent_rank_t *rank, alchi_agent_group_t *group, const Alchw__SpawnRank *spawn_rank,
                           int size);
/**
 * Start the rank's process and watch it.
 *
 * @param environment  "NAME=value", in addition to the agent's environment
 *
 * @return ALCH_OK
 * @return ALCH_EBUSY  its slot does not exist or is busy
 * @return ALCH_ENOMEM, ALCH_ESYSTEM; call alchi_agent_rank_fini() after any failure, because the process may run
 */
int alchi_agent_rank_start(alchi_agent_rank_t *rank, const Alchw__SpawnRank *spawn_rank, char *const *environment,
                           size_t environment_count, alch_error_t *err);
/** Report to the driver that a rank could not be started. */
void alchi_agent_rank_report_refusal(const alchi_agent_rank_t *rank, const char *why);
/** Answer a rank that waits in a barrier. Does nothing if it does not wait. */
void alchi_agent_rank_leave_barrier(alchi_agent_rank_t *rank);
/** Kill and reap the process if it runs, stop listening on the slot's port, and free the rank's memory. A second
 *  call does nothing. */
void alchi_agent_rank_fini(alchi_agent_rank_t *rank);

#endif
