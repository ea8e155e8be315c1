/* SPAWN: the message that gives an agent the ranks of a group to start, and their settings. */
#include "base/util.h"
#include "driver/config.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/link.h"
#include "driver/slots.h"
#include "wire/message.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *mapping;
    char *environment[4];
    size_t environment_count;
    Alchw__SpawnRank *ranks; /* [size of the group] */
    Alchw__SpawnRank **rank_list;
    Alchw__WorkerConfig *configs;
} spawn_t;

static bool
add_environment(spawn_t *spawn, char *text)
{
    if (!text)
        return false;
    spawn->environment[spawn->environment_count++] = text;
    return true;
}

/* On one node UCX may use only the transports that do not listen on a port. Between nodes it may use TCP as well, on
 * the devices of --mpi-net-devices. The number of BLAS threads of a rank is that of its node's cores, divided by its
 * slots. */
static bool
fill_environment(spawn_t *spawn, const alchi_drv_group_t *group, alchi_drv_slot_t *const *slots,
                 const alchi_drv_node_t *node)
{
    const char *devices = group->driver->config->net_devices;
    bool one_node = alchi_drv_slots_same_node(slots, group->size);
    int threads = node->cores / node->count > 1 ? node->cores / node->count : 1;

    if (!add_environment(spawn, alchi_asprintf("UCX_TLS=%s", one_node ? "self,sm" : "self,sm,tcp")))
        return false;
    if (!one_node && devices && !add_environment(spawn, alchi_asprintf("UCX_NET_DEVICES=%s", devices)))
        return false;
    return add_environment(spawn, alchi_asprintf("OPENBLAS_NUM_THREADS=%d", threads)) &&
           add_environment(spawn, alchi_asprintf("OMP_NUM_THREADS=%d", threads));
}

static void
clear_environment(spawn_t *spawn)
{
    while (spawn->environment_count)
        free(spawn->environment[--spawn->environment_count]);
}

static void
fill_config(const alchi_drv_group_t *group, int rank, Alchw__WorkerConfig *message)
{
    const alchi_drv_config_t *config = group->driver->config;
    const alchi_drv_node_t *node = group->ranks[rank].slot->node;

    alchw__worker_config__init(message);
    message->has_session = message->has_group = message->has_rank = message->has_size = message->has_slot = 1;
    message->session = group->session_id;
    message->group = group->id;
    message->rank = (uint32_t)rank;
    message->size = (uint32_t)group->size;
    message->slot = (uint32_t)group->ranks[rank].slot_id;
    message->has_control_key = message->has_data_key = 1;
    message->control_key = (ProtobufCBinaryData){ALCHI_KEY_SIZE, (uint8_t *)group->ranks[rank].control_key};
    message->data_key = (ProtobufCBinaryData){ALCHI_KEY_SIZE, (uint8_t *)group->ranks[rank].data_key};
    message->has_memory_limit = message->has_message_limit = message->has_data_threads = 1;
    /* Without --memory-limit a rank gets its share of 90 % of the host's memory. */
    message->memory_limit = config->memory_limit ? config->memory_limit : node->memory / node->count / 10 * 9;
    message->has_keep_memory = 1;
    message->keep_memory = (uint64_t)config->keep_memory;
    message->message_limit = config->message_limit;
    message->data_threads = (uint32_t)config->data_threads;
    message->has_io_timeout_ms = message->has_connection_limit = 1;
    message->io_timeout_ms = (uint32_t)config->io_timeout_ms;
    message->has_shared_memory = 1;
    message->shared_memory = !config->no_shared_memory;
    message->connection_limit = (uint32_t)config->connections;
    message->n_plugin_dirs = config->plugin_dirs.count;
    message->plugin_dirs = config->plugin_dirs.items;
    message->n_data_dirs = config->data_dirs.count;
    message->data_dirs = config->data_dirs.items;
    message->log_level = (char *)config->log_level;
}

static bool
fill_ranks(spawn_t *spawn, const alchi_drv_group_t *group)
{
    spawn->ranks = calloc((size_t)group->size, sizeof(*spawn->ranks));
    spawn->rank_list = calloc((size_t)group->size, sizeof(*spawn->rank_list));
    spawn->configs = calloc((size_t)group->size, sizeof(*spawn->configs));
    if (!spawn->ranks || !spawn->rank_list || !spawn->configs)
        return false;
    for (int rank = 0; rank < group->size; rank++) {
        fill_config(group, rank, &spawn->configs[rank]);
        alchw__spawn_rank__init(&spawn->ranks[rank]);
        spawn->ranks[rank].has_rank = spawn->ranks[rank].has_local_slot = 1;
        spawn->ranks[rank].rank = (uint32_t)rank;
        spawn->ranks[rank].local_slot = (uint32_t)group->ranks[rank].slot->index;
        spawn->ranks[rank].config = &spawn->configs[rank];
        spawn->rank_list[rank] = &spawn->ranks[rank];
    }
    return true;
}

static bool
send_spawn(spawn_t *spawn, const alchi_drv_group_t *group, alchi_drv_slot_t *const *slots,
           const alchi_drv_group_node_t *node)
{
    Alchw__Spawn message = ALCHW__SPAWN__INIT;

    if (!fill_environment(spawn, group, slots, node->node))
        return false;
    message.has_group = message.has_size = 1;
    message.group = group->id;
    message.size = (uint32_t)group->size;
    message.process_mapping = spawn->mapping;
    message.n_ranks = (size_t)node->count;
    message.ranks = spawn->rank_list + node->first;
    message.n_environment = spawn->environment_count;
    message.environment = spawn->environment;
    alchi_drv_link_send(node->node->link, ALCHI_SPAWN, &message);
    clear_environment(spawn);
    return true;
}

int
alchi_drv_group_spawn(alchi_drv_group_t *group, const uint8_t session_key[ALCHI_KEY_SIZE])
{
    spawn_t spawn = {0};
    alchi_drv_slot_t **slots = calloc((size_t)group->size, sizeof(*slots));
    bool filled = slots != NULL;

    for (int i = 0; filled && i < group->size; i++) {
        slots[i] = group->ranks[i].slot;
        alchi_derive_data_key(session_key, group->session_id, group->id, i, group->ranks[i].data_key);
    }
    filled = filled && (spawn.mapping = alchi_drv_slots_mapping(slots, group->size)) && fill_ranks(&spawn, group);
    for (int i = 0; filled && i < group->node_count; i++)
        filled = send_spawn(&spawn, group, slots, &group->nodes[i]);
    clear_environment(&spawn);
    free(spawn.mapping);
    free(spawn.ranks);
    free(spawn.rank_list);
    free(spawn.configs);
    free(slots);
    return filled ? ALCH_OK : ALCH_ENOMEM;
}
