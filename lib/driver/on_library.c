/* Requests about libraries: load one, list their names. */
#include "driver/driver.h"
#include "driver/handlers.h"
#include "driver/library.h"
#include "driver/library_names.h"
#include "driver/link.h"
#include "driver/request.h"
#include "wire/message.h"

void
alchi_drv_on_load_library(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__LoadLibrary *load = message;
    alchi_drv_library_t *library = NULL;
    alchi_drv_request_t *request;
    alch_error_t error;

    if (alchi_drv_library_get(link->session, load, &library, &error)) {
        alchi_drv_link_fail(link, frame->id, &error);
        return;
    }
    if ((request = alchi_drv_request_create(driver, link, frame->id)))
        alchi_drv_library_wait(library, request, load->wait_ms);
}

void
alchi_drv_on_list_libraries(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                            const void *message)
{
    const Alchw__ListLibraries *list = message;
    Alchw__NameList reply = ALCHW__NAME_LIST__INIT;
    alchi_drv_library_names_t names = {NULL, 0};

    alchi_drv_library_names_add_loaded(&names, link->session);
    for (size_t i = 0; !list->loaded_only && i < driver->config->plugin_dirs.count; i++)
        alchi_drv_library_names_add_folder(&names, driver->config->plugin_dirs.items[i]);
    alchi_drv_library_names_sort(&names);
    reply.n_names = names.count;
    reply.names = names.names;
    alchi_drv_link_reply(link, frame->id, ALCHI_NAME_LIST, &reply);
    alchi_drv_library_names_fini(&names);
}
