/* Sending through links. */
#include "driver/link.h"
#include "wire/message.h"

void
alchi_drv_link_send(alchi_drv_link_t *link, unsigned type, const void *message)
{
    link->ops->send(link, type, 0, 0, message);
}

void
alchi_drv_link_reply(alchi_drv_link_t *link, uint64_t id, unsigned type, const void *message)
{
    link->ops->send(link, type, ALCHI_FRAME_REPLY, id, message);
}

void
alchi_drv_link_fail(alchi_drv_link_t *link, uint64_t id, const alch_error_t *error)
{
    Alchw__Error message = ALCHW__ERROR__INIT;

    message.has_code = message.has_rank = 1;
    message.code = (uint32_t)error->code;
    message.rank = error->rank;
    message.text = (char *)error->text;
    link->ops->send(link, ALCHI_ERROR, id ? ALCHI_FRAME_REPLY : 0, id, &message);
}
