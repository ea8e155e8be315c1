/** @file daemon/daemon.h  The two daemons: the driver, and the agent of another host. */
#ifndef ALCHI_DAEMON_DAEMON_H
#define ALCHI_DAEMON_DAEMON_H

#include "daemon/options.h"

/** Run until a stop signal, the end of the owner process, or an error, which is logged.
 *  @return 0, or a code of alchemist/error.h: the exit code */
int alchi_dmn_run_driver(const alchi_dmn_options_t *options);
/** Like alchi_dmn_run_driver(). The loss of the driver is an error. */
int alchi_dmn_run_agent(const alchi_dmn_options_t *options);

#endif
