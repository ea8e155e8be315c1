/* Stop signals of a daemon. */
#include "daemon/stop_signal.h"
#include "base/error.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
on_signal(uv_signal_t *handle, int number)
{
    alchi_dmn_stop_signal_t *stop = handle->data;

    stop->on_stop(stop->context, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void
on_owner(uv_poll_t *poll, int status, int events)
{
    alchi_dmn_stop_signal_t *stop = poll->data;

    (void)status, (void)events;
    uv_poll_stop(poll);
    stop->on_stop(stop->context, stop->why);
}

static int
watch_owner(alchi_dmn_stop_signal_t *stop, uv_loop_t *loop, int owner, alch_error_t *err)
{
    stop->owner_fd = (int)syscall(SYS_pidfd_open, owner, 0);
    if (stop->owner_fd < 0 && errno == ESRCH)
        return alchi_error_set(err, ALCH_ENOENT, "--owner-pid %d is not a running process", owner);
    if (stop->owner_fd < 0)
        return alchi_error_errno(err, errno, "--owner-pid %d cannot be watched", owner);
    snprintf(stop->why, sizeof(stop->why), "process %d, the owner of alchemistd, has ended", owner);
    uv_poll_init(loop, &stop->owner, stop->owner_fd);
    stop->owner.data = stop;
    uv_poll_start(&stop->owner, UV_READABLE, on_owner);
    return ALCH_OK;
}

int
alchi_dmn_stop_signal_start(alchi_dmn_stop_signal_t *stop, uv_loop_t *loop, int owner, alch_error_t *err)
{
    int code;

    stop->owner_fd = -1;
    if (owner && (code = watch_owner(stop, loop, owner, err)))
        return code;
    /* Without SIGPIPE a write to a closed connection returns an error, which the caller handles. */
    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(loop, &stop->terminate);
    uv_signal_init(loop, &stop->interrupt);
    stop->terminate.data = stop->interrupt.data = stop;
    uv_signal_start(&stop->terminate, on_signal, SIGTERM);
    uv_signal_start(&stop->interrupt, on_signal, SIGINT);
    stop->started = true;
    return ALCH_OK;
}

static void
close_owner_fd(uv_handle_t *handle)
{
    alchi_dmn_stop_signal_t *stop = handle->data;

    close(stop->owner_fd);
    stop->owner_fd = -1;
}

void
alchi_dmn_stop_signal_stop(alchi_dmn_stop_signal_t *stop)
{
    if (!stop->started)
        return;
    stop->started = false;
    uv_close((uv_handle_t *)&stop->terminate, NULL);
    uv_close((uv_handle_t *)&stop->interrupt, NULL);
    if (stop->owner_fd >= 0)
        uv_close((uv_handle_t *)&stop->owner, close_owner_fd);
}
