/**
 * @file client/transfer.h
 * Transfers between the user's memory and the ranks.
 *
 * A transfer has one lane for each rank that receives or sends entries. Each thread of the transfer steps some of the
 * lanes over non-blocking connections, so that it packs or unpacks for one lane while the kernel sends and receives for
 * the others.
 */
#ifndef ALCHI_CLIENT_TRANSFER_H
#define ALCHI_CLIENT_TRANSFER_H

#include "client/client.h"
#include "client/chunk.h"
#include "client/gaps.h"
#include "client/local_piece.h"
#include "pack/product.h"
#include "pack/pack.h"

#include <pthread.h>

/** Bytes that are packed or unpacked at once. Each buffer of a link has this size. */
#define ALCHI_CLI_CHUNK_BYTES ((size_t)512 << 10)
/** A chunk that is sent from the user's memory column by column has at most this many columns. */
#define ALCHI_CLI_CHUNK_COLUMNS 64

/** A message in flight: the client sends it (write) or has asked for it (read), and it has not ended yet. A message
 *  that arrived damaged keeps its place here until the lane moves it again. */
typedef struct {
    uint64_t id; /* of its frames; 0: the message is not in flight */
    alchi_piece_t piece;
    alchi_overlap_t overlap;         /* transfer of a local piece: the entries of piece.local that are moved */
    size_t bytes, done;              /* of payload */
    bool damaged;                    /* reading: a frame did not match its checksum */
    bool retry;                      /* waits until the lane moves it again; its id is 0 */
    uint32_t sum_sent, sum_received; /* reading, if damaged: of the first damaged frame */
    unsigned damage_count;           /* how often it arrived damaged */
} alchi_cli_inflight_t;

/** A chunk that is ready to be sent. */
typedef struct {
    alchi_frame_t frame;
    bool first; /* the first chunk of its message: its frame carries `message` */
    Alchw__DataWrite message;
    Alchw__Rect rect;
    Alchw__Axes axes;
    struct iovec iov[ALCHI_CLI_CHUNK_COLUMNS];
    int count;   /* of iov */
    size_t sent; /* progress, kept for alchi_channel_send_payload() */
} alchi_cli_outgoing_t;

/** Write state of a lane. */
typedef struct {
    alchi_cli_inflight_t current; /* the message that is being cut into chunks; id 0: none. `done` counts the bytes that
                                   * are in chunks */
    alchi_cli_direct_t direct;    /* how `current` is stored in the user's memory */
    alchi_product_t product;      /* transfer of a local piece: the position in `current` */
    alchi_cli_outgoing_t outgoing[ALCHI_CLI_LINK_BUFFERS]; /* circular queue of chunks */
    int head, ready;                                       /* its first chunk, and its number of chunks */
    bool ring_full; /* the shared-memory ring has no room for the next chunk: wait until the rank has read */
} alchi_cli_lane_writer_t;

/** Read state of a lane. */
typedef struct {
    alchi_cli_inflight_t *arriving; /* the message whose payload arrives; NULL: none */
    alchi_cli_direct_t direct;      /* how it is stored in the user's memory */
    alchi_product_t product;        /* transfer of a local piece: the position in it */
    size_t frame_left;              /* payload bytes of the frame that have not arrived */
    uint32_t frame_check;           /* the frame's checksum as the rank sent it */
    alch_rect_t chunk;              /* the local rectangle that arrives now */
    uint8_t *chunk_at;              /* where it is received: the user's memory or a buffer of the link */
    size_t chunk_bytes, chunk_done; /* chunk_bytes 0: no chunk is arriving */
    bool times_asked;  /* the lane has sent the empty read that asks for the rank's last times, or needs none */
    uint64_t times_id; /* of that read; 0: no answer is expected */
} alchi_cli_lane_reader_t;

/** The part of a transfer that goes to or comes from one rank. Used by one thread. */
typedef struct {
    alch_transfer_t *transfer;
    int rank;
    char where[320];                           /* "worker 2 at host:port", for error texts; set when the lane opens */
    alchi_cli_link_t *link;                    /* NULL: the lane is not open yet, or it has ended */
    alchi_cli_splitter_t splitter;             /* cuts the rank's part of the plan into messages */
    alchi_overlap_splitter_t overlap_splitter; /* transfer of a local piece: used instead */
    bool exhausted;                            /* the splitter has no more messages */
    alchi_cli_inflight_t *inflight;            /* options.messages_in_flight places */
    int inflight_count;                        /* messages and reads that the rank has not answered completely */
    int retry_count;  /* damaged messages that wait to be moved again; not part of inflight_count */
    int64_t moved_ns; /* when bytes last moved */
    alch_timing_t timing;
    alchi_cli_lane_writer_t writer;
    alchi_cli_lane_reader_t reader;
} alchi_cli_lane_t;

struct alch_transfer {
    alch_matrix_t *matrix;
    alch_session_t *session;
    bool writing;
    uint64_t group; /* the group for which the transfer was planned; 0: not known */
    int workers;    /* of that group */
    bool checked;   /* payload frames carry a checksum */
    alchi_cli_memory_t memory;
    alchi_plan_t plan;
    const alchi_cli_local_piece_t *local_piece; /* transfer of a local piece: used instead of the plan; else NULL */
    alchi_cli_local_piece_t local_piece_copy;   /* the struct to which local_piece points */
    alchi_cli_gaps_t *gaps; /* by rank: write only these rectangles of the plan; NULL: all of the plan */
    int64_t total;          /* bytes of payload */
    alchi_cli_lane_t *lanes;
    int lane_count;
    pthread_t *threads;
    int thread_count;      /* threads that were started */
    int stride;            /* thread k steps the lanes k, k + stride, ... */
    int64_t done;          /* atomic: bytes of payload */
    int64_t resent;        /* atomic: how often a message was moved again because it arrived damaged */
    bool stop;             /* atomic: begin no more messages */
    bool canceled;         /* atomic */
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    int unopened;       /* lanes that no thread has connected yet */
    int running;        /* threads */
    alch_error_t error; /* the first failure; code ALCH_OK: nothing has failed */
};

/** Keep the first error and make all lanes stop. @threads MT-Safe */
void alchi_cli_transfer_fail(alch_transfer_t *transfer, const alch_error_t *error);
/** Whether lanes must begin no more messages: the transfer failed or was canceled. @threads MT-Safe */
bool alchi_cli_transfer_stopping(const alch_transfer_t *transfer);

/**
 * Start a transfer whose rectangle and memory the caller has checked. If the start fails because another client has
 * moved the session to other workers, the function plans the transfer for those workers and starts it once more.
 *
 * @param[in]  memory       copied; its data is borrowed until the transfer is destroyed
 * @param[in]  missing      write only the entries that the ranks do not have yet
 * @param[in]  local_piece  copied: a process's local piece; the column stride of `memory` is its leading dimension;
 *                          NULL: a rectangle
 * @param[out] transfer_p   owned by the caller: alch_transfer_destroy()
 * @return as alch_matrix_write_start()
 */
int alchi_cli_transfer_start(alch_matrix_t *matrix, bool writing, const alchi_cli_memory_t *memory, bool missing,
                             const alchi_cli_local_piece_t *local_piece, alch_transfer_t **transfer_p,
                             alch_error_t *err);

/* ---- one lane; one thread calls these ---- */

/** Connect to the rank.
 *  @return ALCH_EGROUP: the transfer was planned for another group; else as alchi_cli_link_acquire() */
int alchi_cli_lane_open(alchi_cli_lane_t *lane, const alchi_cli_group_t *group, alch_error_t *err);
/** Move as many bytes as possible without waiting, up to a limit for the sake of the thread's other lanes.
 *  @param[out] moved_p  whether any bytes moved
 *  @return ALCH_OK; ALCH_ECONNECT, ALCH_EPROTO, ALCH_ENOMEM, the code of an error that the rank sent: close the lane */
int alchi_cli_lane_step(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err);
/** Whether nothing is in flight and the lane begins no more messages. */
bool alchi_cli_lane_finished(const alchi_cli_lane_t *lane);
/** The events that the thread must poll() for. */
short alchi_cli_lane_events(const alchi_cli_lane_t *lane);
/** Give the connection back to the pool, or close it if it is not reusable. Does nothing if the lane is not open. */
void alchi_cli_lane_close(alchi_cli_lane_t *lane, bool reusable);

/* ---- shared by both directions ---- */

/** The two directions of alchi_cli_lane_step(). */
int alchi_cli_lane_write(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err);
int alchi_cli_lane_read(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err);

/** Put the next message in flight: one that arrived damaged, else the splitter's next.
 *  @param[out] inflight_p  owned by the lane
 *  @return false: the transfer stops, there is no further message, or too many are in flight */
bool alchi_cli_lane_next_message(alchi_cli_lane_t *lane, alchi_cli_inflight_t **inflight_p);
/** Add a completely moved message to the timing, and free its place. */
void alchi_cli_lane_message_done(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight);
/** Free the place of a message. */
void alchi_cli_lane_remove_inflight(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight);
/** The message in flight with this id, or for id 0 a free place. NULL: there is no such message or place */
alchi_cli_inflight_t *alchi_cli_lane_find_inflight(alchi_cli_lane_t *lane, uint64_t id);
/** Handle an ERROR frame of the rank. An error about one message fails the transfer or makes the lane move the message
 *  again, and the connection stays usable.
 *  @return ALCH_OK: the connection stays usable; else close the lane */
int alchi_cli_lane_error_reply(alchi_cli_lane_t *lane, const alchi_frame_t *frame, const ProtobufCMessage *message,
                               alch_error_t *err);
/** Write the error text for a channel function that returned `code`. @return the code that the transfer fails with */
int alchi_cli_lane_connection_error(const alchi_cli_lane_t *lane, int code, alch_error_t *err);
/** How a chunk of a message is stored in the user's memory. */
alchi_pack_t alchi_cli_lane_pack_shape(const alchi_cli_lane_t *lane, const alchi_piece_t *piece,
                                       const alch_rect_t *chunk);

/* ---- checksums (lane_checksum.c) ---- */

/** Put the checksum of a chunk's payload into its frame. */
void alchi_cli_outgoing_add_checksum(alchi_cli_outgoing_t *out);
/** Call after the last byte of a frame has arrived: if the payload does not match the frame's checksum, mark the
 *  arriving message as damaged. */
void alchi_cli_lane_verify_frame(alchi_cli_lane_t *lane);
/** Call after the last byte of a message has arrived: it is done or, if it is damaged, the lane reads it again. */
void alchi_cli_lane_message_received(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight);
/** Let the lane move a damaged message again. If it was damaged too often, fail the transfer.
 *  @param error  describes the damage */
void alchi_cli_lane_retry(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight, const alch_error_t *error);
/** Take a message that waits to be moved again. Requires lane->retry_count > 0. */
alchi_cli_inflight_t *alchi_cli_lane_next_retry(alchi_cli_lane_t *lane);

#endif
