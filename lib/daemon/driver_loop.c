/* The driver's event loop: listener, timers, stop signals, the agent of the driver's host, the connection file. */
#include "agent/agent.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/banner.h"
#include "daemon/daemon.h"
#include "daemon/peer.h"
#include "daemon/stop_signal.h"
#include "daemon/token.h"
#include "net/connfile.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STOP_MS 5000        /* from a stop signal until ranks that still run are killed */
#define ACCEPT_PAUSE_MS 500 /* without accepting, after accept() has failed (for example: no free descriptor) */

typedef struct {
    const alchi_dmn_options_t *options;
    uv_loop_t loop;
    uv_timer_t timer;
    alchi_deadline_t armed;
    uv_prepare_t prepare;
    uv_poll_t listener;
    bool prepared, listening;
    alchi_drv_timer_t pause, stop_limit;
    alchi_drv_t *driver;
    alchi_dmn_peers_t peers;
    alchi_agent_t *agent;
    alchi_dmn_stop_signal_t stop_signal;
    alchi_address_t address;
    int listen_fd, lock_fd;
    alchi_connfile_t file;
    bool ready, stopping, agent_stopping;
    int code;
} server_t;

/* ---- time ---- */

static void
on_timer(uv_timer_t *timer)
{
    server_t *server = timer->data;

    server->armed = ALCHI_NEVER;
    alchi_drv_timers_run(&server->driver->timers, alchi_now_ns());
}

static void
arm_timer(server_t *server)
{
    alchi_deadline_t next = alchi_drv_timers_next(&server->driver->timers);

    if (next == server->armed)
        return;
    server->armed = next;
    if (next == ALCHI_NEVER) {
        uv_timer_stop(&server->timer);
        return;
    }
    uv_update_time(&server->loop);
    uv_timer_start(&server->timer, on_timer, (uint64_t)alchi_deadline_left_ms(next), 0);
}

/* ---- stopping ---- */

static void
on_agent_stopped(void *context)
{
    server_t *server = context;

    uv_stop(&server->loop);
}

static void
stop_agent(server_t *server)
{
    if (server->agent_stopping)
        return;
    server->agent_stopping = true;
    if (server->agent)
        alchi_agent_stop(server->agent, 0, on_agent_stopped, server);
    else
        uv_stop(&server->loop);
}

static void
on_stop_limit(alchi_drv_timer_t *timer)
{
    server_t *server = ALCHI_CONTAINER(timer, server_t, stop_limit);

    alchi_log(ALCHI_LOG_WARNING, "workers did not end within %d s and are killed", STOP_MS / 1000);
    stop_agent(server);
}

static void
on_stop(void *context, const char *why)
{
    server_t *server = context;
    char text[96];

    if (server->stopping) {
        alchi_log(ALCHI_LOG_WARNING, "%s again: stopping without waiting for the workers", why);
        stop_agent(server);
        uv_stop(&server->loop);
        return;
    }
    alchi_log(ALCHI_LOG_INFO, "stopping: %s", why);
    server->stopping = true;
    if (server->listening)
        uv_poll_stop(&server->listener);
    snprintf(text, sizeof(text), "the driver is stopping (%s)", why);
    alchi_drv_stop(server->driver, text);
    alchi_drv_timer_start(&server->driver->timers, &server->stop_limit, STOP_MS, on_stop_limit);
}

/* Runs before each wait of the loop. It does the work that callbacks must not do themselves. */
static void
on_prepare(uv_prepare_t *prepare)
{
    server_t *server = prepare->data;

    alchi_dmn_peers_free_closed(&server->peers);
    if (server->stopping && alchi_drv_is_idle(server->driver))
        stop_agent(server);
    arm_timer(server);
}

/* ---- connections ---- */

static void on_incoming(uv_poll_t *poll, int status, int events);

static void
on_pause_end(alchi_drv_timer_t *timer)
{
    server_t *server = ALCHI_CONTAINER(timer, server_t, pause);

    if (!server->stopping)
        uv_poll_start(&server->listener, UV_READABLE, on_incoming);
}

static void
on_incoming(uv_poll_t *poll, int status, int events)
{
    server_t *server = poll->data;
    alch_error_t error;
    int fd, code;

    (void)status, (void)events;
    while ((code = alchi_accept(server->listen_fd, &fd, &error)) == ALCH_OK)
        alchi_dmn_peer_accept(&server->peers, fd);
    if (code == ALCH_ESYSTEM) {
        alchi_log(ALCHI_LOG_ERROR, "%s", error.text);
        uv_poll_stop(&server->listener);
        alchi_drv_timer_start(&server->driver->timers, &server->pause, ACCEPT_PAUSE_MS, on_pause_end);
    }
}

static int
listen_on(server_t *server, alch_error_t *err)
{
    int code;

    snprintf(server->address.host, sizeof(server->address.host), "%s", server->options->bind);
    server->address.port = (int)server->options->port;
    if ((code = alchi_bind(&server->address, &server->listen_fd, err)))
        return code;
    return alchi_listen(server->listen_fd, SOMAXCONN, err);
}

static int
start_listener(server_t *server, alch_error_t *err)
{
    if (uv_poll_init(&server->loop, &server->listener, server->listen_fd))
        return alchi_error_set(err, ALCH_ESYSTEM, "the event loop cannot watch the listening socket");
    server->listener.data = server;
    server->listening = true;
    uv_poll_start(&server->listener, UV_READABLE, on_incoming);
    return ALCH_OK;
}

/* ---- ready ---- */

static int
write_connfile(server_t *server, alch_error_t *err)
{
    int code;

    if (server->options->no_connection_file)
        return ALCH_OK;
    server->file.address = server->address;
    server->file.pid = (int)getpid();
    memcpy(server->file.token, server->driver->token, ALCHI_KEY_SIZE);
    if (server->options->connection_file)
        snprintf(server->file.path, sizeof(server->file.path), "%s", server->options->connection_file);
    if ((code = alchi_connfile_write(&server->file, &server->lock_fd, err)))
        return code;
    alchi_log(ALCHI_LOG_INFO, "connection file: %s", server->file.path);
    return ALCH_OK;
}

static void
stop_with_error(server_t *server, const alch_error_t *error)
{
    alchi_log(ALCHI_LOG_ERROR, "%s", error->text);
    server->code = error->code;
    uv_stop(&server->loop);
}

static void
become_ready(server_t *server)
{
    alch_error_t error;

    server->ready = true;
    if (write_connfile(server, &error)) {
        stop_with_error(server, &error);
        return;
    }
    alchi_dmn_banner_ready();
}

static void
on_joined(alchi_drv_t *driver, alchi_drv_node_t *node)
{
    server_t *server = driver->context;

    alchi_dmn_banner_workers(node, server->address.host);
    if (!server->ready)
        become_ready(server);
}

static void
on_agent_end(void *context, int code, const char *text)
{
    server_t *server = context;
    alch_error_t error;

    if (server->stopping)
        return;
    alchi_error_set(&error, code, "the agent of this host ended: %s", text);
    stop_with_error(server, &error);
}

/* Ranks of this host connect to the loopback address when the driver listens on all addresses. */
static const char *
address_for_ranks(const server_t *server, char *text, size_t size)
{
    alchi_address_t address = server->address;

    if (strcmp(address.host, "0.0.0.0") == 0 || !*address.host)
        snprintf(address.host, sizeof(address.host), "127.0.0.1");
    else if (strcmp(address.host, "::") == 0)
        snprintf(address.host, sizeof(address.host), "::1");
    return alchi_address_format(&address, text, size);
}

static int
start_agent(server_t *server, alch_error_t *err)
{
    char driver_address[300];
    alchi_agent_options_t options = {.slots = (int)server->options->workers,
                                     .bind = server->options->bind,
                                     .base_port = server->options->port ? server->address.port : 0,
                                     .on_end = on_agent_end,
                                     .context = server};
    alchi_channel_t *channel;
    int pair[2], code;

    options.driver_address = address_for_ranks(server, driver_address, sizeof(driver_address));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
        return alchi_error_errno(err, errno, "the driver cannot create a socket pair for the agent of this host");
    if ((code = alchi_dmn_peer_add_own_agent(&server->peers, pair[0], err))) {
        close(pair[1]);
        return code;
    }
    if (!(channel = alchi_channel_create(alchi_stream_create(pair[1]))))
        return alchi_error_set(err, ALCH_ENOMEM, "the driver is out of memory for the agent of this host");
    if ((code = alchi_agent_create(&server->loop, channel, &options, &server->agent, err)))
        alchi_channel_destroy(channel);
    return code;
}

static int
create_token(const alchi_dmn_options_t *options, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err)
{
    if (options->token_file)
        return alchi_dmn_token_read_or_create(options->token_file, token, err);
    if (alchi_random(token, ALCHI_KEY_SIZE))
        return alchi_error_set(err, ALCH_ESYSTEM, "the system gave no random numbers for a token");
    return ALCH_OK;
}

static int
start_handles(server_t *server, alch_error_t *err)
{
    server->armed = ALCHI_NEVER;
    uv_timer_init(&server->loop, &server->timer);
    uv_prepare_init(&server->loop, &server->prepare);
    server->timer.data = server->prepare.data = server;
    server->prepared = true;
    uv_prepare_start(&server->prepare, on_prepare);
    server->stop_signal.on_stop = on_stop;
    server->stop_signal.context = server;
    return alchi_dmn_stop_signal_start(&server->stop_signal, &server->loop, (int)server->options->owner_pid, err);
}

static int
start_server(server_t *server, alch_error_t *err)
{
    uint8_t token[ALCHI_KEY_SIZE];
    int code;

    if ((code = create_token(server->options, token, err)))
        return code;
    server->driver = alchi_drv_create(&server->options->driver, token);
    explicit_bzero(token, sizeof(token));
    if (!server->driver)
        return alchi_error_set(err, ALCH_ENOMEM, "the driver is out of memory");
    server->driver->joined = on_joined;
    server->driver->context = server;
    server->peers = (alchi_dmn_peers_t){.loop = &server->loop, .driver = server->driver};
    if ((code = start_handles(server, err)) || (code = listen_on(server, err)))
        return code;
    alchi_dmn_banner_start(server->driver, &server->address);
    if ((code = start_agent(server, err)))
        return code;
    return start_listener(server, err);
}

/* Undo start_server() in the reverse order. */
static void
finish_server(server_t *server)
{
    server->stopping = true;
    if (server->driver)
        server->driver->stopping = true;
    if (server->lock_fd >= 0)
        alchi_connfile_remove(&server->file, server->lock_fd);
    if (server->listening)
        uv_close((uv_handle_t *)&server->listener, NULL);
    alchi_agent_destroy(server->agent);
    if (server->driver)
        alchi_dmn_peers_fini(&server->peers);
    alchi_dmn_stop_signal_stop(&server->stop_signal);
    if (server->prepared) {
        uv_close((uv_handle_t *)&server->timer, NULL);
        uv_close((uv_handle_t *)&server->prepare, NULL);
    }
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    alchi_drv_destroy(server->driver);
    explicit_bzero(server->file.token, sizeof(server->file.token));
}

int
alchi_dmn_run_driver(const alchi_dmn_options_t *options)
{
    server_t server = {.options = options, .listen_fd = -1, .lock_fd = -1};
    alch_error_t error;

    uv_loop_init(&server.loop);
    if ((server.code = start_server(&server, &error)))
        alchi_log(ALCHI_LOG_ERROR, "%s", error.text);
    else
        uv_run(&server.loop, UV_RUN_DEFAULT);
    finish_server(&server);
    if (!server.code)
        alchi_log(ALCHI_LOG_INFO, "stopped");
    return server.code;
}
