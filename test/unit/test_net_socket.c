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

START_TEST(connect_refused)
{
    alchi_address_t address;
    alch_error_t err = {0};
    int fd = pair_listen(&address), other = -7;

    close(fd);
    unit_code(alchi_connect(&address, alchi_deadline_in_ms(1500), &other, &err), ALCH_ECONNECT);
    ck_assert_int_eq(other, -7);
    ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.1:"));
    ck_assert_ptr_nonnull(strstr(err.text, strerror(ECONNREFUSED)));
}
END_TEST

START_TEST(connect_unknown_host)
{
    alchi_address_t address = {.host = "no-such-host.invalid", .port = 1};
    alch_error_t err = {0};
    int fd, code = alchi_connect(&address, alchi_deadline_in_ms(1000), &fd, &err);

    ck_assert_msg(code == ALCH_ECONNECT || code == ALCH_ETIMEDOUT, "got %s", alch_errname(code));
    ck_assert_ptr_nonnull(strstr(err.text, "no-such-host.invalid"));
}
END_TEST

/* A full queue of connections drops new ones, as a host that is gone would. */
START_TEST(connect_times_out)
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
    ck_assert_int_lt(alchi_now_ns() - start, 1000000000);
    ck_assert_ptr_nonnull(strstr(err.text, "did not answer within 0."));
}
END_TEST

START_TEST(connect_past_deadline)
{
    alchi_address_t address = {.host = "192.0.2.1", .port = 9};
    int fd, code = alchi_connect(&address, alchi_deadline_in_ms(0), &fd, NULL);

    /* Some networks answer for addresses that nobody has. */
    ck_assert_int_ne(code, ALCH_OK);
}
END_TEST

START_TEST(connect_localhost)
{
    alchi_address_t address;
    int listen_fd = pair_listen(&address), fd, peer;
    char host[64], text[64], expected[64];

    snprintf(address.host, sizeof(address.host), "LOCALHOST");
    unit_code(alchi_connect(&address, alchi_deadline_in_ms(1500), &fd, NULL), ALCH_OK);
    peer = pair_accept(listen_fd);
    check_prepared(fd);
    check_prepared(peer);
    alchi_peer_host(peer, host, sizeof(host));
    ck_assert_str_eq(host, "127.0.0.1");
    snprintf(expected, sizeof(expected), "127.0.0.1:%d", address.port);
    ck_assert_str_eq(alchi_peer_text(fd, text, sizeof(text)), expected);
}
END_TEST

/* A network of its own in which the only source ports are those that are connected to. */
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

START_TEST(connect_never_to_itself)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    int fd;

    if (!enter_small_network())
        return; /* needs root */
    for (address.port = 40000; address.port < 40002; address.port++)
        unit_code(alchi_connect(&address, alchi_deadline_in_ms(1000), &fd, NULL), ALCH_ECONNECT);
}
END_TEST

START_TEST(peer_of_others)
{
    char text[64];
    int fd[2];

    pair_unix(fd);
    alchi_peer_host(fd[0], text, sizeof(text));
    ck_assert_str_eq(text, "");
    ck_assert_str_eq(alchi_peer_text(fd[0], text, sizeof(text)), "a local socket");
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

START_TEST(bind_bad_address)
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

START_TEST(bind_fills_in_port)
{
    alchi_address_t address = {.host = ""};
    int fd;

    unit_code(alchi_bind(&address, &fd, NULL), ALCH_OK);
    ck_assert_int_gt(address.port, 0);
    check_prepared(fd);
    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
}
END_TEST

START_TEST(bind_names_listener)
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

/* A reserved port is one even though SO_REUSEADDR would let two have it. */
START_TEST(bind_refuses_reserved_port)
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

/* A socket that does not listen is in no table of the kernel, but daemons find each other's. */
START_TEST(bind_names_idle_daemon)
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

START_TEST(listen_again_after_unlisten)
{
    alchi_address_t address;
    int fd = pair_listen(&address), client, peer, other, port = address.port;

    for (int i = 0; i < 3; i++) {
        unit_code(alchi_connect(&address, alchi_deadline_in_ms(1500), &client, NULL), ALCH_OK);
        peer = pair_accept(fd);
        close(peer); /* this side closes first: its end stays in TIME_WAIT */
        close(client);
        alchi_unlisten(fd);
        unit_code(alchi_connect(&address, alchi_deadline_in_ms(1500), &client, NULL), ALCH_ECONNECT);
        unit_code(alchi_listen(fd, 16, NULL), ALCH_OK);
    }
    unit_code(alchi_bind(&address, &other, NULL), ALCH_EPORT);
    close(fd);
    unit_code(alchi_bind(&address, &other, NULL), ALCH_OK);
    ck_assert_int_eq(address.port, port);
}
END_TEST

/* A worker may die before it listens. */
START_TEST(unlisten_before_listen)
{
    alchi_address_t address = {.host = "127.0.0.1"};
    struct pollfd entry = {.events = POLLIN};
    int fd, client, peer;
    char bytes[4];

    unit_code(alchi_bind(&address, &fd, NULL), ALCH_OK);
    alchi_unlisten(fd);
    unit_code(alchi_listen(fd, 16, NULL), ALCH_OK);
    unit_code(alchi_connect(&address, alchi_deadline_in_ms(1500), &client, NULL), ALCH_OK);
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

START_TEST(accept_none)
{
    alchi_address_t address;
    alch_error_t err = {0};
    int fd = pair_listen(&address), other = -7;

    unit_code(alchi_accept(fd, &other, &err), ALCH_EAGAIN);
    unit_code(alchi_accept(-1, &other, &err), ALCH_ESYSTEM);
    ck_assert_int_eq(other, -7);
}
END_TEST

START_TEST(serves_v6)
{
    alchi_address_t address = {.host = "::"}, v6 = {.host = "::1"}, v4 = {.host = "127.0.0.1"};
    int fd, client, peer;
    char host[64];

    if (alchi_bind(&address, &fd, NULL) != ALCH_OK)
        return; /* a host without IPv6 */
    unit_code(alchi_listen(fd, 4, NULL), ALCH_OK);
    v6.port = v4.port = address.port;
    unit_code(alchi_connect(&v4, alchi_deadline_in_ms(1500), &client, NULL), ALCH_OK);
    peer = pair_accept(fd);
    alchi_peer_host(peer, host, sizeof(host));
    ck_assert_str_eq(host, "127.0.0.1");
    if (alchi_connect(&v6, alchi_deadline_in_ms(1500), &client, NULL) != ALCH_OK)
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

    tcase_add_test(connecting, connect_refused);
    tcase_add_test(connecting, connect_unknown_host);
    tcase_add_test(connecting, connect_times_out);
    tcase_add_test(connecting, connect_past_deadline);
    tcase_add_test(connecting, connect_localhost);
    tcase_add_test(connecting, connect_never_to_itself);
    tcase_add_test(connecting, peer_of_others);
    tcase_add_test(connecting, keepalive_follows_timeout);
    suite_add_tcase(suite, connecting);
    tcase_add_test(listening, bind_bad_address);
    tcase_add_test(listening, bind_fills_in_port);
    tcase_add_test(listening, bind_names_listener);
    tcase_add_test(listening, bind_refuses_reserved_port);
    tcase_add_test(listening, bind_names_idle_daemon);
    tcase_add_test(listening, listen_again_after_unlisten);
    tcase_add_test(listening, unlisten_before_listen);
    tcase_add_test(listening, accept_none);
    tcase_add_test(listening, serves_v6);
    suite_add_tcase(suite, listening);
}
