/* Requests of many threads over one connection: whoever waits first reads for all. */
#include "client/control.h"
#include "base/error.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

/* A request that waits for its reply; lives on the stack of its thread. */
typedef struct slot {
    uint64_t id;
    bool done;
    unsigned type; /* of the reply */
    ProtobufCMessage *reply;
    pthread_cond_t cond;
    struct slot *prev, *next;
} slot_t;

struct alchi_cli_control {
    alchi_channel_t *channel;
    char peer[300];
    pthread_mutex_t mutex; /* guards all below, and reading while nobody leads */
    bool sending;          /* somebody uses the sending side of the channel */
    pthread_cond_t sent;
    slot_t *slots;
    uint64_t last_id;
    bool leading;
    int broken; /* ALCH_OK, or why there is no connection any more */
    char reason[ALCH_ERROR_TEXT_MAX];
    char farewell[ALCH_ERROR_TEXT_MAX / 2];
};

alchi_cli_control_t *
alchi_cli_control_create(alchi_channel_t *channel, const char *peer)
{
    alchi_cli_control_t *control = calloc(1, sizeof(*control));

    if (!control) {
        alchi_channel_destroy(channel);
        return NULL;
    }
    control->channel = channel;
    snprintf(control->peer, sizeof(control->peer), "%s", peer);
    pthread_mutex_init(&control->mutex, NULL);
    pthread_cond_init(&control->sent, NULL);
    return control;
}

void
alchi_cli_control_destroy(alchi_cli_control_t *control)
{
    if (!control)
        return;
    alchi_channel_destroy(control->channel);
    pthread_cond_destroy(&control->sent);
    pthread_mutex_destroy(&control->mutex);
    free(control);
}

int
alchi_cli_control_fd(const alchi_cli_control_t *control)
{
    return alchi_channel_fd(control->channel);
}

int
alchi_cli_control_read_error(const Alchw__Error *message, alch_error_t *err)
{
    const char *text = message && message->text ? message->text : "an error without a text";

    return alchi_error_rank(err, alchi_message_code(message), message ? message->rank : -1, "%s", text);
}

/* With the mutex held: note why the connection is unusable (the first reason stays) and wake everybody. */
static void
break_off(alchi_cli_control_t *control, int code, const char *reason)
{
    const char *fault = alchi_channel_fault(control->channel);
    slot_t *slot;

    if (control->broken)
        return;
    control->broken = code == ALCH_EPROTO ? ALCH_EPROTO : ALCH_ECONNECT;
    if (reason)
        snprintf(control->reason, sizeof(control->reason), "%s", reason);
    else if (control->farewell[0])
        snprintf(control->reason, sizeof(control->reason), "the driver at %s ended the connection: %s", control->peer,
                 control->farewell);
    else if (code == ALCH_ECONNECT)
        snprintf(control->reason, sizeof(control->reason), "the connection to the driver at %s was lost",
                 control->peer);
    else
        snprintf(control->reason, sizeof(control->reason), "the driver at %s broke the protocol: %s", control->peer,
                 fault[0] ? fault : alch_strerror(code));
    DL_FOREACH(control->slots, slot)
    pthread_cond_signal(&slot->cond);
}

void
alchi_cli_control_shutdown(alchi_cli_control_t *control, const char *reason)
{
    pthread_mutex_lock(&control->mutex);
    break_off(control, ALCH_ECONNECT, reason);
    pthread_mutex_unlock(&control->mutex);
    shutdown(alchi_channel_fd(control->channel), SHUT_RDWR);
}

static void
keep_farewell(alchi_cli_control_t *control, const Alchw__Error *message)
{
    if (message && message->text)
        snprintf(control->farewell, sizeof(control->farewell), "%s", message->text);
}

/* With the mutex held: hand a frame to whom it answers. Answers to requests that have timed out are dropped. */
static void
dispatch(alchi_cli_control_t *control, const alchi_frame_t *frame, ProtobufCMessage *message)
{
    slot_t *slot;

    if (frame->id == 0 && frame->type == ALCHI_ERROR)
        keep_farewell(control, (const Alchw__Error *)message);
    DL_SEARCH_SCALAR(control->slots, slot, id, frame->id);
    if (!slot || slot->done || !(frame->flags & ALCHI_FRAME_REPLY)) {
        alchi_message_free(message);
        return;
    }
    slot->type = frame->type;
    slot->reply = message;
    slot->done = true;
    pthread_cond_signal(&slot->cond);
}

/* With the mutex held and nobody leading: take what has come meanwhile, above all a farewell. */
static void
drain(alchi_cli_control_t *control)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    int code = ALCH_OK;

    while (!control->broken && code == ALCH_OK) {
        message = NULL;
        code = alchi_channel_receive(control->channel, &frame, &message);
        if (code == ALCH_OK)
            dispatch(control, &frame, message);
        else if (code != ALCH_EAGAIN)
            break_off(control, code, NULL);
    }
}

/* With the mutex held: read for everybody until the own reply is there or the own deadline has passed. */
static void
lead(alchi_cli_control_t *control, slot_t *own, alchi_deadline_t deadline)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    slot_t *slot;
    int code = ALCH_OK;

    control->leading = true;
    while (!own->done && !control->broken && code == ALCH_OK) {
        message = NULL;
        pthread_mutex_unlock(&control->mutex);
        code = alchi_channel_receive_by(control->channel, deadline, &frame, &message);
        pthread_mutex_lock(&control->mutex);
        if (code == ALCH_OK)
            dispatch(control, &frame, message);
        else if (code != ALCH_ETIMEDOUT)
            break_off(control, code, NULL);
    }
    control->leading = false;
    DL_FOREACH(control->slots, slot)
    {
        if (slot != own && !slot->done) {
            pthread_cond_signal(&slot->cond);
            break;
        }
    }
}

/* With the mutex held. */
static int
await(alchi_cli_control_t *control, slot_t *slot, alchi_deadline_t deadline)
{
    while (!slot->done && !control->broken) {
        if (alchi_deadline_left_ms(deadline) == 0)
            return ALCH_ETIMEDOUT;
        if (control->leading)
            alchi_cond_wait(&slot->cond, &control->mutex, deadline);
        else
            lead(control, slot, deadline);
    }
    return slot->done ? ALCH_OK : control->broken;
}

/* With the mutex held: the peer takes no more; its last words may still be there to be read. */
static int
lose(alchi_cli_control_t *control)
{
    if (!control->leading)
        drain(control);
    break_off(control, ALCH_ECONNECT, NULL);
    return control->broken;
}

/* With the mutex held; it is free while bytes move. One thread sends at a time. */
static int
transmit(alchi_cli_control_t *control, unsigned type, uint64_t id, const void *message, alchi_deadline_t deadline)
{
    int code;

    while (control->sending) {
        if (alchi_deadline_left_ms(deadline) == 0)
            return ALCH_ETIMEDOUT;
        alchi_cond_wait(&control->sent, &control->mutex, deadline);
    }
    control->sending = true;
    pthread_mutex_unlock(&control->mutex);
    code = alchi_channel_send(control->channel, type, 0, id, message);
    if (code == ALCH_OK && alchi_channel_wants_write(control->channel))
        code = alchi_channel_flush_by(control->channel, deadline);
    pthread_mutex_lock(&control->mutex);
    control->sending = false;
    pthread_cond_signal(&control->sent);
    return code;
}

/* With the mutex held: a place for the reply. */
static int
enlist(alchi_cli_control_t *control, slot_t *slot)
{
    if (!control->leading)
        drain(control);
    if (control->broken)
        return control->broken;
    pthread_cond_init(&slot->cond, NULL);
    slot->id = ++control->last_id;
    DL_APPEND(control->slots, slot);
    return ALCH_OK;
}

/* With the mutex held. A waiter that was asked to lead may be the one that leaves: it passes the request on. */
static void
delist(alchi_cli_control_t *control, slot_t *slot)
{
    DL_DELETE(control->slots, slot);
    pthread_cond_destroy(&slot->cond);
    if (control->leading)
        return;
    DL_FOREACH(control->slots, slot)
    {
        if (!slot->done) {
            pthread_cond_signal(&slot->cond);
            return;
        }
    }
}

/* With the mutex held. */
static int
explain(const alchi_cli_control_t *control, int code, unsigned type, int64_t started, alch_error_t *err)
{
    if (code == control->broken)
        return alchi_error_set(err, code, "%s", control->reason);
    if (code == ALCH_ETIMEDOUT)
        return alchi_error_set(err, code, "the driver at %s did not answer %s within %.1f s", control->peer,
                               alchi_message_name(type), (double)(alchi_now_ns() - started) * 1e-9);
    if (code == ALCH_ERANGE)
        return alchi_error_set(err, ALCH_ELIMIT, "the request %s is larger than a message may be (%u bytes)",
                               alchi_message_name(type), ALCHI_META_MAX);
    return alchi_error_set(err, code, "%s: %s", alchi_message_name(type), alch_strerror(code));
}

static int
take_reply(alchi_cli_control_t *control, slot_t *slot, unsigned type, unsigned expect, void *reply_p, alch_error_t *err)
{
    int code;

    if (slot->type == expect && reply_p) {
        /* a message with nothing in it has no bytes */
        if (!slot->reply && (code = alchi_message_decode(expect, "", 0, &slot->reply)) != ALCH_OK)
            return alchi_error_set(err, code, "%s: %s", alchi_message_name(type), alch_strerror(code));
        *(ProtobufCMessage **)reply_p = slot->reply;
        return ALCH_OK;
    }
    if (slot->type == expect) {
        alchi_message_free(slot->reply);
        return ALCH_OK;
    }
    if (slot->type == ALCHI_ERROR)
        code = alchi_cli_control_read_error((const Alchw__Error *)slot->reply, err);
    else
        code = alchi_error_set(err, ALCH_EPROTO, "the driver at %s answered %s with %s", control->peer,
                               alchi_message_name(type), alchi_message_name(slot->type));
    alchi_message_free(slot->reply);
    return code;
}

int
alchi_cli_control_request(alchi_cli_control_t *control, unsigned type, const void *message, unsigned expect,
                          alchi_deadline_t deadline, void *reply_p, alch_error_t *err)
{
    int64_t started = alchi_now_ns();
    slot_t slot = {0};
    int code;

    pthread_mutex_lock(&control->mutex);
    code = enlist(control, &slot);
    if (code == ALCH_OK) {
        code = transmit(control, type, slot.id, message, deadline);
        if (code == ALCH_OK)
            code = await(control, &slot, deadline);
        else if (code == ALCH_ECONNECT)
            code = lose(control);
        delist(control, &slot);
    }
    if (!slot.done)
        code = explain(control, code, type, started, err);
    pthread_mutex_unlock(&control->mutex);
    return slot.done ? take_reply(control, &slot, type, expect, reply_p, err) : code;
}
