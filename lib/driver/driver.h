/**
 * @file driver.h
 * The driver's state and what acts on it. Single-threaded; no sockets: connections are
 * links with a table of operations, time comes through the timers, so that all of it runs in tests
 * against recorded links.
 */
#ifndef ALCHI_DRIVER_DRIVER_H
#define ALCHI_DRIVER_DRIVER_H

#include "base/util.h"
#include "driver/catalog.h"
#include "driver/group.h"
#include "driver/options.h"
#include "driver/slots.h"
#include "driver/timer.h"
#include "net/auth.h"
#include "wire/message.h"
#include "wire/value.h"
#include <alchemist/task.h>
#include <uthash.h>
#include <utlist.h>

typedef struct alchi_drv alchi_drv_t;
typedef struct alchi_drv_link alchi_drv_link_t;
typedef struct alchi_drv_request alchi_drv_request_t;
typedef struct alchi_drv_session alchi_drv_session_t;
typedef struct alchi_drv_command alchi_drv_command_t;
typedef struct alchi_drv_job alchi_drv_job_t;
typedef struct alchi_drv_task alchi_drv_task_t;
typedef struct alchi_drv_library alchi_drv_library_t;
typedef struct alchi_drv_move alchi_drv_move_t;

/* ---- links: authenticated connections ---- */

typedef struct {
    /** Queue and try to send. A failure is reported later through alchi_drv_on_closed(), never from within. */
    void (*send)(alchi_drv_link_t *link, unsigned type, unsigned flags, uint64_t id, const void *message);
    /** Send what is queued, then close. alchi_drv_on_closed() is not called for it. */
    void (*close)(alchi_drv_link_t *link);
} alchi_drv_link_ops_t;

struct alchi_drv_link {
    const alchi_drv_link_ops_t *ops;
    alchi_role_t role;
    char name[64], host[64];
    int pid;
    alchi_drv_session_t *session; /* CLIENT, EXECUTOR */
    alchi_drv_group_t *group;     /* RANK */
    int rank;
    alchi_drv_node_t *node;        /* AGENT, once it has said hello */
    bool local;                    /* the driver's own agent */
    alchi_drv_request_t *requests; /* not answered yet */
    int request_count;
    alchi_drv_link_t *prev, *next; /* of the session's links */
};

#define ALCHI_DRV_REQUESTS_MAX 1024 /* outstanding on one connection */

void alchi_drv_link_send(alchi_drv_link_t *link, unsigned type, const void *message);
void alchi_drv_link_reply(alchi_drv_link_t *link, uint64_t id, unsigned type, const void *message);
void alchi_drv_link_fail(alchi_drv_link_t *link, uint64_t id, const alch_error_t *error);

/* ---- requests that are not answered at once ---- */

typedef void (*alchi_drv_request_f)(alchi_drv_request_t *request);

struct alchi_drv_request {
    alchi_drv_link_t *link; /* NULL: its sender left, answers go nowhere */
    uint64_t id;
    alchi_drv_t *driver;
    alchi_drv_session_t *session;
    alchi_drv_request_t **waiters; /* list it stands in; NULL: its owner keeps it */
    alchi_drv_timer_t timer;
    alchi_drv_request_f expired; /* answers "not yet" */
    void *object;                /* what it waits for */
    alchi_drv_request_t *prev, *next;
    alchi_drv_request_t *wait_prev, *wait_next;
};

/** Note a request that will be answered later. NULL: refused and answered already. */
alchi_drv_request_t *alchi_drv_request_create(alchi_drv_t *driver, alchi_drv_link_t *link, uint64_t id);
/** Stand in a list, at most wait_ms (capped), then `expired`. 0: it runs at once and the request is gone. */
void alchi_drv_request_wait(alchi_drv_request_t *request, alchi_drv_request_t **waiters, uint32_t wait_ms,
                            alchi_drv_request_f expired, void *object);
/* Each answers, if the sender is still there, and frees. */
void alchi_drv_request_reply(alchi_drv_request_t *request, unsigned type, const void *message);
void alchi_drv_request_fail(alchi_drv_request_t *request, const alch_error_t *error);
void alchi_drv_request_reply_empty(alchi_drv_request_t *request);
/** Answer everyone in a list. */
void alchi_drv_waiters_fail(alchi_drv_request_t **waiters, const alch_error_t *error);
/** The sender left: waiting ones are freed, owned ones are kept without a link. */
void alchi_drv_requests_detach_link(alchi_drv_link_t *link);

#define ALCHI_DRV_WAIT_MAX_MS 60000

/* ---- sessions ---- */

typedef struct {
    uint64_t group;
    alch_error_t error;
} alchi_drv_loss_t;

struct alchi_drv_session {
    uint64_t id;
    uint8_t key[ALCHI_KEY_SIZE];
    alchi_drv_t *driver;
    char name[64];
    alchi_drv_link_t *owner;  /* NULL: leaving */
    alchi_drv_link_t *links;  /* owner and executors */
    alchi_drv_group_t *group; /* STARTING or READY, else NULL */
    alchi_drv_group_t *left;  /* its matrices have gone from there, and it is ending; NULL: none */
    alchi_drv_move_t *move;   /* its matrices go to another group, which is not the session's yet; NULL: they do not */
    alchi_drv_request_t *starting; /* requests that wait for the group */
    int wanted;                    /* workers to start as soon as there are slots; 0: none */
    int *wanted_slots;             /* ids, or NULL */
    bool wants;                    /* stands in driver->wants */
    bool closing;
    alch_error_t lost;         /* why the last group went; code ALCH_OK: it did not */
    alch_error_t start_failed; /* not told to anyone yet; code ALCH_OK: nothing to tell */
    alchi_drv_catalog_t catalog;
    alchi_drv_library_t *libraries;
    alchi_drv_task_t *tasks; /* hash by id, oldest first */
    int ended_tasks;
    alchi_drv_session_t *prev, *next;
    alchi_drv_session_t *want_prev, *want_next;
    UT_hash_handle hh;
};

/** Make a session for an authenticated client. NULL: out of memory */
alchi_drv_session_t *alchi_drv_session_create(alchi_drv_t *driver, alchi_drv_link_t *owner,
                                              const uint8_t key[ALCHI_KEY_SIZE]);
/** End it: group, tasks, matrices, executors' connections. */
void alchi_drv_session_end(alchi_drv_session_t *session, const char *why);
/** The session's group if it can be used. @return ALCH_OK, ALCH_ESTATE (none, or starting), ALCH_EGROUP; ALCH_EBUSY:
 *  its matrices are being moved */
int alchi_drv_session_ready(alchi_drv_session_t *session, alchi_drv_group_t **group_p, alch_error_t *err);

/* ---- groups at work ---- */

/** Act on an event: everything that follows from it. The group may be gone afterwards. */
void alchi_drv_group_handle_event(alchi_drv_group_t *group, const alchi_drv_group_event_t *event);
/** Send the agents what they need to start the ranks. @return ALCH_OK, ALCH_ENOMEM */
int alchi_drv_group_spawn(alchi_drv_group_t *group, const uint8_t session_key[ALCHI_KEY_SIZE]);
/** Part it from its session and let it end; what runs on it fails with `why`. */
void alchi_drv_group_release(alchi_drv_group_t *group, const alch_error_t *why);
void alchi_drv_group_kill(alchi_drv_group_t *group, const alch_error_t *why);
/** Send an unanswered message to all ranks. */
void alchi_drv_group_send(alchi_drv_group_t *group, unsigned type, const void *message);

/** Whether `count` workers can be had, now or when slots are released; `own`: slots that the session would give back.
 *  @return ALCH_OK, ALCH_ENOSLOTS with the numbers */
int alchi_drv_slot_queue_check(const alchi_drv_session_t *session, int count, int own, alch_error_t *err);
/** Ask for workers: start now, or when slots that are being released are idle. @return ALCH_OK, ALCH_ENOSLOTS */
int alchi_drv_slot_queue_add(alchi_drv_session_t *session, int count, const int *slots, alch_error_t *err);
void alchi_drv_slot_queue_remove(alchi_drv_session_t *session);
/** Slots changed: start whom it suffices for. */
void alchi_drv_slot_queue_start_next(alchi_drv_t *driver);

/* ---- moves: a session's matrices go to a second group beside its own, which they then replace (move.c) ---- */

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

/* ---- commands: one message to the ranks of a group, one answer of each ---- */

struct alchi_drv_command {
    uint64_t id;
    alchi_drv_group_t *group;
    unsigned type;
    int pending, failed;
    bool *asked;        /* [size]: sent and not answered */
    bool *succeeded;    /* [size] */
    alch_error_t error; /* the first failure */
    alchi_drv_timer_t timer;
    /** Fit the message to the rank that it is sent to next; may be NULL. */
    void (*fit)(const alchi_drv_command_t *command, int rank);
    /** One rank's good answer; may be NULL. */
    void (*answer)(alchi_drv_command_t *command, int rank, const alchi_frame_t *frame, const ProtobufCMessage *message);
    /** One rank's failure; true: the command was dropped. May be NULL. */
    bool (*refused)(alchi_drv_command_t *command, int rank);
    /** All have answered, or the group is gone (command->error then, failed > 0). Freed by the caller of it. */
    void (*done)(alchi_drv_command_t *command);
    void *context;
    alchi_drv_command_t *prev, *next;
};

/**
 * @param ranks  [size] to whom, or NULL: all
 * @return ALCH_OK, ALCH_ENOMEM, ALCH_EGROUP (not ready); done() is never called from within
 */
int alchi_drv_command_send(alchi_drv_group_t *group, unsigned type, const void *message, const bool *ranks,
                           const alchi_drv_command_t *model, alchi_drv_command_t **command_p);
/** A reply of a rank. */
void alchi_drv_command_answer(alchi_drv_group_t *group, int rank, const alchi_frame_t *frame,
                              const ProtobufCMessage *message);
/** Finish all with the error, keeping what a rank said before. */
void alchi_drv_commands_fail(alchi_drv_group_t *group, const alch_error_t *error);
/** Forget one without calling done(). */
void alchi_drv_command_drop(alchi_drv_command_t *command);

/* ---- jobs: what the main threads of a group do one after the other ---- */

struct alchi_drv_job {
    alchi_drv_group_t *group; /* NULL: not queued */
    bool ready, running;
    bool task; /* a client's call: its group does not go unasked */
    void (*start)(alchi_drv_job_t *job);
    void (*fail)(alchi_drv_job_t *job, const alch_error_t *error);
    alchi_drv_job_t *prev, *next;
};

void alchi_drv_job_add(alchi_drv_group_t *group, alchi_drv_job_t *job);
/** It may start now; starts it if it is the first. */
void alchi_drv_job_ready(alchi_drv_job_t *job);
/** Take it out and start the next. Idempotent. */
void alchi_drv_job_end(alchi_drv_job_t *job);
void alchi_drv_jobs_fail(alchi_drv_group_t *group, const alch_error_t *error);

/* ---- libraries ---- */

struct alchi_drv_library {
    alchi_drv_job_t job;
    alchi_drv_session_t *session;
    char *name, *path;       /* as asked for */
    Alchw__Library *library; /* its description, NULL: never loaded */
    bool loaded;             /* on the present group */
    bool answered;           /* the load under way has a description */
    alch_error_t failed;     /* not told yet; code ALCH_OK: nothing to tell */
    alchi_drv_request_t *waiters;
    alchi_drv_library_t *prev, *next;
};

void alchi_drv_library_destroy(alchi_drv_library_t *loaded);
/** The session's libraries are not loaded any more; load them again on its new group. */
void alchi_drv_libraries_unload(alchi_drv_session_t *session);
void alchi_drv_libraries_reload(alchi_drv_session_t *session);
/** @return ALCH_OK; ALCH_ENOENT lists what is loaded, or the library's functions */
int alchi_drv_library_lookup(alchi_drv_session_t *session, const char *library, const char *function,
                             alchi_drv_library_t **loaded_p, const Alchw__Function **function_p, alch_error_t *err);

/* ---- tasks ---- */

struct alchi_drv_task {
    alchi_drv_job_t job;
    uint64_t id;
    alchi_drv_session_t *session;
    int state; /* alch_task_state_t */
    char *library, *function;
    Alchw__NamedValue **arguments;
    size_t argument_count;
    uint64_t *inputs; /* matrix ids */
    size_t input_count;
    Alchw__WorkerTransform *transform; /* what it does, when it is no call of a library */
    uint64_t first_result;
    int result_count;            /* ids reserved */
    alchi_drv_request_t *submit; /* until it is accepted */
    uint32_t wait_ms;
    alchi_drv_command_t *command; /* check, then task */
    bool sent;                    /* the ranks hold its locks */
    bool hard;                    /* canceled with its group */
    double fraction, seconds;
    char text[256];
    int64_t start_ns;
    Alchw__WorkerTaskDone *done; /* of the first rank */
    uint64_t *made;              /* matrices of ranks that succeeded, to be undone on failure */
    size_t made_count;
    alch_error_t error;
    alchi_drv_request_t *waiters;
    UT_hash_handle hh;
};

#define ALCHI_DRV_TASKS_KEPT 1000

/** A task that has no names and no inputs yet. @return NULL: ALCH_ENOMEM */
alchi_drv_task_t *alchi_drv_task_create(alchi_drv_session_t *session, alch_error_t *err);
/** A task from a call, with its arguments checked and its inputs locked; not queued yet.
 *  @return ALCH_OK; ALCH_ESTATE, ALCH_EGROUP, ALCH_ENOENT, ALCH_ETYPE, ALCH_ELIMIT, ALCH_ENOMEM */
int alchi_drv_task_create_call(alchi_drv_session_t *session, const Alchw__SubmitTask *call, alchi_drv_task_t **task_p,
                               alch_error_t *err);
/** A task with inputs and names gets its number, locks its inputs and is the session's. */
void alchi_drv_task_register(alchi_drv_session_t *session, alchi_drv_task_t *task);
void alchi_drv_task_free(alchi_drv_task_t *task);
/** Queue it: `submit` is answered when its inputs are known to be complete and its end was waited for. */
void alchi_drv_task_queue(alchi_drv_task_t *task, alchi_drv_group_t *group, alchi_drv_request_t *submit,
                          uint32_t wait_ms);
void alchi_drv_task_cancel(alchi_drv_task_t *task, bool hard);
alchi_drv_task_t *alchi_drv_task_find(alchi_drv_session_t *session, uint64_t id);
bool alchi_drv_task_ended(const alchi_drv_task_t *task);
/** Answer with the state as it is now; request->object is the task. */
void alchi_drv_task_reply(alchi_drv_request_t *request);
/** Answer with what the matrix is now. */
void alchi_drv_matrix_reply(alchi_drv_request_t *request, const alchi_drv_matrix_t *matrix);

/* ---- the driver ---- */

struct alchi_drv {
    const alchi_dmn_options_t *options;
    uint8_t token[ALCHI_KEY_SIZE];
    char host[256];
    alchi_drv_timers_t timers;
    alchi_drv_slots_t slots;
    alchi_drv_session_t *sessions; /* hash by id */
    alchi_drv_session_t *wants;    /* sessions that wait for slots, first come first */
    alchi_drv_group_t *groups;
    uint64_t next_session, next_group, next_matrix, next_task;
    int clients; /* client and executor connections */
    bool stopping;
    void (*joined)(alchi_drv_t *driver, alchi_drv_node_t *node); /* an agent said hello */
    void *context;
};

/** token: copied. NULL: out of memory */
alchi_drv_t *alchi_drv_create(const alchi_dmn_options_t *options, const uint8_t token[ALCHI_KEY_SIZE]);
void alchi_drv_destroy(alchi_drv_t *driver);

/** An alchi_key_f; context is the driver. */
int alchi_drv_find_key(void *context, const alchi_claim_t *claim, uint8_t key[ALCHI_KEY_SIZE], alch_error_t *err);
/** A peer has proved itself: connect it with its session, group or node and send WELCOME (or an ERROR).
 *  @return ALCH_OK; else the error was sent: close */
int alchi_drv_admit(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_responder_t *responder, uint64_t id,
                    alch_error_t *err);
/** @return ALCH_OK; ALCH_EPROTO: a peer that is not keeping to the protocol: close */
int alchi_drv_on_message(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                         const ProtobufCMessage *message, alch_error_t *err);
/** The connection is gone; the link is not used afterwards. */
void alchi_drv_on_closed(alchi_drv_t *driver, alchi_drv_link_t *link);
/** Tell sessions, end all groups. Over when alchi_drv_is_idle(). */
void alchi_drv_stop(alchi_drv_t *driver, const char *why);
bool alchi_drv_is_idle(const alchi_drv_t *driver);

/** Handlers of one role's messages: {type, handler, reply}; found by type. */
typedef void (*alchi_drv_handler_f)(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                    const void *message);
typedef struct {
    unsigned type;
    alchi_drv_handler_f handler;
} alchi_drv_handler_t;
#define ALCHI_DRV_HANDLER(name) \
    void name(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)

ALCHI_DRV_HANDLER(alchi_drv_on_close_session);
ALCHI_DRV_HANDLER(alchi_drv_on_ping);
ALCHI_DRV_HANDLER(alchi_drv_on_test_string);
ALCHI_DRV_HANDLER(alchi_drv_on_list_workers);
ALCHI_DRV_HANDLER(alchi_drv_on_get_group);
ALCHI_DRV_HANDLER(alchi_drv_on_request_workers);
ALCHI_DRV_HANDLER(alchi_drv_on_yield_workers);
ALCHI_DRV_HANDLER(alchi_drv_on_create_matrix);
ALCHI_DRV_HANDLER(alchi_drv_on_get_matrix);
ALCHI_DRV_HANDLER(alchi_drv_on_free_matrix);
ALCHI_DRV_HANDLER(alchi_drv_on_list_matrices);
ALCHI_DRV_HANDLER(alchi_drv_on_grow_matrix);
ALCHI_DRV_HANDLER(alchi_drv_on_load_library);
ALCHI_DRV_HANDLER(alchi_drv_on_list_libraries);
ALCHI_DRV_HANDLER(alchi_drv_on_submit_task);
ALCHI_DRV_HANDLER(alchi_drv_on_transform);
ALCHI_DRV_HANDLER(alchi_drv_on_wait_task);
ALCHI_DRV_HANDLER(alchi_drv_on_cancel_task);
ALCHI_DRV_HANDLER(alchi_drv_on_worker_join);
ALCHI_DRV_HANDLER(alchi_drv_on_worker_progress);
ALCHI_DRV_HANDLER(alchi_drv_on_error);
ALCHI_DRV_HANDLER(alchi_drv_on_agent_hello);
ALCHI_DRV_HANDLER(alchi_drv_on_rank_started);
ALCHI_DRV_HANDLER(alchi_drv_on_rank_exit);
ALCHI_DRV_HANDLER(alchi_drv_on_group_ended);
ALCHI_DRV_HANDLER(alchi_drv_on_pmi_barrier);
void alchi_drv_node_lost(alchi_drv_t *driver, alchi_drv_link_t *link);

void alchi_drv_reply_assigned_workers(alchi_drv_request_t *request);

#endif
