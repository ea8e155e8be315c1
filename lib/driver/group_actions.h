/** @file driver/group_actions.h  What the driver does with a worker group when its state changes. */
#ifndef ALCHI_DRIVER_GROUP_ACTIONS_H
#define ALCHI_DRIVER_GROUP_ACTIONS_H

#include "driver/group_state.h"
#include "driver/session.h"

/** Act on an event: everything that follows from it. The group may be gone afterwards. */
void alchi_drv_group_handle_event(alchi_drv_group_t *group, const alchi_drv_group_event_t *event);
/** Start a group of session->wanted workers, for which there are idle slots. If that fails, the requests that wait for
 *  the group get the error. */
void alchi_drv_group_start(alchi_drv_session_t *session);
/** Send the agents what they need to start the ranks. @return ALCH_OK, ALCH_ENOMEM */
int alchi_drv_group_spawn(alchi_drv_group_t *group, const uint8_t session_key[ALCHI_KEY_SIZE]);
/** Part it from its session and let it end; what runs on it fails with `why`. */
void alchi_drv_group_release(alchi_drv_group_t *group, const alch_error_t *why);
void alchi_drv_group_kill(alchi_drv_group_t *group, const alch_error_t *why);
/** Send an unanswered message to all ranks. */
void alchi_drv_group_send(alchi_drv_group_t *group, unsigned type, const void *message);

#endif
