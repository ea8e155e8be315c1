/* Payload that is damaged on the way: seen by its check, moved once more, a few times at most. */
#include "client/transfer.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/util.h"

/* One bad bit in a network is rare; a message that is damaged so often has another cause. */
#define AGAIN_MAX 3

void
alchi_cli_outgoing_add_checksum(alchi_cli_outgoing_t *out)
{
    out->frame.flags |= ALCHI_FRAME_CHECK;
    out->frame.check = alchi_crc32c_pieces(0, out->iov, out->count, out->frame.payload);
}

void
alchi_cli_lane_verify_frame(alchi_cli_lane_t *lane)
{
    alchi_cli_inflight_t *flight = lane->arriving;
    uint32_t sum = alchi_channel_payload_sum(lane->link->channel);

    if (!lane->transfer->checked || sum == lane->frame_check || flight->damaged)
        return;
    flight->damaged = true;
    flight->sent = lane->frame_check;
    flight->came = sum;
}

/* What was to be read, as the worker would say it. */
static void
describe(const alchi_cli_lane_t *lane, const alchi_cli_inflight_t *flight, alch_error_t *error)
{
    const alch_matrix_info_t *facts = &lane->transfer->matrix->facts;
    const alch_rect_t *local = &flight->piece.local;
    bool own = lane->transfer->own;
    char name[96];

    alchi_format_matrix(facts->id, facts->rows, facts->cols, facts->dtype, name, sizeof(name));
    alchi_error_rank(error, ALCH_EDAMAGED, lane->rank,
                     "matrix %s: %lld x %lld entries from (%lld, %lld) were damaged on the way from worker rank %d: "
                     "CRC32C %08x was sent, %08x came",
                     name, (long long)local->m, (long long)local->n,
                     (long long)(own ? flight->own.rows.begin : alchi_axis_global(&flight->piece.rows, local->i)),
                     (long long)(own ? flight->own.cols.begin : alchi_axis_global(&flight->piece.cols, local->j)),
                     lane->rank, (unsigned)flight->sent, (unsigned)flight->came);
}

void
alchi_cli_lane_message_received(alchi_cli_lane_t *lane, alchi_cli_inflight_t *flight)
{
    alch_error_t error = {0};

    if (!flight->damaged) {
        alchi_cli_lane_message_done(lane, flight);
        return;
    }
    __atomic_sub_fetch(&lane->transfer->done, (int64_t)flight->bytes, __ATOMIC_RELAXED);
    describe(lane, flight, &error);
    alchi_cli_lane_retry(lane, flight, &error);
}

void
alchi_cli_lane_retry(alchi_cli_lane_t *lane, alchi_cli_inflight_t *flight, const alch_error_t *error)
{
    alch_error_t last = {0};

    alchi_cli_lane_remove_inflight(lane, flight);
    if (flight->tries++ < AGAIN_MAX) {
        flight->again = true;
        lane->again++;
        __atomic_add_fetch(&lane->transfer->resent, 1, __ATOMIC_RELAXED);
        return;
    }
    alchi_error_rank(&last, ALCH_EDAMAGED, error->rank, "%s, %u times in a row: %s", lane->where, flight->tries,
                     error->text);
    alchi_cli_transfer_fail(lane->transfer, &last);
}

alchi_cli_inflight_t *
alchi_cli_lane_next_retry(alchi_cli_lane_t *lane)
{
    alchi_cli_inflight_t *flight = lane->flights;

    while (!flight->again)
        flight++;
    flight->again = false;
    lane->again--;
    return flight;
}
