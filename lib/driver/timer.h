/**
 * @file driver/timer.h
 * Deadlines in one list, earliest first.
 *
 * Starting or stopping a timer makes no system call, so a request that is answered at once pays nothing for its time
 * limit. The daemon asks for the next deadline, waits for it in its event loop, and then runs the timers that have
 * passed.
 */
#ifndef ALCHI_DRIVER_TIMER_H
#define ALCHI_DRIVER_TIMER_H

#include "base/clock.h"

typedef struct alchi_drv_timer alchi_drv_timer_t;

/** Called once when the deadline has passed. The timer is stopped already. The function may start and stop any timer,
 *  and may free the object that holds this one. */
typedef void (*alchi_drv_timer_f)(alchi_drv_timer_t *timer);

typedef struct {
    alchi_drv_timer_t *head;
} alchi_drv_timers_t;

/** A member of the object that waits; ALCHI_CONTAINER() finds that object. A zeroed timer is stopped. Stop the timer
 *  before its object is freed. */
struct alchi_drv_timer {
    alchi_drv_timers_t *timers; /* NULL: stopped */
    alchi_deadline_t deadline;
    alchi_drv_timer_f expired;
    alchi_drv_timer_t *prev, *next;
};

/** Start a timer, or start it again with another limit. */
void alchi_drv_timer_start(alchi_drv_timers_t *timers, alchi_drv_timer_t *timer, int64_t ms, alchi_drv_timer_f expired);
/** Stop a timer. Does nothing if it is stopped. */
void alchi_drv_timer_stop(alchi_drv_timer_t *timer);
/** Stop each timer whose deadline has passed, and call its function. */
void alchi_drv_timers_run(alchi_drv_timers_t *timers, alchi_deadline_t now);
/** The earliest deadline, or ALCHI_NEVER. */
alchi_deadline_t alchi_drv_timers_next(const alchi_drv_timers_t *timers);

#endif
