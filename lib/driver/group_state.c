/* The state machine of a worker group, and the texts that say why a group was lost. */
#include "driver/group_state.h"
#include "base/error.h"
#include "base/util.h"
#include "driver/slots.h"
#include "driver/timer.h"
#include "wire/exit_text.h"
#include "wire/message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
count_nodes(alchi_drv_slot_t *const *chosen, int size)
{
    int count = 1;

    for (int i = 1; i < size; i++)
        count += chosen[i]->node != chosen[i - 1]->node;
    return count;
}

static void
fill_nodes(alchi_drv_group_t *group, alchi_drv_slot_t *const *chosen)
{
    alchi_drv_group_node_t *node = group->nodes - 1;

    for (int i = 0; i < group->size; i++) {
        if (i == 0 || chosen[i]->node != chosen[i - 1]->node)
            *++node = (alchi_drv_group_node_t){.node = chosen[i]->node, .first = i};
        node->count++;
        group->ranks[i].slot = chosen[i];
        group->ranks[i].slot_id = chosen[i]->id;
    }
}

alchi_drv_group_t *
alchi_drv_group_create(uint64_t id, uint64_t session, alchi_drv_slot_t *const *chosen, int size)
{
    alchi_drv_group_t *group = calloc(1, sizeof(*group));

    if (!group)
        return NULL;
    group->id = id;
    group->session_id = session;
    group->state = ALCHI_DRV_GROUP_STARTING;
    group->size = size;
    group->next_command = 1;
    group->node_count = count_nodes(chosen, size);
    group->ranks = calloc((size_t)size, sizeof(*group->ranks));
    group->nodes = calloc((size_t)group->node_count, sizeof(*group->nodes));
    if (!group->ranks || !group->nodes)
        goto fail;
    fill_nodes(group, chosen);
    for (int i = 0; i < size; i++) {
        if (alchi_random(group->ranks[i].control_key, ALCHI_KEY_SIZE))
            goto fail;
    }
    return group;
fail:
    alchi_drv_group_destroy(group);
    return NULL;
}

void
alchi_drv_group_destroy(alchi_drv_group_t *group)
{
    if (!group)
        return;
    alchi_drv_timer_stop(&group->start_timer);
    alchi_drv_timer_stop(&group->exit_timer);
    alchi_drv_timer_stop(&group->ping_timer);
    for (size_t i = 0; i < group->pmi_pair_count; i++)
        alchi_message_free(group->pmi_pairs[i]);
    free(group->pmi_pairs);
    if (group->ranks)
        explicit_bzero(group->ranks, (size_t)group->size * sizeof(*group->ranks));
    free(group->ranks);
    free(group->nodes);
    free(group);
}

int
alchi_drv_group_find_node(const alchi_drv_group_t *group, const alchi_drv_node_t *node)
{
    for (int i = 0; i < group->node_count; i++) {
        if (group->nodes[i].node == node)
            return i;
    }
    return -1;
}

/* Whether the rank itself logged the line as info or debug. Other lines come from a library, or report an error. */
static bool
is_info_line(const char *line)
{
    return *line == '[' && (strstr(line, "] [info] ") || strstr(line, "] [debug] "));
}

/* Append "; its last output: ..." with as many of the last lines as fit. */
static void
append_output(alch_error_t *error, const Alchw__RankExit *exit)
{
    static const char lead[] = "; its last output:";
    size_t used = strlen(error->text), need = used + sizeof(lead), first = exit->n_lines, i;
    const char *mark = lead;

    for (; first > 0; first--) {
        if (is_info_line(exit->lines[first - 1]))
            continue;
        if (need + strlen(exit->lines[first - 1]) + 3 >= sizeof(error->text))
            break;
        need += strlen(exit->lines[first - 1]) + 3;
    }
    for (i = first; i < exit->n_lines; i++) {
        if (is_info_line(exit->lines[i]))
            continue;
        used += (size_t)snprintf(error->text + used, sizeof(error->text) - used, "%s %s", mark, exit->lines[i]);
        mark = " |";
    }
}

static const char *
stage_text(int stage)
{
    switch (stage) {
    case ALCHW__JOIN_STAGE__JOIN_NONE:
        return "had not connected";
    case ALCHW__JOIN_STAGE__JOIN_CONNECTED:
        return "was still in MPI_Init";
    case ALCHW__JOIN_STAGE__JOIN_MPI:
        return "was not listening for data connections";
    default:
        return "was ready";
    }
}

static unsigned
mark_lost(alchi_drv_group_t *group, int rank, const char *why, const Alchw__RankExit *exit)
{
    const char *what = group->state == ALCHI_DRV_GROUP_STARTING ? "did not start" : "was lost";

    if (rank >= 0)
        alchi_error_rank(&group->lost_reason, ALCH_EGROUP, rank, "worker group %llu %s: worker %d (rank %d) %s",
                         (unsigned long long)group->id, what, group->ranks[rank].slot_id, rank, why);
    else
        alchi_error_set(&group->lost_reason, ALCH_EGROUP, "worker group %llu %s: %s", (unsigned long long)group->id,
                        what, why);
    if (exit)
        append_output(&group->lost_reason, exit);
    group->state = ALCHI_DRV_GROUP_LOST;
    return ALCHI_DRV_ACTION_LOST | ALCHI_DRV_ACTION_KILL;
}

static bool
is_in_use(const alchi_drv_group_t *group)
{
    return group->state == ALCHI_DRV_GROUP_STARTING || group->state == ALCHI_DRV_GROUP_READY;
}

static unsigned
handle_join(alchi_drv_group_t *group, int rank, int stage)
{
    if (group->state != ALCHI_DRV_GROUP_STARTING || stage <= group->ranks[rank].stage)
        return 0;
    group->ranks[rank].stage = stage;
    for (int i = 0; i < group->size; i++) {
        if (group->ranks[i].stage < ALCHW__JOIN_STAGE__JOIN_READY)
            return 0;
    }
    group->state = ALCHI_DRV_GROUP_READY;
    return ALCHI_DRV_ACTION_READY;
}

static unsigned
handle_exit(alchi_drv_group_t *group, int rank, const Alchw__RankExit *exit)
{
    char text[512];

    group->ranks[rank].exited = true;
    return is_in_use(group) ? mark_lost(group, rank, alchi_exit_text(exit, text, sizeof(text)), exit) : 0;
}

static unsigned
handle_overdue_start(alchi_drv_group_t *group, int64_t ms)
{
    char text[128];
    int rank = 0;

    if (group->state != ALCHI_DRV_GROUP_STARTING)
        return 0;
    while (rank < group->size - 1 && group->ranks[rank].stage >= ALCHW__JOIN_STAGE__JOIN_READY)
        rank++;
    snprintf(text, sizeof(text), "%s after %.1f s (--start-timeout)", stage_text(group->ranks[rank].stage),
             (double)ms / 1000);
    return mark_lost(group, rank, text, NULL);
}

static unsigned
handle_kill(alchi_drv_group_t *group, const alch_error_t *error)
{
    unsigned actions;

    if (!is_in_use(group))
        return 0;
    actions = mark_lost(group, -1, error->text, NULL);
    group->lost_reason.rank = error->rank;
    return actions;
}

static unsigned
handle_node_end(alchi_drv_group_t *group, int index, bool lost)
{
    char text[320];
    unsigned actions = ALCHI_DRV_ACTION_IDLE;

    if (group->nodes[index].ended)
        return 0;
    if (is_in_use(group)) {
        snprintf(text, sizeof(text),
                 lost ? "the connection to the agent on %s ended" : "the agent on %s ended the ranks there",
                 group->nodes[index].node->host);
        actions |= mark_lost(group, -1, text, NULL);
    }
    group->nodes[index].ended = true;
    for (int i = 0; i < group->node_count; i++) {
        if (!group->nodes[i].ended)
            return actions;
    }
    group->state = ALCHI_DRV_GROUP_OVER;
    return (actions & ~ALCHI_DRV_ACTION_KILL) | ALCHI_DRV_ACTION_ENDED;
}

unsigned
alchi_drv_group_next_state(alchi_drv_group_t *group, const alchi_drv_group_event_t *event)
{
    switch (event->type) {
    case ALCHI_DRV_EVENT_JOIN:
        return handle_join(group, event->rank, event->stage);
    case ALCHI_DRV_EVENT_EXIT:
        return handle_exit(group, event->rank, event->exit);
    case ALCHI_DRV_EVENT_DISCONNECTED:
        group->ranks[event->rank].disconnected = true;
        return is_in_use(group) && !group->ranks[event->rank].exited ? ALCHI_DRV_ACTION_AWAIT_EXIT : 0;
    case ALCHI_DRV_EVENT_EXIT_OVERDUE:
        return is_in_use(group) ? mark_lost(group, event->rank, "closed its connection to the driver", NULL) : 0;
    case ALCHI_DRV_EVENT_START_OVERDUE:
        return handle_overdue_start(group, event->ms);
    case ALCHI_DRV_EVENT_KILL:
        return handle_kill(group, event->error);
    case ALCHI_DRV_EVENT_RELEASE:
        if (!is_in_use(group))
            return 0;
        /* Ranks that are still starting do not read their control connection yet: asking them to quit has no effect. */
        if (group->state == ALCHI_DRV_GROUP_STARTING) {
            group->state = ALCHI_DRV_GROUP_RELEASING;
            return ALCHI_DRV_ACTION_KILL;
        }
        group->state = ALCHI_DRV_GROUP_RELEASING;
        return ALCHI_DRV_ACTION_QUIT;
    case ALCHI_DRV_EVENT_NODE_ENDED:
    case ALCHI_DRV_EVENT_NODE_LOST:
        return handle_node_end(group, event->node_index, event->type == ALCHI_DRV_EVENT_NODE_LOST);
    }
    return 0;
}
