/* Frames over a stream: a queue of bytes to send, a buffer of received bytes, and payload that bypasses both. */
#include "net/channel.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "net/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many bytes the channel reads ahead. A channel that carries only messages reads 16 KiB. A channel that carries
 * bulk data reads just enough for a small message, because payload in the buffer must be copied once more. A stream
 * whose reads need no system call (shared memory) gains nothing from reading ahead. */
#define READ_AHEAD ((size_t)16 << 10)
#define READ_AHEAD_BULK ((size_t)256)
/* The buffer grows by at most this many bytes for each read. So it grows with the bytes that arrive, not with the size
 * that the peer announces. */
#define READ_STEP ((size_t)64 << 10)
/* Maximum number of pieces of memory for one write; the array is on the stack. */
#define IOV_STEP 256
/* A header and a message of 1 KiB, the largest for which alchi_channel_reserve_max() leaves room. */
#define RESERVED_HEAD_MAX (((size_t)1 << 10) + ALCHI_FRAME_HEADER)

struct alchi_channel {
    alchi_stream_t *stream;

    /* sending */
    alchi_buf_t out;
    size_t payload_head;       /* bytes of header and message of an incomplete payload frame; 0: there is none */
    size_t out_before_payload; /* bytes of `out` that go before the payload of the incomplete frame */
    int send_code, send_errno;
    uint8_t *reserved;      /* memory of the stream for a frame whose payload the caller writes */
    uint32_t reserved_meta; /* bytes of that frame's message */

    /* receiving */
    alchi_buf_t in;
    uint32_t meta_max, payload_max;
    uint32_t payload_left; /* bytes of the current frame that the caller has not taken */
    bool has_check;        /* the frame has a check */
    uint32_t payload_sum;  /* of the payload taken so far */
    int receive_code, receive_errno;
    char fault[192]; /* how the peer broke the protocol; "": it did not */
};

alchi_channel_t *
alchi_channel_create(alchi_stream_t *stream)
{
    alchi_channel_t *channel;

    if (!stream)
        return NULL;
    channel = calloc(1, sizeof(*channel));
    if (!channel) {
        alchi_stream_destroy(stream);
        return NULL;
    }
    channel->stream = stream;
    channel->meta_max = ALCHI_META_MAX_UNAUTHENTICATED;
    alchi_buf_init(&channel->out);
    alchi_buf_init(&channel->in);
    return channel;
}

void
alchi_channel_destroy(alchi_channel_t *channel)
{
    int saved = errno;

    if (channel) {
        alchi_buf_fini(&channel->in);
        alchi_buf_fini(&channel->out);
        alchi_stream_destroy(channel->stream);
        free(channel);
    }
    errno = saved;
}

alchi_stream_t *
alchi_channel_stream(alchi_channel_t *channel)
{
    return channel->stream;
}

int
alchi_channel_fd(const alchi_channel_t *channel)
{
    return alchi_stream_fd(channel->stream);
}

void
alchi_channel_set_limits(alchi_channel_t *channel, uint32_t meta_max, uint32_t payload_max)
{
    channel->meta_max = meta_max;
    channel->payload_max = payload_max;
}

/* ---- sending ---- */

static int
break_sending(alchi_channel_t *channel, int code, int number)
{
    channel->send_code = code;
    channel->send_errno = number;
    errno = number;
    return code;
}

/* Send the queued bytes that may be sent now: all, or those before the payload of an incomplete frame. */
static int
write_queued(alchi_channel_t *channel)
{
    size_t left = channel->payload_head ? channel->out_before_payload : alchi_buf_size(&channel->out);
    struct iovec iov;
    ssize_t n;

    if (left == 0)
        return ALCH_OK;
    iov = (struct iovec){alchi_buf_bytes(&channel->out), left};
    n = alchi_stream_writev(channel->stream, &iov, 1);
    if (n < 0)
        return break_sending(channel, ALCH_ECONNECT, errno);
    alchi_buf_consume(&channel->out, (size_t)n);
    if (channel->payload_head)
        channel->out_before_payload -= (size_t)n;
    return (size_t)n == left ? ALCH_OK : ALCH_EAGAIN;
}

/* Encode a frame's header and message (*size_p bytes) directly into the queue. */
static int
queue_frame(alchi_channel_t *channel, alchi_frame_t frame, const ProtobufCMessage *message, size_t *size_p)
{
    size_t meta = message ? protobuf_c_message_get_packed_size(message) : 0;
    size_t size = ALCHI_FRAME_HEADER + meta;
    size_t waiting = alchi_buf_size(&channel->out);
    uint8_t *bytes;

    if (meta > ALCHI_META_MAX)
        return ALCH_ERANGE;
    if (waiting > 0 && waiting + size > ALCHI_CHANNEL_BACKLOG) {
        int code = write_queued(channel);

        if (code != ALCH_OK && code != ALCH_EAGAIN)
            return code;
        waiting = alchi_buf_size(&channel->out);
        if (waiting > 0 && waiting + size > ALCHI_CHANNEL_BACKLOG)
            return break_sending(channel, ALCH_ELIMIT, 0);
    }
    bytes = alchi_buf_reserve(&channel->out, size);
    if (!bytes)
        return break_sending(channel, ALCH_ENOMEM, ENOMEM);
    frame.version = ALCHI_WIRE_VERSION;
    frame.meta = (uint32_t)meta;
    alchi_frame_encode(&frame, bytes);
    if (message)
        protobuf_c_message_pack(message, bytes + ALCHI_FRAME_HEADER);
    alchi_buf_commit(&channel->out, size);
    *size_p = size;
    return ALCH_OK;
}

int
alchi_channel_send(alchi_channel_t *channel, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    alchi_frame_t frame = {.type = (uint16_t)type, .flags = (uint8_t)flags, .id = id};
    size_t size;
    int code;

    if (channel->send_code)
        return break_sending(channel, channel->send_code, channel->send_errno);
    code = queue_frame(channel, frame, message, &size);
    if (code != ALCH_OK)
        return code;
    code = write_queued(channel);
    return code == ALCH_EAGAIN ? ALCH_OK : code;
}

int
alchi_channel_send_error(alchi_channel_t *channel, uint64_t id, const alch_error_t *error)
{
    Alchw__Error message = ALCHW__ERROR__INIT;
    char text[ALCH_ERROR_TEXT_MAX];

    message.has_code = 1;
    message.code = (uint32_t)error->code;
    message.has_rank = error->rank >= 0;
    message.rank = error->rank;
    message.text = alchi_text_clean(error->text, text, sizeof(text), true);
    return alchi_channel_send(channel, ALCHI_ERROR, id ? ALCHI_FRAME_REPLY : 0, id, &message);
}

int
alchi_channel_flush(alchi_channel_t *channel)
{
    int code;

    if (channel->send_code)
        return break_sending(channel, channel->send_code, channel->send_errno);
    code = write_queued(channel);
    if (code == ALCH_OK && alchi_buf_size(&channel->out) > 0)
        return ALCH_EAGAIN; /* the rest waits until a payload frame is sent */
    return code;
}

bool
alchi_channel_wants_write(const alchi_channel_t *channel)
{
    return !channel->send_code && alchi_buf_size(&channel->out) > 0;
}

static bool
payload_fits(const alchi_frame_t *frame, const struct iovec *payload, int count)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++) {
        if (payload[i].iov_len > frame->payload - sum)
            return false;
        sum += payload[i].iov_len;
    }
    return sum == frame->payload;
}

/* A position in the caller's list of pieces. */
typedef struct {
    const struct iovec *payload;
    int count, index;
    size_t offset; /* in piece `index`, bytes */
} cursor_t;

static void
cursor_advance(cursor_t *cursor, size_t bytes)
{
    cursor->offset += bytes;
    while (cursor->index < cursor->count && cursor->offset >= cursor->payload[cursor->index].iov_len)
        cursor->offset -= cursor->payload[cursor->index++].iov_len;
}

/* List the next bytes to send: the queue, then the pieces from the cursor on. Returns the number of entries. */
static int
list_next_bytes(const alchi_channel_t *channel, const cursor_t *cursor, struct iovec *iov, size_t *bytes_p)
{
    size_t offset = cursor->offset, bytes = channel->out_before_payload;
    int n = 0;

    if (channel->out_before_payload > 0)
        iov[n++] = (struct iovec){alchi_buf_bytes(&channel->out), channel->out_before_payload};
    for (int i = cursor->index; i < cursor->count && n < IOV_STEP; i++) {
        size_t size = cursor->payload[i].iov_len - offset;

        if (size > 0)
            iov[n++] = (struct iovec){(uint8_t *)cursor->payload[i].iov_base + offset, size};
        bytes += size;
        offset = 0;
    }
    *bytes_p = bytes;
    return n;
}

static int
write_payload(alchi_channel_t *channel, const struct iovec *payload, int count, size_t *sent_p)
{
    cursor_t cursor = {.payload = payload, .count = count};
    struct iovec iov[IOV_STEP];
    size_t bytes, first;
    ssize_t n;

    cursor_advance(&cursor, *sent_p - channel->payload_head);
    for (;;) {
        int pieces = list_next_bytes(channel, &cursor, iov, &bytes);

        if (bytes == 0)
            return ALCH_OK;
        n = alchi_stream_writev(channel->stream, iov, pieces);
        if (n < 0)
            return break_sending(channel, ALCH_ECONNECT, errno);
        first = (size_t)n < channel->out_before_payload ? (size_t)n : channel->out_before_payload;
        alchi_buf_consume(&channel->out, first);
        channel->out_before_payload -= first;
        cursor_advance(&cursor, (size_t)n - first);
        *sent_p += (size_t)n - first;
        if ((size_t)n < bytes)
            return ALCH_EAGAIN;
    }
}

int
alchi_channel_send_payload(alchi_channel_t *channel, const alchi_frame_t *frame, const void *message,
                           const struct iovec *payload, int count, size_t *sent_p)
{
    int code;

    if (channel->send_code)
        return break_sending(channel, channel->send_code, channel->send_errno);
    if ((*sent_p == 0) != (channel->payload_head == 0) || *sent_p < channel->payload_head)
        return ALCH_ESTATE;
    if (*sent_p == 0) {
        if (frame->payload > ALCHI_PAYLOAD_MAX || !payload_fits(frame, payload, count))
            return ALCH_EINVAL;
        code = queue_frame(channel, *frame, message, sent_p);
        if (code != ALCH_OK)
            return code;
        channel->payload_head = *sent_p;
        channel->out_before_payload = alchi_buf_size(&channel->out);
    }
    code = write_payload(channel, payload, count, sent_p);
    if (code != ALCH_OK)
        return code;
    channel->payload_head = 0;
    code = write_queued(channel);
    return code == ALCH_EAGAIN ? ALCH_OK : code;
}

/* ---- sending from memory of the stream ---- */

size_t
alchi_channel_reserve_max(const alchi_channel_t *channel)
{
    size_t max = alchi_stream_reserve_max(channel->stream);

    return max > RESERVED_HEAD_MAX ? max - RESERVED_HEAD_MAX : 0;
}

int
alchi_channel_reserve_payload(alchi_channel_t *channel, const alchi_frame_t *frame, const void *message,
                              uint8_t **place_p)
{
    size_t meta = message ? protobuf_c_message_get_packed_size(message) : 0;
    size_t size = ALCHI_FRAME_HEADER + meta + frame->payload;
    int code;

    if (size > alchi_stream_reserve_max(channel->stream))
        return meta > ALCHI_META_MAX ? ALCH_ERANGE : ALCH_EUNSUPPORTED;
    if (channel->payload_head)
        return ALCH_ESTATE;
    code = alchi_channel_flush(channel);
    if (code != ALCH_OK)
        return code;
    channel->reserved = alchi_stream_reserve(channel->stream, size);
    if (!channel->reserved)
        return errno == EAGAIN ? ALCH_EAGAIN : break_sending(channel, ALCH_ECONNECT, errno);
    channel->reserved_meta = (uint32_t)meta;
    if (message)
        protobuf_c_message_pack(message, channel->reserved + ALCHI_FRAME_HEADER);
    *place_p = channel->reserved + ALCHI_FRAME_HEADER + meta;
    return ALCH_OK;
}

void
alchi_channel_send_reserved(alchi_channel_t *channel, const alchi_frame_t *frame)
{
    alchi_frame_t header = *frame;

    header.version = ALCHI_WIRE_VERSION;
    header.meta = channel->reserved_meta;
    alchi_frame_encode(&header, channel->reserved);
    alchi_stream_commit(channel->stream, ALCHI_FRAME_HEADER + (size_t)header.meta + header.payload);
}

/* ---- receiving ---- */

static int
break_receiving(alchi_channel_t *channel, int code, int number)
{
    channel->receive_code = code;
    channel->receive_errno = number;
    errno = number;
    return code;
}

static uint32_t
load_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Record in `fault` why the header at the front of the buffer is refused. */
static int
refuse_header(alchi_channel_t *channel, int code)
{
    const uint8_t *bytes = alchi_buf_bytes(&channel->in);
    size_t size = alchi_buf_size(&channel->in), length = 0;
    char *text = channel->fault;
    char digits[3 * 8 + 1] = "";

    if (code == ALCH_EVERSION) {
        snprintf(text, sizeof(channel->fault), "the frame has wire version %u, but this side speaks version %d",
                 bytes[4], ALCHI_WIRE_VERSION);
    } else if (code == ALCH_ELIMIT) {
        snprintf(text, sizeof(channel->fault),
                 "the %s frame has %u bytes of message and %u of payload, but this side accepts at most %u and %u",
                 alchi_message_name(bytes[6] | (unsigned)bytes[7] << 8), load_u32(bytes + 16), load_u32(bytes + 20),
                 channel->meta_max, channel->payload_max);
    } else {
        for (size_t i = 0; i < size && i < 8; i++)
            length += (size_t)snprintf(digits + length, sizeof(digits) - length, " %02x", bytes[i]);
        snprintf(text, sizeof(channel->fault), "the bytes are not a frame of this protocol: they start with%s", digits);
    }
    return break_receiving(channel, code, 0);
}

/* Decode the frame at the front of the buffer. ALCH_EAGAIN: *need_p bytes are needed for the next step. */
static int
decode_frame(alchi_channel_t *channel, alchi_frame_t *frame_p, ProtobufCMessage **message_p, size_t *need_p)
{
    const uint8_t *bytes = alchi_buf_bytes(&channel->in);
    size_t size = alchi_buf_size(&channel->in);
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int code;

    *need_p = ALCHI_FRAME_HEADER;
    if (size == 0)
        return ALCH_EAGAIN;
    code = alchi_frame_peek(bytes, size, channel->meta_max, channel->payload_max, &frame);
    if (code == ALCH_EAGAIN)
        return code;
    if (code != ALCH_OK)
        return refuse_header(channel, code);
    /* If this were allowed, a peer could send such frames forever, and the payload would never be complete. */
    if ((frame.flags & ALCHI_FRAME_MORE) && frame.payload == 0) {
        snprintf(channel->fault, sizeof(channel->fault), "the %s frame announces more payload but has none",
                 alchi_message_name(frame.type));
        return break_receiving(channel, ALCH_EPROTO, 0);
    }
    *need_p = ALCHI_FRAME_HEADER + (size_t)frame.meta;
    if (size < *need_p)
        return ALCH_EAGAIN;
    /* A payload frame without a message continues the payload of the message before it. */
    if (frame.meta > 0 || frame.payload == 0) {
        code = alchi_message_decode(frame.type, bytes + ALCHI_FRAME_HEADER, frame.meta, &message);
        if (code != ALCH_OK) {
            snprintf(channel->fault, sizeof(channel->fault), "the message of %u bytes in a frame of type %u (%s) %s",
                     frame.meta, frame.type, alchi_message_name(frame.type),
                     code == ALCH_ENOMEM ? "does not fit into memory" : "cannot be decoded");
            return break_receiving(channel, code, 0);
        }
    }
    alchi_buf_consume(&channel->in, *need_p);
    channel->payload_left = frame.payload;
    channel->has_check = frame.flags & ALCHI_FRAME_CHECK;
    channel->payload_sum = 0;
    *frame_p = frame;
    *message_p = message;
    return ALCH_OK;
}

/* Read once, to bring the buffer closer to `need` bytes. ALCH_OK: bytes have arrived. */
static int
fill_buffer(alchi_channel_t *channel, size_t need)
{
    size_t have = alchi_buf_size(&channel->in);
    size_t ahead = alchi_stream_reserve_max(channel->stream) ? 0
                   : channel->payload_max > 0                ? READ_AHEAD_BULK
                                                             : READ_AHEAD;
    size_t room = (need > ahead ? need : ahead) - have;
    uint8_t *bytes;
    ssize_t n;

    if (room > READ_STEP)
        room = READ_STEP;
    bytes = alchi_buf_reserve(&channel->in, room);
    if (!bytes)
        return break_receiving(channel, ALCH_ENOMEM, ENOMEM);
    n = alchi_stream_read(channel->stream, bytes, room);
    if (n < 0)
        return break_receiving(channel, ALCH_ECONNECT, errno);
    alchi_buf_commit(&channel->in, (size_t)n);
    return n > 0 ? ALCH_OK : ALCH_EAGAIN;
}

int
alchi_channel_receive(alchi_channel_t *channel, alchi_frame_t *frame_p, ProtobufCMessage **message_p)
{
    size_t need;
    int code;

    if (channel->receive_code)
        return break_receiving(channel, channel->receive_code, channel->receive_errno);
    if (channel->payload_left > 0)
        return ALCH_ESTATE;
    do {
        code = decode_frame(channel, frame_p, message_p, &need);
        if (code != ALCH_EAGAIN)
            return code;
        code = fill_buffer(channel, need);
    } while (code == ALCH_OK);
    return code;
}

bool
alchi_channel_buffered(const alchi_channel_t *channel)
{
    return !channel->receive_code && alchi_buf_size(&channel->in) > 0;
}

/* Count `size` bytes of payload as taken, and add them to the sum now, while they are in the cache. */
static void
count_payload(alchi_channel_t *channel, const struct iovec *iov, int count, size_t size)
{
    channel->payload_left -= (uint32_t)size;
    if (channel->has_check)
        channel->payload_sum = alchi_crc32c_pieces(channel->payload_sum, iov, count, size);
}

const uint8_t *
alchi_channel_peek_payload(alchi_channel_t *channel, size_t *size_p)
{
    const uint8_t *bytes;

    if (channel->receive_code || channel->payload_left == 0 || alchi_buf_size(&channel->in) > 0)
        return NULL;
    bytes = alchi_stream_peek(channel->stream, size_p);
    if (bytes && *size_p > channel->payload_left)
        *size_p = channel->payload_left;
    return bytes;
}

void
alchi_channel_consume_payload(alchi_channel_t *channel, const uint8_t *bytes, size_t size)
{
    count_payload(channel, &(struct iovec){(void *)(uintptr_t)bytes, size}, 1, size);
    alchi_stream_consume(channel->stream, size);
}

uint32_t
alchi_channel_payload_sum(const alchi_channel_t *channel)
{
    return channel->payload_sum;
}

ssize_t
alchi_channel_read_payload(alchi_channel_t *channel, void *bytes, size_t size)
{
    size_t buffered = alchi_buf_size(&channel->in);
    ssize_t n = 0;

    if (channel->receive_code) {
        errno = channel->receive_errno;
        return -1;
    }
    if (size > channel->payload_left)
        size = channel->payload_left;
    if (size == 0) {
        errno = EINVAL;
        return -1;
    }
    if (buffered > size)
        buffered = size;
    if (buffered > 0) {
        memcpy(bytes, alchi_buf_bytes(&channel->in), buffered);
        alchi_buf_consume(&channel->in, buffered);
    }
    if (buffered < size)
        n = alchi_stream_read(channel->stream, (uint8_t *)bytes + buffered, size - buffered);
    if (n < 0) {
        break_receiving(channel, ALCH_ECONNECT, errno);
        if (buffered == 0)
            return -1;
        n = 0;
    }
    count_payload(channel, &(struct iovec){bytes, size}, 1, buffered + (size_t)n);
    return (ssize_t)buffered + n;
}

ssize_t
alchi_channel_readv_payload(alchi_channel_t *channel, const struct iovec *iov, int count)
{
    size_t size = 0;
    ssize_t n;

    for (int k = 0; k < count; k++)
        size += iov[k].iov_len;
    /* Bytes that were read ahead must be copied first. */
    if (count < 2 || channel->receive_code || alchi_buf_size(&channel->in) > 0 || size > channel->payload_left)
        return alchi_channel_read_payload(channel, count ? iov[0].iov_base : NULL, count ? iov[0].iov_len : 0);
    n = alchi_stream_readv(channel->stream, iov, count);
    if (n < 0)
        break_receiving(channel, ALCH_ECONNECT, errno);
    else
        count_payload(channel, iov, count, (size_t)n);
    return n;
}

const char *
alchi_channel_fault(const alchi_channel_t *channel)
{
    return channel->fault;
}

/* ---- waiting variants ---- */

int
alchi_channel_flush_by(alchi_channel_t *channel, alchi_deadline_t deadline)
{
    for (;;) {
        int code = alchi_channel_flush(channel);

        if (code != ALCH_EAGAIN)
            return code;
        if (channel->payload_head && channel->out_before_payload == 0)
            return ALCH_ESTATE; /* only alchi_channel_send_payload() can send the rest of the payload frame */
        code = alchi_stream_wait(channel->stream, POLLOUT, deadline);
        if (code != ALCH_OK)
            return code;
    }
}

int
alchi_channel_receive_by(alchi_channel_t *channel, alchi_deadline_t deadline, alchi_frame_t *frame_p,
                         ProtobufCMessage **message_p)
{
    for (;;) {
        int code = alchi_channel_receive(channel, frame_p, message_p);

        if (code != ALCH_EAGAIN)
            return code;
        code = alchi_stream_wait(channel->stream, POLLIN, deadline);
        if (code != ALCH_OK)
            return code;
    }
}
