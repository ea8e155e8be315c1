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
count_parts(alchi_drv_slot_t *const *chosen, int size)
{
    int i, count = 1;

    for (i = 1; i < size; i++)
        count += chosen[i]->node != chosen[i - 1]->node;
    return count;
}

static void
fill_parts(alchi_drv_group_t *group, alchi_drv_slot_t *const *chosen)
{
    alchi_drv_part_ranks_t *part = group->parts - 1;
    int i;

    for (i = 0; i < group->size; i++) {
        if (i == 0 || chosen[i]->node != chosen[i - 1]->node)
            *++part = (alchi_drv_part_ranks_t){.node = chosen[i]->node, .first = i};
        part->count++;
        group->ranks[i].slot = chosen[i];
        group->ranks[i].slot_id = chosen[i]->id;
    }
}

alchi_drv_group_t *
alchi_drv_group_create(uint64_t id, uint64_t session, alchi_drv_slot_t *const *chosen, int size)
{
    alchi_drv_group_t *group = calloc(1, sizeof(*group));
    int i;

    if (!group)
        return NULL;
    group->id = id;
    group->session_id = session;
    group->state = ALCHI_DRV_GROUP_STARTING;
    group->size = size;
    group->next_command = 1;
    group->part_count = count_parts(chosen, size);
    group->ranks = calloc((size_t)size, sizeof(*group->ranks));
    group->parts = calloc((size_t)group->part_count, sizeof(*group->parts));
    if (!group->ranks || !group->parts)
        goto fail;
    fill_parts(group, chosen);
    for (i = 0; i < size; i++) {
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
    size_t i;

    if (!group)
        return;
    alchi_drv_timer_stop(&group->start_timer);
    alchi_drv_timer_stop(&group->exit_timer);
    alchi_drv_timer_stop(&group->pulse_timer);
    for (i = 0; i < group->pair_count; i++)
        alchi_message_free(group->pairs[i]);
    free(group->pairs);
    if (group->ranks)
        explicit_bzero(group->ranks, (size_t)group->size * sizeof(*group->ranks));
    free(group->ranks);
    free(group->parts);
    free(group);
}

int
alchi_drv_group_part_of(const alchi_drv_group_t *group, const alchi_drv_node_t *node)
{
    int i;

    for (i = 0; i < group->part_count; i++) {
        if (group->parts[i].node == node)
            return i;
    }
    return -1;
}

/* Chatter of the worker itself, as against what a library wrote or an error that the worker logged. */
static bool
is_chatter(const char *line)
{
    return *line == '[' && (strstr(line, "] [info] ") || strstr(line, "] [debug] "));
}

/* "; its last output: ..." with as many of the last lines as fit. */
static void
add_lines(alch_error_t *error, const Alchw__RankExit *exit)
{
    static const char lead[] = "; its last output:";
    size_t used = strlen(error->text), need = used + sizeof(lead), first = exit->n_lines, i;
    const char *mark = lead;

    for (; first > 0; first--) {
        if (is_chatter(exit->lines[first - 1]))
            continue;
        if (need + strlen(exit->lines[first - 1]) + 3 >= sizeof(error->text))
            break;
        need += strlen(exit->lines[first - 1]) + 3;
    }
    for (i = first; i < exit->n_lines; i++) {
        if (is_chatter(exit->lines[i]))
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
        return "has not connected";
    case ALCHW__JOIN_STAGE__JOIN_CONNECTED:
        return "is in MPI_Init";
    case ALCHW__JOIN_STAGE__JOIN_MPI:
        return "does not listen for data yet";
    default:
        return "is ready";
    }
}

static unsigned
lose(alchi_drv_group_t *group, int rank, const char *why, const Alchw__RankExit *exit)
{
    const char *what = group->state == ALCHI_DRV_GROUP_STARTING ? "did not start" : "is gone";

    if (rank >= 0)
        alchi_error_rank(&group->lost, ALCH_EGROUP, rank, "worker group %llu %s: rank %d (worker %d) %s",
                         (unsigned long long)group->id, what, rank, group->ranks[rank].slot_id, why);
    else
        alchi_error_set(&group->lost, ALCH_EGROUP, "worker group %llu %s: %s", (unsigned long long)group->id, what,
                        why);
    if (exit)
        add_lines(&group->lost, exit);
    group->state = ALCHI_DRV_GROUP_LOST;
    return ALCHI_DRV_ACTION_LOST | ALCHI_DRV_ACTION_KILL;
}

static bool
alive(const alchi_drv_group_t *group)
{
    return group->state == ALCHI_DRV_GROUP_STARTING || group->state == ALCHI_DRV_GROUP_READY;
}

static unsigned
rank_joined(alchi_drv_group_t *group, int rank, int stage)
{
    int i;

    if (group->state != ALCHI_DRV_GROUP_STARTING || stage <= group->ranks[rank].stage)
        return 0;
    group->ranks[rank].stage = stage;
    for (i = 0; i < group->size; i++) {
        if (group->ranks[i].stage < ALCHW__JOIN_STAGE__JOIN_READY)
            return 0;
    }
    group->state = ALCHI_DRV_GROUP_READY;
    return ALCHI_DRV_ACTION_READY;
}

static unsigned
rank_exited(alchi_drv_group_t *group, int rank, const Alchw__RankExit *exit)
{
    char text[512];

    group->ranks[rank].exited = true;
    return alive(group) ? lose(group, rank, alchi_exit_text(exit, text, sizeof(text)), exit) : 0;
}

static unsigned
too_slow(alchi_drv_group_t *group, int64_t ms)
{
    char text[128];
    int rank = 0;

    if (group->state != ALCHI_DRV_GROUP_STARTING)
        return 0;
    while (rank < group->size - 1 && group->ranks[rank].stage >= ALCHW__JOIN_STAGE__JOIN_READY)
        rank++;
    snprintf(text, sizeof(text), "%s after %.1f s (--start-timeout)", stage_text(group->ranks[rank].stage),
             (double)ms / 1000);
    return lose(group, rank, text, NULL);
}

/* A killed group's text is the reason as it is given. */
static unsigned
killed(alchi_drv_group_t *group, const alch_error_t *error)
{
    unsigned actions;

    if (!alive(group))
        return 0;
    actions = lose(group, -1, error->text, NULL);
    group->lost.rank = error->rank;
    return actions;
}

static unsigned
part_ended(alchi_drv_group_t *group, int part, bool lost)
{
    char text[320];
    unsigned actions = ALCHI_DRV_ACTION_IDLE;
    int i;

    if (group->parts[part].ended)
        return 0;
    if (alive(group)) {
        snprintf(text, sizeof(text),
                 lost ? "the connection to the agent on %s ended" : "the agent on %s ended its ranks",
                 group->parts[part].node->host);
        actions |= lose(group, -1, text, NULL);
    }
    group->parts[part].ended = true;
    for (i = 0; i < group->part_count; i++) {
        if (!group->parts[i].ended)
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
        return rank_joined(group, event->rank, event->stage);
    case ALCHI_DRV_EVENT_EXIT:
        return rank_exited(group, event->rank, event->exit);
    case ALCHI_DRV_EVENT_UNLINKED:
        group->ranks[event->rank].unlinked = true;
        return alive(group) && !group->ranks[event->rank].exited ? ALCHI_DRV_ACTION_AWAIT : 0;
    case ALCHI_DRV_EVENT_UNSEEN:
        return alive(group) ? lose(group, event->rank, "closed its connection to the driver", NULL) : 0;
    case ALCHI_DRV_EVENT_SLOW:
        return too_slow(group, event->ms);
    case ALCHI_DRV_EVENT_KILL:
        return killed(group, event->error);
    case ALCHI_DRV_EVENT_RELEASE:
        if (!alive(group))
            return 0;
        /* Ranks that are still starting do not read their connection yet. */
        if (group->state == ALCHI_DRV_GROUP_STARTING) {
            group->state = ALCHI_DRV_GROUP_RELEASING;
            return ALCHI_DRV_ACTION_KILL;
        }
        group->state = ALCHI_DRV_GROUP_RELEASING;
        return ALCHI_DRV_ACTION_QUIT;
    case ALCHI_DRV_EVENT_PART_ENDED:
    case ALCHI_DRV_EVENT_PART_LOST:
        return part_ended(group, event->part, event->type == ALCHI_DRV_EVENT_PART_LOST);
    }
    return 0;
}
