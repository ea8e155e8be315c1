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
 *     8  u64 id        request id: a reply carries that of its request
 *    16  u32 meta      bytes of the message
 *    20  u32 payload   bytes of raw data after it, at most ALCHI_PAYLOAD_MAX
 *    24  u32 check     CRC32C of this frame's payload; 0 without ALCHI_FRAME_CHECK
 *    28  u32 reserved  0
 *
 * A message with more payload than one frame holds goes on in frames of the
 * same type and id with meta = 0; all but the last carry ALCHI_FRAME_MORE.
 *
 * ALCHI_FRAME_CHECK goes with payload only, and with all frames of a message or
 * with none. The sum is of the frame, not of the whole message: it is in the
 * header, so it has to be known before the first byte leaves, and a frame fits
 * into the processor's cache. A message is intact when all its frames are.
 *
 * Parsing is pure and in three steps: peek at the header, wait for the bytes it
 * announces, decode. No function here does I/O or allocates by a peer's word
 * beyond the limits given.
 */
#ifndef ALCHI_WIRE_FRAME_H
#define ALCHI_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define ALCHI_WIRE_VERSION 1
#define ALCHI_FRAME_MAGIC 0x48434c41u /* "ALCH" */
#define ALCHI_FRAME_HEADER 32
#define ALCHI_PAYLOAD_MAX (1u << 20)
#define ALCHI_META_MAX (1u << 20)
#define ALCHI_META_MAX_UNAUTHENTICATED 4096u
/** In a DATA_BLOCK that says which of its entries are written: whoever may get one asks for no more. */
#define ALCHI_MASK_ENTRIES (INT64_C(1) << 18)

#define ALCHI_FRAME_MORE 1u  /* payload goes on in the next frame */
#define ALCHI_FRAME_REPLY 2u /* answers a request */
#define ALCHI_FRAME_CHECK 4u /* `check` holds a CRC32C of the payload, which is not empty */

typedef struct {
    uint8_t version, flags;
    uint16_t type;
    uint64_t id;
    uint32_t meta, payload;
    uint32_t check;
} alchi_frame_t;

/** Write a header. Values are trusted. */
void alchi_frame_encode(const alchi_frame_t *frame, uint8_t out[ALCHI_FRAME_HEADER]);

/**
 * Read a header.
 *
 * @param meta_max, payload_max  what is acceptable on this connection now
 * @return ALCH_OK
 * @return ALCH_EAGAIN    fewer than ALCHI_FRAME_HEADER bytes, and none is wrong so far
 * @return ALCH_EPROTO    not a frame, unknown flag, non-zero reserved field, a check without its flag or the flag
 *                        without payload
 * @return ALCH_EVERSION  a frame of another version
 * @return ALCH_ELIMIT    more meta or payload than acceptable
 */
int alchi_frame_peek(const void *bytes, size_t size, uint32_t meta_max, uint32_t payload_max, alchi_frame_t *frame_p);

#endif
