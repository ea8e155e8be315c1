/** @file daemon/options.h  The options of alchemistd, from one table for the help, the manual and the environment. */
#ifndef ALCHI_DAEMON_OPTIONS_H
#define ALCHI_DAEMON_OPTIONS_H

#include "driver/config.h"
#include <stdbool.h>

typedef struct {
    int64_t workers, port;
    const char *bind, *advertise;
    const char *connection_file, *token_file, *join;
    bool no_connection_file, agent, insecure, print_options_man, help, version;
    int64_t owner_pid;
    alchi_drv_config_t driver;
} alchi_dmn_options_t;

/**
 * Read defaults, environment and command line, and check that the values fit together.
 *
 * @param[out] options  free it with alchi_dmn_options_free(); nothing to free on failure
 *
 * @return ALCH_OK
 * @return ALCH_EINVAL  an option is unknown, its value is wrong, or options contradict each other; the text names them
 * @return ALCH_EPERM   --bind or --join is an address beyond the loopback interface, without --insecure
 * @return ALCH_ENOMEM
 */
int alchi_dmn_options_read(int argc, char **argv, alchi_dmn_options_t *options, alch_error_t *err);
void alchi_dmn_options_free(alchi_dmn_options_t *options);

void alchi_dmn_options_print_help(void);
void alchi_dmn_options_print_man(void);

/**
 * Resolve the plugin directories. An empty list is replaced by the installed directory and, in a build tree, the
 * directory of the tree, if they exist.
 *
 * @return ALCH_OK; ALCH_ENOENT: a path is not a directory; ALCH_ENOMEM
 */
int alchi_dmn_options_plugin_dirs(alchi_dmn_options_t *options, alch_error_t *err);

/** Resolve the data directories. @return as alchi_dmn_options_plugin_dirs() */
int alchi_dmn_options_data_dirs(alchi_dmn_options_t *options, alch_error_t *err);

#endif
