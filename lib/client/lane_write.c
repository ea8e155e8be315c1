/* Writing. A lane cuts messages into chunks, packs the chunks whose entries do not have the order in which the rank
 * stores them, sends the chunks and receives the rank's acknowledgements. */
#include "client/transfer.h"
#include "base/error.h"
#include "wire/layout_message.h"

/* Columns of fewer bytes are packed, because sending many short pieces takes the kernel longer than the copy. */
#define COLUMN_MIN ((size_t)8 << 10)
/* Bytes of a chunk if cache lines of the user's memory hold entries of several ranks: the lines that one lane reads are
 * then still in the cache for the next lane. This is 8 % faster than 512 KiB (test/bench/MEASUREMENTS.md). */
#define INTERLEAVED_CHUNK ((size_t)128 << 10)
/* Chunks that a lane sends before the thread steps its other lanes. */
#define BURST 4

/* Send the chunk from the user's memory: one piece of memory, or one for each column. */
static void
point_at_memory(alchi_cli_outgoing_t *out, const alchi_cli_memory_t *memory, const alchi_piece_t *piece,
                const alch_rect_t *chunk, size_t bytes, bool whole)
{
    size_t column = (size_t)chunk->m * memory->entry;

    out->count = whole ? 1 : (int)chunk->n;
    for (int k = 0; k < out->count; k++) {
        out->iov[k].iov_base = alchi_cli_memory_at(memory, piece, chunk->i, chunk->j + k);
        out->iov[k].iov_len = whole ? bytes : column;
    }
}

static void
pack_chunk(alchi_cli_lane_t *lane, alchi_cli_outgoing_t *out, uint8_t *buffer, const alch_rect_t *chunk, size_t bytes)
{
    alchi_pack_t shape = alchi_cli_lane_pack_shape(lane, &lane->writer.current.piece, chunk);
    int64_t started = alchi_now_ns();

    alchi_pack(&shape, lane->transfer->memory.data, buffer, chunk->m);
    lane->timing.serialize += (double)(alchi_now_ns() - started) * 1e-9;
    out->iov[0] = (struct iovec){buffer, bytes};
    out->count = 1;
}

static void
fill_write_message(alchi_cli_outgoing_t *out, const alch_matrix_t *matrix, const alch_rect_t *local, bool with_axes)
{
    alchw__data_write__init(&out->message);
    alchi_wire_rect_out(local, &out->rect);
    out->message.has_matrix = out->message.has_version = true;
    out->message.matrix = matrix->facts.id;
    out->message.version = matrix->version;
    out->message.rect = &out->rect;
    out->message.axes = with_axes ? &out->axes : NULL;
}

/* Pack the next bytes of a local piece's message into the buffer. @return how many */
static size_t
pack_overlap(alchi_cli_lane_t *lane, alchi_cli_outgoing_t *out, uint8_t *buffer)
{
    const alchi_cli_memory_t *memory = &lane->transfer->memory;
    alchi_cli_inflight_t *current = &lane->writer.current;
    size_t left = current->bytes - current->done;
    size_t bytes = left < lane->link->buffer_size ? left : lane->link->buffer_size;
    int64_t started = alchi_now_ns();

    if (current->done == 0) {
        alchi_product_init(&lane->writer.product, &current->overlap.rows, &current->overlap.cols, ALCHI_PRODUCT_SIDE_A,
                           memory->data, memory->col_stride, memory->entry);
        alchi_cli_local_piece_axes(lane->transfer->local_piece, &out->axes);
    }
    alchi_product_get(&lane->writer.product, buffer, bytes);
    lane->timing.serialize += (double)(alchi_now_ns() - started) * 1e-9;
    out->iov[0] = (struct iovec){buffer, bytes};
    out->count = 1;
    return bytes;
}

/* The largest chunk of the current message, in bytes. */
static size_t
chunk_limit(const alchi_cli_lane_t *lane)
{
    if (lane->writer.direct)
        return ALCHI_PAYLOAD_MAX;
    return alchi_cli_piece_interleaved(&lane->transfer->memory, &lane->writer.current.piece) ? INTERLEAVED_CHUNK
                                                                                             : lane->link->buffer_size;
}

/* Prepare the next chunk of the current message. If it must be packed, pack it into `buffer`. @return its bytes */
static size_t
fill_chunk(alchi_cli_lane_t *lane, alchi_cli_outgoing_t *out, uint8_t *buffer)
{
    const alchi_cli_memory_t *memory = &lane->transfer->memory;
    const alchi_cli_inflight_t *current = &lane->writer.current;
    alch_rect_t chunk;
    size_t bytes;

    if (lane->transfer->local_piece)
        return pack_overlap(lane, out, buffer);
    bytes = alchi_cli_chunk_at(&current->piece, memory->entry, current->done, chunk_limit(lane),
                               lane->writer.direct == ALCHI_CLI_DIRECT_COLUMNS ? ALCHI_CLI_CHUNK_COLUMNS : INT64_MAX,
                               &chunk);
    if (lane->writer.direct)
        point_at_memory(out, memory, &current->piece, &chunk, bytes, lane->writer.direct == ALCHI_CLI_DIRECT_WHOLE);
    else
        pack_chunk(lane, out, buffer, &chunk, bytes);
    return bytes;
}

/* Make sure that there is a current message to cut into chunks. @return false: no message can begin now */
static bool
ensure_current_message(alchi_cli_lane_t *lane)
{
    alchi_cli_inflight_t *current = &lane->writer.current, *inflight;

    if (current->id)
        return true;
    if (!alchi_cli_lane_next_message(lane, &inflight))
        return false;
    *current = *inflight;
    lane->writer.direct = alchi_cli_piece_direct(&lane->transfer->memory, &current->piece, COLUMN_MIN);
    return true;
}

/* Fill in the frame of the next `bytes` of the current message. */
static void
fill_frame(const alchi_cli_lane_t *lane, alchi_cli_outgoing_t *out, size_t bytes)
{
    const alchi_cli_inflight_t *current = &lane->writer.current;

    out->first = current->done == 0;
    if (out->first)
        fill_write_message(out, lane->transfer->matrix, &current->piece.local, lane->transfer->local_piece != NULL);
    out->frame = (alchi_frame_t){.type = ALCHI_DATA_WRITE, .id = current->id, .payload = (uint32_t)bytes};
    out->frame.flags = current->done + bytes < current->bytes ? ALCHI_FRAME_MORE : 0;
    out->sent = 0;
}

static void
advance_current(alchi_cli_inflight_t *current, size_t bytes)
{
    current->done += bytes;
    if (current->done == current->bytes)
        current->id = 0;
}

/* Add the next chunk to the queue. @return false: the queue is full, or there is nothing to send */
static bool
queue_chunk(alchi_cli_lane_t *lane)
{
    int place = (lane->writer.head + lane->writer.ready) % ALCHI_CLI_LINK_BUFFERS;
    alchi_cli_outgoing_t *out = &lane->writer.outgoing[place];
    size_t bytes;

    if (lane->writer.ready == ALCHI_CLI_LINK_BUFFERS || !ensure_current_message(lane))
        return false;
    bytes = fill_chunk(lane, out, lane->link->buffers[place]);
    fill_frame(lane, out, bytes);
    if (lane->transfer->checked)
        alchi_cli_outgoing_add_checksum(out);
    advance_current(&lane->writer.current, bytes);
    lane->writer.ready++;
    return true;
}

/* Pack the next chunk directly into the shared-memory ring, from which the rank reads it, and send it.
 * @return ALCH_OK: the chunk is sent; ALCH_EAGAIN: the ring has no room; ALCH_EUNSUPPORTED: there is no ring, or this
 *         chunk must be sent in another way; else the connection failed */
static int
pack_into_ring(alchi_cli_lane_t *lane, bool *moved_p)
{
    alchi_cli_outgoing_t *out = &lane->writer.outgoing[lane->writer.head];
    alchi_channel_t *channel = lane->link->channel;
    size_t max_bytes = alchi_channel_reserve_max(channel), bytes;
    alch_rect_t chunk;
    uint8_t *place;
    int code;

    lane->writer.ring_full = false;
    if (max_bytes == 0 || lane->transfer->local_piece || lane->writer.ready || !ensure_current_message(lane) ||
        lane->writer.direct)
        return ALCH_EUNSUPPORTED;
    bytes = alchi_cli_chunk_at(&lane->writer.current.piece, lane->transfer->memory.entry, lane->writer.current.done,
                               max_bytes, INT64_MAX, &chunk);
    fill_frame(lane, out, bytes);
    code = alchi_channel_reserve_payload(channel, &out->frame, out->first ? &out->message : NULL, &place);
    lane->writer.ring_full = code == ALCH_EAGAIN;
    if (code != ALCH_OK)
        return code;
    pack_chunk(lane, out, place, &chunk, bytes);
    if (lane->transfer->checked)
        alchi_cli_outgoing_add_checksum(out);
    alchi_channel_send_reserved(channel, &out->frame);
    advance_current(&lane->writer.current, bytes);
    *moved_p = true;
    return ALCH_OK;
}

/* Send the first chunk of the queue. @return ALCH_OK: all of it is sent; ALCH_EAGAIN; else the connection failed */
static int
send_first_chunk(alchi_cli_lane_t *lane, bool *moved_p)
{
    alchi_cli_outgoing_t *out = &lane->writer.outgoing[lane->writer.head];
    size_t before = out->sent;
    int64_t started = alchi_now_ns();
    int code = alchi_channel_send_payload(lane->link->channel, &out->frame, out->first ? &out->message : NULL, out->iov,
                                          out->count, &out->sent);

    lane->timing.send += (double)(alchi_now_ns() - started) * 1e-9;
    *moved_p = *moved_p || out->sent > before;
    if (code != ALCH_OK)
        return code;
    lane->writer.head = (lane->writer.head + 1) % ALCHI_CLI_LINK_BUFFERS;
    lane->writer.ready--;
    return ALCH_OK;
}

static int
handle_ack(alchi_cli_lane_t *lane, const alchi_frame_t *frame, const ProtobufCMessage *message, alch_error_t *err)
{
    const Alchw__DataAck *ack = (const Alchw__DataAck *)message;
    alchi_cli_inflight_t *inflight = frame->id ? alchi_cli_lane_find_inflight(lane, frame->id) : NULL;

    if (!inflight || frame->payload ||
        (lane->writer.current.id == frame->id && lane->writer.current.done < inflight->bytes))
        return alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s acknowledged a message that was not sent",
                                lane->where);
    if (ack) {
        lane->timing.receive += (double)ack->receive_ns * 1e-9;
        lane->timing.deserialize += (double)ack->unpack_ns * 1e-9;
    }
    __atomic_add_fetch(&lane->transfer->done, (int64_t)inflight->bytes, __ATOMIC_RELAXED);
    alchi_cli_lane_message_done(lane, inflight);
    return ALCH_OK;
}

static int
receive_acks(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err)
{
    ProtobufCMessage *message;
    alchi_frame_t frame;
    int code;

    for (;;) {
        message = NULL;
        code = alchi_channel_receive(lane->link->channel, &frame, &message);
        if (code == ALCH_EAGAIN)
            return ALCH_OK;
        if (code != ALCH_OK)
            return alchi_cli_lane_connection_error(lane, code, err);
        *moved_p = true;
        if (frame.type == ALCHI_ERROR)
            code = alchi_cli_lane_error_reply(lane, &frame, message, err);
        else if (frame.type == ALCHI_DATA_ACK && (frame.flags & ALCHI_FRAME_REPLY))
            code = handle_ack(lane, &frame, message, err);
        else
            code = alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s sent %s during a write", lane->where,
                                    alchi_message_name(frame.type));
        alchi_message_free(message);
        if (code != ALCH_OK)
            return code;
    }
}

/* Sending failed. If the rank ended the connection, it sent the reason first: use that as the text. */
static int
explain_send_failure(alchi_cli_lane_t *lane, int code, alch_error_t *err)
{
    bool moved;
    int reason = receive_acks(lane, &moved, err);

    return reason != ALCH_OK ? reason : alchi_cli_lane_connection_error(lane, code, err);
}

int
alchi_cli_lane_write(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err)
{
    int code = ALCH_OK;

    /* While the kernel has no room for the chunk that is ready, pack the next one. */
    for (int k = 0; k < BURST; k++) {
        bool queued = false;
        code = pack_into_ring(lane, moved_p);
        if (code == ALCH_EUNSUPPORTED) {
            queued = queue_chunk(lane);
            if (!lane->writer.ready)
                break;
            code = send_first_chunk(lane, moved_p);
        }
        if (code != ALCH_OK && code != ALCH_EAGAIN)
            return explain_send_failure(lane, code, err);
        if (code == ALCH_EAGAIN && !queued)
            break;
    }
    return lane->inflight_count ? receive_acks(lane, moved_p, err) : ALCH_OK;
}
