/* The threads of the data server: they accept connections, distribute them, and serve them in turns. */
#include "dataserver/dataserver.h"

#include "base/error.h"
#include "base/log.h"
#include "net/address.h"
#include "net/shm.h"
#include "dataserver/conn.h"

#include <errno.h>
#include <pthread.h>
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
/* Real clients authenticate within milliseconds. When UNAUTHENTICATED_MAX connections are not authenticated yet, a new
 * one waits. Once the oldest of them is UNAUTHENTICATED_MS old, it is closed to make room. */
#define UNAUTHENTICATED_MAX 256
#define UNAUTHENTICATED_MS 1000
#define IO_TIMEOUT_MS 60000
#define IDLE_TIMEOUT_MS 600000
#define HANDSHAKE_TIMEOUT_MS 10000
#define ACCEPT_PAUSE_MS 100 /* pause when no descriptor is free */
#define FULL_PAUSE_MS 10    /* pause when UNAUTHENTICATED_MAX is reached and the oldest is too young to be closed */
#define BACKLOG 4096
#define EVENTS 64

typedef struct {
    alchi_data_server_t *server;
    pthread_t pthread;
    bool started;
    int epoll_fd, wake_fd;
    uint8_t *scratch;
    alchi_data_stages_t stages;
    alchi_data_conn_t *conns;
    alchi_data_conn_t *queue; /* connections with work to do, in the order of their turns */
    int queued;
    alchi_deadline_t first_deadline; /* no connection has an earlier deadline */
    int unauthenticated;             /* connections that are not authenticated; only the first thread has such ones */
    alchi_deadline_t accept_again;   /* ALCHI_NEVER unless the first thread has paused accepting */
    atomic_int load;                 /* authenticated connections, including those in the inbox */
    pthread_mutex_t mutex;           /* guards inbox */
    alchi_data_conn_t *inbox;        /* connections that the first thread has assigned to this one */
} data_thread_t;

#define LISTENERS 3 /* one for TCP, two for shared memory */

struct alchi_data_server {
    alchi_data_config_t config;
    alchi_shm_listener_t local;
    data_thread_t *threads; /* the first thread accepts connections */
    atomic_int connections; /* authenticated */
    atomic_bool stop;
};

static void
wake_thread(data_thread_t *thread)
{
    uint64_t one = 1;

    if (write(thread->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        alchi_log(ALCHI_LOG_ERROR, "cannot wake a data thread: %s", strerror(errno));
}

static int
watch_fd(data_thread_t *thread, int fd, unsigned events, void *owner)
{
    struct epoll_event event = {.events = events, .data.ptr = owner};

    return epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* ---- connections of one thread ---- */

/* Connections have turns in the order of the queue: each has one turn before any has a second. */
static void
enqueue_conn(data_thread_t *thread, alchi_data_conn_t *conn)
{
    if (conn->queued)
        return;
    conn->queued = true;
    thread->queued++;
    DL_APPEND2(thread->queue, conn, queue_prev, queue_next);
}

static void
dequeue_conn(data_thread_t *thread, alchi_data_conn_t *conn)
{
    if (!conn->queued)
        return;
    conn->queued = false;
    thread->queued--;
    DL_DELETE2(thread->queue, conn, queue_prev, queue_next);
}

static void
close_conn(data_thread_t *thread, alchi_data_conn_t *conn)
{
    bool counted = conn->counted;

    dequeue_conn(thread, conn);
    DL_DELETE(thread->conns, conn);
    alchi_data_conn_destroy(conn);
    if (!counted) {
        thread->unauthenticated--;
        return;
    }
    atomic_fetch_sub(&thread->load, 1);
    /* Decrement last: a caller that sees the lower number must find the references to matrices released. */
    atomic_fetch_sub(&thread->server->connections, 1);
}

static void
note_deadline(data_thread_t *thread, const alchi_data_conn_t *conn)
{
    if (conn->deadline < thread->first_deadline)
        thread->first_deadline = conn->deadline;
}

static void
add_conn(data_thread_t *thread, alchi_data_conn_t *conn)
{
    DL_APPEND(thread->conns, conn);
    conn->scratch = thread->scratch;
    conn->stages = &thread->stages;
    conn->events = alchi_data_conn_events(conn);
    enqueue_conn(thread, conn);
    note_deadline(thread, conn);
    if (watch_fd(thread, alchi_channel_fd(conn->channel), conn->events, conn)) {
        alchi_log(ALCHI_LOG_ERROR, "cannot watch a data connection: %s", strerror(errno));
        close_conn(thread, conn);
    }
}

static void
add_conns_from_inbox(data_thread_t *thread)
{
    alchi_data_conn_t *conn, *next, *inbox;

    pthread_mutex_lock(&thread->mutex);
    inbox = thread->inbox;
    thread->inbox = NULL;
    pthread_mutex_unlock(&thread->mutex);
    DL_FOREACH_SAFE(inbox, conn, next)
    {
        add_conn(thread, conn);
    }
}

static void
move_conn_to(data_thread_t *thread, alchi_data_conn_t *conn, data_thread_t *to)
{
    dequeue_conn(thread, conn);
    DL_DELETE(thread->conns, conn);
    epoll_ctl(thread->epoll_fd, EPOLL_CTL_DEL, alchi_channel_fd(conn->channel), NULL);
    pthread_mutex_lock(&to->mutex);
    DL_APPEND(to->inbox, conn);
    pthread_mutex_unlock(&to->mutex);
    wake_thread(to);
}

/* Assign a connection that was just authenticated to the thread with the fewest connections.
 * @return true if that is another thread: this thread must then no longer use the connection */
static bool
assign_conn(data_thread_t *thread, alchi_data_conn_t *conn)
{
    alchi_data_server_t *server = thread->server;
    data_thread_t *to = &server->threads[0];

    for (int k = 1; k < server->config.threads; k++)
        if (atomic_load(&server->threads[k].load) < atomic_load(&to->load))
            to = &server->threads[k];
    conn->counted = true;
    thread->unauthenticated--;
    atomic_fetch_add(&server->connections, 1);
    atomic_fetch_add(&to->load, 1);
    if (to == thread)
        return false;
    move_conn_to(thread, conn, to);
    return true;
}

static void
serve_conn(data_thread_t *thread, alchi_data_conn_t *conn)
{
    const alchi_data_server_t *server = thread->server;
    unsigned events;

    /* No other thread increments the number: only the first thread runs handshakes. */
    conn->over_limit = !conn->counted && atomic_load(&server->connections) >= server->config.connection_limit;
    if (alchi_data_conn_step(conn)) {
        close_conn(thread, conn);
        return;
    }
    if (!conn->counted && conn->state == ALCHI_DATA_CONN_OPEN && assign_conn(thread, conn))
        return;
    if (conn->has_more_work)
        enqueue_conn(thread, conn);
    note_deadline(thread, conn);
    events = alchi_data_conn_events(conn);
    if (events != conn->events) {
        struct epoll_event event = {.events = events, .data.ptr = conn};

        conn->events = events;
        epoll_ctl(thread->epoll_fd, EPOLL_CTL_MOD, alchi_channel_fd(conn->channel), &event);
    }
}

/* Give one turn to each connection that is queued now. A connection with more work is queued again. */
static void
serve_queued_conns(data_thread_t *thread)
{
    for (int k = thread->queued; k > 0 && thread->queue; k--) {
        alchi_data_conn_t *conn = thread->queue;

        dequeue_conn(thread, conn);
        serve_conn(thread, conn);
    }
}

static void
close_expired_conns(data_thread_t *thread)
{
    int64_t now = alchi_now_ns();
    alchi_data_conn_t *conn, *next;

    if (thread->first_deadline > now)
        return;
    thread->first_deadline = ALCHI_NEVER;
    DL_FOREACH_SAFE(thread->conns, conn, next)
    {
        if (conn->deadline > now) {
            note_deadline(thread, conn);
        } else {
            alchi_data_conn_log_timeout(conn);
            close_conn(thread, conn);
        }
    }
}

/* ---- new connections: the first thread ---- */

/* @return the descriptor of the k-th listener; -1: the server does not have this listener */
static int
listener_fd(const alchi_data_server_t *server, int k)
{
    return k == 0 ? server->config.listen_fd : server->local.fd[k - 1];
}

static void
pause_accepting(data_thread_t *thread, int ms)
{
    thread->accept_again = alchi_deadline_in_ms(ms);
    for (int k = 0; k < LISTENERS; k++)
        epoll_ctl(thread->epoll_fd, EPOLL_CTL_DEL, listener_fd(thread->server, k), NULL);
}

/* Make room for one more unauthenticated connection. @return false: there is no room now, and accepting is paused */
static bool
make_room_for_conn(data_thread_t *thread)
{
    alchi_data_conn_t *oldest;

    if (thread->unauthenticated < UNAUTHENTICATED_MAX)
        return true;
    DL_SEARCH_SCALAR(thread->conns, oldest, counted, false); /* conns is in the order of acceptance */
    if (alchi_now_ns() - oldest->accepted_ns < (int64_t)UNAUTHENTICATED_MS * 1000000) {
        pause_accepting(thread, FULL_PAUSE_MS);
        return false;
    }
    alchi_log(ALCHI_LOG_WARNING,
              "data connection from %s closed: %d connections are not authenticated, and it is the oldest of them",
              oldest->peer, UNAUTHENTICATED_MAX);
    close_conn(thread, oldest);
    return true;
}

static int
watch_listeners(data_thread_t *thread)
{
    for (int k = 0; k < LISTENERS; k++) {
        int fd = listener_fd(thread->server, k);

        if (fd >= 0 && watch_fd(thread, fd, EPOLLIN, thread->server))
            return -1;
    }
    return 0;
}

static void
accept_conns(data_thread_t *thread, int listen_fd)
{
    for (int k = 0; k < UNAUTHENTICATED_MAX && make_room_for_conn(thread); k++) {
        alch_error_t err = {ALCH_OK, -1, ""};
        alchi_data_conn_t *conn;
        int fd, code = alchi_accept(listen_fd, &fd, &err);

        if (code == ALCH_ESYSTEM) {
            alchi_log(ALCHI_LOG_WARNING, "cannot accept data connections, trying again in %d ms: %s", ACCEPT_PAUSE_MS,
                      err.text);
            pause_accepting(thread, ACCEPT_PAUSE_MS);
        }
        if (code)
            return;
        alchi_socket_bulk(fd);
        conn = alchi_data_conn_create(&thread->server->config, fd);
        if (!conn) {
            alchi_log(ALCHI_LOG_ERROR, "cannot accept a data connection: out of memory");
            continue;
        }
        thread->unauthenticated++;
        add_conn(thread, conn);
    }
}

/* ---- the loop ---- */

static int
wait_ms(const data_thread_t *thread)
{
    alchi_deadline_t first = thread->first_deadline;

    if (thread->queue)
        return 0;
    return alchi_deadline_left_ms(thread->accept_again < first ? thread->accept_again : first);
}

static void *
run_thread(void *argument)
{
    data_thread_t *thread = argument;
    alchi_data_server_t *server = thread->server;
    struct epoll_event events[EVENTS];

    while (!atomic_load(&server->stop)) {
        bool incoming = false;
        int count = epoll_wait(thread->epoll_fd, events, EVENTS, wait_ms(thread));

        for (int k = 0; k < count; k++) {
            uint64_t ignored;

            if (events[k].data.ptr == server)
                incoming = true;
            else if (events[k].data.ptr != thread)
                enqueue_conn(thread, events[k].data.ptr);
            else if (read(thread->wake_fd, &ignored, sizeof(ignored)) < 0)
                continue;
        }
        add_conns_from_inbox(thread);
        if (thread->accept_again != ALCHI_NEVER && thread->accept_again <= alchi_now_ns()) {
            thread->accept_again = ALCHI_NEVER;
            watch_listeners(thread);
        }
        serve_queued_conns(thread);
        close_expired_conns(thread);
        for (int k = 0; incoming && k < LISTENERS; k++)
            if (listener_fd(server, k) >= 0)
                accept_conns(thread, listener_fd(server, k));
    }
    return NULL;
}

/* ---- start and stop ---- */

static void
thread_fini(data_thread_t *thread)
{
    alchi_data_conn_t *conn, *next;

    DL_FOREACH_SAFE(thread->conns, conn, next)
    {
        alchi_data_conn_destroy(conn);
    }
    DL_FOREACH_SAFE(thread->inbox, conn, next)
    {
        alchi_data_conn_destroy(conn);
    }
    if (thread->epoll_fd >= 0)
        close(thread->epoll_fd);
    if (thread->wake_fd >= 0)
        close(thread->wake_fd);
    pthread_mutex_destroy(&thread->mutex);
    alchi_data_stages_fini(&thread->stages);
    free(thread->scratch);
}

void
alchi_data_server_stop(alchi_data_server_t *server)
{
    if (!server)
        return;
    atomic_store(&server->stop, true);
    for (int k = 0; k < server->config.threads; k++)
        if (server->threads[k].started)
            wake_thread(&server->threads[k]);
    for (int k = 0; k < server->config.threads; k++)
        if (server->threads[k].started)
            pthread_join(server->threads[k].pthread, NULL);
    for (int k = 0; k < server->config.threads; k++)
        thread_fini(&server->threads[k]);
    alchi_shm_listener_close(&server->local);
    explicit_bzero(server->config.key, sizeof(server->config.key));
    free(server->threads);
    free(server);
}

/* @return 0, or an errno value; thread_fini() frees what was allocated */
static int
thread_start(alchi_data_server_t *server, data_thread_t *thread)
{
    sigset_t all, old;
    int code;

    thread->scratch = malloc(ALCHI_DATA_CONN_SCRATCH);
    if (!thread->scratch)
        return ENOMEM;
    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (thread->epoll_fd < 0 || thread->wake_fd < 0 || watch_fd(thread, thread->wake_fd, EPOLLIN, thread))
        return errno;
    if (thread == server->threads && watch_listeners(thread))
        return errno;
    sigfillset(&all); /* the data threads block all signals, which are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    code = pthread_create(&thread->pthread, NULL, run_thread, thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    thread->started = code == 0;
    return code;
}

static alchi_data_server_t *
server_create(const alchi_data_config_t *config)
{
    alchi_data_server_t *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    server->config = *config;
    server->local = (alchi_shm_listener_t){.fd = {-1, -1}};
    if (server->config.threads <= 0)
        server->config.threads = THREADS_DEFAULT;
    if (server->config.threads > THREADS_MAX)
        server->config.threads = THREADS_MAX;
    if (server->config.connection_limit <= 0)
        server->config.connection_limit = CONNECTIONS_DEFAULT;
    if (server->config.io_timeout_ms <= 0)
        server->config.io_timeout_ms = IO_TIMEOUT_MS;
    if (server->config.idle_timeout_ms <= 0)
        server->config.idle_timeout_ms = IDLE_TIMEOUT_MS;
    if (server->config.handshake_timeout_ms <= 0)
        server->config.handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS;
    server->threads = calloc((size_t)server->config.threads, sizeof(*server->threads));
    if (!server->threads) {
        free(server);
        return NULL;
    }
    for (int k = 0; k < server->config.threads; k++) {
        server->threads[k] = (data_thread_t){.server = server, .epoll_fd = -1, .wake_fd = -1};
        server->threads[k].accept_again = server->threads[k].first_deadline = ALCHI_NEVER;
        pthread_mutex_init(&server->threads[k].mutex, NULL);
    }
    return server;
}

static int
listen_on(int fd, int *port_p, alch_error_t *err)
{
    int code;

    alchi_socket_prepare(fd);
    code = alchi_listen(fd, BACKLOG, err);
    *port_p = alchi_socket_port(fd);
    return code;
}

int
alchi_data_server_start(const alchi_data_config_t *config, alchi_data_server_t **server_p, int *port_p,
                        alch_error_t *err)
{
    alchi_data_server_t *server = server_create(config);
    alchi_claim_t claim = {ALCHI_ROLE_DATA, config->session, config->group, config->rank};
    int port = 0, code;

    if (!server)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for its data server");
    code = listen_on(config->listen_fd, &port, err);
    if (!code && config->shared_memory)
        alchi_shm_listener_open(&server->local, server->config.key, &claim);
    for (int k = 0; k < server->config.threads && !code; k++) {
        int errnum = thread_start(server, &server->threads[k]);

        if (errnum)
            code = alchi_error_errno(err, errnum, "cannot start a data thread");
    }
    if (code) {
        alchi_data_server_stop(server);
        return code;
    }
    *server_p = server;
    *port_p = port;
    return ALCH_OK;
}

int
alchi_data_server_connections(alchi_data_server_t *server)
{
    return atomic_load(&server->connections);
}
