/* Sockets: connecting with a deadline, binding and listening, names of peers and of port owners. */
#include "net_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

static int
option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    ck_assert_int_eq(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static void
check_prepared(int fd)
{
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ck_assert_int_ne(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    ck_assert_int_ne(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 15);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 60000);
}

/* ---- connecting ---- */

START_TEST(refused_connection_is_reported)
{
    alchi_address_t address;
    alch_error_t err = {0};
    int fd = pair_listen(&address), other = -7;

    close(fd);
    unit_code(alchi_connect(&address, alchi_deadline_in_ms(PAIR_WAIT_MS), &other, &err), ALCH_ECONNECT);
    ck_assert_int_eq(other, -7);
    ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.1:"));
    ck_assert_ptr_nonnull(strstr(err.text, strerror(ECONNREFUSED)));
}
END_TEST

START_TEST(unknown_host_is_reported)
{
    alchi_address_t address = {.host = "no-such-host.invalid", .port = 1};
    alch_error_t err = {0};
    int fd, code = alchi_connect(&address, alchi_deadline_in_ms(PAIR_WAIT_MS), &fd, &err);

    ck_assert_msg(code == ALCH_ECONNECT || code == ALCH_ETIMEDOUT, "got %s", alch_errname(code));
    ck_assert_ptr_nonnull(strstr(err.text, "no-such-host.invalid"));
}
END_TEST

/* A full queue of connections drops new ones, so the client sees the same as if the host were down. */
START_TEST(silent_host_times_out)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    alch_error_t err = {0};
    int fd, other, code = ALCH_OK;
    int64_t start = 0;

    unit_code(alchi_bind(&address, &fd, NULL), ALCH_OK);
    unit_code(alchi_listen(fd, 0, NULL), ALCH_OK);
    for (int i = 0; i < 5 && code == ALCH_OK; i++) {
        start = alchi_now_ns();
        code = alchi_connect(&address, alchi_deadline_in_ms(150), &other, &err);
    }
    unit_code(code, ALCH_ETIMEDOUT);
    ck_assert_int_ge(alchi_now_ns() - start, 140000000);
    ck_assert_int_lt(alchi_now_ns() - start, PAIR_WAIT_MS * INT64_C(1000000));
    ck_assert_ptr_nonnull(strstr(err.text, "did not answer within 0."));
}
END_TEST

START_TEST(connect_past_the_deadline_fails)
{
    alchi_address_t address = {.host = "192.0.2.1", .port = 9};
    int fd, code = alchi_connect(&address, alchi_deadline_in_ms(0), &fd, NULL);

    /* Some networks answer even for addresses that no host has, so any error will do. */
    ck_assert_int_ne(code, ALCH_OK);
}
END_TEST

START_TEST(localhost_connects_with_prepared_sockets)
{
    alchi_address_t address;
    int listen_fd = pair_listen(&address), fd, peer;
    char host[64], text[64], expected[64];

    snprintf(address.host, sizeof(address.host), "LOCALHOST");
    unit_code(alchi_connect(&address, alchi_deadline_in_ms(PAIR_WAIT_MS), &fd, NULL), ALCH_OK);
    peer = pair_accept(listen_fd);
    check_prepared(fd);
    check_prepared(peer);
    alchi_peer_host(peer, host, sizeof(host));
    ck_assert_str_eq(host, "127.0.0.1");
    snprintf(expected, sizeof(expected), "127.0.0.1:%d", address.port);
    ck_assert_str_eq(alchi_peer_text(fd, text, sizeof(text)), expected);
}
END_TEST

/* Enter a separate network whose only source ports are the ports that the test connects to. */
static bool
enter_small_network(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    FILE *file;
    int fd;

    if (unshare(CLONE_NEWNET) != 0)
        return false;
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
    if (!file)
        return false;
    fputs("40000 40001\n", file);
    return fclose(file) == 0;
}

START_TEST(socket_never_connects_to_itself)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    int fd, network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (enter_small_network()) { /* only root may */
        for (address.port = 40000; address.port < 40002; address.port++)
            unit_code(alchi_connect(&address, alchi_deadline_in_ms(PAIR_WAIT_MS), &fd, NULL), ALCH_ECONNECT);
        ck_assert_int_eq(setns(network, CLONE_NEWNET), 0);
    }
    close(network);
}
END_TEST

START_TEST(peer_of_unix_socket_has_no_host)
{
    char text[64];
    int fd[2];

    pair_unix(fd);
    alchi_peer_host(fd[0], text, sizeof(text));
    ck_assert_str_eq(text, "");
    ck_assert_str_eq(alchi_peer_text(fd[0], text, sizeof(text)), "a unix socket");
    alchi_peer_host(-1, text, sizeof(text));
    ck_assert_str_eq(text, "?");
    alchi_socket_prepare(fd[0]);
    ck_assert(fcntl(fd[0], F_GETFL) & O_NONBLOCK);
}
END_TEST

START_TEST(keepalive_follows_timeout)
{
    int fd[2];

    pair_tcp(fd);
    alchi_socket_keepalive(fd[0], 8000);
    ck_assert_int_eq(option(fd[0], IPPROTO_TCP, TCP_KEEPIDLE), 2);
    ck_assert_int_eq(option(fd[0], IPPROTO_TCP, TCP_KEEPINTVL), 1);
    ck_assert_int_eq(option(fd[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 8000);
}
END_TEST

/* ---- listening ---- */

START_TEST(wrong_bind_address_is_refused)
{
    alchi_address_t cases[] = {{.host = "no-such-host.invalid", .port = 0},
                               {.host = "192.0.2.1", .port = 0},
                               {.host = "127.0.0.1", .port = 65536},
                               {.host = "127.0.0.1", .port = -1}};
    int fd = -7;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        unit_code(alchi_bind(&cases[i], &fd, NULL), ALCH_EINVAL);
    ck_assert_int_eq(fd, -7);
}
END_TEST

START_TEST(bind_returns_the_chosen_port)
{
    alchi_address_t address = {.host = ""};
    int fd;

    unit_code(alchi_bind(&address, &fd, NULL), ALCH_OK);
    ck_assert_int_gt(address.port, 0);
    check_prepared(fd);
    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
}
END_TEST

START_TEST(used_port_names_its_listener)
{
    static const char *const hosts[] = {"127.0.0.1", "0.0.0.0", ""};
    alchi_address_t address;
    alch_error_t err = {0};
    char expected[64];
    int other;

    pair_listen(&address);
    snprintf(expected, sizeof(expected), "in use by process %d (", (int)getpid());
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        snprintf(address.host, sizeof(address.host), "%s", hosts[i]);
        unit_code(alchi_bind(&address, &other, &err), ALCH_EPORT);
        ck_assert_msg(strstr(err.text, expected), "%s", err.text);
    }
    ck_assert_ptr_nonnull(strstr(err.text, "on 0.0.0.0"));
}
END_TEST

/* A port that is bound but not listened on is refused, although SO_REUSEADDR would let two sockets have it. */
START_TEST(reserved_port_is_refused)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    alch_error_t err = {0};
    int fd, other;

    unit_code(alchi_bind(&address, &fd, NULL), ALCH_OK);
    unit_code(alchi_bind(&address, &other, &err), ALCH_EPORT);
    ck_assert_msg(strstr(err.text, "a process that cannot be seen"), "%s", err.text);
    close(fd);
    unit_code(alchi_bind(&address, &other, &err), ALCH_OK);
}
END_TEST

/* A socket that does not listen is in no table of the kernel, but a daemon finds the sockets of other daemons. */
START_TEST(reserved_port_names_its_daemon)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    alch_error_t err = {0};
    char expected[64];
    int fd, other;

    unit_code(alchi_bind(&address, &fd, NULL), ALCH_OK);
    ck_assert_int_eq(prctl(PR_SET_NAME, "alchemistd"), 0);
    unit_code(alchi_bind(&address, &other, &err), ALCH_EPORT);
    snprintf(expected, sizeof(expected), "port %d on 127.0.0.1 is in use by process %d (alchemistd)", address.port,
             (int)getpid());
    ck_assert_str_eq(err.text, expected);
}
END_TEST

START_TEST(unlisten_keeps_the_port_and_listen_resumes)
{
    alchi_address_t address;
    int fd = pair_listen(&address), client, peer, other, port = address.port;

    for (int i = 0; i < 3; i++) {
        unit_code(alchi_connect(&address, alchi_deadline_in_ms(PAIR_WAIT_MS), &client, NULL), ALCH_OK);
        peer = pair_accept(fd);
        close(peer); /* the listening side closes first, so its end stays in TIME_WAIT */
        close(client);
        alchi_unlisten(fd);
        unit_code(alchi_connect(&address, alchi_deadline_in_ms(PAIR_WAIT_MS), &client, NULL), ALCH_ECONNECT);
        unit_code(alchi_listen(fd, 16, NULL), ALCH_OK);
    }
    unit_code(alchi_bind(&address, &other, NULL), ALCH_EPORT);
    close(fd);
    unit_code(alchi_bind(&address, &other, NULL), ALCH_OK);
    ck_assert_int_eq(address.port, port);
}
END_TEST

/* A worker may be killed before it listens. */
START_TEST(unlisten_before_listen_does_no_harm)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    struct pollfd entry = {.events = POLLIN};
    int fd, client, peer;
    char bytes[4];

    unit_code(alchi_bind(&address, &fd, NULL), ALCH_OK);
    alchi_unlisten(fd);
    unit_code(alchi_listen(fd, 16, NULL), ALCH_OK);
    unit_code(alchi_connect(&address, alchi_deadline_in_ms(PAIR_WAIT_MS), &client, NULL), ALCH_OK);
    peer = pair_accept(fd);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(send(i ? peer : client, "hey", 3, MSG_NOSIGNAL), 3);
        entry.fd = i ? client : peer;
        ck_assert_int_eq(poll(&entry, 1, 1000), 1);
        ck_assert_int_eq(recv(entry.fd, bytes, sizeof(bytes), 0), 3);
    }
    ck_assert_int_eq(recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
}
END_TEST

START_TEST(accept_without_a_connection_returns_eagain)
{
    alchi_address_t address;
    alch_error_t err = {0};
    int fd = pair_listen(&address), other = -7;

    unit_code(alchi_accept(fd, &other, &err), ALCH_EAGAIN);
    unit_code(alchi_accept(-1, &other, &err), ALCH_ESYSTEM);
    ck_assert_int_eq(other, -7);
}
END_TEST

START_TEST(both_families_are_served)
{
    alchi_address_t address = {.host = "::"}, v6 = {.host = "::1"}, v4 = {.host = "127.0.0.1"};
    int fd, client, peer;
    char host[64];

    if (alchi_bind(&address, &fd, NULL) != ALCH_OK)
        return; /* a host without IPv6 */
    unit_code(alchi_listen(fd, 4, NULL), ALCH_OK);
    v6.port = v4.port = address.port;
    unit_code(alchi_connect(&v4, alchi_deadline_in_ms(PAIR_WAIT_MS), &client, NULL), ALCH_OK);
    peer = pair_accept(fd);
    alchi_peer_host(peer, host, sizeof(host));
    ck_assert_str_eq(host, "127.0.0.1");
    if (alchi_connect(&v6, alchi_deadline_in_ms(PAIR_WAIT_MS), &client, NULL) != ALCH_OK)
        return; /* no ::1 on this host */
    peer = pair_accept(fd);
    alchi_peer_host(peer, host, sizeof(host));
    ck_assert_str_eq(host, "::1");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *connecting = tcase_create("connect"), *listening = tcase_create("listen");

    tcase_add_test(connecting, refused_connection_is_reported);
    tcase_add_test(connecting, unknown_host_is_reported);
    tcase_add_test(connecting, silent_host_times_out);
    tcase_add_test(connecting, connect_past_the_deadline_fails);
    tcase_add_test(connecting, localhost_connects_with_prepared_sockets);
    tcase_add_test(connecting, socket_never_connects_to_itself);
    tcase_add_test(connecting, peer_of_unix_socket_has_no_host);
    tcase_add_test(connecting, keepalive_follows_timeout);
    suite_add_tcase(suite, connecting);
    tcase_add_test(listening, wrong_bind_address_is_refused);
    tcase_add_test(listening, bind_returns_the_chosen_port);
    tcase_add_test(listening, used_port_names_its_listener);
    tcase_add_test(listening, reserved_port_is_refused);
    tcase_add_test(listening, reserved_port_names_its_daemon);
    tcase_add_test(listening, unlisten_keeps_the_port_and_listen_resumes);
    tcase_add_test(listening, unlisten_before_listen_does_no_harm);
    tcase_add_test(listening, accept_without_a_connection_returns_eagain);
    tcase_add_test(listening, both_families_are_served);
    suite_add_tcase(suite, listening);
}
