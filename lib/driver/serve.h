/** @file serve.h  The two daemons: a driver, and an agent of another host's driver. */
#ifndef ALCHI_DRIVER_SERVE_H
#define ALCHI_DRIVER_SERVE_H

#include "driver/options.h"

/** Run until told to end. @return 0 or an exit code of error.h; messages are logged */
int alchi_dmn_run_driver(const alchi_dmn_options_t *options);
int alchi_dmn_run_agent(const alchi_dmn_options_t *options);

#endif
