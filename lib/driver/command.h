/** @file driver/command.h  Commands: one message to the ranks of a group, one answer of each rank. */
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
    int pending, failed;
    bool *asked;        /* [size]: sent and not answered */
    bool *succeeded;    /* [size] */
    alch_error_t error; /* the first failure */
    alchi_drv_timer_t timer;
    /** Fit the message to the rank that it is sent to next; may be NULL. */
    void (*fit)(const alchi_drv_command_t *command, int rank);
    /** One rank's good answer; may be NULL. */
    void (*answer)(alchi_drv_command_t *command, int rank, const alchi_frame_t *frame, const ProtobufCMessage *message);
    /** One rank's failure; true: the command was dropped. May be NULL. */
    bool (*refused)(alchi_drv_command_t *command, int rank);
    /** All have answered, or the group is gone (command->error then, failed > 0). Freed by the caller of it. */
    void (*done)(alchi_drv_command_t *command);
    void *context;
    alchi_drv_command_t *prev, *next;
};

/**
 * @param ranks  [size] to whom, or NULL: all
 * @return ALCH_OK, ALCH_ENOMEM, ALCH_EGROUP (not ready); done() is never called from within
 */
int alchi_drv_command_send(alchi_drv_group_t *group, unsigned type, const void *message, const bool *ranks,
                           const alchi_drv_command_t *model, alchi_drv_command_t **command_p);
/** A reply of a rank. */
void alchi_drv_command_answer(alchi_drv_group_t *group, int rank, const alchi_frame_t *frame,
                              const ProtobufCMessage *message);
/** Finish all with the error, keeping what a rank said before. */
void alchi_drv_commands_fail(alchi_drv_group_t *group, const alch_error_t *error);
/** Forget one without calling done(). */
void alchi_drv_command_drop(alchi_drv_command_t *command);

#endif
