/** @file driver/slot_queue.h  Sessions that wait for free worker slots, first come first served. */
#ifndef ALCHI_DRIVER_SLOT_QUEUE_H
#define ALCHI_DRIVER_SLOT_QUEUE_H

#include "driver/session.h"

/** Whether `count` workers can be had, now or when slots are released; `own`: slots that the session would give back.
 *  @return ALCH_OK, ALCH_ENOSLOTS with the numbers */
int alchi_drv_slot_queue_check(const alchi_drv_session_t *session, int count, int own, alch_error_t *err);
/** Ask for workers: start now, or when slots that are being released are idle. @return ALCH_OK, ALCH_ENOSLOTS */
int alchi_drv_slot_queue_add(alchi_drv_session_t *session, int count, const int *slots, alch_error_t *err);
void alchi_drv_slot_queue_remove(alchi_drv_session_t *session);
/** Slots changed: start whom it suffices for. */
void alchi_drv_slot_queue_start_next(alchi_drv_t *driver);

#endif
