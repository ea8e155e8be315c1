/** @file daemon/banner.h  What the driver prints when it starts. */
#ifndef ALCHI_DAEMON_BANNER_H
#define ALCHI_DAEMON_BANNER_H

#include "driver/driver.h"
#include "driver/slots.h"
#include "net/address.h"

void alchi_dmn_banner_start(const alchi_drv_t *driver, const alchi_address_t *address);
/** Print the table of a node's workers. @param bind  address of workers on the driver's own host */
void alchi_dmn_banner_workers(const alchi_drv_node_t *node, const char *bind);
void alchi_dmn_banner_ready(void);

#endif
