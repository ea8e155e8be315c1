/**
 * @file agent/watch.h
 * Descriptors and timers on a libuv loop. No callback runs after a watch is closed, so the caller may free the
 * objects that it refers to at once. libuv needs its handle until the next round of the loop, so the watch owns that
 * memory.
 *
 * Not MT-Safe: only the thread of the loop may call these functions.
 */
#ifndef ALCHI_AGENT_WATCH_H
#define ALCHI_AGENT_WATCH_H

#include <uv.h>

typedef struct alchi_agent_watch alchi_agent_watch_t;

/** `events` are UV_READABLE and UV_WRITABLE; an error of the descriptor is UV_READABLE. 0 for timers. The function may
 *  close the watch. */
typedef void (*alchi_agent_watch_f)(void *context, int events);

/** Watch a descriptor, which must stay open until alchi_agent_watch_close(). @return NULL: out of memory, or libuv
 *  cannot watch such a descriptor */
alchi_agent_watch_t *alchi_agent_watch_open(uv_loop_t *loop, int fd, int events, alchi_agent_watch_f on_event,
                                            void *context);
/** Watch for other events. @return 0, or a libuv error */
int alchi_agent_watch_set(alchi_agent_watch_t *watch, int events);

/** Call `on_event` once, after `ms` milliseconds. The watch must be closed afterwards, too. @return NULL: out of memory
 */
alchi_agent_watch_t *alchi_agent_watch_timer(uv_loop_t *loop, int64_t ms, alchi_agent_watch_f on_event, void *context);

/** Stop watching. NULL is allowed. */
void alchi_agent_watch_close(alchi_agent_watch_t *watch);

#endif
