/* The header of a frame. */
#include "wire/frame.h"

#include <alchemist/error.h>

#define KNOWN_FLAGS (ALCHI_FRAME_MORE | ALCHI_FRAME_REPLY | ALCHI_FRAME_CHECK)

static void
store_le(uint8_t *out, uint64_t x, int bytes)
{
    int k;

    for (k = 0; k < bytes; k++)
        out[k] = (uint8_t)(x >> (8 * k));
}

static uint64_t
load_le(const uint8_t *in, int bytes)
{
    uint64_t x = 0;
    int k;

    for (k = bytes; k-- > 0;)
        x = x << 8 | in[k];
    return x;
}

void
alchi_frame_encode(const alchi_frame_t *frame, uint8_t out[ALCHI_FRAME_HEADER])
{
    store_le(out, ALCHI_FRAME_MAGIC, 4);
    store_le(out + 4, frame->version, 1);
    store_le(out + 5, frame->flags, 1);
    store_le(out + 6, frame->type, 2);
    store_le(out + 8, frame->id, 8);
    store_le(out + 16, frame->meta, 4);
    store_le(out + 20, frame->payload, 4);
    store_le(out + 24, frame->check, 4);
    store_le(out + 28, 0, 4);
}

/* Check the bytes that have arrived, so that garbage is refused before a whole header has arrived. */
static int
check_start(const uint8_t *in, size_t size)
{
    size_t k;

    for (k = 0; k < 4 && k < size; k++)
        if (in[k] != (uint8_t)(ALCHI_FRAME_MAGIC >> (8 * k)))
            return ALCH_EPROTO;
    if (size > 4 && in[4] != ALCHI_WIRE_VERSION)
        return ALCH_EVERSION;
    if (size > 5 && in[5] & ~KNOWN_FLAGS)
        return ALCH_EPROTO;
    return size < ALCHI_FRAME_HEADER ? ALCH_EAGAIN : ALCH_OK;
}

int
alchi_frame_peek(const void *bytes, size_t size, uint32_t meta_max, uint32_t payload_max, alchi_frame_t *frame_p)
{
    const uint8_t *in = bytes;
    alchi_frame_t frame;
    int code = check_start(in, size);

    if (code)
        return code;
    frame.version = in[4];
    frame.flags = in[5];
    frame.type = (uint16_t)load_le(in + 6, 2);
    frame.id = load_le(in + 8, 8);
    frame.meta = (uint32_t)load_le(in + 16, 4);
    frame.payload = (uint32_t)load_le(in + 20, 4);
    frame.check = (uint32_t)load_le(in + 24, 4);
    if (load_le(in + 28, 4) || (frame.flags & ALCHI_FRAME_CHECK ? frame.payload == 0 : frame.check != 0))
        return ALCH_EPROTO;
    if (frame.meta > meta_max || frame.payload > payload_max || frame.payload > ALCHI_PAYLOAD_MAX)
        return ALCH_ELIMIT;
    *frame_p = frame;
    return ALCH_OK;
}
