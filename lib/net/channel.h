/**
 * @file net/channel.h
 * Frames over a stream. Non-blocking at heart; *_by() variants wait with a deadline.
 *
 * One thread uses a channel at a time (or one reads and one writes: the two
 * directions share nothing).
 *
 * After the first error a channel stays broken and returns the same code.
 */
#ifndef ALCHI_NET_CHANNEL_H
#define ALCHI_NET_CHANNEL_H

#include "net/stream.h"
#include "wire/frame.h"
#include "wire/message.h"
#include <stdbool.h>

typedef struct alchi_channel alchi_channel_t;

/** Takes the stream over, also on failure. NULL: out of memory, or no stream. Starts with the limits of an
 * unauthenticated peer: ALCHI_META_MAX_UNAUTHENTICATED, no payload. */
alchi_channel_t *alchi_channel_create(alchi_stream_t *stream);
void alchi_channel_destroy(alchi_channel_t *channel);
alchi_stream_t *alchi_channel_stream(alchi_channel_t *channel);
int alchi_channel_fd(const alchi_channel_t *channel);

/** Lift the limits after authentication. Payload only where bulk data travels. */
void alchi_channel_set_limits(alchi_channel_t *channel, uint32_t meta_max, uint32_t payload_max);

/** Bytes that may wait to be sent before a send fails with ALCH_ELIMIT: a peer that does not read. */
#define ALCHI_CHANNEL_BACKLOG ((size_t)64 << 20)

/* ---- sending ---- */

/** Queue a frame with a message and try to send. message NULL: none.
 *  @return ALCH_OK (all sent or queued), ALCH_ECONNECT, ALCH_ELIMIT, ALCH_ENOMEM; ALCH_ERANGE: the message is larger
 *          than ALCHI_META_MAX, nothing was queued and the channel is as before */
int alchi_channel_send(alchi_channel_t *channel, unsigned type, unsigned flags, uint64_t id, const void *message);

/** Queue an ERROR reply; with id 0 an ERROR that nobody asked for. */
int alchi_channel_send_error(alchi_channel_t *channel, uint64_t id, const alch_error_t *error);

/** Send what is queued. @return ALCH_OK (empty), ALCH_EAGAIN (would block), ALCH_ECONNECT */
int alchi_channel_flush(alchi_channel_t *channel);
bool alchi_channel_wants_write(const alchi_channel_t *channel);

/**
 * Send one payload frame, directly from the caller's memory: nothing is copied.
 * Queued bytes go first. Returns progress through *sent_p, which the caller keeps
 * (0 at first) and passes again until ALCH_OK: the header counts, in the order given.
 * Frames that are sent meanwhile are queued behind it.
 *
 * @param message  only for the first frame of a message, else NULL
 * @param frame    type, flags, id, payload (and check); the rest is filled in
 * @return ALCH_OK (all sent), ALCH_EAGAIN, ALCH_ECONNECT, ALCH_ELIMIT, ALCH_ENOMEM, ALCH_ERANGE as above
 * @return ALCH_EINVAL    the pieces are not frame->payload bytes, or that is above ALCHI_PAYLOAD_MAX
 * @return ALCH_ESTATE    another payload frame is under way
 */
int alchi_channel_send_payload(alchi_channel_t *channel, const alchi_frame_t *frame, const void *message,
                               const struct iovec *payload, int count, size_t *sent_p);

/**
 * Over a stream with memory of its own: where the payload of the next frame can be made, so that it is not copied.
 * Then put frame->payload bytes there and call alchi_channel_send_made(); nothing else may be sent in between.
 *
 * @param message  as above; it is encoded now
 * @return ALCH_OK
 * @return ALCH_EAGAIN       not now: wait for POLLOUT
 * @return ALCH_EUNSUPPORTED the stream has no such memory, or less than alchi_channel_make_max() allows
 * @return ALCH_ECONNECT, ALCH_ERANGE, ALCH_ESTATE as above
 */
int alchi_channel_make_payload(alchi_channel_t *channel, const alchi_frame_t *frame, const void *message,
                               uint8_t **place_p);
/** Send what was made there: the same frame, now with its check if it has one. */
void alchi_channel_send_made(alchi_channel_t *channel, const alchi_frame_t *frame);
/** The largest payload that can be made so behind a message of up to 1 KiB; 0: none can. */
size_t alchi_channel_make_max(const alchi_channel_t *channel);

/* ---- receiving ---- */

/**
 * The next frame, if it is there completely up to its payload.
 *
 * @param[out] frame_p    its header
 * @param[out] message_p  its decoded message, to be freed with alchi_message_free(); NULL only for a frame that goes on
 * with the payload of the one before it (meta 0, payload > 0); an empty message is a struct of defaults
 * @return ALCH_OK; then exactly frame_p->payload bytes must be taken with alchi_channel_read_payload()
 *         before the next call
 * @return ALCH_EAGAIN    not yet
 * @return ALCH_ECONNECT  the peer closed (errno 0) or the connection failed
 * @return ALCH_EPROTO, ALCH_EVERSION, ALCH_ELIMIT  the peer broke the protocol: close
 */
int alchi_channel_receive(alchi_channel_t *channel, alchi_frame_t *frame_p, ProtobufCMessage **message_p);

/** Whether bytes were read ahead: receive until ALCH_EAGAIN before polling; when false after a frame was
 *  received, the caller may as well poll first, which saves a read that would find nothing. */
bool alchi_channel_buffered(const alchi_channel_t *channel);

/** Take up to `size` bytes of the current frame's payload straight into `bytes`.
 *  @return bytes taken (> 0), 0: would block, -1: the connection ended */
ssize_t alchi_channel_read_payload(alchi_channel_t *channel, void *bytes, size_t size);

/** The same into several pieces of memory, none of them empty, together at most what is left of the payload. */
ssize_t alchi_channel_readv_payload(alchi_channel_t *channel, const struct iovec *iov, int count);

/** What has come of the current frame's payload, in the stream's own memory.
 *  @return *size_p > 0 bytes of it; NULL: there are none, or not there: alchi_channel_read_payload() says which */
const uint8_t *alchi_channel_peek_payload(alchi_channel_t *channel, size_t *size_p);
/** The first `size` of them were used. */
void alchi_channel_take_payload(alchi_channel_t *channel, const uint8_t *bytes, size_t size);

/** CRC32C of what was taken of the current frame's payload, computed as it came: to be compared with the frame's
 *  `check` at its end. 0 for a frame without ALCHI_FRAME_CHECK, which costs nothing. */
uint32_t alchi_channel_payload_sum(const alchi_channel_t *channel);

/** Detail of the last ALCH_EPROTO, ALCH_EVERSION or ALCH_ELIMIT, "" if none. */
const char *alchi_channel_fault(const alchi_channel_t *channel);

/* ---- waiting variants ---- */

/** Flush by the deadline. @return ALCH_OK, ALCH_ETIMEDOUT, ALCH_ECONNECT; ALCH_ESTATE: a payload frame is under way */
int alchi_channel_flush_by(alchi_channel_t *channel, alchi_deadline_t deadline);
/** Receive by the deadline. @return as alchi_channel_receive(), ALCH_ETIMEDOUT instead of ALCH_EAGAIN */
int alchi_channel_receive_by(alchi_channel_t *channel, alchi_deadline_t deadline, alchi_frame_t *frame_p,
                             ProtobufCMessage **message_p);

#endif
