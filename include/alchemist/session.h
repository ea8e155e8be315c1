/**
 * @file session.h
 * A client's session with a driver: connection, worker group, lists.
 *
 * A session owns its worker group, its libraries, matrices and tasks. It may
 * be used from many threads. It belongs to the process that opened it: in a
 * forked child every function returns ALCH_EFORKED, takes no lock and sends
 * nothing; alch_session_destroy() there only closes descriptors.
 *
 * A function that waits for the driver is bounded by the session's
 * `request_timeout_ms` (ALCH_ETIMEDOUT). Every function of this header that
 * takes a session can return, besides what it lists:
 * ALCH_ECONNECT (the driver is gone), ALCH_ETIMEDOUT, ALCH_EFORKED,
 * ALCH_EPROTO, ALCH_ENOMEM.
 */
#ifndef ALCHEMIST_SESSION_H
#define ALCHEMIST_SESSION_H

#include <alchemist/error.h>
#include <alchemist/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ALCH_DEFAULT_PORT 24960

typedef struct alch_session alch_session_t;

/** How to open a session. Fill with alch_session_options_init() first. */
typedef struct {
    size_t struct_size;
    /** "host:port", "[v6]:port" or "host" (port 24960). NULL: as the connection file says. */
    const char *address;
    /** Path of a connection file. NULL: ALCHEMIST_CONNECTION, else the file of
     *  `address`, else the newest live one in the standard places. */
    const char *connection_file;
    /** The driver's token, 64 hexadecimal digits. NULL: from the connection file. */
    const char *token;
    const char *name;          /**< shown in the driver's log; NULL: the program's name */
    int connect_timeout_ms;    /**< 10000 */
    int request_timeout_ms;    /**< 60000 */
    int transfer_timeout_ms;   /**< 30000: without any progress of one worker */
    int64_t message_bytes;     /**< largest message of a transfer: 4 MiB; 64 KiB .. 256 MiB */
    int messages_in_flight;    /**< per worker: 4; 1 .. 64 */
    int transfer_threads;      /**< 0: one per worker, at most as many as cores or 8 */
    int shared_memory;         /**< 1: reach workers of the same host through shared memory; 0: by TCP only */
    int idle_timeout_ms;       /**< 30000: an idle connection to a worker is closed after it when any is used; 0: at once */
    int checksum;              /**< CRC32C of the payload of transfers: 1: on; 0: off; -1: the default, which is off */
} alch_session_options_t;

/** Fill in the defaults. @threads MT-Safe */
void alch_session_options_init(alch_session_options_t *options);

/**
 * Connect to a driver, prove each other's token, and open a session.
 *
 * @threads            MT-Safe
 * @param[in]  options    borrowed; NULL: all defaults
 * @param[out] session_p  the session, owned by the caller
 * @param[out] err        detail on failure, or NULL
 * @return ALCH_OK
 * @return ALCH_ECONNECT  nobody listens there, or no connection file was found
 * @return ALCH_ETIMEDOUT no answer within connect_timeout_ms
 * @return ALCH_EAUTH     either side's proof was wrong
 * @return ALCH_EVERSION  no common protocol version
 * @return ALCH_EINVAL    a malformed address, token or option
 */
int alch_session_open(const alch_session_options_t *options, alch_session_t **session_p, alch_error_t *err);

/**
 * Attach to a session of another process or host as an executor: it can
 * create, write, read and list matrices and run tasks, but its end does not end
 * the session.
 *
 * @param[in] id   alch_session_id() of the owner
 * @param[in] key  alch_session_key() of the owner, 64 hexadecimal digits
 * @return as alch_session_open(); ALCH_ENOENT: no such session
 */
int alch_session_attach(const alch_session_options_t *options, uint64_t id, const char *key,
                        alch_session_t **session_p, alch_error_t *err);

/**
 * End the session: its workers, matrices and tasks are freed. Idempotent.
 * An attached executor's close only ends its own connection.
 */
int alch_session_close(alch_session_t *session, alch_error_t *err);

/** Close without waiting and free the handle. NULL is allowed. Matrices, libraries
 *  and tasks of the session must have been destroyed before. */
void alch_session_destroy(alch_session_t *session);

/** The session's id, never reused by one driver. @threads MT-Safe */
uint64_t alch_session_id(const alch_session_t *session);

/** "host:port" of the driver; lives as long as the session. @threads MT-Safe */
const char *alch_session_address(const alch_session_t *session);

/** The driver's version, "0.1.0"; lives as long as the session. @threads MT-Safe */
const char *alch_session_server_version(const alch_session_t *session);

/** The session's key as 64 hexadecimal digits and a NUL: keep it secret. @threads MT-Safe */
void alch_session_key(const alch_session_t *session, char key[65]);

typedef enum {
    ALCH_WORKERS_ALL = 0,
    ALCH_WORKERS_ACTIVE = 1,   /**< serving some session */
    ALCH_WORKERS_INACTIVE = 2, /**< idle */
    ALCH_WORKERS_ASSIGNED = 3  /**< serving this session */
} alch_worker_filter_t;

typedef enum {
    ALCH_WORKER_IDLE = 0,
    ALCH_WORKER_STARTING = 1,
    ALCH_WORKER_ACTIVE = 2,
    ALCH_WORKER_RELEASING = 3
} alch_worker_state_t;

typedef struct {
    int id;              /**< the slot, from 1 */
    int rank;            /**< in this session's group, from 0; -1 if not assigned to it */
    int port;
    alch_worker_state_t state;
    uint64_t session;    /**< whom it serves; 0: nobody */
    int pid;             /**< 0 when idle */
    char host[256];      /**< name of its host */
    char address[256];   /**< where this client reaches it, without the port */
} alch_worker_t;

/**
 * List worker slots.
 *
 * @param[out] workers_p  array owned by the caller: free with alch_workers_free()
 * @param[out] count_p    its length
 */
int alch_session_list_workers(alch_session_t *session, alch_worker_filter_t filter,
                              alch_worker_t **workers_p, size_t *count_p, alch_error_t *err);
void alch_workers_free(alch_worker_t *workers);

/**
 * Ask for a group of `count` workers, or resize the group to `count`.
 *
 * A new group is started when the session has none, lost it, or has no
 * matrices. Calling again with the same count while the group starts goes on
 * waiting; when the group is ready the call is a no-op.
 *
 * @param[in] timeout_ms  how long to wait now; 0 only starts it
 * @return ALCH_OK        the group is ready
 * @return ALCH_EAGAIN    still starting; call again
 * @return ALCH_ENOSLOTS  more than there are free slots: the text has the numbers
 * @return ALCH_EBUSY     resizing would lose matrices: the text names them; alch_session_move_workers() takes them along
 * @return ALCH_EGROUP    the group did not start: the text says which rank and why
 * @return ALCH_EINVAL    count < 1
 */
int alch_session_request_workers(alch_session_t *session, int count, int timeout_ms, alch_error_t *err);

/**
 * Resize the group to `count` workers and take the matrices along: as alch_session_request_workers(), also in that it
 * is called again to go on waiting, but for what follows.
 *
 * A second group is started beside the session's own, which needs free slots for both at once. The new workers reserve
 * every matrix, read it from the old ones over data connections of their own, and take the old group's place. A matrix
 * keeps its id, name, entries, kind of layout and block sizes; its grid is the default one for the new number of
 * workers. What was not written stays unwritten. Handles, those of other processes too, remain valid: each follows when
 * it is used next, or by alch_matrix_refresh(). Libraries are loaded again as in any new group: what a library keeps
 * for itself in its workers is not moved.
 *
 * Meanwhile matrices can be read, and listed. All that makes, changes or frees a matrix, tasks and loads are refused
 * with ALCH_EBUSY. A read that is under way when the new group takes over may fail with ALCH_ECONNECT or ALCH_EGROUP;
 * it can be repeated at once. A worker needs no more memory than for its part, but for a few hundred KiB and, where a
 * matrix is incomplete, a bit per entry.
 *
 * Whatever fails, the old group and its matrices stay as they were, if it lives, and the new one is ended. A request
 * for as many workers as there are ends a move that is under way; waiters get ALCH_ECANCELED.
 *
 * @return ALCH_OK        the matrices are on the new workers
 * @return ALCH_EAGAIN    not yet; call again, or alch_session_move_progress()
 * @return ALCH_ENOSLOTS  not enough free slots beside those of the group: the text has the numbers
 * @return ALCH_EBUSY     a task or a load has not ended, or a matrix is being created, changed or freed: the text names
 *                        it; or another move is under way
 * @return ALCH_ELIMIT    a new worker's memory does not suffice: the text names matrix, worker and limit
 * @return ALCH_EGROUP    a group was lost: the text says which rank and why
 * @return ALCH_ETIMEDOUT, ALCH_ECONNECT  a new worker could not read from an old one: the text names it
 * @return ALCH_ECANCELED, ALCH_EINVAL
 */
int alch_session_move_workers(alch_session_t *session, int count, int timeout_ms, alch_error_t *err);

/**
 * How far alch_session_move_workers() has come, in bytes of entries (copies of replicated layouts count once).
 *
 * @return ALCH_ESTATE  no matrices are being moved
 */
int alch_session_move_progress(alch_session_t *session, int64_t *done_p, int64_t *total_p, alch_error_t *err);

/**
 * Give workers back.
 *
 * @param[in] ids    slots to yield, borrowed; NULL: all
 * @param[in] count  length of ids
 * @return ALCH_OK      they are IDLE again
 * @return ALCH_EBUSY   some would be kept and the session has matrices or a running task: the text names them
 * @return ALCH_ENOENT  a slot is not assigned to this session
 */
int alch_session_yield_workers(alch_session_t *session, const int *ids, size_t count, alch_error_t *err);

/**
 * Have the driver echo a string.
 *
 * @param[in]  text     UTF-8, at most 64 KiB, borrowed
 * @param[out] reply_p  owned by the caller: free()
 */
int alch_session_test_string(alch_session_t *session, const char *text, char **reply_p, alch_error_t *err);

#ifdef __cplusplus
}
#endif
#endif
