/** @file daemon/banner.h  The text that the driver prints when it starts, in the form that the paper shows. */
#ifndef ALCHI_DAEMON_BANNER_H
#define ALCHI_DAEMON_BANNER_H

#include "driver/driver.h"
#include "driver/slots.h"
#include "net/address.h"

/** Print the version and the driver's address. Its workers start afterwards. */
void alchi_dmn_banner_start(const alchi_drv_t *driver, const alchi_address_t *address);
/** Print the table of a node's workers. @param bind  address of the workers on the driver's host */
void alchi_dmn_banner_workers(const alchi_drv_node_t *node, const char *bind);
/** Print that the driver accepts connections. */
void alchi_dmn_banner_ready(void);

#endif
