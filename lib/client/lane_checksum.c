/* Checksums of payload. A message that arrives damaged is moved again, up to RETRIES_MAX times. */
#include "client/transfer.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/util.h"

/* Damage by the network is rare. A message that is damaged in each of four attempts has another cause. */
#define RETRIES_MAX 3

void
alchi_cli_outgoing_add_checksum(alchi_cli_outgoing_t *out)
{
    out->frame.flags |= ALCHI_FRAME_CHECK;
    out->frame.check = alchi_crc32c_pieces(0, out->iov, out->count, out->frame.payload);
}

void
alchi_cli_lane_verify_frame(alchi_cli_lane_t *lane)
{
    alchi_cli_inflight_t *inflight = lane->reader.arriving;
    uint32_t sum = alchi_channel_payload_sum(lane->link->channel);

    if (!lane->transfer->checked || sum == lane->reader.frame_check || inflight->damaged)
        return;
    inflight->damaged = true;
    inflight->sum_sent = lane->reader.frame_check;
    inflight->sum_received = sum;
}

/* Describe a damaged message that was read. A rank uses the same words for a message that was written
 * (dataserver/conn_checksum.c). */
static void
describe_damage(const alchi_cli_lane_t *lane, const alchi_cli_inflight_t *inflight, alch_error_t *error)
{
    const alch_matrix_info_t *facts = &lane->transfer->matrix->facts;
    const alch_rect_t *local = &inflight->piece.local;
    bool overlap = lane->transfer->local_piece;
    char name[96];

    alchi_format_matrix(facts->id, facts->rows, facts->cols, facts->dtype, name, sizeof(name));
    alchi_error_rank(
        error, ALCH_EDAMAGED, lane->rank,
        "matrix %s: %lld x %lld entries from (%lld, %lld) were damaged on the way from worker rank %d: "
        "CRC32C %08x was sent, %08x arrived",
        name, (long long)local->m, (long long)local->n,
        (long long)(overlap ? inflight->overlap.rows.begin : alchi_axis_global(&inflight->piece.rows, local->i)),
        (long long)(overlap ? inflight->overlap.cols.begin : alchi_axis_global(&inflight->piece.cols, local->j)),
        lane->rank, (unsigned)inflight->sum_sent, (unsigned)inflight->sum_received);
}

void
alchi_cli_lane_message_received(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight)
{
    alch_error_t error = {0};

    if (!inflight->damaged) {
        alchi_cli_lane_message_done(lane, inflight);
        return;
    }
    __atomic_sub_fetch(&lane->transfer->done, (int64_t)inflight->bytes, __ATOMIC_RELAXED);
    describe_damage(lane, inflight, &error);
    alchi_cli_lane_retry(lane, inflight, &error);
}

void
alchi_cli_lane_retry(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight, const alch_error_t *error)
{
    alch_error_t last = {0};

    alchi_cli_lane_remove_inflight(lane, inflight);
    if (inflight->damage_count++ < RETRIES_MAX) {
        inflight->retry = true;
        lane->retry_count++;
        __atomic_add_fetch(&lane->transfer->resent, 1, __ATOMIC_RELAXED);
        return;
    }
    alchi_error_rank(&last, ALCH_EDAMAGED, error->rank, "a message to or from %s was damaged %u times in a row: %s",
                     lane->where, inflight->damage_count, error->text);
    alchi_cli_transfer_fail(lane->transfer, &last);
}

alchi_cli_inflight_t *
alchi_cli_lane_next_retry(alchi_cli_lane_t *lane)
{
    alchi_cli_inflight_t *inflight = lane->inflight;

    while (!inflight->retry)
        inflight++;
    inflight->retry = false;
    lane->retry_count--;
    return inflight;
}
