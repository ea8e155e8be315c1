#include "dataserver/dataserver.h"

#include "base/error.h"
#include "base/log.h"
#include "net/address.h"
#include "net/shm.h"
#include "dataserver/conn.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#define THREADS_DEFAULT 2
#define THREADS_MAX 64
#define CONNECTIONS_DEFAULT 256
/* Connections that have not proved themselves. Who means it needs only milliseconds: one more waits for its turn, and
 * when the oldest has had STRANGER_MS it is closed in its favour. */
#define STRANGERS_MAX 256
#define STRANGER_MS 1000
#define IO_TIMEOUT_MS 60000
#define IDLE_TIMEOUT_MS 600000
#define HANDSHAKE_TIMEOUT_MS 10000
#define ACCEPT_PAUSE_MS 100 /* when descriptors run out */
#define CROWD_PAUSE_MS 10
#define BACKLOG 4096
#define EVENTS 64

typedef struct {
    alchi_data_server_t *data;
    pthread_t thread;
    bool started;
    int epoll_fd, wake_fd;
    uint8_t *scratch;
    alchi_data_stages_t stages;
    alchi_data_conn_t *conns;
    alchi_data_conn_t *queue; /* those that have something to do, in turn */
    int queued;
    alchi_deadline_t first_deadline; /* none is earlier */
    int strangers;                   /* of the first thread */
    alchi_deadline_t accept_again;
    atomic_int load;          /* authenticated connections, also those that are still in the inbox */
    pthread_mutex_t mutex;    /* guards inbox */
    alchi_data_conn_t *inbox; /* handed over by the first thread */
} server_t;

#define LISTENERS 3 /* TCP, two for this host */

struct alchi_data_server {
    alchi_data_config_t config;
    alchi_shm_listener_t local;
    server_t *servers;
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

/* Everybody has one turn before anybody has two. */
static void
enqueue(server_t *server, alchi_data_conn_t *conn)
{
    if (conn->queued)
        return;
    conn->queued = true;
    server->queued++;
    DL_APPEND2(server->queue, conn, queue_prev, queue_next);
}

static void
dequeue(server_t *server, alchi_data_conn_t *conn)
{
    if (!conn->queued)
        return;
    conn->queued = false;
    server->queued--;
    DL_DELETE2(server->queue, conn, queue_prev, queue_next);
}

static void
close_conn(server_t *server, alchi_data_conn_t *conn)
{
    bool counted = conn->counted;

    dequeue(server, conn);
    DL_DELETE(server->conns, conn);
    alchi_data_conn_destroy(conn);
    if (!counted) {
        server->strangers--;
        return;
    }
    atomic_fetch_sub(&server->load, 1);
    /* Who sees the number fall finds its references gone. */
    atomic_fetch_sub(&server->data->connections, 1);
}

static void
note_deadline(server_t *server, const alchi_data_conn_t *conn)
{
    if (conn->deadline < server->first_deadline)
        server->first_deadline = conn->deadline;
}

static void
add_conn(server_t *server, alchi_data_conn_t *conn)
{
    DL_APPEND(server->conns, conn);
    conn->scratch = server->scratch;
    conn->stages = &server->stages;
    conn->events = alchi_data_conn_events(conn);
    enqueue(server, conn);
    note_deadline(server, conn);
    if (watch(server, alchi_channel_fd(conn->channel), conn->events, conn)) {
        alchi_log(ALCHI_LOG_ERROR, "cannot watch a data connection: %s", strerror(errno));
        close_conn(server, conn);
    }
}

static void
take_inbox(server_t *server)
{
    alchi_data_conn_t *conn, *next, *inbox;

    pthread_mutex_lock(&server->mutex);
    inbox = server->inbox;
    server->inbox = NULL;
    pthread_mutex_unlock(&server->mutex);
    DL_FOREACH_SAFE(inbox, conn, next)
    add_conn(server, conn);
}

static void
hand_over(server_t *server, alchi_data_conn_t *conn, server_t *to)
{
    dequeue(server, conn);
    DL_DELETE(server->conns, conn);
    epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, alchi_channel_fd(conn->channel), NULL);
    pthread_mutex_lock(&to->mutex);
    DL_APPEND(to->inbox, conn);
    pthread_mutex_unlock(&to->mutex);
    wake(to);
}

/* A connection has just proved itself: the thread with the fewest gets it. @return true: another thread has it now */
static bool
settle(server_t *server, alchi_data_conn_t *conn)
{
    alchi_data_server_t *data = server->data;
    server_t *to = &data->servers[0];

    for (int k = 1; k < data->config.threads; k++)
        if (atomic_load(&data->servers[k].load) < atomic_load(&to->load))
            to = &data->servers[k];
    conn->counted = true;
    server->strangers--;
    atomic_fetch_add(&data->connections, 1);
    atomic_fetch_add(&to->load, 1);
    if (to == server)
        return false;
    hand_over(server, conn, to);
    return true;
}

static void
serve_conn(server_t *server, alchi_data_conn_t *conn)
{
    const alchi_data_server_t *data = server->data;
    unsigned events;

    /* Only this thread adds connections while it serves a handshake. */
    conn->full = !conn->counted && atomic_load(&data->connections) >= data->config.connection_limit;
    if (alchi_data_conn_step(conn)) {
        close_conn(server, conn);
        return;
    }
    if (!conn->counted && conn->state == ALCHI_DATA_CONN_OPEN && settle(server, conn))
        return;
    if (conn->again)
        enqueue(server, conn);
    note_deadline(server, conn);
    events = alchi_data_conn_events(conn);
    if (events != conn->events) {
        struct epoll_event event = {.events = events, .data.ptr = conn};

        conn->events = events;
        epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, alchi_channel_fd(conn->channel), &event);
    }
}

/* One turn for each that has something to do now; who has more to do queues up again. */
static void
serve_all(server_t *server)
{
    for (int k = server->queued; k > 0 && server->queue; k--) {
        alchi_data_conn_t *conn = server->queue;

        dequeue(server, conn);
        serve_conn(server, conn);
    }
}

static void
close_late(server_t *server)
{
    int64_t now = alchi_now_ns();
    alchi_data_conn_t *conn, *next;

    if (server->first_deadline > now)
        return;
    server->first_deadline = ALCHI_NEVER;
    DL_FOREACH_SAFE(server->conns, conn, next)
    {
        if (conn->deadline > now) {
            note_deadline(server, conn);
        } else {
            alchi_data_conn_timed_out(conn);
            close_conn(server, conn);
        }
    }
}

/* ---- new ones: the first thread ---- */

/* -1: there is none. */
static int
listener(const alchi_data_server_t *data, int k)
{
    return k == 0 ? data->config.listen_fd : data->local.fd[k - 1];
}

static alchi_data_conn_t *
oldest_stranger(server_t *server)
{
    alchi_data_conn_t *conn;

    DL_SEARCH_SCALAR(server->conns, conn, counted, false);
    return conn;
}

static void
pause_accepting(server_t *server, int ms)
{
    server->accept_again = alchi_deadline_in_ms(ms);
    for (int k = 0; k < LISTENERS; k++)
        epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, listener(server->data, k), NULL);
}

/* @return false: not now */
static bool
make_room(server_t *server)
{
    alchi_data_conn_t *oldest;

    if (server->strangers < STRANGERS_MAX)
        return true;
    oldest = oldest_stranger(server);
    if (alchi_now_ns() - oldest->since < (int64_t)STRANGER_MS * 1000000) {
        pause_accepting(server, CROWD_PAUSE_MS);
        return false;
    }
    alchi_log(ALCHI_LOG_WARNING, "data connection from %s closed: too many without proof", oldest->peer);
    close_conn(server, oldest);
    return true;
}

static int
watch_listeners(server_t *server)
{
    for (int k = 0; k < LISTENERS; k++) {
        int fd = listener(server->data, k);

        if (fd >= 0 && watch(server, fd, EPOLLIN, server->data))
            return -1;
    }
    return 0;
}

static void
accept_all(server_t *server, int listen_fd)
{
    for (int k = 0; k < STRANGERS_MAX && make_room(server); k++) {
        alch_error_t err = {ALCH_OK, -1, ""};
        alchi_data_conn_t *conn;
        int fd, code = alchi_accept(listen_fd, &fd, &err);

        if (code == ALCH_ESYSTEM) {
            alchi_log(ALCHI_LOG_WARNING, "no data connections for now: %s", err.text);
            pause_accepting(server, ACCEPT_PAUSE_MS);
        }
        if (code)
            return;
        alchi_socket_bulk(fd);
        conn = alchi_data_conn_create(&server->data->config, fd);
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
    alchi_deadline_t first = server->first_deadline;

    if (server->queue)
        return 0;
    return alchi_deadline_left_ms(server->accept_again < first ? server->accept_again : first);
}

static void *
run(void *argument)
{
    server_t *server = argument;
    alchi_data_server_t *data = server->data;
    struct epoll_event events[EVENTS];

    while (!atomic_load(&data->stop)) {
        bool incoming = false;
        int count = epoll_wait(server->epoll_fd, events, EVENTS, wait_ms(server));

        for (int k = 0; k < count; k++) {
            uint64_t ignored;

            if (events[k].data.ptr == data)
                incoming = true;
            else if (events[k].data.ptr != server)
                enqueue(server, events[k].data.ptr);
            else if (read(server->wake_fd, &ignored, sizeof ignored) < 0)
                continue;
        }
        take_inbox(server);
        if (server->accept_again != ALCHI_NEVER && server->accept_again <= alchi_now_ns()) {
            server->accept_again = ALCHI_NEVER;
            watch_listeners(server);
        }
        serve_all(server);
        close_late(server);
        for (int k = 0; incoming && k < LISTENERS; k++)
            if (listener(data, k) >= 0)
                accept_all(server, listener(data, k));
    }
    return NULL;
}

/* ---- start and stop ---- */

static void
server_fini(server_t *server)
{
    alchi_data_conn_t *conn, *next;

    DL_FOREACH_SAFE(server->conns, conn, next)
    alchi_data_conn_destroy(conn);
    DL_FOREACH_SAFE(server->inbox, conn, next)
    alchi_data_conn_destroy(conn);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    pthread_mutex_destroy(&server->mutex);
    alchi_data_stages_fini(&server->stages);
    free(server->scratch);
}

void
alchi_data_server_stop(alchi_data_server_t *data)
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
    alchi_shm_listener_close(&data->local);
    explicit_bzero(data->config.key, sizeof data->config.key);
    free(data->servers);
    free(data);
}

static int
server_start(alchi_data_server_t *data, server_t *server)
{
    sigset_t all, old;
    int rc;

    server->scratch = malloc(ALCHI_DATA_CONN_SCRATCH);
    if (!server->scratch)
        return ENOMEM;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->epoll_fd < 0 || server->wake_fd < 0 || watch(server, server->wake_fd, EPOLLIN, server))
        return errno;
    if (server == data->servers && watch_listeners(server))
        return errno;
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&server->thread, NULL, run, server);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    server->started = rc == 0;
    return rc;
}

static alchi_data_server_t *
data_create(const alchi_data_config_t *config)
{
    alchi_data_server_t *data = calloc(1, sizeof *data);

    if (!data)
        return NULL;
    data->config = *config;
    data->local = (alchi_shm_listener_t){.fd = {-1, -1}};
    if (data->config.threads <= 0)
        data->config.threads = THREADS_DEFAULT;
    if (data->config.threads > THREADS_MAX)
        data->config.threads = THREADS_MAX;
    if (data->config.connection_limit <= 0)
        data->config.connection_limit = CONNECTIONS_DEFAULT;
    if (data->config.io_timeout_ms <= 0)
        data->config.io_timeout_ms = IO_TIMEOUT_MS;
    if (data->config.idle_timeout_ms <= 0)
        data->config.idle_timeout_ms = IDLE_TIMEOUT_MS;
    if (data->config.handshake_timeout_ms <= 0)
        data->config.handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS;
    data->servers = calloc((size_t)data->config.threads, sizeof *data->servers);
    if (!data->servers) {
        free(data);
        return NULL;
    }
    for (int k = 0; k < data->config.threads; k++) {
        data->servers[k] = (server_t){.data = data, .epoll_fd = -1, .wake_fd = -1};
        data->servers[k].accept_again = data->servers[k].first_deadline = ALCHI_NEVER;
        pthread_mutex_init(&data->servers[k].mutex, NULL);
    }
    return data;
}

static int
start_listening(int fd, int *port_p, alch_error_t *err)
{
    int code;

    alchi_socket_prepare(fd);
    code = alchi_listen(fd, BACKLOG, err);
    *port_p = alchi_socket_port(fd);
    return code;
}

static void
listen_locally(alchi_data_server_t *data)
{
    const alchi_data_config_t *config = &data->config;
    alchi_claim_t claim = {ALCHI_ROLE_DATA, config->session, config->group, config->rank};

    alchi_shm_listener_open(&data->local, config->key, &claim);
}

int
alchi_data_server_start(const alchi_data_config_t *config, alchi_data_server_t **data_p, int *port_p, alch_error_t *err)
{
    alchi_data_server_t *data = data_create(config);
    int port = 0, rc;

    if (!data)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory");
    rc = start_listening(config->listen_fd, &port, err);
    if (!rc && config->shared_memory)
        listen_locally(data);
    for (int k = 0; k < data->config.threads && !rc; k++) {
        int number = server_start(data, &data->servers[k]);

        if (number)
            rc = alchi_error_errno(err, number, "cannot start a data thread");
    }
    if (rc) {
        alchi_data_server_stop(data);
        return rc;
    }
    *data_p = data;
    *port_p = port;
    return ALCH_OK;
}

int
alchi_data_server_connections(alchi_data_server_t *data)
{
    return atomic_load(&data->connections);
}
