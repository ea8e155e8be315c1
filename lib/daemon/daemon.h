/** @file daemon/daemon.h  The two daemons: a driver, and an agent of another host's driver. */
#ifndef ALCHI_DAEMON_DAEMON_H
#define ALCHI_DAEMON_DAEMON_H

#include "daemon/options.h"

/** Run until told to end. @return 0 or an exit code of error.h; messages are logged */
int alchi_dmn_run_driver(const alchi_dmn_options_t *options);
int alchi_dmn_run_agent(const alchi_dmn_options_t *options);

#endif
