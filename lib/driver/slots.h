/**
 * @file driver/slots.h
 * Nodes (agents as the driver sees them), their worker slots, and which slots a group gets.
 *
 * A node exists from its agent's hello until the agent's connection ends. Slots are numbered from 1 over all nodes;
 * users call a slot "worker". Nothing here sends a message.
 */
#ifndef ALCHI_DRIVER_SLOTS_H
#define ALCHI_DRIVER_SLOTS_H

#include "wire/message.h"
#include <alchemist/session.h>

typedef struct alchi_drv_slot alchi_drv_slot_t;
typedef struct alchi_drv_node alchi_drv_node_t;

struct alchi_drv_slot {
    int id; /* from 1 */
    alchi_drv_node_t *node;
    int index; /* among the slots of its agent */
    int port;
    alch_worker_state_t state;
    uint64_t session, group; /* ids of the session and the group that it serves; 0: none */
    int rank;                /* in the group; -1: none */
    int pid;                 /* 0: none */
};

/** One agent. */
struct alchi_drv_node {
    void *link; /* the agent's connection (alchi_drv_link_t); NULL: it ended, and the node is about to be removed */
    char host[256];
    char node[256];    /* ranks on nodes with equal text share memory */
    char address[256]; /* for clients; "": clients use the address at which they reached the driver */
    int64_t memory;    /* bytes */
    int cores;
    alchi_drv_slot_t *slots;
    int count;
    alchi_drv_node_t *prev, *next;
};

typedef struct {
    alchi_drv_node_t *nodes; /* in the order of their hellos */
} alchi_drv_slots_t;

#define ALCHI_DRV_SLOTS_MAX 4096 /* of one agent */

/** Add a node, owned by `slots`, from an agent's hello; its slots get the next numbers.
 *  @return NULL: out of memory, or the hello has no slots, more than ALCHI_DRV_SLOTS_MAX, or an invalid port */
alchi_drv_node_t *alchi_drv_slots_add(alchi_drv_slots_t *slots, const Alchw__AgentHello *hello, const char *address);
/** Remove a node and free it. No group may refer to its slots any more. */
void alchi_drv_slots_remove(alchi_drv_slots_t *slots, alchi_drv_node_t *node);
void alchi_drv_slots_fini(alchi_drv_slots_t *slots);

/** Slots on nodes that are connected. */
int alchi_drv_slots_total(const alchi_drv_slots_t *slots);
/** Slots on nodes that are connected, in this state. */
int alchi_drv_slots_count(const alchi_drv_slots_t *slots, alch_worker_state_t state);
/** NULL: no slot has this id. */
alchi_drv_slot_t *alchi_drv_slots_find(const alchi_drv_slots_t *slots, int id);

/**
 * Choose idle slots, and change nothing. The choice is `preferred` if all of these are idle, else slots of the first
 * node that has enough, else slots of one node after the other.
 *
 * @param count      how many
 * @param preferred  `count` slot ids in rank order, or NULL
 * @param chosen     [count], in rank order; undefined when the result is false
 * @return false: fewer than count slots are idle
 */
bool alchi_drv_slots_choose(const alchi_drv_slots_t *slots, int count, const int *preferred, alchi_drv_slot_t **chosen);

/** PMI_process_mapping of ranks on slots: "(vector,(node,count,ppn)...)". NULL: out of memory. The caller frees it. */
char *alchi_drv_slots_mapping(alchi_drv_slot_t *const *chosen, int count);
/** Whether ranks on these slots all share memory. */
bool alchi_drv_slots_same_node(alchi_drv_slot_t *const *chosen, int count);

#endif
