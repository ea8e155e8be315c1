/**
 * @file client/control.h
 * One connection to the driver, shared by all threads of a session.
 *
 * There is no background thread. One of the threads that wait for a reply is the leader: it reads the connection and
 * hands every reply to its request. When the leader has its own reply, another waiting thread becomes the leader.
 */
#ifndef ALCHI_CLIENT_CONTROL_H
#define ALCHI_CLIENT_CONTROL_H

#include "net/channel.h"

typedef struct alchi_cli_control alchi_cli_control_t;

/** @param[in] channel  authenticated, accepts no payload; owned by the control from now on, also on failure
 *  @param[in] peer     "host:port" of the driver, for error texts; copied
 *  @return NULL: out of memory */
alchi_cli_control_t *alchi_cli_control_create(alchi_channel_t *channel, const char *peer);
/** Close the connection and free the control. No request may be in progress. NULL is allowed. */
void alchi_cli_control_destroy(alchi_cli_control_t *control);
/** The descriptor of the connection, borrowed. */
int alchi_cli_control_fd(const alchi_cli_control_t *control);

/** End the connection. All present and future requests fail with ALCH_ECONNECT and the text `reason`.
 *  @threads MT-Safe */
void alchi_cli_control_shutdown(alchi_cli_control_t *control, const char *reason);

/**
 * Send a request and wait for its reply.
 *
 * @threads  MT-Safe
 * @param[in]  type, message  of the request; the message is borrowed, NULL: none
 * @param[in]  expect         type of the reply
 * @param[out] reply_p        the reply's message, to be freed with alchi_message_free(); NULL: not wanted
 * @return ALCH_OK
 * @return ALCH_ETIMEDOUT  the driver did not reply by the deadline
 * @return ALCH_ECONNECT   the connection ended; if the driver sent the reason first, the text contains it
 * @return ALCH_EPROTO     the driver broke the protocol, or answered with another type
 * @return ALCH_ELIMIT     the request is too large
 * @return ALCH_ENOMEM
 * @return else            the code of an ERROR reply
 */
int alchi_cli_control_request(alchi_cli_control_t *control, unsigned type, const void *message, unsigned expect,
                              alchi_deadline_t deadline, void *reply_p, alch_error_t *err);

/** Copy the error of an ERROR message (NULL allowed) into err.
 *  @return the message's code, or ALCH_EPROTO if that is not an error code */
int alchi_cli_control_read_error(const Alchw__Error *message, alch_error_t *err);

#endif
