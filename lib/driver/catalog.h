/**
 * @file driver/catalog.h
 * The matrices of a session as the driver knows them: shape, layout, whether all entries are written, and which
 * tasks use them. The entries are in the memory of the ranks.
 *
 * A matrix is added in state RESERVING, and becomes LIVE when every rank has its part. It is removed when its ranks
 * have freed it. If the group of a LIVE matrix ends, the matrix stays in the catalog as LOST, so that clients learn the
 * reason. The catalog holds data only: nothing here sends a message.
 */
#ifndef ALCHI_DRIVER_CATALOG_H
#define ALCHI_DRIVER_CATALOG_H

#include "wire/message.h"
#include <alchemist/matrix.h>
#include <uthash.h>

typedef enum {
    ALCHI_DRV_MATRIX_RESERVING = 1, /* not every rank has its part yet */
    ALCHI_DRV_MATRIX_LIVE = 2,
    ALCHI_DRV_MATRIX_FREEING = 3, /* the ranks were asked to free it */
    ALCHI_DRV_MATRIX_LOST = 4     /* its group has ended, or its ranks disagree about its shape */
} alchi_drv_matrix_state_t;

typedef struct {
    uint64_t id, group;
    alchi_drv_matrix_state_t state;
    int64_t rows, cols;
    alch_dtype_t dtype;
    alch_layout_t layout; /* resolved */
    int workers;
    uint32_t version; /* how often it was replaced in place */
    char name[64];
    bool complete;     /* all entries are known to be written */
    bool growing;      /* the ranks were asked to add rows; `rows` is the number before */
    int readers;       /* tasks and moves that hold a lock on it */
    bool changing;     /* its only reader replaces it in place */
    char reader[96];   /* the reader that locked it last: "task 7 (TestLib.svd)" */
    char *lost_reason; /* in state LOST; NULL: no memory for it */
    UT_hash_handle hh;
} alchi_drv_matrix_t;

typedef struct {
    alchi_drv_matrix_t *matrices; /* hash by id, in order of creation; owned */
} alchi_drv_catalog_t;

/** Add a matrix in state RESERVING; the layout in its description must be resolved.
 *  @return ALCH_OK; ALCH_EINVAL: a negative size, an unknown entry type or a name that is too long; ALCH_ERANGE: its
 *          bytes do not fit an int64_t; ALCH_ENOMEM */
int alchi_drv_catalog_add(alchi_drv_catalog_t *catalog, uint64_t id, uint64_t group, int workers,
                          const Alchw__Matrix *description, alchi_drv_matrix_t **matrix_p, alch_error_t *err);
/** Whether a matrix may have this name. @param name  NULL: no name. @return ALCH_OK; ALCH_EINVAL: it is too long */
int alchi_drv_catalog_check_name(const char *name, alch_error_t *err);
/** Remove a matrix and free it. */
void alchi_drv_catalog_remove(alchi_drv_catalog_t *catalog, alchi_drv_matrix_t *matrix);
void alchi_drv_catalog_fini(alchi_drv_catalog_t *catalog);

/** A matrix in any state, or NULL. */
alchi_drv_matrix_t *alchi_drv_catalog_get(const alchi_drv_catalog_t *catalog, uint64_t id);
/** A matrix that can be used. @return ALCH_OK; ALCH_ENOENT; ALCH_EGROUP: it is lost, and the text says why;
 *  ALCH_EBUSY: it is growing or changing */
int alchi_drv_catalog_find(const alchi_drv_catalog_t *catalog, uint64_t id, alchi_drv_matrix_t **matrix_p,
                           alch_error_t *err);

/** Whether no task or move holds a lock on the matrix. @return ALCH_OK; ALCH_EBUSY names the reader */
int alchi_drv_catalog_check_unlocked(const alchi_drv_matrix_t *matrix, alch_error_t *err);

/** Lock matrices for a reader, whose name appears in error texts. A matrix may be locked several times. Unknown ids are
 *  skipped. */
void alchi_drv_catalog_lock(alchi_drv_catalog_t *catalog, const uint64_t *ids, size_t count, const char *reader);
void alchi_drv_catalog_unlock(alchi_drv_catalog_t *catalog, const uint64_t *ids, size_t count);

/** Mark the LIVE matrices of a group as LOST for this reason, and remove those that are being created or freed. */
void alchi_drv_catalog_mark_lost(alchi_drv_catalog_t *catalog, uint64_t group, const char *why);

/** Store the new description of a matrix that was replaced in place. It keeps its id, and is complete. */
void alchi_drv_catalog_replace(alchi_drv_matrix_t *matrix, const Alchw__Matrix *description);

/** Count the matrices that are not LOST, and list them: "matrix 7 (3 x 4, float64), matrix 8 ..."; a list that does not
 *  fit ends with "...". */
int alchi_drv_catalog_names(const alchi_drv_catalog_t *catalog, char *text, size_t size);

/** The description of a matrix as a message, which points to the other members and to the matrix's name. */
typedef struct {
    Alchw__Matrix message;
    Alchw__Layout layout;
    char busy[128];
} alchi_drv_matrix_description_t;

void alchi_drv_catalog_describe(const alchi_drv_matrix_t *matrix, alchi_drv_matrix_description_t *described);

#endif
