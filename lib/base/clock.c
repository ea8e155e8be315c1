/* Monotonic time and deadlines. */
#include "base/clock.h"

#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define HOUR_MS 3600000

int64_t
alchi_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

alchi_deadline_t
alchi_deadline_in_ms(int64_t ms)
{
    int64_t ns, deadline;

    if (ms < 0 || __builtin_mul_overflow(ms, NS_PER_MS, &ns) || __builtin_add_overflow(alchi_now_ns(), ns, &deadline))
        return ALCHI_NEVER;
    return deadline;
}

int
alchi_deadline_left_ms(alchi_deadline_t deadline)
{
    int64_t now, left;

    if (deadline == ALCHI_NEVER)
        return -1;
    now = alchi_now_ns();
    if (deadline <= now)
        return 0;
    if (__builtin_sub_overflow(deadline, now, &left) || left > HOUR_MS * NS_PER_MS)
        return HOUR_MS;
    return (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

bool
alchi_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, alchi_deadline_t deadline)
{
    const int64_t second = 1000000000;
    const struct timespec until = {(time_t)(deadline / second), (long)(deadline % second)};

    if (deadline == ALCHI_NEVER)
        return pthread_cond_wait(cond, mutex) == 0;
    return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &until) == 0;
}
