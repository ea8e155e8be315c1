/** @file driver/options.h  What alchemistd can be told: one table for the help, the manual and the environment. */
#ifndef ALCHI_DRIVER_OPTIONS_H
#define ALCHI_DRIVER_OPTIONS_H

#include "base/option.h"
#include <stdbool.h>

typedef struct {
    int64_t workers, port;
    const char *bind, *advertise;
    alchi_text_list_t plugin_dirs, data_dirs;
    const char *connection_file, *token_file, *log_level, *join, *net_devices;
    bool no_connection_file, agent, insecure, print_options_man, help, version;
    int64_t keep_memory;  /* bytes per worker */
    int64_t memory_limit; /* bytes per worker; 0: by the host's memory */
    int64_t start_timeout_ms, fail_grace_ms, client_timeout_ms, io_timeout_ms;
    int64_t connections, message_limit, data_threads;
    int64_t owner_pid;
    bool no_shared_memory;
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
