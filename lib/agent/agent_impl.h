/** @file agent/agent_impl.h  The agent's inside: its groups, their ranks here, and what they share. */
#ifndef ALCHI_AGENT_AGENT_IMPL_H
#define ALCHI_AGENT_AGENT_IMPL_H

#include "agent/agent.h"
#include "agent/lines.h"
#include "agent/pmi.h"
#include "agent/child.h"
#include "agent/watch.h"

typedef struct alchi_agent_group alchi_agent_group_t;

/** A port that stays bound while the agent lives; a rank listens on it. */
typedef struct {
    int fd, port;
    bool busy;
} alchi_agent_slot_t;

/** A rank of a group on this host. */
typedef struct {
    alchi_agent_group_t *group;
    int rank, size;
    uint32_t number;          /* of its slot, as the driver counts them */
    alchi_agent_slot_t *slot; /* NULL: it was refused one */
    bool running;
    alchi_agent_child_t child;
    int pmi_fd, output_fd; /* our ends, or -1 */
    alchi_agent_watch_t *end_watch, *pmi_watch, *output_watch;
    alchi_agent_pmi_client_t client;
    alchi_buf_t pmi_in;
    bool in_barrier, aborted;
    alchi_agent_lines_t lines;
} alchi_agent_rank_t;

struct alchi_agent_group {
    alchi_agent_t *agent;
    uint64_t id;
    alchi_agent_pmi_t *pmi;
    alchi_agent_rank_t *ranks;
    int count, live;
    int in_barrier;
    pid_t *pids; /* of all ranks that ran, for the sweep */
    size_t pid_count;
    bool killing;
    int64_t kill_at; /* SIGKILL, as alchi_now_ns() */
    alchi_agent_watch_t *kill_timer;
    alchi_agent_group_t *prev, *next;
};

struct alchi_agent {
    uv_loop_t *loop;
    alchi_channel_t *channel;
    alchi_agent_watch_t *watch; /* of the channel; NULL once it failed */
    alchi_agent_slot_t *slots;
    int slot_count;
    int cores;
    char *driver_address, *exe;
    void (*on_end)(void *context, int code, const char *text);
    void *context;
    alchi_agent_group_t *groups;
    alch_error_t failure; /* code 0: none */
    bool stopping;
    bool ended; /* on_end or stopped was called */
    alchi_agent_stopped_f stopped;
    void *stopped_context;
    alchi_agent_watch_t *end_timer; /* calls on_end or stopped */
};

/* ---- agent.c ---- */

/** Send to the driver; a failure ends the agent. */
void alchi_agent_send(alchi_agent_t *agent, unsigned type, const void *message);
/** A group is gone. */
void alchi_agent_on_group_ended(alchi_agent_t *agent);

/* ---- group.c ---- */

/** Start the ranks of a group. @return ALCH_OK, ALCH_EPROTO (a request that makes no sense), ALCH_ENOMEM */
int alchi_agent_group_start(alchi_agent_t *agent, const Alchw__Spawn *spawn, alch_error_t *err);
alchi_agent_group_t *alchi_agent_group_find(alchi_agent_t *agent, uint64_t id);
/** SIGTERM, and SIGKILL after the grace. */
void alchi_agent_group_kill(alchi_agent_group_t *group, int64_t grace_ms);
/** All agents are in a barrier. */
void alchi_agent_group_leave_barrier(alchi_agent_group_t *group, const Alchw__PmiBarrierOut *out);
/** A rank entered a barrier. */
void alchi_agent_group_enter_barrier(alchi_agent_group_t *group);
/** A rank was reaped, told and closed; the group is freed with the last one. */
void alchi_agent_group_rank_ended(alchi_agent_group_t *group);
/** Kill, wait and free, telling nobody. */
void alchi_agent_group_destroy(alchi_agent_group_t *group);

/* ---- rank.c ---- */

void alchi_agent_rank_init(alchi_agent_rank_t *rank, alchi_agent_group_t *group, const Alchw__SpawnRank *spawn_rank,
                           int size);
/** @return ALCH_OK; else it does not run, and err says why */
int alchi_agent_rank_start(alchi_agent_rank_t *rank, const Alchw__SpawnRank *spawn_rank, char *const *environment,
                           size_t environment_count, alch_error_t *err);
/** Tell the driver that a rank could not be started. */
void alchi_agent_rank_report_refusal(const alchi_agent_rank_t *rank, const char *why);
/** Let it out of a barrier. */
void alchi_agent_rank_leave_barrier(alchi_agent_rank_t *rank);
/** Kill and reap if it runs, and free what it has. */
void alchi_agent_rank_fini(alchi_agent_rank_t *rank);

#endif
