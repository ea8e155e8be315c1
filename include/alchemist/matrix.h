/**
 * @file matrix.h
 * Distributed matrices: create, write, read, list, free.
 *
 * A handle (alch_matrix_t) is a name for a matrix whose entries live on the
 * workers of its session. Destroying a handle frees nothing on the workers;
 * alch_matrix_free() does. Handles must be destroyed before their session.
 *
 * Besides what they list, all functions that talk to a server can return
 * ALCH_ECONNECT, ALCH_ETIMEDOUT, ALCH_EFORKED, ALCH_EPROTO, ALCH_ENOMEM and
 * ALCH_EGROUP (the worker group is gone; the text says why).
 */
#ifndef ALCHEMIST_MATRIX_H
#define ALCHEMIST_MATRIX_H

#include <alchemist/layout.h>
#include <alchemist/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct alch_matrix alch_matrix_t;

typedef struct {
    uint64_t id;           /**< never reused by one driver */
    int64_t rows, cols;
    alch_dtype_t dtype;
    alch_layout_t layout;  /**< with nothing left to choose: block sizes and grid as used */
    int workers;           /**< ranks of the group */
    int replicas;          /**< how many workers hold each entry */
    int64_t bytes;         /**< rows * cols * entry size, one copy */
    char name[64];
    char busy[128];        /**< "" or what uses it now, "read by task 7 (truncated_svd)" */
} alch_matrix_info_t;

/**
 * Create a matrix; its entries are not written yet.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  rows, cols  >= 0
 * @param[in]  layout      borrowed; NULL: default
 * @param[in]  name        borrowed, at most 63 bytes; NULL: none
 * @param[out] matrix_p    handle owned by the caller
 * @return ALCH_OK
 * @return ALCH_EINVAL   negative size, unknown dtype or layout, grid larger than the group
 * @return ALCH_ELIMIT   a worker's share is over its memory limit; nothing was allocated;
 *                       the text has the worker, the need, the limit and the setting
 * @return ALCH_ESTATE   the session has no workers
 */
int alch_matrix_create(alch_session_t *session, int64_t rows, int64_t cols, alch_dtype_t dtype,
                       const alch_layout_t *layout, const char *name, alch_matrix_t **matrix_p,
                       alch_error_t *err);

/** A handle for the matrix `id`, a task's result for example. @return ALCH_ENOENT no such matrix */
int alch_matrix_open(alch_session_t *session, uint64_t id, alch_matrix_t **matrix_p, alch_error_t *err);

/** Free the matrix on the workers. The handle remains to be destroyed.
 *  @return ALCH_EBUSY a task or transfer uses it: the text names it; ALCH_ENOENT freed before */
int alch_matrix_free(alch_matrix_t *matrix, alch_error_t *err);

/** Free the handle alone. NULL is allowed. */
void alch_matrix_destroy(alch_matrix_t *matrix);

/** Never changes. @threads MT-Safe */
uint64_t alch_matrix_id(const alch_matrix_t *matrix);

/**
 * Append rows to a matrix; its entries stay where they are and written ones stay written.
 *
 * The workers keep room to spare, so that many small growths move the entries a few times only; the move needs memory
 * for both places. All workers give the room, or the matrix stays as it was. The facts of this handle follow; other
 * handles of the matrix keep the rows that they know, all of which are still there.
 *
 * @collective  no; of several clients that append, each owns the last `rows` rows of the facts that it gets
 * @threads     not while a transfer of this handle is being started
 * @param[in]  rows  how many more, >= 0; 0: only learn how many there are now
 * @return ALCH_OK
 * @return ALCH_EBUSY   a task, a transfer or another growth uses the matrix; the text says which
 * @return ALCH_EINVAL  negative, or more than a matrix can have
 * @return ALCH_ELIMIT  a worker's share would be over its memory limit; the text has the numbers
 * @return ALCH_ENOENT  freed
 * @return ALCH_ESTATE  the matrix has another layout by now: open it again
 */
int alch_matrix_grow(alch_matrix_t *matrix, int64_t rows, alch_error_t *err);

/** What the driver knows of the matrix now. @return ALCH_ENOENT freed */
int alch_matrix_info(const alch_matrix_t *matrix, alch_matrix_info_t *info_p, alch_error_t *err);

/**
 * What the handle knows of the matrix: no round trip. That is what was true when it was made, until alch_matrix_grow()
 * or alch_matrix_refresh() of this handle, or the start of a transfer or alch_matrix_missing() that find the matrix on
 * other workers (alch_session_move_workers()), learn more: then the same struct changes.
 *
 * @threads  MT-Safe but beside those: while one of them runs, copy nothing out of it
 * @return the handle's own, never NULL
 */
const alch_matrix_info_t *alch_matrix_facts(const alch_matrix_t *matrix);

/**
 * Learn what the matrix is now: alch_matrix_facts() follows, after alch_matrix_transform_submit() in place for example.
 *
 * @threads  not while a transfer of this handle is under way
 * @return ALCH_OK; ALCH_ENOENT freed
 */
int alch_matrix_refresh(alch_matrix_t *matrix, alch_error_t *err);

/** List the session's matrices, in the order of their ids. infos_p is owned by the caller: free(). */
int alch_matrix_list(alch_session_t *session, alch_matrix_info_t **infos_p, size_t *count_p, alch_error_t *err);

/** Handles of all the session's matrices, in the order of their ids. matrices_p is owned by the caller, who destroys each
 *  handle and then calls free(). */
int alch_matrix_open_all(alch_session_t *session, alch_matrix_t ***matrices_p, size_t *count_p, alch_error_t *err);

/** Times of one transfer with one worker, summed over its messages; seconds. */
typedef struct {
    int worker;          /**< rank */
    int slot;            /**< slot, from 1 */
    int64_t bytes;
    int64_t messages;
    double serialize;    /**< packing at the sending side */
    double send;         /**< in system calls of the sending side */
    double receive;      /**< in system calls of the receiving side */
    double deserialize;  /**< unpacking at the receiving side */
} alch_timing_t;

/** A transfer under way. It borrows the matrix and the data until destroyed. */
typedef struct alch_transfer alch_transfer_t;

/**
 * Start writing a rectangle of entries into a matrix.
 *
 * Entry (i, j) of the rectangle is read at data + i*row_stride + j*col_stride
 * (strides in entries of the matrix's dtype, may be negative or 0), so C
 * order, Fortran order, slices and transposes are all sent as they lie. The
 * entries have the matrix's dtype.
 *
 * @collective  no; any number of processes may write disjoint rectangles
 * @threads     MT-Safe on one session; two writers of one entry race
 * @param[in]  rect        borrowed; NULL: the whole matrix
 * @param[in]  data        borrowed until the transfer is destroyed
 * @param[out] transfer_p  owned by the caller
 * @return ALCH_OK      the transfer goes on in the background
 * @return ALCH_ERANGE  the rectangle leaves the matrix
 * @return ALCH_EAUTH   a worker could not prove who it is
 */
int alch_matrix_write_start(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data,
                            int64_t row_stride, int64_t col_stride, alch_transfer_t **transfer_p,
                            alch_error_t *err);

/**
 * Start writing what the workers do not have yet of a rectangle: the rest of a transfer that was interrupted.
 *
 * As alch_matrix_write_start(), with the same rectangle and data as before; asks the workers first, then sends only
 * what is missing (if that is scattered into thousands of places, some of their surroundings too). Total progress is
 * what is sent now.
 */
int alch_matrix_write_missing_start(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data,
                                    int64_t row_stride, int64_t col_stride, alch_transfer_t **transfer_p,
                                    alch_error_t *err);

/**
 * Which entries are not written yet, or not on every worker that shall hold them.
 *
 * @threads  MT-Safe; what is being written meanwhile may count either way
 * @param[out] rects    disjoint global rectangles that cover all that is missing, and nothing else unless more than
 *                      `max` (or thousands) were needed for that
 * @param[in]  max      >= 1
 * @param[out] count_p  how many; 0: the matrix is complete
 * @return ALCH_OK, and what transfers return
 */
int alch_matrix_missing(alch_matrix_t *matrix, alch_rect_t *rects, size_t max, size_t *count_p, alch_error_t *err);

/** Start reading a rectangle: as alch_matrix_write_start(), the other way. */
int alch_matrix_read_start(alch_matrix_t *matrix, const alch_rect_t *rect, void *data, int64_t row_stride,
                           int64_t col_stride, alch_transfer_t **transfer_p, alch_error_t *err);

/**
 * A process's own piece of a block-cyclic matrix, as a ScaLAPACK descriptor and
 * its BLACS grid describe it. The descriptor's matrix is m x n, and its first
 * entry is entry (i0, j0) of the Alchemist matrix.
 */
typedef struct {
    int64_t m, n;     /**< M_, N_ */
    int64_t mb, nb;   /**< MB_, NB_ */
    int rsrc, csrc;   /**< RSRC_, CSRC_ */
    int nprow, npcol; /**< the grid */
    int myrow, mycol; /**< this process's place in it; -1: none, it has no entries */
    int64_t lld;      /**< LLD_, entries */
    int64_t i0, j0;
} alch_local_t;

/**
 * Start writing this process's piece of a matrix of a parallel program.
 *
 * Each process of the program attaches to the session (alch_session_attach())
 * and calls this with its own piece; the entries go straight to the workers
 * that own them, whatever the two grids and block sizes are. No MPI is used
 * and no process waits for another: the matrix is complete when all have
 * ended theirs.
 *
 * @collective  no
 * @threads     MT-Safe on one session
 * @param[in]  piece       copied
 * @param[in]  local       column-major with leading dimension lld, entries of the
 *                         matrix's dtype; borrowed until the transfer is destroyed
 * @param[out] transfer_p  owned by the caller
 * @return as alch_matrix_write_start(); ALCH_EINVAL: a grid, a block size or lld that
 *         cannot be, the text says which; ALCH_ERANGE: the descriptor's matrix leaves
 *         the matrix
 */
int alch_matrix_write_local_start(alch_matrix_t *matrix, const alch_local_t *piece, const void *local,
                                  alch_transfer_t **transfer_p, alch_error_t *err);

/** Start reading this process's piece: as alch_matrix_write_local_start(), the other way. */
int alch_matrix_read_local_start(alch_matrix_t *matrix, const alch_local_t *piece, void *local,
                                 alch_transfer_t **transfer_p, alch_error_t *err);

/**
 * Wait for the end of a transfer.
 *
 * @threads  MT-Safe
 * @return ALCH_OK          every entry is stored (write) or in the buffer (read)
 * @return ALCH_EAGAIN      not finished within timeout_ms (0: only ask; -1: as long as it takes)
 * @return ALCH_ESTATE      the matrix was replaced in place since the handle was made: alch_matrix_refresh()
 * @return ALCH_ETIMEDOUT   a worker made no progress for transfer_timeout_ms; the text names it;
 *                          the rectangle counts as unwritten
 * @return ALCH_ECANCELED   alch_transfer_cancel() was called
 * @return ALCH_EBUSY       a task uses the matrix; the text names it
 * @return ALCH_EINCOMPLETE (read) part of the rectangle was never written; the text says which
 * @return ALCH_EDAMAGED    with the session's `checksum`: a message was damaged on the way in each of four attempts; the
 *                          text names worker, matrix and rectangle. Before that what was damaged is silently moved
 *                          again (alch_transfer_resent()) and the worker logs a line. Data goes straight into place and
 *                          is checked there: what was damaged at last is undefined, in the buffer of a read and in the
 *                          matrix. Entries that were unwritten stay so; entries that were written before are not
 *                          taken back: like those of any write that did not end well, they count as written and are
 *                          what came last, until they are written again
 * @return ALCH_EGROUP, ALCH_ECONNECT  a worker is gone
 */
int alch_transfer_wait(alch_transfer_t *transfer, int timeout_ms, alch_error_t *err);

/** Bytes done and in all; those of a message that arrived damaged are taken back. @threads MT-Safe */
void alch_transfer_progress(const alch_transfer_t *transfer, int64_t *done_p, int64_t *total_p);

/** Messages that were damaged on the way, which the session's `checksum` shows, and were moved once more.
 *  @threads MT-Safe */
int64_t alch_transfer_resent(const alch_transfer_t *transfer);

/** Ask the transfer to end at the next frame boundary; returns at once. @threads MT-Safe */
void alch_transfer_cancel(alch_transfer_t *transfer);

/** Times per worker; valid after the end. Returns how many there are and writes at most `max`. */
size_t alch_transfer_timings(const alch_transfer_t *transfer, alch_timing_t *timings, size_t max);

/** Cancel if needed, wait until the buffer is no longer touched, free. NULL is allowed. */
void alch_transfer_destroy(alch_transfer_t *transfer);

/** alch_matrix_write_start(), wait, destroy. */
int alch_matrix_write(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data, int64_t row_stride,
                      int64_t col_stride, alch_error_t *err);

/** alch_matrix_read_start(), wait, destroy. */
int alch_matrix_read(alch_matrix_t *matrix, const alch_rect_t *rect, void *data, int64_t row_stride,
                     int64_t col_stride, alch_error_t *err);

#ifdef __cplusplus
}
#endif
#endif
