#include "net_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HEAD 4096
#define RING ((size_t)4096)

static alchi_stream_t *end[2];
static alch_error_t err;

static void
teardown(void)
{
    for (int i = 0; i < 2; i++) {
        alchi_stream_destroy(end[i]);
        end[i] = NULL;
    }
    pair_teardown();
}

static void
open_ends(size_t size)
{
    int fd[2];

    pair_unix(fd);
    for (int i = 0; i < 2; i++)
        end[i] = alchi_stream_create(fd[i]);
    pair_share(end[0], end[1], size);
}

/* ---- the memory ---- */

static int
make_memory(size_t bytes, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
    if (seals)
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void
check_refused(int fd, size_t size, int code, const char *text)
{
    alchi_rings_t *rings = NULL;

    unit_code(alchi_rings_map(fd, size, &rings, &err), code);
    ck_assert_ptr_null(rings);
    ck_assert_msg(strstr(err.text, text), "\"%s\"", err.text);
    close(fd);
}

START_TEST(bad_sizes)
{
    alchi_rings_t *rings;
    int fd;

    alchi_rings_destroy(NULL);
    unit_code(alchi_rings_create(0, &rings, &fd, &err), ALCH_EINVAL);
    unit_code(alchi_rings_create(5000, &rings, &fd, &err), ALCH_EINVAL);
    unit_code(alchi_rings_create(ALCHI_RING_MAX * 2, &rings, &fd, &err), ALCH_EINVAL);
    check_refused(make_memory(HEAD + 2 * 5000, 0), 5000, ALCH_EPROTO, "5000");
}
END_TEST

START_TEST(unsealed_memory_is_refused)
{
    const int seals[] = {0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_GROW | F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_SEAL};

    check_refused(make_memory(HEAD + 2 * RING, seals[_i]), RING, ALCH_EPROTO, "not sealed");
}
END_TEST

START_TEST(other_sizes_are_refused)
{
    const size_t sizes[] = {0, HEAD, HEAD + 2 * RING - 1, HEAD + 4 * RING};

    check_refused(make_memory(sizes[_i], F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), RING, ALCH_EPROTO, "size");
}
END_TEST

START_TEST(files_are_refused)
{
    char path[] = "/tmp/alchemist-test-XXXXXX";
    int fd = mkstemp(path), pipes[2];

    unlink(path);
    ck_assert_int_eq(ftruncate(fd, HEAD + 2 * RING), 0);
    check_refused(fd, RING, ALCH_EPROTO, "not sealed");
    ck_assert_int_eq(pipe(pipes), 0);
    close(pipes[1]);
    check_refused(pipes[0], RING, ALCH_EPROTO, "not sealed");
}
END_TEST

START_TEST(ours_cannot_be_shrunk)
{
    alchi_rings_t *rings;
    struct stat file;
    int fd;

    unit_code(alchi_rings_create(RING, &rings, &fd, &err), ALCH_OK);
    ck_assert_int_eq(ftruncate(fd, 0), -1);
    ck_assert_int_eq(ftruncate(fd, 1 << 20), -1);
    ck_assert_int_eq(fstat(fd, &file), 0);
    ck_assert_int_eq(file.st_size, HEAD + 2 * RING);
    close(fd);
    alchi_rings_destroy(rings);
}
END_TEST

START_TEST(no_space_is_an_error)
{
    struct rlimit limit = {HEAD, HEAD};
    alchi_rings_t *rings = NULL;
    int fd;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    unit_code(alchi_rings_create(RING, &rings, &fd, &err), ALCH_ESYSTEM);
    ck_assert_ptr_null(rings);
}
END_TEST

/* ---- bytes ---- */

#define MANY ((size_t)1 << 20)

static uint8_t
letter(size_t i)
{
    return (uint8_t)(i * 7 + i / 4096);
}

static void *
send_many(void *context)
{
    alchi_stream_t *stream = context;
    uint8_t *bytes = malloc(MANY);
    size_t done = 0, step = 1;

    for (size_t i = 0; i < MANY; i++)
        bytes[i] = letter(i);
    while (done < MANY) {
        size_t size = step < MANY - done ? step : MANY - done, half = size / 2;
        struct iovec iov[2] = {{bytes + done, half}, {bytes + done + half, size - half}};
        ssize_t n = alchi_stream_writev(stream, iov, 2);

        if (n < 0)
            break;
        done += (size_t)n;
        step = step * 3 % 100003 + 1;
        if (n == 0 && alchi_stream_wait(stream, POLLOUT, alchi_deadline_in_ms(1500)) != ALCH_OK)
            break;
    }
    free(bytes);
    return NULL;
}

/* Sizes that fit nothing: every place of the ring is a beginning and an end. */
START_TEST(many_bytes_in_order)
{
    uint8_t bytes[6000];
    size_t done = 0, step = 1;
    pthread_t thread;

    open_ends(RING << (4 * _i));
    ck_assert_int_eq(pthread_create(&thread, NULL, send_many, end[0]), 0);
    while (done < MANY) {
        ssize_t n = alchi_stream_read(end[1], bytes, step);

        ck_assert_int_ge(n, 0);
        for (ssize_t k = 0; k < n; k++)
            if (bytes[k] != letter(done + (size_t)k))
                ck_abort_msg("byte %zu", done + (size_t)k);
        done += (size_t)n;
        step = step * 5 % 5987 + 1;
        if (n == 0)
            unit_code(alchi_stream_wait(end[1], POLLIN, alchi_deadline_in_ms(1500)), ALCH_OK);
    }
    pthread_join(thread, NULL);
    ck_assert(alchi_stream_idle(end[1]));
}
END_TEST

/* Only the first piece, whatever has come. */
START_TEST(pieces_one_after_the_other)
{
    char bytes[8] = "........";
    struct iovec iov[] = {{bytes, 2}, {bytes + 3, 4}};

    open_ends(RING);
    ck_assert_int_eq(alchi_stream_readv(end[1], iov, 2), 0);
    ck_assert_int_eq(pair_send(end[0], "hello", 5), 5);
    ck_assert_int_eq(alchi_stream_readv(end[1], iov, 2), 2);
    ck_assert_int_eq(alchi_stream_readv(end[1], iov + 1, 1), 3);
    ck_assert_mem_eq(bytes, "he.llo..", 8);
}
END_TEST

static bool
fires(alchi_stream_t *stream, short wanted)
{
    struct pollfd entry = {.fd = alchi_stream_fd(stream), .events = alchi_stream_poll_events(stream, wanted)};

    return poll(&entry, 1, 0) > 0;
}

/* What a loop that waits for both directions must see, whoever takes the byte that woke it. */
START_TEST(no_wake_up_is_lost)
{
    static uint8_t bytes[RING];

    open_ends(RING);
    ck_assert_int_eq(pair_send(end[0], bytes, RING), RING);
    ck_assert(!fires(end[0], POLLIN | POLLOUT));
    ck_assert_int_eq(alchi_stream_read(end[1], bytes, RING), RING); /* rings for room */
    ck_assert_int_eq(alchi_stream_read(end[0], bytes, 1), 0);       /* takes that byte */
    ck_assert(fires(end[0], POLLIN | POLLOUT));
    ck_assert(!fires(end[0], POLLIN));
    ck_assert_int_eq(pair_send(end[1], "x", 1), 1);
    ck_assert(fires(end[0], POLLIN));
    ck_assert(fires(end[0], POLLIN));
    ck_assert(!alchi_stream_idle(end[0]));
    ck_assert_int_eq(alchi_stream_read(end[0], bytes, 1), 1);
    ck_assert(!fires(end[0], POLLIN));
    ck_assert(alchi_stream_idle(end[0]));
}
END_TEST

/* A byte is sent only to who waits. */
START_TEST(no_system_call_for_who_does_not_wait)
{
    char byte;

    open_ends(RING);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(pair_send(end[0], "x", 1), 1);
    ck_assert_int_eq(recv(alchi_stream_fd(end[1]), &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(alchi_stream_read(end[1], &byte, 1), 1);
    ck_assert_int_eq(recv(alchi_stream_fd(end[0]), &byte, 1, MSG_DONTWAIT), -1);
}
END_TEST

START_TEST(end_comes_after_what_was_sent)
{
    char bytes[8];

    open_ends(RING);
    ck_assert_int_eq(pair_send(end[0], "last", 4), 4);
    alchi_stream_destroy(end[0]);
    end[0] = NULL;
    ck_assert(fires(end[1], POLLIN));
    ck_assert(!alchi_stream_idle(end[1]));
    ck_assert_int_eq(alchi_stream_read(end[1], bytes, 8), 4);
    ck_assert_int_eq(alchi_stream_read(end[1], bytes, 8), -1);
    ck_assert_int_eq(errno, 0);
    ck_assert_int_eq(pair_send(end[1], "x", 1), -1);
    ck_assert_int_eq(errno, EPIPE);
}
END_TEST

/* ---- memory of the stream's own ---- */

/* At every place of the ring what is reserved, and what has come, is one run of memory. */
START_TEST(made_in_the_ring)
{
    const size_t most = RING / 4;
    size_t done = 0, step = 1, filled;
    const uint8_t *here;
    uint8_t *place;

    open_ends(RING);
    ck_assert_uint_eq(alchi_stream_reserve_max(end[0]), most);
    ck_assert_ptr_null(alchi_stream_peek(end[1], &filled));
    for (int round = 0; round < 3000; round++) {
        ck_assert_ptr_nonnull(place = alchi_stream_reserve(end[0], most));
        for (size_t k = 0; k < step; k++)
            place[k] = letter(done + k);
        ck_assert_ptr_null(alchi_stream_peek(end[1], &filled));
        alchi_stream_commit(end[0], step);
        ck_assert_ptr_nonnull(here = alchi_stream_peek(end[1], &filled));
        ck_assert_uint_eq(filled, step);
        for (size_t k = 0; k < step; k++)
            if (here[k] != letter(done + k))
                ck_abort_msg("byte %zu", done + k);
        alchi_stream_consume(end[1], step);
        done += step;
        step = step * 7 % 1021 + 1;
    }
}
END_TEST

START_TEST(no_room_to_make)
{
    uint8_t bytes[RING] = {0};

    open_ends(RING);
    ck_assert_int_eq(pair_send(end[0], bytes, RING - 100), RING - 100);
    ck_assert_ptr_nonnull(alchi_stream_reserve(end[0], 100));
    ck_assert_ptr_null(alchi_stream_reserve(end[0], 101));
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert(!fires(end[0], POLLOUT));
    alchi_stream_consume(end[1], RING / 4 - 101); /* a byte less than a waiting writer hopes for */
    ck_assert(!fires(end[0], POLLOUT));
    alchi_stream_consume(end[1], 1);
    ck_assert(fires(end[0], POLLOUT));
    ck_assert_ptr_nonnull(alchi_stream_reserve(end[0], RING / 4));
    alchi_stream_destroy(end[1]);
    end[1] = NULL;
    ck_assert(fires(end[0], POLLOUT));
    ck_assert_ptr_null(alchi_stream_reserve(end[0], 1));
    ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(a_socket_has_no_memory)
{
    size_t filled;
    int fd[2];

    pair_unix(fd);
    for (int i = 0; i < 2; i++)
        end[i] = alchi_stream_create(fd[i]);
    ck_assert_int_eq(pair_send(end[0], "x", 1), 1);
    ck_assert_uint_eq(alchi_stream_reserve_max(end[0]), 0);
    ck_assert_ptr_null(alchi_stream_reserve(end[0], 1));
    ck_assert_int_eq(errno, EOPNOTSUPP);
    ck_assert_ptr_null(alchi_stream_peek(end[1], &filled));
}
END_TEST

/* ---- bad peers ---- */

/* In the middle of a write, at any point: its end is seen, and what was published before can be read. */
START_TEST(killed_peer)
{
    uint8_t bytes[RING];
    pid_t child;
    ssize_t n;
    int fd[2], status;
    size_t done = 0;
    int memory;
    alchi_rings_t *rings;

    pair_unix(fd);
    unit_code(alchi_rings_create(RING, &rings, &memory, &err), ALCH_OK);
    child = fork();
    if (child == 0) {
        close(fd[0]);
        end[1] = alchi_stream_create(fd[1]);
        if (alchi_rings_map(memory, RING, &rings, &err) == ALCH_OK && alchi_stream_share(end[1], rings) == ALCH_OK)
            send_many(end[1]);
        _exit(0);
    }
    close(fd[1]);
    close(memory);
    end[0] = alchi_stream_create(fd[0]);
    unit_code(alchi_stream_share(end[0], rings), ALCH_OK);
    for (;;) {
        n = alchi_stream_read(end[0], bytes, sizeof(bytes));
        if (n < 0)
            break;
        for (ssize_t k = 0; k < n; k++)
            if (bytes[k] != letter(done + (size_t)k))
                ck_abort_msg("byte %zu", done + (size_t)k);
        if (done < MANY / 2 && done + (size_t)n >= MANY / 2)
            kill(child, SIGKILL);
        done += (size_t)n;
        if (n == 0)
            unit_code(alchi_stream_wait(end[0], POLLIN, alchi_deadline_in_ms(1500)), ALCH_OK);
    }
    ck_assert_int_eq(errno, 0);
    ck_assert_uint_lt(done, MANY);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
}
END_TEST

/* Whatever a hostile peer writes there: an error, and nothing outside of the ring is touched. */
START_TEST(impossible_counts)
{
    const uint64_t written[] = {RING + 11, UINT64_MAX, UINT64_C(1) << 63, 9, UINT64_MAX - 100};
    const uint64_t taken[] = {1, RING, UINT64_C(1) << 63, 9, UINT64_MAX - RING};
    uint8_t bytes[2 * RING] = {0};
    alchi_rings_t *rings, *hostile;
    int fd[2], memory;

    pair_unix(fd);
    end[0] = alchi_stream_create(fd[0]);
    end[1] = alchi_stream_create(fd[1]);
    unit_code(alchi_rings_create(RING, &rings, &memory, &err), ALCH_OK);
    unit_code(alchi_rings_map(memory, RING, &hostile, &err), ALCH_OK);
    close(memory);
    unit_code(alchi_stream_share(end[0], rings), ALCH_OK);
    ck_assert_int_eq(pair_send(end[0], bytes, 10), 10);
    atomic_store(&hostile->out.shared->written, 10);
    ck_assert_int_eq(alchi_stream_read(end[0], bytes, sizeof(bytes)), 10);
    /* Once what was written, once what was read. */
    if (_i % 2)
        atomic_store(&hostile->out.shared->written, 10 + written[_i / 2]);
    else
        atomic_store(&hostile->in.shared->read, 10 + taken[_i / 2]);
    ck_assert(fires(end[0], _i % 2 ? POLLIN : POLLOUT));
    if (_i % 2)
        ck_assert_int_eq(alchi_stream_read(end[0], bytes, sizeof(bytes)), written[_i / 2] == 9 ? 9 : -1);
    else
        ck_assert_int_eq(pair_send(end[0], bytes, sizeof(bytes)), -1);
    if (_i % 2 && written[_i / 2] == 9)
        atomic_store(&hostile->out.shared->written, 3); /* backwards */
    ck_assert_int_eq(alchi_stream_read(end[0], bytes, sizeof(bytes)), -1);
    ck_assert_int_eq(errno, EPROTO);
    ck_assert_int_eq(pair_send(end[0], bytes, 1), -1);
    ck_assert_int_eq(errno, EPROTO);
    ck_assert(fires(end[0], POLLIN));
    ck_assert(!alchi_stream_idle(end[0]));
    alchi_rings_destroy(hostile);
}
END_TEST

static uint64_t
wild(uint64_t *state)
{
    uint64_t x = *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);

    return x >> 62 == 0 ? x : x >> 62 == 1 ? UINT64_MAX - (x >> 50) : (x >> 40) % (2 * RING);
}

typedef struct {
    alchi_rings_t *rings;
    _Atomic bool stop;
    uint64_t seed;
} scribbler_t;

/* A peer that writes anything to all that both see, at any moment. */
static void *
scribble(void *context)
{
    scribbler_t *scribbler = context;
    alchi_ring_shared_t *shared[] = {scribbler->rings->in.shared, scribbler->rings->out.shared};
    uint64_t state = scribbler->seed;

    while (!atomic_load(&scribbler->stop)) {
        alchi_ring_shared_t *one = shared[wild(&state) & 1];

        atomic_store(&one->written, wild(&state));
        atomic_store(&one->read, wild(&state));
        atomic_store(&one->reader_waits, (uint32_t)wild(&state));
        atomic_store(&one->writer_waits, (uint32_t)wild(&state));
    }
    return NULL;
}

/* Guarded bytes around what is read: nothing is written beyond, nothing faults, and in the end it is broken. */
static void
use_wildly(alchi_stream_t *stream, uint64_t *state)
{
    static uint8_t bytes[3 * RING];
    size_t size = wild(state) % RING, filled;
    ssize_t n;

    memset(bytes + RING + size, 0x5a, RING - size);
    n = alchi_stream_read(stream, bytes + RING, size);
    ck_assert_int_le(n, (ssize_t)size);
    for (size_t k = size; k < RING; k++)
        if (bytes[RING + k] != 0x5a)
            ck_abort_msg("byte %zu behind the %zu", k - size, size);
    ck_assert_int_le(pair_send(stream, bytes, size), (ssize_t)size);
    if (alchi_stream_peek(stream, &filled)) {
        ck_assert_uint_le(filled, RING);
        alchi_stream_consume(stream, filled);
    }
    if (alchi_stream_reserve(stream, size))
        alchi_stream_commit(stream, size);
    fires(stream, (short)(state[0] >> 60 & 1 ? POLLIN : POLLIN | POLLOUT));
    alchi_stream_idle(stream);
}

START_TEST(wild_counts)
{
    uint64_t state = (uint64_t)_i + 1;

    for (int round = 0; round < 40; round++) {
        scribbler_t scribbler = {.seed = wild(&state)};
        alchi_rings_t *rings;
        pthread_t thread;
        int fd[2], memory;

        pair_unix(fd);
        unit_code(alchi_rings_create(RING, &rings, &memory, &err), ALCH_OK);
        unit_code(alchi_rings_map(memory, RING, &scribbler.rings, &err), ALCH_OK);
        close(memory);
        end[0] = alchi_stream_create(fd[0]);
        unit_code(alchi_stream_share(end[0], rings), ALCH_OK);
        ck_assert_int_eq(pthread_create(&thread, NULL, scribble, &scribbler), 0);
        for (int k = 0; k < 50; k++)
            use_wildly(end[0], &state);
        atomic_store(&scribbler.stop, true);
        pthread_join(thread, NULL);
        alchi_stream_destroy(end[0]);
        end[0] = NULL;
        alchi_rings_destroy(scribbler.rings);
        close(fd[1]);
    }
}
END_TEST

/* ---- agreeing ---- */

static void *
grant(void *context)
{
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;

    if (alchi_channel_receive_by(context, alchi_deadline_in_ms(1500), &frame, &message) == ALCH_OK &&
        frame.type == ALCHI_DATA_SHARE)
        alchi_shm_grant(context, frame.id, NULL);
    alchi_message_free(message);
    return NULL;
}

/* A frame that is made in the ring arrives as any other. */
static void
check_made(alchi_channel_t *from, alchi_channel_t *to)
{
    alchi_frame_t frame = {.type = ALCHI_DATA_BLOCK, .flags = ALCHI_FRAME_REPLY, .id = 9, .payload = 1000};
    Alchw__DataBlock block = ALCHW__DATA_BLOCK__INIT;
    ProtobufCMessage *message;
    const uint8_t *here;
    uint8_t *place;
    size_t size;

    block.has_pack_ns = true;
    block.pack_ns = 12345;
    frame.payload = (uint32_t)alchi_channel_make_max(from) + 2048;
    unit_code(alchi_channel_make_payload(from, &frame, &block, &place), ALCH_EUNSUPPORTED);
    frame.payload = 1000;
    unit_code(alchi_channel_make_payload(from, &frame, &block, &place), ALCH_OK);
    for (size_t k = 0; k < 1000; k++)
        place[k] = letter(k);
    alchi_channel_send_made(from, &frame);
    unit_code(alchi_channel_receive_by(to, alchi_deadline_in_ms(1000), &frame, &message), ALCH_OK);
    ck_assert_uint_eq(frame.id, 9);
    ck_assert_uint_eq(frame.payload, 1000);
    ck_assert_uint_eq(((Alchw__DataBlock *)message)->pack_ns, 12345);
    alchi_message_free(message);
    ck_assert_ptr_nonnull(here = alchi_channel_peek_payload(to, &size));
    ck_assert_uint_eq(size, 1000);
    for (size_t k = 0; k < 1000; k++)
        ck_assert_uint_eq(here[k], letter(k));
    alchi_channel_take_payload(to, here, 1000);
    ck_assert_ptr_null(alchi_channel_peek_payload(to, &size));
}

START_TEST(ask_and_grant)
{
    alchi_channel_t *channel[2];
    ProtobufCMessage *message;
    alchi_frame_t frame;
    pthread_t thread;
    int fd[2];

    pair_unix(fd);
    for (int i = 0; i < 2; i++) {
        channel[i] = pair_channel(fd[i]);
        alchi_channel_set_limits(channel[i], ALCHI_META_MAX, ALCHI_PAYLOAD_MAX);
    }
    ck_assert_uint_eq(alchi_stream_reserve_max(alchi_channel_stream(channel[0])), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, grant, channel[1]), 0);
    unit_code(alchi_shm_ask(channel[0], 1, alchi_deadline_in_ms(1500), &err), ALCH_OK);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_gt(alchi_stream_reserve_max(alchi_channel_stream(channel[i])), 0);
        unit_code(alchi_channel_send(channel[i], ALCHI_PING, 0, 3, NULL), ALCH_OK);
        unit_code(alchi_channel_receive_by(channel[!i], alchi_deadline_in_ms(1000), &frame, &message), ALCH_OK);
        ck_assert_uint_eq(frame.id, 3);
        alchi_message_free(message);
    }
    check_made(channel[0], channel[1]);
}
END_TEST

/* Answers that are none, and descriptors that are no memory: an error, and no descriptor is left open. */
START_TEST(bad_answers)
{
    Alchw__DataRings rings = ALCHW__DATA_RINGS__INIT;
    alchi_frame_t frame = {
        .version = ALCHI_WIRE_VERSION, .type = ALCHI_DATA_RINGS, .flags = ALCHI_FRAME_REPLY, .id = 1};
    uint8_t bytes[128] = {0};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec iov = {bytes, sizeof(bytes)};
    struct msghdr envelope = {.msg_iov = &iov, .msg_iovlen = 1};
    alchi_channel_t *channel;
    int fd[2], first = dup(0), memory = make_memory(HEAD + 2 * RING, 0);

    close(first);
    pair_unix(fd);
    channel = pair_channel(fd[0]);
    rings.has_ring_bytes = true;
    rings.ring_bytes = _i == 4 ? UINT64_MAX : RING;
    frame.meta = (uint32_t)alchw__data_rings__get_packed_size(&rings);
    frame.id = _i == 2 ? 2 : 1;
    alchi_frame_encode(&frame, bytes);
    iov.iov_len = ALCHI_FRAME_HEADER + alchw__data_rings__pack(&rings, bytes + ALCHI_FRAME_HEADER);
    if (_i == 0)
        memset(bytes, 'x', ALCHI_FRAME_HEADER);
    if (_i == 1)
        iov.iov_len = 10;
    if (_i >= 2 && _i != 3) {
        envelope.msg_control = &control;
        envelope.msg_controllen = sizeof(control);
        control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &memory, sizeof(memory));
    }
    ck_assert_int_gt(sendmsg(fd[1], &envelope, 0), 0);
    if (_i == 1)
        shutdown(fd[1], SHUT_WR);
    unit_code(alchi_shm_ask(channel, 1, alchi_deadline_in_ms(1000), &err), _i == 1   ? ALCH_ECONNECT
                                                                           : _i == 3 ? ALCH_EUNSUPPORTED
                                                                                     : ALCH_EPROTO);
    pair_destroy(channel);
    close(fd[1]);
    close(memory);
    memory = dup(0);
    ck_assert_int_eq(memory, first);
    close(memory);
}
END_TEST

/* ---- where a rank listens ---- */

static char folder[] = "/tmp/alchemist-shm-XXXXXX";

static void
use_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_RUNTIME_DIR", folder, 1);
}

static void
remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(found_by_key_alone)
{
    uint8_t key[ALCHI_KEY_SIZE] = {1, (uint8_t)getpid()}, other[ALCHI_KEY_SIZE] = {2};
    alchi_claim_t claim = {ALCHI_ROLE_DATA, 5, 6, 7}, rank = {ALCHI_ROLE_DATA, 5, 6, 8};
    alchi_shm_listener_t local;
    struct stat file;
    int fd, accepted;

    use_folder();
    ck_assert_int_eq(alchi_shm_connect(key, &claim), -1);
    alchi_shm_listener_open(&local, key, &claim);
    ck_assert_int_ge(local.fd[0], 0);
    ck_assert_int_ge(local.fd[1], 0);
    ck_assert_int_eq(alchi_shm_connect(other, &claim), -1);
    ck_assert_int_eq(alchi_shm_connect(key, &rank), -1);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_ge(fd = alchi_shm_connect(key, &claim), 0);
        ck_assert_int_ge(accepted = accept(local.fd[k], NULL, NULL), 0);
        close(accepted);
        close(fd);
        close(local.fd[0]); /* then the file is the way */
        local.fd[0] = -1;
    }
    ck_assert_int_eq(stat(local.path, &file), 0);
    ck_assert_int_eq(alchi_shm_sweep_sockets(), 0); /* somebody listens */
    alchi_shm_listener_close(&local);
    ck_assert_int_eq(stat(folder, &file), 0);
    ck_assert_int_eq(alchi_shm_connect(key, &claim), -1);
    remove_folder();
}
END_TEST

START_TEST(left_files_are_swept)
{
    uint8_t key[ALCHI_KEY_SIZE] = {3, (uint8_t)getpid()};
    alchi_claim_t claim = {ALCHI_ROLE_DATA, 5, 6, 7};
    alchi_shm_listener_t local;
    char path[ALCHI_SHM_PATH_MAX];

    use_folder();
    alchi_shm_listener_open(&local, key, &claim);
    memcpy(path, local.path, sizeof(path));
    close(local.fd[0]);
    close(local.fd[1]);
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(alchi_shm_sweep_sockets(), 1);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(alchi_shm_sweep_sockets(), 0);
    remove_folder();
}
END_TEST

/* A path that does not fit is left out. */
START_TEST(long_path)
{
    uint8_t key[ALCHI_KEY_SIZE] = {4, (uint8_t)getpid()};
    alchi_claim_t claim = {ALCHI_ROLE_DATA, 5, 6, 7};
    alchi_shm_listener_t local;
    char path[256];
    int fd;

    use_folder();
    snprintf(path, sizeof(path), "%s/%0100d", folder, 1);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    setenv("XDG_RUNTIME_DIR", path, 1);
    alchi_shm_listener_open(&local, key, &claim);
    ck_assert_int_eq(local.fd[1], -1);
    ck_assert_int_ge(fd = alchi_shm_connect(key, &claim), 0);
    close(fd);
    alchi_shm_listener_close(&local);
    remove_folder();
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *memory = tcase_create("memory"), *bytes = tcase_create("bytes"), *bad = tcase_create("bad peers"),
          *agree = tcase_create("agree");

    tcase_add_test(memory, bad_sizes);
    tcase_add_loop_test(memory, unsealed_memory_is_refused, 0, 4);
    tcase_add_loop_test(memory, other_sizes_are_refused, 0, 4);
    tcase_add_test(memory, files_are_refused);
    tcase_add_test(memory, ours_cannot_be_shrunk);
    tcase_add_test(memory, no_space_is_an_error);
    suite_add_tcase(suite, memory);
    tcase_add_checked_fixture(bytes, NULL, teardown);
    tcase_add_loop_test(bytes, many_bytes_in_order, 0, 3);
    tcase_add_test(bytes, pieces_one_after_the_other);
    tcase_add_test(bytes, no_wake_up_is_lost);
    tcase_add_test(bytes, no_system_call_for_who_does_not_wait);
    tcase_add_test(bytes, end_comes_after_what_was_sent);
    suite_add_tcase(suite, bytes);
    tcase_add_test(bytes, made_in_the_ring);
    tcase_add_test(bytes, no_room_to_make);
    tcase_add_test(bytes, a_socket_has_no_memory);
    tcase_add_checked_fixture(bad, NULL, teardown);
    tcase_add_loop_test(bad, wild_counts, 0, 4);
    tcase_add_test(bad, killed_peer);
    tcase_add_loop_test(bad, impossible_counts, 0, 10);
    suite_add_tcase(suite, bad);
    tcase_add_checked_fixture(agree, NULL, teardown);
    tcase_add_test(agree, ask_and_grant);
    tcase_add_loop_test(agree, bad_answers, 0, 6);
    tcase_add_test(agree, found_by_key_alone);
    tcase_add_test(agree, left_files_are_swept);
    tcase_add_test(agree, long_path);
    suite_add_tcase(suite, agree);
}
