/* The catalog of a session's matrices. */
#include "driver/catalog.h"
#include "base/error.h"
#include "base/util.h"
#include "driver/no_memory.h"
#include "wire/layout_message.h"
#include "wire/message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
alchi_drv_catalog_check_name(const char *name, alch_error_t *err)
{
    const size_t limit = sizeof(((alchi_drv_matrix_t *)0)->name) - 1;

    if (!name || strlen(name) <= limit)
        return ALCH_OK;
    return alchi_error_set(err, ALCH_EINVAL, "the name \"%.20s...\" of a matrix has %zu bytes, the limit is %zu", name,
                           strlen(name), limit);
}

static int
check_description(uint64_t id, const Alchw__Matrix *description, alch_error_t *err)
{
    int64_t entries, bytes;
    size_t size = description->dtype <= INT32_MAX ? alch_dtype_size((alch_dtype_t)description->dtype) : 0;

    if (description->rows < 0 || description->cols < 0)
        return alchi_error_set(err, ALCH_EINVAL, "size %lld x %lld of matrix %llu is negative",
                               (long long)description->rows, (long long)description->cols, (unsigned long long)id);
    if (!size)
        return alchi_error_set(err, ALCH_EINVAL, "matrix %llu: entry type %u does not exist", (unsigned long long)id,
                               description->dtype);
    if (!alchi_mul_int64(description->rows, description->cols, &entries) ||
        !alchi_mul_int64(entries, (int64_t)size, &bytes))
        return alchi_error_set(err, ALCH_ERANGE, "matrix %llu (%lld x %lld, %s) has more bytes than 64 bits can count",
                               (unsigned long long)id, (long long)description->rows, (long long)description->cols,
                               alch_dtype_name((alch_dtype_t)description->dtype));
    return alchi_drv_catalog_check_name(description->name, err);
}

int
alchi_drv_catalog_add(alchi_drv_catalog_t *catalog, uint64_t id, uint64_t group, int workers,
                      const Alchw__Matrix *description, alchi_drv_matrix_t **matrix_p, alch_error_t *err)
{
    alchi_drv_matrix_t *matrix;
    int code = check_description(id, description, err);

    if (code)
        return code;
    if (!(matrix = calloc(1, sizeof(*matrix))))
        return alchi_drv_error_no_memory(err);
    matrix->id = id;
    matrix->group = group;
    matrix->state = ALCHI_DRV_MATRIX_RESERVING;
    matrix->rows = description->rows;
    matrix->cols = description->cols;
    matrix->dtype = (alch_dtype_t)description->dtype;
    matrix->workers = workers;
    /* A matrix without entries is complete: there is nothing to write. */
    matrix->complete = matrix->rows == 0 || matrix->cols == 0;
    matrix->layout = alchi_wire_layout_in(description->layout);
    snprintf(matrix->name, sizeof(matrix->name), "%s", description->name ? description->name : "");
    HASH_ADD(hh, catalog->matrices, id, sizeof(matrix->id), matrix);
    *matrix_p = matrix;
    return ALCH_OK;
}

void
alchi_drv_catalog_remove(alchi_drv_catalog_t *catalog, alchi_drv_matrix_t *matrix)
{
    HASH_DEL(catalog->matrices, matrix);
    free(matrix->lost_reason);
    free(matrix);
}

void
alchi_drv_catalog_fini(alchi_drv_catalog_t *catalog)
{
    while (catalog->matrices)
        alchi_drv_catalog_remove(catalog, catalog->matrices);
}

alchi_drv_matrix_t *
alchi_drv_catalog_get(const alchi_drv_catalog_t *catalog, uint64_t id)
{
    alchi_drv_matrix_t *matrix;

    HASH_FIND(hh, catalog->matrices, &id, sizeof(id), matrix);
    return matrix;
}

int
alchi_drv_catalog_find(const alchi_drv_catalog_t *catalog, uint64_t id, alchi_drv_matrix_t **matrix_p,
                       alch_error_t *err)
{
    alchi_drv_matrix_t *matrix = alchi_drv_catalog_get(catalog, id);

    if (matrix && matrix->state == ALCHI_DRV_MATRIX_LOST)
        return alchi_error_set(err, ALCH_EGROUP, "matrix %llu is lost: %s", (unsigned long long)id,
                               matrix->lost_reason ? matrix->lost_reason : "its worker group has ended");
    if (!matrix || matrix->state != ALCHI_DRV_MATRIX_LIVE)
        return alchi_error_set(err, ALCH_ENOENT, "this session has no matrix %llu", (unsigned long long)id);
    if (matrix->growing)
        return alchi_error_set(err, ALCH_EBUSY, "matrix %llu is being given more rows", (unsigned long long)id);
    if (matrix->changing)
        return alchi_error_set(err, ALCH_EBUSY, "matrix %llu is being replaced by %s", (unsigned long long)id,
                               matrix->reader);
    *matrix_p = matrix;
    return ALCH_OK;
}

int
alchi_drv_catalog_check_unlocked(const alchi_drv_matrix_t *matrix, alch_error_t *err)
{
    char text[128];

    if (!matrix->readers)
        return ALCH_OK;
    alchi_format_matrix(matrix->id, matrix->rows, matrix->cols, matrix->dtype, text, sizeof(text));
    return alchi_error_set(err, ALCH_EBUSY, "matrix %s is read by %s", text, matrix->reader);
}

void
alchi_drv_catalog_lock(alchi_drv_catalog_t *catalog, const uint64_t *ids, size_t count, const char *reader)
{
    alchi_drv_matrix_t *matrix;

    for (size_t i = 0; i < count; i++) {
        if (!(matrix = alchi_drv_catalog_get(catalog, ids[i])))
            continue;
        matrix->readers++;
        snprintf(matrix->reader, sizeof(matrix->reader), "%s", reader);
    }
}

void
alchi_drv_catalog_unlock(alchi_drv_catalog_t *catalog, const uint64_t *ids, size_t count)
{
    alchi_drv_matrix_t *matrix;

    for (size_t i = 0; i < count; i++) {
        if ((matrix = alchi_drv_catalog_get(catalog, ids[i])) && matrix->readers > 0 && --matrix->readers == 0)
            matrix->changing = false;
    }
}

void
alchi_drv_catalog_replace(alchi_drv_matrix_t *matrix, const Alchw__Matrix *description)
{
    matrix->rows = description->rows;
    matrix->cols = description->cols;
    matrix->dtype = (alch_dtype_t)description->dtype;
    matrix->complete = true;
    matrix->version++;
    matrix->layout = alchi_wire_layout_in(description->layout);
    snprintf(matrix->name, sizeof(matrix->name), "%s", description->name ? description->name : "");
}

void
alchi_drv_catalog_mark_lost(alchi_drv_catalog_t *catalog, uint64_t group, const char *why)
{
    alchi_drv_matrix_t *matrix, *next;

    HASH_ITER(hh, catalog->matrices, matrix, next)
    {
        if (matrix->group != group || matrix->state == ALCHI_DRV_MATRIX_LOST)
            continue;
        if (matrix->state != ALCHI_DRV_MATRIX_LIVE) {
            alchi_drv_catalog_remove(catalog, matrix);
            continue;
        }
        matrix->state = ALCHI_DRV_MATRIX_LOST;
        matrix->readers = 0;
        matrix->changing = false;
        matrix->lost_reason = strdup(why);
    }
}

int
alchi_drv_catalog_names(const alchi_drv_catalog_t *catalog, char *text, size_t size)
{
    const alchi_drv_matrix_t *matrix;
    char entry[128];
    size_t used = 0;
    int count = 0;
    bool full = false;

    *text = '\0';
    for (matrix = catalog->matrices; matrix; matrix = matrix->hh.next) {
        if (matrix->state == ALCHI_DRV_MATRIX_LOST)
            continue;
        alchi_format_matrix(matrix->id, matrix->rows, matrix->cols, matrix->dtype, entry, sizeof(entry));
        if (!full && used + strlen(entry) + 16 < size)
            used += (size_t)snprintf(text + used, size - used, "%smatrix %s", count ? ", " : "", entry);
        else if (!full && (full = true))
            snprintf(text + used, size - used, ", ...");
        count++;
    }
    return count;
}

void
alchi_drv_catalog_describe(const alchi_drv_matrix_t *matrix, alchi_drv_matrix_description_t *described)
{
    Alchw__Matrix *message = &described->message;

    alchw__matrix__init(message);
    alchi_wire_layout_out(&matrix->layout, &described->layout);
    message->has_id = message->has_rows = message->has_cols = message->has_dtype = message->has_workers = 1;
    message->id = matrix->id;
    message->rows = matrix->rows;
    message->cols = matrix->cols;
    message->dtype = (uint32_t)matrix->dtype;
    message->layout = &described->layout;
    message->workers = (uint32_t)matrix->workers;
    message->has_version = 1;
    message->version = matrix->version;
    message->has_group = 1;
    message->group = matrix->group;
    message->name = (char *)matrix->name;
    snprintf(described->busy, sizeof(described->busy), matrix->readers ? "read by %s" : "%s",
             matrix->readers ? matrix->reader : "");
    message->busy = described->busy;
}
