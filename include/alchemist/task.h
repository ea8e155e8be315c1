/**
 * @file alchemist/task.h
 * Tasks: calls of library functions on the workers, and their results.
 *
 * A function of a library runs on all workers of the session's group at once.
 * A call can take long, so it is a task: the client submits it, waits or
 * does other things, and takes the results.
 *
 * Terms:
 *
 *     task      one call. The tasks of a group run one after the other, in the
 *               order in which they were submitted
 *     result    a named value or matrix that the function returned
 *     progress  what the function reports while it runs
 *     note      a remark or a warning of the function, in addition to results
 *
 * One way to use this API is to build the arguments (library.h), to submit the
 * call, to wait for it, and to open its results. `A` is a matrix handle here:
 *
 *     alch_values_t *args = alch_values_create();
 *     alch_matrix_t *S = NULL;
 *     alch_task_t *task = NULL;
 *
 *     if (!args || alch_values_set_matrix(args, "A", alch_matrix_id(A)) ||
 *         alch_values_set_int(args, "rank", 2))
 *         fprintf(stderr, "out of memory\n");
 *     else if (alch_task_submit(session, "testlib", "truncated_svd", args, 0, &task, &err) ||
 *              alch_task_wait(task, -1, &err) || alch_task_matrix(task, "S", 0, &S, &err))
 *         fprintf(stderr, "%s: %s\n", alch_errname(err.code), err.text);
 *     alch_task_destroy(task);  // the result remains: read it with alch_matrix_read()
 *     alch_values_destroy(args);
 *
 * A task locks its argument matrices until it ends: they can be read, but not
 * written, grown, replaced or freed. Destroy handles of tasks before their
 * session; the task itself goes on without a handle.
 *
 * Common errors. Each function of this header that takes an `err` can return
 * the common errors of session.h.
 */
#ifndef ALCHEMIST_TASK_H
#define ALCHEMIST_TASK_H

#include <alchemist/library.h>
#include <alchemist/matrix.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A handle of a task. */
typedef struct alch_task alch_task_t;

/** States of a task, in this order; the last three are final. The values travel over the wire and never change. */
typedef enum {
    ALCH_TASK_QUEUED = 1,     /**< waits for the tasks before it */
    ALCH_TASK_RUNNING = 2,
    ALCH_TASK_CANCELLING = 3, /**< runs until its function notices the cancel */
    ALCH_TASK_DONE = 4,       /**< has results */
    ALCH_TASK_FAILED = 5,     /**< has an error */
    ALCH_TASK_CANCELED = 6
} alch_task_state_t;

/**
 * The name of a state, for example "running".
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      a static string, never NULL; "unknown" for other values
 */
const char *alch_task_state_name(alch_task_state_t state);

/** How far a task is. */
typedef struct {
    uint64_t id;
    alch_task_state_t state;
    double fraction; /**< 0 to 1 as the function reports it; -1: it does not report one */
    double seconds;  /**< running time so far, seconds */
    char text[256];  /**< what the function does now, for example "iteration 12, residual 3e-7" */
} alch_task_progress_t;

/**
 * Submit a call of a library function.
 *
 * The driver checks the arguments before any worker is asked, and converts them
 * as library.h says. The argument matrices are locked from now on.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session   borrowed
 * @param[in]  library   name of a library that is loaded, in any case; borrowed
 * @param[in]  function  name of its function, borrowed
 * @param[in]  args      arguments by name, borrowed; NULL: none
 * @param[in]  wait_ms   how long the answer may wait for the end of the task, so
 *                       that a short task needs a single round trip; 0: do not
 *                       wait; -1 and more than 20000 count as 20000
 * @param[out] task_p    handle owned by the caller
 * @param[out] err       details of a failure, or NULL
 *
 * @return ALCH_OK          the task was submitted; alch_task_wait() has its outcome
 * @return ALCH_ENOENT      the library, the function, a parameter or a matrix is
 *                          unknown; the text names it
 * @return ALCH_ETYPE       an argument is missing, or its type or value does not
 *                          fit the parameter
 * @return ALCH_EINCOMPLETE an argument matrix is not completely written; the text
 *                          says what is missing
 * @return ALCH_EBUSY       an argument matrix is being given more rows or replaced,
 *                          or the matrices are being moved
 * @return ALCH_ELIMIT      the arguments take more than 1 MiB: send large data as a
 *                          matrix
 * @return ALCH_ESTATE      the session has no workers, or they are still starting
 * @return ALCH_EGROUP      the worker group was lost
 * @return otherwise        a common error
 */
int alch_task_submit(alch_session_t *session, const char *library, const char *function, const alch_values_t *args,
                     int wait_ms, alch_task_t **task_p, alch_error_t *err);

/**
 * Wait for the end of a task.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  task        borrowed
 * @param[in]  timeout_ms  how long to wait; 0: only ask; -1: as long as it takes
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK        the task is done, and alch_task_results() has its results
 * @return ALCH_EAGAIN    the task has not ended
 * @return ALCH_ECANCELED the task was canceled
 * @return ALCH_EGROUP    the worker group ended; the text says which rank ended it
 *                        and how (signal or exit status), with the last lines that
 *                        the rank printed
 * @return ALCH_ENOENT    the driver has forgotten the task: it keeps the last 1000
 *                        tasks of a session that ended
 * @return otherwise      the function's own error, where err->rank is the worker
 *                        rank that decided it; or a common error
 */
int alch_task_wait(alch_task_t *task, int timeout_ms, alch_error_t *err);

/**
 * The state of a task, with the last progress that its function reported. Asks
 * the driver, unless the task is known to have ended.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  task        borrowed
 * @param[out] progress_p  written on success only
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK      *progress_p is set, whatever the state is
 * @return ALCH_ENOENT  as alch_task_wait()
 * @return otherwise    a common error
 */
int alch_task_progress(alch_task_t *task, alch_task_progress_t *progress_p, alch_error_t *err);

/**
 * Ask a task to end.
 *
 * A queued task ends at once. A running task ends at the next point where its
 * function looks for a cancel. Does nothing if the task has ended.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  task  borrowed
 * @param[in]  hard  true: end a running task at once by ending the worker group,
 *                   which loses all matrices; the task's error names them
 * @param[out] err   details of a failure, or NULL
 *
 * @return ALCH_OK      the driver has the request; alch_task_wait() reports the end
 * @return ALCH_ENOENT  as alch_task_wait()
 * @return otherwise    a common error
 */
int alch_task_cancel(alch_task_t *task, bool hard, alch_error_t *err);

/**
 * The id of the task, which one driver never uses twice.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] task  not NULL
 * @return      the id
 */
uint64_t alch_task_id(const alch_task_t *task);

/**
 * The results of a task, in the order of the function's signature.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] task  not NULL
 * @return      owned by the handle, lives as long as it; NULL before a wait, or
 *              another call, has seen that the task is done
 */
const alch_values_t *alch_task_results(const alch_task_t *task);

/**
 * Make a handle for a matrix among the results of a task.
 *
 * Works like alch_matrix_open() with the id of the result, but usually needs no
 * round trip: the description came with the results, and describes the matrix as
 * it was then.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  task      borrowed
 * @param[in]  name      of the result, borrowed
 * @param[in]  index     within a list; 0 for a single matrix
 * @param[out] matrix_p  handle owned by the caller
 * @param[out] err       details of a failure, or NULL
 *
 * @return ALCH_OK      *matrix_p is set
 * @return ALCH_ESTATE  the task has no results, or is not known to be done
 * @return ALCH_ENOENT  there is no result of this name or index, or the matrix was
 *                      freed meanwhile
 * @return ALCH_ETYPE   the result is not a matrix
 * @return otherwise    as alch_matrix_open()
 */
int alch_task_matrix(const alch_task_t *task, const char *name, size_t index, alch_matrix_t **matrix_p,
                     alch_error_t *err);

/**
 * Note `index` of a task that is done, in the order in which its function made
 * them.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  task    not NULL
 * @param[in]  index   from 0
 * @param[out] kind_p  a remark or a warning; NULL is allowed
 *
 * @return the text, owned by the handle, lives as long as it; NULL after the last
 *         note, and if the task is not known to be done
 */
const char *alch_task_note(const alch_task_t *task, size_t index, alch_note_kind_t *kind_p);

/** Flags of alch_matrix_transform_submit(). */
#define ALCH_TRANSFORM_TRANSPOSE 1u /**< rows become columns */
#define ALCH_TRANSFORM_CONJUGATE 2u /**< conjugate complex entries; others stay as they are */
#define ALCH_TRANSFORM_UNSAFE 4u    /**< floats may become integers: fractions are cut off towards zero */
#define ALCH_TRANSFORM_IN_PLACE 8u  /**< the result replaces the matrix and keeps its id */

/**
 * Submit a task that makes a matrix from a matrix on the workers: in another
 * layout, with another entry type, transposed, or as a plain copy.
 *
 * The result is the matrix "B". The task can be waited for and canceled like any
 * other.
 *
 * Types: integers become integers, floats or complex; floats become floats or
 * complex, and integers only with ALCH_TRANSFORM_UNSAFE; complex entries become
 * complex only. Values are rounded to the nearest one that the new type has. A
 * value outside the range of the new type fails the task.
 *
 * Memory: each worker needs room for its parts of both matrices, and for at most
 * two buffers of 2 MiB and about 1.3 MiB of lists, whatever the sizes are.
 *
 * In place: "B" has the id of the matrix itself. The memory of the old entries is
 * freed once all workers have the new ones; if the task fails or is canceled, the
 * matrix is as it was. No other task may use the matrix meanwhile. Handles have
 * the old layout until alch_matrix_refresh(): their transfers fail with
 * ALCH_ESTATE.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  matrix  borrowed
 * @param[in]  layout  of the result, borrowed; NULL: that of the matrix
 * @param[in]  dtype   of the result; 0: that of the matrix
 * @param[in]  flags   ALCH_TRANSFORM_*, or 0
 * @param[in]  name    of the result, at most 63 bytes, borrowed; NULL: none, or in
 *                     place the old one
 * @param[out] task_p  handle owned by the caller
 * @param[out] err     details of a failure, or NULL
 *
 * @return ALCH_OK          the task was submitted. alch_task_wait() can then return
 *                          ALCH_ELIMIT or ALCH_ENOMEM (a worker has no room),
 *                          ALCH_ERANGE (a value does not fit; the text has its row
 *                          and column) and ALCH_ECANCELED
 * @return ALCH_EINVAL      the layout, the type or a flag is unknown, the grid has
 *                          more places than the group workers, or the name is too
 *                          long
 * @return ALCH_ETYPE       complex to real, or floats to integers without UNSAFE
 * @return ALCH_EINCOMPLETE the matrix is not completely written; the text says what
 *                          is missing
 * @return ALCH_EBUSY       (in place) a task uses the matrix, which the text names;
 *                          or the matrix is being given more rows or replaced, or
 *                          the matrices are being moved
 * @return ALCH_ENOENT      the matrix was freed
 * @return ALCH_ESTATE      the session has no workers, or they are still starting
 * @return ALCH_EGROUP      the worker group was lost
 * @return otherwise        a common error
 */
int alch_matrix_transform_submit(alch_matrix_t *matrix, const alch_layout_t *layout, alch_dtype_t dtype, unsigned flags,
                                 const char *name, alch_task_t **task_p, alch_error_t *err);

/**
 * Free the handle of a task; the task goes on.
 *
 * @collective  no
 * @threads     no other thread may use the handle any more
 * @param[in] task  owned by the caller until now; NULL is allowed
 */
void alch_task_destroy(alch_task_t *task);

#ifdef __cplusplus
}
#endif
#endif
