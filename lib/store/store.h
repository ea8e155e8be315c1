/**
 * @file store/store.h
 * A rank's matrices: local blocks, what of them is written, who uses them, and the
 * memory they take. MT-Safe: main, control and data threads use it together; no MPI.
 */
#ifndef ALCHI_STORE_STORE_H
#define ALCHI_STORE_STORE_H

#include "layout/layout.h"
#include "layout/region.h"
#include <pthread.h>

typedef struct alchi_store alchi_store_t;

/** A matrix's local part. Fields are constant while somebody has a reference but for those marked. */
typedef struct {
    uint64_t id;
    char name[64];
    uint32_t version; /* how often the matrix was replaced in place */
    alch_dtype_t dtype;
    size_t entry; /* bytes of one entry */
    alchi_layout_t layout;
    int replica, row, col; /* place of this rank; -1: holds nothing */
    alchi_axis_t rows, cols;
    int64_t local_m, local_n, lld;
    void *data;             /* column-major; NULL if empty; lld exceeds local_m after growth */
    pthread_mutex_t mutex;  /* guards region */
    alchi_region_t *region; /* changes */
    int references;         /* guarded by the store */
    uint64_t task;          /* guarded by the store: a task that reads it, 0: none (the last to lock) */
    int readers;            /* guarded by the store: tasks that hold it, queued ones included */
    char task_name[64];
    bool dead; /* freed; lives until the last reference goes */
} alchi_store_part_t;

/** @param memory_limit bytes; 0: none */
alchi_store_t *alchi_store_create(int rank, int size, int64_t memory_limit);
void alchi_store_destroy(alchi_store_t *store);

/**
 * Allocate a rank's part of a matrix, unwritten.
 * @param id  0: a task's own work matrix, not found by id (until alchi_store_name())
 * @param part_p  with a reference for the caller, and zeroed; NULL allowed when id is not 0: then what is not written
 *                is undefined
 * @return ALCH_OK; ALCH_ELIMIT before anything is allocated: "matrix 7 (60000 x 784, float64): needs 376.3 MB on
 *         worker 2, 1.2 MB of 256.0 MB are free (--memory-limit)"; ALCH_ENOMEM; ALCH_EINVAL
 */
int alchi_store_reserve(alchi_store_t *store, uint64_t id, int64_t m, int64_t n, alch_dtype_t dtype,
                        const alch_layout_t *layout, const char *name, alchi_store_part_t **part_p, alch_error_t *err);
/** As alchi_store_reserve() for a work matrix whose entries are undefined: the caller writes all of them. */
int alchi_store_reserve_unset(alchi_store_t *store, int64_t m, int64_t n, alch_dtype_t dtype,
                              const alch_layout_t *layout, alchi_store_part_t **part_p, alch_error_t *err);
/** Make a work matrix findable under an id. The reserve's reference stays the caller's. */
int alchi_store_name(alchi_store_t *store, alchi_store_part_t *part, uint64_t id, alch_error_t *err);
/** A work matrix takes the place of another one, with its id; the old one goes when its last user is done. The
 *  reserve's reference stays the caller's. @return ALCH_OK; ALCH_ENOENT: `old` was freed meanwhile */
int alchi_store_replace(alchi_store_t *store, alchi_store_part_t *old, alchi_store_part_t *part, alch_error_t *err);
/** Drop the id's own reference: memory goes when the last user is done. @return ALCH_OK, ALCH_ENOENT, ALCH_EBUSY */
int alchi_store_free(alchi_store_t *store, uint64_t id, alch_error_t *err);

/**
 * Give a matrix `rows` rows in all. Entries keep their local places, and what was written stays written; new ones are
 * unwritten. More rows than the columns have room for move the part to memory with room for half as many again, if the
 * limit allows that. Fewer rows than it has: those of a growth that failed elsewhere, whose memory is kept as room.
 *
 * Waits a second for transfers to end.
 * @return ALCH_OK; ALCH_ENOENT; ALCH_EINVAL; ALCH_EBUSY naming the task, or a transfer; ALCH_ELIMIT, ALCH_ENOMEM
 */
int alchi_store_grow(alchi_store_t *store, uint64_t id, int64_t rows, alch_error_t *err);

/** Find by id and take a reference; a matrix that is growing is waited for. @return ALCH_OK or ALCH_ENOENT naming it */
int alchi_store_acquire(alchi_store_t *store, uint64_t id, alchi_store_part_t **part_p, alch_error_t *err);
void alchi_store_release(alchi_store_t *store, alchi_store_part_t *part);

/** A task reads these: writes are refused until it unlocks. References are held meanwhile. */
int alchi_store_lock(alchi_store_t *store, uint64_t task, const char *task_name, const uint64_t *ids, size_t count,
                     alch_error_t *err);
/** All that it locked, whatever became of their ids. */
void alchi_store_unlock(alchi_store_t *store, uint64_t task);

/** Whether data may be written now. @return ALCH_OK; ALCH_EBUSY naming the task; ALCH_ENOENT: freed meanwhile */
int alchi_store_may_write(alchi_store_t *store, const alchi_store_part_t *part, alch_error_t *err);

/** ALCH_OK if the part is completely written, else ALCH_EINCOMPLETE saying which global entries are missing first
 *  and how many: "matrix 3 (100 x 20, float64): 500 of 1000 entries on worker 2 (rank 1) are not written, first rows
 *  50..99 of column 0" */
int alchi_store_check(alchi_store_t *store, uint64_t id, alch_error_t *err);

/** ALCH_OK if a rectangle of the part is written, else ALCH_EINCOMPLETE saying which global entries are missing
 *  first. */
int alchi_store_covered(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect, alch_error_t *err);
/** Count a rectangle of the part as written, if that may still be.
 *  @return ALCH_OK, ALCH_ENOMEM, or as alchi_store_may_write() */
int alchi_store_written(alchi_store_t *store, alchi_store_part_t *part, const alch_rect_t *rect, alch_error_t *err);
/**
 * The same for the product of two index sets: the rows of one in the columns of the other, by their storage indices on
 * side b, within the part.
 */
int alchi_store_covered_set(alchi_store_t *store, alchi_store_part_t *part, const alchi_intersect_t *rows,
                            const alchi_intersect_t *cols, alch_error_t *err);
int alchi_store_written_set(alchi_store_t *store, alchi_store_part_t *part, const alchi_intersect_t *rows,
                            const alchi_intersect_t *cols, alch_error_t *err);

/**
 * Mark entries as written without asking whether a task reads the matrix: for a part that no client writes.
 * alchi_store_part_mark_mask() marks those entries of the product whose bit is set; bit k belongs to the k-th entry,
 * columns in rising order and in each column the rows in rising order.
 *
 * @return ALCH_OK, ALCH_ENOMEM
 */
void alchi_store_part_mark_written(alchi_store_part_t *part);
int alchi_store_part_mark_set(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols);
int alchi_store_part_mark_mask(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                               const uint8_t *mask);

/** Which entries of a product of index sets are written, as alchi_region_mask() says it. */
void alchi_store_part_get_mask(alchi_store_part_t *part, const alchi_intersect_t *rows, const alchi_intersect_t *cols,
                               uint64_t *mask);
/** Rectangles of `within` that are not written, as alchi_region_list_missing() lists them. */
size_t alchi_store_part_list_missing(alchi_store_part_t *part, const alch_rect_t *within, alch_rect_t *missing,
                                     size_t max, alch_rect_t *rest, size_t *rest_count_p);

/** Set how often the matrix was replaced in place. Only the caller may know the part yet. */
void alchi_store_part_set_version(alchi_store_part_t *part, uint32_t version);

/** How errors name this rank: "worker 3 (rank 1)"; before that "worker rank 1". Before other threads exist. */
void alchi_store_set_slot(alchi_store_t *store, int slot);
/** Bytes accounted for now. */
int64_t alchi_store_used(alchi_store_t *store);

/** Account for other memory (workspace, buffers): may be negative. @return ALCH_OK or ALCH_ELIMIT with the numbers */
int alchi_store_account(alchi_store_t *store, int64_t bytes, const char *what, alch_error_t *err);

#endif
