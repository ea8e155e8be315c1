/* The text that the driver prints when it starts, in the form that the paper shows. */
#include "daemon/banner.h"
#include "base/log.h"
#include <stdio.h>

void
alchi_dmn_banner_start(const alchi_drv_t *driver, const alchi_address_t *address)
{
    char text[300];

    alchi_log(ALCHI_LOG_INFO, "%s", "");
    alchi_log_plain("=====");
    alchi_log_plain("Starting Alchemist %s", alch_version());
    alchi_log_plain("-----");
    alchi_log_plain("Running on %s %s", driver->host, alchi_address_format(address, text, sizeof(text)));
    alchi_log_plain("Starting workers");
}

void
alchi_dmn_banner_workers(const alchi_drv_node_t *node, const char *bind)
{
    alchi_address_t address;
    char text[300];
    int i;

    alchi_log(ALCHI_LOG_INFO, "%d workers ready", node->count);
    alchi_log_plain("List of workers (%d):", node->count);
    for (i = 0; i < node->count; i++) {
        snprintf(address.host, sizeof(address.host), "%s", *node->address ? node->address : bind);
        address.port = node->slots[i].port;
        alchi_log_plain("  Worker-%03d running on %s at %s - IDLE", node->slots[i].id, node->host,
                        alchi_address_format(&address, text, sizeof(text)));
    }
}

void
alchi_dmn_banner_ready(void)
{
    alchi_log(ALCHI_LOG_INFO, "%s", "");
    alchi_log_plain("=====");
    alchi_log_plain("Alchemist is ready");
    alchi_log_plain("-----");
    alchi_log(ALCHI_LOG_INFO, "Accepting connections ...");
}
