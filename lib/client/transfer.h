/**
 * @file client/transfer.h
 * The transfer engine. A transfer has a lane per worker; each of its threads drives some lanes over non-blocking
 * connections: one packs or unpacks while the kernel sends and receives for the others.
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

/** Bytes that are packed or unpacked at once; also the size of a link's buffers. */
#define ALCHI_CLI_CHUNK_BYTES ((size_t)512 << 10)
#define ALCHI_CLI_CHUNK_COLUMNS 64

/** A message that was announced or asked for and is not done yet. */
typedef struct {
    uint64_t id; /* 0: this place is free */
    alchi_piece_t piece;
    alchi_overlap_t overlap; /* of a process's own piece: what of piece.local is in it */
    size_t bytes, done;
    bool damaged, retry;             /* what came of it is wrong; it waits to be moved once more */
    uint32_t sum_sent, sum_received; /* when damaged */
    unsigned damage_count;
} alchi_cli_inflight_t;

/** A chunk on its way out. */
typedef struct {
    alchi_frame_t frame;
    bool first; /* of its message */
    Alchw__DataWrite message;
    Alchw__Rect rect;
    Alchw__Axes axes;
    struct iovec iov[ALCHI_CLI_CHUNK_COLUMNS];
    int count;
    size_t sent;
} alchi_cli_outgoing_t;

typedef struct {
    alch_transfer_t *transfer;
    int rank;
    char where[320];        /* "worker 2 at host:port", once it is open */
    alchi_cli_link_t *link; /* NULL: not open yet, or ended */
    alchi_cli_splitter_t splitter;
    alchi_overlap_splitter_t overlap_splitter; /* instead, of a process's own piece */
    alchi_product_t product;                   /* and the place in its message that is being cut, or that arrives */
    alchi_cli_direct_t direct;                 /* how the message that is being cut, or that arrives, lies */
    bool exhausted;                            /* the splitter has no more */
    alchi_cli_inflight_t *inflight;
    int inflight_count, retry_count; /* those that wait to be moved once more are not in inflight */
    int64_t moved_ns;                /* when bytes last moved */
    alch_timing_t timing;

    /* writing */
    alchi_cli_inflight_t current; /* id 0: none; `done` counts what was cut into chunks */
    alchi_cli_outgoing_t outgoing[ALCHI_CLI_LINK_BUFFERS];
    int head, ready;
    bool full; /* the worker must read before the next chunk can be made where it reads */

    /* reading */
    alchi_cli_inflight_t *arriving;
    size_t frame_left;
    bool times_asked;  /* by an empty read behind the last message */
    uint64_t times_id; /* of that read; 0: nothing is to come */
    uint32_t frame_check;
    alch_rect_t chunk;
    uint8_t *chunk_at;
    size_t chunk_bytes, chunk_done;
} alchi_cli_lane_t;

struct alch_transfer {
    alch_matrix_t *matrix;
    alch_session_t *session;
    bool writing;
    uint64_t group; /* for whose ranks it is planned; 0: not known */
    int workers;
    bool checked; /* payload frames carry a check */
    alchi_cli_memory_t memory;
    alchi_plan_t plan;
    const alchi_cli_local_piece_t *local_piece; /* a process's own piece: the plan does not count; NULL: none */
    alchi_cli_local_piece_t local_piece_copy;
    alchi_cli_gaps_t *gaps; /* by rank: all that is to be written; NULL: the plan says it */
    int64_t total;
    alchi_cli_lane_t *lanes;
    int lane_count;
    pthread_t *threads;
    int thread_count;      /* that were started */
    int stride;            /* thread k drives the lanes k, k + stride, ... */
    int64_t done;          /* atomic */
    int64_t resent;        /* atomic: messages that were damaged on the way */
    bool stop;             /* atomic: begin no more messages */
    bool canceled;         /* atomic */
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    int unopened;       /* lanes that are not connected yet, while nothing failed */
    int running;        /* threads */
    alch_error_t error; /* the first; code 0: none */
};

/** Note the first error and have all lanes stop. MT-Safe. */
void alchi_cli_transfer_fail(alch_transfer_t *transfer, const alch_error_t *error);
bool alchi_cli_transfer_stopping(const alch_transfer_t *transfer);

/** Start a transfer that was checked.
 *  @param missing  only of what is not written yet
 *  @param local_piece  copied: a process's own piece, in memory with its leading dimension as column stride; NULL: none
 */
int alchi_cli_transfer_start(alch_matrix_t *matrix, bool writing, const alchi_cli_memory_t *memory, bool missing,
                             const alchi_cli_local_piece_t *local_piece, alch_transfer_t **transfer_p,
                             alch_error_t *err);

/* ---- one lane; used by one thread ---- */

/** Connect to the worker. @return as alchi_cli_link_acquire() */
int alchi_cli_lane_open(alchi_cli_lane_t *lane, const alchi_cli_group_t *group, alch_error_t *err);
/** Move what can be moved now. @return ALCH_OK; else the connection is of no more use and the text says why */
int alchi_cli_lane_step(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err);
/** Whether nothing is under way and nothing will be. */
bool alchi_cli_lane_finished(const alchi_cli_lane_t *lane);
/** What poll() should wait for. */
short alchi_cli_lane_events(const alchi_cli_lane_t *lane);
/** Give the connection back, or close it. */
void alchi_cli_lane_close(alchi_cli_lane_t *lane, bool reusable);

/* ---- the two directions (lane.c calls them) ---- */

int alchi_cli_lane_write(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err);
int alchi_cli_lane_read(alchi_cli_lane_t *lane, bool *moved_p, alch_error_t *err);

/** Take the next message into `inflight`, one that was damaged or the splitter's next, unless the transfer stops or too
 *  many are in inflight. */
bool alchi_cli_lane_next_message(alchi_cli_lane_t *lane, alchi_cli_inflight_t **inflight_p);
/** A message is done: count it and free its place. */
void alchi_cli_lane_message_done(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight);
/** It is no longer in inflight. */
void alchi_cli_lane_remove_inflight(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight);
alchi_cli_inflight_t *alchi_cli_lane_find_inflight(alchi_cli_lane_t *lane, uint64_t id);
/** The worker's answer was an error. @return ALCH_OK: the connection goes on */
int alchi_cli_lane_error_reply(alchi_cli_lane_t *lane, const alchi_frame_t *frame, const ProtobufCMessage *message,
                               alch_error_t *err);
/** The connection gave `code`. */
int alchi_cli_lane_connection_error(const alchi_cli_lane_t *lane, int code, alch_error_t *err);

/* ---- payload that is damaged on the way (damage.c) ---- */

/** Give a chunk on its way out a check. */
void alchi_cli_outgoing_add_checksum(alchi_cli_outgoing_t *out);
/** A payload frame has come: if it is not what was sent, its message is damaged. */
void alchi_cli_lane_verify_frame(alchi_cli_lane_t *lane);
/** The last byte of a message has come: it is done, or asked for once more. */
void alchi_cli_lane_message_received(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight);
/** A message was damaged, as `error` says: move it once more, or fail the transfer if that was tried often enough. */
void alchi_cli_lane_retry(alchi_cli_lane_t *lane, alchi_cli_inflight_t *inflight, const alch_error_t *error);
/** Take the message that waits to be moved once more. lane->again > 0 */
alchi_cli_inflight_t *alchi_cli_lane_next_retry(alchi_cli_lane_t *lane);

/** How a chunk of a message lies in the user's memory. */
alchi_pack_t alchi_cli_lane_pack_shape(const alchi_cli_lane_t *lane, const alchi_piece_t *piece,
                                       const alch_rect_t *chunk);

#endif
