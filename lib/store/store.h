/**
 * @file store/store.h
 * The matrix store of a rank: the local parts of all matrices, which of their entries are written, who uses them, and
 * the memory that they take.
 *
 * A part lives as long as it has a reference. Its id has one, each caller of alchi_store_acquire() or
 * alchi_store_reserve() gets one, and each task that locks the matrix has one. The main thread, the control thread and
 * the data threads of a rank use one store together. Nothing here calls MPI.
 *
 * @threads  MT-Safe unless the comment of a function says otherwise
 *
 * Error texts name the rank as "worker 3 (rank 1)"; see alchi_store_set_slot().
 */
#ifndef ALCHI_STORE_STORE_H
#define ALCHI_STORE_STORE_H

#include "layout/intersect.h"
#include "layout/layout.h"

typedef struct alchi_store alchi_store_t;

/**
 * A matrix's local part. A caller with a reference reads it without a lock. The members do not change during that time,
 * with these exceptions: alchi_store_set_id() and alchi_store_replace() set the id of a work matrix, alchi_store_grow()
 * to fewer rows changes layout.m and local_m, alchi_store_part_set_version() sets the version before a client can use
 * the matrix, and `references` changes.
 */
typedef struct {
    uint64_t id; /* 0: a work matrix of a task */
    char name[64];
    uint32_t version; /* how often the matrix was replaced in place */
    alch_dtype_t dtype;
    size_t entry; /* bytes of one entry */
    alchi_layout_t layout;
    int replica, row, col; /* place of this rank in the grid; -1: it holds nothing */
    alchi_axis_t rows, cols;
    int64_t local_m, local_n, lld; /* lld exceeds local_m after growth */
    void *data;                    /* column-major; NULL if there are no entries */
    int references;                /* guarded by the store's mutex; only the store uses it */
} alchi_store_part_t;

/** @param memory_limit  bytes that parts and accounted memory may take together; 0: no limit
 *  @return NULL: out of memory */
alchi_store_t *alchi_store_create(int rank, int size, int64_t memory_limit);
/** Free all parts, also those with references. No other thread may use the store any more. NULL is allowed. */
void alchi_store_destroy(alchi_store_t *store);

/**
 * Allocate this rank's part of a matrix. All its entries count as unwritten.
 *
 * @param[in]  id      0: a work matrix of a task, which cannot be found by id until alchi_store_set_id()
 * @param[in]  layout  copied; NULL: the default layout
 * @param[in]  name    copied, cut after 63 bytes; NULL: no name
 * @param[out] part_p  the part, zeroed, with a reference for the caller. May be NULL if id is not 0: then the content
 *                     of unwritten entries is undefined
 *
 * @return ALCH_OK
 * @return ALCH_EINVAL  the shape, the type or the layout is invalid, the id exists, or id is 0 and part_p is NULL
 * @return ALCH_ELIMIT  decided before anything is allocated: "matrix 7 (60000 x 784, float64): needs 376.3 MB on
 *                      worker 2 (rank 1), 1.2 MB of 256.0 MB are free (--memory-limit)"
 * @return ALCH_ENOMEM
 */
int alchi_store_reserve(alchi_store_t *store, uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype,
                        const alch_layout_t *layout, const char *name, alchi_store_part_t **part_p, alch_error_t *err);
/** As alchi_store_reserve() for a work matrix, but the content is undefined: the caller writes every entry. */
int alchi_store_reserve_unset(alchi_store_t *store, int64_t m, int64_t n, alch_dtype_t dtype,
                              const alch_layout_t *layout, alchi_store_part_t **part_p, alch_error_t *err);
/** Give a work matrix an id by which it can be found. The caller keeps its reference.
 *  @return ALCH_OK; ALCH_EINVAL: the id is 0 or exists, or the matrix has an id */
int alchi_store_set_id(alchi_store_t *store, alchi_store_part_t *part, uint64_t id, alch_error_t *err);
/** Give the id of `old` to a work matrix. `old` is freed when its last reference is released. The caller keeps its
 *  references to both. @return ALCH_OK; ALCH_ENOENT: `old` was freed, or `part` is not a work matrix */
int alchi_store_replace(alchi_store_t *store, alchi_store_part_t *old, alchi_store_part_t *part, alch_error_t *err);
/** Forget an id and drop its reference: the memory is freed when the last reference is released.
 *  @return ALCH_OK; ALCH_ENOENT; ALCH_EBUSY: a task holds the matrix */
int alchi_store_free(alchi_store_t *store, uint64_t id, alch_error_t *err);

/**
 * Change the number of rows of a matrix to `rows`. Entries keep their local places, and written entries stay written.
 * New entries are unwritten.
 *
 * If the columns have no room for the new rows, the part moves to larger memory. If the limit allows it, that memory
 * has room for at least 1.5 times as many rows as the old memory. Fewer rows than before undo a growth that failed on
 * another rank; the memory is kept as room.
 *
 * Growth waits up to a second until transfers have released their references. Other threads that acquire the matrix
 * during the growth wait for its end.
 *
 * @return ALCH_OK
 * @return ALCH_ENOENT
 * @return ALCH_EINVAL  the matrix cannot have this number of rows
 * @return ALCH_EBUSY   a task or a transfer uses the matrix; the text says which
 * @return ALCH_ELIMIT, ALCH_ENOMEM
 */
int alchi_store_grow(alchi_store_t *store, uint64_t id, int64_t rows, alch_error_t *err);

/** Find a matrix by its id and take a reference. Waits while the matrix grows. @return ALCH_OK, ALCH_ENOENT */
int alchi_store_acquire(alchi_store_t *store, uint64_t id, alchi_store_part_t **part_p, alch_error_t *err);
/** Drop a reference. NULL is allowed. */
void alchi_store_release(alchi_store_t *store, alchi_store_part_t *part);

/**
 * Lock matrices for a task, running or queued, that reads them: writes, growth and alchi_store_free() are refused until
 * alchi_store_unlock(). The lock has a reference to each of them. Several tasks may lock the same matrix.
 *
 * @return ALCH_OK; ALCH_ENOENT: an id is unknown; ALCH_ENOMEM. After a failure no matrix is locked
 */
int alchi_store_lock(alchi_store_t *store, uint64_t task, const char *task_name, const uint64_t *ids, size_t count,
                     alch_error_t *err);
/** Unlock all parts that the task locked, also those that alchi_store_replace() has replaced. An unknown task is
 *  allowed. */
void alchi_store_unlock(alchi_store_t *store, uint64_t task);

/** Check whether a client may write now. @return ALCH_OK; ALCH_EBUSY: a task reads the matrix, and the text names it;
 *  ALCH_ENOENT: the id of the part was freed or replaced */
int alchi_store_may_write(alchi_store_t *store, const alchi_store_part_t *part, alch_error_t *err);

/**
 * Check that all local entries of a matrix are written.
 *
 * @return ALCH_OK
 * @return ALCH_ENOENT
 * @return ALCH_EINCOMPLETE  "matrix 3 (100 x 20, float64): 500 of 1000 entries on worker 2 (rank 1) are not written,
 *                           first rows 50..99 of column 0" (global indices)
 */
int alchi_store_check(alchi_store_t *store, uint64_t id, alch_error_t *err);

/** Check that a rectangle of the part (local indices) is written.
 *  @return ALCH_OK; ALCH_EINCOMPLETE naming the first missing entries by their global indices */
int alchi_store_check_written(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect,
                              alch_error_t *err);
/** Mark a rectangle of the part (local indices) as written.
 *  @return ALCH_OK; ALCH_ENOMEM; ALCH_EBUSY, ALCH_ENOENT as alchi_store_may_write() */
int alchi_store_mark_written(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect,
                             alch_error_t *err);
/**
 * The same for the product of two index sets: the rows of one in the columns of the other. The storage indices of side
 * b are the local indices, which are within the part.
 */
int alchi_store_check_set_written(alchi_store_t *store, alchi_store_part_t *part, const alchi_intersect_t *rows,
                                  const alchi_intersect_t *cols, alch_error_t *err);
int alchi_store_mark_set_written(alchi_store_t *store, alchi_store_part_t *part, const alchi_intersect_t *rows,
                                 const alchi_intersect_t *cols, alch_error_t *err);

/**
 * Mark entries as written without a check whether a task reads the matrix: for a part that no client writes.
 * alchi_store_part_mark_written() marks all entries, alchi_store_part_mark_set() a product of index sets as above.
 * alchi_store_part_mark_mask() marks those entries of the product whose bit is set. Bit k % 8 of byte k / 8 belongs to
 * the k-th entry, with the columns in rising order and in each column the rows in rising order.
 *
 * @return ALCH_OK, ALCH_ENOMEM (the last two)
 */
void alchi_store_part_mark_written(alchi_store_part_t *part);
int alchi_store_part_mark_set(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols);
int alchi_store_part_mark_mask(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                               const uint8_t *mask);

/** Set the bits of those entries of a product of index sets that are written. `mask` is zeroed by the caller; its
 *  format is that of alchi_region_mask() (layout/region.h). */
void alchi_store_part_get_mask(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                               uint64_t *mask);
/** List rectangles of `within` that are not written, as alchi_region_list_missing() (layout/region.h) does. */
size_t alchi_store_part_list_missing(alchi_store_part_t *part, const alch_rect_t *within, alch_rect_t *missing,
                                     size_t max, alch_rect_t *rest, size_t *rest_count_p);

/** Set how often the matrix was replaced in place. Data threads read the version without a lock, so call this before a
 *  client can know the matrix. */
void alchi_store_part_set_version(alchi_store_part_t *part, uint32_t version);

/** Set the slot of this worker. From then on errors name the rank "worker 3 (rank 1)", before that "worker rank 1". Not
 *  MT-Safe: call it before other threads exist. */
void alchi_store_set_slot(alchi_store_t *store, int slot);
/** @return the bytes that parts and accounted memory take now */
int64_t alchi_store_used(alchi_store_t *store);

/** Account for memory outside of parts (workspace, buffers). A negative number gives bytes back and always succeeds.
 *  @param what  names the memory in the error text @return ALCH_OK; ALCH_ELIMIT with the numbers */
int alchi_store_account(alchi_store_t *store, int64_t bytes, const char *what, alch_error_t *err);

#endif
