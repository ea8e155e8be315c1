/**
 * @file client/control.h
 * One connection to the driver, shared by all threads of a session.
 *
 * There is no background thread: of the threads that wait for an answer one reads the connection (it leads), hands
 * every reply to the request it belongs to, and passes the lead on when it has its own.
 */
#ifndef ALCHI_CLIENT_CONTROL_H
#define ALCHI_CLIENT_CONTROL_H

#include "net/channel.h"

typedef struct alchi_cli_control alchi_cli_control_t;

/** Takes an authenticated channel over. `peer` is copied: "host:port", for texts. NULL: out of memory (the channel
 *  is destroyed). */
alchi_cli_control_t *alchi_cli_control_create(alchi_channel_t *channel, const char *peer);
/** No request may be under way. NULL is allowed. */
void alchi_cli_control_destroy(alchi_cli_control_t *control);
int alchi_cli_control_fd(const alchi_cli_control_t *control);

/** Fail all requests, present and future, with ALCH_ECONNECT and this text; the peer sees the end at once. */
void alchi_cli_control_shutdown(alchi_cli_control_t *control, const char *reason);

/**
 * Send a request and wait for its reply. MT-Safe.
 *
 * @param message  of the request; NULL: none
 * @param expect   type of the reply
 * @param reply_p  the reply's message, to be freed with alchi_message_free(); NULL: not wanted
 * @return ALCH_OK; the code of an ERROR reply; ALCH_ETIMEDOUT; ALCH_ECONNECT with the driver's last words if it
 *         said any; ALCH_EPROTO; ALCH_ELIMIT the request is too large; ALCH_ENOMEM
 */
int alchi_cli_control_request(alchi_cli_control_t *control, unsigned type, const void *message, unsigned expect,
                              alchi_deadline_t deadline, void *reply_p, alch_error_t *err);

/** Take over the error of an ERROR message (NULL allowed). Returns its code, ALCH_EPROTO for nonsense. */
int alchi_cli_control_read_error(const Alchw__Error *message, alch_error_t *err);

#endif
