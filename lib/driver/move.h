/**
 * @file driver/move.h
 * Moves: a session's matrices go to a second group, which then replaces the session's group.
 *
 * alchi_drv_move_start() creates a move, which session->move owns. The move locks the matrices, waits for slots and for
 * the second group, and then takes these steps: the old ranks hold the matrices (they refuse writes), the new ranks
 * reserve all matrices, and the new ranks fetch one matrix after the other from the old ranks. At the end the second
 * group becomes the session's group, the old group is released, and the move is freed. If anything fails before,
 * the second group is ended, and the session keeps its group and its matrices (unless that group itself is lost).
 */
#ifndef ALCHI_DRIVER_MOVE_H
#define ALCHI_DRIVER_MOVE_H

#include "driver/command.h"
#include "driver/session.h"

typedef struct {
    alch_layout_t layout; /* in the second group */
    int64_t bytes;        /* each entry counted once, also if the layout replicates it */
} alchi_drv_move_matrix_t;

struct alchi_drv_move {
    alchi_drv_session_t *session;
    uint64_t task;         /* the task number under which the matrices are locked and held */
    int count;             /* workers of the second group */
    alchi_drv_group_t *to; /* the second group; NULL: it waits for slots */
    bool holding;          /* the old ranks refuse writes */
    alchi_drv_move_matrix_t *matrices;
    uint64_t *ids; /* of these matrices */
    size_t matrix_count;
    size_t reserved, moved;          /* how many matrices have taken these steps */
    double *fractions;               /* [count] progress of the matrix that is being fetched, by rank of `to` */
    uint8_t (*keys)[ALCHI_KEY_SIZE]; /* while a fetch is sent: the old ranks' keys, wrapped for one new rank */
    int64_t bytes, total;            /* of the matrices that are moved, of all matrices */
    alchi_drv_command_t *command;    /* the present step, sent to either group; NULL: none */
    alchi_drv_request_t *waiters;
    alchi_drv_timer_t fail_timer; /* started: the move has failed with `error` and ends at the next turn of the loop */
    alch_error_t error;
    int64_t start_ns, logged_ns;
};

/**
 * Start a move. The session has a group that is READY, and matrices.
 *
 * @return ALCH_OK; ALCH_EBUSY: a task or a load has not ended, or the text names a matrix in use; ALCH_ENOSLOTS;
 *         ALCH_EINVAL: a layout does not fit the number of workers; ALCH_ENOMEM; the error with which the second group
 *         failed to start
 */
int alchi_drv_move_start(alchi_drv_session_t *session, int count, alch_error_t *err);
/** Give up a move and free it: its requests get the error, and its second group is killed. Must not be called by a
 *  callback of a command of either group, because this function discards move->command and ends the second group. */
void alchi_drv_move_fail(alchi_drv_move_t *move, const alch_error_t *error);
/** The second group is READY: take the first step. */
void alchi_drv_move_ready(alchi_drv_move_t *move);
/** A new rank reports which fraction (0 to 1) of its part of the present matrix it has fetched. */
void alchi_drv_move_progress(alchi_drv_move_t *move, int rank, double fraction);
/** Bytes that the second group has fetched. */
int64_t alchi_drv_move_bytes_done(const alchi_drv_move_t *move);
/** Whether a group is the second group of a session's move. `session->move->to == group` is the only mark of that. */
static inline bool
alchi_drv_move_is_target(const alchi_drv_session_t *session, const alchi_drv_group_t *group)
{
    return session && session->move && session->move->to == group;
}

#endif
