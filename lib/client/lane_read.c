/* Reading. A lane asks for several messages ahead. If the user's memory has the order in which the rank stores the
 * entries, the lane receives the payload there. Else it receives chunks into a buffer and unpacks them. */
#include "client/transfer.h"
#include "base/error.h"
#include "wire/layout_message.h"

/* Columns of fewer bytes are unpacked from a buffer: a system call for each column costs more than the copy. */
#define COLUMN_MIN ((size_t)32 << 10)
/* Bytes that a lane receives before the thread steps its other lanes. */
#define BURST ((size_t)2 << 20)

/* A block carries the times that the rank spent on the blocks before it. An empty read after the last message asks for
 * the times of the last blocks. */
static int
request_final_times(alchi_cli_lane_t *lane, Alchw__DataRead *request)
{
    Alchw__Rect nothing = ALCHW__RECT__INIT;

    lane->reader.times_asked = true;
    if (!lane->inflight_count)
        return ALCH_OK;
    request->rect = &nothing;
    request->axes = NULL;
    lane->reader.times_id = ++lane->link->last_id;
    lane->inflight_count++;
    return alchi_channel_send(lane->link->channel, ALCHI_DATA_READ, 0, lane->reader.times_id, request);
}

/* Add the times that a block carries to the lane's timing. */
static void
add_worker_times(alchi_cli_lane_t *lane, const Alchw__DataBlock *block)
{
    if (block) {
        lane->timing.serialize += (double)block->pack_ns * 1e-9;
        lane->timing.send += (double)block->send_ns * 1e-9;
    }
}

/* The rank has answered the empty read, or refused it. A refusal does not fail the transfer: only some times stay
 * unknown. */
static void
end_times_request(alchi_cli_lane_t *lane)
{
    lane->reader.times_id = 0;
    lane->inflight_count--;
}

/* Ask for as many messages as may be in flight. */
static int
send_read_requests(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err)
{
    Alchw__DataRead request = ALCHW__DATA_READ__INIT;
    Alchw__Rect rect;
    Alchw__Axes axes;
    alchi_cli_inflight_t *inflight;
    int code = ALCH_OK;

    request.has_matrix = request.has_version = request.has_again = request.has_check = true;
    request.check = lane->transfer->checked;
    request.version = lane->transfer->matrix->version;
    request.matrix = lane->transfer->matrix->facts.id;
    request.rect = &rect;
    if (lane->transfer->local_piece) {
        alchi_cli_local_piece_axes(lane->transfer->local_piece, &axes);
        request.axes = &axes;
    }
    while (code == ALCH_OK && alchi_cli_lane_next_message(lane, &inflight)) {
        alchi_wire_rect_out(&inflight->piece.local, &rect);
        request.again = inflight->damage_count;
        code = alchi_channel_send(lane->link->channel, ALCHI_DATA_READ, 0, inflight->id, &request);
        *moved_p = true;
    }
    if (code == ALCH_OK && lane->exhausted && !lane->reader.times_asked)
        code = request_final_times(lane, &request);
    if (code == ALCH_OK && alchi_channel_wants_write(lane->link->channel))
        code = alchi_channel_flush(lane->link->channel);
    return code == ALCH_OK || code == ALCH_EAGAIN ? ALCH_OK : alchi_cli_lane_connection_error(lane, code, err);
}

/* Prepare to receive the next chunk of a local piece's message into a buffer. */
static void
begin_overlap_chunk(alchi_cli_lane_t *lane)
{
    alchi_cli_lane_reader_t *reader = &lane->reader;
    const alchi_cli_memory_t *memory = &lane->transfer->memory;
    alchi_cli_inflight_t *inflight = reader->arriving;
    size_t left = inflight->bytes - inflight->done;

    if (inflight->done == 0)
        alchi_product_init(&reader->product, &inflight->overlap.rows, &inflight->overlap.cols, ALCHI_PRODUCT_SIDE_A,
                           memory->data, memory->col_stride, memory->entry);
    reader->chunk_bytes = left < lane->link->buffer_size ? left : lane->link->buffer_size;
    reader->chunk_done = 0;
    reader->chunk_at = lane->link->buffers[0];
}

/* Prepare to receive the next chunk of the arriving message: choose its rectangle and where it is received. */
static void
begin_chunk(alchi_cli_lane_t *lane)
{
    alchi_cli_lane_reader_t *reader = &lane->reader;
    const alchi_cli_memory_t *memory = &lane->transfer->memory;
    alchi_cli_inflight_t *inflight = reader->arriving;

    reader->chunk_done = 0;
    reader->chunk_bytes = alchi_cli_chunk_at(
        &inflight->piece, memory->entry, inflight->done, reader->direct ? inflight->bytes : lane->link->buffer_size,
        reader->direct == ALCHI_CLI_DIRECT_COLUMNS ? 1 : INT64_MAX, &reader->chunk);
    reader->chunk_at = reader->direct ? alchi_cli_memory_at(memory, &inflight->piece, reader->chunk.i, reader->chunk.j)
                                      : lane->link->buffers[0];
}

static void
unpack_chunk(alchi_cli_lane_t *lane)
{
    int64_t started = alchi_now_ns();

    if (lane->transfer->local_piece) {
        alchi_product_put(&lane->reader.product, lane->link->buffers[0], lane->reader.chunk_bytes);
    } else {
        alchi_pack_t shape = alchi_cli_lane_pack_shape(lane, &lane->reader.arriving->piece, &lane->reader.chunk);
        alchi_unpack(&shape, lane->link->buffers[0], lane->reader.chunk.m, lane->transfer->memory.data);
    }
    lane->timing.deserialize += (double)(alchi_now_ns() - started) * 1e-9;
}

static void
finish_chunk(alchi_cli_lane_t *lane)
{
    alchi_cli_lane_reader_t *reader = &lane->reader;
    alchi_cli_inflight_t *inflight = reader->arriving;

    if (!reader->direct)
        unpack_chunk(lane);
    inflight->done += reader->chunk_bytes;
    reader->chunk_bytes = reader->chunk_done = 0;
    if (inflight->done == inflight->bytes)
        alchi_cli_lane_message_received(lane, inflight);
}

/* Handle the header and the message of a DATA_BLOCK frame. It must continue the arriving message, or begin one for
 * which the lane asked. */
static int
begin_block_frame(alchi_cli_lane_t *lane, const alchi_frame_t *frame, const ProtobufCMessage *message,
                  alch_error_t *err)
{
    const Alchw__DataBlock *block = (const Alchw__DataBlock *)message;
    alchi_cli_inflight_t *inflight = frame->id ? alchi_cli_lane_find_inflight(lane, frame->id) : NULL;
    alchi_cli_lane_reader_t *reader = &lane->reader;
    size_t left;

    add_worker_times(lane, block);
    if (reader->times_id && frame->id == reader->times_id && !frame->payload) {
        end_times_request(lane);
        return ALCH_OK;
    }
    if (!inflight || (reader->arriving && reader->arriving != inflight))
        return alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s sent a DATA_BLOCK for which this side did not ask",
                                lane->where);
    if (!reader->arriving)
        reader->direct = lane->transfer->local_piece
                             ? ALCHI_CLI_DIRECT_NO
                             : alchi_cli_piece_direct(&lane->transfer->memory, &inflight->piece, COLUMN_MIN);
    reader->arriving = inflight;
    left = inflight->bytes - inflight->done - reader->chunk_done;
    if (frame->payload > left || frame->payload == 0 ||
        (frame->flags & ALCHI_FRAME_MORE) != (frame->payload < left ? ALCHI_FRAME_MORE : 0))
        return alchi_error_rank(err, ALCH_EPROTO, lane->rank,
                                "%s sent a frame of %u bytes where %zu bytes of the block were left", lane->where,
                                frame->payload, left);
    if (!(frame->flags & ALCHI_FRAME_CHECK) == lane->transfer->checked)
        return alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s sent a block %s a checksum", lane->where,
                                lane->transfer->checked ? "without" : "with");
    reader->frame_left = frame->payload;
    reader->frame_check = frame->check;
    return ALCH_OK;
}

/* Receive a frame up to its payload. @return ALCH_OK; ALCH_EAGAIN: no frame is there; else close the lane */
static int
receive_frame(alchi_cli_lane_t *lane, alch_error_t *err)
{
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int code = alchi_channel_receive(lane->link->channel, &frame, &message);

    if (code == ALCH_EAGAIN)
        return code;
    if (code != ALCH_OK)
        return alchi_cli_lane_connection_error(lane, code, err);
    if (frame.type == ALCHI_ERROR && frame.id && frame.id == lane->reader.times_id) {
        end_times_request(lane);
    } else if (frame.type == ALCHI_ERROR) {
        if (lane->reader.arriving && lane->reader.arriving->id == frame.id)
            lane->reader.chunk_bytes = lane->reader.chunk_done = 0;
        code = alchi_cli_lane_error_reply(lane, &frame, message, err);
    } else if (frame.type == ALCHI_DATA_BLOCK && (frame.flags & ALCHI_FRAME_REPLY)) {
        code = begin_block_frame(lane, &frame, message, err);
    } else {
        code = alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s sent %s during a read", lane->where,
                                alchi_message_name(frame.type));
    }
    alchi_message_free(message);
    return code;
}

/* Receive payload of the frame. @return ALCH_OK: bytes were received; ALCH_EAGAIN; else close the lane */
static int
receive_payload(alchi_cli_lane_t *lane, size_t *received_p, alch_error_t *err)
{
    alchi_cli_lane_reader_t *reader = &lane->reader;
    int64_t started = alchi_now_ns();
    size_t size;
    ssize_t n;

    if (!reader->chunk_bytes && lane->transfer->local_piece)
        begin_overlap_chunk(lane);
    else if (!reader->chunk_bytes)
        begin_chunk(lane);
    size = reader->chunk_bytes - reader->chunk_done;
    if (size > reader->frame_left)
        size = reader->frame_left;
    n = alchi_channel_read_payload(lane->link->channel, reader->chunk_at + reader->chunk_done, size);
    lane->timing.receive += (double)(alchi_now_ns() - started) * 1e-9;
    if (n == 0)
        return ALCH_EAGAIN;
    if (n < 0)
        return alchi_cli_lane_connection_error(lane, ALCH_ECONNECT, err);
    *received_p += (size_t)n;
    reader->frame_left -= (size_t)n;
    reader->chunk_done += (size_t)n;
    __atomic_add_fetch(&lane->transfer->done, (int64_t)n, __ATOMIC_RELAXED);
    if (reader->frame_left == 0)
        alchi_cli_lane_verify_frame(lane);
    if (reader->chunk_done == reader->chunk_bytes)
        finish_chunk(lane);
    return ALCH_OK;
}

int
alchi_cli_lane_read(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err)
{
    size_t received = 0;
    int code = send_read_requests(lane, moved_p, err);

    while (code == ALCH_OK && lane->inflight_count && received < BURST) {
        if (!lane->reader.frame_left)
            code = receive_frame(lane, err);
        else
            code = receive_payload(lane, &received, err);
        *moved_p = *moved_p || code == ALCH_OK;
    }
    return code == ALCH_EAGAIN ? ALCH_OK : code;
}
