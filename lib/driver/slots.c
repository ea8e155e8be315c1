/* Nodes and slots, and the choice of slots for a group. */
#include "driver/slots.h"
#include "wire/message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static int
next_id(const alchi_drv_slots_t *slots)
{
    const alchi_drv_node_t *node;
    int last = 0;

    DL_FOREACH(slots->nodes, node)
    {
        if (node->slots[node->count - 1].id > last)
            last = node->slots[node->count - 1].id;
    }
    return last + 1;
}

static bool
is_valid_hello(const Alchw__AgentHello *hello)
{
    if (hello->n_slots < 1 || hello->n_slots > ALCHI_DRV_SLOTS_MAX)
        return false;
    for (size_t i = 0; i < hello->n_slots; i++) {
        if (hello->slots[i]->port < 1 || hello->slots[i]->port > 65535)
            return false;
    }
    return true;
}

alchi_drv_node_t *
alchi_drv_slots_add(alchi_drv_slots_t *slots, const Alchw__AgentHello *hello, const char *address)
{
    alchi_drv_node_t *node;
    int i, first = next_id(slots);

    if (!is_valid_hello(hello) || !(node = calloc(1, sizeof(*node))))
        return NULL;
    if (!(node->slots = calloc(hello->n_slots, sizeof(*node->slots)))) {
        free(node);
        return NULL;
    }
    snprintf(node->host, sizeof(node->host), "%s", hello->host ? hello->host : "?");
    snprintf(node->node, sizeof(node->node), "%s", hello->node && *hello->node ? hello->node : node->host);
    snprintf(node->address, sizeof(node->address), "%s", address);
    node->memory = hello->memory > 0 ? hello->memory : 0;
    node->cores = hello->cores > 0 && hello->cores < 65536 ? (int)hello->cores : 1;
    node->count = (int)hello->n_slots;
    for (i = 0; i < node->count; i++)
        node->slots[i] = (alchi_drv_slot_t){
            .id = first + i, .node = node, .index = i, .port = (int)hello->slots[i]->port, .rank = -1};
    DL_APPEND(slots->nodes, node);
    return node;
}

void
alchi_drv_slots_remove(alchi_drv_slots_t *slots, alchi_drv_node_t *node)
{
    DL_DELETE(slots->nodes, node);
    free(node->slots);
    free(node);
}

void
alchi_drv_slots_fini(alchi_drv_slots_t *slots)
{
    while (slots->nodes)
        alchi_drv_slots_remove(slots, slots->nodes);
}

int
alchi_drv_slots_total(const alchi_drv_slots_t *slots)
{
    const alchi_drv_node_t *node;
    int total = 0;

    DL_FOREACH(slots->nodes, node)
    total += node->link ? node->count : 0;
    return total;
}

static int
count_on_node(const alchi_drv_node_t *node, alch_worker_state_t state)
{
    int count = 0;

    if (!node->link)
        return 0;
    for (int i = 0; i < node->count; i++)
        count += node->slots[i].state == state;
    return count;
}

int
alchi_drv_slots_count(const alchi_drv_slots_t *slots, alch_worker_state_t state)
{
    const alchi_drv_node_t *node;
    int count = 0;

    DL_FOREACH(slots->nodes, node)
    count += count_on_node(node, state);
    return count;
}

alchi_drv_slot_t *
alchi_drv_slots_find(const alchi_drv_slots_t *slots, int id)
{
    alchi_drv_node_t *node;

    DL_FOREACH(slots->nodes, node)
    {
        if (id >= node->slots[0].id && id < node->slots[0].id + node->count)
            return &node->slots[id - node->slots[0].id];
    }
    return NULL;
}

static bool
choose_preferred(const alchi_drv_slots_t *slots, int count, const int *preferred, alchi_drv_slot_t **chosen)
{
    for (int i = 0; i < count; i++) {
        chosen[i] = alchi_drv_slots_find(slots, preferred[i]);
        if (!chosen[i] || !chosen[i]->node->link || chosen[i]->state != ALCH_WORKER_IDLE)
            return false;
    }
    return true;
}

static int
choose_idle(const alchi_drv_node_t *node, int count, alchi_drv_slot_t **chosen)
{
    int taken = 0;

    for (int i = 0; node->link && i < node->count && taken < count; i++) {
        if (node->slots[i].state == ALCH_WORKER_IDLE)
            chosen[taken++] = &node->slots[i];
    }
    return taken;
}

bool
alchi_drv_slots_choose(const alchi_drv_slots_t *slots, int count, const int *preferred, alchi_drv_slot_t **chosen)
{
    const alchi_drv_node_t *node;
    int taken = 0;

    if (count > alchi_drv_slots_count(slots, ALCH_WORKER_IDLE))
        return false;
    if (preferred && choose_preferred(slots, count, preferred, chosen))
        return true;
    DL_FOREACH(slots->nodes, node)
    {
        if (count_on_node(node, ALCH_WORKER_IDLE) >= count)
            return choose_idle(node, count, chosen) == count;
    }
    DL_FOREACH(slots->nodes, node)
    taken += choose_idle(node, count - taken, chosen + taken);
    return taken == count;
}

/* The number of a slot's node among the nodes of the group, counted in the order in which they first occur. */
static int
node_number(alchi_drv_slot_t *const *chosen, int index)
{
    int j, number = 0;

    for (int i = 0; i <= index; i++) {
        for (j = 0; j < i && strcmp(chosen[j]->node->node, chosen[i]->node->node) != 0; j++)
            ;
        if (strcmp(chosen[i]->node->node, chosen[index]->node->node) == 0)
            return number;
        number += j == i;
    }
    return number;
}

char *
alchi_drv_slots_mapping(alchi_drv_slot_t *const *chosen, int count)
{
    size_t size = 16 + (size_t)count * 32;
    char *text = malloc(size);
    size_t used;
    int first;

    if (!text)
        return NULL;
    used = (size_t)snprintf(text, size, "(vector");
    for (int i = 0; i < count; i = first) {
        for (first = i + 1; first < count && strcmp(chosen[first]->node->node, chosen[i]->node->node) == 0;)
            first++;
        used += (size_t)snprintf(text + used, size - used, ",(%d,1,%d)", node_number(chosen, i), first - i);
    }
    snprintf(text + used, size - used, ")");
    return text;
}

bool
alchi_drv_slots_same_node(alchi_drv_slot_t *const *chosen, int count)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(chosen[i]->node->node, chosen[0]->node->node) != 0)
            return false;
    }
    return true;
}
