/** @file daemon/options.h  What alchemistd can be told: one table for the help, the manual and the environment. */
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
 * Defaults, environment, command line; then what the values must agree on.
 * @return ALCH_OK; ALCH_EINVAL; ALCH_EPERM: beyond loopback without --insecure
 */
int alchi_dmn_options_read(int argc, char **argv, alchi_dmn_options_t *options, alch_error_t *err);
void alchi_dmn_options_free(alchi_dmn_options_t *options);

void alchi_dmn_options_print_help(void);
void alchi_dmn_options_print_man(void);

/** Replace an empty list of plugin directories by the installed one and, in a build tree, the tree's own. */
int alchi_dmn_options_plugin_dirs(alchi_dmn_options_t *options, alch_error_t *err);

/** Replace the directories for data by what they resolve to. @return ALCH_OK; ALCH_ENOENT: one is no directory */
int alchi_dmn_options_data_dirs(alchi_dmn_options_t *options, alch_error_t *err);

#endif
