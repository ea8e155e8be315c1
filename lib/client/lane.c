/* The code of lanes that both directions of a transfer share. A lane has a connection to one rank and the messages in
 * flight on it. */
#include "client/transfer.h"
#include "base/error.h"

#include <stdio.h>

int
alchi_cli_lane_open(alchi_cli_lane_t *lane, const alchi_cli_group_t *group, alch_error_t *err)
{
    alch_session_t *session = lane->transfer->session;
    const alch_session_options_t *options = &session->options;
    int timeout_ms = options->connect_timeout_ms < options->transfer_timeout_ms ? options->connect_timeout_ms
                                                                                : options->transfer_timeout_ms;
    char address[300];
    int code;

    if (lane->rank >= group->count || (lane->transfer->group && lane->transfer->group != group->id))
        return alchi_error_set(err, ALCH_EGROUP, "the worker group of matrix %llu has ended",
                               (unsigned long long)lane->transfer->matrix->facts.id);
    alchi_address_format(&group->peers[lane->rank].address, address, sizeof(address));
    lane->timing.slot = group->peers[lane->rank].slot;
    snprintf(lane->where, sizeof(lane->where), "worker %d at %s", lane->timing.slot, address);
    code = alchi_cli_link_acquire(session, group, lane->rank, ALCHI_CLI_CHUNK_BYTES, alchi_deadline_in_ms(timeout_ms),
                                  &lane->link, err);
    lane->moved_ns = alchi_now_ns();
    return code;
}

void
alchi_cli_lane_close(alchi_cli_lane_t *lane, bool reusable)
{
    if (lane->link)
        alchi_cli_link_release(lane->transfer->session, lane->link, reusable);
    lane->link = NULL;
}

int
alchi_cli_lane_step(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err)
{
    int code;

    *moved_p = false;
    code = lane->transfer->writing ? alchi_cli_lane_write(lane, moved_p, err) : alchi_cli_lane_read(lane, moved_p, err);
    if (*moved_p)
        lane->moved_ns = alchi_now_ns();
    return code;
}

bool
alchi_cli_lane_finished(const alchi_cli_lane_t *lane)
{
    return lane->inflight_count == 0 && !lane->writer.current.id && !lane->writer.ready &&
           ((lane->exhausted && !lane->retry_count) || alchi_cli_transfer_stopping(lane->transfer));
}

short
alchi_cli_lane_events(const alchi_cli_lane_t *lane)
{
    bool output = lane->writer.ready || lane->writer.ring_full || alchi_channel_wants_write(lane->link->channel);

    return alchi_stream_poll_events(alchi_channel_stream(lane->link->channel), output ? POLLIN | POLLOUT : POLLIN);
}

alchi_cli_inflight_t *
alchi_cli_lane_find_inflight(alchi_cli_lane_t *lane, uint64_t id)
{
    for (int k = 0; k < lane->transfer->session->options.messages_in_flight; k++) {
        if (lane->inflight[k].id == id && !lane->inflight[k].retry)
            return &lane->inflight[k];
    }
    return NULL;
}

/* Store the splitter's next message in a free place. NULL: no place is free, or there is no further message */
static alchi_cli_inflight_t *
next_split_message(alchi_cli_lane_t *lane)
{
    alchi_cli_inflight_t *inflight = alchi_cli_lane_find_inflight(lane, 0);

    if (!inflight)
        return NULL;
    if (lane->transfer->local_piece)
        lane->exhausted = !alchi_overlap_splitter_next(&lane->overlap_splitter, &inflight->overlap);
    else
        lane->exhausted = !alchi_cli_splitter_next(&lane->splitter, &inflight->piece);
    if (lane->exhausted)
        return NULL;
    if (lane->transfer->local_piece) {
        inflight->piece.local = inflight->overlap.local;
        inflight->bytes = (size_t)inflight->overlap.entries * lane->transfer->memory.entry;
    } else {
        inflight->bytes = alchi_cli_piece_bytes(&inflight->piece, lane->transfer->memory.entry);
    }
    inflight->damage_count = 0;
    return inflight;
}

bool
alchi_cli_lane_next_message(alchi_cli_lane_t *lane, alchi_cli_inflight_t **inflight_p)
{
    alchi_cli_inflight_t *inflight;

    if (alchi_cli_transfer_stopping(lane->transfer) || (lane->exhausted && !lane->retry_count))
        return false;
    inflight = lane->retry_count ? alchi_cli_lane_next_retry(lane) : next_split_message(lane);
    if (!inflight)
        return false;
    if (lane->inflight_count == 0)
        lane->moved_ns = alchi_now_ns(); /* time without a message in flight is not a lack of progress */
    inflight->id = ++lane->link->last_id;
    inflight->damaged = false;
    inflight->done = 0;
    lane->inflight_count++;
    *inflight_p = inflight;
    return true;
}

void
alchi_cli_lane_remove_inflight(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight)
{
    if (lane->reader.arriving == inflight)
        lane->reader.arriving = NULL;
    inflight->id = 0;
    lane->inflight_count--;
}

void
alchi_cli_lane_message_done(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight)
{
    lane->timing.bytes += (int64_t)inflight->bytes;
    lane->timing.messages++;
    alchi_cli_lane_remove_inflight(lane, inflight);
}

int
alchi_cli_lane_error_reply(alchi_cli_lane_t *lane, const alchi_frame_t *frame, const ProtobufCMessage *message,
                           alch_error_t *err)
{
    alchi_cli_inflight_t *inflight = frame->id ? alchi_cli_lane_find_inflight(lane, frame->id) : NULL;
    alch_error_t error = {0};

    if (frame->payload)
        return alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s sent an ERROR frame with payload", lane->where);
    alchi_cli_control_read_error((const Alchw__Error *)message, &error);
    if (error.rank < 0)
        error.rank = lane->rank;
    if (!inflight)
        return alchi_error_rank(err, error.code, error.rank, "%s ended the connection: %s", lane->where, error.text);
    if (error.code == ALCH_EDAMAGED) {
        alchi_cli_lane_retry(lane, inflight, &error);
        return ALCH_OK;
    }
    alchi_cli_lane_remove_inflight(lane, inflight);
    alchi_cli_transfer_fail(lane->transfer, &error);
    return ALCH_OK;
}

int
alchi_cli_lane_connection_error(const alchi_cli_lane_t *lane, int code, alch_error_t *err)
{
    const char *fault = alchi_channel_fault(lane->link->channel);

    if (code == ALCH_ECONNECT)
        return alchi_error_rank(err, code, lane->rank, "the connection to %s was lost", lane->where);
    if (code == ALCH_ENOMEM)
        return alchi_error_rank(err, code, lane->rank, "out of memory during the transfer with %s", lane->where);
    return alchi_error_rank(err, ALCH_EPROTO, lane->rank, "%s broke the protocol: %s", lane->where,
                            fault[0] ? fault : alch_strerror(code));
}

alchi_pack_t
alchi_cli_lane_pack_shape(const alchi_cli_lane_t *lane, const alchi_piece_t *piece, const alch_rect_t *chunk)
{
    const alchi_cli_memory_t *memory = &lane->transfer->memory;

    return (alchi_pack_t){.rows = piece->rows,
                          .cols = piece->cols,
                          .local = *chunk,
                          .i0 = memory->rect.i,
                          .j0 = memory->rect.j,
                          .row_stride = memory->row_stride,
                          .col_stride = memory->col_stride,
                          .size = memory->entry};
}
