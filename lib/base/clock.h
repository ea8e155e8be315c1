/** @file base/clock.h  Monotonic time, deadlines, and waiting by them. */
#ifndef ALCHI_BASE_CLOCK_H
#define ALCHI_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/** Nanoseconds of CLOCK_MONOTONIC. */
int64_t alchi_now_ns(void);

/** An absolute time; every wait takes one. */
typedef int64_t alchi_deadline_t;
#define ALCHI_NEVER INT64_MAX

/** The deadline `ms` from now; negative: never. */
alchi_deadline_t alchi_deadline_in_ms(int64_t ms);

/** Milliseconds left, rounded up, for poll(): 0 when passed, -1 for never, capped at one hour. */
int alchi_deadline_left_ms(alchi_deadline_t deadline);

/** As pthread_cond_wait(), by the deadline. @return false: it has passed */
bool alchi_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, alchi_deadline_t deadline);

#endif
