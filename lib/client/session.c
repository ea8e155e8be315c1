/* Open, attach to, and close a session. */
#include "client/client.h"
#include "base/error.h"
#include "base/util.h"
#include "net/connfile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One request asks the driver to wait at most this long. Then the client asks again. */
#define WAIT_SLICE_MS 20000

/* ---- options ---- */

void
alch_session_options_init(alch_session_options_t *options)
{
    memset(options, 0, sizeof(*options));
    options->struct_size = sizeof(*options);
    options->connect_timeout_ms = 10000;
    options->request_timeout_ms = 60000;
    options->transfer_timeout_ms = 30000;
    options->message_bytes = 4 << 20;
    options->messages_in_flight = 4;
    options->idle_timeout_ms = 30000;
    options->shared_memory = 1;
    options->checksum = -1;
}

/* Callers built against an older header pass a shorter struct: the members beyond it keep their defaults. */
static int
merge_options(const alch_session_options_t *given, alch_session_options_t *options, alch_error_t *err)
{
    alch_session_options_init(options);
    if (!given)
        return ALCH_OK;
    if (given->struct_size < sizeof(size_t) + sizeof(void *))
        return alchi_error_set(
            err, ALCH_EINVAL,
            "struct_size of the options is %zu, which is too small: call alch_session_options_init() first",
            given->struct_size);
    memcpy(options, given, given->struct_size < sizeof(*options) ? given->struct_size : sizeof(*options));
    options->struct_size = sizeof(*options);
    return ALCH_OK;
}

static int
check_options(const alch_session_options_t *options, alch_error_t *err)
{
    const struct {
        const char *name;
        int64_t value, lo, hi;
    } rows[] = {
        {"connect_timeout_ms", options->connect_timeout_ms, 1, INT_MAX},
        {"request_timeout_ms", options->request_timeout_ms, 1, INT_MAX},
        {"transfer_timeout_ms", options->transfer_timeout_ms, 1, INT_MAX},
        {"message_bytes", options->message_bytes, 64 << 10, 256 << 20},
        {"messages_in_flight", options->messages_in_flight, 1, 64},
        {"transfer_threads", options->transfer_threads, 0, 1024},
        {"idle_timeout_ms", options->idle_timeout_ms, 0, INT_MAX},
        {"shared_memory", options->shared_memory, 0, 1},
        {"checksum", options->checksum, -1, 1},
    };

    for (size_t k = 0; k < ALCHI_COUNT(rows); k++) {
        if (rows[k].value < rows[k].lo || rows[k].value > rows[k].hi)
            return alchi_error_set(err, ALCH_EINVAL, "%s is %lld, must be %lld to %lld", rows[k].name,
                                   (long long)rows[k].value, (long long)rows[k].lo, (long long)rows[k].hi);
    }
    return ALCH_OK;
}

/* ---- address and secret ---- */

/* Find a connection file. If there is no file, this user may not use it, or its daemon has ended, the code is
 * ALCH_ECONNECT, as for any other failure to connect. */
static int
find_connection_file(const alch_session_options_t *options, const alchi_address_t *address, alchi_connfile_t *file,
                     alch_error_t *err)
{
    int code = options->connection_file ? alchi_connfile_read(options->connection_file, file, err)
                                        : alchi_connfile_find(address, file, err);

    if (code != ALCH_ENOENT && code != ALCH_ESTATE && code != ALCH_EPERM)
        return code;
    if (err)
        err->code = ALCH_ECONNECT;
    return ALCH_ECONNECT;
}

/* Get the address and the token from the options. If one is missing there, get it from a connection file.
 * @param[out] token  filled in only if need_token */
static int
resolve_address_and_token(const alch_session_options_t *options, bool need_token, alchi_address_t *address,
                          uint8_t *token, alch_error_t *err)
{
    bool have_token = !need_token || options->token;
    alchi_connfile_t file;
    int code;

    if (options->address && (code = alchi_address_parse(options->address, ALCH_DEFAULT_PORT, address, err)) != ALCH_OK)
        return code;
    if (need_token && options->token && !alchi_hex_decode(options->token, token, ALCHI_KEY_SIZE))
        return alchi_error_set(err, ALCH_EINVAL, "the token is not %d hexadecimal digits", 2 * ALCHI_KEY_SIZE);
    if (options->address && have_token)
        return ALCH_OK;
    if ((code = find_connection_file(options, options->address ? address : NULL, &file, err)) != ALCH_OK)
        return code;
    if (!options->address)
        *address = file.address;
    if (!have_token)
        memcpy(token, file.token, ALCHI_KEY_SIZE);
    explicit_bzero(&file, sizeof(file));
    return ALCH_OK;
}

int
alchi_cli_session_dial(const alchi_address_t *address, const alchi_claim_t *claim, const uint8_t *key, const char *name,
                       uint32_t payload_max, alchi_deadline_t deadline, alchi_channel_t **channel_p,
                       alchi_granted_t *granted_p, alch_error_t *err)
{
    alchi_granted_t granted = {0};
    alchi_channel_t *channel;
    int fd, code;

    if ((code = alchi_connect(address, deadline, &fd, err)) != ALCH_OK)
        return code;
    if (payload_max > 0)
        alchi_socket_bulk(fd);
    channel = alchi_channel_create(alchi_stream_create(fd));
    if (!channel)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a connection");
    code = alchi_authenticate(channel, claim, key, name, payload_max, deadline, &granted, err);
    if (code != ALCH_OK) {
        alchi_channel_destroy(channel);
        return code;
    }
    *channel_p = channel;
    if (granted_p)
        *granted_p = granted;
    return ALCH_OK;
}

/* ---- open and attach ---- */

static alch_session_t *
make_session(const alch_session_options_t *options, const alchi_address_t *address)
{
    const char *name = options->name ? options->name : program_invocation_short_name;
    alch_session_t *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    if (!(session->pool = alchi_cli_pool_create())) {
        free(session);
        return NULL;
    }
    session->pid = getpid();
    snprintf(session->name, sizeof(session->name), "%s", name);
    alchi_address_format(address, session->address, sizeof(session->address));
    session->options = *options;
    session->options.address = session->options.connection_file = NULL;
    session->options.token = session->options.name = NULL;
    return session;
}

static void
free_session(alch_session_t *session)
{
    alchi_cli_pool_destroy(session->pool);
    alchi_cli_control_destroy(session->control);
    explicit_bzero(session->key, sizeof(session->key));
    free(session);
}

/* Connect the session to the driver in the claim's role. `key` is the token, or for an executor the session's key. */
static int
connect_session(alch_session_t *session, const alchi_address_t *address, const alchi_claim_t *claim, const uint8_t *key,
                alch_error_t *err)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(session->options.connect_timeout_ms);
    alchi_channel_t *channel;
    alchi_granted_t granted;
    int code;

    code = alchi_cli_session_dial(address, claim, key, session->name, 0, deadline, &channel, &granted, err);
    if (code != ALCH_OK)
        return code;
    alchi_peer_host(alchi_channel_fd(channel), session->host, sizeof(session->host));
    session->control = alchi_cli_control_create(channel, session->address);
    if (!session->control)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a session");
    session->executor = claim->role == ALCHI_ROLE_EXECUTOR;
    session->id = session->executor ? claim->session : granted.session;
    snprintf(session->server_version, sizeof(session->server_version), "%s", granted.server_version);
    if (session->executor)
        memcpy(session->key, key, ALCHI_KEY_SIZE);
    else
        alchi_derive_session_key(key, granted.nonce_initiator, granted.nonce_responder, session->key);
    return ALCH_OK;
}

/* Open a session, or attach to one with its key: session_key NULL means open. */
static int
open_as(const alch_session_options_t *given, const alchi_claim_t *claim, const uint8_t *session_key,
        alch_session_t **session_p, alch_error_t *err)
{
    alch_session_options_t options;
    alchi_address_t address = {0};
    uint8_t key[ALCHI_KEY_SIZE];
    alch_session_t *session;
    int code;

    if ((code = merge_options(given, &options, err)) != ALCH_OK || (code = check_options(&options, err)) != ALCH_OK)
        return code;
    if ((code = resolve_address_and_token(&options, !session_key, &address, key, err)) != ALCH_OK)
        return code;
    if (session_key)
        memcpy(key, session_key, ALCHI_KEY_SIZE);
    session = make_session(&options, &address);
    code = session ? connect_session(session, &address, claim, key, err)
                   : alchi_error_set(err, ALCH_ENOMEM, "out of memory for a session");
    explicit_bzero(key, sizeof(key));
    if (code == ALCH_OK)
        *session_p = session;
    else if (session)
        free_session(session);
    return code;
}

int
alch_session_open(const alch_session_options_t *options, alch_session_t **session_p, alch_error_t *err)
{
    const alchi_claim_t claim = {ALCHI_ROLE_CLIENT, 0, 0, -1};

    if (!session_p)
        return alchi_error_set(err, ALCH_EINVAL, "session_p is NULL");
    return open_as(options, &claim, NULL, session_p, err);
}

int
alch_session_attach(const alch_session_options_t *options, uint64_t id, const char *key, alch_session_t **session_p,
                    alch_error_t *err)
{
    const alchi_claim_t claim = {ALCHI_ROLE_EXECUTOR, id, 0, -1};
    uint8_t bytes[ALCHI_KEY_SIZE];
    int code;

    if (!session_p || !id)
        return alchi_error_set(err, ALCH_EINVAL, session_p ? "session id 0 is not valid" : "session_p is NULL");
    if (!key || !alchi_hex_decode(key, bytes, sizeof(bytes)))
        return alchi_error_set(err, ALCH_EINVAL, "the session's key is not %d hexadecimal digits", 2 * ALCHI_KEY_SIZE);
    code = open_as(options, &claim, bytes, session_p, err);
    explicit_bzero(bytes, sizeof(bytes));
    return code;
}

/* ---- close ---- */

int
alch_session_close(alch_session_t *session, alch_error_t *err)
{
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK || __atomic_load_n(&session->closed, __ATOMIC_ACQUIRE))
        return code;
    if (!session->executor)
        code = alchi_cli_session_request(session, ALCHI_CLOSE_SESSION, NULL, ALCHI_EMPTY, 0, NULL, err);
    __atomic_store_n(&session->closed, true, __ATOMIC_RELEASE);
    alchi_cli_control_shutdown(session->control, "the session is closed");
    alchi_cli_pool_close_idle(session->pool);
    return code;
}

void
alch_session_destroy(alch_session_t *session)
{
    if (!session)
        return;
    if (session->pid == getpid()) {
        free_session(session);
        return;
    }
    /* In a forked child: other threads of the parent may have held any lock at the fork, so free nothing. */
    close(alchi_cli_control_fd(session->control));
    alchi_cli_pool_abandon(session->pool);
}

/* ---- getters, and requests for the other files ---- */

uint64_t
alch_session_id(const alch_session_t *session)
{
    return session->id;
}

const char *
alch_session_address(const alch_session_t *session)
{
    return session->address;
}

const char *
alch_session_server_version(const alch_session_t *session)
{
    return session->server_version;
}

void
alch_session_key(const alch_session_t *session, char key[65])
{
    alchi_hex_encode(session->key, ALCHI_KEY_SIZE, key);
}

int
alchi_cli_session_check(const alch_session_t *session, alch_error_t *err)
{
    if (!session)
        return alchi_error_set(err, ALCH_EINVAL, "the session is NULL");
    if (session->pid != getpid())
        return alchi_error_set(err, ALCH_EFORKED,
                               "session %llu belongs to process %d; this process can attach to it with its id and key",
                               (unsigned long long)session->id, (int)session->pid);
    return ALCH_OK;
}

int
alchi_cli_session_request(alch_session_t *session, unsigned type, const void *message, unsigned expect, int wait_ms,
                          void *reply_p, alch_error_t *err)
{
    alchi_deadline_t deadline;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    deadline = alchi_deadline_in_ms((int64_t)session->options.request_timeout_ms + wait_ms);
    return alchi_cli_control_request(session->control, type, message, expect, deadline, reply_p, err);
}

int
alchi_cli_session_wait_slice_ms(alchi_deadline_t deadline)
{
    int left = alchi_deadline_left_ms(deadline);

    return left < 0 || left > WAIT_SLICE_MS ? WAIT_SLICE_MS : left;
}
