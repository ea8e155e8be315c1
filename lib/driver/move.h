/**
 * @file driver/move.h
 * A move: a session's matrices go to a second group next to its own group, which the second group then replaces.
 */
#ifndef ALCHI_DRIVER_MOVE_H
#define ALCHI_DRIVER_MOVE_H

#include "driver/command.h"
#include "driver/session.h"

typedef struct {
    alch_layout_t layout; /* there */
    int64_t bytes;        /* without copies */
} alchi_drv_move_matrix_t;

struct alchi_drv_move {
    alchi_drv_session_t *session;
    uint64_t task;         /* the number under which it holds the matrices */
    int count;             /* workers */
    alchi_drv_group_t *to; /* NULL: waits for slots */
    bool holding;          /* the present group's ranks were told to refuse writes */
    alchi_drv_move_matrix_t *matrices;
    uint64_t *ids; /* of the same */
    size_t matrix_count;
    size_t reserved, moved;          /* matrices so far */
    double *fractions;               /* of the one under way, by rank of the new group */
    uint8_t (*keys)[ALCHI_KEY_SIZE]; /* while they are sent: of the old ranks, wrapped for one new rank */
    int64_t bytes, total;            /* of those that are moved, of all */
    alchi_drv_command_t *command;    /* the one under way, on either group */
    alchi_drv_request_t *waiters;
    alchi_drv_timer_t timer; /* runs out when it has failed */
    alch_error_t error;
    int64_t start_ns, logged_ns;
};

/** Begin: a second group of `count` workers is started as soon as there are slots. The session has a group and
 * matrices.
 *  @return ALCH_OK; ALCH_EBUSY naming what is under way, ALCH_ENOSLOTS, ALCH_EINVAL, ALCH_ENOMEM */
int alchi_drv_move_start(alchi_drv_session_t *session, int count, alch_error_t *err);
/** Give it up: the present group and its matrices stay as they are, the other group is ended. Not while a command of
 *  that group is being answered. */
void alchi_drv_move_fail(alchi_drv_move_t *move, const alch_error_t *error);
/** The second group can be used. */
void alchi_drv_move_ready(alchi_drv_move_t *move);
/** A rank has come so far with the matrix under way. */
void alchi_drv_move_progress(alchi_drv_move_t *move, int rank, double fraction);
/** Bytes that are there. */
int64_t alchi_drv_move_bytes_done(const alchi_drv_move_t *move);
/** Whether a group is the second one of a session. */
static inline bool
alchi_drv_move_is_target(const alchi_drv_session_t *session, const alchi_drv_group_t *group)
{
    return session && session->move && session->move->to == group;
}

#endif
