/**
 * @file driver/command.h
 * Commands: one message to ranks of a group, and one reply from each of these ranks.
 *
 * alchi_drv_command_send() creates a command, group->commands owns it, and it is freed after its on_done(): when all
 * ranks have replied, or when the group is lost or released. alchi_drv_command_discard() frees it earlier.
 *
 * Most commands must be answered within --client-timeout. Commands for the main threads (a load, a task, a transform, a
 * fetch) may take any time; when one rank has failed, the others must reply within --fail-grace. In both cases the
 * driver kills the group if a rank is late.
 *
 * Callbacks may send commands and answer requests, and on_done() may free `context`. They must not end the command's
 * group, because that frees the command. Only on_failure() may discard the command.
 */
#ifndef ALCHI_DRIVER_COMMAND_H
#define ALCHI_DRIVER_COMMAND_H

#include "driver/group_state.h"
#include "driver/objects.h"
#include "driver/timer.h"
#include "wire/message.h"

struct alchi_drv_command {
    uint64_t id;
    alchi_drv_group_t *group;
    unsigned type;
    int pending;        /* ranks that have not replied */
    int failed;         /* ranks that have failed; if the group is lost before all have replied: at least 1 */
    bool *unanswered;   /* [size]: the rank got the message and has not replied */
    bool *succeeded;    /* [size]: the rank replied without an error */
    alch_error_t error; /* the first failure */
    alchi_drv_timer_t timer;
    /** Called before the message is sent to a rank. It may change the data that the message points to. May be NULL. */
    void (*before_send)(const alchi_drv_command_t *command, int rank);
    /** Called for a reply that is no error. May be NULL. */
    void (*on_reply)(alchi_drv_command_t *command, int rank, const alchi_frame_t *frame,
                     const ProtobufCMessage *message);
    /** Called for a reply that is an error. @return true: it has discarded the command. May be NULL. */
    bool (*on_failure)(alchi_drv_command_t *command, int rank);
    /** Called once, when all ranks have replied or the group is lost: failed > 0 means that error is set. The caller
     *  frees the command afterwards. May be NULL. */
    void (*on_done)(alchi_drv_command_t *command);
    void *context; /* of the callbacks, borrowed */
    alchi_drv_command_t *prev, *next;
};

/**
 * Send a command. No callback but before_send() runs during the call.
 *
 * @param ranks           [size] which ranks get it, at least one; NULL: all
 * @param model           the callbacks and the context, copied; NULL: the outcome does not matter
 * @param[out] command_p  the command, for alchi_drv_command_discard(); or NULL
 * @return ALCH_OK, ALCH_ENOMEM, ALCH_EGROUP (the group is not READY)
 */
int alchi_drv_command_send(alchi_drv_group_t *group, unsigned type, const void *message, const bool *ranks,
                           const alchi_drv_command_t *model, alchi_drv_command_t **command_p);
/** A rank has replied. Replies to commands that were discarded are ignored. */
void alchi_drv_command_handle_reply(alchi_drv_group_t *group, int rank, const alchi_frame_t *frame,
                                    const ProtobufCMessage *message);
/** End all commands of a group with this error; a command that has failed already keeps its own error. */
void alchi_drv_commands_fail(alchi_drv_group_t *group, const alch_error_t *error);
/** Free a command without calling on_done(). */
void alchi_drv_command_discard(alchi_drv_command_t *command);

#endif
