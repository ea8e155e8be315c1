/* Messages of agents: their slots, starts and exits of ranks, and the PMI barrier of a group. */
#include "base/error.h"
#include "base/log.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/handlers.h"
#include "driver/link.h"
#include "driver/no_memory.h"
#include "driver/slot_queue.h"
#include "driver/slots.h"
#include "wire/exit_text.h"
#include "wire/message.h"
#include "wire/value.h"
#include <stdlib.h>
#include <utlist.h>

void
alchi_drv_on_agent_hello(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__AgentHello *hello = message;
    Alchw__AgentWelcome welcome = ALCHW__AGENT_WELCOME__INIT;
    const char *address = hello->advertise && *hello->advertise ? hello->advertise : link->host;
    alchi_drv_node_t *node;

    (void)frame;
    if (link->node)
        return;
    if (!(node = alchi_drv_slots_add(&driver->slots, hello, link->is_own_agent ? "" : address))) {
        alchi_log(ALCHI_LOG_ERROR,
                  "the agent from %s with %zu slots cannot join: it needs 1 to %d slots with ports from 1 to 65535, or "
                  "the driver is out of memory",
                  link->host, hello->n_slots, ALCHI_DRV_SLOTS_MAX);
        link->ops->close(link);
        return;
    }
    node->link = link;
    link->node = node;
    welcome.has_first_slot = 1;
    welcome.first_slot = (uint32_t)node->slots[0].id;
    alchi_drv_link_send(link, ALCHI_AGENT_WELCOME, &welcome);
    if (driver->joined)
        driver->joined(driver, node);
    alchi_drv_slot_queue_start_next(driver);
}

void
alchi_drv_node_lost(alchi_drv_t *driver, alchi_drv_link_t *link)
{
    alchi_drv_node_t *node = link->node;
    alchi_drv_group_t *group, *next;
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_NODE_LOST};

    if (!node)
        return;
    if (!driver->stopping)
        alchi_log(ALCHI_LOG_WARNING, "the connection to the agent on %s ended: its %d worker slots are removed",
                  node->host, node->count);
    node->link = NULL;
    link->node = NULL;
    DL_FOREACH_SAFE(driver->groups, group, next)
    {
        if ((event.node_index = alchi_drv_group_find_node(group, node)) >= 0)
            alchi_drv_group_handle_event(group, &event);
    }
    alchi_drv_slots_remove(&driver->slots, node);
    alchi_drv_slot_queue_start_next(driver);
}

/* ---- reports about ranks ---- */

/* The group with this id, if it has ranks on the agent's node; else NULL. */
static alchi_drv_group_t *
find_group_on_node(alchi_drv_t *driver, const alchi_drv_link_t *link, uint64_t id, int *node_index_p)
{
    alchi_drv_group_t *group = link->node ? alchi_drv_find_group(driver, id) : NULL;

    if (!group || (*node_index_p = alchi_drv_group_find_node(group, link->node)) < 0)
        return NULL;
    return group;
}

/* The rank, if it is on this node; else -1. */
static int
rank_on_node(const alchi_drv_group_t *group, int node_index, uint32_t rank)
{
    const alchi_drv_group_node_t *node = &group->nodes[node_index];

    return rank >= (uint32_t)node->first && rank < (uint32_t)(node->first + node->count) ? (int)rank : -1;
}

void
alchi_drv_on_rank_started(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__RankStarted *started = message;
    int node_index, rank;
    alchi_drv_group_t *group = find_group_on_node(driver, link, started->group, &node_index);

    (void)frame;
    if (group && (rank = rank_on_node(group, node_index, started->rank)) >= 0 && group->ranks[rank].slot)
        group->ranks[rank].slot->pid = started->pid;
}

void
alchi_drv_on_rank_exit(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__RankExit *exit = message;
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_EXIT, .exit = exit};
    int node_index;
    alchi_drv_group_t *group = find_group_on_node(driver, link, exit->group, &node_index);
    char text[512];

    (void)frame;
    if (!group || (event.rank = rank_on_node(group, node_index, exit->rank)) < 0)
        return;
    alchi_log(ALCHI_LOG_DEBUG, "worker group %llu: worker %d (rank %d) %s", (unsigned long long)group->id,
              group->ranks[event.rank].slot_id, event.rank, alchi_exit_text(exit, text, sizeof(text)));
    alchi_drv_group_handle_event(group, &event);
}

void
alchi_drv_on_group_ended(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__GroupEnded *ended = message;
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_NODE_ENDED};
    alchi_drv_group_t *group = find_group_on_node(driver, link, ended->group, &event.node_index);

    (void)frame;
    if (group)
        alchi_drv_group_handle_event(group, &event);
}

/* ---- PMI ---- */

static bool
add_pmi_pairs(alchi_drv_group_t *group, Alchw__PmiPair *const *pairs, size_t count)
{
    Alchw__PmiPair **grown = realloc(group->pmi_pairs, (group->pmi_pair_count + count + 1) * sizeof(*grown));

    if (!grown)
        return false;
    group->pmi_pairs = grown;
    for (size_t i = 0; i < count; i++) {
        if (!(grown[group->pmi_pair_count] = alchi_message_copy(pairs[i])))
            return false;
        group->pmi_pair_count++;
    }
    return true;
}

/* After a barrier each rank may get every pair that any rank has put before the barrier: send all agents all pairs. */
static void
release_barrier(alchi_drv_group_t *group)
{
    Alchw__PmiBarrierOut message = ALCHW__PMI_BARRIER_OUT__INIT;

    message.has_group = 1;
    message.group = group->id;
    message.n_pairs = group->pmi_pair_count;
    message.pairs = group->pmi_pairs;
    for (int i = 0; i < group->node_count; i++) {
        group->nodes[i].in_barrier = false;
        if (group->nodes[i].node)
            alchi_drv_link_send(group->nodes[i].node->link, ALCHI_PMI_BARRIER_OUT, &message);
    }
    while (group->pmi_pair_count)
        alchi_message_free(group->pmi_pairs[--group->pmi_pair_count]);
}

void
alchi_drv_on_pmi_barrier(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__PmiBarrier *barrier = message;
    int node_index, i;
    alchi_drv_group_t *group = find_group_on_node(driver, link, barrier->group, &node_index);
    alch_error_t error;

    (void)frame;
    if (!group || group->nodes[node_index].in_barrier)
        return;
    if (!add_pmi_pairs(group, barrier->pairs, barrier->n_pairs)) {
        alchi_drv_error_no_memory(&error);
        alchi_drv_group_kill(group, &error);
        return;
    }
    group->nodes[node_index].in_barrier = true;
    for (i = 0; i < group->node_count && (group->nodes[i].in_barrier || group->nodes[i].ended); i++)
        ;
    if (i == group->node_count)
        release_barrier(group);
}
