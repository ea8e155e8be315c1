/**
 * @file dataserver/conn.h
 * One data connection: a state machine that does a bounded amount of work per turn and never
 * waits. Requests are read straight into matrices and answered straight from them, several
 * at once. One thread uses a connection at a time; no MPI.
 */
#ifndef ALCHI_DATASERVER_CONN_H
#define ALCHI_DATASERVER_CONN_H

#include "net/channel.h"
#include "dataserver/dataserver.h"
#include "dataserver/span.h"
#include "dataserver/stage.h"

#define ALCHI_DATA_CONN_REPLIES 24 /* requests that wait for their answers to leave; then no more are read */
#define ALCHI_DATA_CONN_SCRATCH ((size_t)256 << 10)
#define ALCHI_DATA_CONN_RUNS 240 /* columns in one payload frame */

typedef enum { ALCHI_DATA_CONN_HANDSHAKE, ALCHI_DATA_CONN_OPEN, ALCHI_DATA_CONN_CLOSING } alchi_data_conn_state_t;

/** An answer that has not left yet. */
typedef struct alchi_data_reply {
    uint64_t id;
    unsigned type; /* EMPTY, DATA_ACK, DATA_BLOCK, DATA_REGIONS, ERROR */
    uint64_t receive_ns, unpack_ns;
    alchi_store_part_t *part; /* DATA_BLOCK: a reference, and what is still to be sent */
    alchi_data_span_t span;
    alchi_product_t cross; /* of the span, if the message is a periodic set */
    bool masked;           /* which of the entries are written is said with them */
    bool begun;
    bool checked;                /* DATA_BLOCK: with a check */
    Alchw__DataRegions *regions; /* DATA_REGIONS */
    alch_error_t error;
    struct alchi_data_reply *prev, *next;
} alchi_data_reply_t;

/** The write message that is being received. */
typedef struct {
    bool active, more, refused;
    alchi_data_reply_t *reply;
    alchi_store_part_t *part; /* a reference, unless refused */
    alch_rect_t rect;
    alchi_data_index_set_t set;
    alchi_data_span_t span;
    alchi_product_t cross;
    size_t frame_left; /* payload of the current frame */
    bool checked;      /* all frames have a check, or none */
    uint32_t check;    /* of the current frame */
} alchi_data_incoming_t;

/** The payload frame that is being sent, of the first reply in `blocks`. */
typedef struct {
    bool active;
    alchi_frame_t frame;
    Alchw__DataBlock block;
    bool has_block;
    struct iovec iov[ALCHI_DATA_CONN_RUNS];
    int count;
    size_t sent;
    uint64_t pack_ns, send_ns; /* since they were last reported */
} alchi_data_outgoing_t;

typedef struct alchi_data_conn {
    const alchi_data_config_t *config;
    alchi_channel_t *channel;
    alchi_data_conn_state_t state;
    char peer[64];
    alchi_responder_t *responder; /* until authenticated */
    alchi_data_incoming_t in;
    alchi_data_outgoing_t out;
    alchi_data_reply_t *small, *blocks;
    alchi_data_reply_t *spare; /* that have left: the next ones take their place */
    int replies;
    uint8_t *scratch;            /* of the serving thread, ALCHI_DATA_CONN_SCRATCH bytes, free between turns */
    alchi_data_stages_t *stages; /* of the serving thread */
    uint8_t *stage;              /* one of them: columns that are too short to be sent one by one, put together */
    alchi_deadline_t deadline;   /* when to give up */
    bool idle;                   /* nothing is under way: it may last long */
    size_t pace;                 /* bytes moved since the deadline was put off */
    uint64_t done, done_seen;    /* answers queued and sent; of them when the deadline was put off */
    bool full;                   /* the worker serves as many as it may: set before each turn of a handshake */
    bool ending;                 /* closing: all is said, now the peer's bytes are dropped until it closes */
    int64_t since;               /* when it was accepted */
    bool blocked;                /* the peer must read before more can be sent */
    bool again;                  /* there is more to do now */
    bool shared;                 /* its bytes go through shared memory */
    /* for the thread that serves it */
    bool queued, counted;
    unsigned events;
    struct alchi_data_conn *prev, *next;
    struct alchi_data_conn *queue_prev, *queue_next;
} alchi_data_conn_t;

/** Takes the socket over, also on failure (NULL: out of memory). */
alchi_data_conn_t *alchi_data_conn_create(const alchi_data_config_t *config, int fd);
void alchi_data_conn_destroy(alchi_data_conn_t *conn);

/** Do what can be done now, within bounds.
 *  @return ALCH_OK; anything else: destroy it (what was to be said is logged) */
int alchi_data_conn_step(alchi_data_conn_t *conn);

/** Epoll events that it waits for. */
unsigned alchi_data_conn_events(const alchi_data_conn_t *conn);

/** The deadline has passed: log why. */
void alchi_data_conn_timed_out(const alchi_data_conn_t *conn);

/** Log one line, tell the peer if that is possible, and close soon. @return ALCH_OK */
int alchi_data_conn_refuse(alchi_data_conn_t *conn, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- the two directions (receive.c, send.c) ---- */

/** @return ALCH_OK: `bytes_p` of the budget are used up or there is nothing more to receive now; else as
 *          alchi_data_conn_step(). *bytes_p: bytes moved */
int alchi_data_conn_receive(alchi_data_conn_t *conn, size_t budget, size_t *bytes_p);
int alchi_data_conn_send(alchi_data_conn_t *conn, size_t budget, size_t *bytes_p);

/** Compare a payload frame that has come with its check (damage.c). It is received in place, so what was there before
 * is gone if it is damaged. @return ALCH_OK, or ALCH_EDAMAGED with a text, logged, for the sender to send it again */
int alchi_data_conn_verify_frame(const alchi_data_conn_t *conn, alch_error_t *err);
/** Log that an answer has to be sent again. */
void alchi_data_conn_log_resend(const alchi_data_conn_t *conn, const alchi_store_part_t *part, const alch_rect_t *rect,
                                unsigned again);

/** The matrix of a request, as its sender knows it; on success the caller has a reference.
 *  @return ALCH_OK; ALCH_ENOENT; ALCH_ESTATE: it was replaced in place since */
int alchi_data_conn_find_part(const alchi_data_conn_t *conn, uint64_t matrix, uint32_t version,
                              alchi_store_part_t **part_p, alch_error_t *err);

/** Answer a DATA_MISSING (missing.c). @return ALCH_OK, ALCH_ENOMEM */
int alchi_data_conn_reply_missing(alchi_data_conn_t *conn, const alchi_frame_t *frame, const Alchw__DataMissing *ask);

/** Answer a DATA_SHARE. @return as alchi_data_conn_step() */
int alchi_data_conn_start_shm(alchi_data_conn_t *conn, const alchi_frame_t *frame);
/** Of a connection that ends: another may share memory in its place. */
void alchi_data_conn_stop_shm(alchi_data_conn_t *conn);

/** Queue an answer. It is taken over. */
void alchi_data_conn_queue_reply(alchi_data_conn_t *conn, alchi_data_reply_t *reply);
/** An empty answer to the request `id`. NULL: out of memory, logged: the connection is of no more use. */
alchi_data_reply_t *alchi_data_reply_create(alchi_data_conn_t *conn, uint64_t id, unsigned type);
/** An answer is not needed any more: its reference goes, its memory serves the next one. NULL is allowed. */
void alchi_data_reply_release(alchi_data_conn_t *conn, alchi_data_reply_t *reply);

static inline bool
alchi_data_conn_paused(const alchi_data_conn_t *conn)
{
    return !conn->in.active && conn->replies >= ALCHI_DATA_CONN_REPLIES;
}

static inline bool
alchi_data_conn_has_output(const alchi_data_conn_t *conn)
{
    return conn->small || conn->blocks || alchi_channel_wants_write(conn->channel);
}

#endif
