#include "net/channel.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "net/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Read ahead on a channel for messages only; where bulk data travels the read-ahead is just enough for a small
 * message, because payload that lands in the buffer has to be copied once more; what comes without
 * a system call is not read ahead at all. */
#define READ_AHEAD ((size_t)16 << 10)
#define READ_AHEAD_BULK ((size_t)256)
/* A message that is larger than the read-ahead grows the buffer as it arrives, not as it is announced. */
#define READ_STEP ((size_t)64 << 10)
#define IOV_STEP 256
#define MADE_HEAD (((size_t)1 << 10) + ALCHI_FRAME_HEADER)

struct alchi_channel {
    alchi_stream_t *stream;

    /* sending */
    alchi_buf_t out;
    size_t payload_head; /* header and message of the payload frame under way; 0: there is none */
    size_t out_first;    /* while one is under way: what of `out` goes before its payload */
    int send_code, send_errno;
    uint8_t *made; /* where a frame is being made */
    uint32_t made_meta;

    /* receiving */
    alchi_buf_t in;
    uint32_t meta_max, payload_max;
    uint32_t payload_left;
    bool summing; /* the frame has a check */
    uint32_t sum; /* of what was taken of its payload */
    int receive_code, receive_errno;
    char fault[192];
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
send_broken(alchi_channel_t *channel, int code, int number)
{
    channel->send_code = code;
    channel->send_errno = number;
    errno = number;
    return code;
}

/* Send the queued bytes that may go now: not those behind a payload that is under way. */
static int
write_out(alchi_channel_t *channel)
{
    size_t left = channel->payload_head ? channel->out_first : alchi_buf_size(&channel->out);
    struct iovec iov;
    ssize_t n;

    if (left == 0)
        return ALCH_OK;
    iov = (struct iovec){alchi_buf_bytes(&channel->out), left};
    n = alchi_stream_writev(channel->stream, &iov, 1);
    if (n < 0)
        return send_broken(channel, ALCH_ECONNECT, errno);
    alchi_buf_consume(&channel->out, (size_t)n);
    if (channel->payload_head)
        channel->out_first -= (size_t)n;
    return (size_t)n == left ? ALCH_OK : ALCH_EAGAIN;
}

/* Append a frame's header and message (*size_p bytes), encoded straight into the queue. */
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
        int code = write_out(channel);

        if (code != ALCH_OK && code != ALCH_EAGAIN)
            return code;
        waiting = alchi_buf_size(&channel->out);
        if (waiting > 0 && waiting + size > ALCHI_CHANNEL_BACKLOG)
            return send_broken(channel, ALCH_ELIMIT, 0);
    }
    bytes = alchi_buf_reserve(&channel->out, size);
    if (!bytes)
        return send_broken(channel, ALCH_ENOMEM, ENOMEM);
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
        return send_broken(channel, channel->send_code, channel->send_errno);
    code = queue_frame(channel, frame, message, &size);
    if (code != ALCH_OK)
        return code;
    code = write_out(channel);
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
        return send_broken(channel, channel->send_code, channel->send_errno);
    code = write_out(channel);
    if (code == ALCH_OK && alchi_buf_size(&channel->out) > 0)
        return ALCH_EAGAIN; /* the rest waits behind a payload */
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

/* A place within the caller's list of pieces. */
typedef struct {
    const struct iovec *payload;
    int count, index;
    size_t offset; /* into piece `index` */
} cursor_t;

static void
cursor_advance(cursor_t *cursor, size_t bytes)
{
    cursor->offset += bytes;
    while (cursor->index < cursor->count && cursor->offset >= cursor->payload[cursor->index].iov_len)
        cursor->offset -= cursor->payload[cursor->index++].iov_len;
}

/* What comes next: queued bytes, then pieces from the cursor on. Returns the number of entries. */
static int
gather(const alchi_channel_t *channel, const cursor_t *cursor, struct iovec *iov, size_t *bytes_p)
{
    size_t offset = cursor->offset, bytes = channel->out_first;
    int n = 0;

    if (channel->out_first > 0)
        iov[n++] = (struct iovec){alchi_buf_bytes(&channel->out), channel->out_first};
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
        int pieces = gather(channel, &cursor, iov, &bytes);

        if (bytes == 0)
            return ALCH_OK;
        n = alchi_stream_writev(channel->stream, iov, pieces);
        if (n < 0)
            return send_broken(channel, ALCH_ECONNECT, errno);
        first = (size_t)n < channel->out_first ? (size_t)n : channel->out_first;
        alchi_buf_consume(&channel->out, first);
        channel->out_first -= first;
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
        return send_broken(channel, channel->send_code, channel->send_errno);
    if ((*sent_p == 0) != (channel->payload_head == 0) || *sent_p < channel->payload_head)
        return ALCH_ESTATE;
    if (*sent_p == 0) {
        if (frame->payload > ALCHI_PAYLOAD_MAX || !payload_fits(frame, payload, count))
            return ALCH_EINVAL;
        code = queue_frame(channel, *frame, message, sent_p);
        if (code != ALCH_OK)
            return code;
        channel->payload_head = *sent_p;
        channel->out_first = alchi_buf_size(&channel->out);
    }
    code = write_payload(channel, payload, count, sent_p);
    if (code != ALCH_OK)
        return code;
    channel->payload_head = 0;
    code = write_out(channel);
    return code == ALCH_EAGAIN ? ALCH_OK : code;
}

/* ---- in the stream's own memory ---- */

size_t
alchi_channel_make_max(const alchi_channel_t *channel)
{
    size_t most = alchi_stream_reserve_max(channel->stream);

    return most > MADE_HEAD ? most - MADE_HEAD : 0;
}

int
alchi_channel_make_payload(alchi_channel_t *channel, const alchi_frame_t *frame, const void *message, uint8_t **place_p)
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
    channel->made = alchi_stream_reserve(channel->stream, size);
    if (!channel->made)
        return errno == EAGAIN ? ALCH_EAGAIN : send_broken(channel, ALCH_ECONNECT, errno);
    channel->made_meta = (uint32_t)meta;
    if (message)
        protobuf_c_message_pack(message, channel->made + ALCHI_FRAME_HEADER);
    *place_p = channel->made + ALCHI_FRAME_HEADER + meta;
    return ALCH_OK;
}

void
alchi_channel_send_made(alchi_channel_t *channel, const alchi_frame_t *frame)
{
    alchi_frame_t made = *frame;

    made.version = ALCHI_WIRE_VERSION;
    made.meta = channel->made_meta;
    alchi_frame_encode(&made, channel->made);
    alchi_stream_commit(channel->stream, ALCHI_FRAME_HEADER + (size_t)made.meta + made.payload);
}

/* ---- receiving ---- */

static int
receive_broken(alchi_channel_t *channel, int code, int number)
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

/* Say what is wrong with a header that was refused. */
static int
refuse_header(alchi_channel_t *channel, int code)
{
    const uint8_t *bytes = alchi_buf_bytes(&channel->in);
    size_t size = alchi_buf_size(&channel->in), length = 0;
    char *text = channel->fault;
    char digits[3 * 8 + 1] = "";

    if (code == ALCH_EVERSION) {
        snprintf(text, sizeof(channel->fault), "frame of wire version %u, this side speaks %d", bytes[4],
                 ALCHI_WIRE_VERSION);
    } else if (code == ALCH_ELIMIT) {
        snprintf(text, sizeof(channel->fault),
                 "%s frame of %u bytes of message and %u of payload, at most %u and %u are accepted here",
                 alchi_message_name(bytes[6] | (unsigned)bytes[7] << 8), load_u32(bytes + 16), load_u32(bytes + 20),
                 channel->meta_max, channel->payload_max);
    } else {
        for (size_t i = 0; i < size && i < 8; i++)
            length += (size_t)snprintf(digits + length, sizeof(digits) - length, " %02x", bytes[i]);
        snprintf(text, sizeof(channel->fault), "not a frame of this protocol: it starts with%s", digits);
    }
    return receive_broken(channel, code, 0);
}

/* Decode the frame at the front of the buffer. ALCH_EAGAIN: *need_p bytes are needed for the next step. */
static int
take_frame(alchi_channel_t *channel, alchi_frame_t *frame_p, ProtobufCMessage **message_p, size_t *need_p)
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
    /* Frames that only promise more would go on for ever without a byte that counts. */
    if ((frame.flags & ALCHI_FRAME_MORE) && frame.payload == 0) {
        snprintf(channel->fault, sizeof(channel->fault), "%s frame without payload that says that more follows",
                 alchi_message_name(frame.type));
        return receive_broken(channel, ALCH_EPROTO, 0);
    }
    *need_p = ALCHI_FRAME_HEADER + (size_t)frame.meta;
    if (size < *need_p)
        return ALCH_EAGAIN;
    /* A payload frame without a message goes on with the message before it. */
    if (frame.meta > 0 || frame.payload == 0) {
        code = alchi_message_decode(frame.type, bytes + ALCHI_FRAME_HEADER, frame.meta, &message);
        if (code != ALCH_OK) {
            snprintf(channel->fault, sizeof(channel->fault), "frame of type %u (%s): its message of %u bytes %s",
                     frame.type, alchi_message_name(frame.type), frame.meta,
                     code == ALCH_ENOMEM ? "does not fit into memory" : "cannot be decoded");
            return receive_broken(channel, code, 0);
        }
    }
    alchi_buf_consume(&channel->in, *need_p);
    channel->payload_left = frame.payload;
    channel->summing = frame.flags & ALCHI_FRAME_CHECK;
    channel->sum = 0;
    *frame_p = frame;
    *message_p = message;
    return ALCH_OK;
}

/* Read towards `need` bytes in the buffer. ALCH_OK: there are more than before. */
static int
fill(alchi_channel_t *channel, size_t need)
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
        return receive_broken(channel, ALCH_ENOMEM, ENOMEM);
    n = alchi_stream_read(channel->stream, bytes, room);
    if (n < 0)
        return receive_broken(channel, ALCH_ECONNECT, errno);
    alchi_buf_commit(&channel->in, (size_t)n);
    return n > 0 ? ALCH_OK : ALCH_EAGAIN;
}

int
alchi_channel_receive(alchi_channel_t *channel, alchi_frame_t *frame_p, ProtobufCMessage **message_p)
{
    size_t need;
    int code;

    if (channel->receive_code)
        return receive_broken(channel, channel->receive_code, channel->receive_errno);
    if (channel->payload_left > 0)
        return ALCH_ESTATE;
    do {
        code = take_frame(channel, frame_p, message_p, &need);
        if (code != ALCH_EAGAIN)
            return code;
        code = fill(channel, need);
    } while (code == ALCH_OK);
    return code;
}

bool
alchi_channel_buffered(const alchi_channel_t *channel)
{
    return !channel->receive_code && alchi_buf_size(&channel->in) > 0;
}

/* Count `size` bytes of payload as taken, while they are in the cache. */
static void
taken(alchi_channel_t *channel, const struct iovec *iov, int count, size_t size)
{
    channel->payload_left -= (uint32_t)size;
    if (channel->summing)
        channel->sum = alchi_crc32c_pieces(channel->sum, iov, count, size);
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
alchi_channel_take_payload(alchi_channel_t *channel, const uint8_t *bytes, size_t size)
{
    taken(channel, &(struct iovec){(void *)(uintptr_t)bytes, size}, 1, size);
    alchi_stream_consume(channel->stream, size);
}

uint32_t
alchi_channel_payload_sum(const alchi_channel_t *channel)
{
    return channel->sum;
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
        receive_broken(channel, ALCH_ECONNECT, errno);
        if (buffered == 0)
            return -1;
        n = 0;
    }
    taken(channel, &(struct iovec){bytes, size}, 1, buffered + (size_t)n);
    return (ssize_t)buffered + n;
}

ssize_t
alchi_channel_readv_payload(alchi_channel_t *channel, const struct iovec *iov, int count)
{
    size_t size = 0;
    ssize_t n;

    for (int k = 0; k < count; k++)
        size += iov[k].iov_len;
    /* What was read ahead is copied first. */
    if (count < 2 || channel->receive_code || alchi_buf_size(&channel->in) > 0 || size > channel->payload_left)
        return alchi_channel_read_payload(channel, count ? iov[0].iov_base : NULL, count ? iov[0].iov_len : 0);
    n = alchi_stream_readv(channel->stream, iov, count);
    if (n < 0)
        receive_broken(channel, ALCH_ECONNECT, errno);
    else
        taken(channel, iov, count, (size_t)n);
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
        if (channel->payload_head && channel->out_first == 0)
            return ALCH_ESTATE; /* only alchi_channel_send_payload() gets on from here */
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
