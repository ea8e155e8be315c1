/* Streams over sockets: reading, writing, the end, waiting. */
#include "net_pair.h"

#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static alchi_stream_t *stream;
static int peer;

static void
teardown(void)
{
    alchi_stream_destroy(stream);
    pair_teardown();
}

/* Open a TCP connection (kind 0) or a unix socket pair (kind 1); every test runs over both. */
static void
open_pair(int kind)
{
    int fd[2];

    if (kind == 0)
        pair_tcp(fd);
    else
        pair_unix(fd);
    stream = alchi_stream_create(fd[0]);
    ck_assert_ptr_nonnull(stream);
    peer = fd[1];
}

START_TEST(destroy_null_keeps_errno)
{
    errno = 77;
    alchi_stream_destroy(NULL);
    ck_assert_int_eq(errno, 77);
}
END_TEST

START_TEST(read_returns_the_bytes_that_arrived)
{
    char bytes[16];

    open_pair(_i);
    ck_assert_int_eq(alchi_stream_read(stream, bytes, sizeof(bytes)), 0);
    ck_assert_int_eq(write(peer, "hello", 5), 5);
    unit_code(alchi_stream_wait(stream, POLLIN, alchi_deadline_in_ms(PAIR_WAIT_MS)), ALCH_OK);
    ck_assert_int_eq(alchi_stream_read(stream, bytes, 0), 0);
    ck_assert_int_eq(alchi_stream_read(stream, bytes, 2), 2);
    ck_assert_int_eq(alchi_stream_read(stream, bytes + 2, sizeof(bytes) - 2), 3);
    ck_assert_mem_eq(bytes, "hello", 5);
    ck_assert_int_eq(alchi_stream_read(stream, bytes, sizeof(bytes)), 0);
}
END_TEST

START_TEST(readv_fills_pieces)
{
    char bytes[8] = "........";
    struct iovec iov[] = {{bytes, 2}, {bytes + 3, 1}, {bytes + 5, 3}};

    open_pair(_i);
    ck_assert_int_eq(alchi_stream_readv(stream, iov, 3), 0);
    ck_assert_int_eq(write(peer, "hello", 5), 5);
    unit_code(alchi_stream_wait(stream, POLLIN, alchi_deadline_in_ms(PAIR_WAIT_MS)), ALCH_OK);
    ck_assert_int_eq(alchi_stream_readv(stream, iov, 0), 0);
    ck_assert_int_eq(alchi_stream_readv(stream, iov, 1), 2);
    ck_assert_mem_eq(bytes, "he......", 8);
    ck_assert_int_eq(alchi_stream_readv(stream, iov + 1, 2), 3);
    ck_assert_mem_eq(bytes, "he.l.lo.", 8);
    ck_assert_int_eq(alchi_stream_readv(stream, iov, 3), 0);
}
END_TEST

START_TEST(orderly_end_has_errno_0)
{
    char bytes[2];
    struct iovec iov[] = {{bytes, 1}, {bytes + 1, 1}};

    open_pair(_i);
    close(peer);
    unit_code(alchi_stream_wait(stream, POLLIN, alchi_deadline_in_ms(PAIR_WAIT_MS)), ALCH_OK);
    errno = 77;
    ck_assert_int_eq(alchi_stream_read(stream, bytes, 1), -1);
    ck_assert_int_eq(errno, 0);
    errno = 77;
    ck_assert_int_eq(alchi_stream_readv(stream, iov, 2), -1);
    ck_assert_int_eq(errno, 0);
}
END_TEST

START_TEST(writev_sends_pieces_until_full)
{
    static char large[1 << 16];
    struct iovec iov[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    char bytes[8] = "";
    ssize_t n;

    open_pair(_i);
    ck_assert_int_eq(alchi_stream_writev(stream, iov, 0), 0);
    ck_assert_int_eq(alchi_stream_writev(stream, iov, 3), 5);
    ck_assert_int_eq(recv(peer, bytes, 5, MSG_WAITALL), 5);
    ck_assert_str_eq(bytes, "abcde");
    iov[0] = (struct iovec){large, sizeof(large)};
    while ((n = alchi_stream_writev(stream, iov, 1)) > 0)
        ;
    ck_assert_int_eq(n, 0);
    unit_code(alchi_stream_wait(stream, POLLOUT, alchi_deadline_in_ms(20)), ALCH_ETIMEDOUT);
}
END_TEST

static bool
write_fails(void *context)
{
    (void)context;
    return pair_send(stream, "x", 1) < 0;
}

/* SIGPIPE would end the test. */
START_TEST(write_to_closed_peer_fails_without_a_signal)
{
    open_pair(_i);
    close(peer);
    unit_wait_for(write_fails, NULL, PAIR_WAIT_MS);
    ck_assert(errno == EPIPE || errno == ECONNRESET);
}
END_TEST

START_TEST(wait_has_a_deadline)
{
    int64_t start = alchi_now_ns();

    open_pair(_i);
    unit_code(alchi_stream_wait(stream, POLLIN, alchi_deadline_in_ms(30)), ALCH_ETIMEDOUT);
    ck_assert_int_ge(alchi_now_ns() - start, 29000000);
    unit_code(alchi_stream_wait(stream, POLLIN, alchi_now_ns() - 1), ALCH_ETIMEDOUT);
    unit_code(alchi_stream_wait(stream, POLLOUT, alchi_now_ns() - 1), ALCH_OK);
}
END_TEST

START_TEST(destroy_closes_and_keeps_errno)
{
    int fd;

    open_pair(_i);
    fd = alchi_stream_fd(stream);
    errno = 77;
    alchi_stream_destroy(stream);
    stream = NULL;
    ck_assert_int_eq(errno, 77);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("stream");

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, destroy_null_keeps_errno);
    tcase_add_loop_test(tcase, read_returns_the_bytes_that_arrived, 0, 2);
    tcase_add_loop_test(tcase, readv_fills_pieces, 0, 2);
    tcase_add_loop_test(tcase, orderly_end_has_errno_0, 0, 2);
    tcase_add_loop_test(tcase, writev_sends_pieces_until_full, 0, 2);
    tcase_add_loop_test(tcase, write_to_closed_peer_fails_without_a_signal, 0, 2);
    tcase_add_loop_test(tcase, wait_has_a_deadline, 0, 2);
    tcase_add_loop_test(tcase, destroy_closes_and_keeps_errno, 0, 2);
    suite_add_tcase(suite, tcase);
}
