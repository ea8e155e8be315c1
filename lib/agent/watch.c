/* Descriptors and timers on a libuv loop. */
#include "agent/watch.h"

#include <stdlib.h>

struct alchi_agent_watch {
    union {
        uv_handle_t handle;
        uv_poll_t poll;
        uv_timer_t timer;
    };
    int events;
    alchi_agent_watch_f on_event;
    void *context;
};

static alchi_agent_watch_t *
create_watch(alchi_agent_watch_f on_event, void *context)
{
    alchi_agent_watch_t *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    watch->on_event = on_event;
    watch->context = context;
    return watch;
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    alchi_agent_watch_t *watch = poll->data;

    watch->on_event(watch->context, status < 0 ? UV_READABLE : events);
}

static void
on_timer(uv_timer_t *timer)
{
    alchi_agent_watch_t *watch = timer->data;

    watch->on_event(watch->context, 0);
}

static void
free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

alchi_agent_watch_t *
alchi_agent_watch_open(uv_loop_t *loop, int fd, int events, alchi_agent_watch_f on_event, void *context)
{
    alchi_agent_watch_t *watch = create_watch(on_event, context);

    if (!watch)
        return NULL;
    if (uv_poll_init(loop, &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->handle.data = watch;
    if (alchi_agent_watch_set(watch, events) == 0)
        return watch;
    alchi_agent_watch_close(watch);
    return NULL;
}

int
alchi_agent_watch_set(alchi_agent_watch_t *watch, int events)
{
    int code;

    if (events == watch->events)
        return 0;
    code = uv_poll_start(&watch->poll, events, on_poll);
    if (code == 0)
        watch->events = events;
    return code;
}

alchi_agent_watch_t *
alchi_agent_watch_timer(uv_loop_t *loop, int64_t ms, alchi_agent_watch_f on_event, void *context)
{
    alchi_agent_watch_t *watch = create_watch(on_event, context);

    if (!watch)
        return NULL;
    uv_timer_init(loop, &watch->timer);
    watch->handle.data = watch;
    uv_update_time(loop);
    uv_timer_start(&watch->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
    return watch;
}

void
alchi_agent_watch_close(alchi_agent_watch_t *watch)
{
    if (watch)
        uv_close(&watch->handle, free_watch);
}
