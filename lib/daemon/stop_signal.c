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
    alchi_dmn_stop_signal_t *watch = handle->data;

    watch->told(watch->context, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void
on_owner(uv_poll_t *poll, int status, int events)
{
    alchi_dmn_stop_signal_t *watch = poll->data;

    (void)status, (void)events;
    uv_poll_stop(poll);
    watch->told(watch->context, watch->why);
}

static int
watch_owner(alchi_dmn_stop_signal_t *watch, uv_loop_t *loop, int owner, alch_error_t *err)
{
    watch->owner_fd = (int)syscall(SYS_pidfd_open, owner, 0);
    if (watch->owner_fd < 0 && errno == ESRCH)
        return alchi_error_set(err, ALCH_ENOENT, "--owner-pid %d: no such process", owner);
    if (watch->owner_fd < 0)
        return alchi_error_errno(err, errno, "--owner-pid %d", owner);
    snprintf(watch->why, sizeof(watch->why), "its owner, process %d, has ended", owner);
    uv_poll_init(loop, &watch->owner, watch->owner_fd);
    watch->owner.data = watch;
    uv_poll_start(&watch->owner, UV_READABLE, on_owner);
    return ALCH_OK;
}

int
alchi_dmn_stop_signal_start(alchi_dmn_stop_signal_t *watch, uv_loop_t *loop, int owner, alch_error_t *err)
{
    int code;

    watch->owner_fd = -1;
    if (owner && (code = watch_owner(watch, loop, owner, err)))
        return code;
    /* Writing to a peer that left is an error like others. */
    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(loop, &watch->terminate);
    uv_signal_init(loop, &watch->interrupt);
    watch->terminate.data = watch->interrupt.data = watch;
    uv_signal_start(&watch->terminate, on_signal, SIGTERM);
    uv_signal_start(&watch->interrupt, on_signal, SIGINT);
    watch->started = true;
    return ALCH_OK;
}

static void
owner_closed(uv_handle_t *handle)
{
    alchi_dmn_stop_signal_t *watch = handle->data;

    close(watch->owner_fd);
    watch->owner_fd = -1;
}

void
alchi_dmn_stop_signal_stop(alchi_dmn_stop_signal_t *watch)
{
    if (!watch->started)
        return;
    watch->started = false;
    uv_close((uv_handle_t *)&watch->terminate, NULL);
    uv_close((uv_handle_t *)&watch->interrupt, NULL);
    if (watch->owner_fd >= 0)
        uv_close((uv_handle_t *)&watch->owner, owner_closed);
}
