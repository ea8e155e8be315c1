/**
 * @file net/channel.h
 * Frames over a stream. The functions never block; the variants that end in _by() wait until a deadline.
 *
 * @threads  One thread uses a channel at a time, or one thread sends while another receives: the two directions share
 *           no state. Over shared memory (net/shm.h) one thread at a time must use both directions.
 *
 * After the first error a direction of the channel stays broken: every later call returns the same code and sets the
 * same errno. ALCH_EAGAIN, ALCH_ETIMEDOUT, ALCH_ESTATE, ALCH_EINVAL, ALCH_ERANGE and ALCH_EUNSUPPORTED leave the
 * channel usable.
 */
#ifndef ALCHI_NET_CHANNEL_H
#define ALCHI_NET_CHANNEL_H

#include "net/stream.h"
#include "wire/frame.h"
#include "wire/message.h"
#include <stdbool.h>

typedef struct alchi_channel alchi_channel_t;

/** Create a channel, which owns the stream from now on; the stream is destroyed on failure too. The channel starts with
 *  the limits of an unauthenticated peer: messages of ALCHI_META_MAX_UNAUTHENTICATED bytes, no payload.
 *  @return NULL: out of memory, or `stream` is NULL */
alchi_channel_t *alchi_channel_create(alchi_stream_t *stream);
/** Close the stream and free the channel. NULL is allowed; errno is kept. */
void alchi_channel_destroy(alchi_channel_t *channel);
/** The stream of the channel, borrowed. */
alchi_stream_t *alchi_channel_stream(alchi_channel_t *channel);
/** The descriptor of the stream, borrowed. */
int alchi_channel_fd(const alchi_channel_t *channel);

/** Set the largest message and payload that are accepted, in bytes. Call this after authentication; allow payload only
 *  on connections that carry bulk data, because it also reduces how far the channel reads ahead. */
void alchi_channel_set_limits(alchi_channel_t *channel, uint32_t meta_max, uint32_t payload_max);

/** Maximum number of bytes that wait to be sent. A send that would exceed it fails with ALCH_ELIMIT, because the peer
 *  does not read. */
#define ALCHI_CHANNEL_BACKLOG ((size_t)64 << 20)

/* ---- sending ---- */

/** Queue a frame with a message (NULL: none), which is encoded before the call returns, and send what can be sent now.
 *  @return ALCH_OK        the frame is sent or queued
 *  @return ALCH_ECONNECT  the connection failed (errno)
 *  @return ALCH_ELIMIT    more than ALCHI_CHANNEL_BACKLOG bytes would wait
 *  @return ALCH_ENOMEM    out of memory
 *  @return ALCH_ERANGE    the message is larger than ALCHI_META_MAX; nothing was queued and the channel still works */
int alchi_channel_send(alchi_channel_t *channel, unsigned type, unsigned flags, uint64_t id, const void *message);

/** Queue an ERROR that answers request `id`, or with id 0 an ERROR that answers no request. @return as
 *  alchi_channel_send() */
int alchi_channel_send_error(alchi_channel_t *channel, uint64_t id, const alch_error_t *error);

/** Send the queued bytes. @return ALCH_OK: the queue is empty; ALCH_EAGAIN: bytes are left, because the stream is
 *  full or a payload frame must be sent first; ALCH_ECONNECT; or the code of an earlier failed send */
int alchi_channel_flush(alchi_channel_t *channel);
/** Whether bytes are queued that alchi_channel_flush() may be able to send. */
bool alchi_channel_wants_write(const alchi_channel_t *channel);

/**
 * Send one payload frame directly from the caller's memory, without a copy.
 *
 * Bytes that are queued already are sent first. The caller sets *sent_p to 0 and repeats the call with the same
 * arguments until it returns ALCH_OK. Frames that are sent in between are queued behind the payload frame.
 *
 * @param[in]     frame    type, flags, id, payload, and the check if it has one; the channel sets the other fields
 * @param[in]     message  only for the first frame of a message, else NULL
 * @param[in]     payload  `count` pieces of memory, together frame->payload bytes, borrowed until ALCH_OK
 * @param[in,out] sent_p   progress: bytes of header, message and payload that were queued or sent
 *
 * @return ALCH_OK        the whole frame is sent
 * @return ALCH_EAGAIN    the stream is full: wait for POLLOUT and call again
 * @return ALCH_ECONNECT, ALCH_ELIMIT, ALCH_ENOMEM, ALCH_ERANGE as alchi_channel_send()
 * @return ALCH_EINVAL    the pieces do not have frame->payload bytes together, or that is more than ALCHI_PAYLOAD_MAX
 * @return ALCH_ESTATE    another payload frame is not completely sent
 */
int alchi_channel_send_payload(alchi_channel_t *channel, const alchi_frame_t *frame, const void *message,
                               const struct iovec *payload, int count, size_t *sent_p);

/**
 * Reserve memory of the stream for the next frame (shared memory only). The caller writes the payload there, and the
 * peer reads it there, without a copy.
 *
 * On success the caller writes frame->payload bytes to *place_p and calls alchi_channel_send_reserved(). It must not
 * send anything else in between.
 *
 * @param[in]  frame    as in alchi_channel_send_payload()
 * @param[in]  message  as in alchi_channel_send_payload(); it is encoded before the call returns
 * @param[out] place_p  where the payload belongs; memory of the stream
 *
 * @return ALCH_OK
 * @return ALCH_EAGAIN       no room now: wait for POLLOUT
 * @return ALCH_EUNSUPPORTED the stream has no such memory, or the frame is larger than can be reserved at once
 * @return ALCH_ECONNECT     the connection failed (errno); or the code of an earlier failed send
 * @return ALCH_ERANGE       the message is larger than ALCHI_META_MAX, and the frame than can be reserved at once
 * @return ALCH_ESTATE       another payload frame is not completely sent
 */
int alchi_channel_reserve_payload(alchi_channel_t *channel, const alchi_frame_t *frame, const void *message,
                                  uint8_t **place_p);
/** Send the frame whose payload the caller wrote. `frame` is that of alchi_channel_reserve_payload(), with its check if
 * it has one. */
void alchi_channel_send_reserved(alchi_channel_t *channel, const alchi_frame_t *frame);
/** The largest payload that alchi_channel_reserve_payload() accepts behind a message of up to 1 KiB, in bytes; 0: the
 *  stream has no memory that can be reserved. */
size_t alchi_channel_reserve_max(const alchi_channel_t *channel);

/* ---- receiving ---- */

/**
 * Receive the header and the message of the next frame, if both have arrived completely.
 *
 * After ALCH_OK the caller must take exactly frame_p->payload bytes, with alchi_channel_read_payload() or one of its
 * variants, before it receives again.
 *
 * @param[out] frame_p    the header
 * @param[out] message_p  the decoded message, which the caller frees with alchi_message_free(). A message of 0 bytes is
 * a struct of defaults. NULL only if the frame continues the payload of the frame before it (meta 0, payload > 0)
 *
 * @return ALCH_OK
 * @return ALCH_EAGAIN    they have not arrived yet
 * @return ALCH_ESTATE    the caller has not taken all payload of the frame before
 * @return ALCH_ECONNECT  the peer closed the connection (errno 0), or the connection failed (errno)
 * @return ALCH_ENOMEM    out of memory
 * @return ALCH_EPROTO, ALCH_EVERSION, ALCH_ELIMIT  the peer broke the protocol: close the channel.
 *                        alchi_channel_fault() describes the fault
 */
int alchi_channel_receive(alchi_channel_t *channel, alchi_frame_t *frame_p, ProtobufCMessage **message_p);

/** Whether the channel has read bytes ahead. If so, the caller must receive until ALCH_EAGAIN before it polls: the
 *  descriptor does not become readable for these bytes. If not, the caller should poll first, which saves a read that
 *  finds nothing. */
bool alchi_channel_buffered(const alchi_channel_t *channel);

/** Take up to `size` bytes of the current frame's payload into `bytes`.
 *  @return bytes taken (> 0); 0: would block; -1: the connection ended (errno; 0 if the peer closed it), or errno
 * EINVAL: `size` is 0 or no payload is left */
ssize_t alchi_channel_read_payload(alchi_channel_t *channel, void *bytes, size_t size);

/** As alchi_channel_read_payload(), into several pieces of memory. No piece is empty; together they are at most the
 * rest of the payload. */
ssize_t alchi_channel_readv_payload(alchi_channel_t *channel, const struct iovec *iov, int count);

/** The part of the current frame's payload that has arrived, in memory of the stream (shared memory only).
 *  @return *size_p > 0 bytes; NULL: nothing has arrived, or the bytes are not in such memory;
 *          alchi_channel_read_payload() tells the cases apart */
const uint8_t *alchi_channel_peek_payload(alchi_channel_t *channel, size_t *size_p);
/** Give back the first `size` bytes that alchi_channel_peek_payload() returned; the peer may overwrite them. */
void alchi_channel_consume_payload(alchi_channel_t *channel, const uint8_t *bytes, size_t size);

/** The CRC32C of the part of the current frame's payload that was taken; compare it with the frame's `check` when all
 * payload is taken. It is 0 for a frame without ALCHI_FRAME_CHECK, whose sum is not computed. */
uint32_t alchi_channel_payload_sum(const alchi_channel_t *channel);

/** How the peer broke the protocol (ALCH_EPROTO, ALCH_EVERSION, ALCH_ELIMIT); "": it did not. Owned by the channel. */
const char *alchi_channel_fault(const alchi_channel_t *channel);

/* ---- waiting variants ---- */

/** Send the queued bytes, waiting until the deadline. @return ALCH_OK, ALCH_ETIMEDOUT, ALCH_ECONNECT; ALCH_ESTATE: a
 *  payload frame must be sent first; or the code of an earlier failed send */
int alchi_channel_flush_by(alchi_channel_t *channel, alchi_deadline_t deadline);
/** Receive a frame, waiting until the deadline. @return as alchi_channel_receive(), with ALCH_ETIMEDOUT instead of
 *  ALCH_EAGAIN */
int alchi_channel_receive_by(alchi_channel_t *channel, alchi_deadline_t deadline, alchi_frame_t *frame_p,
                             ProtobufCMessage **message_p);

#endif
