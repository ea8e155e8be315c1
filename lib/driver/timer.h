/**
 * @file driver/timer.h
 * Deadlines in one list, earliest first: starting and stopping one costs no system
 * call, so that a request which is answered at once pays nothing for its limit.
 */
#ifndef ALCHI_DRIVER_TIMER_H
#define ALCHI_DRIVER_TIMER_H

#include "base/clock.h"

typedef struct alchi_drv_timer alchi_drv_timer_t;
typedef void (*alchi_drv_timer_f)(alchi_drv_timer_t *timer);

typedef struct {
    alchi_drv_timer_t *head;
} alchi_drv_timers_t;

/** Lives inside what it guards (ALCHI_CONTAINER); zeroed: not started. */
struct alchi_drv_timer {
    alchi_drv_timers_t *timers; /* NULL: not started */
    alchi_deadline_t deadline;
    alchi_drv_timer_f expired;
    alchi_drv_timer_t *prev, *next;
};

/** Start or restart. */
void alchi_drv_timer_start(alchi_drv_timers_t *timers, alchi_drv_timer_t *timer, int64_t ms, alchi_drv_timer_f expired);
/** Idempotent. */
void alchi_drv_timer_stop(alchi_drv_timer_t *timer);
/** Call those that have passed; each is stopped before its function runs, which may start and stop any. */
void alchi_drv_timers_run(alchi_drv_timers_t *timers, alchi_deadline_t now);
/** The earliest deadline, or ALCHI_NEVER. */
alchi_deadline_t alchi_drv_timers_next(const alchi_drv_timers_t *timers);

#endif
