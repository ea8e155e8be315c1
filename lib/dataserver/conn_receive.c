/* Receiving side of a data connection: store the payload of writes in the matrices, and queue a reply to each request.
 */
#include "dataserver/conn.h"

#include "base/error.h"
#include "base/util.h"
#include "wire/layout_message.h"

#include <string.h>

#define FRAME_COST \
    ((size_t)256) /* bytes of a turn's budget for each frame, so that many empty frames end the turn too */
#define DIRECT_MIN ((size_t)2 << 10) /* shorter columns are received together and then copied, which is cheaper */
#define SHM_STEP ((size_t)64 << 10)  /* maximum taken from the ring before the client may write there again */
#define RUNS 128                     /* maximum number of columns that one call receives */

int
alchi_data_conn_find_part(const alchi_data_conn_t *conn, uint64_t matrix, uint32_t version, alchi_store_part_t **part_p,
                          alch_error_t *err)
{
    alchi_store_part_t *part = NULL;
    char name[96];
    int code = alchi_store_acquire(conn->config->store, matrix, &part, err);

    if (code == ALCH_OK && version != part->version) {
        code = alchi_error_set(
            err, ALCH_ESTATE,
            "matrix %s was replaced in place, and this handle describes its former state: refresh the handle",
            alchi_format_matrix(matrix, part->layout.m, part->layout.n, part->dtype, name, sizeof(name)));
        alchi_store_release(conn->config->store, part);
    }
    if (code == ALCH_OK)
        *part_p = part;
    return code;
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
    int code;

    if (!from)
        return alchi_error_set(err, ALCH_EPROTO, "the request has no rectangle");
    rect = alchi_wire_rect_in(from);
    code = alchi_data_conn_find_part(conn, matrix, version, &part, err);
    if (code)
        return code;
    alchi_format_matrix(matrix, part->layout.m, part->layout.n, part->dtype, name, sizeof(name));
    if (!alchi_rect_within(&rect, part->local_m, part->local_n))
        code =
            alchi_error_set(err, ALCH_ERANGE,
                            "matrix %s: %lld x %lld entries from (%lld, %lld) exceed the worker's part of %lld x %lld",
                            name, (long long)rect.m, (long long)rect.n, (long long)rect.i, (long long)rect.j,
                            (long long)part->local_m, (long long)part->local_n);
    if (!code)
        code = alchi_data_index_set_init(set_p, part, axes, &rect, err);
    bytes = code ? 0 : set_p->row_count * set_p->col_count * (int64_t)part->entry;
    if (conn->config->message_limit > 0 && bytes > conn->config->message_limit)
        code = alchi_error_set(err, ALCH_ELIMIT, "matrix %s: a message of %s exceeds the limit of %s (--message-limit)",
                               name, alchi_format_bytes(bytes, need, sizeof(need)),
                               alchi_format_bytes(conn->config->message_limit, limit, sizeof(limit)));
    if (code) {
        alchi_store_release(store, part);
        return code;
    }
    *part_p = part;
    *rect_p = rect;
    return ALCH_OK;
}

/* Answer the message with the error in its reply, and drop the rest of its payload. */
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
        alchi_error_set(err, ALCH_EPROTO, "the payload of the DATA_WRITE has %zu bytes, but its rectangle has %zu",
                        in->span.at, in->span.bytes);
        refuse_write(conn);
    }
    if (!in->refused && (in->set.periodic ? alchi_store_mark_set_written(conn->config->store, in->part, &in->set.rows,
                                                                         &in->set.cols, err)
                                          : alchi_store_mark_written(conn->config->store, in->part, &in->rect, err)))
        refuse_write(conn);
    alchi_store_release(conn->config->store, in->part);
    alchi_data_conn_queue_reply(conn, in->reply);
    memset(in, 0, sizeof(*in));
}

static int
begin_write(alchi_data_conn_t *conn, const alchi_frame_t *frame, const Alchw__DataWrite *write)
{
    alchi_data_incoming_t *in = &conn->in;
    int code;

    in->reply = alchi_data_reply_create(conn, frame->id, ALCHI_DATA_ACK);
    if (!in->reply)
        return ALCH_ENOMEM;
    in->active = true;
    in->more = frame->flags & ALCHI_FRAME_MORE;
    in->frame_left = frame->payload;
    in->checked = frame->flags & ALCHI_FRAME_CHECK;
    in->check = frame->check;
    code = find_rect(conn, write->matrix, write->version, write->rect, write->axes, &in->part, &in->rect, &in->set,
                     &in->reply->error);
    if (!code) {
        if (in->set.periodic)
            alchi_data_span_init_set(&in->span, in->part, &in->set, &in->product);
        else
            alchi_data_span_init(&in->span, in->part, &in->rect);
        code = alchi_store_may_write(conn->config->store, in->part, &in->reply->error);
    }
    if (code)
        refuse_write(conn);
    return ALCH_OK;
}

/* Begin the next frame of the message. Since the last frame, a task may have locked the matrix, or the matrix may have
 * been freed. */
static int
continue_write(alchi_data_conn_t *conn, const alchi_frame_t *frame)
{
    alchi_data_incoming_t *in = &conn->in;

    if (frame->type != ALCHI_DATA_WRITE || frame->id != in->reply->id || frame->meta > 0)
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "%s arrived within the payload of a DATA_WRITE",
                                      alchi_message_name(frame->type));
    if (in->checked != !!(frame->flags & ALCHI_FRAME_CHECK))
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "only some frames of a DATA_WRITE have a checksum");
    in->more = frame->flags & ALCHI_FRAME_MORE;
    in->frame_left = frame->payload;
    in->check = frame->check;
    if (!in->refused && alchi_store_may_write(conn->config->store, in->part, &in->reply->error))
        refuse_write(conn);
    return ALCH_OK;
}

/* @return whether the reply may contain unwritten entries, with a mask of the written ones */
static bool
may_send_mask(const Alchw__DataRead *read, const alchi_data_index_set_t *set)
{
    return read->written && read->axes && set->col_count > 0 && set->row_count <= ALCHI_MASK_ENTRIES / set->col_count;
}

static int
begin_read(alchi_data_conn_t *conn, const alchi_frame_t *frame, const Alchw__DataRead *read)
{
    alchi_data_reply_t *reply;
    alch_rect_t rect;
    alchi_data_index_set_t set;
    int code;

    if (frame->payload > 0 || frame->flags & ALCHI_FRAME_MORE)
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "a DATA_READ has payload");
    reply = alchi_data_reply_create(conn, frame->id, ALCHI_DATA_BLOCK);
    if (!reply)
        return ALCH_ENOMEM;
    code =
        find_rect(conn, read->matrix, read->version, read->rect, read->axes, &reply->part, &rect, &set, &reply->error);
    if (!code) {
        code = set.periodic ? alchi_store_check_set_written(conn->config->store, reply->part, &set.rows, &set.cols,
                                                            &reply->error)
                            : alchi_store_check_written(conn->config->store, reply->part, &rect, &reply->error);
        reply->masked = code == ALCH_EINCOMPLETE && may_send_mask(read, &set);
    }
    if (code && !reply->masked)
        reply->type = ALCHI_ERROR;
    else if (set.periodic || reply->masked)
        alchi_data_span_init_set(&reply->span, reply->part, &set, &reply->product);
    else
        alchi_data_span_init(&reply->span, reply->part, &rect);
    reply->checked = read->check;
    if (!code && read->again && reply->span.bytes > 0)
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
begin_request(alchi_data_conn_t *conn, const alchi_frame_t *frame, const void *message)
{
    if (frame->id == 0 || frame->flags & ALCHI_FRAME_REPLY)
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "%s is not a request", alchi_message_name(frame->type));
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
receive_frame(alchi_data_conn_t *conn)
{
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int code = alchi_channel_receive(conn->channel, &frame, &message);

    if (code == ALCH_EAGAIN || code == ALCH_ECONNECT)
        return code;
    if (code)
        return alchi_data_conn_refuse(conn, code, "%s", alchi_channel_fault(conn->channel));
    if (conn->in.active)
        code = continue_write(conn, &frame);
    /* A message takes no bytes if all its fields have their defaults. */
    else if (!message && alchi_message_decode(frame.type, "", 0, &message))
        code = alchi_data_conn_refuse(conn, ALCH_EPROTO, "frame type %u is unknown", frame.type);
    else
        code = begin_request(conn, &frame, message);
    alchi_message_free(message);
    return code;
}

/* Receive up to `size` bytes straight into their columns. @return as alchi_channel_read_payload() */
static ssize_t
receive_columns(alchi_data_conn_t *conn, size_t size)
{
    alchi_data_span_t ahead = conn->in.span;
    struct iovec iov[RUNS];
    size_t sum;
    int count = alchi_data_span_gather(&ahead, iov, RUNS, size, &sum);

    return alchi_channel_readv_payload(conn->channel, iov, count);
}

/* Copy payload from shared memory straight into place. @return bytes; 0: no bytes have arrived, the write was refused,
 * or the connection does not use shared memory */
static size_t
copy_from_shm(alchi_data_conn_t *conn, size_t size, int64_t start)
{
    alchi_data_incoming_t *in = &conn->in;
    size_t bytes = 0;
    const uint8_t *here = in->refused ? NULL : alchi_channel_peek_payload(conn->channel, &bytes);

    if (!here)
        return 0;
    if (bytes > size)
        bytes = size;
    if (bytes > SHM_STEP)
        bytes = SHM_STEP;
    alchi_data_span_put(&in->span, here, bytes);
    alchi_channel_consume_payload(conn->channel, here, bytes);
    in->reply->unpack_ns += (uint64_t)(alchi_now_ns() - start);
    return bytes;
}

/* Receive up to `size` bytes of payload into place, or drop them. @return as alchi_channel_read_payload() */
static ssize_t
receive_bytes(alchi_data_conn_t *conn, size_t size)
{
    alchi_data_incoming_t *in = &conn->in;
    alchi_data_reply_t *reply = in->reply;
    bool staged = in->refused || (in->span.run < DIRECT_MIN && in->span.run < in->span.bytes);
    int64_t start = alchi_now_ns(), end;
    ssize_t n;

    if (!in->refused && size > alchi_data_span_left(&in->span))
        size = alchi_data_span_left(&in->span);
    if ((n = (ssize_t)copy_from_shm(conn, size, start)) > 0)
        return n;
    if (staged)
        n = alchi_channel_read_payload(conn->channel, conn->scratch,
                                       size < ALCHI_DATA_CONN_SCRATCH ? size : ALCHI_DATA_CONN_SCRATCH);
    else
        n = receive_columns(conn, size);
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
receive_payload(alchi_data_conn_t *conn)
{
    alchi_data_incoming_t *in = &conn->in;
    ssize_t n;

    if (!in->refused && alchi_data_span_left(&in->span) == 0) {
        alchi_error_set(&in->reply->error, ALCH_EPROTO,
                        "the payload of the DATA_WRITE exceeds the %zu bytes of its rectangle", in->span.bytes);
        refuse_write(conn);
    }
    n = receive_bytes(conn, in->frame_left);
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
            ssize_t n = receive_payload(conn);

            if (n <= 0)
                return n < 0 ? ALCH_ECONNECT : ALCH_OK;
            *bytes_p += (size_t)n;
        } else if (conn->in.active && !conn->in.more) {
            finish_write(conn);
        } else {
            int code = alchi_data_conn_paused(conn) ? ALCH_EAGAIN : receive_frame(conn);

            if (code)
                return code == ALCH_EAGAIN ? ALCH_OK : code;
            *bytes_p += FRAME_COST;
        }
    }
    return ALCH_OK;
}
