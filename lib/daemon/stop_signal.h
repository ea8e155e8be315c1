/** @file daemon/stop_signal.h  Stop signals of a daemon: SIGTERM, SIGINT, and the end of its owner process. */
#ifndef ALCHI_DAEMON_STOP_SIGNAL_H
#define ALCHI_DAEMON_STOP_SIGNAL_H

#include <alchemist/error.h>
#include <stdbool.h>
#include <uv.h>

typedef struct {
    uv_signal_t terminate, interrupt;
    uv_poll_t owner;
    int owner_fd; /* a pidfd of the owner; -1: there is none */
    bool started;
    /** Called for each signal, and once for the owner. `why` is "SIGTERM", "SIGINT", or "process 17, the owner of
     *  alchemistd, has ended". */
    void (*on_stop)(void *context, const char *why);
    void *context;
    char why[64];
} alchi_dmn_stop_signal_t;

/**
 * Watch for signals and for the end of the owner. SIGPIPE is ignored from now on.
 *
 * @param owner  process id; 0: there is no owner
 *
 * @return ALCH_OK; ALCH_ENOENT: there is no such process; ALCH_ESYSTEM
 */
int alchi_dmn_stop_signal_start(alchi_dmn_stop_signal_t *stop, uv_loop_t *loop, int owner, alch_error_t *err);
/** Stop watching. Run the loop once more afterwards. Does nothing if the start failed. */
void alchi_dmn_stop_signal_stop(alchi_dmn_stop_signal_t *stop);

#endif
