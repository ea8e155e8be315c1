/**
 * @file driver/group_state.h
 * Worker groups and their states: each event changes the state and yields the actions that must follow. Nothing here
 * sends a message.
 *
 *     STARTING --all ranks ready--> READY
 *     STARTING, READY --a rank ends, a node is lost, the driver kills the group, the start is too slow--> LOST
 *     STARTING, READY --released--> RELEASING
 *     LOST, RELEASING --each agent has reaped its ranks, or is lost--> OVER
 *
 * group_actions.c carries out the actions.
 */
#ifndef ALCHI_DRIVER_GROUP_STATE_H
#define ALCHI_DRIVER_GROUP_STATE_H

#include "driver/slots.h"
#include "driver/timer.h"
#include "net/auth.h"

typedef enum {
    ALCHI_DRV_GROUP_STARTING = 1,
    ALCHI_DRV_GROUP_READY = 2,
    ALCHI_DRV_GROUP_LOST = 3,
    ALCHI_DRV_GROUP_RELEASING = 4,
    ALCHI_DRV_GROUP_OVER = 5
} alchi_drv_group_state_t;

typedef struct {
    alchi_drv_slot_t *slot;      /* NULL: it is idle again, and no longer this group's */
    struct alchi_drv_link *link; /* control connection; NULL: it is not connected, yet or any more */
    int slot_id;                 /* stays when slot is NULL */
    int stage;                   /* Alchw__JoinStage */
    bool disconnected;           /* its control connection has ended */
    bool exited;                 /* its agent has reported its exit */
    uint8_t control_key[ALCHI_KEY_SIZE], data_key[ALCHI_KEY_SIZE];
} alchi_drv_rank_t;

/** The ranks of a group on one node; their numbers are consecutive. */
typedef struct {
    alchi_drv_node_t *node; /* NULL: the node is lost */
    int first, count;       /* ranks */
    bool ended;             /* its agent has reaped all of them, or is lost */
    bool in_barrier;        /* its agent waits in the PMI barrier */
} alchi_drv_group_node_t;

typedef struct alchi_drv_group alchi_drv_group_t;

struct alchi_drv_group {
    uint64_t id, session_id;
    struct alchi_drv_session *session; /* NULL: the group is LOST, RELEASING or OVER */
    alchi_drv_group_state_t state;
    int size;
    alchi_drv_rank_t *ranks;
    int node_count;
    alchi_drv_group_node_t *nodes;
    alch_error_t lost_reason; /* set in state LOST */
    struct alchi_drv *driver;
    struct alchi_drv_command *commands;    /* those that not all of their ranks have answered */
    struct alchi_drv_job *jobs;            /* in order; the first one may be running */
    struct alchi_drv_request *end_waiters; /* wait list: requests that are answered when the group is OVER */
    Alchw__PmiPair **pmi_pairs;            /* put by ranks since the last PMI barrier */
    size_t pmi_pair_count;
    uint64_t next_command;
    alchi_drv_timer_t start_timer, exit_timer, ping_timer;
    int64_t start_ns;
    alchi_drv_group_t *prev, *next;
};

typedef enum {
    ALCHI_DRV_EVENT_JOIN,          /* rank, stage: the rank reports how far its start is */
    ALCHI_DRV_EVENT_EXIT,          /* rank, exit: its agent reports the end of the process */
    ALCHI_DRV_EVENT_DISCONNECTED,  /* rank: its control connection ended */
    ALCHI_DRV_EVENT_EXIT_OVERDUE,  /* rank: no exit was reported in time after DISCONNECTED */
    ALCHI_DRV_EVENT_START_OVERDUE, /* ms: the group was not ready within this time */
    ALCHI_DRV_EVENT_KILL,          /* error: why the driver ends the group */
    ALCHI_DRV_EVENT_RELEASE,       /* the session no longer needs the group */
    ALCHI_DRV_EVENT_NODE_ENDED,    /* node_index: its agent has reaped all of its ranks */
    ALCHI_DRV_EVENT_NODE_LOST      /* node_index: the connection to its agent ended; its ranks count as ended */
} alchi_drv_group_event_type_t;

typedef struct {
    alchi_drv_group_event_type_t type;
    int rank, node_index, stage;
    int64_t ms;
    const Alchw__RankExit *exit; /* borrowed */
    const alch_error_t *error;   /* borrowed */
} alchi_drv_group_event_t;

/* Actions that the caller takes after an event, in this order. */
#define ALCHI_DRV_ACTION_READY 1u       /* the group can be used: answer the requests that wait for it */
#define ALCHI_DRV_ACTION_LOST 2u        /* detach the group from its session; lost_reason is the error of all waiters */
#define ALCHI_DRV_ACTION_QUIT 4u        /* ask the ranks to end */
#define ALCHI_DRV_ACTION_KILL 8u        /* end the ranks at once */
#define ALCHI_DRV_ACTION_AWAIT_EXIT 16u /* start the timer of EVENT_EXIT_OVERDUE */
#define ALCHI_DRV_ACTION_IDLE 32u       /* the node's slots are idle again */
#define ALCHI_DRV_ACTION_ENDED 64u      /* all ranks of the group have ended: free it */

/**
 * Create a group on chosen slots, in state STARTING, with random control keys. Does not change the slots.
 *
 * @param chosen  [size], in rank order, slots of one node next to each other; the slots are borrowed
 * @return owned by the caller; NULL: out of memory, or no random numbers
 */
alchi_drv_group_t *alchi_drv_group_create(uint64_t id, uint64_t session, alchi_drv_slot_t *const *chosen, int size);
/** Free a group; its commands, jobs and waiting requests must have been ended before. NULL: does nothing. */
void alchi_drv_group_destroy(alchi_drv_group_t *group);

/** Apply an event to the state. @return the ALCHI_DRV_ACTION_* that must follow */
unsigned alchi_drv_group_next_state(alchi_drv_group_t *group, const alchi_drv_group_event_t *event);

/** The index in group->nodes of a node; -1: the group has no ranks there. */
int alchi_drv_group_find_node(const alchi_drv_group_t *group, const alchi_drv_node_t *node);

#endif
