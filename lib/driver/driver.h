/**
 * @file driver/driver.h
 * The driver's whole state, and the events that reach it from outside.
 *
 * It has no socket, no event loop and no thread of its own: connections are links with a table of operations, time
 * comes through the timers. Tests run it against links that record what is sent. Not MT-Safe.
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
    const alchi_drv_config_t *config;
    uint8_t token[ALCHI_KEY_SIZE];
    char host[256];
    alchi_drv_timers_t timers;
    alchi_drv_slots_t slots;
    alchi_drv_session_t *sessions; /* hash by id */
    alchi_drv_session_t *wants;    /* sessions that wait for slots, first come first */
    alchi_drv_group_t *groups;
    uint64_t next_session, next_group, next_matrix, next_task;
    int clients; /* client and executor connections */
    bool stopping;
    void (*joined)(alchi_drv_t *driver, alchi_drv_node_t *node); /* an agent said hello */
    void *context;
};

/** token: copied. NULL: out of memory */
alchi_drv_t *alchi_drv_create(const alchi_drv_config_t *config, const uint8_t token[ALCHI_KEY_SIZE]);
void alchi_drv_destroy(alchi_drv_t *driver);

/** An alchi_key_f; context is the driver. */
int alchi_drv_find_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *err);
/** A peer has proved itself: connect it with its session, group or node and send WELCOME (or an ERROR).
 *  @return ALCH_OK; else the error was sent: close */
int alchi_drv_admit(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_responder_t *responder, uint64_t id,
                    alch_error_t *err);
/** @return ALCH_OK; ALCH_EPROTO: a peer that is not keeping to the protocol: close */
int alchi_drv_on_message(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                         const ProtobufCMessage *message, alch_error_t *err);
/** The connection is gone; the link is not used afterwards. */
void alchi_drv_on_closed(alchi_drv_t *driver, alchi_drv_link_t *link);
/** Tell sessions, end all groups. Over when alchi_drv_is_idle(). */
void alchi_drv_stop(alchi_drv_t *driver, const char *why);
bool alchi_drv_is_idle(const alchi_drv_t *driver);

#endif
