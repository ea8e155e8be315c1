/**
 * @file driver/slot_queue.h
 * The slot queue: sessions that wait for idle worker slots, first come first served.
 *
 * A session is in the queue at most once, with the number of workers that it needs next: for its group, or for the
 * second group of a move. It stays there only while the idle slots and those that are being released suffice. A request
 * for more is refused at once.
 */
#ifndef ALCHI_DRIVER_SLOT_QUEUE_H
#define ALCHI_DRIVER_SLOT_QUEUE_H

#include "driver/session.h"

/**
 * Whether `count` workers are left, now or when the slots that are being released are idle, after all other sessions of
 * the queue have got theirs.
 *
 * @param own  slots that the session would give back first
 * @return ALCH_OK; ALCH_ENOSLOTS: the text has the numbers
 */
int alchi_drv_slot_queue_check(const alchi_drv_session_t *session, int count, int own, alch_error_t *err);
/**
 * Put the session at the end of the queue, also if it is in the queue already. Follow with
 * alchi_drv_slot_queue_start_next().
 *
 * @param slots  `count` ids of slots that are preferred, copied; or NULL
 * @return ALCH_OK; ALCH_ENOSLOTS, ALCH_ENOMEM: the session is not in the queue
 */
int alchi_drv_slot_queue_add(alchi_drv_session_t *session, int count, const int *slots, alch_error_t *err);
/** Remove the session from the queue, if it is there. */
void alchi_drv_slot_queue_remove(alchi_drv_session_t *session);
/**
 * Call when slots become idle or are removed. Starts a group for the first session of the queue as long as there are
 * enough idle slots for it. A session for which there are not enough slots any more gets the error. May free moves, but
 * no group and no session.
 */
void alchi_drv_slot_queue_start_next(alchi_drv_t *driver);

#endif
