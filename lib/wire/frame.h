/**
 * @file wire/frame.h
 * The frame: a fixed header, a protobuf message, raw payload.
 *
 * Header, 32 bytes, little-endian:
 *
 *     0  u32 magic     "ALCH"
 *     4  u8  version   ALCHI_WIRE_VERSION
 *     5  u8  flags     ALCHI_FRAME_*
 *     6  u16 type      alchi_frame_type_t (message.h)
 *     8  u64 id        request id; a reply has the id of its request
 *    16  u32 meta      bytes of the message
 *    20  u32 payload   bytes of raw data after the message, at most ALCHI_PAYLOAD_MAX
 *    24  u32 check     CRC32C of this frame's payload; 0 without ALCHI_FRAME_CHECK
 *    28  u32 reserved  0
 *
 * If the payload of a message does not fit into one frame, it continues in frames of the same type and id whose meta is
 * 0. All frames but the last carry ALCHI_FRAME_MORE.
 *
 * A frame with ALCHI_FRAME_CHECK has payload, and either all frames of a message carry the flag or none. Each
 * frame has its own checksum, because the header contains it: the sender must know it before it sends the first byte,
 * and a frame fits into the processor's cache. A message is intact if all its frames are.
 *
 * Parsing has three steps: peek at the header, wait for the bytes that it announces, decode. The functions do
 * no I/O and allocate no memory.
 */
#ifndef ALCHI_WIRE_FRAME_H
#define ALCHI_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define ALCHI_WIRE_VERSION 1
#define ALCHI_FRAME_MAGIC 0x48434c41u /* "ALCH" */
#define ALCHI_FRAME_HEADER 32
/** Limits of one frame, in bytes: payload, message, and message from a peer that has not authenticated. */
#define ALCHI_PAYLOAD_MAX (1u << 20)
#define ALCHI_META_MAX (1u << 20)
#define ALCHI_META_MAX_UNAUTHENTICATED 4096u
/** Maximum number of entries in a DATA_BLOCK with a mask of written entries. */
#define ALCHI_MASK_ENTRIES (INT64_C(1) << 18)

#define ALCHI_FRAME_MORE 1u  /* the payload continues in the next frame */
#define ALCHI_FRAME_REPLY 2u /* answers a request */
#define ALCHI_FRAME_CHECK 4u /* `check` holds a CRC32C of the payload, which is not empty */

typedef struct {
    uint8_t version, flags;
    uint16_t type;
    uint64_t id;
    uint32_t meta, payload;
    uint32_t check;
} alchi_frame_t;

/** Write a header. The values are not checked. */
void alchi_frame_encode(const alchi_frame_t *frame, uint8_t out[ALCHI_FRAME_HEADER]);

/**
 * Read a header.
 *
 * @param meta_max, payload_max  limits of this connection, in bytes
 *
 * @return ALCH_OK
 * @return ALCH_EAGAIN    there are fewer than ALCHI_FRAME_HEADER bytes, and they are valid so far
 * @return ALCH_EPROTO    the bytes are not a frame, a flag is unknown, the reserved field is not zero, `check` is not
 * zero without ALCHI_FRAME_CHECK, or a frame with that flag has no payload
 * @return ALCH_EVERSION  the frame has another version
 * @return ALCH_ELIMIT    meta or payload exceeds its limit
 */
int alchi_frame_peek(const void *bytes, size_t size, uint32_t meta_max, uint32_t payload_max, alchi_frame_t *frame_p);

#endif
