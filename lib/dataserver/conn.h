/**
 * @file dataserver/conn.h
 * One data connection: a state machine that does a bounded amount of work per turn and never waits. Payload of writes
 * is received straight into the matrices, and blocks are sent straight from them. A client may have several requests in
 * flight. Nothing here calls MPI.
 *
 * @threads  not safe: one data thread at a time uses a connection
 */
#ifndef ALCHI_DATASERVER_CONN_H
#define ALCHI_DATASERVER_CONN_H

#include "net/channel.h"
#include "dataserver/dataserver.h"
#include "dataserver/span.h"
#include "dataserver/stage.h"

#define ALCHI_DATA_CONN_REPLIES 24 /* replies that wait to be sent; at this number no further request is read */
#define ALCHI_DATA_CONN_SCRATCH ((size_t)256 << 10)
#define ALCHI_DATA_CONN_RUNS 240 /* maximum number of columns in a payload frame that is sent in place */

typedef enum { ALCHI_DATA_CONN_HANDSHAKE, ALCHI_DATA_CONN_OPEN, ALCHI_DATA_CONN_CLOSING } alchi_data_conn_state_t;

/** A reply that has not been sent completely. */
typedef struct alchi_data_reply {
    uint64_t id;   /* of the request */
    unsigned type; /* EMPTY, DATA_ACK, DATA_BLOCK, DATA_REGIONS, ERROR */
    uint64_t receive_ns, unpack_ns;
    alchi_store_part_t *part;    /* DATA_BLOCK: with a reference */
    alchi_data_span_t span;      /* DATA_BLOCK: the entries still to be sent */
    alchi_product_t product;     /* used by span if the message is a periodic set */
    bool masked;                 /* DATA_BLOCK: its message says which of the entries are written */
    bool begun;                  /* DATA_BLOCK: its first frame has been prepared */
    bool checked;                /* DATA_BLOCK: its frames have a CRC32C */
    Alchw__DataRegions *regions; /* DATA_REGIONS */
    alch_error_t error;          /* ERROR */
    struct alchi_data_reply *prev, *next;
} alchi_data_reply_t;

/** The write message that is being received. */
typedef struct {
    bool active, more; /* more: another frame follows */
    bool refused;      /* the rest of the payload is dropped */
    alchi_data_reply_t *reply;
    alchi_store_part_t *part; /* with a reference; NULL if refused */
    alch_rect_t rect;
    alchi_data_index_set_t set;
    alchi_data_span_t span;
    alchi_product_t product; /* used by span if the message is a periodic set */
    size_t frame_left;       /* bytes of the current frame's payload that have not been received yet */
    bool checked;            /* every frame of the message has a CRC32C, or no frame has */
    uint32_t check;          /* CRC32C of the current frame */
} alchi_data_incoming_t;

/** The payload frame that is being sent. It belongs to the first reply in `blocks`. */
typedef struct {
    bool active;
    alchi_frame_t frame;
    Alchw__DataBlock block;
    bool has_block; /* the frame is the first of its message and carries `block` */
    struct iovec iov[ALCHI_DATA_CONN_RUNS];
    int count; /* of iov */
    size_t sent;
    uint64_t pack_ns, send_ns; /* since they were last reported in a block */
} alchi_data_outgoing_t;

typedef struct alchi_data_conn {
    const alchi_data_config_t *config;
    alchi_channel_t *channel;
    alchi_data_conn_state_t state;
    char peer[64];                /* how log lines name the client */
    alchi_responder_t *responder; /* NULL once authenticated */
    alchi_data_incoming_t in;
    alchi_data_outgoing_t out;
    alchi_data_reply_t *small;   /* replies without payload, which are sent between the frames of blocks */
    alchi_data_reply_t *blocks;  /* DATA_BLOCK replies */
    alchi_data_reply_t *spare;   /* unused structs for later replies */
    int replies;                 /* in small and blocks */
    uint8_t *scratch;            /* ALCHI_DATA_CONN_SCRATCH bytes of the data thread; unused between turns */
    alchi_data_stages_t *stages; /* of the data thread */
    uint8_t *stage;              /* NULL, or one of them, with the packed columns of the frame that is being sent */
    alchi_deadline_t deadline;   /* the connection is closed then */
    bool idle;                   /* no request is in flight: idle_timeout_ms applies */
    size_t moved;                /* bytes received and sent since the deadline was set */
    uint64_t progress;           /* replies queued plus replies sent, since the beginning */
    uint64_t progress_seen;      /* its value when the deadline was set */
    bool over_limit;     /* the server has its maximum number of connections; set before each turn of a handshake */
    bool write_closed;   /* closing: all output has been sent, and bytes from the peer are dropped until it closes */
    int64_t accepted_ns; /* time of acceptance */
    bool blocked;        /* the peer must read before more can be sent */
    bool has_more_work;  /* the next turn has work that needs no event from the peer */
    bool shm;            /* bytes go through shared memory */

    /* used by the data thread */
    bool queued;
    bool counted; /* in the thread's `load` and the server's `connections` */
    unsigned events;
    struct alchi_data_conn *prev, *next;
    struct alchi_data_conn *queue_prev, *queue_next;
} alchi_data_conn_t;

/** Create a connection that owns the socket `fd`. A failure closes the socket too. @return NULL: out of memory */
alchi_data_conn_t *alchi_data_conn_create(const alchi_data_config_t *config, int fd);
/** Release all references, close the socket and free the connection. NULL is allowed. */
void alchi_data_conn_destroy(alchi_data_conn_t *conn);

/** Run one turn: a bounded amount of the work that is possible without waiting.
 *  @return ALCH_OK. After any other code destroy the connection; a breach of the protocol by the peer has been logged
 */
int alchi_data_conn_step(alchi_data_conn_t *conn);

/** @return the epoll events to wait for before the next turn */
unsigned alchi_data_conn_events(const alchi_data_conn_t *conn);

/** Log why the connection is closed at its deadline. */
void alchi_data_conn_log_timeout(const alchi_data_conn_t *conn);

/** Log one line about a peer that broke the protocol, and start to close the connection. An authenticated peer gets the
 *  error, unless a payload frame is being sent.
 *  @return ALCH_OK; `code`: the peer gets no error, so the caller closes the connection at once */
int alchi_data_conn_refuse(alchi_data_conn_t *conn, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- the two directions (conn_receive.c, conn_send.c) ---- */

/**
 * Receive, or send, until `budget` bytes have been moved or no more can be moved now.
 *
 * @param[in,out] bytes_p  0 at first; the bytes that were moved, plus a fixed cost for each frame
 * @return as alchi_data_conn_step()
 */
int alchi_data_conn_receive(alchi_data_conn_t *conn, size_t budget, size_t *bytes_p);
int alchi_data_conn_send(alchi_data_conn_t *conn, size_t budget, size_t *bytes_p);

/** Compare a received payload frame with its CRC32C (conn_checksum.c). The frame was received in place, so a damaged
 *  one has overwritten the entries.
 *  @return ALCH_OK; ALCH_EDAMAGED: the damage was logged, and `err` has a text for the client, which sends the message
 *  again */
int alchi_data_conn_verify_frame(const alchi_data_conn_t *conn, alch_error_t *err);
/** Log that a block was damaged and is sent again. @param again  how often the client has asked again for it */
void alchi_data_conn_log_resend(const alchi_data_conn_t *conn, const alchi_store_part_t *part, const alch_rect_t *rect,
                                unsigned again);

/** Find the matrix of a request. On success the caller has a reference.
 *  @param version  as the client's handle knows it
 *  @return ALCH_OK; ALCH_ENOENT; ALCH_ESTATE: the matrix has been replaced in place since then */
int alchi_data_conn_find_part(const alchi_data_conn_t *conn, uint64_t matrix, uint32_t version,
                              alchi_store_part_t **part_p, alch_error_t *err);

/** Queue the reply to a DATA_MISSING (conn_missing.c). @return ALCH_OK; ALCH_ENOMEM: destroy the connection */
int alchi_data_conn_reply_missing(alchi_data_conn_t *conn, const alchi_frame_t *frame, const Alchw__DataMissing *ask);

/** Reply to a DATA_SHARE and, if possible, switch to shared memory (conn_shm.c).
 *  @return as alchi_data_conn_step() */
int alchi_data_conn_start_shm(alchi_data_conn_t *conn, const alchi_frame_t *frame);
/** Call when the connection ends, so that another connection may share memory. */
void alchi_data_conn_stop_shm(alchi_data_conn_t *conn);

/** Queue a reply. The connection owns it from then on. */
void alchi_data_conn_queue_reply(alchi_data_conn_t *conn, alchi_data_reply_t *reply);
/** Create an empty reply to the request `id`. @return NULL: out of memory. This has been logged, and the caller must
 *  close the connection */
alchi_data_reply_t *alchi_data_reply_create(alchi_data_conn_t *conn, uint64_t id, unsigned type);
/** Release the part and the message of a reply, and keep the struct for a later reply. NULL is allowed. */
void alchi_data_reply_release(alchi_data_conn_t *conn, alchi_data_reply_t *reply);

/** @return whether the connection reads no further request, because ALCHI_DATA_CONN_REPLIES replies wait */
static inline bool
alchi_data_conn_paused(const alchi_data_conn_t *conn)
{
    return !conn->in.active && conn->replies >= ALCHI_DATA_CONN_REPLIES;
}

/** @return whether replies or bytes in the channel wait to be sent */
static inline bool
alchi_data_conn_has_output(const alchi_data_conn_t *conn)
{
    return conn->small || conn->blocks || alchi_channel_wants_write(conn->channel);
}

#endif
