/** @file daemon/stop_signal.h  What tells a daemon to end: signals, and the end of its owner. */
#ifndef ALCHI_DAEMON_STOP_SIGNAL_H
#define ALCHI_DAEMON_STOP_SIGNAL_H

#include <alchemist/error.h>
#include <stdbool.h>
#include <uv.h>

typedef struct {
    uv_signal_t terminate, interrupt;
    uv_poll_t owner;
    int owner_fd; /* -1: none */
    bool started;
    /** Called for each: "SIGTERM", "SIGINT", "its owner, process 17, has ended". */
    void (*told)(void *context, const char *why);
    void *context;
    char why[64];
} alchi_dmn_stop_signal_t;

/** @param owner  process id; 0: none. @return ALCH_OK; ALCH_ENOENT: it is gone already; ALCH_ESYSTEM */
int alchi_dmn_stop_signal_start(alchi_dmn_stop_signal_t *watch, uv_loop_t *loop, int owner, alch_error_t *err);
void alchi_dmn_stop_signal_stop(alchi_dmn_stop_signal_t *watch);

#endif
