/**
 * @file task.h
 * Calls of library functions: submit, wait, progress, cancel, results.
 */
#ifndef ALCHEMIST_TASK_H
#define ALCHEMIST_TASK_H

#include <alchemist/library.h>
#include <alchemist/matrix.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct alch_task alch_task_t;

typedef enum {
    ALCH_TASK_QUEUED = 1,
    ALCH_TASK_RUNNING = 2,
    ALCH_TASK_CANCELLING = 3,
    ALCH_TASK_DONE = 4,
    ALCH_TASK_FAILED = 5,
    ALCH_TASK_CANCELED = 6
} alch_task_state_t;

/** "running" for example. @threads MT-Safe */
const char *alch_task_state_name(alch_task_state_t state);

typedef struct {
    uint64_t id;
    alch_task_state_t state;
    double fraction; /**< 0..1 as the function reports it, -1 if it does not */
    double seconds;  /**< running time so far, on the workers */
    char text[256];  /**< what it does now, "iteration 12, residual 3e-7" */
} alch_task_progress_t;

/**
 * Submit a call; it runs on all workers of the group after those submitted
 * before it. Its input matrices cannot be written or freed until it ends.
 *
 * @threads           MT-Safe
 * @param[in]  args      borrowed; NULL: none
 * @param[in]  wait_ms   how long to wait for its end in the same round trip
 * @param[out] task_p    owned by the caller
 * @return ALCH_OK          submitted (not: finished)
 * @return ALCH_ENOENT      unknown library, function, parameter or matrix: the text names it
 * @return ALCH_ETYPE       wrong count or type of parameters
 * @return ALCH_EINCOMPLETE an input matrix is not completely written: the text says what is missing
 * @return ALCH_EBUSY       a matrix is in conflicting use: the text names the task
 * @return ALCH_ESTATE      no workers; ALCH_EGROUP the group is gone
 */
int alch_task_submit(alch_session_t *session, const char *library, const char *function, const alch_values_t *args,
                     int wait_ms, alch_task_t **task_p, alch_error_t *err);

/**
 * Wait for the end of a task.
 *
 * @threads  MT-Safe
 * @return ALCH_OK         done, results are there
 * @return ALCH_EAGAIN     not finished within timeout_ms (0: only ask; -1: as long as it takes)
 * @return ALCH_ECANCELED  canceled
 * @return ALCH_EGROUP     the group died: the text says which rank and which signal or exit
 *                         code, with the last lines it logged
 * @return otherwise       the function's own error; err->rank says who decided it
 */
int alch_task_wait(alch_task_t *task, int timeout_ms, alch_error_t *err);

/** State, fraction and text; one round trip unless the task has ended. */
int alch_task_progress(alch_task_t *task, alch_task_progress_t *progress_p, alch_error_t *err);

/**
 * Ask a task to end. A queued one ends at once; a running one at the next point
 * where its function looks. `hard` ends the whole group with all its matrices,
 * which the task's error then names.
 */
int alch_task_cancel(alch_task_t *task, bool hard, alch_error_t *err);

uint64_t alch_task_id(const alch_task_t *task);

/** Results of a task that is done, in the order of the signature; NULL before. Lives as long as the handle. */
const alch_values_t *alch_task_results(const alch_task_t *task);

/**
 * A handle of a matrix among the results of a task that is done, as the matrix was when its end became known here.
 *
 * As alch_matrix_open() with the id that the results have, mostly without asking the driver.
 *
 * @threads              MT-Safe
 * @param[in]  name      of the result
 * @param[in]  index     within a list; 0 for a single matrix
 * @param[out] matrix_p  owned by the caller
 * @return ALCH_ESTATE the task is not done; ALCH_ENOENT or ALCH_ETYPE as alch_values_get_matrix();
 *         otherwise as alch_matrix_open()
 */
int alch_task_matrix(const alch_task_t *task, const char *name, size_t index, alch_matrix_t **matrix_p,
                     alch_error_t *err);

/**
 * What the function of a task that is done had to say: note `index`, in the order in which they were made.
 *
 * @threads            MT-Safe
 * @param[out] kind_p  or NULL
 * @return the text, which lives as long as the handle; NULL past the end, and before the task is done
 */
const char *alch_task_note(const alch_task_t *task, size_t index, alch_note_kind_t *kind_p);

/** What alch_matrix_transform_submit() does beyond a new layout and type. */
#define ALCH_TRANSFORM_TRANSPOSE 1u /**< rows become columns */
#define ALCH_TRANSFORM_CONJUGATE 2u /**< of complex entries; others stay as they are */
#define ALCH_TRANSFORM_UNSAFE 4u    /**< floats may become integers: fractions are cut off towards zero */
#define ALCH_TRANSFORM_IN_PLACE 8u  /**< the result takes the matrix's place and id */

/**
 * Make a matrix from a matrix on the workers: in another layout, with other entries, transposed, or just a copy.
 *
 * A task like any other: wait, progress, cancel. Its result is the matrix "B". In place, B has the id of the matrix
 * itself, whose memory is freed once all workers have the new one; on failure or cancel the matrix is as it was. No
 * other task can have the matrix meanwhile. Other handles, and this one until alch_matrix_refresh(), know the old
 * layout: their transfers are refused with ALCH_ESTATE.
 * Each worker needs room for its parts of both, and at most 2 buffers of 2 MiB and 6 MiB of lists, whatever the sizes.
 *
 * Types: integers become integers, floats or complex; floats become floats or complex, integers only if UNSAFE; complex
 * become complex alone. A value that the new type cannot hold fails the task; rounding is to nearest.
 *
 * @threads            MT-Safe
 * @param[in]  layout  borrowed; NULL: the matrix's own
 * @param[in]  dtype   0: the matrix's own
 * @param[in]  flags   ALCH_TRANSFORM_*
 * @param[in]  name    of the result, at most 63 bytes; NULL: none, or in place the old one
 * @param[out] task_p  owned by the caller
 * @return ALCH_OK          submitted. alch_task_wait() then: ALCH_ELIMIT no room; ALCH_ERANGE a value does not fit, the
 *                          text has its place; ALCH_ECANCELED
 * @return ALCH_EINVAL      unknown layout, type or flag; a grid larger than the group
 * @return ALCH_ETYPE       complex to real, or floats to integers without UNSAFE
 * @return ALCH_EINCOMPLETE the matrix is not completely written: the text says what is missing
 * @return ALCH_EBUSY       in place: another task uses the matrix, the text names it
 * @return ALCH_ENOENT      freed; ALCH_ESTATE no workers; ALCH_EGROUP the group is gone
 */
int alch_matrix_transform_submit(alch_matrix_t *matrix, const alch_layout_t *layout, alch_dtype_t dtype, unsigned flags,
                                 const char *name, alch_task_t **task_p, alch_error_t *err);

/** Free the handle; the task goes on. NULL is allowed. */
void alch_task_destroy(alch_task_t *task);

#ifdef __cplusplus
}
#endif
#endif
