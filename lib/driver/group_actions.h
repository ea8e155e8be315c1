/**
 * @file driver/group_actions.h
 * How the driver starts a worker group, and what it does when the group's state changes.
 *
 * driver->groups owns all groups. A group is freed by alchi_drv_group_handle_event() with EVENT_NODE_ENDED or
 * EVENT_NODE_LOST, when the last of its nodes has ended, or else by alchi_drv_destroy().
 */
#ifndef ALCHI_DRIVER_GROUP_ACTIONS_H
#define ALCHI_DRIVER_GROUP_ACTIONS_H

#include "driver/group_state.h"
#include "driver/session.h"

/** Apply an event and do all that follows from it: messages to ranks and agents, replies to clients. */
void alchi_drv_group_handle_event(alchi_drv_group_t *group, const alchi_drv_group_event_t *event);
/** Start a group of session->slots_needed workers, for which there are idle slots. It becomes session->move->to if a
 *  move waits for it, else session->group. If it cannot be started, the requests that wait for it get the error. */
void alchi_drv_group_start(alchi_drv_session_t *session);
/** Send the agents what they need to start the ranks. @return ALCH_OK, ALCH_ENOMEM */
int alchi_drv_group_spawn(alchi_drv_group_t *group, const uint8_t session_key[ALCHI_KEY_SIZE]);
/**
 * Detach a group from its session, and ask its ranks to quit. Ranks that are starting, or that have a job, are killed
 * instead. The commands and jobs fail with `why`. The group is freed later, when its agents have reaped the ranks. Must
 * not be called by a callback of a command of this group.
 */
void alchi_drv_group_release(alchi_drv_group_t *group, const alch_error_t *why);
/** The same for a group that cannot be used any more: its matrices are lost for this reason, and its ranks are killed.
 *  Does nothing if the group is LOST or RELEASING already. */
void alchi_drv_group_kill(alchi_drv_group_t *group, const alch_error_t *why);
/** Send all ranks a message that they do not answer. */
void alchi_drv_group_send(alchi_drv_group_t *group, unsigned type, const void *message);

#endif
