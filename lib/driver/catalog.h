/**
 * @file driver/catalog.h
 * The matrices of a session as the driver knows them: what and where, complete or not,
 * who uses them. The entries live on the workers. Pure bookkeeping.
 */
#ifndef ALCHI_DRIVER_CATALOG_H
#define ALCHI_DRIVER_CATALOG_H

#include "wire/message.h"
#include <alchemist/matrix.h>
#include <uthash.h>

typedef enum {
    ALCHI_DRV_MATRIX_RESERVING = 1, /* not every rank has its part yet */
    ALCHI_DRV_MATRIX_LIVE = 2,
    ALCHI_DRV_MATRIX_FREEING = 3,
    ALCHI_DRV_MATRIX_LOST = 4 /* its group is gone */
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
    bool complete;   /* every entry is known to be written */
    bool growing;    /* its ranks are being told of more rows: `rows` is what it had */
    int readers;     /* tasks that hold it */
    bool changing;   /* its one reader replaces it */
    char reader[96]; /* one of them: "task 7 (TestLib.svd)" */
    char *lost;      /* why, when LOST */
    UT_hash_handle hh;
} alchi_drv_matrix_t;

typedef struct {
    alchi_drv_matrix_t *matrices; /* hash by id, in order of creation */
} alchi_drv_catalog_t;

/** A matrix from its description, RESERVING. layout is resolved already.
 *  @return ALCH_OK; ALCH_EINVAL; ALCH_ERANGE: too large to count its bytes; ALCH_ENOMEM */
int alchi_drv_catalog_add(alchi_drv_catalog_t *catalog, uint64_t id, uint64_t group, int workers,
                          const Alchw__Matrix *description, alchi_drv_matrix_t **matrix_p, alch_error_t *err);
/** Whether a matrix may have this name; NULL: none. @return ALCH_OK, ALCH_EINVAL */
int alchi_drv_catalog_check_name(const char *name, alch_error_t *err);
void alchi_drv_catalog_remove(alchi_drv_catalog_t *catalog, alchi_drv_matrix_t *matrix);
void alchi_drv_catalog_fini(alchi_drv_catalog_t *catalog);

/** A matrix in any state, or NULL. */
alchi_drv_matrix_t *alchi_drv_catalog_get(const alchi_drv_catalog_t *catalog, uint64_t id);
/** A matrix that can be used. @return ALCH_OK; ALCH_ENOENT; ALCH_EGROUP: lost, with the reason; ALCH_EBUSY: growing or
 * changing */
int alchi_drv_catalog_find(const alchi_drv_catalog_t *catalog, uint64_t id, alchi_drv_matrix_t **matrix_p,
                           alch_error_t *err);

/** ALCH_OK if it can be freed now: ALCH_EBUSY names the task. */
int alchi_drv_catalog_check_unlocked(const alchi_drv_matrix_t *matrix, alch_error_t *err);

void alchi_drv_catalog_lock(alchi_drv_catalog_t *catalog, const uint64_t *ids, size_t count, const char *reader);
void alchi_drv_catalog_unlock(alchi_drv_catalog_t *catalog, const uint64_t *ids, size_t count);

/** All that a group held is LOST for this reason; what was half made or half freed is gone. */
void alchi_drv_catalog_mark_lost(alchi_drv_catalog_t *catalog, uint64_t group, const char *why);

/** A live matrix becomes another one under its id; it is complete. */
void alchi_drv_catalog_replace(alchi_drv_matrix_t *matrix, const Alchw__Matrix *description);

/** How many would go with the group, and their names: "matrix 7 (3 x 4, float64), matrix 8 ..." cut to size. */
int alchi_drv_catalog_names(const alchi_drv_catalog_t *catalog, char *text, size_t size);

/** A matrix as it is told to others; the message points into the rest, and to the matrix's name. */
typedef struct {
    Alchw__Matrix message;
    Alchw__Layout layout;
    char busy[128];
} alchi_drv_matrix_description_t;

void alchi_drv_catalog_describe(const alchi_drv_matrix_t *matrix, alchi_drv_matrix_description_t *described);

#endif
