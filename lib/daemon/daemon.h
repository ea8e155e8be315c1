/** @file daemon/daemon.h  The two daemons: the driver, and the agent of another host. */
#ifndef ALCHI_DAEMON_DAEMON_H
#define ALCHI_DAEMON_DAEMON_H

#include "daemon/options.h"

/** Run until a stop signal or the end of the owner process. @return 0, or an exit code of error.h; errors are logged */
int alchi_dmn_run_driver(const alchi_dmn_options_t *options);
int alchi_dmn_run_agent(const alchi_dmn_options_t *options);

#endif
