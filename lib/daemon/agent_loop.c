/* The agent of another host: it joins the driver and serves worker slots to it. */
#include "agent/agent.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/stop_signal.h"
#include "daemon/token.h"
#include "net/connfile.h"
#include <alchemist/session.h>
#include <poll.h>
#include <string.h>

#define ATTEMPT_MS 10000   /* for one attempt to connect, and for the handshake */
#define RETRY_MS 500       /* between two attempts */
#define STOP_GRACE_MS 2000 /* from SIGTERM to SIGKILL of the ranks */

typedef struct {
    const alchi_dmn_options_t *options;
    uv_loop_t loop;
    alchi_agent_t *agent;
    alchi_dmn_stop_signal_t stop_signal;
    bool stopping;
    int code;
} joined_agent_t;

static void
on_agent_stopped(void *context)
{
    joined_agent_t *joined = context;

    uv_stop(&joined->loop);
}

static void
on_stop(void *context, const char *why)
{
    joined_agent_t *joined = context;

    alchi_log(ALCHI_LOG_INFO, "stopping: %s", why);
    alchi_agent_stop(joined->agent, joined->stopping ? 0 : STOP_GRACE_MS, on_agent_stopped, joined);
    joined->stopping = true;
}

static void
on_agent_end(void *context, int code, const char *text)
{
    joined_agent_t *joined = context;

    alchi_log(ALCHI_LOG_ERROR, "no longer serving the driver at %s: %s", joined->options->join, text);
    joined->code = code ? code : ALCH_ECONNECT;
    uv_stop(&joined->loop);
}

static int
find_token(const alchi_dmn_options_t *options, const alchi_address_t *address, uint8_t token[ALCHI_KEY_SIZE],
           alch_error_t *err)
{
    alchi_connfile_t file;
    int code;

    if (options->token_file)
        return alchi_dmn_token_read(options->token_file, token, err);
    if (options->connection_file)
        code = alchi_connfile_read(options->connection_file, &file, err);
    else
        code = alchi_connfile_find(address, &file, err);
    if (!code)
        memcpy(token, file.token, ALCHI_KEY_SIZE);
    explicit_bzero(file.token, sizeof(file.token));
    return code;
}

/* The daemons of a batch job start in any order, so the driver may not listen yet: retry within --start-timeout. */
static int
connect_with_retries(const alchi_dmn_options_t *options, const alchi_address_t *address, int *fd_p, alch_error_t *err)
{
    alchi_deadline_t limit = alchi_deadline_in_ms(options->driver.start_timeout_ms), attempt;
    int code;

    for (;;) {
        attempt = alchi_deadline_in_ms(ATTEMPT_MS);
        code = alchi_connect(address, attempt < limit ? attempt : limit, fd_p, err);
        if (code != ALCH_ECONNECT || alchi_deadline_left_ms(limit) <= RETRY_MS)
            return code;
        poll(NULL, 0, RETRY_MS);
    }
}

static int
authenticate(const alchi_dmn_options_t *options, const alchi_address_t *address, alchi_channel_t **channel_p,
             alch_error_t *err)
{
    alchi_claim_t claim = {.role = ALCHI_ROLE_AGENT, .rank = -1};
    uint8_t token[ALCHI_KEY_SIZE];
    alchi_granted_t granted;
    alchi_channel_t *channel;
    int fd, code;

    if ((code = connect_with_retries(options, address, &fd, err)))
        return code;
    if (!(channel = alchi_channel_create(alchi_stream_create(fd))))
        return alchi_error_set(err, ALCH_ENOMEM, "the agent is out of memory for its connection to the driver");
    if (!(code = find_token(options, address, token, err)))
        code = alchi_authenticate(channel, &claim, token, "agent", 0, alchi_deadline_in_ms(ATTEMPT_MS), &granted, err);
    explicit_bzero(token, sizeof(token));
    if (code)
        alchi_channel_destroy(channel);
    else
        *channel_p = channel;
    return code;
}

static int
join_driver(joined_agent_t *joined, alch_error_t *err)
{
    const alchi_dmn_options_t *options = joined->options;
    alchi_agent_options_t agent = {.slots = (int)options->workers,
                                   .bind = options->bind,
                                   .base_port = (int)options->port,
                                   .advertise = options->advertise,
                                   .on_end = on_agent_end,
                                   .context = joined};
    alchi_channel_t *channel = NULL;
    alchi_address_t address;
    char text[300];
    int code;

    if ((code = alchi_address_parse(options->join, ALCH_DEFAULT_PORT, &address, err)) ||
        (code = alchi_dmn_stop_signal_start(&joined->stop_signal, &joined->loop, (int)options->owner_pid, err)) ||
        (code = authenticate(options, &address, &channel, err)))
        return code;
    agent.driver_address = alchi_address_format(&address, text, sizeof(text));
    if ((code = alchi_agent_create(&joined->loop, channel, &agent, &joined->agent, err))) {
        alchi_channel_destroy(channel);
        return code;
    }
    alchi_log(ALCHI_LOG_INFO, "serving %d worker slots to the driver at %s", agent.slots, text);
    return ALCH_OK;
}

int
alchi_dmn_run_agent(const alchi_dmn_options_t *options)
{
    joined_agent_t joined = {.options = options, .stop_signal = {.on_stop = on_stop, .context = &joined}};
    alch_error_t error;

    uv_loop_init(&joined.loop);
    if ((joined.code = join_driver(&joined, &error)))
        alchi_log(ALCHI_LOG_ERROR, "%s", error.text);
    else
        uv_run(&joined.loop, UV_RUN_DEFAULT);
    alchi_agent_destroy(joined.agent);
    alchi_dmn_stop_signal_stop(&joined.stop_signal);
    uv_run(&joined.loop, UV_RUN_DEFAULT);
    uv_loop_close(&joined.loop);
    return joined.code;
}
