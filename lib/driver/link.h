/** @file driver/link.h  Authenticated connections of clients, executors, ranks and agents. The daemon sends for them.
 */
#ifndef ALCHI_DRIVER_LINK_H
#define ALCHI_DRIVER_LINK_H

#include "driver/group_state.h"
#include "driver/objects.h"

typedef struct {
    /** Queue and try to send. A failure is reported later through alchi_drv_on_closed(), never from within. */
    void (*send)(alchi_drv_link_t *link, unsigned type, unsigned flags, uint64_t id, const void *message);
    /** Send what is queued, then close. alchi_drv_on_closed() is not called for it. */
    void (*close)(alchi_drv_link_t *link);
} alchi_drv_link_ops_t;

struct alchi_drv_link {
    const alchi_drv_link_ops_t *ops;
    alchi_role_t role;
    char name[64], host[64];
    int pid;
    alchi_drv_session_t *session; /* CLIENT, EXECUTOR */
    alchi_drv_group_t *group;     /* RANK */
    int rank;
    alchi_drv_node_t *node;        /* AGENT, once it has said hello */
    bool local;                    /* the driver's own agent */
    alchi_drv_request_t *requests; /* not answered yet */
    int request_count;
    alchi_drv_link_t *prev, *next; /* of the session's links */
};

void alchi_drv_link_send(alchi_drv_link_t *link, unsigned type, const void *message);
void alchi_drv_link_reply(alchi_drv_link_t *link, uint64_t id, unsigned type, const void *message);
void alchi_drv_link_fail(alchi_drv_link_t *link, uint64_t id, const alch_error_t *error);

#endif
