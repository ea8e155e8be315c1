/* The driver: admits authenticated peers, and passes each message to its handler. */
#include "driver/driver.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "driver/command.h"
#include "driver/config.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/handlers.h"
#include "driver/link.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "driver/slots.h"
#include "wire/message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

alchi_drv_t *
alchi_drv_create(const alchi_drv_config_t *config, const uint8_t token[ALCHI_KEY_SIZE])
{
    alchi_drv_t *driver = calloc(1, sizeof(*driver));

    if (!driver)
        return NULL;
    driver->config = config;
    memcpy(driver->token, token, ALCHI_KEY_SIZE);
    if (gethostname(driver->host, sizeof(driver->host) - 1))
        snprintf(driver->host, sizeof(driver->host), "localhost");
    driver->next_session = driver->next_group = driver->next_matrix = driver->next_task = 1;
    return driver;
}

void
alchi_drv_destroy(alchi_drv_t *driver)
{
    alchi_drv_session_t *session, *next_session;
    alchi_drv_group_t *group, *next_group;

    if (!driver)
        return;
    driver->stopping = true;
    HASH_ITER(hh, driver->sessions, session, next_session)
    alchi_drv_session_end(session, "the driver is stopping");
    DL_FOREACH_SAFE(driver->groups, group, next_group)
    {
        while (group->end_waiters)
            alchi_drv_reply_assigned_workers(group->end_waiters);
        alchi_drv_group_destroy(group);
    }
    alchi_drv_slots_fini(&driver->slots);
    explicit_bzero(driver->token, sizeof(driver->token));
    free(driver);
}

/* ---- admission ---- */

static alchi_drv_session_t *
find_session(const alchi_drv_t *driver, uint64_t id)
{
    alchi_drv_session_t *session;

    HASH_FIND(hh, driver->sessions, &id, sizeof(id), session);
    return session;
}

alchi_drv_group_t *
alchi_drv_find_group(const alchi_drv_t *driver, uint64_t id)
{
    alchi_drv_group_t *group;

    DL_FOREACH(driver->groups, group)
    {
        if (group->id == id)
            return group;
    }
    return NULL;
}

/* The rank that a peer claims to be, if its group is starting and the rank has not connected yet; else NULL. */
static alchi_drv_rank_t *
find_expected_rank(const alchi_drv_t *driver, const alchi_claim_t *claim)
{
    alchi_drv_group_t *group = alchi_drv_find_group(driver, claim->group);

    if (!group || group->state != ALCHI_DRV_GROUP_STARTING || group->session_id != claim->session || claim->rank < 0 ||
        claim->rank >= group->size || group->ranks[claim->rank].link || group->ranks[claim->rank].disconnected)
        return NULL;
    return &group->ranks[claim->rank];
}

int
alchi_drv_find_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *err)
{
    const alchi_drv_t *driver = context;
    const alchi_drv_session_t *session;
    const alchi_drv_rank_t *rank;

    switch (claim->role) {
    case ALCHI_ROLE_CLIENT:
    case ALCHI_ROLE_AGENT:
        memcpy(key, driver->token, ALCHI_KEY_SIZE);
        return ALCH_OK;
    case ALCHI_ROLE_EXECUTOR:
        if (!(session = find_session(driver, claim->session)))
            return alchi_error_set(err, ALCH_ENOENT, "there is no session %llu", (unsigned long long)claim->session);
        memcpy(key, session->key, ALCHI_KEY_SIZE);
        return ALCH_OK;
    case ALCHI_ROLE_RANK:
        if (!(rank = find_expected_rank(driver, claim)))
            return alchi_error_set(err, ALCH_ENOENT, "rank %d of worker group %llu is not expected", claim->rank,
                                   (unsigned long long)claim->group);
        memcpy(key, rank->control_key, ALCHI_KEY_SIZE);
        return ALCH_OK;
    case ALCHI_ROLE_DATA:
        break;
    }
    return alchi_error_set(err, ALCH_EAUTH, "a peer of role %d cannot connect to the driver", (int)claim->role);
}

static int
admit_client(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_responder_t *responder, alch_error_t *err)
{
    uint8_t key[ALCHI_KEY_SIZE];
    alchi_drv_session_t *session;

    if (driver->clients >= driver->config->connections)
        return alchi_error_set(err, ALCH_ELIMIT, "%d clients are connected, the limit is %lld (--connections)",
                               driver->clients, (long long)driver->config->connections);
    if (link->role == ALCHI_ROLE_EXECUTOR) {
        if (!(session = find_session(driver, responder->claim.session)) || session->closing)
            return alchi_error_set(err, ALCH_ENOENT, "there is no session %llu",
                                   (unsigned long long)responder->claim.session);
        DL_APPEND(session->links, link);
        link->session = session;
    } else {
        alchi_derive_session_key(driver->token, responder->nonce_initiator, responder->nonce_responder, key);
        session = alchi_drv_session_create(driver, link, key);
        explicit_bzero(key, sizeof(key));
        if (!session)
            return alchi_drv_error_no_memory(err);
    }
    driver->clients++;
    alchi_log(ALCHI_LOG_INFO, "session %llu: '%s' (pid %d) from %s %s it", (unsigned long long)session->id, link->name,
              link->pid, link->host, link->role == ALCHI_ROLE_CLIENT ? "opened" : "attached to");
    return ALCH_OK;
}

static int
admit_rank(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_responder_t *responder, alch_error_t *err)
{
    alchi_drv_rank_t *rank = find_expected_rank(driver, &responder->claim);

    if (!rank)
        return alchi_error_set(err, ALCH_ENOENT, "rank %d of worker group %llu is not expected", responder->claim.rank,
                               (unsigned long long)responder->claim.group);
    rank->link = link;
    link->group = alchi_drv_find_group(driver, responder->claim.group);
    link->rank = responder->claim.rank;
    return ALCH_OK;
}

int
alchi_drv_admit(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_responder_t *responder, uint64_t id,
                alch_error_t *err)
{
    Alchw__Welcome welcome = ALCHW__WELCOME__INIT;
    int code = ALCH_OK;

    link->role = responder->claim.role;
    snprintf(link->name, sizeof(link->name), "%s", responder->name);
    link->pid = responder->pid;
    if (driver->stopping)
        code = alchi_error_set(err, ALCH_ECONNECT, "the driver is stopping");
    else if (link->role == ALCHI_ROLE_CLIENT || link->role == ALCHI_ROLE_EXECUTOR)
        code = admit_client(driver, link, responder, err);
    else if (link->role == ALCHI_ROLE_RANK)
        code = admit_rank(driver, link, responder, err);
    if (code) {
        alchi_drv_link_fail(link, id, err);
        return code;
    }
    welcome.has_session = 1;
    welcome.session = link->session ? link->session->id : responder->claim.session;
    welcome.server_version = (char *)alch_version();
    welcome.host = driver->host;
    alchi_drv_link_reply(link, id, ALCHI_WELCOME, &welcome);
    return ALCH_OK;
}

/* ---- messages ---- */

typedef struct {
    unsigned type;
    alchi_drv_handler_f handler;
} handler_t;

static const handler_t client_handlers[] = {
    {ALCHI_SUBMIT_TASK, alchi_drv_on_submit_task},     {ALCHI_WAIT_TASK, alchi_drv_on_wait_task},
    {ALCHI_CANCEL_TASK, alchi_drv_on_cancel_task},     {ALCHI_PING, alchi_drv_on_ping},
    {ALCHI_CREATE_MATRIX, alchi_drv_on_create_matrix}, {ALCHI_GET_MATRIX, alchi_drv_on_get_matrix},
    {ALCHI_FREE_MATRIX, alchi_drv_on_free_matrix},     {ALCHI_LIST_MATRICES, alchi_drv_on_list_matrices},
    {ALCHI_GET_GROUP, alchi_drv_on_get_group},         {ALCHI_REQUEST_WORKERS, alchi_drv_on_request_workers},
    {ALCHI_YIELD_WORKERS, alchi_drv_on_yield_workers}, {ALCHI_LIST_WORKERS, alchi_drv_on_list_workers},
    {ALCHI_LOAD_LIBRARY, alchi_drv_on_load_library},   {ALCHI_LIST_LIBRARIES, alchi_drv_on_list_libraries},
    {ALCHI_TEST_STRING, alchi_drv_on_test_string},     {ALCHI_CLOSE_SESSION, alchi_drv_on_close_session},
    {ALCHI_GROW_MATRIX, alchi_drv_on_grow_matrix},     {ALCHI_TRANSFORM, alchi_drv_on_transform},
};
static const handler_t rank_handlers[] = {
    {ALCHI_WORKER_PROGRESS, alchi_drv_on_worker_progress},
    {ALCHI_WORKER_JOIN, alchi_drv_on_worker_join},
    {ALCHI_ERROR, alchi_drv_on_error},
};
static const handler_t agent_handlers[] = {
    {ALCHI_AGENT_HELLO, alchi_drv_on_agent_hello}, {ALCHI_RANK_STARTED, alchi_drv_on_rank_started},
    {ALCHI_RANK_EXIT, alchi_drv_on_rank_exit},     {ALCHI_GROUP_ENDED, alchi_drv_on_group_ended},
    {ALCHI_PMI_BARRIER, alchi_drv_on_pmi_barrier}, {ALCHI_ERROR, alchi_drv_on_error},
};

static alchi_drv_handler_f
find_handler(const alchi_drv_link_t *link, unsigned type)
{
    const handler_t *table = client_handlers;
    size_t count = ALCHI_COUNT(client_handlers), i;

    if (link->role == ALCHI_ROLE_RANK) {
        table = rank_handlers;
        count = ALCHI_COUNT(rank_handlers);
    } else if (link->role == ALCHI_ROLE_AGENT) {
        table = agent_handlers;
        count = ALCHI_COUNT(agent_handlers);
    }
    for (i = 0; i < count; i++) {
        if (table[i].type == type)
            return table[i].handler;
    }
    return NULL;
}

int
alchi_drv_on_message(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                     const ProtobufCMessage *message, alch_error_t *err)
{
    alchi_drv_handler_f handler;
    ProtobufCMessage *empty = NULL;
    bool client = link->role == ALCHI_ROLE_CLIENT || link->role == ALCHI_ROLE_EXECUTOR;
    int code;

    /* A message whose fields all have their default values is packed into 0 bytes. */
    if (!message) {
        if ((code = alchi_message_decode(frame->type, "", 0, &empty)))
            return alchi_error_set(err, ALCH_EPROTO, "%s cannot be an empty message", alchi_message_name(frame->type));
        message = empty;
    }
    code = ALCH_OK;
    if (link->role == ALCHI_ROLE_RANK && (frame->flags & ALCHI_FRAME_REPLY)) {
        if (link->group)
            alchi_drv_command_handle_reply(link->group, link->rank, frame, message);
    } else if (!(handler = find_handler(link, frame->type)) || (client && !frame->id) ||
               (frame->flags & ALCHI_FRAME_REPLY)) {
        code = alchi_error_set(err, ALCH_EPROTO, "the driver does not accept %s (request %llu) on this connection",
                               alchi_message_name(frame->type), (unsigned long long)frame->id);
    } else if (!client || link->session) {
        handler(driver, link, frame, message);
    }
    alchi_message_free(empty);
    return code;
}

static void
disconnect_rank(alchi_drv_link_t *link)
{
    alchi_drv_group_event_t event = {.type = ALCHI_DRV_EVENT_DISCONNECTED, .rank = link->rank};
    alchi_drv_group_t *group = link->group;

    if (!group)
        return;
    link->group = NULL;
    group->ranks[event.rank].link = NULL;
    alchi_drv_group_handle_event(group, &event);
}

void
alchi_drv_on_closed(alchi_drv_t *driver, alchi_drv_link_t *link)
{
    alchi_drv_session_t *session = link->session;

    if (link->role == ALCHI_ROLE_RANK)
        disconnect_rank(link);
    if (link->role == ALCHI_ROLE_AGENT)
        alchi_drv_node_lost(driver, link);
    if (link->role == ALCHI_ROLE_CLIENT || link->role == ALCHI_ROLE_EXECUTOR)
        driver->clients--;
    alchi_drv_requests_detach_link(link);
    if (!session)
        return;
    DL_DELETE(session->links, link);
    link->session = NULL;
    if (session->owner != link)
        return;
    session->owner = NULL;
    alchi_drv_session_end(session, session->closing ? "the client closed it" : "its client disconnected");
}

/* ---- stopping ---- */

void
alchi_drv_stop(alchi_drv_t *driver, const char *why)
{
    alchi_drv_session_t *session, *next;

    driver->stopping = true;
    HASH_ITER(hh, driver->sessions, session, next)
    alchi_drv_session_end(session, why);
}

bool
alchi_drv_is_idle(const alchi_drv_t *driver)
{
    return driver->stopping && !driver->groups;
}
