/* Requests of many threads over one connection. The first thread that waits for a reply reads for all threads. */
#include "client/control.h"
#include "base/error.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

/* A request that waits for its reply. It lives on the stack of its thread. */
typedef struct request {
    uint64_t id;
    bool done;
    unsigned type; /* of the reply */
    ProtobufCMessage *reply;
    pthread_cond_t cond;
    struct request *prev, *next;
} request_t;

struct alchi_cli_control {
    alchi_channel_t *channel;
    char peer[300];
    pthread_mutex_t mutex; /* guards all below, and the receiving side of the channel while there is no leader */
    bool sending;          /* a thread uses the sending side of the channel */
    pthread_cond_t sent;   /* signaled when `sending` becomes false */
    request_t *requests;   /* that wait for a reply */
    uint64_t last_id;
    bool leading;                                /* a thread reads the connection without the mutex */
    int broken;                                  /* the code that requests fail with; ALCH_OK: the connection works */
    char reason[ALCH_ERROR_TEXT_MAX];            /* the text, if broken */
    char final_message[ALCH_ERROR_TEXT_MAX / 2]; /* the driver's text before it ended the connection, or "" */
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
    const char *text = message && message->text ? message->text : "the peer sent an error without a text";

    return alchi_error_rank(err, alchi_message_code(message), message ? message->rank : -1, "%s", text);
}

/* Mark the connection as unusable and wake all waiting threads. Only the first reason is kept. Call with the mutex
 * held.
 * @param reason  NULL: use the driver's final message, or a text for `code` */
static void
mark_broken(alchi_cli_control_t *control, int code, const char *reason)
{
    const char *fault = alchi_channel_fault(control->channel);
    request_t *request;

    if (control->broken)
        return;
    control->broken = code == ALCH_EPROTO ? ALCH_EPROTO : ALCH_ECONNECT;
    if (reason)
        snprintf(control->reason, sizeof(control->reason), "%s", reason);
    else if (control->final_message[0])
        snprintf(control->reason, sizeof(control->reason), "the driver at %s ended the connection: %s", control->peer,
                 control->final_message);
    else if (code == ALCH_ECONNECT)
        snprintf(control->reason, sizeof(control->reason), "the connection to the driver at %s was lost",
                 control->peer);
    else
        snprintf(control->reason, sizeof(control->reason), "the driver at %s broke the protocol: %s", control->peer,
                 fault[0] ? fault : alch_strerror(code));
    DL_FOREACH(control->requests, request)
    pthread_cond_signal(&request->cond);
}

void
alchi_cli_control_shutdown(alchi_cli_control_t *control, const char *reason)
{
    pthread_mutex_lock(&control->mutex);
    mark_broken(control, ALCH_ECONNECT, reason);
    pthread_mutex_unlock(&control->mutex);
    shutdown(alchi_channel_fd(control->channel), SHUT_RDWR);
}

/* Give a frame to the request that it answers, or drop it if no request waits for it. Call with the mutex held. */
static void
deliver_reply(alchi_cli_control_t *control, const alchi_frame_t *frame, ProtobufCMessage *message)
{
    const Alchw__Error *error = frame->id == 0 && frame->type == ALCHI_ERROR ? (const Alchw__Error *)message : NULL;
    request_t *request;

    if (error && error->text)
        snprintf(control->final_message, sizeof(control->final_message), "%s", error->text);
    DL_SEARCH_SCALAR(control->requests, request, id, frame->id);
    if (!request || request->done || !(frame->flags & ALCHI_FRAME_REPLY)) {
        alchi_message_free(message);
        return;
    }
    request->type = frame->type;
    request->reply = message;
    request->done = true;
    pthread_cond_signal(&request->cond);
}

/* Receive the frames that have arrived while no thread was reading. One of them may be the driver's final message. Call
 * with the mutex held, and without a leader. */
static void
receive_available(alchi_cli_control_t *control)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    int code = ALCH_OK;

    while (!control->broken && code == ALCH_OK) {
        message = NULL;
        code = alchi_channel_receive(control->channel, &frame, &message);
        if (code == ALCH_OK)
            deliver_reply(control, &frame, message);
        else if (code != ALCH_EAGAIN)
            mark_broken(control, code, NULL);
    }
}

/* Read for all threads until this thread's reply has arrived or its deadline has passed. Then wake another thread to
 * become the leader. Call with the mutex held; it is released while the thread reads. */
static void
receive_as_leader(alchi_cli_control_t *control, request_t *mine, alchi_deadline_t deadline)
{
    alchi_frame_t frame;
    ProtobufCMessage *message;
    request_t *request;
    int code = ALCH_OK;

    control->leading = true;
    while (!mine->done && !control->broken && code == ALCH_OK) {
        message = NULL;
        pthread_mutex_unlock(&control->mutex);
        code = alchi_channel_receive_by(control->channel, deadline, &frame, &message);
        pthread_mutex_lock(&control->mutex);
        if (code == ALCH_OK)
            deliver_reply(control, &frame, message);
        else if (code != ALCH_ETIMEDOUT)
            mark_broken(control, code, NULL);
    }
    control->leading = false;
    DL_FOREACH(control->requests, request)
    {
        if (request != mine && !request->done) {
            pthread_cond_signal(&request->cond);
            break;
        }
    }
}

/* Wait for a reply, as the leader if there is no leader. Call with the mutex held. */
static int
await_reply(alchi_cli_control_t *control, request_t *request, alchi_deadline_t deadline)
{
    while (!request->done && !control->broken) {
        if (alchi_deadline_left_ms(deadline) == 0)
            return ALCH_ETIMEDOUT;
        if (control->leading)
            alchi_cond_wait(&request->cond, &control->mutex, deadline);
        else
            receive_as_leader(control, request, deadline);
    }
    return request->done ? ALCH_OK : control->broken;
}

/* Send a request when no other thread is sending. Call with the mutex held; it is released while bytes move. */
static int
send_request(alchi_cli_control_t *control, unsigned type, uint64_t id, const void *message, alchi_deadline_t deadline)
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

/* Give the request an id and add it to the waiting requests. Call with the mutex held. */
static int
add_request(alchi_cli_control_t *control, request_t *request)
{
    if (!control->leading)
        receive_available(control);
    if (control->broken)
        return control->broken;
    pthread_cond_init(&request->cond, NULL);
    request->id = ++control->last_id;
    DL_APPEND(control->requests, request);
    return ALCH_OK;
}

/* Remove a request from the waiting requests. Its thread may be the one that was woken to become the leader, so wake
 * another one. Call with the mutex held. */
static void
remove_request(alchi_cli_control_t *control, request_t *request)
{
    DL_DELETE(control->requests, request);
    pthread_cond_destroy(&request->cond);
    if (control->leading)
        return;
    DL_FOREACH(control->requests, request)
    {
        if (!request->done) {
            pthread_cond_signal(&request->cond);
            return;
        }
    }
}

/* Write the error text for a request without a reply. Call with the mutex held. */
static int
explain_missing_reply(const alchi_cli_control_t *control, int code, unsigned type, int64_t started, alch_error_t *err)
{
    if (code == control->broken)
        return alchi_error_set(err, code, "%s", control->reason);
    if (code == ALCH_ETIMEDOUT)
        return alchi_error_set(err, code, "the driver at %s did not answer %s within %.1f s", control->peer,
                               alchi_message_name(type), (double)(alchi_now_ns() - started) * 1e-9);
    if (code == ALCH_ERANGE)
        return alchi_error_set(err, ALCH_ELIMIT, "the request %s is larger than the limit of %u bytes for a message",
                               alchi_message_name(type), ALCHI_META_MAX);
    return alchi_error_set(err, code, "the request %s failed: %s", alchi_message_name(type), alch_strerror(code));
}

/* Return the message of the reply, or the error that it contains. */
static int
take_reply(alchi_cli_control_t *control, request_t *request, unsigned type, unsigned expect, void *reply_p,
           alch_error_t *err)
{
    int code;

    if (request->type == expect) {
        if (reply_p)
            *(ProtobufCMessage **)reply_p = request->reply;
        else
            alchi_message_free(request->reply);
        return ALCH_OK;
    }
    if (request->type == ALCHI_ERROR)
        code = alchi_cli_control_read_error((const Alchw__Error *)request->reply, err);
    else
        code = alchi_error_set(err, ALCH_EPROTO, "the driver at %s answered %s with %s", control->peer,
                               alchi_message_name(type), alchi_message_name(request->type));
    alchi_message_free(request->reply);
    return code;
}

int
alchi_cli_control_request(alchi_cli_control_t *control, unsigned type, const void *message, unsigned expect,
                          alchi_deadline_t deadline, void *reply_p, alch_error_t *err)
{
    int64_t started = alchi_now_ns();
    request_t request = {0};
    int code;

    pthread_mutex_lock(&control->mutex);
    code = add_request(control, &request);
    if (code == ALCH_OK) {
        code = send_request(control, type, request.id, message, deadline);
        if (code == ALCH_OK)
            code = await_reply(control, &request, deadline);
        else if (code == ALCH_ECONNECT) {
            /* The driver has ended the connection, but its final message may have arrived before. */
            if (!control->leading)
                receive_available(control);
            mark_broken(control, ALCH_ECONNECT, NULL);
            code = control->broken;
        }
        remove_request(control, &request);
    }
    if (!request.done)
        code = explain_missing_reply(control, code, type, started, err);
    pthread_mutex_unlock(&control->mutex);
    return request.done ? take_reply(control, &request, type, expect, reply_p, err) : code;
}
