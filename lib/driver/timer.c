/* Timers in a list that is sorted by deadline. */
#include "driver/timer.h"
#include "base/clock.h"
#include <stddef.h>
#include <utlist.h>

void
alchi_drv_timer_start(alchi_drv_timers_t *timers, alchi_drv_timer_t *timer, int64_t ms, alchi_drv_timer_f expired)
{
    alchi_drv_timer_t *before = NULL;

    alchi_drv_timer_stop(timer);
    timer->timers = timers;
    timer->deadline = alchi_deadline_in_ms(ms);
    timer->expired = expired;
    /* Search from the end: most time limits are about as long as those of the timers that were started before. */
    if (timers->head)
        before = timers->head->prev;
    while (before && before->deadline > timer->deadline)
        before = before == timers->head ? NULL : before->prev;
    if (before)
        DL_APPEND_ELEM(timers->head, before, timer);
    else
        DL_PREPEND(timers->head, timer);
}

void
alchi_drv_timer_stop(alchi_drv_timer_t *timer)
{
    if (!timer->timers)
        return;
    DL_DELETE(timer->timers->head, timer);
    timer->timers = NULL;
}

void
alchi_drv_timers_run(alchi_drv_timers_t *timers, alchi_deadline_t now)
{
    alchi_drv_timer_t *timer;

    while ((timer = timers->head) && timer->deadline <= now) {
        alchi_drv_timer_stop(timer);
        timer->expired(timer);
    }
}

alchi_deadline_t
alchi_drv_timers_next(const alchi_drv_timers_t *timers)
{
    return timers->head ? timers->head->deadline : ALCHI_NEVER;
}
