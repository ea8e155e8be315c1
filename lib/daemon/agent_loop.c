/* An agent that joins another host's driver. */
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
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_MS 10000
#define RETRY_MS 500
#define STOP_GRACE_MS 2000

typedef struct {
    const alchi_dmn_options_t *options;
    uv_loop_t loop;
    alchi_agent_t *agent;
    alchi_dmn_stop_signal_t watch;
    bool stopping;
    int code;
} guest_t;

static void
on_stopped(void *context)
{
    guest_t *guest = context;

    uv_stop(&guest->loop);
}

static void
on_told(void *context, const char *why)
{
    guest_t *guest = context;

    alchi_log(ALCHI_LOG_INFO, "stopping: %s", why);
    alchi_agent_stop(guest->agent, guest->stopping ? 0 : STOP_GRACE_MS, on_stopped, guest);
    guest->stopping = true;
}

static void
on_end(void *context, int code, const char *text)
{
    guest_t *guest = context;

    alchi_log(ALCHI_LOG_ERROR, "the driver at %s is lost: %s", guest->options->join, text);
    guest->code = code ? code : ALCH_ECONNECT;
    uv_stop(&guest->loop);
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

/* A job's parts start in any order: the driver may not listen yet. */
static int
connect_patiently(const alchi_dmn_options_t *options, const alchi_address_t *address, int *fd_p, alch_error_t *err)
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

    if ((code = connect_patiently(options, address, &fd, err)))
        return code;
    if (!(channel = alchi_channel_create(alchi_stream_create(fd))))
        return alchi_error_set(err, ALCH_ENOMEM, "no memory for a connection");
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
start(guest_t *guest, alch_error_t *err)
{
    const alchi_dmn_options_t *options = guest->options;
    alchi_agent_options_t agent = {.slots = (int)options->workers,
                                   .bind = options->bind,
                                   .base_port = (int)options->port,
                                   .advertise = options->advertise,
                                   .on_end = on_end,
                                   .context = guest};
    alchi_channel_t *channel = NULL;
    alchi_address_t address;
    char text[300];
    int code;

    if ((code = alchi_address_parse(options->join, ALCH_DEFAULT_PORT, &address, err)) ||
        (code = alchi_dmn_stop_signal_start(&guest->watch, &guest->loop, (int)options->owner_pid, err)) ||
        (code = authenticate(options, &address, &channel, err)))
        return code;
    agent.driver_address = alchi_address_format(&address, text, sizeof(text));
    if ((code = alchi_agent_create(&guest->loop, channel, &agent, &guest->agent, err))) {
        alchi_channel_destroy(channel);
        return code;
    }
    alchi_log(ALCHI_LOG_INFO, "serving %d worker slots to the driver at %s", agent.slots, text);
    return ALCH_OK;
}

int
alchi_dmn_run_agent(const alchi_dmn_options_t *options)
{
    guest_t *guest = calloc(1, sizeof(*guest));
    alch_error_t error;
    int code;

    if (!guest)
        return ALCH_ENOMEM;
    guest->options = options;
    guest->watch.told = on_told;
    guest->watch.context = guest;
    uv_loop_init(&guest->loop);
    if ((guest->code = start(guest, &error)))
        alchi_log(ALCHI_LOG_ERROR, "%s", error.text);
    else
        uv_run(&guest->loop, UV_RUN_DEFAULT);
    alchi_agent_destroy(guest->agent);
    alchi_dmn_stop_signal_stop(&guest->watch);
    uv_run(&guest->loop, UV_RUN_DEFAULT);
    uv_loop_close(&guest->loop);
    code = guest->code;
    free(guest);
    return code;
}
