/**
 * @file driver/slots.h
 * Nodes (agents as the driver sees them), their worker slots, and which slots a group gets.
 * Pure bookkeeping: no I/O.
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
    int local; /* index at its agent */
    int port;
    alch_worker_state_t state;
    uint64_t session, group; /* whom it serves; 0: nobody */
    int rank;                /* in the group; -1 */
    int pid;                 /* 0: none */
};

/** One agent. */
struct alchi_drv_node {
    void *link; /* its connection; NULL: gone */
    char host[256];
    char node[256];    /* ranks of equal text share memory */
    char address[256]; /* for clients; "": as they reached the driver */
    int64_t memory;    /* bytes */
    int cores;
    alchi_drv_slot_t *slots;
    int count;
    alchi_drv_node_t *prev, *next;
};

typedef struct {
    alchi_drv_node_t *nodes; /* in the order of joining */
} alchi_drv_slots_t;

#define ALCHI_DRV_SLOTS_MAX 4096 /* of one agent */

/** A node from an agent's hello; its slots get the next numbers. NULL: out of memory or a hello that makes no sense. */
alchi_drv_node_t *alchi_drv_slots_add(alchi_drv_slots_t *slots, const Alchw__AgentHello *hello, const char *address);
/** Take a node out and free it. No group may refer to its slots any more. */
void alchi_drv_slots_remove(alchi_drv_slots_t *slots, alchi_drv_node_t *node);
void alchi_drv_slots_fini(alchi_drv_slots_t *slots);

int alchi_drv_slots_total(const alchi_drv_slots_t *slots);
/** Slots in a state, on nodes that are connected. */
int alchi_drv_slots_count(const alchi_drv_slots_t *slots, alch_worker_state_t state);
alchi_drv_slot_t *alchi_drv_slots_find(const alchi_drv_slots_t *slots, int id);

/**
 * Choose `count` idle slots in rank order: `wanted` if all of them are idle, else one node that has enough,
 * else node by node in blocks. Changes nothing.
 * @param wanted  `count` slot ids, or NULL
 * @return false: fewer than count are idle
 */
bool alchi_drv_slots_choose(const alchi_drv_slots_t *slots, int count, const int *wanted, alchi_drv_slot_t **chosen);

/** PMI_process_mapping of ranks on slots, "(vector,(node,count,ppn)...)"; NULL: out of memory. Caller frees. */
char *alchi_drv_slots_mapping(alchi_drv_slot_t *const *chosen, int count);
/** Whether all slots share memory. */
bool alchi_drv_slots_same_node(alchi_drv_slot_t *const *chosen, int count);

#endif
