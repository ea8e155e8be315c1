/** @file driver/library_names.h  Names of libraries, without duplicates, for replies and error texts. */
#ifndef ALCHI_DRIVER_LIBRARY_NAMES_H
#define ALCHI_DRIVER_LIBRARY_NAMES_H

#include "driver/library.h"

/** Initialize it with zeros. Names that differ in case only count as one name. When memory runs out, names are left
 *  out. */
typedef struct {
    char **names; /* owned */
    size_t count;
} alchi_drv_library_names_t;

/** Add the names of the .so files in a folder, without "lib" and ".so". A folder that cannot be read adds nothing. */
void alchi_drv_library_names_add_folder(alchi_drv_library_names_t *names, const char *path);
/** Add the libraries that a session has loaded. */
void alchi_drv_library_names_add_loaded(alchi_drv_library_names_t *names, const alchi_drv_session_t *session);
void alchi_drv_library_names_sort(alchi_drv_library_names_t *names);
void alchi_drv_library_names_fini(alchi_drv_library_names_t *names);

#endif
