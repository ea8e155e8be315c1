/* Receiving side of a data connection: writes go straight into place, requests into the queue. */
#include "dataserver/conn.h"

#include "base/error.h"
#include "base/util.h"
#include "wire/layout_message.h"

#include <string.h>

#define FRAME_COST ((size_t)256)       /* of a turn's budget, so that empty frames have an end too */
#define DIRECT_MIN ((size_t)2 << 10)   /* shorter columns are cheaper received together and copied */
#define SHARED_STEP ((size_t)64 << 10) /* then the client may write there again */
#define RUNS 128                       /* columns that are received at once */

int
alchi_data_conn_find_part(const alchi_data_conn_t *conn, uint64_t matrix, uint32_t version, alchi_store_part_t **part_p,
                          alch_error_t *err)
{
    alchi_store_part_t *part = NULL;
    char name[96];
    int rc = alchi_store_acquire(conn->config->store, matrix, &part, err);

    if (rc == ALCH_OK && version != part->version) {
        rc = alchi_error_set(
            err, ALCH_ESTATE, "matrix %s was replaced in place since this handle learned of it: refresh it",
            alchi_format_matrix(matrix, part->layout.m, part->layout.n, part->dtype, name, sizeof name));
        alchi_store_release(conn->config->store, part);
    }
    if (rc == ALCH_OK)
        *part_p = part;
    return rc;
}

/* Find the matrix of a request and check its rectangle. On success the caller has a reference. */
static int
find_rect(const alchi_data_conn_t *conn, uint64_t matrix, uint32_t version, const Alchw__Rect *from,
          const Alchw__Axes *axes, alchi_store_part_t **part_p, alch_rect_t *rect_p, alchi_data_index_set_t *set_p,
          alch_error_t *err)
{
    alchi_store_t *store = conn->config->store;
    char name[96], need[32], limit[32];
    alchi_store_part_t *part = NULL;
    alch_rect_t rect;
    int64_t bytes;
    int rc;

    if (!from)
        return alchi_error_set(err, ALCH_EPROTO, "the request names no rectangle");
    rect = alchi_wire_rect_in(from);
    rc = alchi_data_conn_find_part(conn, matrix, version, &part, err);
    if (rc)
        return rc;
    alchi_format_matrix(matrix, part->layout.m, part->layout.n, part->dtype, name, sizeof name);
    if (!alchi_rect_within(&rect, part->local_m, part->local_n))
        rc = alchi_error_set(err, ALCH_ERANGE,
                             "matrix %s: %lld x %lld entries from (%lld, %lld) leave the worker's part of %lld x %lld",
                             name, (long long)rect.m, (long long)rect.n, (long long)rect.i, (long long)rect.j,
                             (long long)part->local_m, (long long)part->local_n);
    if (!rc)
        rc = alchi_data_index_set_init(set_p, part, axes, &rect, err);
    bytes = rc ? 0 : set_p->row_count * set_p->col_count * (int64_t)part->entry;
    if (conn->config->message_limit > 0 && bytes > conn->config->message_limit)
        rc = alchi_error_set(err, ALCH_ELIMIT, "matrix %s: a message of %s, the limit is %s (--message-limit)", name,
                             alchi_format_bytes(bytes, need, sizeof need),
                             alchi_format_bytes(conn->config->message_limit, limit, sizeof limit));
    if (rc) {
        alchi_store_release(store, part);
        return rc;
    }
    *part_p = part;
    *rect_p = rect;
    return ALCH_OK;
}

/* From now on what comes of this message is dropped; its answer is the error in the reply. */
static void
refuse_write(alchi_data_conn_t *conn)
{
    conn->in.refused = true;
    conn->in.reply->type = ALCHI_ERROR;
    alchi_store_release(conn->config->store, conn->in.part);
    conn->in.part = NULL;
}

static void
finish_write(alchi_data_conn_t *conn)
{
    alchi_data_incoming_t *in = &conn->in;
    alch_error_t *err = &in->reply->error;

    if (!in->refused && alchi_data_span_left(&in->span) > 0) {
        alchi_error_set(err, ALCH_EPROTO, "%zu bytes came for a rectangle of %zu", in->span.at, in->span.bytes);
        refuse_write(conn);
    }
    if (!in->refused &&
        (in->set.periodic ? alchi_store_written_set(conn->config->store, in->part, &in->set.rows, &in->set.cols, err)
                          : alchi_store_written(conn->config->store, in->part, &in->rect, err)))
        refuse_write(conn);
    alchi_store_release(conn->config->store, in->part);
    alchi_data_conn_queue_reply(conn, in->reply);
    memset(in, 0, sizeof *in);
}

static int
begin_write(alchi_data_conn_t *conn, const alchi_frame_t *frame, const Alchw__DataWrite *write)
{
    alchi_data_incoming_t *in = &conn->in;
    int rc;

    in->reply = alchi_data_reply_create(conn, frame->id, ALCHI_DATA_ACK);
    if (!in->reply)
        return ALCH_ENOMEM;
    in->active = true;
    in->more = frame->flags & ALCHI_FRAME_MORE;
    in->frame_left = frame->payload;
    in->checked = frame->flags & ALCHI_FRAME_CHECK;
    in->check = frame->check;
    rc = find_rect(conn, write->matrix, write->version, write->rect, write->axes, &in->part, &in->rect, &in->set,
                   &in->reply->error);
    if (!rc) {
        if (in->set.periodic)
            alchi_data_span_init_set(&in->span, in->part, &in->set, &in->cross);
        else
            alchi_data_span_init(&in->span, in->part, &in->rect);
        rc = alchi_store_may_write(conn->config->store, in->part, &in->reply->error);
    }
    if (rc)
        refuse_write(conn);
    return ALCH_OK;
}

/* The next frame of the message under way. A task may have taken the matrix since the last one. */
static int
continue_write(alchi_data_conn_t *conn, const alchi_frame_t *frame)
{
    alchi_data_incoming_t *in = &conn->in;

    if (frame->type != ALCHI_DATA_WRITE || frame->id != in->reply->id || frame->meta > 0)
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "a %s within the payload of a DATA_WRITE",
                                      alchi_message_name(frame->type));
    if (in->checked != !!(frame->flags & ALCHI_FRAME_CHECK))
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "a DATA_WRITE whose payload is checked in parts");
    in->more = frame->flags & ALCHI_FRAME_MORE;
    in->frame_left = frame->payload;
    in->check = frame->check;
    if (!in->refused && alchi_store_may_write(conn->config->store, in->part, &in->reply->error))
        refuse_write(conn);
    return ALCH_OK;
}

/* Whether what is not written may go along with a word about it. */
static bool
may_mask(const Alchw__DataRead *read, const alchi_data_index_set_t *set)
{
    return read->written && read->axes && set->col_count > 0 && set->row_count <= ALCHI_MASK_ENTRIES / set->col_count;
}

static int
begin_read(alchi_data_conn_t *conn, const alchi_frame_t *frame, const Alchw__DataRead *read)
{
    alchi_data_reply_t *reply;
    alch_rect_t rect;
    alchi_data_index_set_t set;
    int rc;

    if (frame->payload > 0 || frame->flags & ALCHI_FRAME_MORE)
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "a DATA_READ with payload");
    reply = alchi_data_reply_create(conn, frame->id, ALCHI_DATA_BLOCK);
    if (!reply)
        return ALCH_ENOMEM;
    rc = find_rect(conn, read->matrix, read->version, read->rect, read->axes, &reply->part, &rect, &set, &reply->error);
    if (!rc) {
        rc = set.periodic
                 ? alchi_store_covered_set(conn->config->store, reply->part, &set.rows, &set.cols, &reply->error)
                 : alchi_store_covered(conn->config->store, reply->part, &rect, &reply->error);
        reply->masked = rc == ALCH_EINCOMPLETE && may_mask(read, &set);
    }
    if (rc && !reply->masked)
        reply->type = ALCHI_ERROR;
    else if (set.periodic || reply->masked)
        alchi_data_span_init_set(&reply->span, reply->part, &set, &reply->cross);
    else
        alchi_data_span_init(&reply->span, reply->part, &rect);
    reply->checked = read->check;
    if (!rc && read->again && reply->span.bytes > 0)
        alchi_data_conn_log_resend(conn, reply->part, &rect, read->again);
    alchi_data_conn_queue_reply(conn, reply);
    return ALCH_OK;
}

static int
begin_ping(alchi_data_conn_t *conn, const alchi_frame_t *frame)
{
    alchi_data_reply_t *reply = alchi_data_reply_create(conn, frame->id, ALCHI_EMPTY);

    if (!reply)
        return ALCH_ENOMEM;
    alchi_data_conn_queue_reply(conn, reply);
    return ALCH_OK;
}

static int
begin(alchi_data_conn_t *conn, const alchi_frame_t *frame, const void *message)
{
    if (frame->id == 0 || frame->flags & ALCHI_FRAME_REPLY)
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "%s is no request", alchi_message_name(frame->type));
    if (frame->type == ALCHI_DATA_WRITE)
        return begin_write(conn, frame, message);
    if (frame->type == ALCHI_DATA_READ)
        return begin_read(conn, frame, message);
    if (frame->type == ALCHI_DATA_MISSING && frame->payload == 0 && !(frame->flags & ALCHI_FRAME_MORE))
        return alchi_data_conn_reply_missing(conn, frame, message);
    if (frame->type == ALCHI_PING && frame->payload == 0)
        return begin_ping(conn, frame);
    if (frame->type == ALCHI_DATA_SHARE && frame->payload == 0)
        return alchi_data_conn_start_shm(conn, frame);
    return alchi_data_conn_refuse(conn, ALCH_EPROTO, "a data connection does not serve %s",
                                  alchi_message_name(frame->type));
}

static int
next_frame(alchi_data_conn_t *conn)
{
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int rc = alchi_channel_receive(conn->channel, &frame, &message);

    if (rc == ALCH_EAGAIN || rc == ALCH_ECONNECT)
        return rc;
    if (rc)
        return alchi_data_conn_refuse(conn, rc, "%s", alchi_channel_fault(conn->channel));
    if (conn->in.active)
        rc = continue_write(conn, &frame);
    /* A message all of whose fields have their defaults takes no bytes. */
    else if (!message && alchi_message_decode(frame.type, "", 0, &message))
        rc = alchi_data_conn_refuse(conn, ALCH_EPROTO, "a frame of unknown type %u", frame.type);
    else
        rc = begin(conn, &frame, message);
    alchi_message_free(message);
    return rc;
}

/* Up to `size` bytes straight into the columns that they are for. @return as alchi_channel_read_payload() */
static ssize_t
take_columns(alchi_data_conn_t *conn, size_t size)
{
    alchi_data_span_t ahead = conn->in.span;
    struct iovec iov[RUNS];
    size_t sum;
    int count = alchi_data_span_gather(&ahead, iov, RUNS, size, &sum);

    return alchi_channel_readv_payload(conn->channel, iov, count);
}

/* From shared memory to where it belongs, without a buffer between; nothing is done if there is none. */
static size_t
take_shared(alchi_data_conn_t *conn, size_t size, int64_t start)
{
    alchi_data_incoming_t *in = &conn->in;
    size_t bytes = 0;
    const uint8_t *here = in->refused ? NULL : alchi_channel_peek_payload(conn->channel, &bytes);

    if (!here)
        return 0;
    if (bytes > size)
        bytes = size;
    if (bytes > SHARED_STEP)
        bytes = SHARED_STEP;
    alchi_data_span_put(&in->span, here, bytes);
    alchi_channel_take_payload(conn->channel, here, bytes);
    in->reply->unpack_ns += (uint64_t)(alchi_now_ns() - start);
    return bytes;
}

/* Up to `size` bytes of payload to where they belong. @return as alchi_channel_read_payload() */
static ssize_t
take(alchi_data_conn_t *conn, size_t size)
{
    alchi_data_incoming_t *in = &conn->in;
    alchi_data_reply_t *reply = in->reply;
    bool staged = in->refused || (in->span.run < DIRECT_MIN && in->span.run < in->span.bytes);
    int64_t start = alchi_now_ns(), end;
    ssize_t n;

    if (!in->refused && size > alchi_data_span_left(&in->span))
        size = alchi_data_span_left(&in->span);
    if ((n = (ssize_t)take_shared(conn, size, start)) > 0)
        return n;
    if (staged)
        n = alchi_channel_read_payload(conn->channel, conn->scratch,
                                       size < ALCHI_DATA_CONN_SCRATCH ? size : ALCHI_DATA_CONN_SCRATCH);
    else
        n = take_columns(conn, size);
    end = alchi_now_ns();
    reply->receive_ns += (uint64_t)(end - start);
    if (n <= 0 || in->refused)
        return n;
    if (staged) {
        alchi_data_span_put(&in->span, conn->scratch, (size_t)n);
        reply->unpack_ns += (uint64_t)(alchi_now_ns() - end);
    } else {
        in->span.at += (size_t)n;
    }
    return n;
}

static ssize_t
take_payload(alchi_data_conn_t *conn)
{
    alchi_data_incoming_t *in = &conn->in;
    ssize_t n;

    if (!in->refused && alchi_data_span_left(&in->span) == 0) {
        alchi_error_set(&in->reply->error, ALCH_EPROTO, "more bytes came than the rectangle's %zu", in->span.bytes);
        refuse_write(conn);
    }
    n = take(conn, in->frame_left);
    if (n > 0)
        in->frame_left -= (size_t)n;
    if (in->frame_left == 0 && !in->refused && alchi_data_conn_verify_frame(conn, &in->reply->error))
        refuse_write(conn);
    return n;
}

int
alchi_data_conn_receive(alchi_data_conn_t *conn, size_t budget, size_t *bytes_p)
{
    while (*bytes_p < budget && conn->state == ALCHI_DATA_CONN_OPEN) {
        if (conn->in.active && conn->in.frame_left > 0) {
            ssize_t n = take_payload(conn);

            if (n <= 0)
                return n < 0 ? ALCH_ECONNECT : ALCH_OK;
            *bytes_p += (size_t)n;
        } else if (conn->in.active && !conn->in.more) {
            finish_write(conn);
        } else {
            int rc = alchi_data_conn_paused(conn) ? ALCH_EAGAIN : next_frame(conn);

            if (rc)
                return rc == ALCH_EAGAIN ? ALCH_OK : rc;
            *bytes_p += FRAME_COST;
        }
    }
    return ALCH_OK;
}
