/**
 * @file alchemist/matrix.h
 * Distributed matrices: create, write, read, list, free.
 *
 * A matrix is stored in the memory of a session's workers, distributed over them
 * by its layout (layout.h). Clients name entries by global rows and columns,
 * counted from 0, and need not know which worker stores an entry.
 *
 * Terms:
 *
 *     matrix     rows x cols entries of one type on the workers; it has an id
 *     handle     alch_matrix_t: this process's name for a matrix. Several
 *                handles and several processes may name one matrix
 *     transfer   a copy of entries between the client's memory and the workers,
 *                over one connection to each worker, in background threads
 *     written    an entry that a client wrote, or that a library computed. Only
 *                written entries can be read, and only a matrix whose entries
 *                are all written can be an argument of a task
 *
 * One way to use this API is to create a matrix, write all of it, and read a
 * part back. Strides are in entries: an array in C order with 3 columns has
 * row stride 3 and column stride 1.
 *
 *     double a[4][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}}, b[2][3];
 *     const alch_rect_t rows = {2, 0, 2, 3};  // rows 2 and 3, all columns
 *     alch_matrix_t *matrix = NULL;
 *
 *     if (alch_matrix_create(session, 4, 3, ALCH_FLOAT64, NULL, "A", &matrix, &err) ||
 *         alch_matrix_write(matrix, NULL, a, 3, 1, &err) ||
 *         alch_matrix_read(matrix, &rows, b, 3, 1, &err))
 *         fprintf(stderr, "%s: %s\n", alch_errname(err.code), err.text);
 *     alch_matrix_free(matrix, NULL);  // frees the entries on the workers
 *     alch_matrix_destroy(matrix);     // frees the handle
 *
 * Destroying a handle frees nothing on the workers; alch_matrix_free() does.
 * Destroy handles before their session.
 *
 * Common errors. Each function of this header that takes an `err` can return
 * the common errors of session.h, and if it needs the workers:
 *
 *     ALCH_EGROUP  the worker group was lost, and the matrix with it; the text
 *                  says why
 */
#ifndef ALCHEMIST_MATRIX_H
#define ALCHEMIST_MATRIX_H

#include <alchemist/layout.h>
#include <alchemist/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A handle of a matrix. */
typedef struct alch_matrix alch_matrix_t;

/** The description of a matrix. */
typedef struct {
    uint64_t id;           /**< one driver never uses an id twice */
    int64_t rows, cols;
    alch_dtype_t dtype;
    alch_layout_t layout;  /**< if block-cyclic: with the block sizes and the grid in use */
    int workers;           /**< ranks of the group that holds it */
    int replicas;          /**< copies of each entry */
    int64_t bytes;         /**< of one copy: rows * cols * size of an entry */
    char name[64];         /**< "" if it has none */
    char busy[128];        /**< "", or the use that locks it now, "read by task 7 (testlib.truncated_svd)" */
} alch_matrix_info_t;

/**
 * Create a matrix. Its entries are not written yet.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session     borrowed
 * @param[in]  rows, cols  >= 0
 * @param[in]  dtype       type of the entries
 * @param[in]  layout      borrowed; NULL: the default
 * @param[in]  name        UTF-8, at most 63 bytes, borrowed; NULL: none
 * @param[out] matrix_p    handle owned by the caller
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK      every worker has allocated its part
 * @return ALCH_EINVAL  a size is negative or too large, the type or the layout
 *                      is unknown, the grid has more places than the group
 *                      workers, or the name is too long
 * @return ALCH_ELIMIT  a worker's part exceeds its memory limit, and nothing was
 *                      allocated; the text names the worker, the need, the limit
 *                      and the setting
 * @return ALCH_ENOMEM  a worker could not allocate its part, or as session.h says
 * @return ALCH_ESTATE  the session has no workers, they are still starting, or
 *                      the session is closing
 * @return ALCH_EBUSY   the session's matrices are being moved to other workers
 * @return otherwise    a common error
 */
int alch_matrix_create(alch_session_t *session, int64_t rows, int64_t cols, alch_dtype_t dtype,
                       const alch_layout_t *layout, const char *name, alch_matrix_t **matrix_p,
                       alch_error_t *err);

/**
 * Make a handle for the matrix `id`, for example one that another process made.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session   borrowed
 * @param[in]  id        of a matrix of this session
 * @param[out] matrix_p  handle owned by the caller
 * @param[out] err       details of a failure, or NULL
 *
 * @return ALCH_OK      *matrix_p is set
 * @return ALCH_ENOENT  the session has no such matrix
 * @return otherwise    a common error
 */
int alch_matrix_open(alch_session_t *session, uint64_t id, alch_matrix_t **matrix_p, alch_error_t *err);

/**
 * Free the matrix on the workers. The caller still destroys the handle.
 *
 * A transfer of the matrix that is under way can fail with ALCH_ENOENT.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  matrix  borrowed
 * @param[out] err     details of a failure, or NULL
 *
 * @return ALCH_OK      the matrix is freed; if its group was lost: forgotten
 * @return ALCH_EBUSY   a task or a move reads the matrix, or it is being given
 *                      more rows or replaced; the text says which
 * @return ALCH_ENOENT  the matrix was freed before
 * @return otherwise    a common error
 */
int alch_matrix_free(alch_matrix_t *matrix, alch_error_t *err);

/**
 * Free the handle alone.
 *
 * @collective  no
 * @threads     no other thread or transfer may use the handle any more
 * @param[in] matrix  owned by the caller until now; NULL is allowed
 */
void alch_matrix_destroy(alch_matrix_t *matrix);

/**
 * The id of the matrix, which never changes.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] matrix  not NULL
 * @return      the id
 */
uint64_t alch_matrix_id(const alch_matrix_t *matrix);

/**
 * Append rows to a matrix.
 *
 * Written entries stay written; the new ones are not written. The workers
 * allocate spare room, so that many small growths copy the entries only a few
 * times; for such a copy a worker needs memory for the old and the new place.
 * Either all workers provide the room, or the matrix stays as it was. The description of this handle is
 * updated; other handles keep their former number of rows, all of which still
 * exist.
 *
 * @collective  no; when several clients append, each owns the last `rows` rows
 *              of the description that it gets
 * @threads     MT-Safe, but not while a transfer of this handle is being started
 *              or another thread reads alch_matrix_facts()
 * @param[in]  matrix  borrowed
 * @param[in]  rows    rows to append, >= 0; 0: only update the number of rows
 * @param[out] err     details of a failure, or NULL
 *
 * @return ALCH_OK      the matrix has the rows
 * @return ALCH_EBUSY   a task, a transfer, a move or another growth uses the
 *                      matrix; the text says which
 * @return ALCH_EINVAL  `rows` is negative, or larger than a matrix can be
 * @return ALCH_ELIMIT  a worker's part would exceed its memory limit; the text has
 *                      the numbers
 * @return ALCH_ENOMEM  a worker could not allocate the room, or as session.h says
 * @return ALCH_ENOENT  the matrix was freed
 * @return ALCH_ESTATE  the matrix was replaced in place after the handle got its
 *                      description (alch_matrix_refresh(), then try again), or
 *                      the session has no workers
 * @return otherwise    a common error
 */
int alch_matrix_grow(alch_matrix_t *matrix, int64_t rows, alch_error_t *err);

/**
 * Ask the driver for the description of the matrix. The handle does not change.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  matrix  borrowed
 * @param[out] info_p  written on success only
 * @param[out] err     details of a failure, or NULL
 *
 * @return ALCH_OK      *info_p is set
 * @return ALCH_ENOENT  the matrix was freed
 * @return otherwise    a common error
 */
int alch_matrix_info(const alch_matrix_t *matrix, alch_matrix_info_t *info_p, alch_error_t *err);

/**
 * The handle's cached description of the matrix; never contacts the driver.
 *
 * It describes the matrix as it was when the handle was made. alch_matrix_grow()
 * and alch_matrix_refresh() update it. If the matrix was moved to other workers,
 * alch_matrix_missing() and the start of a transfer update it too. An update
 * changes the same struct.
 *
 * @collective  no
 * @threads     MT-Safe; do not read the struct while one of these functions runs
 *              on the same handle
 * @param[in] matrix  not NULL
 * @return      owned by the handle, lives as long as it, never NULL
 */
const alch_matrix_info_t *alch_matrix_facts(const alch_matrix_t *matrix);

/**
 * Read the description from the driver again, and update the handle.
 *
 * Call it after alch_matrix_transform_submit() with ALCH_TRANSFORM_IN_PLACE has
 * replaced the matrix.
 *
 * @collective  no
 * @threads     MT-Safe, but not while a transfer of this handle is under way or
 *              another thread reads alch_matrix_facts()
 * @param[in]  matrix  borrowed
 * @param[out] err     details of a failure, or NULL
 *
 * @return ALCH_OK      alch_matrix_facts() is up to date
 * @return ALCH_ENOENT  the matrix was freed
 * @return otherwise    a common error
 */
int alch_matrix_refresh(alch_matrix_t *matrix, alch_error_t *err);

/**
 * List the session's matrices in the order of their ids.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session  borrowed
 * @param[out] infos_p  array owned by the caller, who calls free()
 * @param[out] count_p  its length; 0 is possible
 * @param[out] err      details of a failure, or NULL
 *
 * @return ALCH_OK    *infos_p and *count_p are set
 * @return otherwise  a common error
 */
int alch_matrix_list(alch_session_t *session, alch_matrix_info_t **infos_p, size_t *count_p, alch_error_t *err);

/**
 * Make handles for all matrices of the session, in the order of their ids.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session     borrowed
 * @param[out] matrices_p  array owned by the caller, who destroys each handle and
 *                         then calls free()
 * @param[out] count_p     its length; 0 is possible
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK    *matrices_p and *count_p are set
 * @return otherwise  a common error
 */
int alch_matrix_open_all(alch_session_t *session, alch_matrix_t ***matrices_p, size_t *count_p, alch_error_t *err);

/** Times of one transfer with one worker, summed over its messages; seconds. */
typedef struct {
    int worker;          /**< rank of the worker, from 0 */
    int slot;            /**< number of its slot, from 1 */
    int64_t bytes;       /**< of entries */
    int64_t messages;
    double serialize;    /**< packing at the sending side */
    double send;         /**< in system calls of the sending side */
    double receive;      /**< in system calls of the receiving side */
    double deserialize;  /**< unpacking at the receiving side */
} alch_timing_t;

/** A transfer. It borrows the handle and the data until it is destroyed. */
typedef struct alch_transfer alch_transfer_t;

/**
 * Start writing a rectangle of entries into a matrix.
 *
 * Entry (i, j) of the rectangle is read at data + i*row_stride + j*col_stride.
 * Strides are in entries of the matrix's type and may be negative or 0, so the
 * caller need not copy arrays in C or Fortran order, slices and transposes.
 *
 * @collective  no; any number of processes may write disjoint rectangles
 * @threads     MT-Safe on one session; of two writers of one entry either can win
 * @param[in]  matrix      borrowed until the transfer is destroyed
 * @param[in]  rect        borrowed until the function returns; NULL: the whole
 *                         matrix
 * @param[in]  data        entry (rect->i, rect->j), of the matrix's type; borrowed
 *                         until the transfer is destroyed
 * @param[in]  row_stride, col_stride  entries
 * @param[out] transfer_p  owned by the caller
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK      the transfer runs in the background; alch_transfer_wait()
 *                      returns its outcome
 * @return ALCH_ERANGE  the rectangle leaves the matrix
 * @return ALCH_EAUTH   a worker could not prove that it belongs to the session
 * @return ALCH_ENOENT  the matrix was freed
 * @return ALCH_ESTATE  the session has no workers, or the matrix was replaced in
 *                      place after the handle got its description
 * @return ALCH_ELIMIT  a worker has as many connections as --connections allows
 * @return ALCH_ESYSTEM a thread could not be started
 * @return otherwise    a common error, or an error of alch_transfer_wait() if the
 *                      transfer failed within its first 200 ms
 */
int alch_matrix_write_start(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data,
                            int64_t row_stride, int64_t col_stride, alch_transfer_t **transfer_p,
                            alch_error_t *err);

/**
 * Start writing the entries of a rectangle that the workers do not have yet: the
 * rest of a transfer that was interrupted.
 *
 * Works like alch_matrix_write_start() and takes the same rectangle and data as
 * the first attempt. It asks the workers, then sends only what is missing. If
 * thousands of separate places are missing, some written entries around them are
 * sent again. The total of alch_transfer_progress() counts what is sent now.
 *
 * @collective  no; as alch_matrix_write_start()
 * @threads     MT-Safe on one session, but not while another thread reads
 *              alch_matrix_facts()
 * @param[in]  matrix, rect, data, row_stride, col_stride
 *                         as for alch_matrix_write_start()
 * @param[out] transfer_p  owned by the caller
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_ETIMEDOUT  a worker did not answer within transfer_timeout_ms
 * @return otherwise       as alch_matrix_write_start()
 */
int alch_matrix_write_missing_start(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data,
                                    int64_t row_stride, int64_t col_stride, alch_transfer_t **transfer_p,
                                    alch_error_t *err);

/**
 * List the entries that are not written yet, or not on every worker that holds a
 * copy of them.
 *
 * @collective  no
 * @threads     MT-Safe, but not while another thread reads alch_matrix_facts();
 *              entries that are being written meanwhile can count either way
 * @param[in]  matrix   borrowed
 * @param[out] rects    `max` disjoint global rectangles, which cover all missing
 *                      entries. They cover nothing else, unless more than `max`,
 *                      or thousands, are needed for that
 * @param[in]  max      >= 1
 * @param[out] count_p  how many rectangles were written; 0: nothing is missing
 * @param[out] err      details of a failure, or NULL
 *
 * @return ALCH_OK        *count_p is set
 * @return ALCH_EINVAL    `max` is 0 or too large
 * @return ALCH_ETIMEDOUT a worker did not answer within transfer_timeout_ms
 * @return ALCH_EAUTH, ALCH_ELIMIT, ALCH_ENOENT, ALCH_ESTATE
 *                        as alch_matrix_write_start()
 * @return otherwise      a common error
 */
int alch_matrix_missing(alch_matrix_t *matrix, alch_rect_t *rects, size_t max, size_t *count_p, alch_error_t *err);

/**
 * Start reading a rectangle of entries.
 *
 * Entry (i, j) of the rectangle is stored at data + i*row_stride + j*col_stride.
 * Memory between the entries does not change. Of replicated entries one copy is
 * read. Unless the transfer succeeds, the contents of the rectangle are
 * undefined.
 *
 * @collective  no
 * @threads     MT-Safe on one session
 * @param[in]  matrix      borrowed until the transfer is destroyed
 * @param[in]  rect        borrowed until the function returns; NULL: the whole
 *                         matrix
 * @param[out] data        as for alch_matrix_write_start(); no two entries may
 *                         share a place
 * @param[in]  row_stride, col_stride  entries
 * @param[out] transfer_p  owned by the caller
 * @param[out] err         details of a failure, or NULL
 *
 * @return as alch_matrix_write_start()
 */
int alch_matrix_read_start(alch_matrix_t *matrix, const alch_rect_t *rect, void *data, int64_t row_stride,
                           int64_t col_stride, alch_transfer_t **transfer_p, alch_error_t *err);

/**
 * The local piece of one process of a parallel program: what a ScaLAPACK
 * descriptor and the process's place in the BLACS grid say. The descriptor's
 * matrix is m x n; its first entry is entry (i0, j0) of the Alchemist matrix.
 */
typedef struct {
    int64_t m, n;     /**< M_, N_ */
    int64_t mb, nb;   /**< MB_, NB_ */
    int rsrc, csrc;   /**< RSRC_, CSRC_ */
    int nprow, npcol; /**< rows and columns of the grid */
    int myrow, mycol; /**< this process's place in it; -1: none, it holds no entries */
    int64_t lld;      /**< LLD_, entries */
    int64_t i0, j0;   /**< where the descriptor's matrix begins, from 0 */
} alch_local_t;

/**
 * Start writing the local piece of this process.
 *
 * Each process of the parallel program attaches to the session
 * (alch_session_attach()) and calls this function with its own piece. The entries
 * go straight to the workers that store them, whatever the two grids and block
 * sizes are. The function uses no MPI, and no process waits for another: the
 * matrix is complete when the transfers of all processes have ended.
 *
 * @collective  no
 * @threads     MT-Safe on one session
 * @param[in]  matrix      borrowed until the transfer is destroyed
 * @param[in]  piece       copied
 * @param[in]  local       the local array: column-major with leading dimension
 *                         lld, entries of the matrix's type; borrowed until the
 *                         transfer is destroyed; NULL if the piece has no entries
 * @param[out] transfer_p  owned by the caller
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_EINVAL  the grid, the place in it, a block size or lld is not
 *                      possible; the text says which
 * @return ALCH_ERANGE  the descriptor's matrix leaves the Alchemist matrix
 * @return otherwise    as alch_matrix_write_start()
 */
int alch_matrix_write_local_start(alch_matrix_t *matrix, const alch_local_t *piece, const void *local,
                                  alch_transfer_t **transfer_p, alch_error_t *err);

/**
 * Start reading the local piece of this process into its local array.
 *
 * @collective  no
 * @threads     MT-Safe on one session
 * @param[in]  matrix      borrowed until the transfer is destroyed
 * @param[in]  piece       copied
 * @param[out] local       as for alch_matrix_write_local_start()
 * @param[out] transfer_p  owned by the caller
 * @param[out] err         details of a failure, or NULL
 *
 * @return as alch_matrix_write_local_start()
 */
int alch_matrix_read_local_start(alch_matrix_t *matrix, const alch_local_t *piece, void *local,
                                 alch_transfer_t **transfer_p, alch_error_t *err);

/**
 * Wait for the end of a transfer.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  transfer    borrowed
 * @param[in]  timeout_ms  how long to wait; 0: only ask; -1: as long as it takes
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK          every entry is stored on its workers (write) or in the
 *                          buffer (read)
 * @return ALCH_EAGAIN      the transfer has not ended
 * @return ALCH_EINCOMPLETE (read) part of the rectangle was never written; the
 *                          text says which
 * @return ALCH_EBUSY       (write) a task or a move reads the matrix; the text
 *                          names it
 * @return ALCH_ETIMEDOUT   a worker made no progress for transfer_timeout_ms; the
 *                          text names it
 * @return ALCH_ECANCELED   alch_transfer_cancel() ended the transfer
 * @return ALCH_ESTATE      the matrix was replaced in place after the handle got
 *                          its description: call alch_matrix_refresh()
 * @return ALCH_ENOENT      the matrix was freed
 * @return ALCH_ELIMIT      message_bytes exceeds the server's --message-limit, or
 *                          a worker has as many connections as --connections allows
 * @return ALCH_EDAMAGED    (only with the session's `checksum`) one message was
 *                          damaged in four attempts; the text names the worker, the
 *                          matrix and the rectangle. The session remains usable. See below
 * @return ALCH_EGROUP, ALCH_ECONNECT, ALCH_EPROTO
 *                          a worker was lost, or the connection to it; if the
 *                          driver knows the reason, the text has it
 * @return ALCH_EAUTH, ALCH_ENOMEM
 *                          a worker could not prove that it belongs to the session,
 *                          or this process is out of memory
 * @return ALCH_EINVAL, ALCH_EFORKED
 *                          as in session.h
 *
 * After a failed write each message that a worker acknowledged counts as written;
 * alch_matrix_missing() says what remains. Entries that were written before the
 * transfer still count as written, but their values are undefined until they are
 * written again.
 *
 * The receiver stores data in its final place and compares the checksum there.
 * After ALCH_EDAMAGED the damaged entries are therefore undefined: in the buffer
 * of a read, and in the matrix after a write. In the matrix, entries that were not
 * written stay unwritten; entries that were written count as written, and must be
 * written again.
 */
int alch_transfer_wait(alch_transfer_t *transfer, int timeout_ms, alch_error_t *err);

/**
 * Get how many bytes of a transfer have been moved. The bytes of a message that
 * arrived damaged are subtracted again.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  transfer  not NULL
 * @param[out] done_p    bytes of entries that were moved, or NULL
 * @param[out] total_p   bytes of entries to move, or NULL
 */
void alch_transfer_progress(const alch_transfer_t *transfer, int64_t *done_p, int64_t *total_p);

/**
 * How many messages were damaged on the way and were moved once more. Only the
 * session's `checksum` detects damage.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] transfer  not NULL
 * @return      the number of messages; one that was damaged twice counts twice
 */
int64_t alch_transfer_resent(const alch_transfer_t *transfer);

/**
 * Ask a transfer to end early. Returns at once: no further messages are begun,
 * and alch_transfer_wait() waits for the end of those under way.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] transfer  borrowed; NULL is allowed
 */
void alch_transfer_cancel(alch_transfer_t *transfer);

/**
 * The times of a transfer, one row for each worker that takes part.
 *
 * @collective  no
 * @threads     MT-Safe after alch_transfer_wait() has returned another code than
 *              ALCH_EAGAIN; not before
 * @param[in]  transfer  not NULL
 * @param[out] timings   array of `max` rows; NULL: only count
 * @param[in]  max       at most this many rows are written
 * @return     the number of workers that take part, which can exceed `max`
 */
size_t alch_transfer_timings(const alch_transfer_t *transfer, alch_timing_t *timings, size_t max);

/**
 * Cancel the transfer if it has not ended, wait until its threads no longer use
 * the buffer, and free it. In a forked child it does nothing.
 *
 * @collective  no
 * @threads     no other thread may use the transfer any more
 * @param[in] transfer  owned by the caller until now; NULL is allowed
 */
void alch_transfer_destroy(alch_transfer_t *transfer);

/**
 * Write a rectangle and wait: alch_matrix_write_start(), alch_transfer_wait()
 * without a limit, alch_transfer_destroy(). If a worker stops responding, the
 * call fails after transfer_timeout_ms.
 *
 * @collective  no; any number of processes may write disjoint rectangles
 * @threads     MT-Safe on one session
 * @param[in]  matrix, rect, data, row_stride, col_stride
 *                  as for alch_matrix_write_start(); borrowed until it returns
 * @param[out] err  details of a failure, or NULL
 *
 * @return as alch_matrix_write_start() and alch_transfer_wait(), without
 *         ALCH_EAGAIN and ALCH_ECANCELED
 */
int alch_matrix_write(alch_matrix_t *matrix, const alch_rect_t *rect, const void *data, int64_t row_stride,
                      int64_t col_stride, alch_error_t *err);

/**
 * Read a rectangle and wait: alch_matrix_read_start(), alch_transfer_wait()
 * without a limit, alch_transfer_destroy(). If a worker stops responding, the
 * call fails after transfer_timeout_ms.
 *
 * @collective  no
 * @threads     MT-Safe on one session
 * @param[in]  matrix, rect, row_stride, col_stride
 *                   as for alch_matrix_read_start(); borrowed until it returns
 * @param[out] data  as for alch_matrix_read_start()
 * @param[out] err   details of a failure, or NULL
 *
 * @return as alch_matrix_read_start() and alch_transfer_wait(), without
 *         ALCH_EAGAIN and ALCH_ECANCELED
 */
int alch_matrix_read(alch_matrix_t *matrix, const alch_rect_t *rect, void *data, int64_t row_stride,
                     int64_t col_stride, alch_error_t *err);

#ifdef __cplusplus
}
#endif
#endif
