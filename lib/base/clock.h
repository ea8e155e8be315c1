/** @file base/clock.h  Monotonic time, deadlines, and waiting by them. */
#ifndef ALCHI_BASE_CLOCK_H
#define ALCHI_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/** Nanoseconds of CLOCK_MONOTONIC. */
int64_t alchi_now_ns(void);

/** A point in time as alchi_now_ns() counts it. Every wait takes a deadline. */
typedef int64_t alchi_deadline_t;
#define ALCHI_NEVER INT64_MAX

/** The deadline `ms` milliseconds from now. Negative: ALCHI_NEVER. */
alchi_deadline_t alchi_deadline_in_ms(int64_t ms);

/** Milliseconds until the deadline, as poll() takes them: rounded up, 0 if it has passed, -1 for ALCHI_NEVER, at most
 * one hour. */
int alchi_deadline_left_ms(alchi_deadline_t deadline);

/** Like pthread_cond_wait(), until the deadline. @return false: the deadline has passed */
bool alchi_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, alchi_deadline_t deadline);

#endif
