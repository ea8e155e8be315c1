/**
 * @file agent/watch.h
 * Descriptors and timers on a libuv loop, with memory of their own: closing one is final at once, although libuv
 * lets go of its handle only in the next round of the loop.
 */
#ifndef ALCHI_AGENT_WATCH_H
#define ALCHI_AGENT_WATCH_H

#include <uv.h>

typedef struct alchi_agent_watch alchi_agent_watch_t;

/** `events` are UV_READABLE and UV_WRITABLE; errors count as readable. 0 for timers. */
typedef void (*alchi_agent_watch_f)(void *context, int events);

/** Watch a descriptor, which must stay open until alchi_agent_watch_close(). NULL: out of memory or not pollable. */
alchi_agent_watch_t *alchi_agent_watch_open(uv_loop_t *loop, int fd, int events, alchi_agent_watch_f seen,
                                            void *context);
/** Watch for other events. Returns 0, or a libuv error. */
int alchi_agent_watch_set(alchi_agent_watch_t *watch, int events);

/** Call once, in `ms`. The watch must still be closed. NULL: out of memory. */
alchi_agent_watch_t *alchi_agent_watch_timer(uv_loop_t *loop, int64_t ms, alchi_agent_watch_f passed, void *context);

/** Nothing is called any more. NULL is allowed. */
void alchi_agent_watch_close(alchi_agent_watch_t *watch);

#endif
