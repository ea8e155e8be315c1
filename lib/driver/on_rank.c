/* Messages of ranks: the stages of their start, and the final message of a rank or an agent. */
#include "base/log.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/handlers.h"
#include "driver/link.h"
#include "driver/slots.h"
#include "wire/message.h"

void
alchi_drv_on_worker_join(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__WorkerJoin *join = message;
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_JOIN, .rank = link->rank, .stage = (int)join->stage};
    alchi_drv_group_t *group = link->group;
    alchi_drv_slot_t *slot;

    (void)driver, (void)frame;
    if (!group || join->stage > ALCHW__JOIN_STAGE__JOIN_READY)
        return;
    slot = group->ranks[link->rank].slot;
    if (join->stage == ALCHW__JOIN_STAGE__JOIN_READY && slot && join->port > 0 && join->port < 65536)
        slot->port = (int)join->port;
    alchi_drv_group_handle_event(group, &event);
}

/* The final message of a rank or an agent is only logged. The driver acts on the exit or the lost connection. */
void
alchi_drv_on_error(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__Error *error = message;

    (void)driver, (void)frame;
    if (link->group)
        alchi_log(ALCHI_LOG_WARNING, "worker group %llu: rank %d: %s", (unsigned long long)link->group->id, link->rank,
                  error->text ? error->text : "it reported an error without a text");
    else
        alchi_log(ALCHI_LOG_WARNING, "'%s' from %s: %s", link->name, link->host,
                  error->text ? error->text : "it reported an error without a text");
}
