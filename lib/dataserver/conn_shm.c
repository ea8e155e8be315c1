/* DATA_SHARE: switch a connection to shared memory. If the rank refuses, the client connects again by TCP. */
#include "dataserver/conn.h"

#include "base/error.h"
#include "base/log.h"
#include "net/shm.h"

#include <stdatomic.h>
#include <sys/socket.h>

#define SHM_CONNS_MAX 32 /* per rank; each takes 2 * ALCHI_SHM_RING bytes */

static atomic_int shm_conns;
static atomic_flag warned = ATOMIC_FLAG_INIT; /* one warning per rank; later ones are debug lines */

static bool
is_unix_socket(const alchi_data_conn_t *conn)
{
    int domain = 0;
    socklen_t size = sizeof(domain);

    return getsockopt(alchi_channel_fd(conn->channel), SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

static int
grant_shm(alchi_data_conn_t *conn, uint64_t id, alch_error_t *err)
{
    int code;

    if (atomic_fetch_add(&shm_conns, 1) >= SHM_CONNS_MAX)
        code = alchi_error_set(err, ALCH_ELIMIT, "%d connections already share memory", SHM_CONNS_MAX);
    else
        code = alchi_shm_grant(conn->channel, id, err);
    conn->shm = code == ALCH_OK;
    if (code)
        atomic_fetch_sub(&shm_conns, 1);
    return code;
}

int
alchi_data_conn_start_shm(alchi_data_conn_t *conn, const alchi_frame_t *frame)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    int code;

    if (!conn->config->shared_memory || !is_unix_socket(conn) || conn->shm)
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "memory cannot be shared over this connection");
    if (conn->in.active || conn->replies > 0 || alchi_data_conn_has_output(conn) ||
        alchi_channel_buffered(conn->channel))
        return alchi_data_conn_refuse(conn, ALCH_EPROTO, "DATA_SHARE arrived while other requests are in flight");
    code = grant_shm(conn, frame->id, &err);
    if (code == ALCH_OK)
        alchi_log(ALCHI_LOG_DEBUG, "data connection from %s goes through shared memory", conn->peer);
    if (code == ALCH_OK || code == ALCH_ECONNECT)
        return code;
    alchi_log(code == ALCH_ELIMIT || atomic_flag_test_and_set(&warned) ? ALCHI_LOG_DEBUG : ALCHI_LOG_WARNING,
              "clients on this host use TCP because memory cannot be shared: %s", err.text);
    err.rank = conn->config->rank;
    return alchi_channel_send_error(conn->channel, frame->id, &err) == ALCH_OK ? ALCH_OK : ALCH_ECONNECT;
}

void
alchi_data_conn_stop_shm(alchi_data_conn_t *conn)
{
    if (conn->shm)
        atomic_fetch_sub(&shm_conns, 1);
    conn->shm = false;
}
