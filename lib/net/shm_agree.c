/* Agreeing on shared memory. The rank answers DATA_SHARE with DATA_RINGS and the descriptor of the memory, or with an
 * ERROR. No other request is in flight on the connection, so the answer can bypass the channel, which cannot pass
 * descriptors. */
#include "net/shm.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)2048) /* bytes; enough for an ERROR with its text */

typedef union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
} ancillary_t;

/* ---- the rank's side ---- */

static int
send_answer(int socket_fd, uint64_t id, int memory_fd)
{
    Alchw__DataRings message = ALCHW__DATA_RINGS__INIT;
    alchi_frame_t frame = {
        .version = ALCHI_WIRE_VERSION, .type = ALCHI_DATA_RINGS, .flags = ALCHI_FRAME_REPLY, .id = id};
    uint8_t bytes[ALCHI_FRAME_HEADER + 32];
    ancillary_t ancillary = {{0}};
    struct iovec iov = {.iov_base = bytes};
    struct msghdr envelope = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary)};
    struct cmsghdr *control = CMSG_FIRSTHDR(&envelope);

    message.has_ring_bytes = true;
    message.ring_bytes = ALCHI_SHM_RING;
    frame.meta = (uint32_t)alchw__data_rings__get_packed_size(&message);
    alchi_frame_encode(&frame, bytes);
    iov.iov_len = ALCHI_FRAME_HEADER + alchw__data_rings__pack(&message, bytes + ALCHI_FRAME_HEADER);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &memory_fd, sizeof(int));
    return sendmsg(socket_fd, &envelope, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)iov.iov_len ? ALCH_OK : ALCH_ECONNECT;
}

int
alchi_shm_grant(alchi_channel_t *channel, uint64_t id, alch_error_t *err)
{
    alchi_rings_t *rings;
    int fd, code = alchi_rings_create(ALCHI_SHM_RING, &rings, &fd, err);

    if (code != ALCH_OK)
        return code;
    code = send_answer(alchi_channel_fd(channel), id, fd);
    close(fd);
    if (code != ALCH_OK) {
        alchi_rings_destroy(rings);
        return alchi_error_set(err, code, "the descriptor of the shared memory could not be passed to the peer");
    }
    return alchi_stream_use_rings(alchi_channel_stream(channel), rings) == ALCH_OK ? ALCH_OK : ALCH_ECONNECT;
}

/* ---- the client's side ---- */

typedef struct {
    uint8_t bytes[ANSWER_MAX];
    size_t size;
    int memory_fd; /* -1: no descriptor has arrived */
} answer_t;

/* The peer may pass any number of descriptors: keep the first and close the others. */
static void
keep_first_descriptor(struct msghdr *envelope, answer_t *answer)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(envelope); control; control = CMSG_NXTHDR(envelope, control)) {
        size_t count;

        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t k = 0; k < count; k++) {
            int fd;

            memcpy(&fd, CMSG_DATA(control) + k * sizeof(fd), sizeof(fd));
            if (answer->memory_fd < 0)
                answer->memory_fd = fd;
            else
                close(fd);
        }
    }
}

/* Receive once. @return ALCH_OK, ALCH_EAGAIN, ALCH_ECONNECT */
static int
receive_part(int socket_fd, answer_t *answer)
{
    ancillary_t ancillary;
    struct iovec iov = {answer->bytes + answer->size, sizeof(answer->bytes) - answer->size};
    struct msghdr envelope = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary)};
    ssize_t n = recvmsg(socket_fd, &envelope, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? ALCH_EAGAIN : ALCH_ECONNECT;
    keep_first_descriptor(&envelope, answer);
    answer->size += (size_t)n;
    return n > 0 ? ALCH_OK : ALCH_ECONNECT;
}

static int
receive_answer(alchi_channel_t *channel, alchi_deadline_t deadline, answer_t *answer, alchi_frame_t *frame_p,
               alch_error_t *err)
{
    int fd = alchi_channel_fd(channel), code = ALCH_OK;

    while (answer->size < sizeof(answer->bytes)) {
        code = alchi_frame_peek(answer->bytes, answer->size, ANSWER_MAX - ALCHI_FRAME_HEADER, 0, frame_p);
        if (code == ALCH_OK && answer->size >= ALCHI_FRAME_HEADER + frame_p->meta)
            return ALCH_OK;
        if (code != ALCH_OK && code != ALCH_EAGAIN)
            break;
        code = alchi_stream_wait(alchi_channel_stream(channel), POLLIN, deadline);
        if (code == ALCH_OK)
            code = receive_part(fd, answer);
        if (code != ALCH_OK && code != ALCH_EAGAIN)
            break;
    }
    return alchi_error_set(err, code ? code : ALCH_EPROTO, "the request for shared memory got no valid answer: %s",
                           alch_strerror(code ? code : ALCH_EPROTO));
}

static int
switch_to_offered_rings(alchi_channel_t *channel, uint64_t id, const answer_t *answer, const alchi_frame_t *frame,
                        alch_error_t *err)
{
    ProtobufCMessage *message = NULL;
    alchi_rings_t *rings;
    uint64_t size;
    int code;

    if (frame->id != id || !(frame->flags & ALCHI_FRAME_REPLY))
        return alchi_error_set(err, ALCH_EPROTO, "the peer's frame does not answer the request for shared memory");
    if (frame->type != ALCHI_DATA_RINGS || answer->memory_fd < 0)
        return alchi_error_set(err, ALCH_EUNSUPPORTED, "the peer offers no shared memory");
    code = alchi_message_decode(frame->type, answer->bytes + ALCHI_FRAME_HEADER, frame->meta, &message);
    if (code != ALCH_OK)
        return alchi_error_set(err, code, "the peer's offer of shared memory cannot be decoded");
    size = ((const Alchw__DataRings *)message)->ring_bytes;
    alchi_message_free(message);
    code = alchi_rings_map(answer->memory_fd, size, &rings, err);
    return code == ALCH_OK ? alchi_stream_use_rings(alchi_channel_stream(channel), rings) : code;
}

int
alchi_shm_request(alchi_channel_t *channel, uint64_t id, alchi_deadline_t deadline, alch_error_t *err)
{
    answer_t answer = {.memory_fd = -1};
    alchi_frame_t frame;
    int code = alchi_channel_send(channel, ALCHI_DATA_SHARE, 0, id, NULL);

    if (code == ALCH_OK)
        code = alchi_channel_flush_by(channel, deadline);
    if (code != ALCH_OK || alchi_channel_buffered(channel))
        return alchi_error_set(err, code ? code : ALCH_EPROTO, "the request for shared memory could not be sent: %s",
                               code ? alch_strerror(code) : "the peer sent bytes that were not asked for");
    code = receive_answer(channel, deadline, &answer, &frame, err);
    if (code == ALCH_OK)
        code = switch_to_offered_rings(channel, id, &answer, &frame, err);
    if (answer.memory_fd >= 0)
        close(answer.memory_fd);
    return code;
}
