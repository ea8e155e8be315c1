#include "worker/data.h"

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "net/address.h"
#include "worker/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define THREADS_DEFAULT 2
#define THREADS_MAX 64
#define CONNECTIONS_DEFAULT 256
#define STRANGERS_MAX 32 /* connections that have not proved themselves; one more closes the oldest */
#define IO_TIMEOUT_MS 60000
#define HANDSHAKE_TIMEOUT_MS 10000
#define ACCEPT_PAUSE_MS 100 /* when descriptors run out */
#define BACKLOG 128
#define EVENTS 64

typedef struct {
    alchi_data_t *data;
    pthread_t thread;
    bool started;
    int epoll_fd, wake_fd;
    uint8_t *scratch;
    alchi_conn_t *conns;
    int strangers; /* of the first thread */
    alchi_deadline_t accept_again;
    pthread_mutex_t mutex; /* guards inbox */
    alchi_conn_t *inbox;   /* handed over by the first thread */
} server_t;

struct alchi_data {
    alchi_data_config_t config;
    server_t *servers;
    int next; /* who gets the next connection */
    atomic_int connections;
    atomic_bool stop;
};

static void
wake(server_t *server)
{
    uint64_t one = 1;

    if (write(server->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        alchi_log(ALCHI_LOG_ERROR, "cannot wake a data thread: %s", strerror(errno));
}

static int
watch(server_t *server, int fd, unsigned events, void *who)
{
    struct epoll_event event = {.events = events, .data.ptr = who};

    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* ---- connections of one thread ---- */

static void
close_conn(server_t *server, alchi_conn_t *conn)
{
    bool counted = conn->counted;

    DL_DELETE(server->conns, conn);
    alchi_conn_destroy(conn);
    /* Who sees the number fall finds its references gone. */
    if (counted)
        atomic_fetch_sub(&server->data->connections, 1);
    else
        server->strangers--;
}

static void
add_conn(server_t *server, alchi_conn_t *conn)
{
    DL_APPEND(server->conns, conn);
    conn->scratch = server->scratch;
    conn->ready = true;
    conn->events = alchi_conn_events(conn);
    if (watch(server, alchi_channel_fd(conn->channel), conn->events, conn)) {
        alchi_log(ALCHI_LOG_ERROR, "cannot watch a data connection: %s", strerror(errno));
        close_conn(server, conn);
    }
}

static void
take_inbox(server_t *server)
{
    alchi_conn_t *conn, *next, *inbox;

    pthread_mutex_lock(&server->mutex);
    inbox = server->inbox;
    server->inbox = NULL;
    pthread_mutex_unlock(&server->mutex);
    DL_FOREACH_SAFE(inbox, conn, next)
    add_conn(server, conn);
}

static void
hand_over(server_t *server, alchi_conn_t *conn, server_t *to)
{
    DL_DELETE(server->conns, conn);
    epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, alchi_channel_fd(conn->channel), NULL);
    pthread_mutex_lock(&to->mutex);
    DL_APPEND(to->inbox, conn);
    pthread_mutex_unlock(&to->mutex);
    wake(to);
}

/* A connection has just proved itself. @return true: another thread has it now */
static bool
settle(server_t *server, alchi_conn_t *conn)
{
    alchi_data_t *data = server->data;
    server_t *to = &data->servers[data->next];

    conn->counted = true;
    server->strangers--;
    if (atomic_fetch_add(&data->connections, 1) >= data->config.connection_limit) {
        alchi_conn_refuse(conn, ALCH_ELIMIT, "%d data connections are open already", data->config.connection_limit);
        conn->again = true;
        return false;
    }
    data->next = (data->next + 1) % data->config.threads;
    if (to == server)
        return false;
    hand_over(server, conn, to);
    return true;
}

static void
serve_conn(server_t *server, alchi_conn_t *conn)
{
    unsigned events;

    conn->ready = false;
    if (alchi_conn_turn(conn)) {
        close_conn(server, conn);
        return;
    }
    if (!conn->counted && conn->state == ALCHI_CONN_OPEN && settle(server, conn))
        return;
    events = alchi_conn_events(conn);
    if (events != conn->events) {
        struct epoll_event event = {.events = events, .data.ptr = conn};

        conn->events = events;
        epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, alchi_channel_fd(conn->channel), &event);
    }
}

static void
serve_all(server_t *server)
{
    int64_t now = alchi_now_ns();
    alchi_conn_t *conn, *next;

    DL_FOREACH_SAFE(server->conns, conn, next)
    {
        if (conn->ready || conn->again) {
            serve_conn(server, conn);
        } else if (conn->deadline <= now) {
            alchi_conn_timed_out(conn);
            close_conn(server, conn);
        }
    }
}

/* ---- new ones: the first thread ---- */

static void
close_oldest_stranger(server_t *server)
{
    alchi_conn_t *conn;

    DL_FOREACH(server->conns, conn)
    {
        if (!conn->counted) {
            alchi_log(ALCHI_LOG_WARNING, "data connection from %s closed: too many without proof", conn->peer);
            close_conn(server, conn);
            return;
        }
    }
}

static void
accept_failed(server_t *server, int number)
{
    if (number == EAGAIN || number == EINTR || number == ECONNABORTED)
        return;
    alchi_log(ALCHI_LOG_WARNING, "cannot accept a data connection: %s", strerror(number));
    server->accept_again = alchi_deadline_in_ms(ACCEPT_PAUSE_MS);
    epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, server->data->config.listen_fd, NULL);
}

static void
accept_all(server_t *server)
{
    for (int k = 0; k < STRANGERS_MAX; k++) {
        int fd = accept4(server->data->config.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        alchi_conn_t *conn;

        if (fd < 0) {
            accept_failed(server, errno);
            return;
        }
        alchi_socket_prepare(fd);
        if (server->strangers >= STRANGERS_MAX)
            close_oldest_stranger(server);
        conn = alchi_conn_create(&server->data->config, fd);
        if (!conn) {
            alchi_log(ALCHI_LOG_ERROR, "no memory for a data connection");
            continue;
        }
        server->strangers++;
        add_conn(server, conn);
    }
}

/* ---- the loop ---- */

static int
wait_ms(const server_t *server)
{
    alchi_deadline_t first = server->accept_again;
    const alchi_conn_t *conn;

    DL_FOREACH(server->conns, conn)
    {
        if (conn->again || conn->ready)
            return 0;
        if (conn->deadline < first)
            first = conn->deadline;
    }
    return alchi_deadline_left_ms(first);
}

static void *
run(void *argument)
{
    server_t *server = argument;
    alchi_data_t *data = server->data;
    struct epoll_event events[EVENTS];

    while (!atomic_load(&data->stop)) {
        bool incoming = false;
        int count = epoll_wait(server->epoll_fd, events, EVENTS, wait_ms(server));

        for (int k = 0; k < count; k++) {
            uint64_t ignored;

            if (events[k].data.ptr == data)
                incoming = true;
            else if (events[k].data.ptr != server)
                ((alchi_conn_t *)events[k].data.ptr)->ready = true;
            else if (read(server->wake_fd, &ignored, sizeof ignored) < 0)
                continue;
        }
        take_inbox(server);
        if (server->accept_again != ALCHI_NEVER && server->accept_again <= alchi_now_ns()) {
            server->accept_again = ALCHI_NEVER;
            watch(server, data->config.listen_fd, EPOLLIN, data);
        }
        serve_all(server);
        if (incoming)
            accept_all(server);
    }
    return NULL;
}

/* ---- start and stop ---- */

static void
server_fini(server_t *server)
{
    alchi_conn_t *conn, *next;

    DL_FOREACH_SAFE(server->conns, conn, next)
    alchi_conn_destroy(conn);
    DL_FOREACH_SAFE(server->inbox, conn, next)
    alchi_conn_destroy(conn);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    pthread_mutex_destroy(&server->mutex);
    free(server->scratch);
}

void
alchi_data_stop(alchi_data_t *data)
{
    if (!data)
        return;
    atomic_store(&data->stop, true);
    for (int k = 0; k < data->config.threads; k++)
        if (data->servers[k].started)
            wake(&data->servers[k]);
    for (int k = 0; k < data->config.threads; k++)
        if (data->servers[k].started)
            pthread_join(data->servers[k].thread, NULL);
    for (int k = 0; k < data->config.threads; k++)
        server_fini(&data->servers[k]);
    explicit_bzero(data->config.key, sizeof data->config.key);
    free(data->servers);
    free(data);
}

static int
server_start(alchi_data_t *data, server_t *server)
{
    sigset_t all, old;
    int rc;

    server->scratch = malloc(ALCHI_CONN_SCRATCH);
    if (!server->scratch)
        return ENOMEM;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->epoll_fd < 0 || server->wake_fd < 0 || watch(server, server->wake_fd, EPOLLIN, server))
        return errno;
    if (server == data->servers && watch(server, data->config.listen_fd, EPOLLIN, data))
        return errno;
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&server->thread, NULL, run, server);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    server->started = rc == 0;
    return rc;
}

static alchi_data_t *
data_create(const alchi_data_config_t *config)
{
    alchi_data_t *data = calloc(1, sizeof *data);

    if (!data)
        return NULL;
    data->config = *config;
    if (data->config.threads <= 0)
        data->config.threads = THREADS_DEFAULT;
    if (data->config.threads > THREADS_MAX)
        data->config.threads = THREADS_MAX;
    if (data->config.connection_limit <= 0)
        data->config.connection_limit = CONNECTIONS_DEFAULT;
    if (data->config.io_timeout_ms <= 0)
        data->config.io_timeout_ms = IO_TIMEOUT_MS;
    if (data->config.handshake_timeout_ms <= 0)
        data->config.handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS;
    data->servers = calloc((size_t)data->config.threads, sizeof *data->servers);
    if (!data->servers) {
        free(data);
        return NULL;
    }
    for (int k = 0; k < data->config.threads; k++) {
        data->servers[k] = (server_t){.data = data, .epoll_fd = -1, .wake_fd = -1, .accept_again = ALCHI_NEVER};
        pthread_mutex_init(&data->servers[k].mutex, NULL);
    }
    return data;
}

static int
start_listening(int fd, int *port_p, alch_error_t *err)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int code;

    alchi_socket_prepare(fd);
    if ((code = alchi_listen(fd, BACKLOG, err)))
        return code;
    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return alchi_error_errno(err, errno, "no address of descriptor %d", fd);
    *port_p = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                  : ((struct sockaddr_in *)&address)->sin_port);
    return ALCH_OK;
}

int
alchi_data_start(const alchi_data_config_t *config, alchi_data_t **data_p, int *port_p, alch_error_t *err)
{
    alchi_data_t *data = data_create(config);
    int port = 0, rc;

    if (!data)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory");
    rc = start_listening(config->listen_fd, &port, err);
    for (int k = 0; k < data->config.threads && !rc; k++) {
        int number = server_start(data, &data->servers[k]);

        if (number)
            rc = alchi_error_errno(err, number, "cannot start a data thread");
    }
    if (rc) {
        alchi_data_stop(data);
        return rc;
    }
    *data_p = data;
    *port_p = port;
    return ALCH_OK;
}

int
alchi_data_connections(alchi_data_t *data)
{
    return atomic_load(&data->connections);
}
