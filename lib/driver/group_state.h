/**
 * @file driver/group_state.h
 * The life of a worker group: events in, actions out, no I/O.
 *
 *     STARTING --all ranks ready--> READY
 *     STARTING, READY --a rank ends, a node goes, killed, too slow--> LOST
 *     STARTING, READY --release--> RELEASING
 *     LOST, RELEASING --all its nodes have reaped their ranks--> OVER
 *
 * A session without a group (none yet, lost or released) has none of these: state NONE.
 */
#ifndef ALCHI_DRIVER_GROUP_STATE_H
#define ALCHI_DRIVER_GROUP_STATE_H

#include "driver/slots.h"
#include "driver/timer.h"
#include "net/auth.h"

typedef enum {
    ALCHI_DRV_GROUP_NONE = 0,
    ALCHI_DRV_GROUP_STARTING = 1,
    ALCHI_DRV_GROUP_READY = 2,
    ALCHI_DRV_GROUP_LOST = 3,
    ALCHI_DRV_GROUP_RELEASING = 4,
    ALCHI_DRV_GROUP_OVER = 5
} alchi_drv_group_state_t;

typedef struct {
    alchi_drv_slot_t *slot;
    struct alchi_drv_link *link; /* control connection, NULL: not joined, or gone */
    int slot_id;
    int stage; /* Alchw__JoinStage */
    bool unlinked, exited;
    uint8_t control_key[ALCHI_KEY_SIZE], data_key[ALCHI_KEY_SIZE];
} alchi_drv_rank_t;

/** The ranks of a group on one node: consecutive ones. */
typedef struct {
    alchi_drv_node_t *node; /* NULL: gone */
    int first, count;       /* ranks */
    bool ended;
    bool in_barrier;
} alchi_drv_part_ranks_t;

typedef struct alchi_drv_group alchi_drv_group_t;

struct alchi_drv_group {
    uint64_t id, session_id;
    struct alchi_drv_session *session; /* NULL: lost, released, or the session ended */
    alchi_drv_group_state_t state;
    int size;
    alchi_drv_rank_t *ranks;
    int part_count;
    alchi_drv_part_ranks_t *parts;
    alch_error_t lost; /* why, when LOST */
    struct alchi_drv *driver;
    struct alchi_drv_command *commands;
    struct alchi_drv_job *jobs;          /* tasks and loads in order; the first one may be running */
    struct alchi_drv_request *releasing; /* requests that wait for OVER */
    Alchw__PmiPair **pairs;              /* put since the last barrier */
    size_t pair_count;
    uint64_t next_command;
    alchi_drv_timer_t start_timer, exit_timer, pulse_timer;
    int64_t start_ns;
    alchi_drv_group_t *prev, *next;
};

typedef enum {
    ALCHI_DRV_EVENT_JOIN,     /* rank, stage */
    ALCHI_DRV_EVENT_EXIT,     /* rank, exit */
    ALCHI_DRV_EVENT_UNLINKED, /* rank: its control connection ended */
    ALCHI_DRV_EVENT_UNSEEN,   /* rank: and no exit was reported in time */
    ALCHI_DRV_EVENT_SLOW,     /* start-timeout passed; ms */
    ALCHI_DRV_EVENT_KILL,     /* error: why */
    ALCHI_DRV_EVENT_RELEASE,
    ALCHI_DRV_EVENT_PART_ENDED, /* part: its agent reaped everything */
    ALCHI_DRV_EVENT_PART_LOST   /* part: its agent is gone, and with it its ranks */
} alchi_drv_group_event_type_t;

typedef struct {
    alchi_drv_group_event_type_t type;
    int rank, part, stage;
    int64_t ms;
    const Alchw__RankExit *exit;
    const alch_error_t *error;
} alchi_drv_group_event_t;

/* What is to be done after an event, in this order. */
#define ALCHI_DRV_ACTION_READY 1u  /* it can be used: tell those who wait */
#define ALCHI_DRV_ACTION_LOST 2u   /* group->lost says why: fail all that waits, part from the session */
#define ALCHI_DRV_ACTION_QUIT 4u   /* ask the ranks to end */
#define ALCHI_DRV_ACTION_KILL 8u   /* end the ranks at once */
#define ALCHI_DRV_ACTION_AWAIT 16u /* start the timer of EVENT_UNSEEN */
#define ALCHI_DRV_ACTION_IDLE 32u  /* the part's slots are idle again */
#define ALCHI_DRV_ACTION_ENDED 64u /* nothing is left of it: free it */

/** A group of chosen slots, STARTING, with fresh control keys; takes nothing of the slots. NULL: out of memory. */
alchi_drv_group_t *alchi_drv_group_create(uint64_t id, uint64_t session, alchi_drv_slot_t *const *chosen, int size);
void alchi_drv_group_destroy(alchi_drv_group_t *group);

/** Take an event in. @return ALCHI_ACTION_* */
unsigned alchi_drv_group_next_state(alchi_drv_group_t *group, const alchi_drv_group_event_t *event);

/** The part that holds a rank or that is on a node; -1: none. */
int alchi_drv_group_part_of(const alchi_drv_group_t *group, const alchi_drv_node_t *node);

#endif
