/* Commands: one message to ranks, and one reply from each rank. */
#include "driver/command.h"
#include "base/error.h"
#include "base/util.h"
#include "driver/config.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/link.h"
#include "driver/timer.h"
#include "wire/message.h"
#include <stdlib.h>
#include <utlist.h>

/* Whether the command is work for the main threads, which has no time limit until one rank fails. */
static bool
is_main_thread_work(const alchi_drv_command_t *command)
{
    return command->type == ALCHI_WORKER_TASK || command->type == ALCHI_WORKER_TRANSFORM ||
           command->type == ALCHI_WORKER_LOAD || command->type == ALCHI_WORKER_FETCH;
}

static void
kill_overdue_group(alchi_drv_timer_t *timer)
{
    alchi_drv_command_t *command = ALCHI_CONTAINER(timer, alchi_drv_command_t, timer);
    alchi_drv_group_t *group = command->group;
    const alchi_drv_config_t *config = group->driver->config;
    alch_error_t error;
    int rank;

    for (rank = 0; rank < group->size - 1 && !command->unanswered[rank]; rank++)
        ;
    if (is_main_thread_work(command))
        alchi_error_rank(&error, ALCH_EGROUP, command->error.rank,
                         "worker %d (rank %d) had not returned %.1f s after rank %d failed (--fail-grace): %s",
                         group->ranks[rank].slot_id, rank, (double)config->fail_grace_ms / 1000, command->error.rank,
                         command->error.text);
    else
        alchi_error_rank(&error, ALCH_EGROUP, rank, "worker %d (rank %d) did not answer for %.1f s (--client-timeout)",
                         group->ranks[rank].slot_id, rank, (double)config->client_timeout_ms / 1000);
    alchi_drv_group_kill(group, &error);
}

int
alchi_drv_command_send(alchi_drv_group_t *group, unsigned type, const void *message, const bool *ranks,
                       const alchi_drv_command_t *model, alchi_drv_command_t **command_p)
{
    alchi_drv_command_t *command;

    if (group->state != ALCHI_DRV_GROUP_READY)
        return ALCH_EGROUP;
    if (!(command = malloc(sizeof(*command))))
        return ALCH_ENOMEM;
    *command = model ? *model : (alchi_drv_command_t){0};
    command->type = type;
    command->group = group;
    command->unanswered = calloc((size_t)group->size * 2, sizeof(bool));
    if (!command->unanswered) {
        free(command);
        return ALCH_ENOMEM;
    }
    command->succeeded = command->unanswered + group->size;
    command->id = group->next_command++;
    DL_APPEND(group->commands, command);
    for (int rank = 0; rank < group->size; rank++) {
        if (ranks && !ranks[rank])
            continue;
        command->unanswered[rank] = true;
        command->pending++;
        if (command->before_send)
            command->before_send(command, rank);
        if (group->ranks[rank].link)
            group->ranks[rank].link->ops->send(group->ranks[rank].link, type, 0, command->id, message);
    }
    if (!is_main_thread_work(command))
        alchi_drv_timer_start(&group->driver->timers, &command->timer, group->driver->config->client_timeout_ms,
                              kill_overdue_group);
    if (command_p)
        *command_p = command;
    return ALCH_OK;
}

void
alchi_drv_command_discard(alchi_drv_command_t *command)
{
    alchi_drv_timer_stop(&command->timer);
    DL_DELETE(command->group->commands, command);
    free(command->unanswered);
    free(command);
}

static alchi_drv_command_t *
find_command(alchi_drv_group_t *group, uint64_t id)
{
    alchi_drv_command_t *command;

    DL_FOREACH(group->commands, command)
    {
        if (command->id == id)
            return command;
    }
    return NULL;
}

static void
record_failure(alchi_drv_command_t *command, int rank, const Alchw__Error *message)
{
    if (command->failed++)
        return;
    alchi_error_rank(&command->error, alchi_message_code(message), rank, "%s",
                     message && message->text ? message->text : "the worker gave no reason");
    if (is_main_thread_work(command))
        alchi_drv_timer_start(&command->group->driver->timers, &command->timer,
                              command->group->driver->config->fail_grace_ms, kill_overdue_group);
}

void
alchi_drv_command_handle_reply(alchi_drv_group_t *group, int rank, const alchi_frame_t *frame,
                               const ProtobufCMessage *message)
{
    alchi_drv_command_t *command = find_command(group, frame->id);

    /* The command was discarded, or this rank has replied to it already. */
    if (!command || !command->unanswered[rank])
        return;
    command->unanswered[rank] = false;
    command->pending--;
    if (frame->type == ALCHI_ERROR) {
        record_failure(command, rank, (const Alchw__Error *)message);
        if (command->on_failure && command->on_failure(command, rank))
            return;
    } else {
        command->succeeded[rank] = true;
        if (command->on_reply)
            command->on_reply(command, rank, frame, message);
    }
    if (command->pending)
        return;
    alchi_drv_timer_stop(&command->timer);
    if (command->on_done)
        command->on_done(command);
    alchi_drv_command_discard(command);
}

void
alchi_drv_commands_fail(alchi_drv_group_t *group, const alch_error_t *error)
{
    alchi_drv_command_t *command;

    while ((command = group->commands)) {
        alchi_drv_timer_stop(&command->timer);
        if (!command->failed++)
            command->error = *error;
        if (command->on_done)
            command->on_done(command);
        alchi_drv_command_discard(command);
    }
}
