/**
 * @file driver/driver.h
 * The driver: the state of all sessions, groups and slots, and the events that reach it from outside.
 *
 * The driver has no socket, event loop or thread. The daemon reports connections and messages to it, and runs its
 * timers; the driver sends through the links (link.h). Unit tests use links that record what is sent. Not MT-Safe: all
 * calls come from the daemon's loop.
 */
#ifndef ALCHI_DRIVER_DRIVER_H
#define ALCHI_DRIVER_DRIVER_H

#include "driver/config.h"
#include "driver/link.h"
#include "driver/session.h"
#include "driver/slots.h"
#include "driver/timer.h"
#include "net/auth.h"

struct alchi_drv {
    const alchi_drv_config_t *config; /* borrowed */
    uint8_t token[ALCHI_KEY_SIZE];
    char host[256];
    alchi_drv_timers_t timers;
    alchi_drv_slots_t slots;
    alchi_drv_session_t *sessions;   /* hash by id; owned */
    alchi_drv_session_t *slot_queue; /* sessions that wait for slots, in order (slot_queue.h) */
    alchi_drv_group_t *groups;       /* owned, until all of their ranks have ended */
    uint64_t next_session, next_group, next_matrix, next_task;
    int clients; /* connections of clients and executors */
    bool stopping;
    void (*joined)(alchi_drv_t *driver, alchi_drv_node_t *node); /* an agent has announced its slots; may be NULL */
    void *context;                                               /* for joined() */
};

/** @param config  borrowed until alchi_drv_destroy().  @param token  copied.  @return NULL: out of memory */
alchi_drv_t *alchi_drv_create(const alchi_drv_config_t *config, const uint8_t token[ALCHI_KEY_SIZE]);
/** End all sessions at once, without waiting for ranks, and free everything but the links. NULL: does nothing. */
void alchi_drv_destroy(alchi_drv_t *driver);

/** Find the key that a peer must prove that it has, from the peer's claim: an alchi_key_f whose context is the driver.
 *  @return ALCH_OK; ALCH_ENOENT: there is no such session, or the rank is not expected; ALCH_EAUTH: peers of this role
 *          do not connect to the driver */
int alchi_drv_find_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *err);
/**
 * A peer has authenticated: connect its link with a session or a group, and send WELCOME as reply to the message `id`.
 *
 * @return ALCH_OK; ALCH_ECONNECT: the driver is stopping; ALCH_ELIMIT: too many clients; ALCH_ENOENT, ALCH_ENOMEM. On
 *         failure the error was sent: close the connection without alchi_drv_on_closed()
 */
int alchi_drv_admit(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_responder_t *responder, uint64_t id,
                    alch_error_t *err);
/** A message has arrived; NULL: the message of the frame has no bytes. The link may be closed, and the link's session
 *  freed, during the call.
 *  @return ALCH_OK; ALCH_EPROTO: the peer broke the protocol: close the connection, then call alchi_drv_on_closed() */
int alchi_drv_on_message(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                         const ProtobufCMessage *message, alch_error_t *err);
/** The connection has ended. The driver does not use the link afterwards. */
void alchi_drv_on_closed(alchi_drv_t *driver, alchi_drv_link_t *link);
/** NULL: there is no group with this id. */
alchi_drv_group_t *alchi_drv_find_group(const alchi_drv_t *driver, uint64_t id);
/** End all sessions with this reason, and so all groups. The groups have ended when alchi_drv_is_idle() is true. */
void alchi_drv_stop(alchi_drv_t *driver, const char *why);
/** Whether the driver was stopped and all groups have ended. */
bool alchi_drv_is_idle(const alchi_drv_t *driver);

#endif
