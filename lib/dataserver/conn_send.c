/* Sending side of a data connection: send replies without payload, and send blocks straight from the matrices. */
#include "dataserver/conn.h"

#include "base/clock.h"
#include "base/crc32c.h"

#include <endian.h>
#include <string.h>
#include <utlist.h>

#define FRAME_COST ((size_t)256)     /* bytes of a turn's budget that a frame takes */
#define GATHER_MIN ((size_t)1 << 10) /* shorter columns are packed and sent in one piece, which is cheaper */

void
alchi_data_conn_queue_reply(alchi_data_conn_t *conn, alchi_data_reply_t *reply)
{
    if (reply->type == ALCHI_DATA_BLOCK)
        DL_APPEND(conn->blocks, reply);
    else
        DL_APPEND(conn->small, reply);
    conn->replies++;
    conn->progress++;
}

static void
finish_reply(alchi_data_conn_t *conn, alchi_data_reply_t *reply)
{
    conn->replies--;
    conn->progress++;
    alchi_data_reply_release(conn, reply);
}

static int
send_small_reply(alchi_data_conn_t *conn)
{
    alchi_data_reply_t *reply = conn->small;
    Alchw__DataAck ack = ALCHW__DATA_ACK__INIT;
    Alchw__Empty empty = ALCHW__EMPTY__INIT;
    const void *message = &empty;
    int code;

    DL_DELETE(conn->small, reply);
    if (reply->type == ALCHI_ERROR) {
        if (reply->error.rank < 0)
            reply->error.rank = conn->config->rank;
        code = alchi_channel_send_error(conn->channel, reply->id, &reply->error);
    } else {
        if (reply->type == ALCHI_DATA_ACK) {
            ack.has_receive_ns = ack.has_unpack_ns = true;
            ack.receive_ns = reply->receive_ns;
            ack.unpack_ns = reply->unpack_ns;
            message = &ack;
        } else if (reply->type == ALCHI_DATA_REGIONS) {
            message = reply->regions;
        }
        code = alchi_channel_send(conn->channel, reply->type, ALCHI_FRAME_REPLY, reply->id, message);
    }
    finish_reply(conn, reply);
    return code;
}

/* Choose the next bytes of the first block. If the columns are short and a stage is free, pack them into the stage.
 * Else they are sent in place. */
static void
choose_bytes(alchi_data_conn_t *conn, alchi_data_span_t *span, size_t *bytes_p)
{
    alchi_data_outgoing_t *out = &conn->out;
    size_t bytes = alchi_data_span_left(span);
    int64_t start;

    if (bytes > 0 && span->run < GATHER_MIN && span->run < span->bytes)
        conn->stage = alchi_data_stage_acquire(conn->stages);
    if (!conn->stage) {
        out->count = alchi_data_span_gather(span, out->iov, ALCHI_DATA_CONN_RUNS, ALCHI_PAYLOAD_MAX, bytes_p);
        return;
    }
    start = alchi_now_ns();
    if (bytes > ALCHI_DATA_STAGE_BYTES)
        bytes = ALCHI_DATA_STAGE_BYTES;
    alchi_data_span_get(span, conn->stage, bytes);
    out->pack_ns += (uint64_t)(alchi_now_ns() - start);
    out->iov[0] = (struct iovec){conn->stage, bytes};
    out->count = 1;
    *bytes_p = bytes;
}

static void
begin_frame(alchi_data_conn_t *conn, alchi_data_reply_t *reply)
{
    alchi_data_outgoing_t *out = &conn->out;
    size_t bytes = 0;

    choose_bytes(conn, &reply->span, &bytes);
    out->frame = (alchi_frame_t){
        .type = ALCHI_DATA_BLOCK,
        .flags = ALCHI_FRAME_REPLY | (alchi_data_span_left(&reply->span) > 0 ? ALCHI_FRAME_MORE : 0),
        .id = reply->id,
        .payload = (uint32_t)bytes,
    };
    if (reply->checked && bytes > 0) {
        out->frame.flags |= ALCHI_FRAME_CHECK;
        out->frame.check = alchi_crc32c_pieces(0, out->iov, out->count, bytes);
    }
    out->sent = 0;
    out->has_block = !reply->begun;
    if (out->has_block) {
        alchw__data_block__init(&out->block);
        out->block.has_pack_ns = out->block.has_send_ns = true;
        out->block.pack_ns = out->pack_ns;
        out->block.send_ns = out->send_ns;
        out->pack_ns = out->send_ns = 0;
    }
    reply->begun = true;
    out->active = true;
}

_Static_assert(ALCHI_MASK_ENTRIES / 8 + 8 <= ALCHI_DATA_CONN_SCRATCH && ALCHI_MASK_ENTRIES / 8 < ALCHI_META_MAX / 2,
               "a mask fits into a message");

/* Add a mask of the written entries to the block's message. The mask is in the scratch buffer, because it is needed
 * only until the channel has encoded the message. */
static void
add_mask(alchi_data_conn_t *conn, const alchi_data_reply_t *reply)
{
    const size_t entries = reply->span.bytes / reply->part->entry;
    uint64_t *mask = (uint64_t *)(void *)conn->scratch;
    Alchw__DataBlock *block = &conn->out.block;

    memset(mask, 0, entries / 8 + 8);
    alchi_store_part_get_mask(reply->part, &reply->product.rows, &reply->product.cols, mask);
    for (size_t k = 0; k <= entries / 64; k++)
        mask[k] = htole64(mask[k]);
    block->has_mask = true;
    block->mask = (ProtobufCBinaryData){(entries + 7) / 8, conn->scratch};
}

/* Continue the payload frame that is being sent. @return as alchi_channel_send_payload() */
static int
send_frame(alchi_data_conn_t *conn, size_t *bytes_p)
{
    alchi_data_outgoing_t *out = &conn->out;
    alchi_data_reply_t *reply = conn->blocks;
    size_t before = out->sent;
    int64_t start = alchi_now_ns();
    int code;

    if (out->sent == 0 && out->has_block && reply->masked)
        add_mask(conn, reply);
    code = alchi_channel_send_payload(conn->channel, &out->frame, out->has_block ? &out->block : NULL, out->iov,
                                      out->count, &out->sent);
    out->send_ns += (uint64_t)(alchi_now_ns() - start);
    *bytes_p += out->sent - before;
    if (code)
        return code;
    out->active = false;
    alchi_data_stage_release(conn->stages, conn->stage);
    conn->stage = NULL;
    if (alchi_data_span_left(&reply->span) == 0) {
        DL_DELETE(conn->blocks, reply);
        finish_reply(conn, reply);
    }
    return ALCH_OK;
}

static int
send_next_output(alchi_data_conn_t *conn, size_t *bytes_p)
{
    int code;

    if (conn->out.active)
        return send_frame(conn, bytes_p);
    /* Bytes that wait in the channel are not counted in `replies`: send them before adding more. */
    code = alchi_channel_flush(conn->channel);
    if (code)
        return code;
    *bytes_p += FRAME_COST;
    if (conn->small)
        return send_small_reply(conn);
    begin_frame(conn, conn->blocks);
    return ALCH_OK;
}

int
alchi_data_conn_send(alchi_data_conn_t *conn, size_t budget, size_t *bytes_p)
{
    conn->blocked = false;
    while (*bytes_p < budget && alchi_data_conn_has_output(conn)) {
        int code;

        if (!conn->small && !conn->blocks)
            code = alchi_channel_flush(conn->channel);
        else
            code = send_next_output(conn, bytes_p);
        if (code == ALCH_EAGAIN) {
            conn->blocked = true;
            return ALCH_OK;
        }
        if (code)
            return code;
    }
    return ALCH_OK;
}
