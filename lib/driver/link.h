/**
 * @file driver/link.h
 * Links: authenticated connections of clients, executors, ranks and agents, as the driver sees them.
 *
 * The daemon creates a link for each connection, sets `ops` and `host`, and passes the link to alchi_drv_admit() after
 * the peer has authenticated. (The link of the driver's own agent needs no authentication: the daemon also sets its
 * role and `is_own_agent`.) From then on, until alchi_drv_on_closed() or until the driver calls ops->close(), the
 * driver may send through the link, and a session, group or node may point to it. The daemon frees it.
 */
#ifndef ALCHI_DRIVER_LINK_H
#define ALCHI_DRIVER_LINK_H

#include "driver/group_state.h"
#include "driver/objects.h"

/** How the daemon, or a test, carries out what the driver asks of a link. */
typedef struct {
    /** Queue a message, which is borrowed during the call, and try to send it. A failure is reported later through
     *  alchi_drv_on_closed(), never during the call. */
    void (*send)(alchi_drv_link_t *link, unsigned type, unsigned flags, uint64_t id, const void *message);
    /** Send the queued messages, then close the connection. alchi_drv_on_closed() is not called for it. */
    void (*close)(alchi_drv_link_t *link);
} alchi_drv_link_ops_t;

struct alchi_drv_link {
    const alchi_drv_link_ops_t *ops;
    alchi_role_t role;
    char name[64], host[64];
    int pid;
    alchi_drv_session_t *session;  /* CLIENT, EXECUTOR; NULL: the session has ended */
    alchi_drv_group_t *group;      /* RANK; NULL: the group has ended */
    int rank;                      /* RANK */
    alchi_drv_node_t *node;        /* AGENT; NULL: it has not announced its slots */
    bool is_own_agent;             /* the agent that runs in the driver's own process */
    alchi_drv_request_t *requests; /* not answered yet */
    int request_count;
    alchi_drv_link_t *prev, *next; /* in the session's list of links */
};

/** Send a message that is no reply. */
void alchi_drv_link_send(alchi_drv_link_t *link, unsigned type, const void *message);
/** Reply to the message with this id. */
void alchi_drv_link_reply(alchi_drv_link_t *link, uint64_t id, unsigned type, const void *message);
/** Reply with an error. With id 0 the error is no reply, but the final message to a peer, whose connection is closed
 *  next. */
void alchi_drv_link_fail(alchi_drv_link_t *link, uint64_t id, const alch_error_t *error);

#endif
