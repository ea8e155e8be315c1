/* Reading: ask for several messages ahead, take their payload straight into the user's memory where it lies in
 * storage order, else chunk by chunk into a buffer and from there. */
#include "client/transfer.h"
#include "base/error.h"
#include "wire/layout_message.h"

/* Columns of fewer bytes are unpacked from a buffer: a system call for each costs more than a copy. */
#define COLUMN_MIN ((size_t)32 << 10)
/* Bytes that a lane takes before the thread looks at its other lanes. */
#define BURST ((size_t)2 << 20)

/* A block says how long the worker took for what came before it: an empty one behind the last message says the rest. */
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

static void
add_worker_times(alchi_cli_lane_t *lane, const Alchw__DataBlock *block)
{
    if (block) {
        lane->timing.serialize += (double)block->pack_ns * 1e-9;
        lane->timing.send += (double)block->send_ns * 1e-9;
    }
}

/* The empty block has come, or was refused: then some time remains unknown, which is no failure. */
static void
end_times_request(alchi_cli_lane_t *lane)
{
    lane->reader.times_id = 0;
    lane->inflight_count--;
}

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

/* A process's own piece arrives in a buffer. */
static void
begin_overlap_chunk(alchi_cli_lane_t *lane)
{
    const alchi_cli_memory_t *memory = &lane->transfer->memory;
    alchi_cli_inflight_t *inflight = lane->reader.arriving;
    size_t left = inflight->bytes - inflight->done;

    if (inflight->done == 0)
        alchi_product_init(&lane->reader.product, &inflight->overlap.rows, &inflight->overlap.cols,
                           ALCHI_PRODUCT_SIDE_A, memory->data, memory->col_stride, memory->entry);
    lane->reader.chunk_bytes = left < lane->link->buffer_size ? left : lane->link->buffer_size;
    lane->reader.chunk_done = 0;
    lane->reader.chunk_at = lane->link->buffers[0];
}

/* Choose where the next bytes of the arriving message go. */
static void
begin_chunk(alchi_cli_lane_t *lane)
{
    const alchi_cli_memory_t *memory = &lane->transfer->memory;
    alchi_cli_inflight_t *inflight = lane->reader.arriving;

    lane->reader.chunk_done = 0;
    lane->reader.chunk_bytes =
        alchi_cli_chunk_at(&inflight->piece, memory->entry, inflight->done,
                           lane->reader.direct ? inflight->bytes : lane->link->buffer_size,
                           lane->reader.direct == ALCHI_CLI_DIRECT_COLUMNS ? 1 : INT64_MAX, &lane->reader.chunk);
    lane->reader.chunk_at =
        lane->reader.direct ? alchi_cli_memory_at(memory, &inflight->piece, lane->reader.chunk.i, lane->reader.chunk.j)
                            : lane->link->buffers[0];
}

/* From the buffer to where it belongs. */
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
    alchi_cli_inflight_t *inflight = lane->reader.arriving;

    if (!lane->reader.direct)
        unpack_chunk(lane);
    inflight->done += lane->reader.chunk_bytes;
    lane->reader.chunk_bytes = lane->reader.chunk_done = 0;
    if (inflight->done == inflight->bytes)
        alchi_cli_lane_message_received(lane, inflight);
}

/* A block's frame: it must go on with the message under way, or begin one that was asked for. */
static int
begin_block_frame(alchi_cli_lane_t *lane, const alchi_frame_t *frame, const ProtobufCMessage *message,
                  alch_error_t *err)
{
    const Alchw__DataBlock *block = (const Alchw__DataBlock *)message;
    alchi_cli_inflight_t *inflight = frame->id ? alchi_cli_lane_find_inflight(lane, frame->id) : NULL;
    size_t left;

    add_worker_times(lane, block);
    if (lane->reader.times_id && frame->id == lane->reader.times_id && !frame->payload) {
        end_times_request(lane);
        return ALCH_OK;
    }
    if (!inflight || (lane->reader.arriving && lane->reader.arriving != inflight))
        return alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s sent a block that was not asked for", lane->where);
    if (!lane->reader.arriving)
        lane->reader.direct = lane->transfer->local_piece
                                  ? ALCHI_CLI_DIRECT_NO
                                  : alchi_cli_piece_direct(&lane->transfer->memory, &inflight->piece, COLUMN_MIN);
    lane->reader.arriving = inflight;
    left = inflight->bytes - inflight->done - lane->reader.chunk_done;
    if (frame->payload > left || frame->payload == 0 ||
        (frame->flags & ALCHI_FRAME_MORE) != (frame->payload < left ? ALCHI_FRAME_MORE : 0))
        return alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s sent %u bytes of a block where %zu were left",
                                lane->where, frame->payload, left);
    if (!(frame->flags & ALCHI_FRAME_CHECK) == lane->transfer->checked)
        return alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s sent a block %s a check", lane->where,
                                lane->transfer->checked ? "without" : "with");
    lane->reader.frame_left = frame->payload;
    lane->reader.frame_check = frame->check;
    return ALCH_OK;
}

/* @return ALCH_OK: a frame began, or an answer without payload was taken; ALCH_EAGAIN; else the end */
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

/* @return ALCH_OK: bytes were taken; ALCH_EAGAIN; else the end */
static int
receive_payload(alchi_cli_lane_t *lane, size_t *taken_p, alch_error_t *err)
{
    int64_t started = alchi_now_ns();
    size_t size;
    ssize_t n;

    if (!lane->reader.chunk_bytes && lane->transfer->local_piece)
        begin_overlap_chunk(lane);
    else if (!lane->reader.chunk_bytes)
        begin_chunk(lane);
    size = lane->reader.chunk_bytes - lane->reader.chunk_done;
    if (size > lane->reader.frame_left)
        size = lane->reader.frame_left;
    n = alchi_channel_read_payload(lane->link->channel, lane->reader.chunk_at + lane->reader.chunk_done, size);
    lane->timing.receive += (double)(alchi_now_ns() - started) * 1e-9;
    if (n == 0)
        return ALCH_EAGAIN;
    if (n < 0)
        return alchi_cli_lane_connection_error(lane, ALCH_ECONNECT, err);
    *taken_p += (size_t)n;
    lane->reader.frame_left -= (size_t)n;
    lane->reader.chunk_done += (size_t)n;
    __atomic_add_fetch(&lane->transfer->done, (int64_t)n, __ATOMIC_RELAXED);
    if (lane->reader.frame_left == 0)
        alchi_cli_lane_verify_frame(lane);
    if (lane->reader.chunk_done == lane->reader.chunk_bytes)
        finish_chunk(lane);
    return ALCH_OK;
}

int
alchi_cli_lane_read(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err)
{
    size_t taken = 0;
    int code = send_read_requests(lane, moved_p, err);

    while (code == ALCH_OK && lane->inflight_count && taken < BURST) {
        if (!lane->reader.frame_left)
            code = receive_frame(lane, err);
        else
            code = receive_payload(lane, &taken, err);
        *moved_p = *moved_p || code == ALCH_OK;
    }
    return code == ALCH_EAGAIN ? ALCH_OK : code;
}
