/* Going over to shared memory. What cannot be shared is refused, and the client comes back by TCP. */
#include "dataserver/conn.h"

#include "base/error.h"
#include "base/log.h"
#include "net/shm.h"

#include <stdatomic.h>
#include <sys/socket.h>

#define SHARED_MAX 32 /* connections, of 2 * ALCHI_SHM_RING each */

static atomic_int shared;
static atomic_flag told = ATOMIC_FLAG_INIT;

static bool
is_local(const alchi_data_conn_t *conn)
{
    int domain = 0;
    socklen_t size = sizeof domain;

    return getsockopt(alchi_channel_fd(conn->channel), SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

static int
share(alchi_data_conn_t *conn, uint64_t id, alch_error_t *err)
{
    int rc;

    if (atomic_fetch_add(&shared, 1) >= SHARED_MAX)
        rc = alchi_error_set(err, ALCH_ELIMIT, "%d connections share memory already", SHARED_MAX);
    else
        rc = alchi_shm_grant(conn->channel, id, err);
    conn->shared = rc == ALCH_OK;
    if (rc)
        atomic_fetch_sub(&shared, 1);
    return rc;
}

int
alchi_data_conn_start_shm(alchi_data_conn_t *conn, const alchi_frame_t *frame)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    int rc;

    if (!conn->config->shared_memory || !is_local(conn) || conn->shared)
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "memory cannot be shared over this connection");
    if (conn->in.active || conn->replies > 0 || alchi_data_conn_has_output(conn) ||
        alchi_channel_buffered(conn->channel))
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "DATA_SHARE while other requests are under way");
    rc = share(conn, frame->id, &err);
    if (rc == ALCH_OK)
        alchi_log(ALCHI_LOG_DEBUG, "a data connection goes through shared memory");
    if (rc == ALCH_OK || rc == ALCH_ECONNECT)
        return rc;
    alchi_log(rc == ALCH_ELIMIT || atomic_flag_test_and_set(&told) ? ALCHI_LOG_DEBUG : ALCHI_LOG_WARNING,
              "no shared memory for clients of this host, they use TCP: %s", err.text);
    err.rank = conn->config->rank;
    return alchi_channel_send_error(conn->channel, frame->id, &err) == ALCH_OK ? ALCH_OK : ALCH_ECONNECT;
}

void
alchi_data_conn_stop_shm(alchi_data_conn_t *conn)
{
    if (conn->shared)
        atomic_fetch_sub(&shared, 1);
    conn->shared = false;
}
