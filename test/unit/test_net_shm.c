/* Shared memory: the rings, streams over them, hostile peers, agreeing on them, and where a rank listens. */
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

START_TEST(wrong_ring_size_is_refused)
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

START_TEST(memory_of_other_size_is_refused)
{
    const size_t sizes[] = {0, HEAD, HEAD + 2 * RING - 1, HEAD + 4 * RING};

    check_refused(make_memory(sizes[_i], F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), RING, ALCH_EPROTO, "size");
}
END_TEST

START_TEST(files_and_pipes_are_refused)
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

START_TEST(memory_of_rings_cannot_be_resized)
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
    struct rlimit before, limit;
    alchi_rings_t *rings = NULL;
    int fd;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){HEAD, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    unit_code(alchi_rings_create(RING, &rings, &fd, &err), ALCH_ESYSTEM);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
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
        if (n == 0 && alchi_stream_wait(stream, POLLOUT, alchi_deadline_in_ms(PAIR_WAIT_MS)) != ALCH_OK)
            break;
    }
    free(bytes);
    return NULL;
}

/* The sizes vary, so reads and writes begin and end at many positions of the ring. */
START_TEST(bytes_arrive_in_order)
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
            unit_code(alchi_stream_wait(end[1], POLLIN, alchi_deadline_in_ms(PAIR_WAIT_MS)), ALCH_OK);
    }
    pthread_join(thread, NULL);
    ck_assert(alchi_stream_idle(end[1]));
}
END_TEST

/* readv() fills only the first piece, although more bytes have arrived. */
START_TEST(readv_fills_the_first_piece_only)
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
poll_fires(alchi_stream_t *stream, short wanted)
{
    struct pollfd entry = {.fd = alchi_stream_fd(stream), .events = alchi_stream_poll_events(stream, wanted)};

    return poll(&entry, 1, 0) > 0;
}

/* A loop that waits for both directions sees each event, whichever call takes the wake-up byte. */
START_TEST(no_wake_up_is_lost)
{
    static uint8_t bytes[RING];

    open_ends(RING);
    ck_assert_int_eq(pair_send(end[0], bytes, RING), RING);
    ck_assert(!poll_fires(end[0], POLLIN | POLLOUT));
    ck_assert_int_eq(alchi_stream_read(end[1], bytes, RING), RING); /* wakes end 0: there is room */
    ck_assert_int_eq(alchi_stream_read(end[0], bytes, 1), 0);       /* takes that byte */
    ck_assert(poll_fires(end[0], POLLIN | POLLOUT));
    ck_assert(!poll_fires(end[0], POLLIN));
    ck_assert_int_eq(pair_send(end[1], "x", 1), 1);
    ck_assert(poll_fires(end[0], POLLIN));
    ck_assert(poll_fires(end[0], POLLIN));
    ck_assert(!alchi_stream_idle(end[0]));
    ck_assert_int_eq(alchi_stream_read(end[0], bytes, 1), 1);
    ck_assert(!poll_fires(end[0], POLLIN));
    ck_assert(alchi_stream_idle(end[0]));
}
END_TEST

/* A byte is sent only to a side that waits; the number of system calls is the contract of shared memory. */
START_TEST(no_wake_up_byte_without_a_sleeper)
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

START_TEST(end_follows_the_last_bytes)
{
    char bytes[8];

    open_ends(RING);
    ck_assert_int_eq(pair_send(end[0], "last", 4), 4);
    alchi_stream_destroy(end[0]);
    end[0] = NULL;
    ck_assert(poll_fires(end[1], POLLIN));
    ck_assert(!alchi_stream_idle(end[1]));
    ck_assert_int_eq(alchi_stream_read(end[1], bytes, 8), 4);
    ck_assert_int_eq(alchi_stream_read(end[1], bytes, 8), -1);
    ck_assert_int_eq(errno, 0);
    ck_assert_int_eq(pair_send(end[1], "x", 1), -1);
    ck_assert_int_eq(errno, EPIPE);
}
END_TEST

/* ---- memory of the stream ---- */

/* At every position of the ring, reserved bytes and arrived bytes are contiguous in memory. */
START_TEST(reserved_and_arrived_bytes_are_contiguous)
{
    const size_t max = RING / 4;
    size_t done = 0, step = 1, filled;
    const uint8_t *here;
    uint8_t *place;

    open_ends(RING);
    ck_assert_uint_eq(alchi_stream_reserve_max(end[0]), max);
    ck_assert_ptr_null(alchi_stream_peek(end[1], &filled));
    for (int round = 0; round < 3000; round++) {
        ck_assert_ptr_nonnull(place = alchi_stream_reserve(end[0], max));
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

START_TEST(reserve_fails_without_room)
{
    uint8_t bytes[RING] = {0};

    open_ends(RING);
    ck_assert_int_eq(pair_send(end[0], bytes, RING - 100), RING - 100);
    ck_assert_ptr_nonnull(alchi_stream_reserve(end[0], 100));
    ck_assert_ptr_null(alchi_stream_reserve(end[0], 101));
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(writer_is_woken_for_a_quarter_of_the_ring)
{
    uint8_t bytes[RING] = {0};

    open_ends(RING);
    ck_assert_int_eq(pair_send(end[0], bytes, RING - 100), RING - 100);
    ck_assert(!poll_fires(end[0], POLLOUT));
    alchi_stream_consume(end[1], RING / 4 - 101); /* one byte less than a sleeping writer waits for */
    ck_assert(!poll_fires(end[0], POLLOUT));
    alchi_stream_consume(end[1], 1);
    ck_assert(poll_fires(end[0], POLLOUT));
    ck_assert_ptr_nonnull(alchi_stream_reserve(end[0], RING / 4));
}
END_TEST

START_TEST(reserve_fails_after_the_peer_closed)
{
    open_ends(RING);
    alchi_stream_destroy(end[1]);
    end[1] = NULL;
    ck_assert(poll_fires(end[0], POLLOUT));
    ck_assert_ptr_null(alchi_stream_reserve(end[0], 1));
    ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(socket_has_no_memory_to_reserve)
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

/* The peer is killed while it writes: this side sees its end, and reads all bytes that were published before. */
START_TEST(end_of_killed_peer_is_seen)
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
        if (alchi_rings_map(memory, RING, &rings, &err) == ALCH_OK && alchi_stream_use_rings(end[1], rings) == ALCH_OK)
            send_many(end[1]);
        _exit(0);
    }
    close(fd[1]);
    close(memory);
    end[0] = alchi_stream_create(fd[0]);
    unit_code(alchi_stream_use_rings(end[0], rings), ALCH_OK);
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
            unit_code(alchi_stream_wait(end[0], POLLIN, alchi_deadline_in_ms(PAIR_WAIT_MS)), ALCH_OK);
    }
    ck_assert_int_eq(errno, 0);
    ck_assert_uint_lt(done, MANY);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
}
END_TEST

/* A hostile peer stores impossible counts: the result is an error, and no byte outside of the ring is accessed. */
START_TEST(impossible_counts_break_the_stream)
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
    unit_code(alchi_stream_use_rings(end[0], rings), ALCH_OK);
    ck_assert_int_eq(pair_send(end[0], bytes, 10), 10);
    atomic_store(&hostile->out.shared->written, 10);
    ck_assert_int_eq(alchi_stream_read(end[0], bytes, sizeof(bytes)), 10);
    /* Odd cases change the count of written bytes, even cases that of read bytes. */
    if (_i % 2)
        atomic_store(&hostile->out.shared->written, 10 + written[_i / 2]);
    else
        atomic_store(&hostile->in.shared->read, 10 + taken[_i / 2]);
    ck_assert(poll_fires(end[0], _i % 2 ? POLLIN : POLLOUT));
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
    ck_assert(poll_fires(end[0], POLLIN));
    ck_assert(!alchi_stream_idle(end[0]));
    alchi_rings_destroy(hostile);
}
END_TEST

static uint64_t
random_count(uint64_t *state)
{
    uint64_t x = *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);

    return x >> 62 == 0 ? x : x >> 62 == 1 ? UINT64_MAX - (x >> 50) : (x >> 40) % (2 * RING);
}

typedef struct {
    alchi_rings_t *rings;
    _Atomic bool stop;
    uint64_t seed;
} scribbler_t;

/* A peer that stores random values in everything that both sides access, all the time. */
static void *
scribble(void *context)
{
    scribbler_t *scribbler = context;
    alchi_ring_shared_t *shared[] = {scribbler->rings->in.shared, scribbler->rings->out.shared};
    uint64_t state = scribbler->seed;

    while (!atomic_load(&scribbler->stop)) {
        alchi_ring_shared_t *one = shared[random_count(&state) & 1];

        atomic_store(&one->written, random_count(&state));
        atomic_store(&one->read, random_count(&state));
        atomic_store(&one->reader_waits, (uint32_t)random_count(&state));
        atomic_store(&one->writer_waits, (uint32_t)random_count(&state));
    }
    return NULL;
}

/* Call every operation with random sizes. Guard bytes behind the buffer show that a read never writes beyond its size.
 */
static void
use_stream(alchi_stream_t *stream, uint64_t *state)
{
    static uint8_t bytes[3 * RING];
    size_t size = random_count(state) % RING, filled;
    ssize_t n;

    memset(bytes + RING + size, 0x5a, RING - size);
    n = alchi_stream_read(stream, bytes + RING, size);
    ck_assert_int_le(n, (ssize_t)size);
    for (size_t k = size; k < RING; k++)
        if (bytes[RING + k] != 0x5a)
            ck_abort_msg("byte %zu behind a buffer of %zu bytes was changed", k - size, size);
    ck_assert_int_le(pair_send(stream, bytes, size), (ssize_t)size);
    if (alchi_stream_peek(stream, &filled)) {
        ck_assert_uint_le(filled, RING);
        alchi_stream_consume(stream, filled);
    }
    if (alchi_stream_reserve(stream, size))
        alchi_stream_commit(stream, size);
    poll_fires(stream, (short)(state[0] >> 60 & 1 ? POLLIN : POLLIN | POLLOUT));
    alchi_stream_idle(stream);
}

START_TEST(random_counts_do_no_harm)
{
    uint64_t state = (uint64_t)_i + 1;

    for (int round = 0; round < 40; round++) {
        scribbler_t scribbler = {.seed = random_count(&state)};
        alchi_rings_t *rings;
        pthread_t thread;
        int fd[2], memory;

        pair_unix(fd);
        unit_code(alchi_rings_create(RING, &rings, &memory, &err), ALCH_OK);
        unit_code(alchi_rings_map(memory, RING, &scribbler.rings, &err), ALCH_OK);
        close(memory);
        end[0] = alchi_stream_create(fd[0]);
        unit_code(alchi_stream_use_rings(end[0], rings), ALCH_OK);
        ck_assert_int_eq(pthread_create(&thread, NULL, scribble, &scribbler), 0);
        for (int k = 0; k < 50; k++)
            use_stream(end[0], &state);
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
grant_shared_memory(void *context)
{
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;

    if (alchi_channel_receive_by(context, alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message) == ALCH_OK &&
        frame.type == ALCHI_DATA_SHARE)
        alchi_shm_grant(context, frame.id, NULL);
    alchi_message_free(message);
    return NULL;
}

/* A frame that is written in place in the ring arrives like any other. */
static void
check_frame_made_in_place(alchi_channel_t *from, alchi_channel_t *to)
{
    alchi_frame_t frame = {.type = ALCHI_DATA_BLOCK, .flags = ALCHI_FRAME_REPLY, .id = 9, .payload = 1000};
    Alchw__DataBlock block = ALCHW__DATA_BLOCK__INIT;
    ProtobufCMessage *message;
    const uint8_t *here;
    uint8_t *place;
    size_t size;

    block.has_pack_ns = true;
    block.pack_ns = 12345;
    frame.payload = (uint32_t)alchi_channel_reserve_max(from) + 2048;
    unit_code(alchi_channel_reserve_payload(from, &frame, &block, &place), ALCH_EUNSUPPORTED);
    frame.payload = 1000;
    unit_code(alchi_channel_reserve_payload(from, &frame, &block, &place), ALCH_OK);
    for (size_t k = 0; k < 1000; k++)
        place[k] = letter(k);
    alchi_channel_send_reserved(from, &frame);
    unit_code(alchi_channel_receive_by(to, alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message), ALCH_OK);
    ck_assert_uint_eq(frame.id, 9);
    ck_assert_uint_eq(frame.payload, 1000);
    ck_assert_uint_eq(((Alchw__DataBlock *)message)->pack_ns, 12345);
    alchi_message_free(message);
    ck_assert_ptr_nonnull(here = alchi_channel_peek_payload(to, &size));
    ck_assert_uint_eq(size, 1000);
    for (size_t k = 0; k < 1000; k++)
        ck_assert_uint_eq(here[k], letter(k));
    alchi_channel_consume_payload(to, here, 1000);
    ck_assert_ptr_null(alchi_channel_peek_payload(to, &size));
}

START_TEST(client_and_rank_agree_on_shared_memory)
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
    ck_assert_int_eq(pthread_create(&thread, NULL, grant_shared_memory, channel[1]), 0);
    unit_code(alchi_shm_request(channel[0], 1, alchi_deadline_in_ms(PAIR_WAIT_MS), &err), ALCH_OK);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_gt(alchi_stream_reserve_max(alchi_channel_stream(channel[i])), 0);
        unit_code(alchi_channel_send(channel[i], ALCHI_PING, 0, 3, NULL), ALCH_OK);
        unit_code(alchi_channel_receive_by(channel[!i], alchi_deadline_in_ms(PAIR_WAIT_MS), &frame, &message), ALCH_OK);
        ck_assert_uint_eq(frame.id, 3);
        alchi_message_free(message);
    }
    check_frame_made_in_place(channel[0], channel[1]);
}
END_TEST

/* Wrong answers and descriptors of the wrong kind: the result is an error, and no descriptor is left open. */
START_TEST(wrong_answer_is_refused)
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
    unit_code(alchi_shm_request(channel, 1, alchi_deadline_in_ms(PAIR_WAIT_MS), &err), _i == 1   ? ALCH_ECONNECT
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

static char folder[64];

static void
use_folder(void)
{
    unit_create_folder("/tmp", folder);
    setenv("XDG_RUNTIME_DIR", folder, 1);
}

static void
remove_folder(void)
{
    unit_remove_folder(folder);
}

START_TEST(listener_is_found_by_key_alone)
{
    uint8_t key[ALCHI_KEY_SIZE] = {1, (uint8_t)getpid()}, other[ALCHI_KEY_SIZE] = {2};
    alchi_claim_t claim = {ALCHI_ROLE_DATA, 5, 6, 7}, rank = {ALCHI_ROLE_DATA, 5, 6, 8};
    alchi_shm_listener_t listener;
    struct stat file;
    int fd, accepted;

    use_folder();
    ck_assert_int_eq(alchi_shm_connect(key, &claim), -1);
    alchi_shm_listener_open(&listener, key, &claim);
    ck_assert_int_ge(listener.fd[0], 0);
    ck_assert_int_ge(listener.fd[1], 0);
    ck_assert_int_eq(alchi_shm_connect(other, &claim), -1);
    ck_assert_int_eq(alchi_shm_connect(key, &rank), -1);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_ge(fd = alchi_shm_connect(key, &claim), 0);
        ck_assert_int_ge(accepted = accept(listener.fd[k], NULL, NULL), 0);
        close(accepted);
        close(fd);
        close(listener.fd[0]); /* the next round must use the file */
        listener.fd[0] = -1;
    }
    ck_assert_int_eq(stat(listener.path, &file), 0);
    ck_assert_int_eq(alchi_shm_sweep_sockets(), 0); /* the socket is in use */
    alchi_shm_listener_close(&listener);
    ck_assert_int_eq(stat(folder, &file), 0);
    ck_assert_int_eq(alchi_shm_connect(key, &claim), -1);
    remove_folder();
}
END_TEST

START_TEST(files_of_killed_ranks_are_removed)
{
    uint8_t key[ALCHI_KEY_SIZE] = {3, (uint8_t)getpid()};
    alchi_claim_t claim = {ALCHI_ROLE_DATA, 5, 6, 7};
    alchi_shm_listener_t listener;
    char path[ALCHI_SHM_PATH_MAX];

    use_folder();
    alchi_shm_listener_open(&listener, key, &claim);
    memcpy(path, listener.path, sizeof(path));
    close(listener.fd[0]);
    close(listener.fd[1]);
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(alchi_shm_sweep_sockets(), 1);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(alchi_shm_sweep_sockets(), 0);
    remove_folder();
}
END_TEST

/* If the path of the file is too long, the rank listens at the abstract name only. */
START_TEST(too_long_path_is_left_out)
{
    uint8_t key[ALCHI_KEY_SIZE] = {4, (uint8_t)getpid()};
    alchi_claim_t claim = {ALCHI_ROLE_DATA, 5, 6, 7};
    alchi_shm_listener_t listener;
    char path[256];
    int fd;

    use_folder();
    snprintf(path, sizeof(path), "%s/%0100d", folder, 1);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    setenv("XDG_RUNTIME_DIR", path, 1);
    alchi_shm_listener_open(&listener, key, &claim);
    ck_assert_int_eq(listener.fd[1], -1);
    ck_assert_int_ge(fd = alchi_shm_connect(key, &claim), 0);
    close(fd);
    alchi_shm_listener_close(&listener);
    remove_folder();
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *memory = tcase_create("memory"), *bytes = tcase_create("bytes"), *bad = tcase_create("bad peers"),
          *agree = tcase_create("agree");

    tcase_add_test(memory, wrong_ring_size_is_refused);
    tcase_add_loop_test(memory, unsealed_memory_is_refused, 0, 4);
    tcase_add_loop_test(memory, memory_of_other_size_is_refused, 0, 4);
    tcase_add_test(memory, files_and_pipes_are_refused);
    tcase_add_test(memory, memory_of_rings_cannot_be_resized);
    tcase_add_test(memory, no_space_is_an_error);
    suite_add_tcase(suite, memory);
    tcase_add_checked_fixture(bytes, NULL, teardown);
    tcase_add_loop_test(bytes, bytes_arrive_in_order, 0, 3);
    tcase_add_test(bytes, readv_fills_the_first_piece_only);
    tcase_add_test(bytes, no_wake_up_is_lost);
    tcase_add_test(bytes, no_wake_up_byte_without_a_sleeper);
    tcase_add_test(bytes, end_follows_the_last_bytes);
    suite_add_tcase(suite, bytes);
    tcase_add_test(bytes, reserved_and_arrived_bytes_are_contiguous);
    tcase_add_test(bytes, reserve_fails_without_room);
    tcase_add_test(bytes, writer_is_woken_for_a_quarter_of_the_ring);
    tcase_add_test(bytes, reserve_fails_after_the_peer_closed);
    tcase_add_test(bytes, socket_has_no_memory_to_reserve);
    tcase_add_checked_fixture(bad, NULL, teardown);
    tcase_add_loop_test(bad, random_counts_do_no_harm, 0, 4);
    tcase_add_test(bad, end_of_killed_peer_is_seen);
    tcase_add_loop_test(bad, impossible_counts_break_the_stream, 0, 10);
    suite_add_tcase(suite, bad);
    tcase_add_checked_fixture(agree, NULL, teardown);
    tcase_add_test(agree, client_and_rank_agree_on_shared_memory);
    tcase_add_loop_test(agree, wrong_answer_is_refused, 0, 6);
    tcase_add_test(agree, listener_is_found_by_key_alone);
    tcase_add_test(agree, files_of_killed_ranks_are_removed);
    tcase_add_test(agree, too_long_path_is_left_out);
    suite_add_tcase(suite, agree);
}
