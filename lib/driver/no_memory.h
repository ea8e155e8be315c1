/** @file driver/no_memory.h  The error of a driver that is out of memory. */
#ifndef ALCHI_DRIVER_NO_MEMORY_H
#define ALCHI_DRIVER_NO_MEMORY_H

#include "base/error.h"

/** Set code and text. @param[out] err  may be NULL. @return ALCH_ENOMEM */
static inline int
alchi_drv_error_no_memory(alch_error_t *err)
{
    return alchi_error_set(err, ALCH_ENOMEM, "the driver is out of memory");
}

#endif
