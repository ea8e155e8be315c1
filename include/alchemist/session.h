/**
 * @file alchemist/session.h
 * A client's session with a driver: the connection and the group of workers.
 *
 * A program, which need not be an MPI program, needs MPI workers for a while.
 * It connects to a driver (alchemistd), opens a session and asks for workers.
 * The driver starts them as one MPI job that serves this session alone, and
 * ends them with the session.
 *
 * Terms:
 *
 *     driver    the alchemistd process that the client connects to
 *     slot      a place for one worker process on some host; numbered from 1
 *     worker    the process in a slot while it serves a session
 *     group     the workers of one session; in it they have ranks, from 0
 *     owner     the process that opened the session
 *     executor  a process that attached to a session of another process
 *
 * One way to use this API is to open a session with the defaults, which take
 * address and token from the connection file that a local alchemistd writes:
 *
 *     alch_session_t *session = NULL;
 *     alch_error_t err;
 *
 *     if (alch_session_open(NULL, &session, &err) ||
 *         alch_session_request_workers(session, 3, 30000, &err)) {
 *         fprintf(stderr, "%s: %s\n", alch_errname(err.code), err.text);
 *         alch_session_destroy(session);
 *         return err.code;
 *     }
 *     // now: matrix.h, library.h, task.h
 *     alch_session_close(session, NULL);
 *     alch_session_destroy(session);
 *
 * A session owns its group, libraries, matrices and tasks: they end with it.
 * Many threads may use one session. It belongs to the process that opened
 * it: in a forked child its functions that return a code return ALCH_EFORKED,
 * take no lock and send nothing, and alch_session_destroy() only closes
 * descriptors. A child attaches with alch_session_attach() instead.
 *
 * Common errors. Each function of this header that takes a session and an
 * `err` can return these in addition to its own list:
 *
 *     ALCH_EINVAL     the session or another required pointer is NULL
 *     ALCH_EFORKED    this process is a child of the one that opened the session
 *     ALCH_ECONNECT   the connection to the driver was lost, or the session has
 *                     ended or was closed; if the driver gave a reason, the text
 *                     has it
 *     ALCH_ETIMEDOUT  the driver did not answer within `request_timeout_ms`
 *                     (plus the time for which the function lets it wait); the
 *                     session can still be used
 *     ALCH_EPROTO     the driver sent a message that the protocol does not allow
 *     ALCH_ELIMIT     the request or its answer is larger than a message may be
 *                     (1 MiB), or 1024 requests of this connection are waiting
 *     ALCH_ENOMEM     this process or the driver is out of memory
 */
#ifndef ALCHEMIST_SESSION_H
#define ALCHEMIST_SESSION_H

#include <alchemist/error.h>
#include <alchemist/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The port of a driver that is started without --port. */
#define ALCH_DEFAULT_PORT 24960

/** A session. One process may have several, also with one driver. */
typedef struct alch_session alch_session_t;

/**
 * How to open a session. Fill it in with alch_session_options_init(), then
 * change what matters. Strings are borrowed until the function that takes the
 * struct returns.
 */
typedef struct {
    /** Set by alch_session_options_init(); lets later versions append members. */
    size_t struct_size;
    /** "host:port", "[v6]:port" or "host" (then port 24960). NULL: from the connection file. */
    const char *address;
    /** Path of a connection file. NULL: ALCHEMIST_CONNECTION, else the file of `address`, else the newest one of a
     *  running driver in the standard places, $XDG_RUNTIME_DIR/alchemist and ~/.alchemist. */
    const char *connection_file;
    /** The driver's token, 64 hexadecimal digits. NULL: from the connection file. */
    const char *token;
    /** Shown in the driver's log. NULL: the program's name. */
    const char *name;
    /** Limit for connecting and authenticating, to the driver or to a worker. Default 10000. */
    int connect_timeout_ms;
    /** Limit for the driver's answer to a request. Default 60000. */
    int request_timeout_ms;
    /** A transfer fails when one worker makes no progress for this time. Default 30000. */
    int transfer_timeout_ms;
    /** Largest message of a transfer, bytes: 64 KiB to 256 MiB. Default 4 MiB. alchemist-transfer(7) says what it
     *  changes. */
    int64_t message_bytes;
    /** Messages under way between a transfer and one worker: 1 to 64. Default 4. */
    int messages_in_flight;
    /** Threads of one transfer, never more than one per worker. 0: as many as this process has cores, at least 8; a
     *  transfer of less than 1 MiB has one, and each further MiB allows one more. Default 0. */
    int transfer_threads;
    /** 1: workers of this host are reached through shared memory where possible; 0: by TCP only. Default 1. */
    int shared_memory;
    /** A connection to a worker is kept for the next transfer. After this time without use it is closed, as soon as
     *  any connection is taken from the pool or given back. 0: none is kept. Default 30000. */
    int idle_timeout_ms;
    /** A CRC32C protects the payload of transfers: 1: on; 0: off; -1: as the library chooses, which is off. Default
     *  -1. */
    int checksum;
} alch_session_options_t;

/**
 * Fill in the defaults.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[out] options  not NULL
 */
void alch_session_options_init(alch_session_options_t *options);

/**
 * Connect to a driver, prove the token to each other, and open a session.
 *
 * The session has no workers yet. The token itself is never sent.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  options    borrowed; NULL: all defaults
 * @param[out] session_p  the session, owned by the caller
 * @param[out] err        details of a failure, or NULL
 *
 * @return ALCH_OK        the session is open
 * @return ALCH_ECONNECT  no driver listens there, no usable connection file was
 *                        found, or the driver is ending
 * @return ALCH_ETIMEDOUT there was no answer within connect_timeout_ms
 * @return ALCH_EAUTH     one side could not prove that it knows the token
 * @return ALCH_EVERSION  the two sides have no protocol version in common
 * @return ALCH_EPROTO    something other than a driver answers, or the
 *                        connection file is malformed
 * @return ALCH_ELIMIT    the driver has as many clients as --connections allows
 * @return ALCH_EINVAL    an address, a token or an option is malformed or out of
 *                        range; session_p is NULL
 * @return ALCH_ENOMEM    this process or the driver is out of memory
 * @return ALCH_ESYSTEM   a system call failed; the text says which
 */
int alch_session_open(const alch_session_options_t *options, alch_session_t **session_p, alch_error_t *err);

/**
 * Attach to a session of another process, on this or another host.
 *
 * The executor can create, write, read and list matrices, load libraries and
 * run tasks. It cannot request, move or yield workers. When the executor ends,
 * the session goes on; when the owner ends, the session ends for all.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  options    borrowed; NULL: all defaults; `token` is not used, and
 *                        with an `address` no connection file is read
 * @param[in]  id         alch_session_id() of the owner
 * @param[in]  key        alch_session_key() of the owner, 64 hexadecimal digits;
 *                        borrowed
 * @param[out] session_p  the executor's own handle, owned by the caller
 * @param[out] err        details of a failure, or NULL
 *
 * @return as alch_session_open(), and:
 * @return ALCH_EAUTH   the key is wrong, or the driver has no session `id`
 * @return ALCH_ENOENT  the session is ending
 */
int alch_session_attach(const alch_session_options_t *options, uint64_t id, const char *key,
                        alch_session_t **session_p, alch_error_t *err);

/**
 * End the session: the driver ends its workers, and with them its libraries,
 * matrices and tasks.
 *
 * Returns when the workers have exited. An executor's close ends its own
 * connection only. After the call, whatever it returned, other functions fail
 * with ALCH_ECONNECT; the caller still destroys the handle. A further call
 * does nothing and returns ALCH_OK.
 *
 * @collective  no
 * @threads     MT-Safe; requests of other threads fail with ALCH_ECONNECT
 * @param[in]  session  borrowed
 * @param[out] err      details of a failure, or NULL
 *
 * @return ALCH_OK      the session has ended
 * @return otherwise    a common error: the driver ends the session when it
 *                      notices the end of the connection
 */
int alch_session_close(alch_session_t *session, alch_error_t *err);

/**
 * Close without waiting, and free the handle.
 *
 * Destroy the matrix, library, task and transfer handles of the session before
 * it.
 *
 * @collective  no
 * @threads     no other thread may use the session any more
 * @param[in] session  owned by the caller until now; NULL is allowed
 */
void alch_session_destroy(alch_session_t *session);

/**
 * The session's id, which one driver never uses twice.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] session  not NULL
 * @return      the id, never 0
 */
uint64_t alch_session_id(const alch_session_t *session);

/**
 * The driver's address as "host:port".
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] session  not NULL
 * @return      a string that lives as long as the handle
 */
const char *alch_session_address(const alch_session_t *session);

/**
 * The driver's version, for example "0.1.0".
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] session  not NULL
 * @return      a string that lives as long as the handle
 */
const char *alch_session_server_version(const alch_session_t *session);

/**
 * The session's key, with which other processes attach. Keep it secret: it
 * gives access to everything in the session.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session  not NULL
 * @param[out] key      64 hexadecimal digits and a NUL
 */
void alch_session_key(const alch_session_t *session, char key[65]);

/** Which worker slots to list. */
typedef enum {
    ALCH_WORKERS_ALL = 0,
    ALCH_WORKERS_ACTIVE = 1,   /**< in use by any session: not idle */
    ALCH_WORKERS_INACTIVE = 2, /**< idle */
    ALCH_WORKERS_ASSIGNED = 3  /**< in the group of this session */
} alch_worker_filter_t;

/** The state of a worker slot. */
typedef enum {
    ALCH_WORKER_IDLE = 0,      /**< free for any session */
    ALCH_WORKER_STARTING = 1,  /**< its worker is being started */
    ALCH_WORKER_ACTIVE = 2,    /**< its worker serves a session */
    ALCH_WORKER_RELEASING = 3  /**< its worker is ending */
} alch_worker_state_t;

/** A worker slot. */
typedef struct {
    int id;                    /**< number of the slot, from 1 */
    int rank;                  /**< in the group of this session, from 0; -1: it serves no or another session */
    int port;                  /**< where its worker listens for transfers */
    alch_worker_state_t state;
    uint64_t session;          /**< id of the session that it serves; 0: none */
    int pid;                   /**< process id of the worker on its host; 0: there is none */
    char host[256];            /**< name of its host */
    char address[256];         /**< where this client reaches it, without the port */
} alch_worker_t;

/**
 * List worker slots.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session    borrowed
 * @param[in]  filter     which slots
 * @param[out] workers_p  array owned by the caller, who calls alch_workers_free()
 * @param[out] count_p    its length; 0 is possible
 * @param[out] err        details of a failure, or NULL
 *
 * @return ALCH_OK      *workers_p and *count_p are set
 * @return ALCH_EINVAL  the filter is unknown
 * @return otherwise    a common error
 */
int alch_session_list_workers(alch_session_t *session, alch_worker_filter_t filter,
                              alch_worker_t **workers_p, size_t *count_p, alch_error_t *err);

/**
 * Free the array of alch_session_list_workers().
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] workers  NULL is allowed
 */
void alch_workers_free(alch_worker_t *workers);

/**
 * Ask for a group of `count` workers, or resize the group to `count`.
 *
 * A new group is started when the session has none, lost it, or has one of
 * another size and no matrices. A further call with the same count waits again
 * while the group starts, and does nothing when the group is ready.
 * Libraries that were loaded are loaded again on the new group. Only the owner
 * may call this.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session     borrowed
 * @param[in]  count       workers, at least 1
 * @param[in]  timeout_ms  how long to wait now; 0: only start the group; -1: as
 *                         long as it takes
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK        the group is ready
 * @return ALCH_EAGAIN    the group is still starting: call again
 * @return ALCH_ENOSLOTS  too few slots are free; the text has the numbers
 * @return ALCH_EBUSY     the new size would lose matrices or end a task, or the
 *                        matrices are being moved; the text says which. See
 *                        alch_session_move_workers()
 * @return ALCH_EGROUP    the group did not start; the text says which rank and why
 * @return ALCH_ECANCELED meanwhile workers were yielded or a move was ended
 * @return ALCH_EPERM     this process is attached to the session
 * @return ALCH_ESTATE    the session is closing
 * @return ALCH_EINVAL    count is below 1
 * @return otherwise      a common error
 */
int alch_session_request_workers(alch_session_t *session, int count, int timeout_ms, alch_error_t *err);

/**
 * Resize the group to `count` workers and take the matrices along.
 *
 * Works like alch_session_request_workers(): a further call waits again. If the
 * session has no matrices, it does the same. Otherwise:
 *
 * - The driver starts a second group, so that free slots for the new workers
 *   are needed in addition to those of the old ones. The new workers reserve
 *   every matrix, read it from the old workers over their own connections, and
 *   then take the place of the old group.
 * - A matrix keeps its id, name, entries, kind of layout and block sizes. Its
 *   grid is the default one for the new number of workers. Entries that were
 *   not written stay unwritten.
 * - Handles remain valid, also those of other processes: each follows at its
 *   next transfer, or by alch_matrix_refresh(). Libraries are loaded again; the
 *   state that a library keeps in its workers is not moved.
 * - During the move matrices can be read and listed. Requests that create,
 *   change or free a matrix, run a task or load a library fail with ALCH_EBUSY.
 *   A read that is under way when the new group replaces the old one can fail
 *   with ALCH_ECONNECT or ALCH_EGROUP; it can be repeated at once.
 * - A new worker needs memory for its part of the matrices, a few hundred KiB,
 *   and one bit per entry of a matrix that is incomplete.
 * - If anything fails, the driver ends the new group; the old group and its
 *   matrices stay as they were. A request for as many workers as the old group
 *   has ends a move that is under way; callers that wait for the move get
 *   ALCH_ECANCELED.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session     borrowed
 * @param[in]  count       workers, at least 1
 * @param[in]  timeout_ms  how long to wait now; 0: only start the move; -1: as
 *                         long as it takes
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK        the matrices are on the new workers, and the old ones
 *                        have exited
 * @return ALCH_EAGAIN    not finished: call again, or ask
 *                        alch_session_move_progress()
 * @return ALCH_ENOSLOTS  too few slots are free in addition to the group's own;
 *                        the text has the numbers
 * @return ALCH_EBUSY     a task or a load has not ended, a matrix is being
 *                        created, changed or freed, or a move to another size is
 *                        under way; the text says which
 * @return ALCH_ELIMIT    a matrix does not fit into a new worker; the text names
 *                        the matrix, the worker and the limit
 * @return ALCH_EGROUP    a group was lost; the text says which rank and why
 * @return ALCH_ETIMEDOUT, ALCH_ECONNECT, ALCH_EAUTH
 *                        a new worker could not read from an old one, which the
 *                        text names
 * @return ALCH_ECANCELED the move was ended
 * @return ALCH_EPERM     this process is attached to the session
 * @return ALCH_ESTATE    the session is closing
 * @return ALCH_EINVAL    count is below 1
 * @return otherwise      a common error
 */
int alch_session_move_workers(alch_session_t *session, int count, int timeout_ms, alch_error_t *err);

/**
 * Get the progress of a move of the matrices.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session  borrowed
 * @param[out] done_p   bytes of entries that were moved; the copies of a
 *                      replicated layout count once. 0 if no move is under way
 * @param[out] total_p  bytes of entries to move. 0 if no move is under way
 * @param[out] err      details of a failure, or NULL
 *
 * @return ALCH_OK      a move is under way
 * @return ALCH_ESTATE  no matrices are being moved
 * @return ALCH_EGROUP  the session's group was lost
 * @return otherwise    a common error
 */
int alch_session_move_progress(alch_session_t *session, int64_t *done_p, int64_t *total_p, alch_error_t *err);

/**
 * Give workers back to the driver.
 *
 * Giving back all of them ends the group: its matrices are lost, and tasks and
 * a move that are under way fail. Giving back some of them replaces the group
 * by a new one on the slots that stay, which is possible only without matrices
 * and tasks. Only the owner may call this.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session  borrowed
 * @param[in]  ids      numbers of the slots to give back, borrowed; NULL: all
 * @param[in]  count    length of ids; 0 with ids other than NULL: do nothing
 * @param[out] err      details of a failure, or NULL
 *
 * @return ALCH_OK      the workers have exited, or there were none
 * @return ALCH_EBUSY   some workers would stay, and the session has matrices or
 *                      a task that has not ended; the text names them
 * @return ALCH_ENOENT  a slot is not assigned to this session
 * @return ALCH_ENOSLOTS, ALCH_EGROUP
 *                      the group of the slots that stay could not start
 * @return ALCH_EPERM   this process is attached to the session
 * @return otherwise    a common error
 */
int alch_session_yield_workers(alch_session_t *session, const int *ids, size_t count, alch_error_t *err);

/**
 * Have the driver echo a string: a test of the connection.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session  borrowed
 * @param[in]  text     UTF-8, at most 65536 bytes, borrowed
 * @param[out] reply_p  the echo, owned by the caller, who calls free()
 * @param[out] err      details of a failure, or NULL
 *
 * @return ALCH_OK      *reply_p is set
 * @return ALCH_EINVAL  the text is too long or not valid UTF-8
 * @return otherwise    a common error
 */
int alch_session_test_string(alch_session_t *session, const char *text, char **reply_p, alch_error_t *err);

#ifdef __cplusplus
}
#endif
#endif
