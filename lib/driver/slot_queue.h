/**
 * @file driver/slot_queue.h
 * The slot queue: sessions that wait for idle worker slots, first come first served.
 *
 * A session stands in it at most once, with the number of workers that it needs next: for its group, or for the target
 * group of a move. It stays there only while slots that are being released will suffice; a request that cannot be
 * fulfilled then is refused at once.
 */
#ifndef ALCHI_DRIVER_SLOT_QUEUE_H
#define ALCHI_DRIVER_SLOT_QUEUE_H

#include "driver/session.h"

/**
 * Whether `count` workers can be had now, or when the slots that are being released are idle, after all sessions of the
 * queue but this one got theirs.
 *
 * @param own  slots that the session would give back first
 * @return ALCH_OK; ALCH_ENOSLOTS with the numbers
 */
int alchi_drv_slot_queue_check(const alchi_drv_session_t *session, int count, int own, alch_error_t *err);
/**
 * Put the session at the end of the queue; a place that it had is lost. Follow with alchi_drv_slot_queue_start_next().
 *
 * @param slots  `count` ids of slots that are preferred, copied; or NULL
 * @return ALCH_OK; ALCH_ENOSLOTS, ALCH_ENOMEM: the session is not in the queue
 */
int alchi_drv_slot_queue_add(alchi_drv_session_t *session, int count, const int *slots, alch_error_t *err);
/** Idempotent. */
void alchi_drv_slot_queue_remove(alchi_drv_session_t *session);
/**
 * Call when slots become idle, or are no longer there: starts a group for every session, from the front of the queue,
 * whose need is met now. A session whose need cannot be met any more gets the error. May free moves, but no group and
 * no session.
 */
void alchi_drv_slot_queue_start_next(alchi_drv_t *driver);

#endif
