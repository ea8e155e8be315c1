/* Channels over sockets and shared memory: frames, limits, deadlines, payload, and peers that break the protocol. */
#include "net_pair.h"

#include "base/crc32c.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The channel under test, and the stream at its other end. Most tests run over sockets (kind 0) and over shared memory
 * (kind 1). */
static alchi_channel_t *channel;
static alchi_stream_t *peer;

static void
open_raw(int kind)
{
    int fd[2];

    pair_unix(fd);
    channel = pair_channel(fd[0]);
    peer = pair_stream(fd[1]);
    if (kind == 1)
        pair_share(alchi_channel_stream(channel), peer, PAIR_RING);
}

/* Connect two channels with the limits after authentication, payload included. */
static void
open_joined(int kind, alchi_channel_t *end[2])
{
    int fd[2];

    if (kind == 0)
        pair_tcp(fd);
    else
        pair_unix(fd);
    for (int i = 0; i < 2; i++)
        end[i] = pair_channel(fd[i]);
    if (kind == 1)
        pair_share(alchi_channel_stream(end[0]), alchi_channel_stream(end[1]), PAIR_RING);
    for (int i = 0; i < 2; i++) {
        alchi_channel_set_limits(end[i], ALCHI_META_MAX, ALCHI_PAYLOAD_MAX);
    }
}

/* Encode a frame with a TEST_STRING of `length` letters that announces `payload` bytes; returns its size without the
 * payload. */
static size_t
make_frame(uint8_t *out, uint64_t id, size_t length, uint32_t payload)
{
    Alchw__TestString message = ALCHW__TEST_STRING__INIT;
    alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION, .type = ALCHI_TEST_STRING, .id = id, .payload = payload};

    message.text = malloc(length + 1);
    memset(message.text, 'x', length);
    message.text[length] = '\0';
    frame.meta = (uint32_t)alchw__test_string__get_packed_size(&message);
    alchi_frame_encode(&frame, out);
    alchw__test_string__pack(&message, out + ALCHI_FRAME_HEADER);
    free(message.text);
    return ALCHI_FRAME_HEADER + frame.meta;
}

static void
feed(const void *bytes, size_t size)
{
    ck_assert_int_eq(pair_send(peer, bytes, size), (ssize_t)size);
}

static int
receive(alchi_frame_t *frame, ProtobufCMessage **message)
{
    return alchi_channel_receive_by(channel, alchi_deadline_in_ms(PAIR_WAIT_MS), frame, message);
}

static size_t
text_size(const ProtobufCMessage *message)
{
    const Alchw__TestString *test = (const Alchw__TestString *)message;

    return test->text ? strlen(test->text) : 0;
}

/* ---- a peer that breaks the protocol ---- */

static void
check_broken(int expected, const char *fault)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;

    unit_code(receive(&frame, &message), expected);
    ck_assert_msg(strstr(alchi_channel_fault(channel), fault), "\"%s\"", alchi_channel_fault(channel));
    unit_code(alchi_channel_receive(channel, &frame, &message), expected);
    unit_code(alchi_channel_send(channel, ALCHI_PING, 0, 1, NULL), ALCH_OK);
}

START_TEST(garbage_is_refused)
{
    open_raw(_i);
    feed("GET / HTTP/1.1\r\n\r\n", 18);
    check_broken(ALCH_EPROTO, "start with 47 45 54 20");
}
END_TEST

START_TEST(one_wrong_byte_is_refused)
{
    open_raw(_i);
    feed("\x16", 1);
    check_broken(ALCH_EPROTO, "start with 16");
}
END_TEST

START_TEST(other_wire_version_is_refused)
{
    uint8_t bytes[64];

    open_raw(_i);
    make_frame(bytes, 1, 3, 0);
    bytes[4] = 9;
    feed(bytes, ALCHI_FRAME_HEADER);
    check_broken(ALCH_EVERSION, "wire version 9");
}
END_TEST

/* The header alone is enough for the refusal: nothing of the announced size is read or allocated. */
START_TEST(oversized_message_is_refused)
{
    static uint8_t bytes[8192];

    open_raw(_i);
    make_frame(bytes, 1, 5000, 0);
    feed(bytes, ALCHI_FRAME_HEADER);
    check_broken(ALCH_ELIMIT,
                 "the TEST_STRING frame has 5003 bytes of message and 0 of payload, but this side accepts at "
                 "most 4096 and 0");
}
END_TEST

START_TEST(oversized_payload_is_refused)
{
    uint8_t bytes[64];

    open_raw(_i);
    alchi_channel_set_limits(channel, ALCHI_META_MAX, 0);
    feed(bytes, make_frame(bytes, 1, 3, 1));
    check_broken(ALCH_ELIMIT, "1 of payload");
}
END_TEST

START_TEST(undecodable_message_is_refused)
{
    uint8_t bytes[64];
    size_t size;

    open_raw(_i);
    size = make_frame(bytes, 1, 3, 0);
    bytes[size - 1] = 0xff; /* not UTF-8 */
    feed(bytes, size);
    check_broken(ALCH_EPROTO, "message of 5 bytes in a frame of type 17 (TEST_STRING) cannot be decoded");
}
END_TEST

/* Otherwise a peer could send such frames forever. */
START_TEST(more_flag_without_payload_is_refused)
{
    alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION, .type = ALCHI_DATA_WRITE, .flags = ALCHI_FRAME_MORE, .id = 1};
    uint8_t bytes[ALCHI_FRAME_HEADER];

    open_raw(_i);
    alchi_channel_set_limits(channel, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX);
    alchi_frame_encode(&frame, bytes);
    feed(bytes, sizeof(bytes));
    check_broken(ALCH_EPROTO, "the DATA_WRITE frame announces more payload but has none");
}
END_TEST

START_TEST(unknown_type_is_refused)
{
    alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION, .type = 999};
    uint8_t bytes[ALCHI_FRAME_HEADER];

    open_raw(_i);
    alchi_frame_encode(&frame, bytes);
    feed(bytes, sizeof(bytes));
    check_broken(ALCH_EPROTO, "frame of type 999");
}
END_TEST

/* The peer closes after any part of a frame. */
START_TEST(end_within_a_frame_is_a_closed_connection)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    uint8_t bytes[64];
    size_t size = make_frame(bytes, 1, 7, 0);

    for (size_t length = 0; length < size; length++) {
        open_raw(_i);
        feed(bytes, length);
        unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_EAGAIN);
        pair_close(peer);
        errno = 77;
        unit_code(receive(&frame, &message), ALCH_ECONNECT);
        ck_assert_int_eq(errno, 0);
        ck_assert_str_eq(alchi_channel_fault(channel), "");
        unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_ECONNECT);
        pair_destroy(channel);
    }
}
END_TEST

/* ---- receiving ---- */

START_TEST(frame_arrives_byte_by_byte)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    uint8_t bytes[64];
    size_t size = make_frame(bytes, 42, 9, 0);

    open_raw(_i);
    for (size_t i = 0; i < size; i++) {
        unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_EAGAIN);
        feed(bytes + i, 1);
    }
    unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_OK);
    ck_assert_uint_eq(frame.id, 42);
    ck_assert_uint_eq(frame.type, ALCHI_TEST_STRING);
    ck_assert_uint_eq(text_size(message), 9);
    alchi_message_free(message);
    unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_EAGAIN);
}
END_TEST

START_TEST(many_frames_arrive_at_once)
{
    static uint8_t bytes[300 * 64];
    alchi_frame_t frame;
    ProtobufCMessage *message;
    size_t size = 0;

    open_raw(_i);
    for (uint64_t id = 0; id < 300; id++)
        size += make_frame(bytes + size, id, id % 20, 0);
    feed(bytes, size);
    for (uint64_t id = 0; id < 300; id++) {
        unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_OK);
        ck_assert_uint_eq(frame.id, id);
        ck_assert_uint_eq(text_size(message), id % 20);
        alchi_message_free(message);
    }
    ck_assert(!alchi_channel_buffered(channel));
    unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_EAGAIN);
}
END_TEST

/* The message of a known type is never NULL, so the receiver can cast it without a check. */
START_TEST(empty_message_is_a_struct)
{
    alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION, .type = ALCHI_SUBMIT_TASK, .id = 3};
    uint8_t bytes[ALCHI_FRAME_HEADER];
    ProtobufCMessage *message = NULL;

    open_raw(_i);
    alchi_frame_encode(&frame, bytes);
    feed(bytes, sizeof(bytes));
    unit_code(receive(&frame, &message), ALCH_OK);
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(((Alchw__SubmitTask *)message)->n_arguments, 0);
    alchi_message_free(message);
}
END_TEST

START_TEST(receive_has_a_deadline)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    int64_t start = alchi_now_ns();

    open_raw(_i);
    unit_code(alchi_channel_receive_by(channel, alchi_deadline_in_ms(30), &frame, &message), ALCH_ETIMEDOUT);
    ck_assert_int_ge(alchi_now_ns() - start, 29000000);
    unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_EAGAIN);
}
END_TEST

START_TEST(next_frame_needs_the_payload_taken)
{
    alchi_frame_t frame;
    ProtobufCMessage *message = NULL;
    uint8_t bytes[128], payload[16];
    size_t size = make_frame(bytes, 1, 3, 10);

    open_raw(_i);
    alchi_channel_set_limits(channel, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX);
    memcpy(bytes + size, "0123456789", 10);
    size += 10;
    size += make_frame(bytes + size, 2, 4, 0);
    feed(bytes, size);
    unit_code(receive(&frame, &message), ALCH_OK);
    ck_assert_uint_eq(frame.payload, 10);
    alchi_message_free(message);
    unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_ESTATE);
    ck_assert_int_eq(alchi_channel_read_payload(channel, payload, 4), 4);
    ck_assert_int_eq(alchi_channel_read_payload(channel, payload + 4, 12), 6);
    ck_assert_mem_eq(payload, "0123456789", 10);
    ck_assert_int_eq(alchi_channel_read_payload(channel, payload, 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    unit_code(receive(&frame, &message), ALCH_OK);
    ck_assert_uint_eq(frame.id, 2);
    alchi_message_free(message);
}
END_TEST

START_TEST(end_within_payload_is_a_closed_connection)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    uint8_t bytes[128], payload[16];
    size_t size = make_frame(bytes, 1, 3, 10);

    open_raw(_i);
    alchi_channel_set_limits(channel, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX);
    feed(bytes, size);
    feed("0123", 4);
    unit_code(receive(&frame, &message), ALCH_OK);
    alchi_message_free(message);
    ck_assert_int_eq(alchi_channel_read_payload(channel, payload, sizeof(payload)), 4);
    ck_assert_int_eq(alchi_channel_read_payload(channel, payload, sizeof(payload)), 0);
    pair_close(peer);
    ck_assert_int_eq(alchi_channel_read_payload(channel, payload, sizeof(payload)), -1);
    ck_assert_int_eq(errno, 0);
    unit_code(alchi_channel_receive(channel, &frame, &message), ALCH_ECONNECT);
}
END_TEST

/* Bulk data does not pass through the buffer, except for the few bytes that are read ahead. */
START_TEST(payload_is_not_read_ahead)
{
    static uint8_t bytes[100000];
    alchi_frame_t frame;
    ProtobufCMessage *message;
    size_t size = make_frame(bytes, 1, 3, 90000);
    ssize_t left = 0, n;

    open_raw(_i);
    alchi_channel_set_limits(channel, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX);
    feed(bytes, size + 90000);
    unit_code(receive(&frame, &message), ALCH_OK);
    alchi_message_free(message);
    while ((n = alchi_stream_read(alchi_channel_stream(channel), bytes, sizeof(bytes))) > 0)
        left += n;
    ck_assert_int_ge(left, 90000 - 256);
}
END_TEST

/* ---- sending ---- */

START_TEST(frame_has_the_bytes_of_the_format)
{
    Alchw__TestString message = ALCHW__TEST_STRING__INIT;
    uint8_t expected[64], bytes[64];
    size_t size = make_frame(expected, 7, 3, 0);

    open_raw(_i);
    message.text = "xxx";
    unit_code(alchi_channel_send(channel, ALCHI_TEST_STRING, 0, 7, &message), ALCH_OK);
    ck_assert(!alchi_channel_wants_write(channel));
    ck_assert_int_eq(alchi_stream_read(peer, bytes, sizeof(bytes)), (ssize_t)size);
    ck_assert_mem_eq(bytes, expected, size);
}
END_TEST

START_TEST(message_above_limit_is_not_queued)
{
    Alchw__TestString message = ALCHW__TEST_STRING__INIT;
    uint8_t bytes[64];

    open_raw(_i);
    message.text = calloc(1, ALCHI_META_MAX + 1);
    memset(message.text, 'x', ALCHI_META_MAX);
    unit_code(alchi_channel_send(channel, ALCHI_TEST_STRING, 0, 7, &message), ALCH_ERANGE);
    free(message.text);
    unit_code(alchi_channel_send(channel, ALCHI_PING, 0, 8, NULL), ALCH_OK);
    ck_assert_int_eq(alchi_stream_read(peer, bytes, sizeof(bytes)), ALCHI_FRAME_HEADER);
}
END_TEST

START_TEST(backlog_is_bounded)
{
    Alchw__TestString message = ALCHW__TEST_STRING__INIT;
    alchi_frame_t frame;
    ProtobufCMessage *received;
    uint8_t bytes[64];
    const size_t size = (size_t)1 << 19;
    size_t sent = 0;
    int code = ALCH_OK;

    open_raw(_i);
    message.text = calloc(1, size + 1);
    memset(message.text, 'x', size);
    for (; code == ALCH_OK && sent < 2 * ALCHI_CHANNEL_BACKLOG; sent += size)
        code = alchi_channel_send(channel, ALCHI_TEST_STRING, 0, 7, &message);
    free(message.text);
    unit_code(code, ALCH_ELIMIT);
    ck_assert_uint_gt(sent, ALCHI_CHANNEL_BACKLOG);
    unit_code(alchi_channel_send(channel, ALCHI_PING, 0, 8, NULL), ALCH_ELIMIT);
    unit_code(alchi_channel_flush(channel), ALCH_ELIMIT);
    /* The other direction still works. */
    feed(bytes, make_frame(bytes, 5, 3, 0));
    unit_code(receive(&frame, &received), ALCH_OK);
    alchi_message_free(received);
}
END_TEST

START_TEST(flush_has_a_deadline)
{
    Alchw__TestString message = ALCHW__TEST_STRING__INIT;
    static uint8_t bytes[1 << 16];

    open_raw(_i);
    message.text = calloc(1, 500001);
    memset(message.text, 'x', 500000);
    for (int i = 0; i < 4; i++)
        unit_code(alchi_channel_send(channel, ALCHI_TEST_STRING, 0, 7, &message), ALCH_OK);
    free(message.text);
    ck_assert(alchi_channel_wants_write(channel));
    unit_code(alchi_channel_flush(channel), ALCH_EAGAIN);
    unit_code(alchi_channel_flush_by(channel, alchi_deadline_in_ms(20)), ALCH_ETIMEDOUT);
    while (alchi_channel_flush(channel) == ALCH_EAGAIN)
        ck_assert_int_gt(alchi_stream_read(peer, bytes, sizeof(bytes)), 0);
    ck_assert(!alchi_channel_wants_write(channel));
}
END_TEST

START_TEST(send_to_closed_peer_fails)
{
    open_raw(_i);
    pair_close(peer);
    /* Over shared memory a read or a wait notices the end; a write does not. */
    ck_assert(!alchi_stream_idle(alchi_channel_stream(channel)));
    unit_code(alchi_channel_send(channel, ALCHI_PING, 0, 1, NULL), ALCH_ECONNECT);
    ck_assert_int_eq(errno, EPIPE);
    errno = 0;
    unit_code(alchi_channel_flush(channel), ALCH_ECONNECT);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert(!alchi_channel_wants_write(channel));
}
END_TEST

/* The text of an error may end within a character, or contain bytes from anywhere. */
START_TEST(error_text_is_made_valid)
{
    alchi_channel_t *end[2];
    alch_error_t error = {.code = ALCH_EFUNCTION, .rank = 2, .text = "caf\xc3\xa9 \xff\x01\nline\xe2\x82"};
    alchi_frame_t frame;
    ProtobufCMessage *message;

    open_joined(_i, end);
    unit_code(alchi_channel_send_error(end[0], 9, &error), ALCH_OK);
    unit_code(alchi_channel_receive_by(end[1], alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message), ALCH_OK);
    ck_assert_uint_eq(frame.type, ALCHI_ERROR);
    ck_assert_uint_eq(frame.flags, ALCHI_FRAME_REPLY);
    ck_assert_uint_eq(frame.id, 9);
    ck_assert_uint_eq(((Alchw__Error *)message)->code, ALCH_EFUNCTION);
    ck_assert_int_eq(((Alchw__Error *)message)->rank, 2);
    ck_assert_str_eq(((Alchw__Error *)message)->text, "caf\xc3\xa9 ??\nline??");
    alchi_message_free(message);
    error.rank = -1;
    unit_code(alchi_channel_send_error(end[0], 0, &error), ALCH_OK);
    unit_code(alchi_channel_receive_by(end[1], alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message), ALCH_OK);
    ck_assert_uint_eq(frame.flags, 0);
    ck_assert_int_eq(((Alchw__Error *)message)->rank, -1);
    alchi_message_free(message);
}
END_TEST

/* ---- payload ---- */

START_TEST(wrong_payload_arguments_are_refused)
{
    alchi_frame_t frame = {.type = ALCHI_DATA_WRITE, .id = 1, .payload = 10};
    struct iovec iov[2] = {{"0123456", 7}, {"89", 2}};
    size_t sent = 0;

    open_raw(_i);
    unit_code(alchi_channel_send_payload(channel, &frame, NULL, iov, 2, &sent), ALCH_EINVAL);
    iov[1].iov_len = SIZE_MAX;
    unit_code(alchi_channel_send_payload(channel, &frame, NULL, iov, 2, &sent), ALCH_EINVAL);
    frame.payload = ALCHI_PAYLOAD_MAX + 1;
    iov[0].iov_len = frame.payload;
    unit_code(alchi_channel_send_payload(channel, &frame, NULL, iov, 1, &sent), ALCH_EINVAL);
    sent = 40;
    unit_code(alchi_channel_send_payload(channel, &frame, NULL, iov, 1, &sent), ALCH_ESTATE);
    ck_assert(!alchi_channel_wants_write(channel));
}
END_TEST

#define PIECES 1500

static void *
drain(void *argument)
{
    alchi_channel_t *end = argument;
    uint8_t *payload = malloc(ALCHI_PAYLOAD_MAX);
    alchi_frame_t frame;
    ProtobufCMessage *message;
    size_t wrong = 0;

    for (int k = 0; k < 4; k++) {
        size_t got = 0;

        if (alchi_channel_receive_by(end, alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message) != ALCH_OK)
            return (void *)"no frame";
        if ((k == 0) != (message != NULL) || frame.id != (k == 3 ? 6U : 5U))
            return (void *)"wrong frame";
        alchi_message_free(message);
        while (got < frame.payload) {
            size_t ask = (size_t)(rand() % 70000 + 1);
            ssize_t n = alchi_channel_read_payload(end, payload + got, ask);

            if (n < 0)
                return (void *)"no payload";
            if (n == 0)
                alchi_stream_wait(alchi_channel_stream(end), POLLIN, alchi_deadline_in_ms(PAIR_WAIT_MS));
            got += (size_t)n;
        }
        for (size_t i = 0; i < frame.payload; i++)
            wrong += payload[i] != (uint8_t)(i * 7 + (size_t)k);
    }
    free(payload);
    return wrong ? (void *)"wrong bytes" : NULL;
}

/* Frames are sent in many pieces of all sizes, some of them empty, and the reader takes them in other pieces. */
START_TEST(payload_arrives_in_other_pieces)
{
    static uint8_t bytes[ALCHI_PAYLOAD_MAX];
    static struct iovec iov[PIECES];
    Alchw__DataWrite message = ALCHW__DATA_WRITE__INIT;
    alchi_channel_t *end[2];
    pthread_t thread;
    void *failure;

    open_joined(_i, end);
    ck_assert_int_eq(pthread_create(&thread, NULL, drain, end[1]), 0);
    message.has_matrix = 1;
    message.matrix = 3;
    for (int k = 0; k < 4; k++) {
        alchi_frame_t frame = {.type = ALCHI_DATA_WRITE, .id = k == 3 ? 6 : 5, .flags = k < 2 ? ALCHI_FRAME_MORE : 0};
        size_t offset = 0, sent = 0;
        int code;

        for (int i = 0; i < PIECES; i++) {
            size_t size = (size_t)(i < PIECES - 1 ? i % 700 : 100000);

            iov[i] = (struct iovec){bytes + offset, size};
            offset += size;
        }
        for (size_t i = 0; i < offset; i++)
            bytes[i] = (uint8_t)(i * 7 + (size_t)k);
        frame.payload = (uint32_t)offset;
        while ((code = alchi_channel_send_payload(end[0], &frame, k ? NULL : &message, iov, PIECES, &sent)) ==
               ALCH_EAGAIN)
            unit_code(alchi_stream_wait(alchi_channel_stream(end[0]), POLLOUT, alchi_deadline_in_ms(PAIR_WAIT_MS)),
                      ALCH_OK);
        unit_code(code, ALCH_OK);
    }
    pthread_join(thread, &failure);
    ck_assert_msg(failure == NULL, "%s", (char *)failure);
}
END_TEST

/* A PING and a payload frame of which a part is sent. The other end has received the PING, the header and the part. */
typedef struct {
    alchi_channel_t *end[2];
    alchi_frame_t frame;
    struct iovec iov;
    size_t sent, taken; /* as alchi_channel_send_payload() counts; bytes of payload at the other end */
} partial_t;

static uint8_t partial_bytes[ALCHI_PAYLOAD_MAX], partial_got[ALCHI_PAYLOAD_MAX];

static void
receive_ping(alchi_channel_t *end, uint64_t id)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;

    unit_code(alchi_channel_receive(end, &frame, &message), ALCH_OK);
    ck_assert_uint_eq(frame.id, id);
    alchi_message_free(message);
}

static void
take_payload(partial_t *partial)
{
    ssize_t n =
        alchi_channel_read_payload(partial->end[1], partial_got + partial->taken, sizeof(partial_got) - partial->taken);

    ck_assert_int_ge(n, 0);
    partial->taken += (size_t)n;
}

static void
send_part_of_payload(partial_t *partial)
{
    alchi_frame_t received;
    ProtobufCMessage *message;
    int fd[2];

    *partial = (partial_t){.frame = {.type = ALCHI_DATA_BLOCK, .id = 5, .payload = sizeof(partial_bytes)},
                           .iov = {partial_bytes, sizeof(partial_bytes)}};
    pair_unix(fd);
    for (int i = 0; i < 2; i++) {
        partial->end[i] = pair_channel(fd[i]);
        alchi_channel_set_limits(partial->end[i], ALCHI_META_MAX, ALCHI_PAYLOAD_MAX);
    }
    for (size_t i = 0; i < sizeof(partial_bytes); i++)
        partial_bytes[i] = (uint8_t)(i % 251);
    unit_code(alchi_channel_send(partial->end[0], ALCHI_PING, 0, 1, NULL), ALCH_OK);
    unit_code(alchi_channel_send_payload(partial->end[0], &partial->frame, NULL, &partial->iov, 1, &partial->sent),
              ALCH_EAGAIN);
    ck_assert_uint_gt(partial->sent, ALCHI_FRAME_HEADER);
    receive_ping(partial->end[1], 1);
    unit_code(alchi_channel_receive(partial->end[1], &received, &message), ALCH_OK);
    ck_assert_uint_eq(received.id, 5);
    ck_assert_ptr_null(message);
    while (partial->taken < partial->sent - ALCHI_FRAME_HEADER) /* so that the socket has room again */
        take_payload(partial);
}

START_TEST(frames_queue_behind_payload)
{
    partial_t partial;

    send_part_of_payload(&partial);
    unit_code(alchi_channel_send(partial.end[0], ALCHI_PING, 0, 2, NULL), ALCH_OK);
    while (partial.taken < sizeof(partial_got)) {
        take_payload(&partial);
        if (partial.sent < sizeof(partial_bytes) + ALCHI_FRAME_HEADER)
            (void)alchi_channel_send_payload(partial.end[0], &partial.frame, NULL, &partial.iov, 1, &partial.sent);
    }
    ck_assert_mem_eq(partial_got, partial_bytes, sizeof(partial_bytes));
    receive_ping(partial.end[1], 2);
    ck_assert(!alchi_channel_wants_write(partial.end[0]));
}
END_TEST

START_TEST(second_payload_frame_is_refused_until_the_first_is_sent)
{
    partial_t partial;
    size_t sent = 0;

    send_part_of_payload(&partial);
    unit_code(alchi_channel_send_payload(partial.end[0], &partial.frame, NULL, &partial.iov, 1, &sent), ALCH_ESTATE);
}
END_TEST

START_TEST(flush_does_not_wait_for_payload)
{
    partial_t partial;

    send_part_of_payload(&partial);
    unit_code(alchi_channel_send(partial.end[0], ALCHI_PING, 0, 2, NULL), ALCH_OK);
    unit_code(alchi_channel_flush(partial.end[0]), ALCH_EAGAIN);
    unit_code(alchi_channel_flush_by(partial.end[0], alchi_deadline_in_ms(PAIR_WAIT_MS)), ALCH_ESTATE);
}
END_TEST

/* Take a frame with a check in parts, one of them into two pieces of memory; then the same frame without a check. */
START_TEST(payload_is_summed_as_it_is_taken)
{
    static uint8_t sent[60000], got[60000];
    struct iovec whole = {sent, sizeof(sent)}, runs[] = {{got + 5000, 20000}, {got + 25000, 35000}};
    alchi_channel_t *end[2];
    alchi_frame_t frame;
    ProtobufCMessage *message;

    for (size_t k = 0; k < sizeof(sent); k++)
        sent[k] = (uint8_t)(k * k >> 3);
    open_joined(_i, end);
    for (int round = 0; round < 2; round++) {
        uint32_t check = round == 0 ? alchi_crc32c(0, sent, sizeof(sent)) : 0;
        alchi_frame_t out = {.type = ALCHI_PING, .id = 1, .payload = sizeof(sent), .check = check};
        size_t sum = 0, done = 0;

        out.flags = round == 0 ? ALCHI_FRAME_CHECK : 0;
        ck_assert_int_ne(alchi_channel_send_payload(end[0], &out, NULL, &whole, 1, &sum), ALCH_ECONNECT);
        unit_code(alchi_channel_receive_by(end[1], alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message), ALCH_OK);
        ck_assert_uint_eq(frame.check, check);
        ck_assert_uint_eq(alchi_channel_payload_sum(end[1]), 0);
        ck_assert_int_gt(alchi_channel_read_payload(end[1], got, 1), 0);
        ck_assert_uint_eq(alchi_channel_payload_sum(end[1]), round == 0 ? alchi_crc32c(0, sent, 1) : 0);
        for (done = 1; done < sizeof(sent);) {
            ssize_t n = done == 5000 ? alchi_channel_readv_payload(end[1], runs, 2)
                                     : alchi_channel_read_payload(end[1], got + done,
                                                                  done < 5000 ? 5000 - done : sizeof(sent) - done);

            ck_assert_int_ge(n, 0);
            done += (size_t)n;
            if (n == 0 && alchi_channel_send_payload(end[0], &out, NULL, &whole, 1, &sum) != ALCH_OK)
                unit_code(alchi_stream_wait(alchi_channel_stream(end[1]), POLLIN, alchi_deadline_in_ms(PAIR_WAIT_MS)),
                          ALCH_OK);
        }
        ck_assert_mem_eq(got, sent, sizeof(sent));
        ck_assert_uint_eq(alchi_channel_payload_sum(end[1]), check);
        memset(got, 0, sizeof(got));
    }
}
END_TEST

START_TEST(destroy_null_keeps_errno)
{
    errno = 77;
    alchi_channel_destroy(NULL);
    ck_assert_int_eq(errno, 77);
    ck_assert_ptr_null(alchi_channel_create(NULL));
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *breaking = tcase_create("broken protocol"), *receiving = tcase_create("receive"),
          *sending = tcase_create("send"), *payload = tcase_create("payload");

    tcase_add_checked_fixture(breaking, NULL, pair_teardown);
    tcase_add_test(breaking, destroy_null_keeps_errno);
    tcase_add_loop_test(breaking, garbage_is_refused, 0, 2);
    tcase_add_loop_test(breaking, one_wrong_byte_is_refused, 0, 2);
    tcase_add_loop_test(breaking, other_wire_version_is_refused, 0, 2);
    tcase_add_loop_test(breaking, oversized_message_is_refused, 0, 2);
    tcase_add_loop_test(breaking, oversized_payload_is_refused, 0, 2);
    tcase_add_loop_test(breaking, undecodable_message_is_refused, 0, 2);
    tcase_add_loop_test(breaking, more_flag_without_payload_is_refused, 0, 2);
    tcase_add_loop_test(breaking, unknown_type_is_refused, 0, 2);
    tcase_add_loop_test(breaking, end_within_a_frame_is_a_closed_connection, 0, 2);
    suite_add_tcase(suite, breaking);
    tcase_add_checked_fixture(receiving, NULL, pair_teardown);
    tcase_add_loop_test(receiving, frame_arrives_byte_by_byte, 0, 2);
    tcase_add_loop_test(receiving, many_frames_arrive_at_once, 0, 2);
    tcase_add_loop_test(receiving, empty_message_is_a_struct, 0, 2);
    tcase_add_loop_test(receiving, receive_has_a_deadline, 0, 2);
    tcase_add_loop_test(receiving, next_frame_needs_the_payload_taken, 0, 2);
    tcase_add_loop_test(receiving, end_within_payload_is_a_closed_connection, 0, 2);
    tcase_add_loop_test(receiving, payload_is_not_read_ahead, 0, 2);
    suite_add_tcase(suite, receiving);
    tcase_add_checked_fixture(sending, NULL, pair_teardown);
    tcase_add_loop_test(sending, frame_has_the_bytes_of_the_format, 0, 2);
    tcase_add_loop_test(sending, message_above_limit_is_not_queued, 0, 2);
    tcase_add_loop_test(sending, backlog_is_bounded, 0, 2);
    tcase_add_loop_test(sending, flush_has_a_deadline, 0, 2);
    tcase_add_loop_test(sending, send_to_closed_peer_fails, 0, 2);
    tcase_add_loop_test(sending, error_text_is_made_valid, 0, 2);
    suite_add_tcase(suite, sending);
    tcase_add_checked_fixture(payload, NULL, pair_teardown);
    tcase_add_loop_test(payload, wrong_payload_arguments_are_refused, 0, 2);
    tcase_add_loop_test(payload, payload_arrives_in_other_pieces, 0, 2);
    tcase_add_test(payload, frames_queue_behind_payload);
    tcase_add_test(payload, second_payload_frame_is_refused_until_the_first_is_sent);
    tcase_add_test(payload, flush_does_not_wait_for_payload);
    tcase_add_loop_test(payload, payload_is_summed_as_it_is_taken, 0, 2);
    suite_add_tcase(suite, payload);
}
