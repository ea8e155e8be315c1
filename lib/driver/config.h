/** @file driver/config.h  The operator's settings that the driver acts on. The daemon's options hold one of these. */
#ifndef ALCHI_DRIVER_CONFIG_H
#define ALCHI_DRIVER_CONFIG_H

#include "base/option.h"
#include <stdbool.h>

/** Each member has the name of the option of alchemistd that sets it. */
typedef struct {
    int64_t connections;       /* limit of the clients of the driver, and of the data connections of each rank */
    int64_t start_timeout_ms;  /* from the start of a group's processes until the group is ready */
    int64_t fail_grace_ms;     /* from the failure of one rank until the other ranks must have returned */
    int64_t client_timeout_ms; /* silence after which a host or a rank counts as lost */
    const char *net_devices;   /* --mpi-net-devices, for MPI between hosts; NULL: MPI chooses */

    /* passed on to every rank */
    alchi_text_list_t plugin_dirs, data_dirs;
    int64_t memory_limit; /* bytes of one rank; 0: its share of 90 % of the host's memory */
    int64_t keep_memory;  /* bytes of freed blocks that one rank keeps */
    int64_t message_limit;
    int64_t io_timeout_ms;
    int64_t data_threads;
    bool no_shared_memory;
    const char *log_level;
} alchi_drv_config_t;

#endif
