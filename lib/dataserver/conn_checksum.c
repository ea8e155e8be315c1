/* Payload that was damaged on the way: detect it, and name the entries. */
#include "dataserver/conn.h"

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"

#include <stdio.h>

/* Write "matrix 7 (100 x 20, float64): 10 x 4 entries from (20, 8)" */
static char *
describe_rect(const alchi_store_part_t *part, const alch_rect_t *rect, char *text, size_t size)
{
    char name[96];

    alchi_format_matrix(part->id, part->layout.m, part->layout.n, part->dtype, name, sizeof(name));
    snprintf(text, size, "matrix %s: %lld x %lld entries from (%lld, %lld)", name, (long long)rect->m,
             (long long)rect->n, (long long)alchi_axis_global(&part->rows, rect->i),
             (long long)alchi_axis_global(&part->cols, rect->j));
    return text;
}

int
alchi_data_conn_verify_frame(const alchi_data_conn_t *conn, alch_error_t *err)
{
    const alchi_data_incoming_t *in = &conn->in;
    uint32_t sum = alchi_channel_payload_sum(conn->channel);
    char what[192];

    if (!in->checked || sum == in->check)
        return ALCH_OK;
    alchi_error_rank(err, ALCH_EDAMAGED, conn->config->rank,
                     "%s were damaged on the way to worker rank %d: CRC32C %08x was sent, %08x arrived",
                     describe_rect(in->part, &in->rect, what, sizeof(what)), conn->config->rank, (unsigned)in->check,
                     (unsigned)sum);
    alchi_log(ALCHI_LOG_WARNING, "data connection from %s: %s", conn->peer, err->text);
    return ALCH_EDAMAGED;
}

void
alchi_data_conn_log_resend(const alchi_data_conn_t *conn, const alchi_store_part_t *part, const alch_rect_t *rect,
                           unsigned again)
{
    char what[192];

    alchi_log(ALCHI_LOG_WARNING, "data connection from %s: %s were damaged on the way to the client (%u times so far)",
              conn->peer, describe_rect(part, rect, what, sizeof(what)), again);
}
